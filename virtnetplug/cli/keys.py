"""The properties of a NIC that the command line knows: one table for flags, ``--nic`` and update."""

from __future__ import annotations

from dataclasses import dataclass

from virtnetplug.cli import values
from virtnetplug.cli.values import Parser
from virtnetplug.model.interface import FilterRef
from virtnetplug.model.mac import Mac
from virtnetplug.model.pci import PciAddress

TYPES = (
    "network", "bridge", "direct", "ethernet", "user", "vhostuser", "hostdev", "vdpa",
    "internal", "udp", "mcast", "server", "client", "null", "vds",
)  # fmt: skip
"""Interface types a newer libvirt may offer; an older one refuses what it does not know."""


@dataclass(frozen=True, slots=True)
class Key:
    """One property: its `name` (``--name``, ``name=`` in ``--nic``), how its text is parsed, and what help says of it.

    `field` is the field of `Interface` that the property sets; without it, the field is called as the property. A dotted field is one part of a value
    that several keys make up. The values of `is_list` may hold commas, also in ``--nic``. `can_clear`: ``none`` removes the property in an update.
    An update takes only properties that are `for_update`. `spellings` are further names.
    """

    name: str
    parse: Parser
    metavar: str
    help: str
    field: str = ""
    is_list: bool = False
    can_clear: bool = True
    for_update: bool = True
    spellings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.field:
            object.__setattr__(self, "field", self.name.replace("-", "_"))

    @property
    def is_boolean(self) -> bool:
        """Whether the property may stand without a value, which means yes."""
        return self.parse is values.yes_no


_MOST_RATE = 2**32 - 1  # a __u32 in ``struct ifla_vf_rate``
_RATE = "average[,peak[,burst"

KEYS: tuple[Key, ...] = (
    Key(
        "type",
        values.choice(*TYPES),
        "TYPE",
        "Kind of interface, as in libvirt's <interface type=>; follows from the source by itself.",
        can_clear=False,
    ),
    Key("network", str, "NAME", "libvirt network to connect to.", field="source_network", can_clear=False),
    Key("bridge", str, "NAME", "Host bridge to connect to.", field="source_bridge", can_clear=False),
    Key(
        "dev",
        str,
        "DEV",
        "Host device to connect to directly (macvtap, type direct).",
        field="source_dev",
        spellings=("direct",),
        can_clear=False,
    ),
    Key(
        "source", str, "NAME", "As virsh has it: the network, bridge or device, whichever --type says.", can_clear=False
    ),
    Key(
        "mode",
        values.choice("vepa", "bridge", "private", "passthrough"),
        "MODE",
        "Mode of a direct (macvtap) interface: vepa, bridge, private or passthrough.",
        field="source_mode",
        can_clear=False,
    ),
    Key("portgroup", str, "NAME", "Portgroup of the network.", field="source_portgroup"),
    Key("mac", Mac, "MAC", "Unicast MAC address; attach makes one if none is given.", can_clear=False),
    Key("model", str, "MODEL", "NIC model the guest sees: virtio, e1000e, …", can_clear=False),
    Key("target", str, "DEV", "Name of the host's end (tap or macvtap).", field="target_dev"),
    Key(
        "alias",
        str,
        "ua-NAME",
        "Alias, beginning with ua-; attach makes one if none is given.",
        for_update=False,
        can_clear=False,
    ),
    Key(
        "vlan",
        values.vlan,
        "ID[,ID…]",
        "VLAN tag; several make a trunk; ID:untagged or ID:tagged says the native one.",
        is_list=True,
    ),
    Key("mtu", values.number(68, 65535), "BYTES", "MTU in bytes."),
    Key("link", values.choice("up", "down"), "up|down", "Link state the guest sees.", field="link_state"),
    Key("boot-order", values.number(1, 65535), "N", "Place in the boot order, from 1."),
    Key("queues", values.number(1, 256), "N", "Number of queue pairs (virtio).", field="driver_queues"),
    Key(
        "inbound",
        values.limit(has_floor=True),
        f"{_RATE}[,floor]]]",
        "Limit on traffic to the guest, in kilobytes (1000 bytes) a second; burst in KiB.",
        field="bandwidth_inbound",
        is_list=True,
    ),
    Key(
        "outbound",
        values.limit(has_floor=False),
        f"{_RATE}]]",
        "Limit on traffic from the guest, in kilobytes (1000 bytes) a second; burst in KiB.",
        field="bandwidth_outbound",
        is_list=True,
    ),
    Key("filter", FilterRef, "NAME", "Network filter (nwfilter) to apply.", field="filterref"),
    Key(
        "virtualport-type",
        str,
        "TYPE",
        "Virtual port type: openvswitch, midonet, 802.1Qbg, 802.1Qbh.",
        field="virtualport.type",
    ),
    Key(
        "interfaceid",
        str,
        "UUID",
        "Interface id of the virtual port.",
        field="virtualport.interfaceid",
        can_clear=False,
    ),
    Key("profileid", str, "NAME", "Profile id of the virtual port.", field="virtualport.profileid", can_clear=False),
    Key("address", PciAddress.parse, "PCI", "PCI address in the guest, as 0000:01:00.0.", can_clear=False),
    Key("acpi-index", values.number(1, 16383), "N", "ACPI index, from which the guest names the NIC."),
    Key(
        "isolated",
        values.yes_no,
        "[yes|no]",
        "Let no frame pass between it and the other isolated ports of its bridge.",
        field="port_isolated",
    ),
    Key(
        "trust-guest-rx-filters", values.yes_no, "[yes|no]", "Let the guest change its MAC address and receive filters."
    ),
    Key(
        "rx-frames",
        values.number(0, 2**32 - 1),
        "N",
        "Most received frames coalesced into one interrupt.",
        field="coalesce_rx_frames",
    ),
    Key(
        "vf",
        PciAddress.parse,
        "PCI",
        "VF to assign, by its PCI address on the host; a --network beside it must have this VF.",
        for_update=False,
        can_clear=False,
    ),
    Key(
        "pf",
        str,
        "PF",
        "VFs to choose from, if --network is a pool: those of this PF (PCI address or network interface).",
        for_update=False,
        can_clear=False,
    ),
    Key("trust", values.yes_no, "[yes|no]", "Whether an assigned VF may change its MAC and receive all traffic."),
    Key(
        "spoofchk", values.yes_no, "[yes|no]", "Whether frames of an assigned VF from another MAC or VLAN are dropped."
    ),
    Key("max-rate", values.number(0, _MOST_RATE), "MBIT/S", "Most that an assigned VF may send, 0 for no limit."),
    Key(
        "min-rate",
        values.number(0, _MOST_RATE),
        "MBIT/S",
        "What an assigned VF can always send, 0 for nothing promised.",
    ),
    Key("vlan-qos", values.number(0, 7), "0-7", "Priority (PCP) of the VLAN of an assigned VF."),
    Key("vlan-proto", values.choice("802.1Q", "802.1ad"), "802.1Q|802.1ad", "Protocol of the VLAN of an assigned VF."),
    Key(
        "teaming",
        values.teaming,
        "persistent|transient:ALIAS",
        "Half of a failover pair; a transient half names its persistent partner.",
    ),
)

BY_NAME: dict[str, Key] = {spelling: key for key in KEYS for spelling in (key.name, *key.spellings)}
"""Every spelling of every key."""
