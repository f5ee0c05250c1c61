"""The devices a NIC could get, and what speaks against each just now: who has it, who holds it, which PF is down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from virtnetplug import xml
from virtnetplug.backends import Ground
from virtnetplug.backends.choice import Pool, obstacle
from virtnetplug.errors import DomainMissing, DomainNotRunning
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.host_device import VFIO_DRIVER, PciDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain


def pool_for(
    ground: Ground, net: Interface, actual: ActualDevice, domain: Domain | None, leaving: Interface | None = None
) -> Pool:
    """The pool of the NIC's network, or the one device it names; what only `leaving` has counts as free.

    Raises what looking at domains, journal, network or devices raises.
    """
    devices = tuple(_candidates(ground, net, actual))
    taken = {address: f"domain {user.name} has it" for address, user in users_of_devices(ground).items()}
    for holding in ground.journal.holdings():
        state = f"quarantined ({holding.quarantine})" if holding.quarantine else f"held for {holding.domain_name}"
        taken[holding.address] = state
    if actual.network:
        for port in ground.networks.ports(actual.network):
            if port.host_address is not None:
                taken.setdefault(port.host_address, f"lent by its network to {port.owner_name or 'another domain'}")
    for device in devices:
        if device.driver != VFIO_DRIVER or device.address in taken:
            continue
        if users := ground.host_devices.vfio_users(device.address):
            taken[device.address] = f"process {min(users)} has it open through VFIO"
    if leaving is not None and leaving.source_pci is not None:
        taken.pop(leaving.source_pci, None)
    load: dict[PciAddress, int] = {}
    for device in devices:
        if device.pf is not None and device.address in taken:
            load[device.pf] = load.get(device.pf, 0) + 1
    links = {pf: ground.host_devices.is_link_up(pf) for pf in {device.pf for device in devices} if pf is not None}
    nodes = xml.memory_nodes(domain.xml(Half.LIVE)) if domain is not None and len(devices) > 1 else ()
    return Pool(devices=devices, taken=taken, load=load, links=links, nodes=nodes)


def users_of_devices(ground: Ground) -> Mapping[PciAddress, Domain]:
    """Every host device that some running domain has, and which.

    A domain that ended since the list was made has none; one that cannot be looked at raises: "not seen" is no proof.
    """
    found: dict[PciAddress, Domain] = {}
    for domain in ground.hypervisor.running():
        found.update(dict.fromkeys(devices_of(domain), domain))
    return found


def devices_of(domain: Domain) -> frozenset[PciAddress]:
    """The host devices that a domain has, none if it does not run; raises what looking at it raises."""
    try:
        text = domain.xml(Half.LIVE)
    except (DomainMissing, DomainNotRunning):
        return frozenset()
    # most have none, and to parse each would take longer than to ask for it
    return xml.host_addresses(text) if "hostdev" in text else frozenset()


def _candidates(ground: Ground, net: Interface, actual: ActualDevice) -> Iterator[PciDevice]:
    if net.source_pci is not None:
        yield ground.host_devices.device(net.source_pci)
        return
    network = ground.networks.network(actual.network or "")
    wanted = set(network.addresses)
    for device in ground.host_devices.devices():
        if network.pf is not None and device.is_pf and device.netdev == network.pf:
            yield from ground.host_devices.vfs(device.address)
        elif device.address in wanted:
            yield device


def exhausted(actual: ActualDevice, pool: Pool, lost: Mapping[PciAddress, str]) -> str:
    """The sentence that says why each device of the pool cannot be had; `lost` are those that were tried."""
    what = f"network {actual.network}" if actual.network else "the host device asked for"
    reasons = [f"{device.address} ({lost.get(device.address) or obstacle(pool, device)})" for device in pool.devices]
    listed = "; ".join(reasons) or "it has no device at all"
    return (
        f"{what} has no device left to lend: {listed}. Detach one that is in use, mend what is quarantined, or have "
        "'virtnetplug recover' give back what a domain that has ended still holds."
    )
