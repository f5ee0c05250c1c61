"""Update: change a NIC in place where libvirt can, replace it where it cannot and the caller allows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from virtnetplug import xml
from virtnetplug.errors import ConnectionLost, DomainMissing, NeedsReplace, NicMissing, NicPending, NotApplied
from virtnetplug.hotplug import guest
from virtnetplug.hotplug.attach import nic_record
from virtnetplug.hotplug.compensation import put_in, rewrite, set_back, take_out
from virtnetplug.hotplug.edit import Changes, Edit, check_applied, edits_of
from virtnetplug.hotplug.guest import Answer
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.inventory import nics_of, pending_nics
from virtnetplug.hotplug.lock import DomainLock
from virtnetplug.hotplug.preflight import check_scope, check_update
from virtnetplug.hotplug.release import GuestRelease, unlocked
from virtnetplug.hotplug.request import refuse, scope_for
from virtnetplug.hotplug.transaction import Transaction, plan_steps, record_of, transaction
from virtnetplug.hotplug.view import DomainView, describe, find, look
from virtnetplug.lifecycle import State
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import (
    Half,
    OperationRecord,
    OperationState,
    Outcome,
    Phase,
    Plan,
    Refusal,
    Result,
    Scope,
    Step,
)
from virtnetplug.ports.domain import Domain

BOTH = (Half.LIVE, Half.CONFIG)


def update(
    host: Host,
    domain: Domain,
    selector: str,
    changes: Changes,
    lock: DomainLock,
    *,
    scope: Scope | None = None,
    replace: bool = False,
    seconds: float = 30.0,
) -> Outcome:
    """Make the NIC as `changes` say; `lock` is held, and let go while a replaced NIC's guest is waited for (`seconds`)."""
    view, scope, alias = _look(domain, selector, scope)
    edits = edits_of(view, selector, changes, scope)
    if not edits:
        nics = nics_of(host, view, [find(view, selector)])
        return Outcome(
            operation="update", domain=domain.name, result=Result.ALREADY, reason="already", nics=tuple(nics)
        )
    refuse(_refusals(host, view, edits, alias, scope, replace=replace))
    record = _record(host, view, alias, edits, scope)
    with domain.watch() as watch, transaction(host, record) as tx:
        release = GuestRelease(host, domain, watch, host.clock.monotonic() + seconds, domain_id=view.state.id)
        return _Update(host, domain, lock, release, record, seconds).run(tx)


def plan_update(
    host: Host, domain: Domain, selector: str, changes: Changes, *, scope: Scope | None = None, replace: bool = False
) -> Plan:
    """What `update` would do; nothing is touched."""
    view, scope, alias = _look(domain, selector, scope)
    edits = edits_of(view, selector, changes, scope)
    refusals = _refusals(host, view, edits, alias, scope, replace=replace) if edits else ()
    return Plan(
        operation="update",
        domain=domain.name,
        scope=scope,
        fits=not refusals,
        refusals=refusals,
        steps=_steps(alias, edits),
        diff={half.value: xml.diff(edit.before.element, edit.after.element, alias) for half, edit in edits.items()},
        warnings=() if edits else ("it is so already",),
    )


def _look(domain: Domain, selector: str, scope: Scope | None) -> tuple[DomainView, Scope, str]:
    view = look(domain, BOTH)
    scope = scope_for(scope, view.state, domain.name)
    live, config = find(view, selector)
    net = live or config
    assert net is not None
    for half in scope.halves:
        if (live if half is Half.LIVE else config) is None:
            other = "--config" if half is Half.LIVE else "--live"
            raise NicMissing(
                f"NIC {describe(net)} of domain {domain.name} is not in its {half} definition; use {other} alone"
            )
    return view, scope, net.alias or str(net.mac)


