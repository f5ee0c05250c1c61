"""What an update changes: each half's NIC before and after, and whether libvirt made the change that it reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from virtnetplug import xml
from virtnetplug.backends import updatable
from virtnetplug.backends.vf_settings import FIELDS, differences, fields_from, settings_from
from virtnetplug.errors import NotApplied, NotSupported, UsageError
from virtnetplug.hotplug.check.conflicts import no_place
from virtnetplug.hotplug.guest.assigned import Assigned
from virtnetplug.hotplug.look.find import find
from virtnetplug.hotplug.look.view import DomainView, describe
from virtnetplug.model.holding import Setting
from virtnetplug.model.interface import OF_DEVICES, Interface
from virtnetplug.model.operation import Half, Scope
from virtnetplug.resolve import fits_in_place

Changes = Mapping[str, Any] | str
"""Field names of `Interface` to new values (None clears), or the whole new element as XML."""

_LIBVIRTS_OWN = frozenset({"element", "mac", "alias", "address", "target_dev", "source_portid", "acpi_index"})
"""Fields that a new element may leave out and yet keep: libvirt fills them in."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One half's NIC, before and after; `in_place` and `by_replacement` name the fields that differ.

    `on_device` is what an assigned device is set to now, through its PF. `kept` is all that the device, or its replacement, must have beyond what
    libvirt sets.
    """

    before: Interface
    after: Interface
    in_place: tuple[str, ...] = ()
    by_replacement: tuple[str, ...] = ()
    on_device: Mapping[str, Setting] = dataclasses.field(default_factory=dict)
    kept: Mapping[str, Setting] = dataclasses.field(default_factory=dict)


def edits_of(
    view: DomainView,
    selector: str,
    changes: Changes,
    scope: Scope,
    device: Assigned | None = None,
    inherited: Collection[str] = (),
) -> dict[Half, Edit]:
    """What differs, per half; a half that is as wanted already is left out.

    `device` is the one behind the live NIC. `inherited` fields the live NIC loses with its source, unless `changes` name them.
    """
    live, config = find(view, selector, scope.halves)
    edits = {}
    for half in scope.halves:
        before = live if half is Half.LIVE else config
        assert before is not None
        wanted = changes_from_element(before, changes, live) if isinstance(changes, str) else dict(changes)
        if not wanted and not isinstance(changes, str):
            raise UsageError("nothing to change was named: give at least one property, or the whole element")
        if half is Half.LIVE and device is not None:
            edit = edit_of_device(before, wanted, device, is_element=isinstance(changes, str))
        else:
            if half is Half.LIVE and changes_source(before, wanted):
                wanted = {**dict.fromkeys(inherited), **wanted}
            edit = _edit(before, wanted, half)
            if edit is not None and half is Half.LIVE and not view.domain.changes_in_place:
                edit = replace(edit, in_place=(), by_replacement=(*edit.in_place, *edit.by_replacement))
        if edit is not None:
            edits[half] = edit
    return edits


def _edit(before: Interface, wanted: Mapping[str, Any], half: Half) -> Edit | None:
    own = {name: value for name, value in wanted.items() if name in OF_DEVICES and value is not None}
    if own and half is Half.CONFIG:
        raise NotSupported(no_place(describe(before), tuple(own)).message)
    said = {name: value for name, value in wanted.items() if name not in OF_DEVICES}
    after = replace(xml.interface(xml.edit(before.element, with_source(before, said))), **own)
    in_place, by_replacement = fits_in_place(replace(before, **own), after, updatable(before, after))
    if half is Half.CONFIG:
        in_place, by_replacement = (*in_place, *by_replacement), ()
    if own and not by_replacement:  # else it may become an assigned device
        raise NotSupported(
            f"{describe(before)} is no assigned device of this host, and {', '.join(own).replace('_', '-')} can only be set of one "
            "(SR-IOV). Leave that out."
        )
    return Edit(before, after, in_place, by_replacement) if in_place or by_replacement else None


def changes_from_element(before: Interface, text: str, live: Interface | None = None) -> dict[str, Any]:
    """The fields a new element changes; those libvirt fills in by itself may be left out of it.

    They may also be as libvirt reports them of the running NIC (`live`), for that is where an element is copied from. libvirt makes the
    port of a network by itself, whatever element asks for one.
    """
    after = xml.interface(text)
    if live is not None and before is not live:
        after = _as_asked(after, live)
        if after.alias == live.alias:  # a NIC that was replaced has an alias that its definition need not have
            after = dataclasses.replace(after, alias=before.alias)
    changed = {}
    for field in dataclasses.fields(Interface):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name in ("element", "source_portid") or old == new or (new is None and field.name in _LIBVIRTS_OWN):
            continue
        if field.name == "source_bridge" and new is None and after.type == "network":
            continue
        changed[field.name] = new
    return changed


def _as_asked(after: Interface, live: Interface) -> Interface:
    """`after` without what libvirt made of the running NIC `live`, and says of it in its element."""
    asked = xml.interface(xml.strip_live(live.element))
    made = [
        field.name
        for field in dataclasses.fields(Interface)
        if field.name != "element"
        and getattr(asked, field.name) != (value := getattr(live, field.name))
        and getattr(after, field.name) == value
    ]
    if after.source_network != live.source_network:  # elsewhere, a type or a bridge is no longer what the network gave
        made = [name for name in made if name != "type" and not name.startswith("source_")]
    fields: dict[str, Any] = {name: getattr(asked, name) for name in made}
    if after.address == live.address:  # libvirt has chosen it, and the definition may have another
        fields["address"] = None
    return dataclasses.replace(after, **fields)


def with_source(before: Interface, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes with what a new source brings along: the type, and no trace of the old port."""
    full = dict(changes)
    if not changes_source(before, full):
        if full.get("source_network") is not None and full.get("type") == "network":
            del full["type"]  # the live NIC of a network has the type that came of it
        return full
    kind = "network" if full.get("source_network") is not None else "bridge"
    return {**_cleared(before, f"source_{kind}"), **full, "type": kind}


