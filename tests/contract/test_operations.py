"""What every operation promises, against the fake and against real QEMU."""

from __future__ import annotations

import dataclasses
import itertools
import threading

import pytest

from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import (
    HypervisorFailed,
    NeedsReplace,
    NicMissing,
    Refused,
    RemovalFailed,
    RollbackIncomplete,
    VirtnetplugError,
)
from virtnetplug.hotplug.guest import asking
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.lifecycle import State
from virtnetplug.model.interface import Limit
from virtnetplug.model.operation import Half, OperationState, Result, Scope


def test_attach_live_puts_the_nic_in_the_guest_alone(world: World) -> None:
    before = world.snapshot()
    outcome = world.plugger.attach(world.name, [world.bridge_nic()])
    (nic,) = outcome.nics
    assert (outcome.result, nic.alias, nic.mac) == (Result.DONE, "ua-nic1", "52:54:00:00:00:01")
    assert (nic.live, nic.config, nic.origin, nic.backend) == (True, False, "virtnetplug", State.CONNECTED)
    assert nic.target in world.members(world.bridges[0])
    assert world.definition(Half.CONFIG) == before["config"]
    assert "ua-nic1" in world.definition(Half.LIVE)


def test_detach_gives_everything_back(world: World) -> None:
    before = world.snapshot()
    world.plugger.attach(world.name, [world.bridge_nic()], scope=Scope.BOTH)
    outcome = world.plugger.detach(world.name, "ua-nic1", scope=Scope.BOTH)
    assert outcome.result is Result.DONE and outcome.nics == ()
    assert world.snapshot() == before


def test_a_nic_that_stays_in_the_other_definition_is_told(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()], scope=Scope.BOTH)
    (nic,) = world.plugger.detach(world.name, "ua-nic1", scope=Scope.LIVE).nics
    assert (nic.alias, nic.live, nic.config) == ("ua-nic1", False, True)
    assert world.plugger.detach(world.name, "ua-nic1", scope=Scope.CONFIG).nics == ()


def test_a_mac_and_an_alias_are_minted(world: World) -> None:
    request = f"<interface type='bridge'><source bridge='{world.bridges[0]}'/><model type='virtio'/></interface>"
    (nic,) = world.plugger.attach(world.name, [request]).nics
    assert nic.alias is not None and nic.alias.startswith("ua-")
    assert nic.mac is not None and nic.mac.startswith("52:54:00:")
    assert nic.alias in world.definition(Half.LIVE)


def test_both_halves_have_the_same_guest_address(world: World) -> None:
    # One slot is taken in the definition and two are live, so that libvirt left to itself would choose two different ones.
    world.plugger.attach(world.name, [world.bridge_nic(9)], scope=Scope.CONFIG)
    world.plugger.attach(world.name, [world.bridge_nic(1), world.bridge_nic(3)], scope=Scope.LIVE)
    world.plugger.attach(world.name, [world.bridge_nic(2)], scope=Scope.BOTH)
    detail = world.plugger.show(world.name, "ua-nic2")
    assert detail.live is not None and detail.config is not None
    assert str(detail.nic.address) == "0000:00:04.0" if world.kind == "fake" else detail.nic.address is not None
    slot = detail.nic.address.slot if detail.nic.address else -1
    assert f'slot="0x{slot:02x}"' in detail.config.replace("'", '"')


def test_a_guest_address_that_the_definition_gives_to_another_device_is_not_asked_for_there(world: World) -> None:
    """The guest has let go of a NIC that its next boot has: libvirt gives the place to the next one that comes."""
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.detach(world.name, "ua-nic1", scope=Scope.LIVE)
    outcome = world.plugger.attach(world.name, [world.bridge_nic(2)], scope=Scope.BOTH)
    assert outcome.result is Result.DONE
    (warning,) = outcome.warnings
    assert "the definition has another device at" in warning and "ua-nic2" in warning
    seen = {nic.alias: (nic.live, nic.config) for nic in world.plugger.list(world.name)}
    assert seen == {"ua-nic1": (False, True), "ua-nic2": (True, True)}


