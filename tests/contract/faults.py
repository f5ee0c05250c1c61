"""Faults at the k-th call an operation makes of its ports: an error, an error that stays, or the end of the process.

Every look at the hypervisor, the networks, the links, the host's devices and the vifs counts, every effect, and every write of
the journal; what is read from the journal, locks, and `Domain.watch` do not. A call that fails has an error path of its own,
so errors are tried at every call that counts. A process that dies leaves the world as the last change left it: two deaths with
only looks between them show the same, and `kill_points` has one for each world.
"""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from virtnetplug.errors import ConnectionLost, HypervisorFailed
from virtnetplug.hotplug.call.host import Host

_LOOKS = frozenset(
    (
        *(
            "state",
            "xml",
            "metadata",
            "process",
            "travelling",
            "saved_image",
            "packets_sent",
            "strays",
            "ends",
            "lacks",
            "await_idle",
        ),
        *(f"hypervisor.{look}" for look in ("domain", "domains", "definitions", "running", "nic_models", "is_active")),
        *("host_devices.device", "host_devices.devices", "host_devices.vfs", "host_devices.group"),
        *("host_devices.settings", "host_devices.counters", "host_devices.obstacles", "host_devices.vfio_users"),
        *(
            "host_devices.identity",
            "host_devices.boot",
            "host_devices.is_link_up",
            "host_devices.is_msix_enabled",
            "host_devices.links_above",
            "nodedevs.driver",
        ),
        *("host_devices.pf_state", "host_devices.netdev_state", "host_devices.obstacle", "host_devices.hook_fault"),
        *(f"vif_store.{look}" for look in ("vif", "vifs", "remains", "link", "rings", "is_connected", "watch")),
        *(f"vif_drivers.{look}" for look in ("bound", "is_bound", "rebind_obstacle", "watch_frontends")),
        *(f"networks.{look}" for look in ("network", "names", "port", "ports", "port_uuids")),
        *(f"links.{look}" for look in ("links", "link", "is_bridge", "learned", "state", "taps_of", "taps_by_domain")),
    )
)
"""Calls that leave the world outside the process as it is. Every other call may change it; `test_worlds` fails if one of these does."""


def is_look(call: str) -> bool:
    """Whether a call of this name leaves the world outside the process as it is."""
    return call in _LOOKS


def changes(calls: Sequence[str]) -> list[int]:
    """The numbers of the calls that may change the world outside the process."""
    return [number for number, call in enumerate(calls) if not is_look(call)]


def kill_points(calls: Sequence[str]) -> list[tuple[int, bool]]:
    """One point (call, after it) to break at for each world that an operation of these calls goes through."""
    return [(0, False), *((number, True) for number in changes(calls))]


def points(kind: str, calls: Sequence[str]) -> list[tuple[int, bool]]:
    """Where to break an operation of these calls.

    A death (`crash`, `kill`) once for each world. An error (`fail`) at every call before it happened, and after it where that is
    another world than before. An error that stays (`broken`) at every call: from there on no effect is possible, so undos fail, too.
    """
    if kind in ("crash", "kill"):
        return kill_points(calls)
    before = [(number, False) for number in range(len(calls))]
    return before if kind == "broken" else [*before, *((number, True) for number in changes(calls))]


class Crash(BaseException):
    """The process is dead: nothing of it runs any more, no undo either."""


class Trigger:
    """Counts calls; at number `at` (from 0) it breaks the call, before or `after` it happened.

    `kind` says how: ``fail``, an error; ``broken``, an error there and at each later effect; ``crash``, `Crash` there and at each
    later call; ``kill``, SIGKILL; ``signal``, the signal `number` to this process; ``signals``, that and one more at each later call.
    """

    number = int(signal.SIGINT)

    def __init__(self, at: int, kind: str, *, after: bool = False) -> None:
        self.at, self.kind, self.after = at, kind, after
        self.count = 0
        self.calls: list[str] = []
        self.fired = False

    def waits(self) -> None:
        """Somebody is about to wait for an event of a guest."""

    def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
        number, self.count = self.count, self.count + 1
        self.calls.append(name)
        if self.fired and self.kind == "crash":
            raise Crash
        if self.fired and self.kind == "signals":
            self._fire(name)
        if self.fired and self.kind == "broken" and not (is_look(name) or name.startswith("journal.")):
            raise HypervisorFailed(f"{name} keeps failing")
        if number == self.at and not self.after:
            self._fire(name)
        try:
            return call(*args, **named)
        finally:  # also where the call itself failed
            if number == self.at and self.after:
                self._fire(name)

    def _fire(self, name: str) -> None:
        self.fired = True
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind in ("signal", "signals"):
            os.kill(os.getpid(), self.number)
            return
        if self.kind == "crash":
            raise Crash
        if self.after and name == "detach":
            # libvirt says so when it could not ask a guest; asked and not told is a connection that broke
            raise ConnectionLost(f"the connection broke after {name}, for the test")
        raise HypervisorFailed(f"{name} failed, for the test")


