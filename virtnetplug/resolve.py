"""What libvirt will make of a request: pure decisions over a net and its network.

They follow ``networkAllocatePort`` (src/network/bridge_driver.c) and ``qemuDomainChangeNet`` (src/qemu/qemu_hotplug.c). The changes that
a running virtio NIC on a bridge takes in place were seen on libvirt 9.0. For other kinds the source was read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import TypeVar

from virtnetplug.errors import NetworkInactive, NetworkMissing, NotSupported, PortgroupMissing
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import Interface, VirtualPort
from virtnetplug.model.network import Network, Portgroup

T = TypeVar("T")

_ROUTED = frozenset({None, "nat", "route", "open"})
_MACVTAP = frozenset({"bridge", "private", "vepa", "passthrough"})
_VEPA_PORTS = frozenset({"802.1Qbg", "802.1Qbh"})


def resolve(interface: Interface, network: Network | None) -> ActualDevice:
    """What ``networkAllocateActualDevice`` would realise for `interface`, whose network is `network`.

    Where libvirt would choose from a pool, `dev` (several devices) and `host_address` (VFs) are None.
    Raises `NetworkMissing`, `NetworkInactive`, `PortgroupMissing`, or `NotSupported` for a virtualport the network
    cannot take.
    """
    if interface.type != "network":
        return _as_written(interface)
    if network is None:
        raise NetworkMissing(
            f"the network '{interface.source_network}' does not exist; 'virsh net-list --all' lists those that do"
        )
    if not network.active:
        raise NetworkInactive(
            f"the network '{network.name}' is not active; start it with 'virsh net-start {network.name}'"
        )
    portgroup = choose_portgroup(interface, network)
    inherited = _inherit(interface, network, portgroup)
    return _realise(inherited, network)


def choose_portgroup(interface: Interface, network: Network) -> Portgroup | None:
    """The portgroup that the NIC names, else the network's default, else None (``virPortGroupFindByName``).

    Raises `PortgroupMissing` if the network does not have it. libvirt would silently plug the NIC without it, and so without its VLAN or limits.
    """
    wanted = interface.source_portgroup
    if wanted is None:
        return next((group for group in network.portgroups if group.default), None)
    for group in network.portgroups:
        if group.name == wanted:
            return group
    names = ", ".join(group.name for group in network.portgroups)
    raise PortgroupMissing(
        f"the network '{network.name}' has no portgroup '{wanted}' "
        f"({f'it has {names}' if names else 'it has none'}); libvirt would plug the NIC without one and not say so"
    )


def _as_written(interface: Interface) -> ActualDevice:
    is_direct = interface.type == "direct"
    return ActualDevice(
        type=interface.type,
        bridge=interface.source_bridge,
        dev=interface.source_dev,
        mode=(interface.source_mode or "vepa") if is_direct else interface.source_mode,
        host_address=interface.source_pci,
        vlan=interface.vlan,
        virtualport=interface.virtualport,
        bandwidth_inbound=interface.bandwidth_inbound,
        bandwidth_outbound=interface.bandwidth_outbound,
        port_isolated=interface.port_isolated,
        trust_guest_rx_filters=interface.trust_guest_rx_filters,
        mtu=interface.mtu,
    )


def _inherit(interface: Interface, network: Network, portgroup: Portgroup | None) -> ActualDevice:
    """The interface's own settings, else the portgroup's, else the network's; bandwidth whole from one of them."""
    group = portgroup or Portgroup(name="")
    own_bandwidth = interface.bandwidth_inbound is not None or interface.bandwidth_outbound is not None
    limits = interface if own_bandwidth else group
    return ActualDevice(
        type="network",
        network=network.name,
        portgroup=portgroup.name if portgroup else None,
        vlan=interface.vlan or group.vlan or network.vlan,
        virtualport=merge_virtualports(interface.virtualport, network.virtualport, group.virtualport),
        bandwidth_inbound=limits.bandwidth_inbound,
        bandwidth_outbound=limits.bandwidth_outbound,
        port_isolated=_first(interface.port_isolated, network.port_isolated),
        trust_guest_rx_filters=_first(
            interface.trust_guest_rx_filters, group.trust_guest_rx_filters, network.trust_guest_rx_filters
        ),
        mtu=_first(interface.mtu, network.mtu),
    )


def _realise(actual: ActualDevice, network: Network) -> ActualDevice:
    """The connection itself, by the network's forward mode."""
    if network.forward in _ROUTED:
        _check_virtualport(actual, network, frozenset(), "routes or isolates")
        return dataclasses.replace(actual, type="network", bridge=network.bridge)
    if network.forward == "bridge" and network.bridge is not None:
        _check_virtualport(actual, network, frozenset({"openvswitch"}), "uses a bridge")
        return dataclasses.replace(actual, type="bridge", bridge=network.bridge)
    if network.forward in _MACVTAP:
        _check_virtualport(actual, network, _VEPA_PORTS, "uses macvtap")
        if not network.devices and network.pf is None:
            raise NotSupported(
                f"the network '{network.name}' forwards in mode '{network.forward}' and names no device to forward to; "
                f"add <interface dev='…'/> to its <forward>"
            )
        dev = network.devices[0] if len(network.devices) == 1 else None
        return dataclasses.replace(actual, type="direct", dev=dev, mode=network.forward)
    if network.is_pool:
        _check_virtualport(actual, network, _VEPA_PORTS, "hands out PCI devices")
        return dataclasses.replace(actual, type="hostdev")
    raise NotSupported(
        f"the network '{network.name}' has the forward mode '{network.forward}', which virtnetplug does not know"
    )


