"""Emulated NICs: a tap in a bridge or network, macvtap, user networking. libvirt makes the host end inside attach (`host_net_add`)."""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug import xml
from virtnetplug.backends import Ground, Order, Steps
from virtnetplug.errors import BridgeMissing, DomainMissing, DomainNotRunning, NotSupported, VirtnetplugError
from virtnetplug.lifecycle import State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import OF_DEVICES, OF_POOLS, Interface
from virtnetplug.model.operation import Half, Phase, Refusal
from virtnetplug.ports.domain import Domain

TYPES = frozenset(
    [
        "network",
        "bridge",
        "direct",
        "ethernet",
        "user",
        "internal",
        "vhostuser",
        "vdpa",
        "server",
        "client",
        "mcast",
        "udp",
        "null",
        "vds",
        "dev",
    ]
)
"""Actual types whose host end libvirt makes by itself (``virDomainNetType``, all but ``hostdev``)."""


class Emulated:
    """Everything but assigned PCI devices."""

    plug_steps: Sequence[tuple[str, Phase]] = ()
    attach_step = "host_net_add"
    release_step = "host_net_remove"

    def serves(self, actual: ActualDevice) -> bool:
        """All but assigned PCI devices, and what libvirt does not know."""
        return actual.type in TYPES

    def refusals(
        self, ground: Ground, net: Interface, actual: ActualDevice, leaving: Interface | None = None
    ) -> Sequence[Refusal]:
        """A bridge or link that this host does not have; what only an assigned device can be told."""
        if asked := [name for name in (*OF_DEVICES, *OF_POOLS) if getattr(net, name) is not None]:
            return [_not_assigned(net, asked)]
        if not ground.hypervisor.is_local:
            return ()
        if actual.type == "bridge" and actual.bridge is not None:
            return _bridge(ground, net, actual)
        if actual.type == "direct" and actual.dev is not None and ground.links.link(actual.dev) is None:
            return [
                _refusal("link-missing", net, f"this host has no link '{actual.dev}'; 'ip link' lists those there are.")
            ]
        return ()

    def plug(self, ground: Ground, order: Order, steps: Steps) -> Interface:
        """Nothing to do before: libvirt makes port, tap and netdev while it attaches."""
        return order.net

    def unplug(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[str]:
        """libvirt removed the host end with the device. What the host still shows of it is removed, or said, never ignored."""
        if domain.evicts_cleanly:
            return _evict(domain, net)
        target = net.target_dev
        if target is None or not ground.hypervisor.is_local or ground.links.link(target) is None:
            return ()
        if target not in ground.links.taps_of(domain.uuid) or _is_named(domain, target):
            return ()
        return [
            f"libvirt no longer lists {net.alias}, but the domain's QEMU still holds its tap {target}; "
            f"`audit()` follows it up"
        ]

    def probe(self, ground: Ground, net: Interface) -> State | None:
        """Connected if its tap is there and, where it should be in a bridge, is in one; Initialised if it is in none."""
        if net.target_dev is None or not ground.hypervisor.is_local:
            return None
        link = ground.links.link(net.target_dev)
        if link is None:
            return None
        needs_bridge = net.source_bridge is not None
        return State.INITIALISED if needs_bridge and link.master is None else State.CONNECTED


def _is_named(domain: Domain, target: str) -> bool:
    """Whether a NIC that the guest has uses the tap of that name: it has come since, or with another run."""
    try:
        return any(net.target == target for net in xml.glimpse(domain.xml(Half.LIVE)))
    except (DomainMissing, DomainNotRunning):
        return False


def _evict(domain: Domain, net: Interface) -> Sequence[str]:
    """Take out what libvirt says is gone and the host still shows."""
    try:
        if not any(stray.is_of(net) for stray in domain.strays()) or domain.evict(net):
            return ()
        why = "and the guest has not let go of it yet"
    except VirtnetplugError as error:
        why = error.message
    return [f"libvirt no longer lists {net.alias}, but it cannot be shown that nothing of it is left: {why}"]


def _bridge(ground: Ground, net: Interface, actual: ActualDevice) -> Sequence[Refusal]:
    bridge = actual.bridge or ""
    if ground.links.is_bridge(bridge):
        return ()
    who = f"network {actual.network} uses" if actual.network else "it names"
    if ground.links.link(bridge) is None:
        remedy = f"there is no such link on this host. Make it ('ip link add {bridge} type bridge'), or name another."
    else:
        remedy = "that is a link of this host, but no bridge. For macvtap on it use type='direct'."
    return [_refusal(BridgeMissing.reason, net, f"{who} bridge {bridge}, and {remedy}")]


def _not_assigned(net: Interface, asked: Sequence[str]) -> Refusal:
    names = ", ".join(name.replace("_", "-") for name in asked)
    why = f"it is emulated, and {names} can only be said of an assigned device (SR-IOV). Leave that out, or name a pool of VFs."
    return _refusal(NotSupported.reason, net, why)


def _refusal(reason: str, net: Interface, why: str) -> Refusal:
    name = net.alias or (str(net.mac) if net.mac else f"a {net.type} NIC")
    return Refusal(reason=reason, nic=name, message=f"{name} cannot be connected: {why}")
