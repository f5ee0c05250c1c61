"""The whole lifecycle table, as a truth table, and the diagram made from it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.golden_file import REGENERATE, assert_golden
from tests.lab_xen.observed import OBSERVED
from virtnetplug.errors import IllegalTransition
from virtnetplug.lifecycle import TRANSITIONS, End, State, Trigger, move

EVERYTHING = list(itertools.product(End, State, Trigger))
DIAGRAM = Path(__file__).parents[2] / "docs/lifecycle.md"


def path_of(end: End, state: State, *triggers: Trigger) -> list[State]:
    states = [state]
    for trigger in triggers:
        states.append(move(end, states[-1], trigger))
    return states


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
    with pytest.raises(IllegalTransition, match="a frontend that is Connected cannot take 'reserve'"):
        move(End.FRONTEND, State.CONNECTED, Trigger.RESERVE)
    assert before == TRANSITIONS


def test_a_closed_backend_waits_for_its_frontend_and_then_only_waits_for_init() -> None:
    ways_out = {
        trigger: state for (end, at, trigger), state in TRANSITIONS.items() if (end, at) == (End.BACKEND, State.CLOSED)
    }
    assert ways_out == {Trigger.FRONTEND_INITIALISING: State.INIT_WAIT}
    takers = {(end, at) for end, at, trigger in TRANSITIONS if trigger is Trigger.FRONTEND_INITIALISING}
    assert takers == {(End.BACKEND, State.CLOSED)}


@pytest.mark.parametrize("end", End)
def test_no_trigger_leads_back_to_unknown(end: End) -> None:
    assert State.UNKNOWN not in {state for (at, _, _), state in TRANSITIONS.items() if at is end}


@pytest.mark.parametrize("end", End)
def test_from_every_state_that_can_be_reached_it_can_be_closed(end: End) -> None:
    reached = {State.UNKNOWN} | {state for (at, _, _), state in TRANSITIONS.items() if at is end}
    can_close = {State.CLOSED}
    for _ in State:
        can_close |= {at for (which, at, _), state in TRANSITIONS.items() if which is end and state in can_close}
    assert reached <= can_close


def test_the_life_of_a_nic() -> None:
    triggers = Trigger.RESERVE, Trigger.ATTACH, Trigger.CONNECT, Trigger.ASK, Trigger.REFUSE, Trigger.ASK, Trigger.GONE
    assert path_of(End.FRONTEND, State.UNKNOWN, *triggers) == [
        *(State.UNKNOWN, State.INITIALISING, State.INITIALISED, State.CONNECTED),
        *(State.CLOSING, State.CONNECTED, State.CLOSING, State.CLOSED),
    ]
    triggers = (
        Trigger.RESERVE,
        Trigger.ALLOCATE,
        Trigger.PLUG,
        Trigger.ATTACH,
        Trigger.RECONFIGURE,
        Trigger.RECONFIGURED,
    )
    assert path_of(End.BACKEND, State.UNKNOWN, *triggers, Trigger.RESUME, Trigger.GONE) == [
        *(State.UNKNOWN, State.INITIALISING, State.INIT_WAIT, State.INITIALISED, State.CONNECTED),
        *(State.RECONFIGURING, State.RECONFIGURED, State.CONNECTED, State.CLOSED),
    ]


def test_an_attach_can_be_undone_wherever_it_failed() -> None:
    for state in (State.INITIALISING, State.INIT_WAIT, State.INITIALISED):
        assert move(End.BACKEND, state, Trigger.ABORT) is State.CLOSED
    assert move(End.FRONTEND, State.INITIALISING, Trigger.ABORT) is State.CLOSED


def test_the_diagram_in_the_docs_is_the_table() -> None:
    assert_golden(DIAGRAM, diagram())


def diagram() -> str:
    """`docs/lifecycle.md`, made from the table."""
    head = f"""\
# The life of a plugged NIC

Both ends of a NIC go through the states of the Xen bus. The table in `virtnetplug/lifecycle.py` governs what
virtnetplug sets; what it observes is recorded as seen. A trigger that is not drawn here is refused, and changes
nothing.

A backend that is Closed stays Closed until its frontend goes to Initialising, whatever kind of backend it is.

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
    """What real ends do, a move that is not in the table in bold."""
    return [
        "",
        "## What a real netback does",
        "",
        "A vif of Xen has these states by itself, set by xen-netback and the guest's netfront (Linux 6.12 at both ends, Xen 4.20), and not by",
        "virtnetplug: `list`, `show`, `audit` and `metrics -c` tell them as xenstore has them. Moves in bold are none of the table's. They are",
        "recorded, never refused. A test in the Xen lab holds this to what xenstored says was written.",
        "",
        "| what is done | frontend | backend |",
        "|---|---|---|",
        *(
            f"| {what} | {_moves(End.FRONTEND, moves.frontend)} | {_moves(End.BACKEND, moves.backend)} |"
            for what, moves in OBSERVED.items()
        ),
        "",
        "- Neither end ever is Initialised: both take what they find at the other end and go on to Connected.",
        "- A frontend that Xen takes away goes to Closed at once. Only a driver that its guest unbinds passes through Closing.",
        "- The rule holds: a backend that is Closed waits for its frontend to go to Initialising, and only then goes to InitWait. So it does where a",
        "  guest takes its driver away and back.",
        "- A backend whose driver was unbound is Connected all the while, and goes to InitWait from there once it is bound again, its frontend",
        "  Connected: the ring is taken as it was found.",
        "- A guest that reboots is another domain, whose vifs are new ones. Those that its definition has not are gone.",
    ]


def _moves(end: End, states: tuple[State, ...]) -> str:
    if len(states) == 1:
        return f"stays {states[0]}"
    known = {(which, at, to) for (which, at, _), to in TRANSITIONS.items()}
    told = [str(states[0])]
    for at, to in itertools.pairwise(states):
        told.append(f"{to}" if (end, at, to) in known else f"**{to}**")
    return " → ".join(told)
