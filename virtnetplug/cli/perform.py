"""How a command runs operations or plans them, and what it answers of them: a document for programs, text for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from virtnetplug.cli.render import Document, document, plain
from virtnetplug.cli.session import Answer
from virtnetplug.cli.table import paint, printable, prose
from virtnetplug.cli.views import text_from_nics, xml_text
from virtnetplug.errors import Refused
from virtnetplug.hotplug.engine import kinds
from virtnetplug.model.operation import Nic, Outcome, Plan, Refusal

if TYPE_CHECKING:
    from virtnetplug.cli.session import Session
    from virtnetplug.hotplug.plugger import Plugger

Ran = TypeVar("Ran")
Planned = TypeVar("Planned")
Methods = Callable[["Plugger"], tuple[Callable[..., Ran], Callable[..., Planned]]]
"""Gives the method of the plugger that runs an operation, and the method that plans it with the same arguments."""

_EXIT_CODES = {"done": 0, "already": 0, "pending": 75, "left": 75, "undone": 4, "incomplete": 5, "refused": 3}
_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """What people read of a command that comes to any number of operations.

    `faults` are the results that count as a failure, the worst first. `line` is what is written of each outcome.
    """

    verb: str
    doing: str
    nothing: str
    planned: str
    faults: Sequence[str]
    summary: Callable[[Sequence[Outcome]], str]
    line: Callable[[Outcome], str]


def change(
    session: Session, operation: str, doing: str, methods: Methods[Outcome, Plan], domain: str, /, *args: Any, **named: Any
) -> None:  # fmt: skip
    """Run an operation on the domain (or PF), or plan it, and answer what came of it.

    Both methods get the arguments that follow. A refusal that the planning method raises is a plan that does not fit.
    """
    if not session.is_plan:
        operate(session, doing, lambda plugger: methods(plugger)[0](domain, *args, **named))
        return
    try:
        session.ask(f"planning to {operation}", lambda plugger: methods(plugger)[1](domain, *args, **named), of_plan)
    except Refused as error:
        refusal = Refusal(reason=error.reason, message=error.message)
        session.answer(*of_plan(Plan(operation=operation, domain=domain, scope=None, fits=False, refusals=(refusal,))))


def operate(session: Session, doing: str, call: Callable[[Plugger], Outcome]) -> None:
    """Run an operation and answer its outcome."""
    session.ask(doing, call, of_outcome, read_only=False)


def change_several(
    session: Session, words: Several, methods: Methods[tuple[Outcome, ...], tuple[Plan, ...]], /, *args: Any, **named: Any
) -> None:  # fmt: skip
    """The same for a command that comes to any number of operations."""
    if session.is_plan:
        doing, answer = f"planning to {words.verb}", partial(of_plans, words)
        session.ask(doing, lambda plugger: methods(plugger)[1](*args, **named), answer)
        return
    ran = partial(of_outcomes, words)
    session.ask(words.doing, lambda plugger: methods(plugger)[0](*args, **named), ran, read_only=False)


def of_outcome(outcome: Outcome) -> Answer:
    """One operation. The text is a paragraph with its time, then the NICs as a table."""
    message = message_from_outcome(outcome)
    exit_code = 0 if outcome.reason == "forgotten" else _EXIT_CODES[outcome.result]
    first = document(outcome.result, reason=outcome.reason, message=message, exit_code=exit_code)
    text = f"{prose(message)} ({outcome.seconds:.3f} s)\n"
    if outcome.nics and outcome.result != "already" and kinds.words_of(outcome.operation).shows_nics:
        text += text_from_nics(outcome.nics)
    return {**first, **{key: value for key, value in plain(outcome).items() if key not in first}}, text


def of_outcomes(words: Several, outcomes: Sequence[Outcome]) -> Answer:
    """All operations of a recovery or a healing, a line for each. The exit code is the worst of theirs; `words.faults` says what counts."""
    left = [outcome for outcome in outcomes if outcome.reason != "forgotten"]  # a caller asked for what is forgotten
    first = {outcome.result.value: outcome for outcome in reversed(left)}
    worst = next((result for result in words.faults if result in first), "done")
    found = document(
        worst,
        reason=first[worst].reason if worst != "done" else "",
        message=words.summary(outcomes) if outcomes else words.nothing,
        exit_code=_EXIT_CODES[worst],
        operations=[of_outcome(outcome)[0] for outcome in outcomes],
        warnings=[],
    )
    return found, "".join(f"{words.line(outcome)}\n" for outcome in outcomes) or f"{words.nothing}\n"


def of_plan(plan: Plan) -> Answer:
    """What would be done: the verdict, the steps, the XML diff; exit code 3 if it would be refused."""
    scope, verdict = f" ({plan.scope})" if plan.scope else "", "would be done" if plan.fits else "would be refused"
    text = f"{plan.operation} on {printable(plan.domain)}{scope}: {verdict}\n"
    for refusal in plan.refusals:
        nic = f"{refusal.nic}: " if refusal.nic else ""
        text += f"  refused: {prose(nic + refusal.message)} [{refusal.reason}]\n"
    text += "".join(f"  warning: {prose(warning)}\n" for warning in plan.warnings)
    for number, step in enumerate(plan.steps, 1):
        half, detail = f" [{step.half}]" if step.half else "", f": {step.detail}" if step.detail else ""
        text += f"  {number:2}. {prose(f'{step.name} {step.nic}{half}{detail}')}\n"
    for definition, diff in plan.diff.items():
        if diff:
            lines = xml_text(diff).splitlines()
            text += f"\n{definition}:\n" + "".join(f"{paint(line, _DIFF_COLOURS.get(line[:1]))}\n" for line in lines)
    if plan.fits:
        return document("planned", **plain(plan)), text
    first = plan.refusals[0]
    return document("refused", reason=first.reason, message=first.message, exit_code=3, **plain(plan)), text


def of_plans(words: Several, plans: Sequence[Plan]) -> Answer:
    """What a recovery or a healing would do: each plan, with a blank line between two plans."""
    answers = [of_plan(plan) for plan in plans]
    documents, text = [found for found, _ in answers], "\n".join(text for _, text in answers) or f"{words.nothing}\n"
    refused: Document | None = next((found for found in documents if found["exit_code"]), None)
    if refused is None:
        message = words.planned.format(len(plans)) if plans else words.nothing
        return document("planned", message=message, plans=documents), text
    first = {key: refused[key] for key in ("reason", "message", "exit_code")}
    return document("refused", **first, plans=documents), text


def message_from_outcome(outcome: Outcome) -> str:
    """The outcome in one paragraph; for a pending detach, who holds the NIC and what finishes it."""
    names = [_called(nic) for nic in outcome.nics] or dict.fromkeys(step.nic for step in outcome.steps if step.nic)
    nics = ", ".join(names) or "the NIC"
    result = outcome.result
    if outcome.message:
        return outcome.message
    words = kinds.words_of(outcome.operation)
    if words.bare and not outcome.nics and result in ("done", "already"):
        return f"{outcome.domain} {words.bare}" + (" already; nothing was changed" if result == "already" else "")
    if result == "pending":
        return (
            f"pending: the guest of {outcome.domain} still holds {nics}. The journal keeps the operation "
            f"({outcome.operation_id}); it ends when the guest lets go. "
            f"'virtnetplug recover --wait SECONDS {outcome.domain}' waits for that, "
            f"and a reset of the guest ('virsh reset {outcome.domain}') completes it at once."
        )
    if result == "already":
        return f"{nics}: already {words.done} {outcome.domain}; nothing was changed"
    if result == "done":
        return f"{nics} {words.done} {outcome.domain}"
    return f"{outcome.operation} on {outcome.domain}: {result}"


def _called(nic: Nic) -> str:
    names = [name for name in (nic.alias, nic.mac) if name]
    return f"{names[0]} ({names[1]})" if len(names) == 2 else (names or ["a NIC"])[0]


def _line_of_recovery(outcome: Outcome) -> str:
    result = outcome.result
    what = f"{outcome.operation} on {outcome.domain} ({outcome.operation_id}): {result}"
    return f"{printable(what)}: {prose(message_from_outcome(outcome).removeprefix(f'{result}: '))}"


RECOVERY = Several(
    verb="recover",
    doing="recovering",
    nothing="nothing to recover",
    planned="{} operations to take up",
    faults=("incomplete", "pending", "left", "refused"),
    summary=lambda outcomes: f"{len(outcomes)} operations looked at",
    line=_line_of_recovery,
)
HEALING = Several(
    verb="heal",
    doing="healing",
    nothing="no NIC is cut off",
    planned="{} NICs to heal",
    faults=("incomplete", "undone", "refused"),
    summary=lambda outcomes: f"{sum(outcome.result == 'done' for outcome in outcomes)} of {len(outcomes)} NICs healed",
    line=lambda outcome: f"{outcome.result}: {prose(message_from_outcome(outcome))}",
)
