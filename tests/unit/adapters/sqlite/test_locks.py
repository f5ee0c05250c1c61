"""Who lives, who may change a domain: decided by locks that end with their process."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.adapters.sqlite.conftest import Open
from tests.unit.adapters.sqlite.records import KEY, UUID, operation
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.adapters.sqlite.locks import locked
from virtnetplug.errors import JournalReadOnly, LockTaken, OperationTaken
from virtnetplug.model.operation import OperationRecord, OperationState
from virtnetplug.ports.store import OwnerProcess

OTHER_PROCESS = """
import pathlib, sys
from tests.unit.adapters.sqlite.records import *
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.adapters.sqlite.locks import locked
journal = SqliteJournal.open(pathlib.Path(sys.argv[1]))
"""


@contextmanager
def other_process(directory: Path, script: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs `script` on its own journal in `directory`, once it has said its first line."""
    command = [sys.executable, "-c", OTHER_PROCESS + script, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def read(journal: SqliteJournal, operation_id: str = "op1") -> OperationRecord:
    record = journal.operation(operation_id)
    assert record is not None
    return record


def owners(directory: Path) -> set[str]:
    return set(os.listdir(directory / "owners"))


BEGIN = "call = journal.call(); journal.begin(operation(owner=call.__enter__())); "


def test_an_owner_lives_as_long_as_its_process_however_that_ends(directory: Path, journal: SqliteJournal) -> None:
    with other_process(directory, BEGIN + "print('ready', flush=True); input()") as process, journal.call() as heir:
        record = read(journal)
        assert owners(directory) == {record.owner, heir}
        assert journal.is_owner_alive(record)
        assert journal.process_of(record) == OwnerProcess(pid=process.pid, is_stopped=False)
        assert not journal.adopt("op1", heir)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert journal.is_owner_alive(record)
        assert journal.process_of(record) == OwnerProcess(pid=process.pid, is_stopped=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not journal.is_owner_alive(record)
        assert record.owner not in owners(directory)
        assert journal.adopt("op1", heir)
        assert journal.is_owner_alive(read(journal))
        assert owners(directory) == {read(journal).owner} == {heir}


def test_a_call_that_has_returned_is_a_dead_owner_though_its_process_lives(
    journal: SqliteJournal, opened: Open, directory: Path
) -> None:
    with journal.call() as owner:
        journal.begin(operation(owner=owner))
        assert journal.is_owner_alive(read(journal)) and opened().is_owner_alive(read(journal))
    assert owners(directory) == set()
    assert not journal.is_owner_alive(read(journal))


def test_of_two_who_adopt_one_does(journal: SqliteJournal, opened: Open) -> None:
    journal.begin(operation(owner="dead"))
    heirs = [opened() for _ in range(8)]
    start, end, wins = threading.Barrier(len(heirs)), threading.Barrier(len(heirs)), list[str]()

    def adopt(heir: SqliteJournal) -> None:
        with heir.call() as owner:
            start.wait()
            if heir.adopt("op1", owner):
                wins.append(owner)
                assert heir.adopt("op1", owner), "its own operation stays its own"
            end.wait()

    run([threading.Thread(target=adopt, args=(heir,)) for heir in heirs])
    assert wins == [read(journal).owner]


def test_what_has_ended_or_never_was_is_adopted_by_nobody(journal: SqliteJournal) -> None:
    journal.begin(operation())
    journal.finish("op1", OperationState.DONE, result="done")
    with journal.call() as owner:
        assert not journal.adopt("op1", owner)
        assert not journal.adopt("op9", owner)


def test_what_is_anothers_or_has_ended_is_not_ended_again(journal: SqliteJournal) -> None:
    with journal.call() as owner:
        journal.begin(operation(owner=owner))
        journal.expect_owner("op1", owner)
        for other in ("", "somebody"):
            with pytest.raises(OperationTaken, match=r"another call.* goes on with it\. This call did nothing more"):
                journal.finish("op1", OperationState.DONE, result="done", owner=other)
            with pytest.raises(OperationTaken, match=r"another call.* goes on with it\. This call did nothing more"):
                journal.expect_owner("op1", other)
        assert read(journal).state is OperationState.RUNNING
        journal.finish("op1", OperationState.DONE, result="done", owner=owner)
        for call in (
            lambda: journal.finish("op1", OperationState.UNDONE, result="undone", owner=owner),
            lambda: journal.expect_owner("op1", owner),
        ):
            with pytest.raises(OperationTaken, match=r"another call.* has settled it\. This call did nothing more"):
                call()
        assert read(journal).state is OperationState.DONE


@pytest.mark.parametrize("token", ["", "0" * 32, "../journal.db", "/etc/passwd", ".."])
def test_a_token_that_names_no_owner_is_dead_and_leads_nowhere(
    journal: SqliteJournal, directory: Path, token: str
) -> None:
    assert not journal.is_owner_alive(operation(owner=token))
    assert (directory / "journal.db").exists()


def test_two_who_ask_at_once_do_not_take_each_other_for_the_owner(directory: Path, journal: SqliteJournal) -> None:
    (directory / "owners/stale").touch()
    with open(directory / "owners/stale") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not journal.is_owner_alive(operation(owner="stale"))


def test_files_of_the_dead_are_swept_and_those_of_the_living_kept(journal: SqliteJournal, directory: Path) -> None:
    with journal.call() as owner:
        (directory / "owners/stale").touch()
        journal.prune(keep_seconds=0)
        assert owners(directory) == {owner}


def test_a_forked_child_keeps_nothing_of_its_parent_alive(directory: Path, journal: SqliteJournal) -> None:
    script = """
import os, time
call = journal.call()
journal.begin(operation(owner=call.__enter__()))
held = journal.lock(KEY, UUID)
held.__enter__()
if os.fork() == 0:
    print('ready', os.getpid(), sep='\\n', flush=True)
    time.sleep(60)
input()
"""
    with other_process(directory, script) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            assert journal.is_owner_alive(read(journal))
            process.kill()
            process.wait()
            assert not journal.is_owner_alive(read(journal))
            with journal.lock(KEY, UUID, on_wait=lambda: pytest.fail("still locked")):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_forked_child_is_told_to_open_its_own(journal: SqliteJournal) -> None:
    with journal.call() as owner:
        journal.begin(operation(owner=owner))
        child = os.fork()
        if child == 0:
            try:
                journal.operation("op1")
            except Exception as error:  # noqa: BLE001 - the child must end here, whatever happens
                os._exit(0 if "forked" in str(error) else 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert journal.is_owner_alive(read(journal))


def test_the_lock_of_a_domain_excludes_threads(journal: SqliteJournal) -> None:
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(20):
            with journal.lock(KEY, UUID):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    run([threading.Thread(target=work) for _ in range(6)])
    assert most == [1]


def test_locks_of_different_domains_do_not_meet(journal: SqliteJournal) -> None:
    def fail() -> None:
        pytest.fail("it had to wait")

    with journal.lock(KEY, UUID), journal.lock(KEY, "u2", on_wait=fail), journal.lock("xen:///", UUID, on_wait=fail):
        pass


def test_who_must_wait_for_another_process_is_told_once_and_then_gets_it(
    directory: Path, journal: SqliteJournal
) -> None:
    waits: list[float] = []
    script = "held = journal.lock(KEY, UUID); held.__enter__(); print('ready', flush=True); input()"
    with other_process(directory, script) as process:

        def on_wait() -> None:
            waits.append(time.monotonic())
            process.kill()

        with journal.lock(KEY, UUID, on_wait=on_wait):
            process.wait()
    assert len(waits) == 1


def test_ctrl_c_ends_the_wait(directory: Path, journal: SqliteJournal) -> None:
    script = """
try:
    with journal.lock(KEY, UUID, on_wait=lambda: print('ready', flush=True)):
        print('got it', flush=True)
except KeyboardInterrupt:
    print('interrupted', flush=True)
"""
    with journal.lock(KEY, UUID), other_process(directory, script) as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"


def test_a_wait_has_an_end_and_names_who_has_the_lock(directory: Path, journal: SqliteJournal) -> None:
    script = "held = journal.lock(KEY, UUID); held.__enter__(); print('ready', flush=True); input()"
    with other_process(directory, script) as process:
        for seconds in (0.0, 0.05):
            with pytest.raises(LockTaken) as caught, journal.lock(KEY, UUID, seconds=seconds):
                pytest.fail("two have it")
            assert caught.value.process == process.pid


def test_the_lock_is_let_go_when_what_it_guards_fails(journal: SqliteJournal) -> None:
    with pytest.raises(ZeroDivisionError), journal.lock(KEY, UUID):
        _ = 1 / 0
    with journal.lock(KEY, UUID, on_wait=lambda: pytest.fail("still locked")):
        pass


def test_a_reader_locks_and_owns_nothing(opened: Open, journal: SqliteJournal) -> None:
    with journal.call() as owner:
        journal.begin(operation(owner=owner))
        reader = opened(read_only=True)
        assert reader.is_owner_alive(read(journal))
        for call in (
            lambda: reader.adopt("op1", "me"),
            lambda: reader.call(),
            lambda: reader.lock(KEY, UUID),
            lambda: reader.begin(operation("op2")),
        ):
            with pytest.raises(JournalReadOnly):
                call()


def run(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_child_of_a_process_that_died_keeps_none_of_its_locks(tmp_path: Path) -> None:
    """A fork shares the descriptions of open files, and with them the locks on them."""
    told, tell = os.pipe()
    first = os.fork()
    if first == 0:
        try:
            with locked(tmp_path / "lock"):
                if os.fork() == 0:
                    os.write(tell, str(os.getpid()).encode())
                time.sleep(1000)
        finally:
            os._exit(1)
    os.close(tell)
    second = int(os.read(told, 20))  # it runs, and with it what Python does in a child
    os.close(told)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    waited: list[bool] = []

    def wait() -> None:
        waited.append(True)
        os.kill(second, signal.SIGKILL)

    with locked(tmp_path / "lock", wait):
        assert waited == [], "the child had it"
    os.kill(second, signal.SIGKILL)
