"""What `test_foreign` found, one by one: somebody changes a NIC after an operation has died, or while its guest is waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract import test_hostdev
from tests.contract.deaths import die
from tests.contract.foreign import ELSEWHERE, HANDS, RESTARTS, foreign_nic, hypervisor_of, picture, remembered
from tests.contract.operations import OPERATIONS
from tests.contract.test_any_nic import MAC, give
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_recover_again import PENDING
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import (
    AliasTaken,
    HypervisorFailed,
    IdentityConflict,
    NicPending,
    NotApplied,
    Refused,
    VirtnetplugError,
)
from virtnetplug.hotplug.guest import asking, guest
from virtnetplug.lifecycle import State
from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import Half, Outcome, Result, Scope
from virtnetplug.model.pci import PciAddress

BEFORE, AFTER = False, True
BOTH = (Half.LIVE, Half.CONFIG)


@pytest.fixture(autouse=True)
def elsewhere(fake: World) -> None:
    """The bridge that no operation knows."""
    hypervisor_of(fake).add_bridge(ELSEWHERE)


def _dies(world: World, name: str, call: str, after: bool, number: int = 1) -> None:
    prepare, act = OPERATIONS[name]
    prepare(world)
    die(world, lambda p: act(world, p), call, after=after, number=number)


def _recovered(world: World, hand: str, nic: str, restart: str = "none") -> Outcome:
    assert HANDS[hand](world, nic, nic)
    RESTARTS[restart](world)
    world.guest.resume()
    return world.plugger.recover(wait=20)[0]


def _sources(world: World, half: Half) -> list[tuple[str, str]]:
    return [(nic.alias, nic.source) for nic in picture(world)[half]]


def test_a_nic_that_was_to_be_asked_for_stays_where_it_was_moved(fake: World) -> None:
    _dies(fake, "replace", "detach", BEFORE)
    outcome = _recovered(fake, "move live", "ua-nic1")
    assert outcome.result is Result.UNDONE and ELSEWHERE in " ".join(outcome.warnings)
    assert _sources(fake, Half.LIVE) == [("ua-nic1", f"bridge {ELSEWHERE}")]


@pytest.mark.parametrize("hand", ["recable config", "move both"])
@pytest.mark.parametrize("restart", ["guest", "host"])
def test_a_run_started_since_is_not_asked_for_a_nic_that_was_moved_in_its_definition(
    fake: World, hand: str, restart: str
) -> None:
    _dies(fake, "detach", "set_travelling", AFTER)
    outcome = _recovered(fake, hand, "ua-nic1", restart)
    assert outcome.result is Result.UNDONE and ELSEWHERE in outcome.message
    for half in Half:
        assert ("ua-nic1", f"bridge {ELSEWHERE}") in _sources(fake, half)


def test_a_run_started_since_is_asked_for_a_nic_that_its_definition_had_elsewhere_all_along(fake: World) -> None:
    OPERATIONS["detach"][0](fake)
    assert HANDS["recable config"](fake, "ua-nic1", "ua-nic1")
    die(fake, lambda p: OPERATIONS["detach"][1](fake, p), "set_travelling", after=AFTER)
    RESTARTS["guest"](fake)
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.DONE]
    assert _sources(fake, Half.LIVE) == _sources(fake, Half.CONFIG) == []


def test_a_run_started_since_is_given_nothing_that_its_definition_lacks(fake: World) -> None:
    _dies(fake, "replace", "update", AFTER)
    assert _recovered(fake, "remove config", "ua-nic1", "guest").result is Result.UNDONE
    assert (_sources(fake, Half.LIVE), _sources(fake, Half.CONFIG)) == ([], [])


def test_the_nic_handed_over_is_defined_again_although_somebody_removed_its_successor(fake: World) -> None:
    _dies(fake, "handover", "update", AFTER, 2)
    assert _recovered(fake, "remove config", "ua-nic2").result is Result.UNDONE
    assert _sources(fake, Half.LIVE) == _sources(fake, Half.CONFIG) == [("ua-nic1", "bridge br0")]


def test_it_is_said_to_stay_out_where_somebody_moved_its_successor(fake: World) -> None:
    _dies(fake, "handover", "update", AFTER, 2)
    outcome = _recovered(fake, "recable config", "ua-nic2")
    assert outcome.result is Result.UNDONE
    assert any(text.startswith("ua-nic1 ") and "stays out" in text for text in outcome.warnings), outcome.warnings
    assert _sources(fake, Half.LIVE) == [("ua-nic1", "bridge br0")]
    assert _sources(fake, Half.CONFIG) == [("ua-nic2", f"bridge {ELSEWHERE}")]


def test_no_undo_defines_a_second_nic_of_one_alias(fake: World) -> None:
    _dies(fake, "handover", "update", AFTER, 1)  # the definition has the NIC without alias for a moment
    outcome = _recovered(fake, "take alias config", "ua-nic1")
    assert (outcome.result, outcome.reason) == (Result.PENDING, "place-taken")
    assert [alias for alias, _ in _sources(fake, Half.CONFIG)] == ["", "ua-nic1"]


@pytest.mark.parametrize(("name", "comes"), [("handover", "ua-nic2"), ("handback", "ua-nic1")])
def test_nor_does_an_exchange_that_waited(fake: World, name: str, comes: str) -> None:
    OPERATIONS[name][0](fake)
    fake.guest.hold()
    assert PENDING[name][1](fake, fake.plugger).result is Result.PENDING
    outcome = _recovered(fake, "take alias config", comes)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "place-taken")
    assert [alias for alias, _ in _sources(fake, Half.CONFIG)].count(comes) == 1
    fake.guest.detach(comes, Half.CONFIG)
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.DONE]
    assert [alias for alias, _ in _sources(fake, Half.CONFIG)] == [comes]


def test_a_tap_stays_in_the_bridge_that_somebody_has_put_it_into(fake: World) -> None:
    _dies(fake, "heal", "links.set_master", AFTER)
    _recovered(fake, "recable live", "ua-nic1")
    assert fake.members(ELSEWHERE) and not fake.members("virbr0")
    assert _sources(fake, Half.LIVE) == [("ua-nic1", f"bridge {ELSEWHERE}")]


def test_a_change_of_a_nic_that_somebody_removed_is_said_to_have_nothing_to_undo(fake: World) -> None:
    _dies(fake, "update", "update", AFTER)
    outcome = _recovered(fake, "remove live", "ua-nic1")
    assert outcome.result is Result.UNDONE
    assert any("ua-nic1 out of the guest" in text for text in outcome.warnings), outcome.warnings


def test_a_policy_takes_out_no_other_nic_of_the_alias(fake: World) -> None:
    OPERATIONS["forget"][0](fake)  # both NICs are there, and ua-nic2 is the marker of ua-nic1
    assert HANDS["take alias both"](fake, "ua-nic1", "ua-nic1")
    before = picture(fake)
    assert fake.plugger.set_policy(fake.name, force_unplug="NICS").enforced == ()
    fake.plugger.recover(wait=20)
    assert picture(fake) == before


@pytest.mark.parametrize("hand", ["take alias config", "recable config"])
def test_a_policy_remembers_no_other_nic_of_the_alias(fake: World, hand: str) -> None:
    """It takes out the guest's NIC alone, and leaves that of the definition for good."""
    OPERATIONS["forget"][0](fake)
    assert HANDS[hand](fake, "ua-nic1", "ua-nic1")
    fake.plugger.set_policy(fake.name, force_unplug="NICS")
    fake.plugger.recover(wait=20)
    assert _sources(fake, Half.LIVE) == [("ua-nic2", "network default")]
    assert ("ua-nic1", f"bridge {ELSEWHERE}") in _sources(fake, Half.CONFIG)
    assert {source for _, _, source in remembered(fake)} == {"bridge br0"}


