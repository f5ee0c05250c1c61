"""Recover: finish or undo what a crash, a lost connection or a stubborn guest left open. Safe at any time, and twice.

An operation that a living call owns (see `ownership`) is left to that call, and one that this version does not know stays open. The outcomes name
both; neither stops the recovery of others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from virtnetplug.errors import (
    DomainBusy,
    DomainMissing,
    DomainNotRunning,
    ForgetRefused,
    Interrupted,
    JournalMoved,
    OperationTaken,
    VirtnetplugError,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import DomainLock, least_of
from virtnetplug.hotplug.call.waiting import to_end
from virtnetplug.hotplug.engine.operation import Direction, Operation
from virtnetplug.hotplug.engine.ownership import (
    as_named_now,
    await_end,
    is_abandoned,
    owner_of,
    stands_still,
    taken_over,
)
from virtnetplug.hotplug.engine.registry import operation_of, why_unknown
from virtnetplug.hotplug.engine.transaction import REMEDY, recover_command, resumed
from virtnetplug.hotplug.guest import guest, orphans, travel
from virtnetplug.hotplug.guest.ending import REASONS, asked_guest, between_hosts, how, is_between_hosts, touched_guest
from virtnetplug.hotplug.guest.ending import message as describe_end
from virtnetplug.hotplug.guest.nic_rows import keep_or_drop_all
from virtnetplug.hotplug.look.view import describe, has_source_of
from virtnetplug.hotplug.recover import arrivals
from virtnetplug.hotplug.recover.returns import return_devices
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import (
    Event,
    Half,
    OperationRecord,
    OperationState,
    Outcome,
    Plan,
    Refusal,
    Result,
    Scope,
    Step,
    StepState,
)
from virtnetplug.model.travelling import Asked
from virtnetplug.ports.domain import Domain, HowEnded


def recover(
    host: Host,
    domain_name: str | None = None,
    *,
    seconds: float = 0.0,
    allow_taint: bool = False,
    any_address: bool = False,
    forget: str = "",
) -> tuple[Outcome, ...]:
    """Settle every open operation that no living call owns. `seconds` bounds each wait by itself: for a guest, for a lock, for a call that owns one.

    With `allow_taint` a NIC that the hypervisor does not know any more is removed through the emulator's own monitor. With `any_address` a NIC
    whose guest address somebody has taken (``place-taken``) is put at another one. With `forget`, the id of an operation, that one is closed and nothing
    else done: its guest must have been saved, have ended in a way that is not known, have the NIC connected to something else, or lack a NIC that
    could not be put back; what is held for that one is given back. Raises `ForgetRefused`.
    """
    if forget:
        return _forget(host, domain_name, forget, seconds)
    wanted = _wanted(host, domain_name)
    outcomes: list[Outcome] = []
    _take_over_arrivals(host, wanted)
    try:
        for record in _open(host, wanted):
            outcome = _one(host, record, seconds, allow_taint=allow_taint, any_address=any_address)
            outcomes += [outcome] if outcome is not None else []
        for uuid in (None,) if wanted is None else wanted:
            outcomes += return_devices(host, uuid, seconds=seconds)
    except JournalMoved:
        if not outcomes:
            raise
    return tuple(outcomes)


def _wanted(host: Host, domain_name: str | None) -> Sequence[str] | None:
    """The UUIDs of the domains of that name, None for all; of those that are no more only the journal knows the names. Raises `DomainMissing`."""
    if domain_name is None:
        return None
    known = {(one.domain_uuid, one.domain_name) for one in host.journal.open_operations(host.hypervisor.key)}
    known |= {
        (one.domain_uuid, one.domain_name) for one in host.journal.holdings() if one.hypervisor == host.hypervisor.key
    }
    named = {uuid for uuid, name in known if uuid and domain_name in (uuid, name)}
    try:
        its, missing = {host.hypervisor.domain(domain_name).uuid}, None
    except DomainMissing as error:
        its, missing = set[str](), error
    gone = named - its and named - {domain.uuid for domain in host.hypervisor.domains()}
    if missing is not None and not gone:
        raise missing
    return sorted(its | gone)


def _domains(host: Host, wanted: Sequence[str]) -> Iterator[Domain]:
    """Those of them that there are."""
    for uuid in wanted:
        with suppress(DomainMissing):
            yield host.hypervisor.domain(uuid)


def _forget(host: Host, domain_name: str | None, operation_id: str, seconds: float) -> tuple[Outcome, ...]:
    """Close an operation of which nobody knows how its guest ended, as its owner says that the guest is no more; or one whose NIC stays out."""
    wanted = _wanted(host, domain_name)
    is_known = host.journal.operation(operation_id) is not None
    if not is_known and (cleared := _clear(host, wanted, operation_id, seconds)) is not None:
        return (cleared,)
    record = _open_record(host, operation_id)
    if (operation := operation_of(record)) is not None and not operation.of_one_domain(record):
        return _forget_of_several(host, record, operation, wanted, seconds)
    elsewhere = _elsewhere(host, record)
    _expect_forgettable(domain_name, wanted, record, lacks_nics=bool(_out(host, record)), is_elsewhere=bool(elsewhere))
    try:
        domain = host.hypervisor.domain(record.domain_uuid)
    except DomainMissing:
        outcome = _settle_without_domain(host, record, OperationState.LEFT)
        if outcome is None:
            raise ForgetRefused(f"another call works on the operation {operation_id}, or has settled it") from None
        return (outcome,)
    with DomainLock(host, domain, seconds):
        out, is_active = _out(host, record), domain.state().is_active
        _expect_undecided(domain, record, is_told=bool(elsewhere or out))
        with taken_over(host, record.id) as mine:
            if mine is None:
                raise ForgetRefused(f"another call works on the operation {operation_id}, or has settled it")
            if (why := travel.forget(domain, [operation_id], [travel.known(net) for net in out])) is not None:
                raise ForgetRefused(f"{domain.name} cannot be made to forget {operation_id}: {why}")
            if out:
                said = f"{', '.join(map(describe, out))} stays out of the guest{_not_come(domain, mine)}"
            elif elsewhere:
                said = _said_of(mine, elsewhere)
            else:
                said = _said_unknown(mine, is_active=is_active)
            message = f"forgotten: the {mine.operation} {mine.id} of {mine.domain_name} is closed. {said}"
            with resumed(host, mine) as tx:
                orphans.drop_ports(host, domain, orphans.nets_in_record(mine))
                also = partial(keep_or_drop_all, host, domain, out)
                tx.finish(OperationState.LEFT, Result.LEFT, reason="forgotten", error=message, also=also)
                closed = tx.outcome(Result.LEFT, reason="forgotten", message=message)
        return (closed, *return_devices(host, domain.uuid, domain=domain, seconds=seconds))


def _can_be_settled(record: OperationRecord) -> ForgetRefused:
    return ForgetRefused(
        f"operation {record.id} can be settled: only one whose guest was saved, or ended in a way that is not known, or has its NIC connected to "
        "something else by now, or lacks a NIC that could not be put back, is forgotten. "
        f"'{recover_command(record)} --wait 60' goes on with it"
    )


def _forget_of_several(
    host: Host, record: OperationRecord, operation: type[Operation], wanted: Sequence[str] | None, seconds: float
) -> tuple[Outcome, ...]:
    """Close an operation on the guests of several domains whose NICs stay out, and give back what is held for them."""
    touched = sorted({uuid for uuid, _ in record.touched})
    if wanted is not None and not set(touched) & set(wanted):
        raise ForgetRefused(f"operation {record.id} is none of that domain")
    closed = operation.forget(host, record, seconds)
    if closed is None:
        raise _can_be_settled(record)
    return (closed, *(back for uuid in touched for back in return_devices(host, uuid, seconds=seconds)))


def _open_record(host: Host, operation_id: str) -> OperationRecord:
    """That operation; raises `ForgetRefused` if there is none that is open."""
    record = host.journal.operation(operation_id)
    if record is None or record.ended is not None or record.hypervisor != host.hypervisor.key:
        raise ForgetRefused(
            f"there is no open operation {operation_id}; 'virtnetplug recover --plan' lists those there are"
        )
    return as_named_now(host, record)


def _expect_forgettable(
    domain_name: str | None,
    wanted: Sequence[str] | None,
    record: OperationRecord,
    *,
    lacks_nics: bool,
    is_elsewhere: bool,
) -> None:
    """Raise `ForgetRefused` if it is not one of the domain, or can be settled.

    It cannot if its guest `lacks_nics` that could not be put back, or has them connected to something else (`is_elsewhere`).
    """
    if wanted is not None and record.domain_uuid not in wanted:
        raise ForgetRefused(
            f"operation {record.id} is one of {record.domain_name or 'no one domain'}, not of {domain_name}"
        )
    reasons = (REASONS[HowEnded.UNKNOWN], REASONS[HowEnded.SAVED])
    is_pending = record.state is OperationState.PENDING
    if not lacks_nics and not (is_pending and (record.reason in reasons or is_elsewhere)):
        raise _can_be_settled(record)


def _expect_undecided(domain: Domain, record: OperationRecord, *, is_told: bool) -> None:
    """Raise `ForgetRefused` where the domain runs, unless its NICs tell all there is to know (`is_told`), or nothing tells how the run ended."""
    if domain.state().is_active and not is_told and not _is_unknown(domain, record):
        raise ForgetRefused(
            f"{record.domain_name} runs, which decides the operation {record.id}: '{recover_command(record)} --wait 60' goes on with it"
        )


def plan_forget(host: Host, domain_name: str | None, operation_id: str) -> Plan:
    """What `recover` with `forget` would do. Raises `ForgetRefused`."""
    wanted = _wanted(host, domain_name)
    if host.journal.operation(operation_id) is None:
        for domain in _carriers(host, wanted):
            with suppress(DomainNotRunning, DomainMissing):
                if (asked := _asked_in(domain, operation_id)) is not None:
                    text = f"the guest of {domain.name} would not carry the {asked.operation} {asked.id} any more, which this journal does not have"
                    return Plan(
                        operation="recover", domain=domain.name, scope=Scope(asked.scope), fits=True, warnings=(text,)
                    )
    record = _open_record(host, operation_id)
    if not is_abandoned(host, record):
        raise ForgetRefused(f"another call works on the operation {operation_id}, or has settled it")
    text = f"{record.operation} {record.id} of {record.domain_name}, left {record.state}, would be closed and forgotten"
    if (operation := operation_of(record)) is not None and not operation.of_one_domain(record):
        text = f"{record.operation} {record.id}, left {record.state}, would be closed if nothing of it is left to undo but NICs that cannot be put back"
        return Plan(operation="recover", domain="", scope=record.scope, fits=True, warnings=(text,))
    elsewhere, out = _elsewhere(host, record), _out(host, record)
    _expect_forgettable(domain_name, wanted, record, lacks_nics=bool(out), is_elsewhere=bool(elsewhere))
    with suppress(DomainMissing):
        _expect_undecided(host.hypervisor.domain(record.domain_uuid), record, is_told=bool(elsewhere or out))
    left = (f"{', '.join(map(describe, out))} stays out of the guest",) if out else ()
    return Plan(operation="recover", domain=record.domain_name, scope=record.scope, fits=True, warnings=(text, *left))


def _said_of(record: OperationRecord, elsewhere: Mapping[str, str]) -> str:
    """What is known, and what is not, of NICs of the operation that are connected to something else by now."""
    released = (step.nic for step in record.steps if (step.name, step.state) == ("guest_release", StepState.DONE))
    others = ", ".join(elsewhere.values())
    if set(elsewhere).issubset(released):
        return f"Its guest has let go of {', '.join(elsewhere)}; {others} came since, and is left as it is"
    return f"Not known is whether {others} is the NIC that its guest was asked for, and lets go of yet: it is left as it is"


def _said_unknown(record: OperationRecord, *, is_active: bool) -> str:
    """What is not known of an operation whose guest may be any, where the domain runs (`is_active`) or not."""
    nics, was_asked = _nics_of(record), asked_guest(record.steps)
    if is_active and was_asked:
        return f"Not known is whether the guest that runs is the one that was asked for {nics}: if it is, it may still let go"
    if is_active:
        return f"Not known is whether the guest that runs is the one in which the {record.operation} began: {nics} is left as it is there"
    what = f"had let go of {nics}" if was_asked else f"has what the {record.operation} did with {nics}"
    return f"Not known is whether its guest {what}, and whether it comes back: from an image it would, with what it had"


def _asked(record: OperationRecord) -> list[Interface]:
    """The NICs that the guest was asked for, each once, as it had them: what comes in the place of one may have its alias, and is named after it."""
    live = record.request.get(Half.LIVE.value)
    elements = [entry.get(Half.LIVE.value) for entry in record.named]
    elements += [live.get("before")] if isinstance(live, dict) else []
    elements += [entry.get("element") for entry in record.named]
    asked: dict[str | None, Interface] = {}
    for net in orphans.readable(elements):
        if net.alias in (record.asked or ()):
            asked.setdefault(net.alias, net)
    return list(asked.values())


def _not_come(domain: Domain, record: OperationRecord) -> str:
    """The sentence that names the NICs that were to come in the place of those that stay out, and that the guest lacks as well."""
    nets = orphans.readable(entry.get("element") for entry in record.named)
    coming = {net.alias: net for net in nets if net.alias not in (record.asked or ())}
    lacking = [describe(net) for net in coming.values() if guest.there(domain, net) is None]
    return f"; nor does the guest have {', '.join(lacking)}, which was to come" if lacking else ""


def _out(host: Host, record: OperationRecord) -> tuple[Interface, ...]:
    """The NICs that the guest lacks because an undo could not put them back; none if anything else of the operation is not undone."""
    left = {(step.name, step.nic) for step in record.steps if step.state is StepState.UNDO_FAILED}
    if record.state is not OperationState.INCOMPLETE or {name for name, _ in left} != {"ask"}:
        return ()
    nets = [net for net in _asked(record) if ("ask", net.alias) in left]
    with suppress(DomainMissing, DomainNotRunning):
        domain = host.hypervisor.domain(record.domain_uuid)
        if guest.goes_on(domain, record.run_asked):
            return tuple(net for net in nets if guest.there(domain, net) is None)
    return ()


def _elsewhere(host: Host, record: OperationRecord) -> dict[str, str]:
    """The NICs that the guest was asked for, and that are connected to something else by now, as they are told, by alias."""
    try:
        domain = host.hypervisor.domain(record.domain_uuid)
        there = [(guest.now_of(domain, net, run=record.run_asked), net) for net in _asked(record)]
    except DomainMissing:
        return {}
    return {net.alias or "": describe(now) for now, net in there if now is not None and not has_source_of(now, net)}


def _is_unknown(domain: Domain, record: OperationRecord) -> bool:
    """Whether the domain runs, and yet nothing says how the run ended that the operation asked."""
    run = record.run_asked
    return not guest.goes_on(domain, run) and how(domain, run).end is HowEnded.UNKNOWN


def _clear(host: Host, wanted: Sequence[str] | None, operation_id: str, seconds: float) -> Outcome | None:
    """Have a guest no longer carry what an operation asked that the journal does not have; None if none carries it."""
    for domain in _carriers(host, wanted):
        with suppress(DomainNotRunning, DomainMissing), DomainLock(host, domain, seconds):
            asked = _asked_in(domain, operation_id)
            if asked is None:
                continue
            if (why := travel.forget(domain, [operation_id], ())) is not None:
                raise ForgetRefused(f"{domain.name} cannot be made to forget {operation_id}: {why}")
            nets = guest.nets_of(domain)
            nics = ", ".join(travel.told(nic, nets) for nic in asked.nics)
            message = (
                f"forgotten: the guest of {domain.name} does not carry the {asked.operation} {asked.id} any more, which this journal does not have. Not known "
                f"is whether it lets go of {nics} yet, for it was asked"
            )
            return Outcome(
                operation=asked.operation,
                domain=domain.name,
                result=Result.LEFT,
                operation_id=asked.id,
                reason="forgotten",
                message=message,
            )
    return None


def _carriers(host: Host, wanted: Sequence[str] | None) -> Iterable[Domain]:
    """The domains whose guests may carry what an operation asked."""
    return host.hypervisor.running() if wanted is None else _domains(host, wanted)


def _asked_in(domain: Domain, operation_id: str) -> Asked | None:
    """What the guest carries of that operation."""
    carried = travel.carried_in(domain, domain.travelling()).asked
    return next((each for each in carried if each.id == operation_id), None)


def _take_over_arrivals(host: Host, wanted: Sequence[str] | None) -> None:
    """What guests bring with them, and what ended with them, of one domain or of all; a domain that is busy is left for the next time."""
    for domain in host.hypervisor.domains() if wanted is None else _domains(host, wanted):
        if not arrivals.are_there(host, domain):
            continue
        with suppress(DomainBusy, DomainMissing), DomainLock(host, domain, 0.0, least=0.0):
            arrivals.take_over(host, domain)
    if wanted is None:
        arrivals.forget_departed(host)


def plan_recover(host: Host, domain_name: str | None = None) -> tuple[Plan, ...]:
    """What `recover` would do, one plan for each open operation, and for each that guests have brought with them."""
    wanted = _wanted(host, domain_name)
    domains = host.hypervisor.running() if wanted is None else _domains(host, wanted)
    came = [plan for domain in domains if arrivals.are_there(host, domain) for plan in arrivals.coming(host, domain)]
    return (*came, *(_plan(host, record) for record in _open(host, wanted)))


def _open(host: Host, wanted: Sequence[str] | None) -> Sequence[OperationRecord]:
    """Every open operation, or those of these domains and those of PFs that they have a VF of."""
    found = host.journal.open_operations(host.hypervisor.key, *(() if wanted is None else (*wanted, "")))
    return [
        as_named_now(host, record)
        for record in found
        if wanted is None or record.domain_uuid or any(uuid in wanted for uuid, _ in record.touched)
    ]


def _one(
    host: Host, record: OperationRecord, seconds: float, *, allow_taint: bool, any_address: bool
) -> Outcome | None:
    """What came of one operation; None if another call has settled it."""
    if not is_abandoned(host, record):
        await_end(host, record, seconds)
        if (now := host.journal.operation(record.id)) is None or now.ended is not None:
            return None
        record = as_named_now(host, now)
    if not is_abandoned(host, record):
        return _left_to_its_owner(host, record)
    operation = operation_of(record)
    if operation is None:
        return _unknown(record)
    try:
        if not operation.of_one_domain(record):
            return operation.settle(host, record, seconds, any_address=any_address)
        try:
            domain = host.hypervisor.domain(record.domain_uuid)
        except DomainMissing:
            return _settle_without_domain(host, record, operation.without_domain)
        with DomainLock(host, domain, seconds, least=least_of(seconds)) as lock:
            return _settle(
                host, domain, record, operation, lock, seconds, allow_taint=allow_taint, any_address=any_address
            )
    except DomainBusy as busy:
        return _outcome(record, Result.PENDING, busy.reason, busy.message)
    except Interrupted:
        raise
    except VirtnetplugError as error:
        return _failed(host, record, error)


def settle_crashed(host: Host, domain: Domain, lock: DomainLock) -> None:
    """What runs before an operation on `domain`: settle what can be settled without waiting. A NIC still held blocks itself only."""
    arrivals.take_over(host, domain)
    for record in _open(host, (domain.uuid,)):
        operation = operation_of(record)
        if operation is None or not operation.of_one_domain(record) or not is_abandoned(host, record):
            continue
        try:
            _settle(host, domain, record, operation, lock, 0.0, allow_taint=False)
        except Interrupted:
            raise
        except VirtnetplugError as error:
            left = _failed(host, record, error)
            if left is None:
                continue
            what = "was undone" if left.result is Result.UNDONE else "could not be settled"
            text = f"{record.operation} {record.id} {what}: {error.message}"
            host.publish(Event(kind="warning", text=text, operation_id=record.id, domain=record.domain_name))
    return_devices(host, domain.uuid, domain=domain)


def _settle(
    host: Host,
    domain: Domain,
    record: OperationRecord,
    operation: type[Operation],
    lock: DomainLock,
    seconds: float,
    *,
    allow_taint: bool,
    any_address: bool = False,
) -> Outcome | None:
    """Finish or undo it under the domain's `lock`; None where another call was first."""
    with taken_over(host, record.id) as mine:
        if mine is None:
            return None
        text = f"settling {mine.operation} {mine.id} of {mine.domain_name}, left {mine.state}"
        host.publish(Event(kind="step", text=text, operation_id=mine.id, domain=mine.domain_name))
        domain.await_idle()
        if touched_guest(mine.steps):
            mine = _as_seen_between_hosts(host, domain, mine)
            if mine.run_asked.between_hosts and guest.goes_on(domain, mine.run_asked):
                return _left_between_hosts(host, mine)
        if any_address and (request := operation.anywhere(domain, mine.request)) != mine.request:
            mine = dataclasses.replace(mine, request=request)
            host.journal.amend(mine.id, request, owner=mine.owner)
        if operation.direction(mine) is Direction.FORWARD:
            return to_end(host, operation.go_on(host, domain, mine, seconds), lock)
        return operation.go_back(host, domain, mine, seconds, allow_taint=allow_taint)


