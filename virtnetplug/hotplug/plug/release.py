"""Asking a guest to let go of NICs as steps of an operation, and waiting while the domain's lock is free."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from virtnetplug import interruption, xml
from virtnetplug.backends import backend_of
from virtnetplug.errors import BackendMissing, DomainBusy, RemovalFailed, VirtnetplugError, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.waiting import Wait, left_pending
from virtnetplug.hotplug.engine.operation import Site
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, resumed, transaction
from virtnetplug.hotplug.guest import asking, guest
from virtnetplug.hotplug.guest.ending import Ending, fault, held, how, is_between_hosts
from virtnetplug.hotplug.guest.guest import Answer
from virtnetplug.hotplug.guest.travel import forget_asked, say_asked
from virtnetplug.hotplug.look.open_operations import is_any_of
from virtnetplug.hotplug.look.recognition import end_of
from virtnetplug.hotplug.look.view import describe, has_source_of
from virtnetplug.hotplug.plug.announcement import announce_partner
from virtnetplug.hotplug.plug.last_seen import see
from virtnetplug.hotplug.plug.plugging import Part
from virtnetplug.lifecycle import State
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Half, Nic, OperationRecord, OperationState, Outcome, Phase, StepState
from virtnetplug.model.run import Run
from virtnetplug.ports.domain import Domain, GuestEvent, HowEnded, Watch


def steps_out(net: Interface, name: str) -> list[Part]:
    """The steps in which a guest lets go of the NIC `net`, called `name`, for plans and the journal."""
    return [
        ("ask", name, Phase.UNPLUG, Half.LIVE),
        ("guest_release", name, Phase.GUEST, Half.LIVE),
        (backend_of(net).release_step, name, Phase.RELEASE, Half.LIVE),
    ]


class GuestRelease:
    """Asks a guest to let go, and waits: for a detach and for a swap, fresh or taken up again.

    `run` is the run of the domain that is asked, the record's if None. `view.still` says how a NIC is known there; in a run that was started since,
    `view.same` compares the NIC with its element in the definition. A NIC that somebody has connected to something else is not asked for. Once the guest
    was asked, its answer counts, whatever the NIC is connected to by then.
    """

    def __init__(
        self, host: Host, domain: Domain, record: OperationRecord, watch: Watch, seconds: float, run: Run | None = None
    ) -> None:
        self.host, self.domain, self.watch = host, domain, watch
        self.deadline = host.clock.monotonic() + seconds
        self.run = record.run if run is None else run
        steps = record.steps if self.run.matches(record.run_asked) else ()
        self._asked_before = frozenset(s.nic for s in steps if s.name == "ask" and s.state is StepState.DONE)
        self._elements: dict[str, str] = {}
        self._nets: dict[str, Interface] = {}
        self._seen: dict[str, tuple[Interface, ...]] = {}
        self._ending: Ending | None = None

    def enter(self, run: Run) -> None:
        """Go on with that run of the domain, which nobody has asked yet."""
        self.run, self._asked_before, self._ending = run, frozenset(), None
        self.watch.forget()

    def out(self, tx: Transaction, alias: str, element: str, aim: str) -> Generator[Wait, GuestEvent | None, bool]:
        """Ask for one NIC, wait for it and release its host end; at once if the NIC had left before the operation was cut off.

        False if the guest still holds it. Raises `NotApplied`, which says that the NIC could not be `aim`, where the run has ended.
        """
        if tx.is_done("guest_release", alias):
            answer = guest.look_for(self.domain, xml.interface(element), run=self.run)
            is_held = False  # one that is there has come since
        else:
            self.ask(tx, alias, element)
            answer = (yield from self.wait(tx, [alias]))[alias]
            is_held = answer is Answer.HELD
        if answer in (Answer.ENDED, Answer.AWAY):
            raise self._fault(tx, alias, element, aim)
        if not is_held:
            self.release_end(tx, alias, element)
        return not is_held

    def expect_run(self, tx: Transaction, alias: str, element: str, aim: str) -> None:
        """Raise as `out` does where the run has ended, before anything else of the guest is looked at."""
        if not guest.goes_on(self.domain, self.run):
            raise self._fault(tx, alias, element, aim)

    def left_pending(
        self,
        tx: Transaction,
        nics: Sequence[str],
        then: str,
        shown: Callable[[], Sequence[Nic]],
        also: Callable[[], None] | None = None,
    ) -> Outcome:
        """Leave the operation pending, for the guest still holds `nics`; `then` says what happens once it lets go.

        The record says from now on whether the run is between two hosts.
        """
        self._note_hosts(tx, is_between_hosts(self.domain, tx.record.run_asked))
        kept = f"The journal keeps the {then}: {call('recover', self.domain.name, wait=60)} waits for that."
        reason, message = held(self.domain, tx.record, ", ".join(nics), kept)
        return tx.close(OperationState.PENDING, reason, message, shown, also=also)

    def _fault(self, tx: Transaction, alias: str, element: str, aim: str) -> VirtnetplugError:
        ending = self.ending(tx)
        if ending.end is HowEnded.MIGRATED:
            self.release_end(tx, alias, element)
        tx.is_over = ending.end.is_final
        return fault(tx.record, ending, alias, aim)

    def ending(self, tx: Transaction) -> Ending:
        """How the run ended that has been seen not to be there any more; looked at once."""
        if self._ending is None:
            self._ending = how(self.domain, self.run, self.watch)
            self._note_hosts(tx, bool(self.watch.is_between_hosts) or tx.record.run_asked.between_hosts)
        return self._ending

    def _note_hosts(self, tx: Transaction, is_between: bool) -> None:
        """Keep in the record whether the run is between two hosts. A later look sees how the run ended, and not that it was there."""
        if is_between != tx.record.run_asked.between_hosts:
            tx.amend(between_hosts=is_between)

    def release_end(self, tx: Transaction, alias: str, element: str) -> None:
        """Release the host end of a NIC that has left; once, for the next NIC of that alias has a host end of its own."""
        net = xml.interface(element)
        backend = backend_of(net)
        planned = [
            step.name
            for step in tx.steps
            if step.nic == alias and step.phase is Phase.RELEASE and step.half is Half.LIVE
        ]
        if backend.release_step not in planned:
            raise BackendMissing(
                f"the step {' '.join(planned)} of {alias} belongs to a backend that does not serve the NIC any more. "
                f"So the host's end of {alias} is not released. Install the package of that backend again, then run `recover()`"
            )
        if not tx.is_done(backend.release_step, alias):
            tx.warn(*tx.note(backend.release_step, alias, lambda: backend.unplug(self.host, self.domain, net)))

    def ask(self, tx: Transaction, alias: str, element: str, defined: str | None = None) -> None:
        """Ask the guest to let go of the NIC `alias`, whose live element was `element`.

        Another run has the NIC as its definition had it: with the element `defined`, which may name another source.
        A guest that was asked before is asked again only after `asking.GRACE`, while it is waited for.
        """
        net = xml.interface(element)
        is_next, kept = not self.run.matches(tx.record.run), None if defined is None else xml.interface(defined)
        self._seen[alias] = (net, kept) if is_next and kept is not None else (net,)
        if is_next:
            net = kept or net
        if is_next or (not is_lasting(net.alias) and net.address is None):
            net = self._there(tx, alias, net) or net
        self._nets[alias], self._elements[alias] = net, element
        tx.effect("ask", alias, lambda: self._ask(tx, alias), half=Half.LIVE)
        tx.tell("state", f"{alias}: {State.CLOSING}/{State.CLOSING}", alias)

    def wait(self, tx: Transaction, aliases: Sequence[str]) -> Generator[Wait, GuestEvent | None, dict[str, Answer]]:
        """Wait for each in turn, until the deadline; the step of a NIC that is still held stays started.

        A signal leaves the operation pending. Raises `LeftPending` where the lock is not to be had again.
        """
        answers = {}
        recover = call("recover", self.domain.name, wait=60)
        asked = f"The guest was asked to let go of {', '.join(aliases)}"
        with pending_if_busy(tx, asked, f"{recover} goes on with it"):
            try:
                for alias in aliases:
                    answers[alias] = yield from guest_release(
                        tx, self.domain, self._nets[alias], self.watch, self.deadline,
                        run=self.run, was_asked=self._is_asked_again(tx, alias), step=alias, ended=partial(self.ending, tx),
                        seen=partial(self._see, tx, alias),
                    )  # fmt: skip
                    if answers[alias] is Answer.HELD:
                        self._ending = None  # a restored guest goes on
                    if answers[alias] not in (Answer.HELD, Answer.AWAY):
                        tx.tell("state", f"{alias}: {State.CLOSED}/{State.CLOSED}", alias)
            except KeyboardInterrupt as stop:
                raise interruption.left_open(
                    f"interrupted while the guest was letting go of {', '.join(aliases)}. It has been asked, so the NIC may go at any "
                    f"moment; the journal keeps it: {recover} finishes it.",
                    stop,
                ) from None
        return answers

    def _ask(self, tx: Transaction, alias: str) -> None:
        if alias not in self._asked_before:
            net, seen = self._nets[alias], self._seen[alias]
            if (now := guest.now_of(self.domain, net, run=self.run)) is None:
                return
            guest.expect_unchanged(now, *seen)
            self._see(tx, alias, now)
            self._say_asked(tx, alias, now)
            asking.ask(self.host, self.domain, net, self.watch, self.deadline, run=self.run, seen=seen)

    def _see(self, tx: Transaction, alias: str, now: Interface) -> None:
        """Keep in the journal what somebody has changed of the NIC, as long as the guest has it."""
        see(self.domain, tx, alias, self._elements[alias], now, run=self.run)

    def _there(self, tx: Transaction, alias: str, net: Interface) -> Interface | None:
        """The NIC as the guest has it (`guest.there`). The element of a NIC that may come at any address has none: the journal knows where it was."""
        now, names = guest.there(self.domain, net), tx.record.names_of(alias)
        if now is None or names == {alias}:  # a record of an earlier version says no more
            return now
        return now if is_any_of([now], names) else None

    def _is_asked_again(self, tx: Transaction, alias: str) -> bool:
        """Whether a guest that was asked by an earlier call is asked again: not for a NIC that somebody has connected to something else since."""
        if alias not in self._asked_before:
            return False
        net = self._nets[alias]
        now = guest.now_of(self.domain, net, run=self.run)
        if (
            now is None
            or any(has_source_of(now, one) for one in self._seen[alias])
            or guest.is_another(self.domain, now, end_of(net), run=self.run)
        ):
            return True
        tx.warn(
            f"{describe(now)} is connected to {now.source} by now, which this {tx.record.operation} did not do. The guest was asked for it before and may "
            "still let go; it is not asked again"
        )
        return False

    def _say_asked(self, tx: Transaction, alias: str, net: Interface) -> None:
        """Write into the guest's metadata what it is asked, before it is asked: a save or a migration that begins later takes the metadata along."""

        def present() -> object:
            """What tells the run that there is from the next: the process costs no call of libvirt's."""
            return self.domain.process() or guest.run_of(self.domain)

        before = present()
        why = say_asked(self.domain, tx.record, net)
        if present() != before:
            forget_asked(self.domain, tx.record.id)  # another run has begun, which nobody asks
        if why is None and not self.run.is_marked:
            tx.keep(marked=True)  # the guest itself says so until then
            self.run = self.run.marked(tx.record.id)
        elif why is not None:
            tx.warn(
                f"{self.domain.name} cannot carry in its metadata that it was asked for {alias} ({why}): were it saved or migrated, nobody would know"
            )


