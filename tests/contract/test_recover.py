"""Recover beside others that live: who works on an operation is left to it, and what is settled is settled once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.faults import Trigger, faulty
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import ForgetRefused, HypervisorFailed
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import NetworkPort
from virtnetplug.model.operation import Half, OperationState, Result, Scope


def _other(world: World) -> Plugger:
    """Another process on the same host."""
    return Plugger(world.reopen(), lambda: None)


def _aliases(world: World) -> list[str | None]:
    return [net.alias for net in xml.devices(world.definition(Half.LIVE)).nets]


def test_an_operation_whose_process_lives_is_left_to_it(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    found: list[Any] = []
    other = _other(fake)
    fake.later(1.0, lambda: found.extend(other.recover()))
    fake.later(1.5, lambda: found.extend(each for plan in other.plan_recover() for each in plan.refusals))
    fake.later(2.0, fake.guest.resume)
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=20).result is Result.DONE
    assert [each.reason for each in found] == ["operation-busy"] * 2


def test_who_recovers_an_operation_works_on_it_from_then_on(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    die(fake, lambda p: p.detach(fake.name, "ua-nic1", wait=20), "detach", after=True)
    found: list[Any] = []
    other = _other(fake)
    fake.later(1.0, lambda: found.extend(other.recover()))
    fake.later(2.0, fake.guest.resume)
    (outcome,) = fake.plugger.recover(wait=20)
    assert [each.reason for each in found] == ["operation-busy"]
    assert (outcome.result, _aliases(fake)) == (Result.DONE, [])


def test_what_another_settled_while_the_lock_was_waited_for_is_settled(fake: World) -> None:
    before = fake.snapshot()
    die(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH), "attach", after=True)
    host = fake.reopen()
    lock, results = host.journal.lock, list[Result]()

    def lock_after_another(*asked: Any, **more: Any) -> Any:
        results.extend(outcome.result for outcome in fake.plugger.recover())
        return lock(*asked, **more)

    host.journal.lock = lock_after_another  # type: ignore[method-assign]
    assert Plugger(host, lambda: None).recover() == ()
    assert results == [Result.UNDONE]
    assert fake.snapshot() == before


def test_an_undo_that_the_guest_delays_stays_open(fake: World) -> None:
    before = fake.snapshot()
    die(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(1)]), "attach", after=True)
    fake.guest.hold()
    (outcome,) = fake.plugger.recover(wait=1)
    assert (outcome.result, _aliases(fake)) == (Result.PENDING, ["ua-nic1"])
    (record,) = fake.host.journal.open_operations()
    assert record.state is OperationState.INCOMPLETE
    fake.guest.resume()
    (outcome,) = fake.plugger.recover(wait=10)
    assert outcome.result is Result.UNDONE
    assert fake.snapshot() == before


def test_a_domain_that_is_no_more_takes_its_nics_along(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    fake.plugger.detach(fake.name, "ua-nic1", wait=1)
    hypervisor: Any = fake.host.hypervisor
    fake.guest.destroy()
    del hypervisor.all[fake.name]
    (outcome,) = fake.plugger.recover()
    assert (outcome.result, outcome.reason) == (Result.LEFT, "domain-missing")
    assert (fake.host.journal.nics(), fake.host.journal.open_operations()) == ([], [])


@pytest.mark.parametrize("call", ["detach", "attach"])
@pytest.mark.parametrize("after", [False, True])
def test_a_replacement_that_died_has_its_old_nic_again(fake: World, call: str, after: bool) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    before = fake.snapshot()
    die(fake, lambda p: p.update(fake.name, "ua-nic1", {"mtu": 1400}, replace=True), call, after=after)
    assert [outcome.result for outcome in fake.plugger.recover(wait=20)] == [Result.UNDONE]
    assert fake.snapshot() == before


def _port(world: World, number: int, **changes: Any) -> str:
    """A network port, as libvirtd makes it before the tap."""
    hypervisor: Any = world.host.hypervisor
    port = NetworkPort(
        uuid=f"00000000-0000-4000-8000-00000000ff{number:02}", network=world.network, owner_uuid=world.guest.uuid,
        owner_name=world.name, mac=Mac("52:54:00:00:00:01"),
    )  # fmt: skip
    hypervisor.net_ports[port.uuid] = dataclasses.replace(port, **changes)
    return port.uuid


def test_a_port_that_libvirtd_made_and_lost_is_deleted_and_no_other(fake: World) -> None:
    die(fake, lambda p: p.attach(fake.name, [fake.network_nic(1)]), "attach")
    lost = _port(fake, 1)
    others = {
        _port(fake, 2, owner_uuid="11111111-0000-4000-8000-000000000000"),
        _port(fake, 3, mac=Mac("52:54:00:00:00:02")),
        _port(fake, 4, plug_type="hostdev-pci"),
    }
    assert [outcome.result for outcome in fake.plugger.recover()] == [Result.UNDONE]
    assert lost not in fake.host.networks.port_uuids(fake.network)
    assert fake.host.networks.port_uuids(fake.network) == others


def test_nor_is_the_port_that_the_nic_is_in(fake: World) -> None:
    """A change of it was undone, and the NIC is there as before."""
    fake.plugger.attach(fake.name, [fake.network_nic(1)])
    ports = fake.host.networks.port_uuids(fake.network)
    die(fake, lambda p: p.update(fake.name, "ua-nic1", {"link_state": "down"}), "update")
    assert [outcome.result for outcome in fake.plugger.recover()] == [Result.UNDONE]
    assert fake.host.networks.port_uuids(fake.network) == ports


def test_an_operation_that_could_not_begin_left_nothing_to_be_undone(fake: World) -> None:
    host, counter = fake.host, Trigger(-1, "none")
    Plugger(faulty(host, counter), lambda: None).attach(fake.name, [fake.bridge_nic(1)])
    fake.plugger.detach(fake.name, "ua-nic1")
    before, past = fake.snapshot(), fake.plugger.history()
    trigger = Trigger(counter.calls.index("journal.commit"), "fail")
    with pytest.raises(HypervisorFailed, match="commit failed") as caught:
        Plugger(faulty(host, trigger), lambda: None).attach(fake.name, [fake.bridge_nic(1)])
    assert caught.value.undo_failures == []
    assert (fake.snapshot(), fake.plugger.history()) == (before, past)


def test_what_was_written_of_the_definition_goes_with_the_rest(fake: World) -> None:
    operations: dict[str, Callable[[Plugger], Any]] = {
        "attach": lambda p: p.attach(fake.name, [fake.bridge_nic(2)], scope=Scope.BOTH),
        "update": lambda p: p.update(fake.name, "ua-nic1", {"link_state": "down"}, scope=Scope.BOTH),
    }
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    before = fake.snapshot()
    for call, act in operations.items():
        die(fake, act, call, after=True, number=2)  # the one of the definition
        assert fake.snapshot()["config"] != before["config"]
        assert [outcome.result for outcome in fake.plugger.recover(wait=10)] == [Result.UNDONE]
        assert fake.snapshot() == before


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
def test_a_nic_that_cannot_be_put_back_may_stay_out(fake: World, scope: Scope) -> None:
    """Its bridge is gone. What the guest has again, or what is not undone yet, is not forgotten."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=scope)
    change = {"model": "e1000"}
    die(fake, lambda p: p.update(fake.name, "ua-nic1", change, scope=scope, replace=True), "detach", after=True)
    (record,) = fake.host.journal.open_operations()
    bridges: Any = fake.host.hypervisor.bridges  # type: ignore[attr-defined]
    before = dict(bridges)
    bridges.clear()
    (left,) = fake.plugger.recover(wait=1)
    assert left.result is Result.INCOMPLETE and f"forget={record.id!r})` closes the update" in left.message
    bridges |= before
    fake.guest.attach(fake.bridge_nic(1), Half.LIVE)
    with pytest.raises(ForgetRefused):
        fake.plugger.recover(forget=record.id)
    fake.guest.detach("ua-nic1", Half.LIVE)
    (forgotten,) = fake.plugger.recover(forget=record.id)
    assert (forgotten.result, forgotten.reason) == (Result.LEFT, "forgotten")
    assert fake.plugger.recover() == () and fake.plugger.audit().findings == ()
    assert [(nic.live, nic.config) for nic in fake.plugger.list(fake.name)] == (
        [(False, True)] if scope is Scope.BOTH else []
    )
