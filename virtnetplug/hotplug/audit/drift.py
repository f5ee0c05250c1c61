"""What the host shows of a device that a guest has, against what it should be: gone, driven by another, set otherwise, not reserved."""

from __future__ import annotations

from collections.abc import Iterator

from virtnetplug import xml
from virtnetplug.backends import vf_settings
from virtnetplug.backends.candidates import is_lent_by
from virtnetplug.backends.vf_identity import loss_of
from virtnetplug.errors import (
    DomainMissing,
    DomainNotRunning,
    Failed,
    HostDeviceMissing,
    VfChanged,
    VirtnetplugError,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.guest.device_run import as_in_run
from virtnetplug.hotplug.report.survey import Seen
from virtnetplug.model.audit import Finding
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VFIO_DRIVER
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half


def drift_findings(host: Host, seen: Seen, holding: Holding) -> Iterator[Finding]:
    """All of it; `seen` is the domain that has the device."""
    try:
        device = host.host_devices.device(holding.address)
    except HostDeviceMissing:
        yield finding_of(
            "device-missing",
            holding,
            f"Host device {holding.address}, which {holding.alias} of {holding.domain_name} has, is gone from the host. "
            "Someone changed sriov_numvfs of its PF, or removed it, while it was in use.",
            "Detach the NIC and attach it again once there are VFs, and change their number only while none is held.",
        )
        return
    if not device.is_vf:
        yield finding_of(
            "device-missing",
            holding,
            f"Host device {holding.address}, which {holding.alias} of {holding.domain_name} has, is being taken from the host. Someone "
            "changed sriov_numvfs of its PF while it was in use, and that now waits for the guest to let go.",
            "Detach the NIC; attach it again once there are VFs, and change their number only while none is held.",
        )
        return
    if (loss := loss_of(host, holding)) is not None:
        yield finding_of(
            VfChanged.reason,
            holding,
            f"H{loss.message[1:]}. Nothing is written to it.",
            "Run `recover()`, then detach the NIC and attach it again.",
            repair=f"hold host device {holding.address} no longer for {holding.alias}, and delete its port",
        )
        return
    if device.driver != VFIO_DRIVER:
        yield finding_of(
            "device-driver",
            holding,
            f"Host device {holding.address}, which {holding.alias} of {holding.domain_name} has, is on driver "
            f"{device.driver or 'none'} and not on {VFIO_DRIVER}. Someone bound it by hand, or changed sriov_numvfs of its PF, "
            "which makes every VF anew.",
            "Detach the NIC and attach it again.",
        )
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
        yield finding_of(
            "vf-settings-unseen",
            holding,
            f"How host device {holding.address} is set, which {holding.alias} of {holding.domain_name} has, cannot be seen: "
            f"{error.message}",
            "Mend that; until then the device can neither be set nor be returned.",
        )
        return
    missed = vf_settings.drift(vf_settings.of_lent(net, as_in_run(host, seen.domain, holding)), now)
    if missed:
        yield finding_of(
            "vf-settings-differ",
            holding,
            f"Host device {holding.address}, which {holding.alias} of {holding.domain_name} has, is not set as it should be: its "
            f"{vf_settings.told(missed, now)}. Someone set it by hand, or its PF forgot it at a reset.",
            "Set it again with `repair()`; if it is meant, say so with `update()`.",
            repair=f"set {', '.join(f'{name} {value}' for name, value in vf_settings.words(missed))} again through its PF",
        )


def set_again(host: Host, finding: Finding) -> None:
    """The repair: make a VF have again what it lost, and read it back; raises `Failed` where it is no longer that guest's."""
    for holding in host.journal.holdings():
        if (str(holding.address), holding.domain_uuid) == (
            finding.device,
            finding.domain_uuid,
        ) and not holding.quarantine:
            try:
                domain = host.hypervisor.domain(holding.domain_uuid)
                net = _net_of(domain.xml(Half.LIVE), holding)
            except (DomainMissing, DomainNotRunning):
                net = None
            if net is not None:
                wanted = vf_settings.of_lent(net, as_in_run(host, domain, holding))
                missed = vf_settings.drift(wanted, host.host_devices.settings(holding.address))
                vf_settings.put(host, holding, missed)
                return
    raise Failed(f"{finding.nic} of {finding.domain} does not have host device {finding.device} any more; audit again.")


def _net_of(live_xml: str, holding: Holding) -> Interface | None:
    nets = xml.devices(live_xml).nets
    return next((net for net in nets if holding.is_behind(net.alias, net.mac, net.source_pci)), None)


def _port(host: Host, holding: Holding) -> Iterator[Finding]:
    if not holding.network:
        return
    try:
        if holding.port in host.networks.port_uuids(holding.network):
            return
        if any(port.host_address == holding.address for port in host.networks.ports(holding.network)):
            return  # libvirt has made one of its own since, as it does where a run begins: the network does not lend the device again
        network = host.networks.network(holding.network)
        if not is_lent_by(host, network, holding.address):
            return  # the network of that name is another one by now
    except VirtnetplugError:
        return
    yield finding_of(
        "device-port-missing",
        holding,
        f"Network {holding.network} has lost the port of host device {holding.address}, which {holding.alias} of "
        f"{holding.domain_name} has; it would lend the device again.",
        "Run `repair()`."
        if network.active
        else f"Start the network ('virsh net-start {holding.network}'), then run `repair()`.",
        repair=f"reserve it in network {holding.network} again" if network.active else "",
    )


def finding_of(kind: str, holding: Holding, message: str, remedy: str, *, repair: str = "") -> Finding:
    """A finding about that device."""
    return Finding(
        kind=kind,
        domain=holding.domain_name,
        domain_uuid=holding.domain_uuid,
        nic=holding.alias,
        message=message,
        remedy=remedy,
        repair=repair,
        network=holding.network,
        device=str(holding.address),
    )
