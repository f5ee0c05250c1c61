"""Somebody's hand takes the place that an undo wants: that is said as going forward, the operation stays open, and nobody is pushed aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lxml import etree

from tests.contract import test_rebind_pf
from tests.contract.stopped import Stopped, waiting
from tests.contract.test_hostdev import nic as vf_nic
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_rebind_pf import house as house
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import (
    HookFailed,
    HypervisorFailed,
    JournalFull,
    LeftPending,
    RollbackIncomplete,
)
from virtnetplug.hotplug.guest import asking
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, OperationState, Outcome, Result, Scope

pytestmark = pytest.mark.timeout(60)

Act = Callable[[World], Any]
WANTED = ["alias", "MAC", "guest address"]


def _nets(world: World, half: Half = Half.LIVE) -> dict[str, Interface]:
    """By alias, or what else names it."""
    return {net.alias or str(net.mac): net for net in xml.devices(world.definition(half)).nets}


def _foreign(world: World, wanted: str, net: Interface) -> str:
    """A NIC that has that of `net`."""
    (address,) = etree.fromstring(net.element).findall("address")
    place = etree.tostring(address, encoding="unicode", with_tail=False)
    mac = f"<mac address='{net.mac if wanted == 'MAC' else '52:54:00:00:00:77'}'/>"
    alias = f"<alias name='{net.alias if wanted == 'alias' else 'ua-foreign'}'/>"
    at = place if wanted == "guest address" else ""
    return f"<interface type='bridge'>{mac}<source bridge='{world.bridges[0]}'/>{at}{alias}</interface>"


def _hand(world: World, element: str, half: Half = Half.LIVE, call: str = "attach") -> None:
    """At the next attach, or other `call`, somebody's hand is faster, and the call fails."""
    attach, real = world.guest.attach, getattr(world.guest, call)

    def fail(wanted: str, where: Half) -> None:
        if where is not half:
            real(wanted, where)
            return
        setattr(world.guest, call, real)
        attach(element, half)
        raise HypervisorFailed("no room today")

    setattr(world.guest, call, fail)


def _answer(act: Callable[[], Any]) -> tuple[Result, str, str]:
    try:
        answer = act()
    except LeftPending as error:
        return Result.PENDING, error.reason, error.message
    outcome: Outcome = answer[0] if isinstance(answer, tuple) else answer
    return outcome.result, outcome.reason, outcome.message


def _assert_taken(world: World, act: Callable[[], Any], wanted: str) -> None:
    """What is said, and the journal, name the place and what to do about it."""
    result, reason, message = _answer(act)
    assert (result, reason) == (Result.PENDING, "place-taken"), message
    assert "with 'virsh detach-device --" in message  # a detach of ours is refused as long as the operation is open
    assert f"The {wanted} " in message and f"`recover({world.name!r})`" in message
    assert ("any_address=True" in message) == (wanted == "guest address")
    (record,) = world.host.journal.open_operations()
    assert (record.state, record.reason, record.error) == (OperationState.PENDING, "place-taken", message)


def _settle(world: World, wanted: str, half: Half = Half.LIVE) -> Outcome:
    """Do what was said to do, and recover."""
    if wanted == "guest address":
        (outcome,) = world.plugger.recover(wait=5, any_address=True)
        return outcome
    (there,) = [net for net in _nets(world, half).values() if net.alias == "ua-foreign" or str(net.mac).endswith("77")]
    world.guest.detach(there.alias or "", half)
    (outcome,) = world.plugger.recover(wait=5)
    return outcome


def _replace(world: World) -> Any:
    return world.plugger.update(world.name, "ua-nic1", {"model": "e1000"}, replace=True, wait=5)


def _hand_over(world: World) -> Any:
    return world.plugger.handover(world.name, "ua-nic1", world.network_nic(2), wait=5)


def _pending(world: World) -> None:
    """A replacement, whose guest lets go when nobody waits for that any more."""
    world.guest.hold()
    assert world.plugger.update(world.name, "ua-nic1", {"mtu": 1400}, replace=True, wait=0.1).result is Result.PENDING
    world.guest.resume()


def _nothing(world: World) -> None:
    pass


