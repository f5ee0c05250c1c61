"""The operations that are a swap: a hand-over, a hand-back, a move to another VF. Their records list the NICs that leave and come."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from virtnetplug import xml
from virtnetplug.backends import Choice, backend_for
from virtnetplug.errors import VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.call.waiting import Work
from virtnetplug.hotplug.change.remembering import Remembered, name_of, of_remembering, remember_again
from virtnetplug.hotplug.change.swap import Swap, lost_settings, predecessor, request_of, steps_of
from virtnetplug.hotplug.change.swap_run import Change, SwapOperation, WaitingSwap
from virtnetplug.hotplug.check.request import edited
from virtnetplug.hotplug.check.reserved import freed
from virtnetplug.hotplug.check.sources import actual_of, holder_of
from virtnetplug.hotplug.engine.operation import (
    ELEMENT,
    ELEMENTS,
    LIST,
    OBJECT,
    OBJECT_OR_NOTHING,
    REMEMBERED,
    TEXT,
    Shape,
    Site,
)
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.transaction import Transaction, Undos
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.definition import config_net, define, is_defined, remove_from_config, rewrite, standing
from virtnetplug.hotplug.guest.nic_rows import keep_or_drop, nic_record
from virtnetplug.hotplug.guest.nic_status import nics_of
from virtnetplug.hotplug.guest.travel import say_ours
from virtnetplug.hotplug.look.view import DomainNic, DomainView, join, name_in_config
from virtnetplug.hotplug.plug.defining import expect_place, of_define, of_rewrite, of_undefine, warn_out
from virtnetplug.hotplug.plug.edit import check_applied
from virtnetplug.hotplug.plug.last_seen import (
    as_defined,
    as_seen,
    see_defined,
)
from virtnetplug.hotplug.plug.plugging import new_record
from virtnetplug.hotplug.plug.release import GuestRelease, under_way
from virtnetplug.hotplug.plug.undoing import Coming, Leaving, giving_way, of_swap
from virtnetplug.lifecycle import ATTACHED, GONE
from virtnetplug.model.holding import Setting
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Half, Refusal
from virtnetplug.policy.identity import retake
from virtnetplug.ports.domain import Domain

_TAKEN_OVER = ("mac", "address")
"""The guest knows a NIC by these, and must find them again."""


class _Listed(WaitingSwap):
    """A swap whose record lists the NICs that leave and come."""

    aim = "exchanged"

    def __init__(self, tx: Transaction, release: GuestRelease) -> None:
        super().__init__(tx, release)
        self.remembered, self.leaving = self.request["remembered"], _leaving(self.request)
        self.coming = [entry["element"] for entry in self.request["entering"]]
        self.identities = _identities(self.request)
        self.then = f"{tx.record.operation}, which goes on when the guest lets go"

    def enter(self) -> dict[str, Interface]:
        self._remember_as_changed()
        return {entry["alias"]: self._enter(entry) for entry in self.request["entering"]}

    def _enter(self, entry: Mapping[str, Any]) -> Interface:
        net = self._as_changed(xml.interface(entry["element"]), _seen(self.request))
        actual = actual_of(self.host, net)
        settings = self._settings(entry, backend_for(actual).settings_of(net))

        def check(_sent: Interface, now: Interface) -> None:
            check_applied(net, now, [name for name in _TAKEN_OVER if getattr(net, name) is not None])

        return self.attach(entry["alias"], net, actual, settings, check, Choice.read(entry))

    def _as_changed(self, net: Interface, changed: Iterable[Change]) -> Interface:
        """See `_as_changed`; a warning names what the NIC cannot have."""
        net, left_out = _as_changed(self.host, net, changed, self.identities)
        for field, why in left_out:
            self.tx.warn(f"{name_in_config(net)} cannot have its {field.replace('_', ' ')}: {why}")
        return net

    def _settings(self, entry: Mapping[str, Any], asked: Mapping[str, Setting]) -> Mapping[str, Setting]:
        """The settings of the NIC's device. An operation that was to set nothing has no step for it."""
        planned: Mapping[str, Setting] = entry["settings"]
        settings = {**planned, **asked}
        if planned or not settings:
            return settings
        self.tx.warn(f"{', '.join(settings)} of {entry['alias']} was changed meanwhile, and is not set of its device")
        return planned

    def _remember_as_changed(self) -> None:
        """Make the metadata remember what somebody has changed meanwhile of a NIC that is handed over: the NIC comes back so."""
        for name, known in self.identities.items():
            assert known.after is not None
            live = _changed(name, known.after.live, _seen(self.request))
            config = _changed(name, known.after.config, _redefined(self.request))
            identity = dataclasses.replace(known.after, live=live, config=config)
            if identity != known.after:
                remember_again(self.domain, known, identity)

    def define(self, came: Mapping[str, Interface]) -> None:
        leaving = _nets(self.request["config_leaving"])
        # somebody has taken these out, unless a call that ended before may have begun to do so itself
        gone = [name_in_config(net) for net in leaving if standing(self.domain, net) is None]
        taken_out = {name for name in gone if not self.tx.was_begun("undefine", name)}
        planned = {step.nic for step in self.tx.steps if step.name == "undefine"}
        for net in leaving:
            if name_in_config(net) in planned:
                self._undefine(net)
        for net in _nets(self.request["config_entering"]):
            self._define(net, stays_out=name_in_config(net) in taken_out)
        self._remember_as_changed()

    def _undefine(self, net: Interface) -> None:
        def out() -> None:
            now = config_net(self.domain, net)
            guest.expect_unchanged(now, net, where=" in the definition")
            if now is not None and now.mac == net.mac:
                see_defined(self.tx, name_in_config(net), net, now)
            remove_from_config(self.domain, net)

        self.tx.effect("undefine", name_in_config(net), out, half=Half.CONFIG)

    def _define(self, net: Interface, *, stays_out: bool) -> None:
        """Define a NIC; a NIC that somebody has taken out of the definition stays out."""
        name, before = name_in_config(net), _replaced(self.tx, net)
        if not stays_out:
            expect_place(self.domain, self.tx, net, before)

        def write() -> None:
            if stays_out:
                warn_out(self.tx, name)
                return
            if before is None:
                define(self.domain, self._as_changed(net, _redefined(self.request)).element)
                return
            now = standing(self.domain, net, before)
            guest.expect_unchanged(now, before, net, where=" in the definition")
            if (is_one := name_in_config(before) == name) or now is None:
                rewrite(self.domain, before, net, is_one=is_one)
                return
            if name_in_config(now) == name_in_config(before):
                see_defined(self.tx, name_in_config(before), before, now)
            rewrite(self.domain, before, self._as_changed(net, _redefined(self.request)), is_one=False)

        self.tx.effect("define", name, write, half=Half.CONFIG)

    def changed_unseen(self) -> list[Change]:
        return [*_redefined(self.request), *super().changed_unseen()]

    def expect_there(self, came: Mapping[str, Interface]) -> None:
        super().expect_there(came)
        if came:  # one that serves in the place of another has that one's MAC
            say_ours(self.domain, list(came.values()), self.tx.record.id)

    def keep_rows(self, came: Mapping[str, Interface]) -> None:
        journal = self.host.journal
        gone = [xml.interface(each.element) for each in self.leaving]
        gone += [net for net in _nets(self.request["config_leaving"]) if self._is_defined_alone(net)]
        keep_or_drop(self.host, self.domain, gone)
        for net in _nets(self.request["config_entering"]):
            if self._is_defined_alone(net) and is_defined(self.domain, net):
                journal.put_nic(nic_record(self.host, self.domain, net, net.source_network, *GONE))
        for entry in self.request["entering"]:
            network = xml.interface(entry["element"]).source_network
            journal.put_nic(nic_record(self.host, self.domain, came[entry["alias"]], network, *ATTACHED))

    def _is_defined_alone(self, net: Interface) -> bool:
        """True if the NIC's alias lasts, and the guest has no NIC of that alias. Otherwise the row would be that of the guest's NIC."""
        return is_lasting(net.alias) and guest.net_of(self.domain, net.alias or "") is None


