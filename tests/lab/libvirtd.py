"""The lab's libvirtd, killed and started again; guests live on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import libvirt

from tests.real import guests
from tests.real.namespace import wait_until

_PID = Path("/run/libvirtd.pid")
_SOCKET = "/run/libvirt/libvirt-sock"


def kill() -> None:
    """As ``kill -9`` does; returns once nobody listens any more."""
    os.kill(int(_PID.read_text()), signal.SIGKILL)
    wait_until(lambda: not _listens(), "libvirtd to be dead")


def start(vm: guests.Guest | None = None) -> None:
    """Start it, and return once it answers; `vm` is looked up anew."""
    subprocess.run(["libvirtd", "--daemon"], check=True)
    wait_until(_answers, "libvirtd to be back", 60)
    if vm is not None:
        vm.reconnect(libvirt.open("qemu:///system"))


def _listens() -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(_SOCKET) == 0


def _answers() -> bool:
    return _listens() and subprocess.run(["virsh", "-q", "list"], capture_output=True).returncode == 0
