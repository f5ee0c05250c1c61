"""VF settings as netlink carries them: bytes made here, and read by another implementation (pyroute2) too."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from virtnetplug.adapters.linux import rtnetlink, vf
from virtnetplug.adapters.linux.rtnetlink import attributes, messages, packed
from virtnetplug.model.host_device import VfCounters, VfSettings

MAC = "52:54:00:12:34:56"


def info(
    index: int, *, spoofchk: int = 1, trust: int = 0, state: int = 0, proto: bytes = b"\x81\x00", vlan: int = 0
) -> bytes:
    """One VF in the order ``rtnl_fill_vfinfo`` writes it."""
    pair = struct.Struct("=II").pack
    return packed(
        1,
        packed(1, struct.pack("=I32s", index, bytes.fromhex(MAC.replace(":", ""))))
        + packed(13, b"\xff" * 32)
        + packed(2, struct.pack("=III", index, vlan, 3))
        + packed(6, struct.pack("=III", index, 10, 200))
        + packed(3, pair(index, 200))
        + packed(4, pair(index, spoofchk))
        + packed(5, pair(index, state))
        + packed(7, pair(index, 0xFFFFFFFF))
        + packed(9, pair(index, trust))
        + packed(12 | 0x8000, packed(1, struct.pack("=III2s2x", index, vlan, 3, proto)))
        + packed(8 | 0x8000, packed(0, struct.pack("=Q", 5))),
    )


def answered(infos: tuple[bytes, ...], look: Callable[[], Mapping[int, Any]]) -> Mapping[int, Any]:
    """What `look` sees of a PF with these VFs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rtnetlink, "attributes_with_vfs", lambda pf, **_: (0, {22: b"".join(infos)}))
        return look()


def parse(*infos: bytes) -> dict[int, VfSettings]:
    return dict(answered(infos, lambda: vf.read(2)))


def test_everything_the_kernel_says_of_a_vf() -> None:
    assert parse(info(3, vlan=42, proto=b"\x88\xa8", state=2, trust=1)) == {
        3: VfSettings(
            admin_mac=MAC, vlan=42, qos=3, vlan_proto="802.1ad", spoofchk=True, trust=True, min_rate=10, max_rate=200,
            link_state="disable",
        )
    }  # fmt: skip


def test_a_switch_the_driver_does_not_tell_is_none() -> None:
    found = parse(info(0, spoofchk=0xFFFFFFFF, trust=0xFFFFFFFF), info(1, spoofchk=0))
    assert (found[0].spoofchk, found[0].trust, found[0].vlan_proto) == (None, None, "802.1Q")
    assert (found[1].spoofchk, found[1].trust) == (False, False)


def test_an_old_kernel_says_less() -> None:
    bare = packed(1, packed(1, struct.pack("=I32s", 0, b"")) + packed(2, struct.pack("=III", 0, 5, 0)))
    assert parse(bare)[0] == VfSettings(
        admin_mac="00:00:00:00:00:00", vlan=5, qos=0, vlan_proto="802.1Q", spoofchk=None, trust=None, min_rate=0, max_rate=0,
        link_state="auto",
    )  # fmt: skip


def stats(index: int, *values: int) -> bytes:
    """One VF with its ``IFLA_VF_STATS``, the padding that the kernel puts between (``nla_put_u64_64bit``) among them."""
    counted = b"".join(
        packed(kind, struct.pack("=Q", value)) for kind, value in zip((0, 1, 2, 3, 4, 5, 7, 8), values, strict=True)
    )
    return packed(1, packed(1, struct.pack("=I32s", index, b"")) + packed(8 | 0x8000, packed(6, b"") + counted))


def count(*infos: bytes) -> dict[int, VfCounters]:
    return dict(answered(infos, lambda: vf.read_counters(2)))


def test_what_a_vf_has_carried() -> None:
    assert count(info(0), stats(3, 1, 2, 3, 2**63, 5, 6, 7, 8), stats(5, 9, 0, 0, 0, 0, 0, 0, 0)) == {
        0: VfCounters(rx_packets=5),
        3: VfCounters(
            rx_packets=1, tx_packets=2, rx_bytes=3, tx_bytes=2**63, broadcast=5, multicast=6, rx_dropped=7, tx_dropped=8
        ),
        5: VfCounters(rx_packets=9),
    }


