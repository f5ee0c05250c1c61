"""Links of the kernel: one ``RTM_GETLINK`` or ``RTM_SETLINK`` with the standard library alone.

Netlink answers for the network namespace of the caller (a sysfs mount may belong to another one), and a dump of 2,000
links takes a third of the time of a walk through ``/sys/class/net``. Layout: ``linux/netlink.h``, ``linux/if_link.h``.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_INFO = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_INT = struct.Struct("=I")
_ERROR = struct.Struct("=i")

_DONE, _FAULT, _NEWLINK, _GETLINK, _SETLINK = 3, 2, 16, 18, 19
_REQUEST, _ACK, _DUMP, _INTERRUPTED, _CAPPED, _HAS_TLVS = 0x1, 0x4, 0x300, 0x10, 0x100, 0x200
_SOL_NETLINK, _EXT_ACK, _ACK_WORDS = 270, 11, 1
_ADDRESS, _NAME, _MTU, _MASTER, _LINKINFO, _EXT_MASK = 1, 3, 4, 10, 18, 29
_INFO_KIND, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 4, 5
_LEARNING, _ISOLATED = 8, 33  # IFLA_BRPORT_…
_SKIP_STATS = 8  # RTEXT_FILTER_SKIP_STATS: statistics are half of a message, and nobody here reads them
_FILTER_VF = 1  # RTEXT_FILTER_VF: the kernel tells of a PF's VFs only if it is asked
_IFF_UP = 1
_NAME_MOST = 15  # IFNAMSIZ - 1
_BUFFER = 1 << 16
_ONE = 1 << 13  # one link without its VFs has some 1,500 bytes
_VF_BUFFER = 1 << 18  # a PF may have 256 VFs, and each takes some 300 bytes
_TRIES = 5

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class RawLink:
    """One link as the kernel tells it: `master` is an index, 0 for none; `isolated` and `learning` are None but for ports of a bridge."""

    name: str
    index: int
    is_up: bool
    master: int
    mtu: int | None
    mac: str | None
    kind: str | None
    isolated: bool | None = None
    learning: bool | None = None


def links_from(chunk: memoryview) -> Iterator[RawLink]:
    """The links of one received buffer; raises `OSError` where the kernel answered with an error."""
    offset = 0
    while offset < len(chunk):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(chunk, offset)
        if kind == _NEWLINK:
            yield _link(chunk, offset + _HEADER.size, offset + length)
        elif kind == _FAULT:
            _raise(chunk, offset)
        offset += (length + 3) & ~3


def dump() -> list[RawLink]:
    """All links of this network namespace; read again if they changed while they were read."""
    for _ in range(_TRIES):
        links: list[RawLink] = []
        if _receive(_message(0, _DUMP), links):
            break
    return links


def get(name: str) -> RawLink | None:
    """One link by name, or None."""
    raw = os.fsencode(name)
    if not raw or len(raw) > _NAME_MOST or b"\0" in raw:
        return None
    return _one(_message(0, 0, packed(_NAME, raw + b"\0")))


def get_index(index: int) -> RawLink | None:
    """One link by its index, or None."""
    return _one(_message(index, 0))


def attributes_with_vfs(index: int, *, has_counters: bool = False) -> tuple[memoryview, dict[int, Span]]:
    """The attributes of one link, ``IFLA_VFINFO_LIST`` among them if it is a PF; raises `OSError`.

    With `has_counters` each VF has its ``IFLA_VF_STATS``, for which a driver may have to ask its card.
    """
    message = _message(index, 0, mask=_FILTER_VF if has_counters else _SKIP_STATS | _FILTER_VF)
    with _kernel() as kernel:
        kernel.send(message)
        chunk = memoryview(kernel.recv(_VF_BUFFER))
    length, kind, *_ = _HEADER.unpack_from(chunk)
    if kind == _FAULT:
        _raise(chunk, 0)
    return chunk, attributes(chunk, _HEADER.size + _INFO.size, min(length, len(chunk)))


def write(index: int, attribute: bytes, *, family: int = 0) -> None:
    """Set one attribute of a link (``RTM_SETLINK``); raises `OSError`, in the kernel's own words where it has any."""
    order(_SETLINK, 0, link_message(index, family) + attribute)


