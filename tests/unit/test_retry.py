"""The retry policies."""

from __future__ import annotations

import time

import pytest

from virtnetplug.retry import MOST, until_true


def test_what_is_so_at_once_is_looked_at_once() -> None:
    looks: list[int] = []
    assert until_true(lambda: looks.append(1) is None, seconds=5)
    assert len(looks) == 1


def test_it_looks_until_it_is_so() -> None:
    answers = iter([False, False, False, True])
    assert until_true(lambda: next(answers), seconds=5)
    assert list(answers) == []


def test_it_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    assert not until_true(lambda: False, seconds=5)
    assert 5 <= now[0] <= 5 + MOST


def test_an_error_is_not_retried() -> None:
    with pytest.raises(ZeroDivisionError):
        until_true(lambda: bool(1 // 0), seconds=5)