def _as_seen_between_hosts(host: Host, domain: Domain, record: OperationRecord) -> OperationRecord:
    """The record, which says from now on whether the run that it works on is between two hosts."""
    is_half = is_between_hosts(domain, record.run_asked)
    if is_half == record.run_asked.between_hosts:
        return record
    request = {**record.request, "between_hosts": is_half}
    host.journal.amend(record.id, request, owner=record.owner)
    return dataclasses.replace(record, request=request)


def _left_between_hosts(host: Host, record: OperationRecord) -> Outcome:
    """Leave the operation as it is: what is done to this half of the run is not done to the guest, which may run on the other host."""
    reason, message = between_hosts(record, _nics_of(record))
    state = OperationState.PENDING if record.state is OperationState.PENDING else OperationState.INCOMPLETE
    with resumed(host, record) as tx:
        tx.finish(state, Result.PENDING, reason=reason, error=message)
        return tx.outcome(Result.PENDING, reason=reason, message=message)


def _nics_of(record: OperationRecord) -> str:
    return ", ".join(sorted({alias for _, alias in record.touched}))


def _end_without_domain(host: Host, record: OperationRecord, operation: type[Operation]) -> OperationState | None:
    """How the operation is closed if its domain is no more; None if it is there, or the operation is of no one domain."""
    if not operation.of_one_domain(record):
        return None
    try:
        host.hypervisor.domain(record.domain_uuid)
    except DomainMissing:
        return OperationState.LEFT if touched_guest(record.steps) else operation.without_domain
    return None


