"""What both labs' tests share: those that `make lab-full` alone runs, and figures to quote, said at the end of a run."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

IS_LONG = os.environ.get("VIRTNETPLUG_LAB_WORLDS") == "all"
"""Whether this is `make lab-full`: then the tests marked `long` run, too."""

long = pytest.mark.long
"""Of a test that `make lab-full` alone runs: it repeats, with more cases, what another test shows."""

T = TypeVar("T")


def sample(points: Sequence[T], most: int = 3) -> list[T]:
    """All of them in `make lab-full`; otherwise `most`, or as many as ``VIRTNETPLUG_LAB_WORLDS`` says, evenly from first to last."""
    number = len(points) if IS_LONG else min(len(points), int(os.environ.get("VIRTNETPLUG_LAB_WORLDS", most)))
    return [points[(2 * i + 1) * len(points) // (2 * number)] for i in range(number)]


_FIGURES = pytest.StashKey[list[str]]()
_WAS_SAID = pytest.StashKey[bool]()


@pytest.fixture
def figure(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """``figure('200 cycles in 340 s')``: said at the end of the run."""
    return pytestconfig.stash[_FIGURES].append


def pytest_configure(config: pytest.Config) -> None:
    config.stash.setdefault(_FIGURES, [])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [] if IS_LONG else [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    seconds: dict[str, float] = defaultdict(float)
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            seconds[report.location[0]] += report.duration
    if not seconds or config.stash.get(_WAS_SAID, False):  # each lab's tests bring this along
        return
    config.stash[_WAS_SAID] = True
    terminalreporter.section("times and figures")
    for file, spent in seconds.items():
        terminalreporter.line(f"{file}: {spent:.0f} s")
    for line in config.stash[_FIGURES]:
        terminalreporter.line(line)
