"""The QEMU process of a domain, as this host shows it: its pid file, and what ``/proc`` says of that process."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_BOOT = "/proc/sys/kernel/random/boot_id"
_SYSTEM = "/run/libvirt"


def state_dir(uri: str) -> Path | None:
    """Where the QEMU driver of that URI keeps its pid files (``virQEMUDriverConfigNew``); None if it is not on this host, or not known.

    A daemon with a socket of its own may have a ``/run`` of its own, too, and so its files are not looked for.
    """
    parts = urlsplit(uri)
    asked = parse_qs(parts.query)
    if parts.scheme.partition("+")[0] != "qemu" or parts.hostname:
        return None
    home = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    own = {"/system": _SYSTEM, "/session": f"{home}/libvirt"}.get(parts.path)
    if "socket" in asked and os.path.dirname(os.path.realpath(asked["socket"][0])) != os.path.realpath(own or "/"):
        return None
    if parts.path == "/embed":
        return Path(asked["root"][0], "run", "qemu") if "root" in asked else None
    if own is None:
        return None
    return Path(own, "qemu") if parts.path == "/system" else Path(own, "qemu", "run")


def process(directory: Path | None, domain: str) -> str:
    """Boot of the host, pid and start time of the domain's QEMU; empty if they cannot be read."""
    if directory is None:
        return ""
    try:
        pid = int((directory / f"{domain}.pid").read_text())
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            ticks = (
                file.read().rpartition(b")")[2].split()[19].decode()
            )  # field 22 of proc(5): after comm, which may have anything in it
        with open(_BOOT, "rb", buffering=0) as file:
            boot = file.read().strip().decode()
    except (OSError, ValueError, IndexError):
        return ""
    return f"{boot} {pid} {ticks}"
