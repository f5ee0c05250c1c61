"""Figure 2: the throughput of many threads, each with a guest of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import libvirt
from single import Bare, Ours
from stage import Stage
from table import Row

from virtnetplug.errors import VirtnetplugError

VMS = 32
CYCLES = 2  # of each thread in one round


def measure(stage: Stage) -> Iterator[Row]:
    """Rounds in pairs, whose first alternates; a cycle is an attach and a detach."""
    for driver, uri_of in stage.drivers.items():
        uri = uri_of()
        connection = stage.connect(uri)
        names = [guest.name for guest in stage.guests(connection, f"many-{driver[0]}", VMS)]
        plugger = stage.plugger(uri, f"many-{driver}")
        sides = [Ours(plugger, name) for name in names], [Bare(connection, name) for name in names]
        rates: tuple[list[float], list[float]] = ([], [])
        for number in range(-1, stage.rounds(8)):
            for which in (0, 1) if number % 2 else (1, 0):
                rate = _rate(sides[which], stage.nic())
                if number >= 0:
                    rates[which].append(rate)
        yield Row(f"{VMS} VMs at once, {driver}", "libvirt-python", "cycles/s", *rates, least=0.9)


def _rate(workers: Sequence[Ours | Bare], nic: str) -> float:
    """Cycles a second, from when all may begin to when the last has ended."""
    gate = threading.Barrier(len(workers) + 1)
    failures: list[Exception] = []

    def work(worker: Ours | Bare) -> None:
        gate.wait()
        try:
            for _ in range(CYCLES):
                worker.attach(nic)
                worker.detach("ua-bench1")
        except (libvirt.libvirtError, VirtnetplugError, TimeoutError) as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    gate.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    if failures:
        raise failures[0]
    return len(workers) * CYCLES / seconds
