"""A network interface as it has to be again after its driver was bound anew: flags, MTU, bridge, addresses, routes.

What only the kernel sets by itself (link-local addresses, connected routes, what routers advertise) is left to the kernel. Addresses and
routes are kept and written as ``ip address save`` and ``ip route save`` do it. Layout: ``linux/if_addr.h``, ``linux/rtnetlink.h``, ``linux/if_link.h``.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterator
from functools import partial

from virtnetplug.adapters.linux import rtnetlink
from virtnetplug.adapters.linux.rtnetlink import AF_BRIDGE, IFF_UP, attributes, items, packed
from virtnetplug.model.host_device import NetdevState

_PROMISCUOUS, _ALL_MULTICAST = 0x100, 0x200
_PORT_FLAGS = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 25, 27, 28, 29, 30, 31, 32, 33, 39})
"""The flags of a bridge's port (``IFLA_BRPORT_…``) that can be set and are no state of a protocol."""

_AF_INET6 = 10
_GETADDR, _NEWADDR, _GETROUTE, _NEWROUTE = 22, 20, 26, 24
_IFADDR = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, lengths, TOS, table, protocol, scope, type, flags
_IFA_CACHEINFO, _IFA_PROTOCOL, _IFA_OF_KERNEL = 6, 11, frozenset({1, 2, 3})
_OIF, _RTA_CACHEINFO, _OF_KERNEL, _OF_ROUTERS, _LOCAL_TABLE = 4, 12, 2, 9, 255
_CLONED, _ONLINK, _SCOPE_LINK = 0x200, 0x4, 253

Change = tuple[str, Callable[[], None]]


def read(index: int) -> NetdevState:
    """The interface of that index, now; raises `OSError`."""
    flags, found = rtnetlink.attributes_with_vfs(index)
    raw = rtnetlink.get_index(index)
    if raw is None:
        raise OSError(errno.ENODEV, "it is gone")
    master = rtnetlink.get_index(raw.master) if raw.master else None
    port = rtnetlink.port_data(attributes(found.get(rtnetlink.LINKINFO, b"")))
    return NetdevState(
        name=raw.name,
        mac=raw.mac,
        mtu=raw.mtu,
        queue_length=rtnetlink.number(found, rtnetlink.QUEUE_LENGTH),
        is_up=bool(flags & IFF_UP),
        is_promiscuous=bool(flags & _PROMISCUOUS),
        hears_all_multicast=bool(flags & _ALL_MULTICAST),
        has_carrier=found.get(rtnetlink.CARRIER, b"\0") != b"\0",
        master=master.name if master is not None else None,
        port=b"".join(packed(kind, value) for kind, value in items(port) if kind in _PORT_FLAGS).hex(),
        addresses=tuple(_addresses(index)),
        routes=tuple(_routes(index)),
    )


def above(index: int) -> list[str]:
    """The names of the links of this network namespace that stand on that link (``IFLA_LINK``)."""
    found = []
    for raw in rtnetlink.links():
        if raw.index != index and raw.kind != "veth":  # whose IFLA_LINK names its peer
            _, link = rtnetlink.attributes_with_vfs(raw.index)
            if rtnetlink.number(link, rtnetlink.LINK) == index:
                found.append(raw.name)
    return sorted(found)


def restore(index: int, wanted: NetdevState) -> list[str]:
    """Restore what differs from `wanted`; returns what could not be restored, each a phrase with the kernel's words."""
    faults = []
    for part in (_of_link, _of_protocols):
        for what, change in tuple(part(index, read(index), wanted)):
            try:
                change()
            except OSError as error:
                if error.errno != errno.EEXIST:
                    faults.append(f"{what}: {error.strerror or error}")
    return faults


