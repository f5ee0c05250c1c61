"""Many threads, many processes, and processes killed between two writes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.unit.adapters.sqlite.conftest import Open
from tests.unit.adapters.sqlite.records import KEY, nic, operation
from virtnetplug.adapters.sqlite import SqliteJournal, connection, schema
from virtnetplug.errors import JournalBroken
from virtnetplug.model.operation import OperationState, StepState

WRITER = """
import pathlib, sys, zlib
from tests.unit.adapters.sqlite.records import *
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.model.operation import *
from virtnetplug.model.pci import PciAddress
directory, name, count = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def address_of(name, number):
    return PciAddress(zlib.crc32(name.encode()) % 0x8000, number >> 8 & 0xFF, number >> 3 & 0x1F, number & 7)

journal = SqliteJournal.open(directory)
for number in range(count):
    key = f"{name}-{number}"
    with journal.batch():
        journal.begin(operation(key))
        journal.hold(holding(key, address_of(name, number)))
    print("begun", key, flush=True)
    for step in STEPS:
        journal.step(key, step.seq, StepState.STARTED)
        journal.step(key, step.seq, StepState.DONE)
        print("step", key, step.seq, flush=True)
    with journal.batch():
        journal.put_nic(nic(key))
        journal.let_go(next(one for one in journal.holdings() if one.address == address_of(name, number)))
        journal.finish(key, OperationState.DONE, result="done")
    print("finished", key, flush=True)
"""


def writer(directory: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(directory), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seed", range(8))
def test_killed_at_any_point_all_that_was_acknowledged_is_there_and_whole(
    directory: Path, opened: Open, seed: int
) -> None:
    with writer(directory, "op", 1_000_000) as process:
        assert process.stdout is not None
        said = [process.stdout.readline()]
        time.sleep(random.Random(seed).uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    journal = opened()
    assert journal._database.fetch("PRAGMA integrity_check")[0][0] == "ok"
    for line in said:
        match line.split():
            case ["begun", key]:
                assert journal.operation(key) is not None
            case ["step", key, seq]:
                record = journal.operation(key)
                assert record is not None
                assert record.steps[int(seq)].state is StepState.DONE
            case ["finished", key]:
                record = journal.operation(key)
                assert record is not None
                assert record.state is OperationState.DONE
    aliases = {record.alias for record in journal.nics()}
    held = {one.alias for one in journal.holdings()}
    records = journal.history(limit=1_000_000)
    assert records
    for record in records:
        is_done = record.state is OperationState.DONE
        assert len(record.steps) == 3
        assert (record.id in aliases) == is_done, "a batch is there whole, or not at all"
        assert (record.id in held) == (not is_done)
    assert sum(count for *_, count in journal.operation_totals()) == len(aliases)
    for record in journal.open_operations(KEY):
        assert not journal.is_owner_alive(record)
        with journal.call() as owner:
            assert journal.adopt(record.id, owner)


def test_processes_write_side_by_side(directory: Path, opened: Open) -> None:
    opened()
    writers = [writer(directory, f"w{number}", 25) for number in range(4)]
    for process in writers:
        process.communicate()
    assert [process.returncode for process in writers] == [0] * 4
    assert [total[-1] for total in opened().operation_totals()] == [100]


def test_the_first_to_open_it_may_be_many(directory: Path, opened: Open) -> None:
    writers = [writer(directory, f"w{number}", 1) for number in range(5)]
    for process in writers:
        process.communicate()
    assert [process.returncode for process in writers] == [0] * 5
    assert [total[-1] for total in opened().operation_totals()] == [5]


def test_a_journal_made_while_one_looks_is_not_taken_for_a_foreign_database(directory: Path, opened: Open) -> None:
    directory.mkdir()
    (directory / "journal.db").touch()
    maker = threading.Thread(target=opened)

    def look(statement: str) -> None:
        if "sqlite_master" in statement and not maker.ident:
            maker.start()
            maker.join(0.2)

    looking = connection._connect(connection._uri(directory / "journal.db", "mode=rw"))
    looking.set_trace_callback(look)
    assert schema.check(looking, directory / "journal.db") == 0
    maker.join()
    assert schema.check(looking, directory / "journal.db") == schema.VERSION
    connection._migrate(looking, directory / "journal.db")
    looking.close()
    assert opened().history() == []


def test_a_commit_is_on_the_disk_before_it_returns(journal: SqliteJournal) -> None:
    settings = {name: journal._database.fetch(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": "wal", "synchronous": 2}, "2 is FULL"


def test_threads_share_one_journal(journal: SqliteJournal) -> None:
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for number in range(20):
                key = f"{name}-{number}"
                with journal.batch():
                    journal.begin(operation(key))
                    assert len(journal.open_operations(KEY)) >= 1
                    journal.put_nic(nic(key))
                journal.finish(key, OperationState.DONE, result="done")
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(journal.nics()) == 160
    assert [total[-1] for total in journal.operation_totals()] == [160]


def test_a_write_waits_for_another_process_and_reads_do_not(
    journal: SqliteJournal, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = opened()
    with journal.batch():
        journal.begin(operation())
        assert other.operation("op1") is None
        waiting = threading.Thread(target=other.put_nic, args=(nic(),))
        waiting.start()
        waiting.join(0.4)
        assert waiting.is_alive()
    waiting.join()
    assert journal.nics() == [nic()]


def test_patience_has_an_end_and_names_the_reason(
    journal: SqliteJournal, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.1)
    other = opened()
    with journal.batch():
        journal.begin(operation())
        with pytest.raises(JournalBroken, match="locked by another process") as caught:
            other.put_nic(nic())
    assert caught.value.reason == "journal-busy"
    other.put_nic(nic())
    assert journal.nics() == [nic()]
