"""Rebind of VFs and PFs on a real igb: another VF behind a NIC, and a PF taken apart and made again under guests that run on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.contract.faults import Trigger, faulty
from tests.lab import sriov
from tests.lab.figures import long, sample
from tests.lab.linux_guest import BACKUP, FAST, PACE, LinuxGuest, Machine
from tests.lab.nics import PFS, pool_nic
from tests.lab.operations import die_in_rebind
from tests.lab.operations import rebind_pf as rebind
from tests.lab.views import assert_back, everything, host_state, ports
from tests.lab.worlds import made_by, worlds
from tests.real import guests
from tests.real.namespace import wait_until
from tests.real.stream import Stream
from virtnetplug import Plugger, Result
from virtnetplug.adapters.linux.host_devices import LinuxHostDevices
from virtnetplug.errors import Refused, VirtnetplugError
from virtnetplug.model.host_device import VfSettings
from virtnetplug.model.interface import Vlan, VlanTag
from virtnetplug.model.pci import PciAddress

PF = PciAddress.parse(PFS[0])
VLAN = "<vlan><tag id='42'/></vlan>"
ROUNDS = int(os.environ.get("VIRTNETPLUG_LAB_ROUNDS", "1"))

Figure = Callable[[str], None]


ADDRESSED = (
    "ip link set pf0 txqueuelen 500",
    "ip address add 10.77.0.1/24 dev pf0",
    "ip route add 10.78.0.0/16 via 10.77.0.9",
)
BRIDGED = (
    "ip link add br9 type bridge",
    "ip link set br9 up",
    "ip link set pf0 mtu 1400 promisc on master br9",
    "bridge link set dev pf0 isolated on cost 7",
)


def run(*commands: str) -> None:
    for command in commands:
        subprocess.run(command.split(), check=True)


@pytest.fixture
def addressed() -> Iterator[None]:
    """pf0 as a host that talks over it has it."""
    run(*ADDRESSED)
    yield
    run("ip address del 10.77.0.1/24 dev pf0", "ip link set pf0 txqueuelen 1000")


@pytest.fixture
def bridged(addressed: None) -> Iterator[None]:
    """As one has it that bridges over it, too: then the model's VFs carry no traffic."""
    run(*BRIDGED)
    yield
    run("ip link set pf0 nomaster mtu 1500 promisc off", "ip link del br9")


def pf_state() -> Any:
    return LinuxHostDevices().pf_state(PF)


def settings(vf: PciAddress | None) -> VfSettings:
    assert vf is not None
    return LinuxHostDevices().settings(vf)


def has(plugger: Plugger, *names: str) -> dict[str, str]:
    return {str(nic.alias): str(nic.host_address) for name in names for nic in plugger.list(name) if nic.host_address}


def test_a_nic_moves_within_its_pool_and_to_the_other_pf(plugger: Plugger, guest: Callable[..., guests.Guest]) -> None:
    vm = guest()
    before = everything(plugger, vm)
    (nic,) = plugger.attach(vm.name, [pool_nic(more=VLAN)]).nics
    plugger.update(vm.name, "ua-vf1", {"trust": True, "max_rate": 100})
    wanted = settings(nic.host_address)
    target = PciAddress.parse(sriov.vfs(PFS[1])[2])
    for to, network in (("auto", "pool0"), (target, "pool1")):
        outcome = plugger.rebind_vf(vm.name, "ua-vf1", to, wait=600)
        (now,) = outcome.nics
        assert outcome.result is Result.DONE and "no teaming partner" in outcome.warnings[0]
        assert (now.mac, now.address, now.alias) == (
            nic.mac,
            nic.address,
            "ua-vf1",
        ) and now.host_address != nic.host_address
        assert settings(now.host_address) == wanted
        assert ports(plugger) == {"pool0": [], "pool1": []} | {network: [str(now.host_address)]}
        assert [each for each in host_state().values() if each[0] == "vfio-pci"] == [("vfio-pci", False, wanted)]
    assert now.host_address == target and plugger.audit().findings == ()
    assert plugger.rebind_vf(vm.name, "ua-vf1", target).result is Result.ALREADY
    plugger.detach(vm.name, "ua-vf1", wait=600)
    assert_back(plugger, vm, before)


