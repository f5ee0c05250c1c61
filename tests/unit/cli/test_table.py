"""Tables on a terminal and in a pipe."""

from __future__ import annotations

import io
import re

import pytest
from click import unstyle

from virtnetplug.cli.session import Session
from virtnetplug.cli.table import may_colour, printable, table

ROWS = [("web1", "Connected", None), ("web2", "Closing (pending)", "x" * 60)]
HEADINGS = ("DOMAIN", "FRONTEND", "SOURCE")


def test_a_pipe_gets_aligned_plain_text():
    assert unstyle(table(HEADINGS, ROWS)) == (
        "DOMAIN  FRONTEND           SOURCE\nweb1    Connected          -\nweb2    Closing (pending)  " + "x" * 60 + "\n"
    )


def test_a_terminal_gets_colour_and_nothing_is_cut_or_folded():
    text = table(HEADINGS, ROWS)
    assert "\x1b[32m" in text  # Connected is green
    assert "\x1b[33m" in text  # Closing is yellow
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert [line.rstrip() for line in bare.splitlines()] == unstyle(table(HEADINGS, ROWS)).splitlines()


@pytest.mark.parametrize("is_colourless", [True, False])
def test_no_colour_where_none_is_wanted(is_colourless, monkeypatch):
    written = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout", written)
    Session(wiring=None, is_colourless=is_colourless).answer({"exit_code": 0}, table(HEADINGS, ROWS))
    assert ("\x1b" not in written.getvalue()) is is_colourless


def test_a_wide_character_takes_two_columns_and_a_combining_one_none():
    first, second = unstyle(table(("A", "B"), [("中e\u0301", "x")])).splitlines()
    assert (first, second) == ("A    B", "中e\u0301  x")


def test_markup_in_a_name_is_text():
    assert "[red]web[/red]" in unstyle(table(("A",), [("[red]web[/red]",)]))


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
    assert may_colour(Terminal(), wants_colour=True) == has_colour
    assert not may_colour(Terminal(), wants_colour=False)
    assert not may_colour(io.StringIO(), wants_colour=True)
