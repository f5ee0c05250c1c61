"""What is broken at every call: operations on vifs, in this process or in one of `tests.lab.victims`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import virtnetplug
from tests.contract.faults import Trigger, faulty
from tests.lab_xen.nics import vif_nic
from virtnetplug import Plugger, Scope

NEVER_CAME = 7
"""Exit status: the operation ended before the call at which it was to be killed."""

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


def kill(state: str, name: str, k: str, after: str) -> int:
    """Die at one call of an operation."""
    plugger = virtnetplug.open("xen:///system", state_dir=Path(state))
    run(plugger, name, Trigger(int(k), "kill", after=after == "1"))
    return NEVER_CAME
