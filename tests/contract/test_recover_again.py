"""Recover that itself fails or dies: the next one ends what is open, no NIC is lost, and the history says what the guest has.

A run is broken in each of its worlds (`faults.kill_points`), or left pending; then each call of the recovery fails, or is the last
of its process. By default that is a sample, the same each time; with ``--full`` it is all of them.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contract.agreement import ENDED_AS
from tests.contract.deaths import die
from tests.contract.faults import AtCall, Crash, Trigger, faulty, kill_points
from tests.contract.operations import GOVERNED, OPERATIONS, Act
from tests.contract.test_steps import _assert_as_before_or_complete, _is_complete, _reset
from tests.contract.world import World
from virtnetplug.errors import VirtnetplugError
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import OPEN_STATES, OperationState, Outcome, Result, Scope

SAMPLES = 4
"""Of each operation, unless all are tried."""

SECOND_BREAKS = 100
"""Of each operation with ``--full``: a recovery that breaks, and then the recovery of that."""

LONGEST = 60
"""More calls than any recovery of these operations makes."""


@dataclass(frozen=True)
class Break:
    """What becomes of call `at` of a recovery: see `Trigger`."""

    at: int
    kind: str
    after: bool

    def __str__(self) -> str:
        return f"{self.kind} {'after' if self.after else 'at'} call {self.at} of recover"


WAYS = [(kind, after) for kind in ("fail", "crash") for after in (False, True)]


PENDING: dict[str, tuple[str, Act]] = {
    "replace": (
        "replace",
        lambda w, p: p.update(w.name, "ua-nic1", {"model": "e1000"}, scope=Scope.BOTH, replace=True, wait=0.1),
    ),
    "handover": (
        "handover",
        lambda w, p: p.handover(w.name, "ua-nic1", w.network_nic(2), scope=Scope.BOTH, wait=0.1),
    ),
    "handback": ("handback", lambda w, p: p.handback(w.name, "ua-nic1", wait=0.1)),
    "detach": ("detach", lambda w, p: p.detach(w.name, ["ua-nic1", "ua-nic2"], scope=Scope.BOTH, wait=0.1)),
}
"""Each with the operation that makes its world."""


def _calls(world: World, name: str) -> list[str]:
    prepare, act = OPERATIONS[name]
    prepare(world)
    trigger = Trigger(-1, "none")
    act(world, Plugger(faulty(world.host, trigger), lambda: None))
    _reset(world)
    return trigger.calls


def _again(world: World) -> None:
    """Another process has the world."""
    world.host.journal.close()
    world.host = world.reopen()


def _dead(world: World, name: str, k: int, after: bool) -> dict[str, Any]:
    """The operation died at (or after) its call `k`; gives what was before it."""
    prepare, act = OPERATIONS[name]
    prepare(world)
    before = world.snapshot()
    with pytest.raises(Crash):
        act(world, Plugger(faulty(world.host, Trigger(k, "crash", after=after)), lambda: None))
    _again(world)
    return before


def _pending(world: World, name: str, *, lets_go: bool) -> dict[str, Any]:
    """The guest still holds the NIC when its time is over, and lets go of it before recover, or after the recovery that breaks."""
    OPERATIONS[PENDING[name][0]][0](world)
    before = world.snapshot()
    _ask_in_vain(world, name)
    if lets_go:
        world.guest.resume()
    return before


def _ask_in_vain(world: World, name: str) -> None:
    world.guest.hold()
    assert PENDING[name][1](world, world.plugger).result is Result.PENDING


def _recover(world: World, trigger: Trigger, what: str, *, wait: float = 3) -> bool:
    """A recovery that breaks, and whose caller is told the truth; False if it ended before."""
    try:
        _assert_told_truly(world, Plugger(faulty(world.host, trigger), lambda: None).recover(wait=wait), what)
    except Crash:
        _again(world)
    except VirtnetplugError:
        pass  # the next one does what this one could not
    return trigger.fired


def _assert_told_truly(world: World, outcomes: Sequence[Outcome], what: str) -> None:
    """What a recovery said has become of an operation is what the journal has."""
    for outcome in {one.operation_id: one for one in outcomes}.values():  # what was said of it last
        record = world.host.journal.operation(outcome.operation_id)
        if record is not None:
            said = f"{what}: {outcome.operation} {outcome.operation_id} is {record.state}, and was said to be {outcome.result}"
            assert record.state in ENDED_AS.get(outcome.result, OPEN_STATES), said


def _past(world: World) -> set[str]:
    """The operations that have ended."""
    journal = world.host.journal
    return {record.id for record in journal.history(limit=100)} - {record.id for record in journal.open_operations()}


def _assert_ends(world: World, name: str, before: dict[str, Any], breaks: Sequence[Break], what: str) -> bool:
    """Break one recovery after the other, then have one that nothing happens to; False if one of them ended before its break."""
    past = _past(world)
    what = f"{what}, then {', then '.join(map(str, breaks))}"
    were_broken = [_recover(world, Trigger(each.at, each.kind, after=each.after), what) for each in breaks]
    world.guest.resume()
    _assert_next_ends(world, name, before, past, what)
    _reset(world)
    return all(were_broken)


def _assert_next_ends(world: World, name: str, before: dict[str, Any], past: set[str], what: str) -> None:
    """The next recovery ends all but the `past` operations, and everything agrees."""
    _assert_told_truly(world, world.plugger.recover(wait=20), what)
    _assert_as_before_or_complete(name, world, before, what)
    assert world.plugger.recover() == (), what
    if name not in GOVERNED:
        is_complete = _is_complete(name, world, before)
        for record in world.host.journal.history(limit=100):
            if record.id not in past:
                expected = OperationState.DONE if is_complete else OperationState.UNDONE
                assert record.state is expected, f"{what}: the history says {record.state} {record.reason}"


def _all_breaks(run: Callable[[Break], bool]) -> None:
    """Each way at each call, for as long as there is such a call."""
    for kind, after in WAYS:
        for at in itertools.count():
            if not run(Break(at, kind, after)):
                break


def _some_break(chance: random.Random) -> Break:
    kind, after = chance.choice(WAYS)
    return Break(int(chance.random() ** 2 * LONGEST), kind, after)


def _samples(name: str, *, is_full: bool) -> Iterator[tuple[Sequence[Break], random.Random]]:
    """One break, and every second time two of them: the recovery of the recovery breaks as well."""
    chance = random.Random(name)
    for number in range(SECOND_BREAKS if is_full else SAMPLES):
        yield [_some_break(chance) for _ in range(2 if is_full else 1 + number % 2)], chance


@pytest.fixture
def is_full(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--full"))


@pytest.mark.many(2)
@pytest.mark.parametrize("name", OPERATIONS)
def test_recover_breaks_after_a_death(fake: World, is_full: bool, name: str) -> None:
    worlds = kill_points(_calls(fake, name))

    def run(k: int, after: bool, breaks: Sequence[Break]) -> bool:
        what = f"{name}, died {'after' if after else 'at'} call {k}"
        return _assert_ends(fake, name, _dead(fake, name, k, after), breaks, what)

    if is_full:
        for k, after in worlds:
            _all_breaks(lambda broken, k=k, after=after: run(k, after, [broken]))  # type: ignore[misc]
    for breaks, chance in _samples(name, is_full=is_full):
        run(*chance.choice(worlds), breaks)


@pytest.mark.many(2)
@pytest.mark.parametrize("lets_go", [True, False], ids=["of a guest that let go", "of a guest that holds on"])
@pytest.mark.parametrize("name", PENDING)
def test_recover_breaks_at_what_is_pending(fake: World, is_full: bool, name: str, lets_go: bool) -> None:
    _calls(fake, PENDING[name][0])  # which leaves an empty element of metadata, as the undo of a hand-over does

    def run(breaks: Sequence[Break]) -> bool:
        return _assert_ends(fake, PENDING[name][0], _pending(fake, name, lets_go=lets_go), breaks, f"{name}, pending")

    if is_full:
        _all_breaks(lambda broken: run([broken]))
    for breaks, _ in _samples(name, is_full=is_full):
        run(breaks)


def test_the_new_nic_is_not_taken_for_the_one_that_was_asked_for(fake: World) -> None:
    """A recovery of a replacement dies once the new NIC is in: the next one finishes it or undoes it, and waits for nobody."""
    _pending(fake, "replace", lets_go=True)
    die(fake, lambda p: p.recover(wait=3), "attach", after=True)
    trigger = Trigger(-1, "none")
    (outcome,) = Plugger(faulty(fake.host, trigger), lambda: None).recover(wait=0)
    assert outcome.result in (Result.DONE, Result.UNDONE), outcome.message
    is_done = outcome.result is Result.DONE
    assert not (is_done and {"attach", "detach"} & set(trigger.calls))
    assert [(nic.alias, nic.model) for nic in fake.plugger.list()] == [("ua-nic1", "e1000" if is_done else "virtio")]
    assert fake.plugger.recover() == ()


@pytest.mark.parametrize("call", ["journal.commit", "xml"])
@pytest.mark.parametrize("name", PENDING)
def test_a_recovery_that_fails_once_loses_no_nic(fake: World, name: str, call: str) -> None:
    """The first of these calls fails once, and the guest has let go by then."""
    _pending(fake, name, lets_go=True)
    trigger = Trigger(-1, "none")
    Plugger(faulty(fake.host, trigger), lambda: None).recover(wait=3)
    _reset(fake)
    before = _pending(fake, name, lets_go=True)
    broken = Break(trigger.calls.index(call), "fail", after=False)
    assert _assert_ends(fake, PENDING[name][0], before, [broken], f"{name}, pending")


@pytest.mark.parametrize(("name", "call"), [("policy", "set_metadata"), ("enforcement", "attach")])
def test_no_policy_acts_on_what_will_be_undone(fake: World, name: str, call: str) -> None:
    """The operation that wrote the policy, or attached the NIC that would serve, died; and its recovery fails."""
    calls = _calls(fake, name)
    before = _dead(fake, name, calls.index(call), after=True)
    assert _assert_ends(fake, name, before, [Break(0, "fail", after=False)], f"{name}, died after {call}")


def test_nor_after_an_operation_of_somebody_who_could_not_undo_it(fake: World) -> None:
    calls = _calls(fake, "enforcement")
    _dead(fake, "enforcement", calls.index("attach"), after=True)
    trigger = AtCall("await_idle", after=False, kind="fail")
    outcome = Plugger(faulty(fake.host, trigger), lambda: None).attach(fake.name, [fake.bridge_nic(3)])
    assert (trigger.fired, outcome.enforced) == (True, ())
    assert any("is open and will be undone" in warning for warning in outcome.warnings), outcome.warnings
    assert Result.UNDONE in {each.result for each in fake.plugger.recover(wait=20)}
    assert sorted(nic.alias or "" for nic in fake.plugger.list()) == ["ua-nic1", "ua-nic3"]


def test_the_history_does_not_say_of_an_undone_operation_that_its_undo_still_waits(fake: World) -> None:
    die(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(1)]), "attach", after=True)
    fake.guest.hold()
    (left,) = fake.plugger.recover()
    assert (left.result, left.reason) == (Result.PENDING, "pending")
    fake.guest.resume()
    (outcome,) = fake.plugger.recover(wait=5)
    (record,) = fake.plugger.history(limit=1)
    assert outcome.result is Result.UNDONE
    assert (record.state, record.reason, record.error) == ("undone", "recovered", outcome.message)
