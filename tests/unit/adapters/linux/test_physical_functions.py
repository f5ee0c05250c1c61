"""A PF's driver, VFs and interface through a /sys made here, whose kernel does what is written to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.adapters.linux.sriov import BARE_PF, PF, VF0, VF1, Tree, igb
from virtnetplug.adapters.linux import netdev_state, physical_functions
from virtnetplug.adapters.linux.host_devices import LinuxHostDevices
from virtnetplug.errors import HookFailed, HostDeviceFailed, HostDeviceMissing
from virtnetplug.model.host_device import NetdevState
from virtnetplug.model.pci import PciAddress

FIRST, BARE = PciAddress.parse(PF), PciAddress.parse(BARE_PF)


class Kernel(LinuxHostDevices):
    """Its `written` are what came to sysfs; `obeys` is false for one that accepts and does nothing."""

    def __init__(self, tree: Tree) -> None:
        super().__init__(sys=tree.root)
        self.tree, self.written, self.obeys = tree, [], True  # type: ignore[var-annotated]
        self._udev = tree.root / "udev"

    def _write(self, place: Path, text: str, what: str) -> None:
        self.written.append((str(place.relative_to(self.tree.root)), text))
        if not self.obeys:
            return
        if place.name == "sriov_numvfs":
            super()._write(place, text, what)
            for index, vf in enumerate((VF0, VF1)):
                link = self.tree.devices / PF / f"virtfn{index}"
                link.unlink(missing_ok=True)
                if index < int(text):
                    link.symlink_to(f"../{vf}")
        elif place.name == "unbind":
            (self.tree.devices / text / "driver").unlink()
        else:
            self.tree.bind(text, place.parent.name)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    monkeypatch.setattr(physical_functions, "NETDEV_SECONDS", 0.05)
    return Kernel(igb(tmp_path))


def test_a_number_changes_by_way_of_none(kernel: Kernel) -> None:
    kernel.set_num_vfs(FIRST, 2)
    assert kernel.written == [], "it has so many"
    kernel.set_num_vfs(FIRST, 1)
    place = f"bus/pci/devices/{PF}/sriov_numvfs"
    assert kernel.written == [(place, "0"), (place, "1")]
    kernel.set_num_vfs(FIRST, 0)
    assert kernel.written[2:] == [(place, "0")] and kernel.vfs(FIRST) == []


def test_vfs_that_do_not_come_are_missed(kernel: Kernel) -> None:
    kernel.obeys = False
    with pytest.raises(HostDeviceFailed, match="was to have 1 VFs, and has 2"):
        kernel.set_num_vfs(FIRST, 1)


def test_a_driver_is_taken_and_given(kernel: Kernel) -> None:
    kernel.bind(FIRST, "igb")
    assert kernel.written == [], "it has that one"
    kernel.unbind(FIRST)
    kernel.unbind(FIRST)
    assert kernel.written == [(f"bus/pci/devices/{PF}/driver/unbind", PF)]
    assert kernel.device(FIRST).driver is None
    kernel.bind(FIRST, "igb")
    assert kernel.written[1:] == [("bus/pci/drivers/igb/bind", PF)] and kernel.device(FIRST).driver == "igb"
    kernel.obeys = False
    with pytest.raises(HostDeviceFailed, match="did not take it"):
        kernel.bind(FIRST, "other")


def test_what_the_kernel_refuses_is_told(tmp_path: Path) -> None:
    devices = LinuxHostDevices(sys=igb(tmp_path).root)
    with pytest.raises(HostDeviceFailed, match=r"would not give 0000:01:00.0 to driver nosuch: No such file"):
        devices.bind(FIRST, "nosuch")
    with pytest.raises(HostDeviceMissing):
        devices.set_num_vfs(PciAddress.parse("0000:7f:00.0"), 1)


def test_without_root_nothing_can_be_changed(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernel.obstacle(FIRST) is None
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "run this as root" in (kernel.obstacle(FIRST) or "")


def test_an_interface_is_waited_for_and_what_it_did_not_get_is_named(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = NetdevState(name="eth0")
    with pytest.raises(HostDeviceFailed, match="made no network interface, which was eth0"):
        kernel.restore_netdev(BARE, state)
    monkeypatch.setattr(netdev_state, "restore", lambda index, wanted: ["being in br0: gone"] if index == 2 else [])
    with pytest.raises(HostDeviceFailed, match=r"eth0, the interface of .*, was restored without being in br0: gone"):
        kernel.restore_netdev(FIRST, state)


def test_udev_has_to_be_done_with_it_first(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would rename what has just got its name back."""
    asked: list[str] = []
    monkeypatch.setattr(physical_functions, "UDEV_SECONDS", 0.2)
    monkeypatch.setattr(netdev_state, "restore", lambda index, wanted: asked.append("restored") or [])
    is_known = kernel._is_known_to_udev

    def look(index: int) -> bool:
        asked.append("udev")
        (kernel.tree.root / "udev").mkdir(exist_ok=True)
        if len(asked) > 1:
            (kernel.tree.root / f"udev/n{index}").touch()
        return is_known(index)

    monkeypatch.setattr(kernel, "_is_known_to_udev", look)
    kernel.restore_netdev(FIRST, NetdevState(name="eth0"))
    assert asked == ["udev", "udev", "restored"]


def test_an_interface_elsewhere_has_no_state(kernel: Kernel) -> None:
    assert kernel.netdev_state(BARE) is None and kernel.links_above(BARE) == []


def test_a_hook_is_told_which_pf_and_sees_no_shell(kernel: Kernel, tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = ["sh", "-c", f'echo "$VIRTNETPLUG_PF $VIRTNETPLUG_NETDEV $1" >{told}', "sh", "$(id) ;"]
    assert kernel.hook_fault(command) is None
    kernel.run_hook(FIRST, command)
    assert told.read_text() == f"{PF} eth0 $(id) ;\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["sh", "-c", "echo one; echo two >&2; exit 7"], "'sh' ended with status 7: two"),
        (["false"], "'false' ended with status 1: it printed nothing"),
        (["/nosuch/flash"], "'/nosuch/flash' could not be run: No such file or directory"),
    ],
)
def test_a_hook_that_fails(kernel: Kernel, command: list[str], said: str) -> None:
    with pytest.raises(HookFailed, match=said):
        kernel.run_hook(FIRST, command)


def test_a_hook_that_cannot_be_run_is_known_before(kernel: Kernel) -> None:
    assert "no program '/nosuch/flash'" in (kernel.hook_fault(["/nosuch/flash"]) or "")
    assert kernel.hook_fault([]) == "it names no program"
