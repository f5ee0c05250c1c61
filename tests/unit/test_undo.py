"""The undo stack: newest first, every one tried, the first error kept, safe twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from virtnetplug.errors import Failed, HypervisorFailed
from virtnetplug.undo import UndoStack


@pytest.fixture
def done() -> list[str]:
    return []


def failing(error: BaseException) -> Callable[[], None]:
    def undo() -> None:
        raise error

    return undo


def test_newest_first(done: list[str]) -> None:
    stack = UndoStack()
    for name in ("claim", "plug", "attach"):
        stack.add(name, lambda name=name: done.append(name))
    assert stack.unwind() == []
    assert done == ["attach", "plug", "claim"]


def test_all_are_tried_and_failures_are_returned_in_order(done: list[str]) -> None:
    first, second = HypervisorFailed("no"), Failed("neither")
    stack = UndoStack()
    stack.add("claim", lambda: done.append("claim"))
    stack.add("plug", failing(second))
    stack.add("port", lambda: done.append("port"))
    stack.add("attach", failing(first))
    assert stack.unwind() == [("attach", first), ("plug", second)]
    assert done == ["port", "claim"]


def test_a_fault_of_our_own_in_an_undo_does_not_keep_the_others_from_being_tried(done: list[str]) -> None:
    stack = UndoStack()
    stack.add("claim", lambda: done.append("claim"))
    stack.add("plug", failing(ZeroDivisionError("by zero")))
    [(name, failure)] = stack.unwind()
    assert (name, failure.reason, failure.message) == ("plug", "internal", "ZeroDivisionError: by zero")
    assert isinstance(failure.__cause__, ZeroDivisionError)
    assert done == ["claim"]


def operation_that_fails(stack: UndoStack) -> None:
    try:
        stack.add("plug", failing(HypervisorFailed("the undo")))
        raise Failed("the attach itself")
    except Failed as error:
        error.undo_failures = [failure.message for _, failure in stack.unwind()]
        raise


def test_the_first_error_stays_the_one_reported() -> None:
    """What `contextlib.ExitStack` does not give: there the undo's error would be the one seen."""
    with pytest.raises(Failed, match="the attach itself") as caught:
        operation_that_fails(UndoStack())
    assert caught.value.undo_failures == ["the undo"]


def test_an_undo_that_failed_is_left_and_tried_again(done: list[str]) -> None:
    stack, faults = UndoStack(), [Failed("no"), Failed("not yet")]

    def detach() -> None:
        done.append("attach")
        if faults:
            raise faults.pop()

    stack.add("claim", lambda: done.append("claim"))
    stack.add("attach", detach)
    stack.add("plug", lambda: done.append("plug"))
    assert [name for name, _ in stack.unwind(1)] == ["attach"]
    assert [name for name, _ in stack.unwind()] == ["attach"]
    assert stack.unwind() == [] and len(stack) == 0
    assert done == ["plug", "attach", "attach", "claim", "attach"]


def test_interrupted_it_goes_on_where_it_was(done: list[str]) -> None:
    stack = UndoStack()
    stack.add("claim", lambda: done.append("claim"))
    stack.add("attach", failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        stack.unwind()
    assert done == []
    assert stack.unwind() == []
    assert done == ["claim"]


def test_committed_it_undoes_nothing(done: list[str]) -> None:
    stack = UndoStack()
    stack.add("attach", lambda: done.append("attach"))
    stack.commit()
    assert stack.unwind() == []
    assert done == []
