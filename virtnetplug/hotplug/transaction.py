"""One journaled operation: intents before effects, undone newest first when one fails."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from virtnetplug.errors import (
    ConnectionLost,
    Failed,
    Interrupted,
    Refused,
    RollbackIncomplete,
    VirtnetplugError,
    incomplete_from,
)
from virtnetplug.hotplug.host import Host
from virtnetplug.model.operation import (
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
from virtnetplug.ports.domain import Domain
from virtnetplug.undo import UndoStack

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class _Mark:
    """A step's change of state that the next durable write will carry."""

    seq: int
    state: StepState
    detail: str
    at: float


class Transaction:
    """The steps of one operation, in the journal and undone by its undo stack.

    An effect is journaled as started, durably, before it happens. That it ended is written with the next
    durable write: a crash between leaves it "started", which `recover` reads as "may have happened".
    """

    def __init__(self, host: Host, record: OperationRecord, *, is_begun: bool = False) -> None:
        self.host = host
        self.record = record
        self.steps: list[Step] = list(record.steps)
        self.warnings: list[str] = []
        self.undo = UndoStack()
        self._marks: list[_Mark] = []
        self._is_begun = is_begun
        self._had_effect = False
        self._settled = False
        self._only_forward = False
        self._started = host.clock.monotonic()

    @property
    def seconds(self) -> float:
        """Since the operation began."""
        return self.host.clock.monotonic() - self._started

    def note(self, name: str, nic: str, run: Callable[[], T], *, half: Half | None = None) -> T:
        """Run a planned step that changes nothing outside the journal."""
        seq = self._begin_step(name, nic, half)
        return self._run(seq, run)

    def effect(
        self,
        name: str,
        nic: str,
        run: Callable[[], T],
        undo: Callable[[], None] | None = None,
        *,
        half: Half | None = None,
    ) -> T:
        """Run a planned step that changes something.

        `undo` is registered before `run`: it makes the effect absent whether it happened wholly, partly or not at all,
        for a call that failed may still have had its effect.
        """
        seq = self._begin_step(name, nic, half)
        self.flush()
        self._had_effect = True
        if undo is not None:
            self.undo.add(name, self._marked_undo(seq, undo))
        return self._run(seq, run)

    def begin(self, name: str, nic: str) -> None:
        """A planned step began that ends by itself, later, or not at all; one begun before goes on, and its time with it."""
        seq = self._planned(name, nic)
        if any(step.seq == seq and step.state is StepState.STARTED for step in self.steps):
            self.tell("step", name, nic)
        else:
            self._begin_step(name, nic, None)

    def end(self, name: str, nic: str) -> None:
        """It did."""
        self._mark(self._planned(name, nic), StepState.DONE)

    def fail(self, name: str, nic: str, error: VirtnetplugError) -> None:
        """It failed."""
        self._mark(self._planned(name, nic), StepState.FAILED, error.message)

    def compensate(self, name: str, nic: str, undo: Callable[[], object]) -> None:
        """Take back a step of an operation that another process left open, if it was ever begun."""
        step = next((step for step in self.steps if (step.name, step.nic) == (name, nic)), None)
        if step is None or step.state in (StepState.PLANNED, StepState.UNDONE):
            return
        self.tell("step", f"undo {name}", nic)
        self._marked_undo(step.seq, undo)()

    def was_begun(self, name: str, nic: str) -> bool:
        """Whether this step may have had its effect."""
        states = [step.state for step in self.steps if (step.name, step.nic) == (name, nic)]
        return any(state not in (StepState.PLANNED, StepState.UNDONE) for state in states)

    def flush(self) -> None:
        """Make the journal say all that has happened so far."""
        with self.host.journal.batch():
            self._write()
        self._is_written()

    def amend(self, **changes: Any) -> None:
        """Change keys of the request; durable with the next durable write."""
        self.record = dataclasses.replace(self.record, request={**self.record.request, **changes})
        if self._is_begun:
            self.host.journal.amend(self.record.id, self.record.request)

    def finish(
        self,
        state: OperationState,
        result: Result,
        *,
        reason: str = "",
        error: str = "",
        also: Callable[[], None] | None = None,
    ) -> None:
        """The operation's end (or that it is pending), with what `also` writes, in one commit."""
        try:
            with self.host.journal.batch():
                self._write()
                if also is not None:
                    also()
                self.host.journal.finish(self.record.id, state, result=result, reason=reason, error=error)
        except VirtnetplugError:
            written = self._written()
            if written is None or written.state is not state:
                raise
        self._is_written()
        self._settled = True
        self.undo.commit()

    def outcome(self, result: Result, *, reason: str = "", message: str = "", nics: Sequence[Nic] = ()) -> Outcome:
        """What the caller of the operation gets."""
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

    def go_forward(self) -> None:
        """From here on nothing is undone: what fails leaves the operation open, and `recover` finishes it."""
        self.undo.commit()
        self._only_forward = True

    def warn(self, text: str) -> None:
        """Something the caller should know, that stops nothing."""
        self.warnings.append(text)
        self.tell("warning", text)

    def tell(self, kind: str, text: str, nic: str = "") -> None:
        """Publish an event of this operation."""
        self.host.publish(
            Event(kind=kind, text=text, operation_id=self.record.id, domain=self.record.domain_name, nic=nic)
        )

    def roll_back(self, error: VirtnetplugError) -> VirtnetplugError:
        """Undo everything, journal how that went, and return the error to raise (the first one, always)."""
        if self._settled:
            return error
        if isinstance(error, ConnectionLost):
            return self._leave_open(error)
        if self._only_forward:
            return self._leave_open(incomplete_from(error, ["it only goes forward from where it is"]))
        failures = self.undo.unwind()
        sentences = [f"{name}: {failure.message}" for name, failure in failures]
        if any(isinstance(failure, ConnectionLost) for _, failure in failures):
            return self._leave_open(incomplete_from(error, sentences))
        if failures:
            raised: VirtnetplugError = incomplete_from(error, sentences)
            self._close(OperationState.INCOMPLETE, Result.INCOMPLETE, raised)
            return raised
        if isinstance(error, Refused) and self._had_effect:
            error = Failed(f"{error.message} All that had been done was undone.", reason=error.reason)
        is_refusal = isinstance(error, Refused)
        self._close(
            OperationState.REFUSED if is_refusal else OperationState.UNDONE,
            Result.REFUSED if is_refusal else Result.UNDONE,
            error,
        )
        return error

    def _leave_open(self, error: VirtnetplugError) -> VirtnetplugError:
        self._close(OperationState.INCOMPLETE, Result.INCOMPLETE, error)
        if isinstance(error, ConnectionLost):
            return ConnectionLost(
                f"{error.message}. The operation is in the journal as {self.record.id}: "
                f"run 'virtnetplug recover {self.record.domain_name}' once the connection is back."
            )
        return error

    def _close(self, state: OperationState, result: Result, error: VirtnetplugError) -> None:
        try:
            self._is_begun = self._is_begun or self._written() is not None
            if not self._is_begun:
                return
            self.finish(state, result, reason=error.reason, error=error.message)
        except VirtnetplugError as journal_error:
            error.undo_failures.append(f"the journal could not be written: {journal_error.message}")

    def _begin_step(self, name: str, nic: str, half: Half | None) -> int:
        seq = self._planned(name, nic, half)
        self._mark(seq, StepState.STARTED)
        self.tell("step", name, nic)
        return seq

    def _written(self) -> OperationRecord | None:
        """What the journal has of it: a commit that failed may have been written all the same."""
        return self.host.journal.operation(self.record.id)

    def _planned(self, name: str, nic: str, half: Half | None = None) -> int:
        for step in self.steps:
            if (step.name, step.nic) == (name, nic) and half in (None, step.half):
                return step.seq
        raise Failed(f"step {name} of {nic} was never planned", reason="internal")

    def _run(self, seq: int, run: Callable[[], T]) -> T:
        try:
            answer = run()
        except VirtnetplugError as error:
            self._mark(seq, StepState.FAILED, error.message)
            raise
        self._mark(seq, StepState.DONE)
        return answer

    def _marked_undo(self, seq: int, undo: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                undo()
            except VirtnetplugError as error:
                self._mark(seq, StepState.UNDO_FAILED, error.message)
                raise
            self._mark(seq, StepState.UNDONE)

        return run

    def _mark(self, seq: int, state: StepState, detail: str = "") -> None:
        at = self.host.clock.now()
        self._marks.append(_Mark(seq, state, detail, at))
        for index, step in enumerate(self.steps):
            if step.seq == seq:
                self.steps[index] = _moved(step, state, detail, at)

    def _write(self) -> None:
        if self._is_begun:
            for mark in self._marks:
                self.host.journal.step(self.record.id, mark.seq, mark.state, mark.detail, at=mark.at)
        else:
            self.host.journal.begin(dataclasses.replace(self.record, steps=tuple(self.steps)))

    def _is_written(self) -> None:
        """Only now, for what a commit that failed did not write the next one has to."""
        self._is_begun = True
        self._marks.clear()


def _moved(step: Step, state: StepState, detail: str, at: float) -> Step:
    if state is StepState.STARTED:
        return dataclasses.replace(step, state=state, started=at)
    seconds = None if step.started is None else max(at - step.started, 0.0)
    is_end = state in (StepState.DONE, StepState.FAILED)
    return dataclasses.replace(step, state=state, detail=detail, seconds=seconds if is_end else step.seconds)


@contextmanager
def transaction(host: Host, record: OperationRecord, *, is_begun: bool = False) -> Iterator[Transaction]:
    """Run an operation's steps inside; whatever is raised in it undoes them first. `is_begun`: the journal has it already."""
    tx = Transaction(host, record, is_begun=is_begun)
    host.busy.add(record.id)
    try:
        yield tx
    except VirtnetplugError as error:
        raised = tx.roll_back(error)
        if raised is error:
            raise
        raise raised from None
    except KeyboardInterrupt:
        left = tx.roll_back(Interrupted("interrupted; what had been done was undone"))
        if isinstance(left, RollbackIncomplete):
            left = Interrupted(f"interrupted, and not all could be undone: {left.message}")
        raise left from None
    except BaseException as error:
        tx.roll_back(Failed(f"{type(error).__name__}: {error}", reason="internal"))
        raise
    finally:
        host.busy.discard(record.id)


def plan_steps(*parts: tuple[str, str, Phase, Half | None]) -> tuple[Step, ...]:
    """Steps as they will be run, numbered: (name, NIC, phase, half) each."""
    return tuple(
        Step(seq=seq, name=name, nic=nic, phase=phase, half=half) for seq, (name, nic, phase, half) in enumerate(parts)
    )


def record_of(
    host: Host,
    operation: str,
    domain: Domain,
    *,
    domain_id: int,
    scope: Scope,
    device_types: Sequence[str],
    request: dict[str, Any],
    steps: Sequence[Step],
) -> OperationRecord:
    """A new operation for the journal."""
    kinds = set(device_types)
    return OperationRecord(
        id=uuid.uuid4().hex[:12],
        operation=operation,
        uri=host.hypervisor.uri,
        domain_uuid=domain.uuid,
        domain_name=domain.name,
        domain_id=domain_id,
        scope=scope,
        device_type=kinds.pop() if len(kinds) == 1 else "mixed",
        request=request,
        steps=tuple(steps),
        started=host.clock.now(),
    )
