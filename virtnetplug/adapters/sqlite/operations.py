"""Operations and their steps, as rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing, nullcontext
from itertools import groupby
from typing import Any

from virtnetplug.adapters.sqlite import rows, totals
from virtnetplug.adapters.sqlite.database import Database
from virtnetplug.adapters.sqlite.locks import Owners, process_of
from virtnetplug.errors import JournalMoved, OperationGone, OperationTaken
from virtnetplug.model.operation import OperationRecord, OperationState, StepState

# A clock set back meanwhile must not make a duration negative.
_ENDED = "started = coalesce(started, :at), seconds = max(0.0, :at - coalesce(started, :at)), "
_TIMES = {StepState.STARTED: "started = :at, seconds = NULL, ", StepState.DONE: _ENDED, StepState.FAILED: _ENDED}


def insert(database: Database, record: OperationRecord) -> None:
    """A new operation with its steps."""
    with database.transaction():
        database.write(rows.insert_into("operations", rows.OPERATION), rows.row_from_operation(record))
        steps = [rows.row_from_step(record.id, step) for step in record.steps]
        database.write_many(rows.insert_into("steps", ["operation_id", *rows.STEP]), steps)


def amend(database: Database, operation_id: str, request: Mapping[str, Any], owner: str) -> None:
    """Replace the request of an open operation of `owner`."""
    text = rows.text_from_request(request)
    statement = "UPDATE operations SET request = ? WHERE id = ? AND owner = ? AND ended IS NULL"
    if not database.write(statement, (text, operation_id, owner)):
        expect_owner(database, operation_id, owner)


def move_step(database: Database, operation_id: str, seq: int, state: StepState, note: str, at: float) -> None:
    """Set a step's state at Unix time `at`, its times with it, and count a compensation."""
    values = {"id": operation_id, "seq": seq, "state": state, "detail": note, "at": at}
    times = _TIMES.get(state, "")
    detail = "detail = coalesce(nullif(:detail, ''), detail)"
    step = "operation_id = :id AND seq = :seq"
    with database.transaction() if state in totals.COMPENSATIONS else nullcontext():
        totals.count_compensation(database, operation_id, seq, state)
        changed = database.write(f"UPDATE steps SET {times}state = :state, {detail} WHERE {step}", values)  # noqa: S608 - no input in it
        _expect(changed, f"step {seq} of operation {operation_id}")


def expect_owner(database: Database, operation_id: str, owner: str) -> None:
    """Raise `OperationTaken` unless the operation is open and `owner`'s; `OperationGone` if the journal does not have it.

    If the journal was moved, the journal in place answers: any call may have the operation that is there.
    """
    wanted = "SELECT owner, ended FROM operations WHERE id = ?", (operation_id,)
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


def finish(
    database: Database,
    operation_id: str,
    state: OperationState,
    result: str,
    reason: str,
    error: str,
    ended: float | None,
    owner: str,
) -> None:
    """Set how an open operation of `owner` stands; with `ended` it is over: it is counted."""
    with database.transaction():
        changed = database.write(
            "UPDATE operations SET state = ?, result = ?, reason = ?, error = ?, ended = ? "
            "WHERE id = ? AND owner = ? AND ended IS NULL",
            (state, result, reason, error, ended, operation_id, owner),
        )
        if not changed:
            expect_owner(database, operation_id, owner)
        elif ended is not None:
            totals.count_operation(database, operation_id)


def adopt(database: Database, operation_id: str, owner: str, owners: Owners) -> bool:
    """Give an open operation of a dead owner to `owner`; of two who try, one is told False."""
    with database.transaction():
        found = database.fetch("SELECT owner FROM operations WHERE id = ? AND ended IS NULL", (operation_id,))
        if not found or (found[0]["owner"] != owner and owners.is_alive(found[0]["owner"])):
            return False
        database.write("UPDATE operations SET owner = ? WHERE id = ?", (owner, operation_id))
        return True


