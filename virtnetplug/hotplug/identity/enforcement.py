"""Enforce the policies of a domain: unplug emulated NICs whose fast twin is there, and keep one link up of several NICs that could serve.

Each change is an operation of its own, with a record in the journal. What a failure or a crash left undone is done by the next operation on the
domain, or by `recover`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from virtnetplug import interruption, xml
from virtnetplug.errors import (
    DomainBusy,
    DomainMissing,
    DomainNotRunning,
    DomainTransient,
    Interrupted,
    LeftPending,
    VirtnetplugError,
    call,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock, least_of
from virtnetplug.hotplug.call.waiting import Work
from virtnetplug.hotplug.change import detach, update
from virtnetplug.hotplug.change.remembering import POLICY, REMEMBER, amend, name_of
from virtnetplug.hotplug.engine.kinds import operation_of
from virtnetplug.hotplug.engine.operation import Direction, Operation
from virtnetplug.hotplug.engine.prepared import Prepared, failure
from virtnetplug.hotplug.identity.known import NOWHERE, KnownDomain, candidates, twins_of
from virtnetplug.hotplug.look.recognition import without_strangers
from virtnetplug.hotplug.look.view import DomainNic
from virtnetplug.model.identity import CandidateView
from virtnetplug.model.operation import Deed, Enforced, Event, Half, Outcome, Plan, Result, Scope
from virtnetplug.ports.domain import Domain, DomainState

_WHERE = {Half.LIVE: "the guest", Half.CONFIG: "the definition"}
_LINKS = {Deed.LINK_UP: "up", Deed.LINK_DOWN: "down"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A change that a policy asks for. `obstacle` says why it cannot be done; `twin` is the NIC that serves instead of a NIC that is unplugged."""

    deed: Deed
    nic: str
    why: str
    halves: tuple[Half, ...] = (Half.LIVE,)
    obstacle: str = ""
    twin: str = ""

    @property
    def sentence(self) -> str:
        """The change and its reason, for people."""
        if self.deed is Deed.UNPLUG:
            return f"{self.nic} is to be unplugged from {' and '.join(_WHERE[half] for half in self.halves)}, because {self.why}"
        return f"the link of {self.nic} is to be {_LINKS[self.deed]}, because {self.why}"

    @property
    def operation(self) -> Operation:
        """The operation that makes the change."""
        if self.deed is not Deed.UNPLUG:
            return update.Update(self.nic, {"link_state": _LINKS[self.deed]}, scope=Scope.LIVE)
        scope = Scope.BOTH if len(self.halves) > 1 else Scope(self.halves[0].value)
        return detach.PlainDetach([self.nic], scope=scope, twin=self.twin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The result of a change, with a sentence for a person. `outcome` is that of its operation, which may have failed before it began."""

    enforced: Enforced
    sentence: str
    outcome: Outcome


def dues(known: KnownDomain) -> tuple[Due, ...]:
    """The changes that policies ask for, in the order in which they are made: links up, links down, NICs unplugged.

    Nothing is due while an operation is open that will be undone. The undo may remove the policy, or the NIC that would serve.
    """
    twins = [twin for twin in twins_of(known) if twin.halves]
    leaving = {twin.view.alias for twin in twins if Half.LIVE in twin.halves}
    links = [due for group in known.metadata.activation for due in _links(known, group, leaving)]
    unplugs = [
        Due(
            deed=Deed.UNPLUG,
            nic=twin.emulated.name,
            why=f"the unplug policy is {known.policy}, and {twin.why}",
            halves=twin.halves,
            twin=twin.view.vif,
        )
        for twin in twins
    ]
    asked = [*sorted(links, key=lambda due: due.deed is Deed.LINK_DOWN), *unplugs]
    open_one = _undone_first(known.host, known.view.domain) if asked else ""
    return tuple(replace(due, obstacle=due.obstacle or open_one) for due in asked)


def _undone_first(host: Host, domain: Domain) -> str:
    """A sentence that names an open operation on the domain that will be undone; empty if there is none."""
    for record in host.journal.open_operations(host.hypervisor.key, domain.uuid):
        operation = operation_of(record)
        if operation is not None and operation.direction(record) is Direction.BACK:
            return f"the {record.operation} {record.id} is open and will be undone; {call('recover', domain.name)} settles it first"
    return ""


def enforce(host: Host, domain: Domain, lock: Lock, *, seconds: float) -> tuple[list[Done], list[str]]:
    """Make the changes that are due. Returns their results, and a sentence for each change that cannot be made.

    `lock` is held, and released while a guest is waited for. The domain is looked at anew before each change, as others may have changed it.
    """
    done: list[Done] = []
    tried: set[tuple[Deed, str]] = set()
    while True:
        known = KnownDomain.of(host, domain)
        asked = dues(known)
        due = next((each for each in asked if not each.obstacle and (each.deed, each.nic) not in tried), None)
        if due is None:
            return done, [f"{each.sentence}. This cannot be done: {each.obstacle}" for each in asked if each.obstacle]
        tried.add((due.deed, due.nic))
        done.append(_do(known, due, lock, seconds))
        if done[-1].outcome.reason == DomainBusy.reason:
            return done, []  # the lock was not to be had again: nothing more is done without it


def after(host: Host, domain: Domain, lock: Lock, outcome: Outcome, *, seconds: float) -> Outcome:
    """The outcome of an operation that succeeded, with the changes that policies made after it. A change that could not be made is a warning."""
    try:
        done, left = enforce(host, domain, lock, seconds=seconds)
    except (
        VirtnetplugError
    ) as error:  # what was asked for is done, and the caller gets that outcome, also after an interruption
        text = (
            f"some changes by policies of {domain.name} were not made: {error.message} {call('recover', domain.name)} makes them."
            if isinstance(error, Interrupted)
            else f"the policies of {domain.name} could not be enforced: {error.message}"
        )
        return replace(outcome, warnings=(*outcome.warnings, text))
    return telling(outcome, done, left)


def telling(outcome: Outcome, done: Sequence[Done], left: Sequence[str] = ()) -> Outcome:
    """The outcome, with what policies did as well."""
    return replace(
        outcome,
        warnings=(*outcome.warnings, *(each.sentence for each in done), *left),
        enforced=(*outcome.enforced, *(each.enforced for each in done)),
    )


def run_with_stand_ins(
    known: KnownDomain, nics: Sequence[DomainNic], scope: Scope, prepared: Prepared, lock: Lock, seconds: float
) -> Work:
    """Set the links up of the NICs that serve once `nics` have left the guest, then run the operation: one NIC serves at each moment.

    If the NICs do not leave after all, the links are set as the policies want them with these NICs.
    """
    done: list[Done] = []
    try:
        for due in stand_ins(known, nics, scope):
            done.append(_do(known, due, lock, 0.0))
        outcome = yield from prepared.start(lock, seconds)
        return telling(outcome, done)
    except LeftPending:
        raise  # it may still leave; and where the lock was not to be had again, nothing is done without it
    except (VirtnetplugError, KeyboardInterrupt):
        if done:
            restore(known.host, known.view.domain, lock)
        raise


def restore(host: Host, domain: Domain, lock: Lock) -> None:
    """Enforce the policies again after a failure. The first error is the one that counts; `recover` does what this cannot."""
    with suppress(VirtnetplugError), interruption.held():
        enforce(host, domain, lock, seconds=0.0)


def stand_ins(known: KnownDomain, nics: Sequence[DomainNic], scope: Scope) -> list[Due]:
    """The links that go up because `nics` leave the definitions of `scope`."""
    leaving = {name_of(nic.live) for nic in nics if nic.live is not None and Half.LIVE in scope.halves}
    groups = [group for group in known.metadata.activation if leaving.intersection(group)]
    links = [due for group in groups for due in _links(known, group, leaving)]
    return [due for due in links if due.deed is Deed.LINK_UP and not due.obstacle]


def release(host: Host, domain: Domain, lock: Lock, names: Collection[str]) -> list[Done]:
    """Set the links up of NICs that no group holds down any more."""
    known = KnownDomain.of(host, domain)
    held = [each for each in candidates(known, names) if each.link_state == "down" and not each.obstacle]
    ups = [
        _link(known, each, Deed.LINK_UP, "no group of NICs holds the link down any more")
        for each in held
        if known.unheld(known.nets[each.alias]).link_state != "down"
    ]
    return [_do(known, due, lock, 0.0) for due in ups]


def finish(host: Host, domain_name: str | None = None, *, seconds: float = 0.0) -> Iterator[Outcome]:
    """Do what is due in one domain, or in all: one `Outcome` for each. A domain whose lock another call holds gets an `Outcome` that says so."""
    for domain, _ in _with_dues(host, domain_name):
        try:
            with Lock(host, [domain], seconds, least=least_of(seconds)) as lock:
                done, _ = enforce(host, domain, lock, seconds=seconds)
            yield from (each.outcome for each in done)
        except DomainBusy as busy:
            text = f"the policies of {domain.name} were not enforced: {busy.message}"
            yield Outcome(operation=POLICY, domain=domain.name, result=Result.PENDING, reason=busy.reason, message=text)


def plan_finish(host: Host, domain_name: str | None = None) -> Iterator[Plan]:
    """What `finish` would do."""
    for domain, asked in _with_dues(host, domain_name):
        for due in asked:
            plan = due.operation.prepare(host, domain).plan()
            yield replace(plan, warnings=(*plan.warnings, due.sentence))


def _links(known: KnownDomain, group: Collection[str], leaving: Collection[str]) -> Iterator[Due]:
    """The changes of links that one group needs; the NIC that serves comes first."""
    found = candidates(known, group, leaving)
    for each in found:
        if each.is_held and each.link_state == "up":
            yield _link(known, each, Deed.LINK_DOWN, f"{found[0].alias} serves: {found[0].why}")
        elif not each.is_held and each.link_state == "down":
            yield _link(known, each, Deed.LINK_UP, f"it serves: {each.why}")


def _link(known: KnownDomain, candidate: CandidateView, deed: Deed, why: str) -> Due:
    name = known.nets[candidate.alias].alias or candidate.alias
    return Due(deed=deed, nic=name, why=why, obstacle=candidate.obstacle)


def _do(known: KnownDomain, due: Due, lock: Lock, seconds: float) -> Done:
    host, domain = known.host, known.view.domain
    try:
        if due.deed is not Deed.LINK_UP:
            _keep(known, due)
        outcome = due.operation.prepare(host, domain).run(host, lock, seconds)
        sentence = f"{due.sentence}; {outcome.message if outcome.result is Result.PENDING else 'done'}"
        outcome = replace(outcome, warnings=(*outcome.warnings, sentence))
    except Interrupted:
        raise
    except VirtnetplugError as error:
        sentence = f"{due.sentence}. This could not be done: {error.message}"
        operation = detach.NAME if due.deed is Deed.UNPLUG else update.NAME
        outcome = replace(failure(operation, domain.name, error), message=sentence)
    enforced = Enforced(
        deed=due.deed,
        nic=due.nic,
        halves=due.halves,
        why=due.why,
        result=outcome.result,
        operation_id=outcome.operation_id,
    )
    return Done(enforced=enforced, sentence=sentence, outcome=outcome)


def _keep(known: KnownDomain, due: Due) -> None:
    """Write E's record anew before E is detached or its link goes down. The record must have the identity of a NIC at work."""
    for nic in known.view.nics:
        identity = known.metadata.identity(name_of(nic.net))
        if identity is None or not any(due.nic in (net.alias, str(net.mac)) for net in nic.nets):
            continue
        nic = without_strangers(identity.alias, nic, identity, known.rows)
        if nic != NOWHERE:
            change = known.record(nic, vif=identity.vif, is_out=identity.is_out)
            if change.after != identity:
                amend(known.host, known.view, REMEMBER, f"{identity.alias} is remembered as it is now", change)
        return


def _with_dues(host: Host, domain_name: str | None) -> Iterator[tuple[Domain, list[Due]]]:
    """Each domain whose policies ask for a change that can be made. A domain that cannot be looked at is announced, and left out."""
    there: list[tuple[Domain, DomainState]] = []
    with suppress(DomainMissing):  # of a domain that is gone, `recover` knows the operations by its name
        named = [host.hypervisor.domain(domain_name)] if domain_name is not None else []
        there = [(each, each.state()) for each in named] or list(host.hypervisor.definitions())
    for domain, state in there:
        try:
            if xml.NAMESPACE not in domain.xml(Half.LIVE if state.is_active else Half.CONFIG):
                continue
            asked = [due for due in dues(KnownDomain.of(host, domain)) if not due.obstacle]
            if asked:
                yield domain, asked
        except (DomainMissing, DomainNotRunning, DomainTransient):
            continue
        except VirtnetplugError as error:
            text = f"what the policies of {domain.name} ask for cannot be seen: {error.message}"
            host.publish(Event(kind="warning", text=text, domain=domain.name))
