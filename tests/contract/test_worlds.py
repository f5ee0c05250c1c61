"""A process that dies between two changes leaves the same world wherever it dies: why one death for each world is enough.

Every operation runs once under a `Witness`, which sees all that is outside the process before and after each call. A change
that no point of `kill_points` knows of (by a call that passes for a look, or between two calls) fails the test.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.contract import test_hostdev, test_rebind_pf, test_rebind_vf, test_rebind_vif
from tests.contract.faults import Witness, changes, faulty, kill_points, points
from tests.contract.operations import OPERATIONS
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_rebind_pf import house as house
from tests.contract.test_rebind_vif import Dom0
from tests.contract.test_rebind_vif import dom0 as dom0
from tests.contract.world import World
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Half

_OWN_AFFAIRS = frozenset(("_hypervisor", "_watches", "calls", "on_bind"))
"""Attributes of the fakes that are no part of the world: how they are wired, and what they were asked."""

GUESTS_MOVE = ("detach", "replace", "handover", "handback", "enforcement", "stand-in")
"""Operations in which a real guest lets go of a NIC when it likes, which is no change of ours."""


def picture(thing: Any) -> Any:
    """All that a fake has, as a value to compare."""
    if isinstance(thing, etree._Element):
        return etree.tostring(thing)
    if isinstance(thing, dict):
        return {repr(key): picture(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [picture(each) for each in thing]
    if type(thing).__module__.startswith("tests.fakes"):
        return {name: picture(value) for name, value in vars(thing).items() if name not in _OWN_AFFAIRS}
    return repr(thing)


def committed(state_dir: Path) -> list[bytes]:
    """What another process would find in the journal: its file, and the log of what was written since."""
    return [state_dir.joinpath(f"journal.db{part}").read_bytes() for part in ("", "-wal")]


def assert_changes_are_known(see: Callable[[], Any], act: Callable[[Plugger], Any], host: Host) -> Witness:
    witness = Witness(see)
    act(Plugger(faulty(host, witness), lambda: None))
    assert witness.unknown == []
    worlds = kill_points(witness.calls)
    assert len(changes(witness.calls)) >= 2 and len(worlds) < len(points("fail", witness.calls)) / 2
    return witness


@pytest.mark.parametrize("name", OPERATIONS)
def test_of_each_operation(fake: World, name: str) -> None:
    prepare, act = OPERATIONS[name]
    prepare(fake)

    def see() -> Any:
        return picture(fake.host.hypervisor), committed(fake.state_dir)

    assert_changes_are_known(see, lambda plugger: act(fake, plugger), fake.host)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in GUESTS_MOVE])
def test_of_each_operation_on_real_qemu(real: World, name: str) -> None:
    prepare, act = OPERATIONS[name]
    prepare(real)

    def see() -> Any:
        domain = real.host.hypervisor.domain(real.name)
        halves = [(domain.xml(half), domain.metadata(half)) for half in (Half.LIVE, Half.CONFIG)]
        return halves, real.taps(), real.host.networks.ports(real.network), committed(real.state_dir)

    assert_changes_are_known(see, lambda plugger: act(real, plugger), real.host)


@pytest.mark.parametrize("name", test_hostdev.OPERATIONS)
def test_of_each_operation_on_vfs(pool: World, name: str) -> None:
    prepare, act = test_hostdev.OPERATIONS[name]
    prepare(pool)

    def see() -> Any:
        return picture(pool.host.hypervisor), committed(pool.state_dir)

    assert_changes_are_known(see, lambda plugger: act(pool, plugger), pool.host)


@pytest.mark.parametrize("name", test_rebind_vf.ACTS)
def test_of_a_change_of_vf(pool: World, name: str) -> None:
    test_rebind_vf.attached(pool)

    def see() -> Any:
        return picture(pool.host.hypervisor), committed(pool.state_dir)

    assert_changes_are_known(see, lambda plugger: test_rebind_vf.ACTS[name][0](pool, plugger), pool.host)


@pytest.mark.parametrize("name", test_rebind_pf.WISHES)
def test_of_a_rebind_of_a_pf(house: World, name: str) -> None:
    if name == "fewer":
        house.plugger.rebind_vf("second", "ua-vf2", test_rebind_pf.VFS[3])

    def see() -> Any:
        return picture(house.host.hypervisor), committed(house.state_dir)

    wish = test_rebind_pf.WISHES[name]
    assert_changes_are_known(see, lambda plugger: test_rebind_pf.rebind(house, plugger, **wish), house.host)


@pytest.mark.parametrize("reload", [False, True], ids=["one", "all"])
def test_of_a_rebind_of_vifs(dom0: Dom0, reload: bool) -> None:
    def see() -> Any:
        return picture(dom0.hypervisor), picture(dom0.xen), committed(dom0.state_dir)

    assert_changes_are_known(see, lambda plugger: test_rebind_vif.rebind(dom0, plugger, reload=reload), dom0.host)


def test_a_change_that_passes_for_a_look_is_found() -> None:
    world = [0]
    witness = Witness(lambda: list(world))
    witness.around("xml", lambda: world.append(1))
    witness.around("attach", lambda: world.append(2))
    world.append(3)
    witness.around("state", lambda: None)
    assert witness.unknown == ["by xml", "before state"]
