"""Whether what NICs are to be connected to is there: networks, portgroups, bridges, host devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from virtnetplug.backends import backend_for
from virtnetplug.errors import NetworkInactive, NetworkMissing, NotSupported, PortgroupMissing
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.look.view import describe
from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half, Refusal, Scope
from virtnetplug.resolve import resolve


def missing(
    host: Host,
    nets: Sequence[Interface],
    scope: Scope,
    networks: dict[str, Network],
    leaving: Interface | None = None,
) -> Iterator[Refusal]:
    """What is not there, or not active while the live half needs it; `networks` is filled with those looked up.

    `leaving` is a NIC of the guest that goes before they come.
    """
    is_live = Half.LIVE in scope.halves
    for net in nets:
        if net.type == "network" and net.source_network is not None:
            yield from _network(host, net, net.source_network, is_live, networks, leaving)
        elif is_live:
            yield from _backend(host, net, None, leaving)


def _network(
    host: Host,
    net: Interface,
    name: str,
    is_live: bool,
    networks: dict[str, Network],
    leaving: Interface | None,
) -> Iterator[Refusal]:
    try:
        network = networks[name] if name in networks else networks.setdefault(name, host.networks.network(name))
    except NetworkMissing as error:
        yield _refusal(NetworkMissing.reason, net, f"{error.message}.".replace("..", "."))
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
    elif is_live:
        yield from _backend(host, net, network, leaving)


def _backend(host: Host, net: Interface, network: Network | None, leaving: Interface | None) -> Iterator[Refusal]:
    """What the backend that would realise it says."""
    try:
        actual = resolve(net, network)
        yield from backend_for(actual).refusals(host, net, actual, leaving)
    except (NotSupported, PortgroupMissing) as error:
        if not isinstance(error, PortgroupMissing):  # refused already
            yield _refusal(error.reason, net, error.message)


def _refusal(reason: str, net: Interface, why: str) -> Refusal:
    return Refusal(reason=reason, nic=describe(net), message=f"{describe(net)} cannot be connected: {why}")
