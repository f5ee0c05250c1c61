"""Reservations: the aliases, MACs and guest addresses of NICs that open operations may still put into a guest.

A NIC that is out while its operation waits is in no definition, so only the journal knows the place it needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from virtnetplug import xml
from virtnetplug.errors import LeftPending, NicPending, PlaceReserved, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check import fit
from virtnetplug.hotplug.check.request import edited, partner_of, without_address
from virtnetplug.hotplug.engine.registry import operation_of, why_unknown
from virtnetplug.hotplug.engine.transaction import REMEDY
from virtnetplug.hotplug.guest import guest, leftover
from virtnetplug.hotplug.look.leaving import is_any_of, of_domain, operation_of_alias, operation_on
from virtnetplug.hotplug.look.view import DomainNic, DomainView, describe, look
from virtnetplug.model.interface import Interface, is_lasting, lasting_name
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
    """What the domain's open operations reserve, and the operations of no one domain that concern a VF of the domain."""
    found = []
    for record in records:
        if record.domain_uuid:
            nets = leftover.nets_of(record)
        else:
            its = tuple(entry for entry in record.named if entry.get("domain_uuid") == domain_uuid)
            nets = leftover.nets_of(dataclasses.replace(record, request={"nics": its}))
        found += [Reservation(operation=record.operation, operation_id=record.id, net=net) for net in nets]
    return tuple(found)


def refusals(view: DomainView, nets: Sequence[Interface], reserved: Sequence[Reservation]) -> Iterator[Refusal]:
    """A refusal for each of `nets` that asks for an alias, MAC or guest address that an open operation needs."""
    for net in nets:
        for each in reserved:
            its = each.net
            is_same = (net.alias is not None and net.alias == its.alias) or (
                net.mac is not None and net.mac == its.mac and not _is_partner(its, net) and not _is_partner(net, its)
            )
            settle = f"{call('recover', view.domain.name, wait=60)} settles it first"
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


def _is_partner(net: Interface, other: Interface) -> bool:
    """Whether `other` names `net` as its partner in a teaming pair, with which it shares its MAC."""
    return net.alias is not None and partner_of(other) == net.alias


def unsettled(host: Host, view: DomainView, pairs: Iterable[DomainNic], *names: str) -> Iterator[Refusal]:
    """A refusal for each NIC of `pairs` and `names` that an open operation may still detach, attach, or change in the metadata.

    What is seen of such a NIC need not last. Ask this before the answer that nothing is to be done, too.
    """
    uuid = view.domain.uuid
    records = guest.concerned(view, host.journal.open_operations(host.hypervisor.key, uuid, ""))
    ids = {name: record.id for record in records for name in record.remembers}
    for each in reservations(records, uuid):
        ids[lasting_name(each.net.alias, each.net.mac, each.net.address)] = each.operation_id
    ids |= of_domain(records, uuid)
    by_id = {record.id: record for record in records}
    said = {name: operation_of_alias(name, ids) for name in names}
    for pair in pairs:
        operation = next((found for net in pair if (found := operation_on(net, ids)) is not None), None)
        if (net := pair.net) is not None:
            name = net.alias or str(net.mac)
            said[name] = said.get(name) or operation
    for name, operation in said.items():
        if operation is not None:
            yield not_settled(view, name, name, by_id[operation])


def not_settled(view: DomainView, name: str, said: str, record: OperationRecord) -> Refusal:
    """The refusal of what is asked for the NIC `name` (`said` to people): an open operation has the NIC."""
    message = f"{said} belongs to operation {record.id}, which is not settled"
    if operation_of(record) is None:
        message += f" and not known to this version: {why_unknown(record)}. {REMEDY}"
    else:
        message += f"; {call('recover', view.domain.name, wait=60)} settles it first."
    return Refusal(reason=NicPending.reason, nic=name, message=message)


def placed(
    view: DomainView, nets: Sequence[Interface], reserved: Sequence[Reservation], pools: Sequence[str] = ()
) -> tuple[Interface, ...]:
    """The nets; each that names no guest address gets one that is not reserved.

    If nothing is reserved the nets are returned as they are, and libvirt chooses. A reserved address counts as taken although it is free. If it is
    still in use, its guest may let go of it before libvirt chooses.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What another NIC or device (`who`) has of that which a NIC needs."""

    what: str
    value: object
    who: str


_ADDRESS = "guest address"

SAME_MAC = "same_mac"
"""Key of a request: the NICs that share a MAC with a NIC of the operation, such as a bond's ports in the guest (`view.same_mac_as`)."""


def expect_free(
    domain: Domain, net: Interface, record: OperationRecord, half: Half = Half.LIVE, *, beside: Sequence[Interface] = ()
) -> None:
    """Raise `LeftPending` where somebody's hand has put another NIC or device where `net` is to come: nobody is pushed aside for it.

    `beside` are the NICs of that definition, if any, which are to leave it for `net`.
    """
    taken = taken_place(domain, net, half, record.request.get(SAME_MAC, ()), beside=beside)
    if taken is None:
        return
    operation = record.operation
    where, nic, recover = domain.name, describe(net), call("recover", domain.name)
    if half is Half.CONFIG:
        where = f"the definition of {where}"
    remedy = f"Remove {taken.who} there with 'virsh detach-device --{half.value}'; then {recover} goes on with the {operation}"
    if taken.what == _ADDRESS:
        remedy += f". Or let {call('recover', domain.name, any_address=True)} put {nic} elsewhere"
    raise LeftPending(
        f"The {taken.what} {taken.value} that {nic} is to have in {where} was taken by {taken.who} meanwhile, so the {operation} cannot go on. "
        f"The journal keeps it as pending. {remedy}.",
        reason="place-taken",
    )


def freed(domain: Domain, element: str, request: Mapping[str, Any], half: Half = Half.LIVE) -> str:
    """The element of a NIC that is to come, with no guest address asked for where somebody has put another NIC or device there."""
    taken = taken_place(domain, xml.interface(element), half, request.get(SAME_MAC, ()))
    return without_address(element) if taken is not None and taken.what == _ADDRESS else element


def taken_place(
    domain: Domain,
    net: Interface,
    half: Half = Half.LIVE,
    same_mac: Sequence[str] = (),
    *,
    beside: Sequence[Interface] = (),
) -> Taken | None:
    """Who has the alias, MAC or guest address of a NIC that is to come into that definition; None if nobody has.

    A NIC that had the MAC when the operation began (`same_mac`) does not take the place. Neither does a NIC that will leave for it (`beside`).
    """
    view = look(domain, (half,))
    devices, address = view.live if half is Half.LIVE else view.config, net.address
    if any(one.address == address for one in beside):
        address = None
    leaving = {one.element for one in beside}
    for other in devices.nets if devices is not None else ():
        if other.element in leaving:
            continue
        who = describe(other)
        if is_lasting(net.alias) and other.alias == net.alias:
            return Taken(what="alias", value=net.alias, who=who)
        shares = net.mac is not None and other.mac == net.mac and partner_of(other) is None and partner_of(net) is None
        if shares and not is_any_of([other], same_mac):
            return Taken(what="MAC", value=net.mac, who=who)
        if address is not None and other.address == address:
            return Taken(what=_ADDRESS, value=address, who=who)
    topology = view.topology
    if topology is None or address is None or not topology.is_taken(address):
        return None
    return Taken(what=_ADDRESS, value=address, who="another device")
