"""What an operation sees of a domain before it touches it: state, both definitions, and the NIC a selector means."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from virtnetplug import xml
from virtnetplug.errors import DomainNotRunning, DomainTransient, NicAmbiguous, NicMissing, PciAddressInvalid
from virtnetplug.model.domain import DomainDevices, Topology
from virtnetplug.model.interface import Interface, Teaming, is_lasting, lasting_name
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import Half
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
    """One look at a domain, parsed when first used; a definition not asked for, or that there is not, is None."""

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
        live = self.live.nets if self.live is not None else ()
        config = self.config.nets if self.config is not None else ()
        return join(live, config, xml.serving(self.live_xml or ""))

    def host_address(self, net: Interface) -> PciAddress | None:
        """The host PCI device behind `net`, if it is an assigned one."""
        if net.source_pci is not None or net.alias is None:
            return net.source_pci
        hostdevs = [dev for devices in (self.live, self.config) if devices is not None for dev in devices.hostdevs]
        return next((dev.host_address for dev in hostdevs if dev.parent == net.alias), None)


def look(domain: Domain, halves: Sequence[Half]) -> DomainView:
    """State, then each definition of `halves` that the domain has; raises `DomainMissing` if it is gone."""
    state = domain.state()
    live = _definition(domain, Half.LIVE) if Half.LIVE in halves and state.is_active else None
    config = _definition(domain, Half.CONFIG) if Half.CONFIG in halves and state.persistent else None
    return DomainView(domain=domain, state=state, live_xml=live, config_xml=config)


def look_again(view: DomainView, half: Half) -> DomainView:
    """`view` with that definition read once more."""
    text = _definition(view.domain, half)
    return replace(view, live_xml=text) if half is Half.LIVE else replace(view, config_xml=text)


def _definition(domain: Domain, half: Half) -> str | None:
    try:
        return domain.xml(half)
    except (DomainNotRunning, DomainTransient):
        return None  # it stopped, or was undefined, since its state was read


def join(
    live: Sequence[Interface], config: Sequence[Interface], serving: Collection[str] = ()
) -> tuple[DomainNic, ...]:
    """DomainNic the NICs of two definitions: by alias and MAC that both give, else by MAC, guest address, type, source and model (see `is_alike`).

    Another program may have given the two halves of a NIC two addresses, as libvirt chooses for each half by itself. So the address decides
    only where one of the definitions has several NICs of that MAC. A NIC that the guest booted with is the same wherever it is connected, also
    after a replacement. A NIC of `serving`, live aliases of those in the place of others, has the MAC of another: only its alias tells which it is.
    """
    left = list(config)
    found: dict[int, Interface] = {}
    repeated = _repeated(live) | _repeated(config)

    def is_only(net: Interface, other: Interface) -> bool:
        return net.alias not in serving and (net.mac, net.teaming) not in repeated and is_alike(net, other)

    def is_alike_there(net: Interface, other: Interface) -> bool:
        return net.alias not in serving and _is_at(net, other) and is_alike(net, other)

    def is_booted_from(net: Interface, other: Interface) -> bool:
        return net.alias not in serving and _is_booted_from(net, other)

    for is_same in (_has_alias_of, is_alike_there, is_booted_from, is_only):
        for index, net in enumerate(live):
            match = None if index in found else next((other for other in left if is_same(net, other)), None)
            if match is not None:
                found[index] = match
                left = [other for other in left if other is not match]
    return (
        *(DomainNic(net, found.get(index)) for index, net in enumerate(live)),
        *(DomainNic(None, net) for net in left),
    )


def _has_alias_of(net: Interface, other: Interface) -> bool:
    return net.alias is not None and net.alias == other.alias and (None in (net.mac, other.mac) or net.mac == other.mac)


def _repeated(nets: Sequence[Interface]) -> set[tuple[Mac | None, Teaming | None]]:
    """The MACs that several of these NICs have. Two halves of a teaming pair differ by their roles."""
    macs = [(net.mac, net.teaming) for net in nets]
    return {mac for mac in macs if macs.count(mac) > 1}


def _is_booted_from(live: Interface, config: Interface) -> bool:
    """Whether the guest booted with `live` as `config` says, and it may have been connected to something else since."""
    if is_lasting(config.alias) or live.address is None or live.address != config.address:
        return False  # one that was replaced since has a lasting alias, which the definition need not have
    return live.is_hostdev == config.is_hostdev and _is_of_one_model(live, config)


def is_alike(net: Interface, other: Interface) -> bool:
    """Whether two elements may be of one NIC: same MAC, type, source, model and teaming, and not two lasting aliases.

    A model or part of a source that only one of them says is no difference: libvirt fills it in. A network's NIC has, in the live element, the type
    that the network gave. A pool's NIC does not name the pool there any more.
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
    if found is None and wanted.is_hostdev and wanted.address is not None:
        return next((net for net in unnamed if net.is_hostdev and net.address == wanted.address), None)
    return found