def _refusals(
    host: Host, view: DomainView, edits: Mapping[Half, Edit], alias: str, scope: Scope, *, replace: bool
) -> tuple[Refusal, ...]:
    found = list(check_scope(view, scope))
    if (operation := pending_nics(host, view.domain.uuid).get(alias)) is not None:
        found.append(
            Refusal(
                reason=NicPending.reason,
                nic=alias,
                message=f"{alias} is waiting for its guest to let go (operation {operation}); 'virtnetplug recover' finishes that first.",
            )
        )
    live = edits.get(Half.LIVE)
    if live is not None and live.by_replacement and not replace:
        names = ", ".join(live.by_replacement)
        found.append(
            Refusal(
                reason=NeedsReplace.reason,
                nic=alias,
                message=f"libvirt cannot change {names} of a running guest's NIC in place. With --replace the NIC is taken out and put in again "
                f"with the same MAC, alias and guest PCI address; the guest sees it leave and come back.",
            )
        )
    for half, edit in edits.items():
        changed = (*edit.in_place, *edit.by_replacement)
        found += check_update(host, view, edit.after, changed, Scope(half.value))
    return tuple(dict.fromkeys(found))


def _steps(alias: str, edits: Mapping[Half, Edit]) -> tuple[Step, ...]:
    parts: list[tuple[str, str, Phase, Half | None]] = []
    live = edits.get(Half.LIVE)
    if live is not None and live.by_replacement:
        parts += [
            ("ask", alias, Phase.UNPLUG, Half.LIVE),
            ("guest_release", alias, Phase.GUEST, Half.LIVE),
            ("host_net_add", alias, Phase.PLUG, Half.LIVE),
            ("confirm", alias, Phase.PLUG, Half.LIVE),
        ]
    elif live is not None:
        parts += [("change", alias, Phase.PLUG, Half.LIVE), ("confirm", alias, Phase.PLUG, Half.LIVE)]
    if Half.CONFIG in edits:
        parts += [("redefine", alias, Phase.PLUG, Half.CONFIG)]
    return plan_steps(*parts)


def _record(host: Host, view: DomainView, alias: str, edits: Mapping[Half, Edit], scope: Scope) -> OperationRecord:
    live = edits.get(Half.LIVE)
    is_replacement = live is not None and bool(live.by_replacement)
    request: dict[str, Any] = {
        "nics": [{"alias": alias}],
        "asked": [alias] if is_replacement else [],
        "replace": is_replacement,
    }
    for half, edit in edits.items():
        request[half.value] = {"before": edit.before.element, "after": edit.after.element}
        request[half.value]["changed"] = [*edit.in_place, *edit.by_replacement]
    return record_of(
        host,
        "update",
        view.domain,
        domain_id=view.state.id,
        scope=scope,
        device_types=[edit.before.type for edit in edits.values()],
        request=request,
        steps=_steps(alias, edits),
    )


