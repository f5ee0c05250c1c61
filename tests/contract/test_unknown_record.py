"""What another version has written in the journal stays open for that version, and stops nobody else; and a plan is no promise that is broken."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any, cast

import pytest

from tests.contract.faults import Crash, Trigger, faulty, kill_points
from tests.contract.operations import GOVERNED, OPERATIONS
from tests.contract.test_hostdev import nic as vf_nic
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_steps import _assert_as_before_or_complete, _cases, _reset
from tests.contract.world import World
from virtnetplug.errors import NicPending, VirtnetplugError
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.lifecycle import State
from virtnetplug.metrics.collector import exposition
from virtnetplug.model.audit import Finding
from virtnetplug.model.operation import Half, Result, Scope

NEWER: dict[str, dict[str, Any]] = {
    "operation": {"operation": "migrate-nic"},
    "state": {"state": "paused"},
    "scope": {"scope": "all"},
    "version of the request": {"request": '{"version": 2, "nics": [{"alias": "ua-nic3"}]}'},
    "kind of a rebind": {"operation": "rebind", "request": '{"kind": "teleport", "nics": [{"alias": "ua-nic3"}]}'},
    "request without NICs": {"request": "{}"},
    "NIC without an alias": {"request": '{"nics": [{}]}'},
    "hand-over without its keys": {"operation": "handover", "request": '{"nics": []}'},
    "pending update without its keys": {
        "operation": "update",
        "state": "pending",
        "request": '{"nics": [{"alias": "ua-nic3"}]}',
    },
    "detach of no NIC": {"operation": "detach", "state": "pending", "request": '{"nics": []}'},
    "attach of what is no element": {
        "request": '{"nics": [{"alias": "ua-nic3", "type": "bridge", "element": "<interface"}]}',
    },
    "attach of a type that is not known": {
        "request": '{"nics": [{"alias": "ua-nic3", "type": "warp", "element": "<interface type=\'warp\'/>"}]}',
    },
    "detach that lacks its steps": {
        "operation": "detach",
        "state": "pending",
        "request": '{"nics": [{"alias": "ua-nic3", "live": "<interface type=\'user\'/>", "config": null}]}',
    },
    "NICs that are asked for, and no list": {
        "operation": "detach",
        "state": "pending",
        "request": '{"nics": [{"alias": "ua-nic3", "live": "<interface type=\'user\'/>", "config": null}], "asked": 3}',
    },
    "host ends of NICs, and no object": {
        "request": '{"nics": [{"alias": "ua-nic3", "type": "user", "element": "<interface type=\'user\'/>"}], "ends": 3}',
    },
    "elements of the definition, and no object": {
        "request": '{"nics": [{"alias": "ua-nic3", "type": "user", "element": "<interface type=\'user\'/>"}], "beside": 3}',
    },
    "request that is a list": {"request": "[]"},
    "request that is no JSON": {"request": "{"},
    "domain id that is text": {"domain_id": "[1]"},
    "domain UUID that is a blob": {"domain_uuid": b"\xc3"},
    "start that no clock has": {"started": 9e300},
}
"""What a record has that this version does not know."""


@pytest.fixture(params=NEWER)
def house(fake: World, request: pytest.FixtureRequest) -> World:
    """A domain with a NIC, of which the journal has such a record, open and nobody's; and a domain beside it."""
    hypervisor: Any = fake.host.hypervisor
    hypervisor.add("other")
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    record = fake.plugger.attach(fake.name, [fake.bridge_nic(3)]).operation_id
    fake.host.journal.close()
    changes = {"state": "incomplete", "ended": None, "owner": "", **NEWER[request.param]}
    columns = ", ".join(f"{name} = ?" for name in changes)
    with closing(sqlite3.connect(fake.state_dir / "journal.db")) as journal, journal:
        journal.execute(f"UPDATE operations SET {columns} WHERE id = ?", (*changes.values(), record))
    fake.host = fake.reopen()
    assert _open(fake) == [record]
    return fake


def _rows(world: World) -> list[tuple[Any, ...]]:
    """The open operations with all that the journal has of them."""
    with closing(sqlite3.connect(world.state_dir / "journal.db")) as journal:
        return journal.execute("SELECT * FROM operations WHERE ended IS NULL").fetchall()


def _open(world: World) -> list[str]:
    """The ids of the open operations, as the journal has them."""
    with closing(sqlite3.connect(world.state_dir / "journal.db")) as journal:
        rows = journal.execute("SELECT id FROM operations WHERE ended IS NULL").fetchall()
    return [name for (name,) in rows]


