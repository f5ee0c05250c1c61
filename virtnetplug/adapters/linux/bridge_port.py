"""A port of a Linux bridge: its flags, the MAC behind it, and that others hear of it."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

from virtnetplug.adapters.linux import rtnetlink
from virtnetplug.model.interface import Vlan

_AF_BRIDGE = 7
_NEWNEIGH, _DELNEIGH, _GETNEIGH, _CREATE, _REPLACE = 28, 29, 30, 0x400, 0x100
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # ndmsg: family, index, state, flags, type
_REACHABLE, _STATIC = 0x02, 0x40  # NUD_REACHABLE ages as what was learnt does, NUD_NOARP does not
_MASTER, _LLADDR, _BRIDGE = 0x04, 2, 9  # NTF_MASTER, NDA_LLADDR, NDA_MASTER
_PROTINFO, _NESTED = 12, 0x8000
_LEARNING, _UNICAST_FLOOD, _ISOLATED = 8, 9, 33  # IFLA_BRPORT_…
_SETLINK, _DELLINK, _AF_SPEC, _VLAN_INFO = 19, 17, 26, 2  # IFLA_AF_SPEC, IFLA_BRIDGE_VLAN_INFO
_PVID, _UNTAGGED, _BY_ITSELF = 0x02, 0x04, 1  # BRIDGE_VLAN_INFO_…; a port that joins is in VLAN 1
_RARP, _BROADCAST, _SHORTEST = 0x8035, b"\xff" * 6, 60


def set_flags(index: int, *, isolated: bool, learning: bool) -> None:
    """Set them; flooding of what is for unknown MACs goes with learning, as libvirt sets both at once. Raises `OSError`."""
    flags = {_LEARNING: learning, _UNICAST_FLOOD: learning, _ISOLATED: isolated}
    body = b"".join(rtnetlink.packed(kind, bytes([value])) for kind, value in flags.items())
    rtnetlink.write(index, rtnetlink.packed(_PROTINFO | _NESTED, body), family=_AF_BRIDGE)


def set_vlans(index: int, vlan: Vlan) -> None:
    """Have a new port be in these VLANs and no other, as libvirt does (``virNetDevBridgeSetupVlans``, 11.0); again is no error. Raises `OSError`."""
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
    info = rtnetlink.packed(_VLAN_INFO, struct.pack("=HH", flags, number))
    rtnetlink.order(kind, 0, rtnetlink.link_message(index, _AF_BRIDGE) + rtnetlink.packed(_AF_SPEC | _NESTED, info))


def learn(index: int, mac: str, *, for_good: bool = False) -> None:
    """Have the bridge know `mac` behind this port, and behind no other, until it ages or `for_good`; raises `OSError`."""
    state = _REACHABLE | _STATIC if for_good else _REACHABLE
    body = _NEIGHBOUR.pack(_AF_BRIDGE, index, state, _MASTER, 0)
    body += rtnetlink.packed(_LLADDR, _bytes(mac))
    rtnetlink.order(_NEWNEIGH, _CREATE | _REPLACE, body)


def port_of(bridge: int, mac: str) -> int | None:
    """The index of the port behind which the bridge knows `mac` to be, or None."""
    body = _NEIGHBOUR.pack(_AF_BRIDGE, 0, 0, _MASTER, 0)
    body += rtnetlink.packed(_LLADDR, _bytes(mac)) + rtnetlink.packed(_BRIDGE, struct.pack("=I", bridge))
    try:
        answer = rtnetlink.ask(_GETNEIGH, body)
    except OSError:
        return None  # ENOENT: it does not; or an older kernel
    return int(_NEIGHBOUR.unpack_from(answer)[1])


def forget(index: int, mac: str) -> None:
    """Have the bridge not know `mac` behind this port; nothing if it does not. Raises `OSError`."""
    body = _NEIGHBOUR.pack(_AF_BRIDGE, index, 0, _MASTER, 0) + rtnetlink.packed(_LLADDR, _bytes(mac))
    with suppress(FileNotFoundError):
        rtnetlink.order(_DELNEIGH, 0, body)


def announce(bridge: int, mac: str) -> None:
    """Send, out of every port of the bridge, a RARP request from `mac`, so that switches learn where it is now.

    QEMU's ``announce_self_create`` sends the same after a migration. Raises `OSError`.
    """
    address = _bytes(mac)
    request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 3) + (address + bytes(4)) * 2
    frame = _BROADCAST + address + struct.pack("!H", _RARP) + request
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as line:
        line.bind((socket.if_indextoname(bridge), 0))
        line.send(frame.ljust(_SHORTEST, b"\0"))


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
