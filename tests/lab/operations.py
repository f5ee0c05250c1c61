"""What is broken at every call: operations on real VFs, in this process or in one of `tests.lab.victims`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import virtnetplug
from tests.contract.faults import Trigger, faulty
from tests.lab import sriov
from tests.lab.nics import PFS, VLAN, pool_nic, team, vf_nic
from virtnetplug import Plugger, Scope
from virtnetplug.errors import VirtnetplugError

NEVER_CAME = 7
"""Exit status: the operation ended before the call at which it was to be killed."""


class Operation(NamedTuple):
    """How the guest comes to what it has, and what is then done to it; each with a plugger and the guest's name."""

    prepare: Callable[[Plugger, str], Any]
    act: Callable[[Plugger, str], Any]


def _unmanaged() -> str:
    return vf_nic(sriov.vfs(PFS[1])[3], "no", more=VLAN)


OPERATIONS = {
    "attach": Operation(lambda p, n: None, lambda p, n: p.attach(n, [pool_nic()], scope=Scope.LIVE, wait=600)),
    "detach": Operation(lambda p, n: p.attach(n, [pool_nic()]), lambda p, n: p.detach(n, "ua-vf1", wait=600)),
    "attach unmanaged": Operation(lambda p, n: None, lambda p, n: p.attach(n, [_unmanaged()], wait=600)),
    "detach unmanaged": Operation(
        lambda p, n: p.attach(n, [_unmanaged()]), lambda p, n: p.detach(n, "ua-vf1", wait=600)
    ),
    "attach a team": Operation(lambda p, n: None, lambda p, n: p.attach(n, team(), wait=600)),
    "detach a team": Operation(
        lambda p, n: p.attach(n, team()), lambda p, n: p.detach(n, ["ua-vf1", "ua-vf2"], wait=600)
    ),
}


def run(plugger: Plugger, name: str, guest: str, trigger: Trigger) -> None:
    """The operation `name` on `guest`, with every call of it going through `trigger`."""
    OPERATIONS[name].act(Plugger(faulty(plugger._host, trigger), lambda: None), guest)


def attach(state: str, name: str, number: str) -> int:
    """Attach a VF of pool0 to that guest; gives the exit code."""
    with virtnetplug.open("qemu:///system", state_dir=Path(state)) as plugger:
        try:
            plugger.attach(name, [pool_nic(int(number))])
        except VirtnetplugError as error:
            return error.exit_code
    return 0


def kill(state: str, name: str, guest: str, k: str, after: str) -> int:
    """Die at one call of an operation."""
    plugger = virtnetplug.open("qemu:///system", state_dir=Path(state))
    run(plugger, name, guest, Trigger(int(k), "kill", after=after == "1"))
    return NEVER_CAME