class AtCall(Trigger):
    """Breaks the `number`-th call of that name, by default as the last one of its process."""

    def __init__(self, call: str, number: int = 1, *, after: bool, kind: str = "crash") -> None:
        super().__init__(-1, kind, after=after)
        self.call, self.left = call, number

    def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
        if name == self.call:
            self.left -= 1
            self.at = self.count if self.left == 0 else self.at
        return super().around(name, call, *args, **named)


class Witness(Trigger):
    """Breaks nothing: sees the world before and after each call, and keeps each change that `kill_points` knows nothing of."""

    def __init__(self, see: Callable[[], Any]) -> None:
        super().__init__(-1, "none")
        self._see, self._seen = see, see()
        self.unknown: list[str] = []

    def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
        self._look(f"before {name}")
        try:
            return super().around(name, call, *args, **named)
        finally:
            if is_look(name):
                self._look(f"by {name}")
            else:
                self._seen = self._see()

    def _look(self, when: str) -> None:
        if (now := self._see()) != self._seen:
            self.unknown.append(when)
        self._seen = now


class _Wrapped:
    """Every method of `inner` through the trigger."""

    def __init__(self, inner: Any, trigger: Trigger, prefix: str = "") -> None:
        self._inner, self._trigger, self._prefix = inner, trigger, prefix

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            return value
        return lambda *args, **named: self._trigger.around(self._prefix + name, value, *args, **named)


class _Domain(_Wrapped):
    @contextmanager
    def watch(self) -> Iterator[Any]:
        with self._inner.watch() as watch:
            yield _Watch(watch, self._trigger)


class _Watch:
    """Waits count as no calls; a trigger is told of each."""

    def __init__(self, inner: Any, trigger: Trigger) -> None:
        self._inner, self._trigger = inner, trigger

    @property
    def end(self) -> Any:
        return self._inner.end

    @property
    def is_between_hosts(self) -> Any:
        return self._inner.is_between_hosts

    def has_removed(self, alias: str) -> bool:
        return bool(self._inner.has_removed(alias))

    def forget(self) -> None:
        self._inner.forget()

    def next(self, seconds: float) -> Any:
        self._trigger.waits()
        return self._inner.next(seconds)


class _Hypervisor(_Wrapped):
    def domain(self, name: str) -> _Domain:
        return _Domain(self._inner.domain(name), self._trigger)


class _Journal(_Wrapped):
    """A journal whose commits are the points: what is inside a batch is written at its end."""

    def __init__(self, inner: Any, trigger: Trigger) -> None:
        super().__init__(inner, trigger, "journal.")
        self._depth = 0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        writes = ("begin", "amend", "finish", "hold", "amend_holding", "let_go", "put_nic", "drop_nic")
        if name in writes and not self._depth:
            return super().__getattr__(name)
        return value

    @contextmanager
    def batch(self, *, is_durable: bool = True) -> Iterator[None]:
        self._depth += 1
        try:
            with _Commit(self._inner.batch(is_durable=is_durable), self._trigger):
                yield
        finally:
            self._depth -= 1

    def lock(self, *args: Any, **named: Any) -> Any:
        return self._inner.lock(*args, **named)


class _Commit:
    def __init__(self, batch: Any, trigger: Trigger) -> None:
        self._batch, self._trigger = batch, trigger
        self._is_over = False

    def __enter__(self) -> None:
        self._batch.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
        if kind is not None:
            return self._batch.__exit__(kind, error, trace)
        try:
            return self._trigger.around("journal.commit", self._end)
        except BaseException as fault:
            if not self._is_over:
                self._batch.__exit__(type(fault), fault, fault.__traceback__)
            raise

    def _end(self) -> Any:
        self._is_over = True
        return self._batch.__exit__(None, None, None)


def faulty(host: Host, trigger: Trigger) -> Host:
    """`host`, with all calls that count (see above) going through `trigger`."""
    hypervisor: Any = _Hypervisor(host.hypervisor, trigger, "hypervisor.")
    journal: Any = _Journal(host.journal, trigger)
    networks: Any = _Wrapped(host.networks, trigger, "networks.")
    links: Any = _Wrapped(host.links, trigger, "links.")
    devices: Any = _Wrapped(host.host_devices, trigger, "host_devices.")
    nodedevs: Any = _Wrapped(host.nodedevs, trigger, "nodedevs.")
    vifs: Any = _Wrapped(host.vif_store, trigger, "vif_store.") if host.vif_store is not None else None
    drivers: Any = _Wrapped(host.vif_drivers, trigger, "vif_drivers.") if host.vif_drivers is not None else None
    return dataclasses.replace(
        host, hypervisor=hypervisor, journal=journal, networks=networks, links=links, host_devices=devices,
        nodedevs=nodedevs, vif_store=vifs, vif_drivers=drivers,
    )  # fmt: skip
