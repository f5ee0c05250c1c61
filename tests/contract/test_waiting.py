"""Operations that wait: driven by a loop of the caller's own, left by their caller, and with somebody else in the place they wait for."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.contract.stopped import Stopped, waiting
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import JournalBroken, LeftPending, NicMissing, OperationTaken, UsageError
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.call.waiting import WaitsFor, Work
from virtnetplug.hotplug.change.detach import PlainDetach as Detach
from virtnetplug.hotplug.change.update import Update
from virtnetplug.hotplug.engine.operation import Operation
from virtnetplug.hotplug.pf.rebind_pf import RebindPf
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Half, OperationState, Outcome, Result, Scope
from virtnetplug.ports.domain import GuestEvent, GuestEventKind


class _Loop:
    """What an agent is: many operations under way in one thread, each sent what comes for it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._works: dict[str, tuple[Work, Lock]] = {}
        self.outcomes: dict[str, Outcome] = {}

    def begin(self, name: str, operation: Operation) -> None:
        domain = self._world.host.hypervisor.domain(name)
        lock = Lock(self._world.host, [domain], 1.0)
        with lock:
            self._works[name] = operation.prepare(self._world.host, domain).work(lock, 30.0), lock
            self._send(name)

    def look(self, event: GuestEvent | None = None) -> None:
        for name in list(self._works):
            with self._works[name][1]:
                self._send(name, event)

    def leave(self) -> None:
        for work, _ in self._works.values():
            work.close()

    def _send(self, name: str, event: GuestEvent | None = None) -> None:
        work, _ = self._works[name]
        try:
            wait = work.send(event)
        except StopIteration as end:
            self.outcomes[name] = end.value
            del self._works[name]
        else:
            assert wait.what is WaitsFor.GUEST and wait.until > self._world.host.clock.monotonic()


@pytest.fixture
def loop(fake: World) -> _Loop:
    """One, and a guest beside that of the world; both hold what they have."""
    hypervisor: Any = fake.host.hypervisor
    for number, guest in enumerate((fake.guest, hypervisor.add("other")), 1):
        fake.plugger.attach(guest.name, [fake.bridge_nic(number)], scope=Scope.BOTH)
        guest.hold()
    return _Loop(fake)


def test_what_another_nic_refuses_is_not_taken_for_this_ones(fake: World, loop: _Loop) -> None:
    loop.begin(fake.name, Detach(["ua-nic1"], scope=Scope.BOTH))
    loop.look(GuestEvent(GuestEventKind.REMOVAL_FAILED, "ua-nic2"))
    assert loop.outcomes == {}
    fake.guest.resume()
    loop.look()
    assert loop.outcomes[fake.name].result is Result.DONE


def test_operations_of_several_guests_need_no_thread_each(fake: World, loop: _Loop) -> None:
    other: Any = fake.host.hypervisor.domain("other")
    loop.begin(fake.name, Detach(["ua-nic1"], scope=Scope.BOTH))
    loop.begin("other", Update("ua-nic2", {"model": "e1000"}, scope=Scope.BOTH, replace=True))
    loop.look()
    assert loop.outcomes == {}
    other.resume()
    loop.look()
    assert {name: outcome.result for name, outcome in loop.outcomes.items()} == {"other": Result.DONE}
    fake.guest.resume()
    loop.look()
    assert loop.outcomes[fake.name].result is Result.DONE
    assert [net.model for net in xml.devices(other.xml(Half.LIVE)).nets] == ["e1000"]
    assert xml.devices(fake.definition(Half.LIVE)).nets == () and fake.plugger.recover() == ()


def test_what_its_caller_leaves_is_pending_and_anybodys(fake: World, loop: _Loop) -> None:
    loop.begin(fake.name, Detach(["ua-nic1"], scope=Scope.BOTH))
    loop.leave()
    (record,) = fake.host.journal.open_operations()
    assert record.state is OperationState.PENDING and not fake.host.journal.is_owner_alive(record)
    fake.guest.resume()
    assert [outcome.result for outcome in fake.plugger.recover()] == [Result.DONE]


