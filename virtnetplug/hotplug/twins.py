"""Each emulated NIC that a domain remembers, its fast twin, and what the unplug policy makes of the two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from virtnetplug import xml
from virtnetplug.hotplug.handover import pairs_called
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.inventory import frontend, pending_nics
from virtnetplug.hotplug.leaving import operation_on
from virtnetplug.hotplug.view import DomainView, Pair, has_source_of
from virtnetplug.lifecycle import State
from virtnetplug.model.identity import DomainMetadata, Identity, UnplugPolicy
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, NicRecord, Scope
from virtnetplug.policy.forced_unplug import Decision, decide

NOWHERE: Pair = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """One of them. `emulated` and `fast` are the NICs as they are there; one that waits for its guest to let go is not there any more."""

    known: Identity
    emulated: Pair
    fast: Pair
    is_connected: bool
    decision: Decision

    @property
    def halves(self) -> tuple[Half, ...]:
        """The definitions that the emulated NIC is to go from, and is in."""
        there = dict(zip((Half.LIVE, Half.CONFIG), self.emulated, strict=True))
        return tuple(half for half in self.decision.halves if there[half] is not None)


def policy_of(host: Host, metadata: DomainMetadata) -> UnplugPolicy:
    """The domain's own, else the host's default."""
    return metadata.unplug if metadata.unplug is not None else host.journal.host_policy()


def twins_of(host: Host, view: DomainView, metadata: DomainMetadata) -> Iterator[Twin]:
    """Every emulated NIC with a marker."""
    marked = [known for known in metadata.identities if known.vif]
    if not marked:
        return
    rows = plugged_rows(host, view)
    policy, pending = policy_of(host, metadata), pending_nics(host, view.domain.uuid, view)
    for known in marked:
        fast = _there(view, known.vif, pending)
        emulated = without_strangers(_there(view, known.alias, pending), known, rows)
        live, config = fast
        is_connected = live is not None and frontend(host, view.domain, live) is State.CONNECTED
        decision = decide(
            policy,
            twin_present=fast != NOWHERE,
            twin_connected=is_connected,
            is_teaming_persistent=any(
                net is not None and net.teaming is not None and net.teaming.type == "persistent" for net in emulated
            ),
            scope=Scope.BOTH if live and config else Scope.CONFIG if config else Scope.LIVE,
        )
        yield Twin(known=known, emulated=emulated, fast=fast, is_connected=is_connected, decision=decision)


def plugged_rows(host: Host, view: DomainView) -> Mapping[str, NicRecord]:
    """The journal's rows of the domain's NICs that were plugged, by alias."""
    return {nic.alias: nic for nic in host.journal.nics(host.hypervisor.key, view.domain.uuid)}


def without_strangers(pair: Pair, known: Identity, rows: Mapping[str, NicRecord]) -> Pair:
    """Without a NIC that has the alias, and another MAC or source than is remembered, or than its row has: that is another NIC."""
    seen = [xml.interface(text) for text in (known.live, known.config) if text is not None]
    row = rows.get(known.alias)

    def is_it(net: Interface) -> bool:
        if not seen or (row is not None and (row.mac, row.source) == (str(net.mac), net.source)):
            return True
        return any(net.mac == each.mac and has_source_of(net, each) for each in seen)

    live, config = (net if net is not None and is_it(net) else None for net in pair)
    return live, config


def _there(view: DomainView, name: str, pending: dict[str, str]) -> Pair:
    for live, config in pairs_called(view, name):
        return (None if operation_on(live, pending) is not None else live), config
    return NOWHERE
