"""A journal of its own for each test, with a clock that stands until it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.unit.adapters.sqlite.records import Clock
from virtnetplug.adapters.sqlite import SqliteJournal

Open = Callable[..., SqliteJournal]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def opened(directory: Path, clock: Clock) -> Iterator[Open]:
    """Opens the journal in `directory` once more, as another process would, or read-only; closed after the test."""
    with ExitStack() as stack:

        def opened(*, read_only: bool = False) -> SqliteJournal:
            journal = SqliteJournal.open(directory, read_only=read_only, clock=clock)
            stack.callback(journal.close)
            return journal

        yield opened


@pytest.fixture
def journal(opened: Open) -> SqliteJournal:
    return opened()