def _check_virtualport(actual: ActualDevice, network: Network, allowed: frozenset[str], how: str) -> None:
    port = actual.virtualport
    if port is None or port.type in allowed:
        return
    takes = f"only {' or '.join(sorted(allowed))}" if allowed else "none"
    raise NotSupported(
        f"a virtualport of type '{port.type or 'none'}' does not go with the network '{network.name}', "
        f"which {how}: it takes {takes}"
    )


def merge_virtualports(*ports: VirtualPort | None) -> VirtualPort | None:
    """One virtualport out of several (``virNetDevVPortProfileMerge3``: interface, network, portgroup).

    Each part may come from any of them, but two that say different things are refused (`NotSupported`).
    """
    said = [port for port in ports if port is not None]
    if not said:
        return None
    merged: dict[str, str] = {}
    for port in said:
        for field in dataclasses.fields(VirtualPort):
            value = getattr(port, field.name)
            if value is not None and merged.setdefault(field.name, value) != value:
                raise NotSupported(
                    f"interface, network and portgroup disagree on the virtualport's {field.name} "
                    f"('{merged[field.name]}' and '{value}'); libvirt refuses to merge them, so say it in one place"
                )
    return VirtualPort(**merged)


def _first(*values: T | None) -> T | None:
    return next((value for value in values if value is not None), None)


IN_PLACE = frozenset(
    {
        *("link_state", "bandwidth_inbound", "bandwidth_outbound", "filterref", "port_isolated", "coalesce_rx_frames"),
        *("type", "source_network", "source_bridge", "source_portgroup", "vlan"),
    }
)
"""Fields ``qemuDomainChangeNet`` can change on a running NIC, under the conditions `fits_in_place` knows."""

_ON_A_BRIDGE = frozenset({"network", "bridge"})
_CONNECTION = frozenset({"type", "source_network", "source_bridge"})
_OF_NETWORKS = frozenset({"bandwidth_inbound", "bandwidth_outbound", "port_isolated", "vlan"})
_KEPT = frozenset({"alias", "address", "target_dev", "source_portid"})
"""What libvirt keeps when a new element does not say it."""


def fits_in_place(
    before: Interface, after: Interface, updatable: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the fields that differ: first the fields that libvirt changes on the running NIC, then those that need a replacement.

    `updatable` are the fields that libvirt can change of NICs of this kind. libvirt answers success and changes nothing for
    ``trust_guest_rx_filters``, ``teaming`` or ``source_portgroup`` alone, so these need a replacement. The portgroup changes along with
    the network.
    """
    changed = changes_between(before, after)
    fits = tuple(name for name in changed if name in updatable and _fits(name, before, after, changed))
    return fits, tuple(name for name in changed if name not in fits)


def changes_between(before: Interface, after: Interface) -> tuple[str, ...]:
    """The names of the fields that differ; one libvirt keeps by itself may be left out of `after`."""
    return tuple(
        field.name
        for field in dataclasses.fields(Interface)
        if field.name != "element" and _differs(field.name, getattr(before, field.name), getattr(after, field.name))
    )


def changes_by_hand(wanted: Interface, now: Interface) -> tuple[str, ...]:
    """The fields that somebody has changed in place of a NIC that was attached as `wanted`, but for what the NIC is connected to.

    A NIC of a network has what the network says where `wanted` says nothing: that is no change.
    """
    names = IN_PLACE - _CONNECTION - {"source_portgroup"}
    return tuple(
        name
        for name in changes_between(wanted, now)
        if name in names
        and not (name in _OF_NETWORKS and wanted.source_network is not None and getattr(wanted, name) is None)
    )


def _differs(name: str, before: object, after: object) -> bool:
    if name == "link_state":
        return (before or "up") != (after or "up")
    return before != after and not (after is None and name in _KEPT)


def _fits(name: str, before: Interface, after: Interface, changed: tuple[str, ...]) -> bool:
    on_bridges = before.type in _ON_A_BRIDGE and after.type in _ON_A_BRIDGE
    if name in _CONNECTION:
        # libvirt would have to reconnect a virtualport, and does not
        return on_bridges and before.virtualport is None and after.virtualport is None
    if name == "source_portgroup":
        return "source_network" in changed and _fits("source_network", before, after, changed)
    if name == "vlan":
        return on_bridges
    return True
