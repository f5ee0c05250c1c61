"""A guest with NICs of ours goes to another host, at each stage of an operation: what travels with it, and what either host says.

Each host has virtnetplug, with a journal that knows nothing of the other's.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from typing import Any

import libvirt
import pytest

from tests.environment import environment
from tests.real.command import Command, finish
from tests.real.ends import LONG, PENDING, SCOPES, end
from tests.real.guests import Guest
from tests.real.hosts import LIVE, MOVE, TwoHosts
from tests.real.namespace import wait_until

pytestmark = pytest.mark.driver("daemon")

MACS = ("52:54:00:ea:00:01", "52:54:00:ea:00:02")
LEFT = {"detach": ["ua-b"], "replace": ["ua-a", "ua-b"], "handover": ["ua-b"]}
"""The NICs of the guest once each kind is done."""

KEPT = {"detach": ["ua-b"], "replace": ["ua-a", "ua-b"], "handover": ["ua-a", "ua-b"]}
"""The same where the operation was begun on another host: only a detach goes on there; of any other the guest keeps its NICs."""

ASKED = {"detach": "ua-a", "replace": "ua-a", "handover": "ua-b"}
"""The NIC that the guest is asked for first. A hand-over takes the NIC that is to serve out first, and puts it in again in the other's place."""

HALVES_DIFFER = {"rebind": {"config-differs"}, "handover": {"config-differs", "identity-differs"}}
"""What an audit finds of a guest that moved between two halves of these."""

DIES_AT = """
import os, pathlib, signal, sys, virtnetplug
from virtnetplug import Scope
uri, state, domain, act, step, element = sys.argv[1:]
left = int(step)
def hear(event):
    global left
    if event.kind == "step":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
with virtnetplug.open(uri, state_dir=pathlib.Path(state), on_event=hear) as plugger:
    if act == "attach":
        plugger.attach(domain, [element], scope=Scope.BOTH)
    elif act == "detach":
        plugger.detach(domain, "ua-a", scope=Scope.BOTH)
    elif act == "update":
        plugger.update(domain, "ua-a", {"link_state": "down"}, scope=Scope.BOTH)
    elif act == "handover":
        plugger.handover(domain, "ua-a", "ua-b", scope=Scope.BOTH)
    elif act == "rebind":
        plugger.rebind(domain, "ua-a", {"source_bridge": element}, scope=Scope.BOTH)
    else:
        plugger.update(domain, "ua-a", {"mtu": 1400}, replace=True, scope=Scope.BOTH)
"""
"""A program that is killed when it tells of its so manieth step."""


def _element(hosts: TwoHosts, alias: str, mac: str) -> str:
    source = f"<source bridge='{hosts.bridges[0]}'/>"
    return f"<interface type='bridge'><mac address='{mac}'/>{source}<model type='virtio'/><alias name='{alias}'/></interface>"


def _guest(hosts: TwoHosts, scope: str = "both", aliases: tuple[str, ...] = ("ua-a", "ua-b")) -> Guest:
    one = hosts.guest()
    for alias, mac in zip(aliases, MACS, strict=False):
        hosts.a_runs("attach", one.name, *SCOPES[scope], "--xml", "-", stdin=_element(hosts, alias, mac))
    return one


def _words(one: Guest, kind: str, scope: str = "both") -> tuple[str, ...]:
    word, *rest = PENDING[kind]
    return (word, one.name, *rest, *SCOPES[scope])


def _pend(hosts: TwoHosts, kind: str, scope: str = "both") -> Guest:
    """A guest on A that was asked to let go of ua-a, and holds on; nobody waits for it."""
    one = _guest(hosts, scope)
    one.hold()
    hosts.a_runs.json(*_words(one, kind, scope), "--wait", "1", code=75)
    return one


def _newest(command: Command, kind: str) -> dict[str, Any]:
    operations = command.json("history").document["operations"]
    found: dict[str, Any] = next(one for one in operations if one["operation"] == PENDING[kind][0])
    return found


def _recover(command: Command, *words: str) -> list[tuple[int, str, str]]:
    """Exit code, result and reason of each operation that was looked at."""
    answer = command.run("--json", "recover", *words)
    assert answer.out, answer
    operations = answer.document["operations"]
    return [(one["exit_code"], one["result"], one["reason"]) for one in operations]


