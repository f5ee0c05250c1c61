"""An operation that another call has taken over, or that somebody's hand has changed the guest under: what is no longer its own is left alone."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.contract.conftest import fake_world
from tests.contract.deaths import die
from tests.contract.faults import AtCall, Crash, Trigger, faulty
from tests.contract.stopped import Stopped, at, waiting
from tests.contract.test_hostdev import by_address, devices
from tests.contract.test_hostdev import nic as vf_nic
from tests.contract.test_hostdev import pool as pool
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.backends.returning import return_to_host
from virtnetplug.errors import (
    AliasTaken,
    ConnectionLost,
    HypervisorFailed,
    NicPending,
    OperationGone,
    OperationTaken,
    Refused,
    RollbackIncomplete,
    VirtnetplugError,
)
from virtnetplug.hotplug.engine.transaction import Transaction, plan_steps, record_of, resumed, transaction
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Event, Half, Outcome, Phase, Result, Scope, StepState
from virtnetplug.ports.store import OwnerProcess

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def express(tmp_path: Path) -> Iterator[World]:
    """A guest with eight PCIe ports."""
    yield from fake_world(tmp_path, machine="q35")


def _process(world: World) -> Plugger:
    return Plugger(world.reopen(), lambda: None)


def _nets(world: World, half: Half = Half.LIVE) -> list[tuple[str | None, str, str | None]]:
    """Alias, MAC and model of each NIC of that definition."""
    return [(net.alias, str(net.mac), net.model) for net in xml.devices(world.definition(half)).nets]


def _mac(number: int) -> str:
    return f"52:54:00:00:00:{number:02x}"


def _hand(world: World, element: str) -> None:
    """Somebody takes ua-nic1 out of the guest, and puts another NIC in."""
    if any(alias == "ua-nic1" for alias, *_ in _nets(world)):
        world.guest.detach("ua-nic1", Half.LIVE)
    world.guest.attach(element, Half.LIVE)


PENDING: dict[str, Callable[[World, Plugger], Outcome]] = {
    "replacement": lambda w, p: p.update(w.name, "ua-nic1", {"model": "e1000"}, replace=True, wait=0.1),
    "hand-over": lambda w, p: p.handover(w.name, "ua-nic1", w.network_nic(2), scope=Scope.BOTH, wait=0.1),
}


def _pending(world: World, name: str, scope: Scope = Scope.LIVE) -> Interface:
    """The guest lets go of the old NIC, which is returned, when nobody waits for that any more."""
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=scope)
    (net,) = xml.devices(world.definition(Half.LIVE)).nets
    world.guest.hold()
    assert PENDING[name](world, world.plugger).result is Result.PENDING
    world.guest.resume()
    return net


# -- who lost an operation -------------------------------------------------------------------------------


def _take_away(world: World) -> None:
    """Another call ends the one open operation, for the file that says that its call runs was removed."""
    (record,) = world.host.journal.open_operations()
    (world.state_dir / "owners" / record.owner).unlink()
    assert [outcome.result for outcome in _process(world).recover(wait=5)] == [Result.DONE]


def test_who_lost_an_operation_neither_goes_on_with_it_nor_undoes_it(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.guest.hold()
    first = Stopped(fake, lambda p: p.detach(fake.name, "ua-nic1", scope=Scope.BOTH, wait=30), waiting(fake))
    fake.guest.resume()
    _take_away(fake)
    fake.guest.attach(fake.bridge_nic(1), Half.CONFIG)
    before, history = fake.snapshot(), fake.host.journal.history()
    assert isinstance(first.go_on(), OperationTaken)
    assert (fake.snapshot(), fake.host.journal.history()) == (before, history)


def test_who_lost_an_operation_between_two_steps_does_nothing_more(fake: World) -> None:
    """The file that says that its call runs was removed; what is in the guest by then is the other call's to undo."""
    other = fake.reopen().journal

    def lose(event: Event) -> None:
        if (event.kind, event.nic) == ("state", "ua-nic1"):
            (record,) = other.open_operations()
            (fake.state_dir / "owners" / record.owner).unlink()
            assert other.adopt(record.id, "another")

    plugger = Plugger(dataclasses.replace(fake.host, publish=lose), lambda: None)
    with pytest.raises(OperationTaken):
        plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)])
    assert [alias for alias, *_ in _nets(fake)] == ["ua-nic1"]


