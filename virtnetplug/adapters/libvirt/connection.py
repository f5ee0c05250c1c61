"""A connection to libvirt."""

from __future__ import annotations

import os
import re
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import libvirt

from virtnetplug import xml
from virtnetplug.adapters.daemon import key_from_uri, key_of_remote
from virtnetplug.adapters.libvirt import emulator, loop
from virtnetplug.adapters.libvirt.domain import LibvirtDomain
from virtnetplug.adapters.libvirt.faults import absent, translated
from virtnetplug.adapters.libvirt.watch import EventHub
from virtnetplug.errors import ConnectionFailed, DomainMissing
from virtnetplug.ports.domain import DomainState, PowerState

_embedded: dict[str, libvirt.virConnect] = {}
_embedded_events: dict[str, EventHub] = {}
_embedded_lock = threading.Lock()


def dial(uri: str | None, *, read_only: bool = False) -> libvirt.virConnect:
    """``virConnectOpen``; raises `ConnectionFailed` with what to check.

    An embedded driver is opened once per process and kept: every open registers the driver anew, and libvirt has room for
    sixteen (``VIR_CONNECT_MAX_DRIVERS``). After the last close the driver would lose sight of its guests.
    """
    libvirt.registerErrorHandler(_hush, None)
    if uri is not None and not _is_text(uri):
        raise ConnectionFailed(f"'{uri}' is no URI, for it is no valid text. Check -c and LIBVIRT_DEFAULT_URI.")
    if uri is None or not is_embedded(uri):
        return _open(uri, read_only=read_only)
    root = key_from_uri(uri) or uri
    with _embedded_lock:
        if root not in _embedded:
            _embedded[root] = _open(uri, read_only=False)
        return _embedded[root]


def is_embedded(uri: str) -> bool:
    """Whether the driver runs inside this process (``qemu:///embed``)."""
    try:
        return urlsplit(uri).path == "/embed"
    except ValueError:
        return False


def _open(uri: str | None, *, read_only: bool) -> libvirt.virConnect:
    try:
        return libvirt.openReadOnly(uri) if read_only else libvirt.open(uri)
    except libvirt.libvirtError as error:
        name = uri or "libvirt's default URI"
        raise ConnectionFailed(
            f"cannot connect to {name}: {error.get_error_message() or error}. Check that the URI is right "
            f"(-c or LIBVIRT_DEFAULT_URI) and that its daemon runs."
        ) from None


_HOST_UUID = re.compile(r"<host>\s*<uuid>([^<]*)</uuid>")


def _key_of_remote(connection: libvirt.virConnect, uri: str) -> str:
    """Two calls: ``virConnectGetHostname`` and ``virConnectGetCapabilities``."""
    with translated(connection):
        name, capabilities = connection.getHostname(), connection.getCapabilities()
    found = _HOST_UUID.search(capabilities)
    return key_of_remote(uri, name, found[1] if found is not None else "")


def _events_of(connection: libvirt.virConnect, uri: str) -> EventHub:
    """One for all who share a connection: it takes a callback once per event (``virObjectEventCallbackLookup``)."""
    if not is_embedded(uri):
        return EventHub(connection)
    with _embedded_lock:
        return _embedded_events.setdefault(uri, EventHub(connection))


def _hush(context: object, error: object) -> None:
    """libvirt prints every error to stderr, unless it has a handler; here errors are raised."""