def link_message(index: int, family: int) -> bytes:
    """The head of a message about one link (``ifinfomsg``)."""
    return _INFO.pack(family, 0, index, 0, 0)


def flags(chunk: memoryview) -> int:
    """``IFF_…`` of the link that `attributes_with_vfs` gave."""
    return int(_INFO.unpack_from(chunk, _HEADER.size)[3])


def set_flags(index: int, on: int, change: int) -> None:
    """Set those flags of `change` that are in `on`, and clear its others; raises `OSError`."""
    order(_SETLINK, 0, _INFO.pack(0, 0, index, on, change))


def messages(kind: int, body: bytes) -> list[bytes]:
    """The bodies of the messages of a dump (``RTM_GETADDR``, ``RTM_GETROUTE``), read again if it changed meanwhile; raises `OSError`."""
    for _ in range(_TRIES):
        found, is_whole = _messages(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _DUMP, 1, 0) + body)
        if is_whole:
            break
    return found


def ask(kind: int, body: bytes) -> bytes:
    """The body of the one message that answers; raises `OSError`."""
    with _kernel() as kernel:
        kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST, 1, 0) + body)
        chunk = memoryview(kernel.recv(_BUFFER))
    length, answered, *_ = _HEADER.unpack_from(chunk)
    if answered == _FAULT:
        _raise(chunk, 0)
    return bytes(chunk[_HEADER.size : length])


def _messages(request: bytes) -> tuple[list[bytes], bool]:
    found: list[bytes] = []
    is_whole = True
    with _kernel() as kernel:
        kernel.send(request)
        while True:
            chunk = memoryview(kernel.recv(_VF_BUFFER))
            offset = 0
            while offset < len(chunk):
                length, kind, flags, _sequence, _port = _HEADER.unpack_from(chunk, offset)
                if kind == _FAULT:
                    _raise(chunk, offset)
                if kind == _DONE:
                    return found, is_whole
                is_whole = is_whole and not flags & _INTERRUPTED
                found.append(bytes(chunk[offset + _HEADER.size : offset + length]))
                offset += (length + 3) & ~3


def set_master(index: int, master: int) -> None:
    """Put a link into a bridge, or (0) out of the one it is in; raises `OSError`."""
    write(index, packed(_MASTER, _INT.pack(master)))


def order(kind: int, flags: int, body: bytes) -> None:
    """Have the kernel do something, and wait until it has; raises `OSError`."""
    with _kernel() as kernel:
        kernel.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _ACK | flags, 1, 0) + body)
        acknowledge(memoryview(kernel.recv(_BUFFER)))


def acknowledge(chunk: memoryview) -> None:
    """Raise `OSError` if this acknowledgement (``nlmsgerr``) is of a failure."""
    length, _kind, flags, _sequence, _port = _HEADER.unpack_from(chunk)
    (number,) = _ERROR.unpack_from(chunk, _HEADER.size)
    if not number:
        return
    words = os.strerror(-number)
    if flags & _HAS_TLVS:
        start = _HEADER.size + _ERROR.size
        (request,) = _INT.unpack_from(chunk, start)
        start += _HEADER.size if flags & _CAPPED else (request + 3) & ~3
        span = attributes(chunk, start, length).get(_ACK_WORDS)
        words = f"{bytes(chunk[slice(*span)]).rstrip(bytes(1)).decode(errors='replace')} ({words})" if span else words
    raise OSError(-number, words)


