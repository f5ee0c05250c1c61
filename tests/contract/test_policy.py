"""Policies at work: emulated NICs go where their fast twin is there, one of several NICs serves, and nothing else ever changes."""

from __future__ import annotations

import itertools

import pytest

from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.adapters.sqlite import locks
from virtnetplug.errors import IdentityMissing, NicMissing, NotSupported, Refused, UsageError
from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Deed, Half, Outcome, Result, Scope

HALVES = (Half.LIVE, Half.CONFIG)


def nets(world: World, half: Half = Half.LIVE) -> dict[str | None, Interface]:
    return {net.alias: net for net in xml.devices(world.definition(half)).nets}


def known(world: World, half: Half = Half.LIVE, alias: str = "ua-nic1"):  # type: ignore[no-untyped-def]
    return xml.metadata(world.host.hypervisor.domain(world.name).metadata(half)).identity(alias)


def links(world: World) -> dict[str | None, bool]:
    return {alias: net.link_state != "down" for alias, net in nets(world).items()}


def nic(world: World, number: int, model: str) -> str:
    return world.bridge_nic(number).replace("'virtio'", f"'{model}'")


def deeds(outcome: Outcome) -> list[tuple[Deed, str, Result]]:
    return [(each.deed, each.nic, each.result) for each in outcome.enforced]


# -- identity show, identity forget --------------------------------------------------------------


def test_what_is_remembered_is_shown_with_where_it_is(world: World) -> None:
    assert world.plugger.identities() == world.plugger.identities(world.name) == ()
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    element = nets(world)["ua-nic1"].element
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1")
    (view,) = world.plugger.identities(world.name)
    assert (view.domain, view.alias, view.vif, view.is_out) == (world.name, "ua-nic1", "ua-nic2", False)
    assert (view.live, view.config, view.vif_live, view.vif_config) == (True, True, True, False)
    assert xml.interface(view.live_element or "").mac == xml.interface(element).mac
    world.plugger.detach(world.name, "ua-nic2")
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2).replace("02'/>", "01'/>"))
    (view,) = world.plugger.identities()
    assert (view.live, view.config, view.vif_live, view.is_out) == (False, True, True, True)


def test_forgotten_the_twin_has_no_claim(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1")
    before = world.snapshot()
    outcome = world.plugger.forget_identity(world.name, "52:54:00:00:00:01")
    assert (outcome.operation, outcome.result) == ("forget", Result.DONE) and "ua-nic2" in outcome.message
    for half in HALVES:
        assert known(world, half) is None
        assert xml.NAMESPACE not in world.definition(half), "nothing of ours is left where nothing is remembered"
    assert {**world.snapshot(), "live": 0, "config": 0} == {**before, "live": 0, "config": 0}
    world.plugger.detach(world.name, ["ua-nic1", "ua-nic2"])
    world.plugger.attach(world.name, [world.network_nic(2)])
    assert str(nets(world)["ua-nic2"].mac) == "52:54:00:00:00:02"
    with pytest.raises(IdentityMissing):
        world.plugger.forget_identity(world.name, "ua-nic1")


def test_the_only_copy_is_forgotten_by_force_alone(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2))
    before = world.snapshot()
    with pytest.raises(Refused, match=r"handback\(.* .ua-nic1.*`force=True`") as refused:
        world.plugger.forget_identity(world.name, "ua-nic1")
    assert refused.value.reason == "identity-only-copy"
    assert world.snapshot() == before
    assert world.plugger.forget_identity(world.name, "ua-nic1", force=True).result is Result.DONE
    assert known(world) is None and list(nets(world)) == ["ua-nic2"]


def test_in_the_definition_it_is_no_only_copy(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2))
    assert world.plugger.forget_identity(world.name, "ua-nic1").result is Result.DONE


# -- what is kept --------------------------------------------------------------------------------


