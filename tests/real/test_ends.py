"""A guest was asked to let go of a NIC, and its run ends before it did: what whoever waits, `recover` and the journal say, and what is so.

Who looks later has less to go by: `waiting` hears the event, `recover` reads the reason of the end, and after a restart of libvirtd
(`restarted`) that reason is gone.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import libvirt
import libvirt_qemu
import pytest

from tests.environment import environment
from tests.real.command import Answer, Command, finish
from tests.real.ends import LONG, PENDING, SCOPES, end, image, is_active, run_again
from tests.real.guests import Guest
from tests.real.hosts import TwoHosts
from tests.real.namespace import wait_until

pytestmark = pytest.mark.driver("daemon")

MACS = ("52:54:00:ef:00:01", "52:54:00:ef:00:02")
INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE

PANIC = "o/b 0x505 1"
"""PVPANIC_PANICKED, at the port of an isa panic device: what a guest writes that has crashed."""


@dataclass(frozen=True)
class Verdict:
    """What is said, and the operation's state in the journal."""

    code: int
    reason: str
    state: str


ENDED = Verdict(0, "guest-ended", "done")
SAVED = Verdict(75, "guest-saved", "pending")
MIGRATED = Verdict(75, "guest-migrated", "left")
UNKNOWN = Verdict(75, "end-unknown", "pending")

TABLE = {
    ("shut-down", "waiting"): ENDED,
    ("shut-down", "recover"): ENDED,
    ("shut-down", "restarted"): UNKNOWN,
    ("destroyed", "waiting"): ENDED,
    ("destroyed", "recover"): ENDED,
    ("destroyed", "restarted"): UNKNOWN,
    ("crashed", "waiting"): ENDED,
    ("crashed", "recover"): ENDED,
    ("crashed", "restarted"): UNKNOWN,
    ("managed-save", "waiting"): SAVED,
    ("managed-save", "recover"): SAVED,
    ("managed-save", "restarted"): SAVED,
    ("save", "waiting"): SAVED,
    ("save", "recover"): SAVED,
    ("save", "restarted"): UNKNOWN,
    ("migrated", "waiting"): MIGRATED,
    ("migrated-kept", "waiting"): MIGRATED,
    ("migrated-kept", "recover"): MIGRATED,
    ("migrated-kept", "restarted"): UNKNOWN,
}
"""A guest that migrated with its definition leaves no trace: see `test_a_guest_that_left_unseen_is_not_called_done`."""


def _element(hosts: TwoHosts, alias: str, mac: str) -> str:
    source = f"<source bridge='{hosts.bridges[0]}'/>"
    return f"<interface type='bridge'><mac address='{mac}'/>{source}<model type='virtio'/><alias name='{alias}'/></interface>"


def _guest(hosts: TwoHosts, scope: str) -> Guest:
    """A guest with ua-a and ua-b of ours, that lets nothing go."""
    one = hosts.guest()
    for alias, mac in zip(("ua-a", "ua-b"), MACS, strict=True):
        hosts.a_runs("attach", one.name, *SCOPES[scope], "--xml", "-", stdin=_element(hosts, alias, mac))
    one.hold()
    return one


def _words(one: Guest, kind: str, scope: str) -> tuple[str, ...]:
    word, *rest = PENDING[kind]
    return (word, one.name, *rest, *SCOPES[scope])


def _operation(command: Command, word: str) -> dict[str, Any]:
    """The newest operation of this kind."""
    operations = command.json("history").document["operations"]
    found: dict[str, Any] = next(one for one in operations if one["operation"] == word)
    return found


def _is_asked(command: Command) -> bool:
    query = "SELECT 1 FROM steps JOIN operations ON id = operation_id WHERE ended IS NULL AND name = 'ask' AND steps.state = 'done'"
    with sqlite3.connect(f"file:{command.state}/journal.db?mode=ro", uri=True) as journal:
        rows = journal.execute(query).fetchall()
    journal.close()
    return bool(rows)