@pytest.mark.parametrize("times", [1, 2])
def test_recover_reports_it_and_leaves_it_open(house: World, times: int) -> None:
    newer = _open(house)
    for _ in range(times):
        (outcome,) = house.plugger.recover(wait=1)
        assert (outcome.result, outcome.reason, outcome.domain) == (Result.INCOMPLETE, "operation-newer", house.name)
        assert [outcome.operation_id] == _open(house) == newer
    assert house.plugger.recover("other") == ()


def test_recover_settles_what_it_knows(house: World) -> None:
    newer, hypervisor = _open(house), cast(Any, house.host.hypervisor)
    for number, name in enumerate(("other", house.name), start=4):
        house.plugger.attach(name, [house.bridge_nic(number)])
        hypervisor.domain(name).hold()
        house.plugger.detach(name, f"ua-nic{number}", wait=0.1)
        hypervisor.domain(name).resume()
    outcomes = {(outcome.domain, outcome.result) for outcome in house.plugger.recover(wait=5)}
    assert outcomes == {("other", Result.DONE), (house.name, Result.DONE), (house.name, Result.INCOMPLETE)}
    assert _open(house) == newer


def _says_newer(finding: Finding) -> bool:
    return (
        finding.kind == "operation-open"
        and "not known to this version" in finding.message
        and "the version that wrote it" in finding.remedy
    )


WORK: dict[str, Callable[[World, Plugger], object]] = {
    "attach": lambda w, p: p.attach(w.name, [w.bridge_nic(2)], scope=Scope.BOTH).result is Result.DONE,
    "attach to another": lambda w, p: p.attach("other", [w.bridge_nic(4)]).result is Result.DONE,
    "update": lambda w, p: p.update(w.name, "ua-nic1", {"link_state": "down"}).result is Result.DONE,
    "detach": lambda w, p: p.detach(w.name, "ua-nic1").result is Result.DONE,
    "list": lambda w, p: [nic.alias for nic in p.list()] == ["ua-nic1", "ua-nic3"],
    "show": lambda w, p: p.show(w.name, "ua-nic1").nic.alias == "ua-nic1",
    "audit": lambda w, p: [_says_newer(finding) for finding in p.audit().findings] == [True],
    "repair": lambda w, p: p.repair(p.audit()) is not None,
    "history": lambda w, p: len(p.history()) == 2,
    "plan recover": lambda w, p: len(p.plan_recover()) <= 1,
    "plan detach": lambda w, p: p.plan_detach(w.name, "ua-nic1").fits,
    "metrics": lambda w, p: "virtnetplug" in str(exposition(w.host.journal)),
}


@pytest.mark.many(4)
@pytest.mark.parametrize("work", WORK)
def test_all_else_goes_on(house: World, work: str) -> None:
    newer = _open(house)
    assert WORK[work](house, house.plugger)
    assert _open(house) == newer


def test_no_detach_of_its_nic_takes_it_up(house: World) -> None:
    newer = _rows(house)
    with suppress(NicPending):
        house.plugger.detach(house.name, "ua-nic3", wait=5)
    assert _rows(house) == newer


