"""What `test_foreign` found, one by one: somebody changes a NIC after an operation has died, or while its guest is waited for."""

from __future__ import annotations

import pytest

from tests.contract import test_hostdev
from tests.contract.deaths import die
from tests.contract.foreign import ELSEWHERE, HANDS, RESTARTS, hypervisor_of, picture, remembered
from tests.contract.operations import OPERATIONS
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_recover_again import PENDING
from tests.contract.world import World
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import Half, Outcome, Result, Scope

BEFORE, AFTER = False, True


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


@pytest.mark.parametrize("hand", ["recable live", "move live"])
def test_a_nic_that_was_to_be_asked_for_stays_where_it_was_moved(fake: World, hand: str) -> None:
    _dies(fake, "replace", "detach", BEFORE)
    outcome = _recovered(fake, hand, "ua-nic1")
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


def test_a_policy_remembers_no_other_nic_of_the_alias(fake: World) -> None:
    """It takes out the guest's NIC alone, and leaves that of the definition for good."""
    OPERATIONS["forget"][0](fake)
    assert HANDS["take alias config"](fake, "ua-nic1", "ua-nic1")
    fake.plugger.set_policy(fake.name, force_unplug="NICS")
    fake.plugger.recover(wait=20)
    assert _sources(fake, Half.LIVE) == [("ua-nic2", "network default")]
    assert ("ua-nic1", f"bridge {ELSEWHERE}") in _sources(fake, Half.CONFIG)
    assert {source for _, _, source in remembered(fake)} == {"bridge br0"}


def test_a_policy_takes_out_one_that_was_moved_and_remembers_where_it_was(fake: World) -> None:
    OPERATIONS["forget"][0](fake)
    assert HANDS["recable both"](fake, "ua-nic1", "ua-nic1")
    fake.plugger.set_policy(fake.name, force_unplug="NICS")
    assert _sources(fake, Half.LIVE) == _sources(fake, Half.CONFIG) == [("ua-nic2", "network default")]
    assert {source for _, _, source in remembered(fake)} == {f"bridge {ELSEWHERE}"}


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
