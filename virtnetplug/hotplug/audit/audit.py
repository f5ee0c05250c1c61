"""Audit: compare live XML, config XML, network ports, taps and bridges, and the journal; say where they disagree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from virtnetplug.backends import faults
from virtnetplug.errors import VirtnetplugError
from virtnetplug.hotplug.audit.disagreement import disagreements
from virtnetplug.hotplug.audit.findings import finding
from virtnetplug.hotplug.audit.identity_findings import identity_findings
from virtnetplug.hotplug.audit.lent import backend_findings, device_findings
from virtnetplug.hotplug.audit.survey import Seen, Survey, look_again, survey
from virtnetplug.hotplug.call.host import Host
from virtnetplug.model.audit import AuditReport, Finding
from virtnetplug.model.network import NetworkPort

POOLED = "hostdev-pci"
"""Plug type of a port that holds a PCI device of a pool; such a port may outlive a boot by design."""


def audit(host: Host, domain: str | None = None) -> AuditReport:
    """Look at every domain, or at one, and report what disagrees; nothing is changed.

    What disagrees is looked at a second time, so that an operation that is under way is not taken for a fault. NICs
    that virtnetplug did not attach are no findings. Raises `DomainMissing` only for a `domain` that was named.
    """
    started = host.clock.monotonic()
    whole = survey(host, domain)
    findings = tuple(_findings(host, whole))
    if findings:
        whole = look_again(host, whole, {finding.domain_uuid for finding in findings})
        before = {_key(finding) for finding in findings}
        findings = tuple(finding for finding in _findings(host, whole) if _key(finding) in before)
    return AuditReport(
        domains=len(whole.domains),
        nics=sum(seen.nics for seen in whole.domains.values()),
        findings=tuple(sorted(findings, key=lambda finding: (finding.domain, finding.nic, finding.kind))),
        seconds=host.clock.monotonic() - started,
        unseen=(*whole.unseen, *faults()),
    )


def _key(finding: Finding) -> tuple[str, str, str, str]:
    return finding.kind, finding.domain_uuid, finding.nic, finding.device


def _findings(host: Host, whole: Survey) -> Iterator[Finding]:
    yield from disagreements(whole)
    yield from device_findings(host, whole)
    yield from backend_findings(host, whole)
    yield from identity_findings(host, whole)
    for domain_id in sorted(whole.remains):
        yield finding("vif-remains", (f"id {domain_id}", ""), "", device=str(domain_id))
    if not any((whole.ports or {}).values()):
        return
    named = {net.portid for seen in whole.domains.values() for net in seen.live if net.portid is not None}
    named |= {holding.port for holding in host.journal.holdings()}
    for network, uuids in (whole.ports or {}).items():
        if not named.issuperset(uuids):
            yield from _orphaned_ports(host, whole, network, named)


def _orphaned_ports(host: Host, whole: Survey, network: str, named: set[str]) -> Iterator[Finding]:
    """Ports of `network` that no NIC names. Only now are the ports themselves read."""
    try:
        ports = host.networks.ports(network)
    except VirtnetplugError:
        return  # it was undefined since it was listed
    for port in ports:
        if port.uuid in named:
            continue
        owner = whole.domains.get(port.owner_uuid)
        if owner is not None:
            yield from _orphaned(port, network, owner, whole)
        elif whole.is_whole and (whole.taps is None or port.owner_uuid not in whole.taps):
            # No QEMU of this host, of another connection, is the owner: safe only if the journal says that it was a domain of this connection.
            was_ours = False
            with suppress(VirtnetplugError):
                was_ours = bool(host.journal.history(hypervisor=host.hypervisor.key, domain=port.owner_uuid, limit=1))
            name = port.owner_name or port.owner_uuid or "nobody"
            yield _orphan(port, network, name, "is not known here", is_safe=was_ours and port.plug_type != POOLED)


def _orphaned(port: NetworkPort, network: str, owner: Seen, whole: Survey) -> Iterator[Finding]:
    mac = str(port.mac) if port.mac is not None else None
    has_mac = mac is not None and mac in {net.mac for net in (*owner.live, *owner.config)}
    if owner.is_active and has_mac and port.plug_type == POOLED:
        return  # a pool's claim of a NIC that was attached by address names no port
    why = "has no NIC in it" if owner.is_active else "is not running"
    # The port may be that of a NIC of the owner's that the host shows, and that its definition does not have.
    held = (whole.taps or {}).get(owner.uuid, frozenset())
    has_orphan = bool(whole.strays.get(owner.uuid)) or not held.issubset([net.target for net in owner.live])
    # Not safe by itself: a PCI device must be seen free first, and of two ports with one MAC this may be the wrong one.
    is_safe = port.plug_type != POOLED and not (owner.is_active and has_mac) and not has_orphan
    yield _orphan(port, network, owner.name, why, is_safe=is_safe)


def _orphan(port: NetworkPort, network: str, owner: str, why: str, *, is_safe: bool) -> Finding:
    how = "Delete it with `repair()` or " if is_safe else "Make sure that nothing uses it, then "
    nic, uuid = str(port.mac or "-"), port.uuid
    return finding(
        "port-orphaned", (owner, port.owner_uuid), nic, device=uuid, network=network, is_safe=is_safe, why=why, how=how
    )
