"""Tables as aligned text, coloured on a terminal; nothing is folded, because a folded MAC could not be copied."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from typing import TextIO

import click

from virtnetplug.cli.wording import in_commands

_COLOURS = {
    "Connected": "green", "done": "green", "up": "green", "already": "green",
    "Closing": "yellow", "pending": "yellow", "running": "yellow", "down": "yellow", "Reconfiguring": "yellow",
    "incomplete": "red", "undone": "red", "refused": "red", "failed": "red",
}  # fmt: skip


def printable(text: object) -> str:
    """`text` with control characters made visible: names come from outside and must not drive the terminal."""
    shown = str(text)
    return shown if shown.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in shown)


def prose(message: str) -> str:
    """A message of the core, printable, with commands and flags where it names calls and parameters."""
    return printable(in_commands(message))


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str = "") -> str:
    """The table as text that ends in a newline, or `empty` if there are no rows; an empty cell is shown as ``-``."""
    if not rows:
        return empty
    cells = [[printable(cell) if cell not in (None, "") else "-" for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(headings, *cells, strict=True)]

    def line(row: Sequence[str], style: Callable[[str], str]) -> str:
        parts = (style(cell) + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        return "  ".join(parts).rstrip() + "\n"

    coloured = (line(row, lambda cell: paint(cell, _COLOURS.get(cell.partition(" ")[0]))) for row in cells)
    return line(headings, partial(click.style, bold=True)) + "".join(coloured)


def paint(text: str, colour: str | None) -> str:
    """The text in a colour of `click.style`, or as it is."""
    return text if colour is None else click.style(text, fg=colour)


def _width(text: str) -> int:
    """Columns of a terminal: an East Asian character may take two, and a combining one takes none."""
    wide = sum(unicodedata.east_asian_width(char) in ("F", "W") for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) != 0 for char in text)


def columns_of(stream: TextIO) -> int:
    """How many columns the terminal has; 80 where it does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def may_colour(stream: TextIO, *, wants_colour: bool) -> bool:
    """Whether text for the stream may have colour: on a terminal, unless NO_COLOR (no-color.org) or TERM=dumb forbids it."""
    forbids = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return wants_colour and stream.isatty() and not forbids
