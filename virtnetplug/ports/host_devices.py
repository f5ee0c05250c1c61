"""What operations need of the host's PCI network devices: physical functions (PFs), virtual functions (VFs), and their drivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from virtnetplug.model.host_device import Boot, NetdevState, PciDevice, PfState, VfCounters, VfIdentity, VfSettings
from virtnetplug.model.operation import Refusal
from virtnetplug.model.pci import PciAddress


class HostDevices(Protocol):
    """The PCI devices of this host. A look is always a fresh one, and raises `HostDeviceMissing` for a device that is not there."""

    def obstacles(self) -> Sequence[Refusal]:
        """What keeps this program from lending any device of this host, each obstacle with its remedy."""

    def device(self, address: PciAddress) -> PciDevice:
        """Any PCI device."""

    def devices(self) -> Sequence[PciDevice]:
        """Every network PF, each followed by its VFs; none on a host without SR-IOV."""

    def vfs(self, pf: PciAddress) -> Sequence[PciDevice]:
        """The VFs of `pf` by index; none for a device that is no PF."""

    def identity(self, vf: PciAddress) -> VfIdentity:
        """The identity of the VF at that address. Raises `HostDeviceUnfit` for a device that is no VF."""

    def boot(self) -> Boot:
        """The current boot of this host."""

    def settings(self, vf: PciAddress) -> VfSettings:
        """The VF's current settings. Raises `HostDeviceUnfit` for a device that is no VF, or whose PF has no network interface."""

    def apply(self, vf: PciAddress, settings: VfSettings) -> None:
        """Set what is not None in `settings` and differs from the current settings.

        Everything is tried, and a `HostDeviceFailed` names what could not be set. Raises what the method `settings` raises, too.
        """

    def counters(self, pf: PciAddress) -> Mapping[PciAddress, VfCounters]:
        """What each VF of `pf` has carried. VFs with zeroes alone are left out, as a driver that counts nothing reports zeroes.

        Raises `HostDeviceFailed`, and `HostDeviceUnfit` for a device without a network interface.
        """

    def group(self, address: PciAddress) -> Sequence[PciDevice]:
        """All devices of the device's IOMMU group, itself among them; none if the device is in no group."""

    def vfio_users(self, address: PciAddress) -> frozenset[int]:
        """The ids of the processes that hold the device's VFIO file or group open.

        Raises `HostDeviceFailed` if some process may not be looked at (that takes root).
        """

    def is_msix_enabled(self, address: PciAddress) -> bool:
        """Whether the device's MSI-X is on, which a guest's driver does; False for a device without MSI-X.

        Raises `HostDeviceFailed` if that cannot be seen (that takes root).
        """

    def is_link_up(self, pf: PciAddress) -> bool:
        """Whether the network interface of a device has a carrier; False if the device has no interface."""

    # -- PFs. Nobody may have a VF of a PF that is unbound, or whose number of VFs changes. Else the kernel waits for the VF's user,
    # without a limit. ------------------------------------------------------------------------------

    def pf_state(self, pf: PciAddress) -> PfState:
        """Everything that has to be restored after the PF was bound anew. Raises `HostDeviceFailed`."""

    def netdev_state(self, address: PciAddress) -> NetdevState | None:
        """The state of a device's network interface; None if the device has none here. Raises `HostDeviceFailed`."""

    def links_above(self, address: PciAddress) -> Sequence[str]:
        """Names of the links that stand on the device's network interface (VLANs, macvtaps), and go with it."""

    def obstacle(self, pf: PciAddress) -> str | None:
        """Why this process cannot change the PF, a sentence; None if nothing is known against it."""

    def unbind(self, address: PciAddress) -> None:
        """Unbind the driver of a device, which removes its VFs; a device without a driver is no error. Raises `HostDeviceFailed`."""

    def bind(self, address: PciAddress, driver: str) -> None:
        """Bind a device to a driver; returns once the driver works. A device that has the driver is no error. Raises `HostDeviceFailed`."""

    def set_num_vfs(self, pf: PciAddress, number: int) -> None:
        """Set the number of VFs, which makes all VFs anew, unless the PF has this number already. Raises `HostDeviceFailed`."""

    def restore_netdev(self, address: PciAddress, state: NetdevState) -> None:
        """Wait for the device's network interface, and restore what differs from `state`. `HostDeviceFailed` names what could not be restored."""

    def hook_fault(self, command: Sequence[str]) -> str | None:
        """Why that program cannot be run, a sentence; None if it can."""

    def run_hook(self, pf: PciAddress, command: Sequence[str]) -> None:
        """Run a program (no shell) with ``VIRTNETPLUG_PF`` (the address) and ``VIRTNETPLUG_NETDEV`` in its environment; raises `HookFailed`."""


class NodeDevices(Protocol):
    """libvirt's node devices. Every method raises `HostDeviceMissing` for a device that libvirt does not know (any more)."""

    def driver(self, address: PciAddress) -> str | None:
        """The kernel driver that holds the device, None if no driver does."""

    def detach(self, address: PciAddress) -> None:
        """``virNodeDeviceDetachFlags``: bind the device to vfio-pci; a device that has vfio-pci is no error. Raises `HostDeviceBusy`."""

    def reattach(self, address: PciAddress) -> None:
        """``virNodeDeviceReAttach``: re-attach the device to its host driver, from vfio-pci or from none.

        Raises `HostDeviceBusy` while a domain has the device.
        """
