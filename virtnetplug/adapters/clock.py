"""The machine's own clocks."""

from __future__ import annotations

import time


class SystemClock:
    """`ports.host.Clock` by ``CLOCK_REALTIME`` and ``CLOCK_MONOTONIC``."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
