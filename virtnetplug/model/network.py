"""A libvirt network and its ports, as values."""

from __future__ import annotations

from dataclasses import dataclass

from virtnetplug.model.interface import Limit, VirtualPort, Vlan
from virtnetplug.model.mac import Mac
from virtnetplug.model.pci import PciAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Portgroup:
    """``<portgroup>``: what a NIC that names it inherits."""

    name: str
    default: bool = False
    vlan: Vlan | None = None
    virtualport: VirtualPort | None = None
    bandwidth_inbound: Limit | None = None
    bandwidth_outbound: Limit | None = None
    trust_guest_rx_filters: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """``<network>``: `forward` is its mode (None for an isolated one), `bridge` its bridge if it has one.

    `mac_table` is ``libvirt`` where that manages the bridge's forwarding table itself (``macTableManager``).
    """

    name: str
    uuid: str = ""
    active: bool = True
    forward: str | None = None
    bridge: str | None = None
    mac_table: str | None = None
    devices: tuple[str, ...] = ()
    pf: str | None = None
    addresses: tuple[PciAddress, ...] = ()
    managed: bool = False
    mtu: int | None = None
    vlan: Vlan | None = None
    virtualport: VirtualPort | None = None
    port_isolated: bool | None = None
    trust_guest_rx_filters: bool | None = None
    portgroups: tuple[Portgroup, ...] = ()

    @property
    def is_pool(self) -> bool:
        """Whether the network lends PCI devices."""
        return self.forward == "hostdev"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPort:
    """``<networkport>``: a NIC's place in a network, owned by a domain. `managed` and `host_address` are of a PCI device's."""

    uuid: str
    network: str
    owner_uuid: str = ""
    owner_name: str = ""
    mac: Mac | None = None
    plug_type: str | None = None
    bridge: str | None = None
    managed: bool = False
    host_address: PciAddress | None = None
