"""Who has the VFs of a PF, and which of these users forbid to take the PF apart. Nothing is touched here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from virtnetplug import xml
from virtnetplug.errors import (
    DomainMissing,
    HostDeviceMissing,
    NotSupported,
    PciAddressInvalid,
    Refused,
    VfHeld,
    VirtnetplugError,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change.rebind_vf import changed_by_others, has_partner, owning_pool
from virtnetplug.hotplug.check import conflicts
from virtnetplug.hotplug.check.preflight import check_scope
from virtnetplug.hotplug.check.request import edited
from virtnetplug.hotplug.check.request import name as minted
from virtnetplug.hotplug.check.reserved import pending
from virtnetplug.hotplug.guest.assigned import as_in_run
from virtnetplug.hotplug.guest.nic_status import pending_nics
from virtnetplug.hotplug.look.open_operations import operation_on
from virtnetplug.hotplug.look.view import DomainView, describe, look, same_mac_as
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import PciDevice
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Half, Refusal, Scope
from virtnetplug.model.pci import PciAddress
from virtnetplug.model.run import Run
from virtnetplug.ports.domain import Domain, PowerState


@dataclass(frozen=True, slots=True, kw_only=True)
class PfNic:
    """A guest's NIC that is one of the PF's VFs. `index` is the number of the VF, `old` what attaching it again needs.

    The NIC is attached again as `alias`. That is a minted alias if libvirt made the present one, as libvirt would make another one.
    `same_mac` are the NICs of its guest that have its MAC (`view.same_mac_as`).
    """

    domain: Domain
    run: Run
    alias: str
    element: str
    address: PciAddress
    index: int
    old: dict[str, Any]
    managed: bool = True
    has_partner: bool = False
    same_mac: Sequence[str] = ()

    @property
    def label(self) -> str:
        """What steps call the NIC, as two guests may have the same alias."""
        return f"{self.domain.name}/{self.net.alias or self.alias}"

    @property
    def net(self) -> Interface:
        """The NIC as its guest had it."""
        return xml.interface(self.element)

    @property
    def key(self) -> tuple[str, str]:
        """What tells the NIC from all others."""
        return self.domain.uuid, self.alias

    @property
    def names(self) -> frozenset[str]:
        """The alias that it has, and the alias that it gets."""
        return frozenset({self.alias, self.net.alias or self.alias})


@dataclass(frozen=True, slots=True, kw_only=True)
class PfView:
    """One look at the PF: its VFs by index, the NICs that have them, and the refusals."""

    pf: PciDevice
    vfs: Sequence[PciDevice]
    nics: tuple[PfNic, ...]
    refusals: tuple[Refusal, ...]

    @property
    def guests(self) -> list[Domain]:
        """The domain of each NIC."""
        return [nic.domain for nic in self.nics]

    @property
    def free(self) -> tuple[PciDevice, ...]:
        """The VFs no guest has."""
        taken = {nic.address for nic in self.nics}
        return tuple(vf for vf in self.vfs if vf.address not in taken)


def pf_called(host: Host, name: PciAddress | str) -> PciAddress:
    """The PF of that address or network interface. Raises `HostDeviceMissing`, or `Refused` (``not-local``) for a PF of another host."""
    if not host.hypervisor.is_local:  # before a PF of this host is looked for
        message = f"PF {name} would be taken apart on this host, and the guests of {host.hypervisor.uri} run on another host. Run virtnetplug there."
        raise Refused(message, reason="not-local")
    with suppress(PciAddressInvalid):
        return name if isinstance(name, PciAddress) else PciAddress.parse(name)
    pfs = [device for device in host.host_devices.devices() if device.is_pf]
    for device in pfs:
        if device.netdev == name:
            return device.address
    there = ", ".join(f"{device.address} ({device.netdev})" for device in pfs) or "none"
    raise HostDeviceMissing(f"this host has no PF '{name}'; it has {there}")


def look_at(host: Host, address: PciAddress) -> PfView:
    """Look at every running guest and every VF. Raises `HostDeviceMissing`, and what looking at guests raises."""
    pf, vfs = host.host_devices.device(address), host.host_devices.vfs(address)
    known = {vf.address: vf for vf in vfs}
    holdings = {one.address: one for one in host.journal.holdings() if one.address in known}
    nics: list[PfNic] = []
    refusals: list[Refusal] = []
    for domain, state in host.hypervisor.definitions() if known else ():
        if not state.is_active:
            continue
        try:
            view = look(domain, (Half.LIVE,))
            if "hostdev" not in (view.live_xml or ""):
                continue
            view = replace(view, domain=host.hypervisor.domain(domain.uuid))
        except DomainMissing:
            continue  # it ended since it was listed
        for hostdev in view.live.hostdevs if view.live is not None else ():
            if hostdev.host_address in known and all(net.alias != hostdev.parent for net in view.nets(Half.LIVE)):
                refusals.append(_held(hostdev.host_address, f"domain {domain.name} has it as a plain <hostdev>"))
        for net in view.nets(Half.LIVE):
            if net.source_pci in known:
                holding = holdings.get(net.source_pci)
                nic = _nic(host, view, net, known[net.source_pci], holding)
                nics.append(nic)
                refusals += _nic_refusals(host, view, net, nic, holding)
    found = PfView(pf=pf, vfs=vfs, nics=tuple(sorted(nics, key=lambda nic: nic.index)), refusals=())
    for vf in found.free:
        if all(refusal.nic != str(vf.address) for refusal in refusals):
            refusals += _vf_refusals(host, vf, holdings.get(vf.address))
    return replace(found, refusals=tuple(refusals))


def defined_with(host: Host, addresses: Collection[PciAddress]) -> Iterator[tuple[str, PciAddress]]:
    """Each domain, running or not, whose definition names one of these VFs by address; with the VF."""
    for domain, state in host.hypervisor.definitions() if addresses else ():
        try:
            text = domain.xml(Half.CONFIG) if state.persistent else ""
            named = xml.host_addresses(text) if "hostdev" in text else frozenset()
        except VirtnetplugError:
            continue  # it is gone, or cannot be read: only a warning depends on it
        yield from ((domain.name, address) for address in sorted(named.intersection(addresses)))


def _nic(host: Host, view: DomainView, net: Interface, vf: PciDevice, holding: Holding | None) -> PfNic:
    if holding is not None:
        network, settings = holding.network, dict(as_in_run(host, view.domain, holding).settings)
    else:
        network, settings = owning_pool(host, vf.address) or "", {}
    return PfNic(
        domain=view.domain,
        run=view.run,
        alias=(net.alias if is_lasting(net.alias) else minted(edited(net, {"alias": None})).alias) or "",
        element=net.element,
        address=vf.address,
        index=vf.vf_index or 0,
        old={"network": network, "settings": settings},
        managed=holding.managed if holding is not None else bool(net.managed),
        has_partner=has_partner(net, view.nets(Half.LIVE)),
        same_mac=same_mac_as(view, [net]),
    )


def _nic_refusals(
    host: Host, view: DomainView, net: Interface, nic: PfNic, holding: Holding | None
) -> Iterator[Refusal]:
    """Why this NIC cannot be detached and attached again as it is."""
    name, refusal = f"{describe(net)} of {view.domain.name}", partial(Refusal, nic=nic.label)
    yield from check_scope(view, Scope.LIVE)
    if view.state.power is PowerState.PAUSED:
        message = f"{view.domain.name} is paused, so it cannot let go of {describe(net)}. Resume it, or detach the NIC once it runs."
        yield refusal(reason="guest-paused", message=message)
    yield from conflicts.widows(view, [(Half.LIVE, net)])
    if (operation := operation_on(net, pending_nics(host, view.domain.uuid, view))) is not None:
        yield pending(nic.label, name, operation, view.domain)
        return
    if holding is None and not net.managed:
        message = (
            f"{name} was attached by another program, which drives its VF itself (managed='no'), and could not be restored as it is. "
            f"Detach {nic.address} from it, and attach it with virtnetplug."
        )
        yield refusal(reason=NotSupported.reason, message=message)
    try:
        yield from changed_by_others(name, net, holding, host.host_devices.settings(nic.address))
    except VirtnetplugError as error:
        yield refusal(reason=error.reason, message=error.message)


def _vf_refusals(host: Host, vf: PciDevice, holding: Holding | None) -> Iterator[Refusal]:
    """The refusals of a VF that is no NIC of a guest of this connection."""
    if holding is not None:
        why = f"held for {holding.alias} of {holding.domain_name}"
        if holding.quarantine:
            why = f"quarantined: {holding.quarantine}"
        yield _held(vf.address, f"{why}; `recover()` settles what is left of it")
        return
    if vf.driver is not None and "vfio" in vf.driver:
        try:
            users = host.host_devices.vfio_users(vf.address)
        except VirtnetplugError as error:
            yield Refusal(reason=error.reason, nic=str(vf.address), message=error.message)
            return
        if users:
            yield _held(vf.address, f"process {min(users)} has it open through VFIO")
    state = host.host_devices.netdev_state(vf.address)
    if state is not None and state.is_in_use:
        yield _held(vf.address, f"the host uses it as {state.name}; take that down, and out of its bridge, first")


def _held(address: PciAddress, why: str) -> Refusal:
    return Refusal(reason=VfHeld.reason, nic=str(address), message=f"VF {address} cannot be taken: {why}.")
