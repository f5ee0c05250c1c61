"""Events of a Xen domain: libvirt's, and the removals that libvirt does not report, from xenstore."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack, suppress

from virtnetplug.errors import XenStoreFailed
from virtnetplug.ports.domain import GuestEvent, GuestEventKind, HowEnded, Watch
from virtnetplug.ports.xen import VifStore, VifWatch

TURN = 0.25
"""Seconds for which xenstore is listened to before libvirt's own events are looked for."""


class XenWatch:
    """libvirt's events of the run `domain_id`; and REMOVED for each of `aliases` (to MAC) of which xenstore has nothing left.

    xenstore is watched from the first wait on, by a process of its own that ends with `stack`. Most operations end without such a process,
    as libvirt's detach on Xen waits by itself.
    """

    def __init__(
        self, inner: Watch, aliases: Mapping[str, str], store: VifStore, domain_id: int, stack: ExitStack
    ) -> None:
        self._inner, self._store, self._domain_id, self._stack = inner, store, domain_id, stack
        self.has_removed, self.forget = inner.has_removed, inner.forget
        self._left = dict(aliases)
        self._changes: VifWatch | None = None
        self._has_begun = False
        self._events: deque[GuestEvent] = deque()

    @property
    def end(self) -> HowEnded:
        return self._inner.end

    @property
    def is_between_hosts(self) -> bool | None:
        return self._inner.is_between_hosts

    def next(self, timeout: float) -> GuestEvent | None:
        until = time.monotonic() + timeout
        if not self._has_begun:
            self._has_begun = True
            with suppress(XenStoreFailed):
                self._changes = self._stack.enter_context(self._store.watch(self._domain_id))
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
            self._changes = None  # libvirt's events are left, and the caller looks at the vifs, too

    def _look(self) -> None:
        with suppress(XenStoreFailed):
            macs = {vif.mac for vif in self._store.vifs(self._domain_id)}
            for alias in [alias for alias, mac in self._left.items() if mac not in macs]:
                del self._left[alias]
                self._events.append(GuestEvent(GuestEventKind.REMOVED, alias))
