"""Each kind of connection beside ``qemu:///system``: what works over it, and what is refused by name."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.real import guests, links, relay
from tests.real.command import Command, finish
from tests.real.daemon import Daemon
from tests.real.guests import Guest
from tests.real.test_processes import wait_for
from tests.real.user_session import UserSession

Start = Callable[..., Guest]
Bridge = Callable[..., str]

USER_NIC = "<interface type='user'><model type='virtio'/><alias name='ua-a'/></interface>"
VF_NIC = (
    "<interface type='hostdev' managed='yes'><source><address type='pci' domain='0' bus='1' slot='0' function='1'/></source>"
    "<alias name='ua-v'/></interface>"
)


class Reach(NamedTuple):
    """A guest, and the command over the connection that is tested."""

    command: Command
    guest: Guest


@pytest.fixture
def session(event_loop: None, place: Path) -> Iterator[Reach]:
    """An ordinary user's ``qemu:///session``."""
    with ExitStack() as stack:
        daemon = UserSession(place)
        stack.callback(daemon.stop)
        daemon.start()
        connection = daemon.connect()
        stack.callback(connection.close)
        guest = daemon.guest(connection)
        stack.callback(guests.remove, connection, [guest.uuid])
        command = daemon.command()
        stack.callback(command.close)
        yield Reach(command, guest)


@pytest.fixture
def remote(libvirtd: Daemon, place: Path, guest: Start) -> Iterator[Reach]:
    """A URI with a host in it: the same daemon, behind an address of its own."""
    with relay.listening(libvirtd.socket) as (host, port):
        command = Command(f"qemu+tcp://{host}:{port}/system", place / "state")
        yield Reach(command, guest())
        command.close()


@pytest.fixture
def unix(libvirtd: Daemon, place: Path, guest: Start) -> Iterator[Reach]:
    """A URI that names the daemon's socket, and no host."""
    command = Command(f"qemu+unix:///system?socket={libvirtd.socket}", place / "state")
    yield Reach(command, guest())
    command.close()


@pytest.mark.driver("daemon")
@pytest.mark.parametrize("kind", ["session", "remote", "unix"])
def test_a_second_process_settles_what_a_killed_one_left(request: pytest.FixtureRequest, kind: str) -> None:
    command, guest = request.getfixturevalue(kind)
    command("attach", guest.name, "--xml", "-", "--persistent", stdin=USER_NIC)
    guest.hold()
    first = command.start("detach", guest.name, "ua-a", "--persistent", "--wait", "600", "-v")
    wait_for(first, "waiting for the guest to let go")
    (left,) = command.json("recover", "--wait", "0.1", code=75).document["operations"]
    assert left["reason"] == "operation-busy" and str(first.pid) in left["message"]
    first.send_signal(signal.SIGKILL)
    assert finish(first).code == -signal.SIGKILL
    assert guest.aliases() == ["ua-a"]
    guest.resume()
    command("recover", "--wait", "600")
    assert guest.aliases() == [] and guest.xml(inactive=True).find("devices/interface") is None
    assert command("recover").out == "nothing to recover\n"
    assert command.json("audit").document["findings"] == []


@pytest.mark.driver("daemon")
def test_a_session_is_refused_a_bridge_by_libvirt(session: Reach, bridge: Bridge) -> None:
    """QEMU's bridge helper, whose list of bridges is empty here, says no to an ordinary user."""
    command, guest = session
    switch = bridge()
    document = command.json("attach", guest.name, "--bridge", switch, "--persistent", code=4).document
    assert document["reason"] == "hypervisor-failed" and "bridge helper" in document["message"]
    assert guest.aliases() == [] and guest.xml(inactive=True).find("devices/interface") is None
    assert links.members(switch) == set()
    assert command("recover").out == "nothing to recover\n"


@pytest.mark.driver("daemon")
def test_work_on_another_host_is_refused_by_name(remote: Reach, bridge: Bridge) -> None:
    command, guest = remote
    switch = bridge()
    missing = command.json("attach", guest.name, "--bridge", "nosuch0", code=4).document
    assert (
        missing["reason"] == "hypervisor-failed" and "nosuch0" in missing["message"]
    )  # that host alone knows its links
    command("attach", guest.name, "--bridge", switch, "--alias", "ua-a")
    tap = guest.target("ua-a")
    links.ip("link", "set", tap, "nomaster")
    for words, reason in (
        (("attach", guest.name, "--xml", "-"), "not-local"),
        (("rebind", "--pf", "0000:01:00.0", "--reload-driver"), "not-local"),
        (("rebind", "--heal", guest.name, "ua-a"), "not-supported"),
        (("rebind", "--heal"), "not-supported"),
        (("rebind", guest.name, "ua-a", "--vf", "auto"), "not-supported"),
        (("devices",), "not-supported"),
        (("doctor",), "not-supported"),
    ):
        assert command.json(*words, code=3, stdin=VF_NIC).document["reason"] == reason, words
    audit = command.json("audit").document
    assert audit["findings"] == [] and any("another host" in side for side in audit["unseen"])
    assert links.members(switch) == set() and guest.aliases() == ["ua-a"]
    assert command("recover").out == "nothing to recover\n"


@pytest.mark.driver("embedded")
def test_the_embedded_driver_is_refused_to_a_second_process(uri: str, guest: Start, place: Path) -> None:
    one, command = guest(), Command(uri, place / "state")
    for words in (("attach", one.name, "--xml", "-"), ("list",), ("recover",)):
        answer = command("--json", *words, code=3, stdin=USER_NIC)  # libvirt's driver itself writes to standard error
        assert answer.document["reason"] == "connection-failed", words
    assert one.aliases() == []
