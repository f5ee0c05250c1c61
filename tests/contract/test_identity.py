"""An emulated NIC's identity: handed over, handed back, taken where a marker says so, and never while it is at work."""

from __future__ import annotations

import pytest

from tests.contract.test_any_nic import element, give
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import (
    DuplicateMac,
    IdentityConflict,
    IdentityMissing,
    NicMissing,
    Refused,
    TeamingIncomplete,
    UsageError,
)
from virtnetplug.model.identity import Identity, UnplugPolicy
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Result, Scope

MAC = "52:54:00:00:00:01"
"""That of ``ua-nic1``."""

HALVES = (Half.LIVE, Half.CONFIG)


def _nets(world: World, half: Half = Half.LIVE) -> dict[str | None, Interface]:
    return {net.alias: net for net in xml.devices(world.definition(half)).nets}


def _known(world: World, half: Half = Half.LIVE, alias: str = "ua-nic1") -> Identity | None:
    return xml.metadata(world.host.hypervisor.domain(world.name).metadata(half)).identity(alias)


def _without_metadata(snapshot: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in snapshot.items() if key not in ("live", "config")}


def test_the_fast_one_has_mac_and_guest_address_and_the_emulated_one_is_out(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    before = {half: _nets(world, half)["ua-nic1"] for half in HALVES}
    outcome = world.plugger.handover(world.name, "ua-nic1", world.network_nic(2), scope=Scope.BOTH)
    assert (outcome.operation, outcome.result) == ("handover", Result.DONE)
    for half in HALVES:
        nets = _nets(world, half)
        assert list(nets) == ["ua-nic2"]
        assert (nets["ua-nic2"].mac, nets["ua-nic2"].address) == (before[half].mac, before[half].address)
        known = _known(world, half)
        assert known is not None and (known.vif, known.is_out) == ("ua-nic2", True)
        assert known.config == before[Half.CONFIG].element
    assert [nic.alias for nic in outcome.nics] == ["ua-nic2"] and outcome.nics[0].origin == "virtnetplug"


def test_handed_back_it_is_as_it_was(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1, extra="<mtu size='1400'/>")], scope=Scope.BOTH)
    nets = {half: _nets(world, half)["ua-nic1"].element for half in HALVES}
    before = world.snapshot()
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2), scope=Scope.BOTH)
    outcome = world.plugger.handback(world.name, "ua-nic1")
    assert (outcome.operation, outcome.result) == ("handback", Result.DONE)
    for half in HALVES:
        assert {alias: net.element for alias, net in _nets(world, half).items()} == {"ua-nic1": nets[half]}
    assert _without_metadata(world.snapshot()) == _without_metadata(before)
    known = _known(world)
    assert known is not None and (known.vif, known.is_out) == ("ua-nic2", False), "the marker stays"
    assert world.plugger.handback(world.name, "ua-nic1").result is Result.ALREADY


def test_the_live_half_alone(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2))
    assert (list(_nets(world)), list(_nets(world, Half.CONFIG))) == (["ua-nic2"], ["ua-nic1"])
    world.plugger.handback(world.name, "ua-nic1")
    assert (list(_nets(world)), list(_nets(world, Half.CONFIG))) == (["ua-nic1"], ["ua-nic1"])


def test_a_fast_one_that_is_there_already(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1), world.network_nic(2)])
    address = _nets(world)["ua-nic1"].address
    outcome = world.plugger.handover(world.name, "ua-nic1", "ua-nic2")
    nets = _nets(world)
    assert outcome.result is Result.DONE and list(nets) == ["ua-nic2"]
    assert (str(nets["ua-nic2"].mac), nets["ua-nic2"].address) == (MAC, address)
    assert nets["ua-nic2"].source_network == world.network


def test_a_second_time_is_already_and_to_another_is_refused(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2))
    before = world.snapshot()
    assert world.plugger.handover(world.name, "ua-nic1", world.network_nic(2)).result is Result.ALREADY
    assert world.plugger.handover(world.name, "ua-nic1", "ua-nic2").result is Result.ALREADY
    with pytest.raises(IdentityConflict, match="handback"):
        world.plugger.handover(world.name, "ua-nic1", world.bridge_nic(3))
    assert world.snapshot() == before


