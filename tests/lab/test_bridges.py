"""What a bridge can do only in a whole kernel: a forwarding table that libvirt keeps, over rebinds and healings."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import libvirt
import pytest

import virtnetplug
from tests.real import guests
from virtnetplug import xml
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Result

MAC = "52:54:00:00:00:01"
NAME = "kept"


@pytest.fixture
def plugger(uri: str, tmp_path: Path) -> Iterator[Plugger]:
    with virtnetplug.open(uri, state_dir=tmp_path / "state") as one:
        yield one


@pytest.fixture
def kept(uri: str) -> Iterator[libvirt.virNetwork]:
    """A network whose ports are isolated, and whose bridge's table libvirt keeps: nothing is learnt there, and nothing flooded."""
    connection = libvirt.open(uri)
    network = connection.networkDefineXML(
        f"<network><name>{NAME}</name><bridge name='{NAME}' macTableManager='libvirt'/><port isolated='yes'/></network>"
    )
    network.create()
    yield network
    network.destroy()
    network.undefine()
    connection.close()


def told(tap: str) -> tuple[str, bool, bool, bool]:
    """The tap's bridge, whether it is isolated, whether it learns, and whether the NIC's MAC is entered for good."""
    words = subprocess.run(
        ["bridge", "-d", "link", "show", "dev", tap], capture_output=True, text=True, check=True
    ).stdout
    bridge = words.split(" master ")[1].split()[0]
    fdb = subprocess.run(["bridge", "fdb", "show", "br", bridge], capture_output=True, text=True, check=True).stdout
    entries = [line for line in fdb.splitlines() if line.startswith(f"{MAC} dev {tap}")]
    return bridge, "isolated on" in words, "learning on" in words, any("static" in line for line in entries)


def target(plugger: Plugger, name: str) -> str:
    return plugger.show(name, MAC).nic.target or ""


def test_a_table_that_libvirt_keeps(
    plugger: Plugger, guest: Callable[..., guests.Guest], bridge: Callable[..., str], kept: libvirt.virNetwork
) -> None:
    vm, plain = guest(), bridge()
    nic = f"<interface type='bridge'><mac address='{MAC}'/><source bridge='{plain}'/><model type='virtio'/></interface>"
    plugger.attach(vm.name, [xml.edit(nic, {"type": "network", "source_bridge": None, "source_network": NAME})])
    by_attach = told(target(plugger, vm.name))
    assert by_attach[:3] == (NAME, True, False)
    plugger.detach(vm.name, MAC)

    plugger.attach(vm.name, [nic])
    plugger.rebind(vm.name, MAC, {"source_network": NAME})
    tap = target(plugger, vm.name)
    assert told(tap) == (NAME, True, False, True)

    kept.destroy()
    kept.create()
    assert [outcome.result for outcome in plugger.heal()] == [Result.DONE]
    assert told(tap) == (NAME, True, False, True)
    assert plugger.audit().findings == ()

    plugger.rebind(vm.name, MAC, {"source_bridge": plain})
    assert told(tap)[:3] == (plain, False, True)
