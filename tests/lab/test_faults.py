"""An error, or SIGKILL, in every world an operation goes through; and the same again and again: nothing is ever left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import warm
from tests.contract.faults import Trigger
from tests.lab.figures import IS_LONG, sample
from tests.lab.nics import pool_nic
from tests.lab.operations import OPERATIONS, die, run
from tests.lab.views import assert_back, everything, take_all_out
from tests.lab.worlds import InWorld, made_by, worlds
from tests.real.guests import Guest
from virtnetplug import Plugger, Result
from virtnetplug.errors import VirtnetplugError

CYCLES = int(os.environ.get("VIRTNETPLUG_LAB_CYCLES", "3"))

PLAIN = ("attach", "detach")
"""What the quick suite breaks, in some of their worlds."""

Figure = Callable[[str], None]
each_operation = pytest.mark.parametrize("operation", OPERATIONS if IS_LONG else PLAIN)
_calls: dict[str, list[str]] = {}


def calls(plugger: Plugger, vm: Guest, operation: str) -> list[str]:
    """Those that the operation makes when nothing is wrong."""
    if operation not in _calls:
        OPERATIONS[operation].prepare(plugger, vm.name)
        trigger = Trigger(-1, "none")
        run(plugger, operation, vm.name, trigger)
        take_all_out(plugger, vm.name)
        _calls[operation] = trigger.calls
    return _calls[operation]


@each_operation
def test_fail_in_every_world(plugger: Plugger, vm: Guest, figure: Figure, operation: str) -> None:
    before, start = everything(plugger, vm), time.monotonic()
    made = calls(plugger, vm, operation)
    failed = 0
    for world in (chosen := sample(worlds(made))):
        OPERATIONS[operation].prepare(plugger, vm.name)
        trigger = InWorld(world, "fail", leaving=world % 2 == 0)
        try:
            run(plugger, operation, vm.name, trigger)
        except VirtnetplugError:
            failed += 1
            plugger.recover(wait=600)
        take_all_out(plugger, vm.name)
        assert_back(plugger, vm, before, f"{operation} {made_by(made, world)}")
    assert failed
    seconds = time.monotonic() - start
    figure(
        f"{operation}: an error in {len(chosen)} of {len(worlds(made))} worlds, {failed} of them failed it, in {seconds:.0f} s"
    )


@each_operation
def test_kill_in_every_world_then_recover(
    plugger: Plugger, vm: Guest, figure: Figure, tmp_path: Path, operation: str
) -> None:
    before, start = everything(plugger, vm), time.monotonic()
    killed = 0
    made = calls(plugger, vm, operation)
    for world in (chosen := sample(worlds(made))):
        OPERATIONS[operation].prepare(plugger, vm.name)
        ended = warm.run(die, tmp_path / "journal", operation, vm.name, world, timeout=1200)
        assert ended[0] in (-signal.SIGKILL, 0), ended  # 0: it ended before, as the guest was fast
        killed += ended[0] == -signal.SIGKILL
        plugger.recover(wait=600)
        take_all_out(plugger, vm.name)
        assert_back(plugger, vm, before, f"{operation} {made_by(made, world)}")
    assert killed >= 0.7 * len(chosen)
    figure(f"{operation}: killed in {killed} of {len(worlds(made))} worlds in {time.monotonic() - start:.0f} s")


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
