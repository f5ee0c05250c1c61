"""What an update changes: each half's NIC before and after, and whether libvirt made the change that it reported as made."""

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
from virtnetplug.hotplug.check.request import edited, name
from virtnetplug.hotplug.guest.assigned import Assigned
from virtnetplug.hotplug.look.view import DomainNic, describe
from virtnetplug.model.holding import Setting
from virtnetplug.model.interface import OF_DEVICES, Interface, is_lasting
from virtnetplug.model.operation import Half, Scope
from virtnetplug.resolve import fits_in_place

Changes = Mapping[str, Any] | str
"""Field names of `Interface` to new values (None clears), or the whole new element as XML."""

_LIBVIRTS_OWN = frozenset({"element", "mac", "alias", "address", "target_dev", "source_portid", "acpi_index"})
"""Fields that a new element may leave out and yet keep: libvirt fills them in."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One half's NIC, before and after; `in_place` and `by_replacement` name the fields that differ.

    `on_device` has the settings that an assigned device gets now, through its PF. `kept` has all settings that the device, or the one that replaces it,
    has from now on beyond what libvirt sets.
    """

    before: Interface
    after: Interface
    in_place: tuple[str, ...] = ()
    by_replacement: tuple[str, ...] = ()
    on_device: Mapping[str, Setting] = dataclasses.field(default_factory=dict)
    kept: Mapping[str, Setting] = dataclasses.field(default_factory=dict)

    @property
    def changed(self) -> tuple[str, ...]:
        """The fields that differ."""
        return (*self.in_place, *self.by_replacement)

    def named(self) -> Edit:
        """The edit with a lasting alias for the new NIC, if it has none: libvirt would make an alias that nobody knows beforehand."""
        if is_lasting(self.after.alias):
            return self
        return replace(self, after=name(edited(self.after, {"alias": None})))


def edits_of(
    nic: DomainNic,
    changes: Changes,
    scope: Scope,
    device: Assigned | None,
    inherited: Collection[str],
    *,
    changes_in_place: bool,
) -> dict[Half, Edit]:
    """What differs, per half; a half that is as wanted already is left out.

    `device` is the device behind the live NIC. The live NIC loses the `inherited` fields with its source, unless `changes` name them.
    `changes_in_place`: see `Domain.changes_in_place`.
    """
    edits = {}
    for half in scope.halves:
        before = nic.half(half)
        assert before is not None
        wanted = _changes_from_element(before, changes, nic.live) if isinstance(changes, str) else dict(changes)
        if not wanted and not isinstance(changes, str):
            raise UsageError("nothing to change was named: give at least one property, or the whole element")
        if half is Half.LIVE and device is not None:
            edit = _edit_of_device(before, wanted, device, is_element=isinstance(changes, str))
        else:
            if half is Half.LIVE and _changes_source(before, wanted):
                wanted = {**dict.fromkeys(inherited), **wanted}
            edit = _edit(before, wanted, half)
            if edit is not None and half is Half.LIVE and not changes_in_place:
                edit = replace(edit, in_place=(), by_replacement=edit.changed)
        if edit is not None:
            edits[half] = edit
    return edits


def _edit(before: Interface, wanted: Mapping[str, Any], half: Half) -> Edit | None:
    own = {name: value for name, value in wanted.items() if name in OF_DEVICES and value is not None}
    if own and half is Half.CONFIG:
        raise NotSupported(no_place(describe(before), tuple(own)).message)
    fields = {name: value for name, value in wanted.items() if name not in OF_DEVICES}
    after = replace(xml.interface(xml.edit(before.element, _with_source(before, fields))), **own)
    in_place, by_replacement = fits_in_place(replace(before, **own), after, updatable(before, after))
    if half is Half.CONFIG:
        in_place, by_replacement = (*in_place, *by_replacement), ()
    if own and not by_replacement:  # else it may become an assigned device
        raise NotSupported(
            f"{describe(before)} is no assigned device of this host, and {', '.join(own).replace('_', '-')} can only be set of one "
            "(SR-IOV). Leave that out."
        )
    return Edit(before, after, in_place, by_replacement) if in_place or by_replacement else None


