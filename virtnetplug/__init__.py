"""virtnetplug: hot-plug the network devices of running libvirt guests.

`open` connects and returns a `Plugger`. `Interface`, `Scope`, the operations and their results are here, too. Every error is a `VirtnetplugError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtnetplug.errors import VirtnetplugError

if TYPE_CHECKING:
    from virtnetplug.app import open as open  # noqa: A004 - virtnetplug.open is what a caller writes
    from virtnetplug.hotplug.change.heal import Heal as Heal
    from virtnetplug.hotplug.change.rebind import Rebind as Rebind
    from virtnetplug.hotplug.change.rebind_vf import RebindVf as RebindVf
    from virtnetplug.hotplug.change.update import Update as Update
    from virtnetplug.hotplug.identity.attach_detach import Attach as Attach
    from virtnetplug.hotplug.identity.attach_detach import Detach as Detach
    from virtnetplug.hotplug.identity.handback import Handback as Handback
    from virtnetplug.hotplug.identity.handover import Handover as Handover
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
    "open": "app.open",
    "Attach": "hotplug.identity.attach_detach.Attach",
    "Detach": "hotplug.identity.attach_detach.Detach",
    "Handback": "hotplug.identity.handback.Handback",
    "Handover": "hotplug.identity.handover.Handover",
    "Heal": "hotplug.change.heal.Heal",
    "Interface": "model.interface.Interface",
    "Mac": "model.mac.Mac",
    "Nic": "model.operation.Nic",
    "Outcome": "model.operation.Outcome",
    "PciAddress": "model.pci.PciAddress",
    "Plan": "model.operation.Plan",
    "Plugger": "hotplug.plugger.Plugger",
    "Rebind": "hotplug.change.rebind.Rebind",
    "RebindVf": "hotplug.change.rebind_vf.RebindVf",
    "Result": "model.operation.Result",
    "Scope": "model.operation.Scope",
    "UnplugPolicy": "model.identity.UnplugPolicy",
    "Update": "hotplug.change.update.Update",
}

__all__ = ["VirtnetplugError", *sorted(_WHERE)]


def __getattr__(name: str) -> object:
    # Imported on first use: printing the version must not pay for libvirt.
    if name not in _WHERE:
        raise AttributeError(f"module 'virtnetplug' has no attribute '{name}'")
    import importlib

    module, _, value = _WHERE[name].rpartition(".")
    return getattr(importlib.import_module(f"virtnetplug.{module}"), value)
