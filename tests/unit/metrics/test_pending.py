"""Which guests are waited for, by the journal's states."""

from __future__ import annotations

import pytest

from tests.unit.metrics.journal import KEY, START, URI, UUID
from virtnetplug.metrics.collector import since_when
from virtnetplug.model.operation import Half, OperationRecord, OperationState, Phase, Step, StepState


def operation(kind: str, state: OperationState, *steps: Step) -> OperationRecord:
    return OperationRecord(
        id="op",
        operation=kind,
        uri=URI,
        hypervisor=KEY,
        domain_uuid=UUID,
        domain_name="web",
        state=state,
        started=START,
        steps=steps,
    )


def guest(
    state: StepState,
    nic: str = "ua-1",
    at: float | None = START + 5,
    *,
    half: Half = Half.LIVE,
    name: str = "guest_release",
) -> Step:
    return Step(seq=0, name=name, nic=nic, phase=Phase.GUEST, half=half, state=state, started=at)


def ask(state: StepState, nic: str = "ua-1", at: float | None = START + 1) -> Step:
    """It takes one second."""
    seconds = 1.0 if state in (StepState.DONE, StepState.UNDO_FAILED) else None
    return Step(
        seq=0, name="ask", nic=nic, phase=Phase.UNPLUG, half=Half.LIVE, state=state, started=at, seconds=seconds
    )


RUNNING, PENDING, INCOMPLETE = OperationState.RUNNING, OperationState.PENDING, OperationState.INCOMPLETE
PLANNED, STARTED, DONE, UNDONE = StepState.PLANNED, StepState.STARTED, StepState.DONE, StepState.UNDONE


@pytest.mark.parametrize(
    ("record", "moments"),
    [
        (operation("detach", RUNNING, guest(StepState.PLANNED)), []),
        (operation("detach", RUNNING, guest(StepState.STARTED)), [START + 5]),
        (operation("detach", RUNNING, guest(StepState.DONE)), []),
        (operation("detach", RUNNING, guest(StepState.STARTED, half=Half.CONFIG)), []),
        (operation("attach", RUNNING, guest(StepState.STARTED, name="attach")), []),
        (operation("handover", RUNNING, ask(PLANNED), guest(PLANNED)), []),
        (operation("handover", RUNNING, ask(STARTED), guest(PLANNED)), []),
        (operation("handover", RUNNING, ask(DONE), guest(PLANNED)), [START + 2]),
        (operation("handover", PENDING, ask(DONE), guest(STARTED), guest(PLANNED, "ua-2", name="attach")), [START + 2]),
        (operation("detach", RUNNING, ask(STARTED), guest(STARTED)), [START + 5]),
        (operation("detach", RUNNING, ask(DONE, at=START + 90), guest(STARTED)), [START + 5]),
        (operation("rebind-pf", PENDING, ask(UNDONE), guest(DONE), ask(DONE, "2"), guest(STARTED, "2")), [START + 2]),
        (operation("detach", RUNNING, ask(DONE), guest(StepState.FAILED)), []),
        (operation("update", INCOMPLETE, ask(StepState.UNDO_FAILED), guest(PLANNED)), [START + 2]),
        (operation("update", INCOMPLETE, ask(UNDONE), guest(STARTED)), []),
        (operation("detach", INCOMPLETE, ask(DONE), guest(STARTED)), [START + 2]),
        (operation("detach", INCOMPLETE, guest(StepState.DONE)), []),
        (operation("update", PENDING, guest(StepState.STARTED)), [START + 5]),
        (operation("detach", PENDING, guest(StepState.PLANNED, at=None)), [START]),
        (operation("detach", PENDING, guest(StepState.DONE), guest(StepState.STARTED, "ua-2")), [START + 5]),
        (operation("detach", PENDING, guest(StepState.DONE)), [START]),
        (operation("detach", PENDING), [START]),
        (
            operation("detach", PENDING, guest(StepState.STARTED), guest(StepState.STARTED, at=START + 1)),
            [START + 1],
        ),
        (
            operation("detach", RUNNING, guest(StepState.STARTED), guest(StepState.STARTED, "ua-2", START + 7)),
            [START + 5, START + 7],
        ),
    ],
)
def test_each_nic_that_is_waited_for_counts_once_since_it_is(record: OperationRecord, moments: list[float]) -> None:
    assert since_when(record) == moments
