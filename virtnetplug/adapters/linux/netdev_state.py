"""A network interface as it has to be again after its driver was bound anew: flags, MTU, bridge, addresses, routes.

What only the kernel sets by itself (link-local addresses, connected routes, what routers advertise) is left to it. Addresses and routes are kept and
written as ``ip address save`` and ``ip route save`` do it. Layout: ``linux/if_addr.h``, ``linux/rtnetlink.h``, ``linux/if_link.h``.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterator

from virtnetplug.adapters.linux import rtnetlink
from virtnetplug.adapters.linux.rtnetlink import attributes, items, packed
from virtnetplug.model.host_device import NetdevState

_UP, _PROMISCUOUS, _ALL_MULTICAST = 0x1, 0x100, 0x200
_ADDRESS, _IFNAME, _MTU, _LINK, _QUEUE_LENGTH, _LINKINFO, _PROTINFO, _CARRIER = 1, 3, 4, 5, 13, 18, 12, 33
_INFO_SLAVE_KIND, _INFO_SLAVE_DATA, _NESTED = 4, 5, 0x8000
_PORT_FLAGS = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 25, 27, 28, 29, 30, 31, 32, 33, 39})
"""Those of ``IFLA_BRPORT_…`` that can be set and are no state of a protocol."""

_AF_BRIDGE, _AF_INET6 = 7, 10
_GETADDR, _NEWADDR, _GETROUTE, _NEWROUTE, _CREATE, _REPLACE = 22, 20, 26, 24, 0x400, 0x100
_IFADDR = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, lengths, TOS, table, protocol, scope, type, flags
_IFA_PROTOCOL, _IFA_OF_KERNEL = 11, frozenset({1, 2, 3})
_OIF, _OF_KERNEL, _OF_ROUTERS, _LOCAL_TABLE = 4, 2, 9, 255
_CLONED, _ONLINK, _SCOPE_LINK = 0x200, 0x4, 253
_NUMBER = struct.Struct("=I")

Change = tuple[str, Callable[[], None]]


def read(index: int) -> NetdevState:
    """The interface of that index, now; raises `OSError`."""
    chunk, spans = rtnetlink.attributes_with_vfs(index)
    raw, flags = rtnetlink.get_index(index), rtnetlink.flags(chunk)
    if raw is None:
        raise OSError(errno.ENODEV, "it is gone")
    master = rtnetlink.get_index(raw.master) if raw.master else None
    return NetdevState(
        name=raw.name,
        mac=raw.mac,
        mtu=raw.mtu,
        queue_length=_NUMBER.unpack_from(chunk, spans[_QUEUE_LENGTH][0])[0] if _QUEUE_LENGTH in spans else None,
        is_up=bool(flags & _UP),
        is_promiscuous=bool(flags & _PROMISCUOUS),
        hears_all_multicast=bool(flags & _ALL_MULTICAST),
        has_carrier=_CARRIER in spans and bool(chunk[spans[_CARRIER][0]]),
        master=master.name if master is not None else None,
        port=_port_flags(chunk, spans).hex(),
        addresses=tuple(_addresses(index)),
        routes=tuple(_routes(index)),
    )


def above(index: int) -> list[str]:
    """The links of this network namespace that stand on that one (``IFLA_LINK``)."""
    found = []
    for raw in rtnetlink.dump():
        if raw.index != index and raw.kind != "veth":  # which names its peer so
            chunk, spans = rtnetlink.attributes_with_vfs(raw.index)
            if _LINK in spans and _NUMBER.unpack_from(chunk, spans[_LINK][0])[0] == index:
                found.append(raw.name)
    return sorted(found)


def restore(index: int, wanted: NetdevState) -> list[str]:
    """Make that interface so, as far as it is not; returns what could not be done, each a phrase with the kernel's words."""
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
        if now.is_up:  # kernels before 6.2 rename none that is up
            yield "taking it down", lambda: rtnetlink.set_flags(index, 0, _UP)
        name = wanted.name.encode() + b"\0"
        yield f"its name {wanted.name}", lambda: rtnetlink.write(index, packed(_IFNAME, name))
    if wanted.mac is not None and now.mac != wanted.mac:
        mac = bytes.fromhex(wanted.mac.replace(":", ""))
        yield f"its MAC {wanted.mac}", lambda: rtnetlink.write(index, packed(_ADDRESS, mac))
    if wanted.mtu is not None and now.mtu != wanted.mtu:
        yield f"its MTU {wanted.mtu}", lambda: _set_number(index, _MTU, wanted.mtu)
    if wanted.queue_length is not None and now.queue_length != wanted.queue_length:
        yield "the length of its queue", lambda: _set_number(index, _QUEUE_LENGTH, wanted.queue_length)
    if wanted.master is not None and now.master != wanted.master:
        yield f"being in {wanted.master}", lambda: _set_master(index, str(wanted.master))
    if wanted.port and (now.master, now.port) != (wanted.master, wanted.port):
        flags = packed(_PROTINFO | _NESTED, bytes.fromhex(wanted.port))
        yield f"its flags as a port of {wanted.master}", lambda: rtnetlink.write(index, flags, family=_AF_BRIDGE)
    on = wanted.is_up * _UP | wanted.is_promiscuous * _PROMISCUOUS | wanted.hears_all_multicast * _ALL_MULTICAST
    yield "being up", lambda: rtnetlink.set_flags(index, on, _UP | _PROMISCUOUS | _ALL_MULTICAST)