def _nics(command: Command, one: Guest) -> dict[str, dict[str, Any]]:
    return {nic["alias"]: nic for nic in command.json("list", one.name).document["nics"]}


def _assert_settled(*commands: Command) -> None:
    for command in commands:
        assert command("recover").out == "nothing to recover\n"
        command("audit")


def _is_asked(command: Command) -> bool:
    query = "SELECT 1 FROM steps JOIN operations ON id = operation_id WHERE ended IS NULL AND name = 'ask' AND steps.state = 'done'"
    with sqlite3.connect(f"file:{command.state}/journal.db?mode=ro", uri=True) as journal:
        rows = journal.execute(query).fetchall()
    journal.close()
    return bool(rows)


def _config(one: Guest) -> list[str]:
    return [alias.attrib["name"] for alias in one.xml(inactive=True).iterfind("devices/interface/alias")]


@pytest.mark.parametrize("flags", [MOVE, LIVE], ids=["moved", "transient"])
@pytest.mark.parametrize("scope", SCOPES)
def test_a_nic_of_ours_is_ours_on_the_other_host(hosts: TwoHosts, scope: str, flags: int) -> None:
    there = hosts.migrate(_guest(hosts, scope), flags=flags)
    _assert_settled(hosts.a_runs, hosts.b_runs)
    nics = _nics(hosts.b_runs, there)
    assert {alias: nic["origin"] for alias, nic in nics.items()} == {"ua-a": "virtnetplug", "ua-b": "virtnetplug"}
    assert _nics(hosts.b_runs, there)["ua-a"]["pending"] is None
    hosts.b_runs("detach", there.name, "ua-a", *LONG)
    assert there.aliases() == ["ua-b"]
    _assert_settled(hosts.a_runs, hosts.b_runs)


def test_a_nic_that_was_rebound_is_ours_on_the_other_host(hosts: TwoHosts) -> None:
    one, bridge = _guest(hosts), hosts.bridges[1]
    hosts.a_runs("rebind", one.name, "ua-a", "--bridge", bridge, "--persistent")
    there = hosts.migrate(one)
    nic = _nics(hosts.b_runs, there)["ua-a"]
    assert (nic["source"], nic["origin"]) == (bridge, "virtnetplug")
    hosts.b_runs("rebind", there.name, "ua-a", "--bridge", hosts.bridges[0], "--persistent")
    _assert_settled(hosts.a_runs, hosts.b_runs)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("kind", PENDING)
def test_who_waits_is_told_and_the_other_host_goes_on(hosts: TwoHosts, kind: str, scope: str) -> None:
    one = _guest(hosts, scope)
    one.hold()
    process = hosts.a_runs.start("--json", *_words(one, kind, scope), *LONG)
    wait_until(lambda: _is_asked(hosts.a_runs), "the guest to be asked")
    end("migrated", hosts, one)
    answer = finish(process)
    assert (answer.code, answer.document["reason"]) == (75, "guest-migrated")
    assert _newest(hosts.a_runs, kind)["state"] == "left"
    _assert_settled(hosts.a_runs)

    there = hosts.on(one, b=True)
    assert _recover(hosts.b_runs, "--wait", "1") == [(75, "pending", "guest-holds-device")]
    assert _nics(hosts.b_runs, there)[ASKED[kind]]["pending"] is not None
    assert _nics(hosts.b_runs, there)["ua-a"]["origin"] == "virtnetplug"
    assert sorted(there.aliases()) == ["ua-a", "ua-b"]
    there.resume()
    ((code, result, _),) = _recover(hosts.b_runs, *LONG)
    assert (code, result) == (0, "done")
    assert sorted(there.aliases()) == KEPT[kind]
    if scope == "both":
        assert sorted(_config(there)) == KEPT[kind]
    _assert_settled(hosts.a_runs, hosts.b_runs)


def test_a_second_detach_on_the_other_host_joins_what_travelled(hosts: TwoHosts) -> None:
    there = hosts.migrate(_pend(hosts, "detach"))
    hosts.b_runs.json(*_words(there, "detach"), "--wait", "1", code=75)
    operations = hosts.b_runs.json("history").document["operations"]
    assert [one["operation"] for one in operations] == ["detach"]
    there.resume()
    ((code, result, _),) = _recover(hosts.b_runs, *LONG)
    assert (code, result) == (0, "done")
    assert there.aliases() == ["ua-b"] == _config(there)
    _assert_settled(hosts.b_runs)


