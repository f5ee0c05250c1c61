"""The NICs of a domain with all that journal, guest and host say of them: states, what is pending, whose they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from virtnetplug.backends import are_lent, backend_of
from virtnetplug.errors import VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.guest import guest, orphans
from virtnetplug.hotplug.guest.travel import is_ours, known, pending_in, read
from virtnetplug.hotplug.look.open_operations import asked, of_domain, operation_on, states
from virtnetplug.hotplug.look.recognition import end_of, has_other_end, is_anothers
from virtnetplug.hotplug.look.view import BOTH, DomainNic, DomainView, has_source_of, look
from virtnetplug.lifecycle import GONE, State
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Nic, NicRecord, OperationRecord, Phase, StepState
from virtnetplug.model.travelling import KnownNic
from virtnetplug.ports.domain import Domain


def nics_of(
    host: Host,
    view: DomainView,
    pairs: Sequence[DomainNic] | None = None,
    *,
    new: Mapping[str, NicRecord] | None = None,
) -> list[Nic]:
    """The NICs of `view` (or those of `pairs`) with all that the journal and the host say of them.

    `new` are the rows, by alias, of NICs that have just come. The journal is then not read again, and the guest is not asked what it cannot have done.
    """
    said = _said(host, view) if new is None else _Said(rows=new)
    chosen = view.nics if pairs is None else pairs
    return [_nic(host, view, live, config, said, is_new=new is not None) for live, config in chosen]


@dataclass(frozen=True, slots=True)
class _Said:
    """What the journal and the guest say of the NICs of one domain."""

    rows: Mapping[str, NicRecord]
    """The rows of NICs that were plugged, by alias."""
    pending: Mapping[str, str] = field(default_factory=dict)
    """Name (see `leaving`) to the id of the operation that may take the NIC out."""
    operations: Mapping[str, OperationRecord] = field(default_factory=dict)
    """The journal's open operations of `pending`, by id."""
    closing: Mapping[str, str] = field(default_factory=dict)
    """The NICs of `pending` that this run was asked for."""
    ours: Collection[KnownNic] = ()
    """NICs without a row that are virtnetplug's all the same."""


def _said(host: Host, view: DomainView) -> _Said:
    hypervisor, uuid, carried = host.hypervisor.key, view.domain.uuid, read(view.live_xml)
    records = guest.concerned(view, host.journal.open_operations(hypervisor, uuid, ""))
    asking = [record for record in records if not record.domain_uuid or guest.is_asked(view, record)]
    closing = {name: operation for (_, its, name), operation in asked(asking).items() if its == uuid}
    ids = {record.id for record in records}
    return _Said(
        rows={record.alias: record for record in host.journal.nics(hypervisor, uuid)},
        pending={**pending_in(carried), **of_domain(records, uuid)},
        operations={record.id: record for record in records},
        closing={**{name: one for name, one in pending_in(carried).items() if one not in ids}, **closing},
        ours=(*carried.nics, *_coming(records)),
    )


def _coming(records: Iterable[OperationRecord]) -> Iterator[KnownNic]:
    """The NICs that open exchanges put into the guest: their rows are written once the operation is done."""
    for record in records:
        entries = record.request.get("entering")
        entries = entries if isinstance(entries, list) else []  # a record that is damaged may have anything there
        nets = orphans.readable(entry.get("element") for entry in entries if isinstance(entry, dict))
        yield from (known(net) for net in nets)


def nics_now(host: Host, domain: Domain, is_one: Callable[[DomainNic], bool]) -> list[Nic]:
    """The chosen NICs as they are once an operation has ended. Nothing if they cannot be seen, because what was done stands."""
    try:
        view = look(domain, BOTH)
    except VirtnetplugError:
        return []
    return nics_after(host, view, [pair for pair in view.nics if is_one(pair)])


def nics_named(host: Host, names: Iterable[tuple[str, str]]) -> list[Nic]:
    """The same of NICs of several domains: `names` has the UUID of each one's domain, and its alias or MAC."""
    wanted: dict[str, set[str | None]] = {}
    for uuid, name in names:
        wanted.setdefault(uuid, set()).add(name)
    found: list[Nic] = []
    for uuid, its in wanted.items():
        with suppress(VirtnetplugError):
            view = look(host.hypervisor.domain(uuid), BOTH)
            pairs = [pair for pair in view.nics if any(net and its & {net.alias, str(net.mac)} for net in pair)]
            found += nics_of(host, view, pairs)
    return found


def nics_after(
    host: Host, view: DomainView, pairs: Sequence[DomainNic], *, new: Mapping[str, NicRecord] | None = None
) -> list[Nic]:
    """The same of a look that there has been already."""
    with suppress(VirtnetplugError):
        return nics_of(host, view, pairs, new=new)
    return []


