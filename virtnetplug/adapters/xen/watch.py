"""Events of a Xen domain: libvirt's, and those it does not send, from xenstore."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Protocol

from virtnetplug.errors import XenStoreFailed
from virtnetplug.ports.domain import GuestEvent, GuestEventKind, HowEnded, Watch
from virtnetplug.ports.xen import VifStore, VifWatch

TURN = 0.25
"""Seconds for which xenstore is listened to before libvirt's own events are looked for."""


class Listing(Protocol):
    """What a watch asks of its domain."""

    def __call__(self) -> Collection[str]:
        """The MACs of all its vifs now."""


class XenWatch:
    """libvirt's events; and REMOVED for each of `aliases` (to MAC) of which xenstore has nothing left.

    xenstore is watched from the first wait on, by a process of its own: most operations end without one, as libvirt's detach on Xen waits by itself.
    """

    def __init__(
        self, inner: Watch, aliases: Mapping[str, str], macs: Listing, begin: Callable[[], VifWatch | None]
    ) -> None:
        self._inner, self._macs, self._begin = inner, macs, begin
        self._left = dict(aliases)
        self._changes: VifWatch | None = None
        self._has_begun = False
        self._events: deque[GuestEvent] = deque()

    @property
    def end(self) -> HowEnded:
        """libvirt's events say it."""
        return self._inner.end

    @property
    def is_between_hosts(self) -> bool | None:
        """libvirt's events say it."""
        return self._inner.is_between_hosts

    def has_removed(self, alias: str) -> bool:
        """libvirt's events say it, or xenstore had nothing left of it."""
        return self._inner.has_removed(alias)

    def forget(self) -> None:
        """See `ports.domain.Watch.forget`."""
        self._inner.forget()

    def next(self, timeout: float) -> GuestEvent | None:
        """The next event, or None after `timeout` seconds."""
        until = time.monotonic() + timeout
        if not self._has_begun:
            self._has_begun, self._changes = True, self._begin()
            self._look()
        while True:
            if (event := self._inner.next(0.0)) is not None:
                return event
            if self._events:
                return self._events.popleft()
            left = until - time.monotonic()
            if left <= 0:
                return None
            if self._changes is None:
                return self._inner.next(left)
            self._listen(self._changes, min(left, TURN))

    def _listen(self, changes: VifWatch, seconds: float) -> None:
        try:
            if changes.next(seconds):
                self._look()
        except XenStoreFailed:
            self._changes = None  # libvirt's events are left, and whoever waits looks by himself, too

    def _look(self) -> None:
        try:
            there = self._macs()
        except XenStoreFailed:
            return
        for alias in [alias for alias, mac in self._left.items() if mac not in there]:
            del self._left[alias]
            self._events.append(GuestEvent(GuestEventKind.REMOVED, alias))


@contextmanager
def xen_watch(
    inner: Watch, aliases: Mapping[str, str], macs: Listing, store: VifStore | None, domain_id: int
) -> Iterator[XenWatch]:
    """`XenWatch` on the run `domain_id` of a domain; without a `store` it has libvirt's events only."""
    with ExitStack() as stack:

        def begin() -> VifWatch | None:
            try:
                return stack.enter_context(store.watch(domain_id)) if store is not None and domain_id >= 0 else None
            except XenStoreFailed:
                return None

        yield XenWatch(inner, aliases if store is not None else {}, macs, begin)
