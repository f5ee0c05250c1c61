"""Identity handed over and back under a real driver: the guest's interface keeps its name, its MAC and its address."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import virtnetplug
from tests.lab.figures import long
from tests.lab.linux_guest import BACKUP, PACE, Link, LinuxGuest, Machine
from tests.lab.linux_guest import FAST as TWIN
from tests.lab.pings import Pings
from tests.lab.views import frontend, host_state, ports
from tests.real.namespace import wait_until
from tests.real.stream import Stream
from virtnetplug import Plugger, Result, xml
from virtnetplug.lifecycle import State
from virtnetplug.model.interface import Interface

ROUNDS = int(os.environ.get("VIRTNETPLUG_LAB_ROUNDS", "1"))
HOST, GUEST = "10.9.5.1", "10.9.5.3"
MAC = "52:54:0a:09:05:03"
"""It spells the address that the guest gives a NIC of this MAC, whatever kind it is: what a network service does by MAC."""

EMULATED = (
    f"<interface type='bridge'><mac address='{MAC}'/><source bridge='br0'/><model type='virtio'/>"
    "<alias name='ua-front'/></interface>"
)
FAST = "<interface type='network'><source network='pool0'/><alias name='ua-fast'/></interface>"


@pytest.fixture
def vm(linux: Callable[[Machine], LinuxGuest]) -> Iterator[LinuxGuest]:
    """A Linux guest, and an address of the host's in the network of its NIC."""
    subprocess.run(["ip", "address", "add", f"{HOST}/24", "dev", "br0"], check=True)
    yield linux("q35")
    subprocess.run(["ip", "address", "del", f"{HOST}/24", "dev", "br0"], check=True)


@pytest.fixture
def plugger(uri: str, tmp_path: Path) -> Iterator[Plugger]:
    with virtnetplug.open(uri, state_dir=tmp_path / "journal") as opened:
        yield opened


def nets(vm: LinuxGuest) -> dict[str | None, Interface]:
    return {net.alias: net for net in xml.devices(vm.dom.XMLDesc(0)).nets}


def known_by(link: Link) -> tuple[str, str, str | None]:
    """What a guest's configuration knows a NIC by."""
    return link.name, link.mac, link.address


@long  # without teaming, how long a connection stands still is up to its timers
def test_the_guests_interface_keeps_name_mac_and_address(
    plugger: Plugger, vm: LinuxGuest, capsys: pytest.CaptureFixture[str]
) -> None:
    before = host_state(), ports(plugger)
    plugger.attach(vm.name, [EMULATED])
    emulated = nets(vm)["ua-front"]
    first = vm.wait_up(MAC, "virtio_net")
    gaps: dict[str, list[float]] = {"over": [], "back": []}
    with Pings(GUEST) as pings:
        for _ in range(ROUNDS):
            mark = pings.mark()
            assert plugger.handover(vm.name, "ua-front", FAST, wait=600).result is Result.DONE
            over = vm.wait_up(MAC, "igbvf")
            pings.wait_answered()
            gaps["over"].append(pings.longest_gap(mark))
            assert known_by(over) == known_by(first)
            assert set(nets(vm)) == {BACKUP, "ua-fast"}
            assert nets(vm)["ua-fast"].address == emulated.address
            mark = pings.mark()
            assert plugger.handback(vm.name, "ua-front", wait=600).result is Result.DONE
            back = vm.wait_up(MAC, "virtio_net")
            pings.wait_answered()
            gaps["back"].append(pings.longest_gap(mark))
            assert known_by(back) == known_by(first)
    assert _same(nets(vm)["ua-front"], emulated)
    assert (host_state(), ports(plugger)) == before
    plugger.detach(vm.name, "ua-front", wait=600)
    with capsys.disabled():
        for what, times in gaps.items():
            said = f"median {statistics.median(times):.2f} s, longest {max(times):.2f} s"
            print(f"\n  silence, handed {what} without teaming, of {len(times)}: {said}", end="")


@long
def test_detached_and_attached_again_it_has_the_identity_at_once(plugger: Plugger, vm: LinuxGuest) -> None:
    """No reboot between, and another VF if that comes: the marker is with the emulated NIC."""
    plugger.attach(vm.name, [EMULATED])
    first = vm.wait_up(MAC, "virtio_net")
    address = nets(vm)["ua-front"].address
    plugger.handover(vm.name, "ua-front", FAST, wait=600)
    for _ in range(2):
        assert known_by(vm.wait_up(MAC, "igbvf")) == known_by(first)
        assert plugger.detach(vm.name, "ua-fast", restore_emulated=False, wait=600).result is Result.DONE
        assert set(nets(vm)) == {BACKUP}
        assert plugger.attach(vm.name, [FAST]).result is Result.DONE
        assert nets(vm)["ua-fast"].address == address
    assert known_by(vm.wait_up(MAC, "igbvf")) == known_by(first)
    outcome = plugger.detach(vm.name, "ua-fast", wait=600)
    assert (outcome.operation, outcome.result) == ("handback", Result.DONE)
    assert known_by(vm.wait_up(MAC, "virtio_net")) == known_by(first)
    plugger.detach(vm.name, "ua-front", wait=600)


def test_with_teaming_only_the_traffic_moves(
    plugger: Plugger, vm: LinuxGuest, capsys: pytest.CaptureFixture[str]
) -> None:
    before = host_state(), ports(plugger)
    gaps: dict[str, list[float]] = {"over": [], "back": []}
    backup, team = nets(vm)[BACKUP], FAST.replace("ua-fast", TWIN)
    with Stream(vm.address, pace=PACE) as stream:
        for _ in range(ROUNDS):
            mark = stream.mark()
            plugger.handover(vm.name, BACKUP, team, wait=600)
            link = vm.wait_up(vm.mac, "igbvf")
            wait_until(lambda: frontend(plugger, vm.name, TWIN) is State.CONNECTED, "the VF to be seen as connected")
            stream.wait_flowing()
            gaps["over"].append(stream.longest_gap(mark))
            assert link.master and set(nets(vm)) == {BACKUP, TWIN} and nets(vm)[BACKUP].element == backup.element
            first = vm.nic(vm.mac, "igbvf")
            stream.wait_flowing()
            now = vm.nic(vm.mac, "igbvf")  # each question is of fewer packets than the 20 blocks that came back between
            assert first and now and min(now.received - first.received, now.sent - first.sent) >= 20
            mark = stream.mark()
            plugger.handback(vm.name, BACKUP, wait=600)
            stream.wait_flowing()
            gaps["back"].append(stream.longest_gap(mark))
            assert set(nets(vm)) == {BACKUP}
    stream.check()
    assert stream.lost == 0
    assert (host_state(), ports(plugger)) == before
    with capsys.disabled():
        for what, times in gaps.items():
            said = f"median {statistics.median(times):.2f} s, longest {max(times):.2f} s"
            print(f"\n  silence, handed {what} with teaming, of {len(times)}: {said}", end="")


def _same(net: Interface, other: Interface) -> bool:
    """But for the host's end, which libvirt makes anew."""
    made = {"target_dev": None, "source_portid": None}
    return xml.edit(net.element, made) == xml.edit(other.element, made)
