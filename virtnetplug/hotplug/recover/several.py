"""Operations on several domains: the domains are settled, locked, and looked at under their locks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import DomainLock, DomainLocks
from virtnetplug.hotplug.recover.settling import settle_crashed
from virtnetplug.ports.domain import Domain

T = TypeVar("T")


@contextmanager
def settled_and_locked(
    host: Host,
    domains: Callable[[], Iterable[Domain]],
    look: Callable[[], T],
    domains_of: Callable[[T], Iterable[Domain]],
    seconds: float,
) -> Iterator[tuple[T, DomainLocks]]:
    """What `look` sees while the locks of all domains that it is about are held.

    What crashes left of each domain is settled first. If another domain comes in between, all begins anew.
    """
    while True:
        locks = DomainLocks(host, domains(), seconds)
        for domain in locks.domains:  # each by itself: to settle may take releasing its lock
            with DomainLock(host, domain, seconds) as lock:
                settle_crashed(host, domain, lock)
        with locks:
            seen = look()
            if {domain.uuid for domain in domains_of(seen)} <= {domain.uuid for domain in locks.domains}:
                yield seen, locks
                return
