"""Domain events of one connection, handed to whoever watches a domain."""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import libvirt

from virtnetplug.adapters.libvirt.faults import translated
from virtnetplug.ports.domain import GuestEvent, GuestEventKind, HowEnded, RunEvents

_OF_DEVICES = {
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: GuestEventKind.REMOVED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED: GuestEventKind.REMOVAL_FAILED,
}
_ENDED = (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_CRASHED, libvirt.VIR_DOMAIN_EVENT_UNDEFINED)
_GOES_ON = (libvirt.VIR_DOMAIN_EVENT_STARTED_RESTORED, libvirt.VIR_DOMAIN_EVENT_STARTED_MIGRATED)
"""The details of a STARTED event that continue a run."""

_FOR_MIGRATION = (
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED,
)
"""The details of a SUSPENDED event after which the guest may run on the other host."""

_ENDS = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: HowEnded.SHUT_DOWN,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: HowEnded.DESTROYED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: HowEnded.CRASHED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: HowEnded.CRASHED,  # the emulator is gone (``processMonitorEOFEvent``)
    libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED: HowEnded.MIGRATED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED: HowEnded.SAVED,
}
"""By the detail of a STOPPED event."""


class DomainWatch(RunEvents):
    """A queue of one domain's events (`ports.domain.Watch`), filled from the event loop's thread."""

    def __init__(self) -> None:
        super().__init__()
        self._events: queue.SimpleQueue[GuestEvent] = queue.SimpleQueue()

    def put(self, event: GuestEvent) -> None:
        """Note an event, and queue it."""
        self.hear(event)
        self._events.put(event)

    def next(self, timeout: float) -> GuestEvent | None:
        try:
            return self._events.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return None


class EventHub:
    """One registration per event kind and connection, made when the first watch is opened; safe from many threads."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._watches: defaultdict[str, list[DomainWatch]] = defaultdict(list)
        self._callbacks: list[int] | None = None

    @contextmanager
    def watch(self, domain_uuid: str) -> Iterator[DomainWatch]:
        """Collect the domain's events from now on."""
        self._register()
        watch = DomainWatch()
        with self._lock:
            self._watches[domain_uuid].append(watch)
        try:
            yield watch
        finally:
            with self._lock:
                self._watches[domain_uuid].remove(watch)
                if not self._watches[domain_uuid]:
                    del self._watches[domain_uuid]

    def close(self) -> None:
        """Deregister; failures do not matter, for the connection is going too."""
        with self._lock:
            callbacks, self._callbacks = self._callbacks or [], None
        for callback in callbacks:
            with suppress(libvirt.libvirtError):
                self._connection.domainEventDeregisterAny(callback)
        if callbacks:
            with suppress(libvirt.libvirtError):
                self._connection.unregisterCloseCallback()

    def _register(self) -> None:
        with self._lock:
            if self._callbacks is not None:
                return
            register = self._connection.domainEventRegisterAny
            with translated(self._connection):
                self._callbacks = [
                    *(register(None, event, self._device, kind) for event, kind in _OF_DEVICES.items()),
                    register(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._lifecycle, None),
                ]
            with suppress(
                libvirt.libvirtError
            ):  # a driver inside this process (embedded, test) has no connection to lose
                self._connection.registerCloseCallback(self._closed, None)

    def _of(self, domain: libvirt.virDomain) -> list[DomainWatch]:
        with self._lock:
            return list(self._watches.get(domain.UUIDString(), ()))

    def _tell(self, domain: libvirt.virDomain, event: GuestEvent) -> None:
        for watch in self._of(domain):
            watch.put(event)

    def _device(self, connection: Any, domain: libvirt.virDomain, alias: str, kind: GuestEventKind) -> None:
        self._tell(domain, GuestEvent(kind, alias))

    def _lifecycle(self, connection: Any, domain: libvirt.virDomain, event: int, detail: int, opaque: Any) -> None:
        if event in _ENDED:
            is_known = event == libvirt.VIR_DOMAIN_EVENT_STOPPED and detail in _ENDS
            self._tell(domain, GuestEvent(GuestEventKind.ENDED, end=_ENDS[detail] if is_known else HowEnded.UNKNOWN))
            return
        for watch in self._of(domain):
            if event == libvirt.VIR_DOMAIN_EVENT_STARTED and detail in _GOES_ON:
                watch.go_on()
            elif event == libvirt.VIR_DOMAIN_EVENT_SUSPENDED and detail in _FOR_MIGRATION:
                watch.is_between_hosts = True
            elif event == libvirt.VIR_DOMAIN_EVENT_RESUMED:
                watch.is_between_hosts = False

    def _closed(self, connection: Any, reason: int, opaque: Any) -> None:
        with self._lock:
            watches = [watch for some in self._watches.values() for watch in some]
        for watch in watches:
            watch.put(GuestEvent(GuestEventKind.LOST))