def test_who_lost_an_operation_does_not_change_its_request(fake: World) -> None:
    die(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(1)]), "attach")
    journal = fake.host.journal
    (left,) = journal.open_operations()
    with journal.call() as first:
        assert journal.adopt(left.id, first)
        (mine,) = journal.open_operations()
    with journal.call() as second:
        assert journal.adopt(left.id, second)
        with pytest.raises(OperationTaken):
            Transaction(fake.host, mine, is_begun=True).amend(nics=[])
    assert [record.request for record in journal.open_operations()] == [left.request]
    assert [outcome.result for outcome in fake.plugger.recover(wait=5)] == [Result.UNDONE]


def test_a_replacement_that_another_call_began_to_undo_is_undone(fake: World) -> None:
    """Recover has read the record while it was to go forward, and gets the lock when it is not any more."""
    _pending(fake, "replacement")
    host = fake.reopen()
    lock = host.journal.lock

    def lock_after_another(*asked: Any, **more: Any) -> Any:
        host.journal.lock = lock  # type: ignore[method-assign]
        _begin_to_undo(fake)
        return lock(*asked, **more)

    host.journal.lock = lock_after_another  # type: ignore[method-assign]
    (outcome,) = Plugger(host, lambda: None).recover(wait=5)
    assert (outcome.result, _nets(fake)) == (Result.UNDONE, [("ua-nic1", _mac(1), "virtio")])


def test_a_replacement_that_has_begun_to_go_back_goes_back(fake: World) -> None:
    _pending(fake, "replacement")
    _begin_to_undo(fake)
    (outcome,) = fake.plugger.recover(wait=5)
    assert (outcome.result, _nets(fake)) == (Result.UNDONE, [("ua-nic1", _mac(1), "virtio")])


def _begin_to_undo(world: World) -> None:
    """A recovery cannot put the new NIC in, takes the steps back, and dies before the old one is in again."""
    fails, dies = AtCall("attach", 1, after=False, kind="fail"), AtCall("attach", 2, after=False)
    with pytest.raises(Crash):
        Plugger(faulty(faulty(world.host, fails), dies), lambda: None).recover(wait=5)
    assert _nets(world) == []
    world.host.journal.close()
    world.host = world.reopen()


def test_what_goes_on_and_fails_is_undone_once(fake: World) -> None:
    """A step that is run once more has been begun by the call that died."""
    _pending(fake, "replacement")
    die(fake, lambda p: p.recover(wait=5), "attach")
    fails, told = AtCall("attach", 1, after=False, kind="fail"), list[str]()
    host = dataclasses.replace(faulty(fake.host, fails), publish=lambda event: told.append(event.text))
    (outcome,) = Plugger(host, lambda: None).recover(wait=5)
    assert (outcome.result, _nets(fake)) == (Result.UNDONE, [("ua-nic1", _mac(1), "virtio")])
    assert [text for text in told if text.startswith("undo ")] == ["undo host_net_add", "undo ask"]


# -- somebody's hand -----------------------------------------------------------------------------------


def test_a_detach_that_goes_on_does_not_ask_for_the_nic_that_has_the_alias_by_now(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    die(fake, lambda p: p.detach(fake.name, "ua-nic1", wait=5), "detach")
    _hand(fake, fake.bridge_nic(2, alias="ua-nic1"))
    (outcome,) = fake.plugger.recover(wait=5)
    assert (outcome.result, _nets(fake)) == (Result.DONE, [("ua-nic1", _mac(2), "virtio")])


def test_nor_does_an_attach_that_is_undone_take_it_out(fake: World) -> None:
    die(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(1)]), "attach", after=True)
    _hand(fake, fake.bridge_nic(2, alias="ua-nic1"))
    (outcome,) = fake.plugger.recover(wait=5)
    assert (outcome.result, _nets(fake)) == (Result.UNDONE, [("ua-nic1", _mac(2), "virtio")])


