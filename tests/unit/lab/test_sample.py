"""A quick suite breaks an operation in some of its worlds, from the first to the last; the full one in all."""

from __future__ import annotations

import pytest

from tests.lab import figures

POINTS = list(range(14))


def test_a_quick_suite_takes_some_from_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "IS_LONG", False)
    monkeypatch.delenv("VIRTNETPLUG_LAB_WORLDS", raising=False)
    assert figures.sample(POINTS) == [2, 7, 11]
    assert figures.sample(POINTS, 1) == [7]
    assert figures.sample(POINTS[:3]) == POINTS[:3]
    monkeypatch.setenv("VIRTNETPLUG_LAB_WORLDS", "14")
    assert figures.sample(POINTS, 2) == POINTS


def test_the_full_one_takes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTNETPLUG_LAB_WORLDS", "all")
    monkeypatch.setattr(figures, "IS_LONG", True)
    assert figures.sample(POINTS, 2) == POINTS
