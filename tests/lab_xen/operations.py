"""What is broken in its worlds: operations on vifs, in this process or in one that is to die (`tests.warm`)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import virtnetplug
from tests.contract.faults import Trigger, faulty
from tests.lab.worlds import InWorld
from tests.lab_xen.nics import vif_nic
from virtnetplug import Plugger, Scope

NIC = vif_nic(1, source="network='lab'")


class Operation(NamedTuple):
    """How the guest comes to what it has, and what is then done to it."""

    prepare: Callable[[Plugger], Any]
    act: Callable[[Plugger], Any]


OPERATIONS = {
    "attach": Operation(lambda p: None, lambda p: p.attach("lab", [NIC], scope=Scope.BOTH)),
    "detach": Operation(
        lambda p: p.attach("lab", [NIC], scope=Scope.BOTH), lambda p: p.detach("lab", "ua-nic1", scope=Scope.BOTH)
    ),
}


def run(plugger: Plugger, name: str, trigger: Trigger) -> None:
    """The operation `name`, with every call of it going through `trigger`."""
    OPERATIONS[name].act(Plugger(faulty(plugger._host, trigger), lambda: None))


def die(state: Path, name: str, world: int) -> None:
    """Die in one world of an operation."""
    plugger = virtnetplug.open("xen:///system", state_dir=state)
    run(plugger, name, InWorld(world, "kill"))


class Killing:
    """The drivers, which end this process after one of their effects."""

    def __init__(self, drivers: Any, after: str) -> None:
        self._drivers, self._after = drivers, after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._drivers, name)

        def run(*words: Any) -> Any:
            answer = call(*words)
            if name == self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return run


def die_in_rebind(state: Path, after: str) -> None:
    """Die in a rebind of the guest's first vif, once its drivers have done `after`."""
    opened = virtnetplug.open("xen:///system", state_dir=state)
    opened._host = replace(opened._host, vif_drivers=Killing(opened._host.vif_drivers, after))
    opened.rebind_vif("lab", "ua-first", reload_driver=after == "reload")