def test_who_lost_an_operation_while_its_guest_was_waited_for_heeds_no_event_of_it(fake: World, loop: _Loop) -> None:
    loop.begin(fake.name, Update("ua-nic1", {"model": "e1000"}, scope=Scope.BOTH, replace=True))
    (record,) = fake.host.journal.open_operations()
    (fake.state_dir / "owners" / record.owner).unlink()  # what says that its call runs
    fake.guest.resume()
    assert [outcome.result for outcome in Plugger(fake.reopen(), lambda: None).recover()] == [Result.UNDONE]
    before, history = fake.snapshot(), fake.host.journal.history()
    with pytest.raises(OperationTaken):
        loop.look(GuestEvent(GuestEventKind.REMOVAL_FAILED, "ua-nic1"))
    assert (fake.snapshot(), fake.host.journal.history()) == (before, history)


FOREIGN = {
    "alias": ("<mac address='52:54:00:00:00:99'/>", "<alias name='ua-nic1'/>"),
    "guest address": ("<mac address='52:54:00:00:00:99'/>", "<alias name='ua-else'/>"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_hand_that_takes_the_place_is_said_and_nobody_is_pushed_aside(fake: World, what: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    (old,) = xml.devices(fake.guest.xml(Half.LIVE)).nets
    fake.guest.hold()
    act = Stopped(fake, lambda p: p.update(fake.name, "ua-nic1", {"mtu": 1400}, replace=True), waiting(fake))
    fake.guest.resume()
    mac, alias = FOREIGN[what]
    place = xml.edit(fake.bridge_nic(9), {"address": old.address})
    address = place[place.index("<address type") : place.index("/>", place.index("<address type")) + 2]
    at = address if what == "guest address" else ""
    fake.guest.attach(f"<interface type='bridge'>{mac}<source bridge='br1'/>{at}{alias}</interface>", Half.LIVE)
    before = fake.definition(Half.LIVE)
    error = act.go_on()
    assert isinstance(error, LeftPending) and (error.reason, error.exit_code) == ("place-taken", 75)
    assert what in error.message and fake.definition(Half.LIVE) == before
    (again,) = fake.plugger.recover()
    assert (again.result, again.reason) == (Result.PENDING, "place-taken") and fake.definition(Half.LIVE) == before
    if what == "guest address":
        (done,) = fake.plugger.recover(any_address=True)
    else:
        fake.guest.detach("ua-nic1", Half.LIVE)
        (done,) = fake.plugger.recover()
    assert done.result is Result.DONE
    came = next(net for net in xml.devices(fake.guest.xml(Half.LIVE)).nets if net.alias == "ua-nic1")
    assert came.mtu == 1400 and (came.address == old.address) == (what == "alias")


def test_audit_names_an_operation_that_stands_still_with_its_process(fake: World) -> None:
    first = Stopped(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(1)]), lambda name: name == "attach")
    fake.host.clock.sleep(3600)  # type: ignore[attr-defined]
    other = Plugger(fake.reopen(), lambda: None)
    (finding,) = [each for each in other.audit().findings if each.kind == "operation-stalled"]
    assert "attach" in finding.message and "process" in finding.message
    first.go_on()
    assert [each for each in other.audit().findings if each.kind == "operation-stalled"] == []


@pytest.mark.parametrize("is_restored", [False, True], ids=["moved", "restored from a backup"])
def test_a_journal_that_is_moved_under_a_living_process_is_told(fake: World, is_restored: bool) -> None:
    aside, backup = fake.state_dir / "aside", fake.state_dir / "backup.db"
    fake.host.journal.close()
    shutil.copy(fake.state_dir / "journal.db", backup)
    fake.host = fake.reopen()
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    aside.mkdir()
    for path in fake.state_dir.glob("journal.db*"):
        path.rename(aside / path.name)
    if is_restored:
        backup.rename(fake.state_dir / "journal.db")
    before = fake.definition(Half.LIVE)
    with pytest.raises(JournalBroken) as caught:
        fake.plugger.attach(fake.name, [fake.bridge_nic(2)])
    assert (caught.value.reason, caught.value.exit_code) == ("journal-moved", 3)
    assert fake.definition(Half.LIVE) == before
    with pytest.raises(NicMissing):
        Plugger(fake.reopen(), lambda: None).detach(fake.name, "ua-nic2")


def test_an_operation_that_is_not_of_one_domain_is_refused(fake: World) -> None:
    with pytest.raises(UsageError, match="RebindPf"):
        fake.plugger.run(fake.name, RebindPf())
    assert fake.host.journal.history() == []
