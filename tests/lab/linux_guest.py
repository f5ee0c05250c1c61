"""The Linux guests of the SR-IOV lab: restored from their save files, and heard on their consoles.

What they do and say is in ``contrib/lab/sriov/guest/init.c``.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Literal

import libvirt

from tests.real.namespace import wait_until

BACKUP = "ua-backup"
"""The alias of the virtio NIC that each has from the start, a teaming pair's persistent half."""

_HOSTS = {"pc": 2, "q35": 3}


class LinuxGuest:
    """One, running; `dom` is its domain."""

    def __init__(self, connection: libvirt.virConnect, machine: Literal["pc", "q35"]) -> None:
        self._log = Path(f"/run/linux-{machine}.log")
        self._log.unlink(missing_ok=True)
        connection.restore(f"/var/lib/libvirt/images/linux-{machine}.save")
        self.dom = connection.lookupByName(f"linux-{machine}")
        self.mac = f"52:54:00:cc:00:0{_HOSTS[machine]}"
        self.address = f"10.9.0.{_HOSTS[machine]}"
        self.vf_address = f"10.9.1.{_HOSTS[machine]}"

    def said(self) -> str:
        """All that came from its console since it was restored."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def wait_says(self, pattern: str, since: int = 0, timeout: float = 15.0) -> None:
        """Wait until its console shows `pattern` after the first `since` characters."""
        wait_until(lambda: re.search(pattern, self.said()[since:]), f"the guest to say {pattern!r}", timeout)

    def wait_answers(self, address: str, timeout: float = 6.0) -> None:
        """Wait until it answers a ping to `address`."""
        ping = ["ping", "-c1", "-W1", "-q", address]
        wait_until(
            lambda: subprocess.run(ping, stdout=subprocess.DEVNULL).returncode == 0, f"{address} to answer", timeout
        )

    def destroy(self) -> None:
        """Pull its plug."""
        self.dom.destroy()
