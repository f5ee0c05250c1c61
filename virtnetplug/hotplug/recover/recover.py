"""Recover: finish or undo what a crash, a lost connection or a stubborn guest left open. Safe at any time, and twice.

The owner of an operation that nothing can settle may have it forgotten: `forget` closes it, and returns what is held for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from virtnetplug.errors import DomainBusy, DomainMissing, DomainNotRunning, ForgetRefused, JournalMoved
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.engine.kinds import operation_of
from virtnetplug.hotplug.engine.operation import Operation
from virtnetplug.hotplug.engine.ownership import as_named_now, taken_over
from virtnetplug.hotplug.engine.transaction import recover_command, resumed
from virtnetplug.hotplug.guest import guest, orphans, travel
from virtnetplug.hotplug.guest.ending import REASONS, asked_guest, how
from virtnetplug.hotplug.guest.nic_rows import keep_or_drop
from virtnetplug.hotplug.look.view import describe, has_source_of
from virtnetplug.hotplug.recover import arrivals, settling
from virtnetplug.hotplug.recover.returns import return_devices
from virtnetplug.model.holding import Holding
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, OperationRecord, OperationState, Outcome, Plan, Result, Scope, StepState
from virtnetplug.model.run import Run
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

    `allow_taint` removes a NIC that the hypervisor does not know any more through the emulator's own monitor. `any_address` allows another guest address
    for a NIC whose address somebody has taken (``place-taken``). `forget` is the id of an operation: only that operation is closed.
    """
    if forget:
        return _forget(host, domain_name, forget, seconds)
    wanted = _wanted_uuids(host, domain_name)
    outcomes: list[Outcome] = []
    for domain in host.hypervisor.domains() if wanted is None else settling.existing(host, wanted):
        if arrivals.are_there(host, domain):  # a domain that is busy is left for the next time
            with suppress(DomainBusy, DomainMissing), Lock(host, [domain], 0.0, least=0.0):
                arrivals.take_over(host, domain)
    if wanted is None:
        arrivals.forget_departed(host)
    try:
        for record in settling.open_records(host, wanted):
            outcome = settling.settle(host, record, seconds, allow_taint=allow_taint, any_address=any_address)
            outcomes += [outcome] if outcome is not None else []
        for uuid in (None,) if wanted is None else wanted:
            outcomes += return_devices(host, uuid, seconds=seconds)
    except JournalMoved:
        if not outcomes:
            raise
    return tuple(outcomes)


def plan_recover(host: Host, domain_name: str | None = None, *, forget: str = "") -> tuple[Plan, ...]:
    """What `recover` would do, one plan for each open operation, and for each that guests have brought with them."""
    if forget:
        return (_plan_forget(host, domain_name, forget),)
    wanted = _wanted_uuids(host, domain_name)
    domains = [domain for domain in _domains_of(host, wanted) if arrivals.are_there(host, domain)]
    came = [plan for domain in domains for plan in arrivals.coming(host, domain)]
    return (*came, *(settling.plan(host, record) for record in settling.open_records(host, wanted)))


def _wanted_uuids(host: Host, domain_name: str | None) -> Sequence[str] | None:
    """The UUIDs of the domains of that name, None for all. Only the journal knows the names of domains that are gone. Raises `DomainMissing`."""
    if domain_name is None:
        return None
    key = host.hypervisor.key
    rows: list[OperationRecord | Holding] = [*host.journal.open_operations(key), *host.journal.holdings(key)]
    named = {row.domain_uuid for row in rows if domain_name in (row.domain_uuid, row.domain_name)} - {""}
    try:
        its, missing = {host.hypervisor.domain(domain_name).uuid}, None
    except DomainMissing as error:
        its, missing = set[str](), error
    gone = named - its and named - {domain.uuid for domain in host.hypervisor.domains()}
    if missing is not None and not gone:
        raise missing
    return sorted(its | gone)


def _domains_of(host: Host, wanted: Sequence[str] | None) -> Iterable[Domain]:
    """The domains of these UUIDs that exist, or all that run."""
    return host.hypervisor.running() if wanted is None else settling.existing(host, wanted)


