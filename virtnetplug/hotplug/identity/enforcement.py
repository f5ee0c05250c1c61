"""Enforce the policies of a domain: unplug emulated NICs whose fast twin is there, and keep one link up of several NICs that could serve.

Each change is an operation of its own, with a record in the journal. What a failure or a crash left undone is done by the next operation on the
domain, or by `recover`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

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
from virtnetplug.hotplug.call.lock import DomainLock, least_of
from virtnetplug.hotplug.change import detach, update
from virtnetplug.hotplug.change.amendment import POLICY, REMEMBER, Amendment, amend
from virtnetplug.hotplug.engine.operation import Direction, Operation
from virtnetplug.hotplug.engine.registry import operation_of
from virtnetplug.hotplug.identity.handover import kept
from virtnetplug.hotplug.identity.serving import Contender, contenders, unheld
from virtnetplug.hotplug.identity.twins import NOWHERE, Twin, policy_of, twins_of
from virtnetplug.hotplug.look.recognition import plugged_rows, without_strangers
from virtnetplug.hotplug.look.view import BOTH, DomainNic, DomainView, look
from virtnetplug.hotplug.plug.remembering import metadata_of, name_of
from virtnetplug.model.identity import DomainMetadata
from virtnetplug.model.operation import Deed, Enforced, Event, Half, Outcome, Plan, Result, Scope
from virtnetplug.ports.domain import Domain, DomainState

_RESULTS = {2: Result.REFUSED, 3: Result.REFUSED, 4: Result.UNDONE, 5: Result.INCOMPLETE, 75: Result.PENDING}
_WHERE = {Half.LIVE: "the guest", Half.CONFIG: "the definition"}


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
            return f"{self.nic} is to go from {' and '.join(_WHERE[half] for half in self.halves)}: {self.why}"
        return f"the link of {self.nic} is to be {'up' if self.deed is Deed.LINK_UP else 'down'}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The result of a change, with a sentence for a person: the outcome of its operation, or the reason why there is none."""

    enforced: Enforced
    sentence: str
    outcome: Outcome | None = None
    reason: str = ""


def dues(host: Host, view: DomainView, metadata: DomainMetadata) -> tuple[Due, ...]:
    """The changes that policies ask for, in the order in which they are made: links up, links down, NICs unplugged.

    Nothing is due while an operation is open that will be undone. The undo may remove the policy, or the NIC that would serve.
    """
    unplugs = [twin for twin in twins_of(host, view, metadata) if twin.halves]
    leaving = {twin.known.alias for twin in unplugs if Half.LIVE in twin.halves}
    links = [due for group in metadata.activation for due in _links(contenders(host, view, group, leaving))]
    ups = [due for due in links if due.deed is Deed.LINK_UP]
    downs = [due for due in links if due.deed is Deed.LINK_DOWN]
    asked = (*ups, *downs, *(_unplug(host, metadata, twin) for twin in unplugs))
    open_one = _undone_first(host, view.domain) if asked else ""
    return tuple(dataclasses.replace(due, obstacle=due.obstacle or open_one) for due in asked)


def _undone_first(host: Host, domain: Domain) -> str:
    """A sentence that names an open operation on the domain that will be undone; empty if there is none."""
    for record in host.journal.open_operations(host.hypervisor.key, domain.uuid):
        operation = operation_of(record)
        if operation is not None and operation.direction(record) is Direction.BACK:
            return f"the {record.operation} {record.id} is open and will be undone; {call('recover', domain.name)} settles it first"
    return ""


def enforce(
    host: Host, domain: Domain, lock: DomainLock, *, seconds: float
) -> tuple[tuple[Done, ...], tuple[str, ...]]:
    """Make the changes that are due. Returns their results, and a sentence for each change that cannot be made.

    `lock` is held, and released while a guest is waited for. The domain is looked at anew before each change, as others may have changed it.
    """
    done: list[Done] = []
    tried: set[tuple[Deed, str]] = set()
    while True:
        view = look(domain, BOTH)
        asked = dues(host, view, metadata_of(view))
        due = next((each for each in asked if not each.obstacle and (each.deed, each.nic) not in tried), None)
        if due is None:
            return tuple(done), tuple(
                f"{each.sentence}. It cannot be: {each.obstacle}" for each in asked if each.obstacle
            )
        tried.add((due.deed, due.nic))
        done.append(_do(host, view, due, lock, seconds))
        if done[-1].reason == DomainBusy.reason:
            return tuple(done), ()  # the lock was not to be had again: nothing more is done without it


