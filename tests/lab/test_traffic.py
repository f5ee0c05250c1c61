"""Traffic over VFs that virtnetplug plugs, and through a teaming pair while its VF comes and goes."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import virtnetplug
from tests.lab.figures import long
from tests.lab.linux_guest import BACKUP, PACE, LinuxGuest, Machine
from tests.lab.views import frontend, host_state, ports
from tests.real.namespace import wait_until
from tests.real.stream import Stream
from virtnetplug import Plugger, Result
from virtnetplug.lifecycle import State

ROUNDS = int(os.environ.get("VIRTNETPLUG_LAB_ROUNDS", "1"))
BLOCKS = 100
VF_MACS = "52:54:0a:09:03:02", "52:54:0a:09:03:03"
"""They spell the addresses that the guests give them."""

TEAM = (
    "<interface type='network'><mac address='{}'/><source network='pool0'/>"
    f"<teaming type='transient' persistent='{BACKUP}'/></interface>"
)


@pytest.fixture
def both(linux: Callable[[Machine], LinuxGuest]) -> tuple[LinuxGuest, LinuxGuest]:
    """The two Linux guests."""
    return linux("pc"), linux("q35")


@pytest.fixture
def plugger(uri: str, tmp_path: Path) -> Iterator[Plugger]:
    with virtnetplug.open(uri, state_dir=tmp_path / "journal") as opened:
        yield opened


def is_connected(plugger: Plugger, name: str, alias: str) -> bool:
    return frontend(plugger, name, alias) is State.CONNECTED


def vf(mac: str, pool: str) -> str:
    return (
        f"<interface type='network'><mac address='{mac}'/><source network='{pool}'/><alias name='ua-vf'/></interface>"
    )


@pytest.mark.parametrize(
    "pools",
    [
        pytest.param(("pool0", "pool0"), id="of one PF", marks=long),
        pytest.param(("pool0", "pool1"), id="of two PFs", marks=long),
    ],
)
def test_guests_talk_over_their_vfs(
    plugger: Plugger, both: tuple[LinuxGuest, LinuxGuest], pools: tuple[str, str]
) -> None:
    before = host_state(), ports(plugger)
    for vm, mac, pool in zip(both, VF_MACS, pools, strict=True):
        plugger.attach(vm.name, [vf(mac, pool)])
    first = [vm.wait_up(mac, "igbvf") for vm, mac in zip(both, VF_MACS, strict=True)]
    assert [link.address for link in first] == ["10.9.3.2", "10.9.3.3"]
    with ThreadPoolExecutor() as pool:
        ways = [pool.submit(vm.probe, f"10.9.3.{other}", BLOCKS) for vm, other in zip(both, (3, 2), strict=True)]
        probes = [way.result() for way in ways]
    assert [(one.received, one.wrong, one.end) for one in probes] == [(BLOCKS, 0, "done")] * 2
    for vm, mac, link in zip(both, VF_MACS, first, strict=True):
        now = vm.nic(mac, "igbvf")
        # 2 x 2 MiB in packets of at most 1,448 bytes: they did not come another way
        assert now is not None and min(now.received - link.received, now.sent - link.sent) > BLOCKS
    for vm in both:
        assert plugger.detach(vm.name, "ua-vf", wait=600).result is Result.DONE
    assert (host_state(), ports(plugger)) == before


@long  # `test_identity` shows one of the two connections, through a hand-over
def test_connections_live_while_the_vf_of_a_teaming_pair_comes_and_goes(
    plugger: Plugger, both: tuple[LinuxGuest, LinuxGuest], capsys: pytest.CaptureFixture[str]
) -> None:
    """One from outside to the guest, one from the guest to another: every byte, in its order, over whichever half is there."""
    other, vm = both
    before = host_state(), ports(plugger)
    gaps: dict[str, list[float]] = {"VF in": [], "VF out": [], "from the guest": []}
    with ThreadPoolExecutor() as threads, Stream(vm.address, pace=PACE) as stream:
        for _ in range(ROUNDS):
            outgoing = threads.submit(vm.probe, other.address, BLOCKS, PACE)
            mark = stream.mark()
            (fast,) = plugger.attach(vm.name, [TEAM.format(vm.mac)]).nics  # without an alias, each time
            first = vm.wait_up(vm.mac, "igbvf")
            wait_until(partial(is_connected, plugger, vm.name, str(fast.alias)), "the VF to be seen as connected")
            stream.wait_flowing()
            gaps["VF in"].append(stream.longest_gap(mark))
            now = vm.nic(vm.mac, "igbvf")
            assert now is not None and min(now.received - first.received, now.sent - first.sent) >= 20
            mark = stream.mark()
            assert plugger.detach(vm.name, str(fast.alias), wait=600).result is Result.DONE
            stream.wait_flowing()
            gaps["VF out"].append(stream.longest_gap(mark))
            assert vm.nic(vm.mac, "igbvf") is None
            probed = outgoing.result()
            assert (probed.received, probed.wrong, probed.end) == (BLOCKS, 0, "done")
            gaps["from the guest"].append(probed.longest_gap)
    stream.check()
    assert stream.lost == 0
    assert (host_state(), ports(plugger)) == before
    with capsys.disabled():
        for what, times in gaps.items():
            said = f"median {statistics.median(times):.2f} s, longest {max(times):.2f} s"
            print(f"\n  silence, {what}, of {len(times)}: {said}", end="")
