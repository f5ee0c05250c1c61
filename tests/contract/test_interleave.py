"""The explorer itself: it runs every order once, finds a race, tells a deadlock, and lets a bounded lock run out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest

from tests.contract.interleave import Deadlock, Turns, TurnsJournal, explore, replay, sample
from virtnetplug.errors import LockTaken


class _Locks:
    """A journal that knows locks and owners alone; `asked` are the keywords of the last lock."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.owners: list[str] = []

    @contextmanager
    def call(self) -> Iterator[str]:
        self.owners.append("owner")
        try:
            yield "owner"
        finally:
            self.owners.remove("owner")

    def lock(self, hypervisor: str, domain_uuid: str, **asked: Any) -> AbstractContextManager[None]:
        self.asked = asked
        return nullcontext()


def _journal(turns: Turns) -> TurnsJournal:
    return TurnsJournal(_Locks(), turns)


def test_every_order_is_run_once() -> None:
    seen: list[str] = []

    def scenario(turns: Turns) -> None:
        order: list[str] = []

        def act(name: str) -> Callable[[], None]:
            def run() -> None:
                for number in range(2):
                    order.append(f"{name}{number}")
                    turns.clock.sleep(0)

            return run

        turns.add("a", act("a"))
        turns.add("b", act("b"))
        turns.run()
        seen.append(" ".join(order))

    runs = explore(scenario, most=100)
    assert set(seen) == {
        *("a0 a1 b0 b1", "a0 b0 a1 b1", "a0 b0 b1 a1", "b0 a0 a1 b1", "b0 a0 b1 a1", "b0 b1 a0 a1"),
    }
    assert runs == len(seen)
    with pytest.raises(AssertionError, match="more than 5 orders"):
        explore(scenario, most=5)


def _lost_update(turns: Turns) -> None:
    """Two who add one, and look at the sum under the lock, but add outside it."""
    journal, total = _journal(turns), [0]

    def add() -> None:
        with journal.lock("uri", "uuid"):
            now = total[0]
        total[0] = now + 1

    turns.add("a", add)
    turns.add("b", add)
    turns.run()
    assert total == [2]


def test_a_race_is_found_and_its_schedule_runs_again() -> None:
    with pytest.raises(AssertionError) as caught:
        explore(_lost_update, most=100)
    with pytest.raises(AssertionError):
        sample(_lost_update, orders=30, seed=1)
    (note,) = caught.value.__notes__
    with pytest.raises(AssertionError, match="assert "):
        replay(_lost_update, note.partition("replay:")[2])


def test_two_locks_in_two_orders_are_a_deadlock() -> None:
    def scenario(turns: Turns) -> None:
        journal = _journal(turns)

        def both(first: str, second: str) -> None:
            with journal.lock("", first), journal.lock("", second):
                pass

        turns.add("a", lambda: both("x", "y"))
        turns.add("b", lambda: both("y", "x"))
        turns.run()

    with pytest.raises(Deadlock, match="a takes a lock, b takes a lock"):
        explore(scenario, most=100)


def test_time_passes_when_all_wait_and_a_bounded_lock_runs_out() -> None:
    told: list[str] = []

    def scenario(turns: Turns) -> None:
        journal = _journal(turns)

        def hold() -> None:
            with journal.lock("", "x"):
                turns.clock.sleep(60.0)

        def want() -> None:
            turns.clock.sleep(1.0)
            with pytest.raises(LockTaken), journal.lock("", "x", on_wait=lambda: told.append("waits"), seconds=5.0):
                pass
            assert turns.clock.monotonic() == 6.0
            with journal.lock("", "x", seconds=600.0):
                assert turns.clock.monotonic() == 60.0
                assert journal._inner.asked == {"seconds": 600.0}

        turns.add("a", hold)
        turns.add("b", want)
        turns.run()

    explore(scenario, most=10)
    assert "waits" in told


def test_what_is_planned_wakes_who_waits_for_it() -> None:
    def scenario(turns: Turns) -> None:
        seen: list[float] = []
        turns.clock.after(2.0, lambda: seen.append(turns.clock.monotonic()))
        turns.add("a", lambda: turns.clock.sleep(10.0, lambda: bool(seen)))
        turns.add("b", lambda: turns.clock.sleep(1.0))
        turns.run()
        assert (seen, turns.clock.monotonic()) == ([2.0], 2.0)

    explore(scenario, most=10)


def test_the_end_of_an_owner_is_a_change() -> None:
    seen: list[int] = []

    def scenario(turns: Turns) -> None:
        journal = _journal(turns)
        now: list[int] = []

        def own() -> None:
            with journal.call():
                turns.clock.sleep(0)

        turns.add("a", own, is_watched=True)
        turns.add("b", lambda: now.append(len(journal._inner.owners)), is_watched=True)
        turns.run()
        seen.extend(now)

    explore(scenario, most=10)
    assert {0, 1} == set(seen)
