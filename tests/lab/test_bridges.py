"""What a bridge can do only in a whole kernel: a forwarding table that libvirt keeps, VLANs, limits, Open vSwitch; over rebinds and healings."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

import virtnetplug
from tests.lab.figures import IS_LONG, long
from tests.real import guests
from virtnetplug import xml
from virtnetplug.errors import TapElsewhere
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.interface import Limit, Vlan, VlanTag
from virtnetplug.model.operation import Result

MAC = "52:54:00:00:00:01"
NAME = "kept"
NIC = f"<interface type='bridge'><mac address='{MAC}'/>{{source}}<model type='virtio'/>{{more}}</interface>"


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


@long
def test_a_table_that_libvirt_keeps(
    plugger: Plugger, guest: Callable[..., guests.Guest], bridge: Callable[..., str], kept: libvirt.virNetwork
) -> None:
    vm, plain = guest(), bridge()
    nic = f"<interface type='bridge'><mac address='{MAC}'/><source bridge='{plain}'/><model type='virtio'/></interface>"
    plugger.attach(vm.name, [xml.edit(nic, {"type": "network", "source_bridge": None, "source_network": NAME})])
    by_attach = told(target(plugger, vm.name))
    assert by_attach[:3] == (NAME, True, False)
    plugger.detach(vm.name, MAC, wait=600)

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


# -- VLANs and limits: libvirt 11 has them on Linux bridges, and this kernel what they take ------------------------------


def vlans(tap: str) -> list[dict[str, Any]]:
    """VLANs of a bridge's port, as the kernel tells them."""
    words = subprocess.run(["bridge", "-j", "vlan", "show", "dev", tap], capture_output=True, text=True, check=True)
    return [vlan for port in json.loads(words.stdout) for vlan in port["vlans"]]


VLANS = {
    "one": "<vlan><tag id='42'/></vlan>",
    "trunk": "<vlan trunk='yes'><tag id='42' nativeMode='untagged'/><tag id='43'/></vlan>",
    "tagged": "<vlan trunk='yes'><tag id='42'/><tag id='43' nativeMode='tagged'/></vlan>",
}


@pytest.mark.parametrize("which", VLANS if IS_LONG else ["trunk"])
def test_vlans_of_a_linux_bridge(
    plugger: Plugger, guest: Callable[..., guests.Guest], bridge: Callable[..., str], which: str
) -> None:
    """They change in place, and a bridge made anew has them again, just as libvirt made them."""
    vm, name = guest(), bridge()
    plugger.attach(vm.name, [NIC.format(source=f"<source bridge='{name}'/>", more=VLANS[which])])
    tap, by_libvirt = target(plugger, vm.name), vlans(target(plugger, vm.name))
    assert {vlan["vlan"] for vlan in by_libvirt} == ({42} if which == "one" else {42, 43})
    plugger.rebind(vm.name, MAC, {"vlan": Vlan((VlanTag(7),))})
    assert (target(plugger, vm.name), [vlan["vlan"] for vlan in vlans(tap)]) == (tap, [7])
    plugger.rebind(vm.name, MAC, {"vlan": xml.interface(f"<interface type='user'>{VLANS[which]}</interface>").vlan})
    assert vlans(tap) == by_libvirt

    subprocess.run(["ip", "link", "delete", name], check=True)
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    assert [finding.kind for finding in plugger.audit().findings] == ["tap-not-in-bridge"]
    assert [outcome.result for outcome in plugger.heal()] == [Result.DONE]
    assert (told(tap)[0], vlans(tap)) == (name, by_libvirt)
    assert plugger.audit().findings == ()


def limits(tap: str) -> tuple[set[str], str, str]:
    """The kinds of its queueing disciplines, and the limits to and from the guest, as tc tells them."""

    def tc(*words: str) -> str:
        return subprocess.run(["tc", *words], capture_output=True, text=True, check=True).stdout

    kinds = {line.split()[1] for line in tc("qdisc", "show", "dev", tap).splitlines()}
    return kinds, tc("class", "show", "dev", tap), tc("filter", "show", "dev", tap, "ingress")


def test_limits_of_a_nic_are_the_kernels(
    plugger: Plugger, guest: Callable[..., guests.Guest], bridge: Callable[..., str]
) -> None:
    """Set with the NIC, changed under the guest, and gone where they are taken away."""
    vm = guest()
    both = "<bandwidth><inbound average='1000'/><outbound average='500'/></bandwidth>"
    plugger.attach(vm.name, [NIC.format(source=f"<source bridge='{bridge()}'/>", more=both)])
    tap = target(plugger, vm.name)
    kinds, to_guest, from_guest = limits(tap)
    assert kinds >= {"htb", "sfq", "ingress"} and "rate 8Mbit" in to_guest and "rate 4Mbit" in from_guest
    plugger.update(vm.name, MAC, {"bandwidth_inbound": Limit(average=2000)})
    _, to_guest, from_guest = limits(tap)
    assert "rate 16Mbit" in to_guest and "rate 4Mbit" in from_guest
    plugger.update(vm.name, MAC, {"bandwidth_inbound": None, "bandwidth_outbound": None})
    assert limits(tap)[1:] == ("", "")