@pytest.mark.parametrize("wanted", ["alias", "MAC", "guest address"])
def test_a_replacement_waits_for_its_place(fake: World, wanted: str) -> None:
    net = _pending(fake, "replacement")
    (address,) = etree.fromstring(net.element).findall("address")
    other = {
        "alias": fake.bridge_nic(2, alias="ua-nic1"),
        "MAC": fake.bridge_nic(1, alias="ua-nic2"),
        "guest address": fake.bridge_nic(2, extra=etree.tostring(address, encoding="unicode", with_tail=False)),
    }[wanted]
    _hand(fake, other)
    there = _nets(fake)
    (outcome,) = fake.plugger.recover(wait=5)
    assert (outcome.result, outcome.reason, _nets(fake)) == (Result.PENDING, "place-taken", there)
    assert wanted in outcome.message
    fake.guest.detach(there[0][0] or "", Half.LIVE)
    (outcome,) = fake.plugger.recover(wait=5)
    assert (outcome.result, _nets(fake)) == (Result.DONE, [("ua-nic1", _mac(1), "e1000")])


def test_a_vf_that_another_guest_has_by_now_is_not_given_back(pool: World) -> None:
    hypervisor: Any = pool.host.hypervisor
    hypervisor.add("next")
    pool.plugger.attach(pool.name, [vf_nic(1)])
    (holding,) = pool.host.journal.holdings()
    pool.plugger.detach(pool.name, "ua-vf1", wait=5)
    pool.plugger.attach("next", [vf_nic(2)])
    (mine,) = pool.host.journal.holdings()
    kept = devices(pool).set[mine.address]
    assert mine.address == holding.address
    assert return_to_host(pool.host, holding).was_taken
    assert (pool.host.journal.holdings(), devices(pool).set[mine.address]) == ([mine], kept)


def test_a_vf_that_another_guest_has_by_its_own_definition_is_let_go_as_it_is(pool: World) -> None:
    """At once: nothing of it is touched, and nobody is waited for."""
    hypervisor: Any = pool.host.hypervisor
    hypervisor.add("next")
    pool.plugger.attach(pool.name, [vf_nic(1)])
    (holding,) = pool.host.journal.holdings()
    pool.guest.destroy()
    hypervisor.domain("next").attach(by_address(holding.address), Half.LIVE)
    kept, began = devices(pool).set[holding.address], pool.host.clock.monotonic()
    assert return_to_host(pool.host, holding).fault is None and pool.host.journal.holdings() == []
    assert (devices(pool).set[holding.address], pool.host.clock.monotonic()) == (kept, began)


def test_a_vf_that_left_its_guest_is_given_back_once(pool: World) -> None:
    """The detach waits for another NIC, and the VF has been lent again, under the same name."""
    pool.plugger.attach(pool.name, [vf_nic(1)])
    pool.plugger.attach(pool.name, [pool.bridge_nic(2)])
    pool.guest.hold()
    pool.later(0.05, lambda: pool.guest.let_go("ua-vf1"))
    assert pool.plugger.detach(pool.name, ["ua-vf1", "ua-nic2"], wait=0.3).result is Result.PENDING
    pool.plugger.attach(pool.name, [vf_nic(1)])
    (mine,) = pool.host.journal.holdings()
    pool.guest.resume()
    (outcome,) = pool.plugger.recover(wait=5)
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    assert pool.host.journal.holdings() == [mine] and pool.plugger.audit().findings == ()


def test_a_vf_that_another_call_gave_back_is_told_once(pool: World) -> None:
    pool.plugger.attach(pool.name, [vf_nic(1)])
    pool.guest.destroy()
    slow = Stopped(pool, lambda p: p.recover(), at("lock"))
    assert [outcome.result for outcome in _process(pool).recover()] == [Result.DONE]
    assert slow.go_on() == ()


# -- what open operations need -----------------------------------------------------------------------------


def test_a_port_that_a_replacement_waits_for_is_not_free(express: World) -> None:
    express.plugger.attach(express.name, [express.bridge_nic(number) for number in range(1, 8)])
    express.guest.hold()
    changes = {"model": "e1000"}
    first = Stopped(
        express, lambda p: p.update(express.name, "ua-nic1", changes, replace=True, wait=30), waiting(express)
    )
    express.guest.resume()
    before = express.snapshot()
    with pytest.raises(Refused, match="1 free PCIe hot-plug ports, and 2 NIC"):
        express.plugger.attach(express.name, [express.bridge_nic(8), express.bridge_nic(9)])
    assert express.snapshot() == before
    assert express.plugger.attach(express.name, [express.bridge_nic(8)]).result is Result.DONE
    assert first.go_on().result is Result.DONE


