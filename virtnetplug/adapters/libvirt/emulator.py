"""The QEMU process of a domain, as this host shows it: its pid file, and what ``/proc`` says of that process."""

from __future__ import annotations

import os
from pathlib import Path

from virtnetplug.adapters.daemon import SYSTEM, place_of, session_folder

_BOOT = "/proc/sys/kernel/random/boot_id"
_STAT = "/proc/stat"


def state_dir(uri: str) -> Path | None:
    """Where the QEMU driver of that URI keeps its pid files (``virQEMUDriverConfigNew``); None if it is not on this host, or not known.

    The daemon decides that, not the path of the URI: root's ``qemu:///session`` leads to the system's daemon.
    A daemon with a socket of its own may have a ``/run`` of its own, too, and so its files are not looked for.
    """
    found = place_of(uri)
    if found is None or found.driver != "qemu":
        return None
    if found.root:
        return Path(found.root, "run", "qemu")
    if found.folder == os.path.realpath(SYSTEM):
        return Path(SYSTEM, "qemu")
    own = session_folder(os.geteuid())
    return Path(own, "qemu", "run") if found.folder == os.path.realpath(own) else None


def process(directory: Path | None, domain: str) -> str:
    """Boot of the host, pid and start time of the domain's QEMU; empty if they cannot be read."""
    if directory is None:
        return ""
    try:
        pid = int(_read(f"{directory}/{domain}.pid"))
        # Field 22 of proc(5): after comm, which may have anything in it.
        ticks = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19].decode()
        return f"{_read(_BOOT).strip().decode()} {pid} {ticks}"
    except (OSError, ValueError, IndexError):
        return ""


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def began(process_name: str) -> float | None:
    """When the process began that `process` has just named, in Unix seconds: its start since the boot, and ``btime`` of proc(5)."""
    ticks = process_name.rpartition(" ")[2]
    try:
        words = (line.split() for line in Path(_STAT).read_text().splitlines())
        boot = next((float(one[1]) for one in words if one[:1] == ["btime"]), None)
    except (OSError, ValueError, IndexError):
        return None
    return None if boot is None or not ticks else boot + int(ticks) / os.sysconf("SC_CLK_TCK")
