"""What an operation is: made of what a caller asks for, it is prepared, and then planned or run; from the journal it is taken up again.

`Operation` has one subclass for each kind, in the module that `registry` names.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from virtnetplug.errors import LeftPending, VirtnetplugError
from virtnetplug.hotplug import leftover
from virtnetplug.hotplug.compensation import StillHeld
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.prepared import Prepared
from virtnetplug.hotplug.transaction import REQUEST_VERSION, Transaction, Undos, resumed
from virtnetplug.hotplug.undoing import Site
from virtnetplug.hotplug.waiting import Work
from virtnetplug.model.operation import Nic, OperationRecord, OperationState, Outcome, Result, StepState
from virtnetplug.ports.domain import Domain

Shape = Mapping[str, tuple[type, ...]]
"""The keys of a JSON object, with the types that their values may have."""

TEXT, TEXT_OR_NOTHING, LIST, OBJECT = (str,), (str, type(None)), (list,), (dict,)
OBJECT_OR_NOTHING, FLAG = (dict, type(None)), (bool,)
REMEMBERED: Shape = {"name": TEXT, "halves": LIST, "before": OBJECT_OR_NOTHING, "after": OBJECT_OR_NOTHING}
"""What a request has of a NIC whose metadata changes."""


class Direction(enum.Enum):
    """Where an operation goes that was left open."""

    FORWARD = "finished"
    BACK = "undone"


class Operation:
    """One kind of operation, by its name in the journal (and the kind of its request, where several share a name).

    An instance is one that a caller asks for; what is asked of the class is asked of a record that the journal has.
    """

    is_governed: ClassVar[bool] = False
    """Whether policies of the domain have theirs done after it: see `enforcement`."""

    request: ClassVar[Shape] = {"nics": (list,)}
    """The keys that its request has in the journal, with their JSON types."""

    entries: ClassVar[Mapping[str, Shape]] = {"nics": {"alias": (str,)}}
    """The same of each entry of its lists, and of its parts, where it has them."""

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        """Look at the domain, and decide; nothing is touched. Raises what makes the request none that could be done at any time."""
        raise NotImplementedError

    @classmethod
    def knows(cls, record: OperationRecord) -> bool:
        """Whether the record is one that this version can finish or undo."""
        version = record.request.get("version", 0)
        if record.unreadable or not isinstance(version, int) or version > REQUEST_VERSION:
            return False
        if not _fits(record.request, cls.request):
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
        """Where it goes from what the journal says of its steps."""
        return Direction.BACK

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        """What takes its steps back."""
        raise NotImplementedError

    @classmethod
    def go_on(cls, host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Work:
        """Finish it, which was taken over; its guest is waited for `seconds`."""
        raise NotImplementedError

    @classmethod
    def anywhere(cls, domain: Domain, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request with no guest address asked for of NICs that are to come, or to come back, where somebody has put another one there."""
        return dict(request)

    @classmethod
    def of_one_domain(cls, record: OperationRecord) -> bool:
        """Whether the lock of its domain is all that it takes; else `settle` takes what it takes."""
        return True

    @classmethod
    def settle(cls, host: Host, record: OperationRecord, seconds: float, *, any_address: bool) -> Outcome | None:
        """Finish or undo one that is of no one domain; None where another call has, or does. `any_address`: see `recover`."""
        raise NotImplementedError

    @classmethod
    def go_back(
        cls, host: Host, domain: Domain, record: OperationRecord, seconds: float, *, allow_taint: bool
    ) -> Outcome:
        """Undo it; `record` was taken over, and the domain's lock is held. What cannot be undone stays open, and the outcome says why."""
        site = Site.of(host, domain, record, seconds)
        with resumed(host, record, partial(cls.undos, site)) as tx:
            error = _undo(host, domain, tx, seconds, allow_taint=allow_taint)
            if error is not None:
                return left_open(tx, error)
            message = f"the {record.operation} that was left open has been undone"
            tx.finish(
                OperationState.UNDONE, Result.UNDONE, reason=record.reason or "recovered", error=record.error or message
            )
            return tx.outcome(Result.UNDONE, reason="recovered", message=message)


def left_open(tx: Transaction, error: VirtnetplugError, nics: Sequence[Nic] = ()) -> Outcome:
    """What came of one that could not be undone because of `error`: the journal keeps it."""
    is_taken = isinstance(error, LeftPending)
    state, result = (
        (OperationState.PENDING, Result.PENDING) if is_taken else (OperationState.INCOMPLETE, Result.INCOMPLETE)
    )
    tx.finish(state, result, reason=error.reason, error=error.message)
    is_pending = is_taken or isinstance(error, StillHeld)
    return tx.outcome(Result.PENDING if is_pending else result, reason=error.reason, message=error.message, nics=nics)


def first_of(failures: Sequence[VirtnetplugError]) -> VirtnetplugError:
    """The one to report: that a place is taken only where nothing else went wrong."""
    return next((error for error in failures if not isinstance(error, LeftPending)), failures[0])


def _fits(value: Any, shape: Shape) -> bool:
    return isinstance(value, dict) and all(
        key in value and isinstance(value[key], kinds) for key, kinds in shape.items()
    )


def _undo(host: Host, domain: Domain, tx: Transaction, seconds: float, *, allow_taint: bool) -> VirtnetplugError | None:
    """Unwind all its steps, and what libvirt has lost of them; the first fault, or None."""
    nets = leftover.nets_of(tx.record)
    try:
        leftover.evict(host, domain, nets, seconds, allow_taint=allow_taint)
        failures = [error for _, error in tx.undo.unwind()]
        if failures:
            raise first_of(failures)
        if (orphaned := leftover.orphaned(host, domain, tx.record)) is not None:
            return orphaned
        leftover.drop_ports(host, domain, nets)
    except StillHeld as held:
        return held
    except VirtnetplugError as fault:
        return leftover.orphaned(host, domain, tx.record) or fault
    return None


def direction_of_exchange(record: OperationRecord) -> Direction:
    """Of one in which NICs leave and others come: forward once it was left pending, unless it has begun to go back."""
    is_undone = any(step.state in (StepState.UNDONE, StepState.UNDO_FAILED) for step in record.steps)
    return Direction.FORWARD if record.state is OperationState.PENDING and not is_undone else Direction.BACK
