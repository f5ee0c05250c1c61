"""Locks of domains. Every wait for a lock has an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

from virtnetplug.errors import DomainBusy, LockTaken
from virtnetplug.hotplug.call.host import Host
from virtnetplug.model.operation import Event
from virtnetplug.ports.domain import Domain

LEAST = 5.0
"""Seconds that an operation waits for a lock at least; a holder that makes progress releases it sooner."""


def least_of(seconds: float) -> float:
    """The least for a recovery that may wait `seconds`: one that may not wait leaves out what is busy."""
    return LEAST if seconds else 0.0


class Lock:
    """Excludes every other operation on these domains, in this process and in others. Held over effects, and released while a guest is waited for.

    Everybody takes several domains in the same order: by UUID. Each domain is waited for `seconds`, or `least` if that is longer.
    """

    def __init__(self, host: Host, domains: Iterable[Domain], seconds: float, *, least: float = LEAST) -> None:
        by_uuid = {domain.uuid: domain for domain in domains}
        self.domains = [by_uuid[uuid] for uuid in sorted(by_uuid)]
        self._host, self._seconds = host, max(seconds, least)
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def take(self) -> None:
        """Lock all of the domains, or none. An event announces each wait. Raises `DomainBusy`, which names who has a domain."""
        key = self._host.hypervisor.key
        with ExitStack() as taken:
            for domain in self.domains:
                name = f"domain {domain.name}"
                taken.enter_context(named_lock(self._host, name, key, domain.uuid, self._seconds))
            self._held.push(taken.pop_all())

    def release(self) -> None:
        """Release all of them; safe twice."""
        self._held.close()


@contextmanager
def named_lock(host: Host, name: str, hypervisor: str, key: str, seconds: float) -> Iterator[None]:
    """The lock of the journal called `hypervisor` and `key`, which people know as `name`; raises `DomainBusy`."""

    def say() -> None:
        text = f"another operation is working on {name}; waiting for it"
        host.publish(Event(kind="waiting", text=text, domain=name.removeprefix("domain ")))

    with ExitStack() as stack:
        try:
            stack.enter_context(host.journal.lock(hypervisor, key, on_wait=say, seconds=seconds))
        except LockTaken as error:
            fact = f"{error.who} is working on {name} and has not ended within {seconds:g} s."
            raise DomainBusy(
                f"{fact} See what it does (`history()`, 'ps'), end it if it hangs, and try again; a longer `wait` waits longer.",
                fact=fact,
            ) from None
        yield