def test_a_detach_that_waits_is_not_joined_by_a_version_that_does_not_know_it(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    fake.plugger.detach(fake.name, "ua-nic1", wait=0.1)
    _damage(fake, "UPDATE operations SET request = json_set(request, '$.version', 99) WHERE ended IS NULL")
    newer = _rows(fake)
    with pytest.raises(NicPending, match=r"not known to this version.*Recover with the version that wrote it"):
        fake.plugger.detach(fake.name, "ua-nic1", wait=5)
    assert _rows(fake) == newer


# -- rows of NICs and of host devices ----------------------------------------------------------------------


def _damage(world: World, statement: str) -> None:
    world.host.journal.close()
    with closing(sqlite3.connect(world.state_dir / "journal.db")) as journal:
        journal.executescript(statement)
    world.host = world.reopen()


def test_a_nic_whose_state_is_damaged_is_in_an_unknown_one(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    _damage(fake, "UPDATE nics SET frontend = 'frob', backend = 'frob'")
    assert [(nic.frontend, nic.backend) for nic in fake.host.journal.nics()] == [(State.UNKNOWN, State.UNKNOWN)]
    assert b"virtnetplug_device_info" in exposition(fake.host.journal)
    assert fake.plugger.attach(fake.name, [fake.bridge_nic(2)]).result is Result.DONE
    assert fake.plugger.detach(fake.name, "ua-nic1").result is Result.DONE


def test_a_nic_whose_row_is_damaged_is_named_by_audit(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    _damage(fake, "UPDATE nics SET mac = x'c3'")
    assert [nic.alias for nic in fake.plugger.list()] == ["ua-nic1"]
    (finding,) = fake.plugger.audit().findings
    assert (finding.kind, finding.nic, finding.repair) == ("row-damaged", "ua-nic1", "")
    assert "its mac is" in finding.message and "restore the journal from a backup" in finding.message
    assert fake.plugger.detach(fake.name, "ua-nic1").result is Result.DONE
    assert fake.plugger.attach(fake.name, [fake.bridge_nic(1)]).result is Result.DONE
    assert fake.plugger.audit().findings == ()


@pytest.mark.parametrize("text", ["{", "[]"])
@pytest.mark.parametrize("column", ["snapshot", "settings"])
def test_a_host_device_whose_row_is_damaged_is_not_given_back_and_stops_nothing_else(
    pool: World, column: str, text: str
) -> None:
    (nic,) = pool.plugger.attach(pool.name, [vf_nic(1)]).nics
    _damage(pool, f"UPDATE holdings SET {column} = '{text}'")
    assert [each.alias for each in pool.plugger.list()] == ["ua-vf1"]
    assert pool.plugger.attach(pool.name, [vf_nic(2)]).nics[0].host_address != nic.host_address
    with pytest.raises(VirtnetplugError, match="is damaged") as caught:
        pool.plugger.update(pool.name, "ua-vf1", {"trust": True})
    assert (caught.value.reason, caught.value.exit_code) == ("host-device-unfit", 3)
    detached = pool.plugger.detach(pool.name, "ua-vf1")
    assert detached.result is Result.DONE and "is damaged" in str(detached.warnings)
    for _ in range(2):
        (outcome,) = pool.plugger.recover()
        assert (outcome.result, outcome.reason) == (Result.INCOMPLETE, "quarantined")
        assert f"its {column} is '{text}'" in outcome.message and "restore the journal" in outcome.message
    (finding,) = pool.plugger.audit().findings
    assert finding.kind == "device-quarantined" and "is damaged" in finding.message
    with closing(sqlite3.connect(pool.state_dir / "journal.db")) as journal:
        rows = journal.execute(f"SELECT address, {column} FROM holdings WHERE alias = 'ua-vf1'").fetchall()
    assert rows == [(str(nic.host_address), text)]


WRONG = {"text": "'[1]'", "blob": "x'c300ff'", "huge": "9.2e300", "null": "NULL"}
TABLES = {
    "operations": " WHERE ended IS NULL",
    "steps": " WHERE operation_id IN (SELECT id FROM operations WHERE ended IS NULL) AND seq = 0",
    "nics": "",
    "holdings": "",
}


def _columns(world: World, table: str) -> list[tuple[str, bool]]:
    """The columns of the table, and whether each may be NULL."""
    with closing(sqlite3.connect(world.state_dir / "journal.db")) as journal:
        found = journal.execute(f"PRAGMA table_info({table})").fetchall()
    return [(name, not is_bound) for _, name, _, is_bound, _, _ in found]


def _code(act: Callable[[], object]) -> int:
    try:
        act()
    except VirtnetplugError as error:
        return error.exit_code
    return 0


@pytest.mark.many(3)
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("table", TABLES)
def test_no_value_of_a_wrong_type_stops_anything_else(pool: World, table: str, wrong: str) -> None:
    """Each column in turn, of an open operation, its steps, its NIC and its host device; another domain is served meanwhile."""
    hypervisor: Any = pool.host.hypervisor
    hypervisor.add("other")
    pool.plugger.attach(pool.name, [vf_nic(1)])
    pool.guest.hold()
    pool.plugger.detach(pool.name, "ua-vf1", wait=0.1)
    pool.host.journal.close()
    sound = (pool.state_dir / "journal.db").read_bytes()
    for number, (column, may_be_null) in enumerate(_columns(pool, table)):
        if wrong == "null" and not may_be_null:
            continue
        pool.host.journal.close()
        for path in pool.state_dir.glob("journal.db-*"):
            path.unlink()
        (pool.state_dir / "journal.db").write_bytes(sound)
        try:
            _damage(pool, f"PRAGMA foreign_keys = OFF; UPDATE {table} SET {column} = {WRONG[wrong]}{TABLES[table]}")
        except sqlite3.Error:
            continue  # SQLite itself keeps that value out
        for look in (
            lambda: pool.plugger.list(),
            lambda: pool.plugger.audit(),
            lambda: pool.plugger.plan_recover(),
            lambda: pool.plugger.recover(wait=0),
            lambda: pool.plugger.history(),
            lambda: exposition(pool.host.journal),
            lambda: pool.plugger.attach(pool.name, [pool.bridge_nic(2)]),
            lambda: pool.plugger.detach(pool.name, "ua-nic2", wait=0),
        ):
            assert _code(look) in (0, 3, 5, 75), column
        name = f"ua-nic{number + 10}"
        assert pool.plugger.attach("other", [pool.bridge_nic(number + 10)]).result is Result.DONE, column
        assert pool.plugger.detach("other", name).result is Result.DONE, column
        with suppress(VirtnetplugError):
            pool.guest.detach("ua-nic2", Half.LIVE)


# -- a key that an operation of this version writes, and another one does not ----------------------------


def _without_each_key(request: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key in request:
        yield key, {name: value for name, value in request.items() if name != key}
    nics = request.get("nics", [])
    for key in {key for nic in nics for key in nic}:
        yield f"nics.{key}", {**request, "nics": [{k: v for k, v in nic.items() if k != key} for nic in nics]}


def _set_request(world: World, operation: str, request: dict[str, Any]) -> None:
    world.host.journal.close()
    with sqlite3.connect(world.state_dir / "journal.db") as journal:
        journal.execute("UPDATE operations SET request = ? WHERE id = ?", (json.dumps(request), operation))
    journal.close()
    world.host = world.reopen()


@pytest.mark.many(3)
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in GOVERNED])
def test_no_key_is_taken_for_granted(fake: World, name: str) -> None:
    """Where recover cannot do without a key it leaves the operation to a version that knows it, and that one still can."""
    act, calls = _cases(fake, name)
    worlds = kill_points(calls)
    k, after = worlds[len(worlds) // 2]

    def leave_open() -> tuple[dict[str, Any], str, dict[str, Any]]:
        OPERATIONS[name][0](fake)
        before = fake.snapshot()
        with pytest.raises(Crash):
            act(fake, Plugger(faulty(fake.host, Trigger(k, "crash", after=after)), lambda: None))
        (record,) = fake.host.journal.open_operations()
        return before, record.id, dict(record.request)

    before, operation, request = leave_open()
    for key, lacking in _without_each_key(request):
        _set_request(fake, operation, lacking)
        outcomes = fake.plugger.recover(wait=20)
        if operation in _open(fake):
            (reason,) = [outcome.reason for outcome in outcomes if outcome.operation_id == operation]
            assert reason == "operation-newer", key
            _set_request(fake, operation, request)
            fake.plugger.recover(wait=20)
            _assert_as_before_or_complete(name, fake, before, f"{name}, whose record lacked {key}")
        _reset(fake)
        before, operation, request = leave_open()
    fake.plugger.recover(wait=20)


# -- a plan refuses where the operation does -----------------------------------------------------------


def _refusal(act: Callable[[], object]) -> str:
    with pytest.raises(VirtnetplugError) as caught:
        act()
    assert caught.value.exit_code == 3
    return caught.value.reason


@pytest.mark.parametrize("by", ["alias", "MAC"])
@pytest.mark.parametrize("operation", ["replace", "handover"])
def test_plan_detach_refuses_a_nic_that_another_operation_waits_for(fake: World, operation: str, by: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    if operation == "replace":
        fake.plugger.update(fake.name, "ua-nic1", {"model": "e1000"}, replace=True, wait=0.1)
    else:
        fake.plugger.handover(fake.name, "ua-nic1", fake.network_nic(2), wait=0.1)
    nic = "ua-nic1" if by == "alias" else "52:54:00:00:00:01"
    reason = _refusal(lambda: fake.plugger.detach(fake.name, nic, wait=0.1))
    plan = fake.plugger.plan_detach(fake.name, nic)
    assert (plan.fits, [refusal.reason for refusal in plan.refusals]) == (False, [reason])


def test_plan_detach_fits_where_detach_joins(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=0.1).result is Result.PENDING
    assert fake.plugger.plan_detach(fake.name, "ua-nic1").fits
    fake.later(1.0, fake.guest.resume)
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=10).result is Result.DONE