def test_a_policy_is_kept_with_the_domain_in_both_definitions(world: World) -> None:
    outcome = world.plugger.set_policy(world.name, force_unplug="NICS", serve=["ua-a", "ua-b"])
    assert (outcome.operation, outcome.result, outcome.enforced) == ("policy", Result.DONE, ())
    for half in HALVES:
        kept = xml.metadata(world.host.hypervisor.domain(world.name).metadata(half))
        assert (kept.unplug, kept.activation) == (UnplugPolicy.PRESENT, (("ua-a", "ua-b"),))
    assert world.plugger.set_policy(world.name, unplug=UnplugPolicy.PRESENT).result is Result.ALREADY
    assert world.plugger.set_policy(world.name, serve=["ua-b", "ua-a"]).result is Result.ALREADY, "in any order"
    world.plugger.set_policy(world.name, serve=["ua-b", "ua-c"])
    assert world.plugger.explain_policy(world.name).groups[0][0].alias in ("ua-b", "ua-c")
    assert len(world.plugger.explain_policy(world.name).groups) == 1, "the group that had one of them is replaced"
    world.plugger.clear_policy(world.name, serve=False)
    view = world.plugger.explain_policy(world.name)
    assert (view.own, view.unplug, len(view.groups)) == (None, UnplugPolicy.KEEP, 1)
    assert world.plugger.clear_policy(world.name).result is Result.DONE
    assert world.plugger.clear_policy(world.name).result is Result.ALREADY
    assert all(xml.NAMESPACE not in world.definition(half) for half in HALVES)


def test_the_default_of_the_host(world: World) -> None:
    assert world.plugger.set_policy(None, unplug=UnplugPolicy.ACTIVE).result is Result.DONE
    assert world.plugger.set_policy(None, unplug=UnplugPolicy.ACTIVE).result is Result.ALREADY
    view = world.plugger.explain_policy(world.name)
    assert (view.own, view.host, view.unplug) == (None, UnplugPolicy.ACTIVE, UnplugPolicy.ACTIVE)
    world.plugger.set_policy(world.name, unplug=UnplugPolicy.KEEP)
    assert world.plugger.explain_policy(world.name).unplug is UnplugPolicy.KEEP, "the domain's own word counts"
    world.plugger.clear_policy(None)
    assert world.host.journal.host_policy() is UnplugPolicy.KEEP


def test_what_no_policy_can_say(world: World) -> None:
    world.plugger.attach(
        world.name, [world.bridge_nic(1, extra="<teaming type='persistent'/>"), world.bridge_nic(3)], scope=Scope.BOTH
    )
    before = world.snapshot()
    with pytest.raises(NotSupported, match="DISKS"):
        world.plugger.set_policy(world.name, force_unplug="NICS,DISKS")
    with pytest.raises(UsageError):
        world.plugger.set_policy(world.name, force_unplug="NICS", unplug=UnplugPolicy.KEEP)
    with pytest.raises(UsageError):
        world.plugger.set_policy(world.name)
    with pytest.raises(UsageError):
        world.plugger.set_policy(None, serve=["a", "b"])
    for names in (["ua-nic3"], ["ua-nic3", "52:54:00:00:00:03"]):
        with pytest.raises(UsageError, match="two NICs"):
            world.plugger.set_policy(world.name, serve=names)
    with pytest.raises(NicMissing):
        world.plugger.set_policy(world.name, serve=["ua-nic3", "vnet9"])
    with pytest.raises(NotSupported, match="teaming"):
        world.plugger.set_policy(world.name, serve=["ua-nic3", "ua-nic1"])
    assert world.snapshot() == before


# -- forced unplug -------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
def test_present_the_emulated_one_goes_with_the_arrival_of_its_twin(world: World, scope: Scope) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.set_policy(world.name, force_unplug="NICS")
    element = nets(world)["ua-nic1"].element
    config = nets(world, Half.CONFIG)["ua-nic1"].element
    outcome = world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1", scope=scope)
    assert (outcome.operation, outcome.result) == ("attach", Result.DONE)
    assert deeds(outcome) == [(Deed.UNPLUG, "ua-nic1", Result.DONE)] and outcome.enforced[0].halves == scope.halves
    assert any("ua-nic1 is to be unplugged from the guest" in text for text in outcome.warnings)
    assert list(nets(world)) == ["ua-nic2"]
    assert list(nets(world, Half.CONFIG)) == (["ua-nic2"] if scope is Scope.BOTH else ["ua-nic1"])
    record = known(world)
    assert record is not None and not record.is_out, "a policy put it out, no hand-over"
    assert (xml.interface(record.live).element, record.config) == (record.live, config)
    assert xml.interface(record.live).address == xml.interface(element).address
    history = [each.operation for each in world.plugger.history(world.name, limit=2)]
    assert history == ["detach", "attach"], "an ordinary operation of its own"
    assert world.plugger.recover() == ()


