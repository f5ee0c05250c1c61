"""Who else is alive while a PF is taken apart: a guest that ends, another tenant, an administrator."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.faults import Trigger, faulty
from tests.contract.test_hostdev import by_address, devices, nic
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_rebind_pf import BOTH_BACK, PF, SETTINGS, VFS, differing, has, rebind, second, whole
from tests.contract.test_rebind_pf import house as house
from tests.contract.world import World
from virtnetplug.errors import HookFailed, HypervisorFailed, Refused, VirtnetplugError
from virtnetplug.hotplug.guest import asking
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Half, Result, Scope
from virtnetplug.model.pci import PciAddress


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "GRACE", 0.05)


def assert_is_returned(world: World, index: int) -> None:
    """Nobody has the VF, nothing is held of it, and it is set as a VF that was never lent."""
    vf, fake = VFS[index], devices(world)
    assert fake.found[vf].driver == "igbvf" and vf not in {each.address for each in world.host.journal.holdings()}
    assert vf not in [port.host_address for port in world.host.networks.ports("pool")]
    now = fake.set[vf]
    assert (now.trust, now.spoofchk, now.max_rate, now.vlan, now.qos) == (False, True, 0, 0, 0)


def test_the_vf_of_a_guest_that_ends_while_another_holds_on_is_given_back(house: World) -> None:
    second(house).hold()
    house.later(0.1, lambda: house.guest.destroy())
    assert rebind(house, reload_driver=True, wait=1).result is Result.PENDING
    assert_is_returned(house, 0)
    second(house).resume()
    assert [each.result for each in house.plugger.recover(wait=5)] == [Result.UNDONE]
    assert has(house) == {"second/ua-vf2": 1} and house.plugger.audit().findings == ()


def test_the_vf_of_a_guest_that_ends_before_the_recovery_is_given_back(house: World) -> None:
    die(house, lambda plugger: rebind(house, plugger, reload_driver=True), "attach", after=True)
    assert devices(house).set[VFS[0]].trust is SETTINGS["trust"], "it was set already"
    house.guest.destroy()
    assert [each.result for each in house.plugger.recover(wait=5)] == [Result.DONE]
    assert_is_returned(house, 0)
    assert has(house) == {"second/ua-vf2": 1} and house.plugger.audit().findings == ()


def test_a_guest_that_was_saved_and_restored_without_its_vf_has_it_again(house: World) -> None:
    die(house, lambda plugger: rebind(house, plugger, reload_driver=True), "attach")
    house.guest.restore(house.guest.save())
    assert [each.result for each in house.plugger.recover(wait=5)] == [Result.DONE]
    assert has(house) == BOTH_BACK and house.plugger.audit().findings == ()


def failing(element: str, half: Half) -> None:
    raise HypervisorFailed("attach failed, for the test")


def test_a_vf_whose_nic_could_not_be_put_back_is_lent_to_nobody_else(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = whole(house)
    second(house).refuses = True
    with monkeypatch.context() as broken:
        broken.setattr(house.guest, "attach", failing)
        with pytest.raises(VirtnetplugError, match="ask: attach failed"):
            rebind(house, reload_driver=True)
    second(house).refuses = False
    house.host.hypervisor.add("third")  # type: ignore[attr-defined]
    assert house.plugger.attach("third", [nic(3)]).nics[0].host_address == VFS[2]
    with pytest.raises(Refused, match="held for fake"):
        house.plugger.attach("third", [by_address(VFS[0])])
    house.plugger.detach("third", "ua-vf3")
    assert [each.result for each in house.plugger.recover(wait=5)] == [Result.UNDONE]
    assert differing(whole(house), before) == {}


def _fails_and_loses_its_vf(house: World, monkeypatch: pytest.MonkeyPatch, match: str, **wish: Any) -> Any:
    """A rebind whose first guest cannot have its VF again, because virsh gives that to another guest meanwhile, which is returned."""
    third: Any = house.host.hypervisor.add("third")  # type: ignore[attr-defined]

    def fail(element: str, half: Half) -> None:
        third.attach(by_address(VFS[0]), Half.LIVE)
        failing(element, half)

    with monkeypatch.context() as broken:
        broken.setattr(house.guest, "attach", fail)
        with pytest.raises(VirtnetplugError, match=match):
            rebind(house, reload_driver=True, **wish)
    return third


def test_a_nic_that_comes_back_on_another_vf_leaves_its_old_one_to_the_tenant(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program knows nothing of what is held. The settings go to the VF that the NIC got."""
    second(house).refuses = True
    _fails_and_loses_its_vf(house, monkeypatch, "ask: attach failed")
    second(house).refuses = False
    tenants = devices(house).set_by_hand(VFS[0], trust=False, spoofchk=True, max_rate=7, vlan=7, qos=0)
    assert [each.result for each in house.plugger.recover(wait=5)] == [Result.UNDONE]
    assert devices(house).set[VFS[0]] == tenants
    assert has(house) == {"third/ua-vf9": 0, "second/ua-vf2": 1, "fake/ua-vf1": 2}
    assert devices(house).set[VFS[2]].trust is True and house.plugger.audit().findings == ()


