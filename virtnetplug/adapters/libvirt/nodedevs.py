"""libvirt's node devices: a PCI device is bound to vfio-pci, and returned to its host driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import libvirt

from virtnetplug import xml
from virtnetplug.adapters.libvirt.connection import LibvirtHypervisor
from virtnetplug.adapters.libvirt.faults import translate
from virtnetplug.errors import HostDeviceBusy, HostDeviceFailed, HostDeviceMissing, HypervisorFailed
from virtnetplug.model.host_device import VFIO_DRIVER
from virtnetplug.model.pci import PciAddress

_DRIVER = "vfio"
_BUSY = ("is in use by driver", "is still in use", "is still active", "Not detaching active", "Not reattaching active")
"""What virHostdevPCINodeDevicePrepare, virHostdevIsPCINodeDeviceUsed, virPCIDeviceDetach and virPCIDeviceReattach say."""


class LibvirtNodeDevices:
    """`ports.host_devices.NodeDevices` on the connection of a hypervisor."""

    def __init__(self, hypervisor: LibvirtHypervisor) -> None:
        self._hypervisor = hypervisor

    def driver(self, address: PciAddress) -> str | None:
        """From ``virNodeDeviceGetXMLDesc``, which looks afresh (``nodeDeviceUpdateDriverName``)."""
        with self._asked(address, "look at"):
            return xml.node_device_driver(self._handle(address).XMLDesc(0))

    def detach(self, address: PciAddress) -> None:
        with self._asked(address, "detach"):
            self._handle(address).detachFlags(_DRIVER, 0)

    def reattach(self, address: PciAddress) -> None:
        """``virNodeDeviceReAttach``; a device that another driver has is left as it is.

        A device without a driver, which somebody took from vfio-pci by hand, still has vfio-pci as its ``driver_override``. libvirt clears that.
        """
        with self._asked(address, "reattach"):
            handle = self._handle(address)
            if xml.node_device_driver(handle.XMLDesc(0)) in (VFIO_DRIVER, None):
                handle.reAttach()

    def _handle(self, address: PciAddress) -> libvirt.virNodeDevice:
        return self._hypervisor.connection.nodeDeviceLookupByName(_name(address))

    @contextmanager
    def _asked(self, address: PciAddress, doing: str) -> Iterator[None]:
        try:
            yield
        except libvirt.libvirtError as error:
            text = (error.get_error_message() or str(error)).strip()
            if error.get_error_code() == libvirt.VIR_ERR_NO_NODE_DEVICE:
                raise HostDeviceMissing(
                    f"libvirt knows no PCI device {address}; `devices()` shows those there are"
                ) from None
            if any(words in text for words in _BUSY):
                raise HostDeviceBusy(f"{address} is in use, so libvirt does not {doing} it ({text})") from None
            fault = translate(error, self._hypervisor.connection)
            if type(fault) is HypervisorFailed:
                raise HostDeviceFailed(f"libvirt cannot {doing} {address}: {text}") from None
            raise fault from None


def _name(address: PciAddress) -> str:
    """As libvirt names a PCI device (``udevGenerateDeviceName``)."""
    return f"pci_{str(address).translate(str.maketrans(':.', '__'))}"
