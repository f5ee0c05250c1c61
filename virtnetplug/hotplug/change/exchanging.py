"""An exchange on its way: all of it or nothing.

If anything fails, the NICs that left are restored, with the same device at the same guest address where that is possible.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from virtnetplug import xml
from virtnetplug.backends import Order, backend_for
from virtnetplug.errors import NotApplied, VirtnetplugError, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.waiting import Work
from virtnetplug.hotplug.change.exchange import Exchange, predecessor, settings_of, steps_of
from virtnetplug.hotplug.check.request import edited
from virtnetplug.hotplug.check.reserved import SAME_MAC, expect_free, freed
from virtnetplug.hotplug.engine.operation import (
    ELEMENT,
    ELEMENTS,
    LIST,
    OBJECT,
    OBJECT_OR_NOTHING,
    REMEMBERED,
    TEXT,
    Direction,
    Operation,
    Shape,
    Site,
    direction_of_exchange,
)
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, record_of, resumed, transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.compensation import config_net, define, is_defined, remove_from_config, rewrite, standing
from virtnetplug.hotplug.guest.ending import expect_run
from virtnetplug.hotplug.guest.nic_state import keep_or_drop, nic_record, plugged
from virtnetplug.hotplug.guest.travel import say_ours
from virtnetplug.hotplug.look.leaving import is_any_of
from virtnetplug.hotplug.look.view import DomainView, join, name_in_config, named, same_mac_as
from virtnetplug.hotplug.plug.config_order import ORDER, order_of
from virtnetplug.hotplug.plug.edit import check_applied
from virtnetplug.hotplug.plug.introduction import make_way
from virtnetplug.hotplug.plug.last_seen import (
    BESIDE,
    as_defined,
    as_seen,
    beside,
    expect_same_source,
    keep_end,
    say_unseen,
    see_defined,
)
from virtnetplug.hotplug.plug.plugging import plug
from virtnetplug.hotplug.plug.reinstatement import held_of
from virtnetplug.hotplug.plug.release import GuestRelease
from virtnetplug.hotplug.plug.remembering import Remembered, keep, name_of, remember, remember_again
from virtnetplug.hotplug.plug.replacement import actual_of
from virtnetplug.hotplug.plug.undoing import (
    Leaving,
    expect_place,
    giving_way,
    of_ask,
    of_define,
    of_plug,
    of_remembering,
    of_rewrite,
    of_undefine,
    say_out,
)
from virtnetplug.hotplug.report.inventory import nics_now
from virtnetplug.lifecycle import GONE
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.holding import Setting
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Half, OperationRecord, OperationState, Outcome, Result, StepState
from virtnetplug.model.pci import PciAddress
from virtnetplug.policy.identity import retake
from virtnetplug.ports.domain import Domain

_TAKEN_OVER = ("mac", "address")
"""What the guest knows a NIC by, and must find again."""


def run(host: Host, view: DomainView, exchange: Exchange, seconds: float) -> Work:
    """Run the exchange. The guest gets `seconds` to let go."""
    domain = view.domain
    record = record_of(
        host,
        exchange.operation,
        domain,
        run=view.run,
        scope=exchange.scope,
        device_types=[net.type for net in (*exchange.leaving, *exchange.entering, *exchange.config_entering)],
        request=_request(host, view, exchange),
        steps=steps_of(host, exchange),
    )
    site = Site(host=host, domain=domain, run=record.run, seconds=seconds)
    with domain.watch() as watch, transaction(host, record, partial(undos, site)) as tx:
        for text in exchange.warnings:
            tx.warn(text)
        release = GuestRelease(host, domain, watch, host.clock.monotonic() + seconds, run=record.run)
        return (yield from _Running(host, domain, release, record).run(tx))


def resume(host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Work:
    """Take up one that waits for its guest and was taken over, and go forward with it."""
    deadline = host.clock.monotonic() + seconds
    asked = [step.nic for step in record.steps if step.name == "ask" and step.state is StepState.DONE]
    site = Site.of(host, domain, record, seconds)
    with domain.watch() as watch, resumed(host, record, partial(undos, site), goes_on=True) as tx:
        release = GuestRelease(host, domain, watch, deadline, run=record.run, asked=asked)
        return (yield from _Running(host, domain, release, record).run(tx))


def undos(site: Site, tx: Transaction) -> Undos:
    """The undos of an exchange: the NICs that came are detached, the NICs that left are restored."""
    request = tx.record.request
    found: dict[tuple[str, str], Any] = dict(of_remembering(site, tx, request["remembered"]))
    came: list[tuple[str, Interface]] = []
    config_leaving = [xml.interface(_as_defined(request, element)) for element in request["config_leaving"]]
    config_entering = [
        _as_changed(site.host, xml.interface(element), _redefined(request), _identities(request))[0]
        for element in request["config_entering"]
    ]
    left: list[Leaving] = []
    for entry in request["leaving"]:
        _, config = join([xml.interface(entry["element"])], config_leaving)[0]
        left.append(Leaving(entry["alias"], entry["element"], None if config is None else config.element))
    for entry in request["entering"]:
        backend = backend_for(ActualDevice(type=entry["type"]))
        net, _ = _as_changed(site.host, xml.interface(entry["element"]), _seen(request), _identities(request))
        came.append((backend.attach_step, net))
        rewritten = _rewritten(tx, join([net], config_entering)[0][1])
        found |= of_plug(site, tx, backend, net, left=left, rewritten=rewritten)
    for entry, leaving in zip(request["leaving"], left, strict=True):
        found |= of_ask(site, tx, leaving, old=entry["old"], followers=came)
    defined_as = [(name_in_config(xml.interface(element)), element) for element in request["config_leaving"]]
    for name, element in defined_as:
        found |= of_undefine(site, tx, name, element)
    for net in config_entering:
        before, name = _replaced(tx, net), name_in_config(net)
        if before is None:
            found |= of_define(site, tx, name, net)
        else:
            gave_way = None if name_in_config(before) == name else giving_way(net, defined_as)
            found |= of_rewrite(site, tx, "define", name, before, net, leaving=gave_way)
    return found


def _as_defined(request: Mapping[str, Any], element: str) -> str:
    return as_defined(request, name_in_config(xml.interface(element)), element)


def _replaced(tx: Transaction, net: Interface) -> Interface | None:
    """The NIC whose place in the definition `net` takes; None in records that take that out of it first, in a step of its own."""
    before = predecessor(net, [xml.interface(element) for element in tx.record.request["config_leaving"]])
    if before is None or any((step.name, step.nic) == ("undefine", name_in_config(before)) for step in tx.steps):
        return None
    return before


_Change = tuple[str, Interface, Interface]
"""What the steps call a NIC that somebody changed, and its element at the beginning of the operation and when it left."""


def _bare(element: str) -> Interface:
    return xml.interface(xml.strip_live(element))


def _changed(name: str, element: str | None, changed: Iterable[_Change]) -> str | None:
    """The element that is remembered of the NIC `name`, with what was changed of that NIC."""
    for _, before, now in changed:
        if element is not None and name_of(before) == name:
            element = xml.merged(element, before.element, now.element)
    return element


def _as_changed(
    host: Host, net: Interface, changed: Iterable[_Change], identities: Collection[str]
) -> tuple[Interface, list[tuple[str, str]]]:
    """The NIC that comes, with what somebody has changed meanwhile of it, if it was there before, and of the NIC whose identity it takes.

    Beside it the fields that it cannot have, each with why.
    """
    left_out: list[tuple[str, str]] = []
    for name, before, now in changed:
        if name == name_in_config(net):
            net = xml.interface(xml.merged(net.element, before.element, now.element))
        elif name_of(before) in identities:
            taken = retake(before, now, net, is_hostdev=_is_hostdev(host, net))
            net = edited(net, taken.changes)
            left_out += taken.left_out
    return net, left_out


def _is_hostdev(host: Host, net: Interface) -> bool:
    """Whether the NIC is an assigned device. An undo must not fail where the network that would tell is gone."""
    try:
        return actual_of(host, net).is_hostdev
    except VirtnetplugError:
        return net.is_hostdev


def _identities(request: Mapping[str, Any]) -> Mapping[str, Remembered]:
    """What is remembered of the NICs whose identity another NIC takes, by their names."""
    known = map(Remembered.from_request, request["remembered"])
    return {each.name: each for each in known if each.after is not None and each.after.is_out}


def _seen(request: Mapping[str, Any]) -> list[_Change]:
    """What was changed of the NICs that have left the guest."""
    leaving = [(entry["alias"], entry["element"]) for entry in request["leaving"]]
    pairs = [(name, before, as_seen(request, name, before)) for name, before in leaving]
    return [(name, _bare(before), _bare(now)) for name, before, now in pairs if now != before]


def _redefined(request: Mapping[str, Any]) -> list[_Change]:
    """What was changed of the NICs that have left the definition."""
    pairs = [(element, _as_defined(request, element)) for element in request["config_leaving"]]
    nets = [(xml.interface(before), xml.interface(now)) for before, now in pairs if now != before]
    return [(name_in_config(before), before, now) for before, now in nets]


def _rewritten(tx: Transaction, net: Interface | None) -> tuple[Interface, Interface] | None:
    """What is rewritten in the definition to `net`, and `net`."""
    before = None if net is None else _replaced(tx, net)
    return None if net is None or before is None else (before, net)


class _Running:
    """One on its way, fresh or taken up again."""

    def __init__(
        self,
        host: Host,
        domain: Domain,
        release: GuestRelease,
        record: OperationRecord,
    ) -> None:
        self.host, self.domain, self.release = host, domain, release
        self.request = record.request

    def run(self, tx: Transaction) -> Work:
        """What is remembered, the guest, then the definition."""
        for entry in self.request["leaving"][:1] if tx.is_resumed else ():
            self.release.expect_run(tx, entry["alias"], entry["element"], "exchanged")
        remember(self.domain, tx, self.request["remembered"])
        for number, entry in enumerate(self.request["leaving"]):
            if number and not tx.is_done("ask", entry["alias"]):
                self._expect_places(tx, self.request["leaving"][number:])
            if not (yield from self.release.out(tx, entry["alias"], entry["element"], "exchanged")):
                return self._pending(tx, entry["alias"])
            expect_same_source(tx, entry["alias"], entry["element"])
            keep(self.domain, self.request["remembered"])
        self._remember_as_changed(tx)
        came = {entry["alias"]: self._enter(tx, entry) for entry in self.request["entering"]}
        taken_out = self._taken_out(tx)
        planned = {step.nic for step in tx.steps if step.name == "undefine"}
        for element in self.request["config_leaving"]:
            if name_in_config(xml.interface(element)) in planned:
                self._undefine(tx, element)
        for element in self.request["config_entering"]:
            self._define(tx, element, taken_out)
        self._remember_as_changed(tx)
        self._say_unseen(tx, came)
        if came:  # an undo leaves to another run what its definition gave it
            expect_run(self.domain, self.release.run, tx.record, ", ".join(came), "there for good", self.release.watch)
            # one that serves in the place of another has that one's MAC
            say_ours(self.domain, list(came.values()), tx.record.id)
        tx.finish(OperationState.DONE, Result.DONE, also=lambda: self._keep(came))
        make_way(self.host, self.domain, came.values(), tx)
        return tx.outcome(Result.DONE, nics=self._nics(tx.record))

    def _expect_places(self, tx: Transaction, staying: Sequence[Mapping[str, Any]]) -> None:
        """Raise `LeftPending` where somebody has the place of one that is to come: then the guest keeps those that were not asked for (`staying`)."""
        nets = [xml.interface(entry["element"]) for entry in staying]
        beside = [now for net in nets if (now := guest.now_of(self.domain, net, run=self.release.run)) is not None]
        for entry in self.request["entering"]:
            expect_free(self.domain, xml.interface(entry["element"]), tx.record, beside=beside)

    def _enter(self, tx: Transaction, entry: Mapping[str, Any]) -> Interface:
        """Into the guest, and seen there with what the guest knows it by."""
        net = self._as_changed(tx, xml.interface(entry["element"]), _seen(tx.record.request))
        actual = actual_of(self.host, net)
        order = Order(
            domain=self.domain,
            run=self.release.run,
            net=net,
            actual=actual,
            operation_id=tx.record.id,
            settings=self._settings(tx, entry, net, actual),
            again=_address(entry["again"]),
            only=_address(entry.get("only")),
            avoid=_address(entry.get("avoid")),
        )
        plug(self.host, tx, backend_for(actual), order, has_waited=True)
        now = tx.note("confirm", entry["alias"], lambda: self._confirm(net))
        keep_end(tx, now)
        return now

    def _as_changed(self, tx: Transaction, net: Interface, changed: Iterable[_Change]) -> Interface:
        """See `_as_changed`; what the NIC cannot have is warned of."""
        net, left_out = _as_changed(self.host, net, changed, _identities(self.request))
        for field, why in left_out:
            tx.warn(f"{name_in_config(net)} cannot have its {field.replace('_', ' ')}: {why}")
        return net

    def _settings(
        self, tx: Transaction, entry: Mapping[str, Any], net: Interface, actual: ActualDevice
    ) -> Mapping[str, Setting]:
        """What is to be set of the NIC's device. An operation that was to set nothing has no step for it."""
        planned: Mapping[str, Setting] = entry["settings"]
        settings = {**planned, **settings_of(net, actual)}
        if planned or not settings:
            return settings
        tx.warn(f"{', '.join(settings)} of {entry['alias']} was changed meanwhile, and is not set of its device")
        return planned

    def _remember_as_changed(self, tx: Transaction) -> None:
        """Have the metadata remember what somebody has changed meanwhile of a NIC that is handed over: it comes back so."""
        for name, known in _identities(self.request).items():
            assert known.after is not None
            live = _changed(name, known.after.live, _seen(tx.record.request))
            config = _changed(name, known.after.config, _redefined(tx.record.request))
            identity = dataclasses.replace(known.after, live=live, config=config)
            if identity != known.after:
                remember_again(self.domain, known, identity)

    def _say_unseen(self, tx: Transaction, came: Mapping[str, Interface]) -> None:
        """See `say_unseen`, of the NICs in whose place others came."""
        beside = [(name, xml.interface(element)) for name, element in self.request.get(BESIDE, {}).items()]
        changed = _redefined(tx.record.request)
        changed += [(name, net, now) for name, net in beside if (now := config_net(self.domain, net)) is not None]
        for name, before, now in changed:
            for live in came.values():
                if name == live.alias or before.mac == live.mac:
                    say_unseen(tx, name, before, now, live)

    def _confirm(self, wanted: Interface) -> Interface:
        now = guest.net_of(self.domain, wanted.alias or "", Half.LIVE)
        if now is None:
            raise NotApplied(
                f"libvirt reported that {wanted.alias} was attached, but the guest's live definition does not have it"
            )
        check_applied(wanted, now, [name for name in _TAKEN_OVER if getattr(wanted, name) is not None])
        return now

    def _undefine(self, tx: Transaction, element: str) -> None:
        net = xml.interface(element)

        def out() -> None:
            now = config_net(self.domain, net)
            guest.expect_unchanged(now, net, where=" in the definition")
            if now is not None and now.mac == net.mac:
                see_defined(tx, name_in_config(net), element, now)
            remove_from_config(self.domain, net)

        tx.effect("undefine", name_in_config(net), out, half=Half.CONFIG)

    def _taken_out(self, tx: Transaction) -> frozenset[str]:
        """The NICs that were to leave the definition, by their names there, of which it has none any more: somebody has taken them out.

        A call that ended before may have begun to do so itself.
        """
        leaving = {name_in_config(net): net for net in map(xml.interface, self.request["config_leaving"])}
        gone = [name for name, net in leaving.items() if standing(self.domain, net) is None]
        return frozenset(name for name in gone if not tx.was_begun("undefine", name))

    def _define(self, tx: Transaction, element: str, taken_out: Collection[str]) -> None:
        """A NIC that the definition had, and that somebody has `taken_out` of it, stays out."""
        net = xml.interface(element)
        name, before = name_in_config(net), _replaced(tx, net)
        stays_out = name in taken_out
        if not stays_out:
            expect_place(self.domain, tx, net, before)

        def write() -> None:
            if stays_out:
                say_out(tx, name)
                return
            if before is None:
                define(self.domain, self._as_changed(tx, net, _redefined(tx.record.request)).element)
                return
            now = standing(self.domain, net, before)
            guest.expect_unchanged(now, before, net, where=" in the definition")
            if (is_one := name_in_config(before) == name) or now is None:
                rewrite(self.domain, before, net, is_one=is_one)
                return
            if name_in_config(now) == name_in_config(before):
                see_defined(tx, name_in_config(before), before.element, now)
            known = self._as_changed(tx, net, _redefined(tx.record.request))
            rewrite(self.domain, before, known, is_one=False)

        tx.effect("define", name, write, half=Half.CONFIG)

    def _pending(self, tx: Transaction, alias: str) -> Outcome:
        kept = (
            f"The journal keeps the {tx.record.operation}, which goes on when the guest lets go: "
            f"{call('recover', self.domain.name, wait=60)} waits for that."
        )
        reason, message = self.release.held(tx, alias, kept)
        tx.finish(OperationState.PENDING, Result.PENDING, reason=reason, error=message)
        return tx.outcome(Result.PENDING, reason=reason, message=message, nics=self._nics(tx.record))

    def _keep(self, came: Mapping[str, Interface]) -> None:
        journal = self.host.journal
        rows = {row.alias: row for row in journal.nics(self.host.hypervisor.key, self.domain.uuid)}
        for entry in self.request["leaving"]:
            keep_or_drop(self.host, self.domain, xml.interface(entry["element"]), rows.get(entry["alias"]))
        for net in map(xml.interface, self.request["config_leaving"]):
            if self._is_defined_alone(net):
                keep_or_drop(self.host, self.domain, net, rows.get(net.alias or ""))
        for net in map(xml.interface, self.request["config_entering"]):
            if self._is_defined_alone(net) and is_defined(self.domain, net):
                journal.put_nic(nic_record(self.host, self.domain, net, net.source_network, *GONE))
        for entry in self.request["entering"]:
            network = xml.interface(entry["element"]).source_network
            journal.put_nic(nic_record(self.host, self.domain, came[entry["alias"]], network, *plugged()))

    def _is_defined_alone(self, net: Interface) -> bool:
        """True if the NIC's alias lasts, and the guest has no NIC of that alias. Otherwise the row would be that of the guest's NIC."""
        return is_lasting(net.alias) and guest.net_of(self.domain, net.alias or "", Half.LIVE) is None

    def _nics(self, record: OperationRecord) -> Sequence[Any]:
        """What became of those it was about."""
        return nics_now(self.host, self.domain, lambda pair: is_any_of(pair, record.names))


