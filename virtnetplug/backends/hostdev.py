"""Assigned PCI devices: a VF of a pool or by address, held in the journal, bound to VFIO, returned with proof.

The order is that of libvirt commit cf90342: the actual device first, the PCI device next, the guest last. The way back has the reverse
order. The parts are the modules `lending`, `returning`, `vf_identity` and `vf_settings`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from virtnetplug.backends import Backend, Ground, Order, Steps
from virtnetplug.backends.lending import claim, element_for, exhausted, held, held_for, pool_for, prepare, rank
from virtnetplug.backends.returning import return_to_host
from virtnetplug.backends.vf_settings import of_ours, of_request, put, unfit, vlan_fault
from virtnetplug.errors import HostDeviceBusy, PoolExhausted, VfChanged, VirtnetplugError, VlanInvalid
from virtnetplug.lifecycle import State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.holding import Setting
from virtnetplug.model.host_device import VFIO_DRIVER, PciDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase
from virtnetplug.ports.domain import Domain


class AssignedDevice(Backend):
    """Actual type ``hostdev``."""

    plug_steps = (("claim_device", Phase.ALLOCATE), ("plug_device", Phase.PLUG))
    attach_step = "attach_hostdev"
    release_step = "pci_reattach"
    updatable = ()
    is_lent = True
    migrates = False
    locks_memory = True
    is_express = True

    def serves(self, actual: ActualDevice) -> bool:
        return actual.type == "hostdev"

    def settings_of(self, net: Interface) -> Mapping[str, Setting]:
        """See `Backend.settings_of`: the settings that a VF gets through its PF."""
        return of_request(net)

    def _reasons(
        self, ground: Ground, net: Interface, actual: ActualDevice, leaving: Interface | None
    ) -> Iterator[tuple[str, str]]:
        """What the request asks that a VF cannot hold, or that no device of this host can give."""
        if not ground.hypervisor.is_local:
            yield "not-local", "is an assigned PCI device, whose host is not this one. Run virtnetplug there."
            return
        if net.filterref is not None:
            dropped = "has a filter, which libvirt silently drops on an assigned PCI device. Leave it out, or use an emulated NIC."
            yield "not-supported", dropped
        for field, what in (("mtu", "an MTU"), ("port_isolated", "port isolation")):
            if getattr(net, field) is not None:
                refused = f"asks for {what}, which libvirt refuses for an assigned PCI device. Leave it out."
                yield "not-supported", refused
        if (fault := vlan_fault(actual.vlan)) is not None:
            yield VlanInvalid.reason, f"{fault}."
        try:
            if against := ground.host_devices.obstacles():
                yield from ((one.reason, f"cannot get a device: {one.message}") for one in against)
                return
            pool = pool_for(ground, net, actual, None, leaving)
            faults = [why for device in pool.devices if (why := _unfit(ground, device)) is not None]
            wanted = of_request(net)
            checked = pool.devices if wanted and not faults else ()
            unset = [unfit(wanted, ground.host_devices.settings(device.address)) for device in checked]
        except VirtnetplugError as error:
            yield error.reason, f"cannot get a device: {error.message}"
            return
        if net.source_pci is not None and faults:
            yield "host-device-unfit", f"cannot get {net.source_pci}: {faults[0]}"
        elif unset and None not in unset:
            yield "host-device-unfit", f"cannot be set as asked: {unset[0]}. Leave that out, or use another device."
        elif not rank(pool):
            kind = HostDeviceBusy if net.source_pci is not None else PoolExhausted
            yield kind.reason, f"cannot get a device: {exhausted(actual, pool, {})}"

    def plug(self, ground: Ground, order: Order, steps: Steps) -> Interface:
        """Hold a device, make its port, bind it to VFIO where libvirt is not to, set it. The net names the device by address."""
        alias = order.net.alias or ""
        holding = steps.effect("claim_device", alias, lambda: claim(ground, order), half=Half.LIVE)
        # a device that libvirt binds inside attach, and that has no settings before, needs no intent of its own
        plug = steps.effect if not holding.managed or of_ours(holding.settings) else steps.note
        plug("plug_device", alias, lambda: prepare(ground, holding), half=Half.LIVE)
        return element_for(order.net, order.actual, holding)

    def configure(self, ground: Ground, order: Order, plugged: Interface) -> None:
        """Set the VF again, for libvirt has set its VLAN since. Nothing undoes that: a VF is returned as it was before it was lent."""
        if (address := plugged.source_pci) is None:
            return
        holding = held(ground, order.domain, order.net.alias or "", order.net.mac, address)
        if holding is None:
            raise VfChanged(f"host device {address} is not the VF any more that was lent to {order.net.alias}.")
        put(ground, holding, order.settings)

    def unplug(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[str]:
        """Return the device that the net names, or quarantine it and say why. A net without a device returns all that is held for it."""
        found = []
        for holding in held_for(ground, domain, net.alias or ""):
            if net.source_pci not in (None, holding.address):
                continue  # the device of a NIC that has this alias before or after this NIC
            returned = return_to_host(ground, holding)
            lost = returned.loss.told if returned.loss is not None else None
            found += [text for text in (returned.busy, returned.fault or lost) if text is not None]
        return found

    def probe(self, ground: Ground, net: Interface) -> State | None:
        """Connected while VFIO has the device."""
        if (device := _device(ground, net)) is None:
            return None
        return State.CONNECTED if device.driver == VFIO_DRIVER else State.INITIALISED

    def end_of(self, net: Interface) -> str:
        """The address of the host device."""
        return str(net.source_pci or "")

    def device_seen(self, ground: Ground, net: Interface) -> str | None:
        """The identity of the host device, which the guest sees as it is."""
        device = _device(ground, net)
        return "" if device is None else f"{device.vendor}:{device.device}"

    def link_of(self, ground: Ground, net: Interface) -> tuple[bool, str]:
        """The link state of the VF, which its PF sets."""
        if net.source_pci is None:
            return super().link_of(ground, net)
        if not ground.hypervisor.is_local:
            return True, "its host is not this one"
        try:
            state = ground.host_devices.settings(net.source_pci).link_state
        except VirtnetplugError as error:
            return True, error.message
        return state != "disable", "" if state is not None else "the driver of its PF has no link state for its VFs"

    def is_driven(self, ground: Ground, domain: Domain, net: Interface) -> bool:
        """Whether the guest's driver has switched MSI-X on."""
        is_local = net.source_pci is not None and ground.hypervisor.is_local
        return is_local and ground.host_devices.is_msix_enabled(net.source_pci)  # type: ignore[arg-type]


def _device(ground: Ground, net: Interface) -> PciDevice | None:
    """The host device of the NIC, if it can be seen."""
    with suppress(VirtnetplugError):
        if net.source_pci is not None and ground.hypervisor.is_local:
            return ground.host_devices.device(net.source_pci)
    return None


def _unfit(ground: Ground, device: PciDevice) -> str | None:
    """Why no guest can get this device, whoever has it; None if a guest can."""
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
