"""Running guests for the tests: the boot sector of the demo, under real QEMU."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import libvirt
import libvirt_qemu

from tests.real.namespace import wait_until
from virtnetplug.demo import guest as boot_sector
from virtnetplug.demo import machine as demo_machine

PERIPHERALS = '{"execute": "qom-list", "arguments": {"path": "/machine/peripheral"}}'
"""Asks QEMU for its devices."""

_numbers = itertools.count(1)


class Guest:
    """One VM. `dom` is the libvirt domain, on the connection it was started on (or the last given to `reconnect`)."""

    def __init__(self, dom: libvirt.virDomain, serial_socket: Path, serial_log: Path) -> None:
        self.dom = dom
        self.name = dom.name()
        self.uuid = dom.UUIDString()
        self._socket = serial_socket
        self._log = serial_log

    def wait_ready(self, times: int = 1) -> float:
        """Wait until it has booted `times` times; gives the seconds."""
        ready = boot_sector.READY
        return wait_until(lambda: self._log.read_bytes().count(ready) >= times, f"{self.name} to boot")

    def hold(self) -> None:
        """From now on it lets no device go."""
        self._tell(boot_sector.HOLD)

    def resume(self) -> None:
        """It lets devices go again, those asked for meanwhile first."""
        self._tell(boot_sector.ACKNOWLEDGE)

    def reset(self) -> None:
        """Press the reset button and wait until it has booted again, in the mode and with the delay of its making."""
        boots = self._log.read_bytes().count(boot_sector.READY)
        self.dom.reset(0)
        self.wait_ready(boots + 1)

    def reconnect(self, connection: libvirt.virConnect) -> None:
        """Look it up again, after the daemon it was found on was restarted."""
        self.dom = connection.lookupByUUIDString(self.uuid)

    def xml(self, *, inactive: bool = False) -> ElementTree.Element:
        """The definition, live unless `inactive`."""
        return ElementTree.fromstring(self.dom.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if inactive else 0))

    def aliases(self) -> list[str]:
        """Of its NICs now."""
        return [alias.attrib["name"] for alias in self.xml().iterfind("devices/interface/alias")]

    def devices(self) -> list[str]:
        """What QEMU itself calls its devices: the aliases of those that it was given one by one."""
        return [
            child["name"] for child in json.loads(libvirt_qemu.qemuMonitorCommand(self.dom, PERIPHERALS, 0))["return"]
        ]

    def target(self, alias: str) -> str:
        """The host device of one NIC."""
        (nic,) = (n for n in self.xml().iterfind("devices/interface") if n.find(f"alias[@name='{alias}']") is not None)
        target = nic.find("target")
        assert target is not None
        return target.attrib["dev"]

    def wait_gone(self, alias: str, timeout: float = 20.0) -> float:
        """Wait until libvirt no longer has this NIC; gives the seconds."""
        return wait_until(lambda: alias not in self.aliases(), f"{alias} to be gone", timeout)

    @property
    def pid(self) -> int:
        """Of its QEMU, under a libvirtd at its default places."""
        return int(Path(f"/run/libvirt/qemu/{self.name}.pid").read_text())

    def destroy(self) -> None:
        """Pull its plug; its definition stays if it is persistent."""
        self.dom.destroy()

    def _tell(self, order: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self._socket))
            line.sendall(order)
            while line.recv(1) != order:
                pass


def start(
    connection: libvirt.virConnect,
    place: Path,
    *,
    name: str | None = None,
    machine: Literal["pc", "q35"] = "pc",
    mode: Literal["acknowledge", "hold"] = "acknowledge",
    delay: float = 0.0,
    nets: Sequence[str] = (),
    root_ports: int = 8,
    persistent: bool = True,
    running: bool = True,
    wait: bool = True,
) -> Guest:
    """Boot a guest with its files in `place`; it takes about half a second, unless not to `wait` for it."""
    name = name or f"guest{next(_numbers)}"
    image, line, log = (place / f"{name}.{kind}" for kind in ("img", "sock", "log"))
    image.write_bytes(boot_sector.image(mode, delay))
    log.write_bytes(b"")
    xml = demo_machine.domain_xml(
        name, image, machine=machine, serial_socket=line, serial_log=log, root_ports=root_ports, nets=nets
    )
    dom = connection.defineXML(xml) if persistent else connection.createXML(xml)
    guest = Guest(dom, line, log)
    if not running:
        return guest
    if persistent:
        try:
            dom.create()
        except libvirt.libvirtError:
            dom.undefine()  # or the next test would find it
            raise
    if wait:
        guest.wait_ready()
    return guest


def remove(connection: libvirt.virConnect, uuids: Collection[str]) -> None:
    """Stop guests and drop their definitions, as far as either is still there."""
    for dom in connection.listAllDomains():
        if dom.UUIDString() in uuids:
            persistent = dom.isPersistent()
            if dom.isActive():
                with suppress(
                    libvirt.libvirtError
                ):  # "not running": libvirt heard of the end of its QEMU before it asked
                    dom.destroy()
            if persistent:
                dom.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
