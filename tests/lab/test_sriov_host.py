"""The SR-IOV lab is what it says, and bare libvirt can plug its VFs: what every other test here stands on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from xml.etree import ElementTree

import libvirt
import pytest

from tests.lab import sriov
from tests.lab.figures import long
from tests.lab.linux_guest import BACKUP, FAST, LinuxGuest, Machine
from tests.real import guests
from tests.real.namespace import wait_until

PFS = ["0000:01:00.0", "0000:02:00.0"]
TEAM = f"<teaming type='transient' persistent='{BACKUP}'/><alias name='{FAST}'/>"
FROM_POOL = "<interface type='network'><mac address='{mac}'/><source network='{pool}'/>{more}</interface>"


def hostdev_nic(dom: libvirt.virDomain) -> tuple[str, str] | None:
    """Alias and PCI address on the host of its only assigned NIC."""
    found = ElementTree.fromstring(dom.XMLDesc()).findall("devices/interface[@type='hostdev']")
    if not found:
        return None
    (nic,) = found
    alias, source = nic.find("alias"), nic.find("source/address")
    assert alias is not None and source is not None
    part = {name: int(source.attrib[name], 16) for name in ("domain", "bus", "slot", "function")}
    return alias.attrib["name"], "{domain:04x}:{bus:02x}:{slot:02x}.{function:x}".format(**part)


def attach(dom: libvirt.virDomain, pool: str, mac: str, more: str = "") -> tuple[str, str]:
    """Give it a VF of `pool`; alias and PCI address."""
    dom.attachDeviceFlags(FROM_POOL.format(mac=mac, pool=pool, more=more), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    nic = hostdev_nic(dom)
    assert nic is not None
    return nic


def is_home(vf: str) -> bool:
    """Whether a VF is the host's again, with its link."""
    return sriov.driver(vf) == "igbvf" and len(sriov.net_names(vf)) == 1


def test_two_pfs_with_four_vfs_each() -> None:
    assert sriov.pfs() == PFS
    assert [sriov.net_names(pf) for pf in PFS] == [["pf0"], ["pf1"]]
    assert [len(sriov.vfs(pf)) for pf in PFS] == [4, 4]


def test_each_vf_is_ready_and_alone_in_its_iommu_group() -> None:
    for vf in sriov.vfs(PFS[0]) + sriov.vfs(PFS[1]):
        assert is_home(vf)
        assert sriov.group(vf) == [vf]


@pytest.mark.parametrize("number", [0, 1])
def test_a_pool_for_each_pf(connection: libvirt.virConnect, number: int) -> None:
    pool = connection.networkLookupByName(f"pool{number}")
    assert pool.isActive() and pool.isPersistent()
    addresses = ElementTree.fromstring(pool.XMLDesc()).findall("forward[@mode='hostdev']/address")
    assert len(addresses) == 4
    assert pool.listAllPorts() == []


@pytest.mark.parametrize(("machine", "number"), [("pc", 0), pytest.param("q35", 1, marks=long)])
def test_a_vf_comes_and_goes(
    connection: libvirt.virConnect, guest: Callable[..., guests.Guest], machine: str, number: int
) -> None:
    vm = guest(machine=machine)
    pool = connection.networkLookupByName(f"pool{number}")
    alias, vf = attach(vm.dom, f"pool{number}", "52:54:00:bb:00:01")
    assert vf in sriov.vfs(PFS[number])
    assert sriov.driver(vf) == "vfio-pci" and sriov.net_names(vf) == []
    assert len(pool.listAllPorts()) == 1
    vm.dom.detachDeviceAlias(alias)
    wait_until(lambda: hostdev_nic(vm.dom) is None, "the NIC to be gone")
    wait_until(lambda: is_home(vf), f"{vf} to be back")
    assert pool.listAllPorts() == []


@long
def test_a_guest_holds_a_vf_for_as_long_as_it_is_told_to(
    connection: libvirt.virConnect, guest: Callable[..., guests.Guest]
) -> None:
    vm = guest()
    alias, vf = attach(vm.dom, "pool0", "52:54:00:bb:00:02")
    vm.hold()
    vm.dom.detachDeviceFlags(
        FROM_POOL.format(mac="52:54:00:bb:00:02", pool="pool0", more=""), libvirt.VIR_DOMAIN_AFFECT_LIVE
    )  # answers success after 5 s
    assert hostdev_nic(vm.dom) == (alias, vf)
    assert sriov.driver(vf) == "vfio-pci"
    vm.resume()
    wait_until(lambda: hostdev_nic(vm.dom) is None, "the NIC to be gone")
    wait_until(lambda: is_home(vf), f"{vf} to be back")


@long
def test_a_linux_guest_drives_its_vf(linux: Callable[[Machine], LinuxGuest]) -> None:
    vm = linux("pc")
    mac = "52:54:00:bb:00:03"
    before = len(vm.said())
    alias, vf = attach(vm.dom, "pool0", mac)
    vm.wait_says(rf"NIC \w+ {mac} driver=igbvf master=0 up=1 carrier=1", before)
    before = len(vm.said())
    vm.dom.detachDeviceAlias(alias)
    vm.wait_says(rf"GONE \w+ {mac}", before)
    wait_until(lambda: is_home(vf), f"{vf} to be back")


@long
def test_a_linux_guest_keeps_its_network_when_the_vf_of_a_teaming_pair_goes(
    linux: Callable[[Machine], LinuxGuest],
) -> None:
    vm = linux("q35")
    before = len(vm.said())
    alias, vf = attach(vm.dom, "pool0", vm.mac, TEAM)
    vm.wait_says(rf"NIC \w+ {vm.mac} driver=igbvf master=[1-9]\d* up=1 carrier=1", before)
    fdb("del", vm)
    vm.wait_answers(vm.address)
    before = len(vm.said())
    vm.dom.detachDeviceAlias(alias)
    vm.wait_says(rf"GONE \w+ {vm.mac}", before)
    wait_until(lambda: is_home(vf), f"{vf} to be back")
    fdb("replace", vm)
    vm.wait_answers(vm.address)


def fdb(what: str, vm: LinuxGuest) -> None:
    """The bridge looks for the guest behind its virtio NIC, or not: libvirt leaves that to others, and the guest tells nobody (net_failover)."""
    nics = ElementTree.fromstring(vm.dom.XMLDesc()).findall("devices/interface[@type='bridge']/target")
    (tap,) = [nic.attrib["dev"] for nic in nics]
    words = ["bridge", "fdb", what, vm.mac, "dev", tap, "master", *(["dynamic"] if what == "replace" else [])]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 or what == "del", done.stderr  # it may know better already
