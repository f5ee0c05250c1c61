"""Reservations: the aliases, MACs and guest addresses of NICs that open operations may still put into a guest.

A NIC that is out while its operation waits is in no definition, so only the journal knows the place it needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from virtnetplug import xml
from virtnetplug.errors import LeftPending, NicPending, PlaceReserved, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check.conflicts import wants_express
from virtnetplug.hotplug.check.request import are_partners, edited, partner_of
from virtnetplug.hotplug.engine.kinds import operation_of, why_unknown
from virtnetplug.hotplug.engine.transaction import REMEDY
from virtnetplug.hotplug.guest import guest, orphans
from virtnetplug.hotplug.look.open_operations import is_any_of, of_domain, operation_of_alias, operation_on
from virtnetplug.hotplug.look.view import DomainNic, DomainView, describe, look, refusal
from virtnetplug.model.interface import Interface, is_lasting, lasting_name
from virtnetplug.model.operation import Half, OperationRecord, Refusal
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain


class Reservation(NamedTuple):
    """One NIC that an open operation may yet put into the guest."""

    record: OperationRecord
    net: Interface


def reservations(records: Iterable[OperationRecord], domain_uuid: str) -> tuple[Reservation, ...]:
    """The NICs of the domain's open operations, and of the operations of no one domain that it has a VF in."""
    found = list[Reservation]()
    for record in records:
        its = record
        if not record.domain_uuid:
            named = tuple(entry for entry in record.named if entry.get("domain_uuid") == domain_uuid)
            its = dataclasses.replace(record, request={"nics": named})
        found += [Reservation(record, net) for net in orphans.nets_in_record(its)]
    return tuple(found)


def refusals(view: DomainView, nets: Sequence[Interface], reserved: Sequence[Reservation]) -> Iterator[Refusal]:
    """A refusal for each of `nets` that asks for an alias, MAC or guest address that an open operation needs."""
    for net in nets:
        for each in reserved:
            its = each.net
            shares_mac = net.mac is not None and net.mac == its.mac and not are_partners(net, its)
            belongs = f"{describe(its)} of the {each.record.operation} {each.record.id}, which is not settled"
            if shares_mac or (net.alias is not None and net.alias == its.alias):
                message = f"{describe(net)} is, by its alias or MAC, {belongs}; {_settles(view.domain)}."
                yield refusal(NicPending.reason, net, message)
                break
            if net.address is not None and net.address == its.address:
                remedy = f"Leave the address out, or name another; or {_settles(view.domain)}."
                message = f"The guest PCI address {net.address} is kept for {belongs}. {remedy}"
                yield refusal(PlaceReserved.reason, net, message)
                break


def _settles(domain: Domain) -> str:
    return f"{call('recover', domain.name, wait=60)} settles it first"


def pending(nic: str, called: str, operation_id: str, domain: Domain, unknown: str = "") -> Refusal:
    """The refusal of what is asked for a NIC that an open operation has; the message calls the NIC `called`.

    `unknown` says why this version does not know the operation, if it does not.
    """
    remedy = f" and not known to this version: {unknown}. {REMEDY}" if unknown else f"; {_settles(domain)}."
    message = f"{called} belongs to operation {operation_id}, which is not settled{remedy}"
    return Refusal(reason=NicPending.reason, nic=nic, message=message)


def unsettled(host: Host, view: DomainView, nics: Iterable[DomainNic], *names: str) -> Iterator[Refusal]:
    """A refusal for each of these NICs, or `names`, that an open operation may take out, put in, or change in the metadata.

    What is seen of such a NIC need not last. Ask this before the answer that nothing is to be done, too.
    """
    uuid = view.domain.uuid
    records = guest.concerned(view, host.journal.open_operations(host.hypervisor.key, uuid, ""))
    ids = {name: record.id for record in records for name in record.remembers}
    for each in reservations(records, uuid):
        ids[lasting_name(each.net.alias, each.net.mac, each.net.address)] = each.record.id
    ids |= of_domain(records, uuid)
    by_id = {record.id: record for record in records}
    found = {name: operation_of_alias(name, ids) for name in names}
    for nic in nics:
        found[nic.name] = found.get(nic.name) or next(filter(None, (operation_on(net, ids) for net in nic)), None)
    for name, operation in found.items():
        if operation is not None:
            yield not_settled(view, name, name, by_id[operation])


