"""What a running guest brings with it: NICs of virtnetplug, and questions that it was asked elsewhere, or here before it was saved.

A caller that may write the journal takes these over, under the lock of the domain. The metadata can only ask to detach, or to keep, NICs that this guest
has, by alias, MAC and source.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from virtnetplug import xml
from virtnetplug.backends import backend_of
from virtnetplug.errors import DomainMissing, DomainNotRunning, VirtnetplugError, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change import detach, update
from virtnetplug.hotplug.check.reserved import taken_place
from virtnetplug.hotplug.engine.transaction import REQUEST_VERSION, plan_steps, record_of
from virtnetplug.hotplug.guest import travel
from virtnetplug.hotplug.guest.nic_rows import nic_record
from virtnetplug.hotplug.look.open_operations import is_any_of, names_of
from virtnetplug.hotplug.look.recognition import is_anothers
from virtnetplug.hotplug.look.view import BOTH, DomainView, describe, look, named
from virtnetplug.hotplug.plug.plugging import Part, steps_in
from virtnetplug.hotplug.plug.release import steps_out
from virtnetplug.lifecycle import ATTACHED, GONE
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import (
    Event,
    Half,
    NicRecord,
    OperationRecord,
    OperationState,
    Phase,
    Plan,
    Result,
    Scope,
    Step,
    StepState,
)
from virtnetplug.model.travelling import Asked, KnownNic, Travelling
from virtnetplug.ports.domain import Domain, HowEnded


def are_there(host: Host, domain: Domain) -> bool:
    """Whether `take_over` may have anything to do."""
    try:
        rows = host.journal.nics(host.hypervisor.key, domain.uuid)
        process = domain.process() if rows else ""
        is_stale = bool(process) and any(row.process != process for row in rows)  # last looked for in an earlier run
        return is_stale or _is_news(host, rows, _carried(domain))
    except DomainNotRunning:
        return any((row.frontend, row.backend) != GONE for row in rows)
    except DomainMissing:
        return False
    except VirtnetplugError:
        return True


def take_over(host: Host, domain: Domain) -> None:
    """Write into the journal what the guest brings, and remove what has ended with an earlier run. The domain's lock is held.

    A warning names what cannot be read; that stays as it is. A guest that was saved, or ended in a way that is not known, may come back: its NICs stay.
    """
    if not are_there(host, domain):
        return
    try:
        view = look(domain, BOTH)
        if not view.state.is_active:
            if view.state.end.is_final or view.state.end is HowEnded.MIGRATED:
                _refresh(host, view)
            return
        if view.live_xml is None or view.state.is_between_hosts:
            return
        carried = _carried(domain)
        if _is_news(host, host.journal.nics(host.hypervisor.key, domain.uuid), carried):
            _adopt(host, view, carried)
        _refresh(host, view)
    except (DomainMissing, DomainNotRunning):
        return
    except VirtnetplugError as error:
        _warn(host, domain, error.message)


def _carried(domain: Domain) -> Travelling:
    """What the guest carries; of a domain that does not run, raises `DomainNotRunning`."""
    text = domain.travelling()
    return travel.carried_in(domain, text) if text is not None else Travelling()


def _is_news(host: Host, rows: Sequence[NicRecord], carried: Travelling) -> bool:
    """Whether the guest carries anything that the journal, which has these NICs of it, does not know, or that has ended."""
    known = {(row.alias, row.mac) for row in rows}
    if any((nic.alias, nic.mac) not in known for nic in carried.nics):
        return True
    return any(_is_over(host, each) for each in (*(asked.id for asked in carried.asked), *carried.ending))


def _is_over(host: Host, operation_id: str) -> bool:
    record = host.journal.operation(operation_id)
    return record is None or record.ended is not None


def _refresh(host: Host, view: DomainView) -> None:
    """Rewrite the rows of NICs that were last seen in an earlier run, as the present run has them. If the domain does not run, the definition counts.

    Rows of NICs of an open operation stay.
    """
    busy = _busy(host, view)
    key, uuid, process = host.hypervisor.key, view.domain.uuid, view.run.process
    live, config = ({net.alias: net for net in nets} for nets in (view.nets(Half.LIVE), view.nets(Half.CONFIG)))
    for row in host.journal.nics(key, uuid) if process or not view.state.is_active else ():
        if (process and row.process == process) or row.unreadable or names_of(row.alias, row.mac) & busy:
            continue
        there, kept = live.get(row.alias), config.get(row.alias)
        if there is not None and str(there.mac or "") == row.mac and not is_anothers(row, there, kept, view):
            now = nic_record(host, view.domain, there, row.network if backend_of(there).is_lent else None, *ATTACHED)
            host.journal.put_nic(dataclasses.replace(now, since=row.since))
            travel.say_ours(view.domain, [there])
        elif kept is not None and str(kept.mac or "") == row.mac:
            host.journal.put_nic(dataclasses.replace(row, process=process, frontend=GONE[0], backend=GONE[1]))
        else:
            host.journal.drop_nic(key, uuid, row.alias, mac=row.mac)


def forget_departed(host: Host) -> None:
    """Remove the rows of NICs whose domains are not on this host any more."""
    rows = host.journal.nics(host.hypervisor.key)
    there = {domain.uuid for domain in host.hypervisor.domains()} if rows else ()
    busy = {uuid for record in host.journal.open_operations(host.hypervisor.key) for uuid, _ in record.touched}
    for row in rows:
        if row.domain_uuid not in there and row.domain_uuid not in busy and not row.unreadable:
            host.journal.drop_nic(host.hypervisor.key, row.domain_uuid, row.alias, mac=row.mac)


def _adopt(host: Host, view: DomainView, carried: Travelling) -> None:
    nets = view.nets(Half.LIVE)
    _own(host, view, [net for net in nets if travel.is_ours(carried.nics, net)])
    done = [operation_id for operation_id in carried.ending if _is_over(host, operation_id)]
    for asked in carried.asked:
        match _state_of(host, view, asked):
            case _Known.HERE:
                continue
            case _Known.ELSEWHERE:
                _warn_of_other_journal(host, view, asked)
                continue
            case _Known.COME:
                _take_up(host, view, asked)
        done.append(asked.id)
    gone = [nic for nic in carried.nics if not any(travel.is_named(nic, net) for net in nets)]
    lost = _without_busy(gone, _busy(host, view))
    if done or lost:
        travel.forget(view.domain, done, lost)


class _Known(enum.Enum):
    """What this host knows of a question that the guest carries."""

    HERE = enum.auto()  # it is under way, by this journal
    ELSEWHERE = enum.auto()  # it was asked on this host: it is under way by another journal, or that is lost
    COME = enum.auto()  # with the guest, from another host or from an image
    OVER = enum.auto()


def _state_of(host: Host, view: DomainView, asked: Asked) -> _Known:
    record = host.journal.operation(asked.id)
    if record is None and _is_local(view, asked):
        return _Known.ELSEWHERE
    if record is not None and record.ended is None:
        return _Known.HERE
    if record is not None and record.state is not OperationState.LEFT and not _is_back(view, asked):
        return _Known.OVER
    # A guest that began with a definition, into which its metadata was copied, is another than the guest that was asked.
    has_come = view.state.is_restored or not xml.is_marked(view.config_xml or "", asked.id)
    return _Known.COME if has_come else _Known.OVER


def _is_back(view: DomainView, asked: Asked) -> bool:
    """True if the guest of an ended operation is back with the request in another process: from a saved file, or a snapshot."""
    if asked.process and view.run.process:
        return asked.process != view.run.process
    return view.state.is_restored


def _warn_of_other_journal(host: Host, view: DomainView, asked: Asked) -> None:
    name, nets = view.domain.name, view.nets(Half.LIVE)
    asked_for = ", ".join(travel.told(nic, nets) for nic in asked.nics)
    held = [now.alias or str(now.mac) for nic in asked.nics if (now := travel.there(nic, nets)) is not None]
    again = f", or detach {', '.join(held)} again" if held else ""
    text = (
        f"the guest of {name} was asked on this host to let go of {asked_for}, by the {asked.operation} {asked.id}, which this journal does not have. "
        f"Another journal keeps it; if that is lost, {call('recover', name, forget=asked.id)} clears what the guest carries{again}."
    )
    _warn(host, view.domain, text)


def plan_of(domain: str, scope: Scope, *warnings: str, steps: Iterable[Step] = ()) -> Plan:
    """What `recover` would do about an operation; `warnings` say it."""
    return Plan(operation="recover", domain=domain, scope=scope, fits=True, steps=tuple(steps), warnings=warnings)


def coming(host: Host, domain: Domain) -> list[Plan]:
    """What `take_over` would begin: one plan for each operation. Nothing is touched."""
    try:
        view, carried = look(domain, BOTH), _carried(domain)
        if view.live_xml is None or view.state.is_between_hosts:
            return []
        come = [asked for asked in carried.asked if _state_of(host, view, asked) is _Known.COME]
        text = "{0.operation} {0.id}, which came with the guest, would be taken over and finished"
        return [
            plan_of(
                domain.name,
                record.scope,
                text.format(asked),
                steps=[step for step in record.steps if step.state is not StepState.DONE],
            )
            for asked in come
            for record in _records(host, view, asked, _which(host, view, asked))
        ]
    except VirtnetplugError:
        return []


def _is_local(view: DomainView, asked: Asked) -> bool:
    """Whether the guest was asked on this host since its start, or nothing says that it was not."""
    if not asked.process or not view.run.process:
        return not view.state.has_migrated
    return asked.process.split()[0] == view.run.process.split()[0]


def _own(host: Host, view: DomainView, nets: Sequence[Interface]) -> None:
    """Write rows for the NICs that the guest marks as virtnetplug's, except those of an open operation."""
    busy = _busy(host, view)
    known = {(row.alias, row.mac) for row in host.journal.nics(host.hypervisor.key, view.domain.uuid)}
    for net in nets:
        if (net.alias, str(net.mac or "")) not in known and not is_any_of([net], busy) and backend_of(net).migrates:
            host.journal.put_nic(nic_record(host, view.domain, net, net.source_network, *ATTACHED))


