"""What libvirt says when QEMU's monitor is lost (`src/qemu/qemu_monitor.c`), and when it counts a device as used (`src/hypervisor/virhostdev.c`)."""

from __future__ import annotations

import libvirt
import pytest

from virtnetplug.adapters.libvirt.faults import translate
from virtnetplug.errors import EmulatorLost, HostDeviceBusy


@pytest.mark.parametrize(
    "text",
    [
        "Unable to read from monitor: Connection reset by peer",
        "Unable to write to monitor: Broken pipe",
        "internal error: End of file from qemu monitor (vm='web')",
        "internal error: end of file from qemu monitor",
    ],
)
def test_a_monitor_that_is_lost_is_an_emulator_that_is_lost(text: str) -> None:
    error = libvirt.libvirtError("call failed")
    error.err = (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_QEMU, text, 2, text, None, None, -1, -1)
    assert type(translate(error)) is EmulatorLost


class Domains:
    """A connection with the domain ``web1``, which runs with one VF."""

    kind = "QEMU"

    def isAlive(self) -> int:  # noqa: N802
        return 1

    def getType(self) -> str:  # noqa: N802
        return self.kind

    def lookupByName(self, name: str) -> Domains:  # noqa: N802
        if name != "web1":
            error = libvirt.libvirtError("call failed")
            error.err = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_FROM_QEMU, "no domain", 2, "", None, None, -1, -1)
            raise error
        return self

    def XMLDesc(self, flags: int) -> str:  # noqa: N802
        return (
            "<domain><devices><interface type='hostdev'><source><address type='pci' domain='0x0000' bus='0x01' slot='0x10' "
            "function='0x2'/></source></interface></devices></domain>"
        )


@pytest.mark.parametrize(
    ("address", "domain", "is_miscounted"),
    [("0000:01:10.2", "web1", False), ("0000:01:10.4", "web1", True), ("0000:01:10.2", "web2", True)],
)
def test_a_device_that_libvirt_counts_for_a_domain_without_it(address: str, domain: str, is_miscounted: bool) -> None:
    text = f"Requested operation is not valid: PCI device {address} is in use by driver QEMU, domain {domain}"
    error = libvirt.libvirtError("call failed")
    error.err = (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_FROM_QEMU, text, 2, text, None, None, -1, -1)
    fault = translate(error, Domains())  # type: ignore[arg-type]
    assert type(fault) is HostDeviceBusy and fault.message.startswith(text)
    assert ("restart libvirtd" in fault.message) == is_miscounted
    assert "restart" not in translate(error).message


@pytest.mark.parametrize(
    ("kind", "driver", "is_miscounted"),
    [("QEMU", "LXC", False), ("QEMU", "xenlight", False), ("Xen", "xenlight", True)],
)
def test_a_domain_of_another_driver_is_none_without_the_device(kind: str, driver: str, is_miscounted: bool) -> None:
    connection = Domains()
    connection.kind = kind
    text = f"PCI device 0000:01:10.4 is in use by driver {driver}, domain web1"
    error = libvirt.libvirtError("call failed")
    error.err = (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_FROM_QEMU, text, 2, text, None, None, -1, -1)
    assert ("restart libvirtd" in translate(error, connection).message) == is_miscounted  # type: ignore[arg-type]
