"""The class of an operation, found by the record that the journal has of it."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from virtnetplug.hotplug.engine.kinds import kind_of
from virtnetplug.hotplug.engine.operation import Operation
from virtnetplug.model.operation import OperationRecord


def why_unknown(record: OperationRecord) -> str:
    """Why this version does not know the record, as messages say it."""
    return record.unreadable or "a newer virtnetplug wrote it, or it is damaged"


def operation_of(record: OperationRecord) -> type[Operation] | None:
    """The class that finishes or undoes the record. None if this version does not know the record: a newer version wrote it, or it is damaged."""
    known = kind_of(record)
    if known is None:
        return None
    module, _, name = known.path.rpartition(".")
    operation = cast("type[Operation]", getattr(import_module(f"virtnetplug.hotplug.{module}"), name))
    return operation if operation.knows(record) else None
