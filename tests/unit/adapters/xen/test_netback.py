"""Drivers of vifs, in a sysfs of files: it shows what a real one showed, and does what the test says."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from virtnetplug.adapters.xen import netback
from virtnetplug.adapters.xen.netback import XenVifDrivers
from virtnetplug.errors import HostDeviceFailed

VIF = "vif-1-0"


class Sys:
    """Two vifs with their driver; what is written to ``bind`` and ``unbind`` happens, unless `refusal` is set."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.driver, self.devices = root / "bus/xen-backend/drivers/vif", root / "bus/xen-backend/devices"
        self.driver.mkdir(parents=True)
        (root / "sys/kernel").mkdir(parents=True)
        for name in (VIF, "vif-1-1"):
            (self.devices / name).mkdir(parents=True)
            self.bind(name)
        self.refusal: int | None = None
        self.asked: list[tuple[str, str]] = []

    def bind(self, name: str) -> None:
        (self.driver / name).symlink_to(self.devices / name)
        (self.devices / name / "net" / name.replace("-", "", 1).replace("-", ".")).mkdir(parents=True)

    def unbind(self, name: str) -> None:
        (self.driver / name).unlink()
        for link in (self.devices / name / "net").iterdir():
            link.rmdir()
        (self.devices / name / "net").rmdir()

    def write(self, file: Path, name: str) -> None:
        self.asked.append((file.name, name))
        if self.refusal is not None:
            raise OSError(self.refusal, "refused")
        {"bind": self.bind, "unbind": self.unbind}[file.name](name)


@pytest.fixture
def sys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sys:
    made = Sys(tmp_path)
    monkeypatch.setattr(Path, "write_text", lambda path, text: made.write(path, text))
    return made


@pytest.fixture
def drivers(sys: Sys) -> XenVifDrivers:
    return XenVifDrivers(sys.root, sys.root)


def test_a_vif_without_its_driver_has_no_link(sys: Sys, drivers: XenVifDrivers) -> None:
    assert drivers.bound() == {VIF, "vif-1-1"}
    assert drivers.is_bound(VIF) and drivers.link(VIF) == "vif1.0"
    drivers.unbind(VIF)
    assert not drivers.is_bound(VIF) and drivers.link(VIF) is None and drivers.bound() == {"vif-1-1"}
    drivers.bind(VIF)
    assert drivers.link(VIF) == "vif1.0"


def test_a_link_is_found_under_the_name_that_a_script_gave_it(sys: Sys, drivers: XenVifDrivers) -> None:
    (sys.devices / VIF / "net/vif1.0").rename(sys.devices / VIF / "net/mynic")
    assert drivers.link(VIF) == "mynic"


def test_what_is_so_already_is_not_asked_for(sys: Sys, drivers: XenVifDrivers) -> None:
    drivers.bind(VIF)
    drivers.unbind("vif-9-9")
    assert sys.asked == []


@pytest.mark.parametrize("act", ["bind", "unbind"])
def test_what_somebody_else_did_meanwhile_is_done(sys: Sys, drivers: XenVifDrivers, act: str) -> None:
    if act == "bind":
        sys.unbind(VIF)
    inner = sys.write

    def be_late(file: Path, name: str) -> None:
        inner(file, name)
        raise OSError(errno.ENODEV, "No such device")

    sys.write = be_late  # type: ignore[method-assign]
    getattr(drivers, act)(VIF)
    assert drivers.is_bound(VIF) == (act == "bind")


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EACCES, "only root can"),
        (errno.ENODEV, "knows no such vif"),
        (errno.ENOENT, "xen-netback is not loaded"),
        (errno.EINVAL, "refused from unbind"),
    ],
)
def test_a_refusal_says_why(sys: Sys, drivers: XenVifDrivers, number: int, why: str) -> None:
    sys.refusal = number
    with pytest.raises(HostDeviceFailed, match=f"{VIF} cannot be unbound.*{why}"):
        drivers.unbind(VIF)


def test_a_link_that_never_comes_is_an_error(sys: Sys, drivers: XenVifDrivers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netback, "_LINK_SECONDS", 0.05)
    sys.unbind(VIF)
    sys.bind = lambda name: (sys.driver / name).symlink_to(sys.devices / name)  # type: ignore[method-assign]
    with pytest.raises(HostDeviceFailed, match="no link after"):
        drivers.bind(VIF)


@pytest.mark.parametrize(
    ("release", "can"),
    [("6.12.107+deb13-amd64", True), ("5.6.0", True), ("5.10", True), ("5.5.19-1", False), ("4.19.0-27", False)],
)
def test_a_kernel_before_5_6_cannot_bind_anew(tmp_path: Path, release: str, can: bool) -> None:
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/kernel/osrelease").write_text(f"{release}\n")
    obstacle = XenVifDrivers(tmp_path, tmp_path).rebind_obstacle()
    assert obstacle is None if can else f"kernel {release} cannot" in str(obstacle)


def test_a_kernel_that_is_not_known_is_an_obstacle(tmp_path: Path) -> None:
    assert "''" in str(XenVifDrivers(tmp_path, tmp_path).rebind_obstacle())


def test_the_module_is_taken_out_and_put_in(sys: Sys) -> None:
    ran: list[Sequence[str]] = []
    drivers = XenVifDrivers(sys.root, sys.root, ran.append)
    drivers.reload()
    assert ran == [["modprobe", "-r", "xen-netback"], ["modprobe", "xen-netback"]]
    drivers.load()
    assert ran[2:] == [["modprobe", "xen-netback"]]


def test_a_module_that_stays_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(script: str) -> Callable[[], None]:
        (tmp_path / "modprobe").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "modprobe").chmod(0o755)
        return XenVifDrivers(tmp_path, tmp_path).reload

    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(HostDeviceFailed, match="'modprobe -r xen-netback' failed: Module xen_netback is in use"):
        write("echo Module xen_netback is in use >&2; exit 1")()
    with pytest.raises(HostDeviceFailed, match="failed: code 3"):
        write("exit 3")()
