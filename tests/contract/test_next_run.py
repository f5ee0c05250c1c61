"""A NIC that libvirt named is looked for where no alias says which it is: in an image, in a restored guest, and in a run that was started since."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.test_any_nic import MAC, boot, element, give, nets
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_recabled import FORWARD as PENDING
from tests.contract.test_same_mac import bonded as bonded
from tests.contract.test_same_mac import halves, listed, places, ports
from tests.contract.world import World
from virtnetplug.errors import ForgetRefused
from virtnetplug.hotplug.look.view import still
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.lifecycle import State
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import Half, Result, Scope

Act = Callable[[Plugger, World], Any]


def a_save_ends_nothing(world: World, kind: str, *, is_renamed: bool) -> None:
    """The image has the NIC without an alias; another that has left before gives it another one in the restored guest."""
    give(world, "cold")
    if is_renamed:
        assert world.plugger.detach(world.name, "net0", wait=20).result is Result.DONE
    world.guest.hold()
    assert PENDING[kind](world.plugger, world).result is Result.PENDING
    (world.guest.managed_save if world.kind == "fake" else world.guest.dom.managedSave)()
    for _ in range(2):
        (outcome,) = world.plugger.recover()
        assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-saved")
    (world.guest.start if world.kind == "fake" else world.guest.dom.create)()
    assert [net.alias for net in ports(world)] == ["net0" if is_renamed else "net1"]
    (outcome,) = world.plugger.recover(wait=1)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-holds-device")
    assert [nic.pending is not None for nic in world.plugger.list(world.name) if nic.live and nic.mac == MAC] == [True]


@pytest.mark.parametrize("is_renamed", [False, True], ids=["", "renamed"])
@pytest.mark.parametrize("kind", PENDING)
def test_a_managed_save_ends_nothing(fake: World, kind: str, is_renamed: bool) -> None:
    a_save_ends_nothing(fake, kind, is_renamed=is_renamed)
    fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=30)] == [Result.DONE]
    assert len(ports(fake)) == (0 if kind.startswith("detach") else 1)
    assert [str(net.mac)[-1] for net in nets(fake, Half.LIVE) if str(net.mac) != MAC] == (
        ["9"] if is_renamed else ["8", "9"]
    )
    assert fake.plugger.recover() == ()


@pytest.mark.parametrize("kind", ["detach", "replace"])
def test_and_on_real_qemu(real: World, kind: str) -> None:
    a_save_ends_nothing(real, kind, is_renamed=True)


def test_who_waits_is_told_of_a_managed_save(fake: World) -> None:
    give(fake, "cold")
    fake.guest.hold()
    fake.host.hypervisor.clock.after(2.0, fake.guest.managed_save)  # type: ignore[attr-defined]
    outcome = fake.plugger.detach(fake.name, "net1", wait=20)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-saved")


def test_a_detach_of_both_halves_follows_the_definition_into_the_next_run(fake: World) -> None:
    """While it waits, the guest is started anew from the definition, which has the NIC at another guest address."""
    halves(fake)
    fake.guest.hold()
    fake.host.hypervisor.clock.after(2.0, fake.guest.restart)  # type: ignore[attr-defined]
    outcome = fake.plugger.detach(fake.name, MAC, scope=Scope.BOTH, wait=20)
    if outcome.result is Result.PENDING:
        fake.guest.resume()
        assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.DONE]
    assert (ports(fake), ports(fake, Half.CONFIG)) == ([], [])


def test_and_so_does_its_recovery(fake: World) -> None:
    halves(fake)
    die(fake, lambda p: p.detach(fake.name, MAC, scope=Scope.BOTH, wait=5), "detach", after=True)
    boot(fake)
    assert len(ports(fake)) == 1
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.DONE]
    assert (ports(fake), ports(fake, Half.CONFIG)) == ([], [])


def test_what_was_connected_elsewhere_in_the_definition_is_not_said_to_be_asked(fake: World) -> None:
    """The next run was asked for nothing, so its guest carries nothing."""
    halves(fake)
    die(fake, lambda p: p.detach(fake.name, MAC, scope=Scope.BOTH, wait=5), "detach", after=True)
    fake.guest.destroy()
    (config,) = ports(fake, Half.CONFIG)
    moved = config.element.replace(fake.bridges[0], fake.bridges[1])
    fake.host.hypervisor.domain(fake.name).update(moved, Half.CONFIG)
    fake.guest.start()
    (outcome,) = fake.plugger.recover(wait=1)
    assert outcome.result is Result.UNDONE and ports(fake)[0].source == fake.bridges[1]
    assert not fake.carries().asked


@pytest.mark.parametrize("change", ["rebind", "update"])
def test_a_change_of_both_halves_is_undone_in_the_next_run(fake: World, change: str) -> None:
    halves(fake)
    act: dict[str, Callable[[Plugger], Any]] = {
        "rebind": lambda p: p.rebind(fake.name, MAC, {"source_bridge": fake.bridges[1]}, scope=Scope.BOTH),
        "update": lambda p: p.update(fake.name, MAC, {"link_state": "down"}, scope=Scope.BOTH),
    }
    die(fake, act[change], "update", number=2, after=True)
    boot(fake)
    (outcome,) = fake.plugger.recover()
    assert (outcome.result, outcome.warnings) == (Result.UNDONE, ())
    assert [(net.source, net.link_state) for half in Half for net in ports(fake, half)] == [(fake.bridges[0], None)] * 2
    assert str(ports(fake)[0].target_dev) in fake.members(fake.bridges[0])


def _dies_and_boots(world: World, changes: dict[str, Any]) -> None:
    """A replacement in both halves dies once it has changed the definition, and the guest is started anew from that."""
    die(
        world,
        lambda p: p.update(world.name, MAC, changes, replace=True, scope=Scope.BOTH, wait=5),
        "update",
        after=True,
    )
    boot(world)


@pytest.mark.parametrize("two_addresses", [False, True])
@pytest.mark.parametrize("changes", [{"mtu": 1400}, {"mtu": 1400, "source_bridge": "br1"}], ids=["mtu", "bridge"])
def test_a_replacement_of_both_halves_is_undone_in_the_next_run(
    fake: World, changes: dict[str, Any], two_addresses: bool
) -> None:
    """The run has the new NIC as the definition said, under an alias of libvirt's."""
    (halves if two_addresses else lambda world: give(world, "cold"))(fake)
    if "source_bridge" in changes:
        changes = {**changes, "source_bridge": fake.bridges[1]}
    _dies_and_boots(fake, changes)
    assert [net.mtu for net in ports(fake)] == [1400]
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.UNDONE]
    assert [(net.source, net.mtu) for half in Half for net in ports(fake, half)] == [(fake.bridges[0], None)] * 2
    assert ports(fake)[0].address == ports(fake, Half.CONFIG)[0].address
    assert fake.plugger.recover() == ()


