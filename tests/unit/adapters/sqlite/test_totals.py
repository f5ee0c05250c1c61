"""The counters: what the records say, and never less than before, whatever retention removes."""

from __future__ import annotations

import dataclasses
import math
import sqlite3
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.adapters.sqlite.conftest import Open
from tests.unit.adapters.sqlite.records import STEPS, Clock, operation
from virtnetplug.adapters.sqlite import SqliteJournal, schema
from virtnetplug.adapters.sqlite.totals import BOUNDS
from virtnetplug.model.operation import OPEN_STATES, OperationRecord, OperationState, Phase, Step, StepState
from virtnetplug.ports.store import Histogram, Journal

Totals = tuple[Counter[tuple[str, ...]], dict[tuple[str, str, str], Histogram], Counter[tuple[str, ...]]]

steps = st.builds(
    Step,
    seq=st.just(0),
    name=st.sampled_from(["plug", "attach", "ask"]),
    nic=st.just("ua-1"),
    phase=st.sampled_from(Phase),
    state=st.sampled_from(StepState),
    started=st.just(1000.0),
    seconds=st.sampled_from([None, 0.0, 0.0004, 0.001, 0.0011, 0.3, 7.0, 60.0, 61.0, 1e6]),
)
operations = st.builds(
    lambda name, kind, device, state, reason, age, steps: operation(
        operation=name,
        request={"nics": []} | kind,
        device_type=device,
        state=state,
        result=state,
        reason=reason,
        started=1_700_000_000.0 - age,
        steps=tuple(steps),
    ),
    st.sampled_from(["attach", "rebind"]),
    st.sampled_from([{}, {"kind": "move"}, {"kind": "heal"}]),
    st.sampled_from(["bridge", "network"]),
    st.sampled_from(OperationState),
    st.sampled_from(["", "no-free-port"]),
    st.integers(0, 100),
    st.lists(steps, max_size=6),
)


def totals_of(journal: Journal) -> Totals:
    return (
        Counter({tuple(labels): count for *labels, count in journal.operation_totals()}),
        {tuple(labels): histogram for *labels, histogram in journal.durations()},
        Counter({tuple(labels): count for *labels, count in journal.compensation_totals()}),
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(operations, max_size=8), st.integers(0, 110))
def test_the_totals_are_those_of_the_records_before_and_after_pruning(
    written: list[OperationRecord], keep: int
) -> None:
    clock = Clock()
    with tempfile.TemporaryDirectory() as directory:
        journal = SqliteJournal.open(Path(directory), clock=clock)
        for number, record in enumerate(written):
            live_through(journal, clock, record, f"op{number}")
        totals = totals_of(journal)
        assert totals == expected(written)
        clock.time = 1_700_000_000.0
        old = [f"op{number}" for number, record in enumerate(written) if has_ended(record) and age(record) > keep]
        assert journal.prune(keep_seconds=keep) == len(old)
        kept = {f"op{number}" for number in range(len(written))} - set(old)
        assert {record.id for record in journal.history(limit=100)} == kept
        assert totals_of(journal) == totals
        for record in journal.open_operations():
            journal.finish(record.id, OperationState.DONE, result="done")
        journal.prune(keep_seconds=-1)
        assert journal.history() == []
        after = totals_of(journal)
        journal.close()
    assert all(total <= later for total, later in zip((totals[0], totals[2]), (after[0], after[2]), strict=True))
    assert sum(after[0].values()) == len(written)
    for series, histogram in totals[1].items():
        assert all(now >= then for (_, then), (_, now) in zip(histogram.buckets, after[1][series].buckets, strict=True))


