"""Where the figures are measured: drivers, guests, bridges and a journal on a real disk."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import libvirt

import virtnetplug
from tests.real import daemon, guests, links, namespace
from virtnetplug.adapters.libvirt import loop
from virtnetplug.demo import machine

DISK = Path("/var/tmp")  # outlives a reboot by the FHS, so it is no tmpfs; the namespace leaves it as it is


class Stage:
    """What is made is taken down by `cleanup`, in the end."""

    def __init__(self, cleanup: ExitStack, *, is_quick: bool) -> None:
        namespace.require()
        self.cleanup = cleanup
        self.is_quick = is_quick
        self._load = os.getloadavg()[0]
        self.state_dir = Path(tempfile.mkdtemp(prefix="virtnetplug-bench-", dir=DISK))
        cleanup.callback(shutil.rmtree, self.state_dir, ignore_errors=True)
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        loop.start()

    def rounds(self, number: int) -> int:
        """How often, of `number` in a whole run."""
        return max(3, number // 5) if self.is_quick else number

    @cached_property
    def bridge(self) -> str:
        """The bridge that all NICs are connected to."""
        return self.cleanup.enter_context(links.bridge("brbench"))

    @cached_property
    def drivers(self) -> dict[str, Callable[[], str]]:
        """Name to what gives the URI, once the driver is there."""
        return {"embedded": lambda: self.embedded, "libvirtd": lambda: self.libvirtd}

    @cached_property
    def libvirtd(self) -> str:
        """The private daemon's URI.

        libvirt in a process with the embedded driver takes ``qemu:///system`` for its own, but for a socket it does
        not know (``virURICheckUnixSocket``).
        """
        private = daemon.Daemon()
        private.start()
        self.cleanup.callback(private.stop)
        other = namespace.PLACE / "libvirtd.sock"
        other.unlink(missing_ok=True)
        other.symlink_to(private.socket)
        return f"qemu+unix:///system?socket={other}"

    @cached_property
    def embedded(self) -> str:
        """The URI of the driver inside this process."""
        root = namespace.PLACE / "embed"
        self.cleanup.callback(machine.keep_capabilities, root)
        return machine.embedded_root(root)

    lab = "qemu:///system"
    """The URI of the daemon of an SR-IOV lab, inside of which all that is there is ours."""

    def connect(self, uri: str) -> libvirt.virConnect:
        """A connection of one's own."""
        connection = libvirt.open(uri)
        self.cleanup.callback(connection.close)
        return connection

    def plugger(self, uri: str, name: str) -> virtnetplug.Plugger:
        """Ours, with a journal of its own on the disk."""
        return self.cleanup.enter_context(virtnetplug.open(uri, state_dir=self.state_dir / name))

    def guests(self, connection: libvirt.virConnect, prefix: str, number: int) -> list[guests.Guest]:
        """Running boot-sector guests, `number` of them, which acknowledge every unplug at their next timer tick."""
        place = namespace.PLACE / prefix
        place.mkdir(parents=True)
        started: list[guests.Guest] = []
        self.cleanup.callback(lambda: guests.remove(connection, [one.uuid for one in started]))
        for index in range(number):
            started.append(guests.start(connection, place, name=f"{prefix}{index}", wait=False))
        for one in started:
            one.wait_ready()
        return started

    def nic(self, number: int = 1) -> str:
        """A bridge NIC, as ours and the floor attach it alike."""
        return (
            f"<interface type='bridge'><mac address='52:54:00:be:00:{number:02x}'/><source bridge='{self.bridge}'/>"
            f"<model type='virtio'/><alias name='ua-bench{number}'/></interface>"
        )

    def conditions(self) -> dict[str, str]:
        """Under which it was measured."""
        disk = ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(self.state_dir)]
        version = libvirt.getVersion()
        return {
            "machine": f"{os.cpu_count()} processors, no KVM (QEMU emulates), Linux {platform.release()}",
            "versions": f"Python {platform.python_version()}, libvirt {version // 1000000}.{version // 1000 % 1000}",
            "journal": f"in {DISK}, on {subprocess.run(disk, capture_output=True, text=True).stdout.strip()}",
            "load": f"{self._load:.1f} before the run and {os.getloadavg()[0]:.1f} at its end",
        }
