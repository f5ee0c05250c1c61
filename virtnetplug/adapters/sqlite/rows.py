"""Records to rows and back."""

from __future__ import annotations

import dataclasses
import functools
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from virtnetplug.errors import VirtnetplugError
from virtnetplug.lifecycle import State
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VfIdentity
from virtnetplug.model.operation import (
    Half,
    NicRecord,
    OperationRecord,
    OperationState,
    Phase,
    Scope,
    Step,
    StepState,
)
from virtnetplug.model.pci import PciAddress

T = TypeVar("T", Holding, NicRecord)

_TEXT, _NUMBER = (str,), (int, float)
_TYPES = {
    "int": (int,),
    "bool": (int,),
    "float": _NUMBER,
    "float | None": (*_NUMBER, type(None)),
    "Half | None": (str, type(None)),
}
"""The types that SQLite gives a field's value in, by the field's type; of any other field it is text."""

_STATES = {state.value: state for state in State}

_LATEST = 1e11
"""Unix time of the year 5138: no time in a row is later, and no duration longer."""


def text_from_request(request: Mapping[str, Any]) -> str:
    """JSON; raises `TypeError` for what is not JSON-able."""
    return json.dumps(request, ensure_ascii=False, separators=(",", ":"))


def _object(text: str) -> dict[str, Any]:
    request = json.loads(text)
    if not isinstance(request, dict):
        raise TypeError(f"an object is wanted, not {type(request).__name__}")
    return request


_WRITTEN: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("request", "snapshot", "settings"), text_from_request),
    "identity": lambda identity: "" if identity is None else text_from_request(dataclasses.asdict(identity)),
    "address": str,
}
"""How a column's value is made from the field of its name; other columns have the fields themselves."""

_READ: Mapping[type, Mapping[str, tuple[Callable[[Any], Any], Any]]] = {
    OperationRecord: {
        "scope": (Scope, Scope.LIVE),
        "state": (OperationState, OperationState.INCOMPLETE),
        "request": (_object, "{}"),
    },
    Step: {
        "phase": (Phase, Phase.PLUG),
        "half": (lambda half: None if half is None else Half(half), None),
        "state": (StepState, StepState.PLANNED),
    },
    Holding: {
        "address": (PciAddress.parse, "0000:00:00.0"),  # a VF is never there
        "managed": (bool, 0),
        "snapshot": (_object, "{}"),
        "settings": (_object, "{}"),
        "identity": (lambda text: VfIdentity(**_object(text)) if text else None, ""),
    },
    NicRecord: dict.fromkeys(("frontend", "backend"), (lambda text: _STATES.get(text, State.UNKNOWN), "")),
}
"""How a field is made from its column, by kind of record, and the column's value that stands for one that cannot be read."""


def _columns(record: type) -> list[str]:
    return [field.name for field in fields(record) if field.name not in ("steps", "unreadable")]


OPERATION, STEP, HOLDING, NIC = map(_columns, (OperationRecord, Step, Holding, NicRecord))


def insert_into(table: str, columns: list[str], verb: str = "INSERT") -> str:
    """The statement that writes one row of named values."""
    return f"{verb} INTO {table} ({', '.join(columns)}) VALUES ({', '.join(':' + name for name in columns)})"


def match(**columns: str | tuple[str, ...] | None) -> tuple[str, tuple[Any, ...]]:
    """The condition that each column given has its value, or one of its values; and all those values."""
    given = {
        name: (value,) if isinstance(value, str) else value for name, value in columns.items() if value is not None
    }
    conditions = [f"{name} IN ({', '.join('?' * len(values))})" for name, values in given.items()]
    return " AND ".join(conditions) or "TRUE", tuple(value for values in given.values() for value in values)


def row_from(record: object, columns: Iterable[str], **others: Any) -> dict[str, Any]:
    """The named values of a record, and those of `others`."""
    values = {name: getattr(record, name) for name in columns}
    return {name: _WRITTEN[name](value) if name in _WRITTEN else value for name, value in values.items()} | others


def operation_from_row(row: sqlite3.Row, steps: Iterable[sqlite3.Row]) -> OperationRecord:
    """The record, with its steps. If a newer version wrote the row, or the row is damaged, `unreadable` says what cannot be read."""
    values, lacks = _read(row, OperationRecord)
    found = []
    for step in steps:
        of_step, faults = _read(step, Step)
        if faults:
            lacks.append(f"its step {step['name']}: {'; '.join(faults)}")
        else:
            found.append(Step(**of_step))
    return OperationRecord(**values, steps=tuple(found), unreadable="; ".join(lacks))


def record_from_row(row: sqlite3.Row, record: type[T]) -> T:
    """The record. If the row is damaged, `unreadable` says what cannot be read. A NIC's state that is not known is Unknown."""
    values, lacks = _read(row, record)
    why = "; ".join(lacks)
    damage = f"its row in the journal is damaged ({why}): restore the journal from a backup" if why else ""
    return record(**values, unreadable=damage)


def _read(row: sqlite3.Row, record: type) -> tuple[dict[str, Any], list[str]]:
    """The fields of a record, and what is damaged in its row. A field that cannot be read has a value of its type."""
    kinds, readers, lacks = _kinds(record), _READ[record], []
    values = {}
    for name in kinds:
        value, reader = row[name], readers.get(name)
        try:
            if not _is_sound(value, kinds[name]):
                raise ValueError(value)
            values[name] = value if reader is None else reader[0](value)
        except (ValueError, TypeError, RecursionError, VirtnetplugError):
            lacks.append(f"its {name} is {str(value)[:40]!r}")
            plain = str(value) if str in kinds[name] else 0
            values[name] = plain if reader is None else reader[0](reader[1])
    return values, lacks


@functools.cache
def _kinds(record: type) -> dict[str, tuple[type, ...]]:
    return {
        field.name: _TYPES.get(str(field.type), _TEXT) for field in fields(record) if field.name in _columns(record)
    }


def _is_sound(value: Any, kinds: tuple[type, ...]) -> bool:
    if not isinstance(value, kinds):
        return False
    return not isinstance(value, float) or abs(value) < _LATEST
