"""An exchange as an operation on a domain: its refusals, its plan, and what runs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial

from virtnetplug import xml
from virtnetplug.backends import backend_for, backend_of
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.call.waiting import Work
from virtnetplug.hotplug.change import exchanging
from virtnetplug.hotplug.change.exchange import Exchange, steps_of
from virtnetplug.hotplug.check.preflight import check_attach
from virtnetplug.hotplug.check.reserved import reservations
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.guest.assigned import lost_by_hand
from virtnetplug.hotplug.look.view import DomainNic, DomainView, name_in_config
from virtnetplug.hotplug.plug.replacement import actual_of
from virtnetplug.hotplug.report.inventory import nics_of
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Refusal, Scope


def obstacles(host: Host, view: DomainView, exchange: Exchange) -> tuple[Refusal, ...]:
    """What speaks against those that are to come, once those that are to leave have."""
    then = without(view, exchange.leaving, exchange.config_leaving)
    leaving = min(exchange.leaving, key=lambda net: not backend_of(net).is_lent, default=None)
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
    already: Sequence[DomainNic] | None = None,
) -> Prepared:
    """The exchange as an operation on `view`, or why not; `already` are the NICs of one that has been done."""
    if not refusals and already is None:
        exchange = dataclasses.replace(exchange, warnings=(*exchange.warnings, *_lost(host, view, exchange)))

    def start(lock: Lock, seconds: float) -> Work:
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
    leaving = [net for net in exchange.leaving if backend_of(net).is_lent]
    if leaving and any(backend_for(actual_of(host, net)).is_lent for net in exchange.entering):
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


def without(view: DomainView, live: Sequence[Interface], config: Sequence[Interface]) -> DomainView:
    """The view as it would be had these NICs left."""
    return dataclasses.replace(view, live_xml=_cut(view.live_xml, live), config_xml=_cut(view.config_xml, config))


def _cut(text: str | None, nets: Sequence[Interface]) -> str | None:
    for net in nets if text is not None else ():
        text = text.replace(net.element, "", 1)  # type: ignore[union-attr]
    return text
