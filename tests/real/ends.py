"""The ways in which a run of a guest ends, each as it happens on a host."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

import libvirt
import libvirt_qemu

from tests.real.guests import Guest
from tests.real.hosts import LIVE, TwoHosts
from tests.real.namespace import wait_until

SCOPES = {"live": ("--live",), "both": ("--live", "--config")}
PENDING = {
    "detach": ("detach", "ua-a"),
    "replace": ("update", "ua-a", "--mtu", "1400", "--replace"),
    "handover": ("handover", "--from", "ua-a", "--to", "ua-b"),
}
"""Each kind of operation that waits for the guest to let go of a NIC."""

LONG = ("--wait", "600")

_POWER_OFF = "o/w 0x604 0x2000"
"""SLP_EN in PM1a_CNT, at the port where the BIOS puts it: what a guest writes to shut down (ACPI, state S5)."""


def image(hosts: TwoHosts) -> str:
    """Where `save` saves to."""
    return str(hosts.files / "saved")


def _shut_down(hosts: TwoHosts, guest: Guest) -> None:
    with suppress(libvirt.libvirtError):  # QEMU may be gone before it answers
        libvirt_qemu.qemuMonitorCommand(guest.dom, _POWER_OFF, libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)


def _destroy(hosts: TwoHosts, guest: Guest) -> None:
    guest.dom.destroy()


def _crash(hosts: TwoHosts, guest: Guest) -> None:
    os.kill(guest.pid, signal.SIGKILL)


def _managed_save(hosts: TwoHosts, guest: Guest) -> None:
    guest.dom.managedSave(0)


def _save(hosts: TwoHosts, guest: Guest) -> None:
    guest.dom.save(image(hosts))


def _move(hosts: TwoHosts, guest: Guest) -> None:
    hosts.migrate(guest)


def _move_and_keep(hosts: TwoHosts, guest: Guest) -> None:
    hosts.migrate(guest, flags=LIVE)


WAYS: dict[str, Callable[[TwoHosts, Guest], None]] = {
    "shut-down": _shut_down,
    "destroyed": _destroy,
    "crashed": _crash,
    "managed-save": _managed_save,
    "save": _save,
    "migrated": _move,
    "migrated-kept": _move_and_keep,  # its definition stays on the source
}


def end(way: str, hosts: TwoHosts, guest: Guest) -> None:
    """End the run of a guest on A in one of `WAYS`; returns once libvirt says so."""
    WAYS[way](hosts, guest)
    wait_until(lambda: not is_active(hosts.on_a, guest), f"the run of {guest.name} to end")


def is_active(connection: libvirt.virConnect, guest: Guest) -> bool:
    """Whether a host has this guest, and the guest runs there."""
    return guest.uuid in [dom.UUIDString() for dom in connection.listAllDomains() if dom.isActive()]


def run_again(way: str, hosts: TwoHosts, guest: Guest) -> None:
    """Start the guest on A, or restore it where it was saved; `guest` is looked up again."""
    if way == "save":
        hosts.on_a.restore(image(hosts))
    else:
        hosts.on_a.lookupByUUIDString(guest.uuid).create()
    guest.reconnect(hosts.on_a)
    if way not in ("managed-save", "save"):
        guest.wait_ready()
