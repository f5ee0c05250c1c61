"""What a NIC can be asked for that libvirt's Xen driver refuses, or takes and forgets (``libxlMakeNic``; seen with libvirt 11.3)."""

from __future__ import annotations

from collections.abc import Iterator

from virtnetplug.model.interface import Interface
from virtnetplug.ports.domain import Lack

TYPES = frozenset({"network", "bridge", "ethernet"})
"""Actual types it makes vifs of."""

PV_MODEL = "netfront"

FORGOTTEN = {
    "mtu": "an MTU",
    "bandwidth_inbound": "a bandwidth of what comes in; what goes out can be limited",
    "port_isolated": "isolation of its bridge port",
    "address": "a PCI address in the guest",
    "acpi_index": "an ACPI index",
    "driver_name": "a driver",
    "driver_queues": "a number of queues",
    "trust_guest_rx_filters": "filters of the guest's to trust",
    "coalesce_rx_frames": "coalescing",
    "rom_enabled": "a ROM",
    "rom_file": "a ROM",
    "rom_bar": "a ROM",
}
"""Fields that come to nothing, by what they ask for."""


def lacks(net: Interface, actual_type: str, *, is_pv: bool) -> Iterator[Lack]:
    """Everything of `net` that it cannot have."""
    if actual_type not in TYPES:
        if actual_type == "hostdev":
            yield Lack(
                "type", "on Xen hosts virtnetplug assigns no PCI devices. Connect it to a bridge or a network of one."
            )
        else:
            yield Lack(
                "type",
                f"libvirt's Xen driver has no NICs of type '{actual_type}'. Connect it to a bridge or a network of one.",
            )
        return
    if is_pv and net.model not in (None, PV_MODEL):
        yield Lack("model", f"a paravirtual guest has no NIC of model '{net.model}', only vifs. Leave the model out.")
    if net.filterref is not None:
        yield Lack("filterref", "libvirt's Xen driver has no network filters. Leave the filterref out.")
    for field, what in FORGOTTEN.items():
        if getattr(net, field) not in (None, False):
            yield _forgotten(field, what)
    if net.link_state == "down":
        yield _forgotten("link_state", "a link that is down")
    if net.teaming is not None:
        yield _forgotten("teaming", "teaming")
    is_switched = net.virtualport is not None and net.virtualport.type == "openvswitch"
    if net.vlan is not None and not is_switched:
        yield _forgotten("vlan", "a VLAN, but on Open vSwitch")


def _forgotten(field: str, what: str) -> Lack:
    return Lack(
        field, f"libvirt's Xen driver would take it and silently do without: a vif has not {what}. Leave that out."
    )
