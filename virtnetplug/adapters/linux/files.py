"""Files of ``/proc`` and ``/sys``, and which host devices the processes of this host hold open.

Files are read without a buffer: every attach and detach of a VF looks at a hundred of them. A file, folder or link that is not there, or
that cannot be read now, is empty. An example is ``carrier`` of an interface that is down.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

_TUN = "/dev/net/tun"


def content(path: str | Path) -> bytes:
    """All bytes of a file."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return b"".join(iter(lambda: os.read(file, 1 << 16), b""))
    except OSError:
        return b""
    finally:
        os.close(file)


def text(path: str | Path) -> str:
    """The text of a file, without white space around it."""
    return content(path).decode(errors="replace").strip()


def number(path: str) -> int:
    """The number in a file; 0 where the file holds none."""
    found = text(path)
    return int(found) if found.isdecimal() else 0


def names(folder: str | Path) -> list[str]:
    """The sorted names in a folder."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def target(link: str) -> str:
    """Where a symbolic link leads."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


def taps_by_domain(proc: Path) -> Mapping[str, frozenset[str]]:
    """Tap names by domain UUID, for every QEMU whose descriptors may be read; other processes are not in the answer.

    A QEMU is known by its ``-uuid``; a tap by the ``iff:`` line of ``/proc/PID/fdinfo/N`` (``tun_chr_show_fdinfo`` in
    ``drivers/net/tun.c``). A macvtap has no such line and is never in the answer.
    """
    found: dict[str, frozenset[str]] = {}
    for process in _processes(proc):
        uuid = _uuid(process)
        if uuid is not None:
            with suppress(OSError):  # another user's process, or a process that has just ended
                taps = frozenset(
                    tap for number, file in _open_files(process) if file == _TUN for tap in _tap(process, number)
                )
                found[uuid] = found.get(uuid, frozenset()) | taps
    return found


def holders(proc: Path, devices: Collection[str]) -> frozenset[int]:
    """The processes that have one of these device files open.

    A device file that has been removed since, as libvirt does in a guest's own ``/dev``, still counts. Raises `PermissionError`
    naming a process whose descriptors may not be looked at.
    """
    wanted = {name for device in devices for name in (device, f"{device} (deleted)")}
    found = set()
    for process in _processes(proc):
        pid = os.path.basename(process)
        try:
            if not wanted.isdisjoint(file for _, file in _open_files(process)):
                found.add(int(pid))
        except PermissionError as error:
            raise PermissionError(error.errno, error.strerror, pid) from None
        except OSError:
            continue  # the process has just ended
    return frozenset(found)


def _processes(proc: Path) -> Iterator[str]:
    return (f"{proc}/{pid}" for pid in os.listdir(proc) if pid.isdigit())


def _open_files(process: str) -> Iterator[tuple[str, str]]:
    """Each descriptor of a process with its file; raises `OSError` if the descriptors cannot be listed."""
    return ((number, target(f"{process}/fd/{number}")) for number in os.listdir(f"{process}/fd"))


def _uuid(process: str) -> str | None:
    """The word after ``-uuid`` on the command line of a process."""
    words = content(f"{process}/cmdline").split(b"\0")
    try:
        return words[words.index(b"-uuid") + 1].decode("ascii").lower()
    except (ValueError, IndexError, UnicodeDecodeError):
        return None


def _tap(process: str, number: str) -> Iterator[str]:
    for line in content(f"{process}/fdinfo/{number}").splitlines():
        key, _, value = line.partition(b":")
        if key == b"iff" and value.strip():
            yield os.fsdecode(value.strip())
