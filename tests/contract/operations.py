"""The operations that the step tests break at every call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contract.world import World
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Scope

Act = Callable[[World, Plugger], Any]


def _nothing(world: World) -> None:
    """No NIC is there before."""


def _one(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)


def _two(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1), world.network_nic(2)], scope=Scope.BOTH)


def _handed_over(world: World) -> None:
    _one(world)
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2), scope=Scope.BOTH)


def _cut_off(world: World) -> None:
    world.plugger.attach(world.name, [world.network_nic(1)], scope=Scope.BOTH)
    world.restart_network()


def _with_twin(world: World) -> None:
    _one(world)
    world.plugger.attach(world.name, [world.network_nic(2)], scope=Scope.BOTH, twin_of="ua-nic1")


def _opted_in(world: World) -> None:
    _one(world)
    world.plugger.set_policy(world.name, force_unplug="NICS")


def _one_of_two_serves(world: World) -> None:
    _two(world)
    world.plugger.set_policy(world.name, serve=["ua-nic1", "ua-nic2"])


OPERATIONS: dict[str, tuple[Callable[[World], None], Act]] = {
    "attach": (
        _nothing,
        lambda w, p: p.attach(w.name, [w.bridge_nic(1), w.network_nic(2)], scope=Scope.BOTH, wait=20),
    ),
    "detach": (_two, lambda w, p: p.detach(w.name, ["ua-nic1", "ua-nic2"], scope=Scope.BOTH, wait=20)),
    "update": (
        _one,
        lambda w, p: p.update(w.name, "ua-nic1", {"source_bridge": w.bridges[1]}, scope=Scope.BOTH, wait=20),
    ),
    "rebind": (_one, lambda w, p: p.rebind(w.name, "ua-nic1", {"source_network": w.network}, scope=Scope.BOTH)),
    "heal": (_cut_off, lambda w, p: p.heal(w.name, "ua-nic1")),
    "replace": (
        _one,
        lambda w, p: p.update(w.name, "ua-nic1", {"model": "e1000"}, scope=Scope.BOTH, replace=True, wait=20),
    ),
    "handover": (
        _one,
        lambda w, p: p.handover(w.name, "ua-nic1", w.network_nic(2), scope=Scope.BOTH, wait=20),
    ),
    "handback": (_handed_over, lambda w, p: p.handback(w.name, "ua-nic1", wait=20)),
    "marker": (
        _one,
        lambda w, p: p.attach(w.name, [w.network_nic(2)], scope=Scope.BOTH, twin_of="ua-nic1", wait=20),
    ),
    "forget": (_with_twin, lambda w, p: p.forget_identity(w.name, "ua-nic1")),
    "policy": (_two, lambda w, p: p.set_policy(w.name, serve=["ua-nic1", "ua-nic2"])),
    "enforcement": (
        _opted_in,
        lambda w, p: p.attach(w.name, [w.network_nic(2)], scope=Scope.BOTH, twin_of="ua-nic1", wait=20),
    ),
    "stand-in": (_one_of_two_serves, lambda w, p: p.detach(w.name, "ua-nic1", scope=Scope.BOTH, wait=20)),
}

GOVERNED = ("policy", "enforcement", "stand-in")
"""Those after which a policy has something done: where that failed, the operation stands, and `recover` does the rest."""
