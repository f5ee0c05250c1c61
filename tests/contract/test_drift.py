"""What others do to a VF while a guest has it: found by an audit, mended where that is safe, survived in any case."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.test_hostdev import by_address, devices, kinds, nic, pool, requested, state_of
from tests.contract.world import World
from tests.fakes.host_devices import PFS, VF_DRIVER
from virtnetplug.errors import HostDeviceUnfit
from virtnetplug.model.host_device import NO_MAC
from virtnetplug.model.interface import Vlan, VlanTag
from virtnetplug.model.operation import Half, Result
from virtnetplug.model.pci import PciAddress

__all__ = ["pool"]

ASKED: dict[str, Any] = {
    "vlan": Vlan((VlanTag(42),)),
    "vlan_qos": 3,
    "trust": True,
    "spoofchk": False,
    "max_rate": 1000,
}
BY_HAND: dict[str, Any] = {"vlan": 7, "qos": 1, "trust": False, "spoofchk": True, "max_rate": 5, "min_rate": 1}


@pytest.fixture
def linked(pool: World) -> World:
    """With VFs that have a link state (those of igb have none)."""
    for address in devices(pool).set:
        devices(pool).set_by_hand(address, link_state="auto")
    return pool


def lent(world: World, request: Any) -> PciAddress:
    """Attach it; which VF it got."""
    (attached,) = world.plugger.attach(world.name, [request]).nics
    assert attached.host_address is not None
    return attached.host_address


@pytest.mark.parametrize("network", ["pool", "unmanaged"])
@pytest.mark.parametrize("name", [*BY_HAND, "link_state"])
def test_a_setting_lost_is_found_with_both_values_and_set_again(linked: World, network: str, name: str) -> None:
    pool = linked
    address = lent(pool, requested(network=network, link_state="down", **ASKED))
    assert kinds(pool) == []
    was = getattr(devices(pool).set[address], name)
    value = BY_HAND.get(name, "enable")
    devices(pool).set_by_hand(address, **{name: value})
    (finding,) = pool.plugger.audit().findings
    assert (finding.kind, finding.nic, finding.device) == ("vf-settings-differ", "ua-vf1", str(address))
    assert f" is {value} and not {was}" in finding.message
    assert f" {was} again" in finding.repair
    (mended,) = pool.plugger.repair(pool.plugger.audit()).findings
    assert mended.repaired is True
    assert getattr(devices(pool).set[address], name) == was
    assert kinds(pool) == []


def test_a_mac_lost_is_set_again_unless_a_trusted_guest_may_have_chosen_it(pool: World) -> None:
    address = lent(pool, nic())
    devices(pool).set_by_hand(address, admin_mac=NO_MAC)
    assert kinds(pool) == ["vf-settings-differ"]
    pool.plugger.repair(pool.plugger.audit())
    assert devices(pool).set[address].admin_mac == "52:54:00:00:00:01"
    pool.plugger.update(pool.name, "ua-vf1", {"trust": True})
    devices(pool).set_by_hand(address, admin_mac="52:54:00:00:00:99")
    assert kinds(pool) == []


def test_what_was_set_of_a_vf_before_it_was_lent_counts_too(pool: World) -> None:
    for address in devices(pool).set:
        devices(pool).set_by_hand(address, max_rate=300, vlan=9)
    before = state_of(pool)
    address = lent(pool, nic())
    assert devices(pool).set[address].vlan == 0, "libvirt takes an old VLAN away"
    assert kinds(pool) == []
    devices(pool).set_by_hand(address, max_rate=0)
    assert kinds(pool) == ["vf-settings-differ"]
    pool.plugger.repair(pool.plugger.audit())
    pool.plugger.detach(pool.name, "ua-vf1")
    assert state_of(pool) == before


def test_settings_that_were_asked_for_since_are_those_it_should_have(linked: World) -> None:
    pool = linked
    address = lent(pool, nic(extra="<vlan><tag id='42'/></vlan>"))
    pool.plugger.update(pool.name, "ua-vf1", {"vlan": Vlan((VlanTag(43),)), "link_state": "down"})
    pool.plugger.update(pool.name, "ua-vf1", {"link_state": "up"})
    assert kinds(pool) == []
    devices(pool).set_by_hand(address, vlan=42)
    (finding,) = pool.plugger.audit().findings
    assert "VLAN is 42 and not 43" in finding.message


def test_a_vf_that_another_program_attached_and_we_set_is_looked_at_too(pool: World) -> None:
    address = PciAddress(0, 1, 0x10, 0)
    pool.host.hypervisor.domain(pool.name).attach(by_address(), Half.LIVE)
    pool.plugger.update(pool.name, "ua-vf9", {"trust": True})
    assert kinds(pool) == []
    devices(pool).set_by_hand(address, trust=False)
    assert kinds(pool) == ["vf-settings-differ"]


def test_what_cannot_be_set_again_is_said_and_found_again(pool: World) -> None:
    address = lent(pool, requested(trust=True))
    devices(pool).set_by_hand(address, trust=False)
    devices(pool).unsettable.add("trust")
    (finding,) = pool.plugger.repair(pool.plugger.audit()).findings
    assert finding.repaired is False and "could not be mended" in finding.message
    assert kinds(pool) == ["vf-settings-differ"]


def test_a_repair_looks_again_first(pool: World) -> None:
    address = lent(pool, requested(trust=True))
    devices(pool).set_by_hand(address, trust=False)
    report = pool.plugger.audit()
    pool.plugger.detach(pool.name, "ua-vf1")
    (finding,) = pool.plugger.repair(report).findings
    assert finding.repaired is False and "audit again" in finding.message
    assert devices(pool).set[address].trust is False


def test_a_pf_that_cannot_be_asked_is_said(pool: World) -> None:
    lent(pool, nic())
    devices(pool).faults["settings"] = HostDeviceUnfit("its PF has no network interface here")
    (finding,) = pool.plugger.audit().findings
    assert finding.kind == "vf-settings-unseen" and "no network interface here" in finding.message


# -- sriov_numvfs under it ----------------------------------------------------------------------------


def test_a_vf_that_vanished_is_said_by_audit_and_devices_and_its_nic_can_be_detached(pool: World) -> None:
    address = lent(pool, nic())
    devices(pool).held.clear()
    devices(pool).set_numvfs(PFS[0], 0)
    (finding,) = pool.plugger.audit().findings
    assert finding.kind == "device-missing" and "sriov_numvfs" in finding.message
    (unseen,) = pool.plugger.devices().unseen
    assert str(address) in unseen and "gone from the host" in unseen
    assert pool.plugger.recover() == (), "the guest has it still"
    outcome = pool.plugger.detach(pool.name, "ua-vf1")
    assert outcome.result is Result.DONE
    (warning,) = outcome.warnings
    assert "gone from the host" in warning
    assert pool.host.journal.holdings() == [] and list(pool.host.networks.ports("pool")) == []
    assert kinds(pool) == []


def test_a_vf_that_vanished_and_took_its_guest_along_is_let_go_by_recover(pool: World) -> None:
    address = lent(pool, nic())
    pool.guest.destroy()
    devices(pool).held.clear()
    devices(pool).set_numvfs(PFS[0], 0)
    assert "device-leaked" in kinds(pool)
    (outcome,) = pool.plugger.recover()
    assert (outcome.operation, outcome.result) == ("return", Result.DONE)
    assert str(address) in outcome.message and "gone from the host" in outcome.message
    assert pool.host.journal.holdings() == [] and list(pool.host.networks.ports("pool")) == []


def test_vfs_made_anew_are_not_the_one_that_was_lent(pool: World) -> None:
    address = lent(pool, nic())
    devices(pool).held.clear()
    devices(pool).set_numvfs(PFS[0], 0)
    devices(pool).set_numvfs(PFS[0], 4)
    assert devices(pool).found[address].driver == VF_DRIVER
    (finding,) = pool.plugger.audit().findings
    assert finding.kind == "vf-changed" and "made anew" in finding.message
    assert pool.plugger.detach(pool.name, "ua-vf1").result is Result.DONE
    assert pool.host.journal.holdings() == [] and kinds(pool) == []
    (again,) = pool.plugger.attach(pool.name, [nic()]).nics
    assert again.host_address is not None
