"""The engine of a swap: NICs leave a guest, others come in their place, the definition follows. All of it or nothing.

If anything fails, the NICs that left are restored, with the same device at the same guest address where that can be had.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from typing import Any, ClassVar

from virtnetplug import xml
from virtnetplug.backends import NO_CHOICE, Choice, Order
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.waiting import Wait, Work
from virtnetplug.hotplug.change.remembering import keep, remember
from virtnetplug.hotplug.check.reserved import expect_free
from virtnetplug.hotplug.engine.operation import Direction, Operation
from virtnetplug.hotplug.engine.transaction import Transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.definition import config_net
from virtnetplug.hotplug.guest.ending import expect_run
from virtnetplug.hotplug.guest.nic_status import nics_now
from virtnetplug.hotplug.look.open_operations import is_any_of
from virtnetplug.hotplug.plug.announcement import make_way
from virtnetplug.hotplug.plug.last_seen import BESIDE, expect_same_source, keep_end, warn_unseen
from virtnetplug.hotplug.plug.plugging import expect_attached, plug
from virtnetplug.hotplug.plug.release import GuestRelease, under_way
from virtnetplug.hotplug.plug.undoing import Leaving
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.holding import Setting
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Nic, OperationRecord, OperationState, Outcome, Result, StepState
from virtnetplug.model.run import Run
from virtnetplug.ports.domain import Domain, GuestEvent

Change = tuple[str, Interface, Interface]
"""The name in the steps of a NIC that somebody changed, and its element at the beginning of the operation and when it left."""


class SwapRun:
    """An operation under way that takes NICs out of a guest, or attaches others, or both, fresh or taken up again.

    The order is the same for all: the NICs leave, others come, the definition follows. A subclass says which NICs these are.
    """

    has_waited: ClassVar[bool] = True
    """Whether somebody may have taken a NIC's place while the guest was waited for."""

    reason, message = "", ""
    """What the outcome says beside that the operation is done."""

    def __init__(self, tx: Transaction, domain: Domain) -> None:
        self.tx, self.host, self.domain = tx, tx.host, domain

    @property
    def request(self) -> dict[str, Any]:
        """What the journal has of it, as it is now."""
        return self.tx.record.request

    def run(self) -> Work:
        """Run it to its end, or leave it pending."""
        if (pending := (yield from self.leave())) is not None:
            return pending
        came = self.enter()
        self.define(came)
        self.expect_there(came)
        self.tx.finish(OperationState.DONE, Result.DONE, reason=self.reason, also=lambda: self.keep_rows(came))
        make_way(self.host, self.domain, came.values(), self.tx)
        return self.tx.outcome(Result.DONE, reason=self.reason, message=self.message, nics=self.nics())

    def leave(self) -> Generator[Wait, GuestEvent | None, Outcome | None]:
        """Take the NICs that leave out of the guest; the outcome of an operation that goes on later, or None."""
        return None
        yield

    def enter(self) -> dict[str, Interface]:
        """Attach the NICs that come; returns them as the guest has them, by their names in the steps."""
        return {}

    def define(self, came: Mapping[str, Interface]) -> None:
        """Change the definition."""

    def expect_there(self, came: Mapping[str, Interface]) -> None:
        """Raise an error, which undoes everything, if the NICs that came are not there for good; else write that they are virtnetplug's."""

    def keep_rows(self, came: Mapping[str, Interface]) -> None:
        """Write the journal's rows of the NICs."""

    def names(self) -> Collection[str]:
        """The names of its NICs."""
        return self.tx.record.names

    def nics(self) -> Sequence[Nic]:
        """Its NICs as they are now."""
        names = self.names()
        return nics_now(self.host, self.domain, lambda nic: is_any_of(nic, names))

    def guest_run(self) -> Run:
        """The run of the domain that it works on."""
        return self.tx.record.run

    def attached(self, alias: str) -> Interface:
        """The NIC as the guest has it, just after it was attached."""
        return expect_attached(guest.nets_of(self.domain), alias)

    def attach(
        self,
        name: str,
        net: Interface,
        actual: ActualDevice,
        settings: Mapping[str, Setting],
        check: Callable[[Interface, Interface], None] = lambda sent, now: None,
        choice: Choice = NO_CHOICE,
    ) -> Interface:
        """Attach one NIC, and look for it in the guest. `check` is called with the net as it went to the guest, and as the guest has it."""
        order = Order(
            domain=self.domain,
            run=self.guest_run(),
            net=net,
            actual=actual,
            operation_id=self.tx.record.id,
            settings=settings,
            choice=choice,
        )
        sent = plug(self.host, self.tx, order, has_waited=self.has_waited)

        def confirm() -> Interface:
            now = self.attached(sent.alias or name)
            check(sent, now)
            return now

        now = self.tx.note("confirm", name, confirm)
        keep_end(self.tx, now)
        return now