def test_a_replacement_by_a_vf_of_a_pool_is_undone_in_the_next_run(pool: World) -> None:
    """The definition names the pool, and the guest has one of its VFs."""
    give(pool, "cold")
    changes = {"source_network": "pool", "trust_guest_rx_filters": True}
    _dies_and_boots(pool, changes)
    assert [net.type for net in ports(pool)] == ["hostdev"]
    (outcome,) = pool.plugger.recover(wait=20)
    assert (outcome.result, outcome.warnings) == (Result.UNDONE, ())
    assert [net.source for half in Half for net in ports(pool, half)] == [pool.bridges[0]] * 2


def test_a_replacement_is_undone_in_a_run_that_was_started_before_the_definition_changed(fake: World) -> None:
    give(fake, "cold")
    act: Callable[[Plugger], Any] = lambda p: p.update(  # noqa: E731
        fake.name, MAC, {"mtu": 1400}, replace=True, scope=Scope.BOTH, wait=5
    )
    die(fake, act, "update")
    boot(fake)
    tap = ports(fake)[0].target_dev
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.UNDONE]
    assert [(net.mtu, net.target_dev) for net in ports(fake)] == [(None, tap)], "it was left alone"


EXCHANGES: dict[str, Act] = {
    "handover": lambda p, w: p.handover(w.name, MAC, "ua-nic2", scope=Scope.BOTH, wait=5),
    "handback": lambda p, w: p.handback(w.name, MAC, wait=5),
}


