"""Whether NICs fit into the guest: names, MACs, teaming, PCI addresses and places, memory, models."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from virtnetplug import xml
from virtnetplug.backends import backend_in
from virtnetplug.errors import (
    DuplicateAlias,
    DuplicateMac,
    ModelUnknown,
    NoFreePort,
    NotSupported,
    TeamingIncomplete,
    VirtnetplugError,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check.request import are_partners, is_partner_of, partner_of
from virtnetplug.hotplug.look.view import BOTH, DomainView, describe, refusal
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


def _definitions(view: DomainView, halves: Sequence[Half]) -> list[tuple[str, DomainDevices]]:
    """Each of these definitions that was looked at, under the name that messages give it."""
    name = view.domain.name
    words = {Half.LIVE: f"the running guest of {name}", Half.CONFIG: f"the definition of {name}"}
    return [(words[half], devices) for half in halves if (devices := view.devices(half)) is not None]


def aliases(view: DomainView, nets: Sequence[Interface], scope: Scope) -> Iterator[Refusal]:
    """Aliases libvirt would replace, and those that are taken."""
    taken: dict[str | None, str] = {}
    for where, devices in _definitions(view, scope.halves):
        names = [*(net.alias for net in devices.nets), *(dev.alias for dev in devices.hostdevs)]
        taken.update(dict.fromkeys(names, f"a device of {where}"))
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
            message = f"The alias {net.alias} belongs to {taken[net.alias]}. Choose another, or leave it out."
            yield Refusal(reason=DuplicateAlias.reason, nic=net.alias, message=message)
        taken.setdefault(net.alias, "another NIC of this request")


def macs(
    view: DomainView, nets: Sequence[Interface], scope: Scope, sharing: Collection[Interface] = ()
) -> Iterator[Refusal]:
    """MACs that are taken. The two NICs of a teaming pair may share theirs, and so may a NIC with those that shared it with one of `sharing` before."""
    shared = {net.mac for net in sharing}
    there = [(net, where) for where, devices in _definitions(view, scope.halves) for net in devices.nets]
    for net in nets:
        for other, where in there if net.mac is not None else ():
            was_so = net.mac in shared and other not in nets
            if other.mac == net.mac and not was_so and not are_partners(net, other):
                message = (
                    f"The MAC {net.mac} is that of NIC {describe(other)} in {where}; libvirt would take it "
                    "and could later not know the two apart. Choose another, or leave it out."
                )
                yield refusal(DuplicateMac.reason, net, message)
                break
        there.append((net, "this request"))


def hidden_macs(view: DomainView, nets: Sequence[Interface]) -> Iterator[Refusal]:
    """MACs of NICs that the guest has behind libvirt's back: the undo of an attach could remove those NICs."""
    try:
        there = {stray.mac: stray.name for stray in view.domain.strays()} if view.state.is_active else {}
    except VirtnetplugError:
        return  # it cannot be seen; libvirt asks for no more
    for net in nets:
        if net.mac is not None and (name := there.get(str(net.mac))) is not None:
            message = (
                f"The MAC {net.mac} is that of {name}, which {view.domain.name} has and libvirt does not know. `audit()` says "
                "more of it; choose another MAC, or leave it out."
            )
            yield refusal(DuplicateMac.reason, net, message)


def teaming(view: DomainView, nets: Sequence[Interface], scope: Scope) -> Iterator[Refusal]:
    """Teaming pairs that would not come together (``qemuValidateDomainDeviceDefNetwork``, Linux's net_failover)."""
    for net in nets:
        if net.teaming is None:
            continue
        if net.teaming.type == "persistent" and not _is_virtio(net):
            model = net.model or "of libvirt’s choice"
            why = f"is the persistent half of a teaming pair and has the model {model}: the guest's failover needs model virtio. Use that."
            yield _incomplete(net, why)
        elif net.teaming.type == "transient":
            for where, devices in _definitions(view, scope.halves):
                others = [
                    other
                    for other in (*devices.nets, *nets)
                    if other is not net and (net.alias is None or other.alias != net.alias)
                ]
                if (fault := _fault_of_pair(net, others, where)) is not None:
                    yield _incomplete(net, fault)


