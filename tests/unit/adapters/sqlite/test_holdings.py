"""Host devices in the journal: one holder each, kept until it is proved that they are back."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
from pathlib import Path

import pytest

from tests.unit.adapters.sqlite.records import holding
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.errors import ClaimTaken
from virtnetplug.model.host_device import VfIdentity


def test_what_is_held_reads_as_it_was_written_and_outlives_the_process(tmp_path: Path) -> None:
    SqliteJournal.open(tmp_path).hold(holding())
    assert SqliteJournal.open(tmp_path, read_only=True).holdings() == [holding()]


def test_which_vf_is_held_is_read_as_it_was_written(tmp_path: Path) -> None:
    identity = VfIdentity(boot="b", pf="0000:01:00.0", driver="igb", binding=2**40, index=3, inode=2**41)
    SqliteJournal.open(tmp_path).hold(holding(identity=identity))
    (read,) = SqliteJournal.open(tmp_path).holdings()
    assert read.identity == identity and read.unreadable == ""


@pytest.mark.parametrize("text", ["{", "[]", '{"boot":"b"}', '{"inode":1,"colour":"red"}'])
def test_what_does_not_say_which_vf_is_held_is_damaged(tmp_path: Path, text: str) -> None:
    SqliteJournal.open(tmp_path).hold(holding())
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute("UPDATE holdings SET identity = ?", (text,))
    connection.close()
    (read,) = SqliteJournal.open(tmp_path).holdings()
    assert read.identity is None and "its identity is" in read.unreadable


def test_a_device_has_one_holder(tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path)
    journal.hold(holding())
    journal.hold(holding())  # again by the same
    with pytest.raises(ClaimTaken, match="held by ua-a of domain web"):
        journal.hold(holding("ua-b"))
    assert not journal.let_go(holding("ua-b"))
    assert not journal.let_go(dataclasses.replace(holding(), since=5.0))
    assert journal.let_go(holding())
    assert not journal.let_go(holding())
    journal.hold(holding("ua-b"))
    assert [one.alias for one in journal.holdings()] == ["ua-b"]


def test_a_quarantined_device_is_nobodys_and_says_why(tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path)
    journal.hold(holding())
    journal.amend_holding(holding(quarantine="its MAC is still 52:54:00:00:00:01"))
    with pytest.raises(ClaimTaken, match="quarantined: its MAC is still"):
        journal.hold(holding("ua-b"))


def test_of_many_only_one_gets_it(tmp_path: Path) -> None:
    won: list[str] = []

    def take(alias: str) -> None:
        journal = SqliteJournal.open(tmp_path)
        try:
            journal.hold(holding(alias))
            won.append(alias)
        except ClaimTaken:
            return

    threads = [threading.Thread(target=take, args=(f"ua-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = won
    assert [one.alias for one in SqliteJournal.open(tmp_path).holdings()] == [winner]