def given_anew(world: World, kind: str, emulated: str, source: str, number: int) -> None:
    """The exchange dies at an update of the definition, its guest is started anew, and the exchange is undone."""
    if emulated == "cold":
        give(world, "cold")
    else:
        world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.attach(world.name, [element(2, f"bridge='{source}'", "<alias name='ua-nic2'/>")], scope=Scope.BOTH)
    if kind == "handback":
        EXCHANGES["handover"](world.plugger, world)
    boot(world)
    before = known_by(world)
    die(world, lambda p: EXCHANGES[kind](p, world), "update", after=True, number=number)
    boot(world)
    (outcome,) = world.plugger.recover(wait=20)
    assert (outcome.result, outcome.reason, outcome.warnings) == (Result.UNDONE, "recovered", ())
    assert known_by(world) == before
    assert world.plugger.recover() == () and world.plugger.audit().findings == ()


def known_by(world: World) -> dict[Half, set[tuple[str | None, ...]]]:
    """The NICs of each definition; an alias counts if it lasts."""
    return {
        half: {
            (net.alias if is_lasting(net.alias) else None, str(net.mac), net.source, str(net.address))
            for net in nets(world, half)
        }
        for half in Half
    }


@pytest.mark.parametrize("bridge", [0, 1], ids=["one-bridge", "two-bridges"])
@pytest.mark.parametrize(
    ("kind", "emulated", "number"),
    [
        ("handover", "cold", 1),
        ("handover", "ua", 1),
        ("handover", "ua", 2),
        ("handback", "cold", 1),
        ("handback", "ua", 1),
        ("handback", "ua", 2),
    ],
)
def test_an_exchange_is_undone_in_a_run_of_the_definition_that_it_had_begun_to_write(
    fake: World, kind: str, emulated: str, number: int, bridge: int
) -> None:
    given_anew(fake, kind, emulated, fake.bridges[bridge], number)


def test_what_the_definition_had_before_an_exchange_is_left_in_such_a_run(fake: World) -> None:
    """The fast NIC, which is connected as the emulated one is, was to be put in its place in the definition, and is not yet."""
    give(fake, "cold")
    fast = element(2, f"bridge='{fake.bridges[0]}'", "<alias name='ua-nic2'/>")
    fake.plugger.attach(fake.name, [fast], scope=Scope.BOTH)
    die(fake, lambda p: EXCHANGES["handover"](p, fake), "update")
    boot(fake)
    (before,) = ports(fake)
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.UNDONE]
    assert [net.target_dev for net in ports(fake)] == [before.target_dev]


@pytest.mark.parametrize("kind", EXCHANGES)
def test_and_so_it_is_on_real_qemu(real: World, kind: str) -> None:
    given_anew(real, kind, "ua", real.bridges[1], 1)


def test_another_of_its_mac_is_not_asked_for_in_its_place(bonded: World) -> None:
    """Somebody takes the one that was asked for out of the definition, and starts the guest anew: the other is called as it was."""
    first, second = places(bonded)
    bonded.guest.hold()
    die(bonded, lambda p: p.detach(bonded.name, first, scope=Scope.BOTH, wait=5), "detach", after=True)
    bonded.guest.destroy()
    bonded.guest.detach_element(ports(bonded, Half.CONFIG)[0].element)
    bonded.guest.start()
    bonded.guest.holds = False
    assert [net.alias for net in ports(bonded)] == ["net0"]
    assert [each.result for each in bonded.plugger.recover(wait=20)] == [Result.DONE]
    assert listed(bonded) == [(second, True, True, False)]


def test_nor_taken_for_it_in_its_own_run(bonded: World) -> None:
    """The guest has let go, and somebody has put in another of that MAC, which libvirt calls the same."""
    first, second = places(bonded)
    bonded.guest.hold()
    alias = ports(bonded)[1].alias
    assert bonded.plugger.detach(bonded.name, second, wait=1).result is Result.PENDING
    bonded.guest.resume()
    place = "<address type='pci' domain='0' bus='0' slot='9' function='0'/>"
    bonded.guest.attach(element(1, f"bridge='{bonded.bridges[1]}'", place), Half.LIVE)
    assert [net.alias for net in ports(bonded)][1] == alias
    assert [each.result for each in bonded.plugger.recover(wait=20)] == [Result.DONE]
    assert sorted(str(net.address) for net in ports(bonded)) == [first, "0000:00:09.0"]


