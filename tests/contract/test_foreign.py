"""An operation dies anywhere, an administrator changes something, something is started anew: recover touches what is ours alone, and lies not.

The table has every operation, with every world that it dies in (`faults.kill_points`), every hand (`foreign.HANDS`) on each of its NICs, and every
restart (`foreign.RESTARTS`). By default a sample of that is run, the same each time; with ``--full`` the whole.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.contract import foreign, test_hostdev, test_rebind_pf, test_rebind_vf
from tests.contract.conftest import one_fake_world
from tests.contract.faults import Crash, Trigger, faulty, kill_points
from tests.contract.foreign import (
    BYSTANDER,
    ELSEWHERE,
    HANDS,
    RESTARTS,
    STARTED_ANEW,
    Case,
    Effect,
    picture,
    with_any_vf,
)
from tests.contract.operations import GOVERNED, OPERATIONS, Act
from tests.contract.test_recover_again import PENDING
from tests.contract.world import World
from tests.fakes.clock import FakeClock
from virtnetplug.errors import HypervisorFailed
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half, Result, StepState

SAMPLES = 80
"""Rows of each operation, unless all are tried."""

OUT = {"ask": Half.LIVE, "undefine": Half.CONFIG}
"""The steps that take a NIC out of a definition."""

GROUPED = ("policy", "stand-in")
"""Operations in whose world the two NICs are a group of which one serves."""


@dataclass(frozen=True)
class Played:
    """An operation with the world it needs, and the NICs that hands are laid on."""

    name: str
    prepare: Callable[[World], Any]
    act: Act
    nics: tuple[str, str] = ("ua-nic1", "ua-nic2")


def _pools(world: World) -> None:
    fake = foreign.hypervisor_of(world)
    fake.add_network(Network(name="pool", forward="hostdev", pf="eth0", managed=True))
    fake.add_network(Network(name="unmanaged", forward="hostdev", pf="eth1", managed=False))


def _on_vfs(name: str, prepare: Callable[[World], Any], act: Act) -> Played:
    def prepare_all(world: World) -> None:
        _pools(world)
        prepare(world)

    return Played(f"vf {name}", prepare_all, act, ("ua-vf1", "ua-vf2"))


def _of_the_pf(world: World, plugger: Plugger, wish: dict[str, Any]) -> None:
    test_rebind_pf.rebind(world, plugger, **wish)


PLAYED = {
    each.name: each
    for each in (
        *(Played(name, *both) for name, both in OPERATIONS.items()),
        *(_on_vfs(name, *both) for name, both in test_hostdev.OPERATIONS.items()),
        *(_on_vfs(f"moved, {name}", test_rebind_vf.attached, act) for name, (act, *_) in test_rebind_vf.ACTS.items()),
        *(
            _on_vfs(f"of a PF, {name}", test_rebind_pf.furnish, partial(_of_the_pf, wish=wish))
            for name, wish in test_rebind_pf.WISHES.items()
        ),
    )
}

Row = tuple[tuple[int, bool], str, str, str]
"""The call that it dies at, or after; the hand, its NIC, and the restart."""


@contextmanager
def _world(directory: Path, played: Played) -> Iterator[World]:
    with one_fake_world(directory, FakeClock()) as world:
        foreign.hypervisor_of(world).add_bridge(ELSEWHERE)
        played.prepare(world)
        for half in foreign.HALVES:
            world.guest.attach(foreign.foreign_nic(BYSTANDER, 0), half)
        yield world


def _undisturbed(directory: Path, played: Played) -> tuple[Effect, list[str]]:
    with _world(directory, played) as world:
        before, trigger = picture(world), Trigger(-1, "none")
        played.act(world, Plugger(faulty(world.host, trigger), lambda: None))
        return Effect(before, picture(world)), trigger.calls


def _judged(world: World, played: Played, effect: Effect, hand: str, nic: str, restart: str) -> list[str] | None:
    """What is wrong after that hand, that restart and a recovery; None where the hand finds nothing to do."""
    crashed = picture(world)
    try:
        if not HANDS[hand](world, nic, played.nics[0]):
            return None
    except HypervisorFailed:
        return None  # libvirt refuses that, as the guest holds on to the NIC
    changed = picture(world)
    with suppress(
        HypervisorFailed
    ):  # the guest does not start, as a VF that nobody detaches from its driver is not there for it
        RESTARTS[restart](world)
    world.guest.resume()
    seen = with_any_vf if restart in STARTED_ANEW else lambda there: there
    case = Case(
        Effect(seen(effect.before), seen(effect.after)),
        seen(crashed),
        seen(changed),
        seen(picture(world)),
        is_started_anew=restart in STARTED_ANEW,
        begun=_begun(world, effect),
        group=played.nics if played.name in GROUPED else (),
        judged=_left_open(world) if played.name not in GOVERNED else frozenset(),
        ordered=_ordered(effect) if played.name == "enforcement" else frozenset(),
        host_before=tuple(foreign.host_faults(world)),
    )
    vfs = foreign.vfs(world)
    case.outcomes = (*world.plugger.recover(wait=20), *world.plugger.recover(wait=20))
    case.then, case.host_after = seen(picture(world)), tuple(foreign.host_faults(world))
    case.remembered = foreign.remembered(world)
    is_open = bool(world.host.journal.open_operations())
    found = [*case.faults(), *foreign.vf_faults(effect, vfs, foreign.vfs(world), is_open=is_open)]
    world.plugger.audit()
    return [f"{fault}\n  {case.outcomes}" for fault in found]


def _left_open(world: World) -> frozenset[str]:
    """The operations that died; policies have operations of their own done, which change less."""
    return frozenset(record.id for record in world.host.journal.open_operations())


def _ordered(effect: Effect) -> frozenset[tuple[str, str]]:
    """A policy is an order that stands: it takes out the NIC of that alias and MAC as it is by then."""
    return frozenset((alias, mac) for half in foreign.HALVES for alias, mac, *_ in effect.leaving(half))


def _begun(world: World, effect: Effect) -> frozenset[tuple[Half, str]]:
    steps = [step for record in world.host.journal.open_operations() for step in record.steps]
    # An operation on a PF has the name of its guest before that of each NIC.
    names = {(step.name, step.nic.rpartition("/")[2]) for step in steps if step.state is not StepState.PLANNED}
    begun = {(OUT[step], nic) for step, nic in names if step in OUT}
    if any(step == "define" for step, _ in names):  # in place of those that leave
        begun |= {(Half.CONFIG, look[0]) for look in effect.leaving(Half.CONFIG)}
    return frozenset(begun)


def _dead(directory: Path, played: Played, effect: Effect, row: Row) -> list[str] | None:
    (k, after), hand, nic, restart = row
    with _world(directory, played) as world:
        with pytest.raises(Crash):
            played.act(world, Plugger(faulty(world.host, Trigger(k, "crash", after=after)), lambda: None))
        world.host.journal.close()
        world.host = world.reopen()
        return _judged(world, played, effect, hand, nic, restart)


def _rows(played: Played, calls: Sequence[str]) -> list[Row]:
    return list(itertools.product(kill_points(calls), HANDS, played.nics, RESTARTS))


def _some(name: str, rows: list[Any], request: pytest.FixtureRequest) -> list[Any]:
    is_full = request.config.getoption("--full") or len(rows) <= SAMPLES
    return rows if is_full else random.Random(name).sample(rows, SAMPLES)


@pytest.mark.many(3)
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PLAYED)
def test_after_a_death(memory: Path, request: pytest.FixtureRequest, name: str) -> None:
    played = PLAYED[name]
    effect, calls = _undisturbed(memory / "undisturbed", played)
    found, applied = [], 0
    for number, row in enumerate(_some(name, _rows(played, calls), request)):
        faults = _dead(memory / str(number), played, effect, row)
        applied += faults is not None
        found += [f"{name} {row} {calls[row[0][0]]}: {fault}" for fault in faults or ()]
    assert not found, "\n".join(found)
    assert applied >= SAMPLES / 4, "most hands find nothing to do"


@pytest.mark.many(2)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lets_go", [True, False], ids=["of a guest that let go", "of a guest that holds on"])
@pytest.mark.parametrize("name", PENDING)
def test_of_what_is_pending(memory: Path, request: pytest.FixtureRequest, name: str, lets_go: bool) -> None:
    """The guest lets go before the hand, or only once all has been started anew."""
    operation, act = PENDING[name]
    played = PLAYED[operation]
    effect, _ = _undisturbed(memory / "undisturbed", played)
    rows = list(itertools.product(HANDS, played.nics, RESTARTS))
    found, applied = [], 0
    for number, (hand, nic, restart) in enumerate(_some(name, rows, request)):
        with _world(memory / str(number), played) as world:
            world.guest.hold()
            assert act(world, world.plugger).result is Result.PENDING
            world.host.journal.close()
            world.host = world.reopen()
            if lets_go:
                world.guest.resume()
            faults = _judged(world, played, effect, hand, nic, restart)
        applied += faults is not None
        found += [f"{name} pending {hand} {nic} {restart}: {fault}" for fault in faults or ()]
    assert not found, "\n".join(found)
    assert applied >= SAMPLES / 4, "most hands find nothing to do"