UNDONE: dict[str, tuple[Act, Act]] = {
    "replacement": (_nothing, _replace),
    "hand-over": (_nothing, _hand_over),
    "recovery": (_pending, lambda w: w.plugger.recover(wait=5)),
}


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("name", UNDONE)
def test_the_place_that_an_undo_wants_was_taken(fake: World, name: str, wanted: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(8), fake.bridge_nic(1)])
    fake.plugger.detach(fake.name, "ua-nic8")
    before = _nets(fake)["ua-nic1"]
    foreign = _foreign(fake, wanted, before)
    prepare, act = UNDONE[name]
    prepare(fake)
    _hand(fake, foreign)
    _assert_taken(fake, lambda: act(fake), wanted)
    there = fake.definition(Half.LIVE)
    _assert_taken(fake, lambda: fake.plugger.recover(wait=5), wanted)
    if wanted != "guest address":  # that place is free, and is kept
        _assert_taken(fake, lambda: fake.plugger.recover(wait=5, any_address=True), wanted)
    assert fake.definition(Half.LIVE) == there
    assert _settle(fake, wanted).result is Result.UNDONE
    now = _nets(fake)["ua-nic1"]
    assert (now.mac, now.model, now.mtu) == (before.mac, before.model, before.mtu)
    assert (now.address == before.address) == (wanted != "guest address")
    assert ("ua-foreign" in _nets(fake)) == (wanted == "guest address")


@pytest.mark.parametrize("wanted", ["alias", "guest address"])
def test_the_place_of_a_vf_that_comes_back_was_taken(pool: World, wanted: str) -> None:
    pool.plugger.attach(pool.name, [vf_nic(1)])
    before, held = _nets(pool)["ua-vf1"], pool.host.journal.holdings()
    _hand(pool, _foreign(pool, wanted, before))
    _assert_taken(pool, lambda: pool.plugger.rebind_vf(pool.name, "ua-vf1", wait=5), wanted)
    assert pool.host.journal.holdings() == []
    assert _settle(pool, wanted).result is Result.UNDONE
    assert _nets(pool)["ua-vf1"].source_pci == before.source_pci
    assert [one.address for one in pool.host.journal.holdings()] == [one.address for one in held]
    assert pool.plugger.audit().findings == ()


@pytest.mark.parametrize("wanted", ["alias", "guest address"])
def test_the_place_in_the_definition_was_taken(fake: World, wanted: str) -> None:
    """A NIC that left it comes back there, too: the fast one, which leaves before it comes with another's identity."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.network_nic(2)], scope=Scope.BOTH)
    before = _nets(fake, Half.CONFIG)["ua-nic2"]
    _hand(fake, _foreign(fake, wanted, before), Half.CONFIG, "update")

    def act() -> Any:
        return fake.plugger.handover(fake.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=5)

    _assert_taken(fake, act, wanted)
    assert "the definition of" in fake.host.journal.open_operations()[0].error
    there = fake.definition(Half.CONFIG)
    _assert_taken(fake, lambda: fake.plugger.recover(wait=5), wanted)
    assert fake.definition(Half.CONFIG) == there
    assert _settle(fake, wanted, Half.CONFIG).result is Result.UNDONE
    now = _nets(fake, Half.CONFIG)["ua-nic2"]
    assert now.mac == before.mac and (now.address == before.address) == (wanted != "guest address")


def test_the_place_in_the_definition_of_an_update_was_taken(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    before = _nets(fake, Half.CONFIG)["ua-nic1"]
    _hand(fake, _foreign(fake, "alias", before), Half.CONFIG)
    changes = {"mac": "52:54:00:00:00:66"}
    _assert_taken(fake, lambda: fake.plugger.update(fake.name, "ua-nic1", changes, scope=Scope.CONFIG, wait=5), "alias")
    assert _settle(fake, "alias", Half.CONFIG).result is Result.UNDONE
    assert _nets(fake, Half.CONFIG)["ua-nic1"] == before


@pytest.mark.parametrize("wanted", ["alias", "guest address"])
@pytest.mark.parametrize("way", ["back", "forward"])
def test_the_place_of_a_nic_of_a_pf_was_taken(
    house: World, monkeypatch: pytest.MonkeyPatch, way: str, wanted: str
) -> None:
    """Going on with the PF made again, or giving every guest its VF back."""
    monkeypatch.setattr(asking, "GRACE", 0.05)
    before = next(net for net in xml.devices(house.definition(Half.LIVE)).nets if net.alias == "ua-vf1")
    devices: Any = house.host.host_devices
    bind = devices.bind

    def take(*asked: Any) -> None:
        if asked[0] != test_rebind_pf.PF:
            bind(*asked)
            return
        monkeypatch.setattr(devices, "bind", bind)
        house.guest.attach(_foreign(house, wanted, before), Half.LIVE)
        if way == "back":
            raise HookFailed("no driver today")
        bind(*asked)

    monkeypatch.setattr(devices, "bind", take)
    _assert_taken(house, lambda: test_rebind_pf.rebind(house, reload_driver=True), wanted)
    assert test_rebind_pf.has(house) == {"second/ua-vf2": 1}
    assert _settle(house, wanted).result is (Result.UNDONE if way == "back" else Result.DONE)
    assert test_rebind_pf.has(house) == {"fake/ua-vf1": 0, "second/ua-vf2": 1}


def test_the_operations_own_nic_takes_nobodys_place(fake: World) -> None:
    """The one that came is still in the guest, which holds it: the one that left waits for that."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    update = fake.guest.update

    def fail(element: str, half: Half) -> None:
        update(element, half)
        if half is Half.CONFIG:
            fake.guest.hold()
            fake.guest.update = update
            raise HypervisorFailed("no definition today")

    fake.guest.update = fail
    with pytest.raises(RollbackIncomplete) as caught:
        fake.plugger.handover(fake.name, "ua-nic1", fake.network_nic(2), scope=Scope.BOTH, wait=1)
    assert "ua-nic1 comes back once" in caught.value.message and "was taken by" not in caught.value.message
    fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=5)] == [Result.UNDONE]
    assert list(_nets(fake)) == ["ua-nic1"]


