"""The VLANs of a bridge's port as they are asked of the kernel; the lab holds them to what libvirt makes."""

from __future__ import annotations

import errno
import struct

import pytest

from virtnetplug.adapters.linux import links, rtnetlink
from virtnetplug.model.interface import Vlan, VlanTag

SET, DELETE = 19, 17
PVID, UNTAGGED = 2, 4


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """The kind of each message, its flags and its VLAN; there is no VLAN 1 to delete."""
    found: list[tuple[int, int, int]] = []

    def order(kind: int, flags: int, body: bytes) -> None:
        assert flags == 0 and struct.unpack_from("=BxHi", body) == (7, 0, 9)
        _, specific, _, info, *said = struct.unpack_from("=HHHHHH", body, 16)
        assert (specific, info) == (26 | 0x8000, 2)
        found.append((kind, *said))
        if kind == DELETE:
            raise FileNotFoundError(errno.ENOENT, "no such VLAN")

    monkeypatch.setattr(rtnetlink, "order", order)
    return found


@pytest.mark.parametrize(
    ("vlan", "expected"),
    [
        (Vlan((VlanTag(42),)), [(PVID | UNTAGGED, 42)]),
        (Vlan((VlanTag(42), VlanTag(43)), trunk=True), [(0, 42), (0, 43)]),
        (Vlan((VlanTag(42),), trunk=True), [(0, 42)]),
        (Vlan((VlanTag(42), VlanTag(43, "untagged")), trunk=True), [(0, 42), (PVID | UNTAGGED, 43)]),
        (Vlan((VlanTag(42), VlanTag(43, "tagged")), trunk=True), [(0, 42), (PVID, 43)]),
    ],
)
def test_a_new_port_leaves_vlan_1_for_its_own(
    asked: list[tuple[int, int, int]], vlan: Vlan, expected: list[tuple[int, int]]
) -> None:
    links.set_vlans(9, vlan)
    assert asked == [(DELETE, 0, 1), *((SET, flags, number) for flags, number in expected)]
