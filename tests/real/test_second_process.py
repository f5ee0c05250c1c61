"""Two commands on one domain, one of them stopped (SIGSTOP) where it would do most harm: what the other may do meanwhile, and what is left."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any
from xml.etree import ElementTree

import libvirt
import pytest

from tests.environment import environment
from tests.real.command import HANG, Command, finish
from tests.real.guests import Guest
from tests.real.namespace import wait_until
from tests.real.test_processes import wait_for
from virtnetplug.adapters.daemon import key_from_uri
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.errors import LockTaken

pytestmark = pytest.mark.driver("daemon")

Start = Callable[..., Guest]
Bridge = Callable[..., str]

BOTH = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
MACS = ("52:54:00:ee:00:01", "52:54:00:ee:00:02")

STOPS_INSIDE = """
import os, pathlib, signal, sys, virtnetplug
def hear(event):
    if event.kind == "step" and event.text == "define":
        os.kill(os.getpid(), signal.SIGSTOP)
uri, state, domain, element = sys.argv[1:]
with virtnetplug.open(uri, state_dir=pathlib.Path(state), on_event=hear) as plugger:
    print(plugger.attach(domain, [element], scope=virtnetplug.Scope.BOTH).result.value)
"""
"""A program that stops in the middle of an attach: the live half is done, and it has the domain's lock."""


def _rows(command: Command, query: str) -> list[Any]:
    with sqlite3.connect(f"file:{command.state}/journal.db?mode=ro", uri=True) as journal:
        rows = journal.execute(query).fetchall()
    journal.close()
    return rows


def _operation(command: Command) -> str:
    """The id of the one open operation."""
    ((operation,),) = _rows(command, "SELECT id FROM operations WHERE ended IS NULL")
    return str(operation)


def _is_asked(command: Command) -> bool:
    """Whether the guest was asked, in an operation that is open: who asked waits for it now."""
    asked = "SELECT 1 FROM steps JOIN operations ON id = operation_id WHERE ended IS NULL AND name = 'ask' AND steps.state = 'done'"
    return bool(_rows(command, asked))


def _stopped(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGSTOP)
    _wait_stopped(process)


