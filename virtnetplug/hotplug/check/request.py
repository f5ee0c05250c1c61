"""The NICs that a caller asked for, as they will be attached: parsed, named, with a MAC."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

from virtnetplug import xml
from virtnetplug.errors import DomainNotRunning, UsageError
from virtnetplug.model.interface import OF_DEVICES, OF_POOLS, Interface
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import Scope
from virtnetplug.ports.domain import DomainState

MOST_NICS = 64
"""In one call; more is a mistake, and each is a PCI slot."""


def parse(requests: Sequence[Interface | str]) -> tuple[Interface, ...]:
    """Each request as an `Interface`, with its whole element. Raises what `xml.interface` raises."""
    if not requests:
        raise UsageError("no NIC was asked for: name at least one (`nics`)")
    if len(requests) > MOST_NICS:
        raise UsageError(f"{len(requests)} NICs in one call: at most {MOST_NICS}; split it")
    return tuple(
        xml.interface(request) if isinstance(request, str) else like(request, xml.interface(xml.element(request)))
        for request in requests
    )


_NO_ELEMENTS = (*OF_DEVICES, *OF_POOLS)


def like(request: Interface, net: Interface) -> Interface:
    """`net` with what no element has of `request`."""
    said = {name: value for name in _NO_ELEMENTS if (value := getattr(request, name)) is not None}
    return dataclasses.replace(net, **said) if said else net


def edited(net: Interface, changes: Mapping[str, object]) -> Interface:
    """The net with these fields changed: of its element, and those that no element has."""
    own = {name: value for name, value in changes.items() if name in _NO_ELEMENTS}
    said = {name: value for name, value in changes.items() if name not in own}
    after = like(net, xml.interface(xml.edit(net.element, said))) if said else net
    return dataclasses.replace(after, **own) if own else after  # type: ignore[arg-type]


def pair(nets: Sequence[Interface], there: Sequence[Interface]) -> tuple[Interface, ...]:
    """The nets with each teaming pair's one MAC where only a half says it (`there`: those of the guest), persistent halves first.

    libvirt refuses a transient half whose partner is not there yet.
    """
    if all(net.teaming is None for net in nets):
        return tuple(nets)
    named = {net.alias: net for net in (*there, *nets) if net.alias is not None}
    macs: dict[str, Mac] = {}
    for net in nets:
        partner = partner_of(net)
        if partner is not None and partner in named:
            mac = named[partner].mac or macs.get(partner) or net.mac or Mac.mint()
            macs[partner] = mac
    found = []
    for net in nets:
        mac_of_pair = macs.get(partner_of(net) or net.alias or "")
        found.append(edited(net, {"mac": mac_of_pair}) if net.mac is None and mac_of_pair is not None else net)
    return tuple(sorted(found, key=lambda net: partner_of(net) is not None))


def partner_of(net: Interface) -> str | None:
    """The alias of the persistent partner that a transient teaming half names."""
    return net.teaming.persistent if net.teaming is not None and net.teaming.type == "transient" else None


def is_partner_of(transient: Interface, persistent: Interface) -> bool:
    """Whether `transient` names `persistent`, by alias, as its partner in a teaming pair, with which it shares its MAC."""
    return persistent.alias is not None and partner_of(transient) == persistent.alias


def are_partners(one: Interface, other: Interface) -> bool:
    """Whether the two are a teaming pair."""
    return is_partner_of(one, other) or is_partner_of(other, one)


def name(net: Interface) -> Interface:
    """The net with a MAC and a ``ua-`` alias of its own, minted where the request has none.

    Both are known, and journaled, before the attach. If libvirt chose them, a crash would leave a NIC that nobody can name (an alias without
    ``ua-`` becomes ``netN``). A transient teaming half is named by its partner, and each time alike. As long as QEMU runs, it takes no other
    device for the partner (``failover_hide_primary_device``).
    """
    changes: dict[str, object] = {}
    if net.mac is None:
        changes["mac"] = Mac.mint()
    if net.alias is None:
        partner = partner_of(net) or ""
        changes["alias"] = f"{partner}-fast" if partner.startswith("ua-") else "ua-vnp" + os.urandom(4).hex()
    return edited(net, changes)


def scope_for(scope: Scope | None, state: DomainState, domain_name: str) -> Scope:
    """The scope asked for, or live for a running domain. For a domain that is off, the caller must give the scope."""
    if scope is not None:
        return scope
    if not state.is_active:
        raise DomainNotRunning(
            f"domain {domain_name} is not running, so there is nothing to hot-plug; start it, or use `scope=Scope.CONFIG` to change its definition"
        )
    return Scope.LIVE
