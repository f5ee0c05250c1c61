"""Emulated NICs: a tap in a bridge or network, macvtap, user networking. libvirt makes the host end inside attach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from virtnetplug import xml
from virtnetplug.backends import Backend, Ground
from virtnetplug.errors import DomainMissing, DomainNotRunning, VirtnetplugError
from virtnetplug.lifecycle import State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import OF_DEVICES, OF_POOLS, Interface
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Domain

TYPES = frozenset(
    {
        *("network", "bridge", "direct", "ethernet", "user", "internal", "vhostuser", "vdpa"),
        *("server", "client", "mcast", "udp", "null", "vds", "dev"),
    }
)
"""Actual types whose host end libvirt makes by itself (``virDomainNetType``, all but ``hostdev``)."""


class Emulated(Backend):
    """Everything but assigned PCI devices."""

    linked_types = frozenset({"network", "bridge", "ethernet", "direct"})  # the target of a vhost-user NIC is no link
    shown_types = frozenset({"network", "bridge", "ethernet"})

    def serves(self, actual: ActualDevice) -> bool:
        """All but assigned PCI devices, and what libvirt does not know."""
        return actual.type in TYPES

    def _reasons(
        self, ground: Ground, net: Interface, actual: ActualDevice, leaving: Interface | None
    ) -> Iterator[tuple[str, str]]:
        """A bridge or link that this host does not have, and settings that only an assigned device can have."""
        for reason, why in _reasons(ground, net, actual):
            yield reason, f"cannot be connected: {why}"

    def unplug(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[str]:
        """libvirt removed the host end with the device. If the host still shows it, remove it, or return a warning."""
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
        """Connected if the NIC's tap exists and is up. Initialised if the tap should be in a bridge, and is in none, or is down or gone."""
        if net.target_dev is None or not ground.hypervisor.is_local:
            return None
        link = ground.links.link(net.target_dev)
        needs_bridge = net.source_bridge is not None
        if link is None:
            if not needs_bridge:
                return None
            # A tap that QEMU holds, and that is not in this network namespace, may be in libvirt's. Whoever sees no QEMU cannot tell.
            held = ground.links.taps_by_domain().values()
            return None if not held or any(net.target_dev in taps for taps in held) else State.INITIALISED
        return State.INITIALISED if needs_bridge and (link.master is None or not link.up) else State.CONNECTED


def _is_named(domain: Domain, target: str) -> bool:
    """Whether a NIC of the guest uses the tap of that name: a NIC that came since, or with another run."""
    try:
        return any(net.target == target for net in xml.glimpse(domain.xml(Half.LIVE)))
    except (DomainMissing, DomainNotRunning):
        return False


def _evict(domain: Domain, net: Interface) -> Sequence[str]:
    """Remove a NIC that libvirt does not list any more, and that the host still shows."""
    try:
        if not any(stray.is_of(net) for stray in domain.strays()) or domain.evict(net):
            return ()
        why = "and the guest has not let go of it yet"
    except VirtnetplugError as error:
        why = error.message
    return [f"libvirt no longer lists {net.alias}, but it cannot be shown that nothing of it is left: {why}"]


def _reasons(ground: Ground, net: Interface, actual: ActualDevice) -> Iterator[tuple[str, str]]:
    """Reasons, each with its sentence."""
    bridge, dev = actual.bridge or "", actual.dev
    if asked := [name.replace("_", "-") for name in (*OF_DEVICES, *OF_POOLS) if getattr(net, name) is not None]:
        remedy = "Leave that out, or name a pool of VFs."
        yield (
            "not-supported",
            f"it is emulated, and {', '.join(asked)} is only for an assigned device (SR-IOV). {remedy}",
        )
    elif not ground.hypervisor.is_local:
        return
    elif actual.type == "direct" and dev is not None and ground.links.link(dev) is None:
        yield "link-missing", f"this host has no link '{dev}'; 'ip link' lists those there are."
    elif actual.type == "bridge" and bridge and not ground.links.is_bridge(bridge):
        who = f"network {actual.network} uses" if actual.network else "it names"
        if ground.links.link(bridge) is None:
            what = f"there is no such link on this host. Make it ('ip link add {bridge} type bridge'), or name another."
        else:
            what = "that is a link of this host, but no bridge. For macvtap on it use type='direct'."
        yield "bridge-missing", f"{who} bridge {bridge}, and {what}"
