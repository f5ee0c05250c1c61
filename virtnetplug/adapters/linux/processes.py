"""Which host devices the QEMU process of a domain holds open."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

_TUN = "/dev/net/tun"


def taps_by_domain(proc: Path) -> Mapping[str, frozenset[str]]:
    """Tap names by domain UUID, for every QEMU whose descriptors may be read; the others are not in the answer.

    A QEMU is known by its ``-uuid``; a tap by the ``iff:`` line of ``/proc/PID/fdinfo/N`` (``tun_chr_show_fdinfo`` in
    ``drivers/net/tun.c``). A macvtap has no such line and is never among them.
    """
    found: dict[str, frozenset[str]] = {}
    for pid in os.listdir(proc):
        uuid = _uuid(f"{proc}/{pid}") if pid.isdigit() else None
        taps = None if uuid is None else _taps(f"{proc}/{pid}")
        if uuid is not None and taps is not None:
            found[uuid] = found.get(uuid, frozenset()) | taps
    return found


def _uuid(process: str) -> str | None:
    """What follows ``-uuid`` on the command line of a process."""
    words = _read(f"{process}/cmdline").split(b"\0")
    try:
        return words[words.index(b"-uuid") + 1].decode("ascii").lower()
    except (ValueError, IndexError, UnicodeDecodeError):
        return None


def _taps(process: str) -> frozenset[str] | None:
    try:
        descriptors = os.listdir(f"{process}/fd")
    except OSError:
        return None  # another user's, or just gone
    return frozenset(name for number in descriptors for name in _tap(process, number))


def _tap(process: str, number: str) -> Iterator[str]:
    try:
        is_tun = os.readlink(f"{process}/fd/{number}") == _TUN
    except OSError:
        return
    for line in _read(f"{process}/fdinfo/{number}").splitlines() if is_tun else ():
        key, _, value = line.partition(b":")
        if key == b"iff" and value.strip():
            yield os.fsdecode(value.strip())


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def holders(proc: Path, files: Collection[str]) -> frozenset[int]:
    """The processes that have one of these device files open.

    A device file that has been removed since, as libvirt does in a guest's own ``/dev``, still counts. Raises `PermissionError`
    naming a process whose descriptors may not be looked at.
    """
    wanted = {name for file in files for name in (file, f"{file} (deleted)")}
    return frozenset(int(pid) for pid in os.listdir(proc) if pid.isdigit() and not wanted.isdisjoint(_open(proc, pid)))


def _open(proc: Path, pid: str) -> Iterator[str]:
    folder = f"{proc}/{pid}/fd"
    try:
        descriptors = os.listdir(folder)
    except PermissionError as error:
        raise PermissionError(error.errno, error.strerror, pid) from None
    except OSError:
        return  # just gone
    for number in descriptors:
        try:
            yield os.readlink(f"{folder}/{number}")
        except OSError:
            continue
