"""One daemon is one world, however it is dialled; two daemons of one machine are two."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.real import relay
from tests.real.command import Command
from tests.real.daemon import Daemon
from tests.real.guests import Guest
from tests.real.other_daemon import OtherDaemon
from tests.real.user_session import UserSession
from virtnetplug.adapters.libvirt.connection import LibvirtHypervisor, dial
from virtnetplug.adapters.sqlite import SqliteJournal

pytestmark = [pytest.mark.driver("daemon"), pytest.mark.timeout(1800)]

Start = Callable[..., Guest]
Bridge = Callable[..., str]

SYSTEM = "qemu:socket=/run/libvirt"


def _key(uri: str) -> str:
    with closing(LibvirtHypervisor.open(uri, run_event_loop=False)) as hypervisor:
        return hypervisor.key


def _spelled(command: Command, uri: str) -> Command:
    return Command(uri, command.state)


def _nics(command: Command, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = command.json("list", name).document["nics"]
    return found


def _pending(command: Command, guest: Guest, switch: str) -> str:
    """A detach of ``ua-a`` that waits for its guest; returns its id."""
    command("attach", guest.name, "--bridge", switch, "--alias", "ua-a", "--persistent")
    guest.hold()
    answer = command.json("detach", guest.name, "ua-a", "--persistent", "--wait", "1", code=75)
    return str(answer.document["operation_id"])


@pytest.fixture
def spellings(libvirtd: Daemon, place: Path) -> list[str]:
    """Of root's daemon; root has no session of its own."""
    (place / "run").symlink_to("/run")
    (place / "socket").symlink_to(libvirtd.socket)
    unix = "qemu+unix:///system"
    return [
        *("qemu:///system", "qemu:///session", unix, f"{unix}?socket={libvirtd.socket}"),
        *(f"{unix}?socket={place}/run/libvirt/libvirt-sock", f"{unix}?socket={place}/socket&mode=legacy"),
    ]


def test_every_spelling_is_one_world(command: Command, guest: Start, bridge: Bridge, spellings: list[str]) -> None:
    one, switch = guest(), bridge()
    operation = _pending(command, one, switch)
    assert {_key(uri) for uri in spellings} == {SYSTEM}
    for uri in spellings:
        other = _spelled(command, uri)
        (nic,) = _nics(other, one.name)
        assert (nic["origin"], nic["pending"]) == ("virtnetplug", operation), uri
        assert other.json("audit").document["findings"] == [], uri
        found = other.json("history", one.name).document["operations"]
        assert operation in [record["id"] for record in found], uri
    last = _spelled(command, spellings[-1])
    with closing(SqliteJournal.open(command.state)) as journal, journal.lock(SYSTEM, one.uuid):
        (busy,) = last.json("recover", one.name, code=75).document["operations"]
        assert busy["reason"] == "domain-busy"
    one.resume()
    one.wait_gone("ua-a")
    last("recover", one.name, "--wait", "10")
    assert command.json("recover", one.name).document["operations"] == []
    last("attach", one.name, "--bridge", switch, "--alias", "ua-a", "--persistent")
    (nic,) = _nics(command, one.name)
    assert (nic["origin"], nic["live"], nic["config"]) == ("virtnetplug", True, True)
    records = command.json("history", one.name).document["operations"]
    assert [record["uri"] for record in records] == [spellings[-1], command.uri, command.uri], "as it was dialled"


def test_it_is_one_world_after_a_restart_with_another_host_uuid(
    mortal_libvirtd: Daemon, command: Command, guest: Start, bridge: Bridge
) -> None:
    """As every restart is, of a daemon of a machine without DMI."""
    one, switch = guest(), bridge()
    operation = _pending(command, one, switch)
    before = one.dom.connect().getCapabilities()
    mortal_libvirtd.kill()
    mortal_libvirtd.start('host_uuid = "8a3f6f0e-3f0e-4f7c-9f59-0d9a3c5b7e21"\n')
    with closing(libvirt.open(mortal_libvirtd.uri)) as connection:
        one.reconnect(connection)
        assert "8a3f6f0e-3f0e-4f7c-9f59-0d9a3c5b7e21" in connection.getCapabilities() != before
        (nic,) = _nics(command, one.name)
        assert (nic["origin"], nic["pending"]) == ("virtnetplug", operation)
        one.resume()
        one.wait_gone("ua-a")
        command("recover", one.name, "--wait", "10")
        assert _nics(command, one.name) == [] and command.json("audit").document["findings"] == []


