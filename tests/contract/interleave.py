"""Several processes on one imaginary host, of which exactly one runs at a time, in every order.

Each process is an actor: a thread that runs until its next point, and then waits for its turn. Points are in the ports alone: before a
lock of the journal is taken, after it is released, at each wait on the host's clock, and before each change that is made without a
lock. What an actor does between two points happens at once, as far as the others can see. The clock moves only when no actor can run.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.contract.faults import Trigger, faulty, is_look
from tests.fakes.clock import FakeClock
from virtnetplug.errors import LockTaken
from virtnetplug.hotplug.call.host import Host

_READS = frozenset(
    (
        *("is_owner_alive", "process_of", "expect_owner", "operation", "open_operations", "history", "newest"),
        *("nics", "holdings", "host_policy", "operation_totals", "durations", "compensation_totals", "directory"),
    )
)
"""Of a journal: whatever else is asked of it may change it."""

MOST_POINTS = 2000
"""Points of one run, after which it counts as one that never ends."""


class Deadlock(AssertionError):
    """No actor can run, and no time that passes changes that."""


class Redundant(BaseException):
    """Every actor that can run sleeps: another run has shown what comes of this one."""


class _Abandoned(BaseException):
    """Ends an actor whose run is over: another one has failed."""


@dataclass(eq=False)
class _Actor:
    name: str
    act: Callable[[], object]
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    is_ready: Callable[[], bool] = lambda: True
    until: float | None = None
    at: str = "begins"
    is_over: bool = False
    fault: BaseException | None = None
    is_watched: bool = False
    writes: bool = False
    batches: int = 0
    locks: set[tuple[str, str]] = field(default_factory=set)

    def is_able(self, now: float) -> bool:
        return self.is_ready() or (self.until is not None and self.until <= now)


@dataclass(frozen=True)
class Footprint:
    """What an actor did between two points: `writes` if it may have changed anything that another can see, and the locks it took."""

    writes: bool
    locks: frozenset[tuple[str, str]] = frozenset()

    def commutes(self, other: Footprint) -> bool:
        """Whether the order of the two makes no difference."""
        return not (self.writes or other.writes or self.locks & other.locks)


Asleep = Mapping[str, Footprint]
"""Actors whose next turn has been tried already, with what it does; nothing has happened since that makes a difference to it."""


@dataclass(frozen=True)
class Step:
    """One turn: who was able to have it, who had it, who was asleep, and what was done in it."""

    names: tuple[str, ...]
    name: str
    asleep: Asleep
    footprint: Footprint


class Turns:
    """Runs actors one at a time.

    `order` names the actors of the first turns, and `asleep` those that sleep at each of these. After them `draw` chooses; without it
    the actor that ran last goes on, and `Redundant` ends a run that can only do what another run has done.
    """

    def __init__(
        self, order: Sequence[str] = (), asleep: Sequence[Asleep] = (), draw: random.Random | None = None
    ) -> None:
        self.steps: list[Step] = []
        self.trace: list[str] = []
        self.clock = TurnsClock(self)
        self._order, self._first_asleep, self._draw = order, asleep, draw
        self._asleep: Asleep = {}
        self._actors: list[_Actor] = []
        self._running: _Actor | None = None
        self._back = threading.Semaphore(0)
        self._by_thread: dict[int, _Actor] = {}
        self._holders: dict[tuple[str, str], _Actor] = {}
        self._is_abandoned = False

    def add(self, name: str, act: Callable[[], object], *, is_watched: bool = False) -> None:
        """An actor that runs `act`; an error that `act` raises fails the whole run. With `is_watched` it `touch`es whatever it changes."""
        self._actors.append(_Actor(name, act, is_watched=is_watched))

    def touch(self) -> None:
        """The actor that calls is about to change something that others can see: without a lock that is a point."""
        if (actor := self._by_thread.get(threading.get_ident())) is None:
            return
        if actor not in self._holders.values() and not actor.batches:
            self.point("makes a change without a lock")
        actor.writes = True

    @contextmanager
    def batch(self) -> Iterator[None]:
        """A batch of the journal: nobody else can write into the journal until it ends, so there is no point inside."""
        actor = self._by_thread.get(threading.get_ident())
        if actor is None:
            yield
            return
        self.touch()
        actor.batches += 1
        try:
            yield
        finally:
            actor.batches -= 1

    def run(self) -> None:
        """Run all actors to their ends. Raises `Deadlock`, or the first error of an actor."""
        self.steps, self.trace, self._asleep, self._is_abandoned = [], [], {}, False
        threads = [threading.Thread(target=self._live, args=(actor,), daemon=True) for actor in self._actors]
        for thread in threads:
            thread.start()
        try:
            while left := [actor for actor in self._actors if not actor.is_over]:
                self._one_turn(left)
        finally:
            self._is_abandoned = True
            for actor in self._actors:
                while not actor.is_over:
                    self._give_turn(actor)
            for thread in threads:
                thread.join()
            self._actors, self._running = [], None

    def is_actor(self) -> bool:
        """Whether the calling thread is an actor's."""
        return threading.get_ident() in self._by_thread

    def point(self, at: str, is_ready: Callable[[], bool] = lambda: True, until: float | None = None) -> None:
        """Let others run; returns when it is this actor's turn again, which is only while `is_ready` or from fake time `until` on."""
        actor = self._by_thread.get(threading.get_ident())
        if actor is None:
            return
        if self._is_abandoned:
            raise _Abandoned
        actor.at, actor.is_ready, actor.until = at, is_ready, until
        self._back.release()
        actor.turn.acquire()
        if self._is_abandoned:
            raise _Abandoned

    def take(self, lock: tuple[str, str], on_wait: Callable[[], object] | None, seconds: float | None) -> None:
        """Take a lock of the journal; raises `LockTaken` if another actor holds it for longer than `seconds` (None: for ever)."""
        actor = self._by_thread.get(threading.get_ident())
        if actor is None:
            return
        if lock in self._holders and on_wait is not None:
            on_wait()
        until = None if seconds is None else self.clock.monotonic() + seconds
        self.point("takes a lock", lambda: lock not in self._holders, until)
        if lock in self._holders:
            raise LockTaken("the lock is taken")
        self._holders[lock] = actor
        actor.locks.add(lock)

    def release(self, lock: tuple[str, str]) -> None:
        """Let go of a lock that was taken."""
        if self._holders.pop(lock, None) is not None:
            self.point("released a lock")

    @property
    def schedule(self) -> str:
        """The run so far, for a person, and the choices for `replay`."""
        names = " ".join(step.name for step in self.steps)
        return "\n".join(["schedule:", *(f"  {line}" for line in self.trace), f"replay: {names}"])

    def _one_turn(self, left: Sequence[_Actor]) -> None:
        now = self.clock.monotonic()
        able = [actor for actor in left if actor.is_able(now)]
        if not able:
            ends = [actor.until for actor in left if actor.until is not None]
            if not ends:
                stands = ", ".join(f"{actor.name} {actor.at}" for actor in left)
                raise Deadlock(f"nobody can run: {stands}")
            self.clock.pass_until(min(ends), lambda: any(actor.is_ready() for actor in left))
            return
        able.sort(key=lambda actor: actor is not self._running)  # who ran last goes on, unless something else is chosen
        names = tuple(actor.name for actor in able)
        number = len(self.steps)
        asleep = self._first_asleep[number] if number < len(self._first_asleep) else self._asleep
        self._running = actor = able[names.index(self._chosen(names, asleep))]
        self.trace.append(f"{self.clock.monotonic():6.2f} s  {actor.name}: {actor.at}")
        assert len(self.trace) < MOST_POINTS, "this run never ends"
        actor.writes, actor.locks = not actor.is_watched, set()
        self._give_turn(actor)
        footprint = Footprint(actor.writes, frozenset(actor.locks))
        self.steps.append(Step(names, actor.name, asleep, footprint))
        self._asleep = {name: theirs for name, theirs in asleep.items() if theirs.commutes(footprint)}
        if actor.fault is not None:
            raise actor.fault

    def _chosen(self, names: Sequence[str], asleep: Asleep) -> str:
        number = len(self.steps)
        if number < len(self._order):
            assert self._order[number] in names, f"the scenario is not the same each time: {self._order[number]}"
            return self._order[number]
        if self._draw is not None:
            return self._draw.choice(names)
        awake = [name for name in names if name not in asleep]
        if not awake:
            raise Redundant
        return awake[0]

    def _give_turn(self, actor: _Actor) -> None:
        actor.turn.release()
        self._back.acquire()

    def _live(self, actor: _Actor) -> None:
        self._by_thread[threading.get_ident()] = actor
        actor.turn.acquire()
        try:
            if not self._is_abandoned:
                actor.act()
        except _Abandoned:
            pass
        except BaseException as fault:  # noqa: BLE001 - `run` raises it
            actor.fault = fault
        finally:
            del self._by_thread[threading.get_ident()]
            for lock in [lock for lock, holder in self._holders.items() if holder is actor]:
                del self._holders[lock]
            actor.is_over = True
            self._back.release()


