"""Guests that never let go, and administrators who take VFs away, or give them to other drivers, while guests have them."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab import hands, libvirtd, sriov
from tests.lab.figures import long
from tests.lab.nics import PFS, VLAN, pool_nic, vf_nic
from tests.lab.views import assert_back, everything, host_state, ports
from tests.real.guests import Guest
from tests.real.namespace import wait_until
from virtnetplug import Plugger, Result
from virtnetplug.errors import Failed, Refused

Start = Callable[..., Guest]


def kinds(plugger: Plugger) -> list[str]:
    return [finding.kind for finding in plugger.audit().findings]


def problems(plugger: Plugger, vf: str) -> str:
    """What `devices` says is wrong with it."""
    (view,) = (view for pf in plugger.devices().pfs for view in pf.vfs if str(view.device.address) == vf)
    return "; ".join(view.problems)


def lend(plugger: Plugger, vm: Guest, nic: str) -> str:
    """Attach it; which VF it got."""
    (attached,) = plugger.attach(vm.name, [nic]).nics
    return str(attached.host_address)


# -- the guest -----------------------------------------------------------------------------------


def check_nobody_gets(plugger: Plugger, vf: str, owner: Guest, other: Guest) -> None:
    lent = {lend(plugger, other, pool_nic(number)) for number in (2, 3, 4)}
    assert vf not in lent
    with pytest.raises(Refused, match=f"{vf} .*{owner.name}"):
        plugger.attach(other.name, [pool_nic(5)])
    with pytest.raises(Refused) as caught:
        plugger.attach(other.name, [vf_nic(vf, "yes", 5)])
    assert caught.value.reason == "host-device-busy"
    plugger.detach(other.name, ["ua-vf2", "ua-vf3", "ua-vf4"], wait=600)


@pytest.mark.parametrize("ending", ["resume", pytest.param("reset", marks=long), "destroy"])
def test_a_guest_that_never_lets_go(plugger: Plugger, guest: Start, vm: Guest, ending: str) -> None:
    other = guest() if ending == "resume" else None
    vm = guest() if ending == "destroy" else vm
    before = host_state(), ports(plugger)
    vf = lend(plugger, vm, pool_nic(more=VLAN))
    held = list(plugger._host.journal.holdings())
    vm.hold()
    outcome = plugger.detach(vm.name, "ua-vf1", wait=2)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-holds-device")
    assert {each.result for each in plugger.recover()} == {Result.PENDING}
    assert (sriov.driver(vf), ports(plugger)["pool0"]) == ("vfio-pci", [vf])
    assert list(plugger._host.journal.holdings()) == held
    if other is not None:
        check_nobody_gets(plugger, vf, vm, other)
    {"resume": vm.resume, "reset": vm.reset, "destroy": vm.destroy}[ending]()
    assert [each.result for each in plugger.recover(wait=600)] == [Result.DONE]
    assert (host_state(), ports(plugger), kinds(plugger)) == (before[0], before[1], [])
    assert plugger._host.journal.holdings() == []


# -- sriov_numvfs --------------------------------------------------------------------------------


@pytest.fixture
def vfs_again() -> Iterator[None]:
    """The second PF has its VFs after the test, come what may."""
    yield
    if len(sriov.vfs(PFS[1])) != 4:
        hands.make_vfs(PFS[1])


def without_macs() -> dict[str, Any]:
    """The host's state, but for the MACs, which VFs are given at random when they are made."""
    return {
        vf: (driver, has_link, dataclasses.replace(settings, mac=None, admin_mac=""))
        for vf, (driver, has_link, settings) in host_state().items()
    }


@pytest.mark.usefixtures("vfs_again")
def test_numvfs_set_to_0_under_a_guest_that_lets_go(plugger: Plugger, vm: Guest) -> None:
    """The kernel asks VFIO, that asks QEMU, that asks the guest; then all is gone, and the pool is empty."""
    before, defined = without_macs(), vm.dom.XMLDesc()
    vf = lend(plugger, vm, pool_nic(pool="pool1"))
    assert hands.set_numvfs(PFS[1], 0).is_done(60)
    wait_until(lambda: vm.aliases() == [], "libvirt to know")
    assert sorted(kinds(plugger)) == ["device-leaked", "nic-gone"]
    (outcome,) = plugger.recover()
    assert (outcome.operation, outcome.result) == ("return", Result.DONE) and "gone from the host" in outcome.message
    assert (plugger._host.journal.holdings(), ports(plugger)["pool1"], kinds(plugger)) == ([], [], [])
    with pytest.raises(Refused, match="no device at all") as caught:
        plugger.attach(vm.name, [pool_nic(pool="pool1")])
    assert caught.value.reason == "pool-exhausted"
    hands.make_vfs(PFS[1])
    assert (without_macs(), vm.dom.XMLDesc()) == (before, defined)
    assert lend(plugger, vm, pool_nic(pool="pool1")) == vf
    assert plugger.detach(vm.name, "ua-vf1", wait=600).warnings == ()