def _of_protocols(index: int, now: NetdevState, wanted: NetdevState) -> Iterator[Change]:
    """Addresses first, and of the routes those to what is connected, which the others go by."""
    for text in wanted.addresses:
        if text not in now.addresses:
            yield "an address", lambda text=text: _add_address(index, bytes.fromhex(text))  # type: ignore[misc]
    for text in sorted(wanted.routes, key=lambda text: _ROUTE.unpack_from(bytes.fromhex(text))[6] != _SCOPE_LINK):
        if text not in now.routes:
            yield "a route", lambda text=text: _add_route(index, bytes.fromhex(text))  # type: ignore[misc]


def _set_number(index: int, kind: int, value: int | None) -> None:
    rtnetlink.write(index, packed(kind, _NUMBER.pack(value or 0)))


def _set_master(index: int, name: str) -> None:
    master = rtnetlink.get(name)
    if master is None:
        raise OSError(errno.ENODEV, "there is no such link any more")
    rtnetlink.set_master(index, master.index)


def _port_flags(chunk: memoryview, spans: dict[int, rtnetlink.Span]) -> bytes:
    """What can be set of it as a port of a Linux bridge, in the kernel's own form; empty for any other link."""
    info = attributes(chunk, *spans[_LINKINFO]) if _LINKINFO in spans else {}
    kind = bytes(chunk[slice(*info[_INFO_SLAVE_KIND])]).rstrip(b"\0") if _INFO_SLAVE_KIND in info else b""
    if kind != b"bridge" or _INFO_SLAVE_DATA not in info:
        return b""
    found = items(chunk, *info[_INFO_SLAVE_DATA])
    return b"".join(packed(kind, bytes(chunk[slice(*span)])) for kind, span in found if kind in _PORT_FLAGS)


def _addresses(index: int) -> Iterator[str]:
    """Those that somebody set: each without the index, and without the times it was made and changed at."""
    for body in rtnetlink.messages(_GETADDR, _IFADDR.pack(0, 0, 0, 0, 0)):
        family, length, flags, scope, its = _IFADDR.unpack_from(body)
        view = memoryview(body)
        spans = attributes(view, _IFADDR.size, len(body))
        if its != index:
            continue
        protocol = view[spans[_IFA_PROTOCOL][0]] if _IFA_PROTOCOL in spans else 0
        is_made_by_kernel = family == _AF_INET6 and scope == _SCOPE_LINK and _IFA_PROTOCOL not in spans
        if protocol in _IFA_OF_KERNEL or is_made_by_kernel:
            continue
        yield (_IFADDR.pack(family, length, flags, scope, 0) + _attributes(view, _IFADDR.size, _without_times)).hex()


def _without_times(kind: int, value: bytes) -> bytes:
    """``struct ifa_cacheinfo``: preferred and valid lifetime, then when it was made and changed."""
    return value[:8] + bytes(8) if kind == 6 else value


def _routes(index: int) -> Iterator[str]:
    """Those out of this interface alone that somebody set, without its index."""
    for body in rtnetlink.messages(_GETROUTE, _ROUTE.pack(*([0] * 9))):
        family, *lengths, tos, table, protocol, scope, kind, flags = _ROUTE.unpack_from(body)
        view = memoryview(body)
        spans = attributes(view, _ROUTE.size, len(body))
        if _OIF not in spans or _NUMBER.unpack_from(view, spans[_OIF][0])[0] != index:
            continue
        if protocol in (_OF_KERNEL, _OF_ROUTERS) or table == _LOCAL_TABLE or flags & _CLONED:
            continue
        head = _ROUTE.pack(family, *lengths, tos, table, protocol, scope, kind, flags & _ONLINK)
        yield (head + _attributes(view, _ROUTE.size, lambda kind, value: b"" if kind in (_OIF, 12) else value)).hex()


def _attributes(view: memoryview, start: int, change: Callable[[int, bytes], bytes]) -> bytes:
    """The attributes again, each as `change` makes it; one of which it leaves nothing is left out."""
    found = ((kind, change(kind, bytes(view[slice(*span)]))) for kind, span in items(view, start, len(view)))
    return b"".join(packed(kind, value) for kind, value in found if value)


def _add_address(index: int, body: bytes) -> None:
    family, length, flags, scope, _ = _IFADDR.unpack_from(body)
    rtnetlink.order(
        _NEWADDR, _CREATE | _REPLACE, _IFADDR.pack(family, length, flags, scope, index) + body[_IFADDR.size :]
    )


def _add_route(index: int, body: bytes) -> None:
    rtnetlink.order(_NEWROUTE, _CREATE, body + packed(_OIF, _NUMBER.pack(index)))
