"""What a PF's driver has set of each VF: ``IFLA_VFINFO_LIST``, read and written.

Layout and meaning: ``ifla_vf_*`` in ``linux/if_link.h``, ``rtnl_fill_vfinfo`` and ``do_setvfinfo`` in ``net/core/rtnetlink.c``.
Every change is a message of its own, so that a refusal names the one setting it is about.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from virtnetplug.adapters.linux import rtnetlink
from virtnetplug.adapters.linux.rtnetlink import Span, attributes, items, packed
from virtnetplug.model.host_device import VfCounters

_VFINFO_LIST, _VF_INFO = 22, 1
_MAC, _VLAN, _SPOOFCHK, _LINK_STATE, _RATE, _TRUST, _VLAN_LIST = 1, 2, 4, 5, 6, 9, 12
_STATS = 8
_VLAN_INFO = 1
_COUNTERS = (
    *((0, "rx_packets"), (1, "tx_packets"), (2, "rx_bytes"), (3, "tx_bytes"), (4, "broadcast"), (5, "multicast")),
    *((7, "rx_dropped"), (8, "tx_dropped")),  # 6 is padding
)
_COUNTER_FORM = struct.Struct("=Q")

_MAC_FORM = struct.Struct("=I32s")
_SWITCH_FORM = struct.Struct("=II")
_RATE_FORM = struct.Struct("=III")
_VLAN_FORM = struct.Struct("=III")
_VLAN_INFO_FORM = struct.Struct("=III2s2x")  # with its padding: newer kernels refuse a shorter one

_UNSUPPORTED = 0xFFFFFFFF
"""-1: the kernel's word for a switch that the driver does not tell."""

_PROTOCOLS = {b"\x81\x00": "802.1Q", b"\x88\xa8": "802.1ad"}
_LINK_STATES = ("auto", "enable", "disable")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawVf:
    """One VF as the kernel tells it; a switch is None where its driver does not say."""

    mac: str
    vlan: int
    qos: int
    vlan_proto: str
    spoofchk: bool | None
    trust: bool | None
    min_rate: int
    max_rate: int
    link_state: str


def read(pf: int) -> Mapping[int, RawVf]:
    """The VFs of the PF whose link has this index, by their own; raises `OSError`."""
    chunk, spans = rtnetlink.attributes_with_vfs(pf)
    return vfs_from(chunk, spans[_VFINFO_LIST]) if _VFINFO_LIST in spans else {}


def vfs_from(chunk: memoryview, span: Span) -> Mapping[int, RawVf]:
    """The VFs of an ``IFLA_VFINFO_LIST``."""
    found = {}
    for kind, inner in items(chunk, *span):
        if kind == _VF_INFO:
            index, vf = _vf(chunk, attributes(chunk, *inner))
            found[index] = vf
    return found


def read_counters(pf: int) -> Mapping[int, VfCounters]:
    """What the VFs of that PF have carried, by their index; raises `OSError`."""
    chunk, spans = rtnetlink.attributes_with_vfs(pf, has_counters=True)
    return counters_from(chunk, spans[_VFINFO_LIST]) if _VFINFO_LIST in spans else {}


def counters_from(chunk: memoryview, span: Span) -> Mapping[int, VfCounters]:
    """The ``IFLA_VF_STATS`` of an ``IFLA_VFINFO_LIST``, of the VFs that have any.

    A driver without ``ndo_get_vf_stats`` makes the kernel send zeroes (``rtnl_fill_vfinfo``): all zero is not known.
    """
    found = {}
    for kind, inner in items(chunk, *span):
        spans = attributes(chunk, *inner) if kind == _VF_INFO else {}
        if _STATS not in spans:
            continue
        stats = attributes(chunk, *spans[_STATS])
        counted = {
            name: _COUNTER_FORM.unpack_from(chunk, stats[number][0])[0] for number, name in _COUNTERS if number in stats
        }
        if any(counted.values()):
            index, _address = _MAC_FORM.unpack_from(chunk, spans[_MAC][0])
            found[index] = VfCounters(**counted)
    return found


def set_mac(pf: int, vf: int, mac: str) -> None:
    """Its administrative MAC; all zeroes takes it back. Raises `OSError`, as all of these do."""
    _set(pf, packed(_MAC, _MAC_FORM.pack(vf, bytes.fromhex(mac.replace(":", "")))))


def set_vlan(pf: int, vf: int, vlan: int, qos: int, protocol: str) -> None:
    """VLAN 0 with priority 0 takes it back."""
    number = next(number for number, name in _PROTOCOLS.items() if name == protocol)
    _set(pf, packed(_VLAN_LIST, packed(_VLAN_INFO, _VLAN_INFO_FORM.pack(vf, vlan, qos, number))))


def set_rate(pf: int, vf: int, least: int, most: int) -> None:
    """Mbit/s; 0 is no limit."""
    _set(pf, packed(_RATE, _RATE_FORM.pack(vf, least, most)))


def set_spoofchk(pf: int, vf: int, on: bool) -> None:
    """Whether frames of another source address than its own are dropped."""
    _set(pf, packed(_SPOOFCHK, _SWITCH_FORM.pack(vf, on)))


def set_trust(pf: int, vf: int, on: bool) -> None:
    """Whether the VF may change its address and receive everything."""
    _set(pf, packed(_TRUST, _SWITCH_FORM.pack(vf, on)))


def set_link_state(pf: int, vf: int, state: str) -> None:
    """``auto`` follows the PF's."""
    _set(pf, packed(_LINK_STATE, _SWITCH_FORM.pack(vf, _LINK_STATES.index(state))))


def _set(pf: int, setting: bytes) -> None:
    rtnetlink.write(pf, packed(_VFINFO_LIST, packed(_VF_INFO, setting)))


def _vf(chunk: memoryview, spans: Mapping[int, Span]) -> tuple[int, RawVf]:
    def unpack(kind: int, form: struct.Struct) -> tuple[int, ...]:
        return form.unpack_from(chunk, spans[kind][0]) if kind in spans else (0,) * 3

    def switch(kind: int) -> bool | None:
        value = unpack(kind, _SWITCH_FORM)[1] if kind in spans else _UNSUPPORTED
        return None if value == _UNSUPPORTED else bool(value)

    index, address = _MAC_FORM.unpack_from(chunk, spans[_MAC][0])
    _, vlan, qos = unpack(_VLAN, _VLAN_FORM)
    _, least, most = unpack(_RATE, _RATE_FORM)
    state = unpack(_LINK_STATE, _SWITCH_FORM)[1]
    return index, RawVf(
        mac=address[:6].hex(":"),
        vlan=vlan,
        qos=qos,
        vlan_proto=_protocol(chunk, spans.get(_VLAN_LIST)),
        spoofchk=switch(_SPOOFCHK),
        trust=switch(_TRUST),
        min_rate=least,
        max_rate=most,
        link_state=_LINK_STATES[state] if state < len(_LINK_STATES) else "auto",
    )


def _protocol(chunk: memoryview, span: Span | None) -> str:
    """Of the first tag of the list, which repeats the VLAN with its protocol; 802.1Q where there is none."""
    for kind, (start, end) in items(chunk, *span) if span is not None else ():
        if kind == _VLAN_INFO and end - start >= 14:
            return _PROTOCOLS.get(bytes(chunk[start + 12 : start + 14]), "802.1Q")
    return "802.1Q"
