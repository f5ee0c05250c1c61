"""Assigned NICs on real VFs: lent, used, given back with proof, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import virtnetplug
from tests.contract.faults import Trigger, faulty
from tests.lab import sriov
from tests.real import guests
from tests.real.namespace import wait_until
from virtnetplug import Plugger, Result, Scope
from virtnetplug.adapters.linux.host_devices import LinuxHostDevices
from virtnetplug.errors import Refused, VirtnetplugError
from virtnetplug.lifecycle import State
from virtnetplug.model.interface import Vlan, VlanTag
from virtnetplug.model.pci import PciAddress

PFS = ["0000:01:00.0", "0000:02:00.0"]
MAC = "52:54:00:bb:01:{:02x}"
Open = Callable[[], Plugger]


@pytest.fixture
def reopen(uri: str, tmp_path: Path) -> Iterator[Open]:
    """``reopen()`` gives a plugger of a new process's view on one journal."""
    opened: list[Plugger] = []

    def one() -> Plugger:
        opened.append(virtnetplug.open(uri, state_dir=tmp_path / "journal"))
        return opened[-1]

    yield one
    for plugger in opened:
        plugger.close()


@pytest.fixture
def plugger(reopen: Open) -> Plugger:
    return reopen()


def pool_nic(number: int = 1, pool: str = "pool0", more: str = "") -> str:
    return (
        f"<interface type='network'><mac address='{MAC.format(number)}'/><source network='{pool}'/>{more}"
        f"<alias name='ua-vf{number}'/></interface>"
    )


def vf_nic(vf: str, managed: str, number: int = 1, more: str = "") -> str:
    address = PciAddress.parse(vf)
    return (
        f"<interface type='hostdev' managed='{managed}'><mac address='{MAC.format(number)}'/><source><address type='pci' "
        f"domain='0x0000' bus='0x{address.bus:02x}' slot='0x{address.slot:02x}' function='0x{address.function}'/></source>"
        f"{more}<alias name='ua-vf{number}'/></interface>"
    )


def host_state() -> dict[str, Any]:
    """Driver and every setting of every VF, but its interface's name, which changes at each rebind."""
    devices = LinuxHostDevices()
    return {
        str(device.address): (device.driver, device.netdev is not None, devices.settings(device.address))
        for device in devices.devices()
        if device.is_vf
    }


def ports(plugger: Plugger) -> dict[str, list[str]]:
    networks = plugger._host.networks
    return {pool: sorted(str(port.host_address) for port in networks.ports(pool)) for pool in ("pool0", "pool1")}


def everything(plugger: Plugger, vm: guests.Guest) -> dict[str, Any]:
    return {
        "host": host_state(),
        "ports": ports(plugger),
        "held": list(plugger._host.journal.holdings()),
        "open": [record.id for record in plugger._host.journal.open_operations()],
        "live": vm.dom.XMLDesc(0),
        "config": vm.dom.XMLDesc(2),
    }


def assert_back(plugger: Plugger, vm: guests.Guest, before: dict[str, Any], what: str = "") -> None:
    now = everything(plugger, vm)
    for view, was in before.items():
        assert now[view] == was, f"{what}: {view}"


SOURCES = {
    "pool": lambda: pool_nic(more="<vlan><tag id='42'/></vlan>"),
    "managed": lambda: vf_nic(sriov.vfs(PFS[1])[2], "yes", more="<vlan><tag id='42'/></vlan>"),
    "unmanaged": lambda: vf_nic(sriov.vfs(PFS[1])[3], "no", more="<vlan><tag id='42'/></vlan>"),
}


