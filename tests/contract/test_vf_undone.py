"""An operation on an assigned NIC fails, and its undo fails or dies: the next recovery ends it, and the guest has its NIC with a VF of ours, set as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.test_hostdev import FIRST, by_address, devices, nic, state_of
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_rebind_vf import LAST, one
from tests.contract.world import World
from virtnetplug.errors import HostDeviceFailed, HypervisorFailed, RollbackIncomplete
from virtnetplug.hotplug.guest import asking
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.host_device import VfSettings
from virtnetplug.model.operation import Half, Result, Scope
from virtnetplug.model.pci import PciAddress

pytestmark = pytest.mark.timeout(60)

SET = {"trust": True, "spoofchk": False, "max_rate": 100, "vlan_qos": 3}
VLAN = "<vlan><tag id='42'/></vlan>"

EXCHANGES: dict[str, Callable[[World, Plugger], Any]] = {
    "rebind-vf": lambda w, p: p.rebind_vf(w.name, "ua-vf1", wait=5),
    "replace": lambda w, p: p.update(w.name, "ua-vf1", {"boot_order": 1}, replace=True, wait=5),
}


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "GRACE", 0.05)


def _lent(world: World) -> dict[str, Any]:
    """What must be as it was: the NIC with its VF and the settings of that, the row and the port."""
    (holding,), now = world.host.journal.holdings(), one(world)
    assert (holding.address, holding.quarantine) == (now.host_address, "")
    assert world.host.journal.open_operations() == []
    ports = [port.host_address for port in world.host.networks.ports(holding.network)] if holding.network else []
    return {
        "set": devices(world).set[holding.address],
        "settings": dict(holding.settings),
        "came from": (holding.network, len(ports)),
        "snapshot": dict(holding.snapshot),
    }


def _recovered(world: World) -> list[Result]:
    return [outcome.result for outcome in world.plugger.recover(wait=5)]


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_undo_that_dies_with_the_old_vf_back_gives_back_no_vf_that_the_guest_has(pool: World, name: str) -> None:
    pool.plugger.attach(pool.name, [nic(1, extra=VLAN)], scope=Scope.BOTH)
    pool.plugger.update(pool.name, "ua-vf1", SET)
    before, fake = _lent(pool), devices(pool)
    apply, tries = fake.apply, list[PciAddress]()

    def fail_once(address: PciAddress, settings: VfSettings) -> None:
        if settings.trust and not tries:  # of the VF that is to come, before its guest has it
            tries.append(address)
            raise HostDeviceFailed("the PF does not answer")
        apply(address, settings)

    fake.apply = fail_once  # type: ignore[method-assign]
    die(pool, lambda p: EXCHANGES[name](pool, p), "attach", after=True)
    assert tries and _recovered(pool) == [Result.UNDONE]
    assert _lent(pool) == before and one(pool).host_address == FIRST
    assert pool.plugger.audit().findings == ()


def test_nor_one_that_libvirt_does_not_bind(pool: World) -> None:
    pool.plugger.attach(pool.name, [nic(1, "unmanaged")], scope=Scope.BOTH)
    before, fake, old = _lent(pool), devices(pool), one(pool).host_address
    detach = fake.detach

    def refuse(address: PciAddress) -> None:
        if address != old:
            raise HostDeviceFailed("VFIO does not take it")
        detach(address)

    fake.detach = refuse  # type: ignore[method-assign]
    die(pool, lambda p: p.rebind_vf(pool.name, "ua-vf1", wait=5), "attach", after=True)
    assert _recovered(pool) == [Result.UNDONE]
    assert _lent(pool) == before and one(pool).host_address == old


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_old_vf_that_cannot_be_given_back_does_not_keep_the_undo_from_its_end(pool: World, name: str) -> None:
    """It is quarantined when it leaves, and then it is the one that its guest gets again."""
    pool.plugger.attach(pool.name, [nic(1)], scope=Scope.BOTH)
    devices(pool).set_by_hand(FIRST, trust=True)
    devices(pool).unsettable.add("trust")
    attach, tries = pool.guest.attach, list[str]()

    def fail_once(element: str, half: Half) -> None:
        tries.append(element)
        if len(tries) == 1:
            raise HypervisorFailed("not this one")
        attach(element, half)

    pool.guest.attach = fail_once  # type: ignore[method-assign]
    with pytest.raises(HypervisorFailed):
        EXCHANGES[name](pool, pool.plugger)
    assert len(tries) == 2 and one(pool).host_address == FIRST
    (holding,) = pool.host.journal.holdings()
    assert (holding.quarantine, pool.host.journal.open_operations()) == ("", [])


def test_a_nic_that_leaves_gives_back_its_own_vf_alone(pool: World) -> None:
    """An earlier NIC of that alias left one in quarantine."""
    pool.plugger.attach(pool.name, [nic(1)])
    devices(pool).set_by_hand(FIRST, trust=True)
    devices(pool).unsettable.add("trust")
    assert pool.plugger.detach(pool.name, "ua-vf1", wait=5).warnings
    pool.plugger.attach(pool.name, [nic(1)])
    assert one(pool).host_address != FIRST
    assert pool.plugger.detach(pool.name, "ua-vf1", wait=5).warnings == ()
    assert [(each.address, bool(each.quarantine)) for each in pool.host.journal.holdings()] == [(FIRST, True)]


def test_a_new_nic_that_cannot_be_taken_out_keeps_its_vf(pool: World) -> None:
    """Neither is the VF given back under the guest, nor does the old NIC come back on it."""
    pool.plugger.attach(pool.name, [nic(1)], scope=Scope.BOTH)
    before = _lent(pool)
    attach = pool.guest.attach

    def attach_and_hold(element: str, half: Half) -> None:
        attach(element, half)
        pool.guest.hold()
        raise HypervisorFailed("attached, and yet failed")

    pool.guest.attach = attach_and_hold  # type: ignore[method-assign]
    with pytest.raises(RollbackIncomplete):
        pool.plugger.rebind_vf(pool.name, "ua-vf1", wait=0.2)
    new = one(pool).host_address
    assert [(each.address, each.quarantine) for each in pool.host.journal.holdings()] == [(new, "")] and new != FIRST
    pool.guest.attach = attach  # type: ignore[method-assign]
    pool.guest.resume()
    assert _recovered(pool) == [Result.UNDONE]
    assert _lent(pool) == before and one(pool).host_address == FIRST


def test_a_vf_with_which_its_guest_was_started_again_is_not_given_back(pool: World) -> None:
    before = state_of(pool)
    pool.plugger.attach(pool.name, [by_address(FIRST)], scope=Scope.BOTH)
    pool.guest.hold()
    assert pool.plugger.detach(pool.name, "ua-vf9", scope=Scope.LIVE, wait=0.2).result is Result.PENDING
    pool.guest.destroy()
    pool.guest.resume()
    pool.guest.start()
    (outcome,) = pool.plugger.recover(wait=5)
    assert outcome.result is Result.DONE and f"domain {pool.name} runs with it" in outcome.warnings[0]
    assert _lent(pool) and pool.plugger.audit().findings == ()
    assert pool.plugger.detach(pool.name, "ua-vf9", scope=Scope.BOTH, wait=5).result is Result.DONE
    assert state_of(pool) == before


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_vf_that_is_back_is_set_as_it_was_by_the_next_try(pool: World, name: str) -> None:
    """The old VF is back in its guest, and only its last setting, which libvirt clears when it attaches, could not be made."""
    pool.plugger.attach(pool.name, [nic(1, extra=VLAN)], scope=Scope.BOTH)
    pool.plugger.update(pool.name, "ua-vf1", SET)
    before, fake = _lent(pool), devices(pool)
    attach, apply, tries = pool.guest.attach, fake.apply, list[str]()

    def fail_once(element: str, half: Half) -> None:
        tries.append(element)
        if len(tries) == 1:
            raise HypervisorFailed("not this one")
        attach(element, half)

    def fail_at_last(address: PciAddress, settings: VfSettings) -> None:
        if len(tries) == 2:
            raise HostDeviceFailed("the PF does not answer")
        apply(address, settings)

    pool.guest.attach, fake.apply = fail_once, fail_at_last  # type: ignore[method-assign]
    with pytest.raises(RollbackIncomplete):
        EXCHANGES[name](pool, pool.plugger)
    assert one(pool).host_address == FIRST and fake.set[FIRST].qos == 0
    pool.guest.attach, fake.apply = attach, apply  # type: ignore[method-assign]
    assert _recovered(pool) == [Result.UNDONE]
    assert _lent(pool) == before and one(pool).host_address == FIRST
    assert pool.plugger.audit().findings == ()


def test_a_vf_that_somebody_else_gave_the_guest_is_not_set(pool: World) -> None:
    """As the NIC that was to come back, and by hand."""
    pool.plugger.attach(pool.name, [nic(1, extra=VLAN)], scope=Scope.BOTH)
    pool.plugger.update(pool.name, "ua-vf1", SET)
    attach = pool.guest.attach

    def refuse(element: str, half: Half) -> None:
        raise HypervisorFailed("not now")

    pool.guest.attach = refuse  # type: ignore[method-assign]
    with pytest.raises(RollbackIncomplete):
        pool.plugger.rebind_vf(pool.name, "ua-vf1", wait=5)
    pool.guest.attach = attach  # type: ignore[method-assign]
    attach(by_address(LAST).replace("ua-vf9", "ua-vf1").replace(":00:09", ":00:01"), Half.LIVE)
    assert _recovered(pool) == [Result.UNDONE]
    assert one(pool).host_address == LAST and pool.host.journal.holdings() == []
    assert devices(pool).set[LAST].trust is False


def _detach_fails(pool: World) -> None:
    """The definition keeps the NIC, and the guest does not take it back at once."""
    attach, detach = pool.guest.attach, pool.guest.detach

    def not_from_config(alias: str, half: Half) -> None:
        if half is Half.CONFIG:
            raise HypervisorFailed("not out of the definition")
        detach(alias, half)

    def refuse(element: str, half: Half) -> None:
        raise HypervisorFailed("not now")

    pool.guest.attach, pool.guest.detach = refuse, not_from_config  # type: ignore[method-assign]
    with pytest.raises(RollbackIncomplete):
        pool.plugger.detach(pool.name, "ua-vf1", scope=Scope.BOTH, wait=2)
    pool.guest.attach, pool.guest.detach = attach, detach  # type: ignore[method-assign]
    assert pool.host.journal.holdings() == []


def test_a_detach_that_is_undone_at_the_second_try_puts_back_all_that_its_vf_had(pool: World) -> None:
    pool.plugger.attach(pool.name, [nic(1, extra=VLAN)], scope=Scope.BOTH)
    pool.plugger.update(pool.name, "ua-vf1", SET)
    before = _lent(pool)
    _detach_fails(pool)
    assert _recovered(pool) == [Result.UNDONE]
    assert _lent(pool) == before and one(pool).host_address == FIRST
    assert pool.plugger.audit().findings == ()


def test_a_detach_whose_vf_somebody_has_by_then_puts_back_another_one_of_the_pool(pool: World) -> None:
    pool.plugger.attach(pool.name, [nic(1, extra=VLAN)], scope=Scope.BOTH)
    pool.plugger.update(pool.name, "ua-vf1", SET)
    before = _lent(pool)
    _detach_fails(pool)
    pool.host.hypervisor.add("third")  # type: ignore[attr-defined]
    (other,) = pool.plugger.attach("third", [nic(3)]).nics
    assert other.host_address == FIRST
    assert _recovered(pool) == [Result.UNDONE]
    now = one(pool).host_address
    assert now not in (None, FIRST)
    (holding,) = [each for each in pool.host.journal.holdings() if each.address == now]
    assert (holding.network, dict(holding.settings)) == ("pool", before["settings"])
    assert devices(pool).set[holding.address] == before["set"]
    assert {each.alias: each.source for each in pool.host.journal.nics()} == {"ua-vf1": str(now), "ua-vf3": str(FIRST)}
    assert pool.plugger.audit().findings == ()


@pytest.mark.parametrize(
    "held", [[{"alias": "ua-vf1", "network": "pool"}], [{"alias": "ua-vf1", "network": "pool", "settings": 3}], 3]
)
def test_a_detach_whose_record_is_damaged_there_is_left_open(pool: World, held: Any) -> None:
    pool.plugger.attach(pool.name, [nic(1)], scope=Scope.BOTH)
    _detach_fails(pool)
    (record,) = pool.host.journal.open_operations()
    pool.host.journal.amend(record.id, {**record.request, "held": held}, owner=record.owner)
    (outcome,) = pool.plugger.recover(wait=5)
    assert (outcome.result, outcome.reason) == (Result.INCOMPLETE, "operation-newer")


def test_a_detach_of_an_earlier_version_does_not_say_what_its_vf_had(pool: World) -> None:
    """Then the NIC comes back as libvirt gives it."""
    pool.plugger.attach(pool.name, [nic(1)], scope=Scope.BOTH)
    _detach_fails(pool)
    (record,) = pool.host.journal.open_operations()
    old = {key: value for key, value in record.request.items() if key not in ("held", "version")}
    pool.host.journal.amend(record.id, old, owner=record.owner)
    assert _recovered(pool) == [Result.UNDONE]
    assert one(pool).host_address == FIRST


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_journal_knows_a_nic_by_the_vf_that_it_came_back_on(pool: World, name: str) -> None:
    """Its own was taken meanwhile, by hand; when the domain ends, nothing of the NIC is left."""
    pool.plugger.attach(pool.name, [nic(1)])
    third = pool.host.hypervisor.add("third")  # type: ignore[attr-defined]
    attach = pool.guest.attach

    def lose(element: str, half: Half) -> None:
        pool.guest.attach = attach  # type: ignore[method-assign]
        third.attach(by_address(FIRST), Half.LIVE)
        raise HypervisorFailed("not this one")

    pool.guest.attach = lose  # type: ignore[method-assign]
    with pytest.raises(HypervisorFailed):
        EXCHANGES[name](pool, pool.plugger)
    now = one(pool).host_address
    assert now not in (None, FIRST)
    assert [(each.alias, each.source) for each in pool.host.journal.nics()] == [("ua-vf1", str(now))]
    pool.guest.destroy()
    assert _recovered(pool) == [Result.DONE]
    assert (pool.host.journal.nics(), pool.host.journal.holdings()) == ([], [])


@pytest.fixture
def booted(pool: World) -> World:
    """The guest boots with two VFs of the pool, whose live elements do not name it."""
    for number in (1, 2):
        mac = f"<mac address='52:54:00:00:00:{number:02x}'/>"
        pool.guest.attach(f"<interface type='network'>{mac}<source network='pool'/></interface>", Half.CONFIG)
    pool.guest.restart()
    return pool


def _lent_by_pool(world: World) -> list[tuple[str | None, PciAddress | None, bool]]:
    """The guest's NICs: the MAC, the VF, and whether the pool has a port of the domain for that VF."""
    ports = {(port.host_address, port.owner_uuid) for port in world.host.networks.ports("pool")}
    nics = world.plugger.list(world.name)
    return [(nic.mac, nic.host_address, (nic.host_address, world.guest.uuid) in ports) for nic in nics]


