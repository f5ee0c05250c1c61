"""The journal's rows of NICs: what it keeps of a NIC that is in the guest, and of a NIC that left it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.guest.definition import is_defined
from virtnetplug.lifecycle import GONE, State
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import NicRecord
from virtnetplug.ports.domain import Domain


def keep_or_drop(host: Host, domain: Domain, net: Interface, row: NicRecord | None) -> None:
    """Keep the row of a NIC that its guest has no more as long as the definition has that NIC; else drop the row."""
    journal, key, mac = host.journal, host.hypervisor.key, str(net.mac or "")
    if row is not None and row.mac == mac and is_defined(domain, net):
        journal.put_nic(replace(row, frontend=GONE[0], backend=GONE[1]))
    else:
        journal.drop_nic(key, domain.uuid, net.alias or "", mac=mac)


def keep_or_drop_all(host: Host, domain: Domain, nets: Iterable[Interface]) -> None:
    """`keep_or_drop` for each of these NICs."""
    rows = {row.alias: row for row in host.journal.nics(host.hypervisor.key, domain.uuid)}
    for net in nets:
        keep_or_drop(host, domain, net, rows.get(net.alias or ""))


def nic_record(
    host: Host,
    domain: Domain,
    net: Interface,
    network: str | None,
    frontend: State,
    backend: State,
    *,
    process: str | None = None,
) -> NicRecord:
    """What the journal keeps of a NIC that is in the guest; `process` is that of the guest's run, if it is known."""
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
        process=domain.process() if process is None else process,
        since=host.clock.now(),
    )
