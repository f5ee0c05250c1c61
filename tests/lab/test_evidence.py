"""What a host sees of whether a guest drives its VF: nothing of the guest's own, and nothing that taints it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import libvirt
import pytest

import virtnetplug
from tests.lab.linux_guest import LinuxGuest
from tests.real import guests
from tests.real.namespace import wait_until
from virtnetplug import Plugger
from virtnetplug.lifecycle import State

MAC = "52:54:00:bb:00:03"
FROM_POOL = (
    f"<interface type='network'><mac address='{MAC}'/><source network='pool0'/><alias name='ua-vf1'/></interface>"
)


@pytest.fixture
def plugger(uri: str, tmp_path: Path) -> Iterator[Plugger]:
    with virtnetplug.open(uri, state_dir=tmp_path / "journal") as one:
        yield one


def frontend(plugger: Plugger, name: str) -> State:
    return plugger.show(name, "ua-vf1").nic.frontend


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_guest_without_a_driver_is_not_connected(
    plugger: Plugger, guest: Callable[..., guests.Guest], machine: str
) -> None:
    vm = guest(machine=machine)
    (nic,) = plugger.attach(vm.name, [FROM_POOL]).nics
    assert nic.host_address is not None
    assert not plugger._host.host_devices.is_msix_enabled(nic.host_address)
    assert frontend(plugger, vm.name) is State.UNKNOWN


def test_a_linux_guest_is_connected_once_its_driver_has_the_vf(
    plugger: Plugger, connection: libvirt.virConnect
) -> None:
    vm = LinuxGuest(connection, "pc")
    try:
        before = len(vm.said())
        plugger.attach(vm.dom.name(), [FROM_POOL])
        vm.wait_says(rf"NIC \w+ {MAC} driver=igbvf master=0 up=1 carrier=1", before)
        wait_until(lambda: frontend(plugger, vm.dom.name()) is State.CONNECTED, "the VF to be seen as connected")
        plugger.detach(vm.dom.name(), "ua-vf1")
    finally:
        vm.destroy()
