"""Tables on a terminal and in a pipe."""

from __future__ import annotations

import io
import re

import pytest

from virtnetplug.cli.table import Screen, printable, screen_of, table

ROWS = [("web1", "Connected", None), ("web2", "Closing (pending)", "x" * 60)]
HEADINGS = ("DOMAIN", "FRONTEND", "SOURCE")


def test_a_pipe_gets_aligned_plain_text():
    assert table(Screen(), HEADINGS, ROWS) == (
        "DOMAIN  FRONTEND           SOURCE\nweb1    Connected          -\nweb2    Closing (pending)  " + "x" * 60 + "\n"
    )


def test_a_terminal_gets_colour_and_nothing_is_cut_or_folded():
    text = table(Screen(is_terminal=True, has_colour=True), HEADINGS, ROWS)
    assert "\x1b[32m" in text  # Connected is green
    assert "\x1b[33m" in text  # Closing is yellow
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert [line.rstrip() for line in bare.splitlines()] == table(Screen(), HEADINGS, ROWS).splitlines()


def test_no_colour_on_a_terminal_that_wants_none():
    assert "\x1b" not in table(Screen(is_terminal=True), HEADINGS, ROWS)


def test_markup_in_a_name_is_text():
    screen = Screen(is_terminal=True, has_colour=True)
    assert "[red]web[/red]" in re.sub(r"\x1b\[[0-9;]*m", "", table(screen, ("A",), [("[red]web[/red]",)]))


def test_what_drives_a_terminal_is_made_visible():
    assert printable("a\x1b[2J\nb\u202ec") == "a\\x1b[2J\\nb\\u202ec"
    assert printable("é中") == "é中"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variable", "value", "has_colour"),
    [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False), ("TERM", "xterm", True)],
)
def test_who_switches_colour_off(variable, value, has_colour, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)
    assert screen_of(Terminal(), wants_colour=True).has_colour == has_colour
    assert not screen_of(Terminal(), wants_colour=False).has_colour
    assert screen_of(io.StringIO(), wants_colour=True) == Screen()
