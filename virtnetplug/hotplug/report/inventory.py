"""What NICs there are, and in which states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from virtnetplug import xml
from virtnetplug.backends import faults
from virtnetplug.errors import DomainMissing, DomainNotRunning
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.guest.nic_status import nics_of
from virtnetplug.hotplug.look.find import find
from virtnetplug.hotplug.look.open_operations import is_any_of
from virtnetplug.hotplug.look.view import BOTH, DomainNic, look
from virtnetplug.lifecycle import ASKED, GONE, State
from virtnetplug.model.interface import is_lasting
from virtnetplug.model.operation import Event, Half, Nic, NicRecord, OperationRecord
from virtnetplug.ports.domain import Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class NicDetail:
    """One NIC with its elements as libvirt has them, and the operations that touched it, newest first."""

    nic: Nic
    live: str | None
    config: str | None
    history: tuple[OperationRecord, ...]


def list_nics(host: Host, domain_name: str | None = None) -> tuple[Nic, ...]:
    """Every NIC of one domain, or of all; one is listed as long as the guest has it."""
    domains = [host.hypervisor.domain(domain_name)] if domain_name is not None else list(host.hypervisor.domains())
    nics: list[Nic] = []
    for domain in sorted(domains, key=lambda domain: domain.name):
        try:
            view = look(domain, BOTH)
        except DomainMissing:
            if domain_name is not None:
                raise
            continue  # it went away since the list was made
        nics += nics_of(host, view)
    _warn_of_packages(host)
    return (*nics, *_quarantined(host, domain_name, domains))


def _warn_of_packages(host: Host) -> None:
    """A backend of another package that cannot be used did not say what it knows of the NICs."""
    for text in faults():
        host.publish(Event(kind="warning", text=text))


def _quarantined(host: Host, domain_name: str | None, domains: Sequence[Domain]) -> Iterator[Nic]:
    """NICs that are gone but whose host device is not back: they are listed until it is."""
    only = None if domain_name is None else domains[0].uuid
    for holding in host.journal.holdings(host.hypervisor.key, only):
        if holding.quarantine:
            yield Nic(
                domain=holding.domain_name,
                domain_uuid=holding.domain_uuid,
                alias=holding.alias,
                mac=holding.mac or None,
                type="hostdev",
                source=str(holding.address),
                network=holding.network or None,
                host_address=holding.address,
                frontend=GONE[0],
                backend=ASKED[1],
                quarantine=holding.quarantine,
                origin="virtnetplug",
            )


def show_nic(host: Host, domain_name: str, selector: str) -> NicDetail:
    """One NIC, whole."""
    view = look(host.hypervisor.domain(domain_name), BOTH)
    pair = find(view, selector)
    nic = nics_of(host, view, [pair])[0]
    records = host.journal.history(hypervisor=host.hypervisor.key, domain=view.domain.uuid, limit=1000)
    _warn_of_packages(host)
    touched = tuple(record for record in records if _touches(record, pair))
    live, config = pair
    return NicDetail(
        nic=nic, live=live.element if live else None, config=config.element if config else None, history=touched
    )


def _touches(record: OperationRecord, pair: DomainNic) -> bool:
    """Whether the operation worked on the NIC. A NIC to which libvirt gave that alias in another run was another NIC."""
    nics = {step.nic for step in record.steps}
    aliases = nics.intersection(alias for _, alias in record.touched) | {nic for nic in nics if is_lasting(nic)}
    names = {name for alias in aliases for name in record.names_of(alias)}
    return is_any_of(pair, names)


def shown_states(host: Host) -> Mapping[tuple[str, str], tuple[State, State]]:
    """The states of the NICs in the journal, by domain UUID and alias, if the hypervisor's host shows both ends by itself."""
    records: dict[str, list[NicRecord]] = {}
    for record in host.journal.nics(host.hypervisor.key):
        records.setdefault(record.domain_uuid, []).append(record)
    found = {}
    for uuid, its in records.items():
        try:
            domain = host.hypervisor.domain(uuid)
            if domain.ends(None) is None:
                continue
            targets = {net.alias: net.target for net in xml.glimpse(domain.xml(Half.LIVE))}
        except (DomainMissing, DomainNotRunning):
            continue
        for record in its:
            if (ends := domain.ends(record.mac, targets.get(record.alias))) is not None:
                found[uuid, record.alias] = ends.frontend or State.CLOSED, ends.backend or State.CLOSED
    return found
