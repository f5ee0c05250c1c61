"""Host devices the journal holds, against what guests, host and pools show of them: the audit's view of VFs."""

from __future__ import annotations

from collections.abc import Iterator

from virtnetplug.backends.vf_identity import make_port
from virtnetplug.errors import Failed
from virtnetplug.hotplug.audit.drift import drift_findings, finding_of
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.recover.returns import return_devices
from virtnetplug.hotplug.report.survey import Seen, Survey
from virtnetplug.model.audit import Finding
from virtnetplug.model.holding import Holding
from virtnetplug.model.pci import PciAddress

GIVE_BACK = "return it to the host, and to its pool, with proof that it is as it was"


def device_findings(host: Host, whole: Survey) -> Iterator[Finding]:
    """What disagrees about each device that is held; none are held on most hosts, and then this is one query."""
    open_nics = {nic for record in whole.operations for nic in record.touched}
    for holding in host.journal.holdings():
        seen = whole.domains.get(holding.domain_uuid)
        if holding.hypervisor != host.hypervisor.key or (seen is None and not whole.is_whole):
            continue
        if holding.quarantine or holding.unreadable:
            yield _quarantined(holding)
        elif (holding.domain_uuid, holding.alias) in open_nics:
            continue
        elif seen is None or not _has(seen, holding):
            yield _leaked(holding)
        elif host.hypervisor.is_local:
            yield from drift_findings(host, seen, holding)


def take_back(host: Host, finding: Finding) -> None:
    """The repair: return the device with proof; raises `Failed` with the reason if that fails."""
    address = PciAddress.parse(finding.device)
    for outcome in return_devices(host, finding.domain_uuid):
        if outcome.reason == "quarantined" and str(address) in outcome.message:
            raise Failed(outcome.message)
    if any(holding.address == address for holding in host.journal.holdings()):
        raise Failed(f"host device {address} is in use again; audit again.")


def reclaim_port(host: Host, finding: Finding) -> None:
    """The repair: make the port of a device in use again, because its pool lost the port and would lend the device a second time."""
    for holding in host.journal.holdings():
        if str(holding.address) == finding.device and holding.network:
            make_port(host, holding)
            return
    raise Failed(f"host device {finding.device} is not held any more; audit again.")


def _has(seen: Seen, holding: Holding) -> bool:
    return any(holding.is_behind(net.alias, net.mac, net.host_address) for net in seen.live)


def _quarantined(holding: Holding) -> Finding:
    why = f"cannot be returned: {holding.unreadable}" if holding.unreadable else f"is quarantined: {holding.quarantine}"
    return finding_of(
        "device-quarantined",
        holding,
        f"Host device {holding.address}, last of {holding.alias} of {holding.domain_name}, {why}.",
        "Mend that, then run `repair()` or `recover()`.",
        repair=GIVE_BACK,
    )


def _leaked(holding: Holding) -> Finding:
    return finding_of(
        "device-leaked",
        holding,
        f"Host device {holding.address} is held for {holding.alias} of {holding.domain_name}, which does not have it any more.",
        "Run `recover()`.",
        repair=GIVE_BACK,
    )
