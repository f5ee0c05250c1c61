"""A xenstore as ``xenstore-ls -f`` showed it in the Xen lab, answering as the tools do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from virtnetplug.adapters.xen.tools import Done

RECORDED = Path(__file__).with_name("recorded")


class RecordedStore:
    """`lines` are what is listed; `words` is called with each command line before it is answered."""

    def __init__(self, moment: str | None = None) -> None:
        self.lines = (RECORDED / f"{moment}.txt").read_text().splitlines() if moment else []
        self.written: list[list[str]] = []
        self.removed: list[str] = []
        self.before: Callable[[Sequence[str]], None] = lambda words: None

    def __call__(self, words: Sequence[str]) -> Done:
        self.before(words)
        tool, *rest = words
        if tool == "xenstore-write":
            self.written.append(rest)
            return Done(words, 0, "", "")
        path = rest[-1]
        if tool == "xenstore-rm":
            self.removed.append(path)
            self.remove_area(path)
            return Done(words, 0, "", "")
        if tool == "xenstore-read":
            found = [line for line in self.lines if line.startswith(f'{path} = "')]
            missing = f"xenstore-read: couldn't read path {path}\n"
            return Done(words, 0, found[0].split('"')[1] + "\n", "") if found else Done(words, 1, "", missing)
        below = [line for line in self.lines if line.startswith(f"{path}/")]
        if tool == "xenstore-ls":
            missing = f"xenstore-ls: xs_directory ({path}): No such file or directory\n"
            return Done(words, 0, "".join(f"{line}\n" for line in below), "") if below else Done(words, 1, "", missing)
        assert tool == "xenstore-list"
        names = sorted({line[len(path) + 1 :].split("/")[0].split(" ")[0].rstrip(":") for line in below})
        if not names:
            return Done(words, 1, "", f"xenstore-list: could not list path {path}\n")
        return Done(words, 0, "".join(f"{name}\n" for name in names), "")

    def set(self, path: str, value: str | None) -> None:
        """Change a node's line; without a value, as one that may not be read."""
        line = f"{path}:" if value is None else f'{path} = "{value}"'
        self.remove(path)
        self.lines.append(line)

    def remove(self, path: str) -> None:
        """Take out a node, but not those below it."""
        self.lines = [line for line in self.lines if line.split(" = ")[0].rstrip(":") != path]

    def remove_area(self, path: str) -> None:
        """Take out a node and those below it."""
        self.remove(path)
        self.lines = [line for line in self.lines if not line.startswith(f"{path}/")]