def _settle_without_domain(host: Host, record: OperationRecord, end: OperationState) -> Outcome | None:
    """The domain is no more: what it held is gone with it."""
    message = f"domain {record.domain_name} no longer exists, so the {record.operation} has nothing left to settle"
    if touched_guest(record.steps):
        end = OperationState.LEFT
        message = (
            f"domain {record.domain_name} is not on this host any more, so nobody here can settle the {record.operation}: it is closed as left. Whether "
            "its guest is no more, was saved to a file or runs on another host is not known."
        )

    def forget() -> None:
        for _, alias in record.touched:
            host.journal.drop_nic(record.hypervisor, record.domain_uuid, alias)

    with taken_over(host, record.id) as mine:
        if mine is None:
            return None
        with resumed(host, mine) as tx:
            nets = (*orphans.nets_in_record(mine), *orphans.readable([mine.request.get("element")]))  # that of a heal
            orphans.drop_ports_of(host, record.domain_uuid, nets)
            result = Result(end)
            tx.finish(end, result, reason="domain-missing", error=message, also=forget)
            return tx.outcome(result, reason="domain-missing", message=message)


def _left_to_its_owner(host: Host, record: OperationRecord) -> Outcome:
    """The outcome of an operation that a living call owns: left to that call, and why."""
    why = stands_still(host, record)
    if why is not None:
        return _outcome(record, Result.PENDING, "operation-stalled", why)
    who = owner_of(host, record)
    message = (
        f"{who} works on the {record.operation} {record.id} of {record.domain_name}, and has not ended it. "
        f"'{recover_command(record)} --wait 60' waits for it; or end that process if it hangs, and recover."
    )
    return _outcome(record, Result.PENDING, "operation-busy", message)


