"""libvirtd killed in every phase of attach and of detach, and started again: what `recover` and the host make of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tests.lab import libvirtd, sriov
from tests.lab.figures import IS_LONG
from tests.lab.nics import VLAN, pool_nic
from tests.lab.views import host_state, ports
from tests.real.guests import Guest
from virtnetplug import Plugger, Result
from virtnetplug.errors import VirtnetplugError
from virtnetplug.model.operation import Outcome

Reopen = Callable[..., Plugger]
Figure = Callable[[str], None]

ATTACH = [
    ("allocate_actual_device", 0.0),
    *(("claim_device", seconds) for seconds in (0.0, 0.03)),
    ("plug_device", 0.0),
    *(("attach_hostdev", seconds) for seconds in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.7)),
    ("confirm", 0.0),
    ("ua-vf1: ", 0.0),
]
"""What is told when the killing begins, and how many seconds later it is done; giving the guest a VF takes about half a second."""

DETACH = [
    *(("ask", seconds) for seconds in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)),
    *(("waiting for the guest", seconds) for seconds in (0.0, 0.05, 0.1, 0.2, 0.3)),
    ("Closed", 0.0),
    *(("pci_reattach", seconds) for seconds in (0.0, 0.05, 0.1, 0.2)),
]

QUICK = [
    *(("attach_hostdev", 0.2), ("confirm", 0.0)),
    *(("ask", 0.05), ("waiting for the guest", 0.1), ("pci_reattach", 0.0)),
]


def run_and_kill(
    reopen: Reopen, vm: Guest, act: Callable[[Plugger], Outcome], at: str, seconds: float
) -> Outcome | VirtnetplugError:
    """Run `act`, kill libvirtd so many seconds after `at` was told, and start it again."""
    told, is_over = threading.Event(), threading.Event()
    plugger = reopen(lambda event: told.set() if at in event.text else None)

    def strike() -> None:
        told.wait()
        is_over.wait(seconds)
        libvirtd.kill()

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        answer: Outcome | VirtnetplugError = act(plugger)
    except VirtnetplugError as error:
        answer = error
    was_told = told.is_set()
    told.set()
    thread.join()
    libvirtd.start(vm)
    assert was_told, f"{at} was never told"
    return answer


def settle(reopen: Reopen, vm: Guest, answer: Outcome | VirtnetplugError, *, may_taint: bool) -> str:
    """Recover, and take the NIC out if it is in; what became of the operation."""
    if isinstance(answer, VirtnetplugError):
        assert (answer.reason, answer.exit_code) == ("connection-lost", 5), answer
    plugger = reopen()
    outcomes = plugger.recover(wait=600)
    what = str(outcomes[0].result) if outcomes else "done"
    if not vm.dom.isActive():
        what += ", its guest ended"
    elif outcomes and outcomes[0].result is Result.INCOMPLETE:
        what = "forgotten by libvirt"
        check_forgotten(plugger, vm, outcomes[0], may_taint=may_taint)
    elif vm.aliases():
        assert isinstance(answer, Outcome) and outcomes == ()
        assert plugger.detach(vm.name, "ua-vf1", wait=600).result is Result.DONE
    if not vm.dom.isActive():
        vm.dom.create()
        vm.wait_ready()
        plugger.recover()
    assert plugger.recover(wait=600) == () and plugger.audit().findings == ()
    assert plugger._host.journal.holdings() == []
    return what


def check_forgotten(plugger: Plugger, vm: Guest, outcome: Outcome, *, may_taint: bool) -> None:
    """The guest has a device that libvirt does not know of: nobody else gets it, and it comes back with leave to taint, or with the guest's end."""
    (holding,) = plugger._host.journal.holdings()
    assert outcome.reason == "orphan-device" and str(holding.address) in outcome.message
    assert vm.aliases() == [] and sriov.driver(str(holding.address)) == "vfio-pci"
    assert {"device-quarantined", "operation-open"} <= {finding.kind for finding in plugger.audit().findings}
    if may_taint:
        assert plugger.recover(wait=600, allow_taint=True)[0].result is Result.UNDONE
    else:
        vm.destroy()
        assert plugger.recover(wait=600)[0].result is Result.UNDONE


def check_every_moment(reopen: Reopen, vm: Guest, figure: Figure, name: str, act: Callable[[Plugger], Outcome]) -> None:
    before = host_state(), ports(reopen())
    came: list[str] = []
    lost, start = 0, time.monotonic()
    every = ATTACH if name == "attach" else DETACH
    for at, delay in (moments := every if IS_LONG else [each for each in every if each in QUICK]):
        what = f"{name}, killed {delay} s after {at}"
        if name == "detach":
            reopen().attach(vm.name, [pool_nic(more=VLAN)])
        answer = run_and_kill(reopen, vm, act, at, delay)
        lost += isinstance(answer, VirtnetplugError)
        came.append(settle(reopen, vm, answer, may_taint=len(came) % 2 == 0))
        assert (host_state(), ports(reopen())) == before, what
    told = ", ".join(f"{came.count(each)} {each}" for each in sorted(set(came)))
    seconds = time.monotonic() - start
    figure(f"{name}, libvirtd killed in {len(moments)} moments, {lost} of them in the middle: {told}; {seconds:.0f} s")
    assert lost >= len(moments) // 2, "the daemon hardly ever died in the middle"


def test_attach(reopen: Reopen, vm: Guest, figure: Figure) -> None:
    check_every_moment(reopen, vm, figure, "attach", lambda p: p.attach(vm.name, [pool_nic(more=VLAN)], wait=600))


def test_detach(reopen: Reopen, vm: Guest, figure: Figure) -> None:
    check_every_moment(reopen, vm, figure, "detach", lambda p: p.detach(vm.name, "ua-vf1", wait=600))


@pytest.mark.parametrize("ending", ["resume", "reset"] if IS_LONG else ["reset"])
def test_while_a_guest_that_holds_on_is_waited_for(reopen: Reopen, vm: Guest, ending: str) -> None:
    before = host_state(), ports(reopen())
    reopen().attach(vm.name, [pool_nic()])
    vm.hold()
    answer = run_and_kill(reopen, vm, lambda p: p.detach(vm.name, "ua-vf1", wait=600), "waiting for the guest", 0.5)
    assert isinstance(answer, VirtnetplugError)
    vm.resume() if ending == "resume" else vm.reset()
    assert settle(reopen, vm, answer, may_taint=False) == "done"
    assert (host_state(), ports(reopen())) == before
