"""JSON: every document has `result`, `reason`, `message` and `exit_code` first, then what the command found, by its model's names."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping, Sequence
from typing import Any

from virtnetplug.cli.wording import in_commands
from virtnetplug.errors import VirtnetplugError

Document = dict[str, Any]

_PROSE = frozenset((
    "message", "error", "remedy", "repair", "warnings", "undo_failures", "detail", "why", "obstacle", "problems", "unseen",
    "found", "pending", "quarantine",
))  # fmt: skip
"""The keys of messages: sentences of the core, or lists of such."""


def dump(document: Document) -> str:
    """The document as ASCII JSON text, keys in their documented order, with commands where messages name calls."""
    return json.dumps(_worded(document), indent=2, allow_nan=False)


def _worded(value: Any, *, is_prose: bool = False) -> Any:
    if isinstance(value, dict):
        return {key: _worded(item, is_prose=key in _PROSE) for key, item in value.items()}
    if isinstance(value, list):
        return [_worded(item, is_prose=is_prose) for item in value]
    return in_commands(value) if is_prose and isinstance(value, str) else value


def plain(value: Any) -> Any:
    """A model value as JSON's own types: enums by value, addresses as text, dataclasses by field."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (str, int, bool)) or value is None:
        return value
    if isinstance(value, float):
        return round(value, 6)
    if dataclasses.is_dataclass(value):
        if type(value).__str__ is not object.__str__:
            return str(value)  # Mac and PciAddress say themselves
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return str(value)


def document(result: str = "done", *, reason: str = "", message: str = "", exit_code: int = 0, **rest: Any) -> Document:
    """A document with the four keys that every one has, then `rest` as plain values."""
    return {"result": result, "reason": reason, "message": message, "exit_code": exit_code, **plain(rest)}


def document_from_error(error: VirtnetplugError) -> Document:
    """What every command answers when it fails."""
    return document(
        error.result,
        reason=error.reason,
        message=error.message,
        exit_code=error.exit_code,
        undo_failures=error.undo_failures,
        warnings=error.warnings,
    )


def warnings_of(document: Document) -> list[str]:
    """The warnings of the operations in the document; the warnings of a plan are in its text."""
    operations = document.get("operations", [document])
    return [text for operation in operations if "fits" not in operation for text in operation.get("warnings", ())]
