"""Making a guest let go of a NIC: ask, wait for its answer, and let the live XML decide.

libvirt's own detach waits 5 s and then returns success with the device still there
(``qemuDomainWaitForDeviceRemoval``). Here the watch is open before the guest is asked, and a NIC counts as gone only when the live definition no
longer has it.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Generator, Iterable, Sequence

from virtnetplug import interruption, xml
from virtnetplug.errors import (
    ConnectionLost,
    DeviceMissing,
    DomainMissing,
    DomainNotRunning,
    DomainTransient,
    EmulatorLost,
    GuestBusy,
    HypervisorFailed,
    NicChanged,
    RemovalFailed,
    UnplugInProgress,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.waiting import Wait, WaitsFor, to_end
from virtnetplug.hotplug.look.strangers import end_of, has_other_end
from virtnetplug.hotplug.look.view import DomainView, carried, describe, has_source_of, same, still
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, OperationRecord, Scope
from virtnetplug.model.run import NO_RUN, Run
from virtnetplug.ports.domain import Domain, GuestEvent, GuestEventKind, HowBegan, Watch

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


class Answer(enum.Enum):
    """How a guest answered."""

    GONE = enum.auto()
    ENDED = enum.auto()  # the domain does not run, or in another run: `ending` tells what became of the guest
    AWAY = enum.auto()  # that guest was saved, has left this host, or nobody knows: it may have the NIC
    HELD = enum.auto()  # not by the deadline


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
    connected
    as none of `seen`.
    """
    while True:
        now, answer = _look_for(domain, net, run=run)
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
        except EmulatorLost:
            if _ends(host, domain, watch):
                return  # while it was asked
            raise
        except HypervisorFailed:
            if _has_ended(domain):
                return
            raise
        return


def _ends(host: Host, domain: Domain, watch: Watch) -> bool:
    """Whether the domain of a QEMU that has died ends: libvirt hears of that death on its own, a moment later."""
    until = host.clock.monotonic() + ENDING
    while not (has_ended := _has_ended(domain)) and host.clock.monotonic() < until:
        watch.next(ASK_AGAIN)
    return has_ended


def _has_ended(domain: Domain) -> bool:
    domain.await_idle()
    try:
        domain.xml(Half.LIVE)
    except (DomainNotRunning, DomainMissing):
        return True
    return False


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
        there, answer = _look_for(domain, net, run=run)
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
        heed(event, alias)


def heed(event: GuestEvent | None, alias: str) -> None:
    """Raise what an event says that came while the guest was to let go of `alias`: `ConnectionLost`, or `RemovalFailed`."""
    if event is None:
        return
    if event.kind is GuestEventKind.LOST:
        raise ConnectionLost("the connection to libvirt broke while the guest was letting go")
    if event.kind is GuestEventKind.REMOVAL_FAILED and event.alias == alias:
        raise RemovalFailed(
            f"the guest refused to let go of {alias} (DEVICE_REMOVAL_FAILED); it still has it. "
            f"See what its driver says, then try again."
        )


def look_for(domain: Domain, net: Interface, *, run: Run) -> Answer:
    """Whether this run of the domain still has the NIC `net`, which was seen in it (see `view.still`), by its live definition."""
    return _look_for(domain, net, run=run)[1]


def now_of(domain: Domain, net: Interface, *, run: Run) -> Interface | None:
    """The NIC as this run of the domain has it now, under whatever alias, or None."""
    return _look_for(domain, net, run=run)[0]


def _look_for(domain: Domain, net: Interface, *, run: Run) -> tuple[Interface | None, Answer]:
    try:
        text = domain.xml(Half.LIVE)
    except (DomainNotRunning, DomainMissing):
        return None, Answer.ENDED
    # First, for what another run lacks says nothing of the guest that was asked.
    if run != NO_RUN and not is_run(domain, run, text):
        return None, Answer.ENDED
    is_elsewhere = bool(run.process) and domain.process() not in ("", run.process)
    now = (carried if is_elsewhere else still)(xml.devices(text).nets, net)
    return now, Answer.GONE if now is None else Answer.HELD


def expect_unchanged(now: Interface | None, *seen: Interface, where: str = "") -> None:
    """Raise `NicChanged` where the NIC, if it is there, is connected to something else than it was seen with, or was to be connected to."""
    if now is not None and not any(has_source_of(now, each) for each in seen):
        raise NicChanged(
            f"{describe(now)} is connected to {now.source}{where} by now, and not to {seen[0].source} as it was when it was looked at: it is left "
            "as it is"
        )


