"""Lending a device: hold it in the journal, make its port, bind it to VFIO unless libvirt does, set it.

A durable row comes before every effect, so that a crash leaves nothing unknown.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence

from virtnetplug import xml
from virtnetplug.backends import Ground, Order
from virtnetplug.backends.pool import Pool, exhausted, pool_for, rank
from virtnetplug.backends.returning import give_back
from virtnetplug.backends.vf_identity import User, detach, expect_ours, loss_of, make_port, taker_of
from virtnetplug.backends.vf_settings import of_ours, put, unfit
from virtnetplug.errors import ClaimTaken, PoolExhausted
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import PciDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain

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
            give_back(ground, one)
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
