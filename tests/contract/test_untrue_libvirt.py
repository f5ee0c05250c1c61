"""libvirt answers success and it is not so: what the guest has decides, and what had been done is undone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.faults import Trigger, faulty
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import HypervisorFailed, NotApplied, RollbackIncomplete
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, OperationState, Result, Scope

MAC = "52:54:00:00:00:01"


def _live(world: World) -> dict[str | None, Interface]:
    return {net.alias: net for net in xml.devices(world.definition(Half.LIVE)).nets}


def _last(world: World) -> tuple[str, OperationState, str]:
    (record,) = world.plugger.history(limit=1)
    return record.operation, record.state, record.reason


def test_an_attach_that_gave_the_guest_nothing(fake: World) -> None:
    before = fake.snapshot()
    fake.guest.gives_nothing = True
    with pytest.raises(NotApplied, match="does not have it") as caught:
        fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    assert (caught.value.reason, caught.value.exit_code) == ("not-applied", 4)
    assert fake.snapshot() == before, "nor is it in the definition"
    assert _last(fake) == ("attach", OperationState.UNDONE, "not-applied")


def test_the_second_nic_that_does_not_come_takes_the_first_along(fake: World) -> None:
    before = fake.snapshot()
    attach = fake.guest.attach

    def attach_one(element: str, half: Half) -> None:
        attach(element, half)
        fake.guest.gives_nothing = half is Half.LIVE

    fake.guest.attach = attach_one
    with pytest.raises(NotApplied, match="ua-nic2"):
        fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.network_nic(2)])
    assert fake.snapshot() == before


def test_an_update_that_changed_nothing(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    before = fake.snapshot()
    fake.guest.changes_nothing = True
    with pytest.raises(NotApplied, match="source_bridge did not change"):
        fake.plugger.update(fake.name, "ua-nic1", {"source_bridge": fake.bridges[1]}, scope=Scope.BOTH)
    assert fake.snapshot() == before
    assert _last(fake) == ("update", OperationState.UNDONE, "not-applied")


def test_a_nic_that_went_while_it_was_updated(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    update = fake.guest.update

    def lose(element: str, half: Half) -> None:
        update(element, half)
        fake.guest.detach("ua-nic1", half)

    fake.guest.update = lose
    with pytest.raises(NotApplied, match="has no ua-nic1"):
        fake.plugger.update(fake.name, "ua-nic1", {"link_state": "down"})
    assert _live(fake) == {}


def test_a_rebind_that_moved_nothing(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    before = fake.snapshot()
    fake.guest.changes_nothing = True
    with pytest.raises(NotApplied, match="did not change"):
        fake.plugger.rebind(fake.name, "ua-nic1", {"source_network": fake.network})
    assert fake.snapshot() == before


def test_a_rebind_whose_tap_is_not_where_the_definition_says(fake: World) -> None:
    """The element is as asked, and the host is not."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    before = fake.snapshot()
    update = fake.guest.update

    def leave_out(element: str, half: Half) -> None:
        update(element, half)
        for tap in list(fake.members(fake.bridges[1])):
            fake.host.hypervisor.set_master(tap, None)  # type: ignore[attr-defined]

    fake.guest.update = leave_out
    with pytest.raises(NotApplied, match="not in"):
        fake.plugger.rebind(fake.name, "ua-nic1", {"source_bridge": fake.bridges[1]})
    assert fake.snapshot() == before


