"""The vifs of a rebind: each with its NIC, with the state that its link gets again, and with the refusals against binding it anew.

Definition, xenstore and link must agree; a refusal names both values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from virtnetplug.errors import (
    BridgeMissing,
    DomainMissing,
    NotSupported,
    TapElsewhere,
    UsageError,
    VifUnfit,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check.preflight import check_scope
from virtnetplug.hotplug.check.reserved import pending
from virtnetplug.hotplug.guest.nic_status import pending_nics
from virtnetplug.hotplug.look.backing import LINUX
from virtnetplug.hotplug.look.find import find, in_guest
from virtnetplug.hotplug.look.open_operations import operation_on
from virtnetplug.hotplug.look.view import BOTH, DomainView, look
from virtnetplug.lifecycle import State
from virtnetplug.model.host_device import NetdevState
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Refusal, Scope
from virtnetplug.ports.domain import Domain
from virtnetplug.ports.host import Link
from virtnetplug.ports.xen import Vif, VifDrivers, VifStore

VIF_MAC = "fe:ff:ff:ff:ff:ff"
"""The MAC of the backend's link, as hotplug scripts set it. A bridge never takes this MAC for its own."""

_LISTS = ("addresses", "routes")
_OF_VIF = ("domain_id", "number", "mac", "bridge")
_KEPT = ("domain_uuid", "alias", "label", "isolated", "rings")
"""What the journal keeps of a NIC under the same names; journals of version 4 have no `process`."""

