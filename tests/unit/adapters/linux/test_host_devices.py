"""The host's VFs and their settings: a /sys made here, and a kernel that keeps what is set."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.adapters.linux.sriov import BARE_PF, PF, VF0, VF1, Tree, igb
from virtnetplug.adapters.linux import rtnetlink, vf
from virtnetplug.adapters.linux.host_devices import LinuxHostDevices
from virtnetplug.adapters.linux.host_facts import LinuxHostFacts
from virtnetplug.errors import HostDeviceFailed, HostDeviceMissing, HostDeviceUnfit
from virtnetplug.model.host_device import NO_MAC, Boot, VfCounters, VfSettings
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.host import ModuleFault

FIRST, SECOND = PciAddress.parse(VF0), PciAddress.parse(VF1)
MAC = "52:54:00:12:34:56"
PLAIN = VfSettings(
    admin_mac=NO_MAC,
    vlan=0,
    qos=0,
    vlan_proto="802.1Q",
    spoofchk=True,
    trust=False,
    min_rate=0,
    max_rate=0,
    link_state="auto",
)


class Kernel:
    """The kernel's view of eth0 (index 2) with two VFs; `refuses` maps a setter to its error."""

    def __init__(self) -> None:
        self.vfs = {0: PLAIN, 1: PLAIN}
        self.log: list[str] = []
        self.refuses: dict[str, int] = {}

    def read(self, pf: int) -> Mapping[int, VfSettings]:
        assert pf == 2
        return dict(self.vfs)

    def set(self, pf: int, index: int, setting: str, *values: object) -> None:
        self._log(setting.removeprefix("admin ").lower().replace(" ", "_"))
        assert pf == 2
        self.vfs[index] = dataclasses.replace(self.vfs[index], **dict(zip(vf.SETTINGS[setting], values, strict=True)))

    def write(self, index: int, attribute: bytes) -> None:
        self._log(f"own {index} {attribute[4:].hex()}")

    def _log(self, name: str) -> None:
        self.log.append(name)
        if name in self.refuses:
            raise OSError(self.refuses[name], os.strerror(self.refuses[name]))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    one = Kernel()
    monkeypatch.setattr(vf, "read", one.read)
    monkeypatch.setattr(rtnetlink, "write", one.write)
    monkeypatch.setattr(vf, "write", one.set)
    return one


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return igb(tmp_path)


@pytest.fixture
def host(tree: Tree, kernel: Kernel, tmp_path: Path) -> LinuxHostDevices:
    (tmp_path / "proc").mkdir()
    return LinuxHostDevices(tree.root, tmp_path / "proc")


def test_settings_are_the_pfs_view_and_the_vfs_own(host: LinuxHostDevices) -> None:
    assert host.settings(FIRST) == VfSettings(mac="02:00:00:00:00:01", spoofchk=True, trust=False, mtu=1500)
    on_vfio = host.settings(SECOND)
    assert (on_vfio.mac, on_vfio.mtu) == (None, None)
    assert VfSettings(**dataclasses.asdict(on_vfio)) == on_vfio


def test_a_link_state_that_the_driver_does_not_have_is_none(host: LinuxHostDevices, tree: Tree) -> None:
    assert host.settings(FIRST).link_state is None
    tree.bind(PF, "ice")
    assert host.settings(FIRST).link_state == "auto"


def test_only_what_differs_and_is_said_is_set(host: LinuxHostDevices, kernel: Kernel) -> None:
    now = host.settings(FIRST)
    host.apply(FIRST, now)
    host.apply(FIRST, dataclasses.replace(now, mac=None, spoofchk=None, trust=None, mtu=None))
    assert kernel.log == []
    host.apply(FIRST, dataclasses.replace(now, vlan=7, max_rate=100, admin_mac=MAC, spoofchk=False, trust=True))
    assert kernel.log == ["mac", "vlan", "rate", "spoofchk", "trust"]
    assert kernel.vfs[0] == dataclasses.replace(PLAIN, vlan=7, max_rate=100, admin_mac=MAC, spoofchk=False, trust=True)
    assert kernel.vfs[1] == PLAIN
    host.apply(FIRST, now)
    assert kernel.vfs[0] == PLAIN, "back as it was"


