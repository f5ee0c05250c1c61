"""Node devices: what libvirt is asked, and what its errors become."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import libvirt
import pytest

from virtnetplug.adapters.libvirt.faults import PermissionDenied
from virtnetplug.adapters.libvirt.networks import LibvirtNodeDevices
from virtnetplug.errors import ConnectionLost, HostDeviceBusy, HostDeviceFailed, HostDeviceMissing
from virtnetplug.model.pci import PciAddress

VF = PciAddress.parse("0000:01:10.2")


def error(code: int, text: str) -> libvirt.libvirtError:
    one = libvirt.libvirtError("call failed")
    one.err = (code, libvirt.VIR_FROM_NODEDEV, text, 2, text, None, None, -1, -1)
    return one


class Device:
    """One node device, bound to a driver or none."""

    def __init__(self, driver: str | None) -> None:
        self.driver = driver
        self.calls: list[Any] = []
        self.raises: libvirt.libvirtError | None = None

    def XMLDesc(self, flags: int) -> str:  # noqa: N802 - libvirt's name
        named = f"<driver><name>{self.driver}</name></driver>" if self.driver else ""
        return f"<device><name>pci_0000_01_10_2</name>{named}<capability type='pci'/></device>"

    def detachFlags(self, driver: str, flags: int) -> None:  # noqa: N802
        self._call("detach", driver, flags)

    def reAttach(self) -> None:  # noqa: N802
        self._call("reattach")

    def _call(self, *call: Any) -> None:
        self.calls.append(call)
        if self.raises is not None:
            raise self.raises


class Hypervisor:
    def __init__(self, **devices: Device) -> None:
        self.devices = devices
        self.connection = SimpleNamespace(
            nodeDeviceLookupByName=self._look_up, lookupByName=self._domain, isAlive=lambda: 1, getType=lambda: "QEMU"
        )

    def _domain(self, name: str) -> object:
        raise error(libvirt.VIR_ERR_NO_DOMAIN, f"Domain not found: no domain with matching name '{name}'")

    def _look_up(self, name: str) -> Device:
        if name not in self.devices:
            raise error(
                libvirt.VIR_ERR_NO_NODE_DEVICE, f"Node device not found: no node device with matching name '{name}'"
            )
        return self.devices[name]


def node(driver: str | None = "igbvf") -> tuple[LibvirtNodeDevices, Device]:
    device = Device(driver)
    return LibvirtNodeDevices(Hypervisor(pci_0000_01_10_2=device)), device  # type: ignore[arg-type]


def test_the_driver_is_read_from_the_device() -> None:
    assert node()[0].driver(VF) == "igbvf"
    assert node(None)[0].driver(VF) is None


def test_detach_binds_to_vfio() -> None:
    devices, device = node()
    devices.detach(VF)
    assert device.calls == [("detach", "vfio", 0)]


def test_reattach_leaves_what_is_with_its_host_driver() -> None:
    devices, device = node("vfio-pci")
    devices.reattach(VF)
    assert device.calls == [("reattach",)]
    devices, device = node("igbvf")
    devices.reattach(VF)
    assert device.calls == []


def test_reattach_gives_a_driver_to_what_somebody_took_from_vfio() -> None:
    devices, device = node(None)
    devices.reattach(VF)
    assert device.calls == [("reattach",)]


def test_a_device_that_libvirt_does_not_know() -> None:
    devices = LibvirtNodeDevices(Hypervisor())  # type: ignore[arg-type]
    for call in (devices.driver, devices.detach, devices.reattach):
        with pytest.raises(HostDeviceMissing, match=r"0000:01:10\.2"):
            call(VF)


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (
            55,
            "Requested operation is not valid: PCI device 0000:01:10.2 is in use by driver QEMU, domain web1",
            HostDeviceBusy,
        ),
        (1, "internal error: Not detaching active device 0000:01:10.2", HostDeviceBusy),
        (1, "internal error: Not reattaching active device 0000:01:10.2", HostDeviceBusy),
        (38, "failed to load PCI driver module vfio-pci: modprobe: FATAL", HostDeviceFailed),
        (29, "operation forbidden: read only access prevents virNodeDeviceDetachFlags", PermissionDenied),
        (38, "Cannot recv data: Connection reset by peer", HostDeviceFailed),
    ],
)
def test_what_libvirts_refusals_become(code: int, text: str, kind: type[Exception]) -> None:
    devices, device = node("vfio-pci")
    device.raises = error(code, text)
    for call in (devices.detach, devices.reattach):
        with pytest.raises(kind) as caught:
            call(VF)
        assert type(caught.value) is kind and text in str(caught.value)
        assert ("domain web1 does not have it" in str(caught.value)) == ("domain web1" in text)


def test_a_connection_that_breaks_is_told_from_a_device_that_fails() -> None:
    devices, device = node()
    device.raises = error(libvirt.VIR_ERR_INVALID_CONN, "invalid connection pointer")
    with pytest.raises(ConnectionLost):
        devices.detach(VF)
