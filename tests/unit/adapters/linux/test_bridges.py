"""What counts as a bridge, where Open vSwitch has a say."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtnetplug.adapters.linux import rtnetlink
from virtnetplug.adapters.linux.links import LinuxLinks
from virtnetplug.adapters.linux.rtnetlink import RawLink


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LinuxLinks:
    """A host whose links are named after their kind, and that has no program at all."""

    def get(name: str) -> RawLink | None:
        kind = name.split("-")[0]
        return None if kind == "gone" else RawLink(name, 1, True, 0, 1500, None, kind)

    monkeypatch.setattr(rtnetlink, "get", get)
    monkeypatch.setenv("PATH", str(tmp_path))
    return LinuxLinks()


def install(folder: Path, status: int) -> Path:
    program = folder / "ovs-vsctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/called\nexit {status}\n')
    program.chmod(0o755)
    return folder / "called"


def test_without_open_vswitch_its_kind_alone_decides(host: LinuxLinks) -> None:
    assert host.is_bridge("bridge")
    assert host.is_bridge("openvswitch")
    assert not host.is_bridge("tun")
    assert not host.is_bridge("veth")
    assert not host.is_bridge("gone")


@pytest.mark.parametrize(("status", "is_one"), [(0, True), (2, False)])
def test_open_vswitch_is_asked_about_what_may_be_its_own(
    host: LinuxLinks, tmp_path: Path, status: int, is_one: bool
) -> None:
    called = install(tmp_path, status)
    assert host.is_bridge("openvswitch") is is_one
    assert host.is_bridge("tun-br") is is_one
    assert called.read_text().split("\n")[1] == "--timeout=5 -- br-exists tun-br"


def test_open_vswitch_is_not_asked_about_anything_else(host: LinuxLinks, tmp_path: Path) -> None:
    called = install(tmp_path, 0)
    assert host.is_bridge("bridge")
    assert not host.is_bridge("veth")
    assert not called.exists()
