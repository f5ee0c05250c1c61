"""Detach: ask the guest, wait until it let go, then release what the NIC held of the host. Once asked, a detach only goes forward."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from virtnetplug import interruption, xml
from virtnetplug.errors import (
    DomainBusy,
    DomainMissing,
    Failed,
    NicPending,
    NotApplied,
    TwinGone,
    UsageError,
    call,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.call.waiting import Wait, WaitsFor, Work
from virtnetplug.hotplug.change.swap_run import SwapRun
from virtnetplug.hotplug.check import conflicts
from virtnetplug.hotplug.check.preflight import check_scope
from virtnetplug.hotplug.check.request import partner_of, scope_for
from virtnetplug.hotplug.check.reserved import SAME_MAC, not_settled
from virtnetplug.hotplug.engine.kinds import operation_of
from virtnetplug.hotplug.engine.operation import ELEMENT_OR_NOTHING, OBJECT, TEXT, Direction, Operation, Shape, Site
from virtnetplug.hotplug.engine.ownership import owner_of, say_waiting, stands_still, taken_over
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, plan_steps, resumed, transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.ending import REASONS, Ending, how
from virtnetplug.hotplug.guest.ending import message as describe_end
from virtnetplug.hotplug.guest.guest import Answer, run_of
from virtnetplug.hotplug.guest.nic_rows import keep_or_drop
from virtnetplug.hotplug.guest.nic_status import nics_now, pending_nics
from virtnetplug.hotplug.look.find import expect_in, find
from virtnetplug.hotplug.look.open_operations import is_any_of, operation_of_alias, operation_on
from virtnetplug.hotplug.look.recognition import plugged_rows, twin_of
from virtnetplug.hotplug.look.view import (
    BOTH,
    DomainNic,
    DomainView,
    describe,
    look,
    named,
    places_of,
    same_mac_as,
)
from virtnetplug.hotplug.plug.defining import ORDER, of_undefine, order_of, remove_unless_moved
from virtnetplug.hotplug.plug.plugging import Part, held_of, new_record
from virtnetplug.hotplug.plug.release import GuestRelease, steps_out
from virtnetplug.hotplug.plug.undoing import Leaving, of_swap
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
)
from virtnetplug.model.run import NO_RUN, Run
from virtnetplug.ports.domain import Domain, GuestEvent, HowEnded, PowerState

NAME = "detach"
"""What the journal calls it."""

LOOK_AGAIN = 0.5
"""Seconds between two looks at a detach that another call is to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachSeen:
    """What a detach has seen of its domain: the NICs, in the order in which they leave, and the refusals.

    `waiting` is the open detach that waits for these NICs already. `warnings` are those of the caller.
    """

    host: Host
    view: DomainView
    scope: Scope
    nics: tuple[DomainNic, ...]
    refusals: tuple[Refusal, ...] = ()
    waiting: OperationRecord | None = None
    warnings: Sequence[str] = ()

    def checked(self) -> DetachSeen:
        """The same with what speaks against it, or with the open detach that waits for these NICs."""
        if refusals := check_scope(self.view, self.scope):
            return dataclasses.replace(self, refusals=refusals)
        pending = pending_nics(self.host, self.view.domain.uuid, self.view)
        refusals, waiting = self._open_detach(pending)
        is_new = all(operation_on(nic.net, pending) is None for nic in self.nics)
        if is_new and waiting is None:
            leaving = [(half, net) for half in self.scope.halves for nic in self.nics if (net := nic.half(half))]
            refusals = refusals or tuple(conflicts.widows(self.view, leaving))
        return dataclasses.replace(self, refusals=refusals, waiting=waiting)

    def _open_detach(self, pending: Mapping[str, str]) -> tuple[tuple[Refusal, ...], OperationRecord | None]:
        """The open detach that already waits for these NICs.

        A refusal if that detach takes out less than is asked, or if another operation may take a NIC out.
        """
        found = None
        for nic in self.nics:
            record = self._open_operation(nic, pending)
            if record is not None and (operation_of(record) is not PlainDetach or record.goes_back):
                return (not_settled(self.view, nic.name, describe(nic.net), record),), None
            found = found or record
        if found is None:
            return (), None
        refusals = tuple(
            Refusal(
                reason=NicPending.reason,
                nic=nic.name,
                message=f"The detach {found.id}, which is not settled, does not take out all that is named now: {nic.name} stays, or a definition keeps "
                f"it. {call('recover', self.view.domain.name, wait=60)} settles that one; then detach what is left.",
            )
            for nic in self.nics
            if not _takes_out(found, nic, self.scope)
        )
        return refusals, None if refusals else found

    def _open_operation(self, nic: DomainNic, pending: Mapping[str, str]) -> OperationRecord | None:
        """The open operation that may yet take the NIC out of either definition."""
        found = next((one for net in nic if (one := operation_on(net, pending)) is not None), None)
        record = None if found is None else self.host.journal.operation(found)
        return None if record is None or _is_of_earlier_run(record, self.view, nic) else record

    def all_warnings(self) -> tuple[str, ...]:
        """What a caller should know before the detach begins."""
        found = list(self.warnings)
        if Half.LIVE in self.scope.halves and self.view.state.power is PowerState.PAUSED:
            then = "it lets go of nothing until it runs again, so the detach will be pending"
            if self.view.domain.takes_by_force:
                then = "the NIC is taken from it by force, and it learns of that when it runs again"
            found.insert(0, f"the guest is {self.view.state.paused_reason or 'paused'}: {then}")
        missing = [(nic, half) for nic in self.nics for half in BOTH if nic.half(half) is None]
        for nic, half in missing if self.scope is Scope.BOTH else ():
            found.append(f"{nic.name} is not in the {half} definition; only the other half is detached")
        return tuple(found)

    def diff(self) -> dict[str, str]:
        """A unified diff of each definition that changes."""
        return {
            half.value: "".join(xml.diff(net.element, "", nic.name) for nic in self.nics if (net := nic.half(half)))
            for half in self.scope.halves
        }

    def request(self, twin: str) -> dict[str, Any]:
        """What the journal keeps of it."""
        is_live, is_config = (half in self.scope.halves for half in BOTH)
        entries = [
            {
                **named(key, *nic),
                "live": nic.live.element if nic.live is not None and is_live else None,
                "config": nic.config.element if nic.config is not None and is_config else None,
            }
            for key, nic in _keyed(self.nics)
        ]
        return {
            "nics": entries,
            "asked": [entry["alias"] for entry in entries if entry["live"] is not None],
            "held": list(self._held()) if is_live else [],
            SAME_MAC: same_mac_as(self.view, [net for nic in self.nics for net in nic.nets]),
            **({ORDER: order_of(self.view)} if is_config else {}),
            **({"twin": twin} if twin else {}),
        }

    def _held(self) -> Iterator[dict[str, Any]]:
        """What `restore` has to know of each NIC with a device of ours: the device is returned, and its row removed, before anything can fail."""
        for nic in self.nics:
            if nic.live is not None and (held := held_of(self.host, self.view.domain, nic.live)) is not None:
                yield {"alias": nic.name, **held}


