"""Policies and identities where the fast NIC is a VF, on the imaginary host: links through the PF, and evidence of the guest's driver."""

from __future__ import annotations

import pytest

from tests.contract.test_hostdev import devices, nic, pool
from tests.contract.test_policy import deeds, nets
from tests.contract.world import World
from virtnetplug.errors import FilterLoss, HostDeviceUnfit
from virtnetplug.lifecycle import State
from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Deed, Result
from virtnetplug.model.pci import PciAddress

__all__ = ["pool"]

FROM_POOL = Interface(type="network", source_network="pool")


def with_link_state(world: World) -> None:
    """As an adapter's driver that has it, which igb has not."""
    for address in devices(world).set:
        devices(world).set_by_hand(address, link_state="auto")


def vf_of(world: World, alias: str) -> PciAddress:
    address = world.plugger.show(world.name, alias).nic.host_address
    assert address is not None
    return address


def test_a_guests_driver_makes_it_connected_and_the_emulated_one_goes(pool: World) -> None:
    pool.plugger.attach(pool.name, [pool.bridge_nic(1)])
    pool.plugger.set_policy(pool.name, unplug=UnplugPolicy.ACTIVE)
    assert pool.plugger.attach(pool.name, [nic(2)], twin_of="ua-nic1").enforced == ()
    assert pool.plugger.show(pool.name, "ua-vf2").nic.frontend is State.UNKNOWN
    devices(pool).driven.add(vf_of(pool, "ua-vf2"))
    assert pool.plugger.show(pool.name, "ua-vf2").nic.frontend is State.CONNECTED
    assert [each.result for each in pool.plugger.recover()] == [Result.DONE]
    assert list(nets(pool)) == ["ua-vf2"]


def test_what_cannot_be_seen_is_no_evidence(pool: World) -> None:
    pool.plugger.attach(pool.name, [nic(2)])
    devices(pool).driven.add(vf_of(pool, "ua-vf2"))
    devices(pool).faults["is_msix_enabled"] = HostDeviceUnfit("takes root")
    assert pool.plugger.show(pool.name, "ua-vf2").nic.frontend is State.UNKNOWN


def test_a_vf_serves_before_all_emulations_and_gives_way_through_its_pf(pool: World) -> None:
    with_link_state(pool)
    pool.plugger.set_policy(pool.name, serve=["ua-nic1", "ua-vf2", "ua-vf3"])
    pool.plugger.attach(pool.name, [pool.bridge_nic(1), nic(2), nic(3, "unmanaged")])
    group = pool.plugger.explain_policy(pool.name).groups[0]
    assert [(each.rank, each.device, each.is_held, each.link_state) for each in group] == [
        (1, "8086:10ca", False, "up"), (2, "8086:10ca", True, "down"), (3, "1af4:1000", True, "down"),
    ]  # fmt: skip
    first, second = group[0].alias, group[1].alias
    assert devices(pool).set[vf_of(pool, second)].link_state == "disable"
    assert devices(pool).set[vf_of(pool, first)].link_state == "auto"
    outcome = pool.plugger.detach(pool.name, first)
    assert deeds(outcome) == [(Deed.LINK_UP, second, Result.DONE)]
    assert devices(pool).set[vf_of(pool, second)].link_state == "auto"


def test_a_vf_without_a_link_state_is_said_and_no_finding(pool: World) -> None:
    pool.plugger.attach(pool.name, [nic(2), nic(3)])
    outcome = pool.plugger.set_policy(pool.name, serve=["ua-vf2", "ua-vf3"])
    assert outcome.enforced == () and any("no link state for its VFs" in text for text in outcome.warnings)
    group = pool.plugger.explain_policy(pool.name).groups[0]
    assert [(each.is_held, bool(each.obstacle)) for each in group] == [(False, False), (True, True)]
    assert "policy-unmet" not in [each.kind for each in pool.plugger.audit().findings]
    assert pool.plugger.recover() == ()


def test_an_identity_whose_link_is_down_needs_a_vf_that_can_have_that(pool: World) -> None:
    pool.plugger.attach(pool.name, [pool.bridge_nic(1, extra="<link state='down'/>")])
    before = pool.snapshot()
    with pytest.raises(HostDeviceUnfit, match=r"link of ua-nic1 .* is down.*'link_state': 'up'"):
        pool.plugger.handover(pool.name, "ua-nic1", FROM_POOL)
    assert pool.snapshot() == before
    with_link_state(pool)
    pool.plugger.handover(pool.name, "ua-nic1", FROM_POOL)
    assert devices(pool).set[vf_of(pool, "ua-nic1-fast")].link_state == "disable"


def test_a_link_that_is_only_held_down_needs_nothing_of_the_vf(pool: World) -> None:
    pool.plugger.attach(pool.name, [pool.bridge_nic(1), pool.bridge_nic(3)])
    pool.plugger.set_policy(pool.name, serve=["ua-nic1", "ua-nic3"])
    held = next(alias for alias, net in nets(pool).items() if net.link_state == "down")
    assert pool.plugger.handover(pool.name, held or "", FROM_POOL).result is Result.DONE


@pytest.mark.parametrize(
    ("fast", "kind"),
    [(FROM_POOL, "an assigned device"), (Interface(type="user"), "a NIC of type user")],
)
def test_a_filter_is_lost_with_every_kind_that_has_none(pool: World, fast: Interface, kind: str) -> None:
    pool.plugger.attach(pool.name, [pool.bridge_nic(1, extra="<filterref filter='clean-traffic'/>")])
    with pytest.raises(FilterLoss, match=kind):
        pool.plugger.handover(pool.name, "ua-nic1", fast)
