"""What the journal says of guests that have not let go yet."""

from __future__ import annotations

from virtnetplug.model.operation import Half, OperationRecord, OperationState, Phase, Step, StepState

_ENDED = (StepState.DONE, StepState.UNDONE)


def since_when(record: OperationRecord) -> list[float]:
    """For each NIC of an open operation whose guest was asked to let go, since when it is waited for (Unix seconds).

    A pending operation waits for at least one; a running detach for those whose guest phase has begun, whether its
    process lives or not. An attach has nothing to let go of, and a definition on disk no guest.
    """
    waiting = [step for step in record.steps if step.phase is Phase.GUEST and step.half is not Half.CONFIG]
    if record.state is OperationState.PENDING:
        return _moments(record, [step for step in waiting if step.state not in _ENDED]) or [record.started]
    if record.operation == "detach":
        return _moments(record, [step for step in waiting if step.state is StepState.STARTED])
    return []


def _moments(record: OperationRecord, steps: list[Step]) -> list[float]:
    by_nic: dict[str, float] = {}
    for step in steps:
        moment = record.started if step.started is None else step.started
        by_nic[step.nic] = min(moment, by_nic.get(step.nic, moment))
    return list(by_nic.values())
