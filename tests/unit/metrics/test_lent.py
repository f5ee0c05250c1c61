"""What the metrics say of VFs."""

from __future__ import annotations

from pathlib import Path

from tests.unit.adapters.sqlite.test_holdings import holding
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.metrics import exposition
from virtnetplug.model.device_tree import DeviceState, DeviceTree, PfView, VfView
from virtnetplug.model.host_device import PciDevice
from virtnetplug.model.pci import PciAddress

PF = PciDevice(address=PciAddress(0, 1, 0, 0), netdev="eth0", numa_node=0, total_vfs=4, num_vfs=2)


def vf(number: int, state: DeviceState) -> VfView:
    return VfView(device=PciDevice(address=PciAddress(0, 1, 0x10, number), pf=PF.address), state=state)


def test_quarantine_comes_from_the_journal_alone(tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path)
    journal.hold(holding("ua-a", "0000:01:10.0"))
    journal.hold(holding("ua-b", "0000:01:10.2", quarantine="its MAC is another"))
    lines = exposition(journal).decode().splitlines()
    assert 'virtnetplug_quarantined_devices{pool="pool"} 1.0' in lines
    journal.let_go(PciAddress(0, 1, 0x10, 2))
    assert 'virtnetplug_quarantined_devices{pool="pool"} 0.0' in exposition(journal).decode().splitlines()
    assert "virtnetplug_pool_devices" not in exposition(journal).decode()


def test_pool_devices_come_from_a_look_at_each_scrape(tmp_path: Path) -> None:
    looks = []

    def look() -> DeviceTree:
        looks.append(1)
        vfs = (vf(0, DeviceState.ATTACHED), vf(2, DeviceState.FREE))
        return DeviceTree(pfs=(PfView(device=PF, link_up=False, pools=("pool",), vfs=vfs),), unseen=())

    journal = SqliteJournal.open(tmp_path)
    text = exposition(journal, look).decode()
    for state, count in (("attached", 1), ("free", 1), ("quarantined", 0)):
        assert (
            f'virtnetplug_pool_devices{{numa_node="0",pf="0000:01:00.0",pool="pool",state="{state}"}} {count}.0' in text
        )
    assert 'virtnetplug_pf_link_up{pf="0000:01:00.0"} 0.0' in text
    exposition(journal, look)
    assert len(looks) == 2
