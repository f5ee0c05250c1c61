"""The worlds that an operation goes through, by number: before its first call, and after each change of what is outside the process.

Counted so and not in calls, a world is the same in each run: how often a guest is looked at depends on how fast it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.contract.faults import Trigger, changes, is_look


class InWorld(Trigger):
    """Acts in one world: before the first call in the first, else when the change that made it has happened.

    If `leaving`, it acts on the next effect that would end this world, before that has happened.
    """

    def __init__(self, world: int, kind: str, *, leaving: bool = False) -> None:
        super().__init__(-1, kind, after=not leaving)
        self._world, self._now, self._leaving = world, 0, leaving

    def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
        self.calls.append(name)
        if not self.fired and self._ends_with(name):
            self._fire(name)
        answer = call(*args, **named)
        self._now += not is_look(name)
        if not self.fired and not self._leaving and self._now == self._world:
            self._fire(name)
        return answer

    def _ends_with(self, name: str) -> bool:
        """Whether to act before this call."""
        if self._leaving:
            return self._now >= self._world and not is_look(name) and not name.startswith("journal.")
        return self._world == 0


def worlds(calls: Sequence[str]) -> range:
    """Of an operation that makes these calls."""
    return range(len(changes(calls)) + 1)


def made_by(calls: Sequence[str], world: int) -> str:
    """What made it."""
    return f"in world {world}, " + (f"made by {calls[changes(calls)[world - 1]]}" if world else "before the first call")
