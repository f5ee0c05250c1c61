"""The properties of a NIC that can be said on the command line: one table for flags, ``--nic`` and update."""

from __future__ import annotations

from dataclasses import dataclass

from virtnetplug.cli import values
from virtnetplug.cli.values import Parser

TYPES = (
    "network", "bridge", "direct", "ethernet", "user", "vhostuser", "hostdev", "vdpa",
    "internal", "udp", "mcast", "server", "client", "null", "vds",
)  # fmt: skip
"""Interface types a newer libvirt may offer; an older one refuses what it does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One property: its name (``--name``, ``name=`` in ``--nic``), and the field of `Interface` it sets.

    A dotted field is one part of a value made of several keys. `is_list` values may hold commas, also in
    ``--nic``; `is_boolean` ones may be said without a value. `can_clear`: ``none`` removes it in an update.
    """

    name: str
    field: str
    parse: Parser
    metavar: str
    help: str
    is_list: bool = False
    is_boolean: bool = False
    can_clear: bool = False
    for_update: bool = True
    spellings: tuple[str, ...] = ()


_MOST_RATE = 2**32 - 1  # a __u32 in ``struct ifla_vf_rate``
_RATE = "average[,peak[,burst"

KEYS: tuple[Key, ...] = (
    Key(
        name="type",
        field="type",
        parse=values.choice(*TYPES),
        metavar="TYPE",
        help="Kind of interface, as in libvirt's <interface type=>; follows from the source by itself.",
    ),
    Key(
        name="network", field="source_network", parse=values.text, metavar="NAME", help="libvirt network to connect to."
    ),
    Key(name="bridge", field="source_bridge", parse=values.text, metavar="NAME", help="Host bridge to connect to."),
    Key(
        name="dev",
        field="source_dev",
        parse=values.text,
        metavar="DEV",
        help="Host device to connect to directly (macvtap, type direct).",
        spellings=("direct",),
    ),
    Key(
        name="source",
        field="source",
        parse=values.text,
        metavar="NAME",
        help="As virsh has it: the network, bridge or device, whichever --type says.",
    ),
    Key(
        name="mode",
        field="source_mode",
        parse=values.choice("vepa", "bridge", "private", "passthrough"),
        metavar="MODE",
        help="Mode of a direct (macvtap) interface: vepa, bridge, private or passthrough.",
    ),
    Key(
        name="portgroup",
        field="source_portgroup",
        parse=values.text,
        metavar="NAME",
        help="Portgroup of the network.",
        can_clear=True,
    ),
    Key(
        name="mac",
        field="mac",
        parse=values.mac,
        metavar="MAC",
        help="Unicast MAC address; attach makes one if none is given.",
    ),
    Key(
        name="model",
        field="model",
        parse=values.text,
        metavar="MODEL",
        help="NIC model the guest sees: virtio, e1000e, …",
    ),
    Key(
        name="target",
        field="target_dev",
        parse=values.text,
        metavar="DEV",
        help="Name of the host's end (tap or macvtap).",
        can_clear=True,
    ),
    Key(
        name="alias",
        field="alias",
        parse=values.text,
        metavar="ua-NAME",
        help="Alias, beginning with ua-; attach makes one if none is given.",
        for_update=False,
    ),
    Key(
        name="vlan",
        field="vlan",
        parse=values.vlan,
        metavar="ID[,ID…]",
        help="VLAN tag; several make a trunk; ID:untagged or ID:tagged says the native one.",
        is_list=True,
        can_clear=True,
    ),
    Key(
        name="mtu",
        field="mtu",
        parse=values.number(68, 65535),
        metavar="BYTES",
        help="MTU in bytes.",
        can_clear=True,
    ),
    Key(
        name="link",
        field="link_state",
        parse=values.choice("up", "down"),
        metavar="up|down",
        help="Link state the guest sees.",
        can_clear=True,
    ),
    Key(
        name="boot-order",
        field="boot_order",
        parse=values.number(1, 65535),
        metavar="N",
        help="Place in the boot order, from 1.",
        can_clear=True,
    ),
    Key(
        name="queues",
        field="driver_queues",
        parse=values.number(1, 256),
        metavar="N",
        help="Number of queue pairs (virtio).",
        can_clear=True,
    ),
    Key(
        name="inbound",
        field="bandwidth_inbound",
        parse=values.limit(has_floor=True),
        metavar=f"{_RATE}[,floor]]]",
        help="Limit on traffic to the guest, in kilobytes (1000 bytes) a second; burst in KiB.",
        is_list=True,
        can_clear=True,
    ),
    Key(
        name="outbound",
        field="bandwidth_outbound",
        parse=values.limit(has_floor=False),
        metavar=f"{_RATE}]]",
        help="Limit on traffic from the guest, in kilobytes (1000 bytes) a second; burst in KiB.",
        is_list=True,
        can_clear=True,
    ),
    Key(
        name="filter",
        field="filterref",
        parse=values.filterref,
        metavar="NAME",
        help="Network filter (nwfilter) to apply.",
        can_clear=True,
    ),
    Key(
        name="virtualport-type",
        field="virtualport.type",
        parse=values.text,
        metavar="TYPE",
        help="Virtual port type: openvswitch, midonet, 802.1Qbg, 802.1Qbh.",
        can_clear=True,
    ),
    Key(
        name="interfaceid",
        field="virtualport.interfaceid",
        parse=values.text,
        metavar="UUID",
        help="Interface id of the virtual port.",
    ),
    Key(
        name="profileid",
        field="virtualport.profileid",
        parse=values.text,
        metavar="NAME",
        help="Profile id of the virtual port.",
    ),
    Key(
        name="address",
        field="address",
        parse=values.pci,
        metavar="PCI",
        help="PCI address in the guest, as 0000:01:00.0.",
    ),
    Key(
        name="acpi-index",
        field="acpi_index",
        parse=values.number(1, 16383),
        metavar="N",
        help="ACPI index, from which the guest names the NIC.",
        can_clear=True,
    ),
    Key(
        name="isolated",
        field="port_isolated",
        parse=values.yes_no,
        metavar="[yes|no]",
        help="Let no frame pass between it and the other isolated ports of its bridge.",
        is_boolean=True,
        can_clear=True,
    ),
    Key(
        name="trust-guest-rx-filters",
        field="trust_guest_rx_filters",
        parse=values.yes_no,
        metavar="[yes|no]",
        help="Let the guest change its MAC address and receive filters.",
        is_boolean=True,
        can_clear=True,
    ),
    Key(
        name="rx-frames",
        field="coalesce_rx_frames",
        parse=values.number(0, 2**32 - 1),
        metavar="N",
        help="Most received frames coalesced into one interrupt.",
        can_clear=True,
    ),
    Key(
        name="vf",
        field="vf",
        parse=values.pci,
        metavar="PCI",
        help="The VF to assign, by its PCI address on the host; with --network the network must have it.",
        for_update=False,
    ),
    Key(
        name="pf",
        field="pf",
        parse=values.text,
        metavar="PF",
        help="With --network, a pool of VFs: assign a VF of this PF (its PCI address or network interface).",
        for_update=False,
    ),
    Key(
        name="trust",
        field="trust",
        parse=values.yes_no,
        metavar="[yes|no]",
        help="Of an assigned device (VF): let it change its MAC and receive everything.",
        is_boolean=True,
        can_clear=True,
    ),
    Key(
        name="spoofchk",
        field="spoofchk",
        parse=values.yes_no,
        metavar="[yes|no]",
        help="Of an assigned device: drop what it sends from a MAC or VLAN not its own.",
        is_boolean=True,
        can_clear=True,
    ),
    Key(
        name="max-rate",
        field="max_rate",
        parse=values.number(0, _MOST_RATE),
        metavar="MBIT/S",
        help="Of an assigned device: most it may send, 0 for no limit.",
        can_clear=True,
    ),
    Key(
        name="min-rate",
        field="min_rate",
        parse=values.number(0, _MOST_RATE),
        metavar="MBIT/S",
        help="Of an assigned device: what it can always send, 0 for nothing promised.",
        can_clear=True,
    ),
    Key(
        name="vlan-qos",
        field="vlan_qos",
        parse=values.number(0, 7),
        metavar="0-7",
        help="Of an assigned device: priority (PCP) of its VLAN.",
        can_clear=True,
    ),
    Key(
        name="vlan-proto",
        field="vlan_proto",
        parse=values.choice("802.1Q", "802.1ad"),
        metavar="802.1Q|802.1ad",
        help="Of an assigned device: protocol of its VLAN.",
        can_clear=True,
    ),
    Key(
        name="teaming",
        field="teaming",
        parse=values.teaming,
        metavar="persistent|transient:ALIAS",
        help="Half of a failover pair; a transient half names its persistent partner.",
        can_clear=True,
    ),
)

BY_NAME: dict[str, Key] = {spelling: key for key in KEYS for spelling in (key.name, *key.spellings)}
"""Every spelling of every key."""
