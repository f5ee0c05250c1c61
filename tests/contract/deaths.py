"""A process that dies at a call that is named, where the step tests die once for each world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.faults import AtCall, Crash, faulty
from tests.contract.world import World
from virtnetplug.hotplug.plugger import Plugger


def die(world: World, act: Callable[[Plugger], Any], call: str, *, after: bool = False, number: int = 1) -> None:
    """Run `act` until its `call` of that number, and not beyond; then another process has the world."""
    trigger = AtCall(call, number, after=after)
    with pytest.raises(Crash):
        act(Plugger(faulty(world.host, trigger), lambda: None))
    world.host.journal.close()
    world.host = world.reopen()
