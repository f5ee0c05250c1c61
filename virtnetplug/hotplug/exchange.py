"""An exchange: NICs of a guest and of its definition leave and others come in their place, with what is remembered of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from virtnetplug import xml
from virtnetplug.backends import backend_for
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.inventory import nics_of
from virtnetplug.hotplug.lock import Lock
from virtnetplug.hotplug.plugging import Part, parts
from virtnetplug.hotplug.preflight import check_attach
from virtnetplug.hotplug.prepared import Prepared
from virtnetplug.hotplug.release import steps_out
from virtnetplug.hotplug.remembering import Remembered
from virtnetplug.hotplug.replacement import actual_of
from virtnetplug.hotplug.reserved import reservations
from virtnetplug.hotplug.transaction import plan_steps
from virtnetplug.hotplug.view import DomainView, Pair, name_in_config
from virtnetplug.hotplug.waiting import Work
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase, Refusal, Scope, Step
from virtnetplug.model.pci import PciAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The NICs that leave and that come, in order, in each definition. Every net that comes to the guest has a ``ua-`` alias and a MAC.

    `again` is the host device of a NIC that leaves; the NIC that comes must get the same device. `only` is the device of its pool that it must get,
    and `avoid` a device that it must not get. `remembered` is what the domain's metadata will have from now on.
    """

    operation: str
    leaving: tuple[Interface, ...] = ()
    entering: tuple[Interface, ...] = ()
    config_leaving: tuple[Interface, ...] = ()
    config_entering: tuple[Interface, ...] = ()
    again: PciAddress | None = None
    only: PciAddress | None = None
    avoid: PciAddress | None = None
    remembered: tuple[Remembered, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def scope(self) -> Scope:
        """The definitions it touches."""
        if not (self.config_leaving or self.config_entering):
            return Scope.LIVE
        return Scope.BOTH if self.leaving or self.entering else Scope.CONFIG


def steps_of(host: Host, exchange: Exchange) -> tuple[Step, ...]:
    """Its steps, for plans and the journal."""
    found: list[Part] = [("remember", each.name, Phase.ALLOCATE, None) for each in exchange.remembered]
    for net in exchange.leaving:
        found += steps_out(net, net.alias or "")
    for net in exchange.entering:
        actual = actual_of(host, net)
        found += parts(backend_for(actual), net.alias or "", has_settings=bool(settings_of(net, actual)))
        found += [("confirm", net.alias or "", Phase.PLUG, Half.LIVE)]
    replaced = [predecessor(net, exchange.config_leaving) for net in exchange.config_entering]
    gone = [net for net in exchange.config_leaving if net not in replaced]
    found += [("undefine", name_in_config(net), Phase.UNPLUG, Half.CONFIG) for net in gone]
    found += [("define", name_in_config(net), Phase.PLUG, Half.CONFIG) for net in exchange.config_entering]
    return plan_steps(*found)


def obstacles(host: Host, view: DomainView, exchange: Exchange) -> tuple[Refusal, ...]:
    """What speaks against those that are to come, once those that are to leave have."""
    then = without(view, exchange.leaving, exchange.config_leaving)
    leaving = next((net for net in exchange.leaving if net.is_hostdev), None)
    sharing = () if exchange.remembered else exchange.leaving  # an identity may be remembered by its MAC alone
    uuid = view.domain.uuid
    kept = reservations(host.journal.open_operations(host.hypervisor.key, uuid, ""), uuid)
    found: list[Refusal] = []
    if exchange.entering:
        found += check_attach(host, then, exchange.entering, Scope.LIVE, leaving=leaving, sharing=sharing, kept=kept)
    if exchange.config_entering:
        found += check_attach(host, then, exchange.config_entering, Scope.CONFIG, kept=kept)
    return tuple(dict.fromkeys(found))


def prepared(
    host: Host,
    view: DomainView,
    exchange: Exchange,
    refusals: Sequence[Refusal] = (),
    *,
    already: Sequence[Pair] | None = None,
) -> Prepared:
    """The exchange as an operation on `view`, or why not; `already` are the NICs of one that has been done."""
    if not refusals and already is None:
        exchange = dataclasses.replace(exchange, warnings=(*exchange.warnings, *_lost(host, view, exchange)))

    def start(lock: Lock, seconds: float) -> Work:
        from virtnetplug.hotplug import exchanging

        return exchanging.run(host, view, exchange, seconds)

    return Prepared(
        operation=exchange.operation,
        domain=view.domain.name,
        scope=exchange.scope,
        start=start,
        refusals=tuple(refusals),
        already=None if already is None else nics_of(host, view, already),
        steps=() if refusals or already is not None else steps_of(host, exchange),
        diff=partial(_diff, exchange),
        warnings=exchange.warnings,
    )


def _lost(host: Host, view: DomainView, exchange: Exchange) -> Iterator[str]:
    """What somebody set by hand of a device that leaves, where a device comes."""
    leaving = [net for net in exchange.leaving if net.is_hostdev]
    if leaving and any(actual_of(host, net).is_hostdev for net in exchange.entering):
        from virtnetplug.hotplug.assigned import lost_by_hand

        for net in leaving:
            yield from lost_by_hand(host, view.domain, net)


def _diff(exchange: Exchange) -> dict[str, str]:
    sides = (
        (Half.LIVE, exchange.leaving, exchange.entering),
        (Half.CONFIG, exchange.config_leaving, exchange.config_entering),
    )
    return {
        half.value: "".join(
            [xml.diff(net.element, "", name_in_config(net)) for net in leaving]
            + [xml.diff("", net.element, name_in_config(net)) for net in entering]
        )
        for half, leaving, entering in sides
        if leaving or entering
    }


def settings_of(net: Interface, actual: ActualDevice) -> Mapping[str, Any]:
    """What is to be set of it through its PF, where it is an assigned device."""
    if not actual.is_hostdev:
        return {}
    from virtnetplug.backends.vf_settings import of_request

    return of_request(net)


def predecessor(net: Interface, leaving: Sequence[Interface]) -> Interface | None:
    """The NIC of those that leave the definition whose place in it `net` takes: libvirt updates the element of one MAC and guest address.

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


def without(view: DomainView, live: Sequence[Interface], config: Sequence[Interface]) -> DomainView:
    """The view as it would be had these NICs left."""
    return dataclasses.replace(view, live_xml=_cut(view.live_xml, live), config_xml=_cut(view.config_xml, config))


def _cut(text: str | None, nets: Sequence[Interface]) -> str | None:
    for net in nets if text is not None else ():
        text = text.replace(net.element, "", 1)  # type: ignore[union-attr]
    return text
