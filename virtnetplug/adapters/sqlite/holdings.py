"""Host devices held for guests: one row per device, for as long as it is not proved to be back as it was."""

from __future__ import annotations

import time

from virtnetplug.adapters.sqlite import rows
from virtnetplug.adapters.sqlite.database import Database
from virtnetplug.errors import ClaimTaken
from virtnetplug.model.holding import Holding


def take(database: Database, holding: Holding) -> Holding:
    """Take the device, or raise `ClaimTaken` naming who has it; what is held, which is older where the same operation took it before."""
    with database.transaction():
        statement = rows.insert_into("holdings", rows.HOLDING) + " ON CONFLICT DO NOTHING"
        if not database.write(statement, rows.row_from_holding(holding)):
            return _held_before(database, holding)
    return holding


_IS_IT = "address = :address AND operation_id = :was_operation AND since = :was_since"


def amend(database: Database, holding: Holding, was: Holding) -> None:
    """Replace the row that is `was`; raises `ClaimTaken` where that is not there any more."""
    columns = ", ".join(f"{name} = :{name}" for name in rows.HOLDING if name != "address")
    statement = f"UPDATE holdings SET {columns} WHERE {_IS_IT}"  # noqa: S608 - names of our own only
    if not database.write(statement, rows.row_from_holding(holding) | _as(was)):
        raise ClaimTaken(
            f"host device {was.address} is not held for {was.alias} of domain {was.domain_name} any more: another operation gave it back."
        )


def let_go(database: Database, was: Holding) -> bool:
    """Remove the row that is `was`; False where that is not there any more."""
    statement = f"DELETE FROM holdings WHERE {_IS_IT}"  # noqa: S608 - names of our own only
    return bool(database.write(statement, _as(was) | {"address": str(was.address)}))


def _as(was: Holding) -> dict[str, object]:
    return {"was_operation": was.operation_id, "was_since": was.since}


def _held_before(database: Database, wanted: Holding) -> Holding:
    row = database.fetch("SELECT * FROM holdings WHERE address = ?", (str(wanted.address),))[0]
    holder = rows.holding_from_row(row)
    if (holder.operation_id, holder.alias) == (wanted.operation_id, wanted.alias):
        return holder
    if holder.quarantine:
        raise ClaimTaken(
            f"host device {holder.address} is quarantined: {holder.quarantine}. `repair()` tries to give it back."
        )
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since))
    raise ClaimTaken(
        f"host device {holder.address} is held by {holder.alias} of domain {holder.domain_name} since {since}."
    )