def _is_virtio(net: Interface) -> bool:
    """``virDomainNetIsVirtioModel``."""
    return net.model in ("virtio", "virtio-transitional", "virtio-non-transitional")


def _fault_of_pair(net: Interface, candidates: Sequence[Interface], where: str) -> str | None:
    """What keeps a transient half from its partner, which should be one of `candidates`."""
    partner = partner_of(net)
    if partner is None:
        return "is the transient half of a teaming pair and names no partner. Add persistent='ALIAS'."
    names = f"names {partner} as its persistent teaming partner"
    other = next((each for each in candidates if each.alias == partner), None)
    if other is None or other.teaming is None or other.teaming.type != "persistent":
        what = "has no NIC of that alias" if other is None else "has it as a NIC without <teaming type='persistent'/>"
        return f"{names}, and {where} {what}. Attach the persistent half first, or both in one call."
    if not _is_virtio(other):
        return f"{names}, whose model is {other.model or 'of libvirt’s choice'}: the guest's failover needs model virtio there."
    if (second := next((each for each in candidates if is_partner_of(each, other)), None)) is not None:
        return (
            f"{names}, which has {describe(second)} already: a pair has one transient half. "
            "Detach that one first, or leave one out."
        )
    if net.mac != other.mac:
        return (
            f"has the MAC {net.mac or 'none said'}, and its teaming partner {partner} {other.mac or 'none said'}: "
            "the guest pairs them by MAC. Give both the same."
        )
    return None


def widows(view: DomainView, leaving: Sequence[tuple[Half, Interface]]) -> Iterator[Refusal]:
    """Persistent teaming halves that would leave while the transient half that names them stays."""
    for half, net in leaving:
        going = [other for its, other in leaving if its is half]
        for where, devices in _definitions(view, [half]):
            for other in devices.nets:
                if is_partner_of(other, net) and other not in going:
                    why = (
                        f"is the persistent teaming partner of {describe(other)}, which {where} would keep without it."
                    )
                    yield _incomplete(net, f"{why} Detach {other.alias or describe(other)} first, or both in one call.")


def _incomplete(net: Interface, why: str) -> Refusal:
    return refusal(TeamingIncomplete.reason, net, f"{describe(net)} {why}")


def addresses(view: DomainView, nets: Sequence[Interface], scope: Scope) -> Iterator[Refusal]:
    """Guest PCI addresses asked for that are taken in a definition of `scope`, or on a bus that it does not have."""
    if not any(net.address for net in nets):
        return
    refused = set[str]()
    for topology in (xml.topology(text) for half in scope.halves if (text := view.text(half)) is not None):
        found = [each for each in _unfree(view, nets, topology) if each.nic not in refused]
        refused.update(each.nic for each in found)
        yield from found


def _unfree(view: DomainView, nets: Sequence[Interface], topology: Topology) -> Iterator[Refusal]:
    buses = {bus.index: bus for bus in topology.controllers}
    asked: set[PciAddress] = set()
    for net in nets if buses else ():
        address = net.address
        if address is None:
            continue
        bus, reason, why = buses.get(address.bus), "", ""
        if bus is None:
            there = ", ".join(f"{index:#04x}" for index in sorted(buses))
            reason = "no-such-bus"
            why = f"is on a PCI bus that {view.domain.name} does not have; it has {there}"
        elif address.slot in bus.taken or address in asked:
            reason = "pci-address-in-use"
            why = f"is in use in {view.domain.name} or in this request already"
        if reason:
            its = f"The guest PCI address {address} of {describe(net)} {why}."
            yield refusal(reason, net, f"{its} Leave the address out, and libvirt finds one.")
        asked.add(address)


