"""The journal's tables, and how an older journal becomes this one."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from virtnetplug.adapters.daemon import key_from_uri, provisional_key
from virtnetplug.adapters.sqlite.directory import damaged
from virtnetplug.errors import JournalBroken, JournalNewer

APPLICATION_ID = 0x766E706C
"""``vnpl``: what ``file(1)`` and we tell a journal from another SQLite file by."""

VERSION = 6
_LEAST = 512  # bytes: SQLite's smallest page

REMEMBERED = "CASE WHEN json_valid(request) THEN json_extract(request, '$.remembered[0].name') END"
"""The first NIC that an operation remembered something of; an index has this expression."""

MIGRATIONS: Mapping[int, str] = {
    0: f"""
    PRAGMA application_id = {APPLICATION_ID};
    CREATE TABLE operations (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        operation TEXT NOT NULL,
        uri TEXT NOT NULL,
        domain_uuid TEXT NOT NULL,
        domain_name TEXT NOT NULL,
        domain_id INTEGER NOT NULL,
        scope TEXT NOT NULL,
        device_type TEXT NOT NULL,
        request TEXT NOT NULL,
        state TEXT NOT NULL,
        result TEXT NOT NULL,
        reason TEXT NOT NULL,
        error TEXT NOT NULL,
        owner TEXT NOT NULL,
        started REAL NOT NULL,
        ended REAL
    );
    CREATE INDEX operations_open ON operations (uri, domain_uuid) WHERE ended IS NULL;
    CREATE INDEX operations_ended ON operations (ended) WHERE ended IS NOT NULL;
    CREATE INDEX operations_started ON operations (started);
    CREATE TABLE steps (
        operation_id TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
        seq INTEGER NOT NULL,
        name TEXT NOT NULL,
        nic TEXT NOT NULL,
        phase TEXT NOT NULL,
        half TEXT,
        state TEXT NOT NULL,
        started REAL,
        seconds REAL,
        detail TEXT NOT NULL,
        PRIMARY KEY (operation_id, seq)
    ) WITHOUT ROWID;
    CREATE TABLE claims (
        key TEXT PRIMARY KEY,
        operation_id TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
        taken REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX claims_operation ON claims (operation_id);
    CREATE TABLE nics (
        uri TEXT NOT NULL,
        domain_uuid TEXT NOT NULL,
        alias TEXT NOT NULL,
        domain_name TEXT NOT NULL,
        mac TEXT NOT NULL,
        type TEXT NOT NULL,
        source TEXT NOT NULL,
        model TEXT NOT NULL,
        target TEXT NOT NULL,
        portid TEXT NOT NULL,
        network TEXT NOT NULL,
        frontend TEXT NOT NULL,
        backend TEXT NOT NULL,
        operation_id TEXT NOT NULL,
        since REAL NOT NULL,
        PRIMARY KEY (uri, domain_uuid, alias)
    ) WITHOUT ROWID;
    CREATE TABLE holdings (
        address TEXT PRIMARY KEY,
        uri TEXT NOT NULL,
        domain_uuid TEXT NOT NULL,
        domain_name TEXT NOT NULL,
        domain_id INTEGER NOT NULL,
        alias TEXT NOT NULL,
        mac TEXT NOT NULL,
        managed INTEGER NOT NULL,
        network TEXT NOT NULL,
        port TEXT NOT NULL,
        operation_id TEXT NOT NULL,
        snapshot TEXT NOT NULL,
        settings TEXT NOT NULL,
        quarantine TEXT NOT NULL,
        since REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE operation_totals (
        operation TEXT NOT NULL,
        device_type TEXT NOT NULL,
        result TEXT NOT NULL,
        reason TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (operation, device_type, result, reason)
    ) WITHOUT ROWID;
    CREATE TABLE duration_totals (
        operation TEXT NOT NULL,
        phase TEXT NOT NULL,
        bound REAL NOT NULL,
        count INTEGER NOT NULL,
        sum REAL NOT NULL,
        PRIMARY KEY (operation, phase, bound)
    ) WITHOUT ROWID;
    CREATE TABLE compensation_totals (
        step TEXT NOT NULL,
        result TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (step, result)
    ) WITHOUT ROWID;
    """,
    1: "DROP TABLE claims",  # what two operations must never both have is a holding
    2: """
    CREATE TABLE host_settings (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
    # The totals of version 0 stay as they are: a process that opened the journal before counts there when it ends.
    3: """
    CREATE TABLE operation_totals_by_kind (
        operation TEXT NOT NULL,
        kind TEXT NOT NULL,
        device_type TEXT NOT NULL,
        result TEXT NOT NULL,
        reason TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (operation, kind, device_type, result, reason)
    ) WITHOUT ROWID;
    CREATE TABLE duration_totals_by_kind (
        operation TEXT NOT NULL,
        kind TEXT NOT NULL,
        phase TEXT NOT NULL,
        bound REAL NOT NULL,
        count INTEGER NOT NULL,
        sum REAL NOT NULL,
        PRIMARY KEY (operation, kind, phase, bound)
    ) WITHOUT ROWID;
    UPDATE nics SET frontend = 'Unknown' WHERE frontend = 'Initialised';
    """,
    # A hypervisor was its URI, and each spelling of that had rows of its own.
    4: """
    ALTER TABLE operations ADD COLUMN hypervisor TEXT NOT NULL DEFAULT '';
    UPDATE operations SET hypervisor = key_in_journal(uri);
    DROP INDEX operations_open;
    CREATE INDEX operations_open ON operations (hypervisor, domain_uuid) WHERE ended IS NULL;
    ALTER TABLE nics RENAME TO nics_by_uri;
    CREATE TABLE nics (
        hypervisor TEXT NOT NULL,
        uri TEXT NOT NULL,
        domain_uuid TEXT NOT NULL,
        alias TEXT NOT NULL,
        domain_name TEXT NOT NULL,
        mac TEXT NOT NULL,
        type TEXT NOT NULL,
        source TEXT NOT NULL,
        model TEXT NOT NULL,
        target TEXT NOT NULL,
        portid TEXT NOT NULL,
        network TEXT NOT NULL,
        frontend TEXT NOT NULL,
        backend TEXT NOT NULL,
        operation_id TEXT NOT NULL,
        since REAL NOT NULL,
        PRIMARY KEY (hypervisor, domain_uuid, alias)
    ) WITHOUT ROWID;
    INSERT OR REPLACE INTO nics
        SELECT key_in_journal(uri), uri, domain_uuid, alias, domain_name, mac, type, source, model, target, portid,
            network, frontend, backend, operation_id, since
        FROM nics_by_uri ORDER BY since;
    DROP TABLE nics_by_uri;
    ALTER TABLE holdings ADD COLUMN hypervisor TEXT NOT NULL DEFAULT '';
    UPDATE holdings SET hypervisor = key_in_journal(uri);
    ALTER TABLE holdings ADD COLUMN identity TEXT NOT NULL DEFAULT '';
    ALTER TABLE operations ADD COLUMN process TEXT NOT NULL DEFAULT '';
    ALTER TABLE nics ADD COLUMN process TEXT NOT NULL DEFAULT '';
    """,
    # A question about one domain, one hypervisor or one name reads no other operations, however many the journal has.
    5: f"""
    CREATE INDEX operations_of_domain ON operations (domain_uuid, started);
    CREATE INDEX operations_of_hypervisor ON operations (hypervisor, started);
    CREATE INDEX operations_named ON operations (domain_name, domain_uuid);
    CREATE INDEX operations_remembering ON operations (hypervisor, domain_uuid, {REMEMBERED}, number)
        WHERE state = 'done' AND operation IN ('handover', 'handback', 'forget');
    """,
}
"""From each version, the statements that lead to the next; version 0 is an empty file. `key_in_journal` is a function of theirs."""


def key_in_journal(uri: object, path: Path) -> str:
    """The key of the hypervisor that an operation in the journal at `path` dialled, without a connection; a provisional one of another host's."""
    owner = None
    with suppress(OSError):
        owner = path.stat().st_uid  # a user's own journal has what that user dialled, whoever migrates it
    return key_from_uri(str(uri), owner) or provisional_key(str(uri))


def check(connection: sqlite3.Connection, path: Path) -> int:
    """The journal's version; raises `JournalNewer`, or `JournalBroken` for a database that is something else."""
    if path.exists() and 0 < path.stat().st_size < _LEAST:
        raise damaged(path, "file is not a database")  # SQLite itself would take it for an empty one
    version, application, has_tables = _read(connection)
    if application != APPLICATION_ID and (application or version or has_tables):
        raise JournalBroken(
            f"{path} is a SQLite database, but not a virtnetplug journal. "
            "Choose another directory with `state_dir` (or VIRTNETPLUG_STATE_DIR), or move that file away."
        )
    if version > VERSION:
        raise JournalNewer(
            f"the journal {path} has version {version}, and this virtnetplug reads up to version {VERSION}: a newer "
            "virtnetplug wrote it. Upgrade virtnetplug, or choose another directory with `state_dir`."
        )
    return version


def migrate(connection: sqlite3.Connection, version: int, path: Path) -> None:
    """Bring the journal, which is that at `path`, from `version` to `VERSION`, inside the transaction the caller has open."""
    connection.create_function("key_in_journal", 1, functools.partial(key_in_journal, path=path))
    for step in range(version, VERSION):
        # One by one: executescript would commit the caller's transaction.
        for statement in MIGRATIONS[step].split(";"):
            if statement.strip():
                connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _read(connection: sqlite3.Connection) -> tuple[int, int, bool]:
    """Version, application and whether there is any table, of one moment: another process may just be making them."""
    is_alone = not connection.in_transaction
    if is_alone:
        connection.execute("BEGIN")
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        application: int = connection.execute("PRAGMA application_id").fetchone()[0]
        has_tables = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
    finally:
        if is_alone and connection.in_transaction:
            connection.execute("ROLLBACK")
    return version, application, has_tables