# -- what the journal has of a pending operation -------------------------------------------------------


def _full(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise JournalFull("no room for the journal")

    monkeypatch.setattr(world.host.journal, "finish", fail)


def test_a_place_that_is_taken_while_the_journal_cannot_be_written(
    fake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said is what the journal has, and the NIC goes elsewhere all the same."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    old = _nets(fake)["ua-nic1"]
    _pending(fake)
    fake.guest.attach(_foreign(fake, "guest address", old), Half.LIVE)
    _full(fake, monkeypatch)
    (outcome,) = fake.plugger.recover(wait=5)
    (record,) = fake.host.journal.open_operations()
    assert (outcome.result, outcome.reason) == (Result.PENDING, record.reason) == (Result.PENDING, "guest-holds-device")
    assert "was taken by" in outcome.message and "no room for the journal" in outcome.message
    monkeypatch.undo()
    (done,) = fake.plugger.recover(wait=5, any_address=True)
    assert done.result is Result.DONE and _nets(fake)["ua-nic1"].mtu == 1400


def test_a_guest_that_is_paused_while_the_journal_cannot_be_written(
    fake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=0.1).result is Result.PENDING
    fake.guest.paused = True
    _full(fake, monkeypatch)
    (outcome,) = fake.plugger.recover(wait=1)
    (record,) = fake.host.journal.open_operations()
    assert (outcome.result, outcome.reason, record.reason) == (Result.PENDING,) + ("guest-holds-device",) * 2
    assert "no room for the journal" in outcome.message


def test_who_lost_an_operation_does_not_say_that_it_was_undone(fake: World) -> None:
    """The place is taken when the operation is another call's already."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    old = _nets(fake)["ua-nic1"]
    fake.guest.hold()
    assert fake.plugger.handover(fake.name, "ua-nic1", fake.network_nic(2), wait=0.1).result is Result.PENDING
    first = Stopped(fake, lambda p: p.recover(wait=20), waiting(fake))
    (record,) = fake.host.journal.open_operations()
    fake.guest.resume()
    expect_owner = first._host.journal.expect_owner

    def expect_and_lose(operation_id: str, owner: str) -> None:
        expect_owner(operation_id, owner)
        first._host.journal.expect_owner = expect_owner  # type: ignore[method-assign]
        fake.guest.attach(_foreign(fake, "guest address", old), Half.LIVE)
        with fake.host.journal.call() as other:
            (fake.state_dir / "owners" / owner).unlink()
            assert fake.host.journal.adopt(operation_id, other)
            fake.host.journal.finish(
                operation_id, OperationState.DONE, result=Result.DONE, reason="", error="", owner=other
            )

    first._host.journal.expect_owner = expect_and_lose  # type: ignore[method-assign]
    assert first.go_on() == ()
    assert fake.host.journal.operation(record.id).state is OperationState.DONE  # type: ignore[union-attr]
