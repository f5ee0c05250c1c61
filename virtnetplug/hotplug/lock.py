"""The lock of one domain: held over effects, let go while a guest is waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType

from virtnetplug.hotplug.host import Host
from virtnetplug.model.operation import Event
from virtnetplug.ports.domain import Domain


class DomainLock:
    """Excludes every other operation on the domain, in this process and in others."""

    def __init__(self, host: Host, domain: Domain) -> None:
        self._host, self._domain = host, domain
        self._stack = ExitStack()

    def __enter__(self) -> DomainLock:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def take(self) -> None:
        """Wait for it; says so if that takes waiting."""
        lock = self._host.journal.lock(self._host.hypervisor.uri, self._domain.uuid, on_wait=self._say)
        self._stack.enter_context(lock)

    def release(self) -> None:
        """Let it go; safe twice."""
        self._stack.close()

    def _say(self) -> None:
        text = f"another operation is working on domain {self._domain.name}; waiting for it"
        self._host.publish(Event(kind="waiting", text=text, domain=self._domain.name))


@contextmanager
def locks_of(host: Host, domains: Sequence[Domain]) -> Iterator[None]:
    """The locks of several domains at once, taken in the order in which everybody takes several: by UUID."""
    with ExitStack() as stack:
        by_uuid = {domain.uuid: domain for domain in domains}
        for domain in (by_uuid[uuid] for uuid in sorted(by_uuid)):
            stack.enter_context(DomainLock(host, domain))
        yield