def of_devices(view: DomainView, nets: Sequence[Interface], scope: Scope) -> Iterator[Refusal]:
    """What a definition would have to keep of assigned devices, their settings and the choice of one: libvirt has no place for it."""
    for net in nets if Half.CONFIG in scope.halves else ():
        if asked := [name for name in (*OF_DEVICES, *OF_POOLS) if getattr(net, name) is not None]:
            yield no_place(describe(net), asked)


def no_place(nic: str, asked: Sequence[str]) -> Refusal:
    """The definition cannot keep these fields of an assigned device."""
    names = ", ".join(name.replace("_", "-") for name in asked)
    message = (
        f"{nic}: libvirt's definition has no place for {names} of an assigned device, so the next boot would not "
        "have it. Set it of the running guest alone (`scope=Scope.LIVE`)."
    )
    return Refusal(reason=NotSupported.reason, nic=nic, message=message)


def wants_express(net: Interface, topology: Topology, pools: Collection[str]) -> bool | None:
    """Whether libvirt chooses a PCI Express port for the NIC (else a PCI slot); None if it chooses no place at all."""
    has_port = backend_in(net, pools).is_express
    if net.address is not None or (net.model in NOT_PCI and not has_port):
        return None
    return topology.is_pcie if has_port else topology.takes_port(net.model)


def ports(
    view: DomainView,
    nets: Sequence[Interface],
    scope: Scope,
    pools: Collection[str] = (),
    reserved: Sequence[PciAddress] = (),
) -> Iterator[Refusal]:
    """Too few free hot-plug places of the running guest for all of the request (see `wants_express`). The places `reserved` count as taken."""
    if Half.LIVE not in scope.halves or view.live_xml is None or view.topology is None:
        return
    topology = view.topology
    taken = {(each.bus, each.slot) for each in (*reserved, *(net.address for net in nets)) if each is not None}
    for is_express in (True, False):
        group = [net for net in nets if wants_express(net, topology, pools) is is_express]
        model = "virtio" if is_express or not group else group[0].model
        free = topology.free_hotplug_slots(model, taken)
        if free is not None and free < len(group):
            yield _no_port(view, topology, group, free, is_express=is_express)


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
    assigned = [net for net in nets if backend_in(net, pools).locks_memory]
    for half in scope.halves if assigned else ():
        for where, devices in _definitions(view, [half]):
            found = xml.lockable_memory(view.text(half) or "")
            if found is None or devices.hostdevs or found[1] >= found[0]:
                continue
            wanted = found[0] + SPARE_KIB
            yield Refusal(
                reason="memlock-too-small",
                nic=", ".join(describe(net) for net in assigned),
                message=f"T{where[1:]} has {found[0]} KiB of memory, all of which is locked for an assigned device, and its "
                f"<memtune><hard_limit> allows {found[1]} KiB. Raise it, to {wanted} KiB as libvirt would by itself: "
                f"'virsh memtune {view.domain.name} --hard-limit {wanted} --{half}'.",
            )


def models(host: Host, view: DomainView, nets: Sequence[Interface]) -> Iterator[Refusal]:
    """Models the domain's emulator does not offer. What a NIC of the guest has is offered, and virtio always is."""
    known = {"virtio", None} | {net.model for half in BOTH for net in view.nets(half)}
    unknown = [(net, net.model) for net in nets if net.model is not None and net.model not in known]
    text = view.live_xml or view.config_xml
    # Asking the emulator starts it: some 30 ms, and only for a model of which nothing is known.
    offered = host.hypervisor.nic_models(text) if unknown and text is not None else None
    for net, model in unknown if offered is not None else ():
        if offered is not None and model not in offered:
            from difflib import get_close_matches

            near = " or ".join(get_close_matches(model, offered, n=3)) or "virtio"
            message = f"The emulator of {view.domain.name} has no NIC model '{model}'; did you mean {near}?"
            yield refusal(ModelUnknown.reason, net, message)
