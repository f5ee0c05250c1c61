"""Figure 1: one attach and one detach, against bare libvirt-python on the same guest."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator

import libvirt
from stage import Stage
from table import Row

import virtnetplug

TICK = 65536 / 1193182
"""Seconds between two timer interrupts of the guest (the PIT at its BIOS rate), at which it lets devices go."""

ALIAS = "ua-bench1"


class Bare:
    """What a program does that calls libvirt itself, and waits for the guest."""

    def __init__(self, connection: libvirt.virConnect, name: str) -> None:
        self._dom = connection.lookupByName(name)
        self._gone = threading.Event()
        connection.domainEventRegisterAny(
            self._dom, libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, lambda *_: self._gone.set(), None
        )

    def attach(self, nic: str) -> None:
        self._dom.attachDeviceFlags(nic, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def detach(self, alias: str) -> None:
        self._gone.clear()
        self._dom.detachDeviceAlias(alias, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        if not self._gone.wait(20):
            raise TimeoutError(f"{alias} is not gone after 20 s")


class Ours:
    """The same through virtnetplug."""

    def __init__(self, plugger: virtnetplug.Plugger, name: str) -> None:
        self._plugger, self._name = plugger, name

    def attach(self, nic: str) -> None:
        self._plugger.attach(self._name, [nic])

    def detach(self, alias: str) -> None:
        if self._plugger.detach(self._name, alias).result != "done":
            raise TimeoutError(f"{alias} is pending")


def measure(stage: Stage) -> Iterator[Row]:
    """Pairs, whose first alternates; both of a pair begin at the same instant of the guest's tick, drawn anew for each pair."""
    for driver, uri_of in stage.drivers.items():
        uri = uri_of()
        connection = stage.connect(uri)
        guest = stage.guests(connection, f"single-{driver[0]}", 1)[0]
        sides = Ours(stage.plugger(uri, f"single-{driver}"), guest.name), Bare(connection, guest.name)
        times: dict[str, tuple[list[float], list[float]]] = {"attach": ([], []), "detach": ([], [])}
        chance = random.Random(20)
        for number in range(-3, stage.rounds(120)):
            phase = chance.random() * TICK
            for which in (0, 1) if number % 2 else (1, 0):
                attach = timed(lambda side=sides[which]: side.attach(stage.nic()))
                await_phase(phase)
                detach = timed(lambda side=sides[which]: side.detach(ALIAS))
                if number >= 0:  # the first pairs warm up
                    times["attach"][which].append(attach)
                    times["detach"][which].append(detach)
        yield Row(f"attach, {driver}", "libvirt-python", "ms", *times["attach"], most=1.3)
        yield Row(f"detach, {driver}", "libvirt-python", "ms", *times["detach"], most=1.1)


def await_phase(phase: float) -> None:
    """Sleep until the guest's tick is at `phase`: QEMU's virtual clock runs with the host's monotonic one."""
    now = time.monotonic()
    time.sleep((phase - now) % TICK)


def timed(call: Callable[[], object]) -> float:
    """In milliseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000
