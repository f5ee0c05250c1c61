"""Records to rows and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

from virtnetplug.lifecycle import State
from virtnetplug.model.holding import Holding
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

OPERATION = [field.name for field in fields(OperationRecord) if field.name not in ("steps", "unreadable")]
STEP = [field.name for field in fields(Step)]
HOLDING = [field.name for field in fields(Holding) if field.name != "unreadable"]
NIC = [field.name for field in fields(NicRecord)]


def insert_into(table: str, columns: list[str], verb: str = "INSERT") -> str:
    """The statement that writes one row of named values."""
    return f"{verb} INTO {table} ({', '.join(columns)}) VALUES ({', '.join(':' + name for name in columns)})"


def match(**columns: str | None) -> tuple[str, tuple[Any, ...]]:
    """The condition that each column given equals its value, and those values."""
    given = {name: value for name, value in columns.items() if value is not None}
    return " AND ".join(f"{name} = ?" for name in given) or "TRUE", tuple(given.values())


def text_from_request(request: Mapping[str, Any]) -> str:
    """JSON; raises `TypeError` for what is not JSON-able."""
    return json.dumps(request, ensure_ascii=False, separators=(",", ":"))


def row_from_operation(record: OperationRecord) -> dict[str, Any]:
    """The named values of one operation."""
    row = {name: getattr(record, name) for name in OPERATION}
    return row | {"request": text_from_request(record.request)}


def row_from_step(operation_id: str, step: Step) -> dict[str, Any]:
    """The named values of one step."""
    return {name: getattr(step, name) for name in STEP} | {"operation_id": operation_id}


def row_from_nic(record: NicRecord) -> dict[str, Any]:
    """The named values of one NIC."""
    return {name: getattr(record, name) for name in NIC}


def operation_from_row(row: sqlite3.Row, steps: Iterable[sqlite3.Row]) -> OperationRecord:
    """The record, with its steps. Of a row that a newer version wrote, or that is damaged, it says what is `unreadable`, and the rest."""
    values = {name: row[name] for name in OPERATION}
    lacks: list[str] = []

    def known(name: str, read: Callable[[Any], Any], otherwise: Any) -> Any:
        try:
            return read(values[name])
        except (ValueError, TypeError):
            lacks.append(f"its {name} is {str(values[name])[:40]!r}")
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


def _object(text: str) -> dict[str, Any]:
    request = json.loads(text)
    if not isinstance(request, dict):
        raise TypeError(f"an object is wanted, not {type(request).__name__}")
    return request


def nic_from_row(row: sqlite3.Row) -> NicRecord:
    """The record. A state that is not known, or damaged, is Unknown."""
    values = {name: row[name] for name in NIC}
    states = {
        end: State(values[end]) if values[end] in set(State) else State.UNKNOWN for end in ("frontend", "backend")
    }
    return NicRecord(**values | states)


def row_from_holding(holding: Holding) -> dict[str, Any]:
    """The named values of one device."""
    row = {name: getattr(holding, name) for name in HOLDING}
    texts = {name: text_from_request(getattr(holding, name)) for name in ("snapshot", "settings")}
    return row | texts | {"address": str(holding.address)}


def holding_from_row(row: sqlite3.Row) -> Holding:
    """The record. Of a row that is damaged it says what is `unreadable`, and the rest."""
    values = {name: row[name] for name in HOLDING}
    lacks: list[str] = []
    for name in ("snapshot", "settings"):
        try:
            values[name] = _object(values[name])
        except (ValueError, TypeError):
            lacks.append(f"its {name} is {str(values[name])[:40]!r}")
            values[name] = {}
    why = f"its row in the journal is damaged ({'; '.join(lacks)}): restore the journal from a backup" if lacks else ""
    values |= {
        "address": PciAddress.parse(values["address"]),
        "managed": bool(values["managed"]),
    }
    return Holding(**values, unreadable=why)


def _step_from_row(row: sqlite3.Row) -> Step:
    values = {name: row[name] for name in STEP}
    values |= {
        "phase": Phase(values["phase"]),
        "half": None if values["half"] is None else Half(values["half"]),
        "state": StepState(values["state"]),
    }
    return Step(**values)