def test_an_alias_of_the_family_is_minted(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    world.plugger.handover(world.name, MAC, Interface(type="network", source_network=world.network))
    assert list(_nets(world)) == ["ua-nic1-fast"]


def test_attach_beside_it_takes_nothing(world: World) -> None:
    """Phase one: the marker, in the emulated NIC's record, and nothing else."""
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    emulated = _nets(world)["ua-nic1"].element
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1")
    nets = _nets(world)
    assert nets["ua-nic1"].element == emulated and str(nets["ua-nic2"].mac) == "52:54:00:00:00:02"
    for half in HALVES:
        known = _known(world, half)
        assert known is not None and (known.vif, known.is_out) == ("ua-nic2", False)
        assert _known(world, half, "ua-nic2") is None, "nothing is written of the fast one"


def test_brought_online_with_the_emulated_one_out_it_has_the_identity(world: World) -> None:
    """Phase two, with the emulated NIC taken out by hand; and again after another detach and attach."""
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    address = _nets(world)["ua-nic1"].address
    fast = f"<interface type='network'><source network='{world.network}'/><alias name='ua-nic2'/></interface>"
    world.plugger.attach(world.name, [fast], twin_of="ua-nic1")
    world.plugger.detach(world.name, ["ua-nic1", "ua-nic2"])
    for _ in range(2):
        world.plugger.attach(world.name, [fast])
        nets = _nets(world)
        assert list(nets) == ["ua-nic2"]
        assert (str(nets["ua-nic2"].mac), nets["ua-nic2"].address) == (MAC, address)
        assert world.plugger.attach(world.name, [fast]).result is Result.ALREADY
        world.plugger.detach(world.name, "ua-nic2")
        assert list(_nets(world)) == [], "no hand-over had put it out, so it does not come back by itself"


def test_detached_and_attached_again_after_a_hand_over(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    address = _nets(world)["ua-nic1"].address
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2))
    outcome = world.plugger.detach(world.name, "ua-nic2", restore_emulated=False)
    assert list(_nets(world)) == [] and any("restore_emulated=True" in text for text in outcome.warnings)
    world.host.journal.close()
    world.host = world.reopen()
    fast = f"<interface type='network'><source network='{world.network}'/><alias name='ua-nic2'/></interface>"
    world.plugger.attach(world.name, [fast])
    nets = _nets(world)
    assert (str(nets["ua-nic2"].mac), nets["ua-nic2"].address) == (MAC, address)


def test_detach_of_the_fast_one_puts_the_emulated_one_back(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    emulated = _nets(world)["ua-nic1"].element
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2))
    plan = world.plugger.plan_detach(world.name, "ua-nic2")
    outcome = world.plugger.detach(world.name, "ua-nic2")
    assert (plan.operation, outcome.operation, outcome.result) == ("handback", "handback", Result.DONE)
    assert {alias: net.element for alias, net in _nets(world).items()} == {"ua-nic1": emulated}


def test_under_an_unplug_policy_it_comes_back_only_if_asked(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2))
    world.host.journal.set_host_policy(UnplugPolicy.PRESENT)
    outcome = world.plugger.detach(world.name, "ua-nic2")
    assert (outcome.operation, list(_nets(world))) == ("detach", [])
    assert any("no NIC" in text for text in outcome.warnings)
    assert world.plugger.handback(world.name, "ua-nic1").result is Result.DONE
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2))
    assert world.plugger.detach(world.name, "ua-nic2", restore_emulated=True).operation == "handback"
    assert list(_nets(world)) == ["ua-nic1"]


def test_another_mac_than_the_identity_has_is_refused(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2))
    world.plugger.detach(world.name, "ua-nic2", restore_emulated=False)
    with pytest.raises(IdentityConflict, match="52:54:00:00:00:02"):
        world.plugger.attach(world.name, [world.network_nic(2)])


def test_two_that_claim_one(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1), world.bridge_nic(3)])
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1")
    before = world.snapshot()
    with pytest.raises(IdentityConflict, match="ua-nic2 has the claim"):
        world.plugger.attach(world.name, [world.bridge_nic(4)], twin_of="ua-nic1")
    with pytest.raises(IdentityConflict, match="ua-nic2 has the claim"):
        world.plugger.handover(world.name, "ua-nic1", world.bridge_nic(4))
    with pytest.raises(IdentityConflict):
        world.plugger.handover(world.name, "ua-nic3", "ua-nic2")
    with pytest.raises(UsageError):
        world.plugger.attach(world.name, [world.bridge_nic(4), world.bridge_nic(5)], twin_of="ua-nic1")
    assert world.snapshot() == before