def after(host: Host, domain: Domain, lock: DomainLock, outcome: Outcome, *, seconds: float) -> Outcome:
    """The outcome of an operation that succeeded, with the changes that policies made after it. A change that could not be made is a warning."""
    try:
        done, said = enforce(host, domain, lock, seconds=seconds)
    except Interrupted as error:  # what was asked for is done, and the caller gets that outcome
        text = f"not all that policies of {domain.name} ask for was done: {error.message} {call('recover', domain.name)} does the rest."
        return dataclasses.replace(outcome, warnings=(*outcome.warnings, text))
    except VirtnetplugError as error:
        text = f"whether a policy of {domain.name} asks for anything could not be seen: {error.message}"
        return dataclasses.replace(outcome, warnings=(*outcome.warnings, text))
    return telling(outcome, done, said)


def telling(outcome: Outcome, done: Sequence[Done], said: Sequence[str] = ()) -> Outcome:
    """The outcome, with what policies did as well."""
    if not done and not said:
        return outcome
    return dataclasses.replace(
        outcome,
        warnings=(*outcome.warnings, *(each.sentence for each in done), *said),
        enforced=(*outcome.enforced, *(each.enforced for each in done)),
    )


@contextmanager
def standing_in(
    host: Host, view: DomainView, pairs: Sequence[DomainNic], scope: Scope, lock: DomainLock
) -> Iterator[list[Done]]:
    """Before `pairs` leave the guest, set the links up of the NICs that serve then, so that one serves at each moment.

    If the NICs do not leave after all, the links are set as the policies want them with these NICs.
    """
    done: list[Done] = []
    metadata = metadata_of(view)
    try:
        if Half.LIVE in scope.halves:
            for due in stand_ins(host, view, metadata, pairs):
                done.append(_do(host, view, due, lock, 0.0))
        yield done
    except LeftPending:
        raise  # it may still leave; and where the lock was not to be had again, nothing is done without it
    except (VirtnetplugError, KeyboardInterrupt):
        if done:
            restore(host, view.domain, lock)
        raise


def restore(host: Host, domain: Domain, lock: DomainLock) -> None:
    """Enforce the policies again after a failure. The first error is the one that counts; `recover` does what this cannot."""
    with suppress(VirtnetplugError), interruption.held():
        enforce(host, domain, lock, seconds=0.0)


def stand_ins(host: Host, view: DomainView, metadata: DomainMetadata, pairs: Sequence[DomainNic]) -> list[Due]:
    """The links that go up because `pairs` leave the guest."""
    leaving = {name_of(live) for live, _ in pairs if live is not None}
    groups = [group for group in metadata.activation if leaving.intersection(group)]
    links = [due for group in groups for due in _links(contenders(host, view, group, leaving))]
    return [due for due in links if due.deed is Deed.LINK_UP and not due.obstacle]


def release(host: Host, domain: Domain, lock: DomainLock, names: Collection[str]) -> tuple[Done, ...]:
    """Set the links up of NICs that no group holds down any more."""
    view = look(domain, BOTH)
    metadata = metadata_of(view)
    why = "no group of NICs holds it any more"
    found = contenders(host, view, names)
    ups = [
        _link(each, Deed.LINK_UP, why)
        for each in found
        if not each.is_up and not each.obstacle and unheld(metadata, each.net).link_state != "down"
    ]
    return tuple(_do(host, view, due, lock, 0.0) for due in ups)


def finish(host: Host, domain_name: str | None = None, *, seconds: float = 0.0) -> tuple[Outcome, ...]:
    """Do what is due in one domain, or in all: one `Outcome` for each. A domain that cannot be looked at gets an `Outcome` that says so, and is left."""
    outcomes: list[Outcome] = []
    for domain in _due_domains(host, domain_name):
        try:
            with DomainLock(host, domain, seconds, least=least_of(seconds)) as lock:
                done, _ = enforce(host, domain, lock, seconds=seconds)
        except DomainBusy as busy:
            outcomes.append(
                Outcome(
                    operation=POLICY,
                    domain=domain.name,
                    result=Result.PENDING,
                    reason=busy.reason,
                    message=f"whether a policy of {domain.name} asks for anything is not looked at: {busy.message}",
                )
            )
            continue
        outcomes += [
            dataclasses.replace(each.outcome, warnings=(*each.outcome.warnings, each.sentence))
            if each.outcome is not None
            else _outcome(domain, each)
            for each in done
        ]
    return tuple(outcomes)


def plan_finish(host: Host, domain_name: str | None = None) -> tuple[Plan, ...]:
    """What `finish` would do."""
    plans = []
    for domain in _due_domains(host, domain_name):
        view = look(domain, BOTH)
        for due in dues(host, view, metadata_of(view)):
            if not due.obstacle:
                plan = _operation(due).prepare(host, domain).plan()
                plans.append(dataclasses.replace(plan, warnings=(*plan.warnings, due.sentence)))
    return tuple(plans)


