"""The worlds of the contract suite: a fake host, and a real one with real QEMU, bridges, taps and a libvirt network."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import environment
from tests.contract.world import World
from tests.fakes.clock import FakeClock
from tests.fakes.host_devices import FakeHostDevices
from tests.fakes.hypervisor import FakeHypervisor
from virtnetplug.adapters.clock import SystemClock
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.hotplug.call.host import Host
from virtnetplug.model.network import Network

environment.clean()
_numbers = itertools.count(1)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.real)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The same suite against both."""
    if request.param == "fake":
        yield from fake_world(tmp_path)
    else:
        yield from real_world(request, tmp_path)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[World]:
    """The imaginary one alone, for what has many cases."""
    yield from fake_world(tmp_path)


@pytest.fixture
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The real one alone."""
    yield from real_world(request, tmp_path)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory whose files are not written to a disk, where the machine has such a place: there are many journals."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place, prefix="virtnetplug-") as directory:
        yield Path(directory)


def fake_world(tmp_path: Path, *, machine: str = "pc", clock: FakeClock | None = None) -> Generator[World, None, None]:
    devices = FakeHostDevices()
    hypervisor = FakeHypervisor(devices, clock)
    guest = hypervisor.add("fake", machine=machine)
    bridges = hypervisor.add_bridge("br0"), hypervisor.add_bridge("br1")
    hypervisor.add_network(Network(name="default", uuid="", forward="nat", bridge="virbr0"))
    events: list[Any] = []

    def make() -> Host:
        return Host(
            hypervisor=hypervisor,
            networks=hypervisor,
            links=hypervisor,
            host_devices=devices,
            nodedevs=devices,
            journal=SqliteJournal.open(tmp_path / "state", clock=hypervisor.clock),
            clock=hypervisor.clock,
            publish=events.append,
        )

    with hypervisor.clock.rules_retries():
        for world in _worlds(
            make,
            guest,
            "fake",
            bridges,
            "default",
            lambda b: hypervisor.bridges.get(b, set()),
            tmp_path,
            "fake",
            events,
        ):
            world.stop_network = lambda: hypervisor.stop_network("default")
            world.start_network = lambda: hypervisor.start_network("default")
            world.later = hypervisor.clock.after
            yield world


@contextmanager
def one_fake_world(directory: Path, clock: FakeClock) -> Iterator[World]:
    """An imaginary world that is over at the end of the block, however that ends: for tests that make many."""
    with closing(fake_world(directory, clock=clock)) as worlds:
        yield next(worlds)


def real_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    from tests.real import links
    from virtnetplug.adapters.libvirt.connection import LibvirtHypervisor
    from virtnetplug.adapters.libvirt.networks import LibvirtNetworks, LibvirtNodeDevices
    from virtnetplug.adapters.linux.host_devices import LinuxHostDevices
    from virtnetplug.adapters.linux.links import LinuxLinks

    uri: str = request.getfixturevalue("uri")
    guest = request.getfixturevalue("guest")()
    bridge: Callable[[], str] = request.getfixturevalue("bridge")
    network = request.getfixturevalue("network")("isolated")
    events: list[Any] = []
    opened: list[LibvirtHypervisor] = []

    def make() -> Host:
        hypervisor = LibvirtHypervisor.open(uri)
        opened.append(hypervisor)
        return Host(
            hypervisor=hypervisor,
            networks=LibvirtNetworks(hypervisor),
            links=LinuxLinks(),
            host_devices=LinuxHostDevices(),
            nodedevs=LibvirtNodeDevices(hypervisor),
            journal=SqliteJournal.open(tmp_path / "state"),
            clock=SystemClock(),
            publish=events.append,
        )

    bridges = bridge(), bridge()
    for world in _worlds(make, guest, guest.name, bridges, network.name(), links.members, tmp_path, uri, events):
        world.stop_network, world.start_network = network.destroy, network.create
        yield world
    for hypervisor in opened:
        hypervisor.close()


def _worlds(
    make: Callable[[], Host],
    guest: Any,
    name: str,
    bridges: tuple[str, str],
    network: str,
    members: Callable[[str], set[str]],
    tmp_path: Path,
    uri: str,
    events: list[Any],
) -> Iterator[World]:
    hosts: list[Host] = []

    def reopen() -> Host:
        hosts.append(make())
        return hosts[-1]

    world = World(
        host=reopen(),
        guest=guest,
        name=name,
        bridges=bridges,
        network=network,
        members=lambda bridge: set(members(bridge)),
        reopen=reopen,
        state_dir=tmp_path / "state",
        kind="fake" if uri == "fake" else "real",
        uri=uri,
        events=events,
    )
    try:
        yield world
    finally:
        for host in hosts:
            host.journal.close()
