"""What the host's owner has said once: kept, seen by all, and there also after an upgrade."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.adapters.sqlite.records import nic, operation, put_nic
from virtnetplug.adapters.sqlite import SqliteJournal, schema
from virtnetplug.errors import JournalNewer, JournalReadOnly
from virtnetplug.lifecycle import State
from virtnetplug.model.identity import UnplugPolicy

Open = Callable[..., SqliteJournal]


def write_with_version(directory: Path, version: int) -> None:
    """A journal as an older virtnetplug left it, with a NIC in it."""
    directory.mkdir()
    directory.chmod(0o700)
    connection = sqlite3.connect(directory / "journal.db", isolation_level=None)
    connection.create_function("key_in_journal", 1, lambda uri: schema.key_in_journal(uri, directory / "journal.db"))
    connection.execute("BEGIN")
    for step in range(version):
        for statement in schema.MIGRATIONS[step].split(";"):
            if statement.strip():
                connection.execute(statement)
    put_nic(connection, nic("old", frontend=State.INITIALISED if version < 4 else State.UNKNOWN))
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("COMMIT")
    connection.close()


def test_it_is_keep_until_it_is_set(journal: SqliteJournal, opened: Open) -> None:
    assert journal.host_policy() is UnplugPolicy.KEEP
    for policy in (UnplugPolicy.PRESENT, UnplugPolicy.ACTIVE, UnplugPolicy.KEEP):
        journal.set_host_policy(policy)
        assert opened().host_policy() is policy, "another process sees it"
        assert opened(read_only=True).host_policy() is policy


def test_reading_needs_no_writable_journal_and_setting_does(directory: Path, opened: Open) -> None:
    reader = opened(read_only=True)
    assert reader.host_policy() is UnplugPolicy.KEEP
    with pytest.raises(JournalReadOnly):
        reader.set_host_policy(UnplugPolicy.PRESENT)
    assert not directory.exists()


def test_it_is_part_of_a_batch(journal: SqliteJournal) -> None:
    with suppress(RuntimeError), journal.batch():
        journal.set_host_policy(UnplugPolicy.PRESENT)
        raise RuntimeError
    assert journal.host_policy() is UnplugPolicy.KEEP


def test_a_policy_of_a_newer_program_is_refused_not_guessed(directory: Path, journal: SqliteJournal) -> None:
    journal.set_host_policy(UnplugPolicy.PRESENT)
    with sqlite3.connect(directory / "journal.db") as connection:
        connection.execute("UPDATE host_settings SET value = 'sometimes'")
    connection.close()
    with pytest.raises(JournalNewer, match=r"'sometimes'.*Upgrade"):
        journal.host_policy()
    journal.set_host_policy(UnplugPolicy.KEEP)
    assert journal.host_policy() is UnplugPolicy.KEEP


@pytest.mark.parametrize("version", range(1, schema.VERSION))
def test_a_journal_of_each_older_version_becomes_this_one_and_keeps_what_it_has(
    directory: Path, opened: Open, version: int
) -> None:
    write_with_version(directory, version)
    reader = opened(read_only=True)
    assert (reader.host_policy(), list(reader.nics())) == (UnplugPolicy.KEEP, [nic("old")]), (
        "read as it will be, and left as it is"
    )
    connection = sqlite3.connect(directory / "journal.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (version,)
    connection.close()
    journal = opened()
    journal.begin(operation("op1"))
    journal.set_host_policy(UnplugPolicy.ACTIVE)
    again = opened()
    assert (again.host_policy(), list(again.nics()), len(again.history())) == (UnplugPolicy.ACTIVE, [nic("old")], 1)