def _unplug(host: Host, metadata: DomainMetadata, twin: Twin) -> Due:
    why = f"the policy of its unplug is {policy_of(host, metadata)}, and {twin.decision.why}"
    return Due(deed=Deed.UNPLUG, nic=twin.emulated.name, why=why, halves=twin.halves, twin=twin.known.vif)


def _links(found: Sequence[Contender]) -> Iterator[Due]:
    """The changes of links that one group needs; the NIC that serves comes first."""
    for each in found:
        if each.serves and not each.is_up:
            yield _link(each, Deed.LINK_UP, f"it serves: {each.ranked.why}")
        elif not each.serves and each.is_up:
            yield _link(each, Deed.LINK_DOWN, f"{name_of(found[0].net)} serves: {found[0].ranked.why}")


def _link(contender: Contender, deed: Deed, why: str) -> Due:
    return Due(deed=deed, nic=contender.net.alias or name_of(contender.net), why=why, obstacle=contender.obstacle)


def _do(host: Host, view: DomainView, due: Due, lock: DomainLock, seconds: float) -> Done:
    try:
        if due.deed is not Deed.LINK_UP:
            _keep(host, view, due)
        outcome = _operation(due).prepare(host, view.domain).run(host, lock, seconds)
    except Interrupted:
        raise
    except VirtnetplugError as error:
        enforced = _enforced(due, _RESULTS.get(error.exit_code, Result.INCOMPLETE))
        return Done(
            enforced=enforced, sentence=f"{due.sentence}. It could not be: {error.message}", reason=error.reason
        )
    came = outcome.message if outcome.result is Result.PENDING else "done"
    enforced = _enforced(due, outcome.result, outcome.operation_id)
    return Done(enforced=enforced, sentence=f"{due.sentence}; {came}", outcome=outcome)


def _enforced(due: Due, result: Result, operation_id: str = "") -> Enforced:
    return Enforced(
        deed=due.deed, nic=due.nic, halves=due.halves, why=due.why, result=result, operation_id=operation_id
    )


def _operation(due: Due) -> Operation:
    if due.deed is Deed.UNPLUG:
        scope = Scope.BOTH if len(due.halves) > 1 else Scope(due.halves[0].value)
        return detach.Detach([due.nic], scope=scope, twin=due.twin)
    return update.Update(due.nic, _changes(due), scope=Scope.LIVE)


def _changes(due: Due) -> dict[str, str]:
    return {"link_state": "up" if due.deed is Deed.LINK_UP else "down"}


def _keep(host: Host, view: DomainView, due: Due) -> None:
    """Bring E's record up to date before E is detached or its link goes down. The record must have the identity of a NIC at work."""
    pair = next(
        (pair for pair in view.nics if any(net is not None and due.nic in (net.alias, str(net.mac)) for net in pair)),
        None,
    )
    net, metadata = (pair.net) if pair is not None else None, metadata_of(view)
    known = metadata.identity(name_of(net)) if net is not None else None
    if pair is None or known is None:
        return
    pair = without_strangers(known.alias, pair, known, plugged_rows(host, view))
    if pair == NOWHERE:
        return
    change = kept(view, metadata, pair, vif=known.vif, is_out=known.is_out)
    if change.after != known:
        message = f"{known.alias} is remembered as it is now"
        amend(host, view, Amendment(operation=REMEMBER, message=message, remembered=(change,)))


def _due_domains(host: Host, domain_name: str | None) -> Iterator[Domain]:
    """The domains that have virtnetplug metadata, and a change that is due."""
    if domain_name is not None:
        try:
            one = host.hypervisor.domain(domain_name)
            definitions: Sequence[tuple[Domain, DomainState]] = [(one, one.state())]
        except DomainMissing:
            return  # `recover` knows its operations by its name
    else:
        definitions = list(host.hypervisor.definitions())
    for domain, state in definitions:
        try:
            if xml.NAMESPACE not in domain.xml(Half.LIVE if state.is_active else Half.CONFIG):
                continue
            view = look(domain, BOTH)
            if any(not due.obstacle for due in dues(host, view, metadata_of(view))):
                yield domain
        except (DomainMissing, DomainNotRunning, DomainTransient):
            continue
        except VirtnetplugError as error:
            text = f"whether a policy of {domain.name} asks for anything cannot be seen: {error.message}"
            host.publish(Event(kind="warning", text=text, domain=domain.name))


def _outcome(domain: Domain, done: Done) -> Outcome:
    """The outcome of a policy's change that failed before an operation began."""
    return Outcome(
        operation=detach.NAME if done.enforced.deed is Deed.UNPLUG else update.NAME,
        domain=domain.name,
        result=done.enforced.result,
        reason=done.reason,
        message=done.sentence,
    )
