"""Running Linux guests for the tests: Debian's kernel for clouds and one static program, whose sources say what it does.

``contrib/guest/linux/build`` makes them, into the cache; `contrib/setup test` has it do so. One boots in four seconds.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import libvirt

from tests.real.guests import Guest, remove
from tests.real.namespace import wait_until

__all__ = ["ECHO", "LinuxGuest", "address", "directory", "mac", "remove", "start"]

BUILD = Path(__file__).parents[2] / "contrib/guest/linux/build"

READY = b"READY\r\n"
ECHO = 7
"""The TCP port on which it echoes."""

_numbers = itertools.count(1)


@cache
def directory() -> Path:
    """Of the kernel and the initial RAM disk."""
    return Path(subprocess.run([BUILD], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def mac(number: int) -> str:
    """A MAC for which the guest gives the NIC the address `address(number)`."""
    return f"52:54:0a:09:00:{number:02x}"


def address(number: int) -> str:
    """10.9.0.NUMBER, of a /24."""
    return f"10.9.0.{number}"


class LinuxGuest(Guest):
    """One, running. It acknowledges what it is asked as Linux does; it takes no orders."""

    def said(self) -> str:
        """All that came from its console so far."""
        return self._log.read_text(errors="replace")

    def wait_ready(self, times: int = 1) -> float:
        """Wait until it has booted `times` times; gives the seconds."""
        return wait_until(lambda: self._log.read_bytes().count(READY) >= times, f"{self.name} to boot", 60)


def start(
    connection: libvirt.virConnect,
    place: Path,
    *,
    machine: Literal["pc", "q35"] = "pc",
    nets: Sequence[str] = (),
    root_ports: int = 6,
    memory_mib: int = 128,
) -> LinuxGuest:
    """Boot one with its files in `place`, and wait for it."""
    name = f"linux{next(_numbers)}"
    line, log = place / f"{name}.sock", place / f"{name}.log"
    log.write_bytes(b"")
    ports = (
        "<controller type='pci' model='pcie-root'/>" + "<controller type='pci' model='pcie-root-port'/>" * root_ports
    )
    dom = connection.defineXML(f"""\
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='{machine}'>hvm</type>
    <kernel>{directory()}/vmlinuz</kernel>
    <initrd>{directory()}/initrd</initrd>
    <cmdline>console=ttyS0 quiet loglevel=3 mitigations=off nokaslr no_timer_check net.ifnames=0 panic=-1</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <devices>
    {ports if machine == "q35" else ""}
    <controller type='usb' model='none'/>
    {"".join(nets)}
    <serial type='unix'>
      <source mode='bind' path='{line}'/>
      <log file='{log}' append='off'/>
      <target port='0'/>
    </serial>
    <memballoon model='none'/>
  </devices>
</domain>""")
    guest = LinuxGuest(dom, line, log)
    dom.create()
    guest.wait_ready()
    return guest