def _takes_out(record: OperationRecord, nic: DomainNic, scope: Scope) -> bool:
    """Whether the detach takes the NIC out of every definition of `scope` that has it."""
    entry = next((entry for entry in record.request["nics"] if is_any_of(nic, record.names_of(entry["alias"]))), None)
    return entry is not None and all(nic.half(half) is None or entry[half.value] is not None for half in scope.halves)


def _is_of_earlier_run(record: OperationRecord, view: DomainView, nic: DomainNic) -> bool:
    """Whether the operation is a PF's, and was begun in an earlier run of the NIC's guest: then the NIC may be taken out."""
    runs = [
        Run.from_request(entry.get("run", entry.get("domain_id", view.run.request)))
        for entry in record.named
        if entry.get("domain_uuid") == view.domain.uuid and is_any_of(nic, record.names_of(entry["alias"]))
    ]
    return not record.domain_uuid and not any(run.matches(view.run) for run in runs)


def _partners(nets: Mapping[str, Interface]) -> dict[str, list[str]]:
    """The NICs that are the persistent teaming partner of others among `nets`, with the aliases of these others."""
    found: dict[str, list[str]] = {}
    for alias, net in nets.items():
        if (partner := partner_of(net)) in nets and partner is not None and partner != alias:
            found.setdefault(partner, []).append(alias)
    return {alias: others for alias, others in found.items() if not any(other in found for other in others)}