def packed(kind: int, value: bytes) -> bytes:
    """One attribute, padded to its alignment."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + b"\0" * (-length % 4)


def items(chunk: memoryview, start: int, end: int) -> Iterator[tuple[int, Span]]:
    """The type and the span of each attribute between two offsets."""
    while start < end:
        length, kind = _ATTRIBUTE.unpack_from(chunk, start)
        yield kind & 0x3FFF, (start + _ATTRIBUTE.size, start + length)
        start += (max(length, _ATTRIBUTE.size) + 3) & ~3


def _one(message: bytes) -> RawLink | None:
    links: list[RawLink] = []
    try:
        _receive(message, links, is_dump=False)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return links[0] if links else None


def _message(index: int, flags: int, wanted: bytes = b"", *, mask: int = _SKIP_STATS) -> bytes:
    body = _INFO.pack(0, 0, index, 0, 0) + wanted + packed(_EXT_MASK, _INT.pack(mask))
    return _HEADER.pack(_HEADER.size + len(body), _GETLINK, _REQUEST | flags, 1, 0) + body


def _receive(message: bytes, links: list[RawLink], *, is_dump: bool = True) -> bool:
    """Send, and collect what comes; False if the kernel says that the links changed in the middle."""
    is_whole = True
    buffer = bytearray(_BUFFER if is_dump else _ONE)
    with _kernel() as kernel:
        kernel.send(message)
        while True:
            chunk = memoryview(buffer)[: kernel.recv_into(buffer)]
            _length, kind, flags, _sequence, _port = _HEADER.unpack_from(chunk)
            is_whole = is_whole and not flags & _INTERRUPTED
            links.extend(links_from(chunk))
            if kind == _DONE or not is_dump or _ends(chunk):
                return is_whole


def _kernel() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)


def _ends(chunk: memoryview) -> bool:
    """Whether the end of a dump is in `chunk`, behind its last links."""
    offset = 0
    while offset < len(chunk):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(chunk, offset)
        if kind == _DONE:
            return True
        offset += (length + 3) & ~3
    return False


def _raise(chunk: memoryview, offset: int) -> None:
    (number,) = _ERROR.unpack_from(chunk, offset + _HEADER.size)
    if number:
        raise OSError(-number, os.strerror(-number))


def attributes(chunk: memoryview, start: int, end: int) -> dict[int, Span]:
    """The spans of the attributes between two offsets, by type; the last of a type counts."""
    spans = {}
    unpack = _ATTRIBUTE.unpack_from
    while start < end:
        length, kind = unpack(chunk, start)
        spans[kind & 0x3FFF] = (start + 4, start + length)
        start += (length + 3) & ~3
    return spans


def _link(chunk: memoryview, start: int, end: int) -> RawLink:
    _family, _type, index, flags, _change = _INFO.unpack_from(chunk, start)
    spans = attributes(chunk, start + _INFO.size, end)

    def number(kind: int) -> int | None:
        return _INT.unpack_from(chunk, spans[kind][0])[0] if kind in spans else None

    def text(span: Span) -> str:
        return os.fsdecode(bytes(chunk[span[0] : span[1]]).rstrip(b"\0"))

    info = attributes(chunk, *spans[_LINKINFO]) if _LINKINFO in spans else {}
    is_port = _INFO_SLAVE_KIND in info and text(info[_INFO_SLAVE_KIND]) == "bridge"
    port = attributes(chunk, *info[_INFO_SLAVE_DATA]) if is_port and _INFO_SLAVE_DATA in info else {}

    def flag(kind: int) -> bool | None:
        return bool(chunk[port[kind][0]]) if kind in port else None

    address = bytes(chunk[slice(*spans[_ADDRESS])]) if _ADDRESS in spans else b""
    return RawLink(
        name=text(spans[_NAME]),
        index=index,
        is_up=bool(flags & _IFF_UP),
        master=number(_MASTER) or 0,
        mtu=number(_MTU),
        mac=address.hex(":") if len(address) == 6 else None,
        kind=text(info[_INFO_KIND]) if _INFO_KIND in info else None,
        isolated=flag(_ISOLATED),
        learning=flag(_LEARNING),
    )
