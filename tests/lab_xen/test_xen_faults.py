"""An error, or SIGKILL, in every world that attach and detach go through; and the same again and again: nothing of a vif is ever left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import warm
from tests.contract.faults import Trigger
from tests.lab.figures import sample
from tests.lab.worlds import InWorld, made_by, worlds
from tests.lab_xen.guest import Guest
from tests.lab_xen.nics import vif_nic
from tests.lab_xen.operations import OPERATIONS, die, run
from tests.lab_xen.views import assert_back, everything, take_all_out
from virtnetplug import Plugger, Result
from virtnetplug.errors import VirtnetplugError

CYCLES = min(50, int(os.environ.get("VIRTNETPLUG_LAB_CYCLES", "2")))

Figure = Callable[[str], None]
each_operation = pytest.mark.parametrize("operation", OPERATIONS)
_calls: dict[str, list[str]] = {}


def calls(plugger: Plugger, operation: str) -> list[str]:
    """Those that the operation makes when nothing is wrong."""
    if operation not in _calls:
        OPERATIONS[operation].prepare(plugger)
        trigger = Trigger(-1, "none")
        run(plugger, operation, trigger)
        take_all_out(plugger)
        _calls[operation] = trigger.calls
    return _calls[operation]


@each_operation
def test_fail_in_every_world(plugger: Plugger, fresh: Callable[[], Guest], figure: Figure, operation: str) -> None:
    made, start = calls(plugger, operation), time.monotonic()
    failed = 0
    for world in (chosen := sample(worlds(made))):
        before = everything(plugger, lab := fresh())
        OPERATIONS[operation].prepare(plugger)
        trigger = InWorld(world, "fail", leaving=world % 2 == 0)
        try:
            run(plugger, operation, trigger)
        except VirtnetplugError:
            failed += 1
            plugger.recover()
        take_all_out(plugger)
        assert_back(plugger, lab, before, f"{operation} {made_by(made, world)}")
    assert failed
    seconds = time.monotonic() - start
    figure(
        f"{operation}: an error in {len(chosen)} of {len(worlds(made))} worlds, {failed} of them failed it, {seconds:.0f} s"
    )


@each_operation
def test_kill_in_every_world_then_recover(
    plugger: Plugger, fresh: Callable[[], Guest], figure: Figure, tmp_path: Path, operation: str
) -> None:
    made, start = calls(plugger, operation), time.monotonic()
    killed = 0
    for world in (chosen := sample(worlds(made), 2)):
        before = everything(plugger, lab := fresh())
        OPERATIONS[operation].prepare(plugger)
        ended = warm.run(die, tmp_path / "journal", operation, world, timeout=1200)
        assert ended[0] in (-signal.SIGKILL, 0), ended  # 0: it ended before, as the guest was fast
        killed += ended[0] == -signal.SIGKILL
        plugger.recover()
        take_all_out(plugger)
        assert_back(plugger, lab, before, f"{operation} {made_by(made, world)}")
    assert killed >= 0.7 * len(chosen)
    figure(f"{operation}: killed in {killed} of {len(worlds(made))} worlds, {time.monotonic() - start:.0f} s")


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