def live_through(journal: SqliteJournal, clock: Clock, record: OperationRecord, operation_id: str) -> None:
    """Write `record` as an operation does: begun, each step moved to its state, and finished at its time."""
    planned = tuple(
        Step(seq=seq, name=step.name, nic=step.nic, phase=step.phase) for seq, step in enumerate(record.steps)
    )
    clock.time = record.started
    journal.begin(
        dataclasses.replace(record, id=operation_id, state=OperationState.RUNNING, result="", reason="", steps=planned)
    )
    for seq, step in enumerate(record.steps):
        if step.seconds is not None:
            journal.step(operation_id, seq, StepState.STARTED, at=0.0)
            journal.step(operation_id, seq, StepState.DONE, at=step.seconds)
        if step.state not in (StepState.STARTED, StepState.DONE, StepState.FAILED):
            journal.step(operation_id, seq, step.state)
    journal.finish(operation_id, record.state, result=record.result, reason=record.reason)


def has_ended(record: OperationRecord) -> bool:
    return record.state not in OPEN_STATES


def age(record: OperationRecord) -> float:
    return 1_700_000_000.0 - record.started


def expected(written: list[OperationRecord]) -> Totals:
    """What the totals are by their definition."""
    ended = [record for record in written if has_ended(record)]
    operations = Counter((one.operation, one.kind, one.device_type, one.result, one.reason) for one in ended)
    seconds: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for record in ended:
        for phase in Phase:
            parts = [step.seconds for step in record.steps if step.phase is phase and step.seconds is not None]
            if parts:
                seconds[record.operation, record.kind, phase].append(sum(parts))
    results = {StepState.UNDONE: "done", StepState.UNDO_FAILED: "failed"}
    compensations = Counter(
        (step.name, results[step.state]) for record in written for step in record.steps if step.state in results
    )
    return operations, {series: histogram_of(values) for series, values in seconds.items()}, compensations


def histogram_of(values: list[float]) -> Histogram:
    buckets = tuple((bound, sum(value <= bound for value in values)) for bound in BOUNDS)
    return Histogram(buckets, pytest.approx(math.fsum(values)))


def test_one_observation_per_operation_and_phase(journal: SqliteJournal) -> None:
    journal.begin(operation())
    for seq, seconds in ((0, 0.004), (1, 0.25), (2, 0.75)):
        journal.step("op1", seq, StepState.STARTED, at=0.0)
        journal.step("op1", seq, StepState.DONE, at=seconds)
    assert list(journal.durations()) == [], "not before it has ended"
    journal.finish("op1", OperationState.DONE, result="done")
    allocate, plug = sorted(journal.durations())
    assert allocate[:3] == ("attach", "", "allocate")
    assert [bound for bound, count in allocate[3].buckets if count] == [bound for bound in BOUNDS if bound >= 0.005]
    assert plug[:3] == ("attach", "", "plug")
    assert (plug[3].count, plug[3].sum) == (1, 1.0)
    assert [bound for bound, count in plug[3].buckets if count] == [bound for bound in BOUNDS if bound >= 1.0]


def test_each_failed_attempt_to_undo_counts_and_its_success_once(journal: SqliteJournal, opened: Open) -> None:
    journal.begin(operation())
    for state in (StepState.STARTED, StepState.UNDO_FAILED, StepState.UNDO_FAILED):
        journal.step("op1", 1, state)
    journal.finish("op1", OperationState.INCOMPLETE, result="incomplete")
    journal.close()
    recovering = opened()
    for state in (StepState.UNDONE, StepState.UNDONE):
        recovering.step("op1", 1, state)
    name = STEPS[1].name
    assert {(step, result): count for step, result, count in recovering.compensation_totals()} == {
        (name, "failed"): 2,
        (name, "done"): 1,
    }


def test_an_operation_is_counted_when_it_ends_and_not_while_it_is_open(journal: SqliteJournal) -> None:
    journal.begin(operation())
    for state in OPEN_STATES:
        journal.finish("op1", state, result=str(state))
        assert list(journal.operation_totals()) == []
    journal.finish("op1", OperationState.UNDONE, result="undone", reason="hypervisor-failed")
    assert list(journal.operation_totals()) == [("attach", "", "bridge", "undone", "hypervisor-failed", 1)]


def test_an_open_operation_is_never_pruned(journal: SqliteJournal, clock: Clock) -> None:
    journal.begin(operation())
    journal.finish("op1", OperationState.PENDING, result="pending")
    clock.time += 1e9
    assert journal.prune(keep_seconds=0) == 0
    assert journal.operation("op1") is not None


