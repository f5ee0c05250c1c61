"""The guest of a domain: which run of the domain it is of, and which NICs it has now by its live definition."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from virtnetplug import xml
from virtnetplug.errors import DomainMissing, DomainNotRunning, NicChanged
from virtnetplug.hotplug.look.recognition import has_other_end
from virtnetplug.hotplug.look.view import (
    DomainView,
    carried,
    definition,
    describe,
    has_source_of,
    nets_in,
    same,
    still,
)
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, OperationRecord, Scope
from virtnetplug.model.run import NO_RUN, Run
from virtnetplug.ports.domain import Domain, HowBegan

CLOCKS = 2.0
"""Seconds by which the start of a process may seem later than it was: the time of the boot has whole seconds."""


class Answer(enum.Enum):
    """How a guest answered."""

    GONE = enum.auto()
    ENDED = enum.auto()  # the domain does not run, or in another run: `ending` says what became of the guest
    AWAY = enum.auto()  # that guest was saved, has left this host, or nobody knows: it may have the NIC
    HELD = enum.auto()  # not by the deadline


def nets_of(domain: Domain) -> Sequence[Interface]:
    """The nets of the running guest; none if the domain does not run."""
    return nets_in(domain, Half.LIVE)


def net_of(domain: Domain, alias: str) -> Interface | None:
    """The net called `alias` that the running guest has, or None."""
    return next((net for net in nets_of(domain) if net.alias == alias), None)


def there(domain: Domain, net: Interface) -> Interface | None:
    """The NIC `net` as the running guest has it now, under whatever alias (see `view.same`), or None."""
    return same(nets_of(domain), net)


def look_for(domain: Domain, net: Interface, *, run: Run) -> Answer:
    """Whether this run of the domain still has the NIC `net`, which was seen in it (see `view.still`), by its live definition."""
    return found(domain, net, run=run)[1]


def now_of(domain: Domain, net: Interface, *, run: Run) -> Interface | None:
    """The NIC as this run of the domain has it now, under whatever alias, or None."""
    return found(domain, net, run=run)[0]


def found(domain: Domain, net: Interface, *, run: Run) -> tuple[Interface | None, Answer]:
    """What `now_of` and `look_for` answer, of one look."""
    text = definition(domain, Half.LIVE)
    # First, for what another run lacks says nothing of the guest that was asked.
    if text is None or (run != NO_RUN and not is_run(domain, run, text)):
        return None, Answer.ENDED
    is_elsewhere = bool(run.process) and domain.process() not in ("", run.process)
    now = (carried if is_elsewhere else still)(xml.devices(text).nets, net)
    return now, Answer.GONE if now is None else Answer.HELD


def expect_unchanged(now: Interface | None, *seen: Interface, where: str = "") -> None:
    """Raise `NicChanged` where the NIC, if it is there, is connected to something else than it was seen with, or was to be connected to."""
    if now is not None and not any(has_source_of(now, each) for each in seen):
        raise NicChanged(
            f"{describe(now)} is connected to {now.source}{where} by now, and not to {seen[0].source} as it was when it was looked at: it is left as it is"
        )


def is_another(domain: Domain, now: Interface, end: str, *, run: Run) -> bool:
    """Whether somebody has put in `now` since, with the alias and MAC of a NIC of that run. That NIC had the host end `end` (see `has_other_end`)."""
    return has_other_end(now, end, run.process, domain.process())


def is_asked(view: DomainView, record: OperationRecord) -> bool:
    """Whether the guest that `view` has is the one that the operation asked, and not that of a run that was started since."""
    return view.live_xml is not None and is_run(view.domain, record.run_asked, view.live_xml)


def concerned(view: DomainView, records: Iterable[OperationRecord]) -> list[OperationRecord]:
    """The operations that may yet change a NIC of `view`: an operation of the live definition alone does not outlive its run."""
    return [
        record
        for record in records
        if not record.domain_uuid or record.scope is not Scope.LIVE or view.live_xml is None or is_asked(view, record)
    ]


def is_run(domain: Domain, run: Run, live_xml: str) -> bool:
    """Whether that live definition, which has just been read, is that run's.

    A run goes on in another process after a restore, and on another host after a migration: then its mark is in the live metadata.
    A mark that the definition has as well proves nothing. A run goes on nowhere without its mark, also a run that never was marked. Somebody
    may have saved and restored the guest of a later run, or of an earlier run, as well.
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
    is_booted = not matches and domain.state().began is HowBegan.BOOTED
    return matches or not (is_booted or xml.is_marked(definition(domain, Half.CONFIG) or "", run.mark))


def began_after(domain: Domain, moment: float) -> bool:
    """Whether the process that runs the domain began after that moment (Unix seconds), as far as that can be seen."""
    began = domain.process_began() if moment else None
    return began is not None and began > moment + CLOCKS


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