@pytest.mark.parametrize("kind", PENDING)
def test_the_next_operation_on_the_other_host_goes_on_too(hosts: TwoHosts, kind: str) -> None:
    there = hosts.migrate(_pend(hosts, kind))
    there.resume()
    there.wait_gone(ASKED[kind])
    hosts.b_runs("attach", there.name, "--bridge", hosts.bridges[0], "--mac", "52:54:00:ea:00:09")
    _recover(hosts.b_runs, *LONG)  # the attach waits for no guest but its own
    macs = [mac.attrib["address"] for mac in there.xml().iterfind("devices/interface/mac")]
    assert "52:54:00:ea:00:09" in macs and len(macs) == len(KEPT[kind]) + 1
    assert set(KEPT[kind]) <= set(there.aliases())
    hosts.a_runs.run("recover")
    assert _newest(hosts.a_runs, kind)["state"] != "done"
    _assert_settled(hosts.a_runs, hosts.b_runs)


def test_a_guest_that_let_go_on_the_way_is_asked_again(hosts: TwoHosts) -> None:
    """The destination was started with the NIC, and its guest believes that the NIC has gone."""
    one = _pend(hosts, "detach")
    with hosts.held(one) as migration:
        one.resume()
        time.sleep(0.5)
        migration.finish()
        assert migration.error is None
    there = hosts.on(one, b=True)
    assert "ua-a" in there.aliases()
    ((code, result, _),) = _recover(hosts.b_runs, *LONG)
    assert (code, result) == (0, "done")
    assert there.aliases() == ["ua-b"] == _config(there)
    _assert_settled(hosts.b_runs)


@pytest.mark.parametrize("kind", PENDING)
def test_an_aborted_migration_changes_nothing(hosts: TwoHosts, kind: str) -> None:
    one = _guest(hosts)
    one.hold()
    process = hosts.a_runs.start("--json", *_words(one, kind), *LONG)
    wait_until(lambda: _is_asked(hosts.a_runs), "the guest to be asked")
    with hosts.held(one) as migration:
        time.sleep(3)  # who waits looks again meanwhile
        migration.abort()
        assert migration.error is not None
    assert process.poll() is None
    one.resume()
    answer = finish(process)
    assert (answer.code, answer.document["result"]) == (0, "done")
    assert sorted(one.aliases()) == LEFT[kind]
    _assert_settled(hosts.a_runs, hosts.b_runs)


DIES_WHEN_B_RUNS = """
import os, signal, sys, threading
import libvirt
libvirt.registerErrorHandler(lambda *_: None, None)
here, there, uuid, wire, flags = sys.argv[1:]
to, eyes = libvirt.open(there), libvirt.open(there)
def watch():
    while True:
        try:
            if eyes.lookupByUUIDString(uuid).state()[0] == libvirt.VIR_DOMAIN_RUNNING:
                os.kill(os.getpid(), signal.SIGKILL)
        except libvirt.libvirtError:
            pass
threading.Thread(target=watch, daemon=True).start()
domain = libvirt.open(here).lookupByUUIDString(uuid)
domain.migrate3(to, {libvirt.VIR_MIGRATE_PARAM_URI: wire}, int(flags))
"""
"""The client of a migration that is killed between its last two calls: B runs the guest, and A has not been told."""


def _half(hosts: TwoHosts, kind: str) -> Guest:
    """A guest that was asked on A and runs on B, with what a dead client has left of it on A; the client may be too late to die, so it has several tries."""
    for _ in range(5):
        one = _pend(hosts, kind)
        with hosts.wire() as (wire, _):
            words = (hosts.daemon.uri, hosts.b.uri, one.uuid, wire, str(LIVE))
            subprocess.run([sys.executable, "-c", DIES_WHEN_B_RUNS, *words], check=False, env=environment())
        if one.dom.isActive():
            return one
        hosts.a_runs.run("recover")
    raise AssertionError("no client died in time")


