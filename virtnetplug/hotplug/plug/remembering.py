"""What a domain's metadata remembers of its NICs: read where the domain has such metadata, and changed one identity at a time.

The metadata is in both definitions of a persistent domain, so that it outlives a shutdown and travels with a migration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from virtnetplug import xml
from virtnetplug.errors import DomainMissing, DomainNotRunning, DomainTransient
from virtnetplug.hotplug.engine.transaction import Transaction
from virtnetplug.hotplug.look.view import DomainView
from virtnetplug.hotplug.plug.plugging import Part
from virtnetplug.model.identity import DomainMetadata, Identity, UnplugPolicy
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Half, Phase
from virtnetplug.ports.domain import Domain

NOTHING = DomainMetadata()

_Change = Callable[[DomainMetadata], DomainMetadata]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A change of what is remembered of one NIC, in these definitions; None: nothing is."""

    name: str
    before: Identity | None
    after: Identity | None
    halves: tuple[Half, ...]

    @property
    def request(self) -> dict[str, Any]:
        """As the journal keeps it."""
        before, after = (None if one is None else dataclasses.asdict(one) for one in (self.before, self.after))
        return {"name": self.name, "halves": [half.value for half in self.halves], "before": before, "after": after}

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> Remembered:
        """The change that the journal has."""
        sides = {side: None if request[side] is None else Identity(**request[side]) for side in ("before", "after")}
        return cls(name=request["name"], halves=tuple(map(Half, request["halves"])), **sides)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """A change of the policies that the domain's owner has set, in these definitions; of `before` and `after` only the policies count."""

    before: DomainMetadata
    after: DomainMetadata
    halves: tuple[Half, ...]

    @property
    def request(self) -> dict[str, Any]:
        """As the journal keeps it."""
        before, after = (
            {"unplug": one.unplug, "activation": [list(group) for group in one.activation]}
            for one in (self.before, self.after)
        )
        return {"halves": [half.value for half in self.halves], "before": before, "after": after}

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> PolicyChange:
        """The change that the journal has."""
        before, after = (
            DomainMetadata(
                unplug=None if side["unplug"] is None else UnplugPolicy(side["unplug"]),
                activation=tuple(map(tuple, side["activation"])),
            )
            for side in (request["before"], request["after"])
        )
        return cls(before=before, after=after, halves=tuple(map(Half, request["halves"])))


def metadata_of(view: DomainView) -> DomainMetadata:
    """What is remembered of the domain: what its live definition says where it runs, else its config.

    Only a domain that has metadata of ours costs a call. Raises what `xml.metadata` raises.
    """
    for half, text in ((Half.LIVE, view.live_xml), (Half.CONFIG, view.config_xml)):
        if text is not None:
            return xml.metadata(view.domain.metadata(half)) if xml.NAMESPACE in text else NOTHING
    return NOTHING


def halves_of(view: DomainView) -> tuple[Half, ...]:
    """The definitions in which the domain keeps metadata."""
    there = {Half.LIVE: view.state.is_active, Half.CONFIG: view.state.persistent}
    return tuple(half for half, is_there in there.items() if is_there)


def steps_remembering(remembered: Sequence[Remembered]) -> list[Part]:
    """The steps of `remember`, for plans and the journal."""
    return [("remember", each.name, Phase.ALLOCATE, None) for each in remembered]


def remember(domain: Domain, tx: Transaction, requests: Sequence[Mapping[str, Any]]) -> None:
    """Write all these changes into the metadata; a step for each."""
    for asked in map(Remembered.from_request, requests):
        write = partial(_write, domain, asked.halves, partial(_with, asked.name, asked.after))
        tx.effect("remember", asked.name, write)


def forget(domain: Domain, request: Mapping[str, Any]) -> None:
    """Undo such a change."""
    asked = Remembered.from_request(request)
    _write_again(domain, asked.halves, partial(_with, asked.name, asked.before))


def keep(domain: Domain, requests: Sequence[Mapping[str, Any]]) -> None:
    """Write again what `remember` wrote, where somebody has removed it since. Call it after each wait, during which the lock was free."""
    for asked in map(Remembered.from_request, requests):
        if (known := asked.after) is not None:
            _write_again(domain, asked.halves, partial(_with_missing, known))


def remember_again(domain: Domain, asked: Remembered, identity: Identity) -> None:
    """Write `identity` where `remember` wrote that of `asked`."""
    _write_again(domain, asked.halves, partial(_with, asked.name, identity))


def set_policies(domain: Domain, tx: Transaction, request: Mapping[str, Any]) -> None:
    """Write these policies into the metadata; a step."""
    asked = PolicyChange.from_request(request)
    tx.effect("set_policy", "", partial(_write, domain, asked.halves, partial(_with_policies, asked.after)))


def unset_policies(domain: Domain, request: Mapping[str, Any]) -> None:
    """Undo such a change."""
    asked = PolicyChange.from_request(request)
    _write_again(domain, asked.halves, partial(_with_policies, asked.before))


def _with(name: str, identity: Identity | None, now: DomainMetadata) -> DomainMetadata:
    return now.without_identity(name) if identity is None else now.with_identity(identity)


def _with_missing(identity: Identity, now: DomainMetadata) -> DomainMetadata:
    return now.with_identity(identity) if now.identity(identity.alias) is None else now


def _with_policies(wanted: DomainMetadata, now: DomainMetadata) -> DomainMetadata:
    return dataclasses.replace(now, unplug=wanted.unplug, activation=wanted.activation)


def _write_again(domain: Domain, halves: Sequence[Half], change: _Change) -> None:
    """Write into the definitions that the domain still has."""
    for half in halves:
        with suppress(DomainNotRunning, DomainTransient, DomainMissing):
            _write(domain, (half,), change)


def _write(domain: Domain, halves: Sequence[Half], change: _Change) -> None:
    for half in halves:
        now = xml.metadata(domain.metadata(half))
        then = change(now)
        if then != now:
            domain.set_metadata(half, xml.metadata_text(then))


def name_of(net: Interface) -> str:
    """What a NIC is remembered by: its alias, or its MAC where it has none that lasts."""
    return net.alias if net.alias is not None and is_lasting(net.alias) else str(net.mac)
