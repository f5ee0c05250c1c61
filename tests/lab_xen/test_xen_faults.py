"""An error, or SIGKILL, in every world that attach and detach go through; and the same again and again: nothing of a vif is ever left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import warm
from tests.contract.faults import Trigger, kill_points
from tests.lab.figures import sample
from tests.lab_xen.guest import Guest
from tests.lab_xen.nics import vif_nic
from tests.lab_xen.operations import OPERATIONS, die, run
from tests.lab_xen.views import assert_back, everything, take_all_out
from virtnetplug import Plugger, Result
from virtnetplug.errors import VirtnetplugError

CYCLES = min(50, int(os.environ.get("VIRTNETPLUG_LAB_CYCLES", "2")))

Figure = Callable[[str], None]
each_operation = pytest.mark.parametrize("operation", OPERATIONS)


def calls(plugger: Plugger, operation: str) -> list[str]:
    """Those that the operation makes when nothing is wrong."""
    OPERATIONS[operation].prepare(plugger)
    trigger = Trigger(-1, "none")
    run(plugger, operation, trigger)
    take_all_out(plugger)
    return trigger.calls


def told(operation: str, point: tuple[int, bool], made: list[str]) -> str:
    """Where it was broken."""
    k, is_after = point
    return f"{operation}, {'after' if is_after else 'before'} call {k} ({made[k]})"


@each_operation
def test_fail_in_every_world(plugger: Plugger, fresh: Callable[[], Guest], figure: Figure, operation: str) -> None:
    made, start = calls(plugger, operation), time.monotonic()
    failed = 0
    for point in (chosen := sample(kill_points(made))):
        before = everything(plugger, lab := fresh())
        OPERATIONS[operation].prepare(plugger)
        trigger = Trigger(point[0], "fail", after=point[1])
        try:
            run(plugger, operation, trigger)
        except VirtnetplugError:
            failed += 1
            plugger.recover()
        take_all_out(plugger)
        assert_back(plugger, lab, before, told(operation, point, made))
    assert failed
    seconds = time.monotonic() - start
    figure(f"{operation}: an error in {len(chosen)} worlds, {failed} of them failed it, {seconds:.0f} s")


@each_operation
def test_kill_in_every_world_then_recover(
    plugger: Plugger, fresh: Callable[[], Guest], figure: Figure, tmp_path: Path, operation: str
) -> None:
    made, start = calls(plugger, operation), time.monotonic()
    for point in (chosen := sample(kill_points(made))):
        before = everything(plugger, lab := fresh())
        OPERATIONS[operation].prepare(plugger)
        ended = warm.run(die, tmp_path / "journal", operation, *point, timeout=1200)
        assert ended[0] == -signal.SIGKILL, ended
        plugger.recover()
        take_all_out(plugger)
        assert_back(plugger, lab, before, told(operation, point, made))
    figure(f"{operation}: killed in {len(chosen)} worlds, {time.monotonic() - start:.0f} s")


def test_many_cycles_leak_nothing(plugger: Plugger, fresh: Callable[[], Guest], figure: Figure) -> None:
    seconds = 0.0
    for _ in range(CYCLES):
        before, start = everything(plugger, lab := fresh()), time.monotonic()
        plugger.attach("lab", [vif_nic(1, source="network='lab'")])
        assert plugger.detach("lab", "ua-nic1").result is Result.DONE
        seconds += time.monotonic() - start
        assert_back(plugger, lab, before)
    assert plugger.audit().findings == ()
    figure(f"{CYCLES} cycles of attach and detach in {seconds:.0f} s, {seconds / CYCLES:.2f} s each")