def test_a_replacement_that_lost_what_it_was_for(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    before = fake.snapshot()
    fake.guest.dropped = frozenset({"mtu"})
    with pytest.raises(NotApplied, match="mtu did not change"):
        fake.plugger.update(fake.name, "ua-nic1", {"mtu": 1400}, scope=Scope.BOTH, replace=True)
    fake.guest.dropped = frozenset()
    assert fake.snapshot() == before, "the old one is back"


def test_a_replacement_that_did_not_come(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    before = fake.snapshot()
    attach = fake.guest.attach

    def once(element: str, half: Half) -> None:
        fake.guest.gives_nothing = True
        attach(element, half)
        fake.guest.gives_nothing, fake.guest.attach = False, attach

    fake.guest.attach = once
    with pytest.raises(NotApplied, match=r"ua-nic1 was attached, but .* does not have it"):
        fake.plugger.update(fake.name, "ua-nic1", {"mtu": 1400}, replace=True)
    assert fake.snapshot() == before


def test_a_hand_over_whose_fast_nic_came_at_another_address(fake: World) -> None:
    """The guest would know it by nothing: it goes, and the emulated one is back."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    before = fake.snapshot()
    attach = fake.guest.attach

    def elsewhere(element: str, half: Half) -> None:
        net = xml.interface(element)
        fake.guest.attach = attach
        attach(xml.edit(element, {"address": None}) if net.alias == "ua-nic2" else element, half)
        if net.alias == "ua-nic2":
            address = fake.guest._find(half, "ua-nic2").find("address")
            address.set("slot", "0x1e")

    fake.guest.attach = elsewhere
    with pytest.raises(NotApplied, match="address did not change"):
        fake.plugger.handover(fake.name, "ua-nic1", fake.network_nic(2), scope=Scope.BOTH)
    now = fake.snapshot()
    assert [now[half].replace("<metadata/>", "") for half in ("live", "config")] == [before["live"], before["config"]]
    assert (now["taps"], now["ports"], now["open"]) == (before["taps"], before["ports"], [])


def test_a_tap_that_qemu_still_has_is_told(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    (tap,) = fake.members(fake.bridges[0])
    links = fake.host.hypervisor
    remove = links.unplug  # type: ignore[attr-defined]

    def keep_tap(nic: object) -> None:
        remove(nic)
        links.taps[tap] = fake.guest.uuid  # type: ignore[attr-defined]

    links.unplug = keep_tap  # type: ignore[attr-defined]
    outcome = fake.plugger.detach(fake.name, "ua-nic1")
    assert [text for text in outcome.warnings if tap in text and "still holds" in text]


def test_a_definition_that_cannot_be_changed_has_all_its_nics_again(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], scope=Scope.BOTH)
    before = fake.snapshot()
    detach = fake.guest.detach

    def refuse(alias: str, half: Half) -> None:
        if (alias, half) == ("ua-nic2", Half.CONFIG):
            raise HypervisorFailed("the definition cannot be written")
        detach(alias, half)

    fake.guest.detach = refuse
    with pytest.raises(HypervisorFailed):
        fake.plugger.detach(fake.name, ["ua-nic1", "ua-nic2"], scope=Scope.BOTH)
    now = fake.snapshot()
    for half in ("live", "config"):
        assert sorted(now[half].split()) == sorted(before[half].split())
    assert {**now, "live": 0, "config": 0} == {**before, "live": 0, "config": 0}


def test_one_that_was_asked_for_before_the_operation_failed_may_still_go(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)])
    fake.guest.hold()
    detach = fake.guest.detach

    def refuse(alias: str, half: Half) -> None:
        if alias == "ua-nic2":
            raise HypervisorFailed("not this one")
        detach(alias, half)

    fake.guest.detach = refuse
    with pytest.raises(RollbackIncomplete, match="not this one") as caught:
        fake.plugger.detach(fake.name, ["ua-nic1", "ua-nic2"])
    assert caught.value.exit_code == 5 and "still may" in caught.value.undo_failures[0]
    assert [nic.pending is not None for nic in fake.plugger.list(fake.name)] == [True, True]
    fake.guest.detach = detach
    fake.guest.resume()
    assert [outcome.result for outcome in fake.plugger.recover(wait=20)] == [Result.UNDONE]
    nets = xml.devices(fake.definition(Half.LIVE)).nets
    assert {net.alias for net in nets} == {"ua-nic1", "ua-nic2"}, "it has gone, and is back"


def test_an_end_that_cannot_be_written_changes_the_definition_back(fake: World) -> None:
    def act(plugger: Plugger) -> None:
        plugger.update(fake.name, "ua-nic1", {"link_state": "down"}, scope=Scope.BOTH)

    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    before, counter = fake.snapshot(), Trigger(-1, "none")
    act(Plugger(faulty(fake.host, counter), lambda: None))
    fake.plugger.update(fake.name, "ua-nic1", {"link_state": None}, scope=Scope.BOTH)
    last = max(number for number, call in enumerate(counter.calls) if call == "journal.commit")
    with pytest.raises(HypervisorFailed):
        act(Plugger(faulty(fake.host, Trigger(last, "fail")), lambda: None))
    assert fake.snapshot() == before


def test_an_update_does_not_change_since_when_the_nic_is_there(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    (before,) = fake.host.journal.nics()
    fake.host.clock.sleep(10)  # type: ignore[attr-defined]
    fake.plugger.update(fake.name, "ua-nic1", {"source_bridge": fake.bridges[1]})
    (after,) = fake.host.journal.nics()
    assert after.since == before.since and after != before


def test_a_tap_that_did_not_join_its_bridge_is_not_healed(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.network_nic(1)])
    fake.restart_network()
    before = fake.snapshot()
    hypervisor: Any = fake.host.hypervisor
    set_master, hypervisor.set_master = hypervisor.set_master, lambda name, master: None
    with pytest.raises(NotApplied, match="is not what it should be"):
        fake.plugger.heal(fake.name, "ua-nic1")
    assert fake.snapshot() == before, "nor is the port there that had been made again"
    hypervisor.set_master = set_master
    fake.plugger.heal(fake.name, "ua-nic1")
    assert fake.ports() == 1


@pytest.mark.parametrize("call", ["detach", "attach"])
def test_a_hand_over_that_died_is_taken_back_with_what_was_remembered(fake: World, call: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    before = fake.snapshot()
    die(fake, lambda p: p.handover(fake.name, "ua-nic1", fake.network_nic(2), scope=Scope.BOTH), call, after=True)
    assert [outcome.result for outcome in fake.plugger.recover(wait=20)] == [Result.UNDONE]
    now = fake.snapshot()
    assert {**now, **{half: now[half].replace("<metadata/>", "") for half in ("live", "config")}} == before
