"""The journal: what is going on, what was promised, and what became of it.

Nothing else in the program remembers anything. A write is durable when the call returns (SQLite WAL with
``synchronous=FULL``), or at the end of the `batch` that the write is in. A batch is written as a whole, or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from virtnetplug.model.holding import Holding
from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.operation import NicRecord, OperationRecord, OperationState, StepState


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts per upper bound in seconds (the last is infinity), with their sum."""

    buckets: tuple[tuple[float, int], ...]
    sum: float

    @property
    def count(self) -> int:
        """All observations."""
        return self.buckets[-1][1]


@dataclass(frozen=True, slots=True)
class OwnerProcess:
    """The process of a living call; one that is stopped (SIGSTOP, a debugger) gets on with nothing."""

    pid: int
    is_stopped: bool


class Journal(Protocol):
    """Every method raises `JournalReadOnly`, `JournalFull`, `JournalNewer` or `JournalBroken` where it must."""

    def batch(self, *, is_durable: bool = True) -> AbstractContextManager[None]:
        """Group the writes of this thread into one commit, on the disk when the batch ends.

        The commit of a batch that is not `is_durable` survives the death of the process. A host that loses power may lose the commit, unless a
        durable commit came after it.
        """

    def begin(self, record: OperationRecord) -> None:
        """Write a new operation with its planned steps, as its `owner`'s."""

    def amend(self, operation_id: str, request: Mapping[str, Any], *, owner: str = "") -> None:
        """Replace the request of an open operation of `owner`; raises `OperationTaken`, and writes nothing, as `finish` does."""

    def step(self, operation_id: str, seq: int, state: StepState, detail: str = "", *, at: float | None = None) -> None:
        """Move one step at Unix time `at` (None: now): STARTED sets its start, DONE and FAILED its end."""

    def finish(
        self,
        operation_id: str,
        state: OperationState,
        *,
        result: str,
        reason: str = "",
        error: str = "",
        owner: str = "",
    ) -> None:
        """Set the state; a state that is not open also sets the end time.

        Raises `OperationTaken`, and writes nothing, if the operation has ended or is not `owner`'s.
        """

    def call(self) -> AbstractContextManager[str]:
        """A new owner of operations, by name: a call that works on an operation or waits for it. It lives while inside, and no longer than its process."""

    def adopt(self, operation_id: str, owner: str) -> bool:
        """Make `owner` the owner of an open operation whose owner is dead; False if it has ended, or another call was first."""

    def expect_owner(self, operation_id: str, owner: str) -> None:
        """Raise `OperationTaken` unless the operation is open and `owner`'s."""

    def is_owner_alive(self, record: OperationRecord) -> bool:
        """Whether the call that works on this operation, or waits for it, still runs."""

    def process_of(self, record: OperationRecord) -> OwnerProcess | None:
        """The process of that call; None if it is not known."""

    def operation(self, operation_id: str) -> OperationRecord | None:
        """One operation, with its steps."""

    def recognise(self, uri: str, hypervisor: str) -> None:
        """`hypervisor` is what answers at `uri`: rows of an older version, which had the URI alone, are found by the key from now on."""

    def open_operations(self, hypervisor: str | None = None, *domain_uuids: str) -> Sequence[OperationRecord]:
        """The operations not settled, oldest first, with their steps; of these domains ("": of no one domain), or of all.

        `hypervisor` is a `Hypervisor.key`, here and below.
        """

    def history(
        self,
        *,
        hypervisor: str | None = None,
        uri: str | None = None,
        domain: str | None = None,
        names: Mapping[str, str] | None = None,
        limit: int = 20,
    ) -> Sequence[OperationRecord]:
        """The newest operations first, with their steps; `domain` is a name or UUID, `names` the names that domains have now, by UUID.

        A name means the domains that have it, under whatever name they were worked on; if none has it, those that had it. A domain that `names`
        does not have has the name of its newest operation. Who has no connection names the hypervisor by its `uri`, in any spelling.
        """

    def since(self, domain_uuid: str, started: float) -> Sequence[OperationRecord]:
        """The operations on that domain that began later than that; if the journal was moved, those of the journal in place."""

    def newest(self, hypervisor: str, names: Collection[str]) -> Sequence[OperationRecord]:
        """The newest operation of those names that is done, for each domain and each NIC that was to be remembered."""

    def put_nic(self, record: NicRecord) -> None:
        """Insert or replace, by hypervisor, domain UUID and alias."""

    def drop_nic(
        self, hypervisor: str, domain_uuid: str, alias: str, *, mac: str | None = None, source: str | None = None
    ) -> None:
        """Forget one, where it has that MAC and source: else another NIC bears its alias by now. One not known is no error."""

    def nics(self, hypervisor: str | None = None, domain_uuid: str | None = None) -> Sequence[NicRecord]:
        """The NICs that virtnetplug plugged and that are not known to be gone."""

    def hold(self, holding: Holding) -> Holding:
        """Take a host device, or raise `ClaimTaken` naming who has it or why it is quarantined.

        What is held: an older row where the same operation took the device for the same NIC before.
        """

    def amend_holding(self, holding: Holding, was: Holding | None = None) -> None:
        """Replace what is written of a device that is held.

        Raises `ClaimTaken`, and writes nothing, where its row is not `was` any more: of that operation and that moment (None: of its own).
        """

    def let_go(self, holding: Holding) -> bool:
        """The device is nobody's any more; False, and nothing is written, where its row is another operation's or moment's by now."""

    def holdings(self, hypervisor: str | None = None, domain_uuid: str | None = None) -> Sequence[Holding]:
        """The devices held or quarantined on this host, by address; of one hypervisor or domain, or of all."""

    def host_policy(self) -> UnplugPolicy:
        """The unplug policy of domains that have none of their own; ``keep`` where it was never set."""

    def set_host_policy(self, policy: UnplugPolicy) -> None:
        """Make it this one."""

    def lock(
        self, hypervisor: str, domain_uuid: str, *, on_wait: Any = None, seconds: float | None = None
    ) -> AbstractContextManager[None]:
        """The lock of one domain, between threads and processes. `on_wait()` is called once if it has to be waited for.

        Raises `LockTaken` where it is not free within `seconds` (None: for as long as it takes).
        """

    # -- what metrics read: counters never go back, whatever retention has removed ------------------

    def operation_totals(self) -> Iterable[tuple[str, str, str, str, str, int]]:
        """(operation, its kind, device_type, result, reason, count) of ended operations."""

    def durations(self) -> Iterable[tuple[str, str, str, Histogram]]:
        """(operation, its kind, phase, histogram of seconds) of ended steps."""

    def compensation_totals(self) -> Iterable[tuple[str, str, int]]:
        """(step name, ``done`` or ``failed``, count)."""

    def prune(self, *, keep_seconds: float) -> int:
        """Remove operations that ended longer ago; their counts are kept. Returns how many."""

    def close(self) -> None:
        """Release the connections; safe twice."""
