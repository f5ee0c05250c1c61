"""A clock that does not wait: who waits on it moves it, and what is to happen meanwhile happens."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tenacity.nap


class FakeClock:
    """`ports.host.Clock`: it stands still but for what is waited for, however slow the machine is."""

    def __init__(self) -> None:
        self._start = time.time()
        self._passed = 0.0
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._planned: list[tuple[float, int, Callable[[], object]]] = []

    def now(self) -> float:
        return self._start + self._passed

    def monotonic(self) -> float:
        return self._passed

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Have `act` happen while somebody waits so long from now."""
        with self._lock:
            heapq.heappush(self._planned, (self.monotonic() + seconds, next(self._numbers), act))

    def sleep(self, seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Let so much time pass, and less if `is_over` after something that happens meanwhile."""
        end = self.monotonic() + seconds
        while not is_over():
            with self._lock:
                act = heapq.heappop(self._planned) if self._planned and self._planned[0][0] <= end else None
                self._passed = max(self._passed, end if act is None else act[0])
            if act is None:
                return
            act[2]()

    @contextmanager
    def rules_retries(self) -> Iterator[None]:
        """Inside, what `virtnetplug.retry` waits for passes on this clock, too."""
        real = tenacity.nap.time
        tenacity.nap.time = tenacity.time = self  # type: ignore[attr-defined, assignment]
        try:
            yield
        finally:
            tenacity.nap.time = tenacity.time = real  # type: ignore[attr-defined]