def changes_source(before: Interface, changes: Mapping[str, Any]) -> bool:
    """Whether the changes name another network, or another bridge, than the NIC is in."""
    if (network := changes.get("source_network")) is not None:
        return bool(network != before.source_network)
    if (bridge := changes.get("source_bridge")) is not None:
        return (before.type, before.source_bridge, before.source_network) != ("bridge", bridge, None)
    return False


def _cleared(before: Interface, keep: str) -> dict[str, None]:
    """Every source field that is set, but `keep`, as a change that clears it."""
    names = [field.name for field in dataclasses.fields(before) if field.name.startswith("source_")]
    return {name: None for name in names if name != keep and getattr(before, name) is not None}


def check_applied(wanted: Interface, now: Interface, fields: Sequence[str]) -> None:
    """Raise `NotApplied` naming the fields that are not as wanted."""
    missed = [field for field in fields if _value(wanted, field) != _value(now, field)]
    if (
        wanted.type == "network" and now.source_network is not None
    ):  # libvirt shows what came of the network: its own bridge, another type
        missed = [field for field in missed if field not in ("source_bridge", "type")]
    missed = [field for field in missed if field not in ("source_portid", "target_dev")]
    if missed:
        raise NotApplied(
            f"libvirt reported success, but {', '.join(missed)} did not change; "
            "the update may need `replace=True`, or this hypervisor cannot do it"
        )


def _value(net: Interface, field: str) -> Any:
    value = getattr(net, field)
    return "up" if field == "link_state" and value is None else value


_OF_THE_DEVICE = ("source_pci", "source_type", "managed")


def edit_of_device(before: Interface, wanted: Mapping[str, Any], device: Assigned, *, is_element: bool) -> Edit | None:
    """The edit of the live NIC `before`, or None if it is as `wanted` already (`is_element`: `wanted` comes from a whole new element).

    Where the NIC came from a pool, a replacement comes from the pool again, and with what was set of the device so far.
    """
    fields = {name: value for name, value in wanted.items() if name in FIELDS}
    if is_element and wanted.get("type") == "network" and fields.get("vlan", ()) is None:
        del fields["vlan"]  # it was the network's
    rest = {name: value for name, value in wanted.items() if name not in FIELDS}
    if device.network is not None and rest.get("source_network") == device.network:
        rest = {name: value for name, value in rest.items() if name not in ("type", "source_network", *_OF_THE_DEVICE)}
    settings = settings_from(fields, device.snapshot)
    cleared = {"qos" if name == "vlan_qos" else name for name, value in fields.items() if value is None} - {"vlan"}
    kept = {name: value for name, value in {**device.settings, **settings}.items() if name not in cleared}
    said = {name: value for name, value in fields.items() if value is not None}
    after = xml.interface(xml.edit(before.element, with_source(before, rest)))
    by_replacement = fits_in_place(before, after, updatable(before, after))[1]
    if not by_replacement:
        on_device = differences(settings, device.now)
        return Edit(before, replace(before, **said), on_device=on_device, kept=kept) if on_device else None
    after = xml.interface(xml.edit(after.element, {**_source(before, after, device.network), **fields_from(kept)}))
    after = xml.interface(
        xml.edit(after.element, {name: fields[name] for name in ("vlan", "link_state") if name in fields})
    )
    own = {name: value for name, value in said.items() if name in OF_DEVICES}
    return Edit(before, replace(after, **own), by_replacement=by_replacement, kept=kept)


def of_pool(net: Interface, network: str) -> Interface:
    """The NIC as its pool is asked for it: another device will do."""
    return xml.interface(xml.edit(net.element, _pooled(network)))


def _pooled(network: str) -> dict[str, Any]:
    return {"type": "network", "source_network": network, "source_pci": None, "managed": None}


def _source(before: Interface, after: Interface, network: str | None) -> dict[str, Any]:
    """What else changes with the source: back to its pool if it stays, nothing of the device if it does not."""
    if after.is_hostdev and after.source_pci == before.source_pci:
        if network is None:
            return {}
        return _pooled(network)
    if after.is_hostdev:
        return {}
    driver = {"driver_name": None} if after.driver_name == "vfio" else {}
    return {"managed": None, "source_pci": None, **driver}
