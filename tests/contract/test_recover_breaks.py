"""Recover that breaks, with each kind of record that it finds: the next one ends the operation, on the imaginary host and on real QEMU.

A recovery fails at a call, or is killed after that call. On the imaginary host `test_recover_again` breaks it at every call. Here it breaks at
the call that is named for the record; on real QEMU with ``--full`` after each call that changes something.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests import warm
from tests.contract import victim
from tests.contract.deaths import die
from tests.contract.faults import AtCall, Trigger, faulty, is_look
from tests.contract.operations import OPERATIONS
from tests.contract.test_recover_again import PENDING, _ask_in_vain, _assert_next_ends, _calls, _past, _recover
from tests.contract.test_steps import _reset
from tests.contract.world import World
from virtnetplug.adapters.libvirt.connection import is_embedded
from virtnetplug.hotplug.plugger import Plugger


@dataclass(frozen=True)
class Left:
    """A record that the operation `name` has left open, and the call of its recovery that breaks."""

    name: str
    dies: tuple[str, int] | None
    """The call after which its process died, and the how manieth of that name; None if its guest was waited for in vain."""
    breaks: tuple[str, int]


LEFT = {
    "attach": Left("attach", ("attach", 4), ("detach", 3)),
    "detach": Left("detach", ("detach", 1), ("detach", 1)),
    "update": Left("update", ("update", 2), ("update", 2)),
    "rebind": Left("rebind", ("update", 2), ("update", 2)),
    "heal": Left("heal", ("networks.restore_port", 1), ("links.set_master", 1)),
    "replace": Left("replace", ("attach", 1), ("attach", 1)),
    "handover": Left("handover", ("attach", 1), ("detach", 1)),
    "handback": Left("handback", ("attach", 1), ("attach", 1)),
    "marker": Left("marker", ("attach", 2), ("set_metadata", 1)),
    "forget": Left("forget", ("set_metadata", 2), ("set_metadata", 2)),
    "policy": Left("policy", ("update", 1), ("update", 1)),
    "enforcement": Left("enforcement", ("detach", 1), ("detach", 1)),
    "stand-in": Left("stand-in", ("update", 1), ("update", 1)),
    "pending replace": Left("replace", None, ("attach", 1)),
    "pending handover": Left("handover", None, ("attach", 1)),
    "pending handback": Left("handback", None, ("update", 1)),
    "pending detach": Left("detach", None, ("journal.commit", 3)),
}


def test_each_operation_is_left_open() -> None:
    assert {left.name for left in LEFT.values()} == set(OPERATIONS)
    assert {left.name for left in LEFT.values() if left.dies is None} == {name for name, _ in PENDING.values()}


@pytest.mark.many(6)
@pytest.mark.parametrize("kind", LEFT)
def test_the_next_recovery_ends_what_one_that_broke_has_left(
    world: World, request: pytest.FixtureRequest, kind: str
) -> None:
    left = LEFT[kind]
    is_full = world.kind == "real" and request.config.getoption("--full")
    _calls(world, left.name)  # which leaves an empty element of metadata, as the undo of a hand-over does
    points = list(_changes(world, left)) if is_full else [left.breaks]
    missed = 0
    for call, number in points:
        for way in ("fails", "dies"):
            what = f"{kind}, and recover {way} at {call} {number}"
            OPERATIONS[left.name][0](world)
            before, found = world.snapshot(), _findings(world)
            _leave(world, left)
            past = _past(world)
            missed += not _breaks(world, way, call, number, what, after=is_full)
            _assert_next_ends(world, left.name, before, past, what)
            _assert_all_agree(world, found, what)
            _reset(world)
    # how often a real guest is asked depends on how fast it lets go
    assert missed <= (len(points) * 2 * 0.2 if is_full else 0)


def _leave(world: World, left: Left) -> None:
    """The operation is open, and nobody works on it."""
    if left.dies is None:
        _ask_in_vain(world, left.name)
        world.guest.resume()
        return
    call, number = left.dies
    die(world, lambda plugger: OPERATIONS[left.name][1](world, plugger), call, after=True, number=number)


def _changes(world: World, left: Left) -> Iterator[tuple[str, int]]:
    """The calls of a recovery that nothing happens to which change something."""
    OPERATIONS[left.name][0](world)
    _leave(world, left)
    trigger = Trigger(-1, "none")
    Plugger(faulty(world.host, trigger), lambda: None).recover(wait=20)
    _reset(world)
    seen: Counter[str] = Counter()
    for call in trigger.calls:
        seen[call] += 1
        if not is_look(call):
            yield call, seen[call]


def _breaks(world: World, way: str, call: str, number: int, what: str, *, after: bool) -> bool:
    """A recovery breaks; False if it ended before. Where another process can reach the guest, that is the one which dies."""
    if way == "fails":
        trigger = AtCall(call, number, after=after or call.startswith("journal."), kind="fail")
        return _recover(world, trigger, what, wait=20)
    if world.kind == "fake" or is_embedded(world.uri):
        return _recover(world, AtCall(call, number, after=True), what, wait=20)
    world.host.journal.close()
    status, said = warm.run(victim.die_in_recover, victim.Scene.of(world), call, number)
    assert status in (-signal.SIGKILL, victim.NEVER_CAME), f"{what}: {said}"
    world.host = world.reopen()
    return status == -signal.SIGKILL


def _findings(world: World) -> set[tuple[str, str]]:
    return {(finding.kind, finding.nic) for finding in world.plugger.audit().findings}


def _assert_all_agree(world: World, found: set[tuple[str, str]], what: str) -> None:
    """QEMU has the NICs that libvirt lists, and no other one; an audit finds nothing that was not `found` before."""
    if world.kind == "real":
        in_qemu = [name for name in world.guest.devices() if name.startswith("ua-")]
        assert sorted(in_qemu) == sorted(world.guest.aliases()), what
    assert _findings(world) <= found, what
