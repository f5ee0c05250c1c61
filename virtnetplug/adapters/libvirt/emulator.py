"""QEMU itself: the process of a domain as this host shows it, its monitor, and the NIC models that it has."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import libvirt

from virtnetplug.adapters.daemon import SYSTEM, place_of, session_folder
from virtnetplug.errors import HypervisorFailed

_BOOT = "/proc/sys/kernel/random/boot_id"
_STAT = "/proc/stat"

_GONE = "DeviceNotFound"
_DESCRIPTORS = "tapfd", "vhostfd"
"""Kinds of descriptor libvirt hands over, under a name for each queue, before ``netdev_add`` (``qemuBuildInterfaceConnect``)."""


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


def evict(handle: libvirt.virDomain, alias: str) -> bool:
    """``device_del`` and ``netdev_del`` of the NIC that libvirt called `alias`; True once QEMU has neither half."""
    if _has_device(handle, alias):
        _ask(handle, "device_del", id=alias)
        if _has_device(handle, alias):
            return False
    _ask(handle, "netdev_del", id=f"host{alias}")
    for kind in _DESCRIPTORS:
        queue = 0
        while _ask(handle, "closefd", fdname=f"{kind}-{alias}{queue}") is not None:
            queue += 1
    return True


def _has_device(handle: libvirt.virDomain, alias: str) -> bool:
    there = _ask(handle, "qom-list", path="/machine/peripheral") or []
    return any(entry["name"] == alias for entry in there)


def _ask(handle: libvirt.virDomain, command: str, **arguments: str) -> Any:
    import libvirt_qemu  # a library of its own, and rarely needed

    text = json.dumps({"execute": command, "arguments": arguments})
    answer = json.loads(libvirt_qemu.qemuMonitorCommand(handle, text, 0))
    error = answer.get("error")
    if error is None:
        return answer.get("return")
    said = str(error.get("desc", ""))
    # Nothing to remove, or asked already: the look that follows finds out which.
    if error.get("class") == _GONE or "not found" in said or "already in the process of unplug" in said:
        return None
    raise HypervisorFailed(f"QEMU says to {command}: {said}")


def nic_models(binary: str) -> frozenset[str] | None:
    """libvirt's domain capabilities list no NIC models (up to 11.3), so the emulator itself is asked, once per modification time."""
    try:
        return _nic_models(binary, os.stat(binary).st_mtime)
    except OSError:
        return None


@functools.cache
def _nic_models(binary: str, modified: float) -> frozenset[str] | None:
    import subprocess  # a millisecond of every command's start, and most never ask

    command = [binary, "-machine", "none", "-device", "help"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=True, stdin=subprocess.DEVNULL, process_group=0
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"{binary} does not list its devices: {error}") from None  # and is asked again the next time
    _, _, rest = answer.stdout.partition("Network devices:")
    names = set()
    for line in rest.strip().splitlines():
        if not line.startswith("name "):
            break
        names.add(line.split('"')[1])
    if any(name.startswith("virtio-net") for name in names):
        names |= {"virtio", "virtio-transitional", "virtio-non-transitional"}
    return frozenset(names) or None
