"""What is broken in its worlds: operations on real VFs, in this process or in one that is to die (`tests.warm`)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import virtnetplug
from tests.contract.faults import Trigger, faulty
from tests.lab import sriov
from tests.lab.nics import PFS, VLAN, pool_nic, team, vf_nic
from tests.lab.worlds import InWorld
from virtnetplug import Plugger, Scope
from virtnetplug.errors import VirtnetplugError
from virtnetplug.model.operation import Outcome
from virtnetplug.model.pci import PciAddress


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


def attach(state: Path, guest: str, number: int) -> None:
    """Attach a VF of pool0 to that guest; the exit status is the command's, and an error is said."""
    with virtnetplug.open("qemu:///system", state_dir=state) as plugger:
        try:
            plugger.attach(guest, [pool_nic(number)])
        except VirtnetplugError as error:
            print(f"{error.reason}: {error.message}", flush=True)
            sys.exit(error.exit_code)


def die(state: Path, name: str, guest: str, world: int) -> None:
    """Die in one world of an operation."""
    plugger = virtnetplug.open("qemu:///system", state_dir=state)
    run(plugger, name, guest, InWorld(world, "kill"))


def rebind_pf(plugger: Plugger, **wish: Any) -> Outcome:
    """The first PF, whatever that cuts off."""
    return plugger.rebind_pf(PciAddress.parse(PFS[0]), **{"allow_outage": True, "wait": 600, **wish})


def die_in_rebind(state: Path, world: int) -> None:
    """Die in one world of a rebind of the first PF."""
    opened = virtnetplug.open("qemu:///system", state_dir=state)
    rebind_pf(Plugger(faulty(opened._host, InWorld(world, "kill")), lambda: None), reload_driver=True)
