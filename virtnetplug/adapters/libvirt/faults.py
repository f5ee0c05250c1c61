"""libvirt's errors, as ours.

Codes and domains are those of ``virErrorNumber`` and ``virErrorDomain``. Where libvirt gives different faults the same
code, its message decides. The messages matched here are quoted from its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import libvirt

from virtnetplug import xml
from virtnetplug.errors import (
    AliasTaken,
    ConnectionLost,
    DeviceMissing,
    DomainMissing,
    DomainNotRunning,
    DomainTransient,
    EmulatorLost,
    GuestBusy,
    HostDeviceBusy,
    HypervisorFailed,
    NetworkMissing,
    Refused,
    UnplugInProgress,
    VirtnetplugError,
)

# src/rpc/virnetclient.c, virnetsocket.c, remote_driver.c
_LOST = (
    "client socket is closed",
    "End of file while reading data",
    "Cannot recv data",
    "Cannot write data",
    "connection closed",
    "keepalive timeout",
    "server closed",
)
# src/qemu/qemu_monitor.c
_MONITOR_LOST = (
    "Unable to read from monitor",
    "Unable to write to monitor",
    "end of file from qemu monitor",
    "End of file from qemu monitor",
)


_USER = re.compile(r"PCI device (\S+) is in use by driver (\S+), domain (.+)")  # src/hypervisor/virhostdev.c
_COUNTED_AS = {"Xen": "xenlight"}  # LIBXL_DRIVER_INTERNAL_NAME; all other drivers have one name


class PermissionDenied(Refused):
    """The connection is read-only, or polkit refuses."""

    reason = "permission-denied"


@contextmanager
def translated(connection: libvirt.virConnect | None = None) -> Iterator[None]:
    """Errors of libvirt inside become errors of `virtnetplug.errors`."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise translate(error, connection) from None


@contextmanager
def absent(*codes: int) -> Iterator[None]:
    """An error inside that has one of these codes ends the block, and nothing more: what was asked for is not there."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() not in codes:
            raise


def translate(error: libvirt.libvirtError, connection: libvirt.virConnect | None = None) -> VirtnetplugError:
    """The error of ours that says what this one of libvirt's means."""
    text = (error.get_error_message() or str(error)).strip()
    code = error.get_error_code() or 0
    if _is_lost(error, text, connection):
        return ConnectionLost(f"the connection to libvirt broke ({text})")
    if code == libvirt.VIR_ERR_NO_DOMAIN:
        return DomainMissing(f"libvirt has no such domain ({text}); `list()` shows those there are")
    if code == libvirt.VIR_ERR_NO_NETWORK:
        return NetworkMissing(f"libvirt has no such network ({text}); 'virsh net-list --all' shows those there are")
    if code == libvirt.VIR_ERR_DEVICE_MISSING or "no device found with alias" in text:
        return DeviceMissing(text, code=code)
    if "already in the process of unplug" in text:  # QEMU's qdev_unplug
        return UnplugInProgress(text, code=code)
    if "guest is busy" in text or (
        "is busy" in text and "indicator" in text
    ):  # QEMU's pcie.c: power indicator blinking
        return GuestBusy(text, code=code)
    if any(words in text for words in _MONITOR_LOST):
        return EmulatorLost(f"libvirt says: {text}", code=code)
    if "non unique alias detected" in text:  # virDomainDeviceDefValidateAliases, at the beginning of an attach
        return AliasTaken(f"libvirt says: {text}", code=code)
    if "is in use by driver" in text:  # virHostdevPreparePCIDevices
        return HostDeviceBusy(text + miscounted(text, connection))
    if code == libvirt.VIR_ERR_OPERATION_INVALID and "domain is not running" in text:
        return DomainNotRunning(text + "; start it, or use `scope=Scope.CONFIG` to change only its definition")
    if code == libvirt.VIR_ERR_OPERATION_INVALID and "transient domain" in text:
        return DomainTransient(text + "; it has no persistent definition, so use `scope=Scope.LIVE`")
    if code in (libvirt.VIR_ERR_OPERATION_DENIED, libvirt.VIR_ERR_ACCESS_DENIED, libvirt.VIR_ERR_AUTH_UNAVAILABLE):
        return PermissionDenied(f"libvirt does not allow it ({text}); join the libvirt group or run as root")
    if code == libvirt.VIR_ERR_OPERATION_TIMEOUT:
        return HypervisorFailed(f"{text}; another job holds the domain", code=code, reason="domain-busy")
    return HypervisorFailed(f"libvirt says: {text}", code=code)


def miscounted(text: str, connection: libvirt.virConnect | None) -> str:
    """What to add where libvirt names a domain as the user of a PCI device, and the domain does not have the device.

    ``virHostdevReAttachPCIDevices`` keeps its count of a device that leaves the host between two of its looks at the device.
    """
    if (found := _USER.search(text)) is None or connection is None:
        return ""
    address, driver, name = found.groups()
    try:
        # libvirtd counts for all its drivers, and this connection has the domains of one.
        if driver != _COUNTED_AS.get(kind := connection.getType(), kind):
            return ""
        with absent(libvirt.VIR_ERR_NO_DOMAIN):
            if address in map(str, xml.host_addresses(connection.lookupByName(name).XMLDesc(0))):
                return ""
    except libvirt.libvirtError:
        return ""
    return (
        f"; but domain {name} does not have it. Try again, and if libvirt still says so, restart libvirtd (or virtqemud). Guests go on "
        "running. libvirt loses count of a device that leaves the host while a guest releases it"
    )


def _is_lost(error: libvirt.libvirtError, text: str, connection: libvirt.virConnect | None) -> bool:
    if error.get_error_domain() in (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE) and any(t in text for t in _LOST):
        return True
    if error.get_error_code() in (libvirt.VIR_ERR_INVALID_CONN, libvirt.VIR_ERR_NO_CONNECT):
        return True
    if connection is None:
        return False
    try:
        return bool(connection.isAlive() == 0)
    except libvirt.libvirtError:
        return True