def test_a_nic_that_could_not_be_put_back_while_another_guest_holds_on_is_not_forgotten(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = whole(house)
    second(house).hold()
    with monkeypatch.context() as broken:
        broken.setattr(house.guest, "attach", failing)
        with pytest.raises(VirtnetplugError, match=r"second/ua-vf2 was asked for.*ask: attach failed") as caught:
            rebind(house, reload_driver=True, wait=0.3)
    assert caught.value.exit_code == 5
    assert [each.state for each in house.plugger.history(limit=1)] == ["incomplete"]
    second(house).resume()
    assert [each.result for each in house.plugger.recover(wait=5)] == [Result.UNDONE]
    assert differing(whole(house), before) == {}


@pytest.mark.parametrize("wish", [{"reload_driver": True}, {"numvfs": 6}])
def test_a_vf_that_another_program_takes_while_the_hook_runs_ends_it(house: World, wish: dict[str, Any]) -> None:
    third: Any = house.host.hypervisor.add("third")  # type: ignore[attr-defined]
    devices(house).hooks["flash"] = lambda pf: third.attach(by_address(VFS[2]), Half.LIVE)
    with pytest.raises(VirtnetplugError, match="domain third has") as caught:
        rebind(house, firmware_hook="flash", **wish)
    assert (caught.value.exit_code, devices(house).made_anew) == (4, [])
    assert has(house) == {**BOTH_BACK, "third/ua-vf9": 2}


@pytest.mark.parametrize("number", [0, 2, 6])
def test_a_number_of_vfs_that_somebody_changes_meanwhile_is_said(
    house: World, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fake = devices(house)
    look = fake.pf_state

    def late(pf: PciAddress) -> Any:
        fake.set_numvfs(pf, number)
        return look(pf)

    with monkeypatch.context() as changed:
        changed.setattr(fake, "pf_state", late)
        with pytest.raises(VirtnetplugError, match=f"with 4 VFs, and is on driver igb with {number}") as caught:
            rebind(house, reload_driver=True)
    assert caught.value.exit_code == (4 if number else 5) and fake.made_anew == []
    if not number:
        (left,) = house.plugger.recover()
        assert (
            left.result is Result.INCOMPLETE
            and f"{PF} does not have {VFS[1]} now, which second/ua-vf2 had" in left.message
        )
        fake.set_numvfs(PF, 4)
        assert [each.result for each in house.plugger.recover()] == [Result.UNDONE]
    assert has(house) == BOTH_BACK and house.plugger.recover() == ()


def test_a_definition_that_names_a_vf_which_will_be_gone_is_said(house: World) -> None:
    fake: Any = house.host.hypervisor
    house.plugger.attach(house.name, [by_address(VFS[3])], scope=Scope.BOTH)
    fake.add("off").attach(by_address(VFS[2]), Half.CONFIG)
    fake.all["off"].destroy()
    said = [
        f"the definition of the next boot of {name} still names {vf}, which {PF} has no more with 3 VFs: {name} does not start with it. "
        "`update(scope=Scope.CONFIG)` changes that"
        for name, vf in ((house.name, VFS[3]), ("off", VFS[2]))
    ]
    plan = house.plugger.plan_rebind_pf(PF, numvfs=3, allow_outage=True)
    assert plan.fits and plan.warnings[-1:] == (said[0],)
    assert said[0] in rebind(house, numvfs=3).warnings
    two = house.plugger.plan_rebind_pf(PF, numvfs=2)
    assert [text for text in two.warnings if "still names" in text] == [said[1].replace("3 VFs", "2 VFs")]


@pytest.mark.parametrize("is_one_free", [True, False])
def test_a_nic_whose_vf_a_tenant_has_by_now_gets_another(
    house: World, monkeypatch: pytest.MonkeyPatch, is_one_free: bool
) -> None:
    third = _fails_and_loses_its_vf(house, monkeypatch, "can no longer be undone", numvfs=4 if is_one_free else 2)
    tenants = devices(house).set_by_hand(VFS[0], trust=False, spoofchk=True, max_rate=7, vlan=7, qos=0)
    (outcome,) = house.plugger.recover()
    assert devices(house).set[VFS[0]] == tenants
    if not is_one_free:
        assert (outcome.result, outcome.reason) == (Result.INCOMPLETE, "vf-held")
        assert f"cannot have VF 0 ({VFS[0]}): domain third has it by now" in outcome.message
        third.destroy()
        devices(house).set_by_hand(VFS[0], vlan=0, max_rate=0)
        assert [each.result for each in house.plugger.recover()] == [Result.DONE]
        assert has(house) == BOTH_BACK
        return
    assert outcome.result is Result.DONE
    assert outcome.warnings == (f"fake/ua-vf1 has VF 2 ({VFS[2]}): domain third has VF 0 ({VFS[0]}) by now",)
    assert has(house) == {"third/ua-vf9": 0, "second/ua-vf2": 1, "fake/ua-vf1": 2}
    assert devices(house).set[VFS[2]].trust is True and house.plugger.audit().findings == ()
    house.plugger.detach(house.name, "ua-vf1")
    assert house.plugger.attach("third", [nic(5)]).nics[0].host_address == VFS[2]


def test_a_vf_whose_nic_could_not_be_put_in_going_forward_is_lent_to_nobody_else(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = whole(house)
    with monkeypatch.context() as broken:
        broken.setattr(house.guest, "attach", failing)
        with pytest.raises(VirtnetplugError, match="can no longer be undone"):
            rebind(house, reload_driver=True)
    house.host.hypervisor.add("third")  # type: ignore[attr-defined]
    with pytest.raises(Refused, match="no device left"):
        house.plugger.attach("third", [nic(3)])
    assert [each.result for each in house.plugger.recover()] == [Result.DONE]
    assert differing(whole(house), before) == {}


class After(Trigger):
    """Does `deed` once, after the first call of that name."""

    def __init__(self, call: str, deed: Callable[[], None]) -> None:
        super().__init__(-1, "none")
        self.call, self.deeds = call, [deed]

    def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
        answer = super().around(name, call, *args, **named)
        if name == self.call and self.deeds:
            self.deeds.pop()()
        return answer


def _cycle(world: World) -> None:
    world.guest.destroy()
    world.guest.start()


def test_a_vf_that_a_restarted_guest_let_go_is_for_the_next(house: World) -> None:
    """Of two VFs, libvirt gives the restarted guest the one that the other guest was to have."""
    house.plugger.rebind_vf("second", "ua-vf2", VFS[3])
    act = Plugger(faulty(house.host, After("attach", lambda: _cycle(house))), lambda: None)
    with suppress(VirtnetplugError):
        rebind(house, act, numvfs=2, wait=2)
    house.plugger.recover(wait=1)
    assert sorted(has(house)) == ["fake/ua-vf1", "second/ua-vf2"]
    assert list(house.host.journal.open_operations()) == [] and house.plugger.audit().findings == ()


@pytest.mark.parametrize("call", ["networks.delete_port", "attach"])
def test_a_restarted_guest_has_its_vf_of_libvirt(house: World, call: str) -> None:
    """What was held of the VF was the earlier run's."""
    act = Plugger(faulty(house.host, After(call, lambda: _cycle(house))), lambda: None)
    with suppress(VirtnetplugError):
        rebind(house, act, reload_driver=True, wait=2)
    house.plugger.recover(wait=1)
    assert list(house.host.journal.open_operations()) == [] and house.plugger.audit().findings == ()


def test_what_is_quarantined_of_another_pf_keeps_no_rebind_open(pool: World) -> None:
    fake = devices(pool)
    (lent,) = pool.plugger.attach(pool.name, [nic(1, network="unmanaged")]).nics
    fake.set_by_hand(PciAddress.parse(str(lent.host_address)), trust=True)
    fake.unsettable.add("trust")
    pool.plugger.detach(pool.name, "ua-vf1")
    pool.plugger.attach(pool.name, [nic(1)])
    second(pool)
    pool.plugger.attach("second", [nic(2)])
    act = Plugger(faulty(pool.host, After("host_devices.set_num_vfs", pool.guest.destroy)), lambda: None)
    assert rebind(pool, act, reload_driver=True, wait=3).result is Result.DONE
    assert list(pool.host.journal.open_operations()) == []


@pytest.mark.parametrize("numvfs", [2, 6])
@pytest.mark.parametrize("call", ["host_devices.set_num_vfs", "host_devices.restore_netdev"])
def test_a_vf_that_libvirt_lent_a_restarted_guest_meanwhile_can_be_detached(
    house: World, numvfs: int, call: str
) -> None:
    """The recovery asks for that: what a later run of a guest has is none of the rebind's."""
    die(house, lambda p: rebind(house, p, wait=5, numvfs=numvfs), call, after=True)
    house.guest.destroy()
    house.guest.start()
    for _ in range(2):
        (outcome,) = house.plugger.recover(wait=5)
        assert (outcome.reason, outcome.message.endswith("Detach it there, then try again.")) == (
            "host-device-busy",
            True,
        )
    assert house.plugger.detach(house.name, "ua-vf1", scope=Scope.LIVE, wait=5).result is Result.DONE
    assert [each.result for each in house.plugger.recover(wait=5)] == [Result.UNDONE]
    assert has(house) == {"second/ua-vf2": 1} and house.plugger.audit().findings == ()


@pytest.mark.parametrize("wish", [{"numvfs": 2}, {"reload_driver": True}], ids=["moved", "same-place"])
def test_a_quarantined_vf_of_the_same_name_stays_in_quarantine(pool: World, wish: dict[str, Any]) -> None:
    """It is of another PF, and of a NIC that was called like one that is moved."""
    fake = devices(pool)
    (lent,) = pool.plugger.attach(pool.name, [nic(1, network="unmanaged")]).nics
    assert lent.host_address is not None
    fake.set_by_hand(lent.host_address, trust=True)
    fake.unsettable.add("trust")
    pool.plugger.detach(pool.name, "ua-vf1")
    pool.plugger.attach(pool.name, [nic(1)])
    pool.plugger.rebind_vf(pool.name, "ua-vf1", VFS[3], wait=3)
    (before,) = [row for row in pool.host.journal.holdings() if row.address == lent.host_address]
    assert rebind(pool, **wish).result is Result.DONE
    assert before in pool.host.journal.holdings() and len(pool.host.journal.holdings()) == 2
    fake.unsettable.clear()
    pool.plugger.recover()
    (row,) = pool.host.journal.holdings()
    assert row.address != lent.host_address and not pool.host.networks.ports("unmanaged")
    assert fake.set[lent.host_address].trust is False


# -- a VF that another NIC has by now ------------------------------------------------------------------


def test_a_guest_that_is_started_anew_with_its_vf_keeps_it_for_its_nic(pool: World) -> None:
    """So what was set of the VF goes on with the NIC, as without a rebind, and is given back with it."""
    untouched = devices(pool).set[VFS[0]]
    pool.plugger.attach(pool.name, [by_address(VFS[0])], scope=Scope.BOTH)
    pool.plugger.update(pool.name, "ua-vf9", {"trust": True, "max_rate": 100}, scope=Scope.LIVE)
    pool.guest.hold()
    assert rebind(pool, reload_driver=True, wait=0.3).result is Result.PENDING
    pool.guest.destroy()
    pool.guest.resume()
    pool.guest.start()
    assert [each.result for each in pool.plugger.recover(wait=3)] == [Result.UNDONE]
    assert (devices(pool).set[VFS[0]].trust, devices(pool).set[VFS[0]].max_rate) == (True, 100)
    assert [each.address for each in pool.host.journal.holdings()] == [VFS[0]] and has(pool) == {"fake/ua-vf9": 0}
    assert pool.plugger.audit().findings == () and pool.plugger.detach(pool.name, "ua-vf9").warnings == ()
    assert devices(pool).set[VFS[0]] == untouched and pool.host.journal.holdings() == []


def test_a_vf_that_a_tenant_took_while_its_guest_held_on_is_the_tenants(pool: World) -> None:
    """The NIC gets another VF, with its settings. Of the VF that it had, only what is still as it was set is taken back."""
    pool.plugger.attach(pool.name, [nic(1)])
    pool.plugger.update(pool.name, "ua-vf1", {"trust": True, "max_rate": 100})
    pool.guest.hold()
    assert rebind(pool, reload_driver=True, wait=0.3).result is Result.PENDING
    third: Any = pool.host.hypervisor.add("third")  # type: ignore[attr-defined]
    pool.guest.resume()
    third.attach(by_address(VFS[0]), Half.LIVE)
    devices(pool).set_by_hand(VFS[0], max_rate=500, spoofchk=False)
    (outcome,) = pool.plugger.recover(wait=1)
    assert outcome.result is Result.UNDONE and "domain third has VF 0" in outcome.warnings[0]
    tenants, mine = devices(pool).set[VFS[0]], devices(pool).set[VFS[1]]
    assert (tenants.trust, tenants.max_rate, tenants.spoofchk) == (False, 500, False)
    assert (mine.trust, mine.max_rate, has(pool)) == (True, 100, {"fake/ua-vf1": 1, "third/ua-vf9": 0})
    assert [each.address for each in pool.host.journal.holdings()] == [VFS[1]] and pool.plugger.audit().findings == ()


def test_a_vf_that_a_tenant_takes_while_the_hook_fails_is_not_written_to(house: World) -> None:
    third: Any = house.host.hypervisor.add("third")  # type: ignore[attr-defined]
    fake, tenants = devices(house), []

    def taken(pf: PciAddress) -> None:
        third.attach(by_address(VFS[0]), Half.LIVE)
        tenants.append(fake.set_by_hand(VFS[0], max_rate=500))
        fake.calls.clear()
        raise HookFailed("no")

    fake.hooks["flash"] = taken
    with pytest.raises(HookFailed):
        rebind(house, firmware_hook="flash")
    assert [fake.set[VFS[0]]] == tenants and not [call for call in fake.calls if call.startswith(f"apply {VFS[0]}")]
    assert has(house) == {"third/ua-vf9": 0, "second/ua-vf2": 1, "fake/ua-vf1": 2}
    assert fake.set[VFS[2]].trust is True and house.plugger.audit().findings == ()


def test_a_vf_that_a_tenant_takes_while_the_others_are_restored_is_not_written_to(pool: World) -> None:
    fake = devices(pool)
    third: Any = pool.host.hypervisor.add("third")  # type: ignore[attr-defined]
    look, tenants = fake.settings, []

    def late(vf: PciAddress) -> Any:
        if vf == VFS[1] and fake.made_anew and not tenants:
            third.attach(by_address(VFS[3]), Half.LIVE)
            tenants.append(fake.set_by_hand(VFS[3], max_rate=500, vlan=33))
        return look(vf)

    fake.settings = late  # type: ignore[method-assign]
    assert rebind(pool, reload_driver=True).result is Result.DONE
    assert [fake.set[VFS[3]]] == tenants


def test_a_nic_that_gets_another_vf_gets_the_same_one_at_the_next_try(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    second(house).refuses = True
    _fails_and_loses_its_vf(house, monkeypatch, "ask: attach failed")
    second(house).refuses = False
    with monkeypatch.context() as broken:
        broken.setattr(house.guest, "attach", failing)
        assert [each.result for each in house.plugger.recover(wait=5)] == [Result.INCOMPLETE]
    assert [each.result for each in house.plugger.recover(wait=5)] == [Result.UNDONE]
    assert has(house) == {"third/ua-vf9": 0, "second/ua-vf2": 1, "fake/ua-vf1": 2}
    assert [each.address for each in house.host.journal.holdings()] == [VFS[1], VFS[2]]


@pytest.mark.parametrize("after", [False, True])
def test_vfs_that_somebody_made_anew_after_a_rebind_died_in_its_hook_stay_as_they_are(pool: World, after: bool) -> None:
    """The rebind had made none itself. The NIC has its VF again, as any that is there."""
    fake = devices(pool)
    pool.plugger.attach(pool.name, [nic(1)])
    fake.hooks["flash"] = lambda pf: None
    die(pool, lambda p: rebind(pool, p, firmware_hook="flash"), "host_devices.run_hook", after=after)
    fake.set_numvfs(PF, 0)
    fake.set_numvfs(PF, 4)
    kept = [fake.set_by_hand(vf, admin_mac="02:aa:00:00:00:03", vlan=9, trust=True) for vf in VFS]
    (outcome,) = pool.plugger.recover(wait=3)
    assert outcome.result is Result.UNDONE and any("is not the VF" in text for text in outcome.warnings)
    assert [fake.set[vf] for vf in VFS[1:]] == kept[1:] and has(pool) == {"fake/ua-vf1": 0}
    assert pool.plugger.detach(pool.name, "ua-vf1").warnings == ()
    assert fake.set[VFS[0]].trust is True and pool.host.journal.holdings() == []


def test_vfs_that_a_hook_made_anew_are_set_as_they_were(house: World) -> None:
    fake, before = devices(house), whole(house)

    def flash(pf: PciAddress) -> None:
        fake.set_numvfs(pf, 0)
        fake.set_numvfs(pf, 4)
        raise HookFailed("no")

    fake.hooks["flash"] = flash
    with pytest.raises(HookFailed):
        rebind(house, firmware_hook="flash")
    assert differing(whole(house), before) == {}
