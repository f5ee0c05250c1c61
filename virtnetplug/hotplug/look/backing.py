"""What is behind an emulated NIC of a running guest: its tap, the bridge that should have it, its network port.

Nothing is taken for granted: a tap of another domain, a port with another MAC, and a tap in another bridge are refused. The refusal names both values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from virtnetplug.errors import (
    BridgeMissing,
    NetworkInactive,
    NetworkMissing,
    NotSupported,
    PortForeign,
    TapElsewhere,
    TapForeign,
    TapMissing,
    call,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.look.view import describe
from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.operation import Refusal
from virtnetplug.ports.domain import Domain
from virtnetplug.ports.host import Link

ON_BRIDGE = frozenset({"network", "bridge"})
"""Actual types whose tap is a port of a bridge."""

LINUX, OPEN_VSWITCH = "bridge", "openvswitch"
"""Kinds of a bridge's link."""

DATAPATH = "ovs-system"
"""The link of Open vSwitch's datapath, which all its bridges share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """One look at it: `holder` is the UUID of the domain whose QEMU has the tap open, None if none is seen to."""

    net: Interface
    domain: Domain
    tap: Link | None
    bridge: Link | None
    network: Network | None
    port: NetworkPort | None
    holder: str | None

    @property
    def is_on_bridge(self) -> bool:
        """Whether it should be in a bridge of the kernel's: Linux's own, or Open vSwitch with the kernel's datapath."""
        on_bridge = self.net.type in ON_BRIDGE and self.net.source_bridge is not None
        return on_bridge and (self.bridge is None or self.bridge.kind in (LINUX, OPEN_VSWITCH))

    @property
    def is_switched(self) -> bool:
        """Whether that is an Open vSwitch bridge."""
        return self.bridge is not None and self.bridge.kind == OPEN_VSWITCH

    @property
    def names_port(self) -> bool:
        """Whether the definition says that it has a network port."""
        return self.net.source_portid is not None and self.net.source_network is not None

    @property
    def only_mac(self) -> str | None:
        """The MAC that the port is for alone, where libvirt manages the bridge's forwarding table."""
        is_managed = self.network is not None and self.network.mac_table == "libvirt"
        return str(self.net.mac) if is_managed else None

    @property
    def lacks_port(self) -> bool:
        """Whether its network port is gone."""
        return self.names_port and self.port is None

    @property
    def lacks_bridge(self) -> bool:
        """Whether its tap is not in its bridge, or there without the isolation or the forwarding that it should have."""
        if not self.is_on_bridge:
            return False
        tap = self.tap
        if tap is None or self.bridge is None or tap.master != self.bridge.name:
            return True
        if self.is_switched:
            return False
        is_isolated, learns = bool(tap.isolated), tap.learning is not False
        return is_isolated != bool(self.net.port_isolated) or learns != (self.only_mac is None)

    @property
    def is_whole(self) -> bool:
        """Whether all is as the definition says."""
        return not self.lacks_port and not self.lacks_bridge


def backing_of(host: Host, domain: Domain, net: Interface) -> Backing:
    """Look; `net` is of the live definition."""
    network, port = None, None
    if net.source_network is not None:
        try:
            network = host.networks.network(net.source_network)
            port = host.networks.port(net.source_network, net.source_portid) if net.source_portid else None
        except NetworkMissing:
            network = None
    taps = host.links.taps_by_domain()
    return Backing(
        net=net,
        domain=domain,
        tap=host.links.link(net.target_dev) if net.target_dev is not None else None,
        bridge=host.links.link(net.source_bridge) if net.source_bridge is not None else None,
        network=network,
        port=port,
        holder=next((uuid for uuid, held in taps.items() if net.target_dev in held), None),
    )


