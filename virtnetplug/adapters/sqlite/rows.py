"""Records to rows and back."""

from __future__ import annotations

import dataclasses
import functools
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

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

_NOWHERE = PciAddress.parse("0000:00:00.0")
"""Stands for the address of a host device whose row has none: a VF is never there."""

OPERATION = [field.name for field in fields(OperationRecord) if field.name not in ("steps", "unreadable")]
STEP = [field.name for field in fields(Step)]
HOLDING = [field.name for field in fields(Holding) if field.name != "unreadable"]
NIC = [field.name for field in fields(NicRecord) if field.name != "unreadable"]


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


def text_from_request(request: Mapping[str, Any]) -> str:
    """JSON; raises `TypeError` for what is not JSON-able."""
    return json.dumps(request, ensure_ascii=False, separators=(",", ":"))


def row_from(record: object, columns: Iterable[str], **others: Any) -> dict[str, Any]:
    """The named values of a record, and those of `others`."""
    return {name: getattr(record, name) for name in columns} | others


def row_from_operation(record: OperationRecord) -> dict[str, Any]:
    """The named values of one operation."""
    return row_from(record, OPERATION, request=text_from_request(record.request))


def operation_from_row(row: sqlite3.Row, steps: Iterable[sqlite3.Row]) -> OperationRecord:
    """The record, with its steps. If a newer version wrote the row, or the row is damaged, `unreadable` says what cannot be read."""
    values, lacks = _read(row, OperationRecord, OPERATION)

    def known(name: str, read: Callable[[Any], Any], otherwise: Any) -> Any:
        try:
            return read(values[name])
        except (ValueError, TypeError, RecursionError):
            lacks.append(_lack(name, values[name]))
            return otherwise

    values |= {
        "scope": known("scope", Scope, Scope.LIVE),
        "state": known("state", OperationState, OperationState.INCOMPLETE),
        "request": known("request", _object, {}),
    }
    found = []
    for step in steps:
        try:
            found.append(_step_from_row(step))
        except ValueError as error:
            lacks.append(f"its step {step['name']}: {error}")
    return OperationRecord(**values, steps=tuple(found), unreadable="; ".join(lacks))


def _read(row: sqlite3.Row, record: type, columns: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """The named values of a row, and what is damaged in it. A value of a type that the record cannot have is replaced by one of its field's type."""
    kinds = _kinds(record)
    values = {name: row[name] for name in columns}
    damaged = [name for name in columns if not _is_sound(values[name], kinds[name])]
    lacks = [_lack(name, values[name]) for name in damaged]
    values |= {name: str(values[name]) if str in kinds[name] else 0 for name in damaged}
    return values, lacks


@functools.cache
def _kinds(record: type) -> dict[str, tuple[type, ...]]:
    return {field.name: _TYPES.get(str(field.type), _TEXT) for field in fields(record)}


def _is_sound(value: Any, kinds: tuple[type, ...]) -> bool:
    if not isinstance(value, kinds):
        return False
    return not isinstance(value, float) or abs(value) < _LATEST


def _lack(name: str, value: Any) -> str:
    return f"its {name} is {str(value)[:40]!r}"


def _damage(lacks: Iterable[str]) -> str:
    why = "; ".join(lacks)
    return f"its row in the journal is damaged ({why}): restore the journal from a backup" if why else ""


def _object(text: str) -> dict[str, Any]:
    request = json.loads(text)
    if not isinstance(request, dict):
        raise TypeError(f"an object is wanted, not {type(request).__name__}")
    return request


def nic_from_row(row: sqlite3.Row) -> NicRecord:
    """The record. A state that is not known, or damaged, is Unknown. `unreadable` says what else cannot be read."""
    values, lacks = _read(row, NicRecord, NIC)
    states = {end: _STATES.get(values[end], State.UNKNOWN) for end in ("frontend", "backend")}
    return NicRecord(**values | states, unreadable=_damage(lacks))


def row_from_holding(holding: Holding) -> dict[str, Any]:
    """The named values of one device."""
    texts = {name: text_from_request(getattr(holding, name)) for name in ("snapshot", "settings")}
    identity = "" if holding.identity is None else text_from_request(dataclasses.asdict(holding.identity))
    return row_from(holding, HOLDING, address=str(holding.address), identity=identity, **texts)


def holding_from_row(row: sqlite3.Row) -> Holding:
    """The record. If the row is damaged, `unreadable` says what cannot be read."""
    values, lacks = _read(row, Holding, HOLDING)
    for name, read, otherwise in (
        ("snapshot", _object, {}),
        ("settings", _object, {}),
        ("address", PciAddress.parse, _NOWHERE),
        ("identity", _identity, None),
    ):
        try:
            values[name] = read(values[name])
        except (ValueError, TypeError, RecursionError, VirtnetplugError):
            lacks.append(_lack(name, values[name]))
            values[name] = otherwise
    return Holding(**values | {"managed": bool(values["managed"])}, unreadable=_damage(lacks))


def _identity(text: str) -> VfIdentity | None:
    return VfIdentity(**_object(text)) if text else None


def _step_from_row(row: sqlite3.Row) -> Step:
    values, lacks = _read(row, Step, STEP)
    if lacks:
        raise ValueError("; ".join(lacks))
    values |= {
        "phase": Phase(values["phase"]),
        "half": None if values["half"] is None else Half(values["half"]),
        "state": StepState(values["state"]),
    }
    return Step(**values)