@pytest.mark.usefixtures("vfs_again")
def test_numvfs_set_to_0_under_a_guest_that_holds_on(
    plugger: Plugger, reopen: Callable[[], Plugger], vm: Guest
) -> None:
    """The write waits, and whoever reads sriov_numvfs: nothing of ours may. The other PF's VFs are lent as before."""
    vf = lend(plugger, vm, pool_nic(pool="pool1"))
    vm.hold()
    writing = hands.set_numvfs(PFS[1], 0)
    assert not writing.is_done(2)
    (finding,) = plugger.audit().findings
    assert (finding.kind, finding.device) == ("device-missing", vf) and "waits for the guest" in finding.message
    assert vf not in [str(view.device.address) for pf in plugger.devices().pfs for view in pf.vfs]
    assert [nic.alias for nic in plugger.list(vm.name)] == ["ua-vf1"]
    lend(plugger, vm, pool_nic(2))
    assert plugger.detach(vm.name, "ua-vf1", wait=2).result is Result.PENDING
    vm.resume()
    plugger.recover(wait=600)
    assert writing.is_done(60) and vm.aliases() == ["ua-vf2"]
    assert plugger.detach(vm.name, "ua-vf2", wait=600).result is Result.DONE
    plugger.recover(wait=600)
    assert (plugger._host.journal.holdings(), ports(plugger), kinds(plugger)) == ([], {"pool0": [], "pool1": []}, [])
    hands.make_vfs(PFS[1])
    lend_again(plugger, reopen, vm, vf)


def lend_again(plugger: Plugger, reopen: Callable[[], Plugger], vm: Guest, vf: str) -> None:
    """Lend that VF. libvirt may have lost count of the VF when it left the host: the error then says what helps, and that helps.

    libvirt looks at a device twice. A VF that leaves the host between the two looks stays counted for its guest.
    """
    fault: Failed | None = None
    try:
        lend(plugger, vm, vf_nic(vf, "yes", 3))
    except Failed as error:
        fault = error
    if fault is not None:
        assert fault.reason == "host-device-busy" and f"domain {vm.name} does not have it" in fault.message
        assert lend(plugger, vm, pool_nic(4, pool="pool1")) != vf
        assert plugger.detach(vm.name, "ua-vf4", wait=600).result is Result.DONE
        assert "restart libvirtd" in fault.message
        libvirtd.kill()
        libvirtd.start(vm)
        plugger = reopen()
        lend(plugger, vm, vf_nic(vf, "yes", 3))
    assert plugger.detach(vm.name, "ua-vf3", wait=600).warnings == ()
    assert (plugger._host.journal.holdings(), kinds(plugger)) == ([], [])


# -- another driver ------------------------------------------------------------------------------


def test_a_free_vf_on_vfio_by_hand(plugger: Plugger, vm: Guest) -> None:
    """`devices` says so; it is lent all the same, and goes back to its host's driver. One that a process has open is lent to nobody."""
    vf = sriov.vfs(PFS[1])[0]
    before = everything(plugger, vm)
    hands.bind(vf, "vfio-pci")
    try:
        assert "although nobody has it" in problems(plugger, vf)
        with hands.opened(vf):
            assert f"process {os.getpid()} has it open" in problems(plugger, vf)
            with pytest.raises(Refused, match=f"process {os.getpid()} has it open") as caught:
                plugger.attach(vm.name, [vf_nic(vf, "yes")])
            assert (caught.value.reason, caught.value.exit_code) == ("host-device-busy", 3)
            assert lend(plugger, vm, pool_nic(pool="pool1")) != vf
            plugger.detach(vm.name, "ua-vf1", wait=600)
        assert lend(plugger, vm, vf_nic(vf, "yes")) == vf
        assert plugger.detach(vm.name, "ua-vf1", wait=600).warnings == ()
        assert hands.is_home(vf) and problems(plugger, vf) == ""
    finally:
        if not hands.is_home(vf):
            hands.bind(vf, "igbvf")
    del before["host"][vf]  # it began anew, with another MAC
    now = everything(plugger, vm)
    del now["host"][vf]
    assert now == before


