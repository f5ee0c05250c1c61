"""An identity while an operation on its NIC is open: nothing is forgotten, and nobody is told that all is so already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.stopped import Stopped, waiting
from tests.contract.test_hostdev import nic as vf_nic
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_policy import known, nets
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import NicPending
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Half, Result, Scope

pytestmark = pytest.mark.timeout(60)

HALVES = (Half.LIVE, Half.CONFIG)


def _handover(world: World, plugger: Plugger, wait: float) -> Any:
    return plugger.handover(world.name, "ua-nic1", world.network_nic(2), scope=Scope.BOTH, wait=wait)


def _handback(world: World, plugger: Plugger, wait: float) -> Any:
    return plugger.handback(world.name, "ua-nic1", wait=wait)


def _open(world: World, call: str, how: str) -> Callable[[], Any]:
    """A hand-over or hand-back that waits for its guest, or is pending; gives what ends it."""
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    act = _handover
    if call == "handback":
        _handover(world, world.plugger, 5)
        act = _handback
    world.guest.hold()
    if how == "pending":
        assert act(world, world.plugger, 0.1).result is Result.PENDING
    stopped = Stopped(world, lambda p: act(world, p, 30), waiting(world)) if how == "waits" else None

    def end() -> Any:
        world.guest.resume()
        return stopped.go_on() if stopped is not None else world.plugger.recover(wait=5)[0]

    return end


@pytest.mark.parametrize("how", ["waits", "pending"])
@pytest.mark.parametrize("call", ["handover", "handback"])
def test_nothing_is_forgotten_of_a_nic_with_an_open_operation(fake: World, call: str, how: str) -> None:
    end = _open(fake, call, how)
    before = fake.snapshot()
    for force in (False, True):
        with pytest.raises(NicPending, match="recover"):
            fake.plugger.forget_identity(fake.name, "ua-nic1", force=force)
    assert fake.snapshot() == before
    assert end().result is Result.DONE
    assert [known(fake, half).is_out for half in HALVES] == [call == "handover"] * 2
    assert fake.plugger.recover() == () and fake.plugger.audit().findings == ()


@pytest.mark.parametrize("how", ["waits", "pending"])
@pytest.mark.parametrize("call", ["handover", "handback"])
def test_what_another_hand_removed_during_the_wait_is_remembered_again(fake: World, call: str, how: str) -> None:
    """As ``virsh metadata --remove`` does: the only copy of a NIC that is out."""
    end = _open(fake, call, how)
    for half in HALVES:
        fake.host.hypervisor.domain(fake.name).set_metadata(half, None)
    assert end().result is Result.DONE
    assert [known(fake, half).is_out for half in HALVES] == [call == "handover"] * 2
    assert fake.plugger.detach(fake.name, "ua-nic2" if call == "handover" else "ua-nic1", scope=Scope.BOTH)
    assert list(nets(fake)) == list(nets(fake, Half.CONFIG)) == (["ua-nic1"] if call == "handover" else [])


@pytest.mark.parametrize("how", ["waits", "pending"])
@pytest.mark.parametrize("call", ["handover", "handback"])
def test_nothing_is_already_so_while_an_operation_is_open(fake: World, call: str, how: str) -> None:
    end = _open(fake, call, how)
    before = fake.snapshot()
    for plan in (
        fake.plugger.plan_handback(fake.name, "ua-nic1"),
        fake.plugger.plan_handover(fake.name, "ua-nic1", fake.network_nic(2), scope=Scope.BOTH),
    ):
        assert [refusal.reason for refusal in plan.refusals][:1] == ["nic-pending"] and not plan.fits
    for act in (_handover, _handback):
        with pytest.raises(NicPending, match="recover"):
            act(fake, fake.plugger, 0.1)
    assert fake.snapshot() == before
    assert end().result is Result.DONE


def test_an_update_to_what_it_is_says_that_the_nic_is_leaving(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    fake.plugger.detach(fake.name, "ua-nic1", wait=0.1)
    for act in (fake.plugger.update, fake.plugger.rebind):
        with pytest.raises(NicPending, match="recover"):
            act(fake.name, "ua-nic1", {"source_bridge": fake.bridges[0]})


def test_an_attach_of_what_an_undo_takes_out_is_not_already_done(fake: World) -> None:
    """The hand-over died with the fast NIC in the guest, which holds that NIC now."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    die(fake, lambda p: _handover(fake, p, 5), "update", after=True, number=2)
    fake.guest.hold()
    fast = next(net for net in nets(fake).values() if net.alias == "ua-nic2")
    with pytest.raises(NicPending, match="recover"):
        fake.plugger.attach(fake.name, [xml.strip_live(fast.element)], wait=0.1)
    fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=5)] == [Result.UNDONE]
    assert list(nets(fake)) == ["ua-nic1"]


def test_a_move_to_the_vf_it_has_says_that_the_nic_is_leaving(pool: World) -> None:
    pool.plugger.attach(pool.name, [vf_nic(1)])
    address = next(net for net in xml.devices(pool.definition(Half.LIVE)).nets).source_pci
    assert address is not None
    pool.guest.hold()
    pool.plugger.detach(pool.name, "ua-vf1", wait=0.1)
    with pytest.raises(NicPending, match="recover"):
        pool.plugger.rebind_vf(pool.name, "ua-vf1", address)


def _handed_over_and_started_anew(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2))
    world.guest.restart()
    assert list(nets(world)) == ["ua-nic1"] and known(world).is_out


def test_one_that_a_new_start_brought_back_is_not_out(fake: World) -> None:
    _handed_over_and_started_anew(fake)
    (view,) = fake.plugger.identities(fake.name)
    assert (view.live, view.is_out) == (True, False)
    assert fake.plugger.handover(fake.name, "ua-nic1", fake.network_nic(2)).result is Result.DONE
    assert list(nets(fake)) == ["ua-nic2"] and known(fake).is_out
    (view,) = fake.plugger.identities(fake.name)
    assert (view.live, view.is_out) == (False, True)
    assert fake.plugger.handover(fake.name, "ua-nic1", fake.network_nic(2)).result is Result.ALREADY


def test_the_hand_back_of_one_that_came_back_corrects_the_record(fake: World) -> None:
    _handed_over_and_started_anew(fake)
    before = nets(fake)
    assert fake.plugger.handback(fake.name, "ua-nic1").result is Result.DONE
    assert [known(fake, half).is_out for half in HALVES] == [False, False] and nets(fake) == before
    assert fake.plugger.handback(fake.name, "ua-nic1").result is Result.ALREADY


def test_one_that_is_back_in_the_definition_alone_is_still_out(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    _handover(fake, fake.plugger, 5)
    fake.plugger.detach(fake.name, "ua-nic2", scope=Scope.LIVE, restore_emulated=False)
    fake.plugger.handback(fake.name, "ua-nic1", scope=Scope.CONFIG)
    assert (list(nets(fake)), list(nets(fake, Half.CONFIG))) == ([], ["ua-nic1"])
    assert known(fake).is_out
