"""Tables on a terminal and in a pipe."""

from __future__ import annotations

import io
import re

import pytest

from virtnetplug.cli.table import may_colour, printable, table

ROWS = [("web1", "Connected", None), ("web2", "Closing (pending)", "x" * 60)]
HEADINGS = ("DOMAIN", "FRONTEND", "SOURCE")


def test_a_pipe_gets_aligned_plain_text():
    assert table(False, HEADINGS, ROWS) == (
        "DOMAIN  FRONTEND           SOURCE\nweb1    Connected          -\nweb2    Closing (pending)  " + "x" * 60 + "\n"
    )


def test_a_terminal_gets_colour_and_nothing_is_cut_or_folded():
    text = table(True, HEADINGS, ROWS)
    assert "\x1b[32m" in text  # Connected is green
    assert "\x1b[33m" in text  # Closing is yellow
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert [line.rstrip() for line in bare.splitlines()] == table(False, HEADINGS, ROWS).splitlines()


def test_no_colour_where_none_is_wanted():
    assert "\x1b" not in table(False, HEADINGS, ROWS)


def test_a_wide_character_takes_two_columns_and_a_combining_one_none():
    first, second = table(False, ("A", "B"), [("中e\u0301", "x")]).splitlines()
    assert (first, second) == ("A    B", "中e\u0301  x")


def test_markup_in_a_name_is_text():
    assert "[red]web[/red]" in re.sub(r"\x1b\[[0-9;]*m", "", table(True, ("A",), [("[red]web[/red]",)]))


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
