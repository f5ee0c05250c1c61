"""The Linux guests of the SR-IOV lab: restored from their save files, and heard on their consoles.

What they do, say and answer is in ``contrib/guest/linux/init.c``.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import libvirt

from tests.real.namespace import wait_until
from virtnetplug import xml
from virtnetplug.model.interface import Interface

BACKUP = "ua-backup"
"""The alias of the virtio NIC that each has from the start, a teaming pair's persistent half."""

PACE = 0.1
"""Of streams and pings to it, in seconds: faster ones leave the emulated host no time for anything else, the less the slower the machine is."""

FAST = "ua-backup-fast"
"""The alias that each transient half beside it has: QEMU takes none of another name while the guest runs."""

Machine = Literal["pc", "q35"]

_HOSTS: dict[Machine, int] = {"pc": 2, "q35": 3}
_COMMAND_PORT = 8
_restored: dict[str, tuple[Interface, ...]] = {}
"""The NICs that each had when it was restored."""


@dataclass(frozen=True)
class Link:
    """A NIC as the guest has it. `address` is None without one, `master` the index of the link on top of it or 0."""

    name: str
    mac: str
    address: str | None
    driver: str
    index: int
    master: int
    is_up: bool
    has_carrier: bool
    received: int
    sent: int


@dataclass(frozen=True)
class Probed:
    """What came of a stream of blocks to another machine's echo; `end` is ``done`` if all came back."""

    sent: int
    received: int
    wrong: int
    longest_gap: float
    seconds: float
    end: str


class LinuxGuest:
    """The one of that machine type, running: restored, if it is not; `dom` is its domain."""

    def __init__(self, connection: libvirt.virConnect, machine: Machine) -> None:
        self._log = Path(f"/run/linux-{machine}.log")
        self.name = f"linux-{machine}"
        if self.name not in [dom.name() for dom in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)]:
            self._log.unlink(missing_ok=True)
            connection.restore(f"/var/lib/libvirt/images/{self.name}.save")
            _restored[self.name] = xml.devices(connection.lookupByName(self.name).XMLDesc()).nets
        self.dom = connection.lookupByName(self.name)
        self.mac = f"52:54:00:cc:00:0{_HOSTS[machine]}"
        self.address = f"10.9.0.{_HOSTS[machine]}"
        self.vf_address = f"10.9.1.{_HOSTS[machine]}"

    def said(self) -> str:
        """All that came from its console since it was restored."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def wait_says(self, pattern: str, since: int = 0, timeout: float = 60.0) -> None:
        """Wait until its console shows `pattern` after the first `since` characters."""
        wait_until(lambda: re.search(pattern, self.said()[since:]), f"the guest to say {pattern!r}", timeout)

    def wait_answers(self, address: str, timeout: float = 60.0) -> None:
        """Wait until it answers a ping to `address`."""
        ping = ["ping", "-c1", "-W1", "-q", address]
        wait_until(
            lambda: subprocess.run(ping, stdout=subprocess.DEVNULL).returncode == 0, f"{address} to answer", timeout
        )

    def links(self) -> dict[str, Link]:
        """Its NICs by name, asked over its first one."""
        found = [_link(line.split()) for line in self._ask("links", 1200.0).splitlines()]
        return {link.name: link for link in found}

    def nic(self, mac: str, driver: str) -> Link | None:
        """The NIC with that MAC and driver, as it is now."""
        return next((one for one in self.links().values() if (one.mac, one.driver) == (mac, driver)), None)

    def wait_up(self, mac: str, driver: str, timeout: float = 60.0) -> Link:
        """Wait until it has such a NIC, up and with a link: its own address on it, or a master."""
        found: list[Link] = []

        def is_up() -> bool:
            link = self.nic(mac, driver)
            if link and link.is_up and link.has_carrier and (link.address or link.master):
                found.append(link)
            else:
                time.sleep(0.5)  # to answer costs it much of its time
            return bool(found)

        wait_until(is_up, f"{mac} of {driver} to be up in the guest", timeout)
        return found[0]

    def probe(self, address: str, count: int, pause: float = 0.0, timeout: float = 1200.0) -> Probed:
        """Let it send `count` blocks of 1 KiB, `pause` seconds apart, to the echo of `address` and check what comes back."""
        said = self._ask(f"probe {address} {count} {pause * 1000:.0f}", timeout)
        told = dict(word.split("=") for word in said.split()[1:])
        return Probed(
            sent=int(told["sent"]),
            received=int(told["received"]),
            wrong=int(told["wrong"]),
            longest_gap=int(told["longest_gap_ms"]) / 1000,
            seconds=int(told["ms"]) / 1000,
            end=told["end"],
        )

    def _ask(self, command: str, timeout: float) -> str:
        with socket.create_connection((self.address, _COMMAND_PORT), 300.0) as line:
            line.settimeout(timeout)
            line.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: line.recv(65536), b"")).decode()

    def is_as_restored(self) -> bool:
        """Whether it has the NICs that it had at first, and remembers none."""
        now = self.dom.XMLDesc()
        return xml.NAMESPACE not in now and xml.devices(now).nets == _restored.get(self.name)

    def forget(self) -> None:
        """Have it remember no NIC, and no policy."""
        live = libvirt.VIR_DOMAIN_AFFECT_LIVE
        self.dom.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, None, None, xml.NAMESPACE, live)

    def destroy(self) -> None:
        """Pull its plug."""
        self.dom.destroy()


def _link(words: list[str]) -> Link:
    _, name, mac, *rest = words
    told = dict(word.split("=") for word in rest)
    return Link(
        name=name,
        mac=mac,
        address=None if told["ip"] == "-" else told["ip"],
        driver=told["driver"],
        index=int(told["index"]),
        master=int(told["master"]),
        is_up=told["up"] == "1",
        has_carrier=told["carrier"] == "1",
        received=int(told["received"]),
        sent=int(told["sent"]),
    )