def pending_nics(host: Host, domain_uuid: str, view: DomainView | None = None) -> dict[str, str]:
    """Name (see `leaving`) to the id of the operation that may still detach the NIC: it is not settled, or waits for the guest now.

    If `view` is given, only operations on what the domain has there count, and none on the guest of an earlier run.
    """
    records = host.journal.open_operations(host.hypervisor.key, domain_uuid, "")
    return of_domain(records if view is None else guest.concerned(view, records), domain_uuid)


def _nic(
    host: Host,
    view: DomainView,
    live: Interface | None,
    config: Interface | None,
    said: _Said,
    *,
    is_new: bool,
) -> Nic:
    net = live or config
    assert net is not None
    record = said.rows.get(net.alias or "")
    if record is not None and record.mac not in ("", str(net.mac or "")):
        record = None  # another NIC of that alias
    is_another = record is not None and live is not None and is_anothers(record, live, config, view)
    operation = operation_on(live, said.pending)
    its = said.operations.get(operation or "")
    if live is not None and its is not None and _has_come_since(live, its, view):
        operation, is_another = None, True
    record = None if is_another else record
    wanted = config if config is not None and live is not None and live.type == "hostdev" else net
    is_pending = operation is not None and operation_on(live, said.closing) is not None
    frontend, backend = _states(host, view.domain, live, record, is_pending=is_pending, is_new=is_new)
    return Nic(
        domain=view.domain.name,
        domain_uuid=view.domain.uuid,
        alias=net.alias,
        mac=str(net.mac) if net.mac else None,
        type=net.type,
        source=net.source,
        model=net.model,
        network=wanted.source_network or (record.network or None if record else None),
        portgroup=wanted.source_portgroup,
        portid=net.source_portid,
        target=live.target_dev if live else None,
        address=net.address,
        host_address=view.host_address(net),
        link_state=net.link_state or "up",
        live=live is not None,
        config=config is not None,
        migrates=None if live is None else backend_of(live).migrates,
        frontend=frontend,
        backend=backend,
        pending=operation,
        origin="virtnetplug" if not is_another and (record is not None or is_ours(said.ours, net)) else "foreign",
    )


def _has_come_since(live: Interface, record: OperationRecord, view: DomainView) -> bool:
    """True if somebody attached the guest's NIC after the guest had let go of the operation's NIC. It has the lasting alias and the MAC of that NIC,
    but another host end, or it is connected to something else.
    """
    if not record.domain_uuid or not is_lasting(live.alias):
        return False
    elements = [entry.get(half.value) for entry in record.named for half in BOTH]
    nets = [net for net in (*orphans.nets_in_record(record), *orphans.readable(elements)) if net.alias == live.alias]
    if _has_another_end(live, nets, record, view):
        return True
    released = ("guest_release", live.alias, StepState.DONE)
    if all((step.name, step.nic, step.state) != released for step in record.steps):
        return False
    return bool(nets) and not any(has_source_of(live, net) or are_lent(live, net) for net in nets)


def _has_another_end(live: Interface, nets: Iterable[Interface], record: OperationRecord, view: DomainView) -> bool:
    """Whether the guest's NIC has none of the host ends of `nets` (see `has_other_end`), and the operation itself has put in none."""
    ends = {end_of(net) for net in nets} - {""}
    asked = record.run_asked.process
    if not ends or not all(has_other_end(live, end, asked, view.run.process) for end in ends):
        return False
    plugs = [step for step in record.steps if step.nic == live.alias and step.phase is Phase.PLUG]
    is_back = any(step.state is StepState.UNDONE for step in record.steps) or record.goes_back
    return not is_back and all(step.state is StepState.PLANNED for step in plugs)


def _states(
    host: Host,
    domain: Domain,
    live: Interface | None,
    record: NicRecord | None,
    *,
    is_pending: bool,
    is_new: bool,
) -> tuple[State, State]:
    if live is None:
        return GONE
    if (ends := domain.ends(live.mac, live.target_dev)) is not None:
        return ends.frontend or State.CLOSED, ends.backend or State.CLOSED
    known = states(record, is_leaving=is_pending)
    if is_pending:
        return known
    return State.UNKNOWN if is_new else frontend(host, domain, live), backend_of(live).probe(host, live) or known[1]


def frontend(host: Host, domain: Domain, live: Interface) -> State:
    """Connected on evidence that taints nothing, else Unknown.

    The hypervisor's host shows the guest's end by itself, or the NIC's backend sees that the guest uses the NIC.
    """
    if (ends := domain.ends(live.mac, live.target_dev)) is not None:
        return ends.frontend or State.CLOSED
    with suppress(VirtnetplugError):
        if backend_of(live).is_driven(host, domain, live):
            return State.CONNECTED
    return State.UNKNOWN
