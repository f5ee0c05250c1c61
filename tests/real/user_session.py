"""A libvirtd of an ordinary user's own (``qemu:///session``), and ``virtnetplug`` run by that user."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from pathlib import Path
from typing import Any

import libvirt

from tests.environment import environment
from tests.real import guests
from tests.real.command import Command
from tests.real.namespace import wait_until
from virtnetplug.demo import machine

USER = pwd.getpwnam("nobody")


class UserSession:
    """The daemon. All files of the user are in `place`."""

    uri = "qemu:///session"

    def __init__(self, place: Path) -> None:
        self._place = place
        self._variables = environment(
            HOME=str(place),
            XDG_RUNTIME_DIR=str(place),
            **{f"XDG_{name}_HOME": str(place / name.lower()) for name in ("CACHE", "CONFIG", "DATA", "STATE")},
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return once it listens."""
        config = self._place / "config/libvirt"
        config.mkdir(parents=True)
        (config / "qemu.conf").write_text('stdio_handler = "file"\n')
        machine.copy_capabilities(machine.default_cache(), self._place / "cache/libvirt/qemu/cache/capabilities")
        self._give_to_user()
        path, log = self._place / "libvirt/libvirt-sock", self._place / "libvirtd.log"
        with log.open("ab") as file:
            self._process = process = subprocess.Popen(
                [*self._as_user(), "libvirtd"], stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        wait_until(lambda: _listens(path) or process.poll() is not None, "the user's libvirtd to listen")
        assert process.poll() is None, log.read_text()

    def stop(self) -> None:
        """End it. Guests must be gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def connect(self) -> libvirt.virConnect:
        """A connection of root's to it."""
        return libvirt.open(f"qemu+unix:///session?socket={self._place}/libvirt/libvirt-sock")

    def guest(self, connection: libvirt.virConnect, **options: Any) -> guests.Guest:
        """Boot a guest whose QEMU runs as the user."""
        guest = guests.start(connection, self._place, running=False, **options)
        self._give_to_user()
        guest.dom.create()
        guest.wait_ready()
        return guest

    def command(self) -> Command:
        """``virtnetplug`` as the user, with a journal of the user's own."""
        return _CommandOfUser(self.uri, self._place / "state", self._as_user("+dac_read_search"))

    def _as_user(self, capabilities: str = "-all") -> list[str]:
        """The words before a command that the user runs. The capability lets the user read a checkout in another one's home directory."""
        to_user = ("setpriv", f"--reuid={USER.pw_uid}", f"--regid={USER.pw_gid}", "--clear-groups")
        lent = (f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}")
        return ["env", "-i", *(f"{name}={text}" for name, text in self._variables.items()), *to_user, *lent]

    def _give_to_user(self) -> None:
        for path in (self._place, *self._place.rglob("*")):
            os.chown(path, USER.pw_uid, USER.pw_gid)


class _CommandOfUser(Command):
    def __init__(self, uri: str, state: Path, prefix: list[str]) -> None:
        super().__init__(uri, state)
        self._prefix = prefix

    def words(self, *words: str) -> list[str]:
        return [*self._prefix, *super().words(*words)]


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
