"""What tests keep of their caller's environment."""

from __future__ import annotations

import os

import pytest

from tests import environment
from tests.suites import parts


def test_tests_look_into_the_cache_that_set_up_has_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in parts.KEPT:
        monkeypatch.setenv(name, "/there")
    environment.clean()
    assert {os.environ.get(name) for name in parts.KEPT} == {"/there"}
    assert {environment.environment().get(name) for name in parts.KEPT} == {"/there"}
