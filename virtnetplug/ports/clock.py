"""Time, so that tests need none."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two clocks: one to write down, one to measure with."""

    def now(self) -> float:
        """Unix seconds."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never runs backwards."""
