"""VFs that are made anew at the address of one that was lent: by hand, by the PF's driver, by udev. Nothing is written to them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import libvirt
import pytest

from tests.lab import hands, sriov
from tests.lab.nics import PFS, VLAN, pool_nic
from tests.lab.views import ports
from tests.real.guests import Guest
from tests.real.namespace import wait_until
from virtnetplug import Plugger, Result
from virtnetplug.adapters.linux.host_devices import LinuxHostDevices
from virtnetplug.backends import hostdev
from virtnetplug.model.host_device import VfSettings
from virtnetplug.model.pci import PciAddress

PF = PFS[1]
LINK = Path("/etc/systemd/network/00-vfs.link")


def by_numvfs() -> None:
    assert hands.set_numvfs(PF, 0).is_done(60)
    hands.make_vfs(PF)


def by_driver() -> None:
    """The PF's driver has its own device anew, and a person makes VFs as there were."""
    name = sriov.net_names(PF)[0]
    assert hands.unbind(PF).is_done(60)
    Path("/sys/bus/pci/drivers/igb/bind").write_text(PF)
    wait_until(lambda: len(sriov.net_names(PF)) == 1, "the interface of the PF")
    subprocess.run(["udevadm", "settle"], check=True)
    now = sriov.net_names(PF)[0]
    if now != name:
        subprocess.run(["ip", "link", "set", now, "name", name], check=True)
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    hands.make_vfs(PF)


def by_udev() -> None:
    """``SR-IOVVirtualFunctions=`` of systemd.link(5), by which a host's network configuration makes VFs."""
    name = sriov.net_names(PF)[0]
    LINK.parent.mkdir(parents=True, exist_ok=True)
    for number in (3, 4):
        LINK.write_text(f"[Match]\nOriginalName={name}\n\n[Link]\nSR-IOVVirtualFunctions={number}\n")
        subprocess.run(["udevadm", "control", "--reload"], check=True)
        subprocess.run(["udevadm", "trigger", "--action=add", "--settle", f"/sys/class/net/{name}"], check=True)
        wait_until(lambda number=number: len(sriov.vfs(PF)) == number, f"{number} VFs")  # type: ignore[misc]
    wait_until(lambda: all(map(hands.is_home, sriov.vfs(PF))), "the VFs' drivers")


