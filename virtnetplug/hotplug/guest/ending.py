"""How a run of a domain ended, and what follows for an operation that was under way in it.

The evidence has an order. First come the events that a call saw while it waited. Then comes the reason that libvirt keeps until its daemon is
restarted, then the managed image, and last the definition of whatever runs now. That a domain does not run, or is no more, says nothing of its
guest. The guest may be in an image, or on another host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from virtnetplug import xml
from virtnetplug.errors import (
    DomainMissing,
    EndUnknown,
    GuestAway,
    GuestMigrated,
    LeftPending,
    NotApplied,
    VirtnetplugError,
    call,
)
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.look.open_operations import is_any_of
from virtnetplug.hotplug.look.view import carried, definition
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, OperationRecord, Step, StepState
from virtnetplug.model.run import NO_RUN, Run
from virtnetplug.ports.domain import Domain, HowBegan, HowEnded, PowerState, Watch

_WORDS = {
    HowEnded.SHUT_DOWN: "was shut down",
    HowEnded.DESTROYED: "was destroyed",
    HowEnded.CRASHED: "crashed",
    HowEnded.OVER: "ended, and was started anew,",
}

EVENT_SECONDS = 0.5
"""How long an event may be on its way that tells of the end of a domain which is no more."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the run ended. `definition` is that of the managed image where it `has_image`, or of what runs where it `is_active`; empty if it cannot be read."""

    end: HowEnded
    definition: str = ""
    has_image: bool = False
    is_active: bool = False

    def lacks(self, net: Interface) -> bool:
        """Whether the guest has let go of that NIC, whatever became of it: neither the image nor what runs now has it (see `view.carried`)."""
        return bool(self.definition) and carried(xml.devices(self.definition).nets, net) is None

    @property
    def words(self) -> str:
        """What became of the domain, as a predicate; of an end that is final."""
        return _WORDS.get(self.end, "ended")


def how(domain: Domain, run: Run, watch: Watch | None = None) -> Ending:
    """How that run ended, which has been seen not to be there. `watch` was open before."""
    try:
        state = domain.state()
    except DomainMissing:
        return Ending(_of_guest(_seen_by(watch, EVENT_SECONDS), run, watch))
    seen = _of_guest(_seen_by(watch), run, watch)
    if state.is_active:
        if seen.is_final or seen is HowEnded.MIGRATED:
            return Ending(seen)
        if state.has_migrated and run.is_marked:  # the guest is back without the question: another host has settled it
            return Ending(HowEnded.MIGRATED)
        # there without the mark: another run that was saved as well, or the same one, which had none or whose mark somebody removed
        if state.began is not HowBegan.BOOTED:
            return Ending(HowEnded.UNKNOWN, definition(domain, Half.LIVE) or "", is_active=True)
        return Ending(HowEnded.OVER)
    end = seen if seen is not HowEnded.UNKNOWN else _of_guest(state.end, run, watch)
    if end not in (HowEnded.SAVED, HowEnded.UNKNOWN):
        return Ending(end)
    image = domain.saved_image()
    if image is None:
        return Ending(end)  # it was removed, or its guest went on and ended since: even who saw the image cannot tell
    is_its = not image or not run.is_marked or xml.is_marked(image, run.mark)
    # else it is that of a later run, or somebody removed the mark
    return Ending(HowEnded.SAVED, image, has_image=True) if is_its else Ending(HowEnded.UNKNOWN)


def _of_guest(end: HowEnded, run: Run, watch: Watch | None) -> HowEnded:
    """What that end of the run says of its guest. It says nothing if the run ended between two hosts: the guest may run on the other host."""
    seen = None if watch is None else watch.is_between_hosts
    is_half = run.between_hosts if seen is None else seen
    return HowEnded.UNKNOWN if is_half and end.is_final else end


def _seen_by(watch: Watch | None, seconds: float = 0.0) -> HowEnded:
    if watch is not None and watch.end is HowEnded.UNKNOWN and seconds:
        watch.next(seconds)
    return HowEnded.UNKNOWN if watch is None else watch.end


def message(record: OperationRecord, ending: Ending, nics: str) -> str:
    """The message of an operation on `nics` that was not settled when the run of its guest ended in a way that is not final."""
    name, what = record.domain_name, f"the {record.operation} {record.id}"
    was_asked = asked_guest(record.steps)
    before = f"before its guest had let go of {nics}" if was_asked else f"before {what} of {nics} was settled"
    recover, forget = call("recover", name, wait=60), call("recover", name, forget=record.id)
    if ending.end is HowEnded.SAVED and ending.has_image:
        return (
            f"pending: {name} was saved {before}. The guest still has what the image has, so the journal keeps {what}: after "
            f"'virsh start {name}', {recover} goes on with it."
        )
    if ending.end is HowEnded.SAVED:
        return (
            f"pending: {name} was saved {before}, and has no managed image. If it was saved to a file, the guest still has what that has, so the journal "
            f"keeps {what}. After 'virsh restore' of the file, {recover} goes on with it. If its managed image was removed, or the file was, the guest is "
            f"no more. Then {forget} closes the operation, and so does {call('recover', name)} once {name} was started anew."
        )
    if ending.end is HowEnded.MIGRATED:
        return (
            f"{name} was migrated {before}, and libvirt does not tell where to. Nobody on this host can finish {what}, "
            f"so it is closed as left. On the host that has it, {call('recover', record.domain_uuid, wait=60)} goes on with a detach, whatever {name} "
            "is called there. Look there at what any other operation was to change."
        )
    if ending.is_active:
        return (
            f"pending: {name} runs in another process than the one that {what} was begun in. Nothing says whether its guest is the one of then, or "
            f"another one, from another image or started anew since. See whether {nics} is there as it is to be: "
            f"{forget} closes the operation and leaves the guest as it is{', and then it can be asked again' if was_asked else ''}."
        )
    answer = f"had let go of {nics}" if was_asked else "is no more"
    return (
        f"pending: {name} does not run any more, and nothing says whether its guest {answer}, was saved to a file, or has gone to another "
        f"host. The journal keeps {what} until {name} runs again, which decides it, or is undefined. If you know that the guest is no more, "
        f"{forget} closes it."
    )