def test_its_own_mac_comes_after_what_lets_it_change(host: LinuxHostDevices, kernel: Kernel) -> None:
    now = host.settings(FIRST)
    host.apply(FIRST, dataclasses.replace(now, mac=MAC, trust=True, mtu=9000))
    assert kernel.log == ["trust", "own 7 525400123456" + "0000", "own 7 28230000"]


def test_all_is_tried_and_what_failed_is_named(host: LinuxHostDevices, kernel: Kernel) -> None:
    kernel.refuses = {"vlan": errno.EPERM, "link_state": errno.EOPNOTSUPP, "rate": errno.EINVAL}
    wanted = VfSettings(vlan=7, max_rate=10_000, trust=True, link_state="enable", mac=MAC)
    with pytest.raises(HostDeviceFailed) as caught:
        host.apply(SECOND, wanted)
    text = caught.value.message
    assert "VLAN: Operation not permitted; it takes CAP_NET_ADMIN" in text
    assert "link state: Operation not supported: the driver igb of its PF eth0 has no such setting" in text
    assert "rate: Invalid argument; a rate must be below the speed of eth0" in text
    assert "MAC of its own interface: it has no network interface while its driver is vfio-pci" in text
    assert kernel.vfs[1].trust is True


def test_what_cannot_be_set_at_all(host: LinuxHostDevices, kernel: Kernel, tree: Tree) -> None:
    with pytest.raises(HostDeviceUnfit, match="is no VF"):
        host.settings(PciAddress.parse(PF))
    with pytest.raises(HostDeviceMissing):
        host.settings(PciAddress.parse("0000:09:00.0"))
    del kernel.vfs[1]
    with pytest.raises(HostDeviceMissing, match="knows no VF 1"):
        host.settings(SECOND)
    (tree.devices / PF / "net").rename(tree.devices / PF / "gone")
    with pytest.raises(HostDeviceUnfit, match="has no network interface here"):
        host.apply(FIRST, VfSettings())
    assert host.vfs(PciAddress.parse(BARE_PF)) == []


def hold(proc: Path, pid: int, *files: str) -> Path:
    folder = proc / str(pid) / "fd"
    folder.mkdir(parents=True)
    for number, file in enumerate(files):
        (folder / str(number)).symlink_to(file)
    return folder


