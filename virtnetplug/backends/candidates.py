"""The devices a NIC could get, and what speaks against each just now: who has it, who holds it, which PF is down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from virtnetplug import xml
from virtnetplug.backends import Ground
from virtnetplug.backends.choice import Pool, obstacle
from virtnetplug.errors import DomainMissing, DomainNotRunning, HostDeviceUnfit, PciAddressInvalid
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VFIO_DRIVER, PciDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain


def pool_for(
    ground: Ground, net: Interface, actual: ActualDevice, domain: Domain | None, leaving: Interface | None = None
) -> Pool:
    """The pool of the NIC's network, or the one device it names; what only `leaving` has counts as free.

    Raises what looking at domains, journal, network or devices raises, and `HostDeviceUnfit` where the pool has not what `OF_POOLS` say.
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


def has_for(domain: Domain, holding: Holding) -> bool:
    """Whether the domain runs with that device, and has it behind the NIC that it is held for; raises what looking at it raises."""
    return live_with(domain, holding) is not None


def live_with(domain: Domain, holding: Holding) -> str | None:
    """The live definition, if it has that device behind the NIC that it is held for, or None; raises what looking at it raises."""
    try:
        text = domain.xml(Half.LIVE)
    except (DomainMissing, DomainNotRunning):
        return None
    is_there = "hostdev" in text and any(
        holding.is_behind(net.alias, net.mac, net.host_address) for net in xml.glimpse(text)
    )
    return text if is_there else None


def is_lent_by(ground: Ground, network: Network, address: PciAddress) -> bool:
    """Whether that device is one of the network's: a network may have been made anew with the name of another one."""
    device = ground.host_devices.device(address)
    return _is_lent_by(network, device, ground.host_devices.device(device.pf) if device.pf is not None else None)


def _candidates(ground: Ground, net: Interface, actual: ActualDevice) -> Iterator[PciDevice]:
    if net.source_pci is not None:
        yield ground.host_devices.device(net.source_pci)
        return
    network = ground.networks.network(actual.network or "")
    there = ground.host_devices.devices()
    pfs: dict[PciAddress | None, PciDevice] = {device.address: device for device in there if device.is_pf}
    lent = [(device, pf) for device in there if _is_lent_by(network, device, pf := pfs.get(device.pf))]
    chosen = [device for device, pf in lent if _is_chosen(net, device, pf)]
    if lent and not chosen:
        raise HostDeviceUnfit(_not_in(network, net, lent))
    yield from chosen


def _is_lent_by(network: Network, device: PciDevice, pf: PciDevice | None) -> bool:
    is_of_its_pf = network.pf is not None and pf is not None and pf.netdev == network.pf
    return is_of_its_pf or device.address in network.addresses


def _is_chosen(net: Interface, device: PciDevice, pf: PciDevice | None) -> bool:
    """Whether it is what `OF_POOLS` say, which mostly say nothing."""
    is_of_pf = net.pf is None or (pf is not None and _spelt(net.pf) in (str(pf.address), pf.netdev))
    return net.vf in (None, device.address) and is_of_pf


def _spelt(pf: str) -> str:
    """A PCI address as it is written everywhere; the name of a network interface as it is."""
    try:
        return str(PciAddress.parse(pf))
    except PciAddressInvalid:
        return pf


def _not_in(network: Network, net: Interface, lent: Sequence[tuple[PciDevice, PciDevice | None]]) -> str:
    asked = [f"VF {net.vf}"] if net.vf is not None else []
    asked += [f"VF of a PF {net.pf}"] if net.pf is not None else []
    pfs = {pf.netdev or str(pf.address) for _, pf in lent if pf is not None}
    return (
        f"network {network.name} lends no {' that is a '.join(asked)}. It lends "
        f"{', '.join(str(device.address) for device, _ in lent)}, of {', '.join(sorted(pfs)) or 'no PF of this host'}. "
        "Name one of these, or leave that out for the best one"
    )


def exhausted(actual: ActualDevice, pool: Pool, lost: Mapping[PciAddress, str]) -> str:
    """The sentence that says why each device of the pool cannot be had; `lost` are those that were tried."""
    what = f"network {actual.network}" if actual.network else "the host device asked for"
    reasons = [f"{device.address} ({lost.get(device.address) or obstacle(pool, device)})" for device in pool.devices]
    listed = "; ".join(reasons) or "it has no device at all"
    return (
        f"{what} has no device left to lend: {listed}. Detach one that is in use, mend what is quarantined, or have "
        "`recover()` give back what a domain that has ended still holds."
    )
