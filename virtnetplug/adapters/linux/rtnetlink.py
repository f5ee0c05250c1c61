"""The kernel's rtnetlink (``linux/netlink.h``, ``linux/if_link.h``), with the standard library alone.

Netlink answers for the network namespace of the caller; a mounted ``/sys`` may belong to another one. A dump of 2,000 links takes
a third of the time of a walk through ``/sys/class/net``.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_INFO = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_INT = struct.Struct("=I")

_DONE, _FAULT, _GETLINK, _SETLINK = 3, 2, 18, 19
_REQUEST, _ACK, _DUMP, _INTERRUPTED, _CAPPED, _HAS_TLVS = 0x1, 0x4, 0x300, 0x10, 0x100, 0x200
CREATE, REPLACE = 0x400, 0x100
_SOL_NETLINK, _EXT_ACK, _ACK_WORDS = 270, 11, 1
ADDRESS, IFNAME, MTU, LINK, MASTER, QUEUE_LENGTH, PROTINFO = 1, 3, 4, 5, 10, 13, 12  # IFLA_…
LINKINFO, VFINFO_LIST, AF_SPEC, _EXT_MASK, CARRIER = 18, 22, 26, 29, 33  # IFLA_…
_INFO_KIND, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 4, 5
LEARNING, UNICAST_FLOOD, ISOLATED = 8, 9, 33  # IFLA_BRPORT_…
AF_BRIDGE, NESTED = 7, 0x8000
_SKIP_STATS = 8  # RTEXT_FILTER_SKIP_STATS: statistics are half of a message, and only VF counters are read
_FILTER_VF = 1  # RTEXT_FILTER_VF: the kernel lists a PF's VFs only on request
IFF_UP = 1
_NAME_MOST = 15  # IFNAMSIZ - 1
_BUFFER = 1 << 16
_VF_BUFFER = 1 << 18  # a PF may have 256 VFs, and each VF takes some 300 bytes
_TRIES = 5

Attributes = Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class RawLink:
    """A link as the kernel describes it: `master` is an index, or 0; `isolated` and `learning` are None except for bridge ports."""

    name: str
    index: int
    is_up: bool
    master: int
    mtu: int | None
    mac: str | None
    kind: str | None
    isolated: bool | None = None
    learning: bool | None = None


def links() -> list[RawLink]:
    """All links of this network namespace."""
    return [link_from(body) for body in dump(_GETLINK, _link_request(0))]


def get(name: str) -> RawLink | None:
    """The link of that name, or None."""
    raw = os.fsencode(name)
    if not raw or len(raw) > _NAME_MOST or b"\0" in raw:
        return None
    return _one(_link_request(0, packed(IFNAME, raw + b"\0")))


def get_index(index: int) -> RawLink | None:
    """The link of that index, or None."""
    return _one(_link_request(index))


def attributes_with_vfs(index: int, *, has_counters: bool = False) -> tuple[int, Attributes]:
    """The flags and the attributes of one link, ``IFLA_VFINFO_LIST`` among them if the link is a PF; raises `OSError`.

    If `has_counters`, each VF comes with its ``IFLA_VF_STATS``, for which a driver may have to ask its card.
    """
    mask = _FILTER_VF if has_counters else _SKIP_STATS | _FILTER_VF
    body = ask(_GETLINK, _link_request(index, mask=mask), size=_VF_BUFFER)
    return _INFO.unpack_from(body)[3], attributes(body, _INFO.size)


def write(index: int, attribute: bytes, *, family: int = 0) -> None:
    """Set one attribute of a link (``RTM_SETLINK``); raises `OSError`, in the kernel's own words where it has any."""
    order(_SETLINK, 0, link_message(index, family) + attribute)


def write_number(index: int, kind: int, value: int) -> None:
    """Set an attribute that is a 32-bit number; raises `OSError`."""
    write(index, packed(kind, _INT.pack(value)))


def write_mac(index: int, mac: str) -> None:
    """Set the MAC of a link; raises `OSError`."""
    write(index, packed(ADDRESS, mac_bytes(mac)))


def set_flags(index: int, on: int, change: int) -> None:
    """Set the flags of `change` that are in `on`, and clear its others; raises `OSError`."""
    order(_SETLINK, 0, _INFO.pack(0, 0, index, on, change))


def link_message(index: int, family: int) -> bytes:
    """The head of a message about one link (``ifinfomsg``)."""
    return _INFO.pack(family, 0, index, 0, 0)


def dump(kind: int, body: bytes) -> list[bytes]:
    """The bodies of all messages that answer; they are read again if the kernel's state changed while they were read. Raises `OSError`."""
    for _ in range(_TRIES):
        answers = list(_exchange(kind, _DUMP, body))
        if not any(flags & _INTERRUPTED for flags, _ in answers):
            break
    return [answer for _, answer in answers]


