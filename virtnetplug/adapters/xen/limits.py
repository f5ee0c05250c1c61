"""The properties of a NIC that libvirt's Xen driver refuses, or accepts and silently drops (``libxlMakeNic``; seen with libvirt 11.3)."""

from __future__ import annotations

from collections.abc import Iterator

from virtnetplug.model.interface import Interface
from virtnetplug.ports.domain import Lack

TYPES = frozenset({"network", "bridge", "ethernet"})
"""The actual types of which libvirt's Xen driver makes vifs."""

PV_MODEL = "netfront"

FORGOTTEN = {
    "mtu": "an MTU",
    "bandwidth_inbound": "an inbound limit (only an outbound limit)",
    "port_isolated": "port isolation",
    "address": "a PCI address in the guest",
    "acpi_index": "an ACPI index",
    "driver_name": "a driver name",
    "driver_queues": "a number of queues",
    "trust_guest_rx_filters": "trust in the guest's receive filters",
    "coalesce_rx_frames": "interrupt coalescing",
    "rom_enabled": "a ROM",
    "rom_file": "a ROM",
    "rom_bar": "a ROM",
    "teaming": "teaming",
}
"""Fields that libvirt's Xen driver accepts and drops, with their names for people."""


def lacks(net: Interface, actual_type: str, *, is_pv: bool) -> Iterator[Lack]:
    """Everything of `net` that a vif cannot have."""
    if actual_type not in TYPES:
        is_assigned = actual_type == "hostdev"
        driver = f"libvirt's Xen driver has no NICs of type '{actual_type}'"
        why = "on Xen hosts virtnetplug assigns no PCI devices" if is_assigned else driver
        yield Lack("type", f"{why}. Connect it to a bridge or a network of one.")
        return
    if is_pv and net.model not in (None, PV_MODEL):
        yield Lack("model", f"a paravirtual guest has no NIC of model '{net.model}', only vifs. Leave the model out.")
    if net.filterref is not None:
        yield Lack("filterref", "libvirt's Xen driver has no network filters. Leave the filterref out.")
    forgotten = {field: what for field, what in FORGOTTEN.items() if getattr(net, field) not in (None, False)}
    if net.link_state == "down":
        forgotten["link_state"] = "a link that is down"
    is_switched = net.virtualport is not None and net.virtualport.type == "openvswitch"
    if net.vlan is not None and not is_switched:
        why = "libvirt's Xen driver silently drops a VLAN outside Open vSwitch. Leave the VLAN out, or use virtual port type openvswitch."
        yield Lack("vlan", why)
    for field, what in forgotten.items():
        yield Lack(field, f"a vif cannot have {what}: libvirt's Xen driver would silently drop it. Leave it out.")