@contextmanager
def under_way(
    host: Host,
    domain: Domain,
    record: OperationRecord,
    seconds: float,
    undos: Callable[[Site, Transaction], Undos],
    *,
    warnings: Sequence[str] = (),
    is_taken_up: bool = False,
) -> Iterator[tuple[Transaction, GuestRelease]]:
    """Run inside an operation that may wait for its guest: a new one, or (`is_taken_up`) one that was taken over and goes forward."""
    undos_of = partial(undos, Site.of(host, domain, record, seconds))
    begin = partial(resumed, goes_on=True) if is_taken_up else transaction
    with domain.watch() as watch:
        release = GuestRelease(host, domain, record, watch, seconds)
        with begin(host, record, undos_of) as tx:
            for text in warnings:
                tx.warn(text)
            yield tx, release


def guest_release(
    tx: Transaction,
    domain: Domain,
    net: Interface,
    watch: Watch,
    deadline: float,
    *,
    run: Run,
    was_asked: bool = False,
    name: str = "",
    step: str = "",
    ended: Callable[[], Ending] | None = None,
    seen: Callable[[Interface], None] = lambda now: None,
) -> Generator[Wait, GuestEvent | None, Answer]:
    """Run the step in which a guest lets go of `net`; if the guest does not by `deadline`, the step stays started.

    `ended` says how the run ended, once its end has been seen. `seen` is called with the NIC at each look at it.
    `name` is what the step calls the NIC in an operation on several guests, `step` what it calls a NIC that libvirt has renamed since.
    """
    alias = net.alias or ""
    nic, who = name or step or alias, domain.name if name else "the guest"
    tx.begin("guest_release", nic)
    tx.tell("waiting", f"waiting for {who} to let go of {alias}", nic)
    try:
        answer = yield from asking.released(
            tx.host, domain, net, watch, deadline,
            run=run, was_asked=was_asked, resumed=tx.expect_mine, seen=seen,
        )  # fmt: skip
    except RemovalFailed as error:
        tx.fail("guest_release", nic, error)
        raise
    if answer is Answer.ENDED and watch.has_removed(alias):
        answer = Answer.GONE  # before the run ended, while another NIC was waited for
    elif answer is Answer.ENDED:
        ending = how(domain, run, watch) if ended is None else ended()
        if ending.lacks(net):
            answer = Answer.GONE
        elif not ending.end.is_final:
            return Answer.AWAY
    if answer is Answer.GONE and (now := guest.now_of(domain, net, run=run)) is not None:
        tx.warn(f"{describe(now)}, connected to {now.source}, was put in once {who} had let go of {alias}: it stays")
    if answer is not Answer.HELD:
        tx.end("guest_release", nic)
        announce_partner(tx.host, domain, net, tx)
    return answer


@contextmanager
def pending_if_busy(tx: Transaction, asked: str, then: str) -> Iterator[None]:
    """Wait for guests inside: where the lock is not to be had again after a wait, raise what `left_pending` makes of `asked` and `then`."""
    tx.flush(is_durable=False)
    try:
        yield
    except DomainBusy as error:
        raise left_pending(error, tx.record, asked, then) from None
