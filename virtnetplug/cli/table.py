"""Tables: with colour on a terminal (rich, imported only then), plain aligned text in a pipe; nothing is folded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from virtnetplug.cli.wording import in_commands

_STYLES = {
    "Connected": "green", "done": "green", "up": "green", "already": "green",
    "Closing": "yellow", "pending": "yellow", "running": "yellow", "down": "yellow", "Reconfiguring": "yellow",
    "incomplete": "red", "undone": "red", "refused": "red", "failed": "red",
}  # fmt: skip

_UNBOUNDED = 100_000
"""Columns."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where text goes, and whether colour is wanted there."""

    is_terminal: bool = False
    has_colour: bool = False


def printable(text: object) -> str:
    """`text` with control characters made visible: names come from outside and must not drive the terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text))


def prose(message: str) -> str:
    """A message of the core, printable, with commands and flags where it names calls and parameters."""
    return printable(in_commands(message))


def table(screen: Screen, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The table as text that ends in a newline; an empty cell is shown as ``-``."""
    cells = [[printable(cell) if cell not in (None, "") else "-" for cell in row] for row in rows]
    return _paint(screen, headings, cells) if screen.is_terminal else _align(headings, cells)


def _align(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (headings, *rows))
    return "".join(line.rstrip() + "\n" for line in lines)


def _paint(screen: Screen, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from io import StringIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        grid.add_column(heading, no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(cell, style=_STYLES.get(cell.partition(" ")[0], "")) for cell in row))
    out = StringIO()
    console = Console(
        file=out,
        width=_UNBOUNDED,  # a long row wraps where the terminal ends: a folded MAC could not be copied
        force_terminal=screen.has_colour,
        no_color=not screen.has_colour,
        legacy_windows=False,
        color_system="standard" if screen.has_colour else None,
    )
    console.print(grid)
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


def columns_of(stream: TextIO) -> int:
    """How many columns the terminal has; 80 where it does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def screen_of(stream: TextIO, *, wants_colour: bool) -> Screen:
    """The screen that text stream is; NO_COLOR (no-color.org) and TERM=dumb switch colour off."""
    if not stream.isatty():
        return Screen()
    allowed = wants_colour and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Screen(is_terminal=True, has_colour=allowed)