def _wait_stopped(process: subprocess.Popen[str]) -> None:
    def is_stopped() -> bool:
        assert process.poll() is None, process.communicate()
        with open(f"/proc/{process.pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "T"

    wait_until(is_stopped, "the process to be stopped")


def _is_locked(command: Command, guest: Guest) -> bool:
    """Whether a process has the domain's lock."""
    with closing(SqliteJournal.open(command.state)) as journal:
        try:
            with journal.lock(key_from_uri(command.uri), guest.uuid, seconds=0):
                return False
        except LockTaken:
            return True


def _start_and_stop(command: Command, guest: Guest, word: str, *words: str) -> subprocess.Popen[str]:
    """A command that waits for its guest, stopped there; it does not have the domain's lock."""
    process = command.start("--json", word, guest.name, *words)
    wait_until(lambda: _is_asked(command), "the guest to be asked")

    def is_stopped_without_lock() -> bool:
        _stopped(process)
        if not _is_locked(command, guest):
            return True
        os.kill(process.pid, signal.SIGCONT)
        return False

    wait_until(is_stopped_without_lock, "the domain's lock to be let go")
    return process


def _go_on(process: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    os.kill(process.pid, signal.SIGCONT)
    answer = finish(process)
    assert answer.code == code, answer
    return answer.document


def _element(bridge: str, alias: str, mac: str, extra: str = "") -> str:
    return (
        f"<interface type='bridge'><mac address='{mac}'/><source bridge='{bridge}'/><model type='virtio'/>{extra}"
        f"<alias name='{alias}'/></interface>"
    )


def _nics(guest: Guest, *, inactive: bool = False) -> list[tuple[str, str]]:
    """Alias and MAC of each NIC."""
    nics = guest.xml(inactive=inactive).findall("devices/interface")
    return [(nic.find("alias").attrib["name"], nic.find("mac").attrib["address"]) for nic in nics]  # type: ignore[union-attr]


def _address(guest: Guest, alias: str) -> str:
    """The guest address of a NIC, as an element."""
    (nic,) = [
        nic for nic in guest.xml().findall("devices/interface") if nic.find(f"alias[@name='{alias}']") is not None
    ]
    address = nic.find("address")
    assert address is not None
    address.tail = None
    return ElementTree.tostring(address, encoding="unicode")


def test_two_recovers_settle_a_replacement_once(command: Command, guest: Start, bridge: Bridge) -> None:
    one = guest()
    command("attach", one.name, "--xml", "-", stdin=_element(bridge(), "ua-a", MACS[0]))
    one.hold()
    command("update", one.name, "ua-a", "--mtu", "1400", "--replace", "--wait", "1", code=75)
    operation = _operation(command)
    words = ("--json", "recover", one.name, "--wait", "600", "-v")
    first = command.start(*words)
    wait_for(first, "waiting for the guest to let go")
    second = command.start(*words)
    wait_for(second, f"process {first.pid} works on the update {operation}")
    one.resume()
    answers = [finish(process) for process in (first, second)]
    assert [answer.code for answer in answers] == [0, 0], answers
    results = [each["result"] for answer in answers for each in answer.document["operations"]]
    assert results.count("done") == 1 and set(results) <= {"done", "already"}
    assert _nics(one) == [("ua-a", MACS[0])]
    assert one.xml().find("devices/interface/mtu").attrib == {"size": "1400"}  # type: ignore[union-attr]
    assert _rows(command, f"SELECT state FROM operations WHERE id = '{operation}'") == [("done",)]
    assert command("recover").out == "nothing to recover\n"
    command("audit")


def test_a_stopped_detach_leaves_alone_what_came_under_its_alias(
    command: Command, guest: Start, bridge: Bridge
) -> None:
    one, switches = guest(), (bridge(), bridge())
    command("attach", one.name, "--live", "--config", "--xml", "-", stdin=_element(switches[0], "ua-a", MACS[0]))
    one.hold()
    first = _start_and_stop(command, one, "detach", "ua-a", "--live", "--config", "--wait", "600")
    operation = _operation(command)
    joined = command.json("detach", one.name, "ua-a", "--live", "--config", "--wait", "1", code=75).document
    assert operation in joined["message"] and str(first.pid) in joined["message"]
    one.resume()
    one.wait_gone("ua-a")
    command.run("recover", "--wait", "1")
    joined = command.json("detach", one.name, "ua-a", "--live", "--config", "--wait", "1", code=75).document
    assert operation in joined["message"] and str(first.pid) in joined["message"]
    assert _nics(one, inactive=True) == [("ua-a", MACS[0])]

    one.dom.detachDeviceFlags(_element(switches[0], "ua-a", MACS[0]), libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    one.dom.attachDeviceFlags(_element(switches[1], "ua-a", MACS[1]), BOTH)
    assert _go_on(first)["result"] == "done"
    assert _nics(one) == _nics(one, inactive=True) == [("ua-a", MACS[1])]
    assert command("recover").out == "nothing to recover\n"
    assert _rows(command, f"SELECT state FROM operations WHERE id = '{operation}'") == [("done",)]


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_stopped_replacement_gets_its_place_again(
    command: Command, guest: Start, bridge: Bridge, machine: str
) -> None:
    one, switch = guest(machine=machine), bridge()
    command("attach", one.name, "--xml", "-", stdin=_element(switch, "ua-a", MACS[0]))
    place = _address(one, "ua-a")
    one.hold()
    first = _start_and_stop(command, one, "update", "ua-a", "--mtu", "1400", "--replace", "--wait", "600")
    one.resume()
    one.wait_gone("ua-a")
    for element, reason in (
        (_element(switch, "ua-a", MACS[1]), "nic-pending"),
        (_element(switch, "ua-b", MACS[0]), "nic-pending"),
        (_element(switch, "ua-b", MACS[1], place), "place-reserved"),
    ):
        refused = command.json("attach", one.name, "--xml", "-", stdin=element, code=3).document
        assert refused["reason"] == reason
    command("attach", one.name, "--xml", "-", stdin=_element(switch, "ua-b", MACS[1]))
    assert _address(one, "ua-b") != place
    assert _go_on(first)["result"] == "done"
    assert sorted(_nics(one)) == [("ua-a", MACS[0]), ("ua-b", MACS[1])]
    assert _address(one, "ua-a") == place
    command("audit")


def test_a_process_that_is_stopped_with_the_lock_keeps_nobody_for_ever(
    command: Command, guest: Start, bridge: Bridge
) -> None:
    """Each of the others gives up after its time, and says who has the domain; all are started at once, as each waits five seconds."""
    one, switch = guest(), bridge()
    program = [sys.executable, "-c", STOPS_INSIDE, command.uri, str(command.state), one.name]
    element = _element(switch, "ua-a", MACS[0])
    with subprocess.Popen([*program, element], stdout=subprocess.PIPE, text=True, env=environment()) as first:
        try:
            _wait_stopped(first)
            others = {
                words: command.start("--json", *words)
                for words in (
                    ("detach", one.name, "ua-a", "--wait", "2"),
                    ("update", one.name, "ua-a", "--link", "down", "--wait", "2"),
                    ("attach", one.name, "--bridge", switch, "--wait", "0"),
                    ("recover", "--wait", "0"),
                )
            }
            assert command.json("list", one.name).document["nics"][0]["alias"] == "ua-a"
            command("history")
            answers = {}
            for words, process in others.items():
                out, _ = process.communicate(timeout=HANG)
                answers[words[0]] = process.returncode, json.loads(out)
            for word, (code, document) in answers.items():
                if word == "recover":
                    (left,) = document["operations"]
                    assert (code, left["result"]) == (75, "pending")
                    assert left["reason"] in ("domain-busy", "operation-busy", "operation-stalled")
                    document = left
                else:
                    assert (code, document["reason"]) == (3, "domain-busy"), document
                assert str(first.pid) in document["message"]
            assert one.aliases() == ["ua-a"]
        finally:
            os.kill(first.pid, signal.SIGCONT)
        assert first.communicate()[0] == "done\n"
    assert _nics(one) == _nics(one, inactive=True) == [("ua-a", MACS[0])]
    assert command("recover").out == "nothing to recover\n"
