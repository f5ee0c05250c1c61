"""What had begun to be undone is undone by whoever takes it up, and what waits for its guest goes on: the run and the recovery go one way."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.contract.faults import Crash
from tests.contract.test_signals import send
from tests.contract.world import World
from virtnetplug import interruption, xml
from virtnetplug.errors import (
    ConnectionLost,
    Failed,
    HypervisorFailed,
    Interrupted,
    JournalBroken,
    JournalFull,
    PlaceReserved,
    RollbackIncomplete,
)
from virtnetplug.hotplug.check.request import edited
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Half, OperationState, Result, Scope, StepState

pytestmark = pytest.mark.timeout(60)


def _aliases(world: World) -> list[list[str | None]]:
    return [[net.alias for net in xml.devices(world.definition(half)).nets] for half in Half]


def _refuse_config(world: World) -> None:
    """Libvirt takes no NIC out of the definition."""
    detach = world.guest.detach

    def refuse(alias: str, half: Half) -> None:
        if half is Half.CONFIG:
            raise HypervisorFailed("not out of the definition")
        detach(alias, half)

    world.guest.detach = refuse  # type: ignore[method-assign]


def _dies_at_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Crash

    monkeypatch.setattr(world.host.journal, "finish", die)


def _another_process(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    world.host.journal.close()
    world.host = world.reopen()


def _again(world: World) -> list[Result]:
    return [outcome.result for outcome in Plugger(world.host, lambda: None).recover(wait=20)]


def _detach_that_turns_back(world: World) -> None:
    """Of two NICs: libvirt does not ask for the second, and the guest still has the first, which it was asked for."""
    detach = world.guest.detach

    def refuse(alias: str, half: Half) -> None:
        if alias == "ua-nic2":
            raise HypervisorFailed("not this one")
        detach(alias, half)

    world.guest.hold()
    world.guest.detach = refuse  # type: ignore[method-assign]
    with pytest.raises(RollbackIncomplete):
        world.plugger.detach(world.name, ["ua-nic1", "ua-nic2"])
    world.guest.detach = detach  # type: ignore[method-assign]


@pytest.mark.parametrize("is_named", [True, False])
def test_the_place_of_a_nic_that_is_to_come_back_is_kept(fake: World, is_named: bool) -> None:
    """It has left since, and cannot be put in yet: whoever undoes its detach puts it where it was."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)])
    one, _ = xml.devices(fake.definition(Half.LIVE)).nets
    attach = fake.guest.attach

    def refuse_back(element: str, half: Half) -> None:
        if "ua-nic1" in element:
            raise HypervisorFailed("not yet")
        attach(element, half)

    _detach_that_turns_back(fake)
    fake.guest.attach = refuse_back  # type: ignore[method-assign]
    fake.guest.resume()
    asked = edited(xml.interface(fake.bridge_nic(3)), {"address": one.address if is_named else None}).element
    if is_named:
        with pytest.raises(PlaceReserved, match="is kept for ua-nic1 "):
            fake.plugger.attach(fake.name, [asked])
    else:
        fake.plugger.attach(fake.name, [asked])
    fake.guest.attach = attach  # type: ignore[method-assign]
    assert _again(fake) == [Result.UNDONE]
    places = {net.alias: net.address for net in xml.devices(fake.definition(Half.LIVE)).nets}
    assert places["ua-nic1"] == one.address


