"""Update: change a NIC in place where libvirt can, replace it where it cannot and the caller allows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from virtnetplug import xml
from virtnetplug.errors import NeedsReplace, NicMissing, NotApplied, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.call.waiting import Work
from virtnetplug.hotplug.check.preflight import check_scope, check_update
from virtnetplug.hotplug.check.request import scope_for
from virtnetplug.hotplug.check.reserved import SAME_MAC, freed, unsettled
from virtnetplug.hotplug.engine.operation import (
    ELEMENT,
    FLAG,
    LIST,
    NICS,
    TEXT,
    Direction,
    Operation,
    Shape,
    Site,
    direction_of_exchange,
)
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, plan_steps, record_of, resumed, transaction
from virtnetplug.hotplug.guest import compensation, guest
from virtnetplug.hotplug.guest.compensation import config_net, rewrite, standing
from virtnetplug.hotplug.guest.ending import expect_run, how, may_look
from virtnetplug.hotplug.guest.nic_state import nic_record, plugged
from virtnetplug.hotplug.look.leaving import is_any_of
from virtnetplug.hotplug.look.strangers import end_of
from virtnetplug.hotplug.look.view import BOTH, DomainView, carried, describe, find, look, named, same_mac_as
from virtnetplug.hotplug.plug import replacement
from virtnetplug.hotplug.plug.edit import Changes, Edit, check_applied, edits_of
from virtnetplug.hotplug.plug.introduction import make_way
from virtnetplug.hotplug.plug.last_seen import BESIDE, beside, say_unseen, see_defined
from virtnetplug.hotplug.plug.plugging import Part
from virtnetplug.hotplug.plug.release import GuestRelease
from virtnetplug.hotplug.plug.replacement import Replacement
from virtnetplug.hotplug.plug.undoing import expect_ended, expect_place, is_next, leaves_there, of_rewrite, say_out
from virtnetplug.hotplug.report.inventory import nics_now, nics_of
from virtnetplug.lifecycle import State
from virtnetplug.model.interface import Interface, is_lasting, lasting_name
from virtnetplug.model.operation import (
    Half,
    NicRecord,
    OperationRecord,
    OperationState,
    Outcome,
    Phase,
    Refusal,
    Result,
    Scope,
    Step,
)
from virtnetplug.ports.domain import Domain

if TYPE_CHECKING:
    from virtnetplug.hotplug.guest.assigned import Assigned

NAME = "update"
"""What the journal calls it."""


class Manner:
    """What an update adds to a change in place. An operation that does more (`rebind`) has a subclass."""

    operation = NAME

    def request(self) -> Mapping[str, Any]:
        """More for the journal."""
        return {}

    def parts(self, alias: str) -> list[Part]:
        """The steps after the change, for plans and the journal."""
        return [("confirm", alias, Phase.PLUG, Half.LIVE)]

    def inherited(self) -> Collection[str]:
        """Fields of the live NIC that it only has of its network, and does not take along."""
        return ()

    def confirm(self, tx: Transaction, alias: str, live: Mapping[str, Any], domain: Domain) -> None:
        """Run those steps."""
        tx.note("confirm", alias, lambda: applied(domain, alias, live))

    def undos(self, site: Site, tx: Transaction, alias: str, live: Mapping[str, Any]) -> Undos:
        """The undos of those steps, as far as the undo of the change itself does not do it."""
        return {}

    def change_back(self, domain: Domain, live: Mapping[str, Any]) -> None:
        """Undo the change itself."""
        now = guest.there(domain, xml.interface(live["before"]), Half.LIVE)
        compensation.change(domain, now, live["after"], live["before"])


UPDATE = Manner()


def applied(domain: Domain, alias: str, live: Mapping[str, Any], but: Collection[str] = ()) -> Interface:
    """The NIC after the change. libvirt answers success to some changes that it does not make; what it has now decides."""
    now = guest.net_of(domain, alias, Half.LIVE)
    if now is None:
        raise NotApplied(f"after the change the guest's live definition has no {alias}")
    check_applied(xml.interface(live["after"]), now, [name for name in live["changed"] if name not in but])
    return now


def prepared(
    host: Host,
    domain: Domain,
    selector: str,
    changes: Changes,
    *,
    scope: Scope | None = None,
    replace: bool = False,
    manner: Manner = UPDATE,
) -> Prepared:
    """What making the NIC as `changes` say comes to."""
    view, scope, alias = _look(domain, selector, scope)
    device = _device(host, view, selector, scope)
    edits = edits_of(view, selector, changes, scope, device, manner.inherited())
    if replace and (live := edits.get(Half.LIVE)) is not None and live.by_replacement:
        edits[Half.LIVE] = replacement.named(live)
    refusals = tuple(unsettled(host, view, [find(view, selector, scope.halves)]))
    if edits:
        refusals += _refusals(host, view, edits, alias, scope, device, replace=replace)
    steps = _steps(host, alias, edits, manner) if edits and not _is_lost(refusals) else ()
    warnings = _lost(host, view, edits[Half.LIVE]) if steps and Half.LIVE in edits else ()

    def start(lock: Lock, seconds: float) -> Work:
        record = _record(host, view, alias, edits, scope, device, manner, steps)
        deadline = host.clock.monotonic() + seconds
        site = Site(host=host, domain=domain, run=record.run, seconds=seconds)
        with domain.watch() as watch, transaction(host, record, partial(undos, site, manner=manner)) as tx:
            for text in warnings:
                tx.warn(text)
            release = GuestRelease(host, domain, watch, deadline, run=record.run)
            return (yield from _Update(host, domain, release, record, manner).run(tx))

    return Prepared(
        operation=manner.operation,
        domain=domain.name,
        scope=scope,
        start=start,
        refusals=refusals,
        already=None if edits else nics_of(host, view, [find(view, selector, scope.halves)]),
        steps=steps,
        diff=lambda: {half.value: _diff(edit, alias, device) for half, edit in edits.items()},
        warnings=warnings,
    )


def _look(domain: Domain, selector: str, scope: Scope | None) -> tuple[DomainView, Scope, str]:
    view = look(domain, BOTH)
    scope = scope_for(scope, view.state, domain.name)
    live, config = find(view, selector, scope.halves)
    net = live or config
    assert net is not None
    for half in scope.halves:
        if (live if half is Half.LIVE else config) is None:
            other = "`scope=Scope.CONFIG`" if half is Half.LIVE else "`scope=Scope.LIVE`"
            raise NicMissing(
                f"NIC {describe(net)} of domain {domain.name} is not in its {half} definition; use {other} alone"
            )
    return view, scope, net.alias or str(net.mac)


def _device(host: Host, view: DomainView, selector: str, scope: Scope) -> Assigned | None:
    """The assigned device behind the live NIC, if the update is about that."""
    live, config = find(view, selector, scope.halves)
    if live is None or not live.is_hostdev or Half.LIVE not in scope.halves:
        return None
    from virtnetplug.hotplug.guest.assigned import assigned_to

    return assigned_to(host, view.domain, live, config)


def _lost(host: Host, view: DomainView, edit: Edit) -> tuple[str, ...]:
    """What somebody set by hand of the device that is replaced by another."""
    if not (edit.by_replacement and edit.before.is_hostdev and replacement.actual_of(host, edit.after).is_hostdev):
        return ()
    from virtnetplug.hotplug.guest.assigned import lost_by_hand

    return lost_by_hand(host, view.domain, edit.before, edit.kept)


def _is_lost(refusals: Sequence[Refusal]) -> bool:
    """True if so much is wrong that not even the steps are known."""
    return any(refusal.reason != NeedsReplace.reason for refusal in refusals)


def _diff(edit: Edit, alias: str, device: Assigned | None) -> str:
    """What changes in the element, and of the device."""
    before = {name: getattr(device.now, name) for name in edit.on_device} if device is not None else {}
    told = [f"-{name}: {before[name]}\n+{name}: {value}\n" for name, value in edit.on_device.items()]
    head = f"--- {device.address}\n+++ {device.address}\n" if told and device is not None else ""
    return xml.diff(edit.before.element, edit.after.element, alias) + head + "".join(told)


def _refusals(
    host: Host,
    view: DomainView,
    edits: Mapping[Half, Edit],
    alias: str,
    scope: Scope,
    device: Assigned | None,
    *,
    replace: bool,
) -> tuple[Refusal, ...]:
    found = list(check_scope(view, scope))
    live = edits.get(Half.LIVE)
    if live is not None and live.by_replacement and not replace:
        names = ", ".join(live.by_replacement)
        kept = ", and the same alias" if is_lasting(live.before.alias) else ", and an alias beginning with ua-vnp"
        found.append(
            Refusal(
                reason=NeedsReplace.reason,
                nic=alias,
                message=f"libvirt cannot change {names} of a running guest's NIC in place. `replace=True` detaches the NIC and attaches it again "
                f"with the same MAC and guest PCI address{kept}; the guest sees it leave and come back.",
            )
        )
    if live is not None and live.on_device and device is not None:
        from virtnetplug.hotplug.guest import assigned

        found += assigned.refusals(alias, device, live.after, live.on_device)
    for half, edit in edits.items():
        changed = (*edit.in_place, *edit.by_replacement)
        leaving = edit.before if replace and half is Half.LIVE and edit.by_replacement else None
        found += check_update(host, view, edit.after, changed, Scope(half.value), leaving=leaving)
    return tuple(dict.fromkeys(found))


def _steps(host: Host, alias: str, edits: Mapping[Half, Edit], manner: Manner) -> tuple[Step, ...]:
    parts: list[Part] = []
    live = edits.get(Half.LIVE)
    if live is not None and live.by_replacement:
        parts += replacement.steps_of(live, replacement.actual_of(host, live.after), alias)
    elif live is not None and live.on_device:
        parts += [("change_device", alias, Phase.PLUG, Half.LIVE)]
    elif live is not None:
        parts += [("change", alias, Phase.PLUG, Half.LIVE), *manner.parts(alias)]
    if Half.CONFIG in edits:
        parts += [("redefine", alias, Phase.PLUG, Half.CONFIG)]
    return plan_steps(*parts)


def _record(
    host: Host,
    view: DomainView,
    alias: str,
    edits: Mapping[Half, Edit],
    scope: Scope,
    device: Assigned | None,
    manner: Manner,
    steps: tuple[Step, ...],
) -> OperationRecord:
    live = edits.get(Half.LIVE)
    is_replacement = live is not None and bool(live.by_replacement)
    before = [edit.before for edit in edits.values()]
    request: dict[str, Any] = {
        "nics": [
            named(alias, *before),
            *(named(alias, edit.after) for edit in edits.values() if edit.after.mac != edit.before.mac),
        ],
        SAME_MAC: same_mac_as(view, before),
        "asked": [alias] if is_replacement else [],
        "replace": is_replacement,
        **manner.request(),
    }
    for half, edit in edits.items():
        request[half.value] = {"before": edit.before.element, "after": edit.after.element}
        request[half.value]["changed"] = [*edit.in_place, *edit.by_replacement]
    if live is not None and is_replacement:
        actual = replacement.actual_of(host, live.after)
        request[Half.LIVE.value] |= replacement.request_of(host, view.domain, live, actual)
        if Half.CONFIG not in edits:
            request |= beside(view, [alias])
    elif live is not None and live.on_device and device is not None:
        from virtnetplug.hotplug.guest import assigned

        asked = assigned.request_of(live.before, device, live.on_device, live.kept)
        request[Half.LIVE.value]["device"] = asked
    return record_of(
        host,
        manner.operation,
        view.domain,
        run=view.run,
        scope=scope,
        device_types=[edit.before.type for edit in edits.values()],
        request=request,
        steps=steps,
    )


class _Update:
    """One update on its way, fresh or (a replacement the guest made wait) taken up again."""

    def __init__(
        self,
        host: Host,
        domain: Domain,
        release: GuestRelease,
        record: OperationRecord,
        manner: Manner,
    ) -> None:
        self.host, self.domain, self.release = host, domain, release
        self.manner = manner
        self.request = record.request
        self.alias: str = record.request["nics"][0]["alias"]
        self.live: dict[str, Any] | None = record.request.get(Half.LIVE.value)
        self.config: dict[str, Any] | None = record.request.get(Half.CONFIG.value)

    def run(self, tx: Transaction) -> Work:
        """The guest first, then the definition."""
        replaced = self.live if self.request["replace"] else None
        if replaced is not None:
            exchange = Replacement(self.host, self.domain, self.release, self.alias)
            if not (yield from exchange.run(tx, replaced)):
                return self._pending(tx)
            self.live = replaced = replacement.live_as_seen(tx.record.request, self.alias)
        elif self.live is not None and "device" in self.live:
            self._change_device(tx, self.live["device"])
        elif self.live is not None:
            self._change(tx, self.live)
        if self.config is not None:
            self._redefine(tx, self.config)
        for element in self.request.get(BESIDE, {}).values():
            before = xml.interface(element)
            if (now := config_net(self.domain, before)) is not None:
                self._say_unseen(tx, before, now)
        if replaced is not None:
            expect_run(self.domain, self.release.run, tx.record, self.alias, "there for good", self.release.watch)
        tx.finish(OperationState.DONE, Result.DONE, also=self._keep)
        if replaced is not None:
            make_way(self.host, self.domain, [xml.interface(replaced["after"])], tx)
        return tx.outcome(Result.DONE, nics=self._nics(tx.record))

    def _change(self, tx: Transaction, live: Mapping[str, Any]) -> None:
        tx.tell("state", f"{self.alias}: backend {State.RECONFIGURING}", self.alias)
        before, after = xml.interface(live["before"]), xml.interface(live["after"])

        def change() -> None:
            now = guest.there(self.domain, before, Half.LIVE)
            guest.expect_unchanged(now, before, after)
            compensation.change(self.domain, now, before.element, after.element)

        tx.effect("change", self.alias, change, half=Half.LIVE)
        self.manner.confirm(tx, self.alias, live, self.domain)

    def _change_device(self, tx: Transaction, asked: Mapping[str, Any]) -> None:
        from virtnetplug.hotplug.guest.assigned import change

        tx.effect(
            "change_device",
            self.alias,
            lambda: change(
                self.host,
                self.domain,
                self.alias,
                asked,
                operation_id=tx.record.id,
                run=self.release.run,
            ),
            half=Half.LIVE,
        )

    def _redefine(self, tx: Transaction, config: Mapping[str, Any]) -> None:
        before, after = xml.interface(config["before"]), xml.interface(config["after"])
        takes_out = before.mac != after.mac
        is_out = takes_out and tx.was_begun("redefine", self.alias)  # by an earlier call, as far as anybody can tell
        if is_out or standing(self.domain, after, before) is not None:
            expect_place(self.domain, tx, after, before)

        def redefine() -> None:
            now = standing(self.domain, after, before)
            if now is None and not is_out:
                self._stays_out(tx)
                return
            guest.expect_unchanged(now, before, after, *self._seen(), where=" in the definition")
            if takes_out and now is not None and now.mac == before.mac:
                see_defined(tx, self.alias, before.element, now)
            known = replacement.config_as_defined(tx.record.request, self.alias)
            rewrite(self.domain, xml.interface(known["before"]), xml.interface(known["after"]))
            if self.request["replace"]:
                self._say_unseen(tx, before, now or xml.interface(known["before"]))

        tx.effect("redefine", self.alias, redefine, half=Half.CONFIG)

    def _seen(self) -> Sequence[Interface]:
        """The NIC that came: somebody may have connected the one before it to something else in both definitions."""
        return [xml.interface(self.live["after"])] if self.live is not None and self.request["replace"] else []

    def _stays_out(self, tx: Transaction) -> None:
        """Say that somebody has taken the NIC out of the definition. A replacement may have waited long; any other update had only just seen it there."""
        if not self.request["replace"]:
            raise NicMissing(f"the definition of {tx.record.domain_name} has no {self.alias} any more")
        say_out(tx, self.alias)

    def _say_unseen(self, tx: Transaction, before: Interface, now: Interface) -> None:
        """See `say_unseen`."""
        assert self.live is not None
        say_unseen(tx, self.alias, before, now, guest.there(self.domain, xml.interface(self.live["after"]), Half.LIVE))

    def _pending(self, tx: Transaction) -> Outcome:
        kept = (
            "The journal keeps the replacement; the new NIC goes in when the guest lets go of the old one: "
            f"{call('recover', self.domain.name, wait=60)} waits for that."
        )
        reason, message = self.release.held(tx, self.alias, kept)
        tx.finish(OperationState.PENDING, Result.PENDING, reason=reason, error=message)
        return tx.outcome(Result.PENDING, reason=reason, message=message, nics=self._nics(tx.record))

    def _keep(self) -> None:
        hypervisor, uuid = self.host.hypervisor.key, self.domain.uuid
        known = next((nic for nic in self.host.journal.nics(hypervisor, uuid) if nic.alias == self.alias), None)
        now = guest.net_of(self.domain, self.alias, Half.LIVE) if known is not None and self.live is not None else None
        if known is not None and now is not None:
            network = self._network(known) if now.is_hostdev else None
            record = nic_record(self.host, self.domain, now, network, known.frontend, known.backend)
            self.host.journal.put_nic(dataclasses.replace(record, since=known.since))
        elif known is None and self.live is not None and self.request["replace"]:
            self._keep_new(xml.interface(self.live["after"]))

    def _keep_new(self, after: Interface) -> None:
        """A NIC that came under an alias of ours is one that virtnetplug plugged; the NIC that it replaced was not."""
        came = guest.there(self.domain, after, Half.LIVE) if after.alias not in (None, self.alias) else None
        if came is not None:
            record = nic_record(self.host, self.domain, came, after.source_network, *plugged())
            self.host.journal.put_nic(record)

    def _network(self, known: NicRecord) -> str:
        """The pool of an assigned device, which its live element does not name."""
        assert self.live is not None
        after = xml.interface(self.live["after"])
        return (after.source_network or "") if self.request["replace"] else known.network

    def _nics(self, record: OperationRecord) -> Sequence[Any]:
        """What became of it."""
        names = set(record.names_of(self.alias))
        for half in (self.live, self.config):
            after = xml.interface(half["after"]) if half is not None else None
            if after is not None:
                names.add(lasting_name(after.alias, after.mac, after.address))
        return nics_now(self.host, self.domain, lambda pair: is_any_of(pair, names))


def resume(host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Work:
    """Take up a replacement that waits for its guest and was taken over, and go forward with it."""
    deadline = host.clock.monotonic() + seconds
    site = Site.of(host, domain, record, seconds)
    with domain.watch() as watch, resumed(host, record, partial(undos, site), goes_on=True) as tx:
        release = GuestRelease(host, domain, watch, deadline, run=record.run, asked=record.request["asked"])
        return (yield from _Update(host, domain, release, record, UPDATE).run(tx))  # it changes nothing in place


def undos(site: Site, tx: Transaction, manner: Manner = UPDATE) -> Undos:
    """What takes the steps of an update back."""
    request = tx.record.request
    alias = request["nics"][0]["alias"]
    live = request.get(Half.LIVE.value)
    config = replacement.config_as_defined(request, alias) if Half.CONFIG.value in request else None
    found: dict[tuple[str, str], Any] = {}
    if live is not None and request["replace"]:
        found |= replacement.undos(site, tx, alias, replacement.live_as_seen(request, alias), config)
    elif live is not None and (device := live.get("device")) is not None:
        from virtnetplug.hotplug.guest.assigned import change_back

        found["change_device", alias] = partial(change_back, site.host, site.domain, alias, device)
    elif live is not None:
        found |= manner.undos(site, tx, alias, live)
        found["change", alias] = partial(_change_back, site, tx, alias, live, config, manner)
    if config is not None:
        before, after = xml.interface(config["before"]), xml.interface(config["after"])
        found |= of_rewrite(site, tx, "redefine", alias, before, after)
    return found


def _change_back(
    site: Site,
    tx: Transaction,
    alias: str,
    live: Mapping[str, Any],
    config: Mapping[str, Any] | None,
    manner: Manner,
) -> None:
    goes_on = guest.goes_on(site.domain, site.run)
    if not goes_on and (tx.is_over or not may_look(site.domain, how(site.domain, site.run))):
        expect_ended(site, tx, alias)
        return
    of_run = config if config is not None and is_next(site, tx) else live
    before, after = xml.interface(of_run["before"]), xml.interface(of_run["after"])
    if goes_on:
        now = guest.now_of(site.domain, before, run=site.run)
    else:
        now = carried(guest.nets_of(site.domain), before)
    if leaves_there(site, tx, alias, now, before, after, end=end_of(before)):
        return
    if not goes_on and not (now is not None and _is_as_changed(now, after, live["changed"])):
        tx.warn(
            f"{tx.record.domain_name} runs in another process than when the {tx.record.operation} began, and {alias} there does not have "
            f"what the {tx.record.operation} set. The guest is left as it is"
        )
        return
    if now is None:
        tx.warn(f"somebody has taken {alias} out of the guest of {tx.record.domain_name} meanwhile: it stays out")
        return
    element = xml.edit(before.element, {"alias": now.alias, "address": now.address})
    manner.change_back(site.domain, {**live, "before": element})


def _is_as_changed(now: Interface, after: Interface, changed: Sequence[str]) -> bool:
    """Whether the NIC has all of the change. What a new network adds of its own is not part of it."""
    is_moved = "source_network" in changed and after.source_network is not None
    fields = [field for field in changed if not is_moved or getattr(after, field) is not None]
    try:
        check_applied(after, now, fields)
    except NotApplied:
        return False
    return True


class Update(Operation):
    """Make the NIC as `changes` say. A replacement that waits for its guest goes on from there; any other that was left open is undone."""

    is_governed = True

    def __init__(self, nic: str, changes: Changes, *, scope: Scope | None = None, replace: bool = False) -> None:
        self.nic, self.changes, self.scope, self.replace = nic, changes, scope, replace

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        """See `Operation.prepare`."""
        return prepared(host, domain, self.nic, self.changes, scope=self.scope, replace=self.replace)

    needs_its_run = True

    request: ClassVar[Shape] = {"nics": NICS, "asked": LIST, "replace": FLAG}
    entries: ClassVar[Mapping[str, Shape]] = {
        "nics": {"alias": TEXT},
        **{key: {"before": ELEMENT, "after": ELEMENT, "changed": LIST} for key in ("live", "config")},
    }

    @classmethod
    def heading(cls, record: OperationRecord) -> Direction:
        """Forward as long as a replacement waits for the NIC that leaves."""
        return direction_of_exchange(record) if record.request["replace"] else Direction.BACK

    @classmethod
    def is_told_by_nic(cls, record: OperationRecord) -> bool:
        """See `Operation.is_told_by_nic`. A NIC that was replaced looks as it did before."""
        live = record.request.get(Half.LIVE.value)
        return live is not None and not record.request["replace"] and "device" not in live

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        """See `undos`."""
        return undos(site, tx)

    @classmethod
    def anywhere(cls, domain: Domain, request: Mapping[str, Any]) -> dict[str, Any]:
        """See `Operation.anywhere`. What it changes in place stays where it is."""
        if not request["replace"]:
            return dict(request)
        live = request[Half.LIVE.value]
        return {
            **request,
            Half.LIVE.value: live | {key: freed(domain, live[key], request) for key in ("before", "after")},
        }

    go_on = staticmethod(resume)


OPERATION = Update
