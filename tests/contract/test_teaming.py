"""Teaming pairs: both halves in one call, in the right order however they were given; refused where they cannot work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.conftest import fake_world
from tests.contract.test_hostdev import devices, pool, state_of
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import Failed, HypervisorFailed, Refused, VirtnetplugError
from virtnetplug.hotplug.plug import announcement
from virtnetplug.model.interface import Interface, Teaming
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half, Result, Scope

__all__ = ["pool"]

MAC = Mac("52:54:00:00:00:77")
BOTH_WAYS = pytest.mark.parametrize("order", [1, -1], ids=["in order", "the other way round"])


@pytest.fixture
def q35(tmp_path: Path) -> Iterator[World]:
    for world in fake_world(tmp_path, machine="q35"):
        world.host.hypervisor.add_network(  # type: ignore[attr-defined]
            Network(name="pool", forward="hostdev", pf="eth0", managed=True)
        )
        yield world


def persistent(*, mac: Mac | None = MAC, model: str = "virtio", alias: str = "ua-e") -> Interface:
    return Interface(
        type="network", source_network="default", mac=mac, model=model, alias=alias, teaming=Teaming("persistent")
    )


def transient(*, mac: Mac | None = MAC, alias: str = "ua-p", partner: str = "ua-e") -> Interface:
    return Interface(type="network", source_network="pool", mac=mac, alias=alias, teaming=Teaming("transient", partner))


def order_of(world: World, half: Half = Half.LIVE) -> list[str]:
    return [net.alias or "" for net in xml.devices(world.host.hypervisor.domain(world.name).xml(half)).nets]


@BOTH_WAYS
@pytest.mark.parametrize("machine", ["pool", "q35"])
def test_both_halves_go_in_and_out_in_the_order_that_works(
    request: pytest.FixtureRequest, machine: str, order: int
) -> None:
    world: World = request.getfixturevalue(machine)
    domain = world.host.hypervisor.domain(world.name)
    before = domain.xml(Half.LIVE)
    asked: list[str] = []
    detach = domain.detach

    def tell(alias: str, half: Half) -> None:
        asked.append(f"{alias} {half} of {order_of(world)}")
        detach(alias, half)

    domain.detach = tell  # type: ignore[method-assign]
    outcome = world.plugger.attach(world.name, [persistent(), transient()][::order], scope=Scope.BOTH)
    assert outcome.result is Result.DONE
    assert order_of(world) == order_of(world, Half.CONFIG) == ["ua-e", "ua-p"]
    assert {nic.mac for nic in outcome.nics} == {str(MAC)}
    again = world.plugger.attach(world.name, [persistent(), transient()][::order], scope=Scope.BOTH)
    assert again.result is Result.ALREADY
    outcome = world.plugger.detach(world.name, ["ua-e", "ua-p"][::order], scope=Scope.BOTH)
    assert outcome.result is Result.DONE
    assert asked == [
        "ua-p live of ['ua-e', 'ua-p']", "ua-e live of ['ua-e']", "ua-p config of []", "ua-e config of []"
    ]  # fmt: skip
    assert domain.xml(Half.LIVE) == before and list(world.host.journal.holdings()) == []


@BOTH_WAYS
def test_a_pair_without_a_mac_gets_one(pool: World, order: int) -> None:
    outcome = pool.plugger.attach(pool.name, [persistent(mac=None), transient(mac=None)][::order])
    assert len({nic.mac for nic in outcome.nics}) == 1 and outcome.nics[0].mac is not None


@pytest.mark.parametrize(("one", "two"), [(MAC, None), (None, MAC)])
def test_a_mac_that_one_half_says_is_that_of_both(pool: World, one: Mac | None, two: Mac | None) -> None:
    outcome = pool.plugger.attach(pool.name, [persistent(mac=one), transient(mac=two)])
    assert {nic.mac for nic in outcome.nics} == {str(MAC)}


def test_a_transient_half_takes_the_mac_of_the_partner_in_the_guest(pool: World) -> None:
    pool.plugger.attach(pool.name, [persistent()])
    (vf,) = pool.plugger.attach(pool.name, [transient(mac=None)]).nics
    assert vf.mac == str(MAC)


OTHER = Mac("52:54:00:00:00:78")


@pytest.mark.parametrize(
    ("nics", "reason", "told"),
    [
        ([transient(mac=OTHER), persistent()], "teaming-incomplete", "Give both the same"),
        ([transient()], "teaming-incomplete", "Attach the persistent half first"),
        ([transient(partner="ua-other"), persistent()], "teaming-incomplete", "has no NIC of that alias"),
        ([transient(), persistent(model="e1000")], "teaming-incomplete", "needs model virtio"),
        (
            [transient(), persistent(), transient(alias="ua-p2")],
            "teaming-incomplete",
            "has ua-p .*already: a pair has one transient half",
        ),
    ],
)
def test_a_pair_that_cannot_work_is_refused_and_nothing_is_touched(
    pool: World, nics: list[Interface], reason: str, told: str
) -> None:
    before = state_of(pool)
    with pytest.raises(Refused, match=told) as caught:
        pool.plugger.attach(pool.name, nics)
    assert (caught.value.reason, caught.value.exit_code) == (reason, 3)
    assert pool.plugger.plan_attach(pool.name, nics).refusals[0].reason == reason
    assert state_of(pool) == before


def test_a_second_transient_half_for_a_partner_in_the_guest_is_refused(pool: World) -> None:
    pool.plugger.attach(pool.name, [persistent(), transient()])
    before = state_of(pool)
    with pytest.raises(Refused, match=r"has ua-p .*already"):
        pool.plugger.attach(pool.name, [transient(alias="ua-p2")])
    assert state_of(pool) == before


def test_a_machine_without_a_root_port_for_each_half_is_refused(q35: World) -> None:
    for number in range(1, 8):
        q35.plugger.attach(q35.name, [q35.bridge_nic(number)])
    before = q35.snapshot()
    with pytest.raises(Refused, match=r"1 free PCIe hot-plug ports, and 2 NIC.*pcie-root-port") as caught:
        q35.plugger.attach(q35.name, [persistent(), transient()])
    assert caught.value.reason == "no-free-port"
    q35.plugger.attach(q35.name, [persistent()])
    with pytest.raises(Refused, match="no free PCIe hot-plug ports"):
        q35.plugger.attach(q35.name, [transient()])
    q35.plugger.detach(q35.name, "ua-e")
    assert q35.snapshot() == before


def test_a_pair_of_which_one_half_fails_leaves_nothing(pool: World) -> None:
    before = state_of(pool)
    domain = pool.host.hypervisor.domain(pool.name)
    attach = domain.attach

    def fail(element: str, half: Half) -> None:
        if "hostdev" in element:
            raise HypervisorFailed("no")
        attach(element, half)

    domain.attach = fail  # type: ignore[method-assign]
    with pytest.raises(VirtnetplugError):
        pool.plugger.attach(pool.name, [transient(), persistent()])
    assert state_of(pool) == before


def test_a_guest_that_keeps_the_transient_half_is_not_asked_for_the_persistent_one(pool: World) -> None:
    before = state_of(pool)
    pool.plugger.attach(pool.name, [persistent(), transient()])
    pool.guest.hold()
    outcome = pool.plugger.detach(pool.name, ["ua-e", "ua-p"], wait=0.2)
    assert outcome.result is Result.PENDING
    assert pool.guest._leaving == ["ua-p"], "its traffic may need the other"
    assert {nic.alias for nic in pool.plugger.list(pool.name) if nic.pending} == {"ua-e", "ua-p"}
    assert len(devices(pool).held) == 1
    pool.guest.resume()
    (finished,) = pool.plugger.recover(wait=5)
    assert finished.result is Result.DONE
    assert state_of(pool) == before


def tap_of(world: World, alias: str) -> str | None:
    nets = xml.devices(world.host.hypervisor.domain(world.name).xml(Half.LIVE)).nets
    return next(net.target_dev for net in nets if net.alias == alias)


def introduced(world: World) -> list[tuple[str, str]]:
    return world.host.hypervisor.introduced  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("is_slow", [False, True], ids=["at once", "while recover waits"])
def test_the_network_is_told_that_the_persistent_half_has_the_traffic_again(pool: World, is_slow: bool) -> None:
    """Its bridge last saw the MAC behind the VF, and would look for it there until the guest sends by itself."""
    pool.plugger.attach(pool.name, [persistent(), transient()])
    assert introduced(pool) == []
    if is_slow:
        pool.guest.hold()
        assert pool.plugger.detach(pool.name, "ua-p", wait=0.2).result is Result.PENDING
        assert introduced(pool) == [], "the guest still has it"
        pool.guest.resume()
        pool.plugger.recover(wait=5)
    else:
        pool.plugger.detach(pool.name, "ua-p")
    assert introduced(pool) == [(tap_of(pool, "ua-e"), str(MAC))]
    pool.plugger.detach(pool.name, "ua-e")
    assert len(introduced(pool)) == 1


def test_it_is_told_of_any_transient_half_that_leaves(pool: World) -> None:
    pool.plugger.attach(pool.name, [persistent(), transient()])
    here = (tap_of(pool, "ua-e"), str(MAC))
    pool.plugger.rebind_vf(pool.name, "ua-p", "auto")
    assert introduced(pool) == [here]
    pf = pool.host.host_devices.device(next(iter(devices(pool).held))).pf
    assert pf is not None
    pool.plugger.rebind_pf(str(pf), reload_driver=True)
    assert introduced(pool) == [here] * 2
    pool.plugger.handover(pool.name, "ua-e", "ua-p")
    pool.plugger.handback(pool.name, "ua-e")
    assert introduced(pool) == [here] * 3


MOVES: dict[str, list[tuple[str, bool]]] = {
    "the guest takes it": [("tap", False), ("tap", True), ("", True), ("uplink", True)],
    "the guest has taken it at once": [("tap", False), ("uplink", True)],
}


@pytest.mark.parametrize("move", MOVES)
def test_what_a_bridge_has_learnt_of_the_mac_makes_way(pool: World, monkeypatch: pytest.MonkeyPatch, move: str) -> None:
    """The guest sends through the persistent half until it uses the other one, and takes nothing from there from then on."""
    pool.plugger.attach(pool.name, [persistent()])
    tap, hypervisor = tap_of(pool, "ua-e"), pool.host.hypervisor
    seen = [(tap if place == "tap" else place or None, driven) for place, driven in MOVES[move]]
    looks = iter([seen[0], *seen])
    now: list[tuple[str | None, bool]] = []

    def learned(name: str, mac: str) -> str | None:
        assert (name, mac) == (tap, str(MAC))
        now[:] = [next(looks)]
        return now[0][0]

    monkeypatch.setattr(hypervisor, "learned", learned)
    monkeypatch.setattr(pool.host.host_devices, "is_msix_enabled", lambda address: now[0][1])
    pool.plugger.attach(pool.name, [transient()])
    assert next(looks, None) is None, "it was watched until the end"
    taught = sum(place == tap for place, _ in seen)
    assert hypervisor.forgotten == [(tap, str(MAC))] * taught  # type: ignore[attr-defined]


def test_way_is_made_for_any_transient_half_that_comes(pool: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.plugger.attach(pool.name, [persistent(), transient()])
    tap, hypervisor = tap_of(pool, "ua-e"), pool.host.hypervisor
    pf = str(pool.host.host_devices.device(next(iter(devices(pool).held))).pf)
    monkeypatch.setattr(announcement, "SECONDS", 0.01)

    def check(operation: Callable[[], object]) -> None:
        hypervisor.forgotten.clear()  # type: ignore[attr-defined]
        hypervisor.macs[str(MAC)] = tap  # type: ignore[attr-defined]
        operation()
        assert hypervisor.forgotten == [(tap, str(MAC))]  # type: ignore[attr-defined]

    plugger, name = pool.plugger, pool.name
    check(lambda: plugger.rebind_vf(name, "ua-p", "auto"))
    check(lambda: plugger.rebind_pf(pf, reload_driver=True))
    check(lambda: plugger.update(name, "ua-p", {"boot_order": 2}, replace=True))
    plugger.detach(name, "ua-p")
    check(lambda: plugger.handover(name, "ua-e", transient(mac=None, partner="ua-e")))


@pytest.mark.parametrize("driven", [False, True])
def test_a_guest_that_never_takes_it_is_waited_for_no_longer_than_said(
    pool: World, monkeypatch: pytest.MonkeyPatch, driven: bool
) -> None:
    pool.plugger.attach(pool.name, [persistent()])
    tap = tap_of(pool, "ua-e")
    monkeypatch.setattr(announcement, "SECONDS", 0.05)
    monkeypatch.setattr(pool.host.hypervisor, "learned", lambda name, mac: tap)
    monkeypatch.setattr(pool.host.host_devices, "is_msix_enabled", lambda address: driven)
    assert pool.plugger.attach(pool.name, [transient()]).warnings == ()
    assert (tap, str(MAC)) in pool.host.hypervisor.forgotten  # type: ignore[attr-defined]


def test_of_a_guest_that_was_not_heard_of_there_is_nothing_to_forget(
    pool: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(address: object) -> bool:
        raise AssertionError("nobody has to look")

    monkeypatch.setattr(pool.host.host_devices, "is_msix_enabled", look)
    pool.plugger.attach(pool.name, [persistent(), transient()])
    assert pool.host.hypervisor.forgotten == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", [Failed("no permission"), KeyboardInterrupt()])
def test_that_the_bridge_does_not_forget_stops_nothing(
    pool: World, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def fail(name: str, mac: str) -> None:
        raise fault

    pool.plugger.attach(pool.name, [persistent()])
    tap = tap_of(pool, "ua-e")
    monkeypatch.setattr(pool.host.hypervisor, "learned", lambda name, mac: tap)
    monkeypatch.setattr(pool.host.hypervisor, "forget", fail)
    outcome = pool.plugger.attach(pool.name, [transient()])
    assert outcome.result is Result.DONE and order_of(pool) == ["ua-e", "ua-p"]
    assert all("no permission" in text for text in outcome.warnings)
    assert len(outcome.warnings) == isinstance(fault, Failed)


def test_it_is_told_of_one_that_came_and_had_to_leave_again(pool: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.plugger.attach(pool.name, [persistent()])

    def fail(*_: object) -> None:
        raise HypervisorFailed("no")

    monkeypatch.setattr(pool.host.journal, "put_nic", fail)
    with pytest.raises(VirtnetplugError):
        pool.plugger.attach(pool.name, [transient()])
    assert order_of(pool) == ["ua-e"]
    assert introduced(pool) == [(tap_of(pool, "ua-e"), str(MAC))]


def test_that_it_cannot_be_told_stops_nothing(pool: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, mac: str) -> None:
        raise Failed("no permission")

    pool.plugger.attach(pool.name, [persistent(), transient()])
    monkeypatch.setattr(pool.host.hypervisor, "introduce", fail)
    outcome = pool.plugger.detach(pool.name, "ua-p")
    assert outcome.result is Result.DONE and "no permission" in outcome.warnings[0]


@pytest.mark.parametrize("scope", list(Scope))
def test_the_persistent_half_does_not_go_alone(pool: World, scope: Scope) -> None:
    pool.plugger.attach(pool.name, [persistent(), transient()], scope=Scope.BOTH)
    before = state_of(pool)
    with pytest.raises(Refused, match="Detach ua-p first, or both in one call") as caught:
        pool.plugger.detach(pool.name, "ua-e", scope=scope)
    assert (caught.value.reason, caught.value.exit_code) == ("teaming-incomplete", 3)
    plan = pool.plugger.plan_detach(pool.name, "ua-e", scope=scope)
    assert not plan.fits and plan.refusals[0].reason == "teaming-incomplete"
    assert state_of(pool) == before
    for alias in ("ua-p", "ua-e"):
        assert pool.plugger.detach(pool.name, alias, scope=scope).result is Result.DONE


def test_each_half_counts_by_itself(pool: World) -> None:
    pool.plugger.attach(pool.name, [persistent(), transient()], scope=Scope.BOTH)
    pool.plugger.detach(pool.name, "ua-p", scope=Scope.LIVE)
    with pytest.raises(Refused, match=r"the definition of .* would keep without it"):
        pool.plugger.detach(pool.name, "ua-e", scope=Scope.BOTH)
    assert pool.plugger.detach(pool.name, "ua-e", scope=Scope.LIVE).result is Result.DONE


def test_a_persistent_half_that_was_asked_for_already_may_be_waited_for_again(pool: World) -> None:
    before = state_of(pool)
    pool.plugger.attach(pool.name, [persistent(), transient()])
    pool.guest.hold()
    pool.plugger.detach(pool.name, ["ua-e", "ua-p"], wait=0.2)
    assert pool.plugger.plan_detach(pool.name, "ua-e").fits
    assert pool.plugger.detach(pool.name, "ua-e", wait=0.2).result is Result.PENDING
    pool.guest.resume()
    pool.plugger.recover(wait=5)
    assert state_of(pool) == before
