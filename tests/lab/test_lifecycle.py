"""VFs over a domain's life: its definition, its boots, resets and pauses, and the domain after it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.lab import sriov
from tests.lab.figures import long
from tests.lab.nics import MAC, PFS, VLAN, pool_nic, vf_nic
from tests.lab.views import assert_back, connections, everything, host_state, ports
from tests.real.guests import Guest
from virtnetplug import Plugger, Result, Scope
from virtnetplug.errors import VirtnetplugError

Start = Callable[..., Guest]


def vfs_of(vm: Guest) -> list[str]:
    """The devices of its live assigned NICs, by its own definition."""
    found = []
    for address in vm.xml().iterfind("devices/interface[@type='hostdev']/source/address"):
        part = {name: int(address.attrib[name], 16) for name in ("domain", "bus", "slot", "function")}
        found.append("{domain:04x}:{bus:02x}:{slot:02x}.{function:x}".format(**part))
    return found


def test_the_definition_of_a_guest_that_is_off(plugger: Plugger, guest: Start) -> None:
    vm = guest(running=False)
    before = everything(plugger, vm)
    nics = [vf_nic(sriov.vfs(PFS[1])[0], "yes"), pool_nic(2, more=VLAN)]
    with pytest.raises(VirtnetplugError) as caught:
        plugger.attach(vm.name, nics, scope=Scope.LIVE)
    assert (caught.value.reason, caught.value.exit_code) == ("domain-not-running", 3)
    assert_back(plugger, vm, before)
    plugger.attach(vm.name, nics, scope=Scope.CONFIG)
    assert (host_state(), ports(plugger)) == (before["host"], before["ports"]), "a definition holds nothing"
    there = [net.get("type") for net in vm.xml(inactive=True).iterfind("devices/interface")]
    assert sorted(there) == ["hostdev", "network"]
    twice = vf_nic(sriov.vfs(PFS[1])[0], "yes", 3)
    with pytest.raises(VirtnetplugError, match="already"):
        plugger.attach(vm.name, [twice], scope=Scope.CONFIG)
    plugger.detach(vm.name, ["ua-vf1", "ua-vf2"], scope=Scope.CONFIG)
    assert_back(plugger, vm, before)


def test_the_definition_of_a_guest_that_runs(plugger: Plugger, vm: Guest) -> None:
    before = everything(plugger, vm)
    plugger.attach(vm.name, [pool_nic()], scope=Scope.CONFIG)
    assert vm.aliases() == [] and ports(plugger) == before["ports"]
    plugger.detach(vm.name, "ua-vf1", scope=Scope.CONFIG)
    assert_back(plugger, vm, before)


@long
def test_the_next_boot_lends_as_libvirt_does(plugger: Plugger, guest: Start) -> None:
    vm = guest()
    before = everything(plugger, vm)
    plugger.attach(vm.name, [pool_nic()], scope=Scope.BOTH)
    (first,) = vfs_of(vm)
    vm.destroy()
    vm.dom.create()
    vm.wait_ready()
    plugger.recover(wait=600)
    (second,) = vfs_of(vm)
    assert ports(plugger)["pool0"] == [second] and plugger._host.journal.holdings() == []
    assert first == second or sriov.driver(first) == "igbvf"
    assert plugger.detach(vm.name, "ua-vf1", scope=Scope.BOTH, wait=600).result is Result.DONE
    now = everything(plugger, vm)
    assert (now["host"], now["ports"], now["config"]) == (before["host"], before["ports"], before["config"])
    assert plugger.audit().findings == ()


@long
def test_a_guest_that_booted_with_a_vf_gets_more(plugger: Plugger, guest: Start) -> None:
    """libvirt lent the first; whatever is asked for comes beside it, and it goes out by its device's address."""
    before = host_state(), ports(plugger)
    vm = guest(nets=[pool_nic(9)])
    (first,) = vfs_of(vm)
    assert ports(plugger)["pool0"] == [first]
    last = sriov.vfs(PFS[0])[3]
    outcome = plugger.attach(vm.name, [pool_nic(1), vf_nic(last, "no", 2)])
    assert {first, last}.isdisjoint([str(outcome.nics[0].host_address)])
    assert len(set(vfs_of(vm))) == 3 and connections(vm.dom.connect(), "pool0") == 2
    assert plugger.detach(vm.name, [first, "ua-vf1", MAC.format(2)], wait=600).warnings == ()
    assert (vfs_of(vm), host_drivers(), ports(plugger)) == ([], {"igbvf"}, before[1])
    assert connections(vm.dom.connect(), "pool0") == 0
    assert {vf: state for vf, state in host_state().items() if vf != first} == {
        vf: state for vf, state in before[0].items() if vf != first
    }, "but for the one that libvirt lent, and gave another MAC"


def host_drivers() -> set[str | None]:
    return {sriov.driver(vf) for pf in PFS for vf in sriov.vfs(pf)}


@long
def test_what_one_guest_gave_back_another_gets(plugger: Plugger, guest: Start, vm: Guest) -> None:
    before = everything(plugger, vm)
    first, vf = guest(), sriov.vfs(PFS[1])[2]
    for name in (first.name, vm.name, vm.name):
        plugger.attach(name, [vf_nic(vf, "yes")])
        assert plugger.detach(name, "ua-vf1", wait=600).warnings == ()
    plugger.attach(first.name, [vf_nic(vf, "yes")])
    first.destroy()
    with pytest.raises(VirtnetplugError, match=f"held for {first.name}.*`recover"):
        plugger.attach(vm.name, [vf_nic(vf, "yes")])
    plugger.recover()
    plugger.attach(vm.name, [vf_nic(vf, "yes")])
    plugger.detach(vm.name, "ua-vf1", wait=600)
    assert_back(plugger, vm, before)


def test_a_reset_keeps_it_and_a_pause_makes_its_detach_wait(plugger: Plugger, vm: Guest) -> None:
    before = everything(plugger, vm)
    plugger.attach(vm.name, [pool_nic(more=VLAN)])
    (vf,) = vfs_of(vm)
    vm.reset()
    assert (vfs_of(vm), sriov.driver(vf)) == ([vf], "vfio-pci")
    vm.dom.suspend()
    outcome = plugger.detach(vm.name, "ua-vf1", wait=2)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-paused")
    vm.dom.resume()
    assert [each.result for each in plugger.recover(wait=600)] == [Result.DONE]
    assert_back(plugger, vm, before)


def test_vfio_pci_is_loaded_when_it_is_needed(plugger: Plugger, vm: Guest) -> None:
    before = everything(plugger, vm)
    subprocess.run(["modprobe", "-r", "vfio-pci"], check=True)
    plugger.attach(vm.name, [pool_nic()])
    assert plugger.detach(vm.name, "ua-vf1", wait=600).warnings == ()
    assert_back(plugger, vm, before)


UNFIT = {
    "a port profile, which takes a switch and a driver that know of it": (
        "<virtualport type='802.1Qbh'><parameters profileid='finance'/></virtualport>",
        "PortProfileRequest",
    ),
    "no address in the guest": ("<address type='unassigned'/>", "supported only for hostdevs"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_libvirt_refuses_only_when_it_has_begun_is_undone(plugger: Plugger, vm: Guest, what: str) -> None:
    before = everything(plugger, vm)
    more, told = UNFIT[what]
    with pytest.raises(VirtnetplugError, match=told) as caught:
        plugger.attach(vm.name, [pool_nic(more=more)])
    assert (caught.value.reason, caught.value.exit_code) == ("hypervisor-failed", 4)
    assert_back(plugger, vm, before)
    assert plugger._host.journal.open_operations() == []
