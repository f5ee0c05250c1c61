"""QEMU's own monitor, for what libvirt does not know. Using it taints the domain (``VIR_DOMAIN_TAINT_CUSTOM_MONITOR``)."""

from __future__ import annotations

import json
from typing import Any

import libvirt
import libvirt_qemu

from virtnetplug.errors import HypervisorFailed

_GONE = "DeviceNotFound"
_DESCRIPTORS = "tapfd", "vhostfd"
"""Kinds of descriptor libvirt hands over, under a name for each queue, before ``netdev_add`` (``qemuBuildInterfaceConnect``)."""


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