def test_a_nic_on_its_way_out_is_not_there_already(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    fake.plugger.detach(fake.name, "ua-nic1", wait=0.1)
    with pytest.raises(NicPending, match=r"ua-nic1 belongs to operation .*, which is not settled"):
        fake.plugger.attach(fake.name, [fake.bridge_nic(1)])


def test_what_a_replacement_needs_of_its_guest_another_guest_may_have(fake: World) -> None:
    hypervisor: Any = fake.host.hypervisor
    hypervisor.add("other")
    net = _pending(fake, "replacement")
    (address,) = etree.fromstring(net.element).findall("address")
    place = etree.tostring(address, encoding="unicode", with_tail=False)
    nic = fake.bridge_nic(2, alias="ua-nic1", extra=place)
    assert fake.plugger.attach("other", [nic]).result is Result.DONE


# -- what the journal says -----------------------------------------------------------------------------


def test_of_a_call_over_a_connection_that_broke_nobody_can_tell_what_it_did(
    fake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object, **__: object) -> None:
        raise ConnectionLost("the connection broke, for the test")

    before = fake.snapshot()
    monkeypatch.setattr(fake.guest, "attach", lose)
    with pytest.raises(ConnectionLost):
        fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    monkeypatch.undo()
    (record,) = fake.host.journal.open_operations()
    assert StepState.STARTED in [step.state for step in record.steps]
    assert StepState.FAILED not in [step.state for step in record.steps]
    assert [outcome.result for outcome in fake.plugger.recover(wait=5)] == [Result.UNDONE]
    assert fake.snapshot() == before


def test_a_process_that_is_stopped_is_named(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Stopped(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(1)]), at("attach"))
    journal = fake.host.journal
    stopped = OwnerProcess(pid=4711, is_stopped=True)
    monkeypatch.setattr(journal, "process_of", lambda record: stopped)
    (outcome,) = fake.plugger.recover()
    assert (outcome.result, outcome.reason) == (Result.PENDING, "operation-stalled")
    assert "'kill -CONT 4711'" in outcome.message
    assert first.go_on().result is Result.DONE


@pytest.mark.parametrize("newer", [{"kind": "teleport"}, {"version": 99}], ids=["kind", "version"])
def test_a_rebind_of_a_kind_or_a_version_that_is_not_known_is_left_open(fake: World, newer: dict[str, Any]) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    before = fake.snapshot()
    changes = {"source_bridge": fake.bridges[1]}
    die(fake, lambda p: p.rebind(fake.name, "ua-nic1", changes), "update", after=True)
    journal = fake.host.journal
    (record,) = journal.open_operations()
    journal.amend(record.id, {**record.request, **newer}, owner=record.owner)
    (outcome,) = fake.plugger.recover(wait=5)
    assert (outcome.result, outcome.reason) == (Result.INCOMPLETE, "operation-newer")
    journal.amend(record.id, record.request, owner=record.owner)
    assert [outcome.result for outcome in fake.plugger.recover(wait=5)] == [Result.UNDONE]
    assert fake.snapshot() == before


def test_a_step_that_had_its_effect_before_its_call_died_is_done(fake: World) -> None:
    _pending(fake, "replacement")
    die(fake, lambda p: p.recover(wait=5), "attach", after=True)
    (outcome,) = fake.plugger.recover(wait=5)
    (record, *_) = fake.host.journal.history()
    assert outcome.result is Result.DONE and outcome.operation_id == record.id
    assert {step.state for step in record.steps} == {StepState.DONE}


def test_an_undo_that_failed_is_told_from_one_that_was_not_tried(fake: World) -> None:
    """The history says which step is still as the operation left it."""
    nic = fake.bridge_nic(1)
    trigger = Trigger(-1, "none")
    Plugger(faulty(fake.host, trigger), lambda: None).attach(fake.name, [nic], scope=Scope.BOTH)
    fake.plugger.detach(fake.name, "ua-nic1", scope=Scope.BOTH)
    at_second = [number for number, call in enumerate(trigger.calls) if call == "attach"][1]
    broken = faulty(fake.host, Trigger(at_second, "broken"))
    with pytest.raises(RollbackIncomplete):
        Plugger(broken, lambda: None).attach(fake.name, [nic], scope=Scope.BOTH)
    (record,) = fake.host.journal.open_operations()
    assert [step.name for step in record.steps if step.state is StepState.UNDO_FAILED] == ["host_net_add"]
    assert [outcome.result for outcome in fake.plugger.recover(wait=5)] == [Result.UNDONE]
    assert _nets(fake) == _nets(fake, Half.CONFIG) == []