def _request(host: Host, view: DomainView, exchange: Exchange) -> dict[str, Any]:
    """What the journal keeps of it."""
    domain = view.domain
    leaving = [
        {**named(net.alias, net), "element": net.element, "old": held_of(host, domain, net)} for net in exchange.leaving
    ]
    entering = [_entry(host, net, exchange) for net in exchange.entering]
    in_config = [*exchange.config_leaving, *exchange.config_entering]
    return {
        "nics": [
            *({key: entry[key] for key in ("alias", "mac", "places", "element")} for entry in (*leaving, *entering)),
            *(named(name_in_config(net), net) for net in in_config),
        ],
        "asked": [entry["alias"] for entry in leaving],
        "leaving": leaving,
        "entering": entering,
        "config_leaving": [net.element for net in exchange.config_leaving],
        "config_entering": [net.element for net in exchange.config_entering],
        "remembered": [each.request for each in exchange.remembered],
        SAME_MAC: same_mac_as(view, [*exchange.leaving, *exchange.config_leaving]),
        **({} if in_config else beside(view, [entry["alias"] for entry in leaving])),
        **({ORDER: order_of(view)} if exchange.config_leaving else {}),
    }


def _entry(host: Host, net: Interface, exchange: Exchange) -> dict[str, Any]:
    actual = actual_of(host, net)
    wishes = {"again": exchange.again, "only": exchange.only, "avoid": exchange.avoid}
    return {
        **named(net.alias, net),
        "element": net.element,
        "type": actual.type,
        "settings": dict(settings_of(net, actual)),
        **{name: str(wish) if wish is not None and actual.is_hostdev else "" for name, wish in wishes.items()},
    }


def _address(text: str | None) -> PciAddress | None:
    return PciAddress.parse(text) if text else None


class Exchanging(Operation):
    """A hand-over, a hand-back or a change of VF: one that waits for its guest goes on from there, any other is undone."""

    needs_its_run = True

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
    def heading(cls, record: OperationRecord) -> Direction:
        """Forward as long as it waits for those that leave."""
        return direction_of_exchange(record)

    undos = staticmethod(undos)

    @classmethod
    def anywhere(cls, domain: Domain, request: Mapping[str, Any]) -> dict[str, Any]:
        """See `Operation.anywhere`."""
        live = {
            key: [{**entry, "element": freed(domain, entry["element"], request)} for entry in request[key]]
            for key in ("leaving", "entering")
        }
        config_leaving = [freed(domain, element, request, Half.CONFIG) for element in request["config_leaving"]]
        return {**request, **live, "config_leaving": config_leaving}

    go_on = staticmethod(resume)