def ask(kind: int, body: bytes, *, size: int = _BUFFER) -> bytes:
    """The body of the one message that answers, of at most `size` bytes; raises `OSError`."""
    return next(answer for _, answer in _exchange(kind, 0, body, size))


def order(kind: int, flags: int, body: bytes) -> None:
    """Have the kernel do something, and wait until it has; raises `OSError`."""
    for _ in _exchange(kind, _ACK | flags, body):
        pass


def messages(chunk: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The kind, the flags and the body of each message in a received buffer, without acknowledgements.

    Raises `OSError` for an acknowledgement (``nlmsgerr``) of a failure.
    """
    offset = 0
    while offset < len(chunk):
        length, kind, flags, _sequence, _port = _HEADER.unpack_from(chunk, offset)
        body = chunk[offset + _HEADER.size : offset + length]
        if kind == _FAULT:
            _check(flags, body)
        else:
            yield kind, flags, body
        offset += (length + 3) & ~3


def packed(kind: int, value: bytes) -> bytes:
    """One attribute, padded to its alignment."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + b"\0" * (-length % 4)


def items(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """The type and the value of each attribute from `start` on."""
    end = len(data)
    while start < end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        yield kind & 0x3FFF, data[start + 4 : start + length]
        start += (max(length, 4) + 3) & ~3


def attributes(data: bytes, start: int = 0) -> Attributes:
    """The values of the attributes from `start` on, by type; the last attribute of a type counts."""
    found, end = {}, len(data)
    while start < end:  # not by way of `items`: an audit parses thousands of links
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        found[kind & 0x3FFF] = data[start + 4 : start + length]
        start += (length + 3) & ~3
    return found


def number(found: Attributes, kind: int) -> int | None:
    """The value of an attribute that is a 32-bit number, or None."""
    return _INT.unpack_from(found[kind])[0] if kind in found else None


def mac_bytes(mac: str) -> bytes:
    """The six bytes of a MAC."""
    return bytes.fromhex(mac.replace(":", ""))


def port_data(link_info: Attributes) -> bytes:
    """The flags of a Linux bridge's port, as attributes (``IFLA_BRPORT_…``); empty for any other link."""
    is_port = link_info.get(_INFO_SLAVE_KIND, b"").rstrip(b"\0") == b"bridge"
    return link_info.get(_INFO_SLAVE_DATA, b"") if is_port else b""


def link_from(body: bytes) -> RawLink:
    """The link that a message (``RTM_NEWLINK``) describes."""
    _family, _type, index, flags, _change = _INFO.unpack_from(body)
    found = attributes(body, _INFO.size)
    info = attributes(found.get(LINKINFO, b""))
    port = attributes(port_data(info))
    address = found.get(ADDRESS, b"")
    return RawLink(
        name=_text(found[IFNAME]),
        index=index,
        is_up=bool(flags & IFF_UP),
        master=number(found, MASTER) or 0,
        mtu=number(found, MTU),
        mac=address.hex(":") if len(address) == 6 else None,
        kind=_text(info[_INFO_KIND]) if _INFO_KIND in info else None,
        isolated=bool(port[ISOLATED][0]) if ISOLATED in port else None,
        learning=bool(port[LEARNING][0]) if LEARNING in port else None,
    )


def _text(value: bytes) -> str:
    return os.fsdecode(value.rstrip(b"\0"))


def _link_request(index: int, wanted: bytes = b"", *, mask: int = _SKIP_STATS) -> bytes:
    return link_message(index, 0) + wanted + packed(_EXT_MASK, _INT.pack(mask))


def _one(request: bytes) -> RawLink | None:
    try:
        return link_from(ask(_GETLINK, request))
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise


def _exchange(kind: int, flags: int, body: bytes, size: int = _BUFFER) -> Iterator[tuple[int, bytes]]:
    """Send a request, and yield the flags and the body of each message that answers; raises `OSError`."""
    with _kernel() as kernel:
        if flags & _ACK:
            kernel.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body)
        while True:
            for answered, about, answer in messages(kernel.recv(size)):
                if answered == _DONE:
                    return
                yield about, answer
            if flags != _DUMP:
                return


def _kernel() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)


def _check(flags: int, body: bytes) -> None:
    """Raise `OSError` if this acknowledgement is of a failure; the kernel's own words (``NLMSGERR_ATTR_MSG``) come first."""
    (fault,) = struct.unpack_from("=i", body)
    if not fault:
        return
    words = os.strerror(-fault)
    if flags & _HAS_TLVS:
        (request,) = _INT.unpack_from(body, 4)
        start = 4 + (_HEADER.size if flags & _CAPPED else (request + 3) & ~3)
        found = attributes(body, start).get(_ACK_WORDS)
        words = f"{found.rstrip(bytes(1)).decode(errors='replace')} ({words})" if found else words
    raise OSError(-fault, words)
