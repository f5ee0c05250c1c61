"""What a host sees of whether a guest drives its VF: nothing of the guest's own, and nothing that taints it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import virtnetplug
from tests.lab.figures import long
from tests.lab.linux_guest import BACKUP, LinuxGuest, Machine
from tests.lab.views import frontend
from tests.real import guests
from tests.real.namespace import wait_until
from virtnetplug import Plugger, Result
from virtnetplug.lifecycle import State
from virtnetplug.model.identity import UnplugPolicy

MAC = "52:54:00:bb:00:03"
FROM_POOL = (
    f"<interface type='network'><mac address='{MAC}'/><source network='pool0'/><alias name='ua-vf1'/></interface>"
)


@pytest.fixture
def plugger(uri: str, tmp_path: Path) -> Iterator[Plugger]:
    with virtnetplug.open(uri, state_dir=tmp_path / "journal") as one:
        yield one


EMULATED = (
    "<interface type='bridge'><mac address='52:54:00:bb:00:04'/><source bridge='br0'/><model type='virtio'/>"
    "<alias name='ua-e'/></interface>"
)


@pytest.mark.parametrize("machine", ["pc", pytest.param("q35", marks=long)])
def test_a_guest_without_a_driver_is_not_connected(
    plugger: Plugger, guest: Callable[..., guests.Guest], machine: str
) -> None:
    vm = guest(machine=machine)
    (nic,) = plugger.attach(vm.name, [FROM_POOL]).nics
    assert nic.host_address is not None
    assert not plugger._host.host_devices.is_msix_enabled(nic.host_address)
    assert frontend(plugger, vm.name) is State.UNKNOWN
    assert plugger.detach(vm.name, "ua-vf1", wait=600).result is Result.DONE  # a port outlives the guest of a test


@long  # `test_identity` looks at it after its hand-over
def test_a_linux_guest_is_connected_once_its_driver_has_the_vf(
    plugger: Plugger, linux: Callable[[Machine], LinuxGuest]
) -> None:
    vm = linux("q35")
    before = len(vm.said())
    plugger.attach(vm.dom.name(), [FROM_POOL])
    vm.wait_says(rf"NIC \w+ {MAC} driver=igbvf master=0 up=1 carrier=1", before)
    wait_until(lambda: frontend(plugger, vm.dom.name()) is State.CONNECTED, "the VF to be seen as connected")
    assert plugger.detach(vm.dom.name(), "ua-vf1", wait=600).result is Result.DONE


@long
def test_active_the_emulated_one_goes_once_the_guest_drives_the_vf(
    plugger: Plugger, linux: Callable[[Machine], LinuxGuest]
) -> None:
    vm = linux("pc")
    name = vm.dom.name()
    plugger.attach(name, [EMULATED])
    plugger.set_policy(name, unplug=UnplugPolicy.ACTIVE)
    before = len(vm.said())
    outcome = plugger.attach(name, [FROM_POOL], twin_of="ua-e")
    vm.wait_says(rf"NIC \w+ {MAC} driver=igbvf master=0 up=1 carrier=1", before)
    done = [*outcome.enforced]
    if not done:  # it took the guest longer than the attach, as it does
        wait_until(lambda: plugger.explain_policy(name).twins[0].is_connected, "the VF to be connected")
        (settled,) = plugger.recover(name, wait=600)
        assert (settled.operation, settled.result) == ("detach", Result.DONE)
    aliases = {nic.alias for nic in plugger.list(name) if nic.live}
    assert "ua-e" not in aliases and {"ua-vf1", BACKUP} <= aliases
    outcome = plugger.detach(name, "ua-vf1", restore_emulated=True, wait=600)
    assert (outcome.operation, outcome.result) == ("handback", Result.DONE)
    assert "ua-e" in {nic.alias for nic in plugger.list(name) if nic.live}
    plugger.clear_policy(name)
    plugger.forget_identity(name, "ua-e")
    assert plugger.detach(name, "ua-e", wait=600).result is Result.DONE
