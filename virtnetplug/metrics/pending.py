"""Guests that were asked to let go of a NIC and have not yet, by the journal's steps."""

from __future__ import annotations

from virtnetplug.model.operation import Half, OperationRecord, OperationState, Step, StepState

_MAY_GO = (StepState.DONE, StepState.UNDO_FAILED)
"""States of a step ``ask`` after which the guest may let go at any time."""


def since_when(record: OperationRecord) -> list[float]:
    """For each NIC of an open operation whose guest was asked to let go and has not yet, since when (Unix seconds).

    The steps decide, whichever operation it is and whether its process lives. A pending operation waits for at least one
    guest, whatever its steps say.
    """
    asked = {step.nic: step for step in record.steps if step.name == "ask"}
    moments: dict[str, float] = {}
    for step in record.steps:
        if step.name != "guest_release" or step.half is Half.CONFIG:
            continue
        ask = asked.get(step.nic)
        if _is_awaited(step, ask):
            moment = _since(record, step, ask)
            moments[step.nic] = min(moment, moments.get(step.nic, moment))
    if not moments and record.state is OperationState.PENDING:
        return [record.started]
    return list(moments.values())


def _is_awaited(release: Step, ask: Step | None) -> bool:
    """A release is planned in the journal until its process stops waiting for it; that the guest was asked is there at once."""
    if release.state is StepState.STARTED:
        return ask is None or ask.state is not StepState.UNDONE
    return release.state is StepState.PLANNED and ask is not None and ask.state in _MAY_GO


def _since(record: OperationRecord, release: Step, ask: Step | None) -> float:
    """When the guest had been asked first: a process that takes the operation up asks again."""
    moments = [] if release.started is None else [release.started]
    if ask is not None and ask.started is not None and ask.seconds is not None:
        moments.append(ask.started + ask.seconds)
    return min(moments, default=record.started)
