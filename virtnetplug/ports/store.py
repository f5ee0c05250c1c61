"""The journal: the operations that are going on, what they promised, and how they ended.

Nothing else in the program remembers anything. A write is durable when the call returns (SQLite WAL with ``synchronous=FULL``).
Writes inside a `batch` are durable when the batch ends, and all of a batch is written or none.
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
        """The number of all observations."""
        return self.buckets[-1][1]


@dataclass(frozen=True, slots=True)
class OwnerProcess:
    """The process of a living call; a process that is stopped (SIGSTOP, a debugger) makes no progress."""

    pid: int
    is_stopped: bool


class Journal(Protocol):
    """Every method may raise `JournalReadOnly`, `JournalFull`, `JournalNewer` or `JournalBroken`."""

    def batch(self, *, is_durable: bool = True) -> AbstractContextManager[None]:
        """Group the writes of this thread into one commit, on the disk when the batch ends.

        The commit of a batch that is not `is_durable` survives the death of the process. A host that loses power may lose the commit, unless a
        durable commit came after it.
        """

    def begin(self, record: OperationRecord) -> None:
        """Write a new operation of the record's `owner`, with its planned steps."""

    def amend(self, operation_id: str, request: Mapping[str, Any], *, owner: str = "") -> None:
        """Replace the request of an open operation of `owner`; raises `OperationTaken` as `finish` does."""

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

        Raises `OperationTaken`, and writes nothing, if the operation has ended or has another owner.
        """

    def call(self) -> AbstractContextManager[str]:
        """The name of a new owner: a call that works on operations or waits for them. It lives inside the context, and dies with its process."""

    def adopt(self, operation_id: str, owner: str) -> bool:
        """Make `owner` the owner of an open operation whose owner is dead; False if the operation has ended, or another call was first."""

    def expect_owner(self, operation_id: str, owner: str) -> None:
        """Raise `OperationTaken` unless the operation is open and its owner is `owner`."""

    def is_owner_alive(self, record: OperationRecord) -> bool:
        """Whether the operation's owner still runs."""

    def process_of(self, record: OperationRecord) -> OwnerProcess | None:
        """The process of the operation's owner; None if it is not known."""

    def operation(self, operation_id: str) -> OperationRecord | None:
        """The operation of that id, with its steps, or None."""

    def recognise(self, uri: str, hypervisor: str) -> None:
        """Note that `hypervisor` answers at `uri`: rows of an older version, which had the URI alone, are found by the key from now on."""

    def open_operations(self, hypervisor: str | None = None, *domain_uuids: str) -> Sequence[OperationRecord]:
        """The operations that are not settled, oldest first, with their steps: of these domains, or of all.

        The domain "" stands for operations on no single domain. `hypervisor` is a `Hypervisor.key`, here and below.
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
        """The newest operations first, with their steps; `domain` is a name or UUID, `names` the current names of domains by UUID.

        A name means the domains that have it now, whatever their names were; if no domain has the name, the domains that had it. A domain
        outside `names` has the name of its newest operation. A caller without a connection gives the `uri`, in any spelling, as hypervisor.
        """

    def since(self, domain_uuid: str, started: float) -> Sequence[OperationRecord]:
        """The operations on that domain that began later than `started`; if the journal was moved, from the journal in place."""

    def newest(self, hypervisor: str, names: Collection[str]) -> Sequence[OperationRecord]:
        """For each domain, and for each remembered NIC, the newest finished operation with one of these names."""

    def put_nic(self, record: NicRecord) -> None:
        """Insert or replace, by hypervisor, domain UUID and alias."""

    def drop_nic(
        self, hypervisor: str, domain_uuid: str, alias: str, *, mac: str | None = None, source: str | None = None
    ) -> None:
        """Forget a NIC, if it has that MAC and source (None: any): another NIC may have its alias by now. An unknown NIC is no error."""

    def nics(self, hypervisor: str | None = None, domain_uuid: str | None = None) -> Sequence[NicRecord]:
        """The NICs that virtnetplug plugged and that are not known to be gone."""

    def hold(self, holding: Holding) -> Holding:
        """Hold a host device, or raise `ClaimTaken` naming who has the device or why it is quarantined.

        Returns the holding: the older row if the same operation held the device for the same NIC before.
        """

    def amend_holding(self, holding: Holding, was: Holding | None = None) -> None:
        """Replace the row of a held device.

        Raises `ClaimTaken`, and writes nothing, if the row is not of the operation and moment of `was` any more (None: of `holding`).
        """

    def let_go(self, holding: Holding) -> bool:
        """Release a device; False, and nothing is written, if its row is of another operation or moment by now."""

    def holdings(self, hypervisor: str | None = None, domain_uuid: str | None = None) -> Sequence[Holding]:
        """The devices held or quarantined on this host, by address; of one hypervisor or domain, or of all."""

    def host_policy(self) -> UnplugPolicy:
        """The unplug policy of domains that have none of their own; ``keep`` where it was never set."""

    def set_host_policy(self, policy: UnplugPolicy) -> None:
        """Set the unplug policy of domains that have none of their own."""

    def lock(
        self, hypervisor: str, key: str, *, on_wait: Any = None, seconds: float | None = None
    ) -> AbstractContextManager[None]:
        """One lock, between threads and processes. `on_wait()` is called once if the caller has to wait.

        For a domain, `hypervisor` is the key of its hypervisor, and `key` is its UUID. For a part of the host (a PF, a host device, the driver of
        vifs), `hypervisor` is empty, and `key` names the part.

        Raises `LockTaken` if the lock is not free within `seconds` (None: wait without a limit).
        """

    # -- what metrics read: counters never go back, whatever retention has removed ------------------

    def operation_totals(self) -> Iterable[tuple[str, str, str, str, str, int]]:
        """(operation, its kind, device_type, result, reason, count) of ended operations."""

    def durations(self) -> Iterable[tuple[str, str, str, Histogram]]:
        """(operation, its kind, phase, histogram of seconds) of ended steps."""

    def compensation_totals(self) -> Iterable[tuple[str, str, int]]:
        """(step name, ``done`` or ``failed``, count)."""

    def close(self) -> None:
        """Release the connections; safe twice."""
