"""A libvirtd of the tests' own, at its default places inside the namespaces."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

from tests.real.namespace import PLACE, wait_until
from virtnetplug.demo import machine

CAPABILITIES = Path("/var/cache/libvirt/qemu/capabilities")
_CONF = """\
auth_unix_rw = "none"
auth_unix_ro = "none"
keepalive_interval = -1
"""
"""The daemon never drops a client that does not answer: tests stop processes (SIGSTOP) for as long as they like."""


HANG = 60.0
"""Seconds after which a daemon that should have ended counts as hung."""


class Daemon:
    """``qemu:///system``; guests outlive it, as everywhere."""

    uri = "qemu:///system"
    socket = Path("/run/libvirt/libvirt-sock")
    log = PLACE / "libvirtd.log"

    def __init__(self) -> None:
        PLACE.mkdir(exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running daemon."""
        assert self._process is not None, "libvirtd is not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """As far as the tests' own starts and kills go."""
        return self._process is not None

    def start(self, more: str = "") -> None:
        """Start it, and return once it answers (about a second). `more` is added to its configuration."""
        assert self._process is None, "libvirtd is running already"
        etc = Path("/etc/libvirt")
        (etc / "libvirtd.conf").write_text(_CONF + more)
        (etc / "qemu.conf").write_text(machine.qemu_conf())
        machine.copy_capabilities(machine.default_cache(), CAPABILITIES)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(["libvirtd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._is_up, "libvirtd to answer; its words are in " + str(self.log))

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it by a signal; returns once it is gone."""
        process, self._process = self._process, None
        assert process is not None, "libvirtd is not running"
        os.kill(process.pid, number)
        try:
            process.wait(HANG)
        except BaseException:
            process.kill()  # a daemon that hangs would hang whoever connects to it
            process.wait()
            raise

    def stop(self) -> None:
        """End it in good order, keeping what it learnt of QEMU for the next run."""
        self.kill(signal.SIGTERM)
        machine.copy_capabilities(CAPABILITIES, machine.default_cache())

    def answer_for_modular_daemons(self) -> None:
        """Be found by an embedded driver, which looks for networks and filters at the modular daemons' sockets."""
        for name in ("virtnetworkd-sock", "virtnwfilterd-sock"):
            link = self.socket.with_name(name)
            if not link.is_symlink():
                link.symlink_to(self.socket.name)

    def restart(self) -> None:
        """As a package upgrade would. Connections to it are broken afterwards."""
        self.kill(signal.SIGTERM)
        self.start()

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"libvirtd ended at once:\n{self.log.read_text()}")
        with socket.socket(socket.AF_UNIX) as client:  # not libvirt: a process with the embedded driver could not
            return client.connect_ex(str(self.socket)) == 0
