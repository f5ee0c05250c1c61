"""A port of a Linux bridge: its flags and VLANs, and the MACs that the bridge and all beyond the bridge know behind the port."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

from virtnetplug.adapters.linux import rtnetlink
from virtnetplug.adapters.linux.rtnetlink import AF_BRIDGE, CREATE, NESTED, REPLACE, mac_bytes, packed
from virtnetplug.model.interface import Vlan

_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # ndmsg: family, index, state, flags, type
_REACHABLE, _STATIC = 0x02, 0x40  # NUD_REACHABLE ages as what was learnt does, NUD_NOARP does not
_TO_MASTER, _LLADDR, _MASTER = 0x04, 2, 9  # NTF_MASTER, NDA_LLADDR, NDA_MASTER
_SETLINK, _DELLINK, _VLAN_INFO = 19, 17, 2  # IFLA_BRIDGE_VLAN_INFO
_PVID, _UNTAGGED, _BY_ITSELF = 0x02, 0x04, 1  # BRIDGE_VLAN_INFO_…; a port that joins is in VLAN 1
_RARP, _BROADCAST, _SHORTEST = 0x8035, b"\xff" * 6, 60


def set_flags(index: int, *, isolated: bool, learning: bool) -> None:
    """Set the flags; frames for unknown MACs are flooded if the port learns, as libvirt sets both at once. Raises `OSError`."""
    flags = {rtnetlink.LEARNING: learning, rtnetlink.UNICAST_FLOOD: learning, rtnetlink.ISOLATED: isolated}
    body = b"".join(packed(kind, bytes([value])) for kind, value in flags.items())
    rtnetlink.write(index, packed(rtnetlink.PROTINFO | NESTED, body), family=AF_BRIDGE)


def set_vlans(index: int, vlan: Vlan) -> None:
    """Put a new port into these VLANs and no other, as libvirt does (``virNetDevBridgeSetupVlans``, 11.0); again is no error. Raises `OSError`."""
    native = next((tag for tag in vlan.tags if tag.native_mode is not None), None)
    is_trunk = bool(vlan.trunk) or len(vlan.tags) > 1
    with suppress(FileNotFoundError):
        _order_vlan(_DELLINK, index, 0, _BY_ITSELF)
    for tag in vlan.tags:
        if tag is native or not is_trunk:
            _order_vlan(_SETLINK, index, _PVID if tag.native_mode == "tagged" else _PVID | _UNTAGGED, tag.id)
        else:
            _order_vlan(_SETLINK, index, 0, tag.id)


def _order_vlan(kind: int, index: int, flags: int, number: int) -> None:
    info = packed(_VLAN_INFO, struct.pack("=HH", flags, number))
    rtnetlink.order(kind, 0, rtnetlink.link_message(index, AF_BRIDGE) + packed(rtnetlink.AF_SPEC | NESTED, info))


def learn(index: int, mac: str, *, for_good: bool = False) -> None:
    """Have the bridge know `mac` behind this port, and behind no other, until it ages or `for_good`; raises `OSError`."""
    state = _REACHABLE | _STATIC if for_good else _REACHABLE
    rtnetlink.order(_NEWNEIGH, CREATE | REPLACE, _neighbour(mac, index, state))


def port_of(bridge: int, mac: str) -> int | None:
    """The index of the port behind which the bridge knows `mac` to be, or None."""
    try:
        answer = rtnetlink.ask(_GETNEIGH, _neighbour(mac) + packed(_MASTER, struct.pack("=I", bridge)))
    except OSError:
        return None  # ENOENT: it does not; or an older kernel
    return int(_NEIGHBOUR.unpack_from(answer)[1])


def forget(index: int, mac: str) -> None:
    """Have the bridge not know `mac` behind this port; nothing if it does not. Raises `OSError`."""
    with suppress(FileNotFoundError):
        rtnetlink.order(_DELNEIGH, 0, _neighbour(mac, index))


def _neighbour(mac: str, index: int = 0, state: int = 0) -> bytes:
    return _NEIGHBOUR.pack(AF_BRIDGE, index, state, _TO_MASTER, 0) + packed(_LLADDR, mac_bytes(mac))


def announce(bridge: int, mac: str) -> None:
    """Send a RARP request from `mac` out of every port of the bridge, so that switches learn where `mac` is now.

    QEMU's ``announce_self_create`` sends the same after a migration. Raises `OSError`.
    """
    address = mac_bytes(mac)
    request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 3) + (address + bytes(4)) * 2
    frame = _BROADCAST + address + struct.pack("!H", _RARP) + request
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as line:
        line.bind((socket.if_indextoname(bridge), 0))
        line.send(frame.ljust(_SHORTEST, b"\0"))