class TurnsClock(FakeClock):
    """The clock of a host with actors: an actor that waits gives its turn away; whoever else waits moves the clock."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns

    def sleep(self, seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
        if self._turns.is_actor():
            self._turns.point("waits", is_over, self.monotonic() + seconds)
        else:
            super().sleep(seconds, is_over)

    def pass_until(self, end: float, is_over: Callable[[], bool]) -> None:
        """Let time pass up to `end`, less if `is_over` after something planned has happened."""
        super().sleep(end - self.monotonic(), is_over)


class TurnsJournal:
    """A process's journal whose locks are points. Everything else goes to `inner` as it is."""

    def __init__(self, inner: Any, turns: Turns) -> None:
        self._inner, self._turns = inner, turns

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name not in _READS:
            self._turns.touch()
        return value

    @contextmanager
    def batch(self, *, is_durable: bool = True) -> Iterator[None]:
        with self._turns.batch(), self._inner.batch(is_durable=is_durable):
            yield

    @contextmanager
    def call(self) -> Iterator[str]:
        """An owner: nobody sees that it is there until it has an operation, and everybody that it is gone."""
        with self._inner.call() as owner:
            try:
                yield owner
            finally:
                self._turns.touch()

    @contextmanager
    def lock(self, hypervisor: str, key: str, *, on_wait: Any = None, **more: Any) -> Iterator[None]:
        lock = hypervisor, key
        self._turns.take(lock, on_wait, more.get("seconds"))
        try:
            with self._inner.lock(hypervisor, key, **more):
                yield
        finally:
            self._turns.release(lock)


