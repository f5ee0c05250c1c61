"""What a PF's driver has set of each VF: ``IFLA_VFINFO_LIST``, read and written.

Layout and meaning: ``ifla_vf_*`` in ``linux/if_link.h``, ``rtnl_fill_vfinfo`` and ``do_setvfinfo`` in ``net/core/rtnetlink.c``.
Every change is a message of its own, so that a refusal names the one setting that it is about.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

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


def set_mac(pf: int, vf: int, mac: str) -> None:
    """Set the administrative MAC; all zeroes remove it. Every setter raises `OSError`."""
    _set(pf, _MAC, _MAC_FORM.pack(vf, rtnetlink.mac_bytes(mac)))


def set_vlan(pf: int, vf: int, vlan: int, qos: int, protocol: str) -> None:
    """Set the VLAN; VLAN 0 with priority 0 removes it."""
    number = next(number for number, name in _PROTOCOLS.items() if name == protocol)
    _set(pf, _VLAN_LIST, packed(_VLAN_INFO, _VLAN_INFO_FORM.pack(vf, vlan, qos, number)))


def set_rate(pf: int, vf: int, least: int, most: int) -> None:
    """Set the rates, in Mbit/s; 0 is no limit."""
    _set(pf, _RATE, _TRIPLE.pack(vf, least, most))


def set_spoofchk(pf: int, vf: int, on: bool) -> None:
    """Set whether frames of another source address than the VF's are dropped."""
    _set(pf, _SPOOFCHK, _PAIR.pack(vf, on))


def set_trust(pf: int, vf: int, on: bool) -> None:
    """Set whether the VF may change its address and receive everything."""
    _set(pf, _TRUST, _PAIR.pack(vf, on))


def set_link_state(pf: int, vf: int, state: str) -> None:
    """Set the link's state; ``auto`` follows the PF's."""
    _set(pf, _LINK_STATE, _PAIR.pack(vf, _LINK_STATES.index(state)))


def _set(pf: int, kind: int, value: bytes) -> None:
    rtnetlink.write(pf, packed(VFINFO_LIST, packed(_VF_INFO, packed(kind, value))))


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
