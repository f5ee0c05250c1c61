"""A second libvirtd of root's on this machine, in a mount namespace of its own: its sockets are in a directory that all see."""

from __future__ import annotations

import shlex
import socket
import subprocess
from pathlib import Path

from tests.real.namespace import wait_until
from virtnetplug.demo import machine

_OWN = ("/run/libvirt", "/run/lock", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/etc/libvirt")
"""What the two daemons would take from each other."""


class OtherDaemon:
    """Its host UUID is that of the first one where it says no other: the machine's is the same."""

    def __init__(self, place: Path) -> None:
        self.socket = place / "sockets/libvirt-sock"
        self.uri = f"qemu+unix:///system?socket={self.socket}"
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return once it answers."""
        self.socket.parent.mkdir(parents=True)
        conf = self._place / "libvirtd.conf"
        conf.write_text(f'auth_unix_rw = "none"\nauth_unix_ro = "none"\nunix_sock_dir = "{self.socket.parent}"\n')
        (self._place / "qemu.conf").write_text(machine.qemu_conf())
        mounts = [f"mkdir -p {folder}; mount -t tmpfs -o mode=755 tmpfs {folder}" for folder in _OWN]
        copies = [f"cp {shlex.quote(str(self._place / 'qemu.conf'))} /etc/libvirt/qemu.conf"]
        script = "; ".join([*mounts, *copies, f"exec libvirtd -f {shlex.quote(str(conf))} -p /run/libvirt/other.pid"])
        log = self._place / "libvirtd.log"
        with log.open("ab") as file:
            self._process = process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
        wait_until(lambda: self._is_up() or process.poll() is not None, "the other libvirtd to answer")
        assert process.poll() is None, log.read_text()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _is_up(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.socket)) == 0
