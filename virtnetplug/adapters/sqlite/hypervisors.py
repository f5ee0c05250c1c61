"""The keys of hypervisors in the journal's rows, and what becomes of rows that had a URI only."""

from __future__ import annotations

from typing import overload

from virtnetplug.adapters.daemon import key_from_uri, provisional_key
from virtnetplug.adapters.sqlite.database import Database
from virtnetplug.adapters.sqlite.schema import key_in_journal


class Hypervisors:
    """The part of `ports.store.Journal` that knows hypervisors."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._provisional: dict[str, str] = {}

    def recognise(self, uri: str, hypervisor: str) -> None:
        """`hypervisor` answers at `uri`: rows of an older version, which had the URI alone, are found by the key from now on."""
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
