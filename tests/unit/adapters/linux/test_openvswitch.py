"""The questions and orders to ``ovs-vsctl``; the lab shows that a real one takes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from virtnetplug.adapters.linux import openvswitch, rtnetlink
from virtnetplug.adapters.linux.links import LinuxLinks
from virtnetplug.adapters.linux.rtnetlink import RawLink
from virtnetplug.errors import Failed
from virtnetplug.model.interface import Vlan, VlanTag
from virtnetplug.ports.host import SwitchPort

# as Open vSwitch 3.5 answers, of a bridge with one port of its own and one with a guest's beside it
ANSWER = """\
{"data":[["ovsbr1",["uuid","p1"]],["ovsbr0",["set",[["uuid","p2"],["uuid","p3"]]]]],"headings":["name","ports"]}
{"data":[[["uuid","p3"],"ovsbr0"],[["uuid","p1"],"ovsbr1"],[["uuid","p2"],"vnet0"]],"headings":["_uuid","name"]}
"""
NIC = SwitchPort(mac="52:54:00:00:00:01", domain_uuid="0fd3b5c7-d7b4-4611-8274-1794654c4eb5")


class Program:
    """An ``ovs-vsctl`` that answers as a test wants, and keeps its arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer("")

    def answer(self, text: str, *, status: int = 0, error: str = "") -> None:
        (self.folder / "answer").write_text(text)
        (self.folder / "error").write_text(error)
        program = self.folder / "ovs-vsctl"
        program.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$@\" '' >> {self.folder}/called\n/bin/cat {self.folder}/answer\n"
            f"/bin/cat {self.folder}/error >&2\nexit {status}\n"
        )
        program.chmod(0o755)

    def calls(self) -> list[list[str]]:
        called = self.folder / "called"
        return [call.split("\n") for call in called.read_text().split("\n\n")[:-1]] if called.exists() else []


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Program:
    monkeypatch.setenv("PATH", str(tmp_path))
    return Program(tmp_path)


def told(program: Program) -> str:
    ((timeout, *words),) = program.calls()
    assert timeout == "--timeout=5"
    return " ".join(words)


def test_a_port_is_in_the_bridge_that_the_database_says(program: Program) -> None:
    program.answer(ANSWER)
    assert openvswitch.bridges() == {"vnet0": "ovsbr0", "ovsbr0": "ovsbr0", "ovsbr1": "ovsbr1"}


def test_a_link_says_its_bridge_instead_of_the_datapath(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program.answer(ANSWER)
    there = [
        RawLink("ovs-system", 4, False, 0, 1500, None, "openvswitch"),
        RawLink("br0", 5, True, 0, 1500, None, "bridge"),
        RawLink("vnet0", 7, True, 4, 1500, None, "tun"),
        RawLink("vnet1", 8, True, 4, 1500, None, "tun"),
        RawLink("vnet2", 9, True, 5, 1500, None, "tun", isolated=False, learning=True),
    ]
    monkeypatch.setattr(rtnetlink, "links", lambda: there)
    monkeypatch.setattr(rtnetlink, "get", lambda name: next((one for one in there if one.name == name), None))
    monkeypatch.setattr(rtnetlink, "get_index", lambda index: next(one for one in there if one.index == index))
    expected = {"ovs-system": None, "br0": None, "vnet0": "ovsbr0", "vnet1": "ovs-system", "vnet2": "br0"}
    host = LinuxLinks()
    assert {name: link.master for name, link in host.links().items()} == expected
    assert len(program.calls()) == 1
    for name, master in expected.items():
        link = host.link(name)
        assert link is not None and link.master == master
    assert len(program.calls()) == 3  # for the ports of the datapath alone


def test_without_it_the_datapath_is_the_master(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    datapath = RawLink("ovs-system", 4, False, 0, 1500, None, "openvswitch")
    tap = RawLink("vnet0", 7, True, 4, 1500, None, "tun")
    monkeypatch.setattr(rtnetlink, "links", lambda: [datapath, tap])
    program.answer("", status=1)
    assert LinuxLinks().links()["vnet0"].master == "ovs-system"
    (program.folder / "ovs-vsctl").unlink()
    assert LinuxLinks().links()["vnet0"].master == "ovs-system"


@pytest.mark.parametrize(
    ("port", "vlan", "ids"),
    [
        (NIC, "", {}),
        (
            SwitchPort(mac=NIC.mac, domain_uuid=NIC.domain_uuid, interface_id="e7a0", profile_id='a "b"'),
            "",
            {"iface-id": "e7a0", "port-profile": 'a "b"'},
        ),
        (SwitchPort(mac=NIC.mac, domain_uuid=NIC.domain_uuid, vlan=Vlan((VlanTag(42),))), " tag=42", {}),
        (
            SwitchPort(mac=NIC.mac, domain_uuid=NIC.domain_uuid, vlan=Vlan((VlanTag(1), VlanTag(2)), trunk=True)),
            " trunk=1,2",
            {},
        ),
        (
            SwitchPort(
                mac=NIC.mac, domain_uuid=NIC.domain_uuid, vlan=Vlan((VlanTag(1, "untagged"), VlanTag(2)), trunk=True)
            ),
            " vlan_mode=native-untagged tag=1 trunk=1,2",
            {},
        ),
    ],
)
def test_a_port_is_told_what_libvirt_tells_it(
    program: Program, port: SwitchPort, vlan: str, ids: dict[str, str]
) -> None:
    LinuxLinks().join_switch("vnet0", "ovsbr0", port)
    said = {"attached-mac": NIC.mac, "vm-id": NIC.domain_uuid, "iface-status": "active", **ids}
    order, _, words = told(program).partition(" -- set Interface vnet0 ")
    assert order == f"-- --if-exists del-port vnet0 -- add-port ovsbr0 vnet0{vlan}"
    pairs = [word.split("=", 1) for word in words.split("external-ids:")[1:]]
    assert {key: json.loads(value) for key, value in pairs} == said


def test_a_port_leaves_whichever_bridge_it_is_in(program: Program) -> None:
    LinuxLinks().leave_switch("vnet0")
    assert told(program) == "-- --if-exists del-port vnet0"


def test_what_it_will_not_do_is_said_in_its_words(program: Program) -> None:
    program.answer("", status=1, error="ovs-vsctl: no bridge named ovsbr9\n")
    with pytest.raises(Failed, match="no bridge named ovsbr9") as caught:
        LinuxLinks().join_switch("vnet0", "ovsbr9", NIC)
    assert caught.value.reason == "link-not-set"
    (program.folder / "ovs-vsctl").unlink()
    with pytest.raises(Failed, match="no ovs-vsctl"):
        LinuxLinks().leave_switch("vnet0")
