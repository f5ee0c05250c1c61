"""The contract of an operation: how it is prepared, planned and run, and how a record of it in the journal is finished or undone.

`Operation` has one subclass for each kind, which `kinds` names. CONTRIBUTING.md says how to add one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from virtnetplug.errors import DomainMissing, GuestMigrated, LeftPending, UsageError, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.waiting import Work
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.transaction import REQUEST_VERSION, Transaction, Undos, resumed
from virtnetplug.hotplug.guest import guest, orphans
from virtnetplug.hotplug.guest.asking import StillHeld
from virtnetplug.hotplug.guest.ending import Ending, how, lacks_all, may_look, remembered_live, touched_guest
from virtnetplug.model.operation import Half, OperationRecord, OperationState, Outcome, Result, StepState
from virtnetplug.model.run import Run
from virtnetplug.ports.domain import Domain
from virtnetplug.undo import causes_of

Shape = Mapping[str, tuple["type | Callable[[Any], bool]", ...]]
"""The keys of a JSON object, with the types that their values may have. A predicate may stand for a type."""


def _are_elements(value: Any) -> bool:
    return isinstance(value, list) and len(orphans.readable(value)) == len(value)


ELEMENT, ELEMENTS = (lambda value: _are_elements([value]),), (_are_elements,)
ELEMENT_OR_NOTHING = (*ELEMENT, type(None))
"""A text that is an ``<interface>`` element, and a list of them."""

ELEMENTS_BY_NAME = (lambda value: isinstance(value, dict) and _are_elements(list(value.values())),)
"""An object whose values are ``<interface>`` elements."""

NICS = (lambda value: isinstance(value, list) and bool(value),)
"""A list of at least one."""

TEXT, TEXT_OR_NOTHING, LIST, OBJECT = (str,), (str, type(None)), (list,), (dict,)
OBJECT_OR_NOTHING, FLAG = (dict, type(None)), (bool,)
REMEMBERED: Shape = {"name": TEXT, "halves": LIST, "before": OBJECT_OR_NOTHING, "after": OBJECT_OR_NOTHING}
"""The keys of an entry that a request has for each NIC whose metadata changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where an operation works: that run of a domain, and how long an undo waits for its guest (`seconds`)."""

    host: Host
    domain: Domain
    run: Run
    seconds: float = 0.0

    @classmethod
    def of(cls, host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Site:
        """Where an operation that was left open is undone: the run of the domain that it worked on.

        Where the operation may have changed the definition, a run that was started since has what the definition had. Then the undo works on that run.
        """
        run = record.run_asked
        if any(step.half is Half.CONFIG and step.state is not StepState.PLANNED for step in record.steps):
            with suppress(DomainMissing):
                run = guest.run_of(domain) if not guest.goes_on(domain, run) else run
        return cls(host=host, domain=domain, run=run, seconds=seconds)


class Direction(enum.Enum):
    """What becomes of an operation that was left open; the values are words for messages."""

    FORWARD = "finished"
    BACK = "undone"


class Operation:
    """One kind of operation. `kinds` finds it by the operation's name in the journal, and by its request's ``kind`` if several share a name.

    An instance is what a caller asks for, and belongs to no domain: `prepare` is given one. The class methods answer for records that the
    journal has: a record may come from an earlier process, and from an earlier version.
    """

    is_governed: ClassVar[bool] = False
    """Whether the policies of the domain are enforced after this operation: see `enforcement`."""

    without_domain: ClassVar[OperationState] = OperationState.UNDONE
    """How an operation ends whose domain no longer exists: as done if it only detaches NICs."""

    needs_its_run: ClassVar[bool] = False
    """True if an operation that would be finished is undone instead once the run of the domain in which it began has ended."""

    request: ClassVar[Shape] = {"nics": NICS}
    """The keys that the request of a record must have, with their JSON types; a record that lacks one is left open (``operation-newer``)."""

    entries: ClassVar[Mapping[str, Shape]] = {"nics": {"alias": (str,)}}
    """The keys that each entry of a list (or an object) in the request must have, by the key of that list or object."""

    optional: ClassVar[Shape] = {
        "asked": LIST,
        "back": FLAG,
        "beside": ELEMENTS_BY_NAME,
        "between_hosts": FLAG,
        "cleared": FLAG,
        "defined": ELEMENTS_BY_NAME,
        "ends": OBJECT,
        "marked": FLAG,
        "moved": ELEMENTS,
        "order": LIST,
        "returned": LIST,
        "run": (int, list),
        "same_mac": LIST,
        "seen": ELEMENTS_BY_NAME,
        "twin": TEXT,
    }
    """The types of the keys of the request that a record can lack."""

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        """Look at the domain and decide what to do; nothing is touched. `Plugger.run` calls this under the domain's lock, `Plugger.plan` without.

        What speaks against the operation is in `Prepared.refusals`. Raises a `Refused` or `UsageError` if there is nothing to prepare, such as a NIC
        that does not exist.
        """
        raise UsageError(f"{type(self).__name__} is no operation on one domain: call the Plugger's own method for it")

    @classmethod
    def knows(cls, record: OperationRecord) -> bool:
        """Whether the record is one that this version can finish or undo."""
        version = record.request.get("version", 0)
        if record.unreadable or not record.steps or not isinstance(version, int) or version > REQUEST_VERSION:
            return False
        there = {key: kinds for key, kinds in cls.optional.items() if key in record.request}
        if not _fits(record.request, {**there, **cls.request}):
            return False
        parts = {key: record.request.get(key) for key in cls.entries}
        return all(
            _fits(each, cls.entries[key])
            for key, part in parts.items()
            if part is not None
            for each in (part if isinstance(part, list) else [part])
        )

    @classmethod
    def direction(cls, record: OperationRecord) -> Direction:
        """Whether the record is to be finished or undone: undone if its undo had begun, else by `direction_by_steps`, which a subclass overrides."""
        return Direction.BACK if record.goes_back else cls.direction_by_steps(record)

    @classmethod
    def direction_by_steps(cls, record: OperationRecord) -> Direction:
        """The direction of a record that had not begun to be undone, by its state and its steps; undone, unless a subclass says more."""
        return Direction.BACK

    @classmethod
    def away(cls, domain: Domain, record: OperationRecord) -> Ending | None:
        """How the run ended that the record was to change, if that leaves the record pending, or its guest has migrated; else None."""
        is_touched = touched_guest(record.steps)
        if not (is_touched or remembered_live(record)) or guest.goes_on(domain, record.run_asked):
            return None
        end = how(domain, record.run_asked)
        if (cls.is_told_by_nic(record) or not is_touched) and may_look(domain, end):
            return None
        is_finished = cls.direction(record) is Direction.FORWARD and not cls.needs_its_run and lacks_all(end, record)
        return None if end.end.is_final or is_finished else end

    @classmethod
    def is_told_by_nic(cls, record: OperationRecord) -> bool:
        """True if the NIC itself shows whether it has the operation's effect. The operation is then undone in whichever guest runs."""
        return False

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        """What undoes each step, for the process that runs the operation and for the one that recovers it; all it needs is in `tx.record`."""
        raise NotImplementedError

    @classmethod
    def go_on(cls, host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Work:
        """Finish a record that was taken over; the domain's lock is held, and the guest is waited for `seconds`. Only if `direction` may be forward."""
        raise NotImplementedError

    @classmethod
    def anywhere(cls, domain: Domain, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request without the guest addresses that somebody has taken from NICs that are to be put in again (`any_address` of `recover`)."""
        return dict(request)

    @classmethod
    def of_one_domain(cls, record: OperationRecord) -> bool:
        """Whether the lock of the record's domain is enough to settle it. If not, `settle` is called, and takes the locks itself."""
        return True

    @classmethod
    def settle(cls, host: Host, record: OperationRecord, seconds: float, *, any_address: bool) -> Outcome | None:
        """Finish or undo a record for which `of_one_domain` is false; None if another call has settled it, or owns it. `any_address`: see `recover`."""
        raise NotImplementedError

    @classmethod
    def forget(cls, host: Host, record: OperationRecord, seconds: float) -> Outcome | None:
        """Close a record of several domains whose NICs could not be restored. None if the record can be settled, or another call owns it."""
        return None

    @classmethod
    def go_back(
        cls, host: Host, domain: Domain, record: OperationRecord, seconds: float, *, allow_taint: bool
    ) -> Outcome:
        """Undo a record that was taken over; the domain's lock is held. If something cannot be undone the record stays open, and the outcome says why."""
        site = Site.of(host, domain, record, seconds)
        with resumed(host, record, partial(cls.undos, site)) as tx:
            error = _undo(host, domain, tx, seconds, allow_taint=allow_taint)
            if error is not None:
                return left_open(tx, error)
            message = f"the {record.operation} that was left open has been undone"
            # What it waited for is over, or what an earlier undo waited for.
            is_answer = record.result != Result.PENDING
            reason, why = (record.reason, record.error) if is_answer else ("", "")
            tx.finish(OperationState.UNDONE, reason=reason or "recovered", error=why or message)
            return tx.outcome(Result.UNDONE, reason="recovered", message=message)


def left_open(tx: Transaction, error: VirtnetplugError) -> Outcome:
    """The outcome of an operation that could not be undone because of `error`. The journal keeps the operation."""
    if isinstance(error, GuestMigrated):
        return tx.close(OperationState.LEFT, error.reason, error.message)
    state = OperationState.PENDING if isinstance(error, LeftPending) else OperationState.INCOMPLETE
    result = Result.PENDING if isinstance(error, LeftPending | StillHeld) else Result.INCOMPLETE
    return tx.close(state, error.reason, error.message, result=result)


def first_of(failures: Sequence[VirtnetplugError]) -> VirtnetplugError:
    """The failure to report. A taken place is reported only if nothing else went wrong; an undo that waits for another undo is never reported."""
    failures = causes_of(failures)
    left = next((error for error in failures if isinstance(error, GuestMigrated)), failures[0])
    return next((error for error in failures if not isinstance(error, LeftPending)), left)


def _fits(value: Any, shape: Shape) -> bool:
    return isinstance(value, dict) and all(
        key in value
        and any(isinstance(value[key], kind) if isinstance(kind, type) else kind(value[key]) for kind in kinds)
        for key, kinds in shape.items()
    )


def _undo(host: Host, domain: Domain, tx: Transaction, seconds: float, *, allow_taint: bool) -> VirtnetplugError | None:
    """Undo all its steps, and remove NICs that libvirt does not know any more; the first error, or None."""
    nets = orphans.nets_in_record(tx.record)
    try:
        orphans.evict(host, domain, nets, seconds, allow_taint=allow_taint)
        failures = [error for _, error in tx.undo.unwind()]
        if failures:
            raise first_of(failures)
        if (orphaned := orphans.orphaned(host, domain, tx.record)) is not None:
            return orphaned
        orphans.drop_ports(host, domain, nets)
    except StillHeld as held:
        return held
    except VirtnetplugError as fault:
        return orphans.orphaned(host, domain, tx.record) or fault
    return None