def _nets(elements: Iterable[str]) -> list[Interface]:
    return [xml.interface(element) for element in elements]


def _leaving(request: Mapping[str, Any]) -> list[Leaving]:
    return [Leaving(entry["alias"], entry["element"], old=entry["old"]) for entry in request["leaving"]]


def _replaced(tx: Transaction, net: Interface) -> Interface | None:
    """The NIC whose place in the definition `net` takes; None in records that take that out of it first, in a step of its own."""
    before = predecessor(net, _nets(tx.record.request["config_leaving"]))
    if before is None or any((step.name, step.nic) == ("undefine", name_in_config(before)) for step in tx.steps):
        return None
    return before


def _changed(name: str, element: str | None, changed: Iterable[Change]) -> str | None:
    """The element that is remembered of the NIC `name`, with what was changed of that NIC."""
    for _, before, now in changed:
        if element is not None and name_of(before) == name:
            element = xml.merged(element, before.element, now.element)
    return element


def _as_changed(
    host: Host, net: Interface, changed: Iterable[Change], identities: Collection[str]
) -> tuple[Interface, list[tuple[str, str]]]:
    """The NIC that comes, with what somebody has changed of it, if it was there before, and of the NIC whose identity it takes.

    The second value lists the fields that it cannot have, each with the reason.
    """
    left_out: list[tuple[str, str]] = []
    for name, before, now in changed:
        if name == name_in_config(net):
            net = xml.interface(xml.merged(net.element, before.element, now.element))
        elif name_of(before) in identities:
            taken = retake(before, now, net, _holder(host, net))
            net = edited(net, taken.changes)
            left_out += taken.left_out
    return net, left_out


def _holder(host: Host, net: Interface) -> str:
    """Return `holder_of`. An undo must not fail where the network that would tell is gone."""
    try:
        return holder_of(host, net)
    except VirtnetplugError:
        return net.type


