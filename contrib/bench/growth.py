"""What each call costs with a journal of a million operations, 10,000 NICs and 256 VFs, against a journal without them."""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from audits import NICS, nodes
from single import ALIAS, Ours, pairs, timed
from stage import Stage
from table import Row

import virtnetplug
from tests.real.namespace import PLACE
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.lifecycle import ATTACHED
from virtnetplug.metrics import exposition
from virtnetplug.model.holding import Holding
from virtnetplug.model.operation import NicRecord
from virtnetplug.model.pci import PciAddress

OPERATIONS, DOMAINS, VFS = 1_000_000, 1250, 256
_DAYS = 80 * 86400.0

_HISTORY = f"""
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {OPERATIONS})
    INSERT INTO operations (id, operation, uri, hypervisor, domain_uuid, domain_name, domain_id, process, scope, device_type,
                            request, state, result, reason, error, owner, started, ended)
    SELECT printf('old%012x', i), CASE WHEN i % 100 = 0 THEN 'handover' WHEN i % 2 THEN 'attach' ELSE 'detach' END, :uri, :key,
           printf('00000000-0000-4000-8000-%012x', i % {DOMAINS}), 'vm' || (i % {DOMAINS}), 1, '', 'live', 'bridge',
           json_object('version', 1, 'nics', json_array(json_object('alias', 'ua-' || (i % 8))),
                       'remembered', json_array(json_object('name', 'ua-' || (i % 8)))),
           'done', 'done', '', '', '', :now - {_DAYS} + i * ({_DAYS} / {OPERATIONS}), :now - {_DAYS} + i * ({_DAYS} / {OPERATIONS})
    FROM n"""
_STEPS = """
    INSERT INTO steps SELECT id, s, 'host_net_add', 'ua-1', 'plug', 'live', 'done', started, 0.1, ''
    FROM operations, (SELECT 0 AS s UNION SELECT 1)"""


def measure(stage: Stage) -> Iterator[Row]:
    uri = stage.embedded
    connection = stage.connect(uri)
    name = stage.guests(connection, "growth", 1)[0].name
    full, empty = (stage.plugger(uri, kind) for kind in ("growth-full", "growth-empty"))
    key = _key(full)
    _fill(stage.state_dir / "growth-full", uri, key, has_history=True)
    _fill(stage.state_dir / "growth-nics", uri, key, has_history=False)
    times = pairs(stage, Ours(full, name), Ours(empty, name), stage.rounds(60))
    what = f"with {OPERATIONS:,} operations, {DOMAINS * NICS:,} NICs, {VFS} VFs"
    for step, values in times.items():
        yield Row(f"{step}, {what}", "an empty journal", "ms", *values, most=1.1)
    full.attach(name, [stage.nic()])
    empty_of = {"list": lambda it: it.list(name), "history of a domain": lambda it: it.history(name, limit=5)}
    for said, call in empty_of.items():
        yield _row(
            f"{said}, {what}", "an empty journal", stage.rounds(100), lambda c=call: c(full), lambda c=call: c(empty)
        )
    full.detach(name, ALIAS)
    journals = [SqliteJournal.open(stage.state_dir / kind, read_only=True) for kind in ("growth-full", "growth-nics")]
    scrapes = [lambda it=journal: exposition(it) for journal in journals]
    yield _row(f"a scrape, {what}", "the same without operations", stage.rounds(20), *scrapes)
    yield _audit(stage)


def _audit(stage: Stage) -> Row:
    """The audit of domains of libvirt's test driver, with the history and without."""
    path = PLACE / "growth.xml"
    path.write_text(nodes(DOMAINS))
    uri = f"test://{path}"
    pluggers = []
    for kind, has_history in (("audit-full", True), ("audit-nics", False)):
        plugger = stage.plugger(uri, kind)
        _fill(stage.state_dir / kind, uri, _key(plugger), has_history=has_history, has_nics=False)
        pluggers.append(plugger)
    audits = [lambda it=plugger: it.audit() for plugger in pluggers]
    what = f"an audit of {DOMAINS * NICS:,} NICs, with {OPERATIONS:,} operations"
    return _row(what, "the same without operations", stage.rounds(15), *audits)


def _row(what: str, floor_is: str, rounds: int, ours: Callable[[], object], floor: Callable[[], object]) -> Row:
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(-2, max(rounds, 5)):
        for which in (0, 1) if number % 2 else (1, 0):
            spent = timed((ours, floor)[which])
            if number >= 0:
                times[which].append(spent)
    return Row(what, floor_is, "ms", *times, most=1.1)


def _key(plugger: virtnetplug.Plugger) -> str:
    return plugger._host.hypervisor.key


def _fill(directory: Path, uri: str, key: str, *, has_history: bool, has_nics: bool = True) -> None:
    """Other domains' NICs and VFs, and what was done with them in the last 80 days."""
    journal = SqliteJournal.open(directory)
    with journal.batch():
        for number in range(DOMAINS * NICS if has_nics else 0):
            journal.put_nic(_nic(uri, key, number))
        for number in range(VFS if has_nics else 0):
            journal.hold(_held(uri, key, number))
    journal.close()
    if not has_history:
        return
    connection = sqlite3.connect(directory / "journal.db", isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    connection.execute(_HISTORY, {"uri": uri, "key": key, "now": time.time()})
    connection.execute(_STEPS)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _nic(uri: str, key: str, number: int) -> NicRecord:
    domain, nic = divmod(number, NICS)
    return NicRecord(
        uri=uri,
        hypervisor=key,
        domain_uuid=f"00000000-0000-4000-8000-{domain:012x}",
        domain_name=f"vm{domain}",
        alias=f"ua-{nic}",
        mac=f"52:54:{domain >> 8:02x}:{domain & 255:02x}:00:{nic:02x}",
        type="bridge",
        source=f"virbr{nic}",
        model="virtio",
        target=f"tap{domain}-{nic}",
        frontend=ATTACHED[0],
        backend=ATTACHED[1],
        operation_id="",
        since=time.time(),
    )


def _held(uri: str, key: str, number: int) -> Holding:
    nic = _nic(uri, key, number * NICS)
    known = {field.name for field in dataclasses.fields(Holding)} & {
        field.name for field in dataclasses.fields(NicRecord)
    }
    same = {name: getattr(nic, name) for name in known - {"unreadable", "network", "operation_id"}}
    address = PciAddress(0, 0x40 + number // 64, number // 8 % 8, number % 8)
    return Holding(address=address, domain_id=1, managed=True, snapshot={"mac": "02:00:00:00:00:01", "vlan": 0}, **same)
