"""Detach: ask the guest, wait until it has let go, then return what the NIC held. Once asked, it only goes forward."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from virtnetplug import interruption, xml
from virtnetplug.errors import (
    DomainBusy,
    DomainMissing,
    Failed,
    NicMissing,
    NicPending,
    NotApplied,
    TwinGone,
    UsageError,
    call,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import DomainLock
from virtnetplug.hotplug.call.waiting import Wait, WaitsFor, Work
from virtnetplug.hotplug.check import fit
from virtnetplug.hotplug.check.preflight import check_scope
from virtnetplug.hotplug.check.request import partner_of, scope_for
from virtnetplug.hotplug.check.reserved import SAME_MAC, not_settled
from virtnetplug.hotplug.engine.operation import ELEMENT_OR_NOTHING, OBJECT, TEXT, Direction, Operation, Shape, Site
from virtnetplug.hotplug.engine.ownership import owner_of, say_waiting, stands_still, taken_over
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.registry import operation_of
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, plan_steps, record_of, resumed, transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.compensation import config_net, remove_from_config
from virtnetplug.hotplug.guest.ending import REASONS, Ending, how
from virtnetplug.hotplug.guest.ending import message as describe_end
from virtnetplug.hotplug.guest.guest import Answer, run_of
from virtnetplug.hotplug.guest.nic_state import keep_or_drop
from virtnetplug.hotplug.look.leaving import is_any_of, operation_of_alias, operation_on
from virtnetplug.hotplug.look.strangers import plugged_rows, twin_of
from virtnetplug.hotplug.look.view import (
    BOTH,
    DomainNic,
    DomainView,
    describe,
    find,
    look,
    named,
    places_of,
    same_mac_as,
)
from virtnetplug.hotplug.plug.config_order import ORDER, order_of
from virtnetplug.hotplug.plug.reinstatement import held_of
from virtnetplug.hotplug.plug.release import GuestRelease, steps_out
from virtnetplug.hotplug.plug.undoing import Leaving, leaves, of_ask, of_undefine
from virtnetplug.hotplug.report.inventory import nics_now, pending_nics
from virtnetplug.model.interface import Interface, known_as
from virtnetplug.model.operation import (
    Half,
    Nic,
    OperationRecord,
    OperationState,
    Outcome,
    Phase,
    Refusal,
    Result,
    Scope,
    Step,
    StepState,
)
from virtnetplug.model.run import NO_RUN, Run
from virtnetplug.ports.domain import Domain, GuestEvent, HowEnded, PowerState

NAME = "detach"
"""What the journal calls it."""


def _detach(
    host: Host,
    view: DomainView,
    pairs: Sequence[DomainNic],
    scope: Scope,
    seconds: float,
    twin: str,
    warnings: Sequence[str],
) -> Work:
    domain, record = view.domain, _record(host, view, pairs, scope, twin)
    deadline = host.clock.monotonic() + seconds
    with domain.watch() as watch, ExitStack() as stack:
        release = GuestRelease(host, domain, watch, deadline, run=record.run)
        tx = stack.enter_context(transaction(host, record, partial(_undos_at, release, 0.0), goes_on=True))
        for text in warnings:
            tx.warn(text)
        outside = [half for half in BOTH if half not in scope.halves]
        remains = any(pair.half(half) is not None for pair in pairs for half in outside)
        return (yield from _Detach(host, domain, release, record, may_remain=remains).run(tx))


def _diff(pairs: Sequence[DomainNic], scope: Scope) -> dict[str, str]:
    return {
        half.value: "".join(xml.diff(net.element, "", pair.name) for pair in pairs if (net := pair.half(half)))
        for half in scope.halves
    }


def _look(
    domain: Domain, selectors: Sequence[str], scope: Scope | None
) -> tuple[DomainView, Scope, tuple[DomainNic, ...]]:
    if not selectors:
        raise UsageError("no NIC was named: give its alias, MAC, host device or PCI address")
    view = look(domain, BOTH)
    scope = scope_for(scope, view.state, domain.name)
    pairs: list[DomainNic] = []
    for selector in selectors:
        pair = find(view, selector, scope.halves)
        if all(pair.half(half) is None for half in scope.halves):
            where = "the guest" if scope is Scope.LIVE else "the definition"
            other = "`scope=Scope.CONFIG`" if scope is Scope.LIVE else "`scope=Scope.LIVE`"
            raise NicMissing(f"NIC {describe(pair.net)} of domain {domain.name} is not in {where}; use {other}")
        if pair not in pairs:
            pairs.append(pair)
    named = {alias for pair in pairs for net in pair if net is not None and (alias := partner_of(net)) is not None}
    return view, scope, tuple(sorted(pairs, key=lambda pair: pair.name in named))  # transient halves first


def _partners(elements: Mapping[str, str]) -> dict[str, list[str]]:
    """Each NIC that is the persistent teaming partner of other NICs of the detach, with those."""
    found: dict[str, list[str]] = {}
    for alias, element in elements.items():
        partner = partner_of(xml.interface(element)) if "<teaming" in element else None
        if partner is not None and partner in elements and partner != alias:
            found.setdefault(partner, []).append(alias)
    return {alias: others for alias, others in found.items() if not any(other in found for other in others)}


def _open_detach(
    host: Host, view: DomainView, pairs: Sequence[DomainNic], scope: Scope
) -> tuple[tuple[Refusal, ...], OperationRecord | None]:
    """The open detach that already waits for these NICs. Refused if it removes less than is asked, or another operation may remove a NIC."""
    found, others = None, list[DomainNic]()
    for pair in pairs:
        record = _open_operation(host, view, pair)
        if record is not None and (operation_of(record) is not Detach or record.goes_back):
            return (not_settled(view, pair.name, describe(pair.net), record),), None
        found = found or record
    if found is not None:
        others = [pair for pair in pairs if not _takes_out(found, pair, scope)]
    refusals = tuple(
        Refusal(
            reason=NicPending.reason,
            nic=pair.name,
            message=f"The detach {found.id}, which is not settled, does not take out all that is named now: {pair.name} stays, or a definition keeps "
            f"it. {call('recover', view.domain.name, wait=60)} settles that one; then detach what is left.",
        )
        for pair in others
        if found is not None
    )
    return refusals, None if refusals else found


def _takes_out(record: OperationRecord, pair: DomainNic, scope: Scope) -> bool:
    """Whether the detach takes the NIC out of every definition of `scope` that has it."""
    entry = next((entry for entry in record.request["nics"] if is_any_of(pair, record.names_of(entry["alias"]))), None)
    return entry is not None and all(pair.half(half) is None or entry[half.value] is not None for half in scope.halves)


def _open_operation(host: Host, view: DomainView, pair: DomainNic) -> OperationRecord | None:
    """The open operation that may yet take the NIC out of either definition."""
    pending = pending_nics(host, view.domain.uuid, view)
    found = next((one for net in pair if (one := operation_on(net, pending)) is not None), None)
    record = None if found is None else host.journal.operation(found)
    return None if record is None or _is_of_later_run(record, view, pair) else record


def _is_of_later_run(record: OperationRecord, view: DomainView, pair: DomainNic) -> bool:
    """Whether the operation is a PF's, and was begun in an earlier run of the NIC's guest: then the NIC may be taken out."""
    its = [
        entry
        for entry in record.named
        if entry.get("domain_uuid") == view.domain.uuid and is_any_of(pair, record.names_of(entry["alias"]))
    ]
    return not record.domain_uuid and all(not _run_of(entry, view.run).matches(view.run) for entry in its)


def _run_of(entry: Mapping[str, Any], now: Run) -> Run:
    """The run that the request of a PF's operation has of the NIC's guest; `now` where it says none."""
    return Run.from_request(entry.get("run", entry.get("domain_id", now.request)))


def _widows(host: Host, view: DomainView, pairs: Sequence[DomainNic], scope: Scope) -> tuple[Refusal, ...]:
    """Teaming halves that would stay without their partner; to wait on for what was asked before is no new request."""
    pending = pending_nics(host, view.domain.uuid, view)
    if any(operation_on(pair.net, pending) is not None for pair in pairs):
        return ()
    leaving = [(half, net) for half in scope.halves for pair in pairs if (net := pair.half(half)) is not None]
    return tuple(fit.widows(view, leaving))


def _warnings(view: DomainView, pairs: Sequence[DomainNic], scope: Scope, more: Sequence[str]) -> list[str]:
    said = []
    if Half.LIVE in scope.halves and view.state.power is PowerState.PAUSED:
        said.append(
            f"the guest is {view.state.paused_reason or 'paused'}: the NIC is taken from it by force, and it learns of that when it runs again"
            if view.domain.takes_by_force
            else f"the guest is {view.state.paused_reason or 'paused'}: it lets go of nothing until it runs again, so the detach will be pending"
        )
    said += more
    for pair in pairs if scope is Scope.BOTH else ():
        for half in BOTH:
            if pair.half(half) is None:
                said.append(f"{pair.name} is not in the {half} definition; only the other half is detached")
    return said


def _record(host: Host, view: DomainView, pairs: Sequence[DomainNic], scope: Scope, twin: str) -> OperationRecord:
    entries = [
        {
            **named(key, *pair),
            "live": pair.live.element if pair.live is not None and Half.LIVE in scope.halves else None,
            "config": pair.config.element if pair.config is not None and Half.CONFIG in scope.halves else None,
        }
        for key, pair in _keyed(pairs)
    ]
    nets = [pair.net for pair in pairs]
    return record_of(
        host,
        NAME,
        view.domain,
        run=view.run,
        scope=scope,
        device_types=[net.type for net in nets if net is not None],
        request={
            "nics": entries,
            "asked": [entry["alias"] for entry in entries if entry["live"] is not None],
            "held": list(_held(host, view.domain, pairs)) if Half.LIVE in scope.halves else [],
            SAME_MAC: same_mac_as(view, [net for pair in pairs for net in pair if net is not None]),
            **({ORDER: order_of(view)} if Half.CONFIG in scope.halves else {}),
            **({"twin": twin} if twin else {}),
        },
        steps=_steps(pairs, scope),
    )


def _held(host: Host, domain: Domain, pairs: Sequence[DomainNic]) -> Iterator[dict[str, Any]]:
    """What `put_back` must know of each NIC with a lent device. The device is returned, and its row removed, before anything can fail."""
    for pair in pairs:
        if pair.live is not None and (held := held_of(host, domain, pair.live)) is not None:
            yield {"alias": pair.name, **held}


def _steps(pairs: Sequence[DomainNic], scope: Scope) -> tuple[Step, ...]:
    parts: list[tuple[str, str, Phase, Half | None]] = []
    for key, pair in _keyed(pairs) if Half.LIVE in scope.halves else ():
        if pair.live is not None:
            parts += steps_out(pair.live, key)
    for key, pair in _keyed(pairs) if Half.CONFIG in scope.halves else ():
        if pair.config is not None:
            parts += [("undefine", key, Phase.RELEASE, Half.CONFIG)]
    return plan_steps(*parts)


def _keyed(pairs: Sequence[DomainNic]) -> list[tuple[str, DomainNic]]:
    """Each NIC with what the journal calls it; where that would be one MAC for several, with the guest addresses."""
    keys = [pair.name for pair in pairs]
    return [
        (key if keys.count(key) == 1 else known_as(key, ", ".join(places_of(pair))), pair)
        for key, pair in zip(keys, pairs, strict=True)
    ]


LOOK_AGAIN = 0.5
"""Seconds between two looks at a detach that another call is to end."""


class _Detach:
    """One detach on its way, fresh or taken up again: every step may be run twice.

    `may_remain` says that a definition it does not touch may have the NICs.
    """

    def __init__(
        self,
        host: Host,
        domain: Domain,
        release: GuestRelease,
        record: OperationRecord,
        *,
        may_remain: bool = True,
    ) -> None:
        self.host, self.domain, self.release = host, domain, release
        self.entries = record.request["nics"]
        self.twin = str(record.request.get("twin") or "")
        self.run_asked = record.run_asked
        self.is_of_both = record.scope is Scope.BOTH
        self.may_remain = may_remain
        self.live = {entry["alias"]: entry["live"] for entry in self.entries if entry["live"] is not None}
        self.config = {entry["alias"]: entry["config"] for entry in self.entries if entry["config"] is not None}

    def run(self, tx: Transaction) -> Work:
        """Ask for all, wait for all, then finish; the lock is not held while waiting.

        A persistent teaming half is asked for once its transient half has gone: until then the guest's traffic may need it.
        """
        defined = self._defined(tx)
        left = self._left(tx, defined)
        is_next = not self.release.run.matches(self.run_asked)
        ended = [alias for alias in left if is_next and not tx.is_done("guest_release", alias)]
        staying = {alias: element for alias, element in self.live.items() if alias not in left}
        self._enter(tx, list(staying))
        last = _partners(staying)
        answers = yield from self._release(tx, [alias for alias in staying if alias not in last])
        free = [alias for alias, others in last.items() if all(answers[other] is not Answer.HELD for other in others)]
        more = yield from self._release(tx, free)
        answers |= dict.fromkeys(last, Answer.HELD) | more | dict.fromkeys(left, Answer.GONE)
        answers |= yield from self._follow(tx, answers, defined)
        for entry in self.entries:
            if entry["alias"] in defined:
                self._undefine(tx, entry["alias"], entry["config"])
        answers |= yield from self._follow(tx, answers, defined)
        if Answer.HELD not in answers.values():
            self._expect_twin()
        self._expect_none_given()
        tx.go_forward()
        ending = self.release.ending(tx) if {Answer.ENDED, Answer.AWAY} & set(answers.values()) else None
        for alias, answer in answers.items():
            if answer in (Answer.GONE, Answer.ENDED) or (ending is not None and ending.end is HowEnded.MIGRATED):
                self.release.give_back(tx, alias, self.live[alias])
        held = [alias for alias, answer in answers.items() if answer in (Answer.HELD, Answer.AWAY)]
        if held and ending is not None and not ending.end.is_final:
            return self._away(tx, held, ending)
        if held:
            return self._pending(tx, held)
        forgotten = [
            xml.interface(self.live[alias]) for alias in self.live if alias not in left or not self._is_there(alias)
        ]
        forgotten += [net for net in self._defined_alone() if guest.there(self.domain, net, Half.LIVE) is None]
        ended += [alias for alias, answer in answers.items() if answer is Answer.ENDED]
        said = self._ended(ending or Ending(HowEnded.OVER), ended) if ended else {}
        tx.finish(OperationState.DONE, Result.DONE, reason=said.get("reason", ""), also=lambda: self._forget(forgotten))
        remaining = _remains(self.host, self.domain, tx.record) if self.may_remain else ()
        return tx.outcome(Result.DONE, nics=remaining, **said)

    def _ended(self, ending: Ending, aliases: Sequence[str]) -> dict[str, str]:
        """The answer if the guest did not let go, but is no more."""
        return {
            "reason": "guest-ended",
            "message": f"{', '.join(aliases)} detached from {self.domain.name}: its guest {ending.words.rstrip(',')} before it let go",
        }

    def _away(self, tx: Transaction, held: Sequence[str], ending: Ending) -> Outcome:
        """The guest may still have these, in an image or on another host."""
        message, reason = describe_end(tx.record, ending, ", ".join(held)), REASONS[ending.end]
        if ending.end is HowEnded.MIGRATED:
            nets = [xml.interface(self.live[alias]) for alias in held]
            tx.finish(OperationState.LEFT, Result.LEFT, reason=reason, error=message, also=lambda: self._forget(nets))
            return tx.outcome(Result.LEFT, reason=reason, message=message)
        amend = partial(tx.amend, asked=list(held), cleared=True)
        tx.finish(OperationState.PENDING, Result.PENDING, reason=reason, error=message, also=amend)
        return tx.outcome(
            Result.PENDING, reason=reason, message=message, nics=_remains(self.host, self.domain, tx.record)
        )

    def _release(
        self, tx: Transaction, aliases: Sequence[str]
    ) -> Generator[Wait, GuestEvent | None, dict[str, Answer]]:
        for alias in aliases:
            self.release.ask(tx, alias, self.live[alias], self.config.get(alias))
        return (yield from self.release.wait(tx, aliases)) if aliases else {}

    def _expect_none_given(self) -> None:
        """Raise `NotApplied` where a run has a NIC of its definition that no run had when it was looked at: nobody has asked for it."""
        for entry in self.entries if self.is_of_both else ():
            given = entry["config"] if entry["live"] is None else None
            if given is not None and guest.there(self.domain, xml.interface(given), Half.LIVE) is not None:
                raise NotApplied(
                    f"domain {self.domain.name} was started with {entry['alias']} meanwhile; detach that again"
                )

    def _expect_twin(self) -> None:
        """Raise `TwinGone`, which undoes the detach, where the twin that was to serve instead has left meanwhile, or may leave."""
        if not self.twin:
            return
        try:
            view = look(self.domain, BOTH)
        except DomainMissing:
            return
        devices = {Half.LIVE: view.live, Half.CONFIG: view.config}
        halves = [half for half in BOTH if devices[half] and any(entry[half.value] for entry in self.entries)]
        is_leaving = operation_of_alias(self.twin, pending_nics(self.host, self.domain.uuid)) is not None
        twin = dict(zip(BOTH, twin_of(view, self.twin, plugged_rows(self.host, view)), strict=True))
        if is_leaving or any(twin[half] is None for half in halves):
            nics = ", ".join(entry["alias"] for entry in self.entries)
            leaves = "may leave" if is_leaving else "has left meanwhile, or another NIC has its alias"
            raise TwinGone(f"{self.twin}, which was to serve in the place of {nics}, {leaves}.")

    def _defined(self, tx: Transaction) -> Collection[str]:
        """The NICs that the definition has until this call removes them. Another run of the domain may be started with them."""
        entries = (entry for entry in self.entries if entry["config"] is not None)
        return {entry["alias"] for entry in entries if not tx.is_done("undefine", entry["alias"])}

    def _left(self, tx: Transaction, defined: Collection[str]) -> Sequence[str]:
        """The NICs that have left. A NIC that has come under such an alias since belongs to somebody else.

        A run of the domain that was not asked yet has what the definition gave it. That is nothing once the operation has waited in vain and is
        ``cleared``. An operation that died before that may have changed the definition after that run had begun.
        """
        if self.release.run.matches(self.run_asked):
            return [alias for alias in self.live if all(tx.is_done(step, alias) for step in ("ask", "guest_release"))]
        return [alias for alias in self.live if alias not in defined] if tx.record.request.get("cleared") else ()

    def _enter(self, tx: Transaction, aliases: Sequence[str]) -> None:
        """Tell the journal of a run of the domain that was not asked yet, before it is asked for these."""
        if self.release.run.matches(self.run_asked):
            return
        self._expect_twin()
        if aliases:
            with self.host.journal.batch():
                for alias in aliases:
                    tx.begin("ask", alias)
                    tx.begin("guest_release", alias)
                tx.amend(run=self.release.run.request, marked=False, between_hosts=False)
                tx.flush()
            self.run_asked = self.release.run

    def _follow(
        self, tx: Transaction, answers: Mapping[str, Answer], defined: Collection[str]
    ) -> Generator[Wait, GuestEvent | None, dict[str, Answer]]:
        """Ask another run of the domain for what its definition gave it, whatever the one before has answered."""
        run = run_of(self.domain) if defined else NO_RUN
        if run == NO_RUN or guest.goes_on(self.domain, self.release.run):
            return {}
        back = [alias for alias in answers if alias in defined and self._has(alias)]
        if back:
            self.release.enter(run)
            self._enter(tx, back)
        return (yield from self._release(tx, back))

    def _has(self, alias: str) -> bool:
        """Whether a run that was not asked has that NIC: as the definition, which the run was started from, had it."""
        return guest.there(self.domain, xml.interface(self.config[alias]), Half.LIVE) is not None

    def _is_there(self, alias: str) -> bool:
        return guest.there(self.domain, xml.interface(self.live[alias]), Half.LIVE) is not None

    def _undefine(self, tx: Transaction, alias: str, element: str) -> None:
        net = xml.interface(element)

        def out() -> None:
            if leaves(tx, config_net(self.domain, net), net):
                self.may_remain = True
            else:
                remove_from_config(self.domain, net)

        tx.effect("undefine", alias, out, half=Half.CONFIG)

    def _pending(self, tx: Transaction, held: Sequence[str]) -> Outcome:
        kept = (
            "The journal keeps the detach; it ends when the guest lets go (a reset or reboot of the guest makes it): "
            f"{call('recover', self.domain.name, wait=60)} waits for that."
        )
        reason, message = self.release.held(tx, ", ".join(held), kept)
        amend = partial(tx.amend, asked=list(held), cleared=True)  # in one commit with what has left
        tx.finish(OperationState.PENDING, Result.PENDING, reason=reason, error=message, also=amend)
        nics = _remains(self.host, self.domain, tx.record)
        return tx.outcome(Result.PENDING, reason=reason, message=message, nics=nics)

    def _defined_alone(self) -> Sequence[Interface]:
        """The NICs that are removed from the definition alone."""
        entries = (entry for entry in self.entries if entry["live"] is None and entry["config"] is not None)
        return [xml.interface(entry["config"]) for entry in entries]

    def _forget(self, nets: Sequence[Interface]) -> None:
        """The journal's rows of those that have left; of one that the definition still has it keeps whose it is."""
        journal, uri, uuid = self.host.journal, self.host.hypervisor.key, self.domain.uuid
        rows = {row.alias: row for row in journal.nics(uri, uuid)} if self.may_remain else {}
        for net in nets:
            keep_or_drop(self.host, self.domain, net, rows.get(net.alias or ""))


