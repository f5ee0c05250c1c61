"""A process that runs one operation, or a recovery, and is killed in the middle: see `tests.warm`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.contract.faults import AtCall, Trigger, faulty
from tests.contract.operations import OPERATIONS
from tests.contract.world import World
from virtnetplug.adapters.clock import SystemClock
from virtnetplug.adapters.libvirt.connection import LibvirtHypervisor
from virtnetplug.adapters.libvirt.networks import LibvirtNetworks, LibvirtNodeDevices
from virtnetplug.adapters.linux.host_devices import LinuxHostDevices
from virtnetplug.adapters.linux.links import LinuxLinks
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.plugger import Plugger

NEVER_CAME = 7
"""Exit status: the operation ended before call k, for how often a guest is looked at depends on how fast it is."""


@dataclass(frozen=True)
class Scene:
    """A real world, as another process needs it."""

    uri: str
    domain: str
    bridges: tuple[str, str]
    network: str
    state_dir: Path

    @classmethod
    def of(cls, world: World) -> Scene:
        return cls(world.uri, world.name, world.bridges, world.network, world.state_dir)


def die(scene: Scene, name: str, k: int, after: bool) -> None:
    """Run the operation `name`, and be killed at (or after) its call `k`."""
    world = _world(scene)
    OPERATIONS[name][1](world, Plugger(faulty(world.host, Trigger(k, "kill", after=after)), lambda: None))
    sys.exit(NEVER_CAME)


def die_after(scene: Scene, name: str, call: str, number: int) -> None:
    """Run the operation `name`, and be killed after its `number`-th call called `call`."""
    world = _world(scene)
    OPERATIONS[name][1](world, Plugger(faulty(world.host, AtCall(call, number, after=True, kind="kill")), lambda: None))
    sys.exit(NEVER_CAME)


def die_in_recover(scene: Scene, call: str, number: int) -> None:
    """Recover, and be killed after the `number`-th call of that name."""
    trigger = AtCall(call, number, after=True, kind="kill")
    Plugger(faulty(_world(scene).host, trigger), lambda: None).recover(wait=20)
    sys.exit(NEVER_CAME)


def _world(scene: Scene) -> World:
    hypervisor = LibvirtHypervisor.open(scene.uri)
    host = Host(
        hypervisor=hypervisor,
        networks=LibvirtNetworks(hypervisor),
        links=LinuxLinks(),
        host_devices=LinuxHostDevices(),
        nodedevs=LibvirtNodeDevices(hypervisor),
        journal=SqliteJournal.open(scene.state_dir),
        clock=SystemClock(),
        publish=lambda event: None,
    )
    return World(
        host=host,
        guest=None,
        name=scene.domain,
        bridges=scene.bridges,
        network=scene.network,
        members=lambda bridge: set(),
        reopen=lambda: host,
        state_dir=scene.state_dir,
        kind="real",
        uri=scene.uri,
    )