def test_of_several_nics_none_gets_the_place_of_another(world: World) -> None:
    """The definition has a device where the first of them comes; libvirt would give that one the place of the second."""
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.detach(world.name, "ua-nic1", scope=Scope.LIVE)
    outcome = world.plugger.attach(world.name, [world.bridge_nic(2), world.bridge_nic(3)], scope=Scope.BOTH)
    assert outcome.result is Result.DONE
    third = world.plugger.show(world.name, "ua-nic3")
    assert third.nic.address is not None and third.config is not None
    assert xml.interface(third.config).address == third.nic.address


def test_a_guest_address_that_only_the_definition_has_taken_is_refused_for_both(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    taken = world.plugger.show(world.name, "ua-nic1").nic.address
    world.plugger.detach(world.name, "ua-nic1", scope=Scope.LIVE)
    net = xml.edit(str(world.bridge_nic(2)), {"address": taken})
    with pytest.raises(Refused) as refused:
        world.plugger.attach(world.name, [net], scope=Scope.BOTH)
    assert refused.value.reason == "pci-address-in-use"
    assert world.plugger.attach(world.name, [net]).result is Result.DONE


def test_a_network_nic_has_a_port_while_it_is_there(world: World) -> None:
    before = world.snapshot()
    (nic,) = world.plugger.attach(world.name, [world.network_nic()]).nics
    assert (nic.network, nic.type, world.ports()) == (world.network, "network", before["ports"] + 1)
    assert nic.portid is not None
    world.plugger.detach(world.name, nic.mac or "")
    assert world.snapshot() == before


def test_attach_again_is_already_done(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()])
    before = world.snapshot()
    outcome = world.plugger.attach(world.name, [world.bridge_nic()])
    assert (outcome.result, [nic.alias for nic in outcome.nics]) == (Result.ALREADY, ["ua-nic1"])
    assert world.snapshot() == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("52:54:00:00:00:01", "52:54:00:00:00:02"), "duplicate-alias"),
        (("ua-nic1", "ua-other"), "duplicate-mac"),
    ],
)
def test_a_second_nic_of_the_same_name_is_refused(world: World, change: tuple[str, str], reason: str) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()])
    before = world.snapshot()
    with pytest.raises(Refused) as caught:
        world.plugger.attach(world.name, [world.bridge_nic().replace(*change)])
    assert (caught.value.reason, caught.value.exit_code) == (reason, 3)
    assert world.snapshot() == before


def test_a_nic_of_the_same_name_elsewhere_is_not_the_one_that_is_there(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()])
    before = world.snapshot()
    for request in (world.bridge_nic(bridge=world.bridges[1]), world.network_nic()):
        with pytest.raises(Refused) as caught:
            world.plugger.attach(world.name, [request])
        assert caught.value.reason == "duplicate-alias"
    assert world.snapshot() == before


def test_several_nics_are_all_or_nothing(world: World) -> None:
    before = world.snapshot()
    outcome = world.plugger.attach(world.name, [world.bridge_nic(1), world.network_nic(2), world.bridge_nic(3)])
    assert [nic.alias for nic in outcome.nics] == ["ua-nic1", "ua-nic2", "ua-nic3"]
    assert world.plugger.detach(world.name, ["ua-nic1", "ua-nic2", "ua-nic3"]).result is Result.DONE
    assert world.snapshot() == before
    with pytest.raises(Refused):
        world.plugger.attach(world.name, [world.bridge_nic(1), world.bridge_nic(2, bridge="nosuchbridge")])
    assert world.snapshot() == before


