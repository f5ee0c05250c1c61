"""The properties of a NIC that the command line knows: one table for flags, ``--nic`` and update, and how people write their values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from virtnetplug.errors import UsageError
from virtnetplug.model.interface import TYPES, FilterRef, Limit, Teaming, Vlan, VlanTag
from virtnetplug.model.mac import Mac
from virtnetplug.model.pci import PciAddress

Parser = Callable[[str], Any]
"""Takes the text. It raises `Malformed` with the form that the text should have; a MAC or PCI address raises its own error."""

_NATIVE_MODES = ("tagged", "untagged")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: what stands for the value in help, and how its text is parsed. The text of `is_list` may hold commas, also in ``--nic``."""

    metavar: str
    parse: Parser
    is_list: bool = False


class Malformed(Exception):
    """The text has not this form."""


def parsed(name: str, parse: Parser, text: str) -> Any:
    """The value that `text` means for the key or flag of that name; raises `UsageError` if the text is malformed."""
    try:
        return parse(text)
    except Malformed as form:
        raise UsageError(f"{name} is {form}, not '{text}'.") from None


def number(least: int, most: int, metavar: str = "N") -> Kind:
    """Whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        found = _whole(text)
        if found is None or not least <= found <= most:
            raise Malformed(f"a whole number from {least} to {most}")
        return found

    return Kind(metavar, parse)


def choice(*values: str, metavar: str = "") -> Kind:
    """A text that is one of these values, of which there are several."""

    def parse(text: str) -> str:
        if text not in values:
            raise Malformed(f"{', '.join(values[:-1])} or {values[-1]}")
        return text

    return Kind(metavar or "|".join(values), parse)


def _yes_no(text: str) -> bool:
    """``yes`` or ``no``, as libvirt spells booleans."""
    if text not in ("yes", "no"):
        raise Malformed("yes or no")
    return text == "yes"


def _vlan(text: str) -> Vlan:
    """``ID[:tagged|untagged][,…]``; more than one tag makes a trunk."""
    tags = []
    for part in text.split(","):
        tag, _, mode = part.partition(":")
        found = _whole(tag)
        if found is None or not 0 <= found <= 4095 or (":" in part and mode not in _NATIVE_MODES):
            raise Malformed(
                "a list of tags from 0 to 4095 with commas between them, each with an optional native mode "
                "(10,20 or 10:untagged,20)"
            )
        tags.append(VlanTag(found, mode or None))
    return Vlan(tuple(tags), trunk=True if len(tags) > 1 else None)


def limit(*parts: str) -> Kind:
    """The `parts` of a `Limit`, with commas between them: kilobytes of 1000 bytes a second, and burst in KiB. Not all parts may be left empty."""
    form = f"{'[,'.join(parts)}{']' * (len(parts) - 1)}"

    def parse(text: str) -> Limit:
        texts = text.split(",")
        numbers = [_whole(part) for part in texts]
        malformed = any(part and number is None for part, number in zip(texts, numbers, strict=True))
        if malformed or len(texts) > len(parts) or not any(texts):
            raise Malformed(f"{form}, whole numbers in kilobytes (1000 bytes) a second, burst in KiB")
        return Limit(**dict(zip(parts, numbers, strict=False)))

    return Kind(form, parse, is_list=True)


def _teaming(text: str) -> Teaming:
    """``persistent``, or ``transient:ALIAS`` naming the persistent partner."""
    kind, _, partner = text.partition(":")
    if text == "persistent":
        return Teaming("persistent")
    if kind == "transient" and partner:
        return Teaming("transient", partner)
    raise Malformed("'persistent', or 'transient:' with its partner's alias")


def seconds(text: str) -> float:
    """A finite number of seconds, zero or more."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found >= 0):
        raise Malformed("a number of seconds, zero or more")
    return found


NAME = Kind("NAME", str)
YES_NO = Kind("[yes|no]", _yes_no)
VLAN = Kind("ID[,ID…]", _vlan, is_list=True)
TEAMING = Kind("persistent|transient:ALIAS", _teaming)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


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
RATE = number(0, 2**32 - 1, "MBIT/S")
"""A __u32 in ``struct ifla_vf_rate``."""

