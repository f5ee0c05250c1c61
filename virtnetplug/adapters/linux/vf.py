"""What a PF's driver has set of each VF: ``IFLA_VFINFO_LIST``, read and written.

Layout and meaning: ``ifla_vf_*`` in ``linux/if_link.h``, ``rtnl_fill_vfinfo`` and ``do_setvfinfo`` in ``net/core/rtnetlink.c``.
Every change is a message of its own, so that a refusal names the one setting that it is about.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping

from virtnetplug.adapters.linux import rtnetlink
from virtnetplug.adapters.linux.rtnetlink import VFINFO_LIST, Attributes, attributes, items, packed
from virtnetplug.model.host_device import VfCounters, VfSettings

_VF_INFO = 1
_MAC, _VLAN, _SPOOFCHK, _LINK_STATE, _RATE, _STATS, _TRUST, _VLAN_LIST = 1, 2, 4, 5, 6, 8, 9, 12
_VLAN_INFO = 1
_COUNTERS = (
    *((0, "rx_packets"), (1, "tx_packets"), (2, "rx_bytes"), (3, "tx_bytes"), (4, "broadcast"), (5, "multicast")),
    *((7, "rx_dropped"), (8, "tx_dropped")),  # 6 is padding
)

_MAC_FORM = struct.Struct("=I32s")
_PAIR = struct.Struct("=II")
_TRIPLE = struct.Struct("=III")
_VLAN_INFO_FORM = struct.Struct("=III2s2x")  # with its padding: newer kernels refuse a shorter one

_UNSUPPORTED = 0xFFFFFFFF
"""-1: the kernel's value of a switch that the driver does not report."""

_PROTOCOLS = {b"\x81\x00": "802.1Q", b"\x88\xa8": "802.1ad"}
_LINK_STATES = ("auto", "enable", "disable")


def read(pf: int) -> Mapping[int, VfSettings]:
    """The VFs of the PF whose link has this index, by their own index, as the PF sees them; raises `OSError`."""
    _, found = rtnetlink.attributes_with_vfs(pf)
    return dict(_vf(vf) for vf in vfs_from(found.get(VFINFO_LIST, b"")))


def read_counters(pf: int) -> Mapping[int, VfCounters]:
    """What the VFs of that PF have carried, by their index; raises `OSError`.

    A driver without ``ndo_get_vf_stats`` makes the kernel send zeroes (``rtnl_fill_vfinfo``): a VF with zeroes alone is left out.
    """
    _, found = rtnetlink.attributes_with_vfs(pf, has_counters=True)
    counted = {}
    for vf in vfs_from(found.get(VFINFO_LIST, b"")):
        stats = attributes(vf.get(_STATS, b""))
        counts = {name: struct.unpack_from("=Q", stats[number])[0] for number, name in _COUNTERS if number in stats}
        if any(counts.values()):
            counted[_MAC_FORM.unpack_from(vf[_MAC])[0]] = VfCounters(**counts)
    return counted


def vfs_from(data: bytes) -> Iterator[Attributes]:
    """The attributes of each VF of an ``IFLA_VFINFO_LIST``."""
    return (attributes(value) for kind, value in items(data) if kind == _VF_INFO)


def _vlan(vf: int, vlan: int, qos: int, protocol: str) -> bytes:
    number = next(number for number, name in _PROTOCOLS.items() if name == protocol)
    return packed(_VLAN_INFO, _VLAN_INFO_FORM.pack(vf, vlan, qos, number))


_WRITTEN: Mapping[str, tuple[tuple[str, ...], int, Callable[..., bytes]]] = {
    "admin MAC": (("admin_mac",), _MAC, lambda vf, mac: _MAC_FORM.pack(vf, rtnetlink.mac_bytes(mac))),
    "VLAN": (("vlan", "qos", "vlan_proto"), _VLAN_LIST, _vlan),
    "rate": (("min_rate", "max_rate"), _RATE, _TRIPLE.pack),
    "spoofchk": (("spoofchk",), _SPOOFCHK, _PAIR.pack),
    "trust": (("trust",), _TRUST, _PAIR.pack),
    "link state": (("link_state",), _LINK_STATE, lambda vf, state: _PAIR.pack(vf, _LINK_STATES.index(state))),
}
"""The fields that one message sets, its attribute, and the attribute's value for a VF; by the words for what is set."""

SETTINGS: Mapping[str, tuple[str, ...]] = {name: fields for name, (fields, _, _) in _WRITTEN.items()}
"""What can be set, in an order that works, with the fields of `VfSettings` that one message sets."""


def write(pf: int, vf: int, setting: str, *values: object) -> None:
    """Set one of `SETTINGS`; raises `OSError`.

    An admin MAC of zeroes removes the MAC. VLAN 0 with priority 0 removes the VLAN. Rates are in Mbit/s, and 0 is no limit.
    spoofchk drops frames of another source address than the VF's. A trusted VF may change its address and receive everything.
    """
    _, kind, value = _WRITTEN[setting]
    rtnetlink.write(pf, packed(VFINFO_LIST, packed(_VF_INFO, packed(kind, value(vf, *values)))))


def _vf(vf: Attributes) -> tuple[int, VfSettings]:
    def unpack(kind: int, form: struct.Struct) -> tuple[int, ...]:
        return form.unpack_from(vf[kind]) if kind in vf else (0,) * 3

    def switch(kind: int) -> bool | None:
        value = unpack(kind, _PAIR)[1] if kind in vf else _UNSUPPORTED
        return None if value == _UNSUPPORTED else bool(value)

    index, address = _MAC_FORM.unpack_from(vf[_MAC])
    _, vlan, qos = unpack(_VLAN, _TRIPLE)
    _, least, most = unpack(_RATE, _TRIPLE)
    state = unpack(_LINK_STATE, _PAIR)[1]
    tag = next((value for kind, value in items(vf.get(_VLAN_LIST, b"")) if kind == _VLAN_INFO), b"")
    return index, VfSettings(
        admin_mac=address[:6].hex(":"),
        vlan=vlan,
        qos=qos,
        vlan_proto=_PROTOCOLS.get(tag[12:14], "802.1Q"),
        spoofchk=switch(_SPOOFCHK),
        trust=switch(_TRUST),
        min_rate=least,
        max_rate=most,
        link_state=_LINK_STATES[state] if state < len(_LINK_STATES) else "auto",
    )
