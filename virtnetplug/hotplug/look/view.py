"""What an operation sees of a domain before it touches it: state, both definitions, and their NICs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from virtnetplug import xml
from virtnetplug.backends import are_lent, backend_of
from virtnetplug.errors import DomainMissing, DomainNotRunning, DomainTransient
from virtnetplug.model.domain import DomainDevices, Topology
from virtnetplug.model.interface import Interface, Teaming, is_lasting, lasting_name
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import Half, Refusal
from virtnetplug.model.pci import PciAddress
from virtnetplug.model.run import NO_RUN, Run
from virtnetplug.ports.domain import Domain, DomainState

BOTH = (Half.LIVE, Half.CONFIG)
"""Both definitions, in the order in which they are looked at and changed."""


class DomainNic(NamedTuple):
    """One NIC of a domain: its element in the live definition and its element in the config definition. At least one of them is there."""

    live: Interface | None = None
    config: Interface | None = None

    @property
    def net(self) -> Interface:
        """The live element, or the config element of a NIC that the guest does not have."""
        net = self.live or self.config
        assert net is not None
        return net

    @property
    def alias(self) -> str:
        """The alias of `net`; empty if it has none."""
        return self.net.alias or ""

    @property
    def name(self) -> str:
        """What the journal calls the NIC: its alias, or its MAC if it has none."""
        return self.net.alias or str(self.net.mac)

    @property
    def nets(self) -> tuple[Interface, ...]:
        """Its elements."""
        return tuple(net for net in self if net is not None)

    def half(self, half: Half) -> Interface | None:
        """Its element in that definition."""
        return self.live if half is Half.LIVE else self.config


@dataclass(frozen=True, eq=False, kw_only=True)
class DomainView:
    """One look at a domain, parsed when first used. A definition is None if nobody asked for it, or if the domain has none."""

    domain: Domain
    state: DomainState
    live_xml: str | None = None
    config_xml: str | None = None

    @cached_property
    def run(self) -> Run:
        """The run that there is; `NO_RUN` of a domain that does not run."""
        return Run(self.state.id, self.domain.process()) if self.state.is_active else NO_RUN

    @cached_property
    def live(self) -> DomainDevices | None:
        """The nets and hostdevs the guest has."""
        return None if self.live_xml is None else xml.devices(self.live_xml)

    @cached_property
    def config(self) -> DomainDevices | None:
        """The nets and hostdevs of the next boot."""
        return None if self.config_xml is None else xml.devices(self.config_xml)

    @cached_property
    def topology(self) -> Topology | None:
        """Machine and free slots of the running guest, else of the next boot."""
        text = self.live_xml or self.config_xml
        return None if text is None else xml.topology(text)

    @cached_property
    def nics(self) -> tuple[DomainNic, ...]:
        """Every NIC once: those of the live definition, then those only the config has."""
        return join(self.nets(Half.LIVE), self.nets(Half.CONFIG), xml.serving(self.live_xml or ""))

    def text(self, half: Half) -> str | None:
        """The XML of that definition."""
        return self.live_xml if half is Half.LIVE else self.config_xml

    def devices(self, half: Half) -> DomainDevices | None:
        """The nets and hostdevs of that definition."""
        return self.live if half is Half.LIVE else self.config

    def nets(self, half: Half) -> Sequence[Interface]:
        """The nets of that definition; none if there is no such definition."""
        devices = self.devices(half)
        return devices.nets if devices is not None else ()

    def host_address(self, net: Interface) -> PciAddress | None:
        """The host PCI device behind `net`, if it is an assigned one."""
        if net.source_pci is not None or net.alias is None:
            return net.source_pci
        found = [devices for half in BOTH if (devices := self.devices(half)) is not None]
        return next((dev.host_address for each in found for dev in each.hostdevs if dev.parent == net.alias), None)


def look(domain: Domain, halves: Sequence[Half]) -> DomainView:
    """State, then each definition of `halves` that the domain has; raises `DomainMissing` if it is gone."""
    state = domain.state()
    view = DomainView(domain=domain, state=state)
    for half, is_there in ((Half.LIVE, state.is_active), (Half.CONFIG, state.persistent)):
        view = look_again(view, half) if half in halves and is_there else view
    return view


def look_again(view: DomainView, half: Half) -> DomainView:
    """`view` with that definition read once more; None if the domain has stopped, or was undefined, since its state was read."""
    text = None
    with suppress(DomainNotRunning, DomainTransient):
        text = view.domain.xml(half)
    return replace(view, live_xml=text) if half is Half.LIVE else replace(view, config_xml=text)


def definition(domain: Domain, half: Half) -> str | None:
    """The XML of that definition; None if the domain has no such definition, or is no more."""
    with suppress(DomainMissing, DomainNotRunning, DomainTransient):
        return domain.xml(half)
    return None


def nets_in(domain: Domain, half: Half) -> Sequence[Interface]:
    """The nets of that definition; none if the domain has no such definition, or is no more."""
    text = definition(domain, half)
    return () if text is None else xml.devices(text).nets


def join(
    live: Sequence[Interface], config: Sequence[Interface], serving: Collection[str] = ()
) -> tuple[DomainNic, ...]:
    """Pair the elements of two definitions: by alias and MAC that both give, else by MAC, guest address, type, source and model (see `is_alike`).

    Another program may have given the two elements of a NIC two addresses, as libvirt chooses for each definition by itself. So the address decides
    only where one of the definitions has several NICs of that MAC. A NIC that the guest booted with is the same wherever it is connected, also
    after a replacement. A NIC of `serving`, live aliases of those in the place of others, has the MAC of another: only its alias tells which it is.
    """
    left = list(config)
    found: dict[int, Interface] = {}
    repeated = _repeated(live) | _repeated(config)

    def is_only(net: Interface, other: Interface) -> bool:
        return (net.mac, net.teaming) not in repeated and is_alike(net, other)

    for is_same in (_has_alias_of, _is_alike_at, _is_booted_from, is_only):
        for index, net in enumerate(live):
            if index in found or (net.alias in serving and is_same is not _has_alias_of):
                continue
            match = next((other for other in left if is_same(net, other)), None)
            if match is not None:
                found[index] = match
                left = [other for other in left if other is not match]
    return (
        *(DomainNic(net, found.get(index)) for index, net in enumerate(live)),
        *(DomainNic(None, net) for net in left),
    )


def _has_alias_of(net: Interface, other: Interface) -> bool:
    return net.alias is not None and net.alias == other.alias and (None in (net.mac, other.mac) or net.mac == other.mac)


def _is_alike_at(net: Interface, other: Interface) -> bool:
    return _is_at(net, other) and is_alike(net, other)


def _repeated(nets: Sequence[Interface]) -> set[tuple[Mac | None, Teaming | None]]:
    """The MACs that several of these NICs have; the two halves of a teaming pair differ in their `teaming`."""
    macs = [(net.mac, net.teaming) for net in nets]
    return {mac for mac in macs if macs.count(mac) > 1}


def _is_booted_from(live: Interface, config: Interface) -> bool:
    """Whether the guest booted with `live` as `config` says, and it may have been connected to something else since."""
    if is_lasting(config.alias) or live.address is None or live.address != config.address:
        return False  # one that was replaced since has a lasting alias, which the definition need not have
    return backend_of(live).is_lent == backend_of(config).is_lent and _is_of_one_model(live, config)


def is_alike(net: Interface, other: Interface) -> bool:
    """Whether two elements may be of one NIC: same MAC, type, source, model and teaming, and not two lasting aliases.

    A model or part of a source that only one of them gives is no difference: libvirt fills it in. The live element of a NIC of a network
    has the type that libvirt chose from the network. The live element of a NIC of a pool does not name the pool any more.
    """
    if is_lasting(net.alias) and is_lasting(other.alias) and net.alias != other.alias:
        return False
    return _is_of_one_model(net, other) and has_source_of(net, other)


def _is_of_one_model(net: Interface, other: Interface) -> bool:
    """Whether the two have one MAC, model and teaming."""
    models = {net.model, other.model} - {None}
    return net.mac is not None and net.mac == other.mac and len(models) < 2 and net.teaming == other.teaming


_SOURCE = tuple(
    field.name
    for field in dataclasses.fields(Interface)
    if field.name.startswith("source_") and field.name not in ("source_portid", "source_portgroup")
)


def has_source_of(net: Interface, other: Interface) -> bool:
    if net.source_network is not None and other.source_network is not None:
        return net.source_network == other.source_network
    if {net.type, other.type} == {"network", "hostdev"}:
        return True
    said = [(getattr(net, name), getattr(other, name)) for name in _SOURCE]
    return net.type == other.type and all(one == two for one, two in said if None not in (one, two))


def same(nets: Sequence[Interface], wanted: Interface) -> Interface | None:
    """The one of `nets` that is the NIC `wanted`, under whatever alias libvirt gave it; None if none is.

    A NIC with a lasting alias is known by alias and MAC. Any other is known by MAC and guest address, with the alias that it had or what
    `is_alike` compares. An assigned device may be another one by then.
    """
    if is_lasting(wanted.alias):
        named = (net for net in nets if net.alias == wanted.alias)
        return next((net for net in named if None in (net.mac, wanted.mac) or net.mac == wanted.mac), None)
    unnamed = [net for net in nets if not is_lasting(net.alias) and _is_at(net, wanted) and net.mac == wanted.mac]
    found = next((net for net in unnamed if net.alias is not None and net.alias == wanted.alias), None)
    found = found or next((net for net in unnamed if is_alike(net, wanted)), None)
    if found is None and backend_of(wanted).is_lent and wanted.address is not None:
        return next((net for net in unnamed if are_lent(net, wanted) and net.address == wanted.address), None)
    return found


def still(nets: Sequence[Interface], wanted: Interface) -> Interface | None:
    """The one of `nets` that is the NIC `wanted`, where both are of one run of the domain; None if none is.

    A NIC with a lasting alias is known by alias and MAC. Any other is known by MAC and guest address, whatever it is connected to. It keeps both in
    a save and a migration, where libvirt may give it another alias; an image has no alias. Where an address is not known, the alias decides.
    """
    if is_lasting(wanted.alias):
        return same(nets, wanted)
    its = [net for net in nets if not is_lasting(net.alias) and net.mac == wanted.mac]
    return next((net for net in its if _is_still(net, wanted)), None)


def carried(nets: Sequence[Interface], wanted: Interface) -> Interface | None:
    """The same as `still` for a guest in an image or in another process. A restore or a migration may have brought a definition without the alias."""
    found = still(nets, wanted)
    return still(nets, replace(wanted, alias=None)) if found is None and is_lasting(wanted.alias) else found


def _is_still(net: Interface, wanted: Interface) -> bool:
    if net.address is not None and wanted.address is not None:
        return net.address == wanted.address
    return is_alike(net, wanted) if None in (net.alias, wanted.alias) else net.alias == wanted.alias


def _is_at(net: Interface, wanted: Interface) -> bool:
    return None in (net.address, wanted.address) or net.address == wanted.address


def places_of(halves: Iterable[Interface | None]) -> list[str]:
    """The guest addresses of a NIC, by which requests tell it from others of its MAC: its halves may have two."""
    return sorted({str(net.address) for net in halves if net is not None and net.address is not None})


def named(alias: str | None, *halves: Interface | None) -> dict[str, Any]:
    """How a request names a NIC: what the steps call it, its MAC, and its guest addresses."""
    mac = next((net.mac for net in halves if net is not None), None)
    return {"alias": alias, "mac": str(mac or ""), "places": places_of(halves)}


def name_in_config(net: Interface) -> str:
    """What steps call a NIC of the definition, where an alias need not be."""
    return net.alias or str(net.mac)


def same_mac_as(view: DomainView, nets: Collection[Interface]) -> list[str]:
    """The NICs of the domain that share a MAC of `nets`, by alias or `known_as`: for requests, as they take nobody's place."""
    macs = {net.mac for net in nets}
    there = [net for half in BOTH for net in view.nets(half) if net.mac in macs]
    found = {lasting_name(net.alias, net.mac, net.address) for net in there}
    return sorted(found) if len(found) > 1 else []


def refusal(reason: str, net: Interface, message: str) -> Refusal:
    """The refusal of what is asked for that NIC."""
    return Refusal(reason=reason, nic=describe(net), message=message)


def describe(net: Interface | None) -> str:
    """A NIC as messages name it: alias and MAC, as far as it has them."""
    if net is None:
        return "nothing"
    if net.alias and net.mac:
        return f"{net.alias} ({net.mac})"
    return net.alias or str(net.mac or f"a {net.type} NIC without alias or MAC")