_AGAIN = "Detach it and attach it again."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VifNic:
    """A vif to be bound anew. `wanted` is the state that its link gets; None if the link was in no bridge, and the vif is only bound.

    For a vif that libvirt does not know, `domain_uuid` is empty and `alias` is the vif's own name. `rings` is None if its guest was not connected.
    `process` names the run of its domain (`VifStore.process`): domain ids are used again after a start of the host.
    `net` is the NIC in the live definition, and `link` the link, which is None while the vif has no driver. The journal keeps neither.
    """

    vif: Vif
    domain_uuid: str
    alias: str
    label: str
    wanted: NetdevState | None
    isolated: bool
    rings: Mapping[str, str] | None
    process: str = ""
    net: Interface | None = None
    link: Link | None = None

    @property
    def entry(self) -> dict[str, Any]:
        """The entry that the journal keeps."""
        return {
            **{name: getattr(self, name) for name in (*_KEPT, "process")},
            **{name: getattr(self.vif, name) for name in _OF_VIF},
            "wanted": None if self.wanted is None else dataclasses.asdict(self.wanted),
        }

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> VifNic:
        """The vif of an entry of the journal."""
        wanted = entry["wanted"]
        if wanted is not None:
            wanted = NetdevState(**{**wanted, **{name: tuple(wanted[name]) for name in _LISTS}})
        vif: dict[str, Any] = {name: entry.get(name) for name in _OF_VIF}
        kept = {name: entry[name] for name in _KEPT}
        return cls(vif=Vif(**vif), wanted=wanted, process=str(entry.get("process", "")), **kept)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The vifs with their domains, the named vif and its domain first, and the refusals. `kind` is the type of the NIC that was named.

    `has_all`: these are all vifs that have the driver, which is to be loaded anew.
    """

    domain_id: int
    kind: str
    nics: tuple[VifNic, ...] = ()
    domains: tuple[Domain, ...]
    refusals: tuple[Refusal, ...] = ()
    has_all: bool = False


def xen(host: Host) -> tuple[VifStore, VifDrivers]:
    """The store and the drivers of this dom0. Raises `UsageError` on any other host."""
    if host.vif_store is None or host.vif_drivers is None:
        raise UsageError(
            "say what to connect the NIC to: a network or a bridge, or its VLAN. (Only a Xen guest's vif can be bound anew where it is, "
            "by its dom0's xen:///system.)"
        )
    return host.vif_store, host.vif_drivers


def find_one(host: Host, domain: Domain, selector: str, *, among_all: bool = False) -> Found:
    """The vif of the NIC that `selector` means. Its label has the name of its domain, too, if it is one `among_all`."""
    store, drivers = xen(host)
    view = look(domain, BOTH)
    meant = find(view, selector)
    net = meant.net
    against = check_scope(view, Scope.LIVE)
    found = Found(domain_id=view.state.id, kind=net.type, domains=(domain,), has_all=among_all)
    if not against:
        in_guest(view, meant)
    prefix = f"{domain.name}/" if among_all else ""
    label = prefix + _name(net)
    if (why := drivers.rebind_obstacle()) is not None:
        message = f"{label} cannot be bound anew: {why}."
        against = (*against, Refusal(reason=NotSupported.reason, nic=label, message=message))
    if against:
        return dataclasses.replace(found, refusals=against)
    its = [vif for vif in store.vifs(view.state.id) if vif.mac is not None and vif.mac == str(net.mac)]
    its = [vif for vif in its if vif.has_link(net.target_dev)] or its
    if len(its) != 1:
        names = ", ".join(vif.name for vif in its) or "no vif"
        why = f"xenstore has {names} with its MAC, and one is needed. {_AGAIN}"
        return dataclasses.replace(found, refusals=(_refusal(VifUnfit.reason, label, why),))
    nic = _nic(host, its[0], net, domain.uuid, prefix)
    against = tuple(_refusals(host, nic, domain, must_connect=True))
    return dataclasses.replace(found, nics=() if against else (nic,), refusals=against)


def find_all(host: Host, domain: Domain, selector: str) -> Found:
    """The vif that `selector` means, and every other vif that has the driver, of all domains."""
    named = find_one(host, domain, selector, among_all=True)
    if not named.nics:
        return named
    store, drivers = xen(host)
    by_domain: dict[int, set[int]] = {}
    for name in drivers.bound() - {named.nics[0].vif.name}:
        domain_id, number = (int(part) for part in name.split("-")[1:])
        by_domain.setdefault(domain_id, set()).add(number)
    running = {one.state().id: one for one in host.hypervisor.running()} if by_domain else {}
    nics, domains, against = list(named.nics), {domain.uuid: domain}, list(named.refusals)
    for domain_id, numbers in sorted(by_domain.items()):
        view = _view(running.get(domain_id))
        if view is not None and view.domain.uuid not in domains:
            domains[view.domain.uuid] = view.domain
            against += check_scope(view, Scope.LIVE)
        for vif in store.vifs(domain_id):
            if vif.number in numbers:
                numbers.discard(vif.number)
                nic = _other(host, vif, view)
                speaks = list(_refusals(host, nic, view.domain if view is not None else None, must_connect=False))
                against += speaks
                nics += [] if speaks else [nic]
        why = "xenstore has nothing of it. Try again once its domain has ended."
        against += [_refusal(VifUnfit.reason, f"vif-{domain_id}-{number}", why) for number in sorted(numbers)]
    return dataclasses.replace(
        named, nics=tuple(nics), domains=tuple(domains.values()), refusals=tuple(dict.fromkeys(against))
    )


def told(nics: Sequence[VifNic]) -> Iterator[str]:
    """For each vif a sentence that says what happens to it."""
    for nic in nics:
        where = f" in {nic.wanted.master}" if nic.wanted is not None else ", in no bridge"
        guest = "cut off meanwhile" if nic.rings is not None else "whose guest is not connected"
        yield f"{nic.label} ({nic.vif.name}{where}) is bound anew: {guest}"


def ends_of(vif: Vif | None) -> str:
    """The states of both ends of a vif, as messages say them."""
    backend, frontend = (None, None) if vif is None else (vif.backend, vif.frontend)
    return f"backend {backend or 'gone'}, frontend {frontend or 'gone'}"


def _name(net: Interface) -> str:
    return net.alias or str(net.mac)


def _view(domain: Domain | None) -> DomainView | None:
    try:
        return look(domain, BOTH) if domain is not None else None
    except DomainMissing:
        return None  # it has ended; each vif is looked at again before something is done


def _other(host: Host, vif: Vif, view: DomainView | None) -> VifNic:
    """A vif that was not named. `view` is None if libvirt does not know its domain."""
    is_placed = vif.hotplug_status == "connected"
    if view is None:
        return _nic(host, vif, None, is_placed=is_placed)
    its = [net for net in view.nets(Half.LIVE) if vif.mac == str(net.mac)]
    net = next((net for net in its if vif.has_link(net.target_dev)), its[0] if its else None)
    uuid = view.domain.uuid if net is not None else ""
    return _nic(host, vif, net, uuid, f"{view.domain.name}/", is_placed=is_placed)


def as_its_script_made_it(host: Host, vif: Vif) -> VifNic:
    """A vif of any toolstack that has lost its driver, to be bound and put where its hotplug script had put it."""
    return dataclasses.replace(_nic(host, vif, None, is_placed=vif.bridge is not None), rings=None)


def _nic(
    host: Host, vif: Vif, net: Interface | None, uuid: str = "", prefix: str = "", *, is_placed: bool = True
) -> VifNic:
    """The vif as it is now. `is_placed` is true if it gets into its bridge again."""
    store, drivers = xen(host)
    name = drivers.link(vif.name)
    link = host.links.link(name) if name is not None else None
    alias = vif.name if net is None else _name(net)
    return VifNic(
        vif=vif,
        domain_uuid=uuid,
        alias=alias,
        label=prefix + alias,
        wanted=_wanted(host, vif, link, _bridge_of(vif, net)) if is_placed else None,
        isolated=net is not None and bool(net.port_isolated),
        rings=store.rings(vif) if is_placed and vif.frontend is State.CONNECTED else None,
        process=store.process(vif.domain_id),
        net=net,
        link=link,
    )


def _bridge_of(vif: Vif, net: Interface | None) -> str | None:
    """The bridge where the vif belongs: by its definition, else by what its toolstack wrote."""
    return (net.source_bridge if net is not None else None) or vif.bridge


def _wanted(host: Host, vif: Vif, link: Link | None, bridge: str | None) -> NetdevState:
    """The state of the link now. If it is in no bridge: as the hotplug script would make it (Xen's ``vif-bridge``, ``xen-network-common.sh``)."""
    now = host.links.state(link.name) if link is not None else None
    if now is not None and now.master is not None:
        return dataclasses.replace(now, is_up=True)
    master = host.links.link(bridge) if bridge is not None else None
    mtu = vif.mtu or (master.mtu if master is not None else None)
    if now is None:
        now = NetdevState(name=vif.link_name or vif.link, mac=VIF_MAC)
    return dataclasses.replace(now, name=vif.link_name or now.name, mtu=mtu, is_up=True, master=bridge)


def _refusals(host: Host, nic: VifNic, domain: Domain | None, *, must_connect: bool) -> Iterator[Refusal]:
    """Every refusal. `must_connect`: its guest must be connected, too."""
    label, vif = nic.label, nic.vif
    operations = pending_nics(host, nic.domain_uuid) if nic.domain_uuid else {}
    if domain is not None and (operation := operation_on(nic.net, operations)) is not None:
        yield pending(label, label, operation, domain)
    if vif.backend_domain:
        why = f"its backend runs in domain {vif.backend_domain}, and can be bound anew only there."
        yield _refusal(VifUnfit.reason, label, why)
    elif vif.backend is None or not vif.is_online:
        why = f"{vif.name} is being taken out, or its backend is gone ({ends_of(vif)})."
        yield _refusal(VifUnfit.reason, label, why)
    elif must_connect and vif.frontend is not State.CONNECTED:
        why = f"its guest is not connected ({ends_of(vif)}), so there is no ring to be taken over. It connects by itself once the guest's driver does."
        yield _refusal(VifUnfit.reason, label, why)
    if nic.wanted is not None:
        yield from _refusals_of_bridge(host, nic)


def _refusals_of_bridge(host: Host, nic: VifNic) -> Iterator[Refusal]:
    """Definition and xenstore must name the same bridge, and the link must be in that bridge, or in none."""
    label, vif, net, link, wanted = nic.label, nic.vif, nic.net, nic.link, _bridge_of(nic.vif, nic.net)
    if net is not None and (net.vlan is not None or net.virtualport is not None):
        why = f"it has a VLAN or a virtual port, which joining its bridge alone would not restore. {_AGAIN}"
        yield _refusal(NotSupported.reason, label, why)
    if wanted is None:
        why = f"it is in no bridge, and what its script {vif.script} has made otherwise cannot be restored. {_AGAIN}"
        yield _refusal(NotSupported.reason, label, why)
        return
    if vif.bridge not in (None, wanted):
        why = f"its definition says bridge {wanted}, and xenstore bridge {vif.bridge}. {_AGAIN}"
        yield _refusal(TapElsewhere.reason, label, why)
    if link is not None and link.master not in (None, wanted):
        why = f"its link {link.name} is in {link.master}, and its definition says bridge {wanted}. Put it there, or detach it and attach it as it is."
        yield _refusal(TapElsewhere.reason, label, why)
    bridge = host.links.link(wanted)
    if bridge is None:
        why = f"its bridge {wanted} is not on this host. Make it, then try again."
        yield _refusal(BridgeMissing.reason, label, why)
    elif bridge.kind != LINUX:
        why = f"{wanted} is no Linux bridge but of kind {bridge.kind}, which it could not join again. {_AGAIN}"
        yield _refusal(NotSupported.reason, label, why)


def _refusal(reason: str, label: str, why: str) -> Refusal:
    return Refusal(reason=reason, nic=label, message=f"{label}: {why}")