def _undos_at(release: GuestRelease, seconds: float, tx: Transaction) -> Undos:
    """The undos for the run that was asked last, or for the present run if the definition may have changed (see `Site.of`)."""
    run = NO_RUN
    if tx.record.scope is Scope.BOTH and any(
        step.name == "undefine" and tx.was_begun(step.name, step.nic) for step in tx.steps
    ):
        run = run_of(release.domain)
    run = release.run if run == NO_RUN or guest.goes_on(release.domain, release.run) else run
    return undos(Site(host=release.host, domain=release.domain, run=run, seconds=seconds), tx)


def undos(site: Site, tx: Transaction) -> Undos:
    """The undos of the steps, for a detach that may still be undone."""
    undos: dict[tuple[str, str], Any] = {}
    held = {entry["alias"]: entry for entry in tx.record.request.get("held") or ()}
    for entry in tx.record.request["nics"]:
        if entry["config"] is not None:
            undos |= of_undefine(site, tx, entry["alias"], entry["config"])
        if entry["live"] is not None:
            leaving = Leaving(entry["alias"], entry["live"], entry["config"])
            undos |= of_ask(site, tx, leaving, old=held.get(entry["alias"]))
    return undos


def join(host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Work:
    """Wait with a detach that another call waits with, or go on with one that nobody waits with any more."""
    began, alias = host.clock.monotonic(), record.request["nics"][0]["alias"]
    deadline, has_said = began + seconds, False
    with domain.watch() as watch:
        while True:
            with taken_over(host, record.id) as mine:
                if mine is not None:
                    return (yield from resume(host, domain, mine, deadline - host.clock.monotonic()))
            now, left = host.journal.operation(record.id), deadline - host.clock.monotonic()
            if now is None or now.ended is not None or left <= 0:
                outcome = _joined(host, domain, now or record)
                return dataclasses.replace(outcome, seconds=host.clock.monotonic() - began)
            if not has_said:
                say_waiting(host, now)
                has_said = True
            until = host.clock.monotonic() + min(left, LOOK_AGAIN)
            try:
                yield Wait(what=WaitsFor.OPERATION, alias=alias, watch=watch, until=until)
            except DomainBusy as busy:
                raise busy.interrupt or busy from None
            except KeyboardInterrupt as stop:
                raise interruption.left_open(
                    f"interrupted while {owner_of(host, now)} waits for the guest to let go (detach {now.id}). It has been asked, so the NIC may "
                    f"go at any moment; {call('recover', domain.name, wait=60)} waits on, and finishes it should that one end.",
                    stop,
                ) from None


def _joined(host: Host, domain: Domain, record: OperationRecord) -> Outcome:
    """What came of a detach that another call was to end."""
    nics = tuple(_remains(host, domain, record))
    outcome = Outcome(
        operation=NAME,
        domain=domain.name,
        result=Result.DONE,
        operation_id=record.id,
        nics=nics,
        steps=record.steps,
    )
    if record.state is OperationState.DONE:
        return outcome
    if record.ended is not None:
        raise Failed(
            f"the detach {record.id}, which had been asked for before, was undone: {record.error}", reason=record.reason
        )
    if (why := stands_still(host, record)) is not None:
        return dataclasses.replace(
            outcome, result=Result.PENDING, reason="operation-stalled", message=f"pending: {why}"
        )
    message = (
        f"pending: {owner_of(host, record)} waits for the guest to let go (detach {record.id}), and has not ended it. "
        f"{call('recover', domain.name, wait=60)} waits on, and finishes it should that one end."
    )
    return dataclasses.replace(outcome, result=Result.PENDING, reason="guest-holds-device", message=message)


def resume(host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Work:
    """Take up a detach that was taken over, and go forward with it."""
    deadline = host.clock.monotonic() + seconds
    with domain.watch() as watch, ExitStack() as stack:
        run = _run_to_ask(domain, record)
        steps = record.steps if run.matches(record.run_asked) else ()
        asked = {step.nic for step in steps if step.name == "ask" and step.state is StepState.DONE}
        release = GuestRelease(host, domain, watch, deadline, run=run, asked=asked)
        tx = stack.enter_context(resumed(host, record, partial(_undos_at, release, seconds), goes_on=True))
        tx.go_forward(TwinGone, NotApplied)
        return (yield from _Detach(host, domain, release, record).run(tx))


def _run_to_ask(domain: Domain, record: OperationRecord) -> Run:
    """The run to ask. A live detach concerns the run that it asked; a detach of both halves the present run, once the first run is surely over."""
    if record.scope is Scope.LIVE:
        return record.run
    run, asked = run_of(domain), record.run_asked
    if run == NO_RUN or guest.goes_on(domain, asked) or not how(domain, asked).end.is_final:
        return asked
    return run


def _remains(host: Host, domain: Domain, record: OperationRecord) -> list[Nic]:
    """The NICs of the operation that some definition still has."""
    return nics_now(host, domain, lambda pair: is_any_of(pair, record.names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Detaching:
    """What a detach has seen of its domain: the NICs, in the order in which they leave, and the refusals.

    `waiting` is the open detach that waits for these NICs already. `said` has warnings that the caller adds.
    """

    view: DomainView
    scope: Scope
    nics: tuple[DomainNic, ...]
    refusals: tuple[Refusal, ...]
    waiting: OperationRecord | None
    said: Sequence[str] = ()


class Detach(Operation):
    """Every NIC named. A detach that was left open goes forward, for its guest may have been asked, unless it had begun to be undone.

    `twin` is the alias of the NIC that will serve instead. The detach is undone if that NIC has left by the time that the guest has let go.
    """

    is_governed = True
    without_domain = OperationState.DONE

    entries: ClassVar[Mapping[str, Shape]] = {
        "nics": {"alias": TEXT, "live": ELEMENT_OR_NOTHING, "config": ELEMENT_OR_NOTHING},
        "held": {"alias": TEXT, "network": TEXT, "settings": OBJECT},  # records of journal version 3 lack it
    }

    def __init__(self, nics: Sequence[str], *, scope: Scope | None = None, twin: str = "") -> None:
        self.nics_named, self.scope, self.twin = nics, scope, twin

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        """See `Operation.prepare`."""
        return self.prepared(host, self.look(host, domain))

    def look(self, host: Host, domain: Domain) -> Detaching:
        """Look at the domain and its open operations."""
        view, scope, pairs = _look(domain, self.nics_named, self.scope)
        refusals, waiting = check_scope(view, scope), None
        if not refusals:
            refusals, waiting = _open_detach(host, view, pairs, scope)
        if not refusals and waiting is None:
            refusals = _widows(host, view, pairs, scope)
        return Detaching(view=view, scope=scope, nics=pairs, refusals=refusals, waiting=waiting)

    def prepared(self, host: Host, asked: Detaching) -> Prepared:
        """The detach of what was seen."""
        view, pairs, scope, waiting = asked.view, asked.nics, asked.scope, asked.waiting
        warnings = _warnings(view, pairs, scope, asked.said)

        def start(lock: DomainLock, seconds: float) -> Work:
            if waiting is not None:
                return join(host, view.domain, waiting, seconds)
            return _detach(host, view, pairs, scope, seconds, self.twin, warnings)

        return Prepared(
            operation=NAME,
            domain=view.domain.name,
            scope=scope,
            start=start,
            refusals=asked.refusals,
            steps=_steps(pairs, scope),
            diff=partial(_diff, pairs, scope),
            warnings=tuple(warnings),
        )

    @classmethod
    def knows(cls, record: OperationRecord) -> bool:
        """Also whether the record has every step that a detach of its NICs has."""
        if not super().knows(record):
            return False
        has = {(step.name, step.nic) for step in record.steps}
        for entry in record.request["nics"]:
            live, config = (xml.interface(entry[half.value]) if entry[half.value] else None for half in BOTH)
            steps = _steps([DomainNic(live, config)], Scope.BOTH) if live or config else ()
            if any((step.name, entry["alias"]) not in has for step in steps):
                return False
        return True

    @classmethod
    def heading(cls, record: OperationRecord) -> Direction:
        """Forward: its guest may have been asked."""
        return Direction.FORWARD

    undos = staticmethod(undos)

    go_on = staticmethod(resume)


OPERATION = Detach
