"""Reservations: the aliases, MACs and guest addresses of NICs that open operations may still put into a guest.

A NIC that is out while its operation waits is in no definition, so only the journal knows the place it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from virtnetplug import xml
from virtnetplug.errors import LeftPending, NicPending, PlaceReserved
from virtnetplug.hotplug import fit, leftover
from virtnetplug.hotplug.request import edited, partner_of
from virtnetplug.hotplug.view import DomainView, describe, look
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, OperationRecord, Refusal
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """One NIC that an open operation may yet put into the guest."""

    operation: str
    operation_id: str
    net: Interface


def reservations(records: Iterable[OperationRecord], domain_uuid: str) -> tuple[Reservation, ...]:
    """Of the domain's open operations, and of those of no one domain that it has a VF in; a detach puts nothing in."""
    found = []
    for record in records:
        if record.domain_uuid:
            nets = leftover.nets_of(record)
        else:
            its = (entry for entry in record.named if entry.get("domain_uuid") == domain_uuid)
            nets = tuple(xml.interface(entry["element"]) for entry in its if entry.get("element"))
        found += [Reservation(operation=record.operation, operation_id=record.id, net=net) for net in nets]
    return tuple(found)


def refusals(view: DomainView, nets: Sequence[Interface], reserved: Sequence[Reservation]) -> Iterator[Refusal]:
    """A refusal for each of `nets` that asks for an alias, MAC or guest address that an open operation needs."""
    for net in nets:
        for each in reserved:
            its = each.net
            is_same = (net.alias is not None and net.alias == its.alias) or (
                net.mac is not None
                and net.mac == its.mac
                and its.alias not in (partner_of(net), None)
                and partner_of(its) != net.alias
            )
            settle = f"'virtnetplug recover {view.domain.name} --wait 60' settles it first"
            belongs = f"the {each.operation} {each.operation_id}, which is not settled"
            if is_same:
                yield Refusal(
                    reason=NicPending.reason,
                    nic=describe(net),
                    message=f"{describe(net)} is, by its alias or MAC, {describe(its)} of {belongs}; {settle}.",
                )
                break
            if net.address is not None and net.address == its.address:
                yield Refusal(
                    reason=PlaceReserved.reason,
                    nic=describe(net),
                    message=f"The guest PCI address {net.address} is kept for {describe(its)} of {belongs}. Leave the address out, or name "
                    f"another; or {settle}.",
                )
                break


def placed(
    view: DomainView, nets: Sequence[Interface], reserved: Sequence[Reservation], pools: Sequence[str] = ()
) -> tuple[Interface, ...]:
    """The nets; each that names no guest address gets one that is not reserved.

    If nothing is reserved the nets are returned as they are, and libvirt chooses. A reserved address counts as taken although it is free: and if it
    is still in use, its guest may let go of it before libvirt chooses.
    """
    kept = {each.net.address for each in reserved if each.net.address is not None}
    topology = view.topology
    if topology is None or view.live_xml is None or not kept:  # one that is still taken may be free in a moment
        return tuple(nets)
    taken = {*kept, *(net.address for net in nets if net.address is not None)}
    found = []
    for net in nets:
        is_assigned = net.is_hostdev or net.source_network in pools
        if net.address is None and (is_assigned or net.model not in fit.NOT_PCI):
            is_express = topology.is_pcie if is_assigned else topology.takes_port(net.model)
            place = topology.free_place(is_express=is_express, taken={(one.bus, one.slot) for one in taken})
            if place is not None:
                address = PciAddress(0, place[0], place[1], 0)
                taken.add(address)
                net = edited(net, {"address": address})
        found.append(net)
    return tuple(found)


def expect_free(domain: Domain, net: Interface, operation: str) -> None:
    """Raise `LeftPending` (``place-taken``) if another NIC has the alias, MAC or guest address of `net`, or a device its address: nothing is displaced."""
    view = look(domain, (Half.LIVE,))
    others = view.live.nets if view.live is not None else ()
    for other in others:
        shared = [
            what
            for what, is_so in (
                (f"alias {net.alias}", other.alias == net.alias),
                (f"MAC {net.mac}", other.mac == net.mac and partner_of(other) is None and partner_of(net) is None),
                (f"guest address {net.address}", net.address is not None and other.address == net.address),
            )
            if is_so
        ]
        if shared:
            raise _taken(domain, net, shared[0], describe(other), operation)
    topology, address = view.topology, net.address
    if topology is not None and address is not None and topology.is_taken(address):
        raise _taken(domain, net, f"guest address {address}", "a device", operation)


def _taken(domain: Domain, net: Interface, what: str, who: str, operation: str) -> LeftPending:
    return LeftPending(
        f"the {what} that {describe(net)} is to have in {domain.name} was taken by {who} meanwhile, so the {operation} cannot go on. Detach that, "
        f"then 'virtnetplug recover {domain.name}'; the journal keeps the {operation} as pending.",
        reason="place-taken",
    )
