"""Every kind of operation that the journal may have, and the class of each, found by the record that the journal has of it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from virtnetplug.model.operation import OperationRecord

if TYPE_CHECKING:
    from virtnetplug.hotplug.engine.operation import Operation


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of operation: where its class is (`room.module.Class`), and what people read of it.

    `done` stands between its NICs and their domain once it is done, and `bare` after the domain if it had no NIC. `shows_nics` is whether its
    NICs are in the domain afterwards, and so are shown; `keeps_nics` whether they are in the domain all the time.
    """

    path: str
    done: str = ""
    bare: str = ""
    shows_nics: bool = True
    keeps_nics: bool = False


KINDS = {
    "attach": Kind("change.attach.PlainAttach", "attached to"),
    "detach": Kind("change.detach.PlainDetach", "detached from", shows_nics=False),
    "update": Kind("change.update.Update", "updated in"),
    "rebind move": Kind("change.rebind.Rebind", "rebound in"),
    "rebind heal": Kind("change.heal.Heal", "rebound in"),
    "rebind vif": Kind("vif.rebind_vif.RebindVif", "rebound in", keeps_nics=True),
    "rebind-vf": Kind("change.rebind_vf.RebindVf", "on another VF in"),
    "rebind-pf": Kind("pf.rebind_pf.RebindPf", "back on VFs of", bare="is as asked"),
    "handover": Kind("identity.handover.Handover", "handed over in"),
    "handback": Kind("identity.handback.Handback", "back in"),
    "remember": Kind("change.remembering.Amending"),
    "forget": Kind("change.remembering.Amending"),
    "policy": Kind("change.remembering.Amending"),
}
"""Each kind by its name in the journal; the ``kind`` of its request follows the name if several operations share one.

A class is imported when the journal has a record of it, which few commands meet.
"""


def kind_of(record: OperationRecord) -> Kind | None:
    """The kind of the record; None if this version has none of that name."""
    return KINDS.get(f"{record.operation} {record.kind}".strip())


def keeps_nics(record: OperationRecord) -> bool:
    """True if the operation's NICs are in their guest all the time, as in a rebind of a vif."""
    return (known := kind_of(record)) is not None and known.keeps_nics


def words_of(operation: str) -> Kind:
    """The words for people of operations of that name. Operations that share a name share the words; an unknown operation has its name alone."""
    named = (kind for name, kind in KINDS.items() if name.partition(" ")[0] == operation)
    return next(named, Kind("", done=operation))


def operation_of(record: OperationRecord) -> type[Operation] | None:
    """The class that finishes or undoes the record. None if this version does not know the record: a newer version wrote it, or it is damaged."""
    known = kind_of(record)
    if known is None:
        return None
    module, _, name = known.path.rpartition(".")
    operation = cast("type[Operation]", getattr(import_module(f"virtnetplug.hotplug.{module}"), name))
    return operation if operation.knows(record) else None


def why_unknown(record: OperationRecord) -> str:
    """Why this version does not know the record, as messages say it."""
    return record.unreadable or "a newer virtnetplug wrote it, or it is damaged"
