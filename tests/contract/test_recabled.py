"""An administrator connects a NIC to something else while an operation on it is under way: what is not the operation's any more is left, and said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.stopped import Stopped, at
from tests.contract.test_any_nic import MAC, give, nets
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import NicChanged, NicPending
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Half, Result, Scope

Act = Callable[[Plugger, World], Any]

FORWARD: dict[str, Act] = {
    "detach": lambda p, w: p.detach(w.name, MAC, wait=1),
    "detach-both": lambda p, w: p.detach(w.name, MAC, scope=Scope.BOTH, wait=1),
    "replace": lambda p, w: p.update(w.name, MAC, {"mtu": 1400}, replace=True, wait=1),
    "handover": lambda p, w: p.handover(w.name, MAC, w.bridge_nic(2), wait=1),
}
IN_PLACE: dict[str, Act] = {
    "update": lambda p, w: p.update(w.name, MAC, {"link_state": "down"}),
    "rebind": lambda p, w: p.rebind(w.name, MAC, {"source_bridge": "br-lan"}),
}


@pytest.fixture(params=["ours", "cold"])
def cabled(fake: World, request: pytest.FixtureRequest) -> World:
    """The NIC `MAC` is in bridge 0: one of ours, or one that the guest booted with."""
    fake.host.hypervisor.add_bridge("br-lan")  # type: ignore[attr-defined]
    if request.param == "ours":
        fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    else:
        give(fake, "cold")
    return fake


def recable(world: World, half: Half = Half.LIVE) -> None:
    """``virsh update-device``."""
    (net,) = (net for net in nets(world, half) if str(net.mac) == MAC)
    world.guest.update(xml.edit(xml.strip_live(net.element), {"source_bridge": world.bridges[1]}), half)


def source(world: World, half: Half = Half.LIVE) -> list[str]:
    return [net.source for net in nets(world, half) if str(net.mac) == MAC]


@pytest.mark.parametrize("name", FORWARD)
def test_a_nic_that_was_connected_elsewhere_since_the_look_is_not_asked_for(cabled: World, name: str) -> None:
    act = Stopped(cabled, lambda p: FORWARD[name](p, cabled), at("set_travelling"))
    recable(cabled)
    error = act.go_on()
    assert isinstance(error, NicChanged) and cabled.bridges[1] in str(error)
    assert (source(cabled), source(cabled, Half.CONFIG)) == ([cabled.bridges[1]], [cabled.bridges[0]])
    assert cabled.plugger.recover() == () and not cabled.carries().asked


@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize("call", ["set_travelling", "detach"])
def test_nor_by_a_recovery(cabled: World, name: str, call: str) -> None:
    die(cabled, lambda p: FORWARD[name](p, cabled), call)
    recable(cabled)
    (outcome,) = cabled.plugger.recover(wait=5)
    assert outcome.result is Result.UNDONE and cabled.bridges[1] in f"{outcome.message} {outcome.warnings}"
    assert (source(cabled), source(cabled, Half.CONFIG)) == ([cabled.bridges[1]], [cabled.bridges[0]])
    assert cabled.plugger.recover() == ()


@pytest.mark.parametrize("name", FORWARD)
def test_the_answer_of_a_guest_that_was_asked_stays_its_answer(cabled: World, name: str) -> None:
    """It is not asked again, and what it does counts."""
    cabled.guest.hold()
    assert FORWARD[name](cabled.plugger, cabled).result is Result.PENDING
    recable(cabled)
    asked: list[str] = []
    detach = cabled.guest.detach
    cabled.guest.detach = lambda alias, half: (asked.append(alias), detach(alias, half))  # type: ignore[method-assign]
    (outcome,) = cabled.plugger.recover(wait=20)
    assert outcome.result is Result.PENDING and not asked
    assert any("not asked again" in text for text in outcome.warnings)
    cabled.guest.resume()
    (outcome,) = cabled.plugger.recover(wait=20)
    if name == "handover":  # what takes its identity is connected as was asked, and not as it is by now
        assert outcome.result is Result.UNDONE and cabled.bridges[1] in outcome.message
    else:
        assert outcome.result is Result.DONE
    assert source(cabled) == ([] if name.startswith("detach") else [cabled.bridges[1]])


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_change_in_place_is_of_the_nic_that_was_looked_at(cabled: World, name: str) -> None:
    journal = cabled.host.journal
    begin = journal.begin

    def and_then(record: Any) -> None:
        begin(record)
        recable(cabled)

    journal.begin = and_then  # type: ignore[method-assign]
    with pytest.raises(NicChanged):
        IN_PLACE[name](cabled.plugger, cabled)
    assert source(cabled) == [cabled.bridges[1]]


def test_a_nic_of_the_definition_that_was_connected_elsewhere_stays_there(cabled: World) -> None:
    """The guest has let go of its own."""
    cabled.guest.hold()
    cabled.later(1.0, lambda: (recable(cabled, Half.CONFIG), cabled.guest.resume()))
    outcome = cabled.plugger.detach(cabled.name, MAC, scope=Scope.BOTH, wait=20)
    assert outcome.result is Result.DONE and any(cabled.bridges[1] in text for text in outcome.warnings)
    assert (source(cabled), source(cabled, Half.CONFIG)) == ([], [cabled.bridges[1]])
    assert [(nic.live, nic.config) for nic in outcome.nics] == [(False, True)]


@pytest.mark.parametrize("name", ["replace", "handover"])
def test_an_exchange_that_would_write_over_the_definition_is_undone(cabled: World, name: str) -> None:
    acts: dict[str, Callable[[], Any]] = {
        "replace": lambda: cabled.plugger.update(
            cabled.name, MAC, {"mtu": 1400}, replace=True, scope=Scope.BOTH, wait=20
        ),
        "handover": lambda: cabled.plugger.handover(cabled.name, MAC, cabled.bridge_nic(2), scope=Scope.BOTH, wait=20),
    }
    cabled.guest.hold()
    cabled.later(1.0, lambda: (recable(cabled, Half.CONFIG), cabled.guest.resume()))
    with pytest.raises(NicChanged):
        acts[name]()
    assert (source(cabled), source(cabled, Half.CONFIG)) == ([cabled.bridges[0]], [cabled.bridges[1]])
    assert cabled.plugger.recover() == ()


def test_a_nic_of_the_same_name_that_is_pending_is_one_whatever_it_is_connected_to(cabled: World) -> None:
    cabled.guest.hold()
    cabled.plugger.detach(cabled.name, MAC, wait=0.1)
    recable(cabled)
    with pytest.raises(NicPending):
        cabled.plugger.update(cabled.name, MAC, {"link_state": "down"})
    assert [nic.pending is not None for nic in cabled.plugger.list(cabled.name) if nic.mac == MAC] == [True]
