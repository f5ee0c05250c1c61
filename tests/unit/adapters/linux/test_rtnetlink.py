"""The kernel's link messages, as bytes made here."""

from __future__ import annotations

import errno
import struct

import pytest

from virtnetplug.adapters.linux.rtnetlink import RawLink, link_from, messages


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def message(body: bytes, kind: int = 16) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body + b"\0" * (-len(body) % 4)


def new_link(index: int, *attributes: bytes, flags: int = 0) -> bytes:
    return message(struct.pack("=BxHiII", 0, 1, index, flags, 0) + b"".join(attributes))


DONE = message(struct.pack("=i", 0), kind=3)
NAME = attribute(3, b"vnet0\0")


def parse(chunk: bytes) -> list[RawLink]:
    return [link_from(body) for kind, _, body in messages(chunk) if kind == 16]


def test_a_link_with_everything_said() -> None:
    chunk = new_link(
        7,
        NAME,
        attribute(1, bytes.fromhex("fe5400000001")),
        attribute(4, struct.pack("=I", 1400)),
        attribute(10, struct.pack("=I", 3)),
        attribute(18 | 0x8000, attribute(1, b"tun\0") + attribute(2, b"\1\2\3")),
        flags=0x1003,
    )
    assert parse(chunk) == [
        RawLink(name="vnet0", index=7, is_up=True, master=3, mtu=1400, mac="fe:54:00:00:00:01", kind="tun")
    ]


def test_a_link_of_which_little_is_said() -> None:
    bare = RawLink(name="vnet0", index=7, is_up=False, master=0, mtu=None, mac=None, kind=None)
    assert parse(new_link(7, NAME)) == [bare]
    assert parse(new_link(7, NAME, attribute(1, b"\1\2\3\4"))) == [bare], "an address that is no MAC is not one"


def test_several_links_of_one_buffer_and_its_end() -> None:
    second = new_link(8, attribute(3, b"a-name-of-odd-1\0"))
    assert [link.name for link in parse(new_link(7, NAME) + second + DONE)] == ["vnet0", "a-name-of-odd-1"]


def test_an_error_of_the_kernel_is_raised_and_an_acknowledgement_is_not() -> None:
    with pytest.raises(OSError) as caught:
        parse(message(struct.pack("=i", -errno.ENODEV) + b"\0" * 16, kind=2))
    assert caught.value.errno == errno.ENODEV
    assert parse(message(struct.pack("=i", 0) + b"\0" * 16, kind=2)) == []