def test_a_new_operation_removes_what_ended_ninety_days_ago(
    journal: SqliteJournal, clock: Clock, directory: Path
) -> None:
    for number in range(130):
        journal.begin(operation(f"old{number}"))
        if number:
            journal.finish(f"old{number}", OperationState.DONE, result="done")
    owner = directory / "owners" / "0123456789abcdef"
    owner.touch()  # what a killed process leaves
    totals = totals_of(journal)
    clock.time += 90 * 86400
    journal.begin(operation("young"))
    assert len(journal.history(limit=200)) == 131
    clock.time += 1
    journal.begin(operation("second"))
    assert [record.id for record in journal.history(limit=200)] == [
        *("second", "young"),
        *(f"old{number}" for number in range(129, 100, -1)),
        "old0",
    ]
    journal.begin(operation("third"))
    assert {record.id for record in journal.history(limit=200)} == {"old0", "young", "second", "third"}
    assert not owner.exists()
    assert totals_of(journal) == totals


def version_3(directory: Path) -> sqlite3.Connection:
    """A journal as version 3 has it, open as by a process of that version: three rebinds counted, another one under way."""
    directory.mkdir(mode=0o700)
    connection = sqlite3.connect(directory / "journal.db", isolation_level=None)
    for step in range(3):
        connection.executescript(schema.MIGRATIONS[step])
    connection.execute("PRAGMA user_version = 3")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("INSERT INTO operation_totals VALUES ('rebind', 'bridge', 'done', '', 3)")
    connection.execute("INSERT INTO duration_totals VALUES ('rebind', 'plug', 0.005, 3, 0.012)")
    return connection


def test_what_version_3_counted_stays_and_kinds_are_counted_beside_it(directory: Path, opened: Open) -> None:
    version_3(directory).close()
    reader = opened(read_only=True)
    before = totals_of(reader)
    assert before[0] == {("rebind", "", "bridge", "done", ""): 3}
    ((series, histogram),) = before[1].items()
    assert (series, histogram.count, histogram.sum) == (("rebind", "", "plug"), 3, 0.012)
    journal = opened()
    assert totals_of(journal) == before
    for number, kind in enumerate(("move", "heal", "heal", "vif")):
        journal.begin(operation(f"op{number}", operation="rebind", request={"kind": kind, "nics": []}))
        journal.step(f"op{number}", 1, StepState.STARTED, at=0.0)
        journal.step(f"op{number}", 1, StepState.DONE, at=2.0)
        journal.finish(f"op{number}", OperationState.DONE, result="done")
    operations, durations, _ = totals_of(journal)
    kinds = {"move": 1, "heal": 2, "vif": 1}
    assert operations == before[0] + Counter({("rebind", kind, "bridge", "done", ""): n for kind, n in kinds.items()})
    assert {kind: (each.count, each.sum) for (_, kind, _), each in durations.items()} == {
        "": (3, 0.012),
        **{kind: (n, 2.0 * n) for kind, n in kinds.items()},
    }


def test_a_process_that_opened_the_journal_before_still_counts(directory: Path, opened: Open) -> None:
    """Its statements are those of version 3; it must not fail at the end of what it did to a guest."""
    old = version_3(directory)
    journal = opened()
    journal.begin(operation(operation="rebind"))
    journal.finish("op1", OperationState.DONE, result="done")
    count = "ON CONFLICT DO UPDATE SET count = count + 1"
    old.execute(
        f"INSERT INTO operation_totals SELECT operation, device_type, result, reason, 1 FROM operations WHERE TRUE {count}"
    )
    old.execute(
        f"INSERT INTO duration_totals VALUES ('rebind', 'plug', 0.005, 1, 0.001) {count}, sum = sum + excluded.sum"
    )
    old.close()
    operations, durations, _ = totals_of(journal)
    assert operations == {("rebind", "", "bridge", "done", ""): 5}
    assert durations["rebind", "", "plug"].count == 4
