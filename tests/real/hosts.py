"""Two libvirt hosts on one machine, and live migration of guests between them.

Host A is the private libvirtd of the tests. Host B has mount and network namespaces of its own, within those of A: its own ``/run/libvirt``,
``/etc/libvirt`` and ``/var/lib/libvirt``, its own links, its own host UUID. Both have the same path for the files of guests, and each host has
its own directory there, as hosts with shared disks have: the disk images are the same files, sockets and logs are not.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import libvirt

from tests.real import guests
from tests.real.command import Command
from tests.real.daemon import Daemon
from tests.real.guests import Guest
from tests.real.namespace import wait_until
from virtnetplug.demo import machine

UUID_OF_B = "b0b0b0b0-2222-4333-8444-555555555555"

LIVE = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_UNSAFE
MOVE = LIVE | libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
"""The definition moves, too. With `LIVE` alone, it stays on the source, and the guest is transient on the destination."""

_OWN = ("/run/libvirt", "/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")

_NAMESPACES = """\
set -e
for place in {own}; do mkdir -p $place; mount -t tmpfs -o mode=755 tmpfs $place; done
mount -t sysfs sysfs /sys
mount --bind {ours} {shared}
ip link set lo up
for bridge in {bridges}; do ip link add $bridge type bridge; ip link set $bridge up; done
echo ready
exec sleep infinity
"""

_CONF = """\
auth_unix_rw = "none"
auth_unix_ro = "none"
keepalive_interval = -1
unix_sock_dir = "{sockets}"
host_uuid = "{uuid}"
"""


class SecondHost:
    """Host B: its namespaces, which live until `close`, and the libvirtd in them, which may be killed and started."""

    def __init__(self, place: Path, shared: Path, bridges: tuple[str, ...]) -> None:
        """`shared` is where both hosts have the files of guests; on A, those of B are in `files`."""
        self.place, self.files, self.sockets, self.log = place, place / "files", place / "sockets", place / "log"
        for path in (place, self.files, self.sockets):
            path.mkdir()
        self.uri = f"qemu+unix:///system?socket={self.sockets}/libvirt-sock"
        """As a process on A dials it, and one on B too."""
        script = _NAMESPACES.format(own=" ".join(_OWN), ours=self.files, shared=shared, bridges=" ".join(bridges))
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None and self._holder.stdout.readline() == b"ready\n", "no namespaces for B"
        self._daemon: subprocess.Popen[bytes] | None = None

    def words(self, *words: str) -> list[str]:
        """The command line that runs `words` on this host."""
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--net", "--", *words]

    def start(self) -> None:
        """Start libvirtd, and return once it listens."""
        assert self._daemon is None, "libvirtd of B is running already"
        files = {
            "/etc/libvirt/libvirtd.conf": _CONF.format(sockets=self.sockets, uuid=UUID_OF_B),
            "/etc/libvirt/qemu.conf": machine.qemu_conf(),
        }
        for name, text in files.items():
            subprocess.run(self.words("tee", name), input=text.encode(), stdout=subprocess.DEVNULL, check=True)
        known = machine.default_cache()
        copy = 'mkdir -p "$2" && cp "$1"/*.xml "$2"/ 2>/dev/null || :'
        subprocess.run(
            self.words("sh", "-c", copy, "sh", str(known), "/var/cache/libvirt/qemu/capabilities"), check=True
        )
        with self.log.open("ab") as log:
            # /run is one directory for both hosts, so that each finds the files of the tests there.
            words = self.words("libvirtd", "--pid-file", str(self.place / "libvirtd.pid"))
            self._daemon = process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(
            lambda: process.poll() is not None or _listens(self.sockets / "libvirt-sock"), "libvirtd of B to listen"
        )
        assert process.poll() is None, self.log.read_text()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End libvirtd; guests go on."""
        process, self._daemon = self._daemon, None
        assert process is not None, "libvirtd of B is not running"
        process.send_signal(number)
        process.wait()

    def restart(self) -> None:
        """As a package upgrade would."""
        self.kill(signal.SIGTERM)
        self.start()

    def connect(self) -> libvirt.virConnect:
        """A connection from A; the caller closes it."""
        return libvirt.open(self.uri)

    def command(self, state: Path) -> Command:
        """``virtnetplug`` as it runs on B: in the namespaces of B."""
        return _CommandOfB(self, state)

    def close(self) -> None:
        """End its guests, libvirtd and namespaces."""
        if self._daemon is None:
            self.start()
        connection = self.connect()
        guests.remove(connection, [dom.UUIDString() for dom in connection.listAllDomains()])
        connection.close()
        self.kill(signal.SIGTERM)
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()