def test_a_guest_that_holds_on_makes_the_detach_pending(world: World) -> None:
    before = world.snapshot()
    world.plugger.attach(world.name, [world.bridge_nic()])
    world.guest.hold()
    outcome = world.plugger.detach(world.name, "ua-nic1", wait=0.3)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-holds-device")
    (nic,) = world.plugger.list(world.name)
    assert (nic.alias, nic.frontend, nic.backend) == ("ua-nic1", State.CLOSING, State.CLOSING)
    assert nic.pending == outcome.operation_id
    (again,) = world.plugger.recover()
    assert again.result is Result.PENDING
    world.guest.resume()
    (last,) = world.plugger.recover(wait=120.0)
    assert (last.result, last.operation_id) == (Result.DONE, outcome.operation_id)
    (released,) = (step for step in last.steps if step.name == "guest_release")
    assert released.seconds is not None and released.seconds >= 0.25, "the guest's time counts from the first asking"
    assert world.snapshot() == before
    assert world.plugger.recover() == ()


def test_detach_of_a_pending_nic_joins_the_wait(world: World) -> None:
    before = world.snapshot()
    world.plugger.attach(world.name, [world.bridge_nic()])
    world.guest.hold()
    first = world.plugger.detach(world.name, "ua-nic1", wait=0.2)
    world.later(0.5, world.guest.resume)
    second = world.plugger.detach(world.name, "ua-nic1", wait=120.0)
    assert (first.result, second.result) == (Result.PENDING, Result.DONE)
    assert second.operation_id == first.operation_id
    assert world.snapshot() == before


def test_a_reset_completes_a_pending_detach(world: World) -> None:
    before = world.snapshot()
    world.plugger.attach(world.name, [world.bridge_nic()])
    world.guest.hold()
    assert world.plugger.detach(world.name, "ua-nic1", wait=0.2).result is Result.PENDING
    world.guest.reset()
    (outcome,) = world.plugger.recover(wait=120.0)
    assert outcome.result is Result.DONE
    assert world.snapshot() == before


def test_a_pending_nic_blocks_itself_only(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()])
    world.guest.hold()
    world.plugger.detach(world.name, "ua-nic1", wait=0.2)
    assert world.plugger.attach(world.name, [world.bridge_nic(2)]).result is Result.DONE
    with pytest.raises(Refused) as caught:
        world.plugger.update(world.name, "ua-nic1", {"link_state": "down"})
    assert caught.value.reason == "nic-pending"


def test_the_domain_ends_while_a_detach_is_pending(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()])
    world.guest.hold()
    assert world.plugger.detach(world.name, "ua-nic1", wait=0.2).result is Result.PENDING
    world.guest.destroy()
    (outcome,) = world.plugger.recover(wait=120.0)
    assert outcome.result is Result.DONE
    assert world.host.journal.open_operations(world.host.hypervisor.key) == []
    assert world.plugger.list(world.name) == ()


def test_the_domain_ends_while_the_guest_is_waited_for(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()])
    world.guest.hold()
    world.later(0.5, world.guest.destroy)
    assert world.plugger.detach(world.name, "ua-nic1", wait=120.0).result is Result.DONE
    assert world.plugger.list(world.name) == ()


def test_update_in_place(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()], scope=Scope.BOTH)
    outcome = world.plugger.update(world.name, "ua-nic1", {"link_state": "down"}, scope=Scope.BOTH)
    (nic,) = outcome.nics
    assert (outcome.result, nic.link_state) == (Result.DONE, "down")
    detail = world.plugger.show(world.name, "ua-nic1")
    assert detail.live is not None and detail.config is not None
    assert "down" in detail.live and "down" in detail.config
    assert world.plugger.update(world.name, "ua-nic1", {"link_state": "down"}).result is Result.ALREADY


def test_update_moves_the_nic_to_another_bridge(world: World) -> None:
    (nic,) = world.plugger.attach(world.name, [world.bridge_nic()]).nics
    world.plugger.update(world.name, "ua-nic1", {"source_bridge": world.bridges[1]})
    assert world.members(world.bridges[0]) == set()
    assert len(world.members(world.bridges[1])) == 1
    world.plugger.update(world.name, "ua-nic1", {"source_network": world.network})
    assert world.members(world.bridges[1]) == set()
    assert world.ports() == 1
    (now,) = world.plugger.list(world.name)
    assert (now.address, now.mac, now.network) == (nic.address, nic.mac, world.network)


