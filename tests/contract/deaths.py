"""A process that dies at a call that is named, where the step tests die once for each world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.faults import Crash, Trigger, faulty
from tests.contract.world import World
from virtnetplug.hotplug.plugger import Plugger


class AtCall(Trigger):
    """Ends the process at its call of that name, the `number`-th of them."""

    def __init__(self, call: str, number: int, *, after: bool) -> None:
        super().__init__(-1, "crash", after=after)
        self.call, self.left = call, number

    def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
        if name == self.call:
            self.left -= 1
            self.at = self.count if self.left == 0 else self.at
        return super().around(name, call, *args, **named)


def die(world: World, act: Callable[[Plugger], Any], call: str, *, after: bool = False, number: int = 1) -> None:
    """Run `act` until its `call` of that number, and not beyond; then another process has the world."""
    trigger = AtCall(call, number, after=after)
    with pytest.raises(Crash):
        act(Plugger(faulty(world.host, trigger), lambda: None))
    world.host.journal.close()
    world.host = world.reopen()