def test_a_policy_leaves_one_that_was_connected_to_something_else(fake: World) -> None:
    OPERATIONS["forget"][0](fake)
    kept = remembered(fake)
    assert HANDS["recable both"](fake, "ua-nic1", "ua-nic1")
    fake.plugger.set_policy(fake.name, force_unplug="NICS")
    assert _sources(fake, Half.LIVE) == _sources(fake, Half.CONFIG)
    assert ("ua-nic1", f"bridge {ELSEWHERE}") in _sources(fake, Half.LIVE) and remembered(fake) == kept


def test_a_policy_takes_out_one_that_was_given_another_mac_by_an_update(fake: World) -> None:
    OPERATIONS["forget"][0](fake)
    fake.plugger.update(fake.name, "ua-nic1", {"mac": Mac("52:54:00:00:00:77")}, scope=Scope.BOTH, replace=True)
    fake.plugger.set_policy(fake.name, force_unplug="NICS")
    assert [alias for alias, _ in _sources(fake, Half.LIVE)] == ["ua-nic2"]


def test_a_bridged_nic_is_not_taken_for_the_vf_that_was_there(pool: World) -> None:
    hypervisor_of(pool).add_bridge(ELSEWHERE)
    prepare, act = test_hostdev.OPERATIONS["replace"]
    prepare(pool)
    die(pool, lambda p: act(pool, p), "detach", after=BEFORE)
    assert _recovered(pool, "move live", "ua-vf1").result is Result.UNDONE
    assert _sources(pool, Half.LIVE) == [("ua-vf1", f"bridge {ELSEWHERE}")]


