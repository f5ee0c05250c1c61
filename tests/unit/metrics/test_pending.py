"""Which guests are waited for, by the journal's states."""

from __future__ import annotations

import pytest

from tests.unit.metrics.journal import START, URI, UUID
from virtnetplug.metrics.pending import since_when
from virtnetplug.model.operation import Half, OperationRecord, OperationState, Phase, Step, StepState


def operation(kind: str, state: OperationState, *steps: Step) -> OperationRecord:
    return OperationRecord(
        id="op", operation=kind, uri=URI, domain_uuid=UUID, domain_name="web", state=state, started=START, steps=steps
    )


def guest(
    state: StepState,
    nic: str = "ua-1",
    at: float | None = START + 5,
    *,
    half: Half = Half.LIVE,
    phase: Phase = Phase.GUEST,
) -> Step:
    return Step(seq=0, name="guest_release", nic=nic, phase=phase, half=half, state=state, started=at)


RUNNING, PENDING, INCOMPLETE = OperationState.RUNNING, OperationState.PENDING, OperationState.INCOMPLETE


@pytest.mark.parametrize(
    ("record", "moments"),
    [
        (operation("detach", RUNNING, guest(StepState.PLANNED)), []),
        (operation("detach", RUNNING, guest(StepState.STARTED)), [START + 5]),
        (operation("detach", RUNNING, guest(StepState.DONE)), []),
        (operation("detach", RUNNING, guest(StepState.STARTED, phase=Phase.UNPLUG)), []),
        (operation("detach", RUNNING, guest(StepState.STARTED, half=Half.CONFIG)), []),
        (operation("attach", RUNNING, guest(StepState.STARTED)), []),
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
