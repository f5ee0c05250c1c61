"""A connection to libvirt."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
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
        raise ConnectionFailed(f"'{uri}' is no URI, for it is no valid text. Check `uri` and LIBVIRT_DEFAULT_URI.")
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


_PING_SECONDS, _PINGS = 10, 6
"""A daemon that answers none of so many pings is taken for hung. Its network thread answers, however busy the daemon is."""

_CONNECT_SECONDS = float(_PING_SECONDS * (_PINGS + 1))


def _open(uri: str | None, *, read_only: bool) -> libvirt.virConnect:
    name = uri or "libvirt's default URI"
    try:
        if uri is not None and is_embedded(uri):
            return libvirt.open(uri)

        def connect() -> libvirt.virConnect:
            return libvirt.openReadOnly(uri) if read_only else libvirt.open(uri)

        # An event loop of the caller's need not take the handles of a connection from another thread.
        connection = connect() if loop.is_callers() else _interruptibly(name, connect)
        with suppress(libvirt.libvirtError):  # drivers without a daemon, and a process without an event loop
            connection.setKeepAlive(_PING_SECONDS, _PINGS)
        return connection
    except libvirt.libvirtError as error:
        raise ConnectionFailed(
            f"cannot connect to {name}: {error.get_error_message() or error}. Check that the URI is right "
            f"(`uri` or LIBVIRT_DEFAULT_URI) and that its daemon runs."
        ) from None


def _interruptibly(name: str, connect: Callable[[], libvirt.virConnect]) -> libvirt.virConnect:
    """Connect in another thread: the C library waits for the daemon's first answer without an end, and runs no handler of a signal.

    Raises `ConnectionFailed` after `_CONNECT_SECONDS`; the thread may wait on.
    """
    ended: SimpleQueue[libvirt.virConnect | BaseException] = SimpleQueue()

    def run() -> None:
        try:
            ended.put(connect())
        except BaseException as error:  # noqa: BLE001 - it belongs to the thread that waits
            ended.put(error)

    threading.Thread(target=run, name="libvirt-open", daemon=True).start()
    try:
        answer = ended.get(timeout=_CONNECT_SECONDS)
    except Empty:
        raise ConnectionFailed(
            f"{name} has not answered for {_CONNECT_SECONDS:.0f} s. The daemon hangs or is stopped, its host cannot be reached, or somebody has "
            "to give a password first. Restart a daemon that hangs: guests go on running."
        ) from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


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
        self.connection = connection
        """The connection itself, for the other adapters of this room."""
        with translated(connection):
            self.uri: str = connection.getURI()
        self.key = key_from_uri(self.uri) or _key_of_remote(connection, self.uri)
        parts = urlsplit(self.uri)
        # No host in the URI, and no driver that only pretends to have one.
        self.is_local = not parts.hostname and not parts.scheme.startswith("test")
        self.is_xen = parts.scheme.partition("+")[0] == "xen"
        """Whether libvirt's Xen driver answers; by the URI that was resolved, so also where it was libvirt's choice."""
        self._events = _events_of(connection, self.uri)
        self._state_dir = emulator.state_dir(self.uri)

    @classmethod
    def open(cls, uri: str | None, *, read_only: bool = False, run_event_loop: bool = True) -> LibvirtHypervisor:
        """Connect; with `run_event_loop` libvirt's event loop runs in a thread of ours (`loop.start`)."""
        if run_event_loop:
            loop.start()
        return cls(dial(uri, read_only=read_only))

    @property
    def version(self) -> tuple[int, int, int]:
        """The version of the daemon's libvirt (``virConnectGetLibVersion``)."""
        with translated(self.connection):
            number = int(self.connection.getLibVersion())
        return number // 1_000_000, number // 1000 % 1000, number % 1000

    def domain(self, name: str) -> LibvirtDomain:
        """By UUID, name or id, in that order: a record names its domain by UUID, whatever name another domain has."""
        for handle in self._found(name) if _is_text(name) else ():
            return self._domain(handle)
        raise DomainMissing(
            f"{self.uri} has no domain called '{name}'; `open({self.uri!r}).list()` shows those there are"
        )

    def domains(self) -> Iterable[LibvirtDomain]:
        with translated(self.connection):
            handles = self.connection.listAllDomains(0)
        return [self._domain(handle) for handle in handles]

    def running(self) -> Iterable[LibvirtDomain]:
        with translated(self.connection):
            handles = self.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        return [self._domain(handle) for handle in handles]

    def definitions(self) -> Iterable[tuple[LibvirtDomain, DomainState]]:
        """Two calls in all: the handles carry the ids, and a second list says which are persistent."""
        with translated(self.connection):
            handles = self.connection.listAllDomains(0)
            persistent = {
                handle.UUID() for handle in self.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
            }
        for handle in handles:
            power = PowerState.RUNNING if handle.ID() >= 0 else PowerState.SHUTOFF
            state = DomainState(power=power, id=handle.ID(), persistent=handle.UUID() in persistent)
            yield self._domain(handle, was_persistent=state.persistent), state

    def nic_models(self, domain_xml: str) -> frozenset[str] | None:
        """What the domain's emulator lists with ``-device help``; None for another host's, or one that will not say."""
        binary = xml.topology(domain_xml).emulator
        return emulator.nic_models(binary) if self.is_local and binary else None

    def close(self) -> None:
        if is_embedded(self.uri):
            return
        self._events.close()
        with suppress(libvirt.libvirtError):
            self.connection.close()

    def _domain(self, handle: libvirt.virDomain, *, was_persistent: bool = False) -> LibvirtDomain:
        return LibvirtDomain(handle, self._events, was_persistent=was_persistent, state_dir=self._state_dir)

    def _found(self, name: str) -> Iterator[libvirt.virDomain]:
        """The domain of that UUID, then the domain of that name, then the domain of that id."""
        with translated(self.connection):
            with absent(libvirt.VIR_ERR_NO_DOMAIN), suppress(ValueError):
                yield self.connection.lookupByUUIDString(str(uuid.UUID(name)))
            with absent(libvirt.VIR_ERR_NO_DOMAIN):
                yield self.connection.lookupByName(name)
            if name.isascii() and name.isdecimal() and len(name) < 10:  # a C int
                with absent(libvirt.VIR_ERR_NO_DOMAIN):
                    yield self.connection.lookupByID(int(name))


def _is_text(name: str) -> bool:
    """Whether libvirt could have been given such a name: UTF-8, without NUL."""
    return "\0" not in name and not any("\ud800" <= char <= "\udfff" for char in name)


class Machines:
    """Starts and ends the domains of one embedded driver, which has no others."""

    def __init__(self, uri: str) -> None:
        loop.start()
        self._connection = dial(uri)

    def start(self, xml: str) -> None:
        with translated(self._connection):
            self._connection.defineXML(xml).create()

    def reset(self, name: str) -> None:
        with translated(self._connection):
            self._connection.lookupByName(name).reset(0)

    def close(self) -> None:
        """End and forget every domain of the connection."""
        for domain in self._connection.listAllDomains(0):
            self._end(domain)

    def _end(self, domain: libvirt.virDomain) -> None:
        with translated(self._connection):
            if domain.isActive():
                domain.destroy()
            domain.undefine()
