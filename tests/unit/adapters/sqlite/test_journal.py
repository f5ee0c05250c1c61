"""What is written is what is read, in this process and in the next."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.adapters.sqlite.conftest import Open
from tests.unit.adapters.sqlite.records import KEY, STEPS, UUID, Clock, nic, operation, put_nic
from virtnetplug.adapters.sqlite import SqliteJournal, schema
from virtnetplug.errors import Failed, JournalBroken, OperationGone, OperationTaken, VirtnetplugError
from virtnetplug.hotplug.identity.metadata import HANDED
from virtnetplug.lifecycle import State
from virtnetplug.model.operation import OPEN_STATES, NicRecord, OperationRecord, OperationState, Step, StepState
from virtnetplug.ports.store import Journal


def read(journal: Journal, operation_id: str = "op1") -> OperationRecord:
    record = journal.operation(operation_id)
    assert record is not None
    return record


def step_of(journal: Journal, seq: int) -> Step:
    return next(step for step in read(journal).steps if step.seq == seq)


def batch_that_fails(journal: Journal, record: OperationRecord, plugged: NicRecord) -> None:
    with journal.batch():
        journal.begin(record)
        journal.put_nic(plugged)
        raise Failed("in the middle")


def test_an_operation_is_read_back_whole_with_its_owner(journal: SqliteJournal, opened: Open) -> None:
    journal.begin(operation(owner="me"))
    for reader in (journal, opened(), opened(read_only=True)):
        assert read(reader) == operation(owner="me")


def test_one_that_is_not_there_is_none(journal: SqliteJournal) -> None:
    assert journal.operation("op1") is None


def test_an_id_is_used_once(journal: SqliteJournal) -> None:
    journal.begin(operation())
    with pytest.raises(VirtnetplugError, match="fault in virtnetplug"):
        journal.begin(operation(domain_name="other"))
    assert read(journal).domain_name == "web"


def test_an_amended_request_replaces_the_first(journal: SqliteJournal) -> None:
    journal.begin(operation())
    journal.amend("op1", {"asked": ["ua-1"], "tap": {"name": "vnet3"}})
    assert read(journal).request == {"asked": ["ua-1"], "tap": {"name": "vnet3"}}


def test_a_step_keeps_its_times_to_the_end(journal: SqliteJournal, clock: Clock) -> None:
    journal.begin(operation())
    journal.step("op1", 1, StepState.STARTED)
    assert step_of(journal, 1) == dataclasses.replace(STEPS[1], state=StepState.STARTED, started=clock.time)
    clock.time += 0.25
    journal.step("op1", 1, StepState.FAILED, "the tap is busy")
    failed = dataclasses.replace(
        STEPS[1], state=StepState.FAILED, started=clock.time - 0.25, seconds=0.25, detail="the tap is busy"
    )
    assert step_of(journal, 1) == failed
    clock.time += 5
    journal.step("op1", 1, StepState.UNDONE)
    assert step_of(journal, 1) == dataclasses.replace(failed, state=StepState.UNDONE)
    assert step_of(journal, 0) == STEPS[0]


def test_times_may_be_told(journal: SqliteJournal) -> None:
    journal.begin(operation())
    journal.step("op1", 2, StepState.STARTED, at=100.0)
    journal.step("op1", 2, StepState.DONE, at=100.5)
    assert (step_of(journal, 2).started, step_of(journal, 2).seconds) == (100.0, 0.5)
    assert step_of(journal, 2).detail == "slot 3"


def test_a_clock_set_back_makes_no_negative_duration(journal: SqliteJournal) -> None:
    journal.begin(operation())
    journal.step("op1", 0, StepState.STARTED, at=100.0)
    journal.step("op1", 0, StepState.DONE, at=40.0)
    assert step_of(journal, 0).seconds == 0.0


def test_a_step_begun_again_is_measured_again(journal: SqliteJournal) -> None:
    journal.begin(operation())
    for state, at in ((StepState.STARTED, 1.0), (StepState.FAILED, 2.0), (StepState.STARTED, 10.0)):
        journal.step("op1", 0, state, at=at)
    assert (step_of(journal, 0).started, step_of(journal, 0).seconds) == (10.0, None)


@pytest.mark.parametrize("call", ["amend", "step", "finish"])
def test_what_the_journal_does_not_have_is_said_to_be_gone(journal: SqliteJournal, call: str) -> None:
    calls = {
        "amend": lambda: journal.amend("op9", {}),
        "step": lambda: journal.step("op9", 0, StepState.DONE),
        "finish": lambda: journal.finish("op9", OperationState.DONE, result="done"),
    }
    with pytest.raises(OperationGone, match="op9 any more"):
        calls[call]()


@pytest.mark.parametrize("state", OperationState)
def test_only_open_operations_are_open(journal: SqliteJournal, clock: Clock, state: OperationState) -> None:
    journal.begin(operation())
    clock.time += 3
    journal.finish("op1", state, result=str(state), reason="why", error="because")
    record = read(journal)
    is_open = state in OPEN_STATES
    assert (record.state, record.result, record.reason, record.error) == (state, str(state), "why", "because")
    assert record.ended == (None if is_open else clock.time)
    assert journal.open_operations(KEY, UUID) == ([record] if is_open else [])


def test_an_operation_that_has_ended_stays_as_it_ended(journal: SqliteJournal) -> None:
    journal.begin(operation())
    journal.finish("op1", OperationState.DONE, result="done")
    with pytest.raises(OperationTaken):
        journal.finish("op1", OperationState.UNDONE, result="undone")
    assert read(journal).state is OperationState.DONE
    assert [total[-1] for total in journal.operation_totals()] == [1]


def test_open_operations_are_those_of_the_domain_oldest_first(journal: SqliteJournal) -> None:
    journal.begin(operation("late", started=20.0))
    journal.begin(operation("early", started=10.0))
    journal.begin(operation("other domain", domain_uuid="u2", started=5.0))
    journal.begin(operation("other host", hypervisor="elsewhere", started=1.0))
    ids = [[record.id for record in journal.open_operations(*where)] for where in ((KEY, UUID), (KEY,), ())]
    assert ids == [
        ["early", "late"],
        ["other domain", "early", "late"],
        ["other host", "other domain", "early", "late"],
    ]
    assert all(record.steps == STEPS for record in journal.open_operations())


def test_history_is_the_newest_first_by_name_or_uuid(journal: SqliteJournal) -> None:
    for number in range(6):
        name, uuid = ("db", "u2") if number % 2 else ("web", UUID)
        journal.begin(operation(f"op{number}", started=float(number), domain_name=name, domain_uuid=uuid))
    journal.finish("op4", OperationState.DONE, result="done")
    assert [record.id for record in journal.history(limit=4)] == ["op5", "op4", "op3", "op2"]
    assert [record.id for record in journal.history(domain="db")] == ["op5", "op3", "op1"]
    assert [record.id for record in journal.history(domain=UUID, limit=2)] == ["op4", "op2"]
    assert journal.history(hypervisor="elsewhere") == journal.history(uri="xen:///system") == []
    assert len(journal.history(hypervisor=KEY)) == len(journal.history(uri="qemu+unix:///system")) == 6
    assert journal.history(limit=0) == []
    assert journal.history(limit=1)[0].steps == STEPS


def test_a_domain_has_its_history_under_every_name_it_had(journal: SqliteJournal) -> None:
    def ids(name: str, **names: str) -> list[str]:
        return [record.id for record in journal.history(domain=name, names=names)]

    journal.begin(operation("op1", started=1.0, domain_name="web", domain_uuid="u1"))
    assert ids("web") == ids("web", u1="renamed") == ids("renamed", u1="renamed") == ["op1"] and ids("renamed") == []
    assert ids("web", u1="renamed", u2="web") == [], "another domain has the name"
    journal.begin(operation("op2", started=2.0, domain_name="web", domain_uuid="u2"))
    assert ids("web") == ids("web", u2="web") == ["op2", "op1"], "the first may be gone, and was called so to its end"
    assert ids("web", u1="renamed", u2="web") == ["op2"]
    journal.begin(operation("op3", started=3.0, domain_name="renamed", domain_uuid="u1"))
    assert (ids("web"), ids("renamed")) == (["op2"], ["op3", "op1"])
    assert ids("web", u1="web", u2="third") == ["op3", "op1"] and ids("u1", u1="web") == ["op3", "op1"]


def test_nics_are_kept_by_hypervisor_domain_and_alias(journal: SqliteJournal, opened: Open) -> None:
    records = [nic("ua-1"), nic("ua-2", since=1_700_000_001.0), nic("ua-1", domain_uuid="u2", domain_name="zoo")]
    for record in records:
        journal.put_nic(record)
    assert opened(read_only=True).nics() == records
    assert journal.nics(KEY, UUID) == records[:2]
    assert journal.nics("elsewhere") == []
    changed = nic("ua-1", backend=State.CLOSING)
    journal.put_nic(changed)
    assert journal.nics(KEY, UUID)[0] == changed
    journal.drop_nic(KEY, UUID, "ua-1")
    journal.drop_nic(KEY, UUID, "ua-1")
    assert journal.nics() == records[1:]


def test_a_batch_is_written_whole_or_not_at_all(journal: SqliteJournal, opened: Open) -> None:
    other = opened(read_only=True)
    with pytest.raises(Failed, match="in the middle"):
        batch_that_fails(journal, operation(), nic())
    assert (journal.operation("op1"), list(journal.nics())) == (None, [])
    with journal.batch():
        journal.begin(operation())
        with journal.batch():
            journal.put_nic(nic())
        assert other.operation("op1") is None
        assert other.nics() == []
    assert read(other).id == "op1"
    assert other.nics() == [nic()]


def test_a_batch_in_a_batch_can_fail_by_itself(journal: SqliteJournal) -> None:
    with journal.batch():
        journal.begin(operation())
        with pytest.raises(Failed):
            batch_that_fails(journal, operation("op2"), nic())
        journal.put_nic(nic("ua-2"))
    assert [record.alias for record in journal.nics()] == ["ua-2"]
    assert [record.id for record in journal.history()] == ["op1"]


def test_interrupted_between_two_lines_the_next_write_still_works(journal: SqliteJournal) -> None:
    journal._database._usable().execute("BEGIN IMMEDIATE")
    journal.begin(operation())
    assert read(journal).id == "op1"


def test_a_request_that_is_no_json_writes_nothing(journal: SqliteJournal) -> None:
    with pytest.raises(TypeError):
        journal.begin(operation(request={"when": object()}))
    assert journal.operation("op1") is None


def test_closed_it_says_so(journal: SqliteJournal) -> None:
    journal.close()
    journal.close()
    with pytest.raises(JournalBroken, match="closed"):
        journal.operation("op1")


def test_a_journal_of_the_first_version_is_brought_up_to_date(directory: Path, opened: Open) -> None:
    directory.mkdir()
    connection = sqlite3.connect(directory / "journal.db")
    connection.executescript(schema.MIGRATIONS[0] + "PRAGMA user_version = 1;")
    put_nic(connection, nic())
    connection.commit()
    connection.close()
    reader = opened(read_only=True)
    assert reader.nics() == [nic()]
    writer = opened()
    assert writer.nics() == [nic()]
    writer.put_nic(nic("ua-2"))
    assert len(reader.nics()) == 2, "what was opened before must not show for ever what was then"
    tables = {row["name"] for row in writer._database.fetch("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "claims" not in tables and tables >= {"operations", "holdings"}


def test_a_request_that_is_no_json_stops_no_search_for_the_newest(directory: Path, journal: SqliteJournal) -> None:
    for name in ("a", "b"):
        journal.begin(operation(name, operation="handover", request={"remembered": [{"name": "ua-e"}]}))
        journal.finish(name, OperationState.DONE, result="done")
    with closing(sqlite3.connect(directory / "journal.db", isolation_level=None)) as damaged:
        damaged.execute("UPDATE operations SET request = '{' WHERE id = 'b'")
    assert {record.id: bool(record.unreadable) for record in journal.newest(KEY, ["handover"])} == {
        "a": False,
        "b": True,
    }


def test_the_newest_of_each_domain_and_each_nic_that_it_remembered(journal: SqliteJournal) -> None:
    other = "00000000-0000-4000-8000-000000000002"
    rows_in_order = [
        ("a", "handover", UUID, "ua-e", OperationState.DONE),
        ("b", "handback", UUID, "ua-e", OperationState.DONE),
        ("c", "handover", UUID, "ua-f", OperationState.DONE),
        ("d", "handover", other, "ua-e", OperationState.DONE),
        ("e", "handback", other, "ua-e", OperationState.UNDONE),
        ("f", "attach", UUID, "ua-f", OperationState.DONE),
        ("g", "handback", UUID, "ua-f", None),
    ]
    for name, kind, domain, nic_name, state in rows_in_order:
        request = {"remembered": [{"name": nic_name}]}
        journal.begin(operation(name, operation=kind, domain_uuid=domain, request=request))
        if state is not None:
            journal.finish(name, state, result="done")
    journal.begin(operation("h", operation="handover", hypervisor="xen", request={}))
    journal.finish("h", OperationState.DONE, result="done")
    found = journal.newest(KEY, ("handover", "handback"))
    assert sorted(each.id for each in found) == ["b", "c", "d"], "what was undone, or goes on, is none"
    assert [each.id for each in journal.newest("xen", ("handover",))] == ["h"], "one that remembered nothing, too"


READS: dict[str, Callable[[SqliteJournal], object]] = {
    "open operations": lambda journal: journal.open_operations(),
    "open operations of a hypervisor": lambda journal: journal.open_operations(KEY),
    "open operations of a domain": lambda journal: journal.open_operations(KEY, UUID, ""),
    "history": lambda journal: journal.history(),
    "history of a hypervisor": lambda journal: journal.history(hypervisor=KEY),
    "history of a domain": lambda journal: journal.history(hypervisor=KEY, domain=UUID),
    "history of a name": lambda journal: journal.history(domain="web", names={UUID: "web"}),
    "operations since": lambda journal: journal.since(UUID, 1_700_000_000.0),
    "hand-overs": lambda journal: journal.newest(KEY, HANDED),
    "begin": lambda journal: journal.begin(operation("new")),
    "totals": lambda journal: (list(journal.operation_totals()), list(journal.durations())),
}


@pytest.mark.parametrize("name", READS)
def test_what_a_call_costs_does_not_grow_with_the_history(journal: SqliteJournal, name: str) -> None:
    """SQLite reads no table of operations or steps from its beginning to its end, unless it stops at the limit."""
    journal.begin(operation("old"))
    journal.finish("old", OperationState.DONE, result="done")
    connection, statements = journal._database._connection, list[str]()
    assert connection is not None
    connection.set_trace_callback(statements.append)
    READS[name](journal)
    connection.set_trace_callback(None)
    plans = [
        str(step["detail"])
        for each in statements
        if each.startswith(("SELECT", "INSERT", "DELETE"))
        for step in connection.execute(f"EXPLAIN QUERY PLAN {each}")
    ]
    at_its_limit = (
        "SCAN operations USING COVERING INDEX operations_started",
        "SCAN operations USING INDEX operations_open",
    )
    assert [
        plan for plan in plans if plan.startswith(("SCAN operations", "SCAN steps")) and plan not in at_its_limit
    ] == []
