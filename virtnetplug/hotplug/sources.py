"""Whether what NICs are to be connected to is there: networks, portgroups, bridges, host devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from virtnetplug.errors import BridgeMissing, NetworkInactive, NetworkMissing, NotSupported, PortgroupMissing
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.view import describe
from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half, Refusal, Scope

BRIDGED = "bridge"
"""Forward mode of a network that puts its NICs into a bridge it does not own."""


def missing(host: Host, nets: Sequence[Interface], scope: Scope, networks: dict[str, Network]) -> Iterator[Refusal]:
    """What is not there, or not active while the live half needs it; `networks` is filled with those looked up."""
    is_live = Half.LIVE in scope.halves
    for net in nets:
        if net.type == "network" and net.source_network is not None:
            yield from _network(host, net, net.source_network, is_live, networks)
        elif is_live and host.hypervisor.is_local:
            yield from _link(host, net)


def _network(host: Host, net: Interface, name: str, is_live: bool, networks: dict[str, Network]) -> Iterator[Refusal]:
    try:
        network = networks[name] if name in networks else networks.setdefault(name, host.networks.network(name))
    except NetworkMissing as error:
        yield _refusal(NetworkMissing.reason, net, f"{error.message}.".replace("..", "."))
        return
    if network.forward == "hostdev":
        yield _refusal(
            NotSupported.reason,
            net,
            f"network {name} is a pool of PCI devices (forward mode hostdev), and this version attaches emulated NICs "
            "only. Name another network.",
        )
        return
    if net.source_portgroup is not None and all(group.name != net.source_portgroup for group in network.portgroups):
        there = ", ".join(group.name for group in network.portgroups) or "none"
        yield _refusal(
            PortgroupMissing.reason,
            net,
            f"network {name} has no portgroup '{net.source_portgroup}' (it has: {there}); libvirt would silently use "
            "none. Name one it has, or leave it out.",
        )
    if is_live and not network.active:
        yield _refusal(
            NetworkInactive.reason, net, f"network {name} is not active. Start it with 'virsh net-start {name}'."
        )
    elif is_live and network.forward == BRIDGED and network.bridge is not None and host.hypervisor.is_local:
        yield from _bridge(host, net, network.bridge, f"network {name} uses")


def _link(host: Host, net: Interface) -> Iterator[Refusal]:
    if net.type == "bridge" and net.source_bridge is not None:
        yield from _bridge(host, net, net.source_bridge, "it names")
    elif net.type == "direct" and net.source_dev is not None and host.links.link(net.source_dev) is None:
        yield _refusal(
            "link-missing", net, f"this host has no link '{net.source_dev}'; 'ip link' lists those there are."
        )


def _bridge(host: Host, net: Interface, bridge: str, who: str) -> Iterator[Refusal]:
    if host.links.is_bridge(bridge):
        return
    if host.links.link(bridge) is None:
        remedy = f"there is no such link on this host. Make it ('ip link add {bridge} type bridge'), or name another."
    else:
        remedy = "that is a link of this host, but no bridge. For macvtap on it use type='direct'."
    yield _refusal(BridgeMissing.reason, net, f"{who} bridge {bridge}, and {remedy}")


def _refusal(reason: str, net: Interface, why: str) -> Refusal:
    return Refusal(reason=reason, nic=describe(net), message=f"{describe(net)} cannot be connected: {why}")