def test_nor_is_one_of_another_mac(fake: World) -> None:
    """It is at the place of the one that left, and libvirt calls it the same."""
    give(fake, "cold")
    fake.guest.hold()
    assert fake.plugger.detach(fake.name, "net2", wait=1).result is Result.PENDING
    fake.guest.resume()
    fake.guest.attach(element(5, f"bridge='{fake.bridges[1]}'"), Half.LIVE)
    assert [net.alias for net in nets(fake, Half.LIVE)] == ["net0", "net1", "net2"]
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.DONE]
    assert [str(net.mac)[-1] for net in nets(fake, Half.LIVE)] == ["8", "1", "5"]


@pytest.mark.parametrize(("alias", "is_it"), [("net1", True), (None, True), ("net2", False)])
def test_where_no_address_is_known_the_alias_decides(alias: str | None, is_it: bool) -> None:
    """As on Xen, and in an image, which has no alias either."""
    its = Interface(type="bridge", mac=Mac(MAC), alias="net1", source_bridge="br0", target_dev="vnet1")
    found = still([Interface(type="bridge", mac=Mac(MAC), alias=alias, source_bridge="br0")], its)
    assert (found is not None) == is_it


def given_again(world: World) -> str:
    """A detach is pending, the guest lets go, and somebody puts in another NIC of its alias, MAC and guest address on another bridge."""
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    world.guest.hold()
    outcome = world.plugger.detach(world.name, "ua-nic1", wait=1)
    assert outcome.result is Result.PENDING
    world.guest.resume()
    world.guest.attach(world.bridge_nic(1, bridge=world.bridges[1]), Half.LIVE)
    return str(outcome.operation_id)


def test_a_nic_that_somebody_put_in_after_the_answer_is_another(fake: World) -> None:
    """Its tap tells: libvirt moves the tap of a NIC that it connects elsewhere, and makes none."""
    given_again(fake)
    (outcome,) = fake.plugger.recover(wait=1)
    assert outcome.result is Result.DONE
    assert [text for text in outcome.warnings if "was put in once the guest had let go" in text]
    assert [net.source for net in nets(fake, Half.LIVE)] == [fake.bridges[1]]
    assert [nic.pending for nic in fake.plugger.list(fake.name)] == [None] and fake.plugger.recover() == ()


def test_what_no_tap_tells_can_be_forgotten(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on another host, where the process is not seen."""
    monkeypatch.setattr(fake.guest, "process", lambda: "")
    operation = given_again(fake)
    (outcome,) = fake.plugger.recover(wait=1)
    assert outcome.result is Result.PENDING
    (outcome,) = fake.plugger.recover(forget=operation)
    assert (outcome.result, outcome.reason) == (Result.LEFT, "forgotten") and "ua-nic1" in outcome.message
    assert fake.plugger.recover() == () and not fake.carries().asked
    assert [(net.alias, net.source) for net in nets(fake, Half.LIVE)] == [("ua-nic1", fake.bridges[1])]


def test_one_that_its_guest_still_has_cannot(fake: World) -> None:
    give(fake, "cold")
    fake.guest.hold()
    operation = PENDING["detach"](fake.plugger, fake).operation_id
    with pytest.raises(ForgetRefused):
        fake.plugger.recover(forget=operation)


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
def test_a_run_that_nobody_asked_is_not_shown_as_asked(fake: World, scope: Scope) -> None:
    """A detach of both halves goes on there, as the definition gave the NIC to it; one of the guest alone ended with its run."""
    give(fake, "cold")
    fake.guest.hold()
    die(fake, lambda p: p.detach(fake.name, "net1", scope=scope, wait=5), "detach", after=True)
    assert [nic.frontend for nic in fake.plugger.list(fake.name) if nic.mac == MAC] == [State.CLOSING]
    boot(fake)
    (nic,) = (nic for nic in fake.plugger.list(fake.name) if nic.mac == MAC)
    assert nic.frontend is not State.CLOSING and nic.backend is not State.CLOSING
    assert (nic.pending is None) == (scope is Scope.LIVE)
    assert fake.plugger.plan_update(fake.name, "net1", {"link_state": "down"}).fits == (scope is Scope.LIVE)