@pytest.mark.parametrize("kind", PENDING)
def test_what_a_dead_client_leaves_of_a_guest_is_not_that_guest(hosts: TwoHosts, kind: str) -> None:
    one = _half(hosts, kind)
    assert one.dom.state()[0] == libvirt.VIR_DOMAIN_PAUSED and hosts.on(one, b=True).dom.isActive()
    before = one.aliases()
    ((code, _, reason),) = _recover(hosts.a_runs, "--wait", "1")
    assert (code, reason) == (75, "guest-between-hosts")
    for words in (("attach", "--xml", "-"), ("detach", "ua-b"), ("update", "ua-b", "--link", "down")):
        element = _element(hosts, "ua-c", "52:54:00:ea:00:03") if words[0] == "attach" else b""
        answer = hosts.a_runs.run("--json", words[0], one.name, *words[1:], "--live", stdin=element)
        assert answer.code == 3 and "is paused for a migration" in answer.out, answer
    assert one.aliases() == before
    one.dom.destroy()
    ((code, _, reason),) = _recover(hosts.a_runs)
    assert (code, reason) == (75, "end-unknown")
    assert (_newest(hosts.a_runs, kind)["state"], ASKED[kind] in hosts.on(one, b=True).aliases()) == ("pending", True)
    assert tuple(_recover(hosts.b_runs, "--wait", "1")) == ((75, "pending", "guest-holds-device"),)


def test_a_guest_that_is_arriving_is_not_touched(hosts: TwoHosts) -> None:
    one = _pend(hosts, "detach")
    with hosts.held(one) as migration:
        began = time.monotonic()
        hosts.b_runs.run("--json", "recover")
        assert time.monotonic() - began < 25  # libvirt would let it wait 30 s for its job
        assert hosts.on(one, b=True).dom.state()[0] == libvirt.VIR_DOMAIN_PAUSED
        migration.abort()
    wait_until(lambda: not hosts.on_b.listAllDomains(), "the guest to be gone from B")
    hosts.b_runs.run("recover")
    _assert_settled(hosts.b_runs)
    one.resume()
    ((code, result, _),) = _recover(hosts.a_runs, *LONG)
    assert (code, result) == (0, "done")
    assert one.aliases() == ["ua-b"] == _config(one)
    _assert_settled(hosts.a_runs)


@pytest.mark.parametrize("is_seen", [True, False], ids=["seen-to-leave", "unseen"])
@pytest.mark.parametrize("kind", PENDING)
def test_there_and_back_at_once(hosts: TwoHosts, kind: str, is_seen: bool) -> None:
    one = _pend(hosts, kind)
    there = hosts.migrate(one)
    if is_seen:
        hosts.a_runs.run("recover")
    here = hosts.back(there)
    assert _recover(hosts.a_runs, "--wait", "1") == [(75, "pending", "guest-holds-device")]
    here.resume()
    ((code, result, _),) = _recover(hosts.a_runs, *LONG)
    assert (code, result) == (0, "done")
    assert sorted(here.aliases()) == (KEPT if is_seen else LEFT)[kind] == sorted(_config(here))
    assert {nic["origin"] for nic in _nics(hosts.a_runs, here).values()} == {"virtnetplug"}
    _assert_settled(hosts.a_runs, hosts.b_runs)


@pytest.mark.parametrize("kind", ["detach", "replace"])
def test_to_a_host_without_virtnetplug_and_back(hosts: TwoHosts, kind: str) -> None:
    """There the guest lets go, and nobody hears it."""
    there = hosts.migrate(_pend(hosts, kind))
    there.resume()
    there.wait_gone("ua-a")
    here = hosts.back(there)
    for code, result, _ in _recover(hosts.a_runs, *LONG):
        assert (code, result) == (0, "done")
    assert sorted(here.aliases()) == LEFT[kind] == sorted(_config(here))
    _assert_settled(hosts.a_runs)