def _broken(p: Plugger, world: World, name: str) -> None:
    acts: dict[str, Callable[[], Any]] = {
        "detach": lambda: p.detach(world.name, "hostdev0", scope=Scope.BOTH, wait=5),
        "replace": lambda: p.update(world.name, "hostdev0", {"boot_order": 1}, replace=True, wait=5),
        "rebind-vf": lambda: p.rebind_vf(world.name, "hostdev0", wait=5),
    }
    acts[name]()


@pytest.mark.parametrize("name", ["detach", "replace", "rebind-vf"])
def test_a_vf_that_the_guest_booted_with_comes_back_with_its_port(booted: World, name: str) -> None:
    """libvirt gives the NIC another alias, ``hostdev2``, and deletes the port that it had made for it."""
    before = sorted(_lent_by_pool(booted), key=str)
    assert [is_port for _, _, is_port in before] == [True, True]
    if name == "detach":
        with pytest.MonkeyPatch.context() as broken:
            broken.setattr(booted.guest, "detach_element", _refuse)
            with pytest.raises(HypervisorFailed, match="not out"):
                _broken(booted.plugger, booted, name)
    else:
        die(booted, lambda p: _broken(p, booted, name), "attach")
        assert _recovered(booted) == [Result.UNDONE]
    assert sorted(_lent_by_pool(booted), key=str) == before and booted.plugger.recover() == ()
    (holding,) = booted.host.journal.holdings()
    assert (holding.alias, holding.network, holding.address) == ("hostdev2", "pool", FIRST)
    assert booted.plugger.audit().findings == ()
    booted.plugger.detach(booted.name, "hostdev2", wait=5)
    assert booted.host.journal.holdings() == [] and len(booted.host.networks.ports("pool")) == 1


