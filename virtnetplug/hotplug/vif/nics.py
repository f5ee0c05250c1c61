"""The vifs of a rebind: each with its NIC, and with the state that its link gets again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from virtnetplug.errors import DomainMissing, NicMissing, NotSupported, UsageError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check.preflight import check_scope
from virtnetplug.hotplug.look.find import find
from virtnetplug.hotplug.look.view import BOTH, DomainView, describe, look
from virtnetplug.hotplug.vif.refusals import Candidate, no_single, refusals, unknown
from virtnetplug.lifecycle import State
from virtnetplug.model.host_device import NetdevState
from virtnetplug.model.operation import Refusal, Scope
from virtnetplug.ports.domain import Domain
from virtnetplug.ports.links import Link
from virtnetplug.ports.xen import Vif, VifDrivers, VifStore

VIF_MAC = "fe:ff:ff:ff:ff:ff"
"""The MAC of the backend's link, as hotplug scripts set it. A bridge never takes this MAC for its own."""

_LISTS = ("addresses", "routes")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VifNic:
    """A vif to be bound anew. `wanted` is the state that its link gets; None if the link was in no bridge, and the vif is only bound.

    For a vif that libvirt does not know, `domain_uuid` is empty and `alias` is the vif's own name. `rings` is None if its guest was not connected.
    `process` names the run of its domain (`VifStore.process`): domain ids are used again after a start of the host.
    """

    vif: Vif
    domain_uuid: str
    alias: str
    label: str
    wanted: NetdevState | None
    isolated: bool
    rings: Mapping[str, str] | None
    process: str = ""

    @property
    def entry(self) -> dict[str, Any]:
        """The entry that the journal keeps."""
        return {
            "domain_uuid": self.domain_uuid,
            "domain_id": self.vif.domain_id,
            "number": self.vif.number,
            "mac": self.vif.mac,
            "bridge": self.vif.bridge,
            "alias": self.alias,
            "label": self.label,
            "wanted": None if self.wanted is None else dataclasses.asdict(self.wanted),
            "isolated": self.isolated,
            "rings": None if self.rings is None else dict(self.rings),
            "process": self.process,
        }

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> VifNic:
        """The vif of an entry of the journal."""
        wanted = entry["wanted"]
        lists = {name: tuple(wanted[name]) for name in _LISTS} if wanted is not None else {}
        return cls(
            vif=Vif(
                domain_id=entry["domain_id"],
                number=entry["number"],
                mac=entry.get("mac"),
                bridge=entry.get("bridge"),
            ),
            domain_uuid=entry["domain_uuid"],
            alias=entry["alias"],
            label=entry["label"],
            wanted=None if wanted is None else NetdevState(**{**wanted, **lists}),
            isolated=entry["isolated"],
            rings=entry["rings"],
            process=str(entry.get("process", "")),  # journals of version 4 have none
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The vifs with their domains, the named vif first, and the refusals. `kind` is the type of the NIC that was named."""

    domain_id: int
    kind: str
    nics: tuple[VifNic, ...] = ()
    domains: tuple[Domain, ...]
    refusals: tuple[Refusal, ...] = ()


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
    live, config = find(view, selector)
    net = live or config
    assert net is not None
    found = Found(domain_id=view.state.id, kind=net.type, domains=(domain,), refusals=check_scope(view, Scope.LIVE))
    if live is None and not found.refusals:
        raise NicMissing(f"NIC {describe(config)} of domain {domain.name} is not in its live definition")
    alias = net.alias or str(net.mac)
    label = f"{domain.name}/{alias}" if among_all else alias
    if (why := drivers.rebind_obstacle()) is not None:
        obstacle = Refusal(reason=NotSupported.reason, nic=label, message=f"{label} cannot be bound anew: {why}.")
        found = dataclasses.replace(found, refusals=(*found.refusals, obstacle))
    if found.refusals:
        return found
    its = [vif for vif in store.vifs(view.state.id) if vif.mac is not None and vif.mac == str(net.mac)]
    its = [vif for vif in its if vif.has_link(net.target_dev)] or its
    if len(its) != 1:
        return dataclasses.replace(found, refusals=(no_single(label, its),))
    candidate = Candidate(vif=its[0], label=label, domain=domain, net=net, link=_link(host, its[0]))
    against = tuple(refusals(host, candidate, must_connect=True))
    nics = () if against else (_nic(host, candidate),)
    return dataclasses.replace(found, nics=nics, refusals=against)


def find_all(host: Host, domain: Domain, selector: str) -> Found:
    """The vif that `selector` means, and every other vif that has the driver, of all domains."""
    named = find_one(host, domain, selector, among_all=True)
    if not named.nics:
        return named
    _, drivers = xen(host)
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
        for candidate in _others(host, domain_id, numbers, view):
            speaks = list(refusals(host, candidate, must_connect=False))
            against += speaks
            nics += [] if speaks else [_nic(host, candidate)]
            numbers.discard(candidate.vif.number)
        against += [unknown(domain_id, number) for number in sorted(numbers)]
    return dataclasses.replace(
        named, nics=tuple(nics), domains=tuple(domains.values()), refusals=tuple(dict.fromkeys(against))
    )


def told(nics: Sequence[VifNic]) -> Iterator[str]:
    """For each vif a sentence that says what happens to it."""
    for nic in nics:
        where = f" in {nic.wanted.master}" if nic.wanted is not None else ", in no bridge"
        guest = "cut off meanwhile" if nic.rings is not None else "whose guest is not connected"
        yield f"{nic.label} ({nic.vif.name}{where}) is bound anew: {guest}"


def _view(domain: Domain | None) -> DomainView | None:
    try:
        return look(domain, BOTH) if domain is not None else None
    except DomainMissing:
        return None  # it has ended; each vif is looked at again before something is done


def _others(host: Host, domain_id: int, numbers: set[int], view: DomainView | None) -> Iterator[Candidate]:
    store, _ = xen(host)
    nets = view.live.nets if view is not None and view.live is not None else ()
    for vif in store.vifs(domain_id):
        if vif.number in numbers:
            its = [net for net in nets if vif.mac == str(net.mac)]
            net = next((net for net in its if vif.has_link(net.target_dev)), its[0] if its else None)
            name = (net.alias or str(net.mac)) if net is not None else vif.name
            yield Candidate(
                vif=vif,
                label=f"{view.domain.name}/{name}" if view is not None else name,
                domain=view.domain if view is not None else None,
                net=net,
                link=_link(host, vif),
                is_placed=vif.hotplug_status == "connected",
            )


def _link(host: Host, vif: Vif) -> Link | None:
    name = xen(host)[1].link(vif.name)
    return host.links.link(name) if name is not None else None


def _nic(host: Host, candidate: Candidate) -> VifNic:
    store, _ = xen(host)
    vif, net = candidate.vif, candidate.net
    return VifNic(
        vif=vif,
        domain_uuid=candidate.domain_uuid,
        alias=candidate.alias,
        label=candidate.label,
        wanted=_wanted(host, candidate) if candidate.is_placed else None,
        isolated=net is not None and bool(net.port_isolated),
        rings=store.rings(vif) if candidate.is_placed and vif.frontend is State.CONNECTED else None,
        process=store.process(vif.domain_id),
    )


def as_its_script_made_it(host: Host, vif: Vif) -> VifNic:
    """A vif of any toolstack that has lost its driver, to be bound and put where its hotplug script had put it."""
    wanted = _wanted(host, Candidate(vif=vif, label=vif.name)) if vif.bridge is not None else None
    return VifNic(
        vif=vif,
        domain_uuid="",
        alias=vif.name,
        label=vif.name,
        wanted=wanted,
        isolated=False,
        rings=None,
        process=xen(host)[0].process(vif.domain_id),
    )


def _wanted(host: Host, candidate: Candidate) -> NetdevState:
    """The state of the link now. If it is in no bridge: as the hotplug script would make it (Xen's ``vif-bridge``, ``xen-network-common.sh``)."""
    vif = candidate.vif
    now = host.links.state(candidate.link.name) if candidate.link is not None else None
    if now is not None and now.master is not None:
        return dataclasses.replace(now, is_up=True)
    bridge = host.links.link(candidate.bridge or "")
    mtu = vif.mtu or (bridge.mtu if bridge is not None else None)
    if now is None:
        now = NetdevState(name=vif.link_name or vif.link, mac=VIF_MAC)
    return dataclasses.replace(now, name=vif.link_name or now.name, mtu=mtu, is_up=True, master=candidate.bridge)