def _set_link_down(world: World, *halves: Half, mac: str = "52:54:00:00:00:01") -> None:
    """``virsh domif-setlink``."""
    for half in halves:
        (net,) = (net for net in xml.devices(world.definition(half)).nets if str(net.mac) == mac)
        world.guest.update(xml.edit(net.element, {"link_state": "down"}), half)


def _links(world: World, half: Half) -> list[tuple[str, str | None]]:
    return [(net.source, net.link_state) for net in xml.devices(world.definition(half)).nets]


def _pending(world: World, name: str) -> None:
    """The operation waits for its guest."""
    OPERATIONS[name][0](world)
    world.guest.hold()
    assert PENDING[name][1](world, world.plugger).result is Result.PENDING


def test_a_link_that_somebody_took_down_meanwhile_is_down_after_the_replacement(fake: World) -> None:
    _pending(fake, "replace")
    _set_link_down(fake, *BOTH)
    assert [each.result for each in fake.plugger.recover()] == [Result.PENDING]  # the NIC is still there, and is seen
    fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.DONE]
    for half in BOTH:
        assert _links(fake, half) == [("br0", "down")]
        assert [nic.model for nic in picture(fake)[half]] == ["e1000"]


def test_and_after_the_undo_of_a_replacement_that_had_seen_it(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _pending(fake, "replace")
    _set_link_down(fake, *BOTH)
    attach = fake.guest.attach

    def fail(element: str, half: Half) -> None:
        if "e1000" in element:
            raise HypervisorFailed("no room today")
        attach(element, half)

    monkeypatch.setattr(fake.guest, "attach", fail)
    fake.later(1, fake.guest.resume)
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.UNDONE]
    for half in BOTH:
        assert _links(fake, half) == [("br0", "down")]
        assert [nic.model for nic in picture(fake)[half]] == ["virtio"]


@pytest.mark.parametrize(("name", "number"), [("update", 1), ("update", 2), ("rebind", 1), ("rebind", 2)])
def test_an_undo_leaves_a_link_down_that_somebody_took_down(fake: World, name: str, number: int) -> None:
    _dies(fake, name, "update", AFTER, number)
    _set_link_down(fake, *BOTH)
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.UNDONE]
    assert _links(fake, Half.LIVE) == _links(fake, Half.CONFIG) == [("br0", "down")]


def test_a_pending_replacement_does_not_define_a_nic_that_somebody_undefined(fake: World) -> None:
    _pending(fake, "replace")
    outcome = _recovered(fake, "remove config", "ua-nic1")
    assert outcome.result is Result.DONE
    assert any("ua-nic1 out of the definition" in text for text in outcome.warnings), outcome.warnings
    assert (_sources(fake, Half.LIVE), _sources(fake, Half.CONFIG)) == ([("ua-nic1", "bridge br0")], [])


def test_nor_does_a_pending_replacement_of_a_nic_that_has_no_alias_of_its_own(fake: World) -> None:
    give(fake, "cold")
    fake.guest.hold()
    fake.plugger.update(fake.name, "net1", {"model": "e1000"}, scope=Scope.BOTH, replace=True, wait=0.1)
    (net,) = (net for net in xml.devices(fake.definition(Half.CONFIG)).nets if str(net.mac) == MAC)
    fake.guest.detach_element(net.element)
    fake.guest.resume()
    (outcome,) = fake.plugger.recover(wait=20)
    assert outcome.result is Result.DONE and any("out of the definition" in text for text in outcome.warnings)
    assert MAC not in [str(net.mac) for net in xml.devices(fake.definition(Half.CONFIG)).nets]


def test_nor_does_a_pending_handover_define_the_fast_nic_that_somebody_undefined(fake: World) -> None:
    OPERATIONS["detach"][0](fake)  # both NICs are there
    fake.guest.hold()
    fake.plugger.handover(fake.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=0.1)
    assert HANDS["remove config"](fake, "ua-nic2", "")
    fake.guest.resume()
    (outcome,) = fake.plugger.recover(wait=20)
    assert outcome.result is Result.DONE
    assert any("ua-nic2 out of the definition" in text for text in outcome.warnings), outcome.warnings
    assert [alias for alias, _ in _sources(fake, Half.CONFIG)] == ["ua-nic1"]


