"""The journal: what is going on, what was promised, and what became of it.

Nothing else in the program remembers anything. A write is durable when the call returns (SQLite WAL with
``synchronous=FULL``); inside `batch` it is durable when the batch ends, and all of a batch is written or none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from virtnetplug.model.holding import Holding
from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.operation import NicRecord, OperationRecord, OperationState, StepState
from virtnetplug.model.pci import PciAddress


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts per upper bound in seconds (the last is infinity), with their sum."""

    buckets: tuple[tuple[float, int], ...]
    sum: float

    @property
    def count(self) -> int:
        """All observations."""
        return self.buckets[-1][1]


class Journal(Protocol):
    """Every method raises `JournalReadOnly`, `JournalFull`, `JournalNewer` or `JournalBroken` where it must."""

    def batch(self) -> AbstractContextManager[None]:
        """Group the writes of this thread into one durable commit."""

    def begin(self, record: OperationRecord) -> None:
        """Write a new operation with its planned steps; `owner` is filled in with this process."""

    def amend(self, operation_id: str, request: Mapping[str, Any]) -> None:
        """Replace the operation's request."""

    def step(self, operation_id: str, seq: int, state: StepState, detail: str = "", *, at: float | None = None) -> None:
        """Move one step at Unix time `at` (None: now): STARTED sets its start, DONE and FAILED its end."""

    def finish(
        self, operation_id: str, state: OperationState, *, result: str, reason: str = "", error: str = ""
    ) -> None:
        """Set the state; a state that is not open also sets the end time."""

    def adopt(self, operation_id: str) -> bool:
        """Make this process the owner of an operation whose owner is dead; False if another process was first."""

    def is_owner_alive(self, record: OperationRecord) -> bool:
        """Whether the process that runs this operation still lives (its lock is held)."""

    def operation(self, operation_id: str) -> OperationRecord | None:
        """One, with its steps."""

    def open_operations(self, uri: str | None = None, domain_uuid: str | None = None) -> Sequence[OperationRecord]:
        """Those not settled, oldest first, with their steps."""

    def history(
        self, *, uri: str | None = None, domain: str | None = None, limit: int = 20
    ) -> Sequence[OperationRecord]:
        """The newest operations first, with their steps; `domain` is a name or UUID."""

    def newest(self, uri: str, names: Collection[str]) -> Sequence[OperationRecord]:
        """Of each domain, and of each NIC that was to be remembered, the newest operation of those names that is done."""

    def put_nic(self, record: NicRecord) -> None:
        """Insert or replace, by uri, domain UUID and alias."""

    def drop_nic(self, uri: str, domain_uuid: str, alias: str) -> None:
        """Forget one; one not known is no error."""

    def nics(self, uri: str | None = None, domain_uuid: str | None = None) -> Sequence[NicRecord]:
        """Those virtnetplug plugged and that are not known to be gone."""

    def hold(self, holding: Holding) -> None:
        """Take a host device, or raise `ClaimTaken` naming who has it or why it is quarantined."""

    def amend_holding(self, holding: Holding) -> None:
        """Replace what is written of a device that is held; one not held is no error."""

    def let_go(self, address: PciAddress) -> None:
        """The device is nobody's any more; one not held is no error."""

    def holdings(self) -> Sequence[Holding]:
        """Every device held or quarantined on this host, by address."""

    def host_policy(self) -> UnplugPolicy:
        """The unplug policy of domains that have none of their own; ``keep`` where it was never set."""

    def set_host_policy(self, policy: UnplugPolicy) -> None:
        """Make it this one."""

    def lock(self, uri: str, domain_uuid: str, *, on_wait: Any = None) -> AbstractContextManager[None]:
        """The lock of one domain, between threads and processes. `on_wait()` is called once if it has to be waited for."""

    # -- what metrics read: counters never go back, whatever retention has removed ------------------

    def operation_totals(self) -> Iterable[tuple[str, str, str, str, int]]:
        """(operation, device_type, result, reason, count) of ended operations."""

    def durations(self) -> Iterable[tuple[str, str, Histogram]]:
        """(operation, phase, histogram of seconds) of ended steps."""

    def compensation_totals(self) -> Iterable[tuple[str, str, int]]:
        """(step name, ``done`` or ``failed``, count)."""

    def prune(self, *, keep_seconds: float) -> int:
        """Remove operations that ended longer ago; their counts are kept. Returns how many."""

    def close(self) -> None:
        """Release this process's owner lock and connections; safe twice."""
