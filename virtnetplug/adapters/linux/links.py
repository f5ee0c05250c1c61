"""The host's links and their network namespace, over netlink.

A port of a Linux bridge has flags and VLANs, and MACs that the bridge and all beyond the bridge know behind the port.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from virtnetplug.adapters.linux import files, netdev_state, openvswitch, rtnetlink
from virtnetplug.adapters.linux.rtnetlink import AF_BRIDGE, CREATE, NESTED, REPLACE, RawLink, mac_bytes, packed
from virtnetplug.errors import BridgeMissing, Failed
from virtnetplug.model.host_device import NetdevState
from virtnetplug.model.interface import Vlan
from virtnetplug.ports.host import Link

_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # ndmsg: family, index, state, flags, type
_REACHABLE, _STATIC = 0x02, 0x40  # NUD_REACHABLE ages as what was learnt does, NUD_NOARP does not
_TO_MASTER, _LLADDR, _MASTER = 0x04, 2, 9  # NTF_MASTER, NDA_LLADDR, NDA_MASTER
_SETLINK, _DELLINK, _VLAN_INFO = 19, 17, 2  # IFLA_BRIDGE_VLAN_INFO
_PVID, _UNTAGGED, _BY_ITSELF = 0x02, 0x04, 1  # BRIDGE_VLAN_INFO_…; a port that joins is in VLAN 1
_RARP, _BROADCAST, _SHORTEST = 0x8035, b"\xff" * 6, 60


def set_flags(index: int, *, isolated: bool, learning: bool) -> None:
    """Set a bridge port's flags; frames for unknown MACs are flooded if the port learns, as libvirt sets both at once. Raises `OSError`."""
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