def test_who_holds_a_group(host: LinuxHostDevices, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc = tmp_path / "proc"
    hold(proc, 10, "/dev/vfio/vfio", "/dev/vfio/12")
    hold(proc, 11, "/dev/vfio/12 (deleted)", "socket:[7]")
    hold(proc, 12, "/dev/vfio/121", "/dev/vfio/1", "/tmp/dev/vfio/12")
    (proc / "13").mkdir()
    (proc / "version").write_text("no process")
    assert host.vfio_users(SECOND) == {10, 11}
    assert host.vfio_users(FIRST) == frozenset()
    real = os.listdir

    def listdir(path: str) -> list[str]:
        if str(path).endswith("/12/fd"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    with pytest.raises(HostDeviceFailed, match=r"cannot be seen .*process 12.*run this as root"):
        host.vfio_users(SECOND)
    tree.bind(VF1, "igbvf")  # VFIO has let go of it, and so has everybody
    assert host.vfio_users(SECOND) == frozenset()
    with pytest.raises(HostDeviceMissing):
        host.vfio_users(PciAddress(0, 9, 0, 0))


def test_counters_are_by_address_and_of_one_pf(host: LinuxHostDevices, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def read(pf: int) -> dict[int, VfCounters]:
        asked.append(pf)
        return {1: VfCounters(rx_packets=3), 6: VfCounters(rx_packets=9)}

    monkeypatch.setattr(vf, "read_counters", read)
    assert host.counters(PciAddress.parse(PF)) == {SECOND: VfCounters(rx_packets=3)}
    assert asked == [2]
    with pytest.raises(HostDeviceUnfit, match="no network interface"):
        host.counters(PciAddress.parse(BARE_PF))
    with pytest.raises(HostDeviceMissing):
        host.counters(PciAddress(0, 9, 0, 0))


def test_counters_that_cannot_be_read_are_a_failure(host: LinuxHostDevices, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(pf: int) -> dict[int, VfCounters]:
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))

    monkeypatch.setattr(vf, "read_counters", read)
    with pytest.raises(HostDeviceFailed, match="counters of the VFs of eth0 cannot be read: Message too long"):
        host.counters(PciAddress.parse(PF))


class Facts(LinuxHostFacts):
    """Facts of a host where all is well unless a test changes them."""

    root = True
    fault: ModuleFault | None = None

    def is_root(self) -> bool:
        return self.root

    def module_fault(self, name: str) -> ModuleFault | None:
        assert name == "vfio-pci"
        return self.fault


def test_what_keeps_every_device_from_being_lent(tree: Tree) -> None:
    facts = Facts()
    host = LinuxHostDevices(tree.root, facts=facts)
    assert host.obstacles() == []
    facts.root = False
    facts.fault = ModuleFault(found="kernel 6 has no module vfio-pci", remedy="install one")
    reasons = [(one.reason, one.message) for one in host.obstacles()]
    assert [reason for reason, _ in reasons] == ["permission-denied", "vfio-missing"]
    assert "as root" in reasons[0][1] and reasons[1][1] == "kernel 6 has no module vfio-pci. Remedy: install one."
    facts.root, facts.fault = True, ModuleFault(found="it cannot be seen", remedy="", is_certain=False)
    assert host.obstacles() == [], "what is not known is no reason to refuse"


def test_whether_a_guests_driver_has_switched_msix_on(host: LinuxHostDevices, tree: Tree) -> None:
    place = tree.devices / VF0 / "config"
    with pytest.raises(HostDeviceFailed, match="cannot be read"):
        host.is_msix_enabled(FIRST)
    space = bytearray(256)
    space[0x06], space[0x34], space[0x70] = 0x10, 0x70, 0x11
    place.write_bytes(space)
    assert host.is_msix_enabled(FIRST) is False
    space[0x73] = 0x80
    place.write_bytes(space)
    assert host.is_msix_enabled(FIRST) is True
    place.write_bytes(space[:64])  # what sysfs gives to an ordinary user
    with pytest.raises(HostDeviceFailed, match="as root"):
        host.is_msix_enabled(FIRST)
    with pytest.raises(HostDeviceMissing):
        host.is_msix_enabled(PciAddress(0, 9, 0, 0))


def test_which_vf_it_is(host: LinuxHostDevices, tree: Tree, tmp_path: Path) -> None:
    """A VF stays the same under another driver of its own. A new binding of its PF or a new directory makes another VF."""
    was = host.identity(FIRST)
    assert (was.boot, was.pf, was.driver, was.index) == ("", PF, "igb", 0)
    assert (
        was.inode == (tree.devices / VF0).stat().st_ino and was.binding == (tree.devices / PF / "driver").lstat().st_ino
    )
    assert host.identity(SECOND).change(was) == f"that was VF 1 of PF {PF}, and this is VF 0 of PF {PF}"
    tree.bind(VF0, "vfio-pci")
    assert host.identity(FIRST) == was
    (tree.devices / PF / "driver").rename(tmp_path / "kept")  # so that its inode is not given again
    tree.bind(PF, "igb")
    assert was.change(now := host.identity(FIRST)) == f"the driver of PF {PF} was bound anew since"
    shutil.copytree(tree.devices / VF0, tmp_path / "anew", symlinks=True)
    (tree.devices / VF0).rename(tmp_path / "old")
    (tmp_path / "anew").rename(tree.devices / VF0)
    assert now.change(host.identity(FIRST)) == f"the VFs of PF {PF} were made anew since"
    (tree.devices / PF / "driver").unlink()
    without = host.identity(FIRST)
    assert (without.driver, without.binding) == ("", 0) and now.change(without) is not None


def test_which_boot_it_is(host: LinuxHostDevices, tmp_path: Path) -> None:
    assert host.boot() == Boot("", 0.0)
    (tmp_path / "proc/sys/kernel/random").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/random/boot_id").write_text("649619ce-4017\n")
    (tmp_path / "proc/stat").write_text("cpu  1 2 3\nbtime 1700000000\nprocesses 7\n")
    assert host.boot() == Boot("649619ce-4017", 1700000000.0)
    assert host.identity(FIRST).boot == "649619ce-4017"
    assert (
        dataclasses.replace(host.identity(FIRST), boot="x").change(host.identity(FIRST))
        == "this host was started anew since"
    )


def test_only_a_vf_that_is_there_is_one(host: LinuxHostDevices) -> None:
    with pytest.raises(HostDeviceUnfit, match="is no VF"):
        host.identity(PciAddress.parse(PF))
    with pytest.raises(HostDeviceMissing):
        host.identity(PciAddress.parse("0000:7f:00.0"))
