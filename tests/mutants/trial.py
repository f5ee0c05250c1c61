"""One fault on trial: the tests that reach it run until one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.fault import Fault
from tests.mutants.overlay import Overlay


class _Witness:
    """A plugin of pytest: only `tests` run, in that order, until one fails. What cannot even be set up is no witness."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._order = {test: number for number, test in enumerate(tests)}
        self._session: pytest.Session | None = None
        self.killer = ""
        self.how = ""
        self.broken: list[str] = []

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._order]
        items[:] = sorted(chosen, key=lambda item: self._order[item.nodeid])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.failed:
            return
        if report.when != "call":
            self.broken.append(report.nodeid)
        elif not self.killer:
            self.killer, self.how = report.nodeid, _first_line(report)
            if self._session is not None:
                self._session.shouldstop = "the fault is seen"


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message).splitlines()[0] if crash is not None and crash.message else ""


def trial(
    fault: Fault | None, mutant: str, root: Path, tests: Sequence[str], arguments: Sequence[str], *, seconds: float
) -> Callable[..., Any]:
    """What a fork does: with the fault in place, if any, it runs the tests; it answers with the one that failed, how, what broke, and pytest's status.

    A test that takes longer than `seconds` hangs.
    """

    def work(scratch: Path) -> dict[str, Any]:
        if fault is not None:
            Overlay(fault.module, root / fault.file, mutant).install()
        witness = _Witness(tests)
        files = dict.fromkeys(test.partition("::")[0] for test in tests)
        options = [each for each in arguments if each.startswith("-")]
        status = pytest.main([*options, f"--timeout={seconds}", f"--basetemp={scratch}/tmp", *files], plugins=[witness])
        return {"killer": witness.killer, "how": witness.how, "broken": witness.broken, "status": int(status)}

    return work