def _unknown(record: OperationRecord) -> Outcome:
    message = (
        f"this version does not know the {record.operation} {record.id} of {record.domain_name or 'this host'} ({why_unknown(record)}), and leaves it "
        f"open. {REMEDY}"
    )
    return _outcome(record, Result.INCOMPLETE, "operation-newer", message)


def _failed(host: Host, record: OperationRecord, error: VirtnetplugError) -> Outcome | None:
    """What came of an operation whose recovery raised `error`, as the journal has it."""
    try:
        now = host.journal.operation(record.id)
    except JournalMoved:
        now = None
    said = " ".join([error.message, *(left for left in error.undo_failures if left not in error.message)])
    if now is None:
        return _outcome(record, Result.INCOMPLETE, error.reason, said)
    now = as_named_now(host, now)
    if isinstance(error, OperationTaken) or now.state is OperationState.DONE:
        return None  # another call has settled it, or does
    if now.ended is None:
        result = Result.PENDING if now.state is OperationState.PENDING else Result.INCOMPLETE
        return _outcome(now, result, error.reason, said)
    if now.state is OperationState.LEFT:
        return _outcome(now, Result.LEFT, error.reason, said)
    message = f"the {record.operation} that was left open was undone: {error.message}"
    undone = _outcome(now, Result(now.result), "recovered", message)
    return dataclasses.replace(undone, warnings=tuple(error.warnings))