def _forget(host: Host, domain_name: str | None, operation_id: str, seconds: float) -> tuple[Outcome, ...]:
    """Close an operation that cannot be settled.

    Its guest was saved, ended in a way that is not known, has the NIC connected elsewhere, or lacks a NIC for good.
    What is held for the operation is returned. Raises `ForgetRefused` if the operation can be settled.
    """
    wanted = _wanted_uuids(host, domain_name)
    is_known = host.journal.operation(operation_id) is not None
    if not is_known and (cleared := _clear(host, wanted, operation_id, seconds)) is not None:
        return (cleared,)
    record = _open_record(host, operation_id)
    if (operation := operation_of(record)) is not None and not operation.of_one_domain(record):
        return _forget_of_several(host, record, operation, wanted, seconds)
    _lost(host, domain_name, wanted, record)
    try:
        domain = host.hypervisor.domain(record.domain_uuid)
    except DomainMissing:
        outcome = settling.settle_without_domain(host, record, OperationState.LEFT)
        if outcome is None:
            raise _taken(operation_id) from None
        return (outcome,)
    with Lock(host, [domain], seconds):
        lost = _lost(host, domain_name, wanted, record)
        with taken_over(host, record.id) as mine:
            if mine is None:
                raise _taken(operation_id)
            _clear_guest(domain, operation_id, lost.out)
            message = f"forgotten: the {mine.operation} {mine.id} of {mine.domain_name} is closed. {_what_is_known(domain, mine, lost)}"
            with resumed(host, mine) as tx:
                orphans.drop_ports(host, domain, orphans.nets_in_record(mine))
                also = partial(keep_or_drop, host, domain, lost.out)
                closed = tx.close(OperationState.LEFT, "forgotten", message, also=also)
        return (closed, *return_devices(host, domain.uuid, domain=domain, seconds=seconds))


def _taken(operation_id: str) -> ForgetRefused:
    return ForgetRefused(f"another call works on the operation {operation_id}, or has settled it")


def _plan_forget(host: Host, domain_name: str | None, operation_id: str) -> Plan:
    """What `_forget` would do; raises `ForgetRefused`."""
    wanted = _wanted_uuids(host, domain_name)
    for domain in _domains_of(host, wanted) if host.journal.operation(operation_id) is None else ():
        with suppress(DomainNotRunning, DomainMissing):
            if (asked := _asked_in(domain, operation_id)) is not None:
                text = f"the guest of {domain.name} would not carry the {asked.operation} {asked.id} any more, which this journal does not have"
                return arrivals.plan_of(domain.name, Scope(asked.scope), text)
    record = _open_record(host, operation_id)
    if host.journal.is_owner_alive(record):
        raise _taken(operation_id)
    if (operation := operation_of(record)) is not None and not operation.of_one_domain(record):
        text = f"{record.operation} {record.id}, left {record.state}, would be closed if nothing of it is left to undo but NICs that cannot be restored"
        return arrivals.plan_of("", record.scope, text)
    lost = _lost(host, domain_name, wanted, record)
    text = f"{record.operation} {record.id} of {record.domain_name}, left {record.state}, would be closed and forgotten"
    left = [f"{', '.join(map(describe, lost.out))} stays out of the guest"] if lost.out else []
    return arrivals.plan_of(record.domain_name, record.scope, text, *left)


@dataclass(frozen=True, slots=True)
class _Lost:
    """What the guest shows of the NICs of an operation: enough to close the operation.

    `out` are NICs that the guest lacks because an undo could not restore them, and nothing else of the operation is left to undo. `elsewhere` are NICs
    that the guest was asked for, and that are connected to something else by now: each as messages name it, by alias.
    """

    out: tuple[Interface, ...] = ()
    elsewhere: dict[str, str] | None = None


def _lost(host: Host, domain_name: str | None, wanted: Sequence[str] | None, record: OperationRecord) -> _Lost:
    """What the guest shows; raises `ForgetRefused` if the operation is not one of the domain, or can be settled."""
    if wanted is not None and record.domain_uuid not in wanted:
        whose = record.domain_name or "no one domain"
        raise ForgetRefused(f"operation {record.id} is one of {whose}, not of {domain_name}")
    lost, is_decided = _Lost(), False
    with suppress(DomainMissing):
        domain, run = host.hypervisor.domain(record.domain_uuid), record.run_asked
        lost = _shown(domain, record, run)
        if domain.state().is_active and not (lost.elsewhere or lost.out):
            is_decided = guest.goes_on(domain, run) or how(domain, run).end is not HowEnded.UNKNOWN
    is_unknown = record.reason in (REASONS[HowEnded.UNKNOWN], REASONS[HowEnded.SAVED]) or bool(lost.elsewhere)
    if not lost.out and not (record.state is OperationState.PENDING and is_unknown):
        raise _can_be_settled(record)
    if is_decided:
        remedy = f"{recover_command(record, wait=60)} goes on with it"
        raise ForgetRefused(f"{record.domain_name} runs, which decides the operation {record.id}: {remedy}")
    return lost


def _shown(domain: Domain, record: OperationRecord, run: Run) -> _Lost:
    asked = _asked(record)
    there = [(guest.now_of(domain, net, run=run), net) for net in asked]
    elsewhere = {
        net.alias or "": describe(now) for now, net in there if now is not None and not has_source_of(now, net)
    }
    left = {(step.name, step.nic) for step in record.steps if step.state is StepState.UNDO_FAILED}
    out: tuple[Interface, ...] = ()
    if record.state is OperationState.INCOMPLETE and {name for name, _ in left} == {"ask"}:
        with suppress(DomainNotRunning):
            nets = [net for net in asked if ("ask", net.alias) in left] if guest.goes_on(domain, run) else ()
            out = tuple(net for net in nets if guest.there(domain, net) is None)
    return _Lost(out, elsewhere)