def test_a_handover_whose_fast_nic_cannot_come_asks_for_no_emulated_one(fake: World) -> None:
    OPERATIONS["detach"][0](fake)  # both NICs are there
    fake.guest.hold()
    fake.plugger.handover(fake.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=0.1)
    fake.guest.resume()
    fake.guest.attach(foreign_nic("ua-nic2", 2), Half.LIVE)
    (outcome,) = fake.plugger.recover(wait=20)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "place-taken")
    assert {alias for alias, _ in _sources(fake, Half.LIVE)} == {"ua-nic1", "ua-nic2"}
    (emulated,) = (nic for nic in fake.plugger.list(fake.name) if nic.alias == "ua-nic1")
    assert (emulated.pending, emulated.frontend) == (outcome.operation_id, State.UNKNOWN), "its guest was not asked"
    fake.guest.detach("ua-nic2", Half.LIVE)
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.DONE]
    assert _sources(fake, Half.LIVE) == [("ua-nic2", "network default")]


def _pending_nics(world: World) -> set[str | None]:
    return {nic.alias for nic in world.plugger.list(world.name) if nic.pending is not None}


@pytest.mark.parametrize("name", ["detach", "replace"])
@pytest.mark.parametrize("is_process", [True, False], ids=["process", "no-process"])
def test_a_nic_of_another_mac_is_not_shown_as_asked_for(
    fake: World, monkeypatch: pytest.MonkeyPatch, name: str, *, is_process: bool
) -> None:
    if not is_process:  # then no tap tells
        monkeypatch.setattr(type(fake.guest), "process", lambda self: "")
    _pending(fake, name)
    assert "ua-nic1" in _pending_nics(fake)
    fake.guest.resume()
    fake.guest.attach(foreign_nic("ua-nic1", 9), Half.LIVE)
    there = [nic for nic in fake.plugger.list(fake.name) if nic.alias == "ua-nic1" and nic.live]
    assert [(nic.pending, nic.frontend) for nic in there] == [(None, State.UNKNOWN)]
    assert fake.plugger.show(fake.name, there[0].mac or "").history == ()


def test_nor_is_it_what_a_guest_still_holds_for_audit(fake: World) -> None:
    _pending(fake, "detach")
    assert not fake.plugger.audit().findings
    fake.guest.resume()
    fake.guest.attach(foreign_nic("ua-nic1", 9), Half.LIVE)
    (finding,) = fake.plugger.audit().findings
    assert finding.kind == "operation-open" and "has let go meanwhile" in finding.message


def test_nor_is_it_kept_from_other_operations(fake: World) -> None:
    _pending(fake, "detach")
    fake.guest.resume()
    fake.guest.attach(foreign_nic("ua-nic1", 9), Half.LIVE)
    fake.plugger.update(fake.name, "52:54:00:ff:00:09", {"link_state": "down"})
    assert (ELSEWHERE, "down") in _links(fake, Half.LIVE)


def test_an_update_is_in_the_history_of_the_nic_that_it_gave_another_mac(fake: World) -> None:
    OPERATIONS["update"][0](fake)
    fake.plugger.update(fake.name, "ua-nic1", {"mac": Mac("52:54:00:00:00:77")}, scope=Scope.BOTH, replace=True)
    history = fake.plugger.show(fake.name, "52:54:00:00:00:77").history
    assert [record.operation for record in history] == ["update"]


def test_an_uninterrupted_replacement_does_not_read_again_what_it_looked_at(
    fake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    OPERATIONS["replace"][0](fake)
    calls: list[str] = []
    for module, name in ((guest, "there"), (asking, "ask")):
        call = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, _n=name, _c=call, **k: (calls.append(_n), _c(*a, **k))[1])
    assert OPERATIONS["replace"][1](fake, fake.plugger).result is Result.DONE
    assert calls[0] == "ask"


def test_a_handover_that_is_forgotten_says_what_its_guest_had_let_go_of(fake: World) -> None:
    OPERATIONS["detach"][0](fake)
    (net,) = (net for net in xml.devices(fake.definition(Half.LIVE)).nets if net.alias == "ua-nic2")
    fake.guest.hold()
    fake.plugger.handover(fake.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=0.1)
    fake.guest.resume()
    fake.guest.attach(foreign_nic("ua-nic2", 2).replace("52:54:00:ff:00:02", str(net.mac)), Half.LIVE)
    (outcome,) = fake.plugger.recover(wait=20)
    assert outcome.reason == "place-taken"
    assert _pending_nics(fake) == {"ua-nic1"}  # of the other one it has just been said that it stays
    (forgotten,) = fake.plugger.recover(forget=outcome.operation_id)
    assert "has let go of ua-nic2" in forgotten.message and "Not known" not in forgotten.message
    assert {alias for alias, _ in _sources(fake, Half.LIVE)} == {"ua-nic1", "ua-nic2"}


