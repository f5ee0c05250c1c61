"""A full disk, a read-only one, a newer journal, garbage: one paragraph each, and nothing touched."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.adapters.sqlite.conftest import Open
from tests.unit.adapters.sqlite.records import nic, operation
from virtnetplug.adapters.sqlite import SqliteJournal, default_directory
from virtnetplug.adapters.sqlite.schema import VERSION
from virtnetplug.errors import JournalBroken, JournalNewer, VirtnetplugError
from virtnetplug.model.operation import OperationState

PRELUDE = """
import os, pathlib, sys
from tests.unit.adapters.sqlite.records import *
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.errors import *
from virtnetplug.model.operation import *
directory = pathlib.Path(sys.argv[1])

def refusal(call):
    try:
        call()
    except VirtnetplugError as error:
        return error
    raise AssertionError("it was not refused")
"""


def run_mounted(directory: Path, mount: str, script: str) -> str:
    """What `script` prints, in a mount namespace of its own where `mount` was run with `directory` as ``$1``."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    shell = ["sh", "-ec", f'{mount}; shift; exec "$@"', "sh", str(directory)]
    python = [sys.executable, "-c", PRELUDE + script, str(directory)]
    return subprocess.run(
        ["unshare", *user, "--mount", *shell, *python], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def is_a_paragraph(error: VirtnetplugError, *words: str | Path) -> bool:
    return "\n" not in error.message and error.exit_code == 3 and all(str(word) in error.message for word in words)


def set_version(directory: Path, version: int) -> None:
    connection = sqlite3.connect(directory / "journal.db")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


# -- a full disk ---------------------------------------------------------------------------------

FULL = 'mount -t tmpfs -o size=500k,nr_inodes=24 tmpfs "$1"'


def test_a_full_disk_refuses_and_keeps_what_it_has_and_goes_on_once_there_is_room(tmp_path: Path) -> None:
    script = """
journal = SqliteJournal.open(directory)
written = []
def fill():
    while True:
        key = f"op{len(written)}"
        with journal.batch():
            journal.begin(operation(key, request={"xml": "x" * 3000}))
            journal.put_nic(nic(key))
        written.append(key)
(directory / "ballast").write_bytes(b"x" * 40960)
error = refusal(fill)
assert isinstance(error, JournalFull), error
assert len(written) > 5
assert sorted(record.id for record in journal.history(limit=1000)) == sorted(written)
assert len(journal.nics()) == len(written)
assert isinstance(refusal(fill), JournalFull)
(directory / "ballast").unlink()
journal.finish("op0", OperationState.DONE, result="done")
journal.close()
again = SqliteJournal.open(directory)
assert again.operation("op0").state is OperationState.DONE
print(error.reason, error.exit_code, error.message)
"""
    said = run_mounted(tmp_path, FULL, script)
    assert said.startswith("journal-full 3 the disk under the journal is full")
    assert str(tmp_path / "journal.db") in said
    assert "Free some space there" in said


def test_a_batch_that_meets_a_full_disk_is_taken_back_even_if_its_caller_goes_on(tmp_path: Path) -> None:
    script = """
journal = SqliteJournal.open(directory)
journal.begin(operation())
def batch():
    with journal.batch():
        journal.put_nic(nic("ua-before"))
        for number in range(1000):
            try:
                journal.begin(operation(f"big{number}", request={"xml": "x" * 9000}))
            except JournalFull:
                break
        journal.put_nic(nic("ua-after"))
error = refusal(batch)
assert journal.nics() == [], journal.nics()
assert [record.id for record in journal.history(limit=1000)] == ["op1"]
journal.close()
assert SqliteJournal.open(directory, read_only=True).operation("op1") is not None
print(error.reason)
"""
    assert run_mounted(tmp_path, FULL, script).strip() in ("journal-full", "journal-broken")


@pytest.mark.parametrize("left", [0, 4, 16, 40])
def test_a_disk_too_full_to_make_a_journal_says_so(tmp_path: Path, left: int) -> None:
    script = f"""
with open(directory / "ballast", "wb", buffering=0) as file:
    try:
        while file.write(b"x" * 4096): pass
    except OSError:
        pass
    file.truncate(max(0, file.tell() - {left} * 1024))
error = refusal(lambda: SqliteJournal.open(directory / "state").begin(operation()))
assert isinstance(error, JournalFull), repr(error)
print(error.message)
"""
    assert "the disk under the journal is full" in run_mounted(tmp_path, FULL, script)


def test_no_inode_for_a_lock_is_a_full_disk_and_nothing_is_begun(tmp_path: Path) -> None:
    script = """
journal = SqliteJournal.open(directory)
names = iter(range(1000))
def fill():
    while True:
        (directory / f"ballast{next(names)}").touch()
try:
    fill()
except OSError:
    pass
lock = refusal(lambda: journal.lock(KEY, UUID).__enter__())
begin = refusal(lambda: journal.call().__enter__())
assert journal.history() == []
print(lock.reason, begin.reason)
"""
    assert run_mounted(tmp_path, FULL, script).split() == ["journal-full"] * 2


# -- read-only -----------------------------------------------------------------------------------

READ_ONLY = 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"'
READS = """
journal = SqliteJournal.open(directory, read_only=True)
print([record.id for record in journal.history()], [nic.alias for nic in journal.nics()],
      [total[-1] for total in journal.operation_totals()], journal.is_owner_alive(journal.history()[-1]))
error = refusal(lambda: journal.put_nic(nic()))
assert isinstance(error, JournalReadOnly), error
assert isinstance(refusal(lambda: SqliteJournal.open(directory)), JournalReadOnly)
"""


@pytest.fixture
def written(journal: SqliteJournal) -> Iterator[SqliteJournal]:
    """Two operations, one of them ended, and a NIC."""
    with journal.call() as owner:
        journal.begin(operation("op1", started=1.0, owner=owner))
        journal.begin(operation("op2", started=2.0))
        journal.finish("op2", OperationState.DONE, result="done")
        journal.put_nic(nic())
        yield journal


def test_a_closed_journal_is_read_on_a_read_only_disk(directory: Path, written: SqliteJournal) -> None:
    written.close()
    assert run_mounted(directory, READ_ONLY, READS) == "['op2', 'op1'] ['ua-1'] [1] True\n"


def test_a_journal_in_use_is_read_where_it_cannot_be_written(directory: Path, written: SqliteJournal) -> None:
    assert (directory / "journal.db-wal").stat().st_size > 0
    assert run_mounted(directory, READ_ONLY, READS) == "['op2', 'op1'] ['ua-1'] [1] True\n"


def test_a_crashed_journal_is_read_on_a_read_only_disk_with_what_is_only_in_its_log(
    directory: Path, written: SqliteJournal, tmp_path: Path
) -> None:
    """As on a snapshot: the write-ahead log is there, its index is not, and none can be made."""
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        (snapshot / name).write_bytes((directory / name).read_bytes())
    assert run_mounted(snapshot, READ_ONLY, READS) == "['op2', 'op1'] ['ua-1'] [1] False\n"


def test_a_reader_sees_what_comes_later_even_where_it_cannot_write(directory: Path, written: SqliteJournal) -> None:
    """Its own mount is read-only; the writer's is not."""
    written.close()
    script = """
reader = SqliteJournal.open(pathlib.Path(sys.argv[1]), read_only=True)
before = [nic.alias for nic in reader.nics()]
writer = SqliteJournal.open(pathlib.Path(os.environ["WRITABLE"]))
writer.put_nic(nic("ua-2"))
during = [nic.alias for nic in reader.nics()]
writer.close()
after = [nic.alias for nic in reader.nics()]
print(before, during, after)
"""
    view = directory.with_name("view")
    view.mkdir()
    mount = f'mount --bind {directory} "$1"; mount -o remount,bind,ro "$1"; export WRITABLE={directory}'
    assert run_mounted(view, mount, script) == "['ua-1'] ['ua-1', 'ua-2'] ['ua-1', 'ua-2']\n"


def test_a_directory_of_another_user_is_refused_for_both(directory: Path, written: SqliteJournal) -> None:
    written.close()
    script = """
print(refusal(lambda: SqliteJournal.open(directory)).reason)
print(refusal(lambda: SqliteJournal.open(directory, read_only=True)).reason)
"""
    # Even root is like any other user without the capabilities to pass over a mode.
    as_other = (
        ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] if os.geteuid() == 0 else []
    )
    command = [*as_other, sys.executable, "-c", PRELUDE + script, str(directory)]
    directory.chmod(0)
    try:
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    finally:
        directory.chmod(0o700)
    assert ran.stdout.split() == ["journal-read-only", "journal-forbidden"]


