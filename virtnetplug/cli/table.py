"""Tables: with colour and folding on a terminal (rich, imported only then), plain aligned text in a pipe."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

_STYLES = {
    "Connected": "green", "done": "green", "up": "green", "already": "green",
    "Closing": "yellow", "pending": "yellow", "running": "yellow", "down": "yellow", "Reconfiguring": "yellow",
    "incomplete": "red", "undone": "red", "refused": "red", "failed": "red",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Screen:
    """Where text goes: `width` in columns and whether colour is wanted; a pipe has neither (`is_terminal` false)."""

    is_terminal: bool = False
    has_colour: bool = False
    width: int = 80


def printable(text: object) -> str:
    """`text` with control characters made visible: names come from outside and must not drive the terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text))


def table(screen: Screen, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The table as text that ends in a newline; an empty cell is shown as ``-``."""
    cells = [[printable(cell) if cell not in (None, "") else "-" for cell in row] for row in rows]
    return _fold(screen, headings, cells) if screen.is_terminal else _align(headings, cells)


def _align(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (headings, *rows))
    return "".join(line.rstrip() + "\n" for line in lines)


def _fold(screen: Screen, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from io import StringIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        grid.add_column(heading, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell, style=_STYLES.get(cell.partition(" ")[0], "")) for cell in row))
    out = StringIO()
    console = Console(
        file=out,
        width=screen.width,
        force_terminal=screen.has_colour,
        no_color=not screen.has_colour,
        legacy_windows=False,
        color_system="standard" if screen.has_colour else None,
    )
    console.print(grid)
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


def screen_of(stream: object, *, wants_colour: bool) -> Screen:
    """The screen that text stream is; NO_COLOR (no-color.org) and TERM=dumb switch colour off."""
    isatty = getattr(stream, "isatty", None)
    if isatty is None or not isatty():
        return Screen()
    try:
        width = os.get_terminal_size(stream.fileno()).columns  # type: ignore[attr-defined]
    except (OSError, ValueError):
        width = 80
    allowed = wants_colour and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Screen(is_terminal=True, has_colour=allowed, width=width or 80)