def test_what_cannot_change_in_place_needs_replace(world: World) -> None:
    (nic,) = world.plugger.attach(world.name, [world.bridge_nic()], scope=Scope.BOTH).nics
    before = world.snapshot()
    with pytest.raises(Refused) as caught:
        world.plugger.update(world.name, "ua-nic1", {"model": "e1000"}, scope=Scope.BOTH)
    assert caught.value.reason == NeedsReplace.reason
    assert world.snapshot() == before
    outcome = world.plugger.update(world.name, "ua-nic1", {"model": "e1000"}, scope=Scope.BOTH, replace=True)
    (now,) = outcome.nics
    assert outcome.result is Result.DONE
    assert (now.model, now.mac, now.alias, now.address) == ("e1000", nic.mac, nic.alias, nic.address)
    detail = world.plugger.show(world.name, "ua-nic1")
    assert detail.config is not None and "e1000" in detail.config


def test_the_history_of_a_domain_is_found_by_all_that_names_it(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()])
    domain = world.host.hypervisor.domain(world.name)
    for name in (world.name, domain.uuid, domain.uuid.upper(), domain.uuid.replace("-", ""), str(domain.state().id)):
        assert [each.operation for each in world.plugger.history(name)] == ["attach"], name
    assert world.plugger.history("another") == ()


def test_the_name_that_a_removed_domain_had_is_no_id(fake: World) -> None:
    running = fake.host.hypervisor.domain(fake.name)
    fake.plugger.attach(fake.name, [fake.bridge_nic()])
    name = str(running.state().id)
    hypervisor = fake.host.hypervisor
    other = hypervisor.add(name)  # type: ignore[attr-defined]
    fake.plugger.attach(other.uuid, [fake.bridge_nic()], scope=Scope.CONFIG)
    del hypervisor.all[name]  # type: ignore[attr-defined]
    assert [each.domain_uuid for each in fake.plugger.history(name)] == [other.uuid]


@pytest.mark.parametrize("scope", [Scope.BOTH, Scope.CONFIG])
def test_a_nic_gets_another_guest_address_in_the_definition_too(world: World, scope: Scope) -> None:
    """libvirt's update finds a NIC by its MAC and guest address, so the definition's NIC is removed and attached."""
    (nic,) = world.plugger.attach(world.name, [world.bridge_nic()], scope=Scope.BOTH).nics
    assert nic.address is not None
    place = dataclasses.replace(nic.address, slot=nic.address.slot + 3)
    outcome = world.plugger.update(world.name, "ua-nic1", {"address": place}, scope=scope, replace=scope is Scope.BOTH)
    assert outcome.result is Result.DONE
    detail = world.plugger.show(world.name, "ua-nic1")
    assert detail.live is not None and detail.config is not None
    assert xml.interface(detail.config).address == place
    assert xml.interface(detail.live).address == (place if scope is Scope.BOTH else nic.address)
    assert world.plugger.recover() == ()


def test_a_replacement_the_guest_delays_is_pending_then_done(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()])
    world.guest.hold()
    outcome = world.plugger.update(world.name, "ua-nic1", {"mtu": 1400}, replace=True, wait=0.2)
    assert outcome.result is Result.PENDING
    world.guest.resume()
    (last,) = world.plugger.recover(wait=120.0)
    assert last.result is Result.DONE
    (nic,) = world.plugger.list(world.name)
    detail = world.plugger.show(world.name, "ua-nic1")
    assert nic.pending is None and detail.live is not None and "1400" in detail.live


