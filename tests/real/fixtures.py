"""Real QEMU, libvirt, bridges and networks; all of it inside the namespaces that ``tests/namespace`` makes.

`uri` and `connection` are of the driver of this run; `libvirtd` is the private daemon itself. `guest`, `bridge` and
`network` are factories whose makings are removed after the test; `place` is a directory with a short path.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.real import daemon, guests, links, namespace
from virtnetplug.adapters.libvirt import loop
from virtnetplug.demo import machine

_places = itertools.count(1)


@pytest.fixture(scope="session")
def event_loop() -> None:
    """libvirt's events are delivered, and its errors are exceptions only."""
    namespace.require()
    # libvirt also prints every error, unless someone takes them.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    loop.start()


@pytest.fixture
def place() -> Path:
    """An empty directory whose path leaves room for the names of sockets."""
    namespace.require()
    path = namespace.PLACE / str(next(_places))
    path.mkdir(parents=True)
    return path


@pytest.fixture(scope="session")
def libvirtd(event_loop: None) -> Iterator[daemon.Daemon]:
    """A private libvirtd (``qemu:///system``, ``network:///system``), started when first asked for."""
    private = daemon.Daemon()
    private.start()
    yield private
    private.stop()


@pytest.fixture
def mortal_libvirtd(libvirtd: daemon.Daemon) -> Iterator[daemon.Daemon]:
    """`libvirtd`, for a test that kills it: it runs again afterwards. Such a test is for the driver ``daemon`` only."""
    yield libvirtd
    if not libvirtd.is_running:
        libvirtd.start()


@pytest.fixture(scope="session")
def uri(request: pytest.FixtureRequest, event_loop: None) -> Iterator[str]:
    """Of the driver of this run.

    No other process may open the embedded driver's (error 38), and this process no embedded driver with another root.
    """
    if request.config.getoption("--driver") == "daemon":
        yield request.getfixturevalue("libvirtd").uri
        return
    root = namespace.PLACE / "embed"
    yield machine.embedded_root(root)
    machine.keep_capabilities(root)


@pytest.fixture(scope="session")
def connect(request: pytest.FixtureRequest, uri: str) -> Iterator[Callable[[], libvirt.virConnect]]:
    """Gives a connection to `uri`.

    For the embedded driver it is always the same one: libvirt registers the driver anew at each open, about 15 times
    until there are "too many drivers", and ends it with the last close.
    """
    if request.config.getoption("--driver") == "daemon":
        yield lambda: libvirt.open(uri)
        return
    shared = libvirt.open(uri)
    yield lambda: shared
    shared.close()


@pytest.fixture
def connection(connect: Callable[[], libvirt.virConnect]) -> libvirt.virConnect:
    """A connection to the driver of this run."""
    return connect()


@pytest.fixture
def guest(connect: Callable[[], libvirt.virConnect], place: Path) -> Iterator[Callable[..., guests.Guest]]:
    """``guest(machine='q35', mode='hold', delay=2.0, nets=[…])``: see `guests.start`."""
    started: list[guests.Guest] = []

    def start(**options: Any) -> guests.Guest:
        started.append(guests.start(connect(), place, **options))
        return started[-1]

    yield start
    if started:
        guests.remove(connect(), [one.uuid for one in started])


@pytest.fixture
def bridge(event_loop: None) -> Iterator[Callable[..., str]]:
    """``bridge()`` or ``bridge('br7')`` makes a Linux bridge and gives its name."""
    with ExitStack() as made:
        yield lambda *args: made.enter_context(links.bridge(*args))


@pytest.fixture
def network(request: pytest.FixtureRequest, libvirtd: daemon.Daemon) -> Iterator[Callable[..., libvirt.virNetwork]]:
    """``network('isolated')``, ``network('nat')``, ``network('bridge', bridge=…)``: see `links.network`.

    They are in the private daemon (``network:///system``), where the embedded driver looks for its networks, too.
    """
    if request.config.getoption("--driver") == "embedded":
        libvirtd.answer_for_modular_daemons()
    with ExitStack() as made:
        yield lambda *args, **options: made.enter_context(links.network("network:///system", *args, **options))
