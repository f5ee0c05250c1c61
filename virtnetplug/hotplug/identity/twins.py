"""Each emulated NIC that a domain remembers, its fast twin, and what the unplug policy wants of the two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.identity.handover import pairs_called
from virtnetplug.hotplug.look.open_operations import operation_on
from virtnetplug.hotplug.look.recognition import (
    Rows,
    first_of,
    is_stranger,
    plugged_rows,
    strange,
    twin_of,
    without_strangers,
)
from virtnetplug.hotplug.look.view import BOTH, DomainNic, DomainView
from virtnetplug.hotplug.report.inventory import frontend, pending_nics
from virtnetplug.lifecycle import State
from virtnetplug.model.identity import DomainMetadata, Identity, UnplugPolicy
from virtnetplug.model.operation import Half, Scope
from virtnetplug.policy.forced_unplug import Decision, decide

NOWHERE = DomainNic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """An emulated NIC and its fast twin. `emulated` and `fast` are the NICs as they are there. A NIC that waits for its guest to let go does not count."""

    known: Identity
    emulated: DomainNic
    fast: DomainNic
    is_connected: bool
    decision: Decision
    others: tuple[str, ...] = ()
    """For each of the two aliases that another NIC has, a sentence."""
    others_in: tuple[Half, ...] = ()
    """The definitions in which another NIC has the alias of the emulated one, and stays."""

    @property
    def halves(self) -> tuple[Half, ...]:
        """The definitions that have the emulated NIC, and that lose it by the policy."""
        there = dict(zip((Half.LIVE, Half.CONFIG), self.emulated, strict=True))
        return tuple(half for half in self.decision.halves if there[half] is not None)


def policy_of(host: Host, metadata: DomainMetadata) -> UnplugPolicy:
    """The unplug policy of the domain, else the default of the host."""
    return metadata.unplug if metadata.unplug is not None else host.journal.host_policy()


def twins_of(host: Host, view: DomainView, metadata: DomainMetadata) -> Iterator[Twin]:
    """Every emulated NIC that has a marker, with its twin."""
    marked = [known for known in metadata.identities if known.vif]
    if not marked:
        return
    rows = plugged_rows(host, view)
    policy, pending = policy_of(host, metadata), pending_nics(host, view.domain.uuid, view)
    for known in marked:
        fast = _staying(twin_of(view, known.vif, rows, known), pending)
        emulated = _there(view, known, rows, pending)
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
        called = pairs_called(view, known.alias)
        of_emulated = [any(is_stranger(pair[at], known, rows.get(known.alias)) for pair in called) for at in (0, 1)]
        others = tuple(text for alias in (known.alias, known.vif) for text in strange(alias, view, known, rows))
        yield Twin(
            known=known,
            emulated=emulated,
            fast=fast,
            is_connected=is_connected,
            decision=decision,
            others=others,
            others_in=tuple(half for half, other in zip(BOTH, of_emulated, strict=True) if other),
        )


def _there(view: DomainView, known: Identity, rows: Rows, pending: dict[str, str]) -> DomainNic:
    pairs = [without_strangers(known.alias, pair, known, rows) for pair in pairs_called(view, known.alias)]
    return _staying(first_of(pairs), pending)


def _staying(pair: DomainNic, pending: dict[str, str]) -> DomainNic:
    """The NIC without its live half, if the guest has been asked for it."""
    live, config = pair
    return DomainNic(None if operation_on(live, pending) is not None else live, config)
