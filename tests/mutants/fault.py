"""The table of faults: read, and put into a file's text."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


class NotApplicable(Exception):
    """The fault cannot be put into the code as it is now; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `old`, which occurs once in `file`, becomes `new`."""

    name: str
    file: str
    old: str
    new: str

    @property
    def module(self) -> str:
        """The name that `file` is imported by."""
        return self.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def mutate(self, text: str) -> str:
        """`text` of the file with the fault in it; raises `NotApplicable`."""
        if (found := text.count(self.old)) != 1:
            raise NotApplicable(f"{self.file} has its text {found} times and not once; carry the fault over")
        mutant = text.replace(self.old, self.new)
        try:
            is_same = ast.dump(ast.parse(mutant)) == _meaning(text)
        except SyntaxError as error:
            raise NotApplicable(f"{self.file} is no Python with it, line {error.lineno}: {error.msg}") from None
        if is_same:
            raise NotApplicable(f"{self.file} means the same with it; write a fault that changes something")
        return mutant

    def lines(self, text: str) -> frozenset[int]:
        """The lines of `text` whose execution reaches the fault: of each statement that it touches, the smallest around it.

        0, which is any line, where it is in no function: then the import runs it, whichever test does that.
        """
        start = text.index(self.old)
        first = text.count("\n", 0, start + len(self.old) - len(self.old.lstrip())) + 1
        last = text.count("\n", 0, start + len(self.old.rstrip())) + 1
        spans = [_span(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]
        touched = [span for span in spans if any(first <= line <= last for line in span)]
        functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
        is_in_one = any(node.body[0].lineno <= first <= (node.end_lineno or 0) for node in functions)
        return frozenset([*(line for span in touched for line in span), *([] if is_in_one else [0])])


@lru_cache(maxsize=4)
def _meaning(text: str) -> str:
    return ast.dump(ast.parse(text))


def _span(node: ast.stmt) -> range:
    """The lines of a simple statement; of one with a body, its head, and of a function's head only that which runs at each call."""
    body = getattr(node, "body", None)
    if not body:
        return range(node.lineno, (node.end_lineno or node.lineno) + 1)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return range(0)
    return range(node.lineno, max(body[0].lineno, node.lineno + 1))


def load(table: Path) -> list[Fault]:
    """The faults of a table, in its order; raises `ValueError` where it has none, or two of one name, `TypeError` for a wrong key."""
    faults = [Fault(**entry) for entry in tomllib.loads(table.read_text()).get("fault", [])]
    if not faults:
        raise ValueError("there is no [[fault]]")
    names = [fault.name for fault in faults]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two faults are called {sorted(twice)[0]!r}")
    return faults
