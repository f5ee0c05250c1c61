"""Asking a guest to let go of NICs as steps of an operation, and waiting without holding anybody up."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence

from virtnetplug import interruption, xml
from virtnetplug.backends import backend_of
from virtnetplug.errors import DomainBusy, RemovalFailed
from virtnetplug.hotplug import guest
from virtnetplug.hotplug.guest import Answer
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.introduction import hand_on
from virtnetplug.hotplug.transaction import Transaction
from virtnetplug.hotplug.waiting import Wait, WaitsFor, left_pending
from virtnetplug.lifecycle import State
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Domain, GuestEvent, Watch


class GuestRelease:
    """Asking guests to let go, and waiting: what a detach and an exchange have in common.

    `domain_id` is the run of the domain that was asked; another run of it has let go of everything. A NIC is known by its alias and its MAC:
    one that bears the alias and has another MAC was put there by somebody else.
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
        self._nets: dict[str, Interface] = {}

    def out(self, tx: Transaction, alias: str, element: str) -> Generator[Wait, GuestEvent | None, Answer]:
        """Ask for one NIC and wait for it; at once where it had left before the operation was cut off."""
        if tx.is_done("guest_release", alias):
            mac = xml.interface(element).mac
            answer = guest.look_for(self.domain, alias, domain_id=self.domain_id, mac=mac)
            return Answer.ENDED if answer is Answer.ENDED else Answer.GONE
        self.ask(tx, alias, element)
        answers = yield from self.wait(tx, [alias])
        return answers[alias]

    def give_back(self, tx: Transaction, alias: str, element: str) -> None:
        """Give back what the host had behind a NIC that has left; once, for the next of that alias has its own."""
        net = xml.interface(element)
        backend = backend_of(net)
        if not tx.is_done(backend.release_step, alias):
            for text in tx.note(backend.release_step, alias, lambda: backend.unplug(self.host, self.domain, net)):
                tx.warn(text)

    def ask(self, tx: Transaction, alias: str, element: str) -> None:
        """Ask the guest to let go of the NIC `alias`, whose live element is `element`.

        One that was asked before is asked again only after `guest.GRACE`, while it is waited for.
        """
        self._nets[alias] = xml.interface(element)
        tx.effect("ask", alias, lambda: self._ask(alias), half=Half.LIVE)
        tx.tell("state", f"{alias}: {State.CLOSING}/{State.CLOSING}", alias)

    def wait(self, tx: Transaction, aliases: Sequence[str]) -> Generator[Wait, GuestEvent | None, dict[str, Answer]]:
        """For each in turn, until the deadline; a NIC still held leaves its step as started, for that is what it is.

        A signal leaves the operation pending. Raises `LeftPending` where the lock is not to be had again.
        """
        tx.flush()
        answers = {}
        try:
            for alias in aliases:
                answers[alias] = yield from self._wait(tx, alias)
        except KeyboardInterrupt as stop:
            raise interruption.left_open(
                f"interrupted while the guest was letting go of {', '.join(aliases)}. It has been asked, so the NIC may go at any "
                f"moment; the journal keeps it: 'virtnetplug recover {self.domain.name} --wait 60' finishes it.",
                stop,
            ) from None
        except DomainBusy as error:
            asked = f"The guest was asked to let go of {', '.join(aliases)}"
            then = f"'virtnetplug recover {self.domain.name} --wait 60' goes on with it"
            raise left_pending(error, tx.record, asked, then) from None
        return answers

    def _wait(self, tx: Transaction, alias: str) -> Generator[Wait, GuestEvent | None, Answer]:
        tx.begin("guest_release", alias)
        tx.tell("waiting", f"waiting for the guest to let go of {alias}", alias)
        try:
            answer = yield from self._answer(tx, alias)
        except RemovalFailed as error:
            tx.fail("guest_release", alias, error)
            raise
        if answer is not Answer.HELD:
            tx.end("guest_release", alias)
            hand_on(self.host, self.domain, self._nets[alias], tx)
            tx.tell("state", f"{alias}: {State.CLOSED}/{State.CLOSED}", alias)
        return answer

    def _answer(self, tx: Transaction, alias: str) -> Generator[Wait, GuestEvent | None, Answer]:
        """What the live definition says each time that something happened, or `guest.LOOK_AGAIN` has passed; asked again once, if it was before."""
        clock, mac = self.host.clock, self._nets[alias].mac
        ask_again = clock.monotonic() + guest.GRACE if alias in self._asked_before else math.inf
        while True:
            answer = guest.look_for(self.domain, alias, domain_id=self.domain_id, mac=mac)
            if answer is Answer.GONE:
                self.domain.await_idle()  # behind the removal: a DEVICE_DELETED that libvirt still queues strikes the next of that alias
            now = clock.monotonic()
            if answer is not Answer.HELD or now >= self.deadline:
                return answer
            if now >= ask_again:
                ask_again = math.inf
                guest.ask(self.host, self.domain, alias, self.watch, self.deadline, mac=mac)
                continue
            until = min(self.deadline, ask_again, now + guest.LOOK_AGAIN)
            event = yield Wait(what=WaitsFor.GUEST, alias=alias, watch=self.watch, until=until)
            tx.expect_mine()
            guest.heed(event, alias)

    def _ask(self, alias: str) -> None:
        if alias not in self._asked_before:
            guest.ask(self.host, self.domain, alias, self.watch, self.deadline, mac=self._nets[alias].mac)