def _busy(host: Host, view: DomainView) -> frozenset[str]:
    """The NICs of open operations, by what they are known by (see `leaving`)."""
    records = host.journal.open_operations(host.hypervisor.key, view.domain.uuid)
    return frozenset().union(*(record.names for record in records))


def _without_busy(nics: Iterable[KnownNic], busy: frozenset[str]) -> list[KnownNic]:
    return [nic for nic in nics if names_of(nic.alias, nic.mac, nic.address).isdisjoint(busy)]


@dataclass(frozen=True, slots=True)
class _Which:
    """The NICs that the guest was asked for: `there` has them still, `left` has gone, and `defined` is what the definition has of the latter.

    `config` are the NICs of the definition that are connected as in the question, or as they are there. It is empty for a detach that this journal has
    settled.
    """

    there: Sequence[Interface]
    left: Sequence[KnownNic]
    defined: Sequence[Interface]
    config: Sequence[Interface]


def _which(host: Host, view: DomainView, asked: Asked) -> _Which:
    """Compare the question with the guest and its definition. Only the definition describes a NIC that the guest has released since."""
    busy = _busy(host, view)
    nets = [net for net in view.nets(Half.LIVE) if any(travel.is_same(nic, net) for nic in asked.nics)]
    is_detach = asked.operation == detach.NAME  # libvirt would give a NIC that is put in again another alias
    there = [
        net
        for net in nets
        if not is_any_of([net], busy) and backend_of(net).migrates and (is_detach or is_lasting(net.alias))
    ]
    left = _without_busy((nic for nic in asked.nics if not any(travel.is_same(nic, net) for net in nets)), busy)
    record = host.journal.operation(asked.id)
    is_settled = is_detach and record is not None and record.state is not OperationState.LEFT
    sources = {nic.source for nic in asked.nics} | {net.source for net in there}
    kept = [net for net in view.nets(Half.CONFIG) if net.source in sources and not is_settled]
    defined = [net for net in kept if any(travel.is_same(nic, net) for nic in left) and backend_of(net).migrates]
    if not is_detach:  # to put in again; one that serves in the place of another stays there
        defined = [net for net in defined if taken_place(view.domain, net) is None]
    return _Which(there, left, defined, kept)


