"""VFs that somebody else's hands were at, as the lab saw it: another driver, none, a process that has one open, one that is going away."""

from __future__ import annotations

import pytest

from tests.contract.test_hostdev import FIRST, by_address, devices, nic, pool, state_of
from tests.contract.world import World
from virtnetplug.errors import ConnectionLost, Refused
from virtnetplug.model.host_device import VFIO_DRIVER
from virtnetplug.model.operation import Half, Result, Scope
from virtnetplug.model.pci import PciAddress

__all__ = ["pool"]


def test_a_host_driver_that_keeps_the_mac_it_began_with_is_started_anew(
    pool: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """igb: "Reload the VF driver to make this change effective"."""
    before, bind = state_of(pool), devices(pool).bind
    pool.plugger.attach(pool.name, [nic()])
    devices(pool).unsettable.add("mac")
    bound: list[str | None] = []

    def told(address: PciAddress, driver: str | None) -> None:
        bound.append(driver)
        if bound.count("igbvf") == 2:
            devices(pool).unsettable.clear()
        bind(address, driver)

    monkeypatch.setattr(devices(pool), "bind", told)
    outcome = pool.plugger.detach(pool.name, "ua-vf1")
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    assert bound == ["igbvf", VFIO_DRIVER, "igbvf"]
    assert state_of(pool) == before


def test_a_host_driver_that_never_takes_it_leaves_the_vf_in_quarantine(pool: World) -> None:
    pool.plugger.attach(pool.name, [nic()])
    devices(pool).unsettable.add("mac")
    outcome = pool.plugger.detach(pool.name, "ua-vf1")
    (warning,) = outcome.warnings
    assert "quarantined" in warning and "mac" in warning
    devices(pool).unsettable.clear()
    assert [mended.result for mended in pool.plugger.recover()] == [Result.DONE]


def test_a_pf_that_takes_a_setting_and_does_not_make_it_leaves_the_vf_in_quarantine(
    pool: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state_of(pool)
    (attached,) = pool.plugger.attach(pool.name, [nic()]).nics
    assert attached.host_address is not None
    devices(pool).set_by_hand(attached.host_address, trust=True)
    monkeypatch.setattr(devices(pool), "apply", lambda vf, settings: None)
    (warning,) = pool.plugger.detach(pool.name, "ua-vf1").warnings
    assert "quarantined" in warning and "trust is True and not False" in warning
    monkeypatch.undo()
    assert [mended.result for mended in pool.plugger.recover()] == [Result.DONE]
    assert state_of(pool) == before


@pytest.mark.parametrize("managed", ["yes", "no"])
def test_a_lent_vf_that_was_taken_from_its_driver_goes_back_to_the_hosts(
    pool: World, monkeypatch: pytest.MonkeyPatch, managed: str
) -> None:
    monkeypatch.setattr("virtnetplug.backends.returning.LIBVIRT_SECONDS", 0.1)
    before = state_of(pool)
    pool.plugger.attach(pool.name, [by_address(managed=managed)])
    detach = pool.host.hypervisor.domain(pool.name).detach

    def unbound(*asked: str) -> None:
        detach(*asked)  # type: ignore[arg-type]
        devices(pool).held.clear()
        devices(pool).bind(FIRST, None)

    monkeypatch.setattr(pool.host.hypervisor.domain(pool.name), "detach", unbound)
    outcome = pool.plugger.detach(pool.name, "ua-vf9")
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    assert state_of(pool) == before


def test_a_vf_that_a_process_has_open_is_lent_to_nobody(pool: World) -> None:
    devices(pool).bind(FIRST, VFIO_DRIVER)
    devices(pool).held[FIRST] = {4242}
    before = state_of(pool)
    with pytest.raises(Refused, match="process 4242 has it open") as caught:
        pool.plugger.attach(pool.name, [by_address()])
    assert (caught.value.reason, caught.value.exit_code) == ("host-device-busy", 3)
    assert state_of(pool) == before
    (other,) = pool.plugger.attach(pool.name, [nic()]).nics
    assert other.host_address not in (None, FIRST)


def test_a_vf_whose_removal_waits_for_its_guest_is_said(pool: World) -> None:
    """The kernel unlinks it from its PF first, then waits until VFIO has it no more (``pci_iov_remove_virtfn``)."""
    (attached,) = pool.plugger.attach(pool.name, [nic()]).nics
    assert attached.host_address is not None
    devices(pool).replace(attached.host_address, pf=None, vf_index=None)
    (finding,) = pool.plugger.audit().findings
    assert finding.kind == "device-missing" and "waits for the guest" in finding.message


UNDONE = [("attach", Result.UNDONE)]


def forget(world: World, monkeypatch: pytest.MonkeyPatch) -> PciAddress:
    """libvirtd dies inside an attach: QEMU has the VF, the definition does not; which VF."""
    monkeypatch.setattr("virtnetplug.backends.returning.CLOSING_SECONDS", 0.05)
    monkeypatch.setattr("virtnetplug.backends.returning.LIBVIRT_SECONDS", 0.05)
    monkeypatch.setattr("virtnetplug.hotplug.guest.orphans.SETTLING", 0.05)
    domain = world.host.hypervisor.domain(world.name)
    attach = domain.attach

    def cut_off(element: str, half: Half) -> None:
        attach(element, half)
        for element_there in domain.live_nics():  # type: ignore[attr-defined]
            element_there.getparent().remove(element_there)
        raise ConnectionLost("libvirtd was killed")

    with monkeypatch.context() as patch:
        patch.setattr(domain, "attach", cut_off)
        with pytest.raises(ConnectionLost):
            world.plugger.attach(world.name, [nic()])
    (holding,) = world.host.journal.holdings()
    assert devices(world).held[holding.address]
    return holding.address


def test_a_vf_that_libvirt_forgot_is_said_and_taken_out_with_leave_to_taint(
    pool: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state_of(pool)
    address = forget(pool, monkeypatch)
    for _ in range(2):
        (outcome,) = pool.plugger.recover()
        assert (outcome.result, outcome.reason) == (Result.INCOMPLETE, "orphan-device")
        assert str(address) in outcome.message and "allow_taint=True" in outcome.message
    assert "device-quarantined" in [finding.kind for finding in pool.plugger.audit().findings]
    (other,) = pool.plugger.attach(pool.name, [nic(2)]).nics
    assert other.host_address != address
    pool.plugger.detach(pool.name, "ua-vf2")
    domain = pool.host.hypervisor.domain(pool.name)
    monkeypatch.setattr(domain, "evict", lambda alias: devices(pool).held.pop(address, None) is None)
    outcomes = pool.plugger.recover(allow_taint=True, wait=5)
    assert [(each.operation, each.result) for each in outcomes] == UNDONE
    assert state_of(pool) == before


def test_a_vf_that_libvirt_forgot_comes_back_with_the_guests_end(pool: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state_of(pool)
    forget(pool, monkeypatch)
    pool.plugger.recover()
    pool.guest.destroy()
    devices(pool).held.clear()
    assert [(each.operation, each.result) for each in pool.plugger.recover()] == UNDONE
    pool.guest.start()
    assert state_of(pool) == before


@pytest.mark.parametrize("act", ["handback", "detach"])
def test_a_nic_of_another_mac_that_somebody_gave_the_alias_is_not_the_one_that_comes_back(
    fake: World, act: str
) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.plugger.handover(fake.name, "ua-nic1", fake.network_nic(2), scope=Scope.BOTH)
    fake.guest.attach(fake.bridge_nic(9, alias="ua-nic1"), Half.LIVE)
    before = fake.snapshot()
    doing, nic = {"handback": (fake.plugger.handback, "ua-nic1"), "detach": (fake.plugger.detach, "ua-nic2")}[act]
    with pytest.raises(Refused) as caught:
        doing(fake.name, nic, scope=Scope.BOTH)
    assert (caught.value.reason, fake.snapshot()) == ("duplicate-alias", before)
