"""Which hypervisor a libvirt URI leads to, however the URI is spelled."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlsplit

SYSTEM = "/run/libvirt"
"""Where root's daemons have their sockets: libvirtd, and the modular ones."""

_SOCKET = re.compile(r"(libvirt|virt[a-z]+d)-sock(-ro)?")
"""The socket of a daemon. The daemons that have their sockets in one directory serve the same domains: libvirtd, or the driver's own
daemon (virtqemud) and virtproxyd, which leads to it. A driver has one state directory, and two daemons cannot have that (``driver.pid``)."""

_BY_NETWORK = frozenset({"tls", "tcp", "ssh", "libssh", "libssh2", "ext"})
_WITHOUT_DAEMON = frozenset({"test", "vmwareplayer", "vmwarews", "vmwarefusion"})
"""Drivers that are in the client itself, unless the URI names a transport."""


@dataclass(frozen=True, slots=True)
class Place:
    """A hypervisor of this host: its driver, and the `root` of the embedded driver, or else the `folder` of its daemon's sockets."""

    driver: str
    folder: str = ""
    root: str = ""


def place_of(uri: str, owner: int | None = None) -> Place | None:
    """Where the hypervisor of this URI is; None if it is not on this host, or has no place there. See `key_from_uri`."""
    parts = _split(uri)
    if parts is None or _is_remote(parts):
        return None
    query, (driver, transport) = _query_of(parts), _scheme(parts)
    if parts.path == "/embed":
        return Place(driver, root=_resolved(query["root"])) if query.get("root") else None
    if driver in _WITHOUT_DAEMON and not transport:
        return None
    return Place(_served(parts), folder=_place(query.get("socket") or _default_socket(driver, parts.path, owner)))


def key_from_uri(uri: str, owner: int | None = None) -> str | None:
    """The key of the hypervisor, of this host; None where only a connection can tell (`key_of_remote`).

    `uri` is as ``virConnectGetURI`` gives it. `owner` is the user id of who dialled it (None: this process). Symlinks are resolved.
    Follows ``remoteGetUNIXSocket`` and ``remoteGetURIDaemonInfo`` of libvirt's ``remote_sockets.c``.
    """
    parts = _split(uri)
    if parts is None or _is_remote(parts):
        return None
    place = place_of(uri, owner)
    if place is None:
        driver = _scheme(parts)[0]
        return f"{driver}:root={_resolved('')}" if parts.path == "/embed" else f"{driver}:path={parts.path}"
    return f"{place.driver}:root={place.root}" if place.root else f"{place.driver}:socket={place.folder}"


def key_of_remote(uri: str, host_name: str, host_uuid: str) -> str:
    """The key of a hypervisor of another host, from what the connection says of that host."""
    parts = _split(uri)
    assert parts is not None, "libvirt has connected to it"
    user = f",session={parts.username or ''}" if parts.path == "/session" else ""
    socket = _query_of(parts).get("socket", "")
    folder, name = os.path.split(socket)
    place = folder if _SOCKET.fullmatch(name) else socket
    other = f",socket={place}" if place not in ("", "/run/libvirt", "/var/run/libvirt") else ""
    return f"{_served(parts)}:host={host_name},uuid={host_uuid.lower()}{user}{other}"


def provisional_key(uri: str) -> str:
    """Stands in the journal for the key of a hypervisor that only a connection to `uri` can tell."""
    return f"uri={uri}"


def _split(uri: str) -> SplitResult | None:
    with suppress(ValueError):
        parts = urlsplit(uri)
        return parts if parts.scheme else None
    return None


def _scheme(parts: SplitResult) -> tuple[str, str]:
    driver, _, transport = parts.scheme.lower().partition("+")
    return driver, transport


def _served(parts: SplitResult) -> str:
    """The driver that the daemon is asked for: its URI there can be named apart."""
    named = _query_of(parts).get("name", "")
    return named.partition(":")[0].lower() or _scheme(parts)[0]


def _is_remote(parts: SplitResult) -> bool:
    """Whether the daemon is reached by way of a network, be it that of its own host."""
    driver, transport = _scheme(parts)
    return transport in _BY_NETWORK or (bool(parts.netloc) and driver not in _WITHOUT_DAEMON)


def _query_of(parts: SplitResult) -> Mapping[str, str]:
    """The parameters of a URI; libvirt separates them with ``;``, too, and knows them in any case."""
    return {name.lower(): value for name, value in parse_qsl(parts.query.replace(";", "&"))}


def _default_socket(driver: str, path: str, owner: int | None) -> str:
    """Where a client finds the daemon. For root that is the system's daemon, which serves ``/session`` as well."""
    user = os.geteuid() if owner is None else owner
    folder = session_folder(user) if path == "/session" and user else SYSTEM
    of_driver, of_all = f"{folder}/virt{driver}d-sock", f"{folder}/libvirt-sock"
    return of_driver if os.path.lexists(of_driver) else of_all


def session_folder(user: int) -> str:
    """Where that user's daemon has its sockets: ``virGetUserRuntimeDirectory``, by ``g_get_user_runtime_dir``; another user's are where systemd has them."""
    if user != os.geteuid():
        return f"/run/user/{user}/libvirt"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return f"{os.environ.get('XDG_RUNTIME_DIR') or cache}/libvirt"


def _place(socket: str) -> str:
    """The directory of a daemon's sockets; the file itself where its name is none that a daemon gives."""
    path = _resolved(socket)
    folder, name = os.path.split(path)
    if not _SOCKET.fullmatch(name):
        return path
    with suppress(OSError):
        if os.path.samefile(folder, SYSTEM):  # a bind mount
            return os.path.realpath(SYSTEM)
    return folder


def _resolved(path: str) -> str:
    """Absolute and without symlinks, except those of proc(5): they lead to another mount namespace, where the same name is another file."""
    absolute = os.path.abspath(path)
    found = os.path.realpath(absolute)
    with suppress(OSError):
        if not os.path.samefile(found, absolute):
            return absolute
    return found