def is_asked(view: DomainView, record: OperationRecord) -> bool:
    """Whether the guest that `view` has is the one that the operation asked, and not that of a run that was started since."""
    return view.live_xml is not None and is_run(view.domain, record.run_asked, view.live_xml)


def concerned(view: DomainView, records: Iterable[OperationRecord]) -> list[OperationRecord]:
    """The operations that may yet change a NIC of `view`. An operation of the live definition alone does not outlive its run."""
    return [
        record
        for record in records
        if not record.domain_uuid or record.scope is not Scope.LIVE or view.live_xml is None or is_asked(view, record)
    ]


def is_another(domain: Domain, now: Interface, end: str, *, run: Run) -> bool:
    """True if somebody attached `now` since, with alias and MAC of the NIC of that run that had the host end `end` (see `has_other_end`)."""
    return has_other_end(now, end, run.process, domain.process())


def is_run(domain: Domain, run: Run, live_xml: str) -> bool:
    """Whether that live definition, which has just been read, is that run's.

    A run goes on in another process after a restore, and on another host after a migration: then its mark is in the live metadata.
    A mark that the definition has as well proves nothing. A run goes on nowhere without its mark, also a run that never was marked. The guest of a
    later or an earlier run may have been saved and restored as well.
    """
    number = xml.run_of(live_xml)
    now = Run(domain.state().id if number is None else number, domain.process())
    is_seen = bool(run.process and now.process)
    matches = run.matches(now) and (is_seen or not began_after(domain, run.seen))
    if matches and (is_seen or not run.is_marked):
        return True
    if not run.mark or not xml.is_marked(live_xml, run.mark):
        return False
    # another process that was booted is another run, whatever was copied into its definition
    return matches or not (domain.state().began is HowBegan.BOOTED or _is_defined_with(domain, run.mark))


CLOCKS = 2.0
"""Seconds by which the start of a process may seem later than it was: the time of the boot has whole seconds."""


def began_after(domain: Domain, moment: float) -> bool:
    """Whether the process that runs the domain began after that moment (Unix seconds), as far as that can be seen."""
    began = domain.process_began() if moment else None
    return began is not None and began > moment + CLOCKS


def _is_defined_with(domain: Domain, mark: str) -> bool:
    try:
        return xml.is_marked(domain.xml(Half.CONFIG), mark)
    except (DomainTransient, DomainMissing):
        return False


def run_of(domain: Domain) -> Run:
    """The run that there is; `NO_RUN` if the domain does not run, or is no more."""
    try:
        number = domain.state().id
    except DomainMissing:
        return NO_RUN
    return NO_RUN if number < 0 else Run(number, domain.process())


def goes_on(domain: Domain, run: Run) -> bool:
    """Whether the domain runs, and this is that run of it."""
    try:
        return is_run(domain, run, domain.xml(Half.LIVE))
    except (DomainNotRunning, DomainMissing):
        return False


def withdraw(
    host: Host,
    domain: Domain,
    net: Interface,
    seconds: float,
    *,
    run: Run,
    was_asked: bool = False,
) -> Answer:
    """Ask the guest (unless it was asked a moment ago) and wait, in one call, for an undo."""
    deadline = host.clock.monotonic() + seconds
    if (answer := look_for(domain, net, run=run)) is not Answer.HELD:
        return answer
    with domain.watch() as watch:
        if not was_asked:
            ask(host, domain, net, watch, deadline, run=run)
        answers = released(host, domain, net, watch, deadline, run=run, was_asked=was_asked)
        return to_end(host, answers)


def net_of(domain: Domain, alias: str, half: Half) -> Interface | None:
    """The net called `alias` in that definition now, or None."""
    try:
        return next((net for net in xml.devices(domain.xml(half)).nets if net.alias == alias), None)
    except (DomainNotRunning, DomainMissing):
        return None


def nets_of(domain: Domain) -> Sequence[Interface]:
    """The nets of the running guest; none of a domain that does not run."""
    try:
        return xml.devices(domain.xml(Half.LIVE)).nets
    except (DomainNotRunning, DomainMissing):
        return ()


def there(domain: Domain, net: Interface, half: Half) -> Interface | None:
    """The NIC `net` as that definition has it now, under whatever alias (see `view.same`), or None."""
    try:
        return same(xml.devices(domain.xml(half)).nets, net)
    except (DomainNotRunning, DomainTransient, DomainMissing):
        return None
