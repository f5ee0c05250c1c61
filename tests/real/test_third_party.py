"""A package with a backend of its own, installed by pip, serves a NIC of a real guest."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import packages
from tests.environment import ROOT
from tests.real import links
from tests.real.command import Command
from tests.real.guests import Guest

pytestmark = pytest.mark.driver("daemon")

Start = Callable[..., Guest]
Bridge = Callable[..., str]
SOURCE = (ROOT / "tests" / "third_party" / "bridge.py").read_text()


def install(command: Command, place: Path, source: str) -> None:
    packages.pip_install(packages.build(place / "tree", "vnp-bridge", source), place / "site")
    command.variables["PYTHONPATH"] = f"{ROOT}:{place / 'site'}"


def mark_of(bridge: str) -> str:
    said = subprocess.run(["ip", "-j", "link", "show", "dev", bridge], check=True, capture_output=True).stdout
    return str(json.loads(said)[0].get("ifalias", ""))


def test_it_serves_instead_of_ours(command: Command, guest: Start, bridge: Bridge, place: Path) -> None:
    install(command, place, SOURCE)
    one, first, second = guest(), bridge(), bridge()
    answer = command.json("attach", one.name, "--bridge", first, "--alias", "ua-a", "--model", "virtio").document
    names = [step["name"] for step in answer["steps"]]
    assert names[names.index("mark_bridge") :] == ["mark_bridge", "attach_to_marked_bridge", "confirm"]
    assert answer["warnings"] == [] and links.members(first) == {one.target("ua-a")} and mark_of(first) == "ua-a"
    (listed,) = command.json("list", one.name).document["nics"]
    assert (listed["alias"], listed["backend"]) == ("ua-a", "Connected")
    assert command.json("audit").document["findings"] == []
    moved = command.json("update", one.name, "ua-a", "--bridge", second).nic
    assert moved["source"] == second and links.members(second) == {moved["target"]}
    assert command.json("detach", one.name, "ua-a").document["result"] == "done"
    assert one.aliases() == [] and links.members(second) == set()


def test_a_process_that_the_package_ends_is_recovered(
    command: Command, guest: Start, bridge: Bridge, place: Path
) -> None:
    install(command, place, SOURCE.replace("        return order.net\n", "        import os\n\n        os._exit(9)\n"))
    one, switch = guest(), bridge()
    assert command.run("attach", one.name, "--bridge", switch, "--alias", "ua-a").code == 9
    assert mark_of(switch) == "ua-a"
    (outcome,) = command.json("recover").document["operations"]
    assert (outcome["result"], one.aliases(), mark_of(switch)) == ("undone", [], "")


def test_one_that_is_at_fault_is_named_and_ours_serve(
    command: Command, guest: Start, bridge: Bridge, place: Path
) -> None:
    install(command, place, "raise RuntimeError('no driver here')\n")
    one, switch = guest(), bridge()
    answer = command.json("attach", one.name, "--bridge", switch, "--alias", "ua-a").document
    (warning,) = answer["warnings"]
    assert (
        "the backend 'vnp-bridge-point' of package vnp-bridge 1.0 cannot be used: RuntimeError: no driver here"
        in warning
    )
    assert answer["result"] == "done" and links.members(switch) == {one.target("ua-a")}


def test_what_it_prints_is_no_part_of_the_answer(command: Command, guest: Start, bridge: Bridge, place: Path) -> None:
    install(
        command,
        place,
        SOURCE.replace("        return order.net\n", "        print('here')\n        return order.net\n"),
    )
    answer = command.run("--json", "attach", guest().name, "--bridge", bridge(), "--alias", "ua-a")
    assert (answer.document["result"], answer.err) == ("done", "here\n")


def test_one_that_dies_inside_plug_is_named_and_undone(
    command: Command, guest: Start, bridge: Bridge, place: Path
) -> None:
    install(command, place, SOURCE.replace("        return order.net\n", "        raise LookupError('dies')\n"))
    one, switch = guest(), bridge()
    answer = command.json("attach", one.name, "--bridge", switch, "--alias", "ua-a", code=4).document
    assert answer["reason"] == "backend-failed" and "Traceback" not in answer["message"]
    assert "of package vnp-bridge 1.0 failed in 'plug' with LookupError: dies" in answer["message"]
    assert (one.aliases(), links.members(switch), mark_of(switch)) == ([], set(), "")
    other = command.json("attach", one.name, "--nic", "type=user,alias=ua-b").document
    assert other["result"] == "done"
