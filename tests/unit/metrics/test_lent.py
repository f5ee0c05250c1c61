"""What the metrics say of VFs."""

from __future__ import annotations

from pathlib import Path

from tests.unit.adapters.sqlite.records import holding
from tests.unit.metrics import tree
from tests.unit.metrics.tree import PF, vf
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.metrics import exposition
from virtnetplug.model.host_device import DeviceState, DeviceTree, PfView
from virtnetplug.model.pci import PciAddress


def test_quarantine_comes_from_the_journal_alone(tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path)
    journal.hold(holding("ua-a"))
    journal.hold(holding("ua-b", PciAddress(0, 1, 0x10, 2), quarantine="its MAC is another"))
    lines = exposition(journal).decode().splitlines()
    assert 'virtnetplug_quarantined_devices{pool="pool"} 1.0' in lines
    journal.let_go(next(one for one in journal.holdings() if one.address == PciAddress(0, 1, 0x10, 2)))
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


def test_what_vfs_carried_is_told_of_those_that_guests_have_and_that_are_counted(tmp_path: Path) -> None:
    lines = exposition(SqliteJournal.open(tmp_path), tree.look).decode().splitlines()
    told = {line.split("{")[0]: line.split()[-1] for line in lines if line.startswith("virtnetplug_vf_")}
    assert told == {
        "virtnetplug_vf_receive_packets_total": "11.0",
        "virtnetplug_vf_transmit_packets_total": "12.0",
        "virtnetplug_vf_receive_bytes_total": "1300.0",
        "virtnetplug_vf_transmit_bytes_total": "1.099511627776e+12",
        "virtnetplug_vf_receive_broadcast_packets_total": "15.0",
        "virtnetplug_vf_receive_multicast_packets_total": "16.0",
        "virtnetplug_vf_receive_dropped_packets_total": "17.0",
        "virtnetplug_vf_transmit_dropped_packets_total": "18.0",
    }
    labels = 'alias="ua-vf1",domain="web",domain_uuid="4dea22b3-1d52-d8f3-2516-782e98ab3fa0",pf="0000:01:00.0",vf="0000:01:10.0"'
    assert f"virtnetplug_vf_receive_bytes_total{{{labels}}} 1300.0" in lines


def test_a_host_that_counts_nothing_has_no_such_family(tmp_path: Path) -> None:
    def silent() -> DeviceTree:
        return DeviceTree(pfs=tree.look().pfs[1:])

    assert "virtnetplug_vf_" not in exposition(SqliteJournal.open(tmp_path), silent).decode()
