"""Tests that need nothing of the machine, and nothing of the caller's environment."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests import environment

environment.clean()


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """What a test, or a program that it calls, does with signals is undone: a process that is started with one ignored never hears it."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
