"""Draws a flame graph of an attach. Each call is a box as wide as its share of the processor time, on top of its caller.

The time is that of the calling thread. It has no waiting for the disk, QEMU or a daemon, and hardly depends on what runs beside.

usage: ``tests/namespace env PYTHONPATH=$PWD .venv/bin/python contrib/bench/flame.py OUT.svg``

The script measures the virtnetplug that PYTHONPATH names, which may be an earlier checkout.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import ExitStack
from html import escape
from pathlib import Path
from types import FrameType
from typing import Any

from single import ALIAS, Ours
from stage import Stage

ROUNDS = 60
QUIETEST = 20  # of the rounds; in the others something else ran beside
WIDTH, ROW, LEAST = 1000, 15, 0.006
COLOURS = {"libvirtmod": "#c9c2e8", ".execute": "#f2c879", "virtnetplug": "#9fc5a3"}

Stack = tuple[str, ...]


class Profile:
    """The processor time that each stack of calls took by itself, in seconds."""

    def __init__(self) -> None:
        self.spent: Counter[Stack] = Counter()
        self._stack: list[str] = []
        self._since = 0.0

    def run(self, call: Any) -> None:
        self._stack, self._since = [], time.thread_time()
        sys.setprofile(self._event)
        try:
            call()
        finally:
            sys.setprofile(None)

    def _event(self, frame: FrameType, event: str, given: Any) -> None:
        now = time.thread_time()
        self.spent[tuple(self._stack)] += now - self._since
        if event in ("call", "c_call"):
            self._stack.append(_name(frame) if event == "call" else f"{given.__module__ or ''}.{given.__name__}")
        elif self._stack:
            self._stack.pop()
        self._since = time.thread_time()


def _name(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    parts = path.with_suffix("").parts
    where = ".".join(parts[parts.index("virtnetplug") + 1 :]) if "virtnetplug" in parts else path.stem
    return f"{where or 'virtnetplug'}:{frame.f_code.co_name}"


def main() -> None:
    rounds: list[Counter[Stack]] = []
    with ExitStack() as cleanup:
        stage = Stage(cleanup, is_quick=True)
        name = stage.guests(stage.connect(stage.embedded), "flame", 1)[0].name
        ours = Ours(stage.plugger(stage.embedded, "flame"), name)
        for _ in range(ROUNDS):
            profile = Profile()
            profile.run(lambda: ours.attach(stage.nic()))
            rounds.append(profile.spent)
            ours.detach(ALIAS)
    quiet = sum(sorted(rounds, key=Counter.total)[:QUIETEST], Counter())
    Path(sys.argv[1]).write_text(svg({stack: seconds / QUIETEST for stack, seconds in quiet.items()}))


def svg(spent: dict[Stack, float]) -> str:
    """The graph; what is narrower than `LEAST` of the whole is left blank above its caller."""
    whole: Counter[Stack] = Counter()
    for stack, seconds in spent.items():
        for depth in range(len(stack) + 1):
            whole[stack[:depth]] += seconds
    wide = {stack: seconds for stack, seconds in whole.items() if seconds >= LEAST * whole[()]}
    height = (max(map(len, wide)) + 2) * ROW
    boxes: list[str] = []
    _draw((), 0.0, wide, height, boxes)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="10">'
    return "\n".join([head, *boxes, "</svg>", ""])


def _draw(stack: Stack, left: float, wide: dict[Stack, float], height: int, boxes: list[str]) -> None:
    share = wide[stack] / wide[()]
    text = f"{stack[-1] if stack else 'attach'} {wide[stack] * 1000:.2f} ms"
    colour = next((shade for word, shade in COLOURS.items() if word in text), "#dfe7ef")
    place = f'x="{left * WIDTH:.1f}" y="{height - (len(stack) + 1) * ROW}"'
    shown = escape(text[: int(share * WIDTH / 6.1)])
    boxes.append(
        f'<g><title>{escape(text)}</title><rect {place} width="{share * WIDTH:.1f}" height="{ROW - 1}" fill="{colour}"/>'
        f'<text {place} dx="2" dy="11">{shown}</text></g>'
    )
    inner = [other for other in wide if len(other) == len(stack) + 1 and other[: len(stack)] == stack]
    for other in sorted(inner, key=lambda each: -wide[each]):
        _draw(other, left, wide, height, boxes)
        left += wide[other] / wide[()]


if __name__ == "__main__":
    main()
