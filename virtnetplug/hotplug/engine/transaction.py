"""One journaled operation: intents before effects, undone newest first when one fails.

The operation's `Undos` has what undoes each step, by the step's name and NIC. The process that ran the step uses them, and so does a process that
takes the operation over after a crash. It builds its undo stack from the steps in the journal.
"""

from __future__ import annotations

import dataclasses
import functools
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self, TypeVar

from virtnetplug import interruption, xml
from virtnetplug.errors import (
    AliasTaken,
    ConnectionLost,
    DomainTransient,
    Failed,
    GuestMigrated,
    JournalBroken,
    LeftPending,
    OperationGone,
    OperationTaken,
    Refused,
    RollbackIncomplete,
    VirtnetplugError,
    call,
    incomplete_from,
    sentence,
    unfinished_from,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.guest.travel import forget, forget_asked
from virtnetplug.model.operation import (
    OPEN_STATES,
    Event,
    Half,
    Nic,
    OperationRecord,
    OperationState,
    Outcome,
    Phase,
    Result,
    Scope,
    Step,
    StepState,
)
from virtnetplug.model.run import NO_RUN, Run
from virtnetplug.ports.domain import Domain
from virtnetplug.undo import UndoStack, causes_of

REMEDY = "Recover with the version that wrote it, or restore the journal from a backup if its row is damaged; `history()` shows its steps."
"""What to do about a record for which `operation_of` finds no class."""

T = TypeVar("T")

Undos = Mapping[tuple[str, str], Callable[[], object]]
"""What undoes each step, by the step's name and NIC. An undo makes the effect absent whether it happened wholly, partly or not at all; it may run twice."""

UndosOf = Callable[["Transaction"], Undos]

REQUEST_VERSION = 1
"""The version of the requests that this virtnetplug writes (journals of version 3 have requests without one). A record with a higher version is left open."""

_MAY_HAVE_HAPPENED = (StepState.STARTED, StepState.DONE, StepState.FAILED, StepState.UNDO_FAILED)


def recover_command(record: OperationRecord, **options: object) -> str:
    """The call that takes the operation up (`errors.call`)."""
    return call("recover", *([record.domain_name] if record.domain_uuid else []), **options)


class Transaction:
    """The steps of one operation, in the journal and undone by its undo stack.

    `goes_on` says that `recover` finishes the operation as it stands. Before it is undone, the journal gets a mark that it is being undone.

    An effect is journaled as started, durably, before it happens. That it ended is written with the next
    durable write: a crash between leaves it "started", which `recover` reads as "may have happened".
    """

    def __init__(
        self,
        host: Host,
        record: OperationRecord,
        undos: UndosOf | None = None,
        *,
        is_begun: bool = False,
        goes_on: bool = False,
    ) -> None:
        self.host = host
        self.record = record
        self.steps: list[Step] = list(record.steps)
        self.is_resumed = is_begun
        self.away: LeftPending | None = None
        """What an undo raised that found its guest to be away: saved, on another host, or nobody knows where."""
        self.is_over = False
        """Set once the run is known to have ended for good: libvirt may have forgotten that by the time of an undo."""
        self.warnings: list[str] = []
        self.undo = UndoStack()
        self._marks: list[tuple[int, StepState, str, float]] = []
        """Changes of steps that the next durable write will carry: number, state, detail and time of each."""
        self._is_begun = is_begun
        self._is_amended = False
        self._had_effect = is_begun
        self._settled = False
        self._goes_on = goes_on
        self._only_forward = False
        self._turns_for: tuple[type[VirtnetplugError], ...] = ()
        self._may_stop = not is_begun
        self._started = host.clock.monotonic()
        self._without_effect: set[int] = set()  # steps whose only call the hypervisor refused
        self._registered: set[int] = set()
        self._undos_of = undos
        for step in self.steps if is_begun else ():
            if step.state in _MAY_HAVE_HAPPENED and (step.name, step.nic) in self._undos:
                self._register(step)

    @functools.cached_property
    def _undos(self) -> Undos:
        """Found when something is undone, or taken up: a run that goes well pays nothing for them."""
        return {} if self._undos_of is None else self._undos_of(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Undo the steps if anything was raised inside."""
        if isinstance(error, VirtnetplugError):
            raised = self.roll_back(error)
            raised.warnings = self.warnings
            if raised is not error:
                raise raised from None
        elif isinstance(error, KeyboardInterrupt):
            raise self.stop(error) from None
        elif isinstance(
            error, GeneratorExit
        ):  # its caller goes on with it no more (see `waiting`): the next call takes it over
            with suppress(VirtnetplugError):
                if not self._settled:
                    self.finish(OperationState.PENDING, reason="pending")
        elif error is not None:
            self.roll_back(Failed(f"{type(error).__name__}: {error}", reason="internal"))

    @property
    def seconds(self) -> float:
        """Since the operation began."""
        return self.host.clock.monotonic() - self._started

    def note(self, name: str, nic: str, run: Callable[[], T], *, half: Half | None = None) -> T:
        """Run a planned step that changes nothing outside the journal."""
        return self._run(self._begin_step(self._planned(name, nic, half)), run)

    def effect(
        self, name: str, nic: str, run: Callable[[], T], *, half: Half | None = None, is_one_attach: bool = False
    ) -> T:
        """Run a planned step that changes something. `is_one_attach`: it does so by one call of the hypervisor, which attaches a device.

        Its undo (see `Undos`) is registered before `run`, for a call that failed may still have had its effect.
        A signal that came before is delivered here, while all can be undone.
        """
        step = self._planned(name, nic, half)
        seq = self._begin_step(step)
        try:
            self.flush()
            if self._may_stop:
                interruption.check()
        except BaseException:
            self._mark(seq, step.state)  # it was not run
            raise
        self._had_effect = True
        self._register(step)
        try:
            return self._run(seq, run)
        except AliasTaken:
            # An earlier call may have begun the step: then the alias may be that of the operation's own NIC.
            if is_one_attach and step.state not in _MAY_HAVE_HAPPENED:
                self._without_effect.add(seq)
            raise

    def begin(self, name: str, nic: str) -> None:
        """Mark a planned step as started; one that is started already keeps its start time.

        Use it for steps that end outside this call, such as the guest's release.
        """
        if self._marks:  # another process must see what became of the guest that was waited for before
            self.flush(is_durable=False)
        step = self._planned(name, nic)
        if step.state is StepState.STARTED:
            self.tell("step", name, nic)
        else:
            self._begin_step(step)

    def end(self, name: str, nic: str) -> None:
        """Mark a step that `begin` started as done."""
        self._mark(self._planned(name, nic).seq, StepState.DONE)

    def fail(self, name: str, nic: str, error: VirtnetplugError) -> None:
        """Mark a step that `begin` started as failed."""
        self._mark(self._planned(name, nic).seq, StepState.FAILED, error.message)

    def was_begun(self, name: str, nic: str) -> bool:
        """Whether this step may have had its effect."""
        return any((step.name, step.nic) == (name, nic) and step.state in _MAY_HAVE_HAPPENED for step in self.steps)

    def is_done(self, name: str, nic: str) -> bool:
        """Whether this step ended well."""
        return any((step.name, step.nic) == (name, nic) and step.state is StepState.DONE for step in self.steps)

    def has_failed(self, name: str, nic: str) -> bool:
        """Whether this step failed the last time."""
        return any((step.name, step.nic) == (name, nic) and step.state is StepState.FAILED for step in self.steps)

    def flush(self, *, is_durable: bool = True) -> None:
        """Write all changes of steps so far to the journal, in one commit.

        A commit that says only that a started step has ended need not be durable. If the host loses power, and the commit with it, the step reads
        "may have happened". The commit is durable all the same if the operation is new, changes a definition or acts on another host.
        """
        is_replaceable = self._is_begun and self.record.scope is Scope.LIVE and self.host.hypervisor.is_local
        with self.host.journal.batch(is_durable=is_durable or not is_replaceable):
            self._write()
        self._is_written()

    def expect_mine(self) -> None:
        """Raise `OperationTaken` if another call owns the operation by now. Call it first after each wait, during which the lock was free."""
        self.host.journal.expect_owner(self.record.id, self.record.owner)

    def amend(self, **changes: Any) -> None:
        """Change keys of the request; durable with the next durable write. Raises `OperationTaken` as `finish` does."""
        self.keep(**changes)
        if self._is_begun:
            self.host.journal.amend(self.record.id, self.record.request, owner=self.record.owner)
            self._is_amended = False

    def keep(self, **changes: Any) -> None:
        """Change keys of the request, which the next commit of the operation writes: for what a crash before that may lose."""
        self.record = dataclasses.replace(self.record, request={**self.record.request, **changes})
        self._is_amended = True

    def finish(
        self,
        state: OperationState,
        result: Result | None = None,
        *,
        reason: str = "",
        error: str = "",
        also: Callable[[], None] | None = None,
    ) -> None:
        """The operation's end (or that it is pending), with what `also` writes, in one commit. The result is the one of that name if none is given.

        Raises `OperationTaken`, and writes nothing, where the operation is not this call's any more. Raises if the journal cannot be written, and has
        the operation in that state for an earlier reason.
        """
        carrier, result = None, result or Result(state)
        try:
            if state not in OPEN_STATES and state is not OperationState.LEFT:
                carrier = self._forget_asked(are_out=state is OperationState.DONE)
            with self.host.journal.batch():
                self._write(is_last=True)
                self.host.journal.finish(
                    self.record.id, state, result=result, reason=reason, error=error, owner=self.record.owner
                )
                if also is not None:
                    also()
        except OperationTaken:
            self._settled = True  # by somebody else
            raise
        except VirtnetplugError as fault:
            written = self._written()
            if written is None or written.state is not state:
                raise
            if (written.reason, written.error) != (reason, error):
                self._settled = True
                kind = LeftPending if state is OperationState.PENDING else RollbackIncomplete
                raise kind(
                    f"{error} The journal could not be written ({fault.message}), and has the {self.record.operation} as it was left before.",
                    reason=written.reason,
                ) from None
        self._is_written()
        self._settled = True
        self.undo.commit()
        if carrier is not None:
            with suppress(VirtnetplugError):
                forget(carrier, [self.record.id], ())

    def _forget_asked(self, *, are_out: bool) -> Domain | None:
        """Delete the request from the guest's metadata before the journal says that the operation has ended. Else another host might go on with it.

        Returns the domain whose guest still has the mark, if there is one.
        """
        is_asked = any(step.name == "ask" and step.state is not StepState.PLANNED for step in self.steps)
        if not is_asked or not self.record.domain_uuid:
            return None
        self.expect_mine()
        with suppress(VirtnetplugError):
            domain = self.host.hypervisor.domain(self.record.domain_uuid)
            asked = self.record.asked or ()
            named = (entry for entry in self.record.named if are_out and entry["alias"] in asked)
            out = [xml.interface(entry["live"]) for entry in named if entry.get("live")]
            answered = self.record.asked_nics if are_out else ()
            forget_asked(domain, self.record.id, out, answered=answered, is_ending=True)
            return domain
        return None

    def close(
        self,
        state: OperationState,
        reason: str,
        message: str,
        nics: Callable[[], Sequence[Nic]] = tuple,
        *,
        result: Result | None = None,
        also: Callable[[], None] | None = None,
    ) -> Outcome:
        """`finish` with that message, and the outcome that says the same. `nics` gives its NICs once the journal is written."""
        self.finish(state, result, reason=reason, error=message, also=also)
        return self.outcome(result or Result(state), reason=reason, message=message, nics=nics())

    def outcome(self, result: Result, *, reason: str = "", message: str = "", nics: Sequence[Nic] = ()) -> Outcome:
        """The `Outcome` that the caller of the operation gets."""
        return Outcome(
            operation=self.record.operation,
            domain=self.record.domain_name,
            result=result,
            operation_id=self.record.id,
            reason=reason,
            message=message,
            nics=tuple(nics),
            steps=tuple(self.steps),
            seconds=self.seconds,
            warnings=tuple(self.warnings),
        )

    def go_forward(self, *but_for: type[VirtnetplugError]) -> None:
        """From here on nothing is undone: if a step fails the operation stays open, and `recover` finishes it.

        An error of a type of `but_for` undoes it all the same, until the next call.
        """
        if not but_for:
            self.undo.commit()
        self._turns_for = but_for
        self._only_forward = True
        self._may_stop = False

    def warn(self, *texts: str) -> None:
        """Add sentences to the outcome's warnings, and publish them; each once, although several steps find the same."""
        for text in texts:
            if text not in self.warnings:
                self.warnings.append(text)
                self.tell("warning", text)

    def tell(self, kind: str, text: str, nic: str = "") -> None:
        """Publish an event of this operation."""
        self.host.publish(
            Event(kind=kind, text=text, operation_id=self.record.id, domain=self.record.domain_name, nic=nic)
        )

    def roll_back(self, error: VirtnetplugError) -> VirtnetplugError:
        """Undo everything, journal how that went, and return the error to raise (the first one, always)."""
        if self._settled or isinstance(error, OperationTaken):
            return error
        if (lost := self._lost()) is not None:
            self._settled = True
            return lost if isinstance(lost, OperationTaken) else self._undo_unknown(error, lost)
        if isinstance(error, ConnectionLost):
            return self._leave_open(error)
        if isinstance(error, GuestMigrated):
            return self._close(OperationState.LEFT, error)
        if isinstance(error, LeftPending):
            return self._close(OperationState.PENDING, error)
        if self._only_forward and not isinstance(error, self._turns_for):
            left = unfinished_from(error, self.record.operation)
            left.reason = error.reason if self.is_resumed else left.reason
            return self._leave_open(left)
        try:
            self._turn_back()
        except VirtnetplugError as fault:
            why = f"the journal cannot say that it is being undone, so it is not: {fault.message}"
            return self._leave_open(incomplete_from(error, [why]))
        failures = self._unwind()
        sentences = [f"{name}: {failure.message}" for name, failure in failures]
        causes = causes_of([failure for _, failure in failures])
        gone = next((failure for failure in causes if isinstance(failure, GuestMigrated)), None)
        if gone is not None and all(isinstance(failure, LeftPending) for failure in causes):
            return self._close(OperationState.LEFT, gone)
        if causes and all(isinstance(failure, LeftPending) for failure in causes):
            said = list(dict.fromkeys(failure.message for failure in causes))
            pending = LeftPending(" ".join([sentence(error.message), *said]), reason=causes[0].reason)
            pending.undo_failures = said
            return self._close(OperationState.PENDING, pending)
        if any(isinstance(failure, ConnectionLost) for _, failure in failures):
            return self._leave_open(incomplete_from(error, sentences))
        if failures:
            return self._close(OperationState.INCOMPLETE, incomplete_from(error, sentences))
        if isinstance(error, Refused) and self._had_effect:
            error = Failed(f"{sentence(error.message)} All that had been done was undone.", reason=error.reason)
        return self._close(OperationState.REFUSED if isinstance(error, Refused) else OperationState.UNDONE, error)

    def stop(self, interrupt: KeyboardInterrupt) -> VirtnetplugError:
        """Undo everything because a signal came, and return the error to raise, which says what became of the operation."""
        what = f"The {self.record.operation} on {self.record.domain_name} was interrupted"
        if self._settled:
            said = f"{what} when it had ended already: {call('history', self.record.domain_name)} says how."
            return interruption.interrupted(said, interrupt)
        if not self._may_stop:
            if self.record.state is not OperationState.PENDING:
                self._leave_open(interruption.interrupted(f"{what}.", interrupt))
            said = f"{what}, and stays open in the journal: {recover_command(self.record)} goes on with it."
            return interruption.interrupted(said, interrupt)
        left = self.roll_back(interruption.interrupted(f"{what}.", interrupt))
        said = sentence(left.message)
        if not isinstance(left, RollbackIncomplete | LeftPending | OperationGone):
            said += " All that had been done was undone." if self._had_effect else " Nothing was touched."
        raised = interruption.interrupted(said, interrupt)
        raised.undo_failures = left.undo_failures
        return raised

    def _lost(self) -> OperationTaken | OperationGone | None:
        """Why the operation no longer belongs to this call, by the journal; None if it does, or if the journal cannot be read."""
        try:
            if self._is_begun:
                self.expect_mine()
        except (OperationTaken, OperationGone) as lost:
            return lost
        except VirtnetplugError:
            pass
        return None

    def _undo_unknown(self, error: VirtnetplugError, gone: OperationGone) -> VirtnetplugError:
        """Undo everything of an operation that only this call knows. The error to raise says what failed, and that only this call knew the operation.

        Nothing is undone if the journal that is there has a later operation on one of its NICs: what that has done stands.
        """
        failures = [f"the {later.operation} {later.id} has changed that NIC since" for later in self._later()]
        failures = failures or [f"{name}: {failure.message}" for name, failure in self._unwind()]
        failures += [f"the {self.record.operation} can no longer be undone"] if self._only_forward else []
        known = isinstance(error, OperationGone | JournalBroken)
        said = gone.message if known else f"{error.message} In addition, {gone.message}"
        if not failures:
            return OperationGone(f"{said} This call undid what it had done.")
        left = RollbackIncomplete(
            f"{said} Undoing it did not finish ({'; '.join(failures)}), and no journal keeps it. Compare the guest with "
            f"{call('list', self.record.domain_name)}, and set it right by hand."
        )
        left.undo_failures = failures
        return left

    def _later(self) -> Sequence[OperationRecord]:
        """The operations on its NICs that have begun since, as far as the journal that is there can say."""
        try:
            records = self.host.journal.since(self.record.domain_uuid, self.record.started)
        except VirtnetplugError:
            return ()
        left_nothing = (OperationState.UNDONE, OperationState.REFUSED)
        others = [each for each in records if each.id != self.record.id and each.state not in left_nothing]
        here = [each for each in others if each.hypervisor == self.record.hypervisor]
        return [each for each in here if each.touched & self.record.touched]

    def _unwind(self) -> list[tuple[str, VirtnetplugError]]:
        """Undo all steps, by the request as it is now: what is undone may amend it, and the undos stay those."""
        self.__dict__.pop("_undos", None)
        return self.undo.unwind()

    def _turn_back(self) -> None:
        """If `recover` would finish the operation, write to the journal that it is being undone, before anything is undone."""
        if not self._goes_on or not len(self.undo):
            return
        self._is_begun = self._is_begun or self._written() is not None
        if self._is_begun:
            with self.host.journal.batch():
                self._write()
                self.amend(back=True)
            self._is_written()
        self._goes_on = False

    def _leave_open(self, error: VirtnetplugError) -> VirtnetplugError:
        is_pending = self._goes_on and self.record.state is OperationState.PENDING  # who takes it up goes on with it
        self._close(OperationState.PENDING if is_pending else OperationState.INCOMPLETE, error)
        if isinstance(error, ConnectionLost):
            return ConnectionLost(
                f"{error.message}. The operation is in the journal as {self.record.id}: "
                f"run {recover_command(self.record)} once the connection is back."
            )
        return error

    def _close(self, state: OperationState, error: VirtnetplugError) -> VirtnetplugError:
        """Journal how it ended, or stays open, and return the error to raise."""
        try:
            self._is_begun = self._is_begun or self._written() is not None
        except VirtnetplugError as fault:  # it was begun without an answer, and so nothing was done
            error.undo_failures.append(f"the journal could not be read: {fault.message}")
        if not self._is_begun:
            return error
        try:
            self.finish(state, reason=error.reason, error=error.message)
        except VirtnetplugError as fault:
            if isinstance(fault, OperationTaken | LeftPending) and type(error) is LeftPending:
                return fault
            if state in (OperationState.UNDONE, OperationState.REFUSED) and not isinstance(fault, OperationTaken):
                error = RollbackIncomplete(
                    f"{error.message} The journal could not be written ({fault.message}), so it has the {self.record.operation} as open: "
                    f"{recover_command(self.record)} ends it there."
                )
            error.undo_failures.append(f"the journal could not be written: {fault.message}")
        return error

    def _register(self, step: Step) -> None:
        """Register the undo of the step. Undos run newest first, unless the operation is finished."""
        if step.seq not in self._registered:
            self._registered.add(step.seq)
            self.undo.add(step.name, self._marked_undo(step))

    def _begin_step(self, step: Step) -> int:
        self._mark(step.seq, StepState.STARTED)
        self.tell("step", step.name, step.nic)
        return step.seq

    def _written(self) -> OperationRecord | None:
        """The operation as the journal has it. A commit that failed may have been written all the same."""
        return self.host.journal.operation(self.record.id)

    def _planned(self, name: str, nic: str, half: Half | None = None) -> Step:
        for step in self.steps:
            if (step.name, step.nic) == (name, nic) and half in (None, step.half):
                return step
        if self.is_resumed:
            lacks = (
                f"what the journal has of the {self.record.operation} {self.record.id} lacks its step {name} of {nic}"
            )
            raise Failed(f"{lacks}: it is damaged. {REMEDY}", reason="operation-newer")
        raise Failed(f"step {name} of {nic} was never planned", reason="internal")

    def _run(self, seq: int, run: Callable[[], T]) -> T:
        try:
            answer = run()
        except ConnectionLost:
            raise  # nobody can tell whether it happened: it stays begun
        except KeyboardInterrupt:
            self._mark(seq, StepState.FAILED, "interrupted")  # in a wait before it, for none comes into a call
            raise
        except VirtnetplugError as error:
            self._mark(seq, StepState.FAILED, error.message)
            raise
        self._mark(seq, StepState.DONE)
        return answer

    def _marked_undo(self, step: Step) -> Callable[[], None]:
        def run() -> None:
            undo = self._undos.get((step.name, step.nic))
            if step.seq in self._without_effect:  # the undo would find what somebody else did
                self._mark(step.seq, StepState.UNDONE)
            elif undo is not None:
                self.tell("step", f"undo {step.name}", step.nic)
                try:
                    undo()
                except VirtnetplugError as error:
                    if step.half is not Half.CONFIG or not isinstance(error, DomainTransient):
                        self._mark(step.seq, StepState.UNDO_FAILED, error.message)
                        raise
                    name = self.record.domain_name
                    self.warn(
                        f"{name} was undefined meanwhile: it has no definition that {step.nic} could be as before in"
                    )
                self._mark(step.seq, StepState.UNDONE)
            self._registered.discard(step.seq)

        return run

    def _mark(self, seq: int, state: StepState, detail: str = "") -> None:
        at = self.host.clock.now()
        self._marks.append((seq, state, detail, at))
        for index, step in enumerate(self.steps):
            if step.seq == seq:
                self.steps[index] = _moved(step, state, detail, at)

    def _write(self, *, is_last: bool = False) -> None:
        if self._is_begun:
            if not is_last:  # else `finish` compares, in the same commit
                self.host.journal.expect_owner(self.record.id, self.record.owner)
            if self._is_amended:
                self.host.journal.amend(self.record.id, self.record.request, owner=self.record.owner)
            for seq, state, detail, at in self._marks:
                self.host.journal.step(self.record.id, seq, state, detail, at=at)
        else:
            self.host.journal.begin(dataclasses.replace(self.record, steps=tuple(self.steps)))

    def _is_written(self) -> None:
        """Forget the marks that are written. After a failed commit they stay, and the next commit writes them."""
        self._is_begun, self._is_amended = True, False
        self._marks.clear()


def _moved(step: Step, state: StepState, detail: str, at: float) -> Step:
    if state is StepState.STARTED:
        return dataclasses.replace(step, state=state, started=at)
    seconds = None if step.started is None else max(at - step.started, 0.0)
    is_end = state in (StepState.DONE, StepState.FAILED)
    return dataclasses.replace(step, state=state, detail=detail, seconds=seconds if is_end else step.seconds)


@contextmanager
def transaction(
    host: Host, record: OperationRecord, undos: UndosOf | None = None, *, goes_on: bool = False
) -> Iterator[Transaction]:
    """Run a new operation's steps inside; whatever is raised in it undoes them first. The operation is this call's until it returns."""
    with host.journal.call() as owner:
        request = {"version": REQUEST_VERSION, **record.request}
        mine = dataclasses.replace(record, owner=owner, request=request)
        with Transaction(host, mine, undos, goes_on=goes_on) as tx:
            yield tx


def resumed(host: Host, record: OperationRecord, undos: UndosOf | None = None, *, goes_on: bool = False) -> Transaction:
    """A transaction of an operation that was taken over (see `ownership`). A failure also undoes the steps that an earlier call ran."""
    return Transaction(host, record, undos, is_begun=True, goes_on=goes_on)


def plan_steps(*parts: tuple[str, str, Phase, Half | None]) -> tuple[Step, ...]:
    """Steps as they will be run, numbered: (name, NIC, phase, half) each."""
    return tuple(
        Step(seq=seq, name=name, nic=nic, phase=phase, half=half) for seq, (name, nic, phase, half) in enumerate(parts)
    )


def record_of(
    host: Host,
    operation: str,
    domain: Domain | str,
    *,
    run: Run = NO_RUN,
    scope: Scope = Scope.LIVE,
    device_types: Sequence[str],
    request: dict[str, Any],
    steps: Sequence[Step],
) -> OperationRecord:
    """A new operation for the journal. An operation of no one domain has a name instead of the domain."""
    kinds = set(device_types)
    return OperationRecord(
        id=uuid.uuid4().hex[:12],
        operation=operation,
        uri=host.hypervisor.uri,
        hypervisor=host.hypervisor.key,
        domain_uuid="" if isinstance(domain, str) else domain.uuid,
        domain_name=domain if isinstance(domain, str) else domain.name,
        domain_id=run.id,
        process=run.process,
        scope=scope,
        device_type=kinds.pop() if len(kinds) == 1 else "mixed",
        request=request,
        steps=tuple(steps),
        started=host.clock.now(),
    )
