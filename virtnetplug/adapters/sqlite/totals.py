"""The counters: written in the same transaction as what they count, so that no retention can turn them back.

The counts are in the tables by kind and in the tables of earlier versions, together. The earlier tables have what versions up to 3 of the journal
counted. A process that opened the journal before version 4 still counts there: its operation must not fail at its end.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from virtnetplug.adapters.sqlite.database import Database
from virtnetplug.model.operation import StepState
from virtnetplug.ports.store import Histogram

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, math.inf)
"""Upper bounds of the histogram's buckets, in seconds."""

COMPENSATIONS = {StepState.UNDONE: "done", StepState.UNDO_FAILED: "failed"}
"""The states of a step that was undone, or whose undo failed, and what each is counted as."""

_KIND = "coalesce(json_extract(request, '$.kind'), '')"
"""`OperationRecord.kind` of a row."""


_BOUND = "".join(f"WHEN seconds <= {bound} THEN {bound} " for bound in BOUNDS[:-1])
"""The upper bound of the bucket that `seconds` falls in, in SQL but for the last bound."""

_COUNTED = f"""
    INSERT INTO operation_totals_by_kind (operation, kind, device_type, result, reason, count)
    SELECT operation, {_KIND}, device_type, result, reason, 1 FROM operations WHERE id = ?
    ON CONFLICT DO UPDATE SET count = count + 1"""  # noqa: S608 - no input in it

_TIMED = f"""
    INSERT INTO duration_totals_by_kind (operation, kind, phase, bound, count, sum)
    SELECT operation, {_KIND}, phase, CASE {_BOUND} ELSE ? END, 1, seconds
    FROM operations, (SELECT phase, sum(seconds) AS seconds FROM steps WHERE operation_id = ? AND seconds IS NOT NULL GROUP BY phase)
    WHERE id = ? ON CONFLICT DO UPDATE SET count = count + 1, sum = sum + excluded.sum"""  # noqa: S608 - no input in it


def count_operation(database: Database, operation_id: str) -> None:
    """Count an operation that has just ended: once by its result, once per phase by the sum of its steps' seconds."""
    database.write(_COUNTED, (operation_id,))
    database.write(_TIMED, (math.inf, operation_id, operation_id))


def count_compensation(database: Database, operation_id: str, seq: int, state: StepState) -> None:
    """Count an undo that a step is just going through to `state`: each failed attempt, and its success once."""
    if state in COMPENSATIONS:
        database.write(
            """INSERT INTO compensation_totals SELECT name, :result, 1 FROM steps
               WHERE operation_id = :id AND seq = :seq AND (:result <> 'done' OR state <> :state)
               ON CONFLICT DO UPDATE SET count = count + 1""",
            {"id": operation_id, "seq": seq, "state": state, "result": COMPENSATIONS[state]},
        )


class Totals:
    """The part of `ports.store.Journal` that is about counters."""

    _database: Database

    def operation_totals(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        for row in self._database.fetch(
            """SELECT operation, kind, device_type, result, reason, sum(count) AS count FROM (
                   SELECT operation, kind, device_type, result, reason, count FROM operation_totals_by_kind
                   UNION ALL SELECT operation, '', device_type, result, reason, count FROM operation_totals
               ) GROUP BY operation, kind, device_type, result, reason"""
        ):
            yield row["operation"], row["kind"], row["device_type"], row["result"], row["reason"], row["count"]

    def compensation_totals(self) -> Iterator[tuple[str, str, int]]:
        for row in self._database.fetch("SELECT step, result, count FROM compensation_totals"):
            yield row["step"], row["result"], row["count"]

    def durations(self) -> Iterator[tuple[str, str, str, Histogram]]:
        """The histograms have one observation per phase and ended operation."""
        series: defaultdict[tuple[str, str, str], dict[float, tuple[int, float]]] = defaultdict(dict)
        for row in self._database.fetch(
            """SELECT operation, kind, phase, bound, sum(count) AS count, sum(sum) AS sum FROM (
                   SELECT operation, kind, phase, bound, count, sum FROM duration_totals_by_kind
                   UNION ALL SELECT operation, '', phase, bound, count, sum FROM duration_totals
               ) GROUP BY operation, kind, phase, bound"""
        ):
            series[row["operation"], row["kind"], row["phase"]][row["bound"]] = row["count"], row["sum"]
        for (operation, kind, phase), counts in series.items():
            buckets, total = [], 0
            for bound in sorted({*BOUNDS, *counts}):
                total += counts.get(bound, (0, 0.0))[0]
                buckets.append((bound, total))
            yield (
                operation,
                kind,
                phase,
                Histogram(tuple(buckets), math.fsum(seconds for _, seconds in counts.values())),
            )
