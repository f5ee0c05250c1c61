"""Several NICs of one MAC and without an alias of anybody's, such as the ports of a bond in the guest: their guest addresses tell them apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.test_any_nic import MAC, boot, element, nets, state
from tests.contract.test_ends import arrived
from tests.contract.world import World
from virtnetplug.errors import DuplicateMac, HypervisorFailed, NicAmbiguous, NicPending
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Result, Scope

HALVES = (Half.LIVE, Half.CONFIG)


@pytest.fixture
def bonded(fake: World) -> World:
    return bond(fake)


def bond(world: World) -> World:
    """The guest boots with two NICs of one MAC in one bridge."""
    domain = world.host.hypervisor.domain(world.name)
    for _ in range(2):
        domain.attach(element(1, f"bridge='{world.bridges[0]}'"), Half.CONFIG)
    boot(world)
    return world


def ports(world: World, half: Half = Half.LIVE) -> list[Interface]:
    return [net for net in nets(world, half) if str(net.mac) == MAC]


def halves(world: World, number: int = 1) -> None:
    """``virsh attach-device --live --config``: the two halves have two guest addresses: libvirt chooses one for each half by itself."""
    domain = world.host.hypervisor.domain(world.name)
    domain.attach(element(9, f"bridge='{world.bridges[1]}'"), Half.LIVE)
    for half in HALVES:
        domain.attach(element(number, f"bridge='{world.bridges[0]}'"), half)
    (live,), (config,) = ports(world), ports(world, Half.CONFIG)
    assert live.address != config.address


def listed(world: World) -> list[tuple[str | None, bool, bool, bool]]:
    return [(str(nic.address), nic.live, nic.config, nic.pending is not None) for nic in world.plugger.list(world.name)]


def places(world: World) -> list[str]:
    return [str(net.address) for net in ports(world, Half.CONFIG)]


def every_operation_touches_one_of_them(world: World) -> None:
    """The second is replaced, connected to another bridge and detached; the first one stays as it is."""
    first, second = places(world)
    one, other = ports(world)
    assert other.address is not None
    assert listed(world) == [(first, True, True, False), (second, True, True, False)]
    with pytest.raises(NicAmbiguous, match="means 2 NICs"):
        world.plugger.plan_detach(world.name, MAC)
    assert world.plugger.plan_update(world.name, second, {"mtu": 1400}, replace=True).fits
    outcome = world.plugger.update(world.name, second, {"mtu": 1400}, replace=True, scope=Scope.BOTH, wait=20)
    assert outcome.result is Result.DONE and [str(nic.address) for nic in outcome.nics] == [second]
    assert [net.mtu for net in ports(world, Half.CONFIG)] == [None, 1400]
    moved = world.plugger.rebind(world.name, first, {"source_bridge": world.bridges[1]}, scope=Scope.LIVE)
    assert [str(nic.address) for nic in moved.nics] == [first]
    assert listed(world) == [(first, True, True, False), (second, True, True, False)]
    plan = world.plugger.plan_detach(world.name, second, scope=Scope.BOTH)
    assert plan.fits and f"slot='0x{other.address.slot:02x}'" in plan.diff["config"]
    gone = world.plugger.detach(world.name, second, scope=Scope.BOTH, wait=20)
    assert (gone.result, gone.nics) == (Result.DONE, ())
    assert [(net.alias, net.address) for net in ports(world)] == [(one.alias, one.address)]
    assert places(world) == [first] and world.plugger.recover() == ()


def test_every_operation_touches_one_of_them(bonded: World) -> None:
    every_operation_touches_one_of_them(bonded)


def test_and_on_real_qemu(real: World) -> None:
    every_operation_touches_one_of_them(bond(real))


PENDING: dict[str, Callable[[Plugger, str, str], Any]] = {
    "detach": lambda p, name, nic: p.detach(name, nic, wait=0.1),
    "replace": lambda p, name, nic: p.update(name, nic, {"mtu": 1400}, replace=True, wait=0.1),
}


@pytest.mark.parametrize("kind", PENDING)
def test_one_that_is_pending_is_not_shown_on_the_other(bonded: World, kind: str) -> None:
    first, second = places(bonded)
    bonded.guest.hold()
    assert PENDING[kind](bonded.plugger, bonded.name, second).result is Result.PENDING
    assert listed(bonded) == [(first, True, True, False), (second, True, True, True)]
    assert bonded.plugger.update(bonded.name, first, {"link_state": "down"}).result is Result.DONE
    with pytest.raises(NicPending):
        bonded.plugger.update(bonded.name, second, {"link_state": "down"})
    bonded.guest.resume()
    assert [each.result for each in bonded.plugger.recover(wait=20)] == [Result.DONE]
    assert len(ports(bonded)) == (1 if kind == "detach" else 2)


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
@pytest.mark.parametrize("kind", ["replace", "detach"])
def test_one_that_an_undo_puts_back_has_its_place_beside_the_other(
    bonded: World, monkeypatch: pytest.MonkeyPatch, kind: str, scope: Scope
) -> None:
    before, (_, second) = state(bonded), places(bonded)

    def refuse(*_: object) -> None:
        raise HypervisorFailed("not now")

    act: Callable[[Plugger], Any] = (
        (lambda p: p.update(bonded.name, second, {"mtu": 1400}, replace=True, scope=scope, wait=5))
        if kind == "replace"
        else (lambda p: p.detach(bonded.name, second, scope=scope, wait=5))
    )
    if kind == "replace":
        die(bonded, act, "attach", after=True)
        assert [each.result for each in bonded.plugger.recover(wait=20)] == [Result.UNDONE]
    elif scope is Scope.BOTH:
        monkeypatch.setattr(bonded.guest, "detach_element", refuse)
        with pytest.raises(HypervisorFailed, match="not now"):
            act(bonded.plugger)
    else:
        return
    assert state(bonded) == before


def test_a_third_one_is_refused(bonded: World) -> None:
    with pytest.raises(DuplicateMac):
        bonded.plugger.attach(bonded.name, [element(1, f"bridge='{bonded.bridges[1]}'")])


def test_one_is_not_handed_over(bonded: World) -> None:
    """Its identity would be remembered by its MAC, which the other one has, too."""
    before = state(bonded)
    fast = element(2, f"bridge='{bonded.bridges[1]}'", "<alias name='ua-fast'/>")
    with pytest.raises(DuplicateMac):
        bonded.plugger.handover(bonded.name, places(bonded)[1], fast, wait=20)
    assert state(bonded) == before


def test_a_live_nic_is_no_half_of_another_one_of_its_mac(bonded: World) -> None:
    """Somebody has attached a third one, and one of the first two has left: the definition has that one only."""
    first, second = places(bonded)
    bonded.plugger.detach(bonded.name, first, scope=Scope.LIVE, wait=20)
    third = element(
        1, f"bridge='{bonded.bridges[0]}'", "<address type='pci' domain='0' bus='0' slot='9' function='0'/>"
    )
    bonded.host.hypervisor.domain(bonded.name).attach(third, Half.LIVE)
    assert sorted(listed(bonded)) == sorted(
        [(second, True, True, False), ("0000:00:09.0", True, False, False), (first, False, True, False)]
    )


def test_a_nic_whose_halves_have_two_addresses_is_one(fake: World) -> None:
    halves(fake)
    assert [(nic.live, nic.config) for nic in fake.plugger.list(fake.name) if nic.mac == MAC] == [(True, True)]
    fake.guest.hold()
    fake.plugger.detach(fake.name, MAC, scope=Scope.BOTH, wait=0.1)
    with pytest.raises(NicPending):
        fake.plugger.update(fake.name, MAC, {"link_state": "down"})
    fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.DONE]
    assert not ports(fake) and not ports(fake, Half.CONFIG)


def test_where_the_guest_arrives_the_one_that_was_asked_for_goes(bonded: World) -> None:
    first, second = places(bonded)
    bonded.guest.hold()
    bonded.plugger.detach(bonded.name, second, wait=0.1)
    assert [nic.address for nic in bonded.carries().asked[0].nics] == [second]
    arrived(bonded)
    assert listed(bonded) == [(first, True, True, False), (second, True, True, True)]
    assert [each.reason for each in bonded.plugger.recover(wait=1)] == ["guest-holds-device"]
    bonded.guest.resume()
    assert [each.result for each in bonded.plugger.recover(wait=30)] == [Result.DONE]
    assert [str(net.address) for net in ports(bonded)] == [first]


@pytest.mark.parametrize("any_address", [False, True])
def test_a_place_that_was_taken_is_that_of_one_of_them(bonded: World, any_address: bool) -> None:
    """Somebody puts another NIC there while the guest is waited for; the other port is in nobody's way."""
    first, second = places(bonded)
    bonded.guest.hold()
    assert bonded.plugger.update(bonded.name, second, {"mtu": 1400}, replace=True, wait=0.1).result is Result.PENDING
    bonded.guest.resume()
    bonded.guest.attach(element(5, f"bridge='{bonded.bridges[1]}'"), Half.LIVE)
    (outcome,) = bonded.plugger.recover(wait=5, any_address=any_address)
    if not any_address:
        assert (outcome.result, outcome.reason) == (Result.PENDING, "place-taken") and second in outcome.message
        return
    assert outcome.result is Result.DONE
    assert {str(net.address) for net in ports(bonded)} == {first, "0000:00:04.0"}