def _of_link(index: int, now: NetdevState, wanted: NetdevState) -> Iterator[Change]:
    if now.name != wanted.name:
        if now.is_up:  # kernels before 6.2 rename no link that is up
            yield "taking it down", lambda: rtnetlink.set_flags(index, 0, IFF_UP)
        name = packed(rtnetlink.IFNAME, wanted.name.encode() + b"\0")
        yield f"its name {wanted.name}", lambda: rtnetlink.write(index, name)
    if (mac := wanted.mac) is not None and now.mac != mac:
        yield f"its MAC {mac}", lambda: rtnetlink.write_mac(index, mac)
    if (mtu := wanted.mtu) is not None and now.mtu != mtu:
        yield f"its MTU {mtu}", lambda: rtnetlink.write_number(index, rtnetlink.MTU, mtu)
    if (length := wanted.queue_length) is not None and now.queue_length != length:
        yield "the length of its queue", lambda: rtnetlink.write_number(index, rtnetlink.QUEUE_LENGTH, length)
    if (master := wanted.master) is not None and now.master != master:
        yield f"being in {master}", lambda: _set_master(index, master)
    if wanted.port and (now.master, now.port) != (wanted.master, wanted.port):
        flags = packed(rtnetlink.PROTINFO | rtnetlink.NESTED, bytes.fromhex(wanted.port))
        yield f"its flags as a port of {wanted.master}", lambda: rtnetlink.write(index, flags, family=AF_BRIDGE)
    on = wanted.is_up * IFF_UP | wanted.is_promiscuous * _PROMISCUOUS | wanted.hears_all_multicast * _ALL_MULTICAST
    yield "being up", lambda: rtnetlink.set_flags(index, on, IFF_UP | _PROMISCUOUS | _ALL_MULTICAST)


def _of_protocols(index: int, now: NetdevState, wanted: NetdevState) -> Iterator[Change]:
    """Addresses come first, then the routes to what is connected, then the routes that lead over those."""
    for address in (bytes.fromhex(text) for text in wanted.addresses if text not in now.addresses):
        yield "an address", partial(_add_address, index, address)
    missing = (bytes.fromhex(text) for text in wanted.routes if text not in now.routes)
    for route in sorted(missing, key=lambda body: _ROUTE.unpack_from(body)[6] != _SCOPE_LINK):
        body = route + packed(_OIF, struct.pack("=I", index))
        yield "a route", partial(rtnetlink.order, _NEWROUTE, rtnetlink.CREATE, body)


def _set_master(index: int, name: str) -> None:
    master = rtnetlink.get(name)
    if master is None:
        raise OSError(errno.ENODEV, "there is no such link any more")
    rtnetlink.write_number(index, rtnetlink.MASTER, master.index)


def _addresses(index: int) -> Iterator[str]:
    """The addresses that somebody set: each without the index, and without the times it was made and changed at."""
    for body in rtnetlink.dump(_GETADDR, _IFADDR.pack(0, 0, 0, 0, 0)):
        family, length, flags, scope, its = _IFADDR.unpack_from(body)
        found = dict(attributes(body, _IFADDR.size))
        protocol = found.get(_IFA_PROTOCOL, b"\0")[0]
        is_made_by_kernel = family == _AF_INET6 and scope == _SCOPE_LINK and _IFA_PROTOCOL not in found
        if its != index or protocol in _IFA_OF_KERNEL or is_made_by_kernel:
            continue
        if times := found.get(_IFA_CACHEINFO):  # preferred and valid lifetime, then when it was made and changed
            found[_IFA_CACHEINFO] = times[:8] + bytes(8)
        yield _hex(_IFADDR.pack(family, length, flags, scope, 0), found)


def _routes(index: int) -> Iterator[str]:
    """The routes out of this interface alone that somebody set, without its index."""
    for body in rtnetlink.dump(_GETROUTE, _ROUTE.pack(*([0] * 9))):
        family, *lengths, tos, table, protocol, scope, kind, flags = _ROUTE.unpack_from(body)
        found = dict(attributes(body, _ROUTE.size))
        if rtnetlink.number(found, _OIF) != index:
            continue
        if protocol in (_OF_KERNEL, _OF_ROUTERS) or table == _LOCAL_TABLE or flags & _CLONED:
            continue
        head = _ROUTE.pack(family, *lengths, tos, table, protocol, scope, kind, flags & _ONLINK)
        yield _hex(head, {kind: value for kind, value in found.items() if kind not in (_OIF, _RTA_CACHEINFO)})


def _hex(head: bytes, found: rtnetlink.Attributes) -> str:
    return (head + b"".join(packed(kind, value) for kind, value in found.items() if value)).hex()


def _add_address(index: int, body: bytes) -> None:
    family, length, flags, scope, _ = _IFADDR.unpack_from(body)
    head = _IFADDR.pack(family, length, flags, scope, index)
    rtnetlink.order(_NEWADDR, rtnetlink.CREATE | rtnetlink.REPLACE, head + body[_IFADDR.size :])