@pytest.mark.parametrize("machine", ["pc", "q35"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_vf_is_lent_and_given_back_as_it_was(
    plugger: Plugger, guest: Callable[..., guests.Guest], machine: str, source: str
) -> None:
    vm = guest(machine=machine)
    before = everything(plugger, vm)
    outcome = plugger.attach(vm.name, [SOURCES[source]()])
    (nic,) = outcome.nics
    vf = str(nic.host_address)
    assert (nic.type, nic.mac, nic.alias, nic.backend) == ("hostdev", MAC.format(1), "ua-vf1", State.CONNECTED)
    assert sriov.driver(vf) == "vfio-pci"
    settings = LinuxHostDevices().settings(PciAddress.parse(vf))
    assert (settings.admin_mac, settings.vlan) == (MAC.format(1), 42)
    if source == "pool":
        assert ports(plugger)["pool0"] == [vf] and nic.network == "pool0"
    assert plugger.audit().findings == ()
    outcome = plugger.detach(vm.name, vf)
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    assert_back(plugger, vm, before)
    assert plugger.audit().findings == ()


def test_both_halves(plugger: Plugger, guest: Callable[..., guests.Guest]) -> None:
    vm = guest()
    before = everything(plugger, vm)
    plugger.attach(vm.name, [pool_nic()], scope=Scope.BOTH)
    config = vm.dom.XMLDesc(2)
    assert "network='pool0'" in config and "hostdev" not in config
    assert plugger.detach(vm.name, "ua-vf1", scope=Scope.BOTH).result is Result.DONE
    assert_back(plugger, vm, before)


def test_settings_of_a_vf_in_use_change_through_its_pf(plugger: Plugger, guest: Callable[..., guests.Guest]) -> None:
    """libvirt refuses to update such a NIC at all; the PF does it, and the pool gets its VF back as it was."""
    vm = guest()
    before = everything(plugger, vm)
    (nic,) = plugger.attach(vm.name, [pool_nic(more="<vlan><tag id='42'/></vlan>")]).nics
    vf = nic.host_address
    assert vf is not None
    changes = {"vlan": Vlan((VlanTag(43),)), "trust": True, "spoofchk": False, "max_rate": 100}
    assert plugger.update(vm.name, "ua-vf1", changes).result is Result.DONE
    now = LinuxHostDevices().settings(vf)
    assert (now.vlan, now.trust, now.spoofchk, now.max_rate) == (43, True, False, 100)
    assert plugger.update(vm.name, "ua-vf1", changes).result is Result.ALREADY
    plugger.detach(vm.name, "ua-vf1", wait=60)
    assert_back(plugger, vm, before)


def test_a_guest_that_holds_on_keeps_its_vf_and_nobody_else_gets_it(
    plugger: Plugger, guest: Callable[..., guests.Guest]
) -> None:
    vm = guest()
    before = everything(plugger, vm)
    (nic,) = plugger.attach(vm.name, [pool_nic()]).nics
    vm.hold()
    outcome = plugger.detach(vm.name, "ua-vf1", wait=3)
    assert outcome.result is Result.PENDING
    assert sriov.driver(str(nic.host_address)) == "vfio-pci"
    (second,) = plugger.attach(vm.name, [pool_nic(2)]).nics
    assert second.host_address != nic.host_address
    vm.resume()
    assert {outcome.result for outcome in plugger.recover(wait=60)} == {Result.DONE}
    plugger.detach(vm.name, "ua-vf2", wait=60)
    assert_back(plugger, vm, before)


@pytest.mark.parametrize("how", ["destroy", "kill"])
def test_a_domain_that_ends_gives_its_vfs_back(plugger: Plugger, guest: Callable[..., guests.Guest], how: str) -> None:
    vm = guest()
    before = host_state(), ports(plugger)
    plugger.attach(vm.name, [pool_nic(1), pool_nic(2)])
    if how == "destroy":
        vm.destroy()
    else:
        os.kill(int(Path(f"/run/libvirt/qemu/{vm.name}.pid").read_text()), signal.SIGKILL)
        wait_until(lambda: not vm.dom.isActive(), "libvirt to see it")
    outcomes = plugger.recover()
    assert [(outcome.operation, outcome.result) for outcome in outcomes] == [("return", Result.DONE)] * 2
    assert (host_state(), ports(plugger)) == before
    assert plugger._host.journal.holdings() == []


def test_a_pool_lends_each_vf_once_and_says_who_has_them(plugger: Plugger, guest: Callable[..., guests.Guest]) -> None:
    vm = guest()
    before = everything(plugger, vm)
    first = sriov.vfs(PFS[0])[0]
    plugger.attach(vm.name, [vf_nic(first, "yes", 9)])  # the pool does not know of it
    lent = {str(plugger.attach(vm.name, [pool_nic(number)]).nics[0].host_address) for number in (1, 2, 3)}
    assert lent == set(sriov.vfs(PFS[0])[1:])
    with pytest.raises(Refused) as caught:
        plugger.attach(vm.name, [pool_nic(4)])
    assert caught.value.reason == "pool-exhausted" and vm.name in caught.value.message
    plugger.detach(vm.name, ["ua-vf9", "ua-vf1", "ua-vf2", "ua-vf3"], wait=60)
    assert_back(plugger, vm, before)


def test_a_pf_whose_link_is_down_lends_nothing(plugger: Plugger, guest: Callable[..., guests.Guest]) -> None:
    vm = guest()
    subprocess.run(["ip", "link", "set", "pf1", "down"], check=True)
    try:
        with pytest.raises(Refused, match="link of its PF 0000:02:00"):
            plugger.attach(vm.name, [pool_nic(pool="pool1")])
    finally:
        subprocess.run(["ip", "link", "set", "pf1", "up"], check=True)
        wait_until(lambda: Path("/sys/class/net/pf1/carrier").read_text().strip() == "1", "the link of pf1")


UNFIT = {
    "host-device-unfit": [lambda: vf_nic(PFS[0], "yes"), lambda: vf_nic("0000:00:00.0", "yes")],
    "host-device-missing": [lambda: vf_nic("0000:7f:10.0", "yes")],
    "network-missing": [lambda: pool_nic(pool="nosuchpool")],
    "vlan-invalid": [lambda: pool_nic(more="<vlan><tag id='4095'/></vlan>")],
}


def test_what_cannot_work_is_refused_before_anything_is_touched(
    plugger: Plugger, guest: Callable[..., guests.Guest]
) -> None:
    vm = guest()
    before = everything(plugger, vm)
    for reason, sources in UNFIT.items():
        for source in sources:
            with pytest.raises(Refused) as caught:
                plugger.attach(vm.name, [source()])
            assert (caught.value.reason, caught.value.exit_code) == (reason, 3)
    assert_back(plugger, vm, before)


def test_libvirtd_dies_while_a_vf_is_lent(plugger: Plugger, reopen: Open, guest: Callable[..., guests.Guest]) -> None:
    vm = guest()
    before = everything(plugger, vm)
    plugger.attach(vm.name, [pool_nic()])
    os.kill(int(Path("/run/libvirtd.pid").read_text()), signal.SIGKILL)
    time.sleep(0.5)
    subprocess.run(["libvirtd", "--daemon"], check=True)
    wait_until(lambda: Path("/run/libvirt/libvirt-sock").exists() and _answers(), "libvirtd to be back", 60)
    again = reopen()
    import libvirt

    vm.reconnect(libvirt.open("qemu:///system"))
    assert [nic.alias for nic in again.list(vm.name)] == ["ua-vf1"]
    assert again.detach(vm.name, "ua-vf1", wait=60).result is Result.DONE
    now = everything(again, vm)
    assert (now["host"], now["ports"], now["held"]) == (before["host"], before["ports"], [])


def _answers() -> bool:
    return subprocess.run(["virsh", "-q", "list"], capture_output=True).returncode == 0


OPERATIONS: dict[str, tuple[Callable[[Plugger, str], Any], Callable[[Plugger, str], Any]]] = {
    "attach": (lambda p, n: None, lambda p, n: p.attach(n, [pool_nic()], scope=Scope.LIVE, wait=60)),
    "detach": (lambda p, n: p.attach(n, [pool_nic()]), lambda p, n: p.detach(n, "ua-vf1", wait=60)),
}
EVERY = int(os.environ.get("VIRTNETPLUG_LAB_EVERY", "3"))
"""The quick suite breaks every third call; the long one, every call."""


def _calls(plugger: Plugger, name: str, operation: str) -> int:
    prepare, act = OPERATIONS[operation]
    prepare(plugger, name)
    trigger = Trigger(-1, "none")
    act(Plugger(faulty(plugger._host, trigger), lambda: None), name)
    if operation == "attach":
        plugger.detach(name, "ua-vf1", wait=60)
    return len(trigger.calls)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_fail_at_every_step(plugger: Plugger, guest: Callable[..., guests.Guest], operation: str) -> None:
    vm = guest()
    before = everything(plugger, vm)
    prepare, act = OPERATIONS[operation]
    for k in range(0, _calls(plugger, vm.name, operation), EVERY):
        prepare(plugger, vm.name)
        trigger = Trigger(k, "fail", after=bool(k % 2))
        try:
            act(Plugger(faulty(plugger._host, trigger), lambda: None), vm.name)
        except VirtnetplugError:
            plugger.recover(wait=60)
        _take_all_out(plugger, vm.name)
        assert_back(plugger, vm, before, f"{operation}, call {k} ({trigger.calls[-1]})")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_kill_at_every_step_then_recover(
    plugger: Plugger, reopen: Open, guest: Callable[..., guests.Guest], tmp_path: Path, operation: str
) -> None:
    vm = guest()
    before = everything(plugger, vm)
    calls = _calls(plugger, vm.name, operation)
    killed = 0
    for k in range(0, calls, EVERY):
        OPERATIONS[operation][0](plugger, vm.name)
        child = subprocess.run(
            [sys.executable, "-m", "tests.lab.test_hostdev", str(tmp_path / "journal"), vm.name, operation, str(k)],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert child.returncode in (-signal.SIGKILL, 7), child.stderr
        killed += child.returncode == -signal.SIGKILL
        plugger.recover(wait=60)
        _take_all_out(plugger, vm.name)
        assert_back(plugger, vm, before, f"{operation}, killed at call {k}")
    assert killed >= 0.7 * len(range(0, calls, EVERY))


def _take_all_out(plugger: Plugger, name: str) -> None:
    for nic in plugger.list(name):
        if not nic.live:
            continue  # gone already, its VF in quarantine because a look at the host had to fail
        plugger.detach(name, nic.alias or "", wait=60)
    plugger.recover(wait=60)


def test_many_cycles_leak_nothing(plugger: Plugger, guest: Callable[..., guests.Guest]) -> None:
    vm = guest()
    before = everything(plugger, vm)
    for _ in range(int(os.environ.get("VIRTNETPLUG_LAB_CYCLES", "5"))):
        plugger.attach(vm.name, [pool_nic()])
        assert plugger.detach(vm.name, "ua-vf1", wait=60).result is Result.DONE
    assert_back(plugger, vm, before)


def test_more_processes_than_vfs(plugger: Plugger, guest: Callable[..., guests.Guest], tmp_path: Path) -> None:
    vms = [guest() for _ in range(2)]
    before = host_state(), ports(plugger)
    children = []
    for number in range(8):
        command = ["virtnetplug", "-c", "qemu:///system", "--state-dir", str(tmp_path / "journal"), "--json"]
        command += ["attach", vms[number % 2].name, "--network", "pool0", "--alias", f"ua-vf{number + 1}"]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    said = [child.communicate(timeout=300)[0] for child in children]
    assert sorted(child.returncode for child in children) == [0] * 4 + [3] * 4, said
    held = [one.address for one in plugger._host.journal.holdings()]
    assert len(set(held)) == 4
    for vm in vms:
        _take_all_out(plugger, vm.name)
    assert (host_state(), ports(plugger)) == before


def main(state: str, name: str, operation: str, k: str) -> None:
    """The victim of `test_kill_at_every_step_then_recover`."""
    plugger = virtnetplug.open("qemu:///system", state_dir=Path(state))
    trigger = Trigger(int(k), "kill", after=bool(int(k) % 2))
    OPERATIONS[operation][1](Plugger(faulty(plugger._host, trigger), lambda: None), name)
    sys.exit(7)


if __name__ == "__main__":
    main(*sys.argv[1:])
