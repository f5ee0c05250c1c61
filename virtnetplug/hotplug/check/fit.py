"""Whether NICs fit into the guest: names, MACs, teaming, PCI addresses and places, models."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from virtnetplug import xml
from virtnetplug.errors import (
    DuplicateAlias,
    DuplicateMac,
    ModelUnknown,
    NoFreePort,
    NotSupported,
    TeamingIncomplete,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.look.view import DomainView, describe
from virtnetplug.model.domain import DomainDevices, Topology
from virtnetplug.model.interface import OF_DEVICES, OF_POOLS, Interface
from virtnetplug.model.operation import Half, Refusal, Scope
from virtnetplug.model.pci import PciAddress

NOT_PCI = frozenset({"usb-net", "spapr-vlan", "lan9118", "smc91c111", "netfront"})
"""Models that need no PCI place."""

SPARE_KIB = 1 << 20
"""What libvirt adds to a guest's memory for the limit on what its QEMU may lock."""

USER_ALIAS = "ua-"
"""What an alias must begin with; libvirt silently replaces any other (``virDomainDeviceInfoParseXML``)."""


def _halves(view: DomainView, scope: Scope) -> Iterator[tuple[str, DomainDevices]]:
    for half in scope.halves:
        devices = view.live if half is Half.LIVE else view.config
        if devices is not None:
            yield ("running guest" if half is Half.LIVE else "definition"), devices


def aliases(view: DomainView, nets: Sequence[Interface], scope: Scope) -> Iterator[Refusal]:
    """Aliases libvirt would replace, and those that are taken."""
    taken: dict[str, str] = {}
    for where, devices in _halves(view, scope):
        names = [net.alias for net in devices.nets] + [dev.alias for dev in devices.hostdevs]
        taken.update({name: f"a device of the {where} of {view.domain.name}" for name in names if name is not None})
    for net in nets:
        if net.alias is None:
            continue
        if not net.alias.startswith(USER_ALIAS):
            yield Refusal(
                reason="alias-prefix",
                nic=net.alias,
                message=f"libvirt would drop the alias '{net.alias}' and choose another: one of your own begins with "
                f"'{USER_ALIAS}'. Call it '{USER_ALIAS}{net.alias}', or leave the alias out.",
            )
        elif net.alias in taken:
            yield Refusal(
                reason=DuplicateAlias.reason,
                nic=net.alias,
                message=f"The alias {net.alias} belongs to {taken[net.alias]}. Choose another, or leave it out.",
            )
        taken.setdefault(net.alias, "another NIC of this request")


def macs(
    view: DomainView, nets: Sequence[Interface], scope: Scope, sharing: Collection[Interface] = ()
) -> Iterator[Refusal]:
    """MACs that are taken. The halves of a teaming pair may share a MAC. So may NICs that shared it with a NIC of `sharing` before."""
    shared = {net.mac for net in sharing}
    there = [
        (net, f"the {where} of {view.domain.name}") for where, devices in _halves(view, scope) for net in devices.nets
    ]
    for net in nets:
        for other, where in there if net.mac is not None else ():
            was_so = net.mac in shared and other not in nets
            if other.mac == net.mac and not was_so and not _is_pair(net, other):
                yield Refusal(
                    reason=DuplicateMac.reason,
                    nic=describe(net),
                    message=f"The MAC {net.mac} is that of NIC {describe(other)} in {where}; libvirt would take it "
                    "and could later not know the two apart. Choose another, or leave it out.",
                )
                break
        there.append((net, "this request"))


def _is_pair(one: Interface, other: Interface) -> bool:
    return _is_partner(one, other) or _is_partner(other, one)


def _is_partner(transient: Interface, persistent: Interface) -> bool:
    """Whether `transient` names `persistent`, by alias, as its teaming partner."""
    teaming = transient.teaming
    named = teaming.persistent if teaming is not None and teaming.type == "transient" else None
    return named is not None and named == persistent.alias


def teaming(view: DomainView, nets: Sequence[Interface], scope: Scope) -> Iterator[Refusal]:
    """Teaming pairs that would not come together (``qemuValidateDomainDeviceDefNetwork``, Linux's net_failover)."""
    for net in nets:
        if net.teaming is None:
            continue
        if net.teaming.type == "persistent" and not _is_virtio(net):
            yield _incomplete(
                net,
                f"is the persistent half of a teaming pair and has the model {net.model or 'of libvirt’s choice'}: "
                "the guest's failover needs model virtio. Use that.",
            )
        elif net.teaming.type == "transient":
            for where, devices in _halves(view, scope):
                others = [
                    other
                    for other in (*devices.nets, *nets)
                    if other is not net and (net.alias is None or other.alias != net.alias)
                ]
                yield from _transient(net, others, f"the {where} of {view.domain.name}")


def _is_virtio(net: Interface) -> bool:
    """``virDomainNetIsVirtioModel``."""
    return net.model in ("virtio", "virtio-transitional", "virtio-non-transitional")


