"""Every kind of operation that the journal may have, and the module that knows it."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from virtnetplug.hotplug.operation import Operation
from virtnetplug.model.operation import OperationRecord

MODULES = {
    "attach": "attach",
    "detach": "detach",
    "update": "update",
    "rebind move": "rebind",
    "rebind heal": "heal",
    "rebind vif": "vif_recovery",
    "rebind-vf": "rebind_vf",
    "rebind-pf": "pf_recovery",
    "handover": "handover",
    "handback": "handback",
    "remember": "amendment",
    "forget": "amendment",
    "policy": "amendment",
}
"""Module of this package by the operation's name, and by its kind where several share a name; each has its class as `OPERATION`.

They are imported when one is met in the journal: few commands meet any.
"""


def operation_of(record: OperationRecord) -> type[Operation] | None:
    """What finishes or undoes it; None for one that this version does not know: a newer one wrote it, or something damaged it."""
    kind = record.request.get("kind", "")
    module = MODULES.get(f"{record.operation} {kind}".strip())
    if module is None:
        return None
    operation = cast(type[Operation], import_module(f"virtnetplug.hotplug.{module}").OPERATION)
    return operation if operation.knows(record) else None