class _CommandOfB(Command):
    def __init__(self, host: SecondHost, state: Path) -> None:
        super().__init__(host.uri, state)
        self._host = host

    def words(self, *words: str) -> list[str]:
        return self._host.words(*super().words(*words))


PATIENCE = 5.0
"""Seconds that a migration has to hear that it is aborted."""


class Wire:
    """What a migration flows through, from `entry` to `exit`, which the source and the destination know by the same path.

    `hold` stops the flow: the migration goes on for ever then, until it is aborted, or `release`.
    """

    def __init__(self, entry: Path, exit: Path) -> None:  # noqa: A002 - what it is
        self._exit = exit
        self._flows, self._is_over = threading.Event(), threading.Event()
        self._flows.set()
        self.has_begun = threading.Event()
        """Set once the source has connected: the migration is on its way."""
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(entry))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def hold(self) -> None:
        """Let nothing through from now on."""
        self._flows.clear()

    def release(self) -> None:
        """Let everything through."""
        self._flows.set()

    def cut(self) -> None:
        """Cut what is connected: the migration fails."""
        self._is_over.set()
        self._flows.set()

    def close(self) -> None:
        """Cut what is still connected."""
        self.cut()
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        carriers = []
        while not self._is_over.is_set():
            if select.select([self._server], [], [], 0.02)[0]:
                carrier = threading.Thread(target=self._carry, args=(self._server.accept()[0],))
                carrier.start()
                carriers.append(carrier)
        for carrier in carriers:
            carrier.join()

    def _carry(self, source: socket.socket) -> None:
        self.has_begun.set()
        with source, socket.socket(socket.AF_UNIX) as target, suppress(OSError):
            target.connect(str(self._exit))
            other = {source: target, target: source}
            while not self._is_over.is_set():
                self._flows.wait()
                for ready in select.select(list(other), [], [], 0.02)[0]:
                    if not (data := ready.recv(65536)):
                        return
                    self._flows.wait()
                    other[ready].sendall(data)