def _transient(net: Interface, candidates: Sequence[Interface], where: str) -> Iterator[Refusal]:
    partner = net.teaming.persistent if net.teaming is not None else None
    if partner is None:
        yield _incomplete(net, "is the transient half of a teaming pair and names no partner. Add persistent='ALIAS'.")
        return
    other = next((each for each in candidates if each.alias == partner), None)
    if other is None or other.teaming is None or other.teaming.type != "persistent":
        what = "has no NIC of that alias" if other is None else "has it as a NIC without <teaming type='persistent'/>"
        yield _incomplete(
            net,
            f"names {partner} as its persistent teaming partner, and {where} {what}. Attach the persistent half first, "
            "or both in one call.",
        )
    elif not _is_virtio(other):
        yield _incomplete(
            net,
            f"names {partner} as its persistent teaming partner, whose model is {other.model or 'of libvirt’s choice'}: "
            "the guest's failover needs model virtio there.",
        )
    elif (second := next((each for each in candidates if _is_partner(each, other)), None)) is not None:
        yield _incomplete(
            net,
            f"names {partner} as its persistent teaming partner, which has {describe(second)} already: a pair has one "
            "transient half. Detach that one first, or leave one out.",
        )
    elif net.mac != other.mac:
        yield _incomplete(
            net,
            f"has the MAC {net.mac or 'none said'}, and its teaming partner {partner} {other.mac or 'none said'}: "
            "the guest pairs them by MAC. Give both the same.",
        )


def widows(view: DomainView, leaving: Sequence[tuple[Half, Interface]]) -> Iterator[Refusal]:
    """Persistent teaming halves that would leave while the transient half that names them stays."""
    for half, net in leaving:
        devices = view.live if half is Half.LIVE else view.config
        going = [other for its, other in leaving if its is half]
        for other in devices.nets if devices is not None else ():
            if _is_partner(other, net) and other not in going:
                where = "running guest" if half is Half.LIVE else "definition"
                yield _incomplete(
                    net,
                    f"is the persistent teaming partner of {describe(other)}, which the {where} of {view.domain.name} would "
                    f"keep without it. Detach {other.alias or describe(other)} first, or both in one call.",
                )


def _incomplete(net: Interface, why: str) -> Refusal:
    return Refusal(reason=TeamingIncomplete.reason, nic=describe(net), message=f"{describe(net)} {why}")


def addresses(view: DomainView, nets: Sequence[Interface], scope: Scope) -> Iterator[Refusal]:
    """Guest PCI addresses asked for that are taken in a definition of `scope`, or on a bus that it does not have."""
    if not any(net.address for net in nets):
        return
    texts = {Half.LIVE: view.live_xml, Half.CONFIG: view.config_xml}
    refused = set[str]()
    for topology in (xml.topology(text) for half in scope.halves if (text := texts[half]) is not None):
        found = [refusal for refusal in _unfree(view, nets, topology) if refusal.nic not in refused]
        refused.update(refusal.nic for refusal in found)
        yield from found


def _unfree(view: DomainView, nets: Sequence[Interface], topology: Topology) -> Iterator[Refusal]:
    if not topology.controllers:
        return
    buses = {bus.index: bus for bus in topology.controllers}
    asked: set[PciAddress] = set()
    for net in nets:
        address = net.address
        if address is None:
            continue
        bus = buses.get(address.bus)
        if bus is None:
            there = ", ".join(f"{index:#04x}" for index in sorted(buses))
            yield _taken(net, f"is on a PCI bus that {view.domain.name} does not have; it has {there}", "no-such-bus")
        elif address.slot in bus.taken or address in asked:
            yield _taken(net, f"is in use in {view.domain.name} or in this request already", "pci-address-in-use")
        asked.add(address)


def _taken(net: Interface, why: str, reason: str) -> Refusal:
    return Refusal(
        reason=reason,
        nic=describe(net),
        message=f"The guest PCI address {net.address} of {describe(net)} {why}. "
        "Leave the address out, and libvirt finds one.",
    )


def of_devices(view: DomainView, nets: Sequence[Interface], scope: Scope) -> Iterator[Refusal]:
    """What a definition would have to keep of assigned devices, their settings and the choice of one: libvirt has no place for it."""
    for net in nets if Half.CONFIG in scope.halves else ():
        if asked := [name for name in (*OF_DEVICES, *OF_POOLS) if getattr(net, name) is not None]:
            yield no_place(describe(net), asked)


def no_place(nic: str, asked: Sequence[str]) -> Refusal:
    """The definition cannot keep these fields of an assigned device."""
    names = ", ".join(name.replace("_", "-") for name in asked)
    return Refusal(
        reason=NotSupported.reason,
        nic=nic,
        message=f"{nic}: libvirt's definition has no place for {names} of an assigned device, so the next boot would not "
        "have it. Set it of the running guest alone (`scope=Scope.LIVE`).",
    )