@pytest.mark.parametrize("managed", ["yes", "no"])
def test_a_free_vf_on_no_driver(plugger: Plugger, vm: Guest, managed: str) -> None:
    """It is lent, and goes back to its host's driver."""
    vf = sriov.vfs(PFS[1])[0]
    assert hands.unbind(vf).is_done(60)
    try:
        assert lend(plugger, vm, vf_nic(vf, managed)) == vf
        assert plugger.detach(vm.name, "ua-vf1", wait=600).warnings == ()
        assert hands.is_home(vf) and problems(plugger, vf) == ""
    finally:
        if not hands.is_home(vf):
            hands.bind(vf, "igbvf")
    assert (plugger._host.journal.holdings(), kinds(plugger)) == ([], [])


@pytest.mark.parametrize("managed", ["yes", "no"])
def test_a_lent_vf_taken_from_its_driver(plugger: Plugger, vm: Guest, managed: str) -> None:
    """Again the kernel asks the guest, and waits: then audit and recover say and mend it."""
    vf = sriov.vfs(PFS[1])[1]
    before = everything(plugger, vm)
    lend(plugger, vm, vf_nic(vf, managed, more=VLAN))
    assert hands.unbind(vf).is_done(60)
    wait_until(lambda: vm.aliases() == [], "libvirt to know")
    assert sorted(kinds(plugger)) == ["device-leaked", "nic-gone"]
    assert [(each.operation, each.result) for each in plugger.recover()] == [("return", Result.DONE)]
    assert_back(plugger, vm, before)
    assert kinds(plugger) == []


@pytest.mark.parametrize("managed", [pytest.param("yes", marks=long), "no"])
def test_a_lent_vf_taken_from_its_driver_while_its_guest_holds_on(plugger: Plugger, vm: Guest, managed: str) -> None:
    vf = sriov.vfs(PFS[1])[1]
    before = everything(plugger, vm)
    lend(plugger, vm, vf_nic(vf, managed, more=VLAN))
    vm.hold()
    writing = hands.unbind(vf)
    assert not writing.is_done(2)
    assert kinds(plugger) == ["device-driver"]
    assert "instead of vfio-pci" in problems(plugger, vf)
    assert plugger.detach(vm.name, "ua-vf1", wait=2).result is Result.PENDING
    vm.resume()
    assert writing.is_done(60)
    assert [each.result for each in plugger.recover(wait=600)] == [Result.DONE]
    assert_back(plugger, vm, before)
    assert kinds(plugger) == []


# -- the settings of one that a guest has --------------------------------------------------------


def test_settings_of_a_lent_vf_changed_by_hand(plugger: Plugger, vm: Guest) -> None:
    """Found with both values, set again only when that is asked for, and in any case the VF goes back as it was before it was lent."""
    before = everything(plugger, vm)
    vf = lend(plugger, vm, pool_nic(more=VLAN))
    lent = host_state()[vf]
    number = str(sriov.vfs(PFS[0]).index(vf))
    by_hand = ["ip", "link", "set", "pf0", "vf", number]
    for words in (["vlan", "7"], ["mac", "52:54:00:bb:07:07"], ["spoofchk", "off"]):
        subprocess.run([*by_hand, *words], check=True)
    (finding,) = plugger.audit().findings
    assert (finding.kind, finding.nic, finding.device) == ("vf-settings-differ", "ua-vf1", vf)
    for what in ("VLAN is 7 and not 42", "MAC is 52:54:00:bb:07:07", "spoofchk is False"):
        assert what in finding.message
    assert host_state()[vf] != lent, "an audit only looks"
    (mended,) = plugger.repair(plugger.audit()).findings
    assert mended.repaired is True
    assert host_state()[vf] == lent and kinds(plugger) == []
    subprocess.run([*by_hand, "vlan", "7"], check=True)
    assert plugger.detach(vm.name, "ua-vf1", wait=600).result is Result.DONE
    assert_back(plugger, vm, before)