def _identities(request: Mapping[str, Any]) -> Mapping[str, Remembered]:
    """What is remembered of the NICs whose identity another NIC takes, by their names."""
    known = map(Remembered.from_request, request["remembered"])
    return {each.name: each for each in known if each.after is not None and each.after.is_out}


def _seen(request: Mapping[str, Any]) -> list[Change]:
    """What was changed of the NICs that have left the guest."""
    found = [(each.name, each.element, as_seen(request, each.name, each.element)) for each in _leaving(request)]
    bare = [(name, xml.strip_live(before), xml.strip_live(now)) for name, before, now in found if now != before]
    return [(name, xml.interface(before), xml.interface(now)) for name, before, now in bare]


def _redefined(request: Mapping[str, Any]) -> list[Change]:
    """What was changed of the NICs that have left the definition."""
    named = [(name_in_config(net), net) for net in _nets(request["config_leaving"])]
    found = [(name, net, as_defined(request, name, net)) for name, net in named]
    return [(name, before, now) for name, before, now in found if now.element != before.element]


def prepared(
    host: Host,
    view: DomainView,
    swap: Swap,
    refusals: Sequence[Refusal] = (),
    *,
    already: Sequence[DomainNic] | None = None,
) -> Prepared:
    """The swap as an operation on `view`, or why it cannot be; `already` are the NICs of a swap that has been done."""
    is_due = not refusals and already is None
    if is_due:
        swap = dataclasses.replace(swap, warnings=(*swap.warnings, *lost_settings(host, view, swap)))
    steps = steps_of(host, swap) if is_due else ()

    def start(lock: Lock, seconds: float) -> Work:
        nets = (*swap.leaving, *swap.entering, *swap.config_entering)
        record = new_record(host, view, swap.operation, swap.scope, nets, request_of(host, view, swap), steps)
        with under_way(host, view.domain, record, seconds, Swapping.undos, warnings=swap.warnings) as (tx, release):
            return (yield from _Listed(tx, release).run())

    return Prepared(
        operation=swap.operation,
        domain=view.domain.name,
        scope=swap.scope,
        start=start,
        refusals=tuple(refusals),
        already=None if already is None else nics_of(host, view, already),
        steps=steps,
        diff=swap.diff,
        warnings=swap.warnings,
    )


class Swapping(SwapOperation):
    """A hand-over, a hand-back or a change of VF."""

    runner = _Listed

    request: ClassVar[Shape] = {
        **dict.fromkeys(("nics", "leaving", "entering", "remembered"), LIST),
        **dict.fromkeys(("config_leaving", "config_entering"), ELEMENTS),
    }
    entries: ClassVar[Mapping[str, Shape]] = {
        "nics": {"alias": TEXT},
        "leaving": {"alias": TEXT, "element": ELEMENT, "old": OBJECT_OR_NOTHING},
        "entering": {"alias": TEXT, "element": ELEMENT, "type": TEXT, "settings": OBJECT, "again": TEXT},
        "remembered": REMEMBERED,
    }

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        """What undoes its steps: the NICs that came go, and those that left are restored."""
        request = tx.record.request
        defined = [(name_in_config(net), net) for net in _nets(request["config_leaving"])]
        config_leaving = [as_defined(request, name, net) for name, net in defined]
        changed = _redefined(request)
        config_entering = [
            _as_changed(site.host, net, changed, _identities(request))[0] for net in _nets(request["config_entering"])
        ]
        left = []
        for leaving in _leaving(request):
            _, config = join([xml.interface(leaving.element)], config_leaving)[0]
            left.append(dataclasses.replace(leaving, defined=None if config is None else config.element))
        came = []
        for entry in request["entering"]:
            net, _ = _as_changed(site.host, xml.interface(entry["element"]), _seen(request), _identities(request))
            config = join([net], config_entering)[0].config
            before = None if config is None else _replaced(tx, config)
            came.append(Coming(entry["type"], net, None if config is None or before is None else (before, config)))
        found = {**of_remembering(site, tx, request["remembered"]), **of_swap(site, tx, left, came)}
        for name, net in defined:
            found |= of_undefine(site, tx, name, net)
        for net in config_entering:
            before, name = _replaced(tx, net), name_in_config(net)
            if before is None:
                found |= of_define(site, tx, name, net)
            else:
                gave_way = None if name_in_config(before) == name else giving_way(net, dict(defined))
                found |= of_rewrite(site, tx, "define", name, before, net, leaving=gave_way)
        return found

    @classmethod
    def anywhere(cls, domain: Domain, request: Mapping[str, Any]) -> dict[str, Any]:
        live = {
            key: [{**entry, "element": freed(domain, entry["element"], request)} for entry in request[key]]
            for key in ("leaving", "entering")
        }
        config_leaving = [freed(domain, element, request, Half.CONFIG) for element in request["config_leaving"]]
        return {**request, **live, "config_leaving": config_leaving}
