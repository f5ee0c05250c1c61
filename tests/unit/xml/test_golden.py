"""What an edit makes of an element, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.golden_file import assert_golden
from virtnetplug import xml
from virtnetplug.model.interface import FilterRef, Limit, Teaming, VirtualPort, Vlan, VlanTag
from virtnetplug.model.mac import Mac
from virtnetplug.model.pci import PciAddress

GOLDEN = Path(__file__).parents[2] / "golden"


def edit(**changes: Any) -> Callable[[str], str]:
    return lambda text: xml.edit(text, changes)


CASES: dict[str, Callable[[str], str]] = {
    "live-network": xml.strip_live,
    "hand-written": edit(
        model="e1000", source_network="c'd", source_portgroup=None, alias="ua-1", link_state="down", driver_queues=None
    ),
    "trunk": edit(vlan=Vlan((VlanTag(7, "tagged"), VlanTag(47), VlanTag(48)), trunk=True)),
    "openvswitch": edit(
        virtualport=VirtualPort(type="openvswitch", interfaceid="09b11c53-8b5c-4eeb-8f00-d84eaa0aaa50"),
        filterref=FilterRef("clean-traffic", (("IP", "10.0.0.9"),)),
    ),
    "bare": edit(
        mac=Mac("52:54:00:00:00:02"),
        alias="ua-2",
        address=PciAddress(0, 3, 0, 0),
        bandwidth_inbound=Limit(average=10, floor=2),
        coalesce_rx_frames=3,
        teaming=Teaming("transient", "ua-1"),
        trust_guest_rx_filters=False,
    ),
    "every-child": edit(
        mac=None,
        bandwidth_inbound=Limit(average=1, burst=9),
        bandwidth_outbound=None,
        target_dev=None,
        link_state=None,
        mtu=None,
        coalesce_rx_frames=None,
        boot_order=None,
        alias=None,
        acpi_index=None,
        rom_bar=None,
        address=PciAddress(0, 1, 2, 3),
        trust_guest_rx_filters=None,
    ),
    "one-line": edit(alias="ua-3", model=None, port_isolated=True),
    "unreadable": edit(mtu=1400),
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    assert_golden(GOLDEN / case / "out.xml", CASES[case]((GOLDEN / case / "in.xml").read_text()))


def test_every_golden_folder_is_used() -> None:
    assert {folder.parent.name for folder in GOLDEN.glob("*/in.xml")} == set(CASES)
