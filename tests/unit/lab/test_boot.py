"""A boot that fails is tried once more, and said; whatever happens, the machine is ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host import run
from host.cache import Image
from host.machine import BootFailed
from host.stages import Stages
from inside import frames
from sriov.recipe import SRIOV

IMAGE = Image(Path("/nonexistent"))


class Boots:
    """Stands for the emulated machine: the first `failing` boots hang."""

    def __init__(self, failing: int, exits: int | None = 0) -> None:
        self.failing, self.exits = failing, exits
        self.started = self.ended = 0
        self.told: list[dict[str, Any]] = []

    def __call__(self, *_arguments: object, **_options: object) -> Boots:
        self.started += 1
        return self

    def wait_ready(self, _stage_done: Callable[[str], None]) -> None:
        if self.started <= self.failing:
            raise BootFailed("it hangs")

    def tell(self, **message: Any) -> None:
        self.told.append(message)

    def receive(self, _timeout: float) -> list[tuple[bytes, bytes]]:
        if self.exits is None:
            return []
        return [(frames.OUTPUT, b"a\nb"), next(frames.Reader().feed(frames.control(exit=self.exits)))]

    def power_off(self) -> None:
        self.told.append({"off": True})

    def end(self) -> None:
        self.ended += 1


def inside(monkeypatch: pytest.MonkeyPatch, boots: Boots, **options: Any) -> int:
    monkeypatch.setattr(run, "Machine", boots)
    return run.inside(SRIOV, IMAGE, ["true"], Stages(), **options)


@pytest.mark.parametrize("failing", [0, 1])
def test_the_command_runs_once_and_its_exit_code_is_given(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], failing: int
) -> None:
    boots = Boots(failing, exits=7)
    assert inside(monkeypatch, boots) == 7
    assert boots.told == [{"run": ["true"]}]
    assert boots.started == boots.ended == failing + 1
    said = capfd.readouterr()
    assert ("boot failed; trying once more: it hangs" in said.err) == bool(failing)
    first, second = said.out.splitlines()
    assert first.endswith("] a") and second.endswith("] b")


def test_two_failed_boots_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    boots = Boots(failing=2)
    with pytest.raises(SystemExit, match="1"):
        inside(monkeypatch, boots)
    assert boots.started == boots.ended == 2 and boots.told == []


def test_a_command_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    boots = Boots(failing=0, exits=None)
    assert inside(monkeypatch, boots, timeout=0.01) == run.TIMED_OUT
    assert boots.ended == 1


def test_a_disk_that_is_kept_is_made_anew_for_each_boot_and_powered_off_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boots, made = Boots(failing=1), []
    assert inside(monkeypatch, boots, new_disk=lambda: made.append("disk")) == 0
    assert made == ["disk", "disk"]
    assert boots.told[-1] == {"off": True}
