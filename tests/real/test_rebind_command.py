"""``virtnetplug rebind`` as a process: its exit codes, its JSON, and bad input that costs a sentence."""

from __future__ import annotations

from collections.abc import Callable

import libvirt
import pytest

from tests.real import guests, links
from tests.real.command import Command

pytestmark = pytest.mark.driver("daemon")
NIC = "ua-front"


def test_move_and_heal(
    command: Command,
    guest: Callable[..., guests.Guest],
    bridge: Callable[..., str],
    network: Callable[..., libvirt.virNetwork],
) -> None:
    vm, plain, net = guest(), bridge(), network("isolated")
    command("attach", vm.name, "--network", net.name(), "--model", "virtio", "--alias", NIC)
    target = vm.target(NIC)

    plan = command.json("plan", "rebind", vm.name, NIC, "--bridge", plain).document
    assert [step["name"] for step in plan["steps"]] == ["change", "confirm", "join_bridge", "verify"]
    assert links.members(net.bridgeName()) == {target}
    answer = command.json("rebind", vm.name, NIC, "--bridge", plain)
    assert (answer.document["result"], answer.nic["source"]) == ("done", plain)
    assert "already" in command("rebind", vm.name, NIC, "--bridge", plain).out
    command("rebind", vm.name, NIC, "--network", net.name())

    assert command("rebind", "--heal").out == "no NIC is cut off\n"
    net.destroy()
    refused = command.json("rebind", "--heal", code=3).document
    assert [each["reason"] for each in refused["operations"]] == ["network-inactive"]
    assert "net-start" in command("rebind", "--heal", vm.name, NIC, code=3).err
    net.create()
    planned = command.json("rebind", "--heal", "--plan").document["plans"]
    assert [[step["name"] for step in each["steps"]] for each in planned] == [["restore_port", "join_bridge", "verify"]]
    assert command.json("rebind", "--heal", "--network", "another").document["operations"] == []
    healed = command.json("rebind", "--heal", "--network", net.name()).document
    assert [each["result"] for each in healed["operations"]] == ["done"]
    assert links.members(net.bridgeName()) == {target}
    command("audit")
    assert command.json("history", vm.name).document["operations"][0]["operation"] == "rebind"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--bridge", "no-such"), 3),
        (("--network", "no-such"), 3),
        (("--network", "../../etc/passwd"), 3),
        (("--bridge", "x" * 5000), 3),
        (("--bridge", "br'/><x a='"), 3),
        (("--bridge", "\u202e\x1b[31m"), 3),
        (("--vlan", "-1"), 2),
        (("--vlan", "1e9"), 2),
        (("--network", "a", "--bridge", "b"), 2),
        ((), 2),
    ],
)
def test_bad_input_touches_nothing(
    words: tuple[str, ...], code: int, command: Command, guest: Callable[..., guests.Guest], bridge: Callable[..., str]
) -> None:
    vm = guest()
    command("attach", vm.name, "--bridge", bridge(), "--model", "virtio", "--alias", NIC)
    before = vm.dom.XMLDesc()
    document = command.json("rebind", vm.name, NIC, *words, code=code).document
    assert document["message"] and "Traceback" not in document["message"]
    assert len(document["message"]) < 2000
    assert vm.dom.XMLDesc() == before


def test_a_vlan_that_this_bridge_cannot_have_is_undone(
    command: Command, guest: Callable[..., guests.Guest], bridge: Callable[..., str]
) -> None:
    """libvirt 9 knows VLANs of Open vSwitch only."""
    vm = guest()
    command("attach", vm.name, "--bridge", bridge(), "--model", "virtio", "--alias", NIC)
    before = vm.dom.XMLDesc()
    answer = command.run("--json", "rebind", vm.name, NIC, "--vlan", "7")
    assert answer.code in (3, 4), answer
    assert vm.dom.XMLDesc() == before
    command("audit")