@pytest.mark.parametrize("leaving", ["ua-nic1", "ua-nic2"])
def test_one_that_is_on_its_way_out_is_neither_handed_over_nor_takes_over(world: World, leaving: str) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1), world.network_nic(2)])
    world.guest.hold()
    assert world.plugger.detach(world.name, leaving, wait=0.2).result is Result.PENDING
    before = world.snapshot()
    plan = world.plugger.plan_handover(world.name, "ua-nic1", "ua-nic2")
    assert [refusal.reason for refusal in plan.refusals] == ["nic-pending"]
    with pytest.raises(Refused) as caught:
        world.plugger.handover(world.name, "ua-nic1", "ua-nic2", wait=0.2)
    assert (caught.value.reason, caught.value.exit_code) == ("nic-pending", 3)
    assert world.snapshot() == before


def test_a_guest_that_holds_the_emulated_one(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.guest.hold()
    outcome = world.plugger.handover(world.name, "ua-nic1", world.network_nic(2), scope=Scope.BOTH, wait=1)
    assert (outcome.result, list(_nets(world))) == (Result.PENDING, ["ua-nic1"])
    with pytest.raises(Refused):
        world.plugger.handover(world.name, "ua-nic1", world.network_nic(2))
    world.guest.resume()
    world.guest.reset()
    assert [each.result for each in world.plugger.recover(world.name, wait=120)] == [Result.DONE]
    assert list(_nets(world)) == list(_nets(world, Half.CONFIG)) == ["ua-nic2"]
    assert {str(net.mac) for net in _nets(world).values()} == {MAC}


def test_with_teaming_both_stay(world: World) -> None:
    persistent = world.bridge_nic(1, extra="<teaming type='persistent'/>")
    world.plugger.attach(world.name, [persistent, world.bridge_nic(3)])
    with pytest.raises(TeamingIncomplete, match="transient"):
        world.plugger.handover(world.name, "ua-nic1", "ua-nic3")


def test_what_cannot_be_handed_over_or_back(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    before = world.snapshot()
    with pytest.raises(IdentityMissing, match=r"identities\("):
        world.plugger.handback(world.name, "ua-nic1")
    with pytest.raises(NicMissing):
        world.plugger.handover(world.name, "ua-nic9", world.network_nic(2))
    with pytest.raises(NicMissing):
        world.plugger.handover(world.name, "ua-nic1", "ua-nic9")
    with pytest.raises(NicMissing):
        world.plugger.handover(world.name, "ua-nic1", world.network_nic(2), scope=Scope.BOTH)
    with pytest.raises(Refused, match="nosuch"):
        world.plugger.handover(world.name, "ua-nic1", Interface(type="network", source_network="nosuch"))
    assert world.snapshot() == before


def test_back_where_its_mac_is_taken_meanwhile(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2))
    world.plugger.detach(world.name, "ua-nic2", restore_emulated=False)
    world.plugger.attach(world.name, [world.bridge_nic(1, alias="ua-nic7")])
    with pytest.raises(DuplicateMac):
        world.plugger.handback(world.name, "ua-nic1")


def test_the_plan_says_what_would_be_done(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    before = world.snapshot()
    plan = world.plugger.plan_handover(world.name, "ua-nic1", world.network_nic(2))
    names = [step.name for step in plan.steps]
    assert plan.fits and names[:3] == ["remember", "ask", "guest_release"] and names[-2:] == ["host_net_add", "confirm"]
    assert "-<interface" in plan.diff["live"] and "+<interface" in plan.diff["live"]
    assert world.snapshot() == before


def test_the_emulated_one_without_an_alias_that_lasts(world: World) -> None:
    """One from the definition, which libvirt called net0."""
    domain = world.host.hypervisor.domain(world.name)
    domain.attach(
        f"<interface type='bridge'><mac address='{MAC}'/><source bridge='{world.bridges[0]}'/></interface>", Half.LIVE
    )
    world.plugger.handover(world.name, MAC, world.network_nic(2))
    assert list(_nets(world)) == ["ua-nic2"] and _known(world, alias=MAC) is not None
    world.plugger.handback(world.name, MAC)
    assert [str(net.mac) for net in _nets(world).values()] == [MAC]


@pytest.mark.parametrize("scope", [None, Scope.LIVE])
def test_the_definition_of_a_fast_one_that_served_in_the_guest_alone_is_no_stranger(
    world: World, scope: Scope | None
) -> None:
    """It has the MAC that the fast one had before the hand-over."""
    for number in (1, 2):
        world.plugger.attach(world.name, [world.bridge_nic(number)], scope=Scope.BOTH)
    world.plugger.handover(world.name, "ua-nic1", "ua-nic2", scope=scope)
    assert world.plugger.handover(world.name, "ua-nic1", "ua-nic2", scope=scope).result is Result.ALREADY
    outcome = world.plugger.handback(world.name, "ua-nic1")
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    assert list(_nets(world)) == ["ua-nic1"] and list(_nets(world, Half.CONFIG)) == ["ua-nic1", "ua-nic2"]


def test_a_nic_that_an_exchange_takes_out_of_the_definition_alone_has_no_row_left(world: World) -> None:
    for number in (1, 2):
        world.plugger.attach(world.name, [world.bridge_nic(number)], scope=Scope.BOTH)
    world.plugger.handover(world.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH)
    world.plugger.detach(world.name, "ua-nic2", scope=Scope.LIVE, restore_emulated=False)
    assert world.plugger.handback(world.name, "ua-nic1").result is Result.DONE
    assert [row.alias for row in world.host.journal.nics()] == ["ua-nic1"]
    assert not [each.kind for each in world.plugger.audit().findings]


def test_what_an_exchange_puts_into_the_definition_alone_is_virtnetplugs(world: World) -> None:
    for number in (1, 2):
        world.plugger.attach(world.name, [world.bridge_nic(number)], scope=Scope.CONFIG)
    world.plugger.handover(world.name, "ua-nic1", "ua-nic2", scope=Scope.CONFIG)
    origins = {nic.alias: nic.origin for nic in world.plugger.list(world.name) if nic.alias in ("ua-nic1", "ua-nic2")}
    assert origins == {"ua-nic2": "virtnetplug"}
    world.plugger.handback(world.name, "ua-nic1", scope=Scope.CONFIG)
    origins = {nic.alias: nic.origin for nic in world.plugger.list(world.name) if nic.alias in ("ua-nic1", "ua-nic2")}
    assert origins == {"ua-nic1": "virtnetplug"}


def test_the_diffs_of_several_nics_begin_on_lines_of_their_own(world: World) -> None:
    for number in (1, 2):
        world.plugger.attach(world.name, [world.bridge_nic(number)], scope=Scope.BOTH)
    diff = world.plugger.plan_handover(world.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH).diff
    for half in HALVES:
        heads = [line for line in diff[half.value].splitlines() if "(before)" in line]
        assert len(heads) == 3 and all(line.startswith("--- ua-nic") for line in heads)


def test_a_hand_over_in_the_definition_alone_is_handed_back(world: World) -> None:
    """The guest has both NICs as they were, and the journal's row of the fast one is that of the guest's."""
    for number in (1, 2):
        world.plugger.attach(world.name, [world.bridge_nic(number)], scope=Scope.BOTH)
    world.plugger.handover(world.name, "ua-nic1", "ua-nic2", scope=Scope.CONFIG)
    outcome = world.plugger.handback(world.name, "ua-nic1")
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    assert list(_nets(world)) == ["ua-nic1", "ua-nic2"] and list(_nets(world, Half.CONFIG)) == ["ua-nic1"]
    assert not [each.kind for each in world.plugger.audit().findings]


def test_a_booted_nic_of_another_does_not_count_as_the_nic_that_serves(fake: World) -> None:
    """The definition has the emulated NIC, without an alias, where the fast one, of the same model and bridge, is in the guest."""
    give(fake, "cold")
    twin = element(2, f"bridge='{fake.bridges[0]}'", "<alias name='ua-nic2'/>")
    fake.plugger.attach(fake.name, [twin], scope=Scope.BOTH)
    fake.plugger.handover(fake.name, MAC, "ua-nic2", scope=Scope.LIVE, wait=20)
    halves = [(nic.mac, nic.live, nic.config) for nic in fake.plugger.list(fake.name)]
    assert {(MAC, True, False), (MAC, False, True), (str(xml.interface(twin).mac), False, True)} <= set(halves)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_nic_that_the_guest_booted_with_is_not_handed_over_to_itself(fake: World, scope: Scope) -> None:
    give(fake, "cold")
    before = fake.snapshot()
    with pytest.raises(Refused) as refused:
        fake.plugger.handover(fake.name, MAC, MAC, scope=scope)
    assert refused.value.reason == "identity-conflict" and fake.snapshot() == before