# -- a journal that is moved away or restored meanwhile ----------------------------------------------------


def _move(world: World, *, is_copied: bool) -> None:
    """Somebody moves the state directory away, and perhaps puts a copy in its place."""
    aside = world.state_dir.with_name("aside")
    world.state_dir.rename(aside)
    if is_copied:
        shutil.copytree(aside, world.state_dir)


def _left_pending(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    world.guest.hold()
    assert PENDING["replacement"](world, world.plugger).result is Result.PENDING


STOPPED: dict[str, tuple[Callable[[World], object], Callable[[World, Plugger], object]]] = {
    "detach": (
        lambda w: w.plugger.attach(w.name, [w.bridge_nic(1)], scope=Scope.BOTH),
        lambda w, p: p.detach(w.name, "ua-nic1", scope=Scope.BOTH, wait=30),
    ),
    "replacement": (
        lambda w: w.plugger.attach(w.name, [w.bridge_nic(1)]),
        lambda w, p: p.update(w.name, "ua-nic1", {"model": "e1000"}, replace=True, wait=30),
    ),
    "recover": (
        _left_pending,
        lambda w, p: p.recover(wait=30),
    ),
}


def _stopped(world: World, name: str) -> Stopped:
    """A call that waits for the guest, which lets go of the NIC once the call stands still."""
    prepare, act = STOPPED[name]
    prepare(world)
    world.guest.hold()
    return Stopped(world, lambda p: act(world, p), waiting(world))


def _end(said: Any) -> tuple[str, int, str]:
    """The reason, the exit code and the message of an error, or of the one outcome of a recovery."""
    if isinstance(said, VirtnetplugError):
        return said.reason, said.exit_code, said.message
    (outcome,) = said
    return outcome.reason, {Result.INCOMPLETE: 5, Result.PENDING: 75}.get(outcome.result, 0), outcome.message


@pytest.mark.parametrize("name", STOPPED)
def test_who_finds_a_copy_of_its_journal_leaves_the_operation_to_whoever_has_it(fake: World, name: str) -> None:
    stopped = _stopped(fake, name)
    fake.host.journal.close()
    _move(fake, is_copied=True)
    fake.guest.resume()
    fake.host = fake.reopen()
    assert len(_process(fake).recover(wait=5)) == 1
    before, history = fake.snapshot(), fake.host.journal.history()
    assert _end(stopped.go_on())[:2] == ("journal-moved", 5)
    assert (fake.snapshot(), fake.host.journal.history()) == (before, history)
    assert fake.plugger.audit().findings == () and fake.plugger.recover() == ()


@pytest.mark.parametrize("name", STOPPED)
def test_who_alone_knows_its_operation_undoes_it_and_says_so(fake: World, name: str) -> None:
    stopped = _stopped(fake, name)
    before = _nets(fake), _nets(fake, Half.CONFIG)
    fake.host.journal.close()
    _move(fake, is_copied=False)
    fake.guest.resume()
    reason, code, message = _end(stopped.go_on())
    assert (reason, code) == ("operation-gone", 5 if name == "recover" else 4)
    assert "undid what it had done" in message
    assert (_nets(fake), _nets(fake, Half.CONFIG)) == before


@pytest.mark.parametrize("later", ["detach", "update", "undone"])
def test_nor_does_it_undo_what_a_later_operation_has_done(fake: World, later: str) -> None:
    """A backup of the journal from before it was there is restored while it waits, and another call works on the same NIC."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.host.journal.close()
    backup = fake.state_dir.with_name("backup")
    shutil.copytree(fake.state_dir, backup)
    fake.host = fake.reopen()
    fake.guest.hold()
    act = Stopped(fake, lambda p: p.detach(fake.name, "ua-nic1", wait=30), waiting(fake))
    for path in fake.state_dir.glob("journal.db*"):
        path.unlink()
    for path in backup.glob("journal.db*"):
        shutil.copy(path, fake.state_dir)
    fake.host = fake.reopen()
    fake.host.clock.sleep(1)
    if later == "update":
        fake.plugger.update(fake.name, "ua-nic1", {"link_state": "down"})
    elif later == "detach":
        fake.plugger.detach(fake.name, "ua-nic1", wait=0.1)
    else:
        trigger = AtCall("update", after=False, kind="fail")
        with pytest.raises(HypervisorFailed):
            Plugger(faulty(fake.host, trigger), lambda: None).update(fake.name, "ua-nic1", {"link_state": "down"})
    fake.guest.resume()
    fake.plugger.recover()
    reason, code, message = _end(act.go_on())
    if later == "undone":
        assert (reason, [alias for alias, *_ in _nets(fake)]) == ("operation-gone", ["ua-nic1"])
        return
    assert (reason, code) == ("rollback-incomplete", 5)
    assert f"the {later} {fake.plugger.history(limit=1)[0].id} has changed that NIC since" in message
    assert _nets(fake) == []


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
@pytest.mark.parametrize("name", ["attach", "detach"])
def test_an_operation_whose_row_is_gone_is_undone_by_its_call(fake: World, name: str, scope: Scope) -> None:
    """A backup is restored into the journal's file, from a moment before the operation began."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=scope)
    backup = sqlite3.connect(fake.state_dir / "backup.db")
    with closing(sqlite3.connect(fake.state_dir / "journal.db")) as journal:
        journal.backup(backup)
    restored = []

    def restore(event: Event) -> None:
        if event.kind == "state" and not restored:
            with closing(sqlite3.connect(fake.state_dir / "journal.db")) as journal:
                backup.backup(journal)
            restored.append(event)

    before = _nets(fake), _nets(fake, Half.CONFIG)
    plugger = Plugger(dataclasses.replace(fake.reopen(), publish=restore), lambda: None)
    act: Callable[[], object] = {
        "attach": lambda: plugger.attach(fake.name, [fake.bridge_nic(2)], scope=scope),
        "detach": lambda: plugger.detach(fake.name, "ua-nic1", scope=scope),
    }[name]
    with pytest.raises(OperationGone, match="undid what it had done") as caught:
        act()
    backup.close()
    assert caught.value.exit_code == 4 and (_nets(fake), _nets(fake, Half.CONFIG)) == before
    assert fake.plugger.audit().findings == ()


def test_a_detach_that_waits_for_one_that_is_stopped_says_so(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    first = Stopped(fake, lambda p: p.detach(fake.name, "ua-nic1", wait=20), waiting(fake))
    second = Plugger(fake.reopen(), lambda: None)
    found = {}
    for is_stopped in (False, True):
        owner = OwnerProcess(pid=4711, is_stopped=is_stopped)
        monkeypatch.setattr(second._host.journal, "process_of", lambda record, owner=owner: owner)
        outcome = second.detach(fake.name, "ua-nic1", wait=2)
        assert (outcome.result, outcome.seconds >= 2) == (Result.PENDING, True)
        found[is_stopped] = outcome.reason
    assert found == {False: "guest-holds-device", True: "operation-stalled"}
    fake.guest.resume()
    assert first.go_on().result is Result.DONE


@pytest.mark.parametrize("was_begun", [False, True])
def test_an_attach_that_an_earlier_call_may_have_made_is_undone_where_its_alias_is_taken(
    fake: World, was_begun: bool
) -> None:
    """The NIC that has the alias may be the operation's own: the earlier call got no answer."""
    undone: list[str] = []
    host, domain = fake.host, fake.host.hypervisor.domain(fake.name)
    steps = plan_steps(("attach", "ua-1", Phase.PLUG, Half.LIVE))
    record = record_of(host, "attach", domain, device_types=["bridge"], request={"nics": []}, steps=steps)

    def undos(tx: Transaction) -> dict[tuple[str, str], Callable[[], object]]:
        return {("attach", "ua-1"): lambda: undone.append("attach")}

    def attach(tx: Transaction, error: VirtnetplugError) -> None:
        def fail() -> None:
            raise error

        tx.effect("attach", "ua-1", fail, half=Half.LIVE, is_one_attach=True)

    if was_begun:
        with pytest.raises(ConnectionLost), transaction(host, record, undos) as tx:
            attach(tx, ConnectionLost("gone"))
        left = host.journal.operation(record.id)
        assert left is not None
        again = resumed(host, left, undos)
    else:
        again = Transaction(host, dataclasses.replace(record, owner="this call"), undos)
    with pytest.raises(AliasTaken), again as tx:
        attach(tx, AliasTaken("non unique alias detected"))
    assert undone == (["attach"] if was_begun else [])
