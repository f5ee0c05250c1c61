"""An error, or SIGKILL, in every world an operation goes through; and the same again and again: nothing is ever left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import warm
from tests.contract.faults import Trigger, kill_points
from tests.lab.figures import IS_LONG, sample
from tests.lab.nics import pool_nic
from tests.lab.operations import OPERATIONS, die, run
from tests.lab.views import assert_back, everything, take_all_out
from tests.real.guests import Guest
from virtnetplug import Plugger, Result
from virtnetplug.errors import VirtnetplugError

CYCLES = int(os.environ.get("VIRTNETPLUG_LAB_CYCLES", "3"))

PLAIN = ("attach", "detach")
"""What the quick suite breaks, in some of their worlds."""

Figure = Callable[[str], None]
each_operation = pytest.mark.parametrize("operation", OPERATIONS if IS_LONG else PLAIN)


def calls(plugger: Plugger, vm: Guest, operation: str) -> list[str]:
    """Those that the operation makes when nothing is wrong."""
    OPERATIONS[operation].prepare(plugger, vm.name)
    trigger = Trigger(-1, "none")
    run(plugger, operation, vm.name, trigger)
    take_all_out(plugger, vm.name)
    return trigger.calls


def told(operation: str, point: tuple[int, bool], made: list[str]) -> str:
    """Where it was broken."""
    k, is_after = point
    return f"{operation}, {'after' if is_after else 'before'} call {k} ({made[k]})"


@each_operation
def test_fail_in_every_world(plugger: Plugger, vm: Guest, figure: Figure, operation: str) -> None:
    before, start = everything(plugger, vm), time.monotonic()
    made = calls(plugger, vm, operation)
    failed = 0
    for point in (chosen := sample(kill_points(made))):
        OPERATIONS[operation].prepare(plugger, vm.name)
        trigger = Trigger(point[0], "fail", after=point[1])
        try:
            run(plugger, operation, vm.name, trigger)
        except VirtnetplugError:
            failed += 1
            plugger.recover(wait=600)
        take_all_out(plugger, vm.name)
        assert_back(plugger, vm, before, told(operation, point, made))
    assert failed
    seconds = time.monotonic() - start
    figure(f"{operation}: an error in {len(chosen)} worlds, {failed} of them failed it, in {seconds:.0f} s")


@each_operation
def test_kill_in_every_world_then_recover(
    plugger: Plugger, vm: Guest, figure: Figure, tmp_path: Path, operation: str
) -> None:
    before, start = everything(plugger, vm), time.monotonic()
    made = calls(plugger, vm, operation)
    for point in (chosen := sample(kill_points(made))):
        OPERATIONS[operation].prepare(plugger, vm.name)
        ended = warm.run(die, tmp_path / "journal", operation, vm.name, *point, timeout=1200)
        assert ended[0] == -signal.SIGKILL, ended
        plugger.recover(wait=600)
        take_all_out(plugger, vm.name)
        assert_back(plugger, vm, before, told(operation, point, made))
    figure(f"{operation}: killed in {len(chosen)} worlds in {time.monotonic() - start:.0f} s")


def test_many_cycles_leak_nothing(plugger: Plugger, vm: Guest, figure: Figure) -> None:
    before = everything(plugger, vm), open_files(vm)
    start = time.monotonic()
    for _ in range(CYCLES):
        plugger.attach(vm.name, [pool_nic()])
        assert plugger.detach(vm.name, "ua-vf1", wait=600).result is Result.DONE
    seconds = time.monotonic() - start
    assert_back(plugger, vm, before[0])
    assert open_files(vm) == before[1]
    assert plugger.audit().findings == ()
    figure(f"{CYCLES} cycles of attach and detach in {seconds:.0f} s, {seconds / CYCLES:.2f} s each")


def open_files(vm: Guest) -> int:
    """Of the guest's QEMU."""
    return len(os.listdir(f"/proc/{vm.pid}/fd"))