class _Watched(Trigger):
    """Breaks nothing: has what a process changes of its host be known."""

    def __init__(self, turns: Turns) -> None:
        super().__init__(-1, "none")
        self._turns = turns

    def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
        if not is_look(name):
            self._turns.touch()
        return call(*args, **named)


def taking_turns(host: Host, turns: Turns) -> Host:
    """`host` as a process has it that is an actor: what it changes is known, and the locks of its journal are points."""
    journal: Any = TurnsJournal(host.journal, turns)
    return dataclasses.replace(faulty(host, _Watched(turns)), journal=journal)


Scenario = Callable[[Turns], object]
"""Makes a world on the clock of these `Turns`, adds the actors, runs them, and checks what came of it."""


def explore(scenario: Scenario, *, most: int) -> int:
    """Run `scenario` in every order of its points that may make a difference; fails if there are more than `most`. Returns how many.

    Depth first, with sleep sets (Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", 1996): of orders that
    differ in turns which commute, one is run.
    """
    order: list[str] = []
    asleep: list[Asleep] = []
    for number in itertools.count(1):
        assert number <= most, f"there are more than {most} orders"
        steps = _run(scenario, Turns(order, asleep))
        for at in range(len(steps) - 1, -1, -1):
            tried = {**steps[at].asleep, steps[at].name: steps[at].footprint}
            if left := [name for name in steps[at].names if name not in tried]:
                order = [*(step.name for step in steps[:at]), left[0]]
                asleep = [*(step.asleep for step in steps[:at]), tried]
                break
        else:
            return number
    raise AssertionError("unreachable")


def sample(scenario: Scenario, *, orders: int, seed: int | str) -> int:
    """Run `scenario` in so many orders, drawn by `seed`. Returns how many."""
    for number in range(orders):
        _run(scenario, Turns(draw=random.Random(f"{seed} {number}")))
    return orders


def replay(scenario: Scenario, order: str) -> None:
    """Run `scenario` in the order that a failure shows after "replay:"."""
    _run(scenario, Turns(order.split()))


def _run(scenario: Scenario, turns: Turns) -> Sequence[Step]:
    try:
        scenario(turns)
    except Redundant:
        pass
    except BaseException as error:
        error.add_note(turns.schedule)
        raise
    return turns.steps
