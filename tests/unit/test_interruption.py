"""Signals: noted when they come, delivered at safe points and in waits."""

from __future__ import annotations

import ast
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from virtnetplug import interruption
from virtnetplug.adapters.libvirt.watch import DomainWatch
from virtnetplug.adapters.sqlite.locks import locked
from virtnetplug.errors import VirtnetplugError
from virtnetplug.undo import UndoStack

PLAIN = signal.default_int_handler


def send(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture
def listening() -> Iterator[None]:
    with interruption.listening():
        yield


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_waits_for_the_next_safe_point(listening: None, number: signal.Signals) -> None:
    send(number)
    assert interruption.came() == number.name
    with pytest.raises(interruption.Interrupt) as caught:
        interruption.check()
    assert caught.value.number == number and interruption.came() == ""
    interruption.check()  # it is delivered once
    assert interruption.interrupted("", caught.value).exit_code == 128 + number


def test_the_first_of_two_is_delivered(listening: None) -> None:
    send(signal.SIGTERM)
    send(signal.SIGINT)
    with pytest.raises(interruption.Interrupt) as caught:
        interruption.check()
    assert caught.value.number == signal.SIGTERM


def test_what_is_held_is_neither_a_safe_point_nor_a_wait(listening: None) -> None:
    with interruption.held():
        send()
        interruption.check()
        with interruption.allowed():
            send()
    with pytest.raises(interruption.Interrupt):
        interruption.check()


def test_an_undo_is_not_broken(listening: None) -> None:
    undone: list[str] = []

    def undo(name: str) -> Callable[[], None]:
        def run() -> None:
            send()
            interruption.check()
            undone.append(name)

        return run

    stack = UndoStack()
    stack.add("first", undo("first"))
    stack.add("second", undo("second"))
    with interruption.allowed(), suppress(interruption.Interrupt):
        assert stack.unwind() == []
    assert undone == ["second", "first"]


def test_inside_a_wait_it_comes_at_once_and_once(listening: None) -> None:
    heard = []

    def wait() -> None:
        with interruption.allowed():
            try:
                send()
            finally:
                send()  # while it is cleaned up
                heard.append("cleaned up")

    with pytest.raises(interruption.Interrupt):
        wait()
    assert heard == ["cleaned up"]
    assert interruption.came() == "SIGINT"


def test_a_second_signal_ends_the_clean_up_of_what_changes_nothing(listening: None) -> None:
    heard = []

    def run() -> None:
        with interruption.allowed(each=True):
            try:
                send()
            finally:
                send(signal.SIGTERM)
                heard.append("cleaned up")

    with pytest.raises(interruption.Interrupt) as caught:
        run()
    assert caught.value.number == signal.SIGTERM and heard == []
    send()  # it is noted alone, here
    assert interruption.came() == "SIGINT"


def test_a_subinterpreter_has_no_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int, handler: object) -> None:
        raise ValueError("signal only works in main thread of the main interpreter")

    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", refuse)
        with interruption.listening(), interruption.deferred(), interruption.allowed():
            interruption.check()


def test_one_that_came_before_a_wait_ends_it(listening: None) -> None:
    send()
    with pytest.raises(interruption.Interrupt), interruption.allowed():
        raise AssertionError("it is not waited for")


def test_a_wait_that_may_be_left_out_keeps_it(listening: None) -> None:
    with pytest.raises(interruption.Interrupt), interruption.shortened():
        send()
    assert interruption.came() == "SIGINT"


def test_what_is_deferred_in_a_wait_gets_it_at_its_end(listening: None) -> None:
    done = []

    def run() -> None:
        with interruption.allowed():
            with interruption.deferred():
                send()
                done.append("all")
            done.append("too much")

    with pytest.raises(interruption.Interrupt):
        run()
    assert done == ["all"]


def test_from_here_on_deferred(listening: None) -> None:
    with interruption.allowed():
        interruption.defer()
        send()
    assert interruption.came() == "SIGINT"


def test_an_operation_that_nobody_listens_for_notes_ctrl_c_itself() -> None:
    assert signal.getsignal(signal.SIGINT) is PLAIN
    done = []

    def run() -> None:
        with interruption.deferred():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            send()
            done.append("all")
        done.append("too much")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == ["all"] and signal.getsignal(signal.SIGINT) is PLAIN


def test_ctrl_c_is_not_lost_where_the_operation_fails() -> None:
    @interruption.deferred()
    def run() -> None:
        send()
        raise VirtnetplugError("it failed, too")

    with pytest.raises(KeyboardInterrupt) as caught:
        run()
    assert isinstance(caught.value.__context__, VirtnetplugError)


@pytest.mark.parametrize("listen", [interruption.listening, interruption.deferred])
def test_handlers_are_restored(listen: Callable[..., object]) -> None:
    before = [signal.getsignal(number) for number in interruption.SIGNALS]
    with listen():  # type: ignore[attr-defined]
        assert signal.getsignal(signal.SIGINT) is not PLAIN
    assert [signal.getsignal(number) for number in interruption.SIGNALS] == before


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None])
def test_a_handler_that_is_not_the_default_is_left_alone(handler: signal.Handlers) -> None:
    before = {number: signal.signal(number, handler) for number in interruption.SIGNALS}
    try:
        with interruption.listening(), interruption.deferred():
            assert [signal.getsignal(number) for number in before] == [handler] * 3
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def test_in_another_thread_nothing_is_delivered(listening: None) -> None:
    done = []

    def run() -> None:
        interruption.check()
        with interruption.deferred(), interruption.allowed():
            interruption.check()
        done.append("all")

    send()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == ["all"] and interruption.came() == "SIGINT"


def test_a_terminals_ctrl_c_ends_no_program_that_an_operation_has_started() -> None:
    """A terminal sends it to the whole foreground process group: a program that is in a group of its own does not get it, nor reads the terminal."""
    calls = [
        (path.name, {keyword.arg for keyword in node.keywords})
        for path in (Path(__file__).parents[2] / "virtnetplug/adapters").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.run", "subprocess.Popen")
    ]
    assert len(calls) >= 6
    assert [name for name, words in calls if not {"process_group", "stdin"} <= words] == []


def at_once(wait: Callable[[], object]) -> None:
    """It ends by a signal that comes while it waits, long before its own end."""
    threading.Timer(0.05, send).start()
    began = time.monotonic()
    with pytest.raises(interruption.Interrupt):
        wait()
    assert time.monotonic() - began < 20


def test_the_wait_for_a_lock_ends_at_once(listening: None, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    other = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(other, fcntl.LOCK_EX)

    def wait() -> None:
        with locked(path):
            raise AssertionError("it is the other one's")

    at_once(wait)
    os.close(other)
    with locked(path):
        pass


def test_the_wait_for_an_event_ends_at_once(listening: None) -> None:
    def wait() -> None:
        with interruption.allowed():
            DomainWatch().next(60)

    at_once(wait)