def fault(record: OperationRecord, ending: Ending, nics: str, aim: str) -> VirtnetplugError:
    """The error of an operation that cannot go on because the run has ended."""
    if ending.end.is_final:
        fact = f"domain {record.domain_name} {ending.words} before {nics} could be {aim}"
        return NotApplied(fact, reason="guest-ended")
    return _FAULTS[ending.end](message(record, ending, nics))


_FAULTS: Mapping[HowEnded, type[LeftPending]] = {
    HowEnded.SAVED: GuestAway,
    HowEnded.MIGRATED: GuestMigrated,
    HowEnded.UNKNOWN: EndUnknown,
}
REASONS = {end: fault.reason for end, fault in _FAULTS.items()}
"""The reasons of what is not final; of what is, ``guest-ended``."""


def may_look(domain: Domain, ending: Ending) -> bool:
    """Whether a guest runs here of which nothing says whether it is the one of then, so that its NICs can be looked at."""
    return ending.is_active and not domain.state().is_between_hosts


def expect_run(
    domain: Domain, run: Run, record: OperationRecord, nics: str, aim: str, watch: Watch | None = None
) -> None:
    """Raise what `fault` makes of it where that run of the domain has ended, before `nics` were `aim`."""
    if run != NO_RUN and not guest.goes_on(domain, run):
        raise fault(record, how(domain, run, watch), nics, aim)


def expect_over(domain: Domain, run: Run, record: OperationRecord, nics: str) -> None:
    """Raise what `fault` makes of it where that run has ended, and its guest may still have what is to be undone in it."""
    if not guest.goes_on(domain, run):
        ending = how(domain, run)
        if not ending.end.is_final:
            raise fault(record, ending, nics, "undone")


def is_between_hosts(domain: Domain, run: Run) -> bool:
    """Whether that run was paused for a migration when it was last looked at: now if it is there, earlier if it has ended."""
    try:
        is_half = domain.state().is_between_hosts
    except DomainMissing:
        return run.between_hosts
    return is_half if is_half != run.between_hosts and guest.goes_on(domain, run) else run.between_hosts


def held(domain: Domain, record: OperationRecord, nics: str, kept: str) -> tuple[str, str]:
    """The reason and the words of an operation whose guest was asked for `nics` and has them yet. `kept` says what the journal keeps, and how it goes on."""
    state = None
    with suppress(DomainMissing):
        state = domain.state()
    if state is not None and state.is_between_hosts:
        return between_hosts(record, nics)
    if state is not None and state.power is PowerState.PAUSED:
        return "guest-paused", f"pending: the guest is paused and still holds {nics}. {kept}"
    return "guest-holds-device", f"pending: the guest has been asked, but still holds {nics}. {kept}"


def between_hosts(record: OperationRecord, nics: str) -> tuple[str, str]:
    """The same of an operation on a run that is paused for a migration."""
    name = record.domain_name
    recover = call("recover", name, wait=60)
    return "guest-between-hosts", (
        f"pending: {name} is paused for a migration, and its guest may run on the other host. So nothing is done with {nics} here, and the journal keeps the "
        f"{record.operation} {record.id}. If the migration has broken off, see whether the guest runs there. If it does, do not resume or reset what is left "
        f"here. {recover} goes on with a detach on the other host, and 'virsh destroy {name}' removes what is left here. If it does "
        f"not, 'virsh resume {name}' lets the guest run on here, and {recover} goes on then."
    )


def lacks_all(ending: Ending, record: OperationRecord) -> bool:
    """Whether the guest lacks all NICs that the operation asks it for, whichever guest it is."""
    nets = xml.devices(ending.definition).nets if ending.definition else None
    names = {name for alias in record.asked or () for name in record.names_of(alias)}
    return nets is not None and bool(names) and not is_any_of(nets, names)


def asked_guest(steps: Sequence[Step]) -> bool:
    """Whether the operation may have asked a guest to let go of a NIC."""
    return any(step.name == "ask" and step.state is not StepState.PLANNED for step in steps)


def touched_guest(steps: tuple[Step, ...]) -> bool:
    """Whether the operation may have changed anything in a guest that runs: a step of the live definition, or of a guest, was begun."""
    return any(step.half is Half.LIVE and step.state is not StepState.PLANNED for step in steps)


def remembered_live(record: OperationRecord) -> bool:
    """Whether the operation may have changed what the metadata of a running guest says of its NICs. An image of that guest says the same."""
    begun = {step.nic for step in record.steps if step.state is not StepState.PLANNED}
    entries = record.request.get("remembered") or ()
    return any(entry["name"] in begun and Half.LIVE.value in entry["halves"] for entry in entries)
