"""The host devices that the journal holds, against what guests, the host and pools show of them."""

from __future__ import annotations

from collections.abc import Iterator

from virtnetplug import xml
from virtnetplug.backends import backend_of, types_that, vf_settings
from virtnetplug.backends.lending import is_lent_by
from virtnetplug.backends.vf_identity import loss_of, make_port
from virtnetplug.errors import DomainMissing, DomainNotRunning, Failed, HostDeviceMissing, VirtnetplugError
from virtnetplug.hotplug.audit.findings import finding
from virtnetplug.hotplug.audit.survey import Seen, Survey
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.guest.assigned import as_in_run
from virtnetplug.hotplug.recover.returns import return_devices
from virtnetplug.model.audit import Finding
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VFIO_DRIVER
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half


def backend_findings(host: Host, whole: Survey) -> Iterator[Finding]:
    """What the backends themselves find wrong behind the NICs of running guests; most kinds have no answer of their own."""
    open_nics = {nic for record in whole.operations for nic in record.touched}
    for seen in whole.domains.values():
        if host.hypervisor.is_local and any(net.type in types_that("audited_types") for net in seen.live):
            for net in xml.devices(seen.live_xml or "<domain/>").nets:
                if (seen.uuid, net.alias) not in open_nics:
                    yield from backend_of(net).findings(host, seen.domain, net)


def device_findings(host: Host, whole: Survey) -> Iterator[Finding]:
    """What is wrong with each held device. Most hosts hold none, and then this is one query."""
    open_nics = {nic for record in whole.operations for nic in record.touched}
    for holding in host.journal.holdings():
        seen = whole.domains.get(holding.domain_uuid)
        if holding.hypervisor != host.hypervisor.key or (seen is None and not whole.is_whole):
            continue
        if holding.unreadable:
            yield _found("device-quarantined", holding, why=f"cannot be returned: {holding.unreadable}")
        elif holding.quarantine:
            yield _found("device-quarantined", holding, why=f"is quarantined: {holding.quarantine}")
        elif (holding.domain_uuid, holding.alias) in open_nics:
            continue
        elif seen is None or not any(holding.is_behind(net.alias, net.mac, net.host_address) for net in seen.live):
            yield _found("device-leaked", holding)
        elif host.hypervisor.is_local:
            yield from _drift(host, seen, holding)


def _drift(host: Host, seen: Seen, holding: Holding) -> Iterator[Finding]:
    """What the host shows of a device that the guest `seen` has, against what it should be."""
    try:
        device = host.host_devices.device(holding.address)
    except HostDeviceMissing:
        yield _found(
            "device-missing", holding, what="is gone from the host", why=", or removed it, while it was in use"
        )
        return
    if not device.is_vf:
        why = " while it was in use, and that now waits for the guest to let go"
        yield _found("device-missing", holding, what="is being taken from the host", why=why)
    elif (loss := loss_of(host, holding)) is not None:
        yield _found("vf-changed", holding, why=f"H{loss.message[1:]}")
    elif device.driver != VFIO_DRIVER:
        yield _found("device-driver", holding, driver=device.driver or "none")
        yield from _port(host, holding)
    else:
        yield from _settings(host, seen, holding)
        yield from _port(host, holding)


def _settings(host: Host, seen: Seen, holding: Holding) -> Iterator[Finding]:
    try:
        net = _net_of(seen.live_xml or "<domain/>", holding)
        if net is None:
            return
        now = host.host_devices.settings(holding.address)
    except VirtnetplugError as error:
        yield _found("vf-settings-unseen", holding, why=error.message)
        return
    missed = vf_settings.drift(vf_settings.of_lent(net, as_in_run(host, seen.domain, holding)), now)
    if missed:
        settings = ", ".join(f"{vf_settings.word(name)} {value}" for name, value in missed.items())
        yield _found("vf-settings-differ", holding, missed=vf_settings.told(missed, now), settings=settings)


def _port(host: Host, holding: Holding) -> Iterator[Finding]:
    if not holding.network:
        return
    try:
        if holding.port in host.networks.port_uuids(holding.network):
            return
        if any(port.host_address == holding.address for port in host.networks.ports(holding.network)):
            return  # libvirt has made its own port since, as it does where a run begins: the network does not lend the device again
        network = host.networks.network(holding.network)
        if not is_lent_by(host, network, holding.address):
            return  # the network of that name is another network by now
    except VirtnetplugError:
        return
    how = "R" if network.active else f"Start the network ('virsh net-start {holding.network}'), then r"
    yield _found("device-port-missing", holding, is_safe=network.active, how=how)


def _found(kind: str, holding: Holding, *, is_safe: bool = True, **values: str) -> Finding:
    owner = holding.domain_name, holding.domain_uuid
    device, network = str(holding.address), holding.network
    return finding(kind, owner, holding.alias, device=device, network=network, is_safe=is_safe, **values)


def _net_of(live_xml: str, holding: Holding) -> Interface | None:
    nets = xml.devices(live_xml).nets
    return next((net for net in nets if holding.is_behind(net.alias, net.mac, net.source_pci)), None)


def take_back(host: Host, finding: Finding) -> None:
    """The repair: return the device with proof; raises `Failed` with the reason if it cannot be returned."""
    for outcome in return_devices(host, finding.domain_uuid):
        if outcome.reason == "quarantined" and finding.device in outcome.message:
            raise Failed(outcome.message)
    if any(str(holding.address) == finding.device for holding in host.journal.holdings()):
        raise Failed(f"host device {finding.device} is in use again; audit again.")


def reclaim_port(host: Host, finding: Finding) -> None:
    """The repair: make the lost port of a device that is in use, so that its pool does not lend the device a second time."""
    for holding in host.journal.holdings():
        if str(holding.address) == finding.device and holding.network:
            make_port(host, holding)
            return
    raise Failed(f"host device {finding.device} is not held any more; audit again.")


def set_again(host: Host, finding: Finding) -> None:
    """The repair: set again what a VF lost, and read it; raises `Failed` if that guest does not have the VF any more."""
    asked = finding.device, finding.domain_uuid
    held = (one for one in host.journal.holdings() if (str(one.address), one.domain_uuid) == asked)
    for holding in (one for one in held if not one.quarantine):
        try:
            domain = host.hypervisor.domain(holding.domain_uuid)
            net = _net_of(domain.xml(Half.LIVE), holding)
        except (DomainMissing, DomainNotRunning):
            continue
        if net is not None:
            wanted = vf_settings.of_lent(net, as_in_run(host, domain, holding))
            missed = vf_settings.drift(wanted, host.host_devices.settings(holding.address))
            vf_settings.put(host, holding, missed)
            return
    raise Failed(f"{finding.nic} of {finding.domain} does not have host device {finding.device} any more; audit again.")
