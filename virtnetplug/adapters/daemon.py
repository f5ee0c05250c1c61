"""Which hypervisor a libvirt URI leads to, however the URI is spelled."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

SYSTEM = "/run/libvirt"
"""The folder of the sockets of root's daemons: libvirtd, and the modular daemons."""

_SOCKET = re.compile(r"(libvirt|virt[a-z]+d)-sock(-ro)?")
"""The name of a daemon's socket. Daemons with their sockets in one directory serve the same domains: libvirtd, or the driver's own
daemon (virtqemud) and virtproxyd, which forwards to it. Two daemons cannot share the state directory of a driver (``driver.pid``)."""

_BY_NETWORK = frozenset({"tls", "tcp", "ssh", "libssh", "libssh2", "ext"})
_WITHOUT_DAEMON = frozenset({"test", "vmwareplayer", "vmwarews", "vmwarefusion"})
"""Drivers that are in the client itself, unless the URI names a transport."""


@dataclass(frozen=True, slots=True)
class Place:
    """A hypervisor of this host: its driver, and the `root` of the embedded driver, or else the `folder` of its daemon's sockets."""

    driver: str
    folder: str = ""
    root: str = ""


class _Uri:
    """The parts of a libvirt URI; raises `ValueError` for a text that is no URI."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        if not parts.scheme:
            raise ValueError(uri)
        self.driver, _, self.transport = parts.scheme.lower().partition("+")
        self.path, self.user = parts.path, parts.username or ""
        # libvirt separates parameters by ";", too, and takes their names in any case
        self.query = {name.lower(): value for name, value in parse_qsl(parts.query.replace(";", "&"))}
        self.served = self.query.get("name", "").partition(":")[0].lower() or self.driver
        """The driver that the daemon is asked for."""
        self.is_remote = self.transport in _BY_NETWORK or (bool(parts.netloc) and self.driver not in _WITHOUT_DAEMON)
        """Whether the daemon is reached over a network, even that of its own host."""


def place_of(uri: str, owner: int | None = None) -> Place | None:
    """The place of this URI's hypervisor; None if it is not on this host, or has no place there. See `key_from_uri`."""
    parts = _of_this_host(uri)
    if parts is None:
        return None
    root, socket = parts.query.get("root"), parts.query.get("socket")
    if parts.path == "/embed":
        return Place(parts.driver, root=_resolved(root)) if root else None
    if parts.driver in _WITHOUT_DAEMON and not parts.transport:
        return None
    return Place(parts.served, folder=_place(socket or _default_socket(parts.driver, parts.path, owner)))


def key_from_uri(uri: str, owner: int | None = None) -> str | None:
    """The key of a hypervisor of this host; None where only a connection can show the key (`key_of_remote`).

    `uri` is as ``virConnectGetURI`` gives it. `owner` is the user id of the process that connected (None: this process). Symlinks are resolved.
    Follows ``remoteGetUNIXSocket`` and ``remoteGetURIDaemonInfo`` of libvirt's ``remote_sockets.c``.
    """
    parts = _of_this_host(uri)
    if parts is None:
        return None
    place = place_of(uri, owner)
    if place is None:
        rest = f"root={_resolved('')}" if parts.path == "/embed" else f"path={parts.path}"
        return f"{parts.driver}:{rest}"
    return f"{place.driver}:root={place.root}" if place.root else f"{place.driver}:socket={place.folder}"


def key_of_remote(uri: str, host_name: str, host_uuid: str) -> str:
    """The key of a hypervisor of another host, from the name and UUID that the connection gives of that host."""
    parts = _Uri(uri)
    user = f",session={parts.user}" if parts.path == "/session" else ""
    socket = parts.query.get("socket", "")
    folder, name = os.path.split(socket)
    place = folder if _SOCKET.fullmatch(name) else socket
    other = f",socket={place}" if place not in ("", "/run/libvirt", "/var/run/libvirt") else ""
    return f"{parts.served}:host={host_name},uuid={host_uuid.lower()}{user}{other}"


def provisional_key(uri: str) -> str:
    """A stand-in in the journal for a key that only a connection to `uri` can show."""
    return f"uri={uri}"


def _of_this_host(uri: str) -> _Uri | None:
    with suppress(ValueError):
        parts = _Uri(uri)
        return None if parts.is_remote else parts
    return None


def _default_socket(driver: str, path: str, owner: int | None) -> str:
    """The socket where a client finds the daemon. The system's daemon serves ``/session`` for root, too."""
    user = os.geteuid() if owner is None else owner
    folder = session_folder(user) if path == "/session" and user else SYSTEM
    of_driver, of_all = f"{folder}/virt{driver}d-sock", f"{folder}/libvirt-sock"
    return of_driver if os.path.lexists(of_driver) else of_all


def session_folder(user: int) -> str:
    """The folder of the sockets of a user's daemon: ``virGetUserRuntimeDirectory``, by ``g_get_user_runtime_dir``; for another user, systemd's."""
    if user != os.geteuid():
        return f"/run/user/{user}/libvirt"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return f"{os.environ.get('XDG_RUNTIME_DIR') or cache}/libvirt"


def _place(socket: str) -> str:
    """The directory of a daemon's sockets; the file itself if no daemon gives a socket such a name."""
    path = _resolved(socket)
    folder, name = os.path.split(path)
    if not _SOCKET.fullmatch(name):
        return path
    with suppress(OSError):
        if os.path.samefile(folder, SYSTEM):  # a bind mount
            return os.path.realpath(SYSTEM)
    return folder


def _resolved(path: str) -> str:
    """Absolute and without symlinks, except the symlinks of proc(5): these lead to another mount namespace, where the same name is another file."""
    absolute = os.path.abspath(path)
    found = os.path.realpath(absolute)
    with suppress(OSError):
        if not os.path.samefile(found, absolute):
            return absolute
    return found
