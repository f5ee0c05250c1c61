"""What is said while a command takes its time."""

from __future__ import annotations

import io
import re
import sys
import threading

import pytest

from virtnetplug.cli import progress
from virtnetplug.cli.progress import Progress
from virtnetplug.model.operation import Event


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and tells when something was written."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal
        self.written = threading.Event()

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str) -> int:
        count = super().write(text)
        self.written.set()
        return count


def test_nothing_is_said_of_a_quick_command():
    stream = Terminal(is_terminal=True)
    with Progress(stream, patience=3600.0) as progress:
        progress.say("quick")
    assert stream.getvalue() == ""


def test_a_pipe_gets_what_is_waited_for_and_then_a_line_per_event():
    stream = Terminal(is_terminal=False)
    with Progress(stream, patience=0.0) as progress:
        progress.say("first")
        assert stream.written.wait()
        progress.say("second")
        progress.hear(Event(kind="waiting", text="waiting for the guest to let go of ua-1"))
        progress.say("waiting for the guest to let go of ua-1")
    texts = [line.rpartition(" (")[0] for line in stream.getvalue().splitlines()]
    assert texts[-2:] == ["second", "waiting for the guest to let go of ua-1"]
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_one_line_that_is_taken_away():
    stream = Terminal(is_terminal=True)
    with Progress(stream, patience=0.0) as progress:
        progress.say("waiting\x1b[2J for " + "x" * 200)
        assert stream.written.wait()
        stream.written.clear()
        assert stream.written.wait()
    text = stream.getvalue()
    assert text.startswith("\r")
    assert text.endswith("\r\x1b[K")
    assert "\n" not in text
    assert "\x1b[2J" not in text
    assert max(len(line) for line in text.split("\r")) <= 79 + len("\x1b[K")


@pytest.mark.parametrize("is_quiet", [True, False])
def test_verbose_says_every_step_with_its_time(is_quiet):
    ticks = iter([100.0, 100.0125, 102.5])
    stream = Terminal(is_terminal=False)
    with Progress(stream, is_quiet=is_quiet, is_verbose=True, monotonic=lambda: next(ticks)) as progress:
        progress.say("connecting")
        progress.say("attaching")
    assert stream.getvalue() == "   0.013 s  connecting\n   2.500 s  attaching\n"


def test_json_is_quiet():
    stream = Terminal(is_terminal=True)
    with Progress(stream, is_quiet=True, patience=0.0) as progress:
        progress.say("waiting")
        assert not stream.written.wait(0.1)
    assert stream.getvalue() == ""


def test_a_stream_that_cannot_be_written_disturbs_nothing():
    class Full(Terminal):
        tries = 0

        def write(self, text: str) -> int:
            self.tries += 1
            raise OSError(28, "No space left on device")

    stream = Full(is_terminal=False)
    with Progress(stream, is_verbose=True) as progress:
        progress.say("first")
        progress.say("second")
    assert stream.tries == 1


def test_events_of_a_command_reach_standard_error(run, plugger):
    plugger.events = ["ask the guest", "wait for it"]
    ran = run("detach", "web1", "x", "-v")
    assert [line.partition(" s  ")[2] for line in ran.err.splitlines()] == [
        "connecting to the default hypervisor", "detaching from web1", "ask the guest", "wait for it",
    ]  # fmt: skip
    assert run("detach", "web1", "x").err == ""
    assert run("detach", "web1", "x", "--json").err == ""
    assert "ask the guest" in run("detach", "web1", "x", "--json", "-v").err


def test_a_long_command_says_what_it_waits_for(run, plugger, monkeypatch):
    stream = Terminal(is_terminal=False)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    plugger.events = ["waiting for the guest"]
    plugger.while_running = stream.written.wait
    assert run("detach", "web1", "x").code == 0
    assert re.search(r"^waiting for the guest \(\d+ s\)$", stream.getvalue(), re.MULTILINE)


def test_a_long_command_in_json_says_nothing(run, plugger, monkeypatch):
    stream = Terminal(is_terminal=False)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    plugger.while_running = lambda: stream.written.wait(0.2)
    assert run("detach", "web1", "x", "--json").code == 0
    assert stream.getvalue() == ""
