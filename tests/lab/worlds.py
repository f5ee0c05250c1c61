"""Where an operation is broken in a lab: once in each world. Between two calls that only look, nothing new is in the world outside.

Why that is enough, and that each point left out is equal to one that is in, the contract suite shows at every call on a fake host.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from tests.lab.figures import IS_LONG

_CHANGES = {
    *("attach", "detach", "detach_element", "update", "set_metadata", "evict"),
    *(f"networks.{name}" for name in ("create_port", "restore_port", "delete_port", "restart")),
    *(f"links.{name}" for name in ("set_master", "join_switch", "leave_switch", "set_port", "set_vlans")),
    *(f"links.{name}" for name in ("introduce", "forget", "restore")),
    *(f"host_devices.{name}" for name in ("apply", "unbind", "bind", "set_num_vfs", "restore_netdev", "run_hook")),
    *("nodedevs.detach", "nodedevs.reattach", "vif_store.set_plumbed"),
    *(f"vif_drivers.{name}" for name in ("unbind", "bind", "load", "reload")),
}

Point = tuple[int, bool]
"""The number of a call, and whether it has happened."""


def worlds(calls: Sequence[str]) -> list[Point]:
    """A point in each world that an operation of these calls goes through: before it began, and after each change."""
    return [(0, False), *((k, True) for k, name in enumerate(calls) if name in _CHANGES or name.startswith("journal."))]


def sample(points: Sequence[Point], most: int) -> list[Point]:
    """All of them in full; otherwise `most`, or as many as ``VIRTNETPLUG_LAB_WORLDS`` says, evenly from the first to the last."""
    if IS_LONG:
        return list(points)
    number = min(len(points), int(os.environ.get("VIRTNETPLUG_LAB_WORLDS", most)))
    return [points[(2 * i + 1) * len(points) // (2 * number)] for i in range(number)]