def test_both_hosts_never_work_on_one_guest(hosts: TwoHosts) -> None:
    """B has finished what travelled; A, to which the guest returns with another NIC of that alias, leaves that one alone."""
    there = hosts.migrate(_pend(hosts, "detach"))
    there.resume()
    assert all(
        said[:2] == (0, "done") for said in _recover(hosts.b_runs, *LONG)
    )  # nothing to do if it has let go by then
    there.wait_gone("ua-a")
    assert all(said[:2] == (0, "done") for said in _recover(hosts.b_runs, *LONG))
    hosts.b_runs("attach", there.name, "--live", "--config", "--xml", "-", stdin=_element(hosts, "ua-a", MACS[0]))
    here = hosts.back(there)
    hosts.a_runs.run("recover", *LONG)
    assert sorted(here.aliases()) == ["ua-a", "ua-b"] == sorted(_config(here))
    assert _newest(hosts.a_runs, "detach")["state"] != "done"
    _assert_settled(hosts.a_runs)


@pytest.mark.parametrize("kind", PENDING)
def test_what_travels_goes_on_with_a_nic_that_the_destination_connects_to_another_bridge(
    hosts: TwoHosts, kind: str
) -> None:
    one = _pend(hosts, kind)
    there = hosts.migrate(one, cable=(hosts.bridges[0], hosts.bridges[1]))
    assert _recover(hosts.b_runs, "--wait", "1") == [(75, "pending", "guest-holds-device")]
    there.resume()
    ((code, result, _),) = _recover(hosts.b_runs, *LONG)
    assert (code, result) == (0, "done")
    nics = _nics(hosts.b_runs, there)
    assert sorted(nics) == KEPT[kind] and {nic["source"] for nic in nics.values()} == {hosts.bridges[1]}
    _assert_settled(hosts.b_runs)


def test_what_travels_goes_on_with_a_nic_that_was_moved_before_the_guest_left(hosts: TwoHosts) -> None:
    one = _pend(hosts, "detach")
    element = _element(hosts, "ua-a", MACS[0]).replace(hosts.bridges[0], hosts.bridges[1])
    one.dom.updateDeviceFlags(element, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    there = hosts.migrate(one)
    assert _recover(hosts.b_runs, "--wait", "1") == [(75, "pending", "guest-holds-device")]
    there.resume()
    ((code, result, _),) = _recover(hosts.b_runs, *LONG)
    assert (code, result) == (0, "done")
    assert there.aliases() == ["ua-b"] == _config(there)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every step of each operation with ``--full``; without it, the first ones."""
    if metafunc.function is test_a_guest_moves_in_the_middle_of_an_operation:
        most = 12 if metafunc.config.getoption("--full") else 4
        metafunc.parametrize("act", ["attach", "detach", "update", "replace", "rebind", "handover"])
        metafunc.parametrize("step", range(1, most + 1))


def test_a_guest_moves_in_the_middle_of_an_operation(hosts: TwoHosts, act: str, step: int) -> None:
    """The program is killed at a step of its operation; the guest moves, and both hosts recover: nothing is open, and nothing disagrees."""
    one = _guest(hosts, aliases={"attach": (), "handover": ("ua-a", "ua-b")}.get(act, ("ua-a",)))
    given = {"attach": _element(hosts, "ua-a", MACS[0]), "rebind": hosts.bridges[1]}.get(act, "")
    state = str(hosts.a_runs.state)
    words = [sys.executable, "-c", DIES_AT, hosts.a_runs.uri, state, one.name, act, str(step), given]
    program = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert program.returncode in (0, -9), program.stderr
    before = one.aliases()
    there = hosts.migrate(one)
    for command in (hosts.a_runs, hosts.b_runs):
        command.run("recover", *LONG)
    _assert_settled(hosts.a_runs, *([hosts.b_runs] if act not in HALVES_DIFFER else []))
    if act in HALVES_DIFFER:  # and B cannot know what A was about to do
        found = json.loads(hosts.b_runs.run("--json", "audit").out)["findings"]
        assert {each["kind"] for each in found} <= HALVES_DIFFER[act]
        assert hosts.b_runs("recover").out == "nothing to recover\n"
    if act == "attach":
        assert there.aliases() == before  # nothing here can be undone by A, and B has not been asked for anything
    elif act == "handover":
        assert "ua-b" in there.aliases()  # it serves in the place of ua-a, or was kept
    elif act != "detach":
        assert there.aliases() == ["ua-a"] == _config(there)
    for operation in hosts.a_runs.json("history").document["operations"]:
        assert operation["ended"] is not None