def test_two_that_only_the_definition_has_leave_it(bonded: World) -> None:
    """Both are called by their MAC there."""
    first, second = places(bonded)
    bonded.guest.destroy()
    die(bonded, lambda p: p.detach(bonded.name, [first, second], scope=Scope.CONFIG), "detach_element", number=2)
    assert places(bonded) == [second]
    assert [each.result for each in bonded.plugger.recover()] == [Result.DONE]
    assert ports(bonded, Half.CONFIG) == []


def test_the_order_in_the_definition_is_theirs_again(bonded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is out of it when the second cannot be taken out: it comes back before the second."""
    before, detach = places(bonded), bonded.guest.detach_element

    def refuse(text: str) -> None:
        if "slot='0x03'" in text.replace('"', "'"):
            monkeypatch.undo()
            raise HypervisorFailed("not out")
        detach(text)

    monkeypatch.setattr(bonded.guest, "detach_element", refuse)
    with pytest.raises(HypervisorFailed, match="not out"):
        bonded.plugger.detach(bonded.name, before, scope=Scope.BOTH, wait=5)
    assert places(bonded) == before


def test_what_was_done_to_one_is_no_history_of_the_other(bonded: World) -> None:
    """Nor of the NIC that libvirt calls so in the next run."""
    first, second = places(bonded)
    bonded.plugger.update(bonded.name, second, {"link_state": "down"})
    assert [len(bonded.plugger.show(bonded.name, each).history) for each in (first, second)] == [0, 1]
    bonded.guest.detach_element(ports(bonded, Half.CONFIG)[0].element)
    boot(bonded)
    bonded.guest.attach(element(2, f"bridge='{bonded.bridges[0]}'"), Half.LIVE)
    assert [len(bonded.plugger.show(bonded.name, each).history) for each in ("net0", "net1")] == [1, 0]
