"""Rows know their hypervisor by its key; those of version 4 had its URI alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.adapters.sqlite.conftest import Open
from tests.unit.adapters.sqlite.records import KEY, UUID, holding, nic, operation
from virtnetplug.adapters.sqlite import rows, schema
from virtnetplug.model.holding import Holding
from virtnetplug.model.operation import NicRecord, OperationRecord, OperationState
from virtnetplug.model.pci import PciAddress

REMOTE, REMOTE_KEY = "qemu+ssh://kvm7/system", "qemu:host=kvm7,uuid=1"


def version_4(directory: Path, *records: OperationRecord | NicRecord | Holding) -> None:
    """A journal as version 4 left it, with these rows."""
    directory.mkdir(mode=0o700)
    with closing(sqlite3.connect(directory / "journal.db", isolation_level=None)) as connection:
        for step in range(4):
            connection.executescript(schema.MIGRATIONS[step])
        connection.execute("PRAGMA user_version = 4")
        for record in records:
            if isinstance(record, OperationRecord):
                table, row = "operations", rows.row_from(record, rows.OPERATION)
            elif isinstance(record, NicRecord):
                table, row = "nics", rows.row_from(record, rows.NIC)
            else:
                table, row = "holdings", rows.row_from(record, rows.HOLDING)
            columns = [column[1] for column in connection.execute(f"PRAGMA table_info({table})")]
            has = [name for name in columns if name in row]
            connection.execute(rows.insert_into(table, has), row)


def ids(records: Iterable[OperationRecord]) -> list[str]:
    return [record.id for record in records]


def test_what_version_4_had_by_every_spelling_is_one_hypervisors(directory: Path, opened: Open) -> None:
    version_4(
        directory,
        operation("plain", uri="qemu:///system", started=1.0),
        operation("unix", uri="qemu+unix:///system", started=2.0),
        operation("socket", uri="qemu+unix:///system?socket=/run/libvirt/libvirt-sock", started=3.0),
        operation("embedded", uri="qemu:///embed?root=/srv/../srv/vms", started=4.0),
        nic("ua-1", uri="qemu:///system", mac="52:54:00:00:00:0a", since=2.0),
        nic("ua-1", uri="qemu+unix:///system", mac="52:54:00:00:00:0b", since=3.0),
        nic("ua-1", uri="xen:///system"),
        holding(uri="qemu+unix:///system"),
    )
    for journal in (opened(read_only=True), opened(), opened(read_only=True)):
        assert ids(journal.open_operations(KEY, UUID)) == ["plain", "unix", "socket"]
        assert ids(journal.history(hypervisor="qemu:root=/srv/vms")) == ["embedded"]
        assert [(each.uri, each.mac[-2:]) for each in journal.nics(KEY)] == [("qemu+unix:///system", "0b")], (
            "of two rows of one NIC the newer"
        )
        assert [each.uri for each in journal.nics()] == ["qemu+unix:///system", "xen:///system"]
        assert [each.hypervisor for each in journal.holdings()] == [KEY]
        assert {each.uri for each in journal.history()} >= {"qemu:///system", "qemu+unix:///system"}, "as dialled"


def test_a_hypervisor_of_another_host_is_recognised_when_it_is_dialled(directory: Path, opened: Open) -> None:
    version_4(
        directory,
        operation("old", uri=REMOTE),
        nic("ua-1", uri=REMOTE, mac="old"),
        nic("ua-2", uri=REMOTE),
        holding(uri=REMOTE),
        operation("other", uri="qemu+ssh://kvm8/system"),
    )
    reader = opened(read_only=True)
    assert ids(reader.history()) == ["old", "other"][::-1], "without any connection"
    assert ids(reader.history(uri=REMOTE)) == ["old"]
    assert reader.open_operations(REMOTE_KEY) == []
    reader.recognise(REMOTE, REMOTE_KEY)
    assert ids(reader.open_operations(REMOTE_KEY)) == ["old"]
    assert {each.alias for each in reader.nics(REMOTE_KEY)} == {"ua-1", "ua-2"}
    journal = opened()
    journal.put_nic(nic("ua-1", uri=REMOTE, hypervisor=REMOTE_KEY, mac="new"))
    for _ in range(2):
        journal.recognise(REMOTE, REMOTE_KEY)
        assert ids(journal.open_operations(REMOTE_KEY)) == ["old"]
        assert {each.alias: each.mac for each in journal.nics()} == {"ua-1": "new", "ua-2": nic().mac}
        assert [each.hypervisor for each in journal.holdings()] == [REMOTE_KEY]
    assert ids(opened().open_operations(REMOTE_KEY)) == ["old"], "for good"
    assert ids(journal.history(uri=REMOTE)) == ["old"], "by its URI, still"
    assert {each.alias for each in reader.nics(REMOTE_KEY)} == {"ua-1", "ua-2"}


def test_a_hypervisor_of_this_host_takes_no_rows(opened: Open) -> None:
    journal = opened()
    journal.begin(operation("op1", hypervisor="uri=qemu:///system"))
    journal.recognise("qemu:///system", KEY)
    assert journal.open_operations(KEY) == []


def test_a_session_in_a_users_journal_is_that_users_whoever_migrates_it(
    directory: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    version_4(directory, operation("op1", uri="qemu:///session"))
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/4711")
    (record,) = opened(read_only=True).open_operations()
    assert record.hypervisor == (f"qemu:socket=/run/user/{owner}/libvirt" if owner else KEY)


@pytest.mark.parametrize("uri", ["", "nothing", "qemu://[::1/system", b"\xff"])
def test_a_row_whose_uri_is_none_stops_no_migration(directory: Path, opened: Open, uri: str) -> None:
    version_4(directory, operation("op1", uri=uri))
    assert ids(opened().open_operations()) == ["op1"]


def test_history_by_uri_finds_every_spelling(opened: Open) -> None:
    journal = opened()
    journal.begin(operation("op1", uri="qemu+unix:///system"))
    journal.finish("op1", OperationState.DONE, result="done")
    for uri in ("qemu:///system", "qemu+unix:///system", "qemu+unix:///system?socket=/run/libvirt/libvirt-sock"):
        assert ids(journal.history(uri=uri)) == ["op1"]
    assert journal.history(uri="xen:///system") == journal.history(uri="qemu:///embed?root=/x") == []


def test_two_hypervisors_have_a_nic_and_a_lock_each(opened: Open) -> None:
    journal = opened()
    first, second = PciAddress(0, 1, 0x10, 0), PciAddress(0, 1, 0x10, 2)
    for key, address in ((KEY, first), ("qemu:socket=/srv/b", second)):
        journal.put_nic(nic("ua-1", hypervisor=key))
        journal.hold(holding(address=address, hypervisor=key))
    journal.drop_nic("qemu:socket=/srv/b", UUID, "ua-1")
    assert [each.hypervisor for each in journal.nics()] == [KEY]
    with journal.lock(KEY, UUID), journal.lock("qemu:socket=/srv/b", UUID, seconds=0):
        pass