# -- Open vSwitch ------------------------------------------------------------------------------------------


def ovs(*words: str) -> str:
    return subprocess.run(["ovs-vsctl", *words], capture_output=True, text=True, check=True).stdout.strip()


def ovs_ctl(what: str) -> None:
    """As its service does."""
    script = "/usr/share/openvswitch/scripts/ovs-ctl"
    subprocess.run([script, what, "--system-id=random", "--no-monitor"], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def open_vswitch() -> Iterator[None]:
    ovs_ctl("start")
    yield
    ovs_ctl("stop")


@pytest.fixture
def switch(open_vswitch: None) -> Iterator[str]:
    ovs("add-br", "ovsbr0")
    ovs("add-br", "ovsbr1")
    yield "ovsbr0"
    ovs("--if-exists", "del-br", "ovsbr0", "--", "--if-exists", "del-br", "ovsbr1")


@pytest.fixture
def switched(uri: str, switch: str) -> Iterator[libvirt.virNetwork]:
    """A network whose bridge is Open vSwitch's."""
    connection = libvirt.open(uri)
    network = connection.networkDefineXML(
        f"<network><name>switched</name><forward mode='bridge'/><bridge name='{switch}'/><virtualport type='openvswitch'/></network>"
    )
    network.create()
    yield network
    network.destroy()
    network.undefine()
    connection.close()


def known(tap: str) -> tuple[str, str, dict[str, str]]:
    """The bridge of a port, its VLAN, and what is said of its NIC."""
    names = ("attached-mac", "iface-id", "vm-id", "iface-status")
    ids = {name: ovs("--if-exists", "get", "Interface", tap, f"external_ids:{name}").strip('"') for name in names}
    return ovs("port-to-br", tap), ovs("get", "Port", tap, "tag"), ids


@pytest.mark.parametrize("kind", ["bridge", "network"] if IS_LONG else ["network"])
def test_open_vswitch(
    plugger: Plugger, guest: Callable[..., guests.Guest], switched: libvirt.virNetwork, kind: str
) -> None:
    vm = guest()
    if kind == "bridge":
        source, more = "<source bridge='ovsbr0'/>", "<virtualport type='openvswitch'/>"
    else:
        source, more = "<source network='switched'/>", ""
    nic = NIC.format(source=source, more=f"<vlan><tag id='42'/></vlan>{more}").replace("'bridge'>", f"'{kind}'>", 1)
    plugger.attach(vm.name, [nic])
    tap = target(plugger, vm.name)
    by_libvirt = known(tap)
    assert by_libvirt[:2] == ("ovsbr0", "42") and by_libvirt[2]["vm-id"] == vm.uuid

    plugger.rebind(vm.name, MAC, {"vlan": Vlan((VlanTag(7),))})
    assert (target(plugger, vm.name), known(tap)[1]) == (tap, "7")
    plugger.rebind(vm.name, MAC, {"vlan": Vlan((VlanTag(42),))})
    assert known(tap) == by_libvirt

    ovs_ctl("restart")  # it puts its ports back by itself
    assert plugger.audit().findings == () and plugger.heal() == ()
    assert known(tap) == by_libvirt

    ovs("del-br", "ovsbr0", "--", "add-br", "ovsbr0")  # and not into a bridge made anew
    assert [finding.kind for finding in plugger.audit().findings] == ["tap-not-in-bridge"]
    assert [outcome.result for outcome in plugger.heal()] == [Result.DONE]
    assert known(tap) == by_libvirt and plugger.audit().findings == ()

    ovs("del-port", tap, "--", "add-port", "ovsbr1", tap)
    assert [finding.kind for finding in plugger.audit().findings] == ["tap-in-other-bridge"]
    with pytest.raises(TapElsewhere, match="is in bridge ovsbr1"):
        plugger.heal(vm.name, MAC)
    assert [finding.repaired for finding in plugger.repair(plugger.audit()).findings] == [True]
    assert known(tap) == by_libvirt

    if kind == "network":
        switched.destroy()
        switched.create()
        assert [finding.kind for finding in plugger.audit().findings] == ["port-missing"]
        assert [outcome.result for outcome in plugger.heal()] == [Result.DONE]
        assert len(switched.listAllPorts()) == 1 and known(tap) == by_libvirt
    assert plugger.audit().findings == ()
    assert plugger.detach(vm.name, MAC, wait=600).result is Result.DONE
    assert tap not in ovs("list-ports", "ovsbr0").split()
