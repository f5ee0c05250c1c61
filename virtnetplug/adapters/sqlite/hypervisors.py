"""The keys of hypervisors in the journal's rows, and what becomes of rows that had a URI only."""

from __future__ import annotations

from virtnetplug.adapters.daemon import provisional_key
from virtnetplug.adapters.sqlite.database import Database
from virtnetplug.adapters.sqlite.schema import key_in_journal


def keys_of(database: Database, uri: str) -> tuple[str, ...]:
    """The keys of the hypervisor that is dialled by that URI; of another host's, those that were seen there."""
    dialled = database.fetch("SELECT DISTINCT hypervisor FROM operations WHERE uri = ?", (uri,))
    key = key_in_journal(uri, database.path)
    return (key, *(str(row["hypervisor"]) for row in dialled)) if key == provisional_key(uri) else (key,)


def adopt(database: Database, provisional: str, key: str) -> None:
    """Give rows their hypervisor's key. A NIC that has a row of that key keeps it, for it is the newer one."""
    tables = ("operations", "nics", "holdings")
    of_them = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE hypervisor = :old" for table in tables)  # noqa: S608 - names of our own only
    values = {"old": provisional, "new": key}
    if not database.fetch(f"{of_them} LIMIT 1", values):
        return
    with database.transaction():
        for table in tables:
            database.write(f"UPDATE OR IGNORE {table} SET hypervisor = :new WHERE hypervisor = :old", values)  # noqa: S608 - names of our own only
        database.write("DELETE FROM nics WHERE hypervisor = :old", values)