def test_a_fast_nic_that_somebody_moved_stays_in_and_the_handover_ends(fake: World) -> None:
    _dies(fake, "handover", "attach", AFTER)
    outcome = _recovered(fake, "recable live", "ua-nic2")
    assert outcome.result is Result.UNDONE
    assert any("ua-nic1" in text and "stays out of the guest" in text for text in outcome.warnings), outcome.warnings
    assert _sources(fake, Half.LIVE) == [("ua-nic2", f"bridge {ELSEWHERE}")]
    assert _sources(fake, Half.CONFIG) == [("ua-nic1", "bridge br0")]
    assert fake.plugger.recover() == ()


def test_a_nic_put_back_is_said_to_be_connected_to_something_else_than_its_definition(fake: World) -> None:
    _pending(fake, "handover")
    outcome = _recovered(fake, "recable config", "ua-nic1")
    assert outcome.result is Result.UNDONE
    assert _sources(fake, Half.LIVE) == [("ua-nic1", "bridge br0")]
    assert _sources(fake, Half.CONFIG) == [("ua-nic1", f"bridge {ELSEWHERE}")]
    assert any("br0 in the guest" in text and ELSEWHERE in text for text in outcome.warnings), outcome.warnings


def test_a_nic_left_as_it_is_is_said_so_once(fake: World) -> None:
    _dies(fake, "replace", "attach", AFTER)
    outcome = _recovered(fake, "recable live", "ua-nic1")
    assert len(outcome.warnings) == len(set(outcome.warnings)) > 0


def test_a_policy_takes_out_no_nic_of_the_alias_and_the_mac_that_is_connected_elsewhere(fake: World) -> None:
    OPERATIONS["forget"][0](fake)
    assert HANDS["move both"](fake, "ua-nic1", "ua-nic1")
    before = picture(fake)
    assert fake.plugger.set_policy(fake.name, force_unplug="NICS").enforced == ()
    assert picture(fake) == before


def test_a_policy_takes_out_one_that_a_rebind_connected_elsewhere(fake: World) -> None:
    OPERATIONS["forget"][0](fake)
    fake.plugger.rebind(fake.name, "ua-nic1", {"source_bridge": fake.bridges[1]}, scope=Scope.BOTH)
    fake.plugger.set_policy(fake.name, force_unplug="NICS")
    assert [alias for alias, _ in _sources(fake, Half.LIVE)] == ["ua-nic2"]


def test_two_nics_of_one_alias_are_two(fake: World) -> None:
    OPERATIONS["update"][0](fake)
    assert HANDS["take alias config"](fake, "ua-nic1", "ua-nic1")
    found = [(nic.alias, nic.source, nic.live, nic.config) for nic in fake.plugger.list(fake.name)]
    assert found == [("ua-nic1", "br0", True, False), ("ua-nic1", ELSEWHERE, False, True)]
    fake.plugger.detach(fake.name, "52:54:00:00:00:01", wait=20)
    assert (_sources(fake, Half.LIVE), len(_sources(fake, Half.CONFIG))) == ([], 1)


def test_the_mac_of_an_open_operation_is_given_to_no_nic_without_an_alias(fake: World) -> None:
    _pending(fake, "replace")
    address = xml.devices(fake.definition(Half.LIVE)).nets[0].address
    fake.guest.resume()
    fake.guest.attach(xml.edit(foreign_nic("ua-z", 9), {"address": address}), Half.LIVE)
    assert [each.reason for each in fake.plugger.recover(wait=20)] == ["place-taken"]
    request = fake.bridge_nic(1).replace("<alias name='ua-nic1'/>", "")
    plan = fake.plugger.plan_attach(fake.name, [request])
    assert [refusal.reason for refusal in plan.refusals] == ["nic-pending"]
    with pytest.raises(NicPending):
        fake.plugger.attach(fake.name, [request])


def test_the_element_of_a_nic_that_was_replaced_can_be_edited(fake: World) -> None:
    give(fake, "cold")
    fake.plugger.update(fake.name, "net1", {"model": "e1000"}, scope=Scope.BOTH, replace=True, wait=20)
    shown = fake.plugger.show(fake.name, MAC).live
    assert shown is not None
    fake.plugger.update(fake.name, MAC, xml.edit(shown, {"link_state": "down"}), scope=Scope.BOTH)
    for half in BOTH:
        (net,) = (net for net in xml.devices(fake.definition(half)).nets if str(net.mac) == MAC)
        assert net.link_state == "down"


def test_a_nic_that_was_replaced_and_connected_elsewhere_is_one(fake: World) -> None:
    give(fake, "cold")
    fake.plugger.update(fake.name, "net1", {"mtu": 1400}, scope=Scope.LIVE, replace=True, wait=20)
    fake.plugger.rebind(fake.name, MAC, {"source_bridge": fake.bridges[1]}, scope=Scope.LIVE)
    assert [(nic.live, nic.config) for nic in fake.plugger.list(fake.name) if nic.mac == MAC] == [(True, True)]


