"""The repairs that are safe: each looks again, under the domain's lock, and does only what is still needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace

from virtnetplug import interruption, xml
from virtnetplug.errors import DomainMissing, DomainNotRunning, DomainTransient, Failed, Interrupted, VirtnetplugError
from virtnetplug.hotplug.audit.identity_findings import copy_to_config, do_what_is_due, remember_again
from virtnetplug.hotplug.audit.lent import reclaim_port, set_again, take_back
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import LEAST, Lock, named_lock
from virtnetplug.hotplug.change.heal import Heal
from virtnetplug.hotplug.guest import travel
from virtnetplug.model.audit import AuditReport, Finding
from virtnetplug.model.operation import Half
from virtnetplug.model.travelling import KnownNic


def repair(host: Host, report: AuditReport) -> AuditReport:
    """Mend what `report` says is safe to mend; each of those comes back with `repaired` True or False.

    Every repair looks again first and does nothing that is not needed any more. Open operations are for `recover`.
    """
    return replace(report, findings=tuple(mend(host, finding) for finding in report.findings))


def mend(host: Host, finding: Finding) -> Finding:
    """`finding` with `repaired` set, and why not in its message; as it was where nothing is safe to do."""
    work = REPAIRS.get(finding.kind) if finding.repair else None
    if work is None:
        return finding
    interruption.check()  # each repair is an operation of its own
    try:
        name, hypervisor = f"domain {finding.domain}", host.hypervisor.key
        with nullcontext() if work in WITHOUT_LOCK else named_lock(host, name, hypervisor, finding.domain_uuid, LEAST):
            work(host, finding)
    except Interrupted:
        raise
    except VirtnetplugError as error:
        return replace(finding, repaired=False, message=f"{finding.message} It could not be mended: {error.message}")
    return replace(finding, repaired=True)


def put_back(host: Host, finding: Finding) -> None:
    """Make what is behind a NIC as its definition says, its port too; a tap in another bridge leaves that, for the finding named it."""
    domain = host.hypervisor.domain(finding.domain_uuid)
    with Lock(host, [domain], LEAST) as lock:
        Heal(finding.nic, may_move=finding.kind == "tap-in-other-bridge").prepare(host, domain).run(host, lock, 0.0)


def delete_port(host: Host, finding: Finding) -> None:
    """Delete a network port, unless its owner uses it by now."""
    with suppress(DomainMissing, DomainNotRunning):
        for net in xml.glimpse(host.hypervisor.domain(finding.domain_uuid).xml(Half.LIVE)):
            if net.portid == finding.device or net.mac == finding.nic:
                raise Failed(f"{finding.domain} has a NIC in port {finding.device} by now; audit again.")
    host.networks.delete_port(finding.network, finding.device)


def forget(host: Host, finding: Finding) -> None:
    """Take a NIC that went by itself out of the journal, unless it is there again."""
    for half in Half:
        with suppress(DomainMissing, DomainNotRunning, DomainTransient):
            nets = xml.glimpse(host.hypervisor.domain(finding.domain_uuid).xml(half))
            if any(net.alias == finding.nic for net in nets):
                raise Failed(f"{finding.domain} has NIC {finding.nic} again; audit again.")
    key = host.hypervisor.key
    gone = [row for row in host.journal.nics(key, finding.domain_uuid) if row.alias == finding.nic]
    host.journal.drop_nic(key, finding.domain_uuid, finding.nic)
    with suppress(VirtnetplugError):
        domain = host.hypervisor.domain(finding.domain_uuid)
        travel.forget(domain, (), [KnownNic(row.alias, row.mac, row.source) for row in gone])


def clear_remains(host: Host, finding: Finding) -> None:
    """Remove what a hotplug script wrote about the vifs of a domain that had ended."""
    store, domain_id = host.vif_store, int(finding.device)
    if store is None:
        return
    store.clear(domain_id)
    if domain_id in store.remains():
        raise Failed(f"a script has written about the vifs of domain id {domain_id} again; audit again.")


REPAIRS: Mapping[str, Callable[[Host, Finding], None]] = {
    "tap-not-in-bridge": put_back,
    "tap-in-other-bridge": put_back,
    "tap-not-isolated": put_back,
    "port-missing": put_back,
    "port-orphaned": delete_port,
    "nic-gone": forget,
    "device-quarantined": take_back,
    "device-leaked": take_back,
    "vf-changed": take_back,
    "device-port-missing": reclaim_port,
    "vf-settings-differ": set_again,
    "identity-lost": remember_again,
    "identity-differs": copy_to_config,
    "policy-unmet": do_what_is_due,
    "vif-remains": clear_remains,
}
"""What is done about each kind of finding; the others are for a person, or for `recover`."""

WITHOUT_LOCK = frozenset({do_what_is_due, clear_remains, put_back})
"""Repairs that take the domain's lock themselves, or that are of no domain."""