def _outcome(record: OperationRecord, result: Result, reason: str, message: str) -> Outcome:
    return Outcome(
        operation=record.operation,
        domain=record.domain_name,
        result=result,
        operation_id=record.id,
        reason=reason,
        message=message,
    )


def _refused(record: OperationRecord, left: Outcome) -> Plan:
    """The plan for one that would be left as it is."""
    refusal = Refusal(reason=left.reason, message=left.message)
    return Plan(operation="recover", domain=record.domain_name, scope=record.scope, fits=False, refusals=(refusal,))


def _has_ended(host: Host, record: OperationRecord) -> bool:
    """Whether the run of the domain that the operation was begun with has ended."""
    try:
        return not guest.goes_on(host.hypervisor.domain(record.domain_uuid), record.run)
    except DomainMissing:
        return True


def _away(host: Host, record: OperationRecord, operation: type[Operation]) -> Outcome | None:
    """What would be said of an operation whose guest is away: saved, on another host, or nobody knows where. None if it is not."""
    if not record.domain_uuid:
        return None
    try:
        domain = host.hypervisor.domain(record.domain_uuid)
        ending, nics = operation.away(domain, record), _nics_of(record)
        if ending is None and touched_guest(record.steps) and domain.state().is_between_hosts:
            return _outcome(record, Result.PENDING, *between_hosts(record, nics))
    except DomainMissing:
        return None
    if ending is None:
        return None
    result = Result.LEFT if ending.end is HowEnded.MIGRATED else Result.PENDING
    return _outcome(record, result, REASONS[ending.end], describe_end(record, ending, nics))