WAYS: dict[str, tuple[Callable[[], None], str]] = {
    "numvfs": (by_numvfs, "made anew"),
    "driver": (by_driver, "bound anew"),
    "udev": (by_udev, "made anew"),
}


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The PF has its four VFs, with nothing set of them, come what may."""
    yield
    LINK.unlink(missing_ok=True)
    by_numvfs()


def lend(plugger: Plugger, vm: Guest) -> PciAddress:
    (attached,) = plugger.attach(vm.name, [pool_nic(pool="pool1", more=VLAN)]).nics
    assert attached.host_address is not None
    return attached.host_address


def set_by_hand(vf: PciAddress) -> VfSettings:
    """What somebody sets of the VF that has come."""
    index = str(sriov.vfs(PF).index(str(vf)))
    name = sriov.net_names(PF)[0]
    subprocess.run(["ip", "link", "set", name, "vf", index, "vlan", "7", "mac", "02:bb:00:00:00:07"], check=True)
    return LinuxHostDevices().settings(vf)


def is_over(plugger: Plugger) -> bool:
    return plugger._host.journal.holdings() == [] and ports(plugger)["pool1"] == []


@pytest.mark.parametrize("way", WAYS)
def test_vfs_made_anew_after_the_guest_has_ended(plugger: Plugger, guest: Callable[..., Guest], way: str) -> None:
    (change, words), vm = WAYS[way], guest()
    vf = lend(plugger, vm)
    (was,) = plugger._host.journal.holdings()
    vm.dom.destroy()
    wait_until(lambda: hands.is_home(str(vf)), "libvirt to give the VF back")
    assert LinuxHostDevices().identity(vf) == was.identity, "from igbvf to vfio-pci and back it is the same"
    change()
    kept, driver = set_by_hand(vf), sriov.driver(str(vf))
    (outcome,) = [each for each in plugger.recover() if each.operation == "return"]
    assert (outcome.result, outcome.reason) == (Result.DONE, "vf-changed") and words in outcome.message
    assert (LinuxHostDevices().settings(vf), sriov.driver(str(vf))) == (kept, driver)
    assert is_over(plugger) and plugger.recover() == ()


@pytest.mark.parametrize("way", WAYS)
def test_vfs_made_anew_between_let_go_and_return(
    plugger: Plugger, vm: Guest, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    change, words = WAYS[way]
    vf, kept, return_to_host = lend(plugger, vm), [], hostdev.return_to_host

    def late(*args: Any, **named: Any) -> Any:
        wait_until(lambda: hands.is_home(str(vf)), "libvirt to give the VF back")
        change()
        kept.append(set_by_hand(vf))
        return return_to_host(*args, **named)

    monkeypatch.setattr(hostdev, "return_to_host", late)
    outcome = plugger.detach(vm.name, "ua-vf1", wait=600)
    (warning,) = outcome.warnings
    assert outcome.result is Result.DONE and words in warning
    assert [LinuxHostDevices().settings(vf)] == kept and is_over(plugger)
    monkeypatch.undo()
    again = lend(plugger, vm)
    assert plugger.detach(vm.name, "ua-vf1", wait=600).warnings == ()
    assert again != vf or [LinuxHostDevices().settings(vf)] == kept, "it goes back as it came"


@pytest.mark.parametrize("is_ours", [True, False], ids=["same-guest", "another-guest"])
def test_a_vf_that_another_nic_has_is_let_go(plugger: Plugger, guest: Callable[..., Guest], is_ours: bool) -> None:
    """Plain libvirt took it from its NIC and gave it to another one, for which somebody set it."""
    vm = guest()
    vf = lend(plugger, vm)
    detach_by_libvirt(vm, vf)
    other = vm if is_ours else guest()
    element = (
        "<interface type='hostdev' managed='yes'><mac address='52:54:00:bb:00:77'/><source><address type='pci' "
        f"domain='{vf.domain:#06x}' bus='{vf.bus:#04x}' slot='{vf.slot:#04x}' function='{vf.function:#x}'/></source></interface>"
    )
    other.dom.attachDeviceFlags(element, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    kept = set_by_hand(vf)
    found = {one.kind for one in plugger.audit().findings}
    assert "device-leaked" in found and "vf-settings-differ" not in found
    (outcome,) = [each for each in plugger.recover() if each.operation == "return"]
    assert outcome.result is Result.DONE and f"given host device {vf} to a NIC of {other.name} since" in outcome.message
    assert LinuxHostDevices().settings(vf) == kept and is_over(plugger)
    detach_by_libvirt(other, vf)


def detach_by_libvirt(vm: Guest, vf: PciAddress) -> None:
    """The NIC that has the VF, and wait until libvirt has given it back."""
    (net,) = [net for net in vm.xml().iterfind("devices/interface") if net.get("type") == "hostdev"]
    vm.dom.detachDeviceFlags(ElementTree.tostring(net, encoding="unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    wait_until(lambda: hands.is_home(str(vf)), "libvirt to give the VF back")


def test_a_pf_that_is_renamed_is_the_same(plugger: Plugger, vm: Guest) -> None:
    vf, (name,) = lend(plugger, vm), sriov.net_names(PF)
    before = LinuxHostDevices().identity(vf)
    rename(name, "lan0")
    try:
        assert LinuxHostDevices().identity(vf) == before
        assert plugger.update(vm.name, "ua-vf1", {"spoofchk": False}).result is Result.DONE
        assert plugger.detach(vm.name, "ua-vf1", wait=600).warnings == ()
        assert is_over(plugger)
    finally:
        rename("lan0", name)


def rename(old: str, new: str) -> None:
    for words in (f"{old} down", f"{old} name {new}", f"{new} up"):
        subprocess.run(["ip", "link", "set", *words.split()], check=True)
