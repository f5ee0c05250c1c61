"""What an update changes: each half's NIC before and after, and whether libvirt made the change it said it made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from virtnetplug import xml
from virtnetplug.errors import NotApplied, UsageError
from virtnetplug.hotplug.view import DomainView, find
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Scope
from virtnetplug.resolve import fits_in_place

Changes = Mapping[str, Any] | str
"""Field names of `Interface` to new values (None clears), or the whole new element as XML."""

_LIBVIRTS_OWN = frozenset({"element", "mac", "alias", "address", "target_dev", "source_portid", "acpi_index"})
"""Fields that a new element may leave out and yet keep: libvirt fills them in."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One half's NIC, before and after; `in_place` and `by_replacement` name the fields that differ."""

    before: Interface
    after: Interface
    in_place: tuple[str, ...]
    by_replacement: tuple[str, ...]


def edits_of(view: DomainView, selector: str, changes: Changes, scope: Scope) -> dict[Half, Edit]:
    """What differs, per half; a half that is as wanted already is left out."""
    live, config = find(view, selector)
    edits = {}
    for half in scope.halves:
        before = live if half is Half.LIVE else config
        assert before is not None
        wanted = _changes_from_element(before, changes) if isinstance(changes, str) else dict(changes)
        if not wanted and not isinstance(changes, str):
            raise UsageError("nothing to change was named: give at least one property, or the whole element")
        after = xml.interface(xml.edit(before.element, _with_source(before, wanted)))
        in_place, by_replacement = fits_in_place(before, after)
        if half is Half.CONFIG:
            in_place, by_replacement = (*in_place, *by_replacement), ()
        if in_place or by_replacement:
            edits[half] = Edit(before, after, in_place, by_replacement)
    return edits


def _changes_from_element(before: Interface, text: str) -> dict[str, Any]:
    """The fields a new element changes; those libvirt fills in by itself may be left out of it."""
    after = xml.interface(text)
    changed = {}
    for field in dataclasses.fields(Interface):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name == "element" or old == new or (new is None and field.name in _LIBVIRTS_OWN):
            continue
        if field.name == "source_bridge" and new is None and after.type == "network":
            continue
        changed[field.name] = new
    return changed


def _with_source(before: Interface, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes with what a new source brings along: the type, and no trace of the old port."""
    full = dict(changes)
    if full.get("source_network") is not None and full["source_network"] != before.source_network:
        return {**_cleared(before, "source_network"), **full, "type": "network"}
    if full.get("source_bridge") is not None and (before.type, before.source_bridge) != (
        "bridge",
        full["source_bridge"],
    ):
        return {**_cleared(before, "source_bridge"), **full, "type": "bridge"}
    return full


def _cleared(before: Interface, keep: str) -> dict[str, None]:
    """Every source field that is set, but `keep`, as a change that clears it."""
    names = [field.name for field in dataclasses.fields(before) if field.name.startswith("source_")]
    return {name: None for name in names if name != keep and getattr(before, name) is not None}


def check_applied(wanted: Interface, now: Interface, fields: Sequence[str]) -> None:
    """Raise `NotApplied` naming the fields that are not as wanted."""
    missed = [field for field in fields if _value(wanted, field) != _value(now, field)]
    if wanted.type == "network" and "source_bridge" in missed:
        missed.remove("source_bridge")  # libvirt shows the network's own bridge there
    missed = [field for field in missed if field not in ("source_portid", "target_dev")]
    if missed:
        raise NotApplied(
            f"libvirt said the update succeeded, but {', '.join(missed)} did not change; "
            f"it may need --replace, or this hypervisor cannot do it"
        )


def _value(net: Interface, field: str) -> Any:
    value = getattr(net, field)
    return "up" if field == "link_state" and value is None else value
