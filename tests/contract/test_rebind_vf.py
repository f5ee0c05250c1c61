"""An assigned NIC moves to another VF: of its pool, of another PF, by itself or because it was told to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.faults import Crash, Trigger, faulty, points
from tests.contract.test_hostdev import FIRST, by_address, devices, nic, requested, state_of
from tests.contract.test_hostdev import pool as pool
from tests.contract.world import World
from tests.fakes.host_devices import PFS
from virtnetplug import xml
from virtnetplug.errors import ForgetRefused, Refused, VirtnetplugError
from virtnetplug.hotplug.guest import asking
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.host_device import NO_MAC, VFIO_DRIVER
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half, Nic, Result, Scope
from virtnetplug.model.pci import PciAddress

SECOND, LAST = PciAddress(0, 1, 0x10, 2), PciAddress(0, 1, 0x10, 6)
OTHER_PF = PciAddress(0, 2, 0x10, 4)
SETTINGS = {"trust": True, "spoofchk": False, "max_rate": 100, "vlan_qos": 3}
VLAN = "<vlan><tag id='42'/></vlan>"


def one(world: World) -> Nic:
    (found,) = [each for each in world.plugger.list(world.name) if each.live]
    return found


def attached(world: World, extra: str = VLAN, scope: Scope = Scope.BOTH) -> Nic:
    world.plugger.attach(world.name, [nic(1, extra=extra)], scope=scope)
    world.plugger.update(world.name, "ua-vf1", SETTINGS)
    return one(world)


def assert_moved(world: World, before: dict[str, Any], address: PciAddress, network: str) -> None:
    """There with all that it was, the VF it had as it was before it was lent, and nothing else touched."""
    now, fake = one(world), devices(world)
    (holding,) = world.host.journal.holdings()
    assert (now.host_address, holding.address, holding.network) == (address, address, network)
    has = fake.set[address]
    assert (has.admin_mac, has.vlan, has.qos) == ("52:54:00:00:00:01", 42, 3)
    assert (has.trust, has.spoofchk, has.max_rate) == (True, False, 100)
    assert [device.address for device in fake.found.values() if device.driver == VFIO_DRIVER] == [address]
    others = [each for at, each in fake.set.items() if at != address]
    assert {(each.admin_mac, each.vlan, each.trust, each.max_rate) for each in others} == {(NO_MAC, 0, False, 0)}
    assert [port.host_address for name in ("pool", "unmanaged") for port in world.host.networks.ports(name)] == (
        [address] if network else []
    )
    assert world.definition(Half.CONFIG) == before["config"]
    assert world.host.journal.open_operations() == [] and world.plugger.audit().findings == ()


def test_auto_is_the_best_other_vf_of_its_pool(pool: World) -> None:
    old = attached(pool)
    before = pool.snapshot()
    outcome = pool.plugger.rebind_vf(pool.name, "ua-vf1")
    assert (outcome.operation, outcome.result) == ("rebind-vf", Result.DONE)
    assert "no teaming partner" in outcome.warnings[0]
    assert_moved(pool, before, SECOND, "pool")
    assert one(pool).address == old.address and old.address is not None
    pool.plugger.rebind_vf(pool.name, "ua-vf1")
    assert one(pool).host_address == FIRST


@pytest.mark.parametrize(("address", "network"), [(LAST, "pool"), (OTHER_PF, "unmanaged")])
def test_an_address_goes_through_the_pool_that_lends_it(pool: World, address: PciAddress, network: str) -> None:
    old = attached(pool)
    before = pool.snapshot()
    outcome = pool.plugger.rebind_vf(pool.name, str(FIRST), str(address))
    assert outcome.result is Result.DONE
    assert any("next boot" in text for text in outcome.warnings) is (network != "pool")
    assert_moved(pool, before, address, network)
    assert one(pool).address == old.address


def test_an_address_that_no_pool_lends(pool: World) -> None:
    attached(pool)
    pool.host.hypervisor.nets.pop("unmanaged")  # type: ignore[attr-defined]
    pool.plugger.rebind_vf(pool.name, "ua-vf1", OTHER_PF)
    (holding,) = pool.host.journal.holdings()
    assert (holding.address, holding.network) == (OTHER_PF, "")
    assert pool.plugger.detach(pool.name, "ua-vf1", scope=Scope.BOTH).warnings == ()


def test_the_vf_it_has_is_already_so(pool: World) -> None:
    attached(pool)
    before = state_of(pool)
    outcome = pool.plugger.rebind_vf(pool.name, "ua-vf1", FIRST)
    assert (outcome.result, [each.alias for each in outcome.nics]) == (Result.ALREADY, ["ua-vf1"])
    assert pool.plugger.plan_rebind_vf(pool.name, "ua-vf1", FIRST).warnings == (
        "already as asked; nothing would be changed",
    )
    assert state_of(pool) == before


def test_a_plan_names_the_steps_and_touches_nothing(pool: World) -> None:
    attached(pool)
    before = state_of(pool)
    plan = pool.plugger.plan_rebind_vf(pool.name, "ua-vf1", str(LAST))
    assert plan.fits and [step.name for step in plan.steps] == [
        *("ask", "guest_release", "pci_reattach"),
        *("claim_device", "plug_device", "attach_hostdev", "change_device", "confirm"),
    ]
    assert state_of(pool) == before


def _lent(world: World) -> None:
    world.plugger.attach(world.name, [nic(2)])


def _down(world: World) -> None:
    devices(world).links[PFS[1]] = False


def _quarantined(world: World) -> None:
    _lent(world)
    devices(world).set_by_hand(SECOND, trust=True)
    devices(world).unsettable.add("trust")
    world.plugger.detach(world.name, "ua-vf2")


def _company(world: World) -> None:
    devices(world).replace(OTHER_PF, iommu_group=12)


UNFIT: dict[str, tuple[Callable[[World], object], PciAddress | str, str, str]] = {
    "lent": (_lent, SECOND, "host-device-busy", "held for|has it"),
    "quarantined": (_quarantined, SECOND, "host-device-busy", "quarantined"),
    "link down": (_down, OTHER_PF, "host-device-busy", r"link of its PF 0000:02:00\.0 is down"),
    "a PF": (lambda w: None, PFS[1], "host-device-unfit", "it is a PF"),
    "none": (lambda w: None, "0000:7f:00.0", "host-device-missing", "no PCI device"),
    "company": (_company, OTHER_PF, "host-device-unfit", "IOMMU group 12"),
    "last of its pool": (
        lambda w: w.plugger.attach(w.name, [nic(number) for number in (2, 3, 4)]), "auto", "pool-exhausted", "no device left",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNFIT)
def test_what_it_cannot_have_is_refused_before_anything_is_touched(pool: World, case: str) -> None:
    prepare, to, reason, said = UNFIT[case]
    attached(pool)
    prepare(pool)
    before = state_of(pool)
    with pytest.raises(Refused, match=said) as caught:
        pool.plugger.rebind_vf(pool.name, "ua-vf1", to)
    assert (caught.value.reason, caught.value.exit_code) == (reason, 3)
    assert state_of(pool) == before


def test_what_it_cannot_be_done_to_is_refused(pool: World) -> None:
    pool.plugger.attach(pool.name, [pool.bridge_nic(1), by_address()])
    with pytest.raises(Refused, match="no assigned device"):
        pool.plugger.rebind_vf(pool.name, "ua-nic1")
    with pytest.raises(Refused, match="no pool"):
        pool.plugger.rebind_vf(pool.name, "ua-vf9")
    assert pool.plugger.rebind_vf(pool.name, "ua-vf9", LAST).result is Result.DONE


@pytest.mark.parametrize(("change", "said"), [({"vlan": 7}, "VLAN is 7 and not 42"), ({"admin_mac": NO_MAC}, "MAC is")])
def test_a_vf_that_somebody_set_otherwise_is_left_alone(pool: World, change: dict[str, Any], said: str) -> None:
    """Trust off: a guest that is trusted may set its own MAC."""
    pool.plugger.attach(pool.name, [nic(1, extra=VLAN)])
    devices(pool).set_by_hand(FIRST, **change)
    before = state_of(pool)
    with pytest.raises(Refused, match=said) as caught:
        pool.plugger.rebind_vf(pool.name, "ua-vf1")
    assert caught.value.reason == "vf-changed"
    assert state_of(pool) == before


def test_with_a_teaming_partner_nothing_is_to_be_said(pool: World) -> None:
    partner = pool.bridge_nic(1, alias="ua-e", extra="<teaming type='persistent'/>")
    pool.plugger.attach(pool.name, [partner, nic(1, extra="<teaming type='transient' persistent='ua-e'/>")])
    outcome = pool.plugger.rebind_vf(pool.name, "ua-vf1", SECOND)
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    assert sorted(str(each.alias) for each in pool.plugger.list(pool.name)) == ["ua-e", "ua-vf1"]


def test_a_guest_that_holds_on_gets_the_other_vf_when_it_lets_go(pool: World) -> None:
    attached(pool)
    before = pool.snapshot()
    pool.guest.hold()
    outcome = pool.plugger.rebind_vf(pool.name, "ua-vf1", OTHER_PF, wait=0.2)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-holds-device")
    assert one(pool).host_address == FIRST and one(pool).pending
    with pytest.raises(Refused, match="not settled"):
        pool.plugger.rebind_vf(pool.name, "ua-vf1", LAST)
    pool.guest.resume()
    assert [each.result for each in pool.plugger.recover(wait=5)] == [Result.DONE]
    assert_moved(pool, before, OTHER_PF, "unmanaged")


def test_a_vf_that_is_lost_meanwhile_brings_the_old_one_back(pool: World, monkeypatch: pytest.MonkeyPatch) -> None:
    attached(pool)
    before = state_of(pool)
    domain = pool.host.hypervisor.domain(pool.name)
    detach = domain.detach

    def race(alias: str, half: Half) -> None:
        pool.host.hypervisor.add("other").attach(by_address(OTHER_PF), Half.LIVE)  # type: ignore[attr-defined]
        detach(alias, half)

    monkeypatch.setattr(domain, "detach", race)
    with pytest.raises(VirtnetplugError) as caught:
        pool.plugger.rebind_vf(pool.name, "ua-vf1", OTHER_PF)
    assert caught.value.exit_code == 4 and "other" in caught.value.message
    pool.host.hypervisor.domain("other").destroy()  # type: ignore[attr-defined]
    assert as_before(state_of(pool)) == as_before(before)


def as_before(state: dict[str, Any]) -> dict[str, Any]:
    """libvirt appends what is put back, and a VF that is lent again is another loan."""
    held = [dataclasses.replace(each, operation_id="", since=0.0, port="") for each in state["held"]]
    nets = [dataclasses.replace(net, element="") for net in xml.devices(str(state["live"])).nets]
    return {**state, "live": nets, "config": sorted(str(state["config"]).split()), "held": held}


def _to_other(world: World, plugger: Plugger) -> object:
    return plugger.rebind_vf(world.name, "ua-vf1", OTHER_PF, wait=5)


def _auto(world: World, plugger: Plugger) -> object:
    return plugger.rebind_vf(world.name, "ua-vf1", wait=5)


ACTS = {"auto": (_auto, SECOND, "pool"), "other": (_to_other, OTHER_PF, "unmanaged")}


@pytest.mark.many(3)
@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("how", ["fail", "crash"])
def test_at_every_step(pool: World, monkeypatch: pytest.MonkeyPatch, name: str, how: str) -> None:
    monkeypatch.setattr(asking, "GRACE", 0.05)
    act, address, network = ACTS[name]
    attached(pool)
    counter = Trigger(-1, "none")
    act(pool, Plugger(faulty(pool.host, counter), lambda: None))
    pool.plugger.rebind_vf(pool.name, "ua-vf1", FIRST)
    for k, after in points(how, counter.calls):
        before = state_of(pool)
        trigger = Trigger(k, how, after=after)
        with suppress(VirtnetplugError, Crash):
            act(pool, Plugger(faulty(pool.host, trigger), lambda: None))
        what = f"{how} {'after' if after else 'at'} call {k}, {trigger.calls[-1]}"
        assert trigger.fired, what
        if how == "crash":
            pool.host.journal.close()
            pool.host = pool.reopen()
        pool.plugger.recover(wait=5)
        assert pool.plugger.recover() == (), what
        if one(pool).host_address == address:
            assert_moved(pool, before, address, network)
            pool.plugger.rebind_vf(pool.name, "ua-vf1", FIRST)
        else:
            assert as_before(state_of(pool)) == as_before(before), what


def test_what_was_asked_of_the_vf_before_goes_along(pool: World) -> None:
    pool.plugger.attach(pool.name, [requested(trust=True, vlan_qos=3, max_rate=100)])
    pool.plugger.rebind_vf(pool.name, "ua-vf1", OTHER_PF)
    has = devices(pool).set[OTHER_PF]
    assert (has.trust, has.qos, has.max_rate) == (True, 3, 100)
    assert devices(pool).set[FIRST].trust is False


def _nat(world: World) -> Network:
    return Network(name="pool", forward="nat", bridge="virbr9")


LOST_POOLS: dict[str, tuple[Callable[[World], Network | None], str, str]] = {
    "gone": (lambda w: None, "network-missing", "Define it as it was, and start it"),
    "nat": (_nat, "not-supported", "Define it as it was, and start it"),
    "inactive": (
        lambda w: dataclasses.replace(w.host.networks.network("pool"), active=False),
        "network-inactive",
        "'virsh net-start pool'",
    ),
}


@pytest.mark.parametrize("case", LOST_POOLS)
def test_one_that_cannot_come_back_as_its_pool_is_gone_says_what_to_do(pool: World, case: str) -> None:
    other, reason, remedy = LOST_POOLS[case]
    attached(pool)
    die(pool, lambda p: p.rebind_vf(pool.name, "ua-vf1", wait=3), "detach", after=True)
    nets: Any = pool.host.hypervisor.nets  # type: ignore[attr-defined]
    before, now = nets["pool"], other(pool)
    del nets["pool"]
    nets |= {"pool": now} if now is not None else {}
    for _ in range(2):
        (outcome,) = pool.plugger.recover(wait=1)
        assert (outcome.result, outcome.reason) == (Result.INCOMPLETE, reason)
        assert remedy in outcome.message and f"Then `recover({pool.name!r})`" in outcome.message
    assert "forget=" in outcome.message
    nets["pool"] = before
    (outcome,) = [each for each in pool.plugger.recover(wait=1) if each.operation == "rebind-vf"]
    assert outcome.result is Result.UNDONE and one(pool).alias == "ua-vf1"
    assert pool.host.journal.open_operations() == [] and pool.plugger.audit().findings == ()


def _lose_pool(world: World) -> None:
    del world.host.hypervisor.nets["pool"]  # type: ignore[attr-defined]


def _take(world: World) -> None:
    """Another guest has it, named by its address."""
    world.host.hypervisor.add("third").attach(  # type: ignore[attr-defined]
        by_address(FIRST).replace("00:09", "00:33").replace("ua-vf9", "ua-theirs"), Half.LIVE
    )


STAYS_OUT: dict[str, tuple[Any, Callable[[World], None], str]] = {
    "pool gone": (nic(1), _lose_pool, "network-missing"),
    "taken": (by_address(FIRST), _take, "pool-exhausted"),
}


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
@pytest.mark.parametrize("case", STAYS_OUT)
def test_one_that_cannot_come_back_stays_out_if_its_operation_is_forgotten(
    pool: World, case: str, scope: Scope
) -> None:
    asked, lose, reason = STAYS_OUT[case]
    pool.plugger.attach(pool.name, [asked], scope=scope)
    alias = one(pool).alias
    die(pool, lambda p: p.rebind_vf(pool.name, alias, LAST, wait=3), "detach", after=True)
    (record,) = pool.host.journal.open_operations()
    with pytest.raises(ForgetRefused):
        pool.plugger.recover(forget=record.id)
    lose(pool)
    (left,) = [each for each in pool.plugger.recover(wait=1) if each.operation == "rebind-vf"]
    assert (left.result, left.reason) == (Result.INCOMPLETE, reason)
    assert f"`recover({pool.name!r}, forget={record.id!r})` closes the rebind-vf" in left.message
    forgotten, *given_back = pool.plugger.recover(forget=record.id)
    assert (forgotten.result, forgotten.reason) == (Result.LEFT, "forgotten")
    assert alias in forgotten.message and forgotten.message.endswith("stays out of the guest")
    assert all(each.result is Result.DONE for each in given_back)
    assert pool.host.journal.open_operations() == [] and list(pool.host.journal.holdings()) == []
    assert pool.plugger.recover() == () and pool.plugger.audit().findings == ()
    assert [net.alias for net in xml.devices(pool.definition(Half.LIVE)).nets] == []
    assert [each.alias for each in pool.plugger.list(pool.name)] == ([alias] if scope is Scope.BOTH else [])
