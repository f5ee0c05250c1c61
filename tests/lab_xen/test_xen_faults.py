"""An error, or SIGKILL, at the calls of an attach and a detach; and the same again and again: nothing of a vif is ever left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.faults import Trigger
from tests.lab_xen.guest import Guest
from tests.lab_xen.nics import vif_nic
from tests.lab_xen.operations import NEVER_CAME, OPERATIONS, run
from tests.lab_xen.views import assert_back, everything, take_all_out
from virtnetplug import Plugger, Result
from virtnetplug.errors import VirtnetplugError

EVERY = int(os.environ.get("VIRTNETPLUG_LAB_EVERY", "6"))
"""The quick suite breaks every sixth call; the long one (1) every call, before and after it happened."""

CYCLES = min(50, int(os.environ.get("VIRTNETPLUG_LAB_CYCLES", "2")))

Figure = Callable[[str], None]
each_operation = pytest.mark.parametrize("operation", OPERATIONS)


def points(plugger: Plugger, operation: str) -> list[tuple[int, bool]]:
    """The calls to break, and whether before or after they happened."""
    OPERATIONS[operation].prepare(plugger)
    trigger = Trigger(-1, "none")
    run(plugger, operation, trigger)
    take_all_out(plugger)
    count = len(trigger.calls)
    if EVERY == 1:
        return [(k, after) for k in range(count) for after in (False, True)]
    return [(k, bool(k % 2)) for k in range(EVERY // 2, count, EVERY)]


@each_operation
def test_fail_at_every_step(plugger: Plugger, fresh: Callable[[], Guest], figure: Figure, operation: str) -> None:
    chosen, start = points(plugger, operation), time.monotonic()
    failed = 0
    for k, after in chosen:
        before = everything(plugger, lab := fresh())
        OPERATIONS[operation].prepare(plugger)
        trigger = Trigger(k, "fail", after=after)
        try:
            run(plugger, operation, trigger)
        except VirtnetplugError:
            failed += 1
            plugger.recover()
        take_all_out(plugger)
        assert_back(plugger, lab, before, f"{operation}, call {k} ({trigger.calls[-1]}, after {after})")
    assert failed
    figure(
        f"{operation}: an error at {len(chosen)} calls, {failed} of them failed it, {time.monotonic() - start:.0f} s"
    )


@each_operation
def test_kill_at_every_step_then_recover(
    plugger: Plugger, fresh: Callable[[], Guest], figure: Figure, tmp_path: Path, operation: str
) -> None:
    chosen, start = points(plugger, operation), time.monotonic()
    killed = 0
    for k, after in chosen:
        before = everything(plugger, lab := fresh())
        OPERATIONS[operation].prepare(plugger)
        what = [str(tmp_path / "journal"), operation, str(k), str(int(after))]
        child = subprocess.run(
            [sys.executable, "-m", "tests.lab_xen.operations", *what], capture_output=True, text=True, timeout=300
        )
        assert child.returncode in (-signal.SIGKILL, NEVER_CAME), child.stderr
        killed += child.returncode == -signal.SIGKILL
        plugger.recover()
        take_all_out(plugger)
        assert_back(plugger, lab, before, f"{operation}, killed at call {k} (after {after})")
    assert killed >= 0.7 * len(chosen)
    figure(f"{operation}: killed at {killed} calls, {time.monotonic() - start:.0f} s")


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
