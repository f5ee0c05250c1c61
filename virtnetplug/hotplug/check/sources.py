"""Whether what NICs are to be connected to is there, and whether the hypervisor connects them as asked: networks, portgroups, bridges, host devices."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from virtnetplug.backends import backend_for
from virtnetplug.errors import (
    BackendFailed,
    NetworkInactive,
    NetworkMissing,
    NotSupported,
    PortgroupMissing,
    VirtnetplugError,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.look.view import describe, refusal
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half, Refusal, Scope
from virtnetplug.ports.domain import Domain
from virtnetplug.resolve import resolve


def actual_of(host: Host, net: Interface, networks: Mapping[str, Network] | None = None) -> ActualDevice:
    """What libvirt makes of the NIC. Raises what `resolve` raises, and what looking up a network raises that is not among `networks`."""
    if net.type != "network":
        return resolve(net, None)
    if net.source_network is None:
        raise NetworkMissing("the NIC names no network")
    network = (networks or {}).get(net.source_network)
    return resolve(net, network or host.networks.network(net.source_network))


def holder_of(host: Host, net: Interface) -> str:
    """The type that decides which settings the NIC can hold (see `policy.identity.take`)."""
    actual = actual_of(host, net)
    return actual.type if backend_for(actual).is_lent else net.type


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
        network = None
        if net.type == "network" and net.source_network is not None:
            try:
                network = networks.get(net.source_network) or host.networks.network(net.source_network)
            except NetworkMissing as error:
                yield _refusal(NetworkMissing.reason, net, f"{error.message}.".replace("..", "."))
                continue
            networks[net.source_network] = network
            yield from _unfit(net, network, is_live=is_live)
        if is_live and (network is None or network.active):
            yield from _backend(host, net, network, leaving)


def _unfit(net: Interface, network: Network, *, is_live: bool) -> Iterator[Refusal]:
    name = network.name
    if net.source_portgroup is not None and all(group.name != net.source_portgroup for group in network.portgroups):
        there = ", ".join(group.name for group in network.portgroups) or "none"
        why = f"network {name} has no portgroup '{net.source_portgroup}' (it has: {there}); libvirt would silently use none."
        yield _refusal(PortgroupMissing.reason, net, f"{why} Name one it has, or leave it out.")
    if is_live and not network.active:
        why = f"network {name} is not active. Start it with 'virsh net-start {name}'."
        yield _refusal(NetworkInactive.reason, net, why)


def _backend(host: Host, net: Interface, network: Network | None, leaving: Interface | None) -> Iterator[Refusal]:
    try:
        actual = resolve(net, network)
        yield from backend_for(actual).refusals(host, net, actual, leaving)
    except PortgroupMissing:
        return  # `_unfit` yields that
    except (NotSupported, BackendFailed) as error:
        yield _refusal(error.reason, net, error.message)


def _refusal(reason: str, net: Interface, why: str) -> Refusal:
    return refusal(reason, net, f"{describe(net)} cannot be connected: {why}")


def lacking(
    domain: Domain, nets: Sequence[Interface], networks: Mapping[str, Network], changed: Collection[str] | None = None
) -> Iterator[Refusal]:
    """What the hypervisor would refuse, or not do, of what `nets` ask for; for an update, of the fields that it changes."""
    for net in nets:
        try:
            its_type = resolve(net, networks.get(net.source_network or "")).type
        except VirtnetplugError:  # `missing` yields that, where it is asked
            its_type = net.type
        for lack in domain.lacks(net, its_type):
            if changed is None or lack.field in changed:
                yield refusal(NotSupported.reason, net, f"{describe(net)}: {lack.why}")