def test_where_there_is_no_journal_it_reads_as_empty_and_none_is_made(directory: Path, opened: Open) -> None:
    reader = opened(read_only=True)
    assert (reader.history(), reader.nics(), reader.holdings(), reader.open_operations()) == ([], [], [], [])
    assert [list(totals()) for totals in (reader.operation_totals, reader.durations, reader.compensation_totals)] == [
        []
    ] * 3
    assert not directory.exists()
    opened().put_nic(nic())
    assert reader.nics() == [nic()], "and it is seen once it is there"


# -- what is no journal of ours ------------------------------------------------------------------


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_journal_is_left_alone(directory: Path, written: SqliteJournal, opened: Open, read_only: bool) -> None:
    written.close()
    set_version(directory, VERSION + 1)
    before = (directory / "journal.db").read_bytes()
    with pytest.raises(JournalNewer) as caught:
        opened(read_only=read_only)
    assert is_a_paragraph(
        caught.value, directory, f"version {VERSION + 1}", f"version {VERSION}:", "Upgrade", "`state_dir`"
    )
    assert (directory / "journal.db").read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("content", [b"not a database, for sure\n" * 200, os.urandom(8192), b"x"])
def test_garbage_is_left_alone(directory: Path, opened: Open, read_only: bool, content: bytes) -> None:
    directory.mkdir()
    (directory / "journal.db").write_bytes(content)
    with pytest.raises(JournalBroken) as caught:
        opened(read_only=read_only)
    assert is_a_paragraph(caught.value, directory / "journal.db", "damaged", "Move it away")
    assert (directory / "journal.db").read_bytes() == content