def _take_up(host: Host, view: DomainView, asked: Asked) -> None:
    """Begin here what was begun elsewhere. A detach goes on. For any other operation the guest keeps its NICs, or gets them again."""
    which = _which(host, view, asked)
    for record in _records(host, view, asked, which):
        with host.journal.call() as owner, host.journal.batch():
            mine = dataclasses.replace(record, owner=owner)
            host.journal.begin(mine)
            state, result, said = OperationState.PENDING, Result.PENDING, _said(record, asked)
            host.journal.finish(mine.id, state, result=result, reason="guest-arrived", error=said, owner=owner)
            its = [net for net in which.there if any(entry["alias"] == net.alias for entry in record.named)]
            if its and all(travel.say_asked(view.domain, record, net) is None for net in its):
                host.journal.amend(record.id, {**record.request, "marked": True}, owner=owner)
        _warn(host, view.domain, said)
    for nic in which.left:
        name, told, by = view.domain.name, travel.told(nic, ()), f"{asked.operation} {asked.id}"
        if (other := _moved(view, nic)) is not None:
            text = (
                f"{name} came with what its guest was asked by {by}. {told} was connected to {nic.source}, and is {describe(other)} at "
                f"{other.source} by now. That request goes no further. Detach the NIC again if it is to leave."
            )
            _warn(host, view.domain, text)
        elif asked.operation != detach.NAME and not any(travel.is_same(nic, net) for net in which.defined):
            text = f"{name} let go of {told} at {nic.source}, which {by} had asked it for."
            _warn(host, view.domain, f"{text} {_why_out(view, nic)}: attach it again if the guest is to have it.")