def _refuse(*_: object) -> None:
    raise HypervisorFailed("not out of the definition")


@pytest.mark.parametrize(
    ("by_hand", "told"),
    [
        ({"vlan": 9}, "VLAN is 9 and not 42"),
        ({"trust": True, "max_rate": 50}, "trust is True and not False, max rate is 50 and not 0"),
        ({}, ""),
    ],
    ids=["VLAN", "trust and rate", "nothing"],
)
def test_what_was_set_by_hand_of_a_vf_that_libvirt_lent_is_said_to_be_lost(
    pool: World, by_hand: dict[str, Any], told: str
) -> None:
    pool.guest.attach(nic(1, extra=VLAN), Half.LIVE)
    devices(pool).set_by_hand(one(pool).host_address, **by_hand)
    planned = pool.plugger.plan_update(pool.name, "ua-vf1", {"boot_order": 3}, replace=True).warnings
    outcome = pool.plugger.update(pool.name, "ua-vf1", {"boot_order": 3}, replace=True)
    for warnings in (planned, outcome.warnings):
        assert [told in text for text in warnings if "neither libvirt nor virtnetplug set that" in text] == [
            True
        ] * bool(by_hand)


@pytest.mark.parametrize("kind", ["detach", *EXCHANGES])
def test_a_nic_with_another_vf_is_not_the_one_that_its_guest_let_go_of(pool: World, kind: str) -> None:
    """Somebody has put it in since, with the same alias, MAC and pool. A NIC never gets another host device."""
    pool.plugger.attach(pool.name, [nic(1)], scope=Scope.BOTH)
    pool.guest.hold()
    act = EXCHANGES.get(kind, lambda w, p: p.detach(w.name, "ua-vf1", wait=5))
    pending = act(pool, pool.plugger)
    assert pending.result is Result.PENDING
    pool.guest.resume()
    pool.guest.attach(nic(1), Half.LIVE)
    theirs = one(pool).host_address
    assert theirs != FIRST
    (shown,) = pool.plugger.list(pool.name)
    assert (shown.pending, shown.origin) == (None, "foreign")
    (outcome, *_) = pool.plugger.recover()
    assert (outcome.result, outcome.reason) == (
        (Result.DONE, "") if kind == "detach" else (Result.PENDING, "place-taken")
    )
    assert one(pool).host_address == theirs and not pool.host.journal.holdings()
    if kind != "detach":
        pool.plugger.recover(forget=pending.operation_id)
    assert one(pool).host_address == theirs and not pool.plugger.audit().findings and not pool.plugger.recover()


