"""The devices of a pool: which a NIC could get, and which comes first. Lending a device: hold it, make its port, bind and set it.

A durable row comes before every effect, so that a crash leaves nothing unknown.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from virtnetplug import xml
from virtnetplug.backends import Ground, Order
from virtnetplug.backends.returning import return_to_host
from virtnetplug.backends.vf_identity import User, detach, expect_ours, loss_of, make_port, taker_of, users_of_devices
from virtnetplug.backends.vf_settings import of_ours, put, unfit
from virtnetplug.errors import ClaimTaken, HostDeviceUnfit, PciAddressInvalid, PoolExhausted
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VFIO_DRIVER, PciDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The devices of a pool at one moment.

    `taken` maps a device to the reason why no NIC can get it: its user, or its quarantine. `load` is the number of taken VFs for each PF.
    `links` says whether the link of each PF is up. `nodes` are the NUMA nodes of the guest's memory, none if it may be anywhere.
    """

    devices: Sequence[PciDevice]
    taken: Mapping[PciAddress, str]
    load: Mapping[PciAddress, int]
    links: Mapping[PciAddress, bool]
    nodes: Collection[int] = ()


def rank(pool: Pool) -> tuple[PciDevice, ...]:
    """The devices a guest may get, best first; the same for the same devices in any order.

    A device on the NUMA node of the guest's memory comes before a device elsewhere. Then the PF with the fewest taken VFs counts, then the
    lowest address.
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


def pool_for(
    ground: Ground, net: Interface, actual: ActualDevice, domain: Domain | None, leaving: Interface | None = None
) -> Pool:
    """The pool of the NIC's network, or the one device that the NIC names. A device that only `leaving` has counts as free.

    Raises what looking at domains, journal, network or devices raises. Raises `HostDeviceUnfit` where the pool has no device that fits
    the fields `OF_POOLS` of the NIC.
    """
    devices = tuple(_candidates(ground, net, actual))
    taken = {address: f"domain {user.name} has it" for address, user in users_of_devices(ground).items()}
    for holding in ground.journal.holdings():
        state = f"quarantined ({holding.quarantine})" if holding.quarantine else f"held for {holding.domain_name}"
        taken[holding.address] = state
    for port in ground.networks.ports(actual.network) if actual.network else ():
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


def is_lent_by(ground: Ground, network: Network, address: PciAddress) -> bool:
    """Whether that device is one of the network's: a network may have been made again with the name of an earlier network."""
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
    """Whether the device fits the fields `OF_POOLS` of the NIC, which are mostly unset."""
    is_of_pf = net.pf is None or (pf is not None and _spelt(net.pf) in (str(pf.address), pf.netdev))
    return net.vf in (None, device.address) and is_of_pf


def _spelt(pf: str) -> str:
    """A PCI address in its usual spelling; the name of a network interface as it is."""
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
    """The sentence that says why no device of the pool can be had; `lost` are the devices that were tried."""
    what = f"network {actual.network}" if actual.network else "the host device asked for"
    reasons = [f"{device.address} ({lost.get(device.address) or obstacle(pool, device)})" for device in pool.devices]
    listed = "; ".join(reasons) or "it has no device at all"
    return (
        f"{what} has no device left to lend: {listed}. Detach a device that is in use, mend what is quarantined, or have "
        "`recover()` return what a domain that has ended still holds."
    )


_NOT_OF_A_VF = (
    "source_network",
    "source_portgroup",
    "source_portid",
    "bandwidth_inbound",
    "bandwidth_outbound",
    "model",
)


def claim(ground: Ground, order: Order) -> Holding:
    """Hold the best device that nobody has. The loser of a race gets the next device.

    Raises `PoolExhausted` if no device is left, and what looking at devices and networks raises.
    """
    if (kept := _kept(ground, order)) is not None:
        return kept
    pool = pool_for(ground, order.net, order.actual, order.domain)
    pool = dataclasses.replace(pool, taken={**pool.taken, **order.refused})
    lost: dict[PciAddress, str] = {}
    for device in _best(pool, order):
        why = unfit(order.settings, ground.host_devices.settings(device.address)) if order.settings else None
        if why is None:
            try:
                return _hold(ground, _holding(ground, order, device))
            except ClaimTaken as error:
                why = error.message
        lost[device.address] = why
    raise PoolExhausted(exhausted(order.actual, pool, lost))


