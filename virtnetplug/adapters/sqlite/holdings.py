"""Host devices held for guests: one row per device, for as long as it is not proved to be back as it was."""

from __future__ import annotations

import time

from virtnetplug.adapters.sqlite import rows
from virtnetplug.adapters.sqlite.database import Database
from virtnetplug.errors import ClaimTaken
from virtnetplug.model.holding import Holding


def take(database: Database, holding: Holding) -> None:
    """Take the device, or raise `ClaimTaken` naming who has it."""
    with database.transaction():
        statement = rows.insert_into("holdings", rows.HOLDING) + " ON CONFLICT DO NOTHING"
        if not database.write(statement, rows.row_from_holding(holding)):
            _refuse(database, holding)


def amend(database: Database, holding: Holding) -> None:
    """Replace all but the key."""
    columns = ", ".join(f"{name} = :{name}" for name in rows.HOLDING if name != "address")
    statement = f"UPDATE holdings SET {columns} WHERE address = :address"  # noqa: S608 - names of our own only
    database.write(statement, rows.row_from_holding(holding))


def _refuse(database: Database, wanted: Holding) -> None:
    row = database.fetch("SELECT * FROM holdings WHERE address = ?", (str(wanted.address),))[0]
    holder = rows.holding_from_row(row)
    if (holder.operation_id, holder.alias) == (wanted.operation_id, wanted.alias):
        return
    if holder.quarantine:
        raise ClaimTaken(
            f"host device {holder.address} is quarantined: {holder.quarantine}. "
            "'virtnetplug audit --repair' tries to give it back."
        )
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since))
    raise ClaimTaken(
        f"host device {holder.address} is held by {holder.alias} of domain {holder.domain_name} since {since}."
    )