class _Update:
    """One update on its way, fresh or (a replacement the guest made wait) taken up again."""

    def __init__(
        self,
        host: Host,
        domain: Domain,
        lock: DomainLock,
        release: GuestRelease,
        record: OperationRecord,
        seconds: float,
    ) -> None:
        self.host, self.domain, self.lock, self.release, self.seconds = host, domain, lock, release, seconds
        self.request = record.request
        self.alias: str = record.request["nics"][0]["alias"]
        self.live: dict[str, Any] | None = record.request.get(Half.LIVE.value)
        self.config: dict[str, Any] | None = record.request.get(Half.CONFIG.value)

    def run(self, tx: Transaction) -> Outcome:
        """The guest first, then the definition."""
        if self.live is not None and self.request["replace"]:
            if not self._replace(tx, self.live):
                return self._pending(tx)
        elif self.live is not None:
            self._change(tx, self.live)
        if self.config is not None:
            self._redefine(tx, self.config)
        tx.finish(OperationState.DONE, Result.DONE, also=self._keep)
        return tx.outcome(Result.DONE, nics=self._nics())

    def _change(self, tx: Transaction, live: Mapping[str, Any]) -> None:
        tx.tell("state", f"{self.alias}: backend {State.RECONFIGURING}", self.alias)
        tx.effect(
            "change",
            self.alias,
            lambda: self.domain.update(xml.strip_live(live["after"]), Half.LIVE),
            lambda: set_back(self.domain, live["before"], Half.LIVE),
            half=Half.LIVE,
        )
        tx.note("confirm", self.alias, lambda: self._confirm(live))

    def _confirm(self, live: Mapping[str, Any]) -> Interface:
        """libvirt answers success to some changes that it does not make; what it has now decides."""
        now = guest.net_of(self.domain, self.alias, Half.LIVE)
        if now is None:
            raise NotApplied(f"after the change the guest's live definition has no {self.alias}")
        check_applied(xml.interface(live["after"]), now, live["changed"])
        return now

    def _replace(self, tx: Transaction, live: Mapping[str, Any]) -> bool:
        """Old out, new in at the same guest address; False if the guest still holds the old one."""
        self.release.ask(tx, self.alias, live["before"])
        with unlocked(self.domain, self.lock, tx, self.alias):
            answer = self.release.wait(tx, self.alias)
        if answer is Answer.HELD:
            return False
        if answer is Answer.ENDED:
            raise NotApplied(f"domain {self.domain.name} ended before {self.alias} could be replaced")
        tx.effect(
            "host_net_add",
            self.alias,
            lambda: put_in(self.domain, live["after"], self.alias),
            lambda: take_out(self.host, self.domain, self.alias, self.seconds, domain_id=self.release.domain_id),
            half=Half.LIVE,
        )
        tx.note("confirm", self.alias, lambda: self._confirm(live))
        return True

    def _redefine(self, tx: Transaction, config: Mapping[str, Any]) -> None:
        before, after = xml.interface(config["before"]), xml.interface(config["after"])
        tx.effect(
            "redefine",
            self.alias,
            lambda: rewrite(self.domain, before, after),
            lambda: rewrite(self.domain, after, before),
            half=Half.CONFIG,
        )

    def _pending(self, tx: Transaction) -> Outcome:
        message = (
            f"pending: the guest has been asked, but still holds {self.alias}. The journal keeps the replacement; the new NIC goes in when the "
            f"guest lets go of the old one: 'virtnetplug recover {self.domain.name} --wait 60' waits for that."
        )
        tx.finish(OperationState.PENDING, Result.PENDING, reason="guest-holds-device", error=message)
        return tx.outcome(Result.PENDING, reason="guest-holds-device", message=message, nics=self._nics())

    def _keep(self) -> None:
        uri, uuid = self.host.hypervisor.uri, self.domain.uuid
        known = next((nic for nic in self.host.journal.nics(uri, uuid) if nic.alias == self.alias), None)
        now = guest.net_of(self.domain, self.alias, Half.LIVE) if known is not None and self.live is not None else None
        if known is not None and now is not None:
            record = nic_record(self.host, self.domain, now, None, known.frontend, known.backend)
            self.host.journal.put_nic(dataclasses.replace(record, since=known.since))

    def _nics(self) -> Sequence[Any]:
        """What became of it; what was done stands if that cannot be seen."""
        try:
            view = look(self.domain, BOTH)
        except (DomainMissing, ConnectionLost):
            return ()
        pairs = [
            pair
            for pair in view.pairs
            if any(net is not None and self.alias in (net.alias, str(net.mac)) for net in pair)
        ]
        return nics_of(self.host, view, pairs)


def resume(host: Host, domain: Domain, record: OperationRecord, lock: DomainLock, seconds: float) -> Outcome:
    """Take up a replacement that waits for its guest, and go forward with it; `lock` is held."""
    deadline = host.clock.monotonic() + seconds
    with domain.watch() as watch, transaction(host, record, is_begun=True) as tx:
        release = GuestRelease(host, domain, watch, deadline, domain_id=record.domain_id, asked=record.request["asked"])
        return _Update(host, domain, lock, release, record, seconds).run(tx)


def undo_update(host: Host, domain: Domain, record: OperationRecord, tx: Transaction, seconds: float) -> None:
    """Take back what an update that never ended may have done."""
    alias = record.request["nics"][0]["alias"]
    live, config = record.request.get(Half.LIVE.value), record.request.get(Half.CONFIG.value)
    if config is not None:
        before, after = xml.interface(config["before"]), xml.interface(config["after"])
        tx.compensate("redefine", alias, lambda: rewrite(domain, after, before))
    if live is None:
        return

    def out() -> None:
        take_out(host, domain, alias, seconds, domain_id=record.domain_id)

    def back() -> None:
        if not tx.was_begun("host_net_add", alias):  # then what is there is the old one, on its way out
            take_out(host, domain, alias, seconds, domain_id=record.domain_id, was_asked=True)
        put_in(domain, live["before"], alias)

    tx.compensate("host_net_add", alias, out)
    tx.compensate("ask", alias, back)
    tx.compensate("change", alias, lambda: set_back(domain, live["before"], Half.LIVE))
