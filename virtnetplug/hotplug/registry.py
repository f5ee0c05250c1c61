"""Every kind of operation that the journal may have, and the module that knows it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from virtnetplug.hotplug.operation import Operation
    from virtnetplug.model.operation import OperationRecord


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of operation: its `module`, which has its class as `OPERATION`, and what people read of it.

    `done` stands between its NICs and their domain once it is done, and `bare` after the domain if it had no NIC. `shows_nics` is whether its
    NICs are in the domain afterwards, and so are shown; `keeps_nics` whether they are in the domain all the time.
    """

    module: str
    done: str = ""
    bare: str = ""
    shows_nics: bool = True
    keeps_nics: bool = False


KINDS = {
    "attach": Kind("attach", "attached to"),
    "detach": Kind("detach", "detached from", shows_nics=False),
    "update": Kind("update", "updated in"),
    "rebind move": Kind("rebind", "rebound in"),
    "rebind heal": Kind("heal", "rebound in"),
    "rebind vif": Kind("vif_recovery", "rebound in", keeps_nics=True),
    "rebind-vf": Kind("rebind_vf", "on another VF in"),
    "rebind-pf": Kind("pf_recovery", "back on VFs of", bare="is as asked"),
    "handover": Kind("handover", "handed over in"),
    "handback": Kind("handback", "back in"),
    "remember": Kind("amendment"),
    "forget": Kind("amendment"),
    "policy": Kind("amendment"),
}
"""Each kind by its name in the journal; the ``kind`` of its request follows the name if several operations share one.

A module is imported when the journal has a record of it, which few commands meet.
"""

REMEDY = "Recover with the version that wrote it, or restore the journal from a backup if its row is damaged; `history()` shows its steps."
"""What to do about a record that `operation_of` finds nothing for."""


def why_unknown(record: OperationRecord) -> str:
    """Why this version does not know the record, as messages say it."""
    return record.unreadable or "a newer virtnetplug wrote it, or it is damaged"


def operation_of(record: OperationRecord) -> type[Operation] | None:
    """The class that finishes or undoes the record. None if this version does not know the record: a newer version wrote it, or it is damaged."""
    known = kind_of(record)
    if known is None:
        return None
    operation = cast("type[Operation]", import_module(f"virtnetplug.hotplug.{known.module}").OPERATION)
    return operation if operation.knows(record) else None


def kind_of(record: OperationRecord) -> Kind | None:
    """The kind of the record; None if this version has none of that name."""
    return KINDS.get(f"{record.operation} {record.kind}".strip())


def keeps_nics(record: OperationRecord) -> bool:
    """Whether its NICs are in their guest all the time, as those are whose vif gets its driver anew."""
    return (known := kind_of(record)) is not None and known.keeps_nics


def words_of(operation: str) -> Kind:
    """The words for people of operations of that name. Operations that share a name share the words; an unknown operation has its name alone."""
    named = (kind for name, kind in KINDS.items() if name.partition(" ")[0] == operation)
    return next(named, Kind("", done=operation))
