"""Rebind of an assigned NIC: another VF behind it, of its pool or of another PF, and all else as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from virtnetplug import xml
from virtnetplug.backends import Choice, backend_for
from virtnetplug.backends.vf_settings import Settings, drift, fields_from, of_lent, told
from virtnetplug.errors import NotSupported, VfChanged, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change.swap import Swap, obstacles
from virtnetplug.hotplug.change.swapping import Swapping, prepared
from virtnetplug.hotplug.check import conflicts
from virtnetplug.hotplug.check.preflight import check_scope
from virtnetplug.hotplug.check.request import name, partner_of
from virtnetplug.hotplug.check.reserved import unsettled
from virtnetplug.hotplug.check.sources import actual_of
from virtnetplug.hotplug.engine.prepared import Prepared, refuse
from virtnetplug.hotplug.guest.assigned import Assigned, assigned_to
from virtnetplug.hotplug.look.find import find, in_guest
from virtnetplug.hotplug.look.view import BOTH, DomainNic, DomainView, describe, look, refusal
from virtnetplug.hotplug.plug.edit import of_pool
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VfSettings
from virtnetplug.model.interface import OF_DEVICES, Interface
from virtnetplug.model.operation import Half, Refusal, Scope
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain

AUTO = "auto"
"""Any other VF of the NIC's pool, the best one."""

NAME = "rebind-vf"
"""What the journal calls it."""

_SOURCE: dict[str, Any] = dict.fromkeys(
    ("source_network", "source_portgroup", "source_portid", "source_bridge", "source_dev")
)
_LIBVIRTS = ("admin_mac", "vlan")
"""What libvirt set of a VF from the element of its NIC; whoever changed it since meant something by it."""


def changed_by_others(nic: str, net: Interface, holding: Holding | None, now: VfSettings) -> Iterator[Refusal]:
    """A refusal if somebody has changed the MAC or VLAN of a lent VF since: it is not what the journal says. Nothing overwrites that."""
    if holding is None:
        return
    wanted: Settings = {name: value for name, value in of_lent(net, holding).items() if name in _LIBVIRTS}
    if missed := drift(wanted, now):
        yield Refusal(
            reason=VfChanged.reason,
            nic=nic,
            message=f"Host device {holding.address}, which {nic} is, is not as the journal says: its {told(missed, now)}. Someone set it by "
            "hand; restore the setting with `repair()`, or confirm it with `update()`.",
        )


def owning_pool(host: Host, address: PciAddress) -> str | None:
    """The active network that lends this VF, if one does."""
    device = host.host_devices.device(address)
    pf = host.host_devices.device(device.pf).netdev if device.pf is not None else None
    for pool in host.networks.names():
        network = host.networks.network(pool)
        if not network.active or not network.is_pool:
            continue
        if address in network.addresses or (pf is not None and network.pf == pf):
            return pool
    return None


def _assigned(host: Host, view: DomainView, nic: DomainNic) -> tuple[Interface, Assigned]:
    name, domain, live = describe(nic.net), view.domain.name, in_guest(view, nic)
    device = assigned_to(host, view.domain, live, nic.config)
    if device is None:
        why = "is no assigned device" if not live.is_hostdev else "is a device of another host; run virtnetplug there"
        raise NotSupported(f"{name} of domain {domain} {why}, so there is no VF behind it to be exchanged.")
    if device.holding is None and not live.managed:
        raise NotSupported(
            f"{name} was attached by another program, which drives {device.address} itself (managed='no'). Detach it, and attach it with virtnetplug."
        )
    return live, device


def _unfit(
    host: Host, live: Interface, device: Assigned, target: PciAddress | None, pool: str | None
) -> Iterator[Refusal]:
    """Why the NIC cannot have that VF, or any other of its pool. Whoever has the VF now counts, even the NIC itself."""
    if target is None and pool is None:
        why = f"{describe(live)} has {device.address} of no pool, so there is none to choose another VF from. Name the VF by its address."
        yield refusal(NotSupported.reason, live, why)
        return
    wanted = moved(live, device.settings, target, None if target is not None else pool)
    try:
        actual = actual_of(host, wanted)
        yield from backend_for(actual).refusals(host, wanted, actual)
    except VirtnetplugError as error:
        yield refusal(error.reason, live, error.message)


def moved(live: Interface, settings: Settings, target: PciAddress | None, pool: str | None) -> Interface:
    """The NIC that comes: asked for by its pool where the pool lends the VF, so that libvirt knows, else by address."""
    net = xml.interface(xml.edit(xml.strip_live(live.element), fields_from(settings)))
    if pool is not None:
        net = of_pool(net, pool)
    elif target is not None:
        net = xml.interface(
            xml.edit(net.element, {**_SOURCE, "type": "hostdev", "source_pci": target, "managed": live.managed})
        )
    return replace(net, **of_devices(settings))


def of_devices(settings: Settings) -> dict[str, Any]:
    """The remembered settings as fields of an `Interface` that no element has."""
    own = {"qos": "vlan_qos"}
    named = {own.get(name, name): value for name, value in settings.items()}
    return {name: value for name, value in named.items() if name in OF_DEVICES}


def _warnings(
    view: DomainView, live: Interface, config: Interface | None, old: PciAddress, pool: str | None
) -> Iterator[str]:
    nets = view.live.nets if view.live is not None else ()
    if not has_partner(live, nets):
        yield f"{describe(live)} has no teaming partner: its traffic stops until it has the other VF"
    if config is not None and (config.source_pci == old or config.source_network not in (None, pool)):
        there = f"network {config.source_network}" if config.source_network is not None else str(old)
        yield f"the definition of the next boot still names {there}: `update(scope=Scope.CONFIG)` changes that"


def has_partner(net: Interface, nets: Sequence[Interface]) -> bool:
    """Whether a persistent teaming half of the guest carries on while `net` is away."""
    partner = partner_of(net)
    return partner is not None and any(other.alias == partner for other in nets)


class RebindVf(Swapping):
    """Move the NIC to the VF `to`, or (`AUTO`) to the best other one of its pool."""

    def __init__(self, nic: str, to: PciAddress | str = AUTO) -> None:
        self.nic, self.to = nic, to

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        view = look(domain, BOTH)
        refuse(check_scope(view, Scope.LIVE))
        nic = find(view, self.nic, (Half.LIVE,))
        live, device = _assigned(host, view, nic)
        to = self.to
        target = None if to == AUTO else to if isinstance(to, PciAddress) else PciAddress.parse(to)
        nothing, open_ones = Swap(operation=NAME), tuple(unsettled(host, view, [nic]))
        if target == device.address:
            return prepared(host, view, nothing, open_ones, already=(nic,))
        pool = device.network if target is None else owning_pool(host, target)
        refusals = [
            *open_ones,
            *conflicts.widows(view, [(Half.LIVE, live)]),
            *changed_by_others(describe(live), live, device.holding, device.now),
            *_unfit(host, live, device, target, pool),
        ]
        if refusals:
            return prepared(host, view, nothing, refusals)
        swap = Swap(
            operation=NAME,
            leaving=(live,),
            entering=(name(moved(live, device.settings, target, pool)),),
            choice=Choice(only=target, avoid=device.address),
            warnings=tuple(_warnings(view, live, nic.config, device.address, pool)),
        )
        return prepared(host, view, swap, obstacles(host, view, swap))