def test_connections_live_while_the_pf_is_made_again(
    plugger: Plugger,
    guest: Callable[..., guests.Guest],
    linux: Callable[[Machine], LinuxGuest],
    addressed: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All VFs in guests: a Linux guest's in a teaming pair, with a stream; the others in a small one."""
    small, before = guest(), (host_state(), ports(plugger), pf_state())
    vm = linux("q35")  # QEMU teams on PCIe alone
    team = f"<interface type='network'><mac address='{vm.mac}'/><source network='pool0'/>"
    plugger.attach(
        vm.name, [f"{team}<teaming type='transient' persistent='{BACKUP}'/><alias name='{FAST}'/></interface>"]
    )
    plugger.attach(small.name, [pool_nic(1, more=VLAN), pool_nic(2), pool_nic(3)])
    plugger.update(small.name, "ua-vf2", {"trust": True, "spoofchk": False, "vlan": Vlan((VlanTag(7),))})
    lent, state, devices = host_state(), pf_state(), has(plugger, vm.name, small.name)
    with pytest.raises(Refused, match=r"ua-vf1, .*ua-vf2, .*ua-vf3 have no teaming partner") as caught:
        plugger.rebind_pf(PF, reload_driver=True)
    assert caught.value.reason == "outage" and vm.name not in caught.value.message
    vm.wait_up(vm.mac, "igbvf")
    gaps = []
    with Stream(vm.address, pace=PACE) as stream:
        for _ in range(ROUNDS):
            mark = stream.mark()
            outcome = rebind(plugger, reload_driver=True)
            assert outcome.result is Result.DONE
            vm.wait_up(vm.mac, "igbvf")
            stream.wait_flowing()
            gaps.append((outcome.seconds, stream.longest_gap(mark)))
            assert pf_state() == state and host_state() == lent and has(plugger, vm.name, small.name) == devices
    stream.check()
    assert stream.lost == 0 and plugger.audit().findings == ()
    plugger.detach(vm.name, FAST, wait=600)
    plugger.detach(small.name, ["ua-vf1", "ua-vf2", "ua-vf3"], wait=600)
    assert (host_state(), ports(plugger), pf_state()) == before
    with capsys.disabled():
        for seconds, gap in gaps:
            print(f"\n  rebind --pf with 4 VFs in 2 guests: {seconds:.1f} s, silence {gap:.2f} s", end="")


@long
def test_more_vfs_and_fewer_and_a_hook(plugger: Plugger, guest: Callable[..., guests.Guest], tmp_path: Path) -> None:
    vm, told = guest(), tmp_path / "told"
    hook = f"sh -c 'echo $VIRTNETPLUG_PF $VIRTNETPLUG_NETDEV $(readlink /sys/bus/pci/devices/{PFS[0]}/virtfn3/driver) >{told}'"
    before = everything(plugger, vm)
    plugger.attach(vm.name, [pool_nic(1)])
    last = sriov.vfs(PFS[0])[3]
    plugger.rebind_vf(vm.name, "ua-vf1", last, wait=600)
    assert rebind(plugger, numvfs=6, firmware_hook=hook).result is Result.DONE
    assert told.read_text().split() == [PFS[0], "pf0", "../../../../bus/pci/drivers/igbvf"], "no guest had it"
    assert (len(sriov.vfs(PFS[0])), has(plugger, vm.name)) == (6, {"ua-vf1": last})
    plugger.rebind_vf(vm.name, "ua-vf1", sriov.vfs(PFS[0])[5], wait=600)  # its pool knows the new one
    with pytest.raises(Refused, match="would have 0 VFs, and guests have 1"):
        rebind(plugger, numvfs=0)
    lent = host_state()
    with pytest.raises(VirtnetplugError, match="status 3: it broke") as caught:
        rebind(plugger, firmware_hook="sh -c 'echo it broke; exit 3'", reload_driver=True)
    assert (caught.value.reason, caught.value.exit_code, host_state()) == ("hook-failed", 4, lent)
    assert rebind(plugger, numvfs=4, reload_driver=True).result is Result.DONE
    assert has(plugger, vm.name) == {"ua-vf1": sriov.vfs(PFS[0])[0]}
    plugger.detach(vm.name, "ua-vf1", wait=600)
    assert_back(plugger, vm, before)


@long
def test_a_guest_that_holds_on_aborts_the_rest(plugger: Plugger, guest: Callable[..., guests.Guest]) -> None:
    vm, stubborn = guest(), guest()
    before = host_state(), ports(plugger), pf_state()
    plugger.attach(vm.name, [pool_nic(1)])
    plugger.attach(stubborn.name, [pool_nic(2)])
    lent, devices = host_state(), has(plugger, vm.name, stubborn.name)
    stubborn.hold()
    outcome = rebind(plugger, reload_driver=True, wait=3)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-holds-device")
    assert host_state() == lent and pf_state() == before[2], "the PF was left alone"
    assert has(plugger, vm.name, stubborn.name) == devices
    stubborn.resume()
    assert [each.result for each in plugger.recover(wait=600)] == [Result.UNDONE]
    assert (host_state(), has(plugger, vm.name, stubborn.name)) == (lent, devices)
    for each, alias in ((vm, "ua-vf1"), (stubborn, "ua-vf2")):
        plugger.detach(each.name, alias, wait=600)
    assert (host_state(), ports(plugger), pf_state()) == before


def test_kill_in_every_world_then_recover(
    plugger: Plugger,
    guest: Callable[..., guests.Guest],
    bridged: None,
    tmp_path: Path,
    figure: Figure,
) -> None:
    vm = guest()
    pf = PciAddress.parse(str(PFS[0]))
    wait_until(lambda: plugger._host.host_devices.is_link_up(pf), "the PF's link, after the test before")
    plugger.attach(vm.name, [pool_nic(1, more=VLAN)])
    lent, state, devices = host_state(), pf_state(), has(plugger, vm.name)
    trigger, start = Trigger(-1, "none"), time.monotonic()
    rebind(Plugger(faulty(plugger._host, trigger), lambda: None), reload_driver=True)
    killed = 0
    for world in (chosen := sample(worlds(trigger.calls), 2)):
        ended = warm.run(die_in_rebind, tmp_path / "journal", world, timeout=1200)
        assert ended[0] in (-signal.SIGKILL, 0), ended  # 0: it ended before, as a guest was fast
        killed += ended[0] == -signal.SIGKILL
        what = f"killed {made_by(trigger.calls, world)}"
        assert all(outcome.result in (Result.UNDONE, Result.DONE) for outcome in plugger.recover(wait=600)), what
        assert plugger.recover() == (), what
        assert (pf_state(), host_state(), has(plugger, vm.name)) == (state, lent, devices), what
    plugger.detach(vm.name, "ua-vf1", wait=600)
    assert killed >= 0.7 * len(chosen)
    figure(
        f"rebind of a PF: killed in {killed} of {len(worlds(trigger.calls))} worlds, {time.monotonic() - start:.0f} s"
    )
