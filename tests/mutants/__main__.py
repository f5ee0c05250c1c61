"""``python -m tests.mutants``: put in every fault of the table, one at a time, and name the test that kills it."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import environment
from tests.mutants.fault import Fault, NotApplicable, load
from tests.mutants.forks import Job, Pool
from tests.mutants.reach import Reach, keep, kept, measured
from tests.mutants.trial import trial
from tests.suites.parts import ROOM, memory

TESTS = ("--part=rest", "--ignore=tests/unit/lab", "--ignore=tests/unit/mutants", "tests/unit", "tests/contract")
"""The tests of ``make check``, but for those of the lab and of this tool, which run no line of the package."""

OPTIONS = ("-q", "-pno:cacheprovider", "-pno:xdist", "-Wignore:Module already imported so cannot be rewritten")
FIRST_RUN, EACH = 90, 4
"""Seconds, on two quiet cores: finding out which tests reach which lines, and one fault."""


HANG_SECONDS, HANG_FACTOR = 60.0, 5
"""A test counts as hung after so many seconds, or so many times what the slowest test that reaches the fault took, whichever is longer."""


@dataclass(frozen=True)
class Verdict:
    """What became of one fault; no `killer` is a failure, and `why` says which."""

    fault: Fault
    killer: str = ""
    how: str = ""
    why: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("only", nargs="*", help="part of a fault's name: only those")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="the checkout")
    parser.add_argument("--table", type=Path, default=Path(__file__).with_name("faults.toml"), help="of faults")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="arguments of pytest that choose the tests")
    parser.add_argument("--jobs", type=int, help="faults at a time", default=max(2, len(os.sched_getaffinity(0))))
    asked = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
    if asked.jobs < 1:
        parser.error("--jobs: at least 1")
    try:
        faults = load(asked.table)
    except (OSError, ValueError, TypeError) as error:
        parser.error(f"{asked.table}: {error}")
    faults = [fault for fault in faults if not asked.only or any(each in fault.name for each in asked.only)]
    if asked.only and not faults:
        parser.error(f"no fault's name has {' or '.join(map(repr, asked.only))}; they are in {asked.table}")
    try:
        return Run(asked.root.resolve(), faults, asked.tests, asked.jobs).run()
    except OSError as error:
        sys.exit(f"mutants: {error}; make room on the disk, or remove build/mutants if it is another user's")


class Run:
    """One run over all faults; what it says is also in ``build/mutants.log``."""

    def __init__(self, root: Path, faults: Sequence[Fault], tests: Sequence[str], jobs: int) -> None:
        self.root, self.faults = root, faults
        self.arguments = [*OPTIONS, f"--rootdir={root}", *tests]
        build = root / "build"
        self.pool = Pool(build / "mutants", jobs)
        self._lock = (build / "mutants" / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"mutants: another run is on its way in {root}: wait until it has ended, then try again")
        self.report = (build / "mutants.log").open("w")
        self.memory = build / "mutants" / "killers.json"
        self.started = time.monotonic()

    def run(self) -> int:
        os.chdir(self.root)
        _clean_environment()
        if lack := _lacks_room(self.pool.place):
            self.say(lack)
            return 1
        _warm_up()
        seconds = FIRST_RUN + len(self.faults) * EACH // self.pool.width
        self.say(
            f"{len(self.faults)} faults, {self.pool.width} at a time: about {seconds} s, less if the tests' lines are known. "
            "Written to build/mutants.log; what tests say to build/mutants/."
        )
        try:
            reach = measured(self.root, self.arguments, self.pool.place / "reach.json", self.pool)
            if reach.failed:
                self.say(
                    "These fail without any fault, so nothing can be shown. Mend them; or the machine was too busy, then try again:"
                )
                for test in reach.failed:
                    self.say(f"  {test}")
                return 1
            return self.judge(reach)
        except KeyboardInterrupt:
            self.say("interrupted; nothing is left of it")
            return 130

    def judge(self, reach: Reach) -> int:
        """Try every fault, and say what became of each."""
        known = kept(self.memory)
        verdicts: dict[str, Verdict] = {}
        jobs, tests_of = [], {}
        for number, fault in enumerate(self.faults):
            try:
                text = (self.root / fault.file).read_text() if (self.root / fault.file).is_file() else ""
                mutant = fault.mutate(text)
            except NotApplicable as error:
                verdicts[fault.name] = Verdict(fault, why=f"does not apply: {error}")
                continue
            tests = reach.tests(fault.file, fault.lines(text))
            if not tests:
                verdicts[fault.name] = Verdict(fault, why="no test reaches it")
                continue
            if (last := known.get(fault.name)) in tests:
                tests = [last, *(test for test in tests if test != last)]
            tests_of[f"{number:03}"] = fault, tests
            seconds = _limit(reach, tests)
            work = trial(fault, mutant, self.root, tests, self.arguments, seconds=seconds)
            limit = 2 * seconds + HANG_FACTOR * sum(reach.seconds.get(test, 0.0) for test in tests)
            jobs.append(Job(f"{number:03}", work, limit))

        def tell(name: str, answer: Any) -> None:
            fault, tests = tests_of[name]
            verdict = verdicts[fault.name] = _verdict(fault, tests, answer, self.pool.log(name))
            if sys.stdout.isatty():
                print(f"\r{len(verdicts)} of {len(self.faults)}", end="\r", flush=True)
            if verdict.killer:
                known[fault.name] = verdict.killer

        self.pool.run(jobs, tell)
        broken = self.fail_without(sorted({verdict.killer for verdict in verdicts.values() if verdict.killer}), reach)
        for name, verdict in verdicts.items():
            if verdict.killer in broken:
                verdicts[name] = Verdict(verdict.fault, why=f"{verdict.killer} fails alone without the fault, too")
                known.pop(name, None)
        if lack := _lacks_room(self.pool.place):
            self.say(f"{lack}. Tests may have failed for that alone, so nothing is shown")
            return 1
        keep(self.memory, known)
        return self.sum_up([verdicts[fault.name] for fault in self.faults])

    def fail_without(self, tests: Sequence[str], reach: Reach) -> set[str]:
        """Those of these tests that do not pass, each alone, without any fault: that they fail with one shows nothing."""
        of = {f"without-{number:03}": test for number, test in enumerate(tests)}
        jobs = []
        for name, test in of.items():
            seconds = _limit(reach, [test])
            jobs.append(Job(name, trial(None, "", self.root, [test], self.arguments, seconds=seconds), 2 * seconds))
        answers = self.pool.run(jobs)
        return {test for name, test in of.items() if not answers[name] or answers[name]["status"] != pytest.ExitCode.OK}

    def sum_up(self, verdicts: Sequence[Verdict]) -> int:
        for number, verdict in enumerate(verdicts):
            self.say(
                f"{number:03} {verdict.fault.name}\n    {verdict.killer + verdict.how or 'NOT KILLED: ' + verdict.why}"
            )
        failed = [verdict.fault.name for verdict in verdicts if not verdict.killer]
        killed, seconds = len(verdicts) - len(failed), round(time.monotonic() - self.started)
        names = "".join(f"; not killed: {'; '.join(failed)}" if failed else "")
        self.say(f"{killed} of {len(verdicts)} faults killed, {seconds} s{names}")
        return 1 if failed or not verdicts else 0

    def say(self, text: str) -> None:
        print(text, flush=True)
        print(text, file=self.report, flush=True)


def _limit(reach: Reach, tests: Sequence[str]) -> float:
    """Seconds after which one of these tests hangs."""
    return max(HANG_SECONDS, HANG_FACTOR * max((reach.seconds.get(test, 0.0) for test in tests), default=0.0))


def _verdict(fault: Fault, tests: Sequence[str], answer: Any, log: Path) -> Verdict:
    if answer is None:
        return Verdict(fault, why=f"the tests' process died, or had to be killed as it hung: see {log.name}")
    if answer["killer"]:
        hung = " (it hung)" if answer["how"].startswith("Failed: Timeout") else ""
        return Verdict(fault, killer=answer["killer"], how=hung)
    if answer["broken"]:
        return Verdict(
            fault, why=f"tests could not be set up or imported, which is no test that fails: {answer['broken'][0]}"
        )
    if answer["status"] != pytest.ExitCode.OK:
        return Verdict(fault, why=f"the tests' run ended early with {answer['status']}: see {log.name}")
    return Verdict(fault, why=f"it survives the {len(tests)} tests that reach it")


def _lacks_room(build: Path) -> str:
    """What to do if tests would fail, and seem to kill faults, because they cannot write their files."""
    for place, needed in ((Path(memory() or tempfile.gettempdir()), ROOM), (build, ROOM // 8)):
        free = shutil.disk_usage(place).free
        if free < needed:
            return f"no room on the disk: {place} has {free >> 20} MiB free, and {needed >> 20} MiB are needed"
    return ""


def _clean_environment() -> None:
    environment.clean(named=())
    sys.dont_write_bytecode = False  # which one of them may have said


def _warm_up() -> None:
    """Import what tests need and is none of the package, so that no fork has to."""
    import concurrent.futures, sqlite3, xml.etree.ElementTree  # noqa: E401, F401, I001

    import click, hypothesis.strategies, libvirt, lxml.etree, prometheus_client, pyroute2, tenacity  # noqa: E401, F401

    assert "virtnetplug" not in sys.modules, "a module that a fork is to import with its fault was imported here"


if __name__ == "__main__":
    sys.exit(main())
