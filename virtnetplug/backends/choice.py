"""Which VF of a pool a guest gets: a pure decision, the same for the same candidates in any order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from virtnetplug.model.host_device import PciDevice
from virtnetplug.model.pci import PciAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What is known of a pool's devices at one moment.

    `taken` maps a device to what speaks against it (who has it, why it is quarantined); `load` is how many VFs of each PF are
    taken; `links` says whether each PF's link is up; `nodes` are the NUMA nodes of the guest's memory, none if it may be anywhere.
    """

    devices: Sequence[PciDevice]
    taken: Mapping[PciAddress, str]
    load: Mapping[PciAddress, int]
    links: Mapping[PciAddress, bool]
    nodes: Collection[int] = ()


def rank(pool: Pool) -> tuple[PciDevice, ...]:
    """The devices a guest may get, best first.

    One on the NUMA node of the guest's memory comes before one elsewhere, then one of the PF with the fewest VFs taken, then the lowest address.
    A PF whose link is down lends nothing (`obstacle`).
    """
    fit = [device for device in pool.devices if obstacle(pool, device) is None]
    return tuple(sorted(fit, key=lambda device: _order(pool, device)))


def obstacle(pool: Pool, device: PciDevice) -> str | None:
    """Why a guest cannot get this device; None if it can."""
    if device.address in pool.taken:
        return pool.taken[device.address]
    if device.pf is not None and not pool.links.get(device.pf, True):
        return f"the link of its PF {device.pf} is down"
    return None


def _order(pool: Pool, device: PciDevice) -> tuple[bool, int, PciAddress]:
    elsewhere = bool(pool.nodes) and device.numa_node is not None and device.numa_node not in pool.nodes
    load = 0 if device.pf is None else pool.load.get(device.pf, 0)
    return elsewhere, load, device.address
