"""One suite, from its first line to its last."""

from __future__ import annotations

import argparse
import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tests.suites import parts as parts_of
from tests.suites.parts import SUITES, Part, Suite
from tests.suites.report import details, length, reasons
from tests.suites.room import directory
from tests.suites.running import Running, end_all, progress

EVERY = 60.0
"""Seconds between two lines that say how far it is."""

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

LIMIT = 400
"""Lines of a failed part that are shown; its log has all of them."""

REASONS = 30
"""Tests that failed whose reason is shown at the end."""


def main() -> int:
    """Gives the exit code: 0 if all has passed, 1 if something failed, 128 and the number of the signal that ended it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored by the caller, every command would seem to have succeeded
    os.umask(0o022)
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _end)
    words, arguments = _split(sys.argv[1:])
    given = _parser().parse_args(words)
    suite = SUITES[given.name]
    extra = (["--no-skip"] if given.no_skip else []) + arguments
    for name in given.only:
        if name not in {part.name for part in suite.parts}:
            sys.exit(f"tests/suite: {suite.name} has no part {name!r}; it has {_names(suite.parts)}")
    parts = [_with(part, extra) for part in suite.parts if not given.only or part.name in given.only]
    if arguments and not any(part.is_tests for part in parts):
        sys.exit(
            f"tests/suite: {_names(parts)}: no tests, so there is nothing for {' '.join(arguments)} to choose from"
        )
    try:
        if lack := _lacks_namespaces(parts):
            sys.exit(lack)
        return _run(suite, parts)
    except KeyboardInterrupt as end:
        return 128 + int(end.args[0] if end.args else signal.SIGINT)
    except BrokenPipeError:  # nobody reads what is said; the parts have ended
        _close_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        _close_output()
        sys.exit(f"tests/suite: {error}; {_remedy(error, suite)}")


def _close_output() -> None:
    """What could not be said is not tried again at the end of the process."""
    with suppress(OSError, AttributeError):  # or there is none
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _remedy(error: OSError, suite: Suite) -> str:
    if error.errno == errno.ENOSPC and error.filename:
        return f"make room there: {parts_of.ROOM >> 20} MiB are needed"
    if error.errno == errno.ENOENT and str(error.filename).startswith(str(parts_of.BIN)):
        return "run make setup"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room on the disk, or where this output goes"
    return f"remove build/{suite.name} if it is another user's, or in the way"


def _lacks_namespaces(parts: Sequence[Part]) -> str:
    """What tests/namespace says, where a part needs it and this user may not have it."""
    if not any("tests/namespace" in word for part in parts for word in part.command):
        return ""
    environment = parts_of.environment(Path(tempfile.gettempdir()))
    words = [parts_of.CHECKOUT / "tests/namespace", "true"]
    tried = subprocess.run(words, env=environment, capture_output=True, text=True)
    return tried.stderr.strip() or "tests/namespace failed" if tried.returncode else ""


def _run(suite: Suite, parts: Sequence[Part]) -> int:
    logs = parts_of.BUILD / suite.name
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(
                f"tests/suite: make {suite.name} is running in this checkout: wait for its end, or use another clone"
            )
        return _run_alone(suite, parts, logs)


def _run_alone(suite: Suite, parts: Sequence[Part], logs: Path) -> int:
    _say(f"make {suite.name}: {suite.summary}. At most {suite.minutes:g} min on two quiet cores.")
    _say(f"make {suite.name}: the output of {_names(parts)} is in {os.path.relpath(logs, parts_of.CHECKOUT)}/*.log")
    place = parts_of.memory() or parts_of.disk()
    with directory(place, "vnp-suite-") as (temporary, held):
        return _follow(suite, parts, logs, temporary, held)


def _follow(suite: Suite, parts: Sequence[Part], logs: Path, temporary: Path, held: int) -> int:
    start = time.monotonic()
    running: list[Running] = []
    try:
        for part in parts:
            running.append(Running(part, logs / f"{part.name}.log", temporary, held))
        _wait(running, start)
    except BaseException as end:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C would leave parts behind
        end_all(running)
        if not isinstance(end, KeyboardInterrupt):
            raise
        number = int(end.args[0]) if end.args else int(signal.SIGINT)
        _say(f"make {suite.name}: ended by {signal.Signals(number).name} after {length(time.monotonic() - start)}")
        return 128 + number
    why: list[str] = []
    for one in running:
        if one.failed:
            lines = one.log.read_text(errors="replace").splitlines(keepends=True)
            _say(f"== {one.part.name}, from {one.place}:")
            _say("".join(details(lines, LIMIT)).rstrip("\n"))
            why += reasons(lines)
    for line in why[:REASONS]:  # once more at the end: whoever keeps only the end of the output has them
        _say(f"  {line}")
    return _conclude(suite, running, time.monotonic() - start)


def _wait(running: Sequence[Running], start: float) -> None:
    said, waiting = start, list(running)
    while waiting:
        for one in waiting:
            one.end_if_it_hangs()
        for one in [one for one in waiting if one.is_done]:
            waiting.remove(one)
            _say(f"  {length(time.monotonic() - start):>12}: {one.part.name} {'failed' if one.failed else 'passed'}")
        if time.monotonic() - said >= EVERY:
            said = time.monotonic()
            _say(f"  {length(said - start):>12}: {progress(running)}")
        time.sleep(0.1)


def _conclude(suite: Suite, running: Sequence[Running], seconds: float) -> int:
    failed = [name for one in running for name in one.failed]
    passed, total, skipped = (
        sum(one.passed for one in running),
        sum(one.total for one in running),
        sum(one.report.skipped for one in running),
    )
    words = f"make {suite.name}: {passed} of {total} passed in {length(seconds)}"
    if skipped:
        words += f"; {skipped} skipped"
    if failed:
        words += f"; failed: {', '.join(failed)}"
    _say(words)
    return 1 if failed else 0


def _with(part: Part, extra: Sequence[str]) -> Part:
    if not part.is_tests:
        return part
    return replace(part, command=[*part.command, *extra])


def _names(parts: Sequence[Part]) -> str:
    return ", ".join(part.name for part in parts)


def _say(text: str) -> None:
    print(text, flush=True)


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The suite's own words, and pytest's, which come after ``--``."""
    end = words.index("--") if "--" in words else len(words)
    return [*words[:end]], [*words[end + 1 :]]


def _parser() -> argparse.ArgumentParser:
    usage = "tests/suite NAME [--only PART] [--no-skip] [-- PYTEST-ARGUMENT…]"
    parser = argparse.ArgumentParser(usage=usage, description="Run one suite of the project's tests.")
    parser.add_argument("name", choices=SUITES, metavar="NAME", help=", ".join(SUITES))
    parser.add_argument(
        "--only", metavar="PART", action="append", default=[], help="run this part alone; may be repeated"
    )
    parser.add_argument("--no-skip", action="store_true", help="a test that is skipped has failed")
    return parser


def _end(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)
