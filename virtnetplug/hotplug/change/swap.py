"""A swap: NICs leave a guest and its definition, others come in their place, and the domain's metadata remembers them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from virtnetplug import xml
from virtnetplug.backends import NO_CHOICE, Choice, backend_for, backend_of
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change.remembering import Remembered, steps_remembering
from virtnetplug.hotplug.check.preflight import check_attach
from virtnetplug.hotplug.check.reserved import SAME_MAC, reservations
from virtnetplug.hotplug.check.sources import actual_of
from virtnetplug.hotplug.engine.transaction import plan_steps
from virtnetplug.hotplug.guest.assigned import lost_by_hand
from virtnetplug.hotplug.look.view import BOTH, DomainView, name_in_config, named, same_mac_as
from virtnetplug.hotplug.plug.defining import ORDER, order_of
from virtnetplug.hotplug.plug.last_seen import beside
from virtnetplug.hotplug.plug.plugging import Part, held_of, steps_in
from virtnetplug.hotplug.plug.release import steps_out
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase, Refusal, Scope, Step

Sides = Mapping[Half, tuple[Sequence[Interface], Sequence[Interface]]]
"""The NICs that leave each definition, and those that come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """The NICs that leave and come, in order, in each definition. Every net that comes to the guest has a ``ua-`` alias and a MAC.

    `choice` says which host device the NIC that comes gets. `remembered` is what the domain's metadata says from now on.
    """

    operation: str
    leaving: tuple[Interface, ...] = ()
    entering: tuple[Interface, ...] = ()
    config_leaving: tuple[Interface, ...] = ()
    config_entering: tuple[Interface, ...] = ()
    choice: Choice = NO_CHOICE
    remembered: tuple[Remembered, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, operation: str, sides: Sides, *remembered: Remembered) -> Swap:
        """The swap of these NICs in each definition."""
        (leaving, entering), (config_leaving, config_entering) = (sides.get(half, ((), ())) for half in BOTH)
        return cls(
            operation=operation,
            leaving=tuple(leaving),
            entering=tuple(entering),
            config_leaving=tuple(config_leaving),
            config_entering=tuple(config_entering),
            remembered=remembered,
        )

    @property
    def scope(self) -> Scope:
        """The definitions it touches."""
        if not (self.config_leaving or self.config_entering):
            return Scope.LIVE
        return Scope.BOTH if self.leaving or self.entering else Scope.CONFIG

    def diff(self) -> dict[str, str]:
        """A unified diff of each definition that changes."""
        sides = (
            (Half.LIVE, self.leaving, self.entering),
            (Half.CONFIG, self.config_leaving, self.config_entering),
        )
        return {
            half.value: "".join(
                [xml.diff(net.element, "", name_in_config(net)) for net in leaving]
                + [xml.diff("", net.element, name_in_config(net)) for net in entering]
            )
            for half, leaving, entering in sides
            if leaving or entering
        }


def steps_of(host: Host, swap: Swap) -> tuple[Step, ...]:
    """Its steps, for plans and the journal."""
    found: list[Part] = steps_remembering(swap.remembered)
    for net in swap.leaving:
        found += steps_out(net, net.alias or "")
    for net in swap.entering:
        backend = backend_for(actual_of(host, net))
        found += steps_in(backend, net.alias or "", backend.settings_of(net))
    replaced = [predecessor(net, swap.config_leaving) for net in swap.config_entering]
    gone = [net for net in swap.config_leaving if net not in replaced]
    found += [("undefine", name_in_config(net), Phase.UNPLUG, Half.CONFIG) for net in gone]
    found += [("define", name_in_config(net), Phase.PLUG, Half.CONFIG) for net in swap.config_entering]
    return plan_steps(*found)


def request_of(host: Host, view: DomainView, swap: Swap) -> dict[str, Any]:
    """What the journal keeps of it."""
    leaving = [
        {**named(net.alias, net), "element": net.element, "old": held_of(host, view.domain, net)}
        for net in swap.leaving
    ]
    entering = [_entry(host, net, swap) for net in swap.entering]
    in_config = [*swap.config_leaving, *swap.config_entering]
    return {
        "nics": [
            *({key: entry[key] for key in ("alias", "mac", "places", "element")} for entry in (*leaving, *entering)),
            *(named(name_in_config(net), net) for net in in_config),
        ],
        "asked": [entry["alias"] for entry in leaving],
        "leaving": leaving,
        "entering": entering,
        "config_leaving": [net.element for net in swap.config_leaving],
        "config_entering": [net.element for net in swap.config_entering],
        "remembered": [each.request for each in swap.remembered],
        SAME_MAC: same_mac_as(view, [*swap.leaving, *swap.config_leaving]),
        **({} if in_config else beside(view, [entry["alias"] for entry in leaving])),
        **({ORDER: order_of(view)} if swap.config_leaving else {}),
    }


def _entry(host: Host, net: Interface, swap: Swap) -> dict[str, Any]:
    actual = actual_of(host, net)
    backend = backend_for(actual)
    return {
        **named(net.alias, net),
        "element": net.element,
        "type": actual.type,
        "settings": dict(backend.settings_of(net)),
        **(swap.choice if backend.is_lent else NO_CHOICE).written,
    }


def predecessor(net: Interface, leaving: Sequence[Interface]) -> Interface | None:
    """The NIC among those that leave the definition whose place in it `net` takes: libvirt updates the element of one MAC and guest address.

    An element that is updated keeps its place among the others, which is lost when it leaves and another one comes.
    """
    for each in leaving:
        if (
            each.mac is not None
            and each.mac == net.mac
            and (None in (each.address, net.address) or each.address == net.address)
        ):
            return each
    return None


def obstacles(host: Host, view: DomainView, swap: Swap) -> tuple[Refusal, ...]:
    """What speaks against the NICs that come, once the others have left."""
    live_xml, config_xml = _cut(view.live_xml, swap.leaving), _cut(view.config_xml, swap.config_leaving)
    then = dataclasses.replace(view, live_xml=live_xml, config_xml=config_xml)
    leaving = min(swap.leaving, key=lambda net: not backend_of(net).is_lent, default=None)
    sharing = () if swap.remembered else swap.leaving  # an identity may be remembered by its MAC alone
    uuid = view.domain.uuid
    kept = reservations(host.journal.open_operations(host.hypervisor.key, uuid, ""), uuid)
    found: list[Refusal] = []
    if swap.entering:
        found += check_attach(host, then, swap.entering, Scope.LIVE, leaving=leaving, sharing=sharing, kept=kept)
    if swap.config_entering:
        found += check_attach(host, then, swap.config_entering, Scope.CONFIG, kept=kept)
    return tuple(dict.fromkeys(found))


def _cut(text: str | None, nets: Sequence[Interface]) -> str | None:
    for net in nets if text is not None else ():
        text = text.replace(net.element, "", 1)  # type: ignore[union-attr]
    return text


def lost_settings(host: Host, view: DomainView, swap: Swap) -> Iterator[str]:
    """What somebody set by hand of a device that leaves, where a device comes."""
    leaving = [net for net in swap.leaving if backend_of(net).is_lent]
    if leaving and any(backend_for(actual_of(host, net)).is_lent for net in swap.entering):
        for net in leaving:
            yield from lost_by_hand(host, view.domain, net)