def _plan(host: Host, record: OperationRecord) -> Plan:
    operation = operation_of(record)
    if not is_abandoned(host, record):
        return _refused(record, _left_to_its_owner(host, record))
    if operation is None:
        return _refused(record, _unknown(record))
    if (end := _end_without_domain(host, record, operation)) is not None:
        warning = f"{record.operation} {record.id} of {record.domain_name}, which is not on this host any more, would be closed as {end}"
        return Plan(operation="recover", domain=record.domain_name, scope=record.scope, fits=True, warnings=(warning,))
    if (away := _away(host, record, operation)) is not None:
        return _refused(record, away)
    direction = operation.direction(record)
    if operation.needs_its_run and _has_ended(host, record):
        direction = Direction.BACK
    forward = direction is Direction.FORWARD
    steps: list[Step] = []
    for step in record.steps if forward else reversed(record.steps):
        is_left = (
            step.state is not StepState.DONE if forward else step.state not in (StepState.PLANNED, StepState.UNDONE)
        )
        if is_left:
            steps.append(step)
    return Plan(
        operation="recover",
        domain=record.domain_name,
        scope=record.scope,
        fits=True,
        steps=tuple(steps),
        warnings=(f"{record.operation} {record.id}, left {record.state}, would be {direction.value}",),
    )
