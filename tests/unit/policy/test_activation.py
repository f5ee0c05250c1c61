"""Which of several devices serves: the same for the same devices, however they came."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtnetplug.model.pci import PciAddress
from virtnetplug.policy import activation
from virtnetplug.policy.activation import Candidate, device_of_model, rank

MELLANOX, INTEL, BROADCOM = "15b3:1018", "8086:10ca", "14e4:16dc"
VIRTIO, TRANSITIONAL, E1000E, RTL8139 = "1af4:1041", "1af4:1000", "8086:10d3", "10ec:8139"
UNKNOWN = "dead:beef"


def candidate(alias: str, device: str, *, pci_class: str = "0200", slot: int | None = 3) -> Candidate:
    address = None if slot is None else PciAddress(0, 0, slot, 0)
    return Candidate(alias=alias, vendor_device=device, pci_class=pci_class, address=address)


DEVICES = st.sampled_from([*activation.DEVICES, UNKNOWN, "8086:ffff", "1AF4:1041"])
ADDRESSES = st.none() | st.builds(PciAddress, st.just(0), st.integers(0, 2), st.integers(1, 3), st.just(0))
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        alias=st.sampled_from([f"ua-{letter}" for letter in "abcdefgh"]),
        vendor_device=DEVICES,
        pci_class=st.sampled_from(["", "0200", "0207", "0280", "0300", "020000"]),
        address=ADDRESSES,
    ),
    max_size=5,
    unique_by=lambda one: one.alias,
)


@settings(max_examples=300, deadline=None)
@given(CANDIDATES)
def test_every_order_of_arrival_gives_the_same_answer(candidates: list[Candidate]) -> None:
    first = rank(candidates)
    assert [one.rank for one in first] == list(range(1, len(candidates) + 1))
    assert sorted(one.candidate.alias for one in first) == sorted(one.alias for one in candidates)
    for order in itertools.permutations(candidates):
        assert rank(order) == first


@settings(max_examples=300, deadline=None)
@given(CANDIDATES)
def test_who_comes_or_goes_changes_nothing_between_the_others(candidates: list[Candidate]) -> None:
    order = [one.candidate for one in rank(candidates)]
    for gone in candidates:
        left = [one.candidate for one in rank(one for one in candidates if one is not gone)]
        assert left == [one for one in order if one is not gone]


@settings(max_examples=300, deadline=None)
@given(CANDIDATES)
def test_listed_devices_then_classes_then_the_rest(candidates: list[Candidate]) -> None:
    def group(one: Candidate) -> int:
        if one.vendor_device.lower() in activation.DEVICES:
            return 1
        return 2 if one.pci_class[:4] in activation.CLASSES else 3

    groups = [group(one.candidate) for one in rank(candidates)]
    assert groups == sorted(groups)


def test_the_order_a_person_expects() -> None:
    expected = [
        candidate("fast", MELLANOX, slot=9),
        candidate("vf", BROADCOM, slot=8),
        candidate("vf2", INTEL, slot=7),
        candidate("pv", VIRTIO, slot=6),
        candidate("emulated", E1000E, slot=5),
        candidate("old", RTL8139, slot=4),
        candidate("unlisted", UNKNOWN, slot=3),
        candidate("infiniband", UNKNOWN, pci_class="0207", slot=2),
        candidate("no-nic", UNKNOWN, pci_class="0300", slot=1),
    ]
    assert [one.candidate for one in rank(reversed(expected))] == expected


def test_a_vendor_s_own_device_is_before_its_generic_one() -> None:
    rows = list(activation.DEVICES)
    assert max(rows.index(f"15b3:{own}") for own in ("101c", "1018", "1014")) < rows.index("15b3:101e")
    assert rows.index("8086:154c") < rows.index("8086:1889")
    assert rows.index(VIRTIO) < rows.index(TRANSITIONAL)


def test_a_tie_goes_by_pci_address_and_then_by_alias() -> None:
    far, near = candidate("ua-a", INTEL, slot=4), candidate("ua-b", INTEL, slot=3)
    nowhere = candidate("ua-0", INTEL, slot=None)
    again = candidate("ua-1", INTEL, slot=None)
    ranked = rank([nowhere, again, far, near])
    assert [one.candidate for one in ranked] == [near, far, nowhere, again]
    assert "4 NICs have this place, ordered by PCI address (here 0000:00:03.0)" in ranked[0].why
    assert ranked[3].why.endswith("ordered by alias")
    other = Candidate(alias="ua-c", vendor_device=INTEL, address=PciAddress(0, 1, 0, 0))
    assert rank([other, far])[0].candidate == far, "bus before slot"


def test_it_says_why() -> None:
    ranked = rank(
        [
            candidate("ua-1", INTEL),
            candidate("ua-2", UNKNOWN),
            candidate("ua-3", "", pci_class=""),
        ]
    )
    assert [one.why for one in ranked] == [
        f"8086:10ca (Intel 82576 VF) is number {list(activation.DEVICES).index(INTEL) + 1} in the table of devices",
        "dead:beef is not in the table of devices; as an Ethernet controller it is number 1 in the table of classes",
        "its device is in no table, and comes after all devices that are in a table",
    ]


def test_nobody_is_no_answer() -> None:
    assert rank([]) == ()


def test_the_document_has_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "identity.md").read_text()
    rows = re.findall(r"^\| (\d+) \| `(\S+)` \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(str(place), device, name) for place, (device, name) in enumerate(activation.DEVICES.items(), 1)]
    assert all(f"(`{pci_class}`)" in page for pci_class in activation.CLASSES)


def test_the_tables_are_written_as_lspci_writes() -> None:
    for device in [*activation.DEVICES, *activation._MODELS.values()]:
        vendor, _, number = device.partition(":")
        assert len(vendor) == len(number) == 4
        assert device == device.lower() == f"{int(vendor, 16):04x}:{int(number, 16):04x}"


@pytest.mark.parametrize(
    ("model", "device"),
    [
        ("virtio", VIRTIO),
        ("virtio-transitional", TRANSITIONAL),
        ("virtio-non-transitional", VIRTIO),
        ("igb", "8086:10c9"),
        ("e1000e", E1000E),
        ("e1000", "8086:100e"),
        ("rtl8139", RTL8139),
        ("ne2k_pci", "10ec:8029"),
        ("pcnet", "1022:2000"),
        ("vmxnet3", "15ad:07b0"),
        ("lan9118", None),
        (None, None),
    ],
)
def test_the_device_of_a_model(model: str | None, device: str | None) -> None:
    assert device_of_model(model) == device


def test_virtio_in_a_conventional_slot_is_transitional() -> None:
    assert device_of_model("virtio", is_conventional=True) == TRANSITIONAL
    assert device_of_model("virtio-non-transitional", is_conventional=True) == VIRTIO
    assert device_of_model("e1000", is_conventional=True) == "8086:100e"
