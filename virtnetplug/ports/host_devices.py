"""What operations need of the host's SR-IOV devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from virtnetplug.model.host_device import Boot, PciDevice, VfCounters, VfIdentity, VfSettings
from virtnetplug.model.operation import Refusal
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.physical_functions import PhysicalFunctions


class HostDevices(PhysicalFunctions, Protocol):
    """The PCI devices of this host, and the VFs' settings. A look is always a fresh one."""

    def obstacles(self) -> Sequence[Refusal]:
        """What keeps this program from lending any device of this host, each with its remedy; none if nothing is known to."""

    def device(self, address: PciAddress) -> PciDevice:
        """Any PCI device; raises `HostDeviceMissing`."""

    def devices(self) -> Sequence[PciDevice]:
        """Every network PF, each followed by its VFs; none on a host without SR-IOV."""

    def vfs(self, pf: PciAddress) -> Sequence[PciDevice]:
        """The VFs of `pf` by index; none for a device that is no PF. Raises `HostDeviceMissing`."""

    def identity(self, vf: PciAddress) -> VfIdentity:
        """Which VF there is at that address. Raises `HostDeviceMissing`, and `HostDeviceUnfit` for what is no VF."""

    def boot(self) -> Boot:
        """The boot of this host that VFs are of now."""

    def settings(self, vf: PciAddress) -> VfSettings:
        """What is set of it now. Raises `HostDeviceMissing`; `HostDeviceUnfit` for what is no VF, or whose PF has no network interface."""

    def apply(self, vf: PciAddress, settings: VfSettings) -> None:
        """Set what `settings` says (is not None) and differs from what is set now.

        Everything is tried, and what could not be set is named by a `HostDeviceFailed`. Raises what `settings` raises, too.
        """

    def counters(self, pf: PciAddress) -> Mapping[PciAddress, VfCounters]:
        """What each VF of `pf` has carried; without those of which nothing was ever counted, as a driver that counts nothing says zero.

        Raises `HostDeviceMissing`, `HostDeviceFailed`; `HostDeviceUnfit` for a device without a network interface.
        """

    def group(self, address: PciAddress) -> Sequence[PciDevice]:
        """All devices of its IOMMU group, itself among them; none if it is in none. Raises `HostDeviceMissing`."""

    def vfio_users(self, address: PciAddress) -> frozenset[int]:
        """The ids of the processes that hold its VFIO device or group open.

        Raises `HostDeviceMissing`, and `HostDeviceFailed` where some process may not be looked at (that takes root).
        """

    def is_msix_enabled(self, address: PciAddress) -> bool:
        """Whether its MSI-X is switched on, which a guest's driver does; False for a device without.

        Raises `HostDeviceMissing`, and `HostDeviceFailed` where that cannot be seen (it takes root).
        """

    def is_link_up(self, pf: PciAddress) -> bool:
        """Whether the network interface of a device has a carrier; False if it has no interface. Raises `HostDeviceMissing`."""