def test_a_vf_that_was_put_in_where_no_process_is_seen_is_forgotten_with_what_is_held(
    pool: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool.guest, "process", lambda: "")
    pool.plugger.attach(pool.name, [nic(1)])
    pool.guest.hold()
    pending = pool.plugger.detach(pool.name, "ua-vf1", wait=5)
    pool.guest.resume()
    pool.guest.attach(nic(1), Half.LIVE)
    closed, back = pool.plugger.recover(forget=pending.operation_id or "")
    assert (closed.reason, back.operation) == ("forgotten", "return")
    assert not pool.host.journal.holdings() and not pool.plugger.audit().findings


@pytest.mark.parametrize("kind", EXCHANGES)
@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
def test_a_vf_that_stays_out_is_named_once_and_stays_ours_in_the_definition(
    pool: World, kind: str, scope: Scope
) -> None:
    pool.plugger.attach(pool.name, [nic(1)], scope=scope)
    die(pool, lambda plugger: EXCHANGES[kind](pool, plugger), "detach", after=True)
    del pool.host.hypervisor.nets["pool"]
    pool.plugger.recover()
    (record,) = pool.host.journal.open_operations()
    closed = pool.plugger.recover(forget=record.id)[0]
    assert "closed. ua-vf1 (52:54:00:00:00:01) stays out of the guest" in closed.message
    assert [nic.origin for nic in pool.plugger.list()] == ["virtnetplug"] * (scope is Scope.BOTH)
    assert not pool.host.journal.holdings()


def test_what_a_hand_back_leaves_out_is_all_named(pool: World) -> None:
    pool.plugger.attach(pool.name, [pool.bridge_nic(1)])
    pool.plugger.handover(pool.name, "ua-nic1", nic(5))
    die(pool, lambda plugger: plugger.handback(pool.name, "ua-nic1"), "detach", after=True)
    del pool.host.hypervisor.nets["pool"]
    pool.host.hypervisor.bridges.clear()
    pool.plugger.recover()
    (record,) = pool.host.journal.open_operations()
    closed = pool.plugger.recover(forget=record.id)[0]
    assert "ua-vf5 (52:54:00:00:00:01) stays out of the guest" in closed.message
    assert "nor does the guest have ua-nic1 (52:54:00:00:00:01), which was to come" in closed.message
