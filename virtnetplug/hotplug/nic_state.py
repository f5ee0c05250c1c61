"""What the journal keeps of a NIC that is in the guest, and in which states it is then."""

from __future__ import annotations

from virtnetplug.hotplug.host import Host
from virtnetplug.lifecycle import ATTACHED, State
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import NicRecord
from virtnetplug.ports.domain import Domain


def plugged() -> tuple[State, State]:
    """Frontend and backend of a NIC once the guest has been given it."""
    return ATTACHED


def nic_record(
    host: Host, domain: Domain, net: Interface, network: str | None, frontend: State, backend: State
) -> NicRecord:
    """What the journal keeps of a NIC that is in the guest."""
    return NicRecord(
        uri=host.hypervisor.uri,
        hypervisor=host.hypervisor.key,
        domain_uuid=domain.uuid,
        domain_name=domain.name,
        alias=net.alias or "",
        mac=str(net.mac or ""),
        type=net.type,
        source=net.source,
        model=net.model or "",
        target=net.target_dev or "",
        portid=net.source_portid or "",
        network=network or net.source_network or "",
        frontend=frontend,
        backend=backend,
        process=domain.process(),
        since=host.clock.now(),
    )