def not_settled(view: DomainView, name: str, called: str, record: OperationRecord) -> Refusal:
    """The refusal of what is asked for the NIC `name`, which the message calls `called`: an open operation has it."""
    unknown = why_unknown(record) if operation_of(record) is None else ""
    return pending(name, called, record.id, view.domain, unknown)


def placed(
    view: DomainView, nets: Sequence[Interface], reserved: Sequence[Reservation], pools: Sequence[str] = ()
) -> tuple[Interface, ...]:
    """The nets; each that names no guest address gets one that is not reserved.

    If nothing is reserved the nets are returned as they are, and libvirt chooses. A reserved address counts as taken although it is free. If it
    is still in use, its guest may let go of it before libvirt chooses.
    """
    kept = {each.net.address for each in reserved if each.net.address is not None}
    topology = view.topology
    if topology is None or view.live_xml is None or not kept:
        return tuple(nets)
    taken = {*kept, *(net.address for net in nets if net.address is not None)}
    found = []
    for net in nets:
        is_express = wants_express(net, topology, pools)
        if is_express is not None:
            place = topology.free_place(is_express=is_express, taken={(one.bus, one.slot) for one in taken})
            if place is not None:
                address = PciAddress(0, place[0], place[1], 0)
                taken.add(address)
                net = edited(net, {"address": address})
        found.append(net)
    return tuple(found)


class Taken(NamedTuple):
    """What another NIC or device (`who`) has that a NIC needs."""

    what: str
    value: object
    who: str


_ADDRESS = "guest address"

SAME_MAC = "same_mac"
"""Key of a request: the NICs that share the MAC of a NIC of the operation, as the ports of a bond do (`view.same_mac_as`)."""


def expect_free(
    domain: Domain, net: Interface, record: OperationRecord, half: Half = Half.LIVE, *, beside: Sequence[Interface] = ()
) -> None:
    """Raise `LeftPending` where somebody's hand has put another NIC or device where `net` is to come: nobody is pushed aside for it.

    `beside` are the NICs of that definition, if any, which are to leave it for `net`.
    """
    taken = taken_place(domain, net, half, record.request.get(SAME_MAC, ()), beside=beside)
    if taken is None:
        return
    operation, nic, recover = record.operation, describe(net), call("recover", domain.name)
    where = f"the definition of {domain.name}" if half is Half.CONFIG else domain.name
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
    return xml.edit(element, {"address": None}) if taken is not None and taken.what == _ADDRESS else element


def taken_place(
    domain: Domain,
    net: Interface,
    half: Half = Half.LIVE,
    same_mac: Sequence[str] = (),
    *,
    beside: Sequence[Interface] = (),
) -> Taken | None:
    """Who has the alias, MAC or guest address of a NIC that is to come into that definition; None if nobody has.

    The NICs that had its MAC when the operation began (`same_mac`) do not take its place. The NICs that are to leave for it (`beside`) do not either.
    """
    view, address, leaving = look(domain, (half,)), net.address, {one.element for one in beside}
    if any(one.address == address for one in beside):
        address = None
    for other in view.nets(half):
        if other.element in leaving:
            continue
        who = describe(other)
        if is_lasting(net.alias) and other.alias == net.alias:
            return Taken("alias", net.alias, who)
        shares = net.mac is not None and other.mac == net.mac and partner_of(other) is None and partner_of(net) is None
        if shares and not is_any_of([other], same_mac):
            return Taken("MAC", net.mac, who)
        if address is not None and other.address == address:
            return Taken(_ADDRESS, address, who)
    is_taken = address is not None and view.topology is not None and view.topology.is_taken(address)
    return Taken(_ADDRESS, address, "another device") if is_taken else None
