"""Figure 1: one attach and one detach, against bare libvirt-python on the same guest."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import libvirt
from stage import Stage
from table import Row

import virtnetplug
from virtnetplug.model.operation import Scope

TICK = 65536 / 1193182
"""Seconds between two timer interrupts of the guest (the PIT at its BIOS rate), at which it lets devices go."""

ALIAS = "ua-bench1"


class Bare:
    """What a program does that calls libvirt itself, and waits for the guest; with `defined`, that NIC in the definition, too."""

    def __init__(self, connection: libvirt.virConnect, name: str) -> None:
        self._dom = connection.lookupByName(name)
        self.defined = ""
        self._gone = threading.Event()
        connection.domainEventRegisterAny(
            self._dom, libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, lambda *_: self._gone.set(), None
        )

    def attach(self, nic: str) -> None:
        config = libvirt.VIR_DOMAIN_AFFECT_CONFIG if self.defined else 0
        self._dom.attachDeviceFlags(nic, libvirt.VIR_DOMAIN_AFFECT_LIVE | config)

    def detach(self, alias: str) -> None:
        self._gone.clear()
        if self.defined:
            self._dom.detachDeviceFlags(self.defined, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        self._dom.detachDeviceAlias(alias, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        if not self._gone.wait(20):
            raise TimeoutError(f"{alias} is not gone after 20 s")


class Ours:
    """The same through virtnetplug."""

    def __init__(self, plugger: virtnetplug.Plugger, name: str, *, scope: Scope = Scope.LIVE) -> None:
        self._plugger, self._name, self._scope = plugger, name, scope

    def attach(self, nic: str) -> None:
        self._plugger.attach(self._name, [nic], scope=self._scope)

    def detach(self, alias: str) -> None:
        if self._plugger.detach(self._name, alias, scope=self._scope).result != "done":
            raise TimeoutError(f"{alias} is pending")


class Side(Protocol):
    def attach(self, nic: str) -> None: ...
    def detach(self, alias: str) -> None: ...


def measure(stage: Stage) -> Iterator[Row]:
    for driver, uri_of in stage.drivers.items():
        uri = uri_of()
        connection = stage.connect(uri)
        name = stage.guests(connection, f"single-{driver[0]}", 1)[0].name
        plugger, bare = stage.plugger(uri, f"single-{driver}"), Bare(connection, name)
        for scope, said, most in ((Scope.LIVE, driver, 1.25), (Scope.BOTH, f"{driver}, live+config", 1.35)):
            bare.defined = stage.nic() if scope is Scope.BOTH else ""
            times = pairs(stage, Ours(plugger, name, scope=scope), bare, stage.rounds(120))
            yield Row(f"attach, {said}", "libvirt-python", "ms", *times["attach"], most=most)
            yield Row(f"detach, {said}", "libvirt-python", "ms", *times["detach"], most=1.05)


def pairs(stage: Stage, ours: Side, floor: Side, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Pairs, whose first alternates; both of a pair begin at the same instant of the guest's tick, drawn anew for each pair."""
    times: dict[str, tuple[list[float], list[float]]] = {"attach": ([], []), "detach": ([], [])}
    sides, chance = (ours, floor), random.Random(20)
    for number in range(-3, rounds):
        phase = chance.random() * TICK
        for which in (0, 1) if number % 2 else (1, 0):
            attach = timed(lambda side=sides[which]: side.attach(stage.nic()))
            await_phase(phase)
            detach = timed(lambda side=sides[which]: side.detach(ALIAS))
            if number >= 0:  # the first pairs warm up
                times["attach"][which].append(attach)
                times["detach"][which].append(detach)
    return times


def await_phase(phase: float) -> None:
    """Sleep until the guest's tick is at `phase`: QEMU's virtual clock runs with the host's monotonic one."""
    now = time.monotonic()
    time.sleep((phase - now) % TICK)


def timed(call: Callable[[], object]) -> float:
    """In milliseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000
