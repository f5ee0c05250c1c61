"""A host or a guest that no VF can work in: refused before anything is touched, with the remedy."""

from __future__ import annotations

import pytest
from lxml import etree

from tests.contract.test_hostdev import by_address, devices, nic, pool, state_of
from tests.contract.world import World
from virtnetplug.errors import Refused
from virtnetplug.model.operation import Half, Refusal, Result, Scope

__all__ = ["pool"]


def limit(world: World, memory: int, most: int, *, half: Half = Half.LIVE, more: str = "") -> None:
    """Give the guest so much memory, and let its QEMU lock so much of it, in KiB."""
    domain = world.host.hypervisor.domain(world.name)
    root = domain._live if half is Half.LIVE else domain._config  # type: ignore[attr-defined]
    for text in (
        f"<memory unit='KiB'>{memory}</memory>",
        f"<memtune><hard_limit unit='KiB'>{most}</hard_limit></memtune>",
    ):
        root.append(etree.fromstring(text))
    if more:
        root.find("devices").append(etree.fromstring(more))


@pytest.mark.parametrize("request_", [nic(), nic(network="unmanaged"), by_address()])
@pytest.mark.parametrize("reason", ["vfio-missing", "permission-denied"])
def test_a_host_that_lends_nothing_says_why(pool: World, request_: str, reason: str) -> None:
    before = state_of(pool)
    devices(pool).against = [Refusal(reason=reason, message="so it is. Remedy: mend it.")]
    with pytest.raises(Refused, match=r"cannot get a device: so it is. Remedy: mend it") as caught:
        pool.plugger.attach(pool.name, [request_])
    assert (caught.value.reason, caught.value.exit_code) == (reason, 3)
    assert [one.reason for one in pool.plugger.plan_attach(pool.name, [request_]).refusals] == [reason]
    assert state_of(pool) == before
    assert pool.plugger.attach(pool.name, [pool.bridge_nic(1)]).result is Result.DONE, (
        "an emulated NIC needs none of that"
    )


@pytest.mark.parametrize("request_", [nic(), by_address()])
def test_a_guest_that_may_lock_less_than_its_memory_gets_no_vf(pool: World, request_: str) -> None:
    limit(pool, 2097152, 2097151)
    before = state_of(pool)
    with pytest.raises(Refused, match=r"virsh memtune .* --hard-limit 3145728 --live") as caught:
        pool.plugger.attach(pool.name, [request_])
    assert (caught.value.reason, caught.value.exit_code) == ("memlock-too-small", 3)
    assert [one.reason for one in pool.plugger.plan_attach(pool.name, [request_]).refusals] == ["memlock-too-small"]
    assert state_of(pool) == before
    assert pool.plugger.attach(pool.name, [pool.bridge_nic(1)]).result is Result.DONE


def test_an_emulated_nic_does_not_become_a_vf_there(pool: World) -> None:
    pool.plugger.attach(pool.name, [pool.bridge_nic(1)])
    limit(pool, 2097152, 1048576)
    before = state_of(pool)
    change = {"type": "network", "source_network": "pool", "model": None}
    with pytest.raises(Refused, match="1048576 KiB") as caught:
        pool.plugger.update(pool.name, "ua-nic1", change, replace=True)
    assert caught.value.reason == "memlock-too-small"
    assert state_of(pool) == before


def test_each_half_has_its_own_limit(pool: World) -> None:
    limit(pool, 2097152, 1048576, half=Half.CONFIG)
    with pytest.raises(Refused, match=r"The definition .* --config"):
        pool.plugger.attach(pool.name, [nic()], scope=Scope.BOTH)
    assert pool.plugger.attach(pool.name, [nic()]).result is Result.DONE


@pytest.mark.parametrize(
    ("most", "more"),
    [(2097152, ""), (1048576, "<iommu model='intel'/>"), (1048576, "<hostdev mode='subsystem' type='pci' managed='yes'>"
      "<source><address domain='0x0000' bus='0x05' slot='0x00' function='0x0'/></source></hostdev>")],
)  # fmt: skip
def test_what_is_enough_or_works_already_is_let_be(pool: World, most: int, more: str) -> None:
    limit(pool, 2097152, most, more=more)
    assert pool.plugger.attach(pool.name, [nic()]).result is Result.DONE