@pytest.fixture(params=["system", "session"])
def other(request: pytest.FixtureRequest, libvirtd: Daemon, place: Path) -> Iterator[str]:
    """The URI of another daemon of this machine: root's second one, or an ordinary user's."""
    folder = place / "other"
    folder.mkdir()
    daemon = OtherDaemon(folder) if request.param == "system" else UserSession(folder)
    try:
        daemon.start()
        is_second = isinstance(daemon, OtherDaemon)
        yield daemon.uri if is_second else f"qemu+unix:///session?socket={folder}/libvirt/libvirt-sock"
    finally:
        daemon.stop()


def test_two_daemons_of_one_machine_are_two_worlds(command: Command, other: str) -> None:
    """Their domains have the same name and UUID, as clones have."""
    text = f"<domain type='qemu'><name>twin</name><uuid>{uuid.uuid4()}</uuid><memory>8192</memory><os><type>hvm</type></os></domain>"
    with closing(libvirt.open(command.uri)) as first, closing(libvirt.open(other)) as second:
        twins = [connection.defineXML(text) for connection in (first, second)]
        try:
            _two_worlds(command, _spelled(command, other), twins[0].UUIDString())
        finally:
            for twin in twins:
                twin.undefine()


def _two_worlds(here: Command, there: Command, domain: str) -> None:
    assert _key(here.uri) == SYSTEM != _key(there.uri)
    words = ("--config", "--alias", "ua-a", "--bridge")
    here("attach", "twin", *words, "br-of-here")
    assert _nics(there, "twin") == [] and there.json("history").document["operations"] == []
    with closing(SqliteJournal.open(here.state)) as journal, journal.lock(SYSTEM, domain):
        there("attach", "twin", *words, "br-of-there")
    for command, source in ((here, "br-of-here"), (there, "br-of-there")):
        ((nic,), records) = _nics(command, "twin"), command.json("history").document["operations"]
        assert (nic["source"], [record["uri"] for record in records]) == (source, [command.uri])
    there("detach", "twin", "ua-a", "--config")
    (nic,) = _nics(here, "twin")
    assert nic["source"] == "br-of-here"
    assert here.json("recover").document["operations"] == []


def test_another_hosts_is_known_by_that_host(libvirtd: Daemon, guest: Start, bridge: Bridge, place: Path) -> None:
    """And what a version that knew its URI alone left open is found when that URI is dialled."""
    one, switch = guest(), bridge()
    with relay.listening(libvirtd.socket) as (host, port):
        command = Command(f"qemu+tcp://{host}:{port}/system", place / "state")
        operation = _pending(command, one, switch)
        again = _spelled(command, f"qemu+tcp://somebody@{host}:{port}/system")
        (nic,) = _nics(again, one.name)
        assert (nic["origin"], nic["pending"]) == ("virtnetplug", operation)
        assert _key(command.uri) == _key(again.uri) != SYSTEM
        with closing(sqlite3.connect(command.state / "journal.db")) as journal, journal:
            for table in ("operations", "nics"):
                journal.execute(f"UPDATE {table} SET hypervisor = 'uri=' || uri")
        assert _nics(again, one.name)[0]["origin"] == "virtnetplug", "the guest says whose it is"
        assert _nics(command, one.name)[0]["pending"] == operation, "it is only read, and said all the same"
        one.resume()
        one.wait_gone("ua-a")
        command("recover", one.name, "--wait", "10")
        assert command.json("history", one.name).document["operations"][0]["state"] == "done"
        assert again.json("recover").document["operations"] == []


@pytest.mark.driver("embedded")
def test_a_root_of_the_embedded_driver_is_opened_once_however_it_is_spelled(uri: str) -> None:
    assert dial(uri) is dial(f"{uri}/") is dial(uri.replace("?root=", "?root=/run/.."))
    assert _key(uri) == _key(f"{uri}/") != SYSTEM
