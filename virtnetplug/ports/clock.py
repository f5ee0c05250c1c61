"""The time, behind a port so that tests need not wait."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two clocks: `now` for records, `monotonic` for durations."""

    def now(self) -> float:
        """Unix seconds."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never runs backwards."""