def test_a_driver_that_counts_nothing_has_no_counters() -> None:
    bare = packed(1, packed(1, struct.pack("=I32s", 0, b"")))
    assert count(stats(0, *[0] * 8), bare) == {}


def test_the_numbers_are_those_of_another_implementation() -> None:
    names = [name.removeprefix("IFLA_VF_STATS_").lower() for name, _ in ifinfmsg.vflist.vfinfo.vf_stats.nla_map]
    assert [(number, names[number]) for number, _ in vf._COUNTERS] == list(vf._COUNTERS)


def test_statistics_are_asked_for_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    masks: list[int] = []

    class Kernel:
        def __enter__(self) -> Kernel:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def send(self, message: bytes) -> None:
            masks.append(struct.unpack("=I", message[-4:])[0])

        def recv(self, size: int) -> bytes:
            return struct.pack("=IHHII", 32, 16, 0, 1, 0) + bytes(16)

    monkeypatch.setattr(rtnetlink, "_kernel", Kernel)
    assert vf.read(2) == vf.read_counters(2) == {}
    assert masks == [9, 1]


def test_a_pf_with_many_vfs() -> None:
    assert list(parse(*(info(index) for index in range(200)))) == list(range(200))


SETTERS: list[tuple[Callable[[], None], str, dict[str, object]]] = [
    (lambda: vf.write(2, 1, "admin MAC", MAC), "IFLA_VF_MAC", {"vf": 1, "mac": MAC}),
    (lambda: vf.write(2, 1, "rate", 10, 500), "IFLA_VF_RATE", {"vf": 1, "min_tx_rate": 10, "max_tx_rate": 500}),
    (lambda: vf.write(2, 1, "spoofchk", False), "IFLA_VF_SPOOFCHK", {"vf": 1, "spoofchk": 0}),
    (lambda: vf.write(2, 1, "trust", True), "IFLA_VF_TRUST", {"vf": 1, "trust": 1}),
    (lambda: vf.write(2, 1, "link state", "disable"), "IFLA_VF_LINK_STATE", {"vf": 1, "link_state": 2}),
    (
        lambda: vf.write(2, 1, "VLAN", 42, 3, "802.1ad"),
        "IFLA_VF_VLAN_LIST",
        {"vf": 1, "vlan": 42, "qos": 3, "proto": 0x88A8},
    ),
]


@pytest.mark.parametrize(("change", "name", "fields"), SETTERS, ids=[name for _, name, _ in SETTERS])
def test_what_is_sent_is_what_is_meant(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[], None], name: str, fields: dict[str, object]
) -> None:
    sent: list[tuple[int, bytes]] = []
    monkeypatch.setattr(rtnetlink, "write", lambda index, attribute: sent.append((index, attribute)))
    change()
    ((index, attribute),) = sent
    body = struct.pack("=BxHiII", 0, 0, index, 0, 0) + attribute
    message = ifinfmsg(struct.pack("=IHHII", 16 + len(body), 19, 1, 1, 0) + body)
    message.decode()
    told = message.get_attr("IFLA_VFINFO_LIST").get_attr("IFLA_VF_INFO").get_attr(name)
    if name == "IFLA_VF_VLAN_LIST":
        told = told.get_attr("IFLA_VF_VLAN_INFO")
        (value,) = attributes(attributes(attribute, 8)[12]).values()
        assert len(value) == 16, "a kernel that checks the size refuses the struct without its padding"
    assert index == 2
    assert {key: told[key] for key in fields} == fields


def nack(number: int, tlvs: bytes = b"", *, capped: bool = False, request: bytes = b"") -> bytes:
    original = struct.pack("=IHHII", 16 + len(request), 19, 5, 1, 0) + (b"" if capped else request)
    flags = (0x100 if capped else 0) | (0x200 if tlvs else 0)
    body = struct.pack("=i", -number) + original + tlvs
    return struct.pack("=IHHII", 16 + len(body), 2, flags, 1, 0) + body


@pytest.mark.parametrize("capped", [True, False])
def test_the_kernels_own_words_are_told(capped: bool) -> None:
    words = packed(1, b"mtu less than device minimum\0")
    with pytest.raises(OSError, match=r"mtu less than device minimum \(Invalid argument\)") as caught:
        list(messages(nack(errno.EINVAL, words, capped=capped, request=b"12345678")))
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(OSError, match="Operation not supported"):
        list(messages(nack(errno.EOPNOTSUPP)))
    assert list(messages(nack(0))) == []
