"""An error, or SIGKILL, at every call of an operation; and the same again and again: nothing is ever left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.faults import Trigger
from tests.lab.nics import pool_nic
from tests.lab.operations import NEVER_CAME, OPERATIONS, run
from tests.lab.views import assert_back, everything, take_all_out
from tests.real.guests import Guest
from virtnetplug import Plugger, Result
from virtnetplug.errors import VirtnetplugError

EVERY = int(os.environ.get("VIRTNETPLUG_LAB_EVERY", "8"))
"""The quick suite breaks every eighth call of attach and detach; the long one (1) every call of them and of the others, before and after it happened."""

CYCLES = int(os.environ.get("VIRTNETPLUG_LAB_CYCLES", "3"))

PLAIN = ("attach", "detach")
Figure = Callable[[str], None]


def calls(plugger: Plugger, vm: Guest, operation: str) -> int:
    """How many calls the operation makes when nothing is wrong."""
    OPERATIONS[operation].prepare(plugger, vm.name)
    trigger = Trigger(-1, "none")
    run(plugger, operation, vm.name, trigger)
    take_all_out(plugger, vm.name)
    return len(trigger.calls)


def points(count: int) -> Iterator[tuple[int, bool]]:
    """The calls to break, and whether before or after they happened."""
    if EVERY == 1:
        yield from ((k, after) for k in range(count) for after in (False, True))
        return
    yield from ((k, bool(k % 2)) for k in range(EVERY // 2, count, EVERY))


@pytest.mark.parametrize("operation", OPERATIONS if EVERY == 1 else PLAIN)
def test_fail_at_every_step(plugger: Plugger, vm: Guest, figure: Figure, operation: str) -> None:
    before = everything(plugger, vm)
    count, start = calls(plugger, vm, operation), time.monotonic()
    failed = 0
    for k, after in (chosen := list(points(count))):
        OPERATIONS[operation].prepare(plugger, vm.name)
        trigger = Trigger(k, "fail", after=after)
        try:
            run(plugger, operation, vm.name, trigger)
        except VirtnetplugError:
            failed += 1
            plugger.recover(wait=60)
        take_all_out(plugger, vm.name)
        assert_back(plugger, vm, before, f"{operation}, call {k} ({trigger.calls[-1]}, after {after})")
    assert failed
    seconds = time.monotonic() - start
    figure(
        f"{operation}: an error at {len(chosen)} points of {count} calls, {failed} of them failed it, in {seconds:.0f} s"
    )


@pytest.mark.parametrize("operation", OPERATIONS if EVERY == 1 else PLAIN)
def test_kill_at_every_step_then_recover(
    plugger: Plugger, vm: Guest, figure: Figure, tmp_path: Path, operation: str
) -> None:
    before = everything(plugger, vm)
    count, start = calls(plugger, vm, operation), time.monotonic()
    killed = 0
    for k, after in (chosen := list(points(count))):
        OPERATIONS[operation].prepare(plugger, vm.name)
        what = [str(tmp_path / "journal"), operation, vm.name, str(k), str(int(after))]
        child = subprocess.run(
            [sys.executable, "-m", "tests.lab.operations", "kill", *what], capture_output=True, text=True, timeout=300
        )
        assert child.returncode in (-signal.SIGKILL, NEVER_CAME), child.stderr
        killed += child.returncode == -signal.SIGKILL
        plugger.recover(wait=60)
        take_all_out(plugger, vm.name)
        assert_back(plugger, vm, before, f"{operation}, killed at call {k} (after {after})")
    assert killed >= 0.7 * len(chosen)
    figure(f"{operation}: killed at {killed} points of {count} calls in {time.monotonic() - start:.0f} s")


def test_many_cycles_leak_nothing(plugger: Plugger, vm: Guest, figure: Figure) -> None:
    before = everything(plugger, vm), open_files(vm)
    start = time.monotonic()
    for _ in range(CYCLES):
        plugger.attach(vm.name, [pool_nic()])
        assert plugger.detach(vm.name, "ua-vf1", wait=60).result is Result.DONE
    seconds = time.monotonic() - start
    assert_back(plugger, vm, before[0])
    assert open_files(vm) == before[1]
    assert plugger.audit().findings == ()
    figure(f"{CYCLES} cycles of attach and detach in {seconds:.0f} s, {seconds / CYCLES:.2f} s each")


def open_files(vm: Guest) -> int:
    """Of the guest's QEMU."""
    return len(os.listdir(f"/proc/{vm.pid}/fd"))
