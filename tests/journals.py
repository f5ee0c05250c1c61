"""Journals of tests are closed at a test's end; those that the program opened itself, it has to have closed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from virtnetplug.adapters.sqlite import SqliteJournal

TESTS = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def _journals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    opened: list[tuple[SqliteJournal, str]] = []
    open_journal = SqliteJournal.open

    def remember(*arguments: Any, **options: Any) -> SqliteJournal:
        journal = open_journal(*arguments, **options)
        opened.append((journal, sys._getframe(1).f_code.co_filename))
        return journal

    monkeypatch.setattr(SqliteJournal, "open", remember)
    yield
    left = [place for journal, place in opened if not place.startswith(TESTS) and not journal._database._closed]
    for journal, _place in opened:
        journal.close()
    assert not left, f"opened in {', '.join(left)}, and not closed"
