"""`run` gives one command line to the command, in this process and on the fakes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.cli.fakes import (
    ENFORCED,
    FINDING,
    IDENTITY,
    NIC,
    POLICY,
    RECORD,
    STEP,
    TREE,
    UNFIT,
    FakePlugger,
    FakeWiring,
)  # fmt: skip
from virtnetplug.cli import main, progress
from virtnetplug.hotplug.plugger import Plugger


@dataclass
class Ran:
    """What one command line gave."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine, no command is so late that it says what it waits for."""
    monkeypatch.setattr(progress, "PATIENCE", 3600.0)


@pytest.fixture(autouse=True)
def _real_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of the fake plugger is one that the real plugger takes."""
    methods = {name for name in vars(Plugger) if not name.startswith("_")} & vars(FakePlugger).keys()
    for name in methods:
        monkeypatch.setattr(FakePlugger, name, _checked(getattr(FakePlugger, name), getattr(Plugger, name)))


def _checked(method: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        inspect.signature(real).bind(*args, **named)
        return method(*args, **named)

    return call


@pytest.fixture
def wiring() -> FakeWiring:
    return FakeWiring()


@pytest.fixture
def plugger(wiring: FakeWiring) -> FakePlugger:
    return wiring.plugger


@pytest.fixture
def run(wiring: FakeWiring, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run one command line given as words."""

    def call(*words: str) -> Ran:
        capsys.readouterr()
        code = main(wiring, words)  # type: ignore[arg-type]
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture
def samples() -> Any:
    """The values the fakes answer with."""

    class Samples:
        nic, step, record, finding = NIC, STEP, RECORD, FINDING
        tree, unfit = TREE, UNFIT
        identity, policies, enforced = IDENTITY, POLICY, ENFORCED

    return Samples
