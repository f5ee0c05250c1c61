"""What the output of a part says: how far it is, how many passed, the names of what failed, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BEFORE = re.compile(r"^\[ *\d+\.\d\] |\x1b\[[0-9;]*m")
"""What a lab puts before each line, and colours."""

_PERCENT = re.compile(r"\[ *(\d+)%\]")
_END = re.compile(r"^=* ?(?:\d+ [\w ]+, )*\d+ [\w ]+ in [\d.]+s")
_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)\b")
_NAMED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$")
_SUMMARY = re.compile(r"^=+ short test summary info =+$")
_BEGUN = re.compile(r"^(\S+\.py::.+?) *$")
_OVER = re.compile(r"^\[gw\d+\] (?:\[ *\d+%\] )?[A-Z]+ (\S+\.py::.+?) *$")
_DETAILS = re.compile(r"^=+ (?:FAILURES|ERRORS) =+$")
_HEADING = re.compile(r"^_{3,} (.+?) _{3,}$")
_REASON = re.compile(r"^E +(\S.*)$")


class Report:
    """Fed with lines of pytest, it knows what they came to."""

    def __init__(self) -> None:
        self.percent = 0
        self.counts: dict[str, int] = {}
        self.failed: list[str] = []
        self.has_ended = False
        self.under_way: list[str] = []
        """The tests that have begun and not ended, as far as pytest-xdist says it."""
        self._names_come = False

    def feed(self, line: str) -> None:
        """Take one line more."""
        line = _BEFORE.sub("", line.rstrip("\n"))
        if _SUMMARY.match(line):  # before the last of these lines, it is a test that says such words
            self._names_come, self.failed = True, []
        if found := _PERCENT.search(line):
            self.percent = int(found[1])
        if found := _BEGUN.match(line):
            self.under_way.append(found[1])
        elif (found := _OVER.match(line)) and found[1] in self.under_way:
            self.under_way.remove(found[1])
        if self._names_come and (found := _NAMED.match(line)) and found[1] not in self.failed:
            self.failed.append(found[1])
        if _END.match(line):
            self.has_ended = True
            self.counts = {what.rstrip("s") if what == "errors" else what: int(n) for n, what in _COUNT.findall(line)}

    @property
    def passed(self) -> int:
        return self.counts.get("passed", 0)

    @property
    def skipped(self) -> int:
        return self.counts.get("skipped", 0)

    @property
    def total(self) -> int:
        """Of all tests that were run; those that were skipped are none of them."""
        return self.passed + self.counts.get("failed", 0) + self.counts.get("error", 0)


def details(lines: Iterable[str], limit: int) -> list[str]:
    """The last words of a part that failed: from its first failure on, at most `limit` lines."""
    kept = list(lines)
    start = next((number for number, line in enumerate(kept) if _DETAILS.match(_BEFORE.sub("", line).strip())), None)
    if start is None:
        return kept[-min(limit, 40) :]
    return kept[start : start + limit]


def reasons(lines: Iterable[str]) -> list[str]:
    """For each failure that pytest describes: its heading, and the first line of what was raised last."""
    found: dict[str, str] = {}
    heading, is_within = "", False
    for line in (_BEFORE.sub("", line).strip() for line in lines):
        reason = _REASON.match(line)
        if named := _HEADING.match(line):
            heading = named[1]
        elif heading and reason and not is_within:
            found[heading] = reason[1]
        is_within = reason is not None
    return [f"{heading}: {reason}" for heading, reason in found.items()]


def length(seconds: float) -> str:
    """A length of time as a person says it."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