def remove(database: Database, before: float) -> int:
    """Forget those that ended before that Unix time; returns how many."""
    return database.write("DELETE FROM operations WHERE ended < ?", (before,))


def remove_some(database: Database, before: float, limit: int = 100) -> int:
    """The same for at most `limit`, the oldest first, so that whoever calls it with every new one is never held up."""
    oldest = "SELECT number FROM operations WHERE ended < ? ORDER BY ended LIMIT ?"
    return database.write(f"DELETE FROM operations WHERE number IN ({oldest})", (before, limit))  # noqa: S608 - no input in it


def read(database: Database, where: str, values: tuple[Any, ...]) -> list[OperationRecord]:
    """Those that match, oldest first, with their steps."""
    chosen = f"FROM operations WHERE {where}"
    found = database.fetch(f"SELECT * {chosen} ORDER BY started, number", values)
    if not found:
        return []
    of_these = f"operation_id IN (SELECT id {chosen})"
    steps = database.fetch(f"SELECT * FROM steps WHERE {of_these} ORDER BY operation_id, seq", values)  # noqa: S608 - no input in it
    by_operation = {key: list(group) for key, group in groupby(steps, key=lambda row: str(row["operation_id"]))}
    return [rows.operation_from_row(row, by_operation.get(row["id"], ())) for row in found]


def read_newest(
    database: Database, hypervisors: tuple[str, ...] | None, domains: Collection[str] | None, limit: int
) -> list[OperationRecord]:
    """At most `limit`, the newest first, with their steps; `domains` are UUIDs."""
    uuids = None if domains is None else tuple(domains)
    where, values = rows.match(hypervisor=hypervisors, domain_uuid=uuids)
    newest = f"number IN (SELECT number FROM operations WHERE {where} ORDER BY started DESC, number DESC LIMIT ?)"  # noqa: S608 - no input in it
    return read(database, newest, (*values, max(0, limit)))[::-1]


def domains_called(
    database: Database, hypervisors: tuple[str, ...] | None, name: str, names: Mapping[str, str]
) -> set[str]:
    """The UUIDs of the domains that have that name; of those that had it, if none has it. `names` are the names that domains have now, by UUID.

    A domain that `names` does not have is called as it was at its newest operation.
    """
    where, values = rows.match(hypervisor=hypervisors)
    each = "SELECT domain_uuid, domain_name, max(started) AS at FROM operations"
    found = database.fetch(f"{each} WHERE {where} GROUP BY domain_uuid, domain_name ORDER BY at", values)
    said = [(str(row["domain_uuid"]), str(row["domain_name"])) for row in found]
    now = {**dict(said), **names}
    have = {uuid for uuid, present in now.items() if present == name}
    return have or {uuid for uuid, then in said if then == name}


def read_since(database: Database, domain_uuid: str, started: float) -> list[OperationRecord]:
    """Those of the domain that began later than that; if the journal was moved, those of the journal in place."""
    wanted = "domain_uuid = ? AND started > ?", (domain_uuid, started)
    try:
        return read(database, *wanted)
    except JournalMoved:
        with closing(Database(database.path, read_only=True)) as in_place:
            return read(in_place, *wanted)


def read_newest_remembering(
    database: Database, hypervisors: tuple[str, ...], names: Collection[str]
) -> list[OperationRecord]:
    """The newest that is done, of those names, of each domain and of each NIC that it remembered something of (the first, of several)."""
    where, values = rows.match(hypervisor=hypervisors, operation=tuple(names), state=OperationState.DONE)
    newest = (
        f"number IN (SELECT max(number) FROM operations WHERE {where} "  # noqa: S608 - no input in it
        "GROUP BY domain_uuid, CASE WHEN json_valid(request) THEN json_extract(request, '$.remembered[0].name') END)"
    )
    return read(database, newest, values)


def _expect(found: int, what: str) -> None:
    if not found:
        raise OperationGone(
            f"the journal has no {what} any more: the journal was moved, removed or restored meanwhile, and no other call can go on with the operation."
        )