def test_plan_touches_nothing(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()], scope=Scope.BOTH)
    before = world.snapshot()
    history = len(world.plugger.history())
    attach = world.plugger.plan_attach(world.name, [world.bridge_nic(2)], scope=Scope.BOTH)
    detach = world.plugger.plan_detach(world.name, "ua-nic1")
    update = world.plugger.plan_update(world.name, "ua-nic1", {"model": "e1000"})
    assert (attach.fits, detach.fits, update.fits) == (True, True, False)
    assert [step.name for step in attach.steps][-1] == "define"
    assert "ua-nic2" in attach.diff["config"] and "ua-nic1" in detach.diff["live"]
    assert [refusal.reason for refusal in update.refusals] == ["needs-replace"]
    assert (world.snapshot(), len(world.plugger.history())) == (before, history)


def test_a_nic_is_found_by_each_of_its_names(world: World) -> None:
    (nic,) = world.plugger.attach(world.name, [world.bridge_nic()]).nics
    for name in (nic.alias, nic.mac, nic.target, str(nic.address)):
        assert world.plugger.show(world.name, name or "").nic.alias == "ua-nic1"
    with pytest.raises(NicMissing):
        world.plugger.show(world.name, "ua-nosuch")


def test_a_domain_that_is_off_takes_config_only(world: World) -> None:
    world.guest.destroy()
    with pytest.raises(Refused) as caught:
        world.plugger.attach(world.name, [world.bridge_nic()])
    assert caught.value.reason == "domain-not-running"
    outcome = world.plugger.attach(world.name, [world.bridge_nic()], scope=Scope.CONFIG)
    assert [(nic.live, nic.config) for nic in outcome.nics] == [(False, True)]
    assert world.plugger.detach(world.name, "ua-nic1", scope=Scope.CONFIG).result is Result.DONE


def test_threads_share_one_plugger(world: World) -> None:
    plugger, failures = world.plugger, []

    def cycle(number: int) -> None:
        try:
            plugger.attach(world.name, [world.bridge_nic(number)])
            plugger.detach(world.name, f"ua-nic{number}")
        except VirtnetplugError as error:
            failures.append(error)

    before = world.snapshot()
    threads = [threading.Thread(target=cycle, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert world.snapshot() == before


def test_several_openings_in_one_process_do_not_disturb_each_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "LOOK_AGAIN", 3600.0)  # the event alone says that the NIC is gone
    before = world.snapshot()
    second = world.reopen()
    for plugger in (world.plugger, Plugger(second, lambda: None)):
        plugger.attach(world.name, [world.bridge_nic()])
        assert plugger.detach(world.name, "ua-nic1").result is Result.DONE
    second.hypervisor.close()
    world.plugger.attach(world.name, [world.bridge_nic()])
    outcome = world.plugger.detach(world.name, "ua-nic1", wait=120.0)
    assert outcome.result is Result.DONE
    assert world.snapshot() == before


def test_the_journal_tells_every_step(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()], scope=Scope.BOTH)
    (record,) = world.plugger.history()
    assert (record.state, record.result, record.device_type) == (OperationState.DONE, "done", "bridge")
    names = [step.name for step in record.steps]
    assert names == ["reserve", "allocate_actual_device", "host_net_add", "confirm", "define"]
    assert {str(step.state) for step in record.steps} == {"done"}
    assert all(step.seconds is not None and step.seconds >= 0 for step in record.steps)


def test_bandwidth_is_planned_in_place(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()])
    plan = world.plugger.plan_update(world.name, "ua-nic1", {"bandwidth_inbound": Limit(average=1000)})
    assert plan.fits and [step.name for step in plan.steps] == ["change", "confirm"]