@pytest.mark.parametrize("hand", ["move live", "take alias live"])
def test_a_nic_that_took_the_place_of_ours_elsewhere_is_foreign(fake: World, hand: str) -> None:
    """Nor has it the network of the NIC that was there."""
    OPERATIONS["detach"][0](fake)
    assert HANDS[hand](fake, "ua-nic2", "ua-nic1")
    (nic,) = (nic for nic in fake.plugger.list(fake.name) if nic.live and nic.alias == "ua-nic2")
    assert (nic.origin, nic.network) == ("foreign", None)


def test_one_that_somebody_connected_elsewhere_is_ours(fake: World) -> None:
    OPERATIONS["update"][0](fake)
    assert HANDS["recable live"](fake, "ua-nic1", "ua-nic1")
    assert [nic.origin for nic in fake.plugger.list(fake.name) if nic.live] == ["virtnetplug"]


def test_a_link_that_nobody_saw_go_down_in_the_guest_is_warned_of(fake: World) -> None:
    _pending(fake, "replace")
    _set_link_down(fake, *BOTH)
    fake.guest.resume()
    (outcome,) = fake.plugger.recover(wait=20)
    assert outcome.result is Result.DONE and _links(fake, Half.CONFIG) == [("br0", "down")]
    assert any("link_state of ua-nic1" in text for text in outcome.warnings), outcome.warnings


def test_the_fast_nic_of_a_handover_that_died_is_ours(fake: World) -> None:
    _dies(fake, "handover", "attach", AFTER)
    assert [(nic.alias, nic.origin) for nic in fake.plugger.list(fake.name) if nic.live] == [("ua-nic2", "virtnetplug")]


def test_a_policy_takes_no_nic_out_for_another_nic_of_its_twins_alias(fake: World) -> None:
    OPERATIONS["forget"][0](fake)
    assert HANDS["take alias both"](fake, "ua-nic2", "ua-nic1")
    before = picture(fake)
    outcome = fake.plugger.set_policy(fake.name, force_unplug="NICS")
    assert outcome.enforced == () and picture(fake) == before
    assert [text for text in outcome.warnings if "ua-nic2 is another NIC" in text], outcome.warnings


def _handed_over_to_a_nic_that_is_another_now(world: World) -> None:
    OPERATIONS["handback"][0](world)
    HANDS["remove both"](world, "ua-nic2", "")
    for half in BOTH:
        world.guest.attach(xml.edit(foreign_nic("ua-nic2", 1), {"address": PciAddress(0, 0, 0x1D, 0)}), half)


def test_a_handback_leaves_another_nic_of_the_fast_ones_alias(fake: World) -> None:
    _handed_over_to_a_nic_that_is_another_now(fake)
    outcome = fake.plugger.handback(fake.name, "ua-nic1", scope=Scope.BOTH, wait=20)
    assert [text for text in outcome.warnings if "ua-nic2 is another NIC" in text], outcome.warnings
    for half in BOTH:
        assert sorted(_sources(fake, half)) == [("ua-nic1", "bridge br0"), ("ua-nic2", f"bridge {ELSEWHERE}")]


def test_a_handback_takes_no_place_of_one_that_has_the_mac(fake: World) -> None:
    OPERATIONS["handback"][0](fake)
    assert HANDS["move both"](fake, "ua-nic2", "ua-nic1")
    before = picture(fake)
    with pytest.raises(VirtnetplugError, match="ua-nic2 is another NIC"):
        fake.plugger.handback(fake.name, "ua-nic1", scope=Scope.BOTH, wait=20)
    assert picture(fake) == before


def test_a_handback_takes_the_fast_nic_out_that_a_rebind_connected_elsewhere_in_the_guest(fake: World) -> None:
    OPERATIONS["handback"][0](fake)
    fake.plugger.rebind(fake.name, "ua-nic2", {"source_bridge": fake.bridges[1]}, scope=Scope.LIVE)
    assert fake.plugger.handback(fake.name, "ua-nic1", scope=Scope.BOTH, wait=20).result is Result.DONE
    assert _sources(fake, Half.LIVE) == _sources(fake, Half.CONFIG) == [("ua-nic1", "bridge br0")]


def test_a_detach_of_another_nic_of_the_fast_ones_alias_is_no_handback(fake: World) -> None:
    _handed_over_to_a_nic_that_is_another_now(fake)
    outcome = fake.plugger.detach(fake.name, "ua-nic2", scope=Scope.BOTH, wait=20)
    assert (outcome.operation, picture(fake)) == ("detach", dict.fromkeys(BOTH, ()))
    assert [text for text in outcome.warnings if "ua-nic2 is another NIC" in text], outcome.warnings


