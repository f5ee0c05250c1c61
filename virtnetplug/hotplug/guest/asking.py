"""Making a guest let go of a NIC: ask, wait for its answer, and let the live XML decide.

libvirt's own detach waits 5 s and then returns success with the device still there
(``qemuDomainWaitForDeviceRemoval``). Here the watch is open before the guest is asked, and a NIC counts as gone only once the
live definition no longer has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence

from virtnetplug import interruption
from virtnetplug.errors import (
    ConnectionLost,
    DeviceMissing,
    DomainMissing,
    DomainNotRunning,
    EmulatorLost,
    Failed,
    GuestBusy,
    HypervisorFailed,
    RemovalFailed,
    UnplugInProgress,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.waiting import Wait, WaitsFor, to_end
from virtnetplug.hotplug.guest.guest import Answer, expect_unchanged, found, is_another, look_for
from virtnetplug.hotplug.look.recognition import end_of
from virtnetplug.hotplug.look.view import definition, describe
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half
from virtnetplug.model.run import NO_RUN, Run
from virtnetplug.ports.domain import Domain, GuestEvent, GuestEventKind, Watch

LOOK_AGAIN = 2.0
"""Seconds after which the live XML is read even without an event: an event may be lost, the XML is not."""

ASK_AGAIN = 0.5
"""Seconds before a guest whose slot was busy is asked again (its PCIe power indicator blinks for 5 s after a plug)."""


GRACE = 5.0
"""Seconds a guest that has been asked already is left alone before it is asked again.

On native PCIe hot-plug a second press of the button within 5 s cancels the first. And libvirt, asked for a device that QEMU has just
removed, forgets it at once; the queued DEVICE_DELETED then strikes whatever next bears that alias.
"""

ENDING = 10.0
"""Seconds that libvirt has to end a domain whose QEMU has died."""


class StillHeld(Failed):
    """The guest was asked and has not let go; only waiting longer helps."""

    reason = "pending"


def ask(
    host: Host,
    domain: Domain,
    net: Interface,
    watch: Watch,
    deadline: float,
    *,
    run: Run = NO_RUN,
    seen: Sequence[Interface] = (),
) -> None:
    """Ask the guest to let go of `net`; returns once it has been asked, or has nothing left to let go of.

    If `run` is given, no other run of the domain is asked. Raises what the hypervisor raised where it refused to ask, and `NicChanged` if the NIC is
    connected as none of `seen`.
    """
    while True:
        now, answer = found(domain, net, run=run)
        if now is None or answer is not Answer.HELD:
            return
        if seen:
            expect_unchanged(now, *seen)
        try:
            domain.detach(now.alias or "", Half.LIVE)
        except (DeviceMissing, UnplugInProgress, DomainNotRunning, DomainMissing):
            return  # nothing to ask for, or asked already: the wait that follows finds out which
        except GuestBusy:
            if host.clock.monotonic() + ASK_AGAIN > deadline:
                raise
            with interruption.allowed():
                watch.next(ASK_AGAIN)
            continue
        except HypervisorFailed as error:
            if not _has_ended(host, domain, watch, ENDING if isinstance(error, EmulatorLost) else 0.0):
                raise
        return


def _has_ended(host: Host, domain: Domain, watch: Watch, seconds: float) -> bool:
    """Whether the domain has ended, or ends in `seconds`: libvirt hears of the death of a QEMU a moment later than a call that fails."""
    until = host.clock.monotonic() + seconds
    while True:
        domain.await_idle()
        if definition(domain, Half.LIVE) is None:
            return True
        if host.clock.monotonic() >= until:
            return False
        watch.next(ASK_AGAIN)


def released(
    host: Host,
    domain: Domain,
    net: Interface,
    watch: Watch,
    deadline: float,
    *,
    run: Run,
    was_asked: bool = False,
    resumed: Callable[[], None] = lambda: None,
    seen: Callable[[Interface], None] = lambda now: None,
) -> Generator[Wait, GuestEvent | None, Answer]:
    """Wait until the guest let go of `net`, refused (`RemovalFailed`), ended, or `deadline` (monotonic seconds) passed.

    The live definition is read each time that something happened, or `LOOK_AGAIN` has passed. A guest that `was_asked` by an earlier call is
    asked again once, after `GRACE`. `resumed` is called after each wait, before anything else is done, and `seen` with the NIC at each look at it.
    """
    clock = host.clock
    ask_again = clock.monotonic() + GRACE if was_asked else math.inf
    while True:
        there, answer = found(domain, net, run=run)
        if there is not None and is_another(domain, there, end_of(net), run=run):
            answer = Answer.GONE
        elif there is not None:
            seen(there)
        if answer is Answer.GONE:
            domain.await_idle()  # behind the removal: a DEVICE_DELETED that libvirt still queues strikes the next of that alias
        now = clock.monotonic()
        if answer is not Answer.HELD or now >= deadline:
            return answer
        if now >= ask_again:
            ask_again = math.inf
            ask(host, domain, net, watch, deadline, run=run)
            continue
        alias = (there or net).alias or ""
        event = yield Wait(
            what=WaitsFor.GUEST, alias=alias, watch=watch, until=min(deadline, ask_again, now + LOOK_AGAIN)
        )
        resumed()
        _heed(event, alias)


def _heed(event: GuestEvent | None, alias: str) -> None:
    if event is None:
        return
    if event.kind is GuestEventKind.LOST:
        raise ConnectionLost("the connection to libvirt broke while the guest was letting go")
    if event.kind is GuestEventKind.REMOVAL_FAILED and event.alias == alias:
        raise RemovalFailed(
            f"the guest refused to let go of {alias} (DEVICE_REMOVAL_FAILED); it still has it. "
            f"See what its driver says, then try again."
        )


def take_out(
    host: Host, domain: Domain, net: Interface, seconds: float, *, run: Run, was_asked: bool = False
) -> Answer:
    """Make `net` absent from the guest, whether it got in wholly, partly or not at all; `StillHeld` if the guest keeps it.

    The guest is asked unless it `was_asked` a moment ago. A NIC of its alias that has another MAC is somebody else's, and stays. Returns whether the
    NIC is gone, or the run has ended.
    """
    domain.await_idle()
    if (answer := look_for(domain, net, run=run)) is not Answer.HELD:
        return answer
    deadline = host.clock.monotonic() + seconds
    try:
        with domain.watch() as watch:
            if not was_asked:
                ask(host, domain, net, watch, deadline, run=run)
            answers = released(host, domain, net, watch, deadline, run=run, was_asked=was_asked)
            answer = to_end(host, answers)
    except GuestBusy as busy:
        raise StillHeld(f"the guest's slot stayed busy ({busy.message})") from None
    if answer is Answer.HELD:
        raise StillHeld(f"the guest still has {describe(net)}; it was asked to let go, and still may")
    return answer