def _steps(nics: Sequence[DomainNic], scope: Scope) -> tuple[Step, ...]:
    parts: list[Part] = []
    for key, nic in _keyed(nics) if Half.LIVE in scope.halves else ():
        parts += steps_out(nic.live, key) if nic.live is not None else []
    for key, nic in _keyed(nics) if Half.CONFIG in scope.halves else ():
        parts += [("undefine", key, Phase.RELEASE, Half.CONFIG)] if nic.config is not None else []
    return plan_steps(*parts)


def _keyed(nics: Sequence[DomainNic]) -> list[tuple[str, DomainNic]]:
    """Each NIC with what the journal calls it; where that would be one MAC for several, with the guest addresses."""
    names = [nic.name for nic in nics]
    return [
        (nic.name if names.count(nic.name) == 1 else known_as(nic.name, ", ".join(places_of(nic))), nic) for nic in nics
    ]


class _Detach(SwapRun):
    """One detach under way, fresh or taken up again: every step may be run twice.

    `may_remain` says that a definition it does not touch may have the NICs.
    """

    def __init__(self, tx: Transaction, release: GuestRelease, *, may_remain: bool = True) -> None:
        super().__init__(tx, release.domain)
        self.release, self.may_remain = release, may_remain
        self.entries = self.request["nics"]
        self.run_asked = tx.record.run_asked
        self.gone: list[Interface] = []
        """The NICs that have left, whose rows the journal drops."""
        self.live, self.config = (
            {entry["alias"]: xml.interface(entry[half]) for entry in self.entries if entry[half] is not None}
            for half in BOTH
        )

    def leave(self) -> Generator[Wait, GuestEvent | None, Outcome | None]:
        """Ask for all, wait for all, then release what they held; the lock is not held while waiting.

        A persistent teaming half is asked for once its transient half has gone: until then the guest's traffic may need it.
        """
        tx = self.tx
        # until this call takes them out of the definition, another run of the domain may be started with them
        defined = {alias for alias in self.config if not tx.is_done("undefine", alias)}
        left = self._left(defined)
        is_next = not self.release.run.matches(self.run_asked)
        ended = [alias for alias in left if is_next and not tx.is_done("guest_release", alias)]
        staying = {alias: net for alias, net in self.live.items() if alias not in left}
        self._enter(list(staying))
        last = _partners(staying)
        answers = yield from self._release([alias for alias in staying if alias not in last])
        free = [alias for alias, others in last.items() if all(answers[other] is not Answer.HELD for other in others)]
        more = yield from self._release(free)
        answers |= dict.fromkeys(last, Answer.HELD) | more | dict.fromkeys(left, Answer.GONE)
        answers |= yield from self._follow(answers, defined)
        for alias, net in self.config.items():
            if alias in defined:
                is_out = tx.effect(
                    "undefine", alias, partial(remove_unless_moved, self.domain, tx, net), half=Half.CONFIG
                )
                self.may_remain |= not is_out
        answers |= yield from self._follow(answers, defined)
        if Answer.HELD not in answers.values():
            self._expect_twin()
        self._expect_none_given()
        tx.go_forward()
        ending = self.release.ending(tx) if {Answer.ENDED, Answer.AWAY} & set(answers.values()) else None
        for alias, answer in answers.items():
            if answer in (Answer.GONE, Answer.ENDED) or (ending is not None and ending.end is HowEnded.MIGRATED):
                self.release.release_end(tx, alias, self.live[alias])
        held = [alias for alias, answer in answers.items() if answer in (Answer.HELD, Answer.AWAY)]
        waiting = partial(tx.amend, asked=held, cleared=True)  # in one commit with what has left
        if held and ending is not None and not ending.end.is_final:
            return self._away(held, ending, waiting)
        if held:
            then = "detach; it ends when the guest lets go (a reset or reboot of the guest makes it)"
            return self.release.left_pending(tx, held, then, super().nics, waiting)
        self.gone = [net for alias, net in self.live.items() if alias not in left or not self._is_there(net)]
        self.gone += [net for net in self._defined_alone().values() if not self._is_there(net)]
        if ended := [*ended, *(alias for alias, answer in answers.items() if answer is Answer.ENDED)]:
            words = (ending or Ending(HowEnded.OVER)).words.rstrip(",")
            self.reason = "guest-ended"
            self.message = f"{', '.join(ended)} detached from {self.domain.name}: its guest {words} before it let go"
        return None

    def _away(self, held: Sequence[str], ending: Ending, waiting: Callable[[], None]) -> Outcome:
        """Leave the detach to a guest that may still have these NICs, in an image or on another host."""
        tx = self.tx
        message, reason = describe_end(tx.record, ending, ", ".join(held)), REASONS[ending.end]
        if ending.end is HowEnded.MIGRATED:
            self.gone = [self.live[alias] for alias in held]
            return tx.close(OperationState.LEFT, reason, message, also=lambda: self.keep_rows({}))
        return tx.close(OperationState.PENDING, reason, message, super().nics, also=waiting)

    def nics(self) -> Sequence[Nic]:
        return super().nics() if self.may_remain else ()

    def keep_rows(self, came: Mapping[str, Interface]) -> None:
        """Drop the journal's rows of the NICs that have left; of a NIC that the definition still has, the row keeps whose it is."""
        keep_or_drop(self.host, self.domain, self.gone, may_remain=self.may_remain)

    def _release(self, aliases: Sequence[str]) -> Generator[Wait, GuestEvent | None, dict[str, Answer]]:
        for alias in aliases:
            self.release.ask(self.tx, alias, self.live[alias], self.config.get(alias))
        return (yield from self.release.wait(self.tx, aliases)) if aliases else {}

    def _expect_none_given(self) -> None:
        """Raise `NotApplied` where a run has a NIC of its definition that no run had when it was looked at: nobody has asked for it."""
        for alias, net in self._defined_alone().items() if self.tx.record.scope is Scope.BOTH else ():
            if self._is_there(net):
                raise NotApplied(f"domain {self.domain.name} was started with {alias} meanwhile; detach that again")

    def _expect_twin(self) -> None:
        """Raise `TwinGone`, which undoes the detach, where the twin that was to serve instead has left meanwhile, or may leave."""
        if not (alias := str(self.request.get("twin") or "")):
            return
        try:
            view = look(self.domain, BOTH)
        except DomainMissing:
            return
        halves = [half for half in BOTH if view.devices(half) and any(entry[half.value] for entry in self.entries)]
        is_leaving = operation_of_alias(alias, pending_nics(self.host, self.domain.uuid)) is not None
        twin = twin_of(view, alias, plugged_rows(self.host, view))
        if is_leaving or any(twin.half(half) is None for half in halves):
            nics = ", ".join(entry["alias"] for entry in self.entries)
            leaves = "may leave" if is_leaving else "has left meanwhile, or another NIC has its alias"
            raise TwinGone(f"{alias}, which was to serve in the place of {nics}, {leaves}.")

    def _defined_alone(self) -> dict[str, Interface]:
        """The NICs that the detach takes out of the definition alone."""
        return {alias: net for alias, net in self.config.items() if alias not in self.live}

    def _left(self, defined: Collection[str]) -> Sequence[str]:
        """The NICs that have left: a NIC that has come under such an alias since is another's.

        A run of the domain that was not asked yet has what the definition gave it. That is nothing once the operation has waited in vain and is
        ``cleared``. An operation that died before that may have taken a NIC out of the definition after that run had begun.
        """
        tx = self.tx
        if self.release.run.matches(self.run_asked):
            return [alias for alias in self.live if all(tx.is_done(step, alias) for step in ("ask", "guest_release"))]
        return [alias for alias in self.live if alias not in defined] if tx.record.request.get("cleared") else ()

    def _enter(self, aliases: Sequence[str]) -> None:
        """Write into the journal that a run of the domain is asked that was not asked yet, before it is asked for these."""
        if self.release.run.matches(self.run_asked):
            return
        self._expect_twin()
        if aliases:
            with self.host.journal.batch():
                for alias in aliases:
                    self.tx.begin("ask", alias)
                    self.tx.begin("guest_release", alias)
                self.tx.amend(run=self.release.run.request, marked=False, between_hosts=False)
                self.tx.flush()
            self.run_asked = self.release.run

    def _follow(
        self, answers: Mapping[str, Answer], defined: Collection[str]
    ) -> Generator[Wait, GuestEvent | None, dict[str, Answer]]:
        """Ask another run of the domain for what its definition gave it, whatever the run before has answered."""
        run = run_of(self.domain) if defined else NO_RUN
        if run == NO_RUN or guest.goes_on(self.domain, self.release.run):
            return {}
        given = [alias for alias in answers if alias in defined and self._is_there(self.config[alias])]
        if given:
            self.release.enter(run)
            self._enter(given)
        return (yield from self._release(given))

    def _is_there(self, net: Interface) -> bool:
        return guest.there(self.domain, net) is not None