def _end_seen(hosts: TwoHosts, one: Guest, way: str, seen: str, words: tuple[str, ...]) -> dict[str, Any]:
    """End the run of a guest that was asked by `words`, and give what is said of it: ``reason`` and ``exit_code`` among it."""
    command = hosts.a_runs
    if seen == "waiting":
        process = command.start("--json", *words, *LONG)
        wait_until(lambda: _is_asked(command), "the guest to be asked")
        end(way, hosts, one)
        return _document(finish(process))
    command.json(*words, "--wait", "1", code=75)
    end(way, hosts, one)
    if seen == "restarted":
        hosts.restart()
    (said,) = _recover(command)
    return said


def _document(answer: Answer) -> dict[str, Any]:
    assert answer.out, answer
    found: dict[str, Any] = json.loads(answer.out)
    return found


def _recover(command: Command, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _document(command.run("--json", "recover", *words))["operations"]
    return found


def _aliases(one: Guest, *, inactive: bool = False) -> list[str]:
    return [alias.attrib["name"] for alias in one.xml(inactive=inactive).iterfind("devices/interface/alias")]


def _assert_settled(hosts: TwoHosts) -> None:
    """Nothing is open, and nothing disagrees: a guest that ended with NICs that were plugged is no disagreement."""
    assert hosts.a_runs("recover").out == "nothing to recover\n"
    hosts.a_runs("audit")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The whole table with ``--full``; without it, each row once, and of the other kinds what is heard."""
    is_full = metafunc.config.getoption("--full")
    if metafunc.function is test_detach:
        scopes = dict.fromkeys(SCOPES)
        cases = [
            (*row, scope)
            for number, row in enumerate(TABLE)
            for scope in (scopes if is_full else [[*scopes][number % 2]])
        ]
        metafunc.parametrize(("way", "seen", "scope"), cases)
    if metafunc.function is test_rebind_and_handback:
        few = [("destroyed", "recover"), ("managed-save", "recover"), ("save", "restarted")]
        metafunc.parametrize(("way", "seen"), [row for row in TABLE if row[1] != "waiting"] if is_full else few)
    if metafunc.function is test_other_kinds:
        cases = [row for row in TABLE if is_full or row[1] == "waiting"]
        metafunc.parametrize(("way", "seen"), cases)


def test_detach(hosts: TwoHosts, way: str, seen: str, scope: str) -> None:
    one, verdict, command = _guest(hosts, scope), TABLE[way, seen], hosts.a_runs
    said = _end_seen(hosts, one, way, seen, _words(one, "detach", scope))
    operation = _operation(command, "detach")
    assert (said["exit_code"], said["reason"], operation["state"]) == (verdict.code, verdict.reason, verdict.state)
    if way == "migrated":
        return  # tests/real/test_migration.py goes on with it
    defined = {"live": [], "both": ["ua-b"]}[scope]
    if verdict != ENDED:
        (again,) = _recover(command) or [said]
        assert again["reason"] == verdict.reason  # it says the same until something has happened
    if verdict == MIGRATED:
        _assert_settled(hosts)
        return
    if (
        way == "migrated-kept"
    ):  # the definition is started here, although the guest has gone on elsewhere: for libvirt a run as any
        hosts.on(one, b=True).dom.destroy()
    one.reconnect(hosts.on_a)
    if verdict == ENDED:
        assert _aliases(one, inactive=True) == defined
        _assert_settled(hosts)
    run_again(way, hosts, one)
    if way in ("managed-save", "save"):
        assert "ua-a" in one.aliases()
        (held,) = _recover(command, "--wait", "1")
        assert (held["exit_code"], held["reason"]) == (75, "guest-holds-device")
        one.resume()
    for settled in _recover(command, *LONG):
        assert (settled["exit_code"], settled["result"]) == (0, "done")
    assert _operation(command, "detach")["state"] == "done"
    assert "ua-a" not in one.aliases() and _aliases(one, inactive=True) == defined
    _assert_settled(hosts)


@pytest.mark.parametrize("kind", ["replace", "handover"])
def test_other_kinds(hosts: TwoHosts, way: str, seen: str, kind: str) -> None:
    """A run that goes on keeps its operation; one that has ended ends it, and the next run has what the definition says."""
    one, verdict, command = _guest(hosts, "both"), TABLE[way, seen], hosts.a_runs
    said = _end_seen(hosts, one, way, seen, _words(one, kind, "both"))
    operation = _operation(command, PENDING[kind][0])
    if verdict == ENDED:
        assert said["reason"] == "guest-ended" and operation["ended"] is not None
    else:
        assert (said["exit_code"], said["reason"], operation["state"]) == (verdict.code, verdict.reason, verdict.state)
    if way.startswith("migrated"):
        return
    one.reconnect(hosts.on_a)
    run_again(way, hosts, one)
    if way in ("managed-save", "save"):
        assert sorted(one.aliases()) == ["ua-a", "ua-b"]
        (held,) = _recover(command, "--wait", "1")
        assert (held["exit_code"], held["reason"]) == (75, "guest-holds-device")
        one.resume()
        (settled,) = _recover(command, *LONG)
        assert (settled["exit_code"], settled["result"]) == (0, "done")
        assert ("ua-a" in one.aliases()) is (kind == "replace")
    else:
        _recover(command, *LONG)
        assert sorted(one.aliases()) == sorted(_aliases(one, inactive=True))
    _assert_settled(hosts)


REBINDS = """
import pathlib, sys, virtnetplug
from virtnetplug import Scope
uri, state, domain = sys.argv[1:]
with virtnetplug.open(uri, state_dir=pathlib.Path(state)) as plugger:
    changes = {"type": "user", "source_bridge": None}
    print(plugger.rebind(domain, "ua-a", changes, replace=True, scope=Scope.BOTH, wait=1).reason)
"""
"""A rebind that libvirt cannot do in place: no option of the command asks for one that needs nothing of the host."""


def _pend(hosts: TwoHosts, kind: str) -> Guest:
    """A guest that was asked by a rebind or a hand-back, and holds on."""
    command = hosts.a_runs
    one = _guest(hosts, "both")
    if kind == "rebind":
        words = [sys.executable, "-c", REBINDS, command.uri, str(command.state), one.name]
        said = subprocess.run(words, env=environment(), capture_output=True, text=True)
        assert said.stdout == "guest-holds-device\n", said.stderr
    else:
        one.resume()
        command("handover", one.name, "--from", "ua-a", "--to", "ua-b", *SCOPES["both"], *LONG)
        one.hold()
        command.json("handback", one.name, "ua-a", "--wait", "1", code=75)
    return one


@pytest.mark.parametrize("kind", ["rebind", "handback"])
def test_rebind_and_handback(hosts: TwoHosts, way: str, seen: str, kind: str) -> None:
    one, verdict, command = _pend(hosts, kind), TABLE[way, seen], hosts.a_runs
    end(way, hosts, one)
    if seen == "restarted":
        hosts.restart()
    (said,) = _recover(command)
    operation = _operation(command, kind)
    if verdict == ENDED:
        assert operation["state"] == "undone"
    else:
        assert (said["exit_code"], said["reason"], operation["state"]) == (verdict.code, verdict.reason, verdict.state)
    if way.startswith("migrated"):
        return
    one.reconnect(hosts.on_a)
    run_again(way, hosts, one)
    if way in ("managed-save", "save"):
        (held,) = _recover(command, "--wait", "1")
        assert (held["exit_code"], held["reason"]) == (75, "guest-holds-device")
        one.resume()
        (settled,) = _recover(command, *LONG)
        assert (settled["exit_code"], settled["result"]) == (0, "done")
        assert "ua-a" in one.aliases()
    else:
        _recover(command, *LONG)
    assert sorted(one.aliases()) == sorted(_aliases(one, inactive=True))
    _assert_settled(hosts)


def _saved(hosts: TwoHosts, scope: str) -> Guest:
    """A guest that was saved (managed) while a detach was pending; `recover` has seen it."""
    one = _guest(hosts, scope)
    said = _end_seen(hosts, one, "managed-save", "recover", _words(one, "detach", scope))
    assert said["reason"] == "guest-saved"
    return one


@pytest.mark.parametrize("scope", SCOPES)
def test_an_image_that_is_removed_leaves_the_end_open(hosts: TwoHosts, scope: str) -> None:
    """For libvirt it is as if the guest had gone on, and were in a file."""
    one = _saved(hosts, scope)
    one.dom.managedSaveRemove(0)
    (said,) = _recover(hosts.a_runs)
    assert (said["exit_code"], said["result"], said["reason"]) == (75, "pending", "guest-saved")
    (said,) = _recover(hosts.a_runs, "--forget", _operation(hosts.a_runs, "detach")["id"])
    assert (said["exit_code"], said["reason"]) == (0, "forgotten")
    _assert_settled(hosts)


@pytest.mark.parametrize("scope", SCOPES)
def test_an_image_that_was_seen_says_nothing_of_a_later_end(hosts: TwoHosts, scope: str) -> None:
    """The guest was started from it since, and is in a file."""
    one = _saved(hosts, scope)
    one.reconnect(hosts.on_a)
    run_again("managed-save", hosts, one)
    end("save", hosts, one)
    (said,) = _recover(hosts.a_runs)
    assert (said["exit_code"], said["result"], said["reason"]) == (75, "pending", "guest-saved")
    one.reconnect(hosts.on_a)
    run_again("save", hosts, one)
    _assert_goes_on(hosts, one)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_start_that_drops_the_image_has_ended_the_run(hosts: TwoHosts, scope: str) -> None:
    one = _saved(hosts, scope)
    one.dom.createWithFlags(libvirt.VIR_DOMAIN_START_FORCE_BOOT)
    one.wait_ready()
    (said,) = _recover(hosts.a_runs, *LONG)
    assert (said["exit_code"], said["result"]) == (0, "done")
    assert "ua-a" not in one.aliases() and "ua-a" not in _aliases(one, inactive=True)
    _assert_settled(hosts)


def _unknown(hosts: TwoHosts) -> tuple[Guest, str]:
    """A guest that was saved to a file of which nothing tells any more, and the operation that was pending."""
    one = _guest(hosts, "both")
    said = _end_seen(hosts, one, "save", "restarted", _words(one, "detach", "both"))
    assert said["reason"] == "end-unknown"
    one.reconnect(hosts.on_a)
    return one, _operation(hosts.a_runs, "detach")["id"]


def test_an_end_that_is_not_known_may_be_forgotten(hosts: TwoHosts) -> None:
    one, operation = _unknown(hosts)
    command = hosts.a_runs
    refused = command.json("recover", "--forget", "ffffffffffff", code=3).document
    assert "ffffffffffff" in refused["message"]
    (said,) = _recover(command, "--forget", operation)
    assert said["exit_code"] == 0 and said["message"]
    closed = _operation(command, "detach")
    assert closed["ended"] is not None and closed["state"] != "done"
    hosts.on_a.restore(image(hosts))
    one.reconnect(hosts.on_a)
    assert "ua-a" in one.aliases()
    _assert_goes_on(hosts, one)  # it is back after all, and was asked


def _assert_goes_on(hosts: TwoHosts, one: Guest) -> None:
    """The guest is asked for ua-a, which it holds; once it lets go, the detach is done."""
    command = hosts.a_runs
    assert {nic["alias"] for nic in command.json("list", one.name).document["nics"] if nic["pending"]} == {"ua-a"}
    (held,) = _recover(command, "--wait", "1")
    assert (held["exit_code"], held["reason"]) == (75, "guest-holds-device")
    one.resume()
    (settled,) = _recover(command, *LONG)
    assert (settled["exit_code"], settled["result"]) == (0, "done")
    assert "ua-a" not in one.aliases()
    _assert_settled(hosts)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_file_that_is_restored_after_a_cold_start_brings_the_question_back(hosts: TwoHosts, scope: str) -> None:
    one, command = _guest(hosts, scope), hosts.a_runs
    said = _end_seen(hosts, one, "save", "recover", _words(one, "detach", scope))
    assert said["reason"] == "guest-saved"
    one.dom.create()
    one.wait_ready()
    (said,) = _recover(command, *LONG)
    assert (said["exit_code"], said["result"], said["reason"]) == (0, "done", "guest-ended")
    one.dom.destroy()
    run_again("save", hosts, one)
    (plan,) = command.json("recover", "--plan").document["plans"]
    assert plan["steps"]
    _assert_goes_on(hosts, one)


def _remove_mark(one: Guest) -> None:
    """``virsh metadata --remove``."""
    kind, flags = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_LIVE
    one.dom.setMetadata(kind, None, "virtnetplug-guest", "urn:virtnetplug:guest", flags)


@pytest.mark.parametrize("is_restarted", [False, True], ids=["", "libvirtd-restarted"])
@pytest.mark.parametrize("scope", SCOPES)
def test_a_guest_whose_mark_was_removed_is_not_told_from_a_later_one(
    hosts: TwoHosts, scope: str, is_restarted: bool
) -> None:
    one = _guest(hosts, scope)
    hosts.a_runs.json(*_words(one, "detach", scope), "--wait", "1", code=75)
    _remove_mark(one)
    end("managed-save", hosts, one)
    if is_restarted:
        hosts.restart()
    one.reconnect(hosts.on_a)
    run_again("managed-save", hosts, one)
    if is_restarted:
        hosts.restart()
        one.reconnect(hosts.on_a)
    (said,) = _recover(hosts.a_runs, "--wait", "1")
    assert (said["exit_code"], said["result"], said["reason"]) == (75, "pending", "end-unknown")
    assert "ua-a" in one.aliases()


@pytest.mark.parametrize("kind", ["detach", "replace", "handover"])
def test_a_later_run_that_was_saved_as_well_was_asked_for_nothing(hosts: TwoHosts, kind: str) -> None:
    """The NIC is in both halves; libvirt says that the guest was restored, and no more."""
    one, command = _guest(hosts, "both"), hosts.a_runs
    command.json(*_words(one, kind, "live" if kind == "detach" else "both"), "--wait", "1", code=75)
    one.dom.destroy()
    run_again("destroyed", hosts, one)
    end("managed-save", hosts, one)
    one.reconnect(hosts.on_a)
    run_again("managed-save", hosts, one)
    before = one.aliases()
    (said,) = _recover(command, "--wait", "8")
    assert (said["exit_code"], said["result"], said["reason"]) == (75, "pending", "end-unknown")
    assert one.aliases() == before and "ua-a" in before
    word = PENDING[kind][0] if kind in PENDING else kind
    (said,) = _recover(command, "--forget", _operation(command, word)["id"])
    assert (said["exit_code"], said["reason"]) == (0, "forgotten")
    _assert_settled(hosts)


def test_what_libvirt_does_not_say_any_more_is_not_called_done(hosts: TwoHosts) -> None:
    """The mark is gone, and a resume has taken the place of the restore."""
    one, command = _guest(hosts, "live"), hosts.a_runs
    command.json(*_words(one, "detach", "live"), "--wait", "1", code=75)
    _remove_mark(one)
    end("save", hosts, one)
    run_again("save", hosts, one)
    one.dom.suspend()
    one.dom.resume()
    (said,) = _recover(command)
    assert (said["exit_code"], said["result"], said["reason"]) == (75, "pending", "end-unknown")
    assert "ua-a" in one.aliases()
    (said,) = _recover(command, "--forget", _operation(command, "detach")["id"])
    assert (said["exit_code"], said["reason"]) == (0, "forgotten")
    _assert_settled(hosts)


def test_an_end_that_is_not_known_is_closed_with_the_definition(hosts: TwoHosts) -> None:
    one, _ = _unknown(hosts)
    one.dom.undefine()
    hosts.a_runs.run("recover")
    closed = _operation(hosts.a_runs, "detach")
    assert closed["ended"] is not None and closed["state"] != "done"
    assert hosts.a_runs("recover").out == "nothing to recover\n"


@pytest.mark.parametrize("seen", ["recover", "restarted"])
@pytest.mark.parametrize("kind", PENDING)
def test_a_guest_that_left_unseen_is_not_called_done(hosts: TwoHosts, kind: str, seen: str) -> None:
    """It migrated with its definition, and nobody listened: this host has nothing of it any more."""
    one, command = _guest(hosts, "both"), hosts.a_runs
    command.json(*_words(one, kind, "both"), "--wait", "1", code=75)
    end("migrated", hosts, one)
    if seen == "restarted":
        hosts.restart()
    command.run("recover")
    closed = _operation(command, PENDING[kind][0])
    assert closed["state"] != "done" and closed["ended"] is not None
    assert "ua-a" in hosts.on(one, b=True).aliases()


@pytest.mark.parametrize("way", ["shut-down", "destroyed", "crashed", "migrated"])
def test_an_end_with_plugged_nics_is_no_disagreement(hosts: TwoHosts, way: str) -> None:
    one = _guest(hosts, "live")
    end(way, hosts, one)
    _assert_settled(hosts)
    assert not is_active(hosts.on_a, one)
    if way != "migrated":
        assert hosts.a_runs.json("list", one.name).document["nics"] == []


@pytest.mark.parametrize("seen", ["event", "restarted"])
def test_a_nic_that_was_let_go_before_the_end_is_detached(hosts: TwoHosts, seen: str) -> None:
    """The guest's own answer comes first, however its run ended afterwards."""
    one, command = _guest(hosts, "both"), hosts.a_runs
    command.json(*_words(one, "detach", "both"), "--wait", "1", code=75)
    one.resume()
    one.wait_gone("ua-a")
    end("managed-save", hosts, one)
    if seen == "restarted":
        hosts.restart()
    (said,) = _recover(command)
    assert (said["exit_code"], said["result"]) == (0, "done")  # the image lacks it
    _assert_settled(hosts)


def test_a_guest_that_crashed_and_is_kept_has_its_nics(hosts: TwoHosts) -> None:
    """``on_crash`` preserve: QEMU is there, and after ``virsh reset`` and ``virsh resume`` the same guest goes on."""
    one, command = hosts.guest(running=False), hosts.a_runs
    kept = one.dom.XMLDesc(INACTIVE).replace("<on_crash>destroy", "<on_crash>preserve")
    hosts.on_a.defineXML(kept.replace("</devices>", "<panic model='isa'/></devices>"))
    one.dom.create()
    one.wait_ready()
    for alias, mac in zip(("ua-a", "ua-b"), MACS, strict=True):
        source = f"<source bridge='{hosts.bridges[0]}'/><model type='virtio'/>"
        nic = f"<interface type='bridge'><mac address='{mac}'/>{source}<alias name='{alias}'/></interface>"
        command("attach", one.name, *SCOPES["both"], "--xml", "-", stdin=nic)
    one.hold()
    command.json(*_words(one, "detach", "both"), "--wait", "1", code=75)
    libvirt_qemu.qemuMonitorCommand(one.dom, PANIC, libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
    wait_until(lambda: one.dom.state()[0] == libvirt.VIR_DOMAIN_CRASHED, "the guest to crash")
    (said,) = _recover(command)
    assert (said["exit_code"], said["reason"]) == (75, "guest-paused")
    nics = command.json("list", one.name).document["nics"]
    assert {nic["alias"]: (nic["live"], nic["frontend"]) for nic in nics} == {
        "ua-a": (True, "Closing"),
        "ua-b": (True, "Unknown"),
    }
    answer = command.json("detach", one.name, "ua-b", "--wait", "1", code=75).document
    assert answer["reason"] == "guest-paused" and "ua-b" in _aliases(one, inactive=True)
    one.dom.reset()
    one.dom.resume()
    wait_until(lambda: one.aliases() == [], "the guest to let go of both")
    assert {said["result"] for said in _recover(command, *LONG)} == {"done"}
    _assert_settled(hosts)
