"""Operations and their steps in the journal, the calls that work on them, and the hypervisors they are of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from itertools import groupby
from pathlib import Path
from typing import Any, overload

from virtnetplug.adapters.daemon import key_from_uri, provisional_key
from virtnetplug.adapters.sqlite import rows, totals
from virtnetplug.adapters.sqlite.database import Database
from virtnetplug.adapters.sqlite.locks import Owners, process_of
from virtnetplug.adapters.sqlite.schema import REMEMBERED, key_in_journal
from virtnetplug.errors import JournalMoved, OperationGone, OperationTaken
from virtnetplug.model.operation import OPEN_STATES, OperationRecord, OperationState, StepState
from virtnetplug.ports.host import Clock
from virtnetplug.ports.store import OwnerProcess


class Hypervisors:
    """The part of `ports.store.Journal` that knows hypervisors."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._provisional: dict[str, str] = {}

    def recognise(self, uri: str, hypervisor: str) -> None:
        if key_from_uri(uri) is not None:
            return
        self._provisional[hypervisor] = provisional_key(uri)
        if not self._database.read_only:
            self._adopt(provisional_key(uri), hypervisor)

    def _adopt(self, provisional: str, key: str) -> None:
        """Give rows their hypervisor's key. A NIC that has a row of that key keeps it, for it is the newer one."""
        tables = ("operations", "nics", "holdings")
        of_them = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE hypervisor = :old" for table in tables)  # noqa: S608 - names of our own only
        values = {"old": provisional, "new": key}
        if not self._database.fetch(f"{of_them} LIMIT 1", values):
            return
        with self._database.transaction():
            for table in tables:
                self._database.write(f"UPDATE OR IGNORE {table} SET hypervisor = :new WHERE hypervisor = :old", values)  # noqa: S608 - names of our own only
            self._database.write("DELETE FROM nics WHERE hypervisor = :old", values)

    @overload
    def _keys(self, hypervisor: str) -> tuple[str, ...]: ...
    @overload
    def _keys(self, hypervisor: str | None) -> tuple[str, ...] | None: ...
    def _keys(self, hypervisor: str | None) -> tuple[str, ...] | None:
        """All keys that rows of this hypervisor have: a journal that is only read keeps the provisional ones."""
        if hypervisor is None:
            return None
        return (hypervisor, *filter(None, [self._provisional.get(hypervisor)]))

    def _keys_of_uri(self, uri: str) -> tuple[str, ...]:
        """The keys of the hypervisor that is dialled by that URI; for another host's, all keys that were seen there."""
        key = key_in_journal(uri, self._database.path)
        if key != provisional_key(uri):
            return (key,)
        dialled = self._database.fetch("SELECT DISTINCT hypervisor FROM operations WHERE uri = ?", (uri,))
        return (key, *(str(row["hypervisor"]) for row in dialled))


KEEP_SECONDS = 90 * 86400.0
"""How long an operation that has ended stays in the history; counters are kept for ever."""

_AT_ONCE = 100
"""The most old operations that the begin of a new operation removes, so that the new operation is never held up."""

# A clock that was set to an earlier time meanwhile must not make a duration negative.
_ENDED = "started = coalesce(started, :at), seconds = max(0.0, :at - coalesce(started, :at)), "
_TIMES = {StepState.STARTED: "started = :at, seconds = NULL, ", StepState.DONE: _ENDED, StepState.FAILED: _ENDED}

_INSERT = rows.insert_into("operations", rows.OPERATION)
_INSERT_STEP = rows.insert_into("steps", ["operation_id", *rows.STEP])


