"""Lending a device: hold it in the journal, make its port, bind it to VFIO where libvirt is not to, set it.

A durable row comes before every effect, so that a crash leaves nothing that nobody knows of.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence

from virtnetplug import xml
from virtnetplug.backends import Ground, Order
from virtnetplug.backends.candidates import exhausted, pool_for
from virtnetplug.backends.choice import Pool, rank
from virtnetplug.backends.returning import give_back
from virtnetplug.backends.vf_identity import User, detach, expect_ours, loss_of, make_port, taker_of
from virtnetplug.backends.vf_settings import before_attach, put, unfit
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
    """The best device nobody has: a durable row first, then the port; the loser of a race gets the next one.

    Raises `PoolExhausted` once none is left, and what looking at devices and networks raises.
    """
    if (kept := _kept(ground, order)) is not None:
        return kept
    pool = pool_for(ground, order.net, order.actual, order.domain)
    lost: dict[PciAddress, str] = {}
    for device in _best(pool, order):
        if order.settings and (why := unfit(order.settings, ground.host_devices.settings(device.address))) is not None:
            lost[device.address] = why
            continue
        holding = _holding(ground, order, device)
        try:
            holding = _hold(ground, holding)
        except ClaimTaken as error:
            lost[device.address] = error.message
            continue
        return holding
    raise PoolExhausted(exhausted(order.actual, pool, lost))


def _hold(ground: Ground, holding: Holding) -> Holding:
    """The row, the port if it comes of a network, and the snapshot, taken of what is held already; raises `ClaimTaken`, holding nothing."""
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


def changes_before_attach(holding: Holding) -> bool:
    """Whether `prepare` changes anything of the device."""
    return not holding.managed or bool(before_attach(holding.settings))


def prepare(ground: Ground, holding: Holding) -> None:
    """Ready for the guest. With ``managed='no'`` the binding is ours, as libvirt defines it; else libvirt binds inside attach.

    What is set here the guest never sees otherwise; libvirt sets MAC and VLAN.
    """
    expect_ours(ground, holding, User.NOBODY)  # libvirt sets it inside attach
    if not holding.managed:
        detach(ground, holding)
    put(ground, holding, before_attach(holding.settings), user=User.NOBODY)


def element_for(net: Interface, actual: ActualDevice, holding: Holding) -> Interface:
    """The net as it is given to the guest: by address, with what a VF can hold."""
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


def _best(pool: Pool, order: Order) -> Sequence[PciDevice]:
    """By rank; the one that the NIC had before them, even where the link of its PF went down meanwhile."""
    again = [one for one in pool.devices if one.address == order.again and one.address not in pool.taken]
    best = (*again, *(one for one in rank(pool) if one not in again))
    return [one for one in best if one.address != order.avoid and order.only in (None, one.address)]


def _kept(ground: Ground, order: Order) -> Holding | None:
    """The device that is held for the NIC already: by this operation, which was cut off since; or still, for it had that a moment ago.

    That may have been quarantined on its way back. If another VF has its address by now, that one is lent as any other, and not as this one.
    A device that another NIC has by now is that NIC's.
    """
    for one in held_for(ground, order.domain, order.net.alias or ""):
        if loss_of(ground, one) is not None or taker_of(ground, one) is not None:
            give_back(ground, one)
            continue
        if one.address == order.again or (one.operation_id == order.operation_id and not one.quarantine):
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
        managed=_is_managed(ground, order.net, order.actual),
        network=network,
        port=str(uuid.uuid4()) if network else "",
        operation_id=order.operation_id,
        settings=dict(order.settings),
        since=ground.clock.now(),
        identity=ground.host_devices.identity(device.address),
    )


def _is_managed(ground: Ground, net: Interface, actual: ActualDevice) -> bool:
    if actual.network:
        return ground.networks.network(actual.network).managed
    return bool(net.managed)


def _with_snapshot(ground: Ground, holding: Holding) -> Holding:
    return dataclasses.replace(holding, snapshot=dataclasses.asdict(ground.host_devices.settings(holding.address)))
