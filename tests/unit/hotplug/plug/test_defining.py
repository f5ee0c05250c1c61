"""Whether the definition's NIC is one of the operation's own, or one that somebody has connected to something else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from virtnetplug import xml
from virtnetplug.hotplug.plug.defining import leaves

MAC = "<mac address='52:54:00:00:00:01'/>"
VF = f"<interface type='hostdev'>{MAC}<source><address type='pci' domain='0' bus='1' slot='16' function='{{}}'/></source></interface>"
POOL = f"<interface type='network'>{MAC}<source network='pool'/></interface>"
BRIDGE = f"<interface type='bridge'>{MAC}<source bridge='br0'/></interface>"
OTHER = BRIDGE.replace(":01", ":02")


@pytest.mark.parametrize(
    ("now", "ours", "is_left"),
    [
        (BRIDGE, VF.format(0), True),
        (VF.format(0), BRIDGE, True),
        (VF.format(2), VF.format(0), False),
        (POOL, VF.format(0), False),
        (BRIDGE, BRIDGE, False),
        (OTHER, VF.format(0), False),
    ],
    ids=["bridge for VF", "VF for bridge", "another VF", "VF of a pool", "the same", "another MAC"],
)
def test_a_nic_that_somebody_connected_to_something_else_is_left(now: str, ours: str, is_left: bool) -> None:
    warnings: list[str] = []
    tx: Any = SimpleNamespace(warn=warnings.append, record=SimpleNamespace(operation="update"))
    assert leaves(tx, xml.interface(now), xml.interface(ours)) is is_left
    assert len(warnings) == is_left
