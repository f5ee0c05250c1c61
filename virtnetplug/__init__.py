"""virtnetplug: hot-plug the network devices of running libvirt guests.

`open` connects and gives a `Plugger`; `Interface`, `Scope` and the results it answers with are here too, and all that it
raises is a `VirtnetplugError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtnetplug.errors import VirtnetplugError

if TYPE_CHECKING:
    from virtnetplug.app import open as open  # noqa: A004 - virtnetplug.open is what a caller writes
    from virtnetplug.hotplug.plugger import Plugger as Plugger
    from virtnetplug.model.identity import UnplugPolicy as UnplugPolicy
    from virtnetplug.model.interface import Interface as Interface
    from virtnetplug.model.mac import Mac as Mac
    from virtnetplug.model.operation import Nic as Nic
    from virtnetplug.model.operation import Outcome as Outcome
    from virtnetplug.model.operation import Plan as Plan
    from virtnetplug.model.operation import Result as Result
    from virtnetplug.model.operation import Scope as Scope
    from virtnetplug.model.pci import PciAddress as PciAddress

_WHERE = {
    "open": "app",
    "Plugger": "hotplug.plugger",
    "Interface": "model.interface",
    "Mac": "model.mac",
    "Nic": "model.operation",
    "Outcome": "model.operation",
    "Plan": "model.operation",
    "Result": "model.operation",
    "Scope": "model.operation",
    "PciAddress": "model.pci",
    "UnplugPolicy": "model.identity",
}

__all__ = ["VirtnetplugError", *sorted(_WHERE)]


def __getattr__(name: str) -> object:
    # Imported on first use: printing the version must not pay for libvirt.
    if name not in _WHERE:
        raise AttributeError(f"module 'virtnetplug' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(f"virtnetplug.{_WHERE[name]}"), name)
