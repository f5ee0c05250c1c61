"""What operations need of libvirt's node devices: who drives a PCI device of the host."""

from __future__ import annotations

from typing import Protocol

from virtnetplug.model.pci import PciAddress


class NodeDevices(Protocol):
    """Every method raises `HostDeviceMissing` for a device that libvirt does not know (any more)."""

    def driver(self, address: PciAddress) -> str | None:
        """The kernel driver that holds the device, None where none does."""

    def detach(self, address: PciAddress) -> None:
        """``virNodeDeviceDetachFlags``: bind it to vfio-pci; one that is bound to it already is no error. Raises `HostDeviceBusy`."""

    def reattach(self, address: PciAddress) -> None:
        """``virNodeDeviceReAttach``: give it back to its host driver, from vfio-pci or from none. Raises `HostDeviceBusy` while a domain has it."""
