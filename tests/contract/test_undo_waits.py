"""An undo asks first whose guest it works on, and whether what left can come back; until then the guest keeps the NIC that came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.foreign import ELSEWHERE, HALVES, foreign_nic, hypervisor_of, picture, restart_guest
from tests.contract.operations import OPERATIONS
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import HypervisorFailed, LeftPending
from virtnetplug.hotplug.change import swap_run
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Half, OperationState, Outcome, Result, Scope

pytestmark = pytest.mark.timeout(60)

Act = Callable[[World, Plugger], Any]


@pytest.fixture(autouse=True)
def elsewhere(fake: World) -> None:
    """The bridge that no operation knows."""
    hypervisor_of(fake).add_bridge(ELSEWHERE)


def _replaced(world: World, plugger: Plugger) -> Any:
    return plugger.update(world.name, "ua-nic1", {"model": "e1000"}, scope=Scope.LIVE, replace=True, wait=20)


def _moved(world: World, plugger: Plugger) -> Any:
    changes = {"model": "e1000", "source_bridge": world.bridges[1]}
    return plugger.update(world.name, "ua-nic1", changes, scope=Scope.BOTH, replace=True, wait=20)


def _handed_over(world: World, plugger: Plugger) -> Any:
    return plugger.handover(world.name, "ua-nic1", world.network_nic(2), scope=Scope.LIVE, wait=20)


def _renamed(world: World, plugger: Plugger) -> Any:
    mac = xml.interface(world.bridge_nic(5)).mac
    return plugger.update(world.name, "ua-nic1", {"mac": mac}, scope=Scope.BOTH, replace=True, wait=20)


def _managed(world: World) -> None:
    world.guest.managed_save()
    world.guest.start()


def _restored(world: World) -> None:
    world.guest.restore(world.guest.save())


RESTORED = pytest.mark.parametrize("restore", [_managed, _restored])
LIVE = pytest.mark.parametrize("act", [_replaced, _handed_over])


def _dies_at_its_end(world: World, act: Act) -> None:
    """The question is withdrawn, and the journal does not say yet that the operation has ended."""
    number = 2 if act in (_replaced, _moved, _renamed) else 3  # an exchange also says whose the NIC is that came
    number += act is OPERATIONS["handback"][1]
    die(world, lambda p: act(world, p), "set_travelling", after=True, number=number)
    (record,) = world.host.journal.open_operations()
    carried = world.guest.travelling() or ""
    assert f"ending id='{record.id}'" in carried.replace('"', "'") and "asked" not in carried


def _nets(world: World, half: Half = Half.LIVE) -> list[tuple[str | None, str, str | None]]:
    return [(net.alias, net.source, net.model) for net in xml.devices(world.definition(half)).nets]


def _recovered(world: World) -> Outcome:
    (outcome,) = world.plugger.recover(wait=20)
    return outcome


def _settled(world: World, before: Any) -> None:
    outcome = _recovered(world)
    assert (outcome.result, outcome.warnings) == (Result.UNDONE, ()), outcome
    assert picture(world).keys() == before.keys()
    for half in HALVES:
        assert [nic.look for nic in picture(world)[half]] == [nic.look for nic in before[half]]
    assert world.plugger.recover() == ()


@RESTORED
@LIVE
@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
def test_a_guest_that_is_not_known_keeps_the_nic_that_came(
    fake: World, act: Act, restore: Callable[[World], None], scope: Scope
) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=scope)
    die(fake, lambda p: act(fake, p), "attach", after=True)
    fake.guest.set_travelling(None)  # ``virsh metadata --remove``
    restore(fake)
    there = _nets(fake)
    for _ in range(2):
        outcome = _recovered(fake)
        assert (outcome.result, outcome.reason) == (Result.PENDING, "end-unknown"), outcome
        assert _nets(fake) == there
    (record,) = fake.host.journal.open_operations()
    (closed,) = fake.plugger.recover(forget=record.id)
    assert (closed.result, closed.reason) == (Result.LEFT, "forgotten")
    assert _nets(fake) == there


@RESTORED
@LIVE
@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
def test_a_run_is_known_until_the_journal_says_that_its_operation_has_ended(
    fake: World, act: Act, restore: Callable[[World], None], scope: Scope
) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=scope)
    before = picture(fake)
    _dies_at_its_end(fake, act)
    restore(fake)
    _settled(fake, before)
    assert "ending" not in (fake.guest.travelling() or "")


def test_the_mark_of_an_operation_that_ended_is_gone_with_the_next_look(
    fake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.LIVE)
    with monkeypatch.context() as only:
        only.setattr("virtnetplug.hotplug.engine.transaction.forget", lambda *_: None)
        assert _replaced(fake, fake.plugger).result is Result.DONE
    assert "ending" in (fake.guest.travelling() or "")
    assert fake.plugger.recover() == ()
    assert "ending" not in (fake.guest.travelling() or "")


def test_the_nic_that_a_new_run_was_given_is_not_the_one_that_came(fake: World) -> None:
    OPERATIONS["replace"][0](fake)
    before = picture(fake)
    die(fake, lambda p: _moved(fake, p), "attach", after=True)
    restart_guest(fake)
    _settled(fake, before)


@pytest.mark.parametrize("call", ["attach", "set_travelling"])
def test_the_nic_that_an_undo_put_back_is_not_the_one_that_came(fake: World, call: str) -> None:
    OPERATIONS["replace"][0](fake)
    before = picture(fake)
    die(fake, lambda p: _moved(fake, p), "attach", after=True)
    die(fake, lambda p: p.recover(wait=20), call, after=True)
    _settled(fake, before)


@pytest.mark.parametrize("change", [{"model": "e1000"}, {"mtu": 1400}])
def test_the_nic_that_came_and_was_moved_where_the_other_was_is_still_left(fake: World, change: dict[str, Any]) -> None:
    OPERATIONS["replace"][0](fake)
    changes = {**change, "source_bridge": fake.bridges[1]}
    die(fake, lambda p: p.update(fake.name, "ua-nic1", changes, replace=True, wait=20), "attach", after=True)
    (net,) = xml.devices(fake.definition(Half.LIVE)).nets
    fake.guest.update(xml.edit(net.element, {"source_bridge": fake.bridges[0]}), Half.LIVE)
    there = _nets(fake)
    outcome = _recovered(fake)
    assert outcome.result is Result.UNDONE
    assert [" by now" in text or "is left in" in text for text in outcome.warnings] == [True, True], outcome.warnings
    assert _nets(fake) == there


def _assert_taken(outcome: Outcome, world: World, half: Half) -> None:
    assert (outcome.result, outcome.reason) == (Result.PENDING, "place-taken"), outcome
    assert f"'virsh detach-device --{half.value}'" in outcome.message
    (record,) = world.host.journal.open_operations()
    assert (record.state, record.reason, record.error) == (OperationState.PENDING, "place-taken", outcome.message)


@pytest.mark.parametrize("half", HALVES)
def test_the_nic_that_came_serves_until_the_place_of_the_other_is_free(fake: World, half: Half) -> None:
    prepare, act = OPERATIONS["handover"]
    prepare(fake)
    before = picture(fake)
    _dies_at_its_end(fake, act)
    fake.guest.attach(foreign_nic("ua-nic1", 1), half)
    there = _nets(fake)
    for _ in range(2):
        _assert_taken(_recovered(fake), fake, half)
        assert _nets(fake) == there
    fake.guest.detach("ua-nic1", half)
    _settled(fake, before)


@pytest.mark.parametrize("name", ["handover", "handback"])
def test_a_new_run_keeps_the_nic_that_came_until_the_definition_is_as_it_was(fake: World, name: str) -> None:
    prepare, act = OPERATIONS[name]
    prepare(fake)
    before = picture(fake)
    _dies_at_its_end(fake, act)
    restart_guest(fake)
    left = "ua-nic1" if name == "handover" else "ua-nic2"
    fake.guest.attach(foreign_nic(left, 1), Half.CONFIG)
    there = _nets(fake)
    for _ in range(2):
        _assert_taken(_recovered(fake), fake, Half.CONFIG)
        assert _nets(fake) == there
    fake.guest.detach(left, Half.CONFIG)
    _settled(fake, before)


def test_a_new_run_keeps_the_nic_of_a_definition_that_is_half_written(fake: World) -> None:
    prepare, act = OPERATIONS["handover"]
    prepare(fake)
    before = picture(fake)
    die(fake, lambda p: act(fake, p), "update", after=True)  # the element has no alias yet
    restart_guest(fake)
    fake.guest.attach(foreign_nic("ua-nic1", 1), Half.CONFIG)
    there = _nets(fake)
    assert [source for _, source, _ in there] == [fake.network]
    _assert_taken(_recovered(fake), fake, Half.CONFIG)
    assert _nets(fake) == there
    fake.guest.detach("ua-nic1", Half.CONFIG)
    _settled(fake, before)


def test_a_new_run_keeps_the_mac_that_came_until_the_definition_is_as_it_was(fake: World) -> None:
    OPERATIONS["replace"][0](fake)
    before = picture(fake)
    mac = xml.devices(fake.definition(Half.LIVE)).nets[0].mac
    _dies_at_its_end(fake, _renamed)
    restart_guest(fake)
    fake.guest.attach(foreign_nic("ua-foreign", 1).replace("52:54:00:ff:00:01", str(mac)), Half.CONFIG)
    there = _nets(fake)
    _assert_taken(_recovered(fake), fake, Half.CONFIG)
    assert _nets(fake) == there
    fake.guest.detach("ua-foreign", Half.CONFIG)
    _settled(fake, before)


def test_a_run_that_is_undone_says_whose_place_is_taken(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    OPERATIONS["handover"][0](fake)
    before = picture(fake)

    def hand(*_: Any, **__: Any) -> None:
        fake.guest.attach(foreign_nic("ua-nic1", 1), Half.CONFIG)
        raise HypervisorFailed("not today")

    with monkeypatch.context() as only:
        only.setattr(swap_run, "expect_run", hand)
        with pytest.raises(LeftPending) as raised:
            OPERATIONS["handover"][1](fake, fake.plugger)
    assert raised.value.reason == "place-taken" and "not today" in raised.value.message
    assert "stays in the guest" not in raised.value.message
    assert [alias for alias, _, _ in _nets(fake)] == ["ua-nic2"]
    fake.guest.detach("ua-nic1", Half.CONFIG)
    _settled(fake, before)
