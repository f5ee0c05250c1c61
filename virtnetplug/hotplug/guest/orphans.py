"""What a hypervisor's daemon that died inside a call leaves behind, and does not know any more when it runs again.

libvirtd, killed a few milliseconds into an attach, leaves the guest with the NIC and its tap in the bridge, while the
definition has neither. Killed earlier, it leaves a network port that nobody is in; killed later, a host device that the guest has.
Its Xen driver leaves a vif also where an attach just failed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from virtnetplug import interruption, xml
from virtnetplug.backends.lending import held_for
from virtnetplug.backends.vf_identity import users_of_devices
from virtnetplug.errors import NetworkMissing, Orphaned, VirtnetplugError, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.guest.asking import StillHeld
from virtnetplug.hotplug.guest.guest import nets_of
from virtnetplug.hotplug.look.view import definition
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, OperationRecord
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain, Stray
from virtnetplug.retry import until_true

SETTLING = 1.0
"""Seconds QEMU may take to close the tap, or the device, of a NIC that libvirt has just removed."""

_PAUSE = 0.05
_POOLED = "hostdev-pci"


def nets_in_record(record: OperationRecord) -> tuple[Interface, ...]:
    """Every NIC that the operation may have plugged, or may plug again: a detach that goes back puts in what it took out.

    If the record is damaged, these are the NICs whose element can be read.
    """
    elements = [entry.get("element") for entry in record.named]
    elements += [entry.get(Half.LIVE.value) for entry in record.named if record.goes_back]
    live = record.request.get(Half.LIVE.value)
    if isinstance(live, dict):
        elements += [live.get("before"), live.get("after")]
    return readable(elements)


def readable(elements: Iterable[object]) -> tuple[Interface, ...]:
    """The nets of all that are elements: a record that is damaged may have anything there."""
    found = []
    for element in elements:
        if isinstance(element, str) and element:
            with suppress(VirtnetplugError):
                found.append(xml.interface(element))
    return tuple(found)


def strays(domain: Domain, nets: Collection[Interface]) -> tuple[Stray, ...]:
    """The vifs of `nets` that the host shows in the guest and the live definition does not have. Raises `XenStoreFailed`."""
    return tuple(stray for stray in domain.strays() if any(map(stray.is_of, nets)))


def orphaned(host: Host, domain: Domain, record: OperationRecord) -> Orphaned | None:
    """The error that says that the host shows more than the live definition; None if it does not."""
    nets = nets_in_record(record)
    if found := strays(domain, nets):
        return Orphaned(
            f"The host still shows {', '.join(stray.name for stray in found)} of domain {domain.name}, which no NIC of the live definition "
            f"has, and it could not be removed. Recover again, or shut the guest down when that suits."
        )
    taps = _taps(host, domain)
    devices = _devices(host, domain, nets)
    if not taps | devices:
        return None
    return Orphaned(
        f"QEMU of domain {domain.name} still holds {', '.join(sorted(taps | devices))}, which no NIC of the live definition has. "
        f"The {record.operation} was cut off inside libvirt, which does not know that NIC and cannot remove it. Shut the "
        f"guest down when that suits and recover again. Or let {call('recover', domain.name, allow_taint=True)} "
        "have QEMU remove it; libvirt then marks the running domain as tainted.",
        reason=None if taps else "orphan-device",
    )


def evict(
    host: Host, domain: Domain, nets: Collection[Interface], seconds: float, *, allow_taint: bool = False
) -> None:
    """Have what is below libvirt remove the NICs of `nets` that libvirt does not know, where that taints nothing or it may.

    Raises `StillHeld` if the guest keeps one.
    """
    if domain.evicts_cleanly:
        if not strays(domain, nets):
            return
    elif not allow_taint or not (_taps(host, domain) or _devices(host, domain, nets)):
        return
    deadline = host.clock.monotonic() + seconds
    known = {net.alias for net in nets_of(domain)}
    leaving = {net.alias: net for net in nets if net.alias is not None and net.alias not in known}
    for alias, net in leaving.items():
        while not domain.evict(net):
            if host.clock.monotonic() >= deadline:
                raise StillHeld(f"the host was asked to remove {alias}, and the guest has not let go of it yet")
            _wait(domain, _PAUSE)


def drop_ports(host: Host, domain: Domain, nets: Collection[Interface]) -> None:
    """Delete the network ports made for `nets` that no NIC is in; a pool's port is another's business."""
    drop_ports_of(host, domain.uuid, nets, lambda: {net.source_portid for net in nets_of(domain)})


def drop_ports_of(
    host: Host, domain_uuid: str, nets: Collection[Interface], named: Callable[[], Collection[str | None]] = set
) -> None:
    """The same of a domain that may be no more; `named` gives the ports that a NIC is in. It is asked last: a run that has begun has ports."""
    macs = {net.mac for net in nets if net.mac is not None}
    for network in {net.source_network for net in nets if net.source_network is not None}:
        try:
            ports = host.networks.ports(network)
        except NetworkMissing:
            continue
        ours = [
            port.uuid
            for port in ports
            if port.owner_uuid == domain_uuid and port.mac in macs and port.plug_type != _POOLED
        ]
        there = named() if ours else ()
        for uuid in ours:
            if uuid not in there:
                host.networks.delete_port(network, uuid)


def _taps(host: Host, domain: Domain) -> frozenset[str]:
    """Taps that the domain's QEMU holds and its live definition does not name; none where that cannot be seen."""
    deadline = host.clock.monotonic() + SETTLING
    while (found := _taps_now(host, domain)) and host.clock.monotonic() < deadline:
        _wait(domain, _PAUSE)
    return found


def _taps_now(host: Host, domain: Domain) -> frozenset[str]:
    text = definition(domain, Half.LIVE) if host.hypervisor.is_local else None
    if text is None or xml.has_own_netdevs(text):
        return frozenset()
    return host.links.taps_of(domain.uuid).difference(net.target for net in xml.glimpse(text) if net.target is not None)


def _wait(domain: Domain, seconds: float) -> None:
    """Let the domain's own events end the pause."""
    with domain.watch() as watch, interruption.allowed():
        watch.next(seconds)


def _devices(host: Host, domain: Domain, nets: Collection[Interface]) -> frozenset[str]:
    """The devices held for `nets` that some process has open through VFIO, and that no live definition has, of this domain or of another."""

    def look() -> frozenset[str]:
        held = [one for alias in {net.alias for net in nets} for one in held_for(host, domain, alias or "")]
        opened = {one.address for one in held if _is_open(host, one.address)}
        return frozenset(map(str, opened.difference(users_of_devices(host)))) if opened else frozenset()

    until_true(lambda: not look(), seconds=SETTLING)
    return look()


def _is_open(host: Host, address: PciAddress) -> bool:
    try:
        return bool(host.host_devices.vfio_users(address))
    except VirtnetplugError:
        return False  # gone, or not to be seen: then it is not returned to the host either
