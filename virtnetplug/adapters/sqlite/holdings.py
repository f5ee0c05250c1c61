"""Host devices held for guests: one row per device, until the device is proved to be as it was."""

from __future__ import annotations

import time
from collections.abc import Sequence

from virtnetplug.adapters.sqlite import rows
from virtnetplug.adapters.sqlite.hypervisors import Hypervisors
from virtnetplug.errors import ClaimTaken
from virtnetplug.model.holding import Holding

_IS_IT = "address = :address AND operation_id = :was_operation AND since = :was_since"


class Holdings(Hypervisors):
    """The part of `ports.store.Journal` that is about host devices."""

    def hold(self, holding: Holding) -> Holding:
        with self._database.joined():
            statement = rows.insert_into("holdings", rows.HOLDING) + " ON CONFLICT DO NOTHING"
            if self._database.write(statement, rows.row_from_holding(holding)):
                return holding
            row = self._database.fetch("SELECT * FROM holdings WHERE address = ?", (str(holding.address),))[0]
            return _held_before(rows.holding_from_row(row), holding)

    def amend_holding(self, holding: Holding, was: Holding | None = None) -> None:
        was = holding if was is None else was
        columns = ", ".join(f"{name} = :{name}" for name in rows.HOLDING if name != "address")
        statement = f"UPDATE holdings SET {columns} WHERE {_IS_IT}"  # noqa: S608 - names of our own only
        if not self._database.write(statement, rows.row_from_holding(holding) | _as(was)):
            raise ClaimTaken(
                f"host device {was.address} is not held for {was.alias} of domain {was.domain_name} any more: another operation returned it."
            )

    def let_go(self, holding: Holding) -> bool:
        statement = f"DELETE FROM holdings WHERE {_IS_IT}"  # noqa: S608 - names of our own only
        return bool(self._database.write(statement, _as(holding)))

    def holdings(self, hypervisor: str | None = None, domain_uuid: str | None = None) -> Sequence[Holding]:
        where, values = rows.match(hypervisor=hypervisor, domain_uuid=domain_uuid)
        found = self._database.fetch(f"SELECT * FROM holdings WHERE {where} ORDER BY address", values)  # noqa: S608 - no input in it
        return [rows.holding_from_row(row) for row in found]


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