def test_nothing_is_handed_over_already_to_another_nic_of_that_alias(fake: World) -> None:
    _handed_over_to_a_nic_that_is_another_now(fake)
    with pytest.raises(IdentityConflict, match="ua-nic2 is another NIC"):
        fake.plugger.handover(fake.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH)


def test_a_policy_sets_the_link_of_no_other_nic_of_the_alias(fake: World) -> None:
    OPERATIONS["policy"][0](fake)
    assert HANDS["take alias both"](fake, "ua-nic2", "ua-nic1")
    outcome = fake.plugger.set_policy(fake.name, serve=["ua-nic1", "ua-nic2"])
    fake.plugger.recover(wait=20)
    assert (outcome.enforced, _links(fake, Half.LIVE)) == ((), [("br0", None), (ELSEWHERE, None)])
    assert [text for text in outcome.warnings if text.startswith("ua-nic2 is another NIC")], outcome.warnings
    (group,) = fake.plugger.explain_policy(fake.name).groups
    assert [each.alias for each in group if "is another NIC" in each.why] == ["ua-nic2"]


def test_a_nic_that_a_policy_leaves_is_not_explained_to_go(fake: World) -> None:
    OPERATIONS["forget"][0](fake)
    assert HANDS["move live"](fake, "ua-nic1", "ua-nic1")
    fake.plugger.set_policy(None, unplug=UnplugPolicy.PRESENT)
    (twin,) = fake.plugger.explain_policy(fake.name).twins
    assert (twin.unplug_live, twin.unplug_config) == (False, True) and "ua-nic1 is another NIC" in twin.why


BEFORE_IT_CAME: dict[str, Callable[[World], Any]] = {
    "of the definition": lambda w: w.plugger.attach(w.name, [w.bridge_nic(1)], scope=Scope.CONFIG),
    "of an earlier run": lambda w: (w.plugger.attach(w.name, [w.bridge_nic(1)]), _restart(w)),
    "of both": lambda w: (
        w.plugger.attach(w.name, [w.bridge_nic(1)], scope=Scope.BOTH),
        _restart(w),
        w.guest.detach("ua-nic1", Half.LIVE),
    ),
}


def _restart(world: World) -> None:
    world.guest.destroy()
    world.guest.start()


@pytest.mark.parametrize("case", BEFORE_IT_CAME)
def test_a_nic_that_somebody_puts_in_is_foreign_whatever_its_alias_and_mac(fake: World, case: str) -> None:
    """It is connected to something else than the NIC that was plugged, and than the definition. No recovery makes it virtnetplug's."""
    BEFORE_IT_CAME[case](fake)
    fake.guest.attach(str(fake.bridge_nic(1)).replace("br0", "br1"), Half.LIVE)
    for _ in range(2):
        (nic,) = [each for each in fake.plugger.list(fake.name) if each.live]
        assert (nic.alias, nic.source, nic.origin) == ("ua-nic1", "br1", "foreign")
        fake.plugger.recover()
    rows = fake.host.journal.nics(fake.host.hypervisor.key, fake.guest.uuid)
    assert [row.source for row in rows] == ([] if case == "of an earlier run" else ["br0"])


