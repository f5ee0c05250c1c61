"""Why a guest cannot be given the device it asks for: said before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator

from virtnetplug.backends import Ground
from virtnetplug.backends.candidates import exhausted, pool_for
from virtnetplug.backends.choice import rank
from virtnetplug.backends.vf_settings import of_request, unfit, vlan_fault
from virtnetplug.errors import HostDeviceBusy, PoolExhausted, VirtnetplugError, VlanInvalid
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.host_device import PciDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Refusal


def device_refusals(
    ground: Ground, net: Interface, actual: ActualDevice, leaving: Interface | None
) -> Iterator[Refusal]:
    """What the request asks that a VF cannot hold, or that no device of this host can give; `leaving` has gone by then."""
    name = net.alias or str(net.mac or "the NIC")

    def refusal(reason: str, why: str) -> Refusal:
        return Refusal(reason=reason, nic=name, message=f"{name} {why}")

    if not ground.hypervisor.is_local:
        yield refusal("not-local", "is an assigned PCI device, whose host is not this one. Run virtnetplug there.")
        return
    if net.filterref is not None:
        yield refusal(
            "not-supported",
            "has a filter, which libvirt silently drops on an assigned PCI device. Leave it out, or use an emulated NIC.",
        )
    for field, what in (("mtu", "an MTU"), ("port_isolated", "port isolation")):
        if getattr(net, field) is not None:
            yield refusal(
                "not-supported", f"asks for {what}, which libvirt refuses for an assigned PCI device. Leave it out."
            )
    if (fault := vlan_fault(actual.vlan)) is not None:
        yield refusal(VlanInvalid.reason, f"{fault}.")
    try:
        if against := ground.host_devices.obstacles():
            yield from (refusal(one.reason, f"cannot get a device: {one.message}") for one in against)
            return
        pool = pool_for(ground, net, actual, None, leaving)
        faults = [why for device in pool.devices if (why := _unfit(ground, device)) is not None]
        unset = [] if faults else [_unsettable(ground, net, device) for device in pool.devices]
    except VirtnetplugError as error:
        yield refusal(error.reason, f"cannot get a device: {error.message}")
        return
    if net.source_pci is not None and faults:
        yield refusal("host-device-unfit", f"cannot get {net.source_pci}: {faults[0]}")
    elif unset and None not in unset:
        yield refusal(
            "host-device-unfit", f"cannot be set as asked: {unset[0]}. Leave that out, or use another device."
        )
    elif not rank(pool):
        kind = HostDeviceBusy if net.source_pci is not None else PoolExhausted
        yield refusal(kind.reason, f"cannot get a device: {exhausted(actual, pool, {})}")


def _unsettable(ground: Ground, net: Interface, device: PciDevice) -> str | None:
    """Why this device could not be set as the NIC asks; None if it could, or nothing is asked."""
    wanted = of_request(net)
    return unfit(wanted, ground.host_devices.settings(device.address)) if wanted else None


def _unfit(ground: Ground, device: PciDevice) -> str | None:
    """Why no guest could be given this device, whoever has it; None if one could."""
    if device.is_pf:
        return "it is a PF; name one of its VFs"
    if not device.is_vf:
        return "it is no VF of an SR-IOV device"
    if device.iommu_group is None:
        return "it is in no IOMMU group; switch the IOMMU on (intel_iommu=on or amd_iommu=on in the kernel's arguments)"
    company = [one for one in ground.host_devices.group(device.address) if one.address != device.address]
    in_use = [str(one.address) for one in company if not one.allows_company]
    if in_use:
        return f"its IOMMU group {device.iommu_group} also has {', '.join(in_use)}, which the host uses"
    return None