def ports(
    view: DomainView,
    nets: Sequence[Interface],
    scope: Scope,
    pools: Collection[str] = (),
    reserved: Sequence[PciAddress] = (),
) -> Iterator[Refusal]:
    """Too few free hot-plug places of the running guest for all of the request; NICs of `pools` are assigned PCI Express devices.

    What is `reserved` is as if it was taken.
    """
    if Half.LIVE not in scope.halves or view.live_xml is None or view.topology is None:
        return
    topology = _without(view.topology, [*reserved, *(net.address for net in nets if net.address is not None)])
    groups: dict[bool, list[Interface]] = {}
    for net in nets:
        is_assigned = net.is_hostdev or net.source_network in pools
        if net.address is None and (is_assigned or net.model not in NOT_PCI):
            is_express = topology.is_pcie if is_assigned else topology.takes_port(net.model)
            groups.setdefault(is_express, []).append(net)
    for is_express, group in groups.items():
        free = topology.free_hotplug_slots("virtio" if is_express else group[0].model)
        if free is not None and free < len(group):
            yield _no_port(view, topology, group, free, is_express=is_express)


def _without(topology: Topology, taken: Sequence[PciAddress]) -> Topology:
    """The topology once the addresses that were asked for are taken."""
    if not taken:
        return topology
    return replace(
        topology,
        controllers=tuple(
            replace(bus, taken=bus.taken | {address.slot for address in taken if address.bus == bus.index})
            for bus in topology.controllers
        ),
    )


def _no_port(
    view: DomainView, topology: Topology, group: Sequence[Interface], free: int, *, is_express: bool
) -> Refusal:
    models = ", ".join(sorted({net.model or "of libvirt's choice" for net in group}))
    if is_express:
        place, controller = "PCIe hot-plug ports", "pcie-root-port"
    else:
        place, controller = "PCI slots", "pcie-to-pci-bridge" if topology.is_pcie else "pci-bridge"
    hint = " A virtio NIC takes a PCIe port instead." if topology.is_pcie and not is_express else ""
    return Refusal(
        reason=NoFreePort.reason,
        nic=", ".join(describe(net) for net in group),
        message=f"{view.domain.name} has {free or 'no'} free {place}, and {len(group)} NIC(s) of model {models} need "
        f"one each. Detach a device, or add <controller type='pci' model='{controller}'/> to its definition "
        f"(virsh edit) for the next boot.{hint}",
    )


def memory(view: DomainView, nets: Sequence[Interface], scope: Scope, pools: Collection[str] = ()) -> Iterator[Refusal]:
    """A limit on locked memory that is below the guest's memory, all of which VFIO locks for a device.

    libvirt raises QEMU's limit by itself, but takes ``<hard_limit>`` for it where there is one (``qemuDomainGetMemLockLimitBytes``). A guest
    that has a device by then has what it takes.
    """
    assigned = [net for net in nets if net.is_hostdev or net.source_network in pools]
    for half in scope.halves if assigned else ():
        text, devices = (view.live_xml, view.live) if half is Half.LIVE else (view.config_xml, view.config)
        found = xml.lockable_memory(text) if text is not None else None
        if found is None or devices is None or devices.hostdevs or found[1] >= found[0]:
            continue
        where = "running guest" if half is Half.LIVE else "definition"
        yield Refusal(
            reason="memlock-too-small",
            nic=", ".join(describe(net) for net in assigned),
            message=f"The {where} {view.domain.name} has {found[0]} KiB of memory, all of which is locked for an assigned device, and its "
            f"<memtune><hard_limit> allows {found[1]} KiB. Raise it, to {found[0] + SPARE_KIB} KiB as libvirt would by itself: "
            f"'virsh memtune {view.domain.name} --hard-limit {found[0] + SPARE_KIB} --{half}'.",
        )


def models(host: Host, view: DomainView, nets: Sequence[Interface]) -> Iterator[Refusal]:
    """Models the domain's emulator does not offer. What a NIC of the guest has is offered, and virtio always is."""
    devices = [devices for devices in (view.live, view.config) if devices is not None]
    known = {"virtio", None} | {net.model for each in devices for net in each.nets}
    unknown = [net for net in nets if net.model not in known]
    text = view.live_xml or view.config_xml
    # Asking the emulator starts it: some 30 ms, and only for a model of which nothing is known.
    offered = host.hypervisor.nic_models(text) if unknown and text is not None else None
    for net in unknown if offered is not None else ():
        if offered is not None and net.model is not None and net.model not in offered:
            from difflib import get_close_matches

            near = " or ".join(get_close_matches(net.model, offered, n=3)) or "virtio"
            yield Refusal(
                reason=ModelUnknown.reason,
                nic=describe(net),
                message=f"The emulator of {view.domain.name} has no NIC model '{net.model}'; did you mean {near}?",
            )