def _why_out(view: DomainView, nic: KnownNic) -> str:
    """Why a NIC that the guest has released is not attached again, by its definition."""
    net = next((net for net in view.nets(Half.CONFIG) if travel.is_same(nic, net)), None)
    if net is None:
        return "Its definition does not have that NIC"
    if not backend_of(net).migrates:
        return "Its definition has an assigned device for that NIC"
    if (other := taken_place(view.domain, net)) is not None:
        return f"{other.who} has its {other.what}"
    return f"Its definition connects that NIC to {net.source}"


def _moved(view: DomainView, nic: KnownNic) -> Interface | None:
    """The guest's NIC of that MAC and address, if it may be another NIC than the one that was asked for.

    A lasting alias is gone then, or libvirt made the alias, and the NIC is connected to something else.
    """
    its = (net for net in view.nets(Half.LIVE) if str(net.mac or "") == nic.mac and not is_lasting(net.alias))
    return next((net for net in its if not is_lasting(nic.alias) or str(net.address or "") == nic.address), None)


def _records(host: Host, view: DomainView, asked: Asked, which: _Which) -> Iterator[OperationRecord]:
    if asked.operation != detach.NAME:
        yield from (_kept(host, view, asked, net, has_left=False) for net in which.there)
        yield from (_kept(host, view, asked, net, has_left=True) for net in which.defined)
    elif which.there or (which.defined and asked.scope == Scope.BOTH.value):
        yield _detach(host, view, asked, which)


def _said(record: OperationRecord, asked: Asked) -> str:
    names = ", ".join(entry["alias"] for entry in record.named)
    goes = "the detach goes on here"
    if asked.operation != detach.NAME:
        goes = f"that {asked.operation} does not go on here, so the guest has the NIC again once it has let go"
    return (
        f"{record.domain_name} came with what its guest was asked by {asked.operation} {asked.id}: to let go of {names}; {goes}, as {record.id}. "
        f"{call('recover', record.domain_name, wait=60)} waits for the guest."
    )


def _detach(host: Host, view: DomainView, asked: Asked, which: _Which) -> OperationRecord:
    config = which.config if asked.scope == Scope.BOTH.value else ()
    entries: list[dict[str, Any]] = []
    steps: list[Part] = []
    for net in which.there:
        alias = net.alias or ""
        kept = next((other for live, other in view.nics if live is net and other in config), None)
        halves = {"live": net.element, "config": None if kept is None else kept.element}
        entries.append({**named(alias, net, kept), **halves})
        steps += steps_out(net, alias)
        steps += [("undefine", alias, Phase.RELEASE, Half.CONFIG)] if kept is not None else []
    for net in which.defined:
        alias = net.alias or str(net.mac)
        entries.append({**named(alias, net), "live": None, "config": net.element})
        steps.append(("undefine", alias, Phase.RELEASE, Half.CONFIG))
    request = {"nics": entries, "asked": [net.alias for net in which.there], "held": []}
    return _record(host, view, detach.NAME, asked, [*which.there, *which.defined], request, steps)


def _kept(host: Host, view: DomainView, asked: Asked, net: Interface, *, has_left: bool) -> OperationRecord:
    """A replacement of the NIC by itself: the guest releases it, and gets it again."""
    alias = net.alias or ""
    element = {"before": net.element, "after": net.element}
    live: dict[str, Any] = {**element, "changed": [], "type": net.type, "settings": {}, "old": None}
    request = {"nics": [named(alias, net)], "asked": [alias], "replace": True, "live": live}
    steps = [*steps_out(net, alias), *steps_in(backend_of(net), alias, {})]
    return _record(host, view, update.NAME, asked, [net], request, steps, is_out=has_left)


def _record(
    host: Host,
    view: DomainView,
    operation: str,
    asked: Asked,
    nets: Sequence[Interface],
    request: dict[str, Any],
    planned: Sequence[Part],
    *,
    is_out: bool = False,
) -> OperationRecord:
    """The operation as a record of this journal. `is_out`: its NICs have left the guest."""
    over = {"ask"}
    if is_out:
        over |= {step for step, _, phase, _ in planned if phase in (Phase.GUEST, Phase.RELEASE)}
    done = partial(dataclasses.replace, state=StepState.DONE, started=host.clock.now(), seconds=0.0)
    steps = [done(step) if step.name in over else step for step in plan_steps(*planned)]
    return record_of(
        host,
        operation,
        view.domain,
        run=view.run,
        scope=Scope(asked.scope) if operation == detach.NAME else Scope.LIVE,
        device_types=[net.type for net in nets],
        request={"version": REQUEST_VERSION, "came_from": asked.id, **request},
        steps=steps,
    )


def _warn(host: Host, domain: Domain, text: str) -> None:
    host.publish(Event(kind="warning", text=text, domain=domain.name))