def still(nets: Sequence[Interface], wanted: Interface) -> Interface | None:
    """The one of `nets` that is the NIC `wanted`, where both are of one run of the domain; None if none is.

    A NIC with a lasting alias is known by alias and MAC. Any other NIC is known by MAC and guest address, whatever it is connected to. It keeps both
    in a save and a migration. libvirt may then give it another alias, and an image has no alias. Where an address is not known, the alias decides.
    """
    if is_lasting(wanted.alias):
        return same(nets, wanted)
    its = [net for net in nets if not is_lasting(net.alias) and net.mac == wanted.mac]
    return next((net for net in its if _is_still(net, wanted)), None)


def carried(nets: Sequence[Interface], wanted: Interface) -> Interface | None:
    """The NIC `wanted` as `still` finds it, in an image or in another process. A restored or migrated guest may lack the alias."""
    found = still(nets, wanted)
    return still(nets, replace(wanted, alias=None)) if found is None and is_lasting(wanted.alias) else found


def _is_still(net: Interface, wanted: Interface) -> bool:
    if net.address is not None and wanted.address is not None:
        return net.address == wanted.address
    return is_alike(net, wanted) if None in (net.alias, wanted.alias) else net.alias == wanted.alias


def _is_at(net: Interface, wanted: Interface) -> bool:
    return None in (net.address, wanted.address) or net.address == wanted.address


def find(view: DomainView, selector: str, halves: Collection[Half] = BOTH) -> DomainNic:
    """The one NIC `selector` means: a MAC, an alias, a host device name, or a PCI address in the guest or on the host.

    Where it means several, `halves` decide: the one of them that these definitions have. Raises `NicMissing`, which lists the NICs there
    are, or `NicAmbiguous`, which lists those that match.
    """
    is_meant = _matcher(view, selector.strip())
    matches = [pair for pair in view.nics if any(net is not None and is_meant(net) for net in pair)]
    if len(matches) > 1:
        in_scope = [p for p in matches if any(net for half, net in zip(BOTH, p, strict=True) if half in halves)]
        matches = in_scope if len(in_scope) == 1 else matches
    if len(matches) == 1:
        return matches[0]
    name = view.domain.name
    if matches:
        ways = " or ".join(filter(None, [_told_apart(view, matches), _by_half(matches)]))
        raise NicAmbiguous(
            f"'{selector}' means {len(matches)} NICs of domain {name}: {_names(matches)}. "
            + (
                f"Name the one you mean {ways}."
                if ways
                else "Nothing tells them apart: give one of them an alias of its own first."
            )
        )
    there = f"It has {_names(view.nics)}." if view.nics else "It has no NIC at all."
    raise NicMissing(
        f"Domain {name} has no NIC '{selector}'. {there} Name one by its alias, MAC, host device or PCI address."
    )


def _matcher(view: DomainView, selector: str) -> Callable[[Interface], bool]:
    mac = selector.lower().replace("-", ":")
    try:
        pci = PciAddress.parse(selector)
    except PciAddressInvalid:
        pci = None

    def is_meant(net: Interface) -> bool:
        if selector in (net.alias, net.target_dev) or (net.mac is not None and net.mac.text == mac):
            return True
        return pci is not None and pci in (net.address, view.host_address(net))

    return is_meant


def _names(pairs: Sequence[DomainNic]) -> str:
    return ", ".join(describe(live or config) for live, config in pairs)


def _told_apart(view: DomainView, matches: Sequence[DomainNic]) -> str:
    """The names that mean one NIC each: alias, MAC or guest address, with their values. Empty if some NIC has no such name."""

    def is_named_alone(pair: DomainNic, name: str | None) -> bool:
        if name is None:
            return False
        is_meant = _matcher(view, name)
        return [other for other in view.nics if any(net is not None and is_meant(net) for net in other)] == [pair]

    for kind, names in (
        ("alias", [_first(pair, "alias") for pair in matches]),
        ("MAC", [_first(pair, "mac") for pair in matches]),
        ("guest address", [_first(pair, "address") for pair in matches]),
    ):
        if all(map(is_named_alone, matches, names)):
            return f"by its {kind}" + (f" ({', '.join(map(str, names))})" if kind == "guest address" else "")
    return ""


def _first(pair: DomainNic, field: str) -> str | None:
    return next((str(value) for net in pair if (value := getattr(net, field, None)) is not None), None)


def _by_half(matches: Sequence[DomainNic]) -> str:
    """The remedy that names a NIC by the one definition that has it. Empty if both definitions have all the NICs, or one alone has two."""
    alone = [live is None for live, config in matches if None in (live, config)]
    if not alone or max(alone.count(True), alone.count(False)) > 1:
        return ""
    return "by the one definition that has it: `scope=Scope.LIVE` for the guest's, `scope=Scope.CONFIG` for that of the next boot"


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
    devices = [each for each in (view.live, view.config) if each is not None]
    found = {lasting_name(net.alias, net.mac, net.address) for each in devices for net in each.nets if net.mac in macs}
    return sorted(found) if len(found) > 1 else []


def describe(net: Interface | None) -> str:
    """A NIC as messages name it: alias and MAC, as far as it has them."""
    if net is None:
        return "nothing"
    names = [name for name in (net.alias, str(net.mac) if net.mac else None) if name]
    if not names:
        return f"a {net.type} NIC without alias or MAC"
    return names[0] if len(names) == 1 else f"{names[0]} ({names[1]})"