def test_a_nic_that_a_run_began_with_is_ours_wherever_the_definition_connects_it(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.guest.update(str(fake.bridge_nic(1)).replace("br0", "br1"), Half.CONFIG)
    _restart(fake)
    for _ in range(2):
        (nic,) = fake.plugger.list(fake.name)
        assert (nic.source, nic.origin) == ("br1", "virtnetplug")
        fake.plugger.recover()


def test_an_emulated_nic_comes_back_where_another_nic_has_got_the_alias_of_its_twin(fake: World) -> None:
    """A policy was taking it out when its process died."""
    OPERATIONS["forget"][0](fake)
    die(fake, lambda p: p.set_policy(fake.name, force_unplug="NICS"), "detach", after=True)
    for half in BOTH:
        fake.guest.detach("ua-nic2", half)
        fake.guest.attach(xml.edit(foreign_nic("ua-nic2", 1), {"address": PciAddress(0, 0, 0x1D, 0)}), half)
    (outcome,) = fake.plugger.recover(wait=20)
    assert (outcome.result, outcome.operation) == (Result.UNDONE, "detach") and "ua-nic2" in outcome.message
    for half in BOTH:
        assert ("ua-nic1", "bridge br0") in _sources(fake, half)


def test_another_nic_of_an_alias_is_not_shown_as_what_is_remembered(fake: World) -> None:
    OPERATIONS["forget"][0](fake)
    assert HANDS["take alias live"](fake, "ua-nic2", "ua-nic1")
    assert HANDS["take alias config"](fake, "ua-nic1", "ua-nic1")
    (seen,) = fake.plugger.identities(fake.name)
    assert (seen.live, seen.config, seen.vif_live, seen.vif_config) == (True, False, False, True)


def test_the_only_copy_is_not_forgotten_because_another_nic_has_the_alias(fake: World) -> None:
    OPERATIONS["handback"][0](fake)
    for half in BOTH:
        fake.guest.attach(foreign_nic("ua-nic1", 1), half)
    (seen,) = fake.plugger.identities(fake.name)
    assert (seen.live, seen.config, seen.is_out) == (False, False, True)
    with pytest.raises(Refused) as refused:
        fake.plugger.forget_identity(fake.name, "ua-nic1")
    assert refused.value.reason == "identity-only-copy"


def test_a_nic_of_the_mac_and_the_twins_alias_is_neither_of_them(fake: World) -> None:
    """An emulated NIC whose alias libvirt had made is known by its MAC; the NIC that serves is taken out, and another put in with alias and MAC."""
    give(fake, "cold")
    fake.plugger.handover(fake.name, MAC, fake.network_nic(2), scope=Scope.BOTH, wait=20)
    assert HANDS["move both"](fake, "ua-nic2", "ua-nic1")
    (seen,) = fake.plugger.identities(fake.name)
    assert (seen.live, seen.config, seen.vif_live, seen.vif_config, seen.is_out) == (False, False, False, False, True)
    moved = next(net for net in xml.devices(fake.definition(Half.LIVE)).nets if net.alias == "ua-nic2")
    for half in BOTH:
        fake.guest.detach("ua-nic2", half)
        fake.guest.attach(xml.edit(xml.strip_live(moved.element), {"source_bridge": fake.bridges[0]}), half)
    (seen,) = fake.plugger.identities(fake.name)
    assert (seen.live, seen.config, seen.is_out) == (True, True, False)


def test_what_is_said_of_a_policy_is_said_again_where_it_holds_already(fake: World) -> None:
    OPERATIONS["forget"][0](fake)
    assert HANDS["take alias both"](fake, "ua-nic2", "ua-nic1")
    first = fake.plugger.set_policy(fake.name, force_unplug="NICS")
    again = fake.plugger.set_policy(fake.name, force_unplug="NICS")
    assert (first.result, again.result) == (Result.DONE, Result.ALREADY)
    assert again.warnings == first.warnings and "ua-nic2 is another NIC" in again.warnings[0]


def test_an_emulated_nic_whose_mac_was_changed_is_the_one_that_is_remembered(fake: World) -> None:
    OPERATIONS["forget"][0](fake)
    fake.plugger.update(
        fake.name, "ua-nic1", {"mac": Mac("52:54:00:00:00:77")}, replace=True, scope=Scope.LIVE, wait=20
    )
    (seen,) = fake.plugger.identities(fake.name)
    assert (seen.live, seen.config, seen.is_out) == (True, True, False)


@pytest.mark.parametrize("half", BOTH)
def test_a_nic_that_somebody_attaches_under_our_alias_just_before_is_not_undone(
    world: World, monkeypatch: pytest.MonkeyPatch, half: Half
) -> None:
    """It may even have our MAC and bridge, as when two programs are told to attach one NIC."""
    theirs, kind = str(world.bridge_nic(1)), type(world.host.hypervisor.domain(world.name))
    attach, calls = kind.attach, list[Half]()

    def second(domain: Any, element: str, at: Half) -> None:
        calls.append(at)
        if at is half and calls.count(half) == 1:
            attach(domain, theirs, at)
        attach(domain, element, at)

    monkeypatch.setattr(kind, "attach", second)
    with pytest.raises(AliasTaken) as failed:
        world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    assert failed.value.exit_code == 4 and world.plugger.recover() == ()
    nets = {each: [net.alias for net in xml.devices(world.definition(each)).nets] for each in BOTH}
    assert nets == {half: ["ua-nic1"], BOTH[half is Half.LIVE]: []}


def test_a_nic_that_somebody_detaches_before_the_attach_has_ended_is_not_called_attached(
    fake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach = type(fake.guest).attach

    def detached(domain: Any, element: str, at: Half) -> None:
        attach(domain, element, at)
        if at is Half.CONFIG:
            domain.detach("ua-nic1", Half.LIVE)

    monkeypatch.setattr(type(fake.guest), "attach", detached)
    with pytest.raises(NotApplied, match="somebody detached ua-nic1") as failed:
        fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    assert failed.value.exit_code == 4 and fake.plugger.recover() == () and fake.plugger.list() == ()