def _asked(record: OperationRecord) -> list[Interface]:
    """The NICs that the guest was asked for, each once, as the guest had them. A NIC that comes in the place of another may have the same alias."""
    live = record.request.get(Half.LIVE.value)
    elements = [entry.get(Half.LIVE.value) for entry in record.named]
    elements += [live.get("before")] if isinstance(live, dict) else []
    elements += [entry.get("element") for entry in record.named]
    asked: dict[str | None, Interface] = {}
    for net in orphans.readable(elements):
        if net.alias in (record.asked or ()):
            asked.setdefault(net.alias, net)
    return list(asked.values())


def _can_be_settled(record: OperationRecord) -> ForgetRefused:
    return ForgetRefused(
        f"operation {record.id} can be settled. Only these operations are forgotten: the guest was saved, or ended in a way that is not known. "
        "Or the guest has its NIC connected to something else by now, or lacks a NIC that could not be restored. "
        f"{recover_command(record, wait=60)} goes on with it"
    )


def _what_is_known(domain: Domain, record: OperationRecord, lost: _Lost) -> str:
    """What is known, and what is not, of the NICs of an operation that is forgotten."""
    if lost.out:
        nets = orphans.readable(entry.get("element") for entry in record.named)
        coming = {net.alias: net for net in nets if net.alias not in (record.asked or ())}
        lacking = [describe(net) for net in coming.values() if guest.there(domain, net) is None]
        more = f"; nor does the guest have {', '.join(lacking)}, which was to come" if lacking else ""
        return f"{', '.join(map(describe, lost.out))} stays out of the guest{more}"
    if lost.elsewhere:
        released = {step.nic for step in record.steps if (step.name, step.state) == ("guest_release", StepState.DONE)}
        others = ", ".join(lost.elsewhere.values())
        if released.issuperset(lost.elsewhere):
            return f"Its guest has let go of {', '.join(lost.elsewhere)}; {others} came since, and is left as it is"
        return f"Not known is whether {others} is the NIC that its guest was asked for, and lets go of yet: it is left as it is"
    nics, was_asked = settling.names_of(record), asked_guest(record.steps)
    if not domain.state().is_active:
        what = f"had let go of {nics}" if was_asked else f"has what the {record.operation} did with {nics}"
        return f"Not known is whether its guest {what}, and whether it comes back: from an image it would, with what it had"
    if was_asked:
        return f"Not known is whether the guest that runs is the one that was asked for {nics}: if it is, it may still let go"
    return f"Not known is whether the guest that runs is the one in which the {record.operation} began: {nics} is left as it is there"


def _forget_of_several(
    host: Host, record: OperationRecord, operation: type[Operation], wanted: Sequence[str] | None, seconds: float
) -> tuple[Outcome, ...]:
    """Close an operation on the guests of several domains whose NICs stay out, and return what is held for them."""
    touched = sorted({uuid for uuid, _ in record.touched})
    if wanted is not None and not set(touched) & set(wanted):
        raise ForgetRefused(f"operation {record.id} is none of that domain")
    closed = operation.forget(host, record, seconds)
    if closed is None:
        raise _can_be_settled(record)
    return (closed, *(back for uuid in touched for back in return_devices(host, uuid, seconds=seconds)))


def _open_record(host: Host, operation_id: str) -> OperationRecord:
    """The open operation of that id; raises `ForgetRefused` if there is none."""
    record = host.journal.operation(operation_id)
    if record is None or record.ended is not None or record.hypervisor != host.hypervisor.key:
        raise ForgetRefused(f"there is no open operation {operation_id}; `plan_recover()` lists those there are")
    return as_named_now(host, record)


def _clear(host: Host, wanted: Sequence[str] | None, operation_id: str, seconds: float) -> Outcome | None:
    """Remove from a guest what an operation asked that the journal does not have; None if no guest carries it."""
    for domain in _domains_of(host, wanted):
        with suppress(DomainNotRunning, DomainMissing), Lock(host, [domain], seconds):
            if (asked := _asked_in(domain, operation_id)) is None:
                continue
            _clear_guest(domain, operation_id)
            nets = guest.nets_of(domain)
            nics = ", ".join(travel.told(nic, nets) for nic in asked.nics)
            message = (
                f"forgotten: the guest of {domain.name} does not carry the {asked.operation} {asked.id} any more, which this journal does not "
                f"have. Not known is whether it lets go of {nics} yet, for it was asked"
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


def _clear_guest(domain: Domain, operation_id: str, out: Sequence[Interface] = ()) -> None:
    if (why := travel.forget(domain, [operation_id], [travel.known(net) for net in out])) is not None:
        raise ForgetRefused(f"{domain.name} cannot be made to forget {operation_id}: {why}")


def _asked_in(domain: Domain, operation_id: str) -> Asked | None:
    carried = travel.carried_in(domain, domain.travelling()).asked
    return next((each for each in carried if each.id == operation_id), None)