@pytest.mark.parametrize("read_only", [False, True])
def test_another_programs_database_is_left_alone(directory: Path, opened: Open, read_only: bool) -> None:
    directory.mkdir()
    connection = sqlite3.connect(directory / "journal.db")
    connection.execute("CREATE TABLE bookmarks (url)")
    connection.close()
    before = (directory / "journal.db").read_bytes()
    with pytest.raises(JournalBroken) as caught:
        opened(read_only=read_only)
    assert is_a_paragraph(caught.value, directory / "journal.db", "not a virtnetplug journal", "`state_dir`")
    assert (directory / "journal.db").read_bytes() == before


def test_a_damaged_page_is_told_and_not_a_traceback(directory: Path, written: SqliteJournal, opened: Open) -> None:
    written.close()
    with open(directory / "journal.db", "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 65536)
    with pytest.raises(JournalBroken, match="damaged"):
        opened(read_only=True).history()


def test_an_empty_file_as_a_crash_may_leave_it_becomes_a_journal(directory: Path, opened: Open) -> None:
    directory.mkdir()
    (directory / "journal.db").touch()
    assert opened(read_only=True).history() == []
    journal = opened()
    journal.put_nic(nic())
    assert journal.nics() == [nic()]


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("/dev/null")])
def test_a_directory_that_is_none_is_told(directory: Path, opened: Open, make: Callable[[Path], None]) -> None:
    make(directory)
    with pytest.raises(JournalBroken) as caught:
        opened()
    assert is_a_paragraph(caught.value, directory, "no directory", "`state_dir`")


# -- where it lives ------------------------------------------------------------------------------


def test_it_is_its_owners_alone(directory: Path, written: SqliteJournal) -> None:
    with written.lock("u", "d"):
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.rglob("*"))}
    assert len(modes) == 8
    assert set(modes.values()) == {0o600, 0o700}
    assert all((mode == 0o700) == path.is_dir() for path, mode in modes.items())


def test_the_directory_is_what_the_environment_and_the_user_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTNETPLUG_STATE_DIR", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_directory() == Path("/var/lib/virtnetplug")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/ann")
    for state in ("", "relative/ignored"):
        monkeypatch.setenv("XDG_STATE_HOME", state)
        assert default_directory() == Path("/home/ann/.local/state/virtnetplug")
    monkeypatch.setenv("XDG_STATE_HOME", "/srv/state")
    assert default_directory() == Path("/srv/state/virtnetplug")
    monkeypatch.setenv("VIRTNETPLUG_STATE_DIR", "/elsewhere")
    assert default_directory() == Path("/elsewhere")


def test_paths_with_characters_that_mean_something_in_a_uri(tmp_path: Path) -> None:
    directory = tmp_path / "a?mode=memory#%41 ünd"
    SqliteJournal.open(directory).put_nic(nic())
    assert (directory / "journal.db").exists()
    assert SqliteJournal.open(directory, read_only=True).nics() == [nic()]
