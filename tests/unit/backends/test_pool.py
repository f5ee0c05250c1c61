"""Which VF a guest gets: the same for the same candidates, in any order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtnetplug.backends.lending import Pool, obstacle, rank
from virtnetplug.model.host_device import PciDevice
from virtnetplug.model.pci import PciAddress

PF0, PF1 = PciAddress(0, 1, 0, 0), PciAddress(0, 2, 0, 0)


def vf(pf: PciAddress, number: int, node: int | None = None) -> PciDevice:
    return PciDevice(address=PciAddress(0, pf.bus, 0x10, number), pf=pf, vf_index=number, numa_node=node)


DEVICES = [vf(PF0, 0, 0), vf(PF0, 2, 0), vf(PF1, 0, 1), vf(PF1, 2, 1)]


def pool(**changes: object) -> Pool:
    fields = {"devices": DEVICES, "taken": {}, "load": {}, "links": {PF0: True, PF1: True}} | changes
    return Pool(**fields)  # type: ignore[arg-type]


def first(made: Pool) -> str:
    return str(rank(made)[0].address)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, "0000:01:10.0"),
        ({"nodes": {1}}, "0000:02:10.0"),
        ({"nodes": {0, 1}}, "0000:01:10.0"),
        ({"load": {PF0: 1}}, "0000:02:10.0"),
        ({"load": {PF0: 3, PF1: 4}}, "0000:01:10.0"),
        ({"nodes": {0}, "load": {PF0: 4}}, "0000:01:10.0"),
        ({"links": {PF0: False, PF1: True}}, "0000:02:10.0"),
        ({"nodes": {0}, "links": {PF0: False, PF1: True}}, "0000:02:10.0"),
        ({"taken": {DEVICES[0].address: "domain web has it"}}, "0000:01:10.2"),
    ],
)
def test_the_first_choice(changes: dict[str, object], wanted: str) -> None:
    assert first(pool(**changes)) == wanted


def test_what_cannot_be_had_says_why() -> None:
    made = pool(taken={DEVICES[0].address: "domain web has it"}, links={PF0: True, PF1: False})
    assert [obstacle(made, device) for device in DEVICES] == [
        "domain web has it",
        None,
        "the link of its PF 0000:02:00.0 is down",
        "the link of its PF 0000:02:00.0 is down",
    ]
    assert rank(pool(links={PF0: False, PF1: False})) == ()


@given(st.data())
def test_the_order_of_arrival_does_not_matter(data: st.DataObject) -> None:
    taken = {device.address: "taken" for device in data.draw(st.lists(st.sampled_from(DEVICES), unique=True))}
    load = {pf: data.draw(st.integers(0, 4)) for pf in (PF0, PF1)}
    nodes = data.draw(st.sets(st.integers(0, 2)))
    links = {pf: data.draw(st.booleans()) for pf in (PF0, PF1)}
    shuffled = random.Random(data.draw(st.integers())).sample(DEVICES, len(DEVICES))
    ours = pool(taken=taken, load=load, nodes=nodes, links=links)
    theirs = pool(devices=shuffled, taken=taken, load=load, nodes=nodes, links=links)
    assert rank(ours) == rank(theirs)
    assert all(obstacle(ours, device) is None for device in rank(ours))
    assert len(rank(ours)) == sum(obstacle(ours, device) is None for device in DEVICES)