def _undos_at(release: GuestRelease, seconds: float, tx: Transaction) -> Undos:
    """What undoes the steps in the run that was asked last. If the definition may have changed, in the run that there is (see `Site.of`)."""
    run = NO_RUN
    if tx.record.scope is Scope.BOTH and any(
        step.name == "undefine" and tx.was_begun(step.name, step.nic) for step in tx.steps
    ):
        run = run_of(release.domain)
    run = release.run if run == NO_RUN or guest.goes_on(release.domain, release.run) else run
    return PlainDetach.undos(Site(host=release.host, domain=release.domain, run=run, seconds=seconds), tx)


def join(host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Work:
    """Wait with a detach that another call waits with, or go on with one that nobody waits with any more."""
    began, alias = host.clock.monotonic(), record.request["nics"][0]["alias"]
    deadline, was_announced = began + seconds, False
    with domain.watch() as watch:
        while True:
            with taken_over(host, record.id) as mine:
                if mine is not None:
                    return (yield from PlainDetach.go_on(host, domain, mine, deadline - host.clock.monotonic()))
            now, left = host.journal.operation(record.id), deadline - host.clock.monotonic()
            if now is None or now.ended is not None or left <= 0:
                outcome = _joined(host, domain, now or record)
                return dataclasses.replace(outcome, seconds=host.clock.monotonic() - began)
            if not was_announced:
                say_waiting(host, now)
                was_announced = True
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
    result, reason, message = Result.DONE, "", ""
    if record.state is OperationState.DONE:
        pass
    elif record.ended is not None:
        message = f"the detach {record.id}, which had been asked for before, was undone: {record.error}"
        raise Failed(message, reason=record.reason)
    elif (why := stands_still(host, record)) is not None:
        result, reason, message = Result.PENDING, "operation-stalled", f"pending: {why}"
    else:
        result, reason = Result.PENDING, "guest-holds-device"
        message = (
            f"pending: {owner_of(host, record)} waits for the guest to let go (detach {record.id}), and has not ended it. "
            f"{call('recover', domain.name, wait=60)} waits on, and finishes it should that one end."
        )
    return Outcome(
        operation=NAME,
        domain=domain.name,
        result=result,
        operation_id=record.id,
        reason=reason,
        message=message,
        nics=tuple(nics_now(host, domain, lambda nic: is_any_of(nic, record.names))),
        steps=record.steps,
    )


def _run_to_ask(domain: Domain, record: OperationRecord) -> Run:
    """The run that a detach asks: a live detach only the run that it was asked of.

    A detach of both halves asks whatever runs now, once the run that was asked is over for sure.
    """
    if record.scope is Scope.LIVE:
        return record.run
    run, asked = run_of(domain), record.run_asked
    if run == NO_RUN or guest.goes_on(domain, asked) or not how(domain, asked).end.is_final:
        return asked
    return run


class PlainDetach(Operation):
    """Every NIC named. A detach that was left open goes forward, for its guest may have been asked, unless it had begun to be undone.

    `twin` is the alias of the NIC that serves instead. The detach is undone if that NIC has left by the time that the guest has let go.
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
        return self.prepared(self.look(host, domain))

    def look(self, host: Host, domain: Domain) -> DetachSeen:
        """Look at the domain and its open operations."""
        if not self.nics_named:
            raise UsageError("no NIC was named: give its alias, MAC, host device or PCI address")
        view = look(domain, BOTH)
        scope = scope_for(self.scope, view.state, domain.name)
        nics: list[DomainNic] = []
        for selector in self.nics_named:
            nic = find(view, selector, scope.halves)
            if scope is not Scope.BOTH:
                expect_in(view, nic, scope.halves)
            if nic not in nics:
                nics.append(nic)
        partners = {partner_of(net) for nic in nics for net in nic.nets} - {None}
        transient_first = tuple(sorted(nics, key=lambda nic: nic.name in partners))
        return DetachSeen(host=host, view=view, scope=scope, nics=transient_first).checked()

    def prepared(self, asked: DetachSeen) -> Prepared:
        """The detach of what was seen."""
        warnings, domain = asked.all_warnings(), asked.view.domain
        steps = _steps(asked.nics, asked.scope)

        def start(lock: Lock, seconds: float) -> Work:
            if asked.waiting is not None:
                return (yield from join(asked.host, domain, asked.waiting, seconds))
            nets = [nic.net for nic in asked.nics]
            record = new_record(asked.host, asked.view, NAME, asked.scope, nets, asked.request(self.twin), steps)
            with domain.watch() as watch:
                release = GuestRelease(asked.host, domain, record, watch, seconds)
                with transaction(asked.host, record, partial(_undos_at, release, 0.0), goes_on=True) as tx:
                    tx.warn(*warnings)
                    outside = [half for half in BOTH if half not in asked.scope.halves]
                    remains = any(nic.half(half) is not None for nic in asked.nics for half in outside)
                    return (yield from _Detach(tx, release, may_remain=remains).run())

        return Prepared(
            operation=NAME,
            domain=domain.name,
            scope=asked.scope,
            start=start,
            refusals=asked.refusals,
            steps=steps,
            diff=asked.diff,
            warnings=warnings,
        )

    @classmethod
    def knows(cls, record: OperationRecord) -> bool:
        """Also whether the record has every step that a detach of its NICs has; another backend's release has another name."""
        if not super().knows(record):
            return False

        def named(step: Step) -> str:
            return Phase.RELEASE if (step.phase, step.half) == (Phase.RELEASE, Half.LIVE) else step.name

        has = {(named(step), step.nic) for step in record.steps}
        for entry in record.request["nics"]:
            live, config = (xml.interface(entry[half.value]) if entry[half.value] else None for half in BOTH)
            steps = _steps([DomainNic(live, config)], Scope.BOTH) if live or config else ()
            if any((named(step), entry["alias"]) not in has for step in steps):
                return False
        return True

    @classmethod
    def direction_by_steps(cls, record: OperationRecord) -> Direction:
        """Forward: its guest may have been asked."""
        return Direction.FORWARD

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        """What undoes the steps, as long as the detach may be undone."""
        undos: dict[tuple[str, str], Any] = {}
        left = []
        held = {entry["alias"]: entry for entry in tx.record.request.get("held") or ()}
        for entry in tx.record.request["nics"]:
            if entry["config"] is not None:
                undos |= of_undefine(site, tx, entry["alias"], xml.interface(entry["config"]))
            if entry["live"] is not None:
                left.append(Leaving(entry["alias"], entry["live"], entry["config"], held.get(entry["alias"])))
        return {**undos, **of_swap(site, tx, left)}

    @classmethod
    def go_on(cls, host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Work:
        """Take up a detach that was taken over, and go forward with it."""
        with domain.watch() as watch:
            release = GuestRelease(host, domain, record, watch, seconds, _run_to_ask(domain, record))
            with resumed(host, record, partial(_undos_at, release, seconds), goes_on=True) as tx:
                tx.go_forward(TwinGone, NotApplied)
                return (yield from _Detach(tx, release).run())