def foreign(backing: Backing, *, is_held: bool = True) -> Iterator[Refusal]:
    """What is not this NIC's although the definition says so. `is_held`: the domain must be seen to have the tap."""
    net, domain, name = backing.net, backing.domain, describe(backing.net)
    must_hold = is_held and net.type in ON_BRIDGE  # of a macvtap it cannot be seen, and nothing is done to it
    if backing.tap is not None and backing.holder != domain.uuid and (must_hold or backing.holder is not None):
        nobody = "no domain whose processes can be seen (that takes root)"
        who = f"domain {backing.holder}" if backing.holder else nobody
        fact = f"Tap {net.target_dev} of {name} is held by {who}, and should be by {domain.name} ({domain.uuid})."
        remedy = "It is left alone; `audit()` shows what else is wrong."
        yield _refusal(TapForeign.reason, net, f"{fact} {remedy}")
    port = backing.port
    if port is not None and (port.mac not in (None, net.mac) or port.owner_uuid not in ("", domain.uuid)):
        its = f"Port {net.source_portid} of network {net.source_network} is for MAC {port.mac} of domain {port.owner_uuid}"
        fact = f"{its}, and {name} of {domain.uuid} names it."
        remedy = f"It is left alone; 'virsh net-port-dumpxml {net.source_network} {net.source_portid}' shows it."
        yield _refusal(PortForeign.reason, net, f"{fact} {remedy}")


def elsewhere(backing: Backing) -> Iterator[Refusal]:
    """A tap that is in another bridge than the definition says."""
    net, tap = backing.net, backing.tap
    if backing.is_on_bridge and tap is not None and tap.master not in (None, net.source_bridge):
        rebind = call("rebind", backing.domain.name, net.alias, {"source_bridge": tap.master})
        fact = (
            f"Tap {tap.name} of {describe(net)} is in bridge {tap.master}, and its definition says {net.source_bridge}."
        )
        repair = "If it is in the wrong one, `repair()` returns it"
        remedy = f"{repair}. If it belongs there, {rebind} changes the definition."
        yield _refusal(TapElsewhere.reason, net, f"{fact} {remedy}")


def unfit(backing: Backing) -> Iterator[Refusal]:
    """What keeps it from being made whole: no tap, no bridge, an inactive network, what only libvirt can set."""
    net, name, tap = backing.net, describe(backing.net), backing.tap
    if net.type not in (*ON_BRIDGE, "direct"):
        yield _refusal(NotSupported.reason, net, f"{name} is of type {net.type}, of which nothing is restored.")
        return
    if tap is None:
        fact = f"Tap {net.target_dev} of {name} is not on this host, so nothing can be restored."
        yield _refusal(TapMissing.reason, net, f"{fact} Detach the NIC and attach it again.")
    if backing.names_port:
        yield from _network(backing, net.source_network or "")
    if backing.is_on_bridge and backing.bridge is None:
        what = f"start network {net.source_network}" if net.source_network else f"make bridge {net.source_bridge}"
        fact = f"Bridge {net.source_bridge} of {name} is not on this host"
        yield _refusal(BridgeMissing.reason, net, f"{fact}: {what}, then heal.")
    if not backing.is_on_bridge or not backing.lacks_bridge or backing.is_switched:
        return
    if net.virtualport is not None:
        fact = f"{name} has a virtual port, which joining bridge {net.source_bridge} alone would not restore."
        yield _refusal(NotSupported.reason, net, f"{fact} Detach it and attach it again.")
    elif net.vlan is not None and tap is not None and tap.master not in (None, net.source_bridge):
        fact = f"{name} has a VLAN. The VLANs of its tap in bridge {tap.master} are not known, so nothing could restore them."
        yield _refusal(NotSupported.reason, net, f"{fact} Take it out ('ip link set {tap.name} nomaster'), then heal.")


def _network(backing: Backing, name: str) -> Iterator[Refusal]:
    net, network = backing.net, backing.network
    if network is None:
        fact = f"There is no network {name} any more, which {describe(net)} names"
        yield _refusal(NetworkMissing.reason, net, f"{fact}: define it.")
    elif not network.active:
        fact = f"Network {name} of {describe(net)} is not active."
        yield _refusal(NetworkInactive.reason, net, f"{fact} Start it with 'virsh net-start {name}'.")
    elif network.bridge is not None and network.bridge != net.source_bridge and net.type in ON_BRIDGE:
        nic = (backing.domain.name, net.alias)
        bridge, again = (
            call("rebind", *nic, each) for each in ({"source_bridge": network.bridge}, {"source_network": name})
        )
        now = f"Network {name} has bridge {network.bridge} now"
        fact = f"{now}, and the definition of {describe(net)} says {net.source_bridge}."
        yield _refusal(TapElsewhere.reason, net, f"{fact} {bridge} and then {again} take it along.")


def _refusal(reason: str, net: Interface, message: str) -> Refusal:
    return Refusal(reason=reason, nic=net.alias or "", message=message)
