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
"""The module of each operation, by its name in the journal; the ``kind`` of its request follows the name if several operations share one.

Each module has its class as `OPERATION`. A module is imported when the journal has a record of it, which few commands meet.
"""

REMEDY = "Recover with the version that wrote it, or restore the journal from a backup if its row is damaged; 'virtnetplug history' shows its steps."
"""What to do about a record that `operation_of` finds nothing for."""


def why_unknown(record: OperationRecord) -> str:
    """Why this version does not know the record, as messages say it."""
    return record.unreadable or "a newer virtnetplug wrote it, or it is damaged"


def operation_of(record: OperationRecord) -> type[Operation] | None:
    """The class that finishes or undoes the record; None if this version does not know the record: a newer version wrote it, or it is damaged."""
    kind = record.request.get("kind", "")
    module = MODULES.get(f"{record.operation} {kind}".strip())
    if module is None:
        return None
    operation = cast(type[Operation], import_module(f"virtnetplug.hotplug.{module}").OPERATION)
    return operation if operation.knows(record) else None
