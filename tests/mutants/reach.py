"""Which tests run which lines: one run of all tests with coverage.py, kept until the tree changes."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import coverage
import pytest

from tests.mutants.forks import Job, Pool, Work

_KEPT = ("virtnetplug", "tests", "setup.cfg", "xml_schemas")
"""With the arguments that name tests, all that decides which test runs which line."""

_NOT_KEPT = ("tests/mutants/faults.toml", "tests/real/", "tests/lab")


@dataclass
class Reach:
    """Of each file, the tests that run each of its lines (0: any line), and the seconds each takes; `failed` fail without any fault."""

    lines: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def tests(self, file: str, lines: Collection[int]) -> list[str]:
        """The tests that run one of these lines, the shortest first. If only the import runs the lines: all that run any line of the file.

        If the fault is in no function (line 0), it may be in a table, which many tests read and none runs: then also those of ``test_FILE.py``.
        """
        of_file = self.lines.get(file, {})
        run = [line for line in lines if line in of_file]
        found = {test for line in run for test in of_file[line]}
        if run and not found:
            found = set(of_file[0])
        if 0 in lines:
            found.update(test for test in self.seconds if f"/test_{Path(file).stem}.py::" in test)
        return sorted(found, key=lambda test: (self.seconds.get(test, 0.0), test))


class _Tracer:
    """A plugin of pytest: each test is a context of its own, and only every n-th runs."""

    def __init__(self, measure: coverage.Coverage, part: int, parts: int) -> None:
        self.measure, self.part, self.parts = measure, part, parts
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.failed: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        fakes = [item for item in items if "real" not in getattr(item, "fixturenames", ())]
        items[:] = fakes[self.part :: self.parts]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self.measure.switch_context(item.nodeid)
        started = time.monotonic()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.monotonic() - started
            self.measure.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def digest(root: Path, arguments: Sequence[str]) -> str:
    """A hash of every file that decides which lines a test runs."""
    found = hashlib.sha256(repr((sys.version, coverage.__version__, arguments)).encode())
    for kept in dict.fromkeys((*_KEPT, *(each for each in arguments if not each.startswith("-")))):
        place = root / kept
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            name = path.relative_to(root).as_posix()
            if path.is_file() and path.suffix != ".pyc" and not name.startswith(_NOT_KEPT):
                found.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def measured(root: Path, arguments: Sequence[str], cache: Path, pool: Pool) -> Reach:
    """What is in `cache` if that is of this tree, else what a run of all tests shows, which is kept there."""
    key = digest(root, arguments)
    known = kept(cache)
    if known.get("key") == key:
        lines = {file: {int(line): tests for line, tests in of.items()} for file, of in known["lines"].items()}
        return Reach(lines, known["seconds"])
    parts = range(pool.width)
    answers = pool.run([Job(f"reach-{part}", _measure(root, arguments, part, pool)) for part in parts])
    reach = Reach()
    for part in parts:
        answer = answers[f"reach-{part}"]
        if answer is None:
            reach.failed.append(f"the run itself: {pool.log(f'reach-{part}')}")
            continue
        reach.seconds.update(answer["seconds"])
        reach.failed += answer["failed"]
        _add(reach, root, pool.place / f"reach-{part}.coverage")
    if not reach.failed:
        keep(cache, {"key": key, "lines": reach.lines, "seconds": reach.seconds})
    return reach


def kept(file: Path) -> dict[str, Any]:
    """What `keep` wrote there; nothing if it cannot be read."""
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def keep(file: Path, known: dict[str, Any]) -> None:
    """Written whole or not at all."""
    partial = file.with_suffix(".new")
    partial.write_text(json.dumps(known))
    partial.replace(file)


def _measure(root: Path, arguments: Sequence[str], part: int, pool: Pool) -> Work:
    def work(scratch: Path) -> dict[str, object]:
        data = pool.place / f"reach-{part}.coverage"
        data.unlink(missing_ok=True)
        measure = coverage.Coverage(data_file=str(data), include=[f"{root}/virtnetplug/*"], config_file=False)
        tracer = _Tracer(measure, part, pool.width)
        measure.start()
        status = pytest.main([*arguments, "--timeout=900", f"--basetemp={scratch}/tmp"], plugins=[tracer])
        measure.stop()
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            tracer.failed.append(f"the run itself ended early: {pool.log(f'reach-{part}')}")
        measure.save()
        return {"seconds": tracer.seconds, "failed": tracer.failed}

    return work


def _add(reach: Reach, root: Path, path: Path) -> None:
    data = coverage.CoverageData(basename=str(path))
    data.read()
    for file in data.measured_files():
        of_file = reach.lines.setdefault(Path(file).relative_to(root).as_posix(), {})
        for line, contexts in data.contexts_by_lineno(file).items():
            tests = [context for context in contexts if context]
            of_file[line] = of_file.get(line, []) + tests
            of_file[0] = sorted({*of_file.get(0, []), *tests})
    data.close()
    path.unlink()