_kept = partial(Key, can_clear=False)
_new = partial(Key, can_clear=False, for_update=False)

KEYS: tuple[Key, ...] = (
    _kept(
        "type",
        choice(*TYPES, metavar="TYPE"),
        "Kind of interface, as in libvirt's <interface type=>; follows from the source by itself.",
    ),
    _kept("network", NAME, "libvirt network to connect to.", field="source_network"),
    _kept("bridge", NAME, "Host bridge to connect to.", field="source_bridge"),
    _kept(
        "dev",
        Kind("DEV", str),
        "Host device to connect to directly (macvtap, type direct).",
        field="source_dev",
        spellings=("direct",),
    ),
    _kept("source", NAME, "As virsh has it: the network, bridge or device, whichever --type says."),
    _kept(
        "mode",
        choice("vepa", "bridge", "private", "passthrough", metavar="MODE"),
        "Mode of a direct (macvtap) interface: vepa, bridge, private or passthrough.",
        field="source_mode",
    ),
    Key("portgroup", NAME, "Portgroup of the network.", field="source_portgroup"),
    _kept("mac", Kind("MAC", Mac), "Unicast MAC address; attach makes one if none is given."),
    _kept("model", Kind("MODEL", str), "NIC model the guest sees: virtio, e1000e, …"),
    Key("target", Kind("DEV", str), "Name of the host's end (tap or macvtap).", field="target_dev"),
    _new("alias", Kind("ua-NAME", str), "Alias, beginning with ua-; attach makes one if none is given."),
    Key("vlan", VLAN, "VLAN tag; several make a trunk; ID:untagged or ID:tagged says the native one."),
    Key("mtu", number(68, 65535, "BYTES"), "MTU in bytes."),
    Key("link", choice("up", "down"), "Link state the guest sees.", field="link_state"),
    Key("boot-order", number(1, 65535), "Place in the boot order, from 1."),
    Key("queues", number(1, 256), "Number of queue pairs (virtio).", field="driver_queues"),
    Key(
        "inbound",
        limit("average", "peak", "burst", "floor"),
        "Limit on traffic to the guest, in kilobytes (1000 bytes) a second; burst in KiB.",
        field="bandwidth_inbound",
    ),
    Key(
        "outbound",
        limit("average", "peak", "burst"),
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
    _kept("interfaceid", Kind("UUID", str), "Interface id of the virtual port.", field="virtualport.interfaceid"),
    _kept("profileid", NAME, "Profile id of the virtual port.", field="virtualport.profileid"),
    _kept("address", PCI, "PCI address in the guest, as 0000:01:00.0."),
    Key("acpi-index", number(1, 16383), "ACPI index, from which the guest names the NIC."),
    Key(
        "isolated",
        YES_NO,
        "Let no frame pass between it and the other isolated ports of its bridge.",
        field="port_isolated",
    ),
    Key("trust-guest-rx-filters", YES_NO, "Let the guest change its MAC address and receive filters."),
    Key(
        "rx-frames",
        number(0, 2**32 - 1),
        "Most received frames coalesced into one interrupt.",
        field="coalesce_rx_frames",
    ),
    _new("vf", PCI, "VF to assign, by its PCI address on the host; a --network beside it must have this VF."),
    _new(
        "pf",
        Kind("PF", str),
        "VFs to choose from, if --network is a pool: those of this PF (PCI address or network interface).",
    ),
    Key("trust", YES_NO, "Whether an assigned VF may change its MAC and receive all traffic."),
    Key("spoofchk", YES_NO, "Whether frames of an assigned VF from another MAC or VLAN are dropped."),
    Key("max-rate", RATE, "Most that an assigned VF may send, 0 for no limit."),
    Key("min-rate", RATE, "What an assigned VF can always send, 0 for nothing promised."),
    Key("vlan-qos", number(0, 7, "0-7"), "Priority (PCP) of the VLAN of an assigned VF."),
    Key("vlan-proto", choice("802.1Q", "802.1ad"), "Protocol of the VLAN of an assigned VF."),
    Key("teaming", TEAMING, "Half of a failover pair; a transient half names its persistent partner."),
)

BY_NAME: dict[str, Key] = {spelling: key for key in KEYS for spelling in (key.name, *key.spellings)}
"""Every spelling of every key."""
