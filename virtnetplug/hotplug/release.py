"""Asking a guest to let go of NICs as steps of an operation, and waiting without holding anybody up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from virtnetplug import xml
from virtnetplug.errors import HypervisorFailed, Interrupted, RemovalFailed
from virtnetplug.hotplug import guest
from virtnetplug.hotplug.compensation import StillHeld
from virtnetplug.hotplug.guest import Answer
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.introduction import hand_on
from virtnetplug.hotplug.lock import DomainLock
from virtnetplug.hotplug.reinstatement import put_back
from virtnetplug.hotplug.transaction import Transaction
from virtnetplug.lifecycle import State
from virtnetplug.model.operation import Half, OperationState, Result
from virtnetplug.ports.domain import Domain, Watch


class GuestRelease:
    """Asking guests to let go, and waiting: what a detach and a replacement have in common.

    `domain_id` is the run of the domain that was asked; another run of it has let go of everything.
    """

    def __init__(
        self,
        host: Host,
        domain: Domain,
        watch: Watch,
        deadline: float,
        *,
        domain_id: int,
        asked: Iterable[str] = (),
    ) -> None:
        self.host, self.domain, self.watch, self.deadline = host, domain, watch, deadline
        self.domain_id = domain_id
        self._asked_before = frozenset(asked)
        self._asked: set[str] = set(asked)
        self._refused: set[str] = set()
        self._elements: dict[str, str] = {}

    def ask(self, tx: Transaction, alias: str, element: str, *, old: Mapping[str, Any] | None = None) -> None:
        """Ask the guest to let go of `alias`; undone by putting `element` back if it has gone (`old`: see `put_back`).

        One that was asked before is asked again only after `guest.GRACE`, while it is waited for.
        """

        self._elements[alias] = element

        def back() -> None:
            self._put_back(alias, element, old, tx.record.id)

        tx.effect("ask", alias, lambda: self._ask(alias), back, half=Half.LIVE)
        tx.tell("state", f"{alias}: {State.CLOSING}/{State.CLOSING}", alias)

    def wait(self, tx: Transaction, alias: str) -> Answer:
        """Until the deadline; a NIC still held leaves its step as started, for that is what it is."""
        tx.begin("guest_release", alias)
        tx.tell("waiting", f"waiting for the guest to let go of {alias}", alias)
        try:
            answer = self._wait_for(alias)
        except RemovalFailed as error:
            self._refused.add(alias)
            tx.fail("guest_release", alias, error)
            raise
        if answer is not Answer.HELD:
            tx.end("guest_release", alias)
            hand_on(self.host, self.domain, xml.interface(self._elements[alias]), tx)
            tx.tell("state", f"{alias}: {State.CLOSED}/{State.CLOSED}", alias)
        return answer

    def _wait_for(self, alias: str) -> Answer:
        if alias in self._asked_before:
            until = min(self.deadline, self.host.clock.monotonic() + guest.GRACE)
            answer = guest.wait(self.host, self.domain, alias, self.watch, until, domain_id=self.domain_id)
            if answer is not Answer.HELD or self.host.clock.monotonic() >= self.deadline:
                return answer
            guest.ask(self.host, self.domain, alias, self.watch, self.deadline)
        return guest.wait(self.host, self.domain, alias, self.watch, self.deadline, domain_id=self.domain_id)

    def _ask(self, alias: str) -> None:
        if alias in self._asked_before:
            return
        self._asked.add(alias)
        try:
            guest.ask(self.host, self.domain, alias, self.watch, self.deadline)
        except HypervisorFailed:
            self._asked.discard(alias)
            raise

    def _put_back(self, alias: str, element: str, old: Mapping[str, Any] | None, operation_id: str) -> None:
        """A NIC that has gone comes back; one that still may go cannot be called back."""
        if guest.net_of(self.domain, alias, Half.LIVE) is None:
            put_back(
                self.host, self.domain, alias, element, old=old, operation_id=operation_id, domain_id=self.domain_id
            )
        elif alias in self._asked - self._refused:
            raise StillHeld(f"the guest was asked to let go of {alias} and still may")


@contextmanager
def unlocked(domain: Domain, lock: DomainLock, tx: Transaction, names: str) -> Iterator[None]:
    """Wait for a guest inside: the journal says all so far, the lock is let go, and Ctrl-C leaves the operation pending."""
    tx.flush()
    lock.release()
    try:
        yield
    except KeyboardInterrupt:
        tx.finish(OperationState.PENDING, Result.PENDING, reason="interrupted")
        raise Interrupted(
            f"interrupted while the guest was letting go of {names}. It has been asked, so the NIC may go at any "
            f"moment; the journal keeps it: 'virtnetplug recover {domain.name} --wait 60' finishes it."
        ) from None
    finally:
        lock.take()