@pytest.fixture
def died_going_back(fake: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A detach had put its NIC back into both definitions, and died before it could write that."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    detach = fake.guest.detach
    _refuse_config(fake)
    _dies_at_its_end(fake, monkeypatch)
    with pytest.raises(Crash):
        fake.plugger.detach(fake.name, "ua-nic1", scope=Scope.BOTH)
    assert _aliases(fake) == [["ua-nic1"]] * 2
    fake.guest.detach = detach  # type: ignore[method-assign]
    _another_process(fake, monkeypatch)
    return fake


def test_a_detach_that_died_after_its_nic_was_back_is_undone(died_going_back: World) -> None:
    fake = died_going_back
    assert (_again(fake), _aliases(fake)) == ([Result.UNDONE], [["ua-nic1"]] * 2)


def test_nor_does_the_next_operation_finish_it(died_going_back: World) -> None:
    fake = died_going_back
    Plugger(fake.host, lambda: None).attach(fake.name, [fake.bridge_nic(2)])
    assert _aliases(fake) == [["ua-nic1", "ua-nic2"], ["ua-nic1"]]


def test_a_detach_that_is_being_undone_is_not_joined(fake: World) -> None:
    """Its guest holds on, and so it may yet have to come back: who asks for it again is told."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)])
    _detach_that_turns_back(fake)
    plan = fake.plugger.plan_detach(fake.name, ["ua-nic1"])
    assert [each.reason for each in plan.refusals] == ["nic-pending"]
    fake.guest.resume()
    assert (_again(fake), sorted(_aliases(fake)[0], key=str)) == ([Result.UNDONE], ["ua-nic1", "ua-nic2"])


def test_what_the_journal_cannot_be_told_to_be_undone_goes_on(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    detach, journal = fake.guest.detach, fake.host.journal

    def full(*_: Any, **__: Any) -> None:
        raise JournalFull("no space left")

    def refuse(alias: str, half: Half) -> None:
        if half is Half.CONFIG:
            monkeypatch.setattr(journal, "amend", full)
            monkeypatch.setattr(journal, "finish", full)
            raise HypervisorFailed("not out of the definition")
        detach(alias, half)

    fake.guest.detach = refuse  # type: ignore[method-assign]
    with pytest.raises(RollbackIncomplete, match="not out of the definition") as caught:
        fake.plugger.detach(fake.name, "ua-nic1", scope=Scope.BOTH)
    assert "no space left" in " ".join(caught.value.undo_failures)
    assert _aliases(fake) == [[], ["ua-nic1"]]
    fake.guest.detach = detach  # type: ignore[method-assign]
    monkeypatch.undo()
    assert (_again(fake), _aliases(fake)) == ([Result.DONE], [[], []])


@pytest.mark.parametrize("why", ["signal", "full"])
def test_a_step_that_was_stopped_before_it_ran_holds_no_undo_up(
    fake: World, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The NIC that was to come has the alias of the one that left, which comes back all the same."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    journal, stopped = fake.host.journal, list[int]()
    write = journal.step

    def stop(operation_id: str, seq: int, state: StepState, *rest: Any, **more: Any) -> None:
        (record,) = journal.open_operations()
        if not stopped and (record.steps[seq].name, state) == ("host_net_add", StepState.STARTED):
            stopped.append(seq)
            if why == "full":
                raise JournalFull("no space left")
            send()
        write(operation_id, seq, state, *rest, **more)

    monkeypatch.setattr(journal, "step", stop)
    with interruption.listening(), pytest.raises((Interrupted, Failed)) as caught:
        fake.plugger.update(fake.name, "ua-nic1", {"model": "e1000"}, replace=True)
    (record,) = journal.history(limit=1)
    assert (record.state, caught.value.undo_failures, _aliases(fake)[0]) == (OperationState.UNDONE, [], ["ua-nic1"])
    assert record.steps[stopped[0]].state is StepState.PLANNED


def test_a_pending_replacement_whose_connection_breaks_goes_on(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    pending = fake.plugger.update(fake.name, "ua-nic1", {"model": "e1000"}, replace=True, wait=0.1)
    assert pending.result is Result.PENDING
    fake.guest.resume()
    attach = fake.guest.attach

    def lose(element: str, half: Half) -> None:
        raise ConnectionLost("the connection broke")

    fake.guest.attach = lose  # type: ignore[method-assign]
    (outcome,) = Plugger(fake.host, lambda: None).recover(wait=20)
    assert (outcome.result, outcome.reason) == (Result.PENDING, ConnectionLost.reason)
    fake.guest.attach = attach  # type: ignore[method-assign]
    assert _again(fake) == [Result.DONE]
    (net,) = xml.devices(fake.definition(Half.LIVE)).nets
    assert (net.alias, net.model) == ("ua-nic1", "e1000")


@pytest.mark.parametrize("what", ["the look after it", "the write of its end"])
def test_an_undo_that_failed_is_not_forgotten_by_what_fails_next(
    fake: World, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a replacement that died the guest has no NIC. It cannot be put back, and neither can that be seen or written once."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    attach, failed = fake.guest.attach, list[str]()
    monkeypatch.setattr(fake.guest, "attach", _dies)
    with pytest.raises(Crash):
        fake.plugger.update(fake.name, "ua-nic1", {"model": "e1000"}, replace=True)
    _another_process(fake, monkeypatch)
    assert _aliases(fake)[0] == []

    def refuse(element: str, half: Half) -> None:
        failed.append("attach")
        raise HypervisorFailed("not now")

    def once(real: Any, *args: Any, **named: Any) -> Any:
        if failed == ["attach"]:
            failed.append("next")
            raise JournalFull("no space left")
        return real(*args, **named)

    journal, links = fake.host.journal, fake.host.links
    monkeypatch.setattr(fake.guest, "attach", refuse)
    if what == "the look after it":
        monkeypatch.setattr(links, "taps_of", partial(once, links.taps_of))
    else:
        monkeypatch.setattr(journal, "finish", partial(once, journal.finish))
    assert Result.UNDONE not in _again(fake) and failed[1] == "next"
    assert [each.ended for each in journal.open_operations()] == [None]
    monkeypatch.undo()
    fake.guest.attach = attach  # type: ignore[method-assign]
    assert (_again(fake), _aliases(fake)[0]) == ([Result.UNDONE], ["ua-nic1"])


def _dies(*_: Any) -> None:
    raise Crash


def test_what_the_journal_has_as_open_is_not_told_as_undone(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise JournalFull("no space left")

    def refuse(*_: Any) -> None:
        raise HypervisorFailed("not this one")

    monkeypatch.setattr(fake.guest, "attach", refuse)
    monkeypatch.setattr(fake.host.journal, "finish", full)
    with pytest.raises(RollbackIncomplete, match=r"could not be written .* has the attach as open") as caught:
        fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    assert (caught.value.exit_code, _aliases(fake)) == (5, [[], []])
    monkeypatch.undo()
    assert _again(fake) == [Result.UNDONE]


def test_what_was_never_begun_is_not_told_as_open(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal can neither be written nor read any more when the operation begins."""

    def broken(*_: Any, **__: Any) -> None:
        raise JournalBroken("disk I/O error")

    def break_down(*_: Any, **__: Any) -> None:
        monkeypatch.setattr(fake.host.journal, "operation", broken)
        broken()

    monkeypatch.setattr(fake.host.journal, "batch", break_down)
    with pytest.raises(JournalBroken) as caught:
        fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    assert (caught.value.exit_code, _aliases(fake)) == (3, [[], []])