class LinuxLinks:
    """`HostLinks` of the network namespace of the calling thread; `proc` is where the processes are looked for."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def links(self) -> Mapping[str, Link]:
        raw = rtnetlink.links()
        known = {link.index: link for link in raw}
        masters = {link.name: known.get(link.master) for link in raw}
        switches = openvswitch.bridges() if any(map(_is_datapath, masters.values())) else {}
        return {link.name: _link(link, masters[link.name], switches) for link in raw}

    def link(self, name: str) -> Link | None:
        raw = rtnetlink.get(name)
        if raw is None:
            return None
        master = rtnetlink.get_index(raw.master) if raw.master else None
        return _link(raw, master, openvswitch.bridges() if _is_datapath(master) else {})

    def is_bridge(self, name: str) -> bool:
        """A Linux bridge, or an Open vSwitch bridge of the kernel's datapath or (asked of ``ovs-vsctl``) of another."""
        raw = rtnetlink.get(name)
        if raw is None:
            return False
        if raw.kind not in (openvswitch.KIND, "tun"):
            return raw.kind == "bridge"
        is_switch = openvswitch.is_bridge(name)
        return raw.kind == openvswitch.KIND if is_switch is None else is_switch

    def set_master(self, name: str, master: str | None) -> None:
        link = rtnetlink.get(name)
        bridge = rtnetlink.get(master) if master is not None else None
        # Checked first: the kernel releases the port from its old bridge before it sees that the new master is no bridge (do_set_master).
        if master is not None and (bridge is None or bridge.kind != "bridge"):
            raise BridgeMissing(f"There is no Linux bridge '{master}' on this host; make it, or name another.")
        if link is None:
            raise Failed(
                f"There is no link '{name}' on this host to put into bridge '{master}'.", reason="link-missing"
            )
        with _permitted(f"put '{name}' into {f'bridge {master!r}' if master is not None else 'no bridge'}"):
            rtnetlink.write_number(link.index, rtnetlink.MASTER, bridge.index if bridge is not None else 0)

    join_switch = staticmethod(openvswitch.join)
    leave_switch = staticmethod(openvswitch.leave)

    def set_port(self, name: str, *, isolated: bool, only_mac: str | None = None) -> None:
        """Set flags and table of a Linux bridge's port as libvirt does (``virNetDevBridgeFDBAdd``); raises `Failed`."""
        with _port(name, f"set the flags of bridge port '{name}'") as link:
            set_flags(link.index, isolated=isolated, learning=only_mac is None)
            if only_mac is not None:
                learn(link.index, only_mac, for_good=True)

    def set_vlans(self, name: str, vlan: Vlan) -> None:
        """Raises `Failed`, also for a kernel whose bridges know no VLANs."""
        with _port(name, f"set the VLANs of bridge port '{name}'") as link:
            set_vlans(link.index, vlan)

    def introduce(self, name: str, mac: str) -> None:
        with _port(name, f"announce in the bridge of '{name}' that {mac} is there") as link:
            if link.learning:  # else what the bridge knows of the MAC lasts
                with suppress(PermissionError):  # a port that does not forward yet; an ordinary user fails below
                    learn(link.index, mac)
            announce(link.master, mac)

    def learned(self, name: str, mac: str) -> str | None:
        """Asked of a Linux bridge (``RTM_GETNEIGH``, Linux 5.0); None where it cannot be asked."""
        link = rtnetlink.get(name)
        if link is None or not link.master or not link.learning:
            return None
        index = port_of(link.master, mac)
        port = rtnetlink.get_index(index) if index is not None else None
        return port.name if port is not None else None

    def forget(self, name: str, mac: str) -> None:
        with _port(name, f"forget in the bridge of '{name}' that {mac} is there") as link:
            forget(link.index, mac)

    def state(self, name: str) -> NetdevState | None:
        raw = rtnetlink.get(name)
        try:
            return netdev_state.read(raw.index) if raw is not None else None
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None  # the link is gone by now
            raise Failed(f"The kernel does not report the state of link '{name}': {error.args[-1]}.") from error

    def restore(self, name: str, wanted: NetdevState) -> None:
        raw = rtnetlink.get(name)
        if raw is None:
            raise Failed(f"There is no link '{name}' on this host, which was '{wanted.name}'.", reason="link-missing")
        try:
            faults = netdev_state.restore(raw.index, wanted)
            now = rtnetlink.get_index(raw.index)
            if now is not None and now.name != wanted.name and not faults:
                faults = [f"its name {wanted.name}: another link has it"]
        except OSError as error:
            faults = [str(error.args[-1])]
        if faults:
            raise Failed(f"Link '{name}' was restored without {'; '.join(faults)}.", reason="link-not-set")

    def taps_of(self, domain_uuid: str) -> frozenset[str]:
        return self.taps_by_domain().get(domain_uuid.lower(), frozenset())

    def taps_by_domain(self) -> Mapping[str, frozenset[str]]:
        return files.taps_by_domain(self._proc)


def _is_datapath(master: RawLink | None) -> bool:
    return master is not None and master.kind == openvswitch.KIND


def _link(raw: RawLink, master: RawLink | None, switches: Mapping[str, str]) -> Link:
    kernels = master.name if master is not None else None
    return Link(
        name=raw.name, index=raw.index, kind=raw.kind, master=switches.get(raw.name, kernels), up=raw.is_up, mac=raw.mac, mtu=raw.mtu,
        isolated=raw.isolated, learning=raw.learning,
    )  # fmt: skip


@contextmanager
def _port(name: str, what: str) -> Iterator[RawLink]:
    link = rtnetlink.get(name)
    if link is None or not link.master:
        raise Failed(f"There is no link '{name}' in a bridge of this host.", reason="link-missing")
    with _permitted(what):
        yield link


@contextmanager
def _permitted(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failed(
            f"The kernel would not {what}: {error.args[-1]}. It takes CAP_NET_ADMIN and CAP_NET_RAW: run this as root.",
            reason="link-not-set",
        ) from error


def leave_network() -> bool:
    """Move this process into a new, empty network namespace (``unshare(2)``); False for a user other than root, or if that fails.

    Call it before any thread is started: existing threads stay behind.
    """
    import ctypes

    return os.geteuid() == 0 and bool(ctypes.CDLL(None).unshare(0x40000000) == 0)  # CLONE_NEWNET