def test_keep_and_no_policy_put_nothing_out(world: World) -> None:
    for policy in (None, UnplugPolicy.KEEP):
        if policy is not None:
            world.plugger.set_policy(world.name, unplug=policy)
        world.plugger.attach(world.name, [world.bridge_nic(1)])
        outcome = world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1")
        assert (outcome.enforced, len(nets(world))) == ((), 2)
        world.plugger.detach(world.name, ["ua-nic1", "ua-nic2"])
        world.plugger.forget_identity(world.name, "ua-nic1", force=True)


def test_set_with_both_there_it_holds_at_once_and_over_every_detach(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1")
    outcome = world.plugger.set_policy(world.name, force_unplug="NICS")
    assert deeds(outcome) == [(Deed.UNPLUG, "ua-nic1", Result.DONE)] and list(nets(world)) == ["ua-nic2"]
    world.plugger.detach(world.name, "ua-nic2")
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    fast = f"<interface type='network'><source network='{world.network}'/><alias name='ua-nic2'/></interface>"
    assert deeds(world.plugger.attach(world.name, [fast])) == [(Deed.UNPLUG, "ua-nic1", Result.DONE)]


def test_what_is_remembered_is_as_it_was_when_it_went(world: World) -> None:
    """Changed since its twin came; what is remembered of then would put another NIC back."""
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1", scope=Scope.BOTH)
    world.plugger.update(world.name, "ua-nic1", {"source_bridge": world.bridges[1]}, scope=Scope.BOTH)
    before = {half: nets(world, half)["ua-nic1"].element for half in HALVES}
    assert world.bridges[1] not in (known(world).live or ""), "an update is not remembered at once"
    world.plugger.set_policy(world.name, force_unplug="NICS")
    assert [each.operation for each in world.plugger.history(world.name, limit=3)] == ["detach", "remember", "policy"]
    world.plugger.detach(world.name, "ua-nic2", scope=Scope.BOTH, restore_emulated=True)
    assert {half: nets(world, half)["ua-nic1"].element for half in HALVES} == before


def test_of_the_definition_alone_its_next_boot_is_said(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1", scope=Scope.BOTH)
    assert world.plugger.plan_detach(world.name, "ua-nic2", scope=Scope.BOTH).warnings == ()
    world.plugger.detach(world.name, "ua-nic1", scope=Scope.CONFIG)
    (text,) = world.plugger.plan_detach(world.name, "ua-nic2", scope=Scope.BOTH).warnings
    assert text.startswith("the next boot will have no NIC in the place of ua-nic1")
    assert world.plugger.plan_detach(world.name, "ua-nic2").warnings == ()


def test_detach_of_the_last_fast_one_says_so_and_the_emulated_one_comes_back_if_asked(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    element = nets(world)["ua-nic1"].element
    world.plugger.set_policy(world.name, force_unplug="NICS")
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1")
    plan = world.plugger.plan_detach(world.name, "ua-nic2")
    assert plan.operation == "detach" and any("restore_emulated=True" in text for text in plan.warnings)
    outcome = world.plugger.detach(world.name, "ua-nic2", restore_emulated=True)
    assert (outcome.operation, outcome.enforced) == ("handback", ())
    assert {alias: net.element for alias, net in nets(world).items()} == {"ua-nic1": element}
    world.plugger.attach(world.name, [world.network_nic(2)])
    assert list(nets(world)) == ["ua-nic2"], "the marker and the policy both hold on"
    outcome = world.plugger.detach(world.name, "ua-nic2")
    assert (outcome.operation, list(nets(world))) == ("detach", [])
    assert any("no NIC in the place of ua-nic1" in text for text in outcome.warnings)
    assert world.plugger.handback(world.name, "ua-nic1").result is Result.DONE, "and later, too"


def test_a_guest_that_holds_the_emulated_one_makes_that_pending(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    world.plugger.set_policy(world.name, force_unplug="NICS")
    world.guest.hold()
    outcome = world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1", wait=1)
    assert outcome.result is Result.DONE and deeds(outcome) == [(Deed.UNPLUG, "ua-nic1", Result.PENDING)]
    assert any("still holds ua-nic1" in text for text in outcome.warnings)
    assert [each.operation for each in world.plugger.recover(world.name, wait=0)] == ["detach"], "and no second one"
    world.guest.resume()
    world.guest.reset()
    assert [each.result for each in world.plugger.recover(world.name, wait=120)] == [Result.DONE]
    assert list(nets(world)) == ["ua-nic2"]


def test_a_persistent_teaming_half_is_never_unplugged(world: World) -> None:
    persistent = world.bridge_nic(1, extra="<teaming type='persistent'/>")
    world.plugger.attach(world.name, [persistent])
    world.plugger.set_policy(world.name, force_unplug="NICS")
    transient = world.bridge_nic(1, alias="ua-nic2", extra="<teaming type='transient' persistent='ua-nic1'/>")
    if world.kind == "real":
        return  # libvirt takes only a hostdev for the transient half
    outcome = world.plugger.attach(world.name, [transient], twin_of="ua-nic1")
    assert (outcome.enforced, len(nets(world))) == ((), 2)
    (twin,) = world.plugger.explain_policy(world.name).twins
    assert (twin.unplug_live, twin.unplug_config) == (False, False) and "teaming" in twin.why


def test_active_waits_for_the_guest_and_recover_finishes(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.plugger.set_policy(fake.name, unplug=UnplugPolicy.ACTIVE)
    fake.plugger.attach(fake.name, [fake.network_nic(2)], twin_of="ua-nic1", scope=Scope.BOTH)
    assert fake.plugger.recover() == fake.plugger.plan_recover() == () and len(nets(fake)) == 2
    (twin,) = fake.plugger.explain_policy(fake.name).twins
    assert not twin.is_connected and "not connected" in twin.why
    fake.guest.sent[nets_with_targets(fake)["ua-nic2"]] = 3
    (plan,) = fake.plugger.plan_recover()
    assert (plan.operation, plan.scope) == ("detach", Scope.LIVE) and "ua-nic1" in plan.warnings[-1]
    (outcome,) = fake.plugger.recover()
    assert (outcome.operation, outcome.result) == ("detach", Result.DONE)
    assert (list(nets(fake)), len(nets(fake, Half.CONFIG))) == (["ua-nic2"], 2), "by the running guest, so there alone"
    assert fake.plugger.recover() == ()


def nets_with_targets(world: World) -> dict[str | None, str]:
    """Names of the host's ends, which `definition` leaves out."""
    text = world.host.hypervisor.domain(world.name).xml(Half.LIVE)
    return {net.alias: net.target_dev or "" for net in xml.devices(text).nets}


def test_of_a_domain_that_is_off_the_definition_counts(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1), world.network_nic(2)], scope=Scope.BOTH)
    world.plugger.detach(world.name, "ua-nic2")
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1")
    world.guest.destroy()
    outcome = world.plugger.set_policy(world.name, force_unplug="NICS")
    assert [each.halves for each in outcome.enforced] == [(Half.CONFIG,)]
    assert list(nets(world, Half.CONFIG)) == ["ua-nic2"]


# -- activation ----------------------------------------------------------------------------------


def test_one_serves_and_the_others_are_held_link_down(world: World) -> None:
    models = {1: "rtl8139", 2: "virtio", 3: "e1000"}
    world.plugger.attach(world.name, [nic(world, number, model) for number, model in models.items()], scope=Scope.BOTH)
    config = nets(world, Half.CONFIG)
    outcome = world.plugger.set_policy(world.name, serve=["ua-nic1", "ua-nic2", "ua-nic3"])
    assert sorted(deeds(outcome)) == [(Deed.LINK_DOWN, f"ua-nic{n}", Result.DONE) for n in (1, 3)]
    assert links(world) == {"ua-nic1": False, "ua-nic2": True, "ua-nic3": False}
    assert nets(world, Half.CONFIG) == config, "the links of the next boot are as they were"
    (group,) = world.plugger.explain_policy(world.name).groups
    assert [(each.alias, each.rank, each.device) for each in group] == [
        ("ua-nic2", 1, "1af4:1000"), ("ua-nic3", 2, "8086:100e"), ("ua-nic1", 3, "10ec:8139"),
    ]  # fmt: skip
    assert [(each.link_state, each.is_held, each.obstacle) for each in group] == [
        ("up", False, ""), ("down", True, ""), ("down", True, "")
    ]  # fmt: skip
    assert world.plugger.recover() == ()
    assert deeds(world.plugger.clear_policy(world.name)) == [
        (Deed.LINK_UP, "ua-nic3", Result.DONE),
        (Deed.LINK_UP, "ua-nic1", Result.DONE),
    ]
    assert all(links(world).values())


def test_in_whatever_order_they_come_the_same_one_serves(fake: World) -> None:
    models = {1: "rtl8139", 2: "virtio", 3: "e1000"}
    fake.plugger.set_policy(fake.name, serve=["ua-nic1", "ua-nic2", "ua-nic3"])
    for order in itertools.permutations(models):
        for count, number in enumerate(order, 1):
            fake.plugger.attach(fake.name, [nic(fake, number, models[number])])
            best = min(order[:count], key=[2, 3, 1].index)
            assert links(fake) == {f"ua-nic{n}": n == best for n in order[:count]}, order[:count]
        fake.plugger.detach(fake.name, [f"ua-nic{n}" for n in order])
        assert fake.plugger.explain_policy(fake.name).groups[0][0].rank is None, "never cleared by removing a device"


def test_a_link_that_is_taken_up_by_hand_goes_down_again(world: World) -> None:
    world.plugger.set_policy(world.name, serve=["ua-nic1", "ua-nic2"])
    world.plugger.attach(world.name, [nic(world, 1, "virtio"), nic(world, 2, "e1000")])
    outcome = world.plugger.update(world.name, "ua-nic2", {"link_state": "up"})
    assert deeds(outcome) == [(Deed.LINK_DOWN, "ua-nic2", Result.DONE)] and not links(world)["ua-nic2"]
    outcome = world.plugger.update(world.name, "ua-nic1", {"link_state": "down"})
    assert deeds(outcome) == [(Deed.LINK_UP, "ua-nic1", Result.DONE)] and links(world)["ua-nic1"]


def test_the_next_one_serves_before_the_first_one_goes(world: World) -> None:
    world.plugger.set_policy(world.name, serve=["ua-nic1", "ua-nic2"])
    world.plugger.attach(world.name, [nic(world, 1, "virtio"), nic(world, 2, "e1000")])
    plan = world.plugger.plan_detach(world.name, "ua-nic1")
    assert any(text.startswith("first, the link of ua-nic2 is to be up") for text in plan.warnings)
    outcome = world.plugger.detach(world.name, "ua-nic1")
    assert deeds(outcome) == [(Deed.LINK_UP, "ua-nic2", Result.DONE)]
    newest = [(each.operation, each.steps[0].nic) for each in world.plugger.history(world.name, limit=2)]
    assert newest == [("detach", "ua-nic1"), ("update", "ua-nic2")]
    assert links(world) == {"ua-nic2": True}
    outcome = world.plugger.attach(world.name, [nic(world, 1, "virtio")])
    assert deeds(outcome) == [(Deed.LINK_DOWN, "ua-nic2", Result.DONE)]


def test_one_that_stays_after_all_serves_again(world: World) -> None:
    world.plugger.set_policy(world.name, serve=["ua-nic1", "ua-nic2"])
    world.plugger.attach(world.name, [nic(world, 1, "virtio"), nic(world, 2, "e1000")])
    world.guest.hold()
    assert world.plugger.detach(world.name, "ua-nic1", wait=1).result is Result.PENDING
    assert links(world)["ua-nic2"], "the guest may let go of the other one at any moment"
    world.plugger.recover(world.name)
    assert links(world)["ua-nic2"], "nor does anything else take that for two that serve"
    assert [each.rank for each in world.plugger.explain_policy(world.name).groups[0]] == [1, None]
    world.guest.resume()
    world.guest.reset()
    world.plugger.recover(world.name, wait=120)
    assert links(world) == {"ua-nic2": True}
    if world.kind == "fake":
        world.plugger.attach(world.name, [nic(world, 1, "virtio")])
        world.guest.refuses = True
        with pytest.raises(Exception, match="refused to let go"):
            world.plugger.detach(world.name, "ua-nic1")
        assert links(world) == {"ua-nic1": True, "ua-nic2": False}


def test_an_identity_does_not_inherit_the_link_that_is_held_down(world: World) -> None:
    world.plugger.attach(world.name, [nic(world, 1, "e1000")], scope=Scope.BOTH)
    element = nets(world)["ua-nic1"].element
    world.plugger.set_policy(world.name, serve=["ua-nic1", "ua-nic2"])
    outcome = world.plugger.attach(world.name, [nic(world, 2, "virtio")], twin_of="ua-nic1")
    assert deeds(outcome) == [(Deed.LINK_DOWN, "ua-nic1", Result.DONE)]
    world.plugger.handover(world.name, "ua-nic1", "ua-nic2")
    assert links(world) == {"ua-nic2": True}
    assert world.plugger.handback(world.name, "ua-nic1").result is Result.DONE
    assert {alias: net.element for alias, net in nets(world).items()} == {"ua-nic1": element}


def test_a_link_that_was_down_before_is_the_identitys_own(world: World) -> None:
    world.plugger.attach(world.name, [nic(world, 1, "e1000").replace("<model", "<link state='down'/><model")])
    world.plugger.attach(world.name, [nic(world, 2, "virtio")], twin_of="ua-nic1")
    world.plugger.set_policy(world.name, serve=["ua-nic1", "ua-nic2"])
    assert world.plugger.clear_policy(world.name).enforced == () and not links(world)["ua-nic1"]


def test_what_is_unplugged_by_policy_does_not_serve(world: World) -> None:
    """The emulated NIC is the better device, and goes; the twin's link must be up before."""
    world.plugger.attach(world.name, [nic(world, 1, "virtio")])
    world.plugger.set_policy(world.name, serve=["ua-nic1", "ua-nic2"])
    world.plugger.attach(world.name, [nic(world, 2, "e1000")], twin_of="ua-nic1")
    assert links(world) == {"ua-nic1": True, "ua-nic2": False}
    outcome = world.plugger.set_policy(world.name, force_unplug="NICS")
    assert deeds(outcome) == [(Deed.LINK_UP, "ua-nic2", Result.DONE), (Deed.UNPLUG, "ua-nic1", Result.DONE)]
    assert links(world) == {"ua-nic2": True}


def test_half_of_a_teaming_pair_is_no_candidate(world: World) -> None:
    world.plugger.set_policy(world.name, serve=["ua-nic1", "ua-nic2"])
    persistent = world.bridge_nic(1, extra="<teaming type='persistent'/>")
    outcome = world.plugger.attach(world.name, [persistent, nic(world, 2, "e1000")])
    assert outcome.enforced == () and links(world) == {"ua-nic1": True, "ua-nic2": True}
    group = world.plugger.explain_policy(world.name).groups[0]
    assert [(each.alias, each.rank) for each in group] == [("ua-nic2", 1), ("ua-nic1", None)] and "teaming" in group[
        1
    ].why


def test_a_domain_that_keeps_nothing_pays_for_nothing(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from virtnetplug.hotplug.identity import enforcement

    monkeypatch.setattr(enforcement.KnownDomain, "of", lambda *_: pytest.fail("nobody asked"))
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.plugger.update(fake.name, "ua-nic1", {"link_state": "down"})
    fake.plugger.detach(fake.name, "ua-nic1", scope=Scope.BOTH)
    assert fake.plugger.recover() == ()


def test_a_busy_domain_is_left_out_and_keeps_no_other_from_its_policies(
    fake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "time", fake.host.clock)
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.plugger.attach(fake.name, [fake.network_nic(2)], scope=Scope.BOTH, twin_of="ua-nic1")
    fake.host.journal.set_host_policy(UnplugPolicy.PRESENT)
    other = fake.reopen().journal.lock(fake.host.hypervisor.key, fake.guest.uuid)
    with other:
        (outcome,) = fake.plugger.recover()
    assert (outcome.result, outcome.reason, outcome.domain) == (Result.PENDING, "domain-busy", fake.name)
    assert [outcome.result for outcome in fake.plugger.recover(wait=5)] == [Result.DONE]
