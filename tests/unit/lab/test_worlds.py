"""A fault of the labs' comes in the world that it is to come in, however often anything was looked at meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.worlds import InWorld, made_by, worlds
from virtnetplug.errors import VirtnetplugError

CALLS = ["xml", "journal.begin", "xml", "attach", "state", "journal.commit", "xml"]


def broken(trigger: InWorld, calls: list[str]) -> tuple[list[str], str | None]:
    """What had happened, and in which call the fault came."""
    happened: list[str] = []
    for name in calls:

        def call(name: str = name) -> Any:
            happened.append(name)

        try:
            trigger.around(name, call)
        except VirtnetplugError:
            return [each for each in happened if each not in ("xml", "state")], name
    return happened, None


@pytest.mark.parametrize("looks", [1, 3])
def test_each_world(looks: int) -> None:
    calls = [name for name in CALLS for _ in range(looks if name == "xml" else 1)]
    assert list(worlds(calls)) == [0, 1, 2, 3]
    assert [broken(InWorld(world, "fail"), calls) for world in worlds(calls)] == [
        ([], "xml"),
        (["journal.begin"], "journal.begin"),
        (["journal.begin", "attach"], "attach"),
        (["journal.begin", "attach", "journal.commit"], "journal.commit"),
    ]
    assert made_by(calls, 2) == "in world 2, made by attach" and "before the first call" in made_by(calls, 0)


def test_the_effect_that_ends_it() -> None:
    assert [broken(InWorld(world, "fail", leaving=True), CALLS) for world in (0, 1)] == [
        (["journal.begin"], "attach")
    ] * 2
    assert broken(InWorld(2, "fail", leaving=True), CALLS)[1] is None
