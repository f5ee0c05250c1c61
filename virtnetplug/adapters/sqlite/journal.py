"""The journal in SQLite: operations (`operations`), NICs, host devices, counters, what the owner of the host has set, and locks.

Counters are written in the same transaction as what they count (`totals`), so that no retention can turn them back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from virtnetplug.adapters.clock import SystemClock
from virtnetplug.adapters.sqlite import rows
from virtnetplug.adapters.sqlite.database import Database
from virtnetplug.adapters.sqlite.directory import FILE, default_directory, prepare, translated
from virtnetplug.adapters.sqlite.locks import lock_file_name, locked
from virtnetplug.adapters.sqlite.operations import Operations
from virtnetplug.adapters.sqlite.totals import Totals
from virtnetplug.errors import ClaimTaken, JournalNewer
from virtnetplug.model.holding import Holding
from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.operation import NicRecord
from virtnetplug.ports.host import Clock

_IS_IT = "address = :address AND operation_id = :was_operation AND since = :was_since"
_UNPLUG_POLICY = "unplug-policy"
_PUT_NIC = rows.insert_into("nics", rows.NIC, "INSERT OR REPLACE")


class SqliteJournal(Operations, Totals):
    """`ports.store.Journal` in one directory, usable from many threads and many processes at a time."""

    def __init__(self, directory: Path, database: Database, clock: Clock) -> None:
        super().__init__(directory, database, clock)
        self.directory = directory

    @classmethod
    def open(
        cls, directory: Path | None = None, *, read_only: bool = False, clock: Clock | None = None
    ) -> SqliteJournal:
        """The journal in `directory` (None: `default_directory`), made if it is not there.

        Nothing is made or written if `read_only`: a journal that is not there then reads as an empty journal.
        Raises `JournalReadOnly`, `JournalFull`, `JournalNewer` or `JournalBroken`.
        """
        directory = default_directory() if directory is None else directory
        if not read_only:
            with translated(directory):
                prepare(directory)
        return cls(directory, Database(directory / FILE, read_only=read_only), clock or SystemClock())

    def close(self) -> None:
        self._database.close()

    def batch(self, *, is_durable: bool = True) -> AbstractContextManager[None]:
        """Writes of other threads wait."""
        return self._database.transaction(is_durable=is_durable)

    # -- NICs ------------------------------------------------------------------------------------

    def put_nic(self, record: NicRecord) -> None:
        self._database.write(_PUT_NIC, rows.row_from(record, rows.NIC))

    def drop_nic(
        self, hypervisor: str, domain_uuid: str, alias: str, *, mac: str | None = None, source: str | None = None
    ) -> None:
        where, values = rows.match(hypervisor=hypervisor, domain_uuid=domain_uuid, alias=alias, mac=mac, source=source)
        self._database.write(f"DELETE FROM nics WHERE {where}", values)  # noqa: S608 - no input in it

    def nics(self, hypervisor: str | None = None, domain_uuid: str | None = None) -> Sequence[NicRecord]:
        where, values = rows.match(hypervisor=self._keys(hypervisor), domain_uuid=domain_uuid)
        order = "ORDER BY hypervisor, domain_name, since, alias"
        found = self._database.fetch(f"SELECT * FROM nics WHERE {where} {order}", values)  # noqa: S608 - no input in it
        return [rows.record_from_row(row, NicRecord) for row in found]

    # -- host devices: one row per device, until the device is proved to be as it was ----------------

    def hold(self, holding: Holding) -> Holding:
        with self._database.joined():
            statement = rows.insert_into("holdings", rows.HOLDING) + " ON CONFLICT DO NOTHING"
            if self._database.write(statement, rows.row_from(holding, rows.HOLDING)):
                return holding
            row = self._database.fetch("SELECT * FROM holdings WHERE address = ?", (str(holding.address),))[0]
            return _held_before(rows.record_from_row(row, Holding), holding)

    def amend_holding(self, holding: Holding, was: Holding | None = None) -> None:
        was = holding if was is None else was
        columns = ", ".join(f"{name} = :{name}" for name in rows.HOLDING if name != "address")
        statement = f"UPDATE holdings SET {columns} WHERE {_IS_IT}"  # noqa: S608 - names of our own only
        if not self._database.write(statement, rows.row_from(holding, rows.HOLDING) | _as(was)):
            raise ClaimTaken(
                f"host device {was.address} is not held for {was.alias} of domain {was.domain_name} any more: another operation returned it."
            )

    def let_go(self, holding: Holding) -> bool:
        statement = f"DELETE FROM holdings WHERE {_IS_IT}"  # noqa: S608 - names of our own only
        return bool(self._database.write(statement, _as(holding)))

    def holdings(self, hypervisor: str | None = None, domain_uuid: str | None = None) -> Sequence[Holding]:
        where, values = rows.match(hypervisor=hypervisor, domain_uuid=domain_uuid)
        found = self._database.fetch(f"SELECT * FROM holdings WHERE {where} ORDER BY address", values)  # noqa: S608 - no input in it
        return [rows.record_from_row(row, Holding) for row in found]

    # -- what the host's owner has set, and locks ------------------------------------------------------

    def host_policy(self) -> UnplugPolicy:
        """Raises `JournalNewer` for a policy that is not known."""
        found = self._database.fetch("SELECT value FROM host_settings WHERE name = ?", (_UNPLUG_POLICY,))
        value = found[0]["value"] if found else UnplugPolicy.KEEP.value
        try:
            return UnplugPolicy(value)
        except ValueError:
            raise JournalNewer(
                f"the journal {self._database.path} has the unplug policy '{value}' for this host, which this virtnetplug does not "
                f"know: a newer one wrote it. Upgrade virtnetplug, or set the policy anew."
            ) from None

    def set_host_policy(self, policy: UnplugPolicy) -> None:
        self._database.write("INSERT OR REPLACE INTO host_settings VALUES (?, ?)", (_UNPLUG_POLICY, policy.value))

    def lock(
        self, hypervisor: str, key: str, *, on_wait: Any = None, seconds: float | None = None
    ) -> AbstractContextManager[None]:
        """Never wait for the lock inside a `batch`."""
        self._database.expect_writable()
        return locked(self.directory / "locks" / lock_file_name(hypervisor, key), on_wait, seconds=seconds)


def _as(was: Holding) -> dict[str, object]:
    return {"address": str(was.address), "was_operation": was.operation_id, "was_since": was.since}


def _held_before(holder: Holding, wanted: Holding) -> Holding:
    if (holder.operation_id, holder.alias) == (wanted.operation_id, wanted.alias):
        return holder
    if holder.quarantine:
        raise ClaimTaken(
            f"host device {holder.address} is quarantined: {holder.quarantine}. `repair()` tries to return it."
        )
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since))
    raise ClaimTaken(
        f"host device {holder.address} is held by {holder.alias} of domain {holder.domain_name} since {since}."
    )