def _hold(ground: Ground, holding: Holding) -> Holding:
    """Write the row, make the port if a network lends the device, then take the snapshot. Raises `ClaimTaken`, and then holds nothing."""
    with ground.journal.batch():
        holding = ground.journal.hold(holding)
        if not holding.network:  # nothing has an effect between row and snapshot, so one commit has both
            holding = _with_snapshot(ground, holding)
            ground.journal.amend_holding(holding)
            return holding
    try:
        make_port(ground, holding)
    except ClaimTaken:
        ground.journal.let_go(holding)
        raise
    holding = _with_snapshot(ground, holding)
    ground.journal.amend_holding(holding)
    return holding


def prepare(ground: Ground, holding: Holding) -> None:
    """Make the device ready for the guest, which never sees it with other settings; libvirt sets MAC and VLAN.

    libvirt binds a managed device inside attach. It leaves the binding of any other device (``managed='no'``) to its caller.
    """
    expect_ours(ground, holding, User.NOBODY)  # libvirt sets it inside attach
    if not holding.managed:
        detach(ground, holding)
    put(ground, holding, of_ours(holding.settings), user=User.NOBODY)


def element_for(net: Interface, actual: ActualDevice, holding: Holding) -> Interface:
    """The net for the guest: by address, with what a VF can hold."""
    changes: dict[str, object] = {name: None for name in _NOT_OF_A_VF if getattr(net, name) is not None}
    changes |= {"type": "hostdev", "source_pci": holding.address, "managed": holding.managed}
    if actual.vlan is not None:
        changes["vlan"] = actual.vlan
    if actual.virtualport is not None:
        changes["virtualport"] = actual.virtualport
    return xml.interface(xml.edit(net.element, changes))


def held_for(ground: Ground, domain: Domain, alias: str) -> Sequence[Holding]:
    """What the journal holds for that NIC."""
    return [one for one in ground.journal.holdings(ground.hypervisor.key, domain.uuid) if one.alias == alias]


def held(ground: Ground, domain: Domain, alias: str, mac: object, address: PciAddress) -> Holding | None:
    """What the journal holds of that device for that NIC. None if the row is of another NIC, or of an earlier VF at the same address."""
    one = next((one for one in held_for(ground, domain, alias) if one.is_behind(alias, mac, address)), None)
    loss = None if one is None else loss_of(ground, one)
    return one if loss is None or loss.is_gone else None


def _best(pool: Pool, order: Order) -> Sequence[PciDevice]:
    """The devices by rank. The device that the NIC had comes first, also where the link of its PF went down meanwhile."""
    choice = order.choice
    again = [one for one in pool.devices if one.address == choice.again and one.address not in pool.taken]
    best = (*again, *(one for one in rank(pool) if one not in again))
    return [one for one in best if one.address != choice.avoid and choice.only in (None, one.address)]


def _kept(ground: Ground, order: Order) -> Holding | None:
    """The device that is held for the NIC already. This operation held it before it was cut off, or the NIC had it a moment ago.

    Its return may have ended in a quarantine. A device that another NIC has by now, or whose address another VF has, is not kept.
    """
    for one in held_for(ground, order.domain, order.net.alias or ""):
        if loss_of(ground, one) is not None or taker_of(ground, one) is not None:
            return_to_host(ground, one)
            continue
        if one.address == order.choice.again or (one.operation_id == order.operation_id and not one.quarantine):
            number = order.domain.state().id
            kept = dataclasses.replace(
                one,
                domain_id=number,
                since=one.since if one.domain_id == number else ground.clock.now(),
                operation_id=order.operation_id,
                mac=str(order.net.mac or ""),
                settings=dict(order.settings),
                quarantine="",
            )
            if not kept.snapshot:
                kept = _with_snapshot(ground, kept)
            ground.journal.amend_holding(kept, one)
            make_port(ground, kept)
            return kept
    return None


def _holding(ground: Ground, order: Order, device: PciDevice) -> Holding:
    network = order.actual.network or ""
    return Holding(
        address=device.address,
        uri=ground.hypervisor.uri,
        hypervisor=ground.hypervisor.key,
        domain_uuid=order.domain.uuid,
        domain_name=order.domain.name,
        domain_id=order.domain.state().id,  # a guest that was restored has another than the operation began with
        alias=order.net.alias or "",
        mac=str(order.net.mac or ""),
        managed=ground.networks.network(network).managed if network else bool(order.net.managed),
        network=network,
        port=str(uuid.uuid4()) if network else "",
        operation_id=order.operation_id,
        settings=dict(order.settings),
        since=ground.clock.now(),
        identity=ground.host_devices.identity(device.address),
    )


def _with_snapshot(ground: Ground, holding: Holding) -> Holding:
    return dataclasses.replace(holding, snapshot=dataclasses.asdict(ground.host_devices.settings(holding.address)))
