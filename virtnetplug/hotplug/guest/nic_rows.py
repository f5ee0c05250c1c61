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


def keep_or_drop(host: Host, domain: Domain, nets: Iterable[Interface], *, may_remain: bool = True) -> None:
    """Keep the rows of NICs that their guest has no more as long as the definition has these NICs; else drop the rows.

    `may_remain` is false if the definition is known to have none of them.
    """
    journal, key = host.journal, host.hypervisor.key
    rows = {row.alias: row for row in journal.nics(key, domain.uuid)} if may_remain else {}
    for net in nets:
        row, mac = rows.get(net.alias or ""), str(net.mac or "")
        if row is not None and row.mac == mac and is_defined(domain, net):
            journal.put_nic(replace(row, frontend=GONE[0], backend=GONE[1]))
        else:
            journal.drop_nic(key, domain.uuid, net.alias or "", mac=mac)


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
