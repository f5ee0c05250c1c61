"""How a command asks the plugger, and answers: a change or its plan, several of them, or a look."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from virtnetplug.cli import render, report
from virtnetplug.errors import Refused

if TYPE_CHECKING:
    from virtnetplug.cli.render import Document
    from virtnetplug.cli.report import Several
    from virtnetplug.cli.session import Session
    from virtnetplug.hotplug.plugger import Plugger
    from virtnetplug.model.operation import Outcome, Plan

Answer = TypeVar("Answer")
Planned = TypeVar("Planned")
Methods = Callable[["Plugger"], tuple[Callable[..., Answer], Callable[..., Planned]]]
"""Gives the method of the plugger that runs an operation, and the method that plans it with the same arguments."""


def change(
    session: Session,
    operation: str,
    doing: str,
    methods: Methods[Outcome, Plan],
    domain: str,
    /,
    *args: Any,
    **named: Any,
) -> None:
    """Run an operation on the domain (or PF), or plan it, and answer what came of it.

    Both methods get the arguments that follow. A refusal that the planning method raises is a plan that does not fit.
    """
    if not session.is_plan:
        operate(session, doing, lambda plugger: methods(plugger)[0](domain, *args, **named))
        return
    try:
        with session.plugger(f"planning to {operation}", read_only=True) as plugger:
            planned = methods(plugger)[1](domain, *args, **named)
    except Refused as error:
        text = report.text_from_refusal(operation, domain, error)
        session.answer(render.document_from_refusal(operation, domain, error), lambda has_colour: text)
        return
    session.answer(render.document_from_plan(planned), lambda has_colour: report.text_from_plan(has_colour, planned))


def operate(session: Session, doing: str, call: Callable[[Plugger], Outcome]) -> None:
    """Run an operation and answer its outcome."""
    with session.plugger(doing, read_only=False) as plugger:
        outcome = call(plugger)
    session.answer(
        render.document_from_outcome(outcome), lambda has_colour: report.text_from_outcome(has_colour, outcome)
    )


def change_several(
    session: Session,
    words: Several,
    methods: Methods[tuple[Outcome, ...], tuple[Plan, ...]],
    /,
    *args: Any,
    **named: Any,
) -> None:
    """The same for a command that comes to any number of operations."""
    if session.is_plan:
        with session.plugger(f"planning to {words.verb}", read_only=True) as plugger:
            plans = methods(plugger)[1](*args, **named)
        document = render.document_from_plans(words, plans)
        session.answer(document, lambda has_colour: report.text_from_plans(has_colour, words, plans))
        return
    with session.plugger(words.doing, read_only=False) as plugger:
        outcomes = methods(plugger)[0](*args, **named)
    session.answer(
        render.document_from_outcomes(words, outcomes), lambda has_colour: report.text_from_outcomes(words, outcomes)
    )


def look(
    session: Session,
    doing: str,
    call: Callable[[Plugger], Answer],
    document: Callable[[Answer], Document],
    text: Callable[[bool, Answer], str],
) -> None:
    """Ask the plugger for something that changes nothing, and answer it."""
    with session.plugger(doing, read_only=True) as plugger:
        found = call(plugger)
    session.answer(document(found), lambda has_colour: text(has_colour, found))
