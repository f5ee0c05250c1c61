"""Claims: one row per thing that only one operation may have, by a unique key."""

from __future__ import annotations

import time

from virtnetplug.adapters.sqlite.database import Database
from virtnetplug.errors import ClaimTaken


def take(database: Database, key: str, operation_id: str, now: float) -> None:
    """Take `key`, or raise `ClaimTaken` naming who has it; taking what one has already changes nothing."""
    with database.transaction():
        taken = database.write("INSERT INTO claims VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (key, operation_id, now))
        if not taken:
            _refuse(database, key, operation_id)


def _refuse(database: Database, key: str, operation_id: str) -> None:
    row = database.fetch(
        "SELECT taken, operation_id, operation, domain_name FROM claims LEFT JOIN operations ON id = operation_id "
        "WHERE key = ?",
        (key,),
    )[0]
    if row["operation_id"] == operation_id:
        return
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["taken"]))
    raise ClaimTaken(
        f"{key} is held since {since} by the {row['operation']} of domain {row['domain_name']} "
        f"(operation {row['operation_id']}). Wait for it to end; if its process is dead, run 'virtnetplug recover'."
    )