def _changes_from_element(before: Interface, text: str, live: Interface | None) -> dict[str, Any]:
    """The fields that a new element changes; fields that libvirt fills in by itself may be left out of the element.

    These fields may also be as libvirt reports them of the running NIC (`live`), from which an element is often copied. libvirt makes the
    port of a network by itself, whatever element asks for a port.
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
    """`after` without the fields that libvirt made for the running NIC `live` and shows in its element."""
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


def _with_source(before: Interface, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes with what a new source brings along: the type, and no trace of the old port."""
    full = dict(changes)
    if not _changes_source(before, full):
        if full.get("source_network") is not None and full.get("type") == "network":
            del full["type"]  # the live NIC of a network has the type that came of it
        return full
    kind = "network" if full.get("source_network") is not None else "bridge"
    names = [field.name for field in dataclasses.fields(before) if field.name.startswith("source_")]
    cleared = [name for name in names if name != f"source_{kind}" and getattr(before, name) is not None]
    return {**dict.fromkeys(cleared), **full, "type": kind}


def _changes_source(before: Interface, changes: Mapping[str, Any]) -> bool:
    """Whether the changes name another network, or another bridge, than the NIC is in."""
    if (network := changes.get("source_network")) is not None:
        return bool(network != before.source_network)
    if (bridge := changes.get("source_bridge")) is not None:
        return (before.type, before.source_bridge, before.source_network) != ("bridge", bridge, None)
    return False


def check_applied(wanted: Interface, now: Interface, fields: Sequence[str]) -> None:
    """Raise `NotApplied` naming the fields that are not as wanted."""
    of_libvirt = ["source_portid", "target_dev"]
    if wanted.type == "network" and now.source_network is not None:
        of_libvirt += ["source_bridge", "type"]  # what came of the network: its own bridge, another type
    if missed := [f for f in fields if f not in of_libvirt and _value(wanted, f) != _value(now, f)]:
        raise NotApplied(
            f"libvirt reported success, but {', '.join(missed)} did not change; "
            "the update may need `replace=True`, or this hypervisor cannot do it"
        )


def _value(net: Interface, field: str) -> Any:
    value = getattr(net, field)
    return "up" if field == "link_state" and value is None else value


_OF_THE_DEVICE = ("source_pci", "source_type", "managed")


def _edit_of_device(before: Interface, wanted: Mapping[str, Any], device: Assigned, *, is_element: bool) -> Edit | None:
    """The edit of the live NIC `before`, or None if it is as `wanted` already. `is_element`: `wanted` comes from a whole new element.

    If the NIC came from a pool, a replacement comes from the pool again, with the settings that the device has so far.
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
    asked = {name: value for name, value in fields.items() if value is not None}
    after = xml.interface(xml.edit(before.element, _with_source(before, rest)))
    by_replacement = fits_in_place(before, after, updatable(before, after))[1]
    if not by_replacement:
        on_device = differences(settings, device.now)
        return Edit(before, replace(before, **asked), on_device=on_device, kept=kept) if on_device else None
    after = xml.interface(xml.edit(after.element, {**_source(before, after, device.network), **fields_from(kept)}))
    after = xml.interface(
        xml.edit(after.element, {name: fields[name] for name in ("vlan", "link_state") if name in fields})
    )
    own = {name: value for name, value in asked.items() if name in OF_DEVICES}
    return Edit(before, replace(after, **own), by_replacement=by_replacement, kept=kept)


def of_pool(net: Interface, network: str) -> Interface:
    """The NIC as its pool is asked for it: another device will do."""
    return xml.interface(xml.edit(net.element, _pooled(network)))


def _pooled(network: str) -> dict[str, Any]:
    return {"type": "network", "source_network": network, "source_pci": None, "managed": None}


def _source(before: Interface, after: Interface, network: str | None) -> dict[str, Any]:
    """What else changes with the source: the pool again if the device stays, else nothing of the device is kept."""
    if after.is_hostdev:
        is_same = after.source_pci == before.source_pci
        return _pooled(network) if is_same and network is not None else {}
    driver = {"driver_name": None} if after.driver_name == "vfio" else {}
    return {"managed": None, "source_pci": None, **driver}