def test_a_guest_that_refuses_keeps_its_nic(fake: World) -> None:
    """DEVICE_REMOVAL_FAILED: the boot sector cannot say no, so the imaginary guest does."""
    fake.plugger.attach(fake.name, [fake.bridge_nic()], scope=Scope.BOTH)
    before = fake.snapshot()
    fake.guest.refuses = True
    with pytest.raises(RemovalFailed) as caught:
        fake.plugger.detach(fake.name, "ua-nic1", scope=Scope.BOTH, wait=30)
    assert (caught.value.reason, caught.value.exit_code) == ("removal-failed", 4)
    assert "ua-nic1" in caught.value.message
    assert fake.snapshot() == before
    (nic,) = fake.plugger.list(fake.name)
    assert (nic.backend, nic.pending) == (State.CONNECTED, None)
    (record, _) = fake.plugger.history()
    assert (record.operation, record.state, record.reason) == ("detach", OperationState.UNDONE, "removal-failed")
    fake.guest.refuses = False
    assert fake.plugger.detach(fake.name, "ua-nic1", scope=Scope.BOTH).result is Result.DONE


def test_a_refusal_puts_those_back_that_have_gone(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.network_nic(2)], scope=Scope.BOTH)
    before = fake.snapshot()
    ask = fake.guest.detach

    def refuse_second(alias: str, half: Half) -> None:
        fake.guest.refuses = alias == "ua-nic2"
        ask(alias, half)

    fake.guest.detach = refuse_second
    with pytest.raises(RemovalFailed):
        fake.plugger.detach(fake.name, ["ua-nic1", "ua-nic2"], scope=Scope.BOTH, wait=30)
    now = fake.snapshot()
    for half in ("live", "config"):
        assert sorted(now[half].split()) == sorted(before[half].split()), "the address and every name are as before"
    assert {key: now[key] for key in ("taps", "ports", "nics", "open")} == {
        key: before[key] for key in ("taps", "ports", "nics", "open")
    }
    assert [nic.pending for nic in fake.plugger.list(fake.name)] == [None, None]


def test_a_refusal_during_a_replacement_leaves_the_old_nic(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic()])
    before = fake.snapshot()
    fake.guest.refuses = True
    with pytest.raises(RemovalFailed):
        fake.plugger.update(fake.name, "ua-nic1", {"mtu": 1400}, replace=True, wait=30)
    assert fake.snapshot() == before


def test_a_nic_of_an_attach_that_is_not_settled_is_left_alone(fake: World) -> None:
    """It is on its way out, so it is not "already" there, and its detach is `recover`'s."""
    plug, count = fake.guest.attach, itertools.count()

    def fail_second(element: str, half: Half) -> None:
        if next(count) == 1:
            raise HypervisorFailed("no second one today")
        plug(element, half)

    fake.guest.attach = fail_second
    fake.guest.hold()
    with pytest.raises(RollbackIncomplete):
        fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], wait=0.1)
    for act in (
        lambda: fake.plugger.attach(fake.name, [fake.bridge_nic(1)]),
        lambda: fake.plugger.detach(fake.name, "ua-nic1", wait=0.1),
        lambda: fake.plugger.update(fake.name, "ua-nic1", {"link_state": "down"}),
    ):
        with pytest.raises(Refused) as caught:
            act()
        assert (caught.value.reason, caught.value.exit_code) == ("nic-pending", 3)
    assert not fake.plugger.plan_attach(fake.name, [fake.bridge_nic(1)]).fits
    fake.guest.resume()
    fake.plugger.recover(wait=30)
    assert fake.plugger.list(fake.name) == ()
    assert fake.plugger.attach(fake.name, [fake.bridge_nic(1)]).result is Result.DONE


def test_an_update_keeps_the_alias(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()])
    before = world.snapshot()
    for replace in (False, True):
        with pytest.raises(Refused) as caught:
            world.plugger.update(world.name, "ua-nic1", {"alias": "ua-other"}, replace=replace)
        assert caught.value.exit_code == 3
    assert world.snapshot() == before


def test_a_replacement_that_cannot_be_is_refused_before_the_old_one_goes(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()])
    before = world.snapshot()
    with pytest.raises(Refused) as caught:
        world.plugger.update(world.name, "ua-nic1", {"model": "e1000x"}, replace=True)
    assert caught.value.reason == "model-unknown"
    assert world.snapshot() == before
