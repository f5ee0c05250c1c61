"""The properties of a NIC that the command line knows: one table for flags, ``--nic`` and update."""

from __future__ import annotations

from dataclasses import dataclass

from virtnetplug.cli import values
from virtnetplug.cli.values import NAME, YES_NO, Kind
from virtnetplug.model.interface import TYPES, FilterRef
from virtnetplug.model.mac import Mac
from virtnetplug.model.pci import PciAddress


@dataclass(frozen=True, slots=True)
class Key:
    """One property: its `name` (``--name``, ``name=`` in ``--nic``), the kind of its value, and what help says of it.

    `field` is the field of `Interface` that the property sets; without it, the field is called as the property. A dotted field is one part of a value
    that several keys make up. `can_clear`: ``none`` removes the property in an update.
    An update takes only properties that are `for_update`. `spellings` are further names.
    """

    name: str
    kind: Kind
    help: str
    field: str = ""
    can_clear: bool = True
    for_update: bool = True
    spellings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.field:
            object.__setattr__(self, "field", self.name.replace("-", "_"))


PCI = Kind("PCI", PciAddress.parse)
RATE = values.number(0, 2**32 - 1, "MBIT/S")
"""A __u32 in ``struct ifla_vf_rate``."""

KEYS: tuple[Key, ...] = (
    Key(
        "type",
        values.choice(*TYPES, metavar="TYPE"),
        "Kind of interface, as in libvirt's <interface type=>; follows from the source by itself.",
        can_clear=False,
    ),
    Key("network", NAME, "libvirt network to connect to.", field="source_network", can_clear=False),
    Key("bridge", NAME, "Host bridge to connect to.", field="source_bridge", can_clear=False),
    Key(
        "dev",
        Kind("DEV", str),
        "Host device to connect to directly (macvtap, type direct).",
        field="source_dev",
        spellings=("direct",),
        can_clear=False,
    ),
    Key("source", NAME, "As virsh has it: the network, bridge or device, whichever --type says.", can_clear=False),
    Key(
        "mode",
        values.choice("vepa", "bridge", "private", "passthrough", metavar="MODE"),
        "Mode of a direct (macvtap) interface: vepa, bridge, private or passthrough.",
        field="source_mode",
        can_clear=False,
    ),
    Key("portgroup", NAME, "Portgroup of the network.", field="source_portgroup"),
    Key("mac", Kind("MAC", Mac), "Unicast MAC address; attach makes one if none is given.", can_clear=False),
    Key("model", Kind("MODEL", str), "NIC model the guest sees: virtio, e1000e, …", can_clear=False),
    Key("target", Kind("DEV", str), "Name of the host's end (tap or macvtap).", field="target_dev"),
    Key(
        "alias",
        Kind("ua-NAME", str),
        "Alias, beginning with ua-; attach makes one if none is given.",
        for_update=False,
        can_clear=False,
    ),
    Key("vlan", values.VLAN, "VLAN tag; several make a trunk; ID:untagged or ID:tagged says the native one."),
    Key("mtu", values.number(68, 65535, "BYTES"), "MTU in bytes."),
    Key("link", values.choice("up", "down"), "Link state the guest sees.", field="link_state"),
    Key("boot-order", values.number(1, 65535), "Place in the boot order, from 1."),
    Key("queues", values.number(1, 256), "Number of queue pairs (virtio).", field="driver_queues"),
    Key(
        "inbound",
        values.limit("average", "peak", "burst", "floor"),
        "Limit on traffic to the guest, in kilobytes (1000 bytes) a second; burst in KiB.",
        field="bandwidth_inbound",
    ),
    Key(
        "outbound",
        values.limit("average", "peak", "burst"),
        "Limit on traffic from the guest, in kilobytes (1000 bytes) a second; burst in KiB.",
        field="bandwidth_outbound",
    ),
    Key("filter", Kind("NAME", FilterRef), "Network filter (nwfilter) to apply.", field="filterref"),
    Key(
        "virtualport-type",
        Kind("TYPE", str),
        "Virtual port type: openvswitch, midonet, 802.1Qbg, 802.1Qbh.",
        field="virtualport.type",
    ),
    Key(
        "interfaceid",
        Kind("UUID", str),
        "Interface id of the virtual port.",
        field="virtualport.interfaceid",
        can_clear=False,
    ),
    Key("profileid", NAME, "Profile id of the virtual port.", field="virtualport.profileid", can_clear=False),
    Key("address", PCI, "PCI address in the guest, as 0000:01:00.0.", can_clear=False),
    Key("acpi-index", values.number(1, 16383), "ACPI index, from which the guest names the NIC."),
    Key(
        "isolated",
        YES_NO,
        "Let no frame pass between it and the other isolated ports of its bridge.",
        field="port_isolated",
    ),
    Key("trust-guest-rx-filters", YES_NO, "Let the guest change its MAC address and receive filters."),
    Key(
        "rx-frames",
        values.number(0, 2**32 - 1),
        "Most received frames coalesced into one interrupt.",
        field="coalesce_rx_frames",
    ),
    Key(
        "vf",
        PCI,
        "VF to assign, by its PCI address on the host; a --network beside it must have this VF.",
        for_update=False,
        can_clear=False,
    ),
    Key(
        "pf",
        Kind("PF", str),
        "VFs to choose from, if --network is a pool: those of this PF (PCI address or network interface).",
        for_update=False,
        can_clear=False,
    ),
    Key("trust", YES_NO, "Whether an assigned VF may change its MAC and receive all traffic."),
    Key("spoofchk", YES_NO, "Whether frames of an assigned VF from another MAC or VLAN are dropped."),
    Key("max-rate", RATE, "Most that an assigned VF may send, 0 for no limit."),
    Key("min-rate", RATE, "What an assigned VF can always send, 0 for nothing promised."),
    Key("vlan-qos", values.number(0, 7, "0-7"), "Priority (PCP) of the VLAN of an assigned VF."),
    Key("vlan-proto", values.choice("802.1Q", "802.1ad"), "Protocol of the VLAN of an assigned VF."),
    Key("teaming", values.TEAMING, "Half of a failover pair; a transient half names its persistent partner."),
)

BY_NAME: dict[str, Key] = {spelling: key for key in KEYS for spelling in (key.name, *key.spellings)}
"""Every spelling of every key."""
