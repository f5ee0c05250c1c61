"""Several processes at once: on one domain they take turns, on others they do not wait, and a killed one is finished by the next."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable

import libvirt
import pytest

from tests.real import links
from tests.real.command import Command, finish
from tests.real.guests import Guest
from tests.real.namespace import wait_until
from virtnetplug.adapters.daemon import key_from_uri
from virtnetplug.adapters.sqlite import SqliteJournal

pytestmark = pytest.mark.driver("daemon")

Start = Callable[..., Guest]
Bridge = Callable[..., str]
LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Read what it says until it says `words`."""
    assert process.stderr is not None
    heard = []
    for line in process.stderr:
        heard.append(line)
        if words in line:
            return
    pytest.fail(f"it never said '{words}': {heard}")


def spans(command: Command, name: str) -> list[tuple[float, float]]:
    """When each operation on a domain was working: from its first step's start to its last one's end."""
    found = []
    for record in command.json("history", name, "--limit", "100").document["operations"]:
        steps = [step for step in record["steps"] if step["started"] is not None]
        found.append((min(s["started"] for s in steps), max(s["started"] + (s["seconds"] or 0) for s in steps)))
    return sorted(found)


def test_two_processes_on_one_domain_take_turns(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    processes = [
        command.start("attach", one.name, "--bridge", switch, "--alias", f"ua-{number}", "--persistent")
        for number in range(6)
    ]
    answers = [finish(process) for process in processes]
    assert [answer.code for answer in answers] == [0] * 6, answers
    assert sorted(one.aliases()) == [f"ua-{number}" for number in range(6)]
    assert len(links.members(switch)) == 6
    times = spans(command, one.name)
    assert len(times) == 6
    for (_, end), (start, _) in itertools.pairwise(times):
        assert end <= start, "two operations worked on one domain at the same time"


def test_a_process_that_has_to_wait_says_so(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    command("list", one.name)  # for the journal's directory
    with SqliteJournal.open(command.state).lock(key_from_uri(command.uri), one.uuid):
        process = command.start("attach", one.name, "--bridge", switch, "--alias", "ua-a", "-v")
        wait_for(process, "another operation is working on domain")
        time.sleep(0.3)
        assert process.poll() is None and one.aliases() == []
    assert finish(process).code == 0 and one.aliases() == ["ua-a"]


def test_the_lock_is_not_held_while_a_guest_is_waited_for(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    command("attach", one.name, "--bridge", switch, "--alias", "ua-a")
    one.hold()
    process = command.start("detach", one.name, "ua-a", "--wait", "600", "-v")
    wait_for(process, "waiting for the guest to let go")
    command("attach", one.name, "--bridge", switch, "--alias", "ua-b")
    assert process.poll() is None
    for words in (("attach", "--bridge", switch, "--alias", "ua-a"), ("update", "ua-a", "--link", "down")):
        answer = command.json(words[0], one.name, *words[1:], code=3)  # "already there" would be a lie
        assert answer.document["reason"] == "nic-pending"
    second = command.start("detach", one.name, "ua-a", "--wait", "600", "-v")
    wait_for(second, f"process {process.pid} works on the detach")
    one.resume()
    answers = [finish(process), finish(second)]
    assert [answer.code for answer in answers] == [0, 0], answers
    assert one.aliases() == ["ua-b"] and command("recover").out == "nothing to recover\n"


def test_eight_domains_at_once(command: Command, guest: Start, bridge: Bridge) -> None:
    """All eight wait for their guests before the first guest lets go."""
    switch = bridge()
    guests = [guest() for _ in range(8)]
    attached = [command.start("attach", g.name, "--bridge", switch, "--alias", "ua-a") for g in guests]
    assert [finish(process).code for process in attached] == [0] * 8
    assert len(links.members(switch)) == 8
    for g in guests:
        g.hold()
    detached = [command.start("detach", g.name, "ua-a", "--wait", "600", "-v") for g in guests]
    for process in detached:
        wait_for(process, "waiting for the guest to let go")
    for g in guests:
        g.resume()
    assert [finish(process).code for process in detached] == [0] * 8
    assert links.members(switch) == set()
    waits = [spans(command, g.name)[-1] for g in guests]
    assert max(begin for begin, _ in waits) < min(end for _, end in waits), "they did not wait side by side"


@pytest.mark.parametrize("finisher", ["recover", "attach", "detach", "reset"])
def test_killed_while_it_waits(command: Command, guest: Start, bridge: Bridge, finisher: str) -> None:
    one, switch = guest(), bridge()
    command("attach", one.name, "--bridge", switch, "--alias", "ua-a", "--persistent")
    one.hold()
    process = command.start("detach", one.name, "ua-a", "--persistent", "--wait", "600", "-v")
    wait_for(process, "waiting for the guest to let go")
    process.send_signal(signal.SIGKILL)
    assert finish(process).code == -signal.SIGKILL
    (row,) = command.json("list", one.name).document["nics"]
    assert row["live"]
    assert [finding["kind"] for finding in command.json("audit", code=1).document["findings"]] == ["operation-open"]
    assert command.json("recover", code=75).document["result"] == "pending"
    if finisher == "reset":
        one.reset()
        one.wait_gone("ua-a")
        command("attach", one.name, "--bridge", switch, "--alias", "ua-b")
    else:
        one.resume()
        one.wait_gone("ua-a")
        if finisher == "recover":
            command("recover", "--wait", "600")
        elif finisher == "attach":
            command("attach", one.name, "--bridge", switch, "--alias", "ua-b")
        else:
            assert command.json("detach", one.name, "ua-a", "--persistent", code=3).document["reason"] == "nic-missing"
    assert one.xml(inactive=True).find("devices/interface") is None
    assert command.json("audit").document["findings"] == []
    (detach,) = [
        record for record in command.json("history", one.name).document["operations"] if record["operation"] == "detach"
    ]
    assert (detach["state"], detach["result"]) == ("done", "done")


@pytest.mark.parametrize("milliseconds", [0, 30, 60, 90, 110, 130, 150, 170, 190, 220])
def test_killed_at_any_moment(command: Command, guest: Start, bridge: Bridge, milliseconds: int) -> None:
    """The process, not libvirtd: what it asked libvirt for happens all the same."""
    one, switch = guest(), bridge()
    before = one.xml(inactive=True).find("devices/interface")
    process = command.start("attach", one.name, "--bridge", switch, "--alias", "ua-a", "--persistent")
    time.sleep(milliseconds / 1000)
    process.send_signal(signal.SIGKILL)
    code = finish(process).code
    assert code in (0, -signal.SIGKILL)
    command("recover", "--wait", "600")
    is_there = one.aliases() == ["ua-a"]
    assert (one.xml(inactive=True).find("devices/interface") is not None) == is_there
    assert len(links.members(switch)) == is_there and before is None
    assert code != 0 or is_there
    assert command.json("audit").document["findings"] == []
    assert {nic["origin"] for nic in command.json("list", one.name).document["nics"]} <= {"virtnetplug"}


def test_detached_behind_our_back_while_we_wait(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    command("attach", one.name, "--bridge", switch, "--alias", "ua-a")
    one.hold()
    process = command.start("detach", one.name, "ua-a", "--wait", "600", "-v")
    wait_for(process, "waiting for the guest to let go")
    other = subprocess.Popen(
        ["virsh", "-c", command.uri, "detach-device-alias", one.name, "ua-a", "--live"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    one.resume()
    with other:
        other.wait()
    assert finish(process).code == 0
    assert one.aliases() == [] and command.json("audit").document["findings"] == []


def test_detached_behind_our_back_is_adopted_as_gone(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    command("attach", one.name, "--bridge", switch, "--alias", "ua-a")
    subprocess.run(["virsh", "-c", command.uri, "detach-device-alias", one.name, "ua-a", "--live"], check=True)
    one.wait_gone("ua-a")
    assert command.json("list", one.name).document["nics"] == []
    (finding,) = command.json("audit", code=1).document["findings"]
    assert finding["kind"] == "nic-gone" and finding["repair"]
    command("audit", "--repair")
    assert command.json("audit").document["findings"] == []
    assert 'alias="ua-a"' not in command("metrics").out


def test_pending_and_then_detached_by_others(command: Command, guest: Start, bridge: Bridge) -> None:
    one = guest()
    command("attach", one.name, "--bridge", bridge(), "--alias", "ua-a")
    one.hold()
    command("detach", one.name, "ua-a", "--wait", "0.2", code=75)
    one.resume()  # the guest lets go while nobody looks
    one.wait_gone("ua-a")
    assert command.json("recover", "--wait", "600").document["operations"][0]["result"] == "done"
    assert command("recover").out == "nothing to recover\n"


def test_attached_by_others_is_foreign_then_ours_to_detach(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    subprocess.run(
        ["virsh", "-c", command.uri, "attach-interface", one.name, "bridge", switch, "--model", "virtio", "--live"],
        check=True,
    )
    (nic,) = command.json("list", one.name).document["nics"]
    assert (nic["origin"], nic["live"], nic["alias"]) == ("foreign", True, "net0")
    assert command.json("audit").document["findings"] == []
    command("detach", one.name, nic["mac"])
    wait_until(lambda: not one.aliases(), "it to be gone")


def test_a_domain_that_is_undefined_and_gone_is_settled(command: Command, guest: Start, bridge: Bridge) -> None:
    one = guest()
    command("attach", one.name, "--bridge", bridge(), "--alias", "ua-a", "--persistent")
    one.hold()
    command("detach", one.name, "ua-a", "--persistent", "--wait", "0.2", code=75)
    one.destroy()
    one.dom.undefine()
    document = command.json("recover", code=75).document
    assert [(each["result"], each["reason"]) for each in document["operations"]] == [("left", "domain-missing")]
    assert command("recover").out == "nothing to recover\n"
    assert command.json("audit").document["findings"] == []


def test_a_lock_left_by_a_dead_process_is_free(command: Command, guest: Start, bridge: Bridge) -> None:
    one = guest()
    process = command.start("attach", one.name, "--bridge", bridge(), "--alias", "ua-a")
    wait_until(lambda: (command.state / "locks").is_dir() and os.listdir(command.state / "locks"), "the lock")
    process.kill()
    finish(process)
    command("recover", "--wait", "600")
