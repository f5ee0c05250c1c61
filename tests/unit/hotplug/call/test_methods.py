"""One declaration gives the method that runs an operation and the method that plans it."""

from __future__ import annotations

import inspect
import signal

import pytest

from virtnetplug import interruption
from virtnetplug.errors import Interrupted
from virtnetplug.hotplug.call.methods import ONE, SEVERAL, Asked, RunsOne, RunsSeveral
from virtnetplug.hotplug.plugger import Plugger


def _interrupted() -> str:
    raise interruption.Interrupt(signal.SIGTERM)


class Owner:
    """A stand-in for the plugger."""

    @RunsOne
    def call(self, word: str, *, times: int = 1) -> Asked[str, int]:
        """Repeat the word."""
        return Asked(run=lambda: word * times, plan=lambda: len(word) * times)

    plan_call = call.plan

    @RunsOne
    def stop(self) -> Asked[str, str]:
        """Stop at once."""
        return Asked(run=_interrupted, plan=str)

    @RunsSeveral
    def stop_all(self) -> Asked[str, str]:
        """Stop everything."""
        return Asked(run=_interrupted, plan=str)


def test_both_methods_take_the_same_arguments() -> None:
    owner = Owner()
    assert owner.call("ab", times=2) == "abab" and owner.plan_call("ab", times=2) == 4
    assert Owner.call(owner, word="c") == "c"
    with pytest.raises(TypeError):
        owner.plan_call("ab", often=2)  # type: ignore[call-arg]


def test_help_shows_the_parameters_the_result_and_a_docstring() -> None:
    owner = Owner()
    assert str(inspect.signature(owner.call)) == "(word: 'str', *, times: 'int' = 1) -> 'Outcome'"
    assert str(inspect.signature(owner.plan_call)) == "(word: 'str', *, times: 'int' = 1) -> 'Plan'"
    assert (owner.call.__name__, owner.plan_call.__name__) == ("call", "plan_call")  # type: ignore[attr-defined]
    assert owner.call.__doc__ == "Repeat the word." and "What call would do" in str(owner.plan_call.__doc__)


def test_an_interruption_outside_an_operation_says_what_was_touched() -> None:
    with pytest.raises(Interrupted, match="Interrupted before") as one:
        Owner().stop()
    with pytest.raises(Interrupted, match="Interrupted between") as several:
        Owner().stop_all()
    assert (one.value.message, several.value.message) == (ONE, SEVERAL)


def test_every_operation_of_the_plugger_can_be_planned() -> None:
    run = [name for name, each in vars(Plugger).items() if isinstance(each, RunsOne)]
    assert len(run) > 10
    for name in run:
        runs, plans = (inspect.signature(getattr(Plugger, each)) for each in (name, f"plan_{name}"))
        assert runs.parameters == plans.parameters
        assert str(plans.return_annotation) == str(runs.return_annotation).replace("Outcome", "Plan")
