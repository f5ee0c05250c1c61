"""The lock of one domain: held over effects, released while a guest is waited for. Every wait for it has an end."""

from __future__ import annotations

from abc import ABC, abstractmethod
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


class Lock(ABC):
    """What an operation holds over its effects, and releases while a guest is waited for."""

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    @abstractmethod
    def take(self) -> None:
        """Wait for it; raises `DomainBusy`."""

    @abstractmethod
    def release(self) -> None:
        """Release it; safe twice."""


class DomainLock(Lock):
    """Excludes every other operation on the domain, in this process and in others. It is waited for `seconds`, or `least` if that is longer."""

    def __init__(self, host: Host, domain: Domain, seconds: float, *, least: float = LEAST) -> None:
        self._host, self._domain, self._seconds = host, domain, max(seconds, least)
        self._stack = ExitStack()

    def take(self) -> None:
        """Wait for it, and say so if that takes waiting; raises `DomainBusy`, which names who has it."""
        name, uuid = f"domain {self._domain.name}", self._domain.uuid
        self._stack.enter_context(named_lock(self._host, name, self._host.hypervisor.key, uuid, self._seconds))

    def release(self) -> None:
        """Release it; safe twice."""
        self._stack.close()


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


class DomainLocks(Lock):
    """The locks of several domains, taken in the order in which everybody takes several: by UUID."""

    def __init__(self, host: Host, domains: Iterable[Domain], seconds: float, *, least: float = LEAST) -> None:
        by_uuid = {domain.uuid: domain for domain in domains}
        self.domains = [by_uuid[uuid] for uuid in sorted(by_uuid)]
        self._locks = [DomainLock(host, domain, seconds, least=least) for domain in self.domains]

    def take(self) -> None:
        """Take all of them, or none; raises `DomainBusy`."""
        try:
            for lock in self._locks:
                lock.take()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Release all of them; safe twice."""
        for lock in reversed(self._locks):
            lock.release()