class Operations(Hypervisors):
    """The part of `ports.store.Journal` that is about operations."""

    def __init__(self, directory: Path, database: Database, clock: Clock) -> None:
        super().__init__(database)
        self._clock = clock
        self._owners = Owners(directory / "owners")

    # -- written by the call that runs an operation -----------------------------------------------

    def begin(self, record: OperationRecord) -> None:
        """Remove some operations that ended more than `KEEP_SECONDS` ago, too: a full disk refuses an operation at its begin, not at its end."""
        self._database.expect_writable()
        with self._database.joined():
            self._database.write(_INSERT, rows.row_from(record, rows.OPERATION))
            self._database.write_many(
                _INSERT_STEP, [rows.row_from(step, rows.STEP, operation_id=record.id) for step in record.steps]
            )
            oldest = "SELECT number FROM operations WHERE ended < ? ORDER BY ended LIMIT ?"
            values = self._clock.now() - KEEP_SECONDS, _AT_ONCE
            if self._database.write(f"DELETE FROM operations WHERE number IN ({oldest})", values):  # noqa: S608 - no input in it
                self._owners.sweep()

    def amend(self, operation_id: str, request: Mapping[str, Any], *, owner: str = "") -> None:
        statement = "UPDATE operations SET request = ? WHERE id = ? AND owner = ? AND ended IS NULL"
        if not self._database.write(statement, (rows.text_from_request(request), operation_id, owner)):
            self.expect_owner(operation_id, owner)

    def step(self, operation_id: str, seq: int, state: StepState, detail: str = "", *, at: float | None = None) -> None:
        """Count a compensation, too. An empty `detail` keeps the detail that is there."""
        moment = self._clock.now() if at is None else at
        values = {"id": operation_id, "seq": seq, "state": state, "detail": detail, "at": moment}
        changes = f"{_TIMES.get(state, '')}state = :state, detail = coalesce(nullif(:detail, ''), detail)"
        with self._database.transaction() if state in totals.COMPENSATIONS else self._database.joined():
            totals.count_compensation(self._database, operation_id, seq, state)
            statement = f"UPDATE steps SET {changes} WHERE operation_id = :id AND seq = :seq"  # noqa: S608 - no input in it
            _expect(self._database.write(statement, values), f"step {seq} of operation {operation_id}")

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
        ended = None if state in OPEN_STATES else self._clock.now()
        with self._database.joined():
            changed = self._database.write(
                "UPDATE operations SET state = ?, result = ?, reason = ?, error = ?, ended = ? "
                "WHERE id = ? AND owner = ? AND ended IS NULL",
                (state, result, reason, error, ended, operation_id, owner),
            )
            if not changed:
                self.expect_owner(operation_id, owner)
            elif ended is not None:
                totals.count_operation(self._database, operation_id)

    def prune(self, *, keep_seconds: float) -> int:
        """Remove the operations that ended longer ago, and the files of dead owners; counters stay. Returns how many operations."""
        removed = self._database.write("DELETE FROM operations WHERE ended < ?", (self._clock.now() - keep_seconds,))
        self._owners.sweep()
        return removed

    # -- who works on them ------------------------------------------------------------------------

    def call(self) -> AbstractContextManager[str]:
        self._database.expect_writable()
        return self._owners.call()

    def adopt(self, operation_id: str, owner: str) -> bool:
        self._database.expect_writable()
        database = self._database
        with database.joined():
            found = database.fetch("SELECT owner FROM operations WHERE id = ? AND ended IS NULL", (operation_id,))
            if not found or (found[0]["owner"] != owner and self._owners.is_alive(found[0]["owner"])):
                return False
            database.write("UPDATE operations SET owner = ? WHERE id = ?", (owner, operation_id))
            return True

    def expect_owner(self, operation_id: str, owner: str) -> None:
        """Raise `OperationGone` if the journal does not have the operation. If the journal was moved, the journal in place answers."""
        database, wanted = self._database, ("SELECT owner, ended FROM operations WHERE id = ?", (operation_id,))
        try:
            found = database.fetch(*wanted)
        except JournalMoved:
            with closing(Database(database.path, read_only=True)) as in_place:
                _expect(len(in_place.fetch(*wanted)), f"operation {operation_id}")
            raise OperationTaken(
                f"the journal {database.path} was moved away or restored while this call worked on operation {operation_id}. The journal in place has "
                "the operation too, and another call may have gone on with it. This call did nothing more. Run `recover()`, which settles the "
                "operation if it is still open; `history()` shows how it stands.",
                reason="journal-moved",
            ) from None
        _expect(len(found), f"operation {operation_id}")
        if found[0]["ended"] is not None or found[0]["owner"] != owner:
            process = process_of(str(found[0]["owner"]))
            who = "another call" if process is None else f"another call (process {process.pid})"
            raise OperationTaken(
                f"operation {operation_id} is not this call's any more: {who} {'has settled it' if found[0]['ended'] is not None else 'goes on with it'}. "
                "This call did nothing more. `history()` shows how the operation stands."
            )

    def is_owner_alive(self, record: OperationRecord) -> bool:
        return self._owners.is_alive(record.owner)

    def process_of(self, record: OperationRecord) -> OwnerProcess | None:
        return process_of(record.owner)

    # -- read -------------------------------------------------------------------------------------

    def operation(self, operation_id: str) -> OperationRecord | None:
        return next(iter(_read(self._database, "id = ?", (operation_id,))), None)

    def open_operations(self, hypervisor: str | None = None, *domain_uuids: str) -> Sequence[OperationRecord]:
        where, values = rows.match(hypervisor=self._keys(hypervisor), domain_uuid=domain_uuids or None)
        return _read(self._database, f"ended IS NULL AND {where}", values, index="operations_open")

    def history(
        self,
        *,
        hypervisor: str | None = None,
        uri: str | None = None,
        domain: str | None = None,
        names: Mapping[str, str] | None = None,
        limit: int = 20,
    ) -> Sequence[OperationRecord]:
        keys = self._keys(hypervisor) if uri is None else self._keys_of_uri(uri)
        uuids = None if domain is None else (*self._domains_called(keys, domain, names or {}), domain, domain.lower())
        where, values = rows.match(hypervisor=keys, domain_uuid=uuids)
        index = "" if uuids is None else "INDEXED BY operations_of_domain"
        newest = f"SELECT number FROM operations {index} WHERE {where} ORDER BY started DESC, number DESC LIMIT ?"  # noqa: S608 - no input in it
        return _read(self._database, f"number IN ({newest})", (*values, max(0, limit)))[::-1]

    def since(self, domain_uuid: str, started: float) -> Sequence[OperationRecord]:
        wanted = "domain_uuid = ? AND started > ?", (domain_uuid, started)
        try:
            return _read(self._database, *wanted)
        except JournalMoved:
            with closing(Database(self._database.path, read_only=True)) as in_place:
                return _read(in_place, *wanted)

    def newest(self, hypervisor: str, names: Collection[str]) -> Sequence[OperationRecord]:
        where, values = rows.match(hypervisor=self._keys(hypervisor))
        # As literals: SQLite takes the index `operations_remembering` only for the very list that the index has.
        listed = ", ".join(f"'{name}'" for name in names)
        of_them = f"state = '{OperationState.DONE}' AND operation IN ({listed})"
        newest = f"SELECT max(number) FROM operations WHERE {where} AND {of_them} GROUP BY domain_uuid, {REMEMBERED}"  # noqa: S608 - no input in it
        return _read(self._database, f"number IN ({newest})", values)

    def _domains_called(self, hypervisors: tuple[str, ...] | None, name: str, names: Mapping[str, str]) -> set[str]:
        """The UUIDs of the domains that have that name; if no domain has it, of those that had it.

        `names` are the names that domains have now, by UUID. A domain that `names` does not have is called as it was at its newest operation.
        """
        where, values = rows.match(hypervisor=hypervisors)
        found = self._database.fetch(
            f"""SELECT domain_uuid, (
                    SELECT domain_name FROM operations INDEXED BY operations_of_domain
                    WHERE domain_uuid = had.domain_uuid AND {where} ORDER BY started DESC, number DESC LIMIT 1
                ) AS name
                FROM (SELECT DISTINCT domain_uuid FROM operations INDEXED BY operations_named WHERE domain_name = ? AND {where}) AS had""",  # noqa: S608 - no input in it
            (*values, name, *values),
        )
        now = {**{str(row["domain_uuid"]): row["name"] for row in found}, **names}
        have = {uuid for uuid, present in now.items() if present == name}
        return have or {str(row["domain_uuid"]) for row in found}


def _read(database: Database, where: str, values: tuple[Any, ...], *, index: str = "") -> list[OperationRecord]:
    """The operations that match, oldest first, with their steps. SQLite reads them by `index`, if it is given, and by no other."""
    chosen = f"FROM operations {'INDEXED BY ' + index if index else ''} WHERE {where}"
    found = database.fetch(f"SELECT * {chosen} ORDER BY started, number", values)
    if not found:
        return []
    of_these = f"operation_id IN (SELECT id {chosen})"
    steps = database.fetch(f"SELECT * FROM steps WHERE {of_these} ORDER BY operation_id, seq", values)  # noqa: S608 - no input in it
    by_operation = {key: list(group) for key, group in groupby(steps, key=lambda row: str(row["operation_id"]))}
    return [rows.operation_from_row(row, by_operation.get(row["id"], ())) for row in found]


def _expect(found: int, what: str) -> None:
    if not found:
        raise OperationGone(
            f"the journal has no {what} any more: the journal was moved, removed or restored meanwhile, and no other call can go on with the operation."
        )
