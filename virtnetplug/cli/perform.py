"""How a command that changes something runs: the operation or its plan, and the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from virtnetplug.cli import render, report
from virtnetplug.cli.session import Session
from virtnetplug.errors import Refused

if TYPE_CHECKING:
    from virtnetplug.cli.wiring import Plugger
    from virtnetplug.model.operation import Outcome, Plan


def operate(session: Session, doing: str, call: Callable[[Plugger], Outcome]) -> None:
    """Run one operation and answer its outcome."""
    with session.plugger(doing, read_only=False) as plugger:
        outcome = call(plugger)
    answer = render.document_from_outcome(outcome, report.message_from_outcome(outcome))
    session.answer(answer, lambda screen: report.text_from_outcome(screen, outcome))


def plan(session: Session, operation: str, domain: str, call: Callable[[Plugger], Plan]) -> None:
    """Plan one operation over a read-only connection; a refusal that is raised is a plan that does not fit."""
    try:
        with session.plugger(f"planning to {operation}", read_only=True) as plugger:
            planned = call(plugger)
    except Refused as error:
        message, reason = error.message, error.reason
        session.answer(
            render.document_from_refusal(operation, domain, error),
            lambda screen: report.text_from_refusal(operation, domain, message, reason),
        )
        return
    session.answer(render.document_from_plan(planned), lambda screen: report.text_from_plan(screen, planned))
