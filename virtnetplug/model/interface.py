"""A net: one ``<interface>`` of a domain, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from virtnetplug.model.mac import Mac
from virtnetplug.model.pci import PciAddress


@dataclass(frozen=True, slots=True)
class Limit:
    """One direction of ``<bandwidth>``: rates in kilobytes of 1000 bytes a second, burst in KiB (``virNetDevBandwidthRate``)."""

    average: int | None = None
    peak: int | None = None
    burst: int | None = None
    floor: int | None = None


@dataclass(frozen=True, slots=True)
class VlanTag:
    """``<tag id= nativeMode=>``: id 0-4095; native mode ``tagged``, ``untagged`` or None."""

    id: int
    native_mode: str | None = None


@dataclass(frozen=True, slots=True)
class Vlan:
    """``<vlan trunk=>`` with its tags; more than one tag means a trunk."""

    tags: tuple[VlanTag, ...]
    trunk: bool | None = None


@dataclass(frozen=True, slots=True)
class VirtualPort:
    """``<virtualport type=>`` and its ``<parameters>``, each as written."""

    type: str | None = None
    managerid: str | None = None
    typeid: str | None = None
    typeidversion: str | None = None
    instanceid: str | None = None
    profileid: str | None = None
    interfaceid: str | None = None


@dataclass(frozen=True, slots=True)
class FilterRef:
    """``<filterref filter=>`` with its parameters as ``(name, value)`` pairs."""

    filter: str
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Teaming:
    """``<teaming type= persistent=>``: ``persistent``, or ``transient`` naming its partner's alias."""

    type: str
    persistent: str | None = None


OF_DEVICES = ("trust", "spoofchk", "min_rate", "max_rate", "vlan_qos", "vlan_proto")
"""Fields that are virtnetplug's own, of assigned devices alone: virtnetplug sets them through the PF, and no element ever has them.

Rates in Mbit/s, 0 for no limit; `vlan_qos` 0-7; `vlan_proto` ``802.1Q`` or ``802.1ad``.
"""


OF_POOLS = ("vf", "pf")
"""Fields that are virtnetplug's own, too: which device of its network's pool a NIC gets, instead of the best.

`vf` is a VF's address, `pf` the address or the network interface of the PF whose VF the NIC gets.
"""

MINTED = "ua-vnp"
"""The prefix of an alias that virtnetplug made: such an alias alone shows whose the NIC is."""


def is_lasting(alias: str | None) -> bool:
    """Whether somebody gave that alias. libvirt keeps only these (``ua-``), and makes all others anew at each attach and each start."""
    return alias is not None and alias.startswith("ua-")


def is_minted(alias: str | None) -> bool:
    """Whether virtnetplug made that alias."""
    return (alias or "").startswith(MINTED)


def known_as(*parts: object) -> str:
    """The parts that are not empty, as one name."""
    return " ".join(str(part) for part in parts if part)


def lasting_name(alias: str | None, mac: object, address: object) -> str:
    """The name of a NIC that holds in every run: an alias that lasts and the MAC, or else the MAC and the guest address."""
    return known_as(alias, mac) if is_lasting(alias) else known_as(mac, address)


TYPES = (
    *("network", "bridge", "direct", "ethernet", "user", "vhostuser", "hostdev", "vdpa", "internal"),
    *("udp", "mcast", "server", "client", "null", "vds"),
)
"""Every type that libvirt's ``virDomainNetType`` names; an older libvirt refuses what it does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """The parts of an ``<interface>`` that virtnetplug reasons about; None means that the element has no such part.

    `element` is the whole element as text. libvirt gets this text, so whatever this class does not name
    passes through untouched (`virtnetplug.xml`). The fields of `OF_DEVICES` and `OF_POOLS` are not in it.
    """

    type: str
    element: str = ""
    mac: Mac | None = None
    source_network: str | None = None
    source_portgroup: str | None = None
    source_portid: str | None = None
    source_bridge: str | None = None
    source_dev: str | None = None
    source_name: str | None = None
    source_mode: str | None = None
    source_type: str | None = None
    source_path: str | None = None
    source_address: str | None = None
    source_port: int | None = None
    source_pci: PciAddress | None = None
    source_switchid: str | None = None
    target_dev: str | None = None
    target_managed: bool | None = None
    model: str | None = None
    driver_name: str | None = None
    driver_queues: int | None = None
    link_state: str | None = None
    mtu: int | None = None
    bandwidth_inbound: Limit | None = None
    bandwidth_outbound: Limit | None = None
    vlan: Vlan | None = None
    virtualport: VirtualPort | None = None
    port_isolated: bool | None = None
    filterref: FilterRef | None = None
    teaming: Teaming | None = None
    boot_order: int | None = None
    rom_enabled: bool | None = None
    rom_bar: bool | None = None
    rom_file: str | None = None
    alias: str | None = None
    address: PciAddress | None = None
    acpi_index: int | None = None
    trust_guest_rx_filters: bool | None = None
    managed: bool | None = None
    coalesce_rx_frames: int | None = None
    script: str | None = None
    trust: bool | None = None
    spoofchk: bool | None = None
    min_rate: int | None = None
    max_rate: int | None = None
    vlan_qos: int | None = None
    vlan_proto: str | None = None
    vf: PciAddress | None = None
    pf: str | None = None

    @property
    def is_hostdev(self) -> bool:
        """Whether this net is, as written, an assigned PCI device."""
        return self.type == "hostdev"

    @property
    def source(self) -> str:
        """What a person calls the source: the network, the bridge, the device, the address."""
        names = ("network", "bridge", "dev", "pci", "path", "name")
        sources = (getattr(self, f"source_{name}") for name in names)
        return next((str(source) for source in sources if source is not None), "-")
