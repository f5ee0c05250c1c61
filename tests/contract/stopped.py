"""A second process that stands still in the middle of an operation, as after SIGSTOP, while others go on."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable
from typing import Any

from tests.contract.faults import Crash, Trigger, faulty
from tests.contract.world import World
from virtnetplug.errors import VirtnetplugError
from virtnetplug.hotplug.plugger import Plugger

Moment = Callable[[str], bool]
"""Is given the name of each call of the process in turn (see `faults`), ``lock`` or ``wait``; True stops the process before that call."""

LIMIT = 20.0
"""Real seconds after which a process that neither stops nor ends has failed the test."""


def at(call: str, *, number: int = 1) -> Moment:
    """At the call of this name and number."""
    count = 0

    def is_now(name: str) -> bool:
        nonlocal count
        count += name == call
        return name == call and count == number

    return is_now


def waiting(world: World) -> Moment:
    """While the guest is waited for, and nobody has a lock."""
    return lambda name: name == "wait" and not is_locked(world)


def relocking(world: World) -> Moment:
    """After the guest was waited for, before the lock is taken again."""
    waits, has_waited = waiting(world), False

    def is_now(name: str) -> bool:
        nonlocal has_waited
        has_waited = has_waited or waits(name)
        return has_waited and name == "lock"

    return is_now


def is_locked(world: World) -> bool:
    """Whether somebody has the lock of a domain."""
    for path in (world.state_dir / "locks").iterdir():
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


class Stopped:
    """Another process on the host of `world`, which runs `act` until `moment` and stands still there."""

    def __init__(self, world: World, act: Callable[[Plugger], Any], moment: Moment) -> None:
        self._host = world.reopen()
        self._trigger = _Halting(moment)
        lock = self._host.journal.lock

        def look_and_lock(*args: Any, **named: Any) -> Any:
            self._trigger.look("lock")
            return lock(*args, **named)

        self._host.journal.lock = look_and_lock  # type: ignore[method-assign]
        self._act, self._answer = act, list[Any]()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._trigger.wait_for_stop(self._thread)

    def go_on(self) -> Any:
        """Let it run to its end; gives what the operation returned, or the error that it raised. Safe twice."""
        self._trigger.go.set()
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), "the process that went on did not end"
        return self._answer[0] if self._answer else None

    def die(self) -> None:
        """End it where it stands."""
        self._trigger.fired = True
        self.go_on()
        assert self._answer == []

    def _run(self) -> None:
        try:
            self._answer.append(self._act(Plugger(faulty(self._host, self._trigger), lambda: None)))
        except VirtnetplugError as error:
            self._answer.append(error)
        except Crash:
            self._host.journal.close()


class _Halting(Trigger):
    def __init__(self, moment: Moment) -> None:
        super().__init__(-1, "crash")
        self._moment = moment
        self._has_stopped, self.go = threading.Event(), threading.Event()

    def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
        self.look(name)
        return super().around(name, call, *args, **named)

    def waits(self) -> None:
        self.look("wait")

    def look(self, name: str) -> None:
        if not self._has_stopped.is_set() and self._moment(name):
            self._has_stopped.set()
            self.go.wait(3 * LIMIT)
        if self.fired:
            raise Crash

    def wait_for_stop(self, thread: threading.Thread) -> None:
        while not self._has_stopped.wait(0.01):
            assert thread.is_alive(), "the process ended, and never came to where it was to stop"
