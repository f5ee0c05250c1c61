"""Assigned NICs on real VFs: lent, used, given back with proof. More of it by subject: `test_variants`, `test_faults`, `test_bad_days`, …"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import warm
from tests.lab import libvirtd, sriov
from tests.lab.figures import long
from tests.lab.nics import PFS, VLAN, pool_nic, vf_nic
from tests.lab.operations import attach
from tests.lab.views import assert_back, connections, everything, host_state, ports, take_all_out
from tests.real import guests
from tests.real.namespace import wait_until
from virtnetplug import Plugger, Result, Scope
from virtnetplug.adapters.linux.host_devices import LinuxHostDevices
from virtnetplug.errors import NeedsReplace, Refused
from virtnetplug.model.interface import Vlan, VlanTag

Open = Callable[..., Plugger]


def test_both_halves(plugger: Plugger, vm: guests.Guest) -> None:
    before = everything(plugger, vm)
    plugger.attach(vm.name, [pool_nic()], scope=Scope.BOTH)
    config = vm.dom.XMLDesc(2)
    assert "network='pool0'" in config and "hostdev" not in config
    assert plugger.detach(vm.name, "ua-vf1", scope=Scope.BOTH, wait=600).result is Result.DONE
    assert_back(plugger, vm, before)


def test_settings_of_a_vf_in_use_change_through_its_pf(plugger: Plugger, vm: guests.Guest) -> None:
    """libvirt refuses to update such a NIC at all; the PF does it, and the pool gets its VF back as it was."""
    before = everything(plugger, vm)
    (nic,) = plugger.attach(vm.name, [pool_nic(more=VLAN)]).nics
    vf = nic.host_address
    assert vf is not None
    changes = {"vlan": Vlan((VlanTag(43),)), "trust": True, "spoofchk": False, "max_rate": 100}
    assert plugger.update(vm.name, "ua-vf1", changes).result is Result.DONE
    now = LinuxHostDevices().settings(vf)
    assert (now.vlan, now.trust, now.spoofchk, now.max_rate) == (43, True, False, 100)
    assert plugger.update(vm.name, "ua-vf1", changes).result is Result.ALREADY
    with pytest.raises(NeedsReplace):
        plugger.update(vm.name, "ua-vf1", {"managed": False})
    plugger.detach(vm.name, "ua-vf1", wait=600)
    assert_back(plugger, vm, before)


@pytest.mark.parametrize("how", ["destroy", "kill"])
def test_a_domain_that_ends_gives_its_vfs_back(plugger: Plugger, guest: Callable[..., guests.Guest], how: str) -> None:
    vm = guest()
    before = host_state(), ports(plugger)
    plugger.attach(vm.name, [pool_nic(1), pool_nic(2)])
    if how == "destroy":
        vm.destroy()
    else:
        os.kill(vm.pid, signal.SIGKILL)
        wait_until(lambda: not vm.dom.isActive(), "libvirt to see it")
    outcomes = plugger.recover()
    assert [(outcome.operation, outcome.result) for outcome in outcomes] == [("return", Result.DONE)] * 2
    assert (host_state(), ports(plugger)) == before
    assert plugger._host.journal.holdings() == []


def test_a_pool_lends_each_vf_once_and_says_who_has_them(plugger: Plugger, vm: guests.Guest) -> None:
    before = everything(plugger, vm)
    first = sriov.vfs(PFS[0])[0]
    plugger.attach(vm.name, [vf_nic(first, "yes", 9)])  # the pool does not know of it
    lent = {str(plugger.attach(vm.name, [pool_nic(number)]).nics[0].host_address) for number in (1, 2, 3)}
    assert lent == set(sriov.vfs(PFS[0])[1:])
    assert connections(vm.dom.connect(), "pool0") == 3
    with pytest.raises(Refused) as caught:
        plugger.attach(vm.name, [pool_nic(4)])
    assert caught.value.reason == "pool-exhausted" and vm.name in caught.value.message
    plugger.detach(vm.name, ["ua-vf9", "ua-vf1", "ua-vf2", "ua-vf3"], wait=600)
    assert_back(plugger, vm, before)


def test_a_pf_whose_link_is_down_lends_nothing(plugger: Plugger, vm: guests.Guest) -> None:
    subprocess.run(["ip", "link", "set", "pf1", "down"], check=True)
    try:
        with pytest.raises(Refused, match="link of its PF 0000:02:00"):
            plugger.attach(vm.name, [pool_nic(pool="pool1")])
    finally:
        subprocess.run(["ip", "link", "set", "pf1", "up"], check=True)
        wait_until(lambda: Path("/sys/class/net/pf1/carrier").read_text().strip() == "1", "the link of pf1")


@long
def test_libvirtd_dies_while_a_vf_is_lent(plugger: Plugger, reopen: Open, guest: Callable[..., guests.Guest]) -> None:
    vm = guest()
    before = everything(plugger, vm)
    plugger.attach(vm.name, [pool_nic()])
    libvirtd.kill()
    libvirtd.start(vm)
    again = reopen()
    assert [nic.alias for nic in again.list(vm.name)] == ["ua-vf1"]
    assert again.audit().findings == ()
    again.attach(vm.name, [pool_nic(2), vf_nic(sriov.vfs(PFS[1])[0], "yes", 3)])
    again.detach(vm.name, ["ua-vf2", "ua-vf3"], wait=600)
    assert again.detach(vm.name, "ua-vf1", wait=600).result is Result.DONE
    now = everything(again, vm)
    assert (now["host"], now["ports"], now["held"]) == (before["host"], before["ports"], [])


def test_more_processes_than_vfs(
    plugger: Plugger, vm: guests.Guest, guest: Callable[..., guests.Guest], tmp_path: Path
) -> None:
    vms = [vm, guest()]
    before = host_state(), ports(plugger)
    with ThreadPoolExecutor(8) as threads:
        asked = [
            threads.submit(warm.run, attach, tmp_path / "journal", one.name, number, timeout=1200)
            for number, one in enumerate(vms * 4, 1)
        ]
    ended = [each.result() for each in asked]
    assert sorted(status for status, _ in ended) == [0] * 4 + [3] * 4, ended
    held = [one.address for one in plugger._host.journal.holdings()]
    assert len(set(held)) == 4
    for one in vms:
        take_all_out(plugger, one.name)
    assert (host_state(), ports(plugger)) == before