class LibvirtHypervisor:
    """`ports.domain.Hypervisor` on a ``virConnect``."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self._connection = connection
        self._models = EmulatorModels()
        with translated(connection):
            self._uri: str = connection.getURI()
        self._key = key_from_uri(self._uri) or _key_of_remote(connection, self._uri)
        self._events = _events_of(connection, self._uri)
        self._state_dir = emulator.state_dir(self._uri)

    @classmethod
    def open(cls, uri: str | None, *, read_only: bool = False, run_event_loop: bool = True) -> LibvirtHypervisor:
        """Connect; with `run_event_loop` libvirt's event loop runs in a thread of ours (`loop.start`)."""
        if run_event_loop:
            loop.start()
        return cls(dial(uri, read_only=read_only))

    @property
    def connection(self) -> libvirt.virConnect:
        """The connection itself, for the other adapters of this room."""
        return self._connection

    @property
    def uri(self) -> str:
        return self._uri

    @property
    def key(self) -> str:
        return self._key

    @property
    def version(self) -> tuple[int, int, int]:
        """The version of the daemon's libvirt (``virConnectGetLibVersion``)."""
        with translated(self._connection):
            number = int(self._connection.getLibVersion())
        return number // 1_000_000, number // 1000 % 1000, number % 1000

    @property
    def is_local(self) -> bool:
        """No host in the URI, and no driver that only pretends to have one."""
        parts = urlsplit(self._uri)
        return not parts.hostname and not parts.scheme.startswith("test")

    @property
    def is_xen(self) -> bool:
        """Whether libvirt's Xen driver answers; by the URI that was resolved, so also where it was libvirt's choice."""
        return urlsplit(self._uri).scheme.partition("+")[0] == "xen"

    def domain(self, name: str) -> LibvirtDomain:
        """By name, UUID or id, in that order."""
        for handle in self._found(name) if _is_text(name) else ():
            return self._domain(handle)
        raise DomainMissing(
            f"{self._uri} has no domain called '{name}'; `open({self._uri!r}).list()` shows those there are"
        )

    def domains(self) -> Iterable[LibvirtDomain]:
        with translated(self._connection):
            handles = self._connection.listAllDomains(0)
        return [self._domain(handle) for handle in handles]

    def running(self) -> Iterable[LibvirtDomain]:
        with translated(self._connection):
            handles = self._connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        return [self._domain(handle) for handle in handles]

    def definitions(self) -> Iterable[tuple[LibvirtDomain, DomainState]]:
        """Two calls in all: the handles carry the ids, and a second list says which are persistent."""
        with translated(self._connection):
            handles = self._connection.listAllDomains(0)
            persistent = {
                handle.UUID() for handle in self._connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
            }
        for handle in handles:
            power = PowerState.RUNNING if handle.ID() >= 0 else PowerState.SHUTOFF
            state = DomainState(power=power, id=handle.ID(), persistent=handle.UUID() in persistent)
            yield self._domain(handle, was_persistent=state.persistent), state

    def nic_models(self, domain_xml: str) -> frozenset[str] | None:
        """What the domain's emulator lists with ``-device help``; None for another host's, or one that will not say."""
        emulator = xml.topology(domain_xml).emulator
        return self._models.of(emulator) if self.is_local and emulator else None

    def close(self) -> None:
        if is_embedded(self._uri):
            return
        self._events.close()
        with suppress(libvirt.libvirtError):
            self._connection.close()

    def _domain(self, handle: libvirt.virDomain, *, was_persistent: bool = False) -> LibvirtDomain:
        return LibvirtDomain(handle, self._events, was_persistent=was_persistent, state_dir=self._state_dir)

    def _found(self, name: str) -> Iterator[libvirt.virDomain]:
        """The domain of that name, then the one of that UUID, then the one of that id."""
        with translated(self._connection):
            with absent(libvirt.VIR_ERR_NO_DOMAIN):
                yield self._connection.lookupByName(name)
            with absent(libvirt.VIR_ERR_NO_DOMAIN), suppress(ValueError):
                yield self._connection.lookupByUUIDString(str(uuid.UUID(name)))
            if name.isascii() and name.isdecimal() and len(name) < 10:  # a C int
                with absent(libvirt.VIR_ERR_NO_DOMAIN):
                    yield self._connection.lookupByID(int(name))


def _is_text(name: str) -> bool:
    """Whether libvirt could have been given such a name: UTF-8, without NUL."""
    return "\0" not in name and not any("\ud800" <= char <= "\udfff" for char in name)


class EmulatorModels:
    """NIC models per emulator binary, asked once per binary and modification time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, float], frozenset[str] | None] = {}

    def of(self, emulator: str) -> frozenset[str] | None:
        """libvirt's domain capabilities list no NIC models (up to 11.3), so the emulator itself is asked."""
        try:
            key = emulator, os.stat(emulator).st_mtime
        except OSError:
            return None
        with self._lock:
            if key not in self._known:
                self._known[key] = _ask_emulator(emulator)
            return self._known[key]


def _ask_emulator(emulator: str) -> frozenset[str] | None:
    import subprocess  # a millisecond of every command's start, and most never ask

    command = [emulator, "-machine", "none", "-device", "help"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=True, stdin=subprocess.DEVNULL, process_group=0
        )
    except (OSError, subprocess.SubprocessError):
        return None
    _, _, rest = answer.stdout.partition("Network devices:")
    names = set()
    for line in rest.strip().splitlines():
        if not line.startswith("name "):
            break
        names.add(line.split('"')[1])
    if any(name.startswith("virtio-net") for name in names):
        names |= {"virtio", "virtio-transitional", "virtio-non-transitional"}
    return frozenset(names) or None