class WaitingSwap(SwapRun):
    """A swap in which NICs leave one after the other, and others come once all have left."""

    aim: ClassVar[str]
    """What happens to a NIC that leaves, as a message says it."""

    then: str
    """What the journal keeps, and what happens once the guest lets go."""

    leaving: Sequence[Leaving] = ()
    coming: Sequence[str] = ()
    """The elements of the NICs that come, if several NICs leave."""

    keeps_source = True
    """Whether a NIC that leaves must be connected to what it was at the beginning."""

    remembered: Sequence[Mapping[str, Any]] = ()

    def __init__(self, tx: Transaction, release: GuestRelease) -> None:
        super().__init__(tx, release.domain)
        self.release = release

    def guest_run(self) -> Run:
        return self.release.run

    def leave(self) -> Generator[Wait, GuestEvent | None, Outcome | None]:
        tx, release = self.tx, self.release
        for each in self.leaving[:1] if tx.is_resumed else ():
            release.expect_run(tx, each.name, xml.interface(each.element), self.aim)
        remember(self.domain, tx, self.remembered)
        for number, each in enumerate(self.leaving):
            if number and not tx.is_done("ask", each.name):
                self._expect_places(self.leaving[number:])
            if not (yield from release.out(tx, each.name, xml.interface(each.element), self.aim)):
                return release.left_pending(tx, [each.name], self.then, self.nics)
            if self.keeps_source:
                expect_same_source(tx, each.name, each.element)
            keep(self.domain, self.remembered)
        return None

    def _expect_places(self, staying: Sequence[Leaving]) -> None:
        """Raise `LeftPending` where somebody has the place of a NIC that comes: then the guest keeps the NICs that were not asked for (`staying`)."""
        nets = [xml.interface(each.element) for each in staying]
        beside = [now for net in nets if (now := guest.now_of(self.domain, net, run=self.guest_run())) is not None]
        for element in self.coming:
            expect_free(self.domain, xml.interface(element), self.tx.record, beside=beside)

    def changed_unseen(self) -> list[Change]:
        """What somebody has changed in the definition of NICs that only the guest was asked for."""
        beside = [(name, xml.interface(element)) for name, element in self.request.get(BESIDE, {}).items()]
        return [(name, net, now) for name, net in beside if (now := config_net(self.domain, net)) is not None]

    def expect_there(self, came: Mapping[str, Interface]) -> None:
        for name, before, now in self.changed_unseen():
            for new, live in came.items():
                if name == new or before.mac == live.mac:
                    warn_unseen(self.tx, name, before, now, live)
        if came:  # an undo leaves to another run what its definition gave it
            run, watch = self.guest_run(), self.release.watch
            expect_run(self.domain, run, self.tx.record, ", ".join(came), "there for good", watch)


class SwapOperation(Operation):
    """An operation that goes on from where it waits for its guest to let go; any other record that was left open is undone."""

    needs_its_run = True
    runner: ClassVar[type[WaitingSwap]]

    @classmethod
    def direction_by_steps(cls, record: OperationRecord) -> Direction:
        """Forward if it was left pending and none of its steps was undone: it waits for the NICs that leave."""
        is_undone = any(step.state in (StepState.UNDONE, StepState.UNDO_FAILED) for step in record.steps)
        return Direction.FORWARD if record.state is OperationState.PENDING and not is_undone else Direction.BACK

    @classmethod
    def go_on(cls, host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Work:
        """Take up a swap that waits for its guest and was taken over, and go forward with it."""
        with under_way(host, domain, record, seconds, cls.undos, is_taken_up=True) as (tx, release):
            return (yield from cls.runner(tx, release).run())
