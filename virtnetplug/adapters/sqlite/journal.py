"""The journal in SQLite."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, overload

from virtnetplug.adapters.clock import SystemClock
from virtnetplug.adapters.daemon import key_from_uri, provisional_key
from virtnetplug.adapters.sqlite import holdings, hypervisors, operations, rows, settings, totals
from virtnetplug.adapters.sqlite.database import Database
from virtnetplug.adapters.sqlite.directory import FILE, default_directory, prepare
from virtnetplug.adapters.sqlite.faults import translated
from virtnetplug.adapters.sqlite.locks import Owners, domain_lock_name, locked, process_of
from virtnetplug.errors import JournalReadOnly
from virtnetplug.model.holding import Holding
from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.operation import OPEN_STATES, NicRecord, OperationRecord, OperationState, StepState
from virtnetplug.ports.clock import Clock
from virtnetplug.ports.store import Histogram, OwnerProcess

KEEP_SECONDS = 90 * 86400.0
"""How long an operation that has ended stays in the history; counters are kept for ever."""


class SqliteJournal:
    """`ports.store.Journal` in one directory, usable from many threads and many processes at a time."""

    def __init__(self, directory: Path, database: Database, clock: Clock) -> None:
        self.directory = directory
        self._database = database
        self._clock = clock
        self._owners = Owners(directory / "owners")
        self._provisional: dict[str, str] = {}

    @classmethod
    def open(
        cls, directory: Path | None = None, *, read_only: bool = False, clock: Clock | None = None
    ) -> SqliteJournal:
        """The journal in `directory` (None: `default_directory`), made if it is not there.

        With `read_only` nothing is made or written: a journal that is not there reads as an empty one.
        Raises `JournalReadOnly`, `JournalFull`, `JournalNewer` or `JournalBroken`.
        """
        directory = default_directory() if directory is None else directory
        if not read_only:
            with translated(directory):
                prepare(directory)
        return cls(directory, Database(directory / FILE, read_only=read_only), clock or SystemClock())

    def close(self) -> None:
        """Release the connection; safe twice."""
        self._database.close()

    def batch(self) -> AbstractContextManager[None]:
        """Group the writes of this thread into one durable commit; other threads' writes wait for its end."""
        return self._database.transaction()

    # -- operations ------------------------------------------------------------------------------

    def begin(self, record: OperationRecord) -> None:
        """Write a new operation with its planned steps, as its `owner`'s.

        It makes room in the same commit: operations that ended more than `KEEP_SECONDS` ago go, some at a time. Here, and
        not at the end of one, a full disk refuses an operation that has touched nothing yet.
        """
        self._refuse_read_only()
        with self.batch():
            operations.insert(self._database, record)
            if operations.remove_some(self._database, self._clock.now() - KEEP_SECONDS):
                self._owners.sweep()

    def amend(self, operation_id: str, request: Mapping[str, Any], *, owner: str = "") -> None:
        """Replace the request of an open operation of `owner`; raises `OperationTaken`, and writes nothing, as `finish` does."""
        operations.amend(self._database, operation_id, request, owner)

    def step(self, operation_id: str, seq: int, state: StepState, detail: str = "", *, at: float | None = None) -> None:
        """Move one step at Unix time `at` (None: now); an empty `detail` keeps what was written there before."""
        operations.move_step(self._database, operation_id, seq, state, detail, self._clock.now() if at is None else at)

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
        """Set the state of an open operation of `owner`; one that is not open ends the operation and counts it.

        Raises `OperationTaken`, and writes nothing, if the operation has ended or is another owner's.
        """
        ended = None if state in OPEN_STATES else self._clock.now()
        operations.finish(self._database, operation_id, state, result, reason, error, ended, owner)

    # -- who works on them -----------------------------------------------------------------------

    def call(self) -> AbstractContextManager[str]:
        """A new owner of operations while inside: one call that works on an operation or waits for it."""
        self._refuse_read_only()
        return self._owners.call()

    def adopt(self, operation_id: str, owner: str) -> bool:
        """Make `owner` the owner of an open operation whose owner is dead; False if it has ended, or another was first."""
        self._refuse_read_only()
        return operations.adopt(self._database, operation_id, owner, self._owners)

    def expect_owner(self, operation_id: str, owner: str) -> None:
        """Raise `OperationTaken` unless the operation is open and `owner`'s."""
        operations.expect_owner(self._database, operation_id, owner)

    def is_owner_alive(self, record: OperationRecord) -> bool:
        """Whether the call that works on this operation, or waits for it, still runs."""
        return self._owners.is_alive(record.owner)

    def process_of(self, record: OperationRecord) -> OwnerProcess | None:
        """The process of that call; None where it is not known."""
        return process_of(record.owner)

    def operation(self, operation_id: str) -> OperationRecord | None:
        """One, with its steps."""
        return next(iter(operations.read(self._database, "id = ?", (operation_id,))), None)

    def open_operations(self, hypervisor: str | None = None, *domain_uuids: str) -> Sequence[OperationRecord]:
        """Those not settled, oldest first, with their steps; of these domains ("": of no one domain), or of all."""
        where, values = rows.match(hypervisor=self._keys(hypervisor), domain_uuid=domain_uuids or None)
        return operations.read(self._database, f"ended IS NULL AND {where}", values)

    def history(
        self,
        *,
        hypervisor: str | None = None,
        uri: str | None = None,
        domain: str | None = None,
        names: Mapping[str, str] | None = None,
        limit: int = 20,
    ) -> Sequence[OperationRecord]:
        """The newest operations first, with their steps; `domain` is a UUID or a name (see `Journal.history`), `uri` a spelling of the hypervisor's."""
        keys = self._keys(hypervisor) if uri is None else hypervisors.keys_of(self._database, uri)
        called = None if domain is None else operations.domains_called(self._database, keys, domain, names or {})
        return operations.read_newest(self._database, keys, None if called is None else called | {domain or ""}, limit)

    def since(self, domain_uuid: str, started: float) -> Sequence[OperationRecord]:
        """The operations on that domain that began later than that; if the journal was moved, those of the journal in place."""
        return operations.read_since(self._database, domain_uuid, started)

    def newest(self, hypervisor: str, names: Collection[str]) -> Sequence[OperationRecord]:
        """Of each domain, and of each NIC that was to be remembered, the newest operation of those names that is done."""
        return operations.read_newest_remembering(self._database, self._keys(hypervisor), names)

    def prune(self, *, keep_seconds: float) -> int:
        """Remove operations that ended longer ago, and the files of dead owners; counters stay. Returns how many."""
        removed = operations.remove(self._database, self._clock.now() - keep_seconds)
        self._owners.sweep()
        return removed

    # -- hypervisors -----------------------------------------------------------------------------

    def recognise(self, uri: str, hypervisor: str) -> None:
        """`hypervisor` is what answers at `uri`: rows of an older version, which had the URI alone, are found by the key from now on."""
        if key_from_uri(uri) is not None:
            return
        self._provisional[hypervisor] = provisional_key(uri)
        if not self._database.read_only:
            hypervisors.adopt(self._database, provisional_key(uri), hypervisor)

    @overload
    def _keys(self, hypervisor: str) -> tuple[str, ...]: ...
    @overload
    def _keys(self, hypervisor: None) -> None: ...
    @overload
    def _keys(self, hypervisor: str | None) -> tuple[str, ...] | None: ...
    def _keys(self, hypervisor: str | None) -> tuple[str, ...] | None:
        """All keys that rows of this hypervisor have: a journal that is only read keeps those that stood for it."""
        if hypervisor is None:
            return None
        return (hypervisor, *filter(None, [self._provisional.get(hypervisor)]))

    # -- NICs ------------------------------------------------------------------------------------

    def put_nic(self, record: NicRecord) -> None:
        """Insert or replace, by hypervisor, domain UUID and alias."""
        self._database.write(rows.insert_into("nics", rows.NIC, "INSERT OR REPLACE"), rows.row_from_nic(record))

    def drop_nic(
        self, hypervisor: str, domain_uuid: str, alias: str, *, mac: str | None = None, source: str | None = None
    ) -> None:
        """Forget one, if it has that MAC and source; one not known is no error."""
        where, values = rows.match(hypervisor=hypervisor, domain_uuid=domain_uuid, alias=alias, mac=mac, source=source)
        self._database.write(f"DELETE FROM nics WHERE {where}", values)  # noqa: S608 - no input in it

    def nics(self, hypervisor: str | None = None, domain_uuid: str | None = None) -> Sequence[NicRecord]:
        """Those virtnetplug plugged and that are not known to be gone."""
        where, values = rows.match(hypervisor=self._keys(hypervisor), domain_uuid=domain_uuid)
        order = "ORDER BY hypervisor, domain_name, since, alias"
        found = self._database.fetch(f"SELECT * FROM nics WHERE {where} {order}", values)  # noqa: S608 - no input in it
        return [rows.nic_from_row(row) for row in found]

    # -- host devices ----------------------------------------------------------------------------

    def hold(self, holding: Holding) -> Holding:
        """Take a host device, or raise `ClaimTaken` naming who has it or why it is quarantined.

        What is held: an older row where the same operation took the device for the same NIC before.
        """
        return holdings.take(self._database, holding)

    def amend_holding(self, holding: Holding, was: Holding | None = None) -> None:
        """Replace what is written of a device; raises `ClaimTaken` where its row is not `was` (None: of the same operation and moment) any more."""
        holdings.amend(self._database, holding, holding if was is None else was)

    def let_go(self, holding: Holding) -> bool:
        """The device is nobody's any more; False, and nothing, where its row is another operation's or moment's by now."""
        return holdings.let_go(self._database, holding)

    def holdings(self) -> Sequence[Holding]:
        """Every device held or quarantined on this host, by address."""
        return [rows.holding_from_row(row) for row in self._database.fetch("SELECT * FROM holdings ORDER BY address")]

    # -- what the host's owner has said -------------------------------------------------------------

    def host_policy(self) -> UnplugPolicy:
        """The unplug policy of domains that have none of their own; ``keep`` where it was never set."""
        return settings.unplug_policy(self._database)

    def set_host_policy(self, policy: UnplugPolicy) -> None:
        """Make it this one."""
        settings.set_unplug_policy(self._database, policy)

    # -- locks and counters ----------------------------------------------------------------------

    def lock(
        self, hypervisor: str, domain_uuid: str, *, on_wait: Any = None, seconds: float | None = None
    ) -> AbstractContextManager[None]:
        """The lock of one domain, between threads and processes; never to be waited for inside a `batch`.

        Raises `LockTaken` after `seconds`.
        """
        self._refuse_read_only()
        return locked(self.directory / "locks" / domain_lock_name(hypervisor, domain_uuid), on_wait, seconds=seconds)

    def operation_totals(self) -> Iterable[tuple[str, str, str, str, str, int]]:
        """(operation, kind, device_type, result, reason, count) of ended operations."""
        return totals.operation_totals(self._database)

    def durations(self) -> Iterable[tuple[str, str, str, Histogram]]:
        """(operation, kind, phase, histogram of seconds): one observation per phase and ended operation."""
        return totals.durations(self._database)

    def compensation_totals(self) -> Iterable[tuple[str, str, int]]:
        """(step name, ``done`` or ``failed``, count)."""
        return totals.compensation_totals(self._database)

    def _refuse_read_only(self) -> None:
        if self._database.read_only:
            raise JournalReadOnly(f"the journal in {self.directory} is open for reading only; nothing can be changed.")