class TwoHosts:
    """Hosts A and B; `bridges` are on both. `guest` boots a guest on A, `migrate` moves it to B, and `back` to A again."""

    def __init__(self, daemon: Daemon, place: Path, bridges: tuple[str, ...] = ()) -> None:
        """`place` must be empty, and its path short. The bridges must be on A already."""
        self.daemon, self.place, self.files, self.bridges = daemon, place, place / "files", bridges
        self.files.mkdir()
        self.b = SecondHost(place / "b", self.files, bridges)
        self.b.start()
        self._numbers = iter(range(1000))
        self._guests: list[Guest] = []
        self._connections = [libvirt.open(daemon.uri), self.b.connect()]
        self.a_runs = Command(daemon.uri, place / "state-a")
        """``virtnetplug`` on A, with the journal of A."""
        self.b_runs = self.b.command(place / "state-b")
        """``virtnetplug`` on B, with the journal of B."""

    @property
    def on_a(self) -> libvirt.virConnect:
        """A connection to A."""
        return self._connections[0]

    @property
    def on_b(self) -> libvirt.virConnect:
        """A connection to B."""
        return self._connections[1]

    def restart(self) -> None:
        """Restart libvirtd on both hosts; guests go on. Domains that were looked up before are to be looked up again (`on`)."""
        self.daemon.restart()
        self.b.restart()
        for connection in self._connections:
            with suppress(libvirt.libvirtError):
                connection.close()
        self._connections[:] = [libvirt.open(self.daemon.uri), self.b.connect()]

    def guest(self, **options: Any) -> Guest:
        """Boot a guest on A (`guests.start`)."""
        guest = guests.start(self.on_a, self.files, **options)
        os.link(self.files / f"{guest.name}.img", self.b.files / f"{guest.name}.img")
        self._guests.append(guest)
        return guest

    def on(self, guest: Guest, *, b: bool) -> Guest:
        """The same guest, as it is on B or on A."""
        files, connection = (self.b.files, self.on_b) if b else (self.files, self.on_a)
        dom = connection.lookupByUUIDString(guest.uuid)
        return Guest(dom, files / f"{guest.name}.sock", files / f"{guest.name}.log")

    def migrate(self, guest: Guest, *, flags: int = MOVE, cable: tuple[str, str] | None = None) -> Guest:
        """Move a guest from A to B, and give it as it is there; with `cable`, by a definition that has the second bridge for the first."""
        with self.wire() as (uri, _):
            self._migrate(guest, self.on_b, uri, flags, cable)
        return self.on(guest, b=True)

    def back(self, guest: Guest, *, flags: int = MOVE) -> Guest:
        """Move a guest from B to A, and give it as it is there."""
        with self.wire(from_b=True) as (uri, _):
            self._migrate(guest, self.on_a, uri, flags)
        return self.on(guest, b=False)

    @contextmanager
    def held(self, guest: Guest, *, flags: int = MOVE) -> Iterator[Migration]:
        """A migration to B that is on its way and stands still; it ends with the block at the latest."""
        with self.wire() as (uri, wire):
            wire.hold()
            migration = Migration(lambda: self._migrate(guest, self.on_b, uri, flags), guest, wire)
            try:
                wait_until(lambda: wire.has_begun.is_set() or migration.has_ended, "the migration to begin")
                yield migration
            finally:
                wire.release()
                migration.join()

    @contextmanager
    def wire(self, *, from_b: bool = False) -> Iterator[tuple[str, Wire]]:
        """A wire between the hosts, and the migration URI that leads through it."""
        name = f"wire{next(self._numbers)}"
        source, target = (self.b.files, self.files) if from_b else (self.files, self.b.files)
        wire = Wire(source / name, target / name)
        try:
            yield f"unix://{self.files / name}", wire
        finally:
            wire.close()

    def close(self) -> None:
        """Remove all guests of both hosts, and host B."""
        for command in (self.a_runs, self.b_runs):
            command.close()
        with suppress(libvirt.libvirtError):
            self.on_b.close()
        self.b.close()
        connection = libvirt.open(self.daemon.uri)
        guests.remove(connection, [guest.uuid for guest in self._guests])
        connection.close()
        with suppress(libvirt.libvirtError):
            self.on_a.close()

    def _migrate(
        self, guest: Guest, to: libvirt.virConnect, uri: str, flags: int, cable: tuple[str, str] | None = None
    ) -> None:
        wishes = {libvirt.VIR_MIGRATE_PARAM_URI: uri}
        if cable is not None:
            here, there = (f"bridge='{bridge}'" for bridge in cable)
            live, config = libvirt.VIR_DOMAIN_XML_MIGRATABLE, libvirt.VIR_DOMAIN_XML_INACTIVE
            wishes[libvirt.VIR_MIGRATE_PARAM_DEST_XML] = guest.dom.XMLDesc(live).replace(here, there)
            wishes[libvirt.VIR_MIGRATE_PARAM_PERSIST_XML] = guest.dom.XMLDesc(live | config).replace(here, there)
        guest.dom.migrate3(to, wishes, flags)


class Migration:
    """One on its way, in a thread of its own."""

    def __init__(self, act: Any, guest: Guest, wire: Wire) -> None:
        self.guest, self.wire = guest, wire
        self.error: libvirt.libvirtError | None = None
        """Why it failed, after `join`."""
        self._act = act
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def abort(self) -> None:
        """As ``virsh domjobabort`` does; returns once the guest is as before, on the source.

        A QEMU that has nothing left but the last part of a small guest holds its big lock while it sends that part. If nothing flows, no monitor
        answers then, and ``virDomainAbortJob`` waits for ever. So the wire is cut after a while, which ends the migration as well.
        """
        cut = threading.Timer(PATIENCE, self.wire.cut)
        cut.start()
        try:
            self.guest.dom.abortJob()
        except libvirt.libvirtError:
            if cut.is_alive():
                raise
        finally:
            cut.cancel()
        self.wire.release()
        self.join()

    def finish(self) -> None:
        """Let it go on, and return once it has ended."""
        self.wire.release()
        self.join()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            self._act()
        except libvirt.libvirtError as error:
            self.error = error


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
