"""The Xen lab's guest and its NICs. What it does, says and answers is in ``contrib/lab/xen/guest/init.c``."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import libvirt

from tests.lab_xen import store
from tests.real.namespace import wait_until

BRIDGE = "xenbr0"
ECHO = 7
MAC = "00:16:3e:08:00:{:02x}"
MOST_NICS = 18
"""It has been seen to panic after 35 ("System is deadlocked on memory", in netfront)."""

PACE = 0.05
"""Of streams to it, in seconds: a faster one takes the emulated dom0's only processor for itself, the sooner the slower the machine is."""

LOG = Path("/var/log/xen/console/guest-lab.log")


@dataclass(frozen=True)
class Nic:
    """A vif that was there when it was asked for. `number` is that of its address, `vif` Xen's."""

    number: int
    domain_id: int
    vif: int

    @property
    def mac(self) -> str:
        return MAC.format(self.number)

    @property
    def address(self) -> str:
        return f"10.8.{self.number}.2"

    @property
    def device(self) -> str:
        """As the drivers know it."""
        return f"vif-{self.domain_id}-{self.vif}"

    @property
    def link(self) -> str:
        return f"vif{self.domain_id}.{self.vif}"

    @property
    def backend(self) -> str:
        return f"/local/domain/0/backend/vif/{self.domain_id}/{self.vif}"

    @property
    def frontend(self) -> str:
        return f"/local/domain/{self.domain_id}/device/vif/{self.vif}"

    def states(self) -> tuple[str | None, str | None]:
        """Of backend and frontend."""
        return store.read(f"{self.backend}/state"), store.read(f"{self.frontend}/state")

    def is_connected(self) -> bool:
        return self.states() == ("4", "4")

    def unbind(self) -> None:
        """Take the backend's driver from it."""
        (store.DRIVER / "unbind").write_text(self.device)

    def bind(self) -> None:
        """Give it back."""
        (store.DRIVER / "bind").write_text(self.device)

    def replumb(self) -> None:
        """What a hotplug script does for a new vif, which nobody calls after `bind`."""
        wait_until(lambda: Path(f"/sys/class/net/{self.link}").exists(), f"{self.link} to be there")
        store.run(f"ip link set {self.link} address fe:ff:ff:ff:ff:ff master {BRIDGE} up")
        store.write(f"{self.backend}/hotplug-status", "connected")


class Guest:
    """It, running; `dom` is its domain."""

    def __init__(self, dom: libvirt.virDomain) -> None:
        self.dom = dom

    @property
    def first(self) -> Nic:
        """The NIC that it has from the start."""
        return self.nic(0)

    def attach(self, number: int, *, source: str = f"bridge='{BRIDGE}'", more: str = "") -> Nic:
        """By plain libvirt; `source` may name another bridge, or a network as in ``network='lab'``."""
        kind = source.partition("=")[0]
        self.dom.attachDeviceFlags(
            f"<interface type='{kind}'><mac address='{MAC.format(number)}'/><source {source}/>{more}</interface>",
            libvirt.VIR_DOMAIN_AFFECT_LIVE,
        )
        return self.nic(number)

    def detach(self, nic: Nic) -> None:
        """By plain libvirt, which asks for the source, too."""
        for net in self._nets():
            mac = net.find("mac")
            if mac is not None and mac.get("address") == nic.mac:
                self.dom.detachDeviceFlags(
                    ElementTree.tostring(net, encoding="unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE
                )

    def macs(self) -> list[str]:
        """Of its NICs, as libvirt has them."""
        return [mac.attrib["address"] for net in self._nets() for mac in net.findall("mac")]

    def said(self) -> str:
        """All that came from its console since the lab was started, in lines."""
        return LOG.read_text(errors="replace").replace("\r", "")

    @property
    def is_worn(self) -> bool:
        """Whether it has been given so many NICs since it booted that it may soon panic: its kernel keeps some 2 MiB of each."""
        boots = self.said().split(f" {MAC.format(0)} ")
        return boots[-1].count("\nNIC ") > MOST_NICS

    def tell(self, line: str) -> None:
        """Write one line to its console."""
        terminal = store.read(f"/local/domain/{self.dom.ID()}/console/tty")
        assert terminal is not None
        console = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
        os.write(console, f"{line}\n".encode())
        os.close(console)

    def wait_says(self, pattern: str, since: int = 0) -> None:
        """Wait until its console shows `pattern` after the first `since` characters."""
        wait_until(lambda: re.search(pattern, self.said()[since:], re.MULTILINE), f"the guest to say {pattern!r}")

    def wait_answers(self, address: str) -> None:
        """Wait until it answers a ping to `address`."""
        ping = ["ping", "-c1", "-W1", "-q", address]
        wait_until(lambda: subprocess.run(ping, stdout=subprocess.DEVNULL).returncode == 0, f"{address} to answer")

    def nic(self, number: int) -> Nic:
        """The one with the MAC of this number; raises `LookupError`."""
        domain_id = self.dom.ID()
        root = f"/local/domain/{domain_id}/device/vif"
        for path in store.list_all(root):
            if path.endswith("/mac") and store.read(path) == MAC.format(number):
                return Nic(number, domain_id, int(path.split("/")[-2]))
        raise LookupError(f"no vif with MAC {MAC.format(number)} in {root}")

    def _nets(self) -> list[ElementTree.Element]:
        return ElementTree.fromstring(self.dom.XMLDesc()).findall("devices/interface")


def echo(address: str, text: bytes) -> bytes:
    """What comes back from the echo service there."""
    with socket.create_connection((address, ECHO), 60.0) as connection:
        connection.settimeout(600.0)
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))
