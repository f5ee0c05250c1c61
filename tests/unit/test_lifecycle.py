"""The whole lifecycle table, as a truth table, and the diagram made from it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.golden_file import REGENERATE, assert_golden
from tests.lab_xen.observed import OBSERVED
from virtnetplug.errors import IllegalTransition
from virtnetplug.lifecycle import ASKED, ATTACHED, GONE, TRANSITIONS, End, State, Trigger, move

EVERYTHING = list(itertools.product(End, State, Trigger))
DIAGRAM = Path(__file__).parents[2] / "docs/lifecycle.md"


@pytest.mark.parametrize("case", EVERYTHING, ids=" ".join)
def test_the_table_and_nothing_but_the_table(case: tuple[End, State, Trigger]) -> None:
    before = dict(TRANSITIONS)
    if case in before:
        assert move(*case) is before[case]
    else:
        with pytest.raises(IllegalTransition) as caught:
            move(*case)
        assert all(word in caught.value.message for word in case)
    assert before == TRANSITIONS


def test_an_illegal_trigger_says_so_and_changes_nothing() -> None:
    before = dict(TRANSITIONS)
    with pytest.raises(IllegalTransition, match="a frontend that is Connected cannot take 'gone'"):
        move(End.FRONTEND, State.CONNECTED, Trigger.GONE)
    assert before == TRANSITIONS


@pytest.mark.parametrize("end", End)
def test_nothing_leaves_closed(end: End) -> None:
    assert State.CLOSED not in {at for which, at, _ in TRANSITIONS if which is end}


def test_the_life_of_a_nic() -> None:
    assert ATTACHED == (State.UNKNOWN, State.CONNECTED)
    assert ASKED == (State.CLOSING, State.CLOSING)
    assert GONE == (State.CLOSED, State.CLOSED)


def test_every_row_is_used() -> None:
    """Each row is a move of the one life there is."""
    lives = list(itertools.pairwise([(State.UNKNOWN, State.UNKNOWN), ATTACHED, ASKED, GONE]))
    used = {
        (end, before[index], trigger): after[index]
        for (before, after), trigger in zip(lives, Trigger, strict=True)
        for index, end in enumerate(End)
    }
    assert used == TRANSITIONS


def test_the_diagram_in_the_docs_is_the_table() -> None:
    assert_golden(DIAGRAM, diagram())


def diagram() -> str:
    """`docs/lifecycle.md`, made from the table."""
    head = f"""\
# The life of a plugged NIC

Both ends of a NIC have the states of the Xen bus. The table in `virtnetplug/lifecycle.py` governs what virtnetplug
sets. `list`, the journal and `virtnetplug_device_info` take a NIC's states from the table in three cases. The NIC was
attached, its guest may let go of it at any time, or it is gone. A trigger that is not drawn here is refused, and changes
nothing.

What virtnetplug observes is reported as seen: `list` shows a frontend as Connected on evidence, and a backend as the host
shows it.

An end that is Closed stays Closed: a NIC that a guest is given again begins anew.

This page is made from the table: `{REGENERATE}=1 pytest tests/unit/test_lifecycle.py` writes it anew.
"""
    return head + "".join("\n".join([*section(end), ""]) for end in End) + "\n".join([*observed(), ""])


def section(end: End) -> list[str]:
    arrows = [f"    {at} --> {to}: {trigger}" for (which, at, trigger), to in TRANSITIONS.items() if which is end]
    lines = [
        "",
        f"## {end.capitalize()}",
        "",
        "```mermaid",
        "stateDiagram-v2",
        f"    [*] --> {State.UNKNOWN}",
        *arrows,
        "```",
    ]
    return [*lines, "", "| from | trigger | to |", "|---|---|---|", *rows(end)]


def rows(end: End) -> list[str]:
    return [f"| {at} | {trigger} | {to} |" for (which, at, trigger), to in TRANSITIONS.items() if which is end]


def observed() -> list[str]:
    """What real ends do."""
    return [
        "",
        "## What a real netback does",
        "",
        "A vif of Xen has these states by itself: xen-netback and the guest's netfront set them. This holds for Linux 6.12 at both ends and",
        "Xen 4.20. `list`, `show`, `audit` and `metrics -c` show them as xenstore has them. They are recorded, never refused. A test in the",
        "Xen lab holds this to what xenstored says was written.",
        "",
        "| what is done | frontend | backend |",
        "|---|---|---|",
        *(f"| {what} | {_moves(moves.frontend)} | {_moves(moves.backend)} |" for what, moves in OBSERVED.items()),
        "",
        "- Neither end ever is Initialised: both take what they find at the other end and go on to Connected.",
        "- A frontend that Xen takes away goes to Closed at once. Only a driver that its guest unbinds passes through Closing.",
        "- A backend that is Closed waits for its frontend to go to Initialising, and only then goes to InitWait. So it does where a guest takes",
        "  its driver away and back.",
        "- A backend whose driver was unbound is Connected all the while. Once the driver is bound again, the backend goes to InitWait from",
        "  there, while its frontend is Connected. The backend takes the ring as it finds it.",
        "- A guest that reboots is another domain, whose vifs are new ones. A vif that the definition does not have is gone.",
    ]


def _moves(states: tuple[State, ...]) -> str:
    return " → ".join(states) if len(states) > 1 else f"stays {states[0]}"
