"""How a method of `Plugger` is made: one declaration of an operation gives the method that runs it and the method that plans it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar, overload

from virtnetplug import interruption

P = ParamSpec("P")
Owner = TypeVar("Owner")
Answer = TypeVar("Answer")
Planned = TypeVar("Planned")

ONE = "Interrupted before the operation began; nothing of it was touched."
SEVERAL = (
    "Interrupted between two operations: what was done before stands, and what was left is not touched or still in the "
    "journal. Run it again to go on."
)


@dataclass(frozen=True, slots=True)
class Asked(Generic[Answer, Planned]):
    """An operation with its arguments: `run` does it, and `plan` says what `run` would do."""

    run: Callable[[], Answer]
    plan: Callable[[], Planned]


def interruptible(
    message: str,
) -> Callable[[Callable[Concatenate[Owner, P], Answer]], Callable[Concatenate[Owner, P], Answer]]:
    """Decorate a method that changes something: a signal ends it at its safe points. `message` answers a signal outside any operation."""

    def decorate(method: Callable[Concatenate[Owner, P], Answer]) -> Callable[Concatenate[Owner, P], Answer]:
        @functools.wraps(method)
        def run(plugger: Owner, /, *args: P.args, **named: P.kwargs) -> Answer:
            with interruption.deferred():
                try:
                    return method(plugger, *args, **named)
                except interruption.Interrupt as stop:
                    raise interruption.interrupted(message, stop) from None

        return run

    return decorate


class RunsOne(Generic[Owner, P, Answer, Planned]):
    """Decorate a method that returns an `Asked`: the method then runs the operation, and its `plan` is the method that plans the operation.

    Both have the parameters of the decorated method, so that type checkers, editors and `help` show them.
    """

    message: ClassVar[str] = ONE
    results: ClassVar[tuple[str, str]] = "Outcome", "Plan"

    def __init__(self, ask: Callable[Concatenate[Owner, P], Asked[Answer, Planned]]) -> None:
        @interruptible(self.message)
        def run(plugger: Owner, /, *args: P.args, **named: P.kwargs) -> Answer:
            return ask(plugger, *args, **named).run()

        def plan(plugger: Owner, /, *args: P.args, **named: P.kwargs) -> Planned:
            return ask(plugger, *args, **named).plan()

        self.run: Callable[Concatenate[Owner, P], Answer] = run
        self.plan: Callable[Concatenate[Owner, P], Planned] = plan
        text = f"What {ask.__name__} would do with these arguments; nothing is touched, and nothing is waited for."
        for method, name, doc, result in (
            (run, ask.__name__, ask.__doc__, self.results[0]),
            (plan, f"plan_{ask.__name__}", text, self.results[1]),
        ):
            named: Any = functools.update_wrapper(method, ask)
            named.__name__, named.__qualname__, named.__doc__ = name, ask.__qualname__.replace(ask.__name__, name), doc
            named.__signature__ = inspect.signature(ask).replace(return_annotation=result)

    @overload
    def __get__(self, plugger: None, owner: type[Owner]) -> Callable[Concatenate[Owner, P], Answer]: ...

    @overload
    def __get__(self, plugger: Owner, owner: type[Owner]) -> Callable[P, Answer]: ...

    def __get__(self, plugger: Owner | None, owner: type[Owner]) -> Callable[..., Answer]:
        return self.run if plugger is None else MethodType(self.run, plugger)


class RunsSeveral(RunsOne[Owner, P, Answer, Planned]):
    """The same for a method that may come to any number of operations."""

    message = SEVERAL
    results = "tuple[Outcome, ...]", "tuple[Plan, ...]"
