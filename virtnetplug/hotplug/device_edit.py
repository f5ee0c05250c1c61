"""What an update changes of an assigned device's NIC: through its PF where only that is asked, else by a replacement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from virtnetplug import xml
from virtnetplug.backends.vf_settings import FIELDS, differences, fields_from, settings_from
from virtnetplug.hotplug.assigned import Assigned
from virtnetplug.hotplug.edit import Edit, with_source
from virtnetplug.model.interface import OF_DEVICES, Interface
from virtnetplug.resolve import fits_in_place

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
    by_replacement = fits_in_place(before, after)[1]
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
