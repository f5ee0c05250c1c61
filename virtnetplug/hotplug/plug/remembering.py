"""Changes of what a domain's metadata remembers of its NICs, one identity at a time, and of the domain's policies.

The metadata is in both definitions of a persistent domain, so that it outlives a shutdown and travels with a migration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from virtnetplug import xml
from virtnetplug.errors import DomainMissing, DomainNotRunning, DomainTransient
from virtnetplug.hotplug.engine.transaction import Transaction
from virtnetplug.hotplug.look.view import DomainView
from virtnetplug.hotplug.plug.plugging import Part
from virtnetplug.model.identity import DomainMetadata, Identity, UnplugPolicy
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Half, Phase
from virtnetplug.ports.domain import Domain

_Change = Callable[[DomainMetadata], DomainMetadata]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A change of the record of one NIC, in these definitions; None stands for no record."""

    step: ClassVar[str] = "remember"
    name: str
    before: Identity | None
    after: Identity | None
    halves: tuple[Half, ...]

    @property
    def request(self) -> dict[str, Any]:
        """The change, as the journal keeps it."""
        before, after = (None if one is None else dataclasses.asdict(one) for one in (self.before, self.after))
        return {"name": self.name, "halves": [half.value for half in self.halves], "before": before, "after": after}

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> Remembered:
        """The change that the journal has."""
        sides = {side: None if request[side] is None else Identity(**request[side]) for side in ("before", "after")}
        return cls(name=request["name"], halves=tuple(map(Half, request["halves"])), **sides)

    def make(self, now: DomainMetadata) -> DomainMetadata:
        """`now` with the change."""
        return _with(self.name, self.after, now)

    def undo(self, now: DomainMetadata) -> DomainMetadata:
        """`now` with the record of before the change."""
        return _with(self.name, self.before, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """A change of the domain's policies in these definitions. Only the policies of `before` and `after` count."""

    step: ClassVar[str] = "set_policy"
    name: ClassVar[str] = ""
    before: DomainMetadata
    after: DomainMetadata
    halves: tuple[Half, ...]

    @property
    def request(self) -> dict[str, Any]:
        """The change, as the journal keeps it."""
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

    def make(self, now: DomainMetadata) -> DomainMetadata:
        """`now` with the policies of after the change."""
        return dataclasses.replace(now, unplug=self.after.unplug, activation=self.after.activation)

    def undo(self, now: DomainMetadata) -> DomainMetadata:
        """`now` without the change."""
        return dataclasses.replace(now, unplug=self.before.unplug, activation=self.before.activation)


def halves_of(view: DomainView) -> tuple[Half, ...]:
    """The definitions in which the domain keeps metadata."""
    there = {Half.LIVE: view.state.is_active, Half.CONFIG: view.state.persistent}
    return tuple(half for half, is_there in there.items() if is_there)


def steps_remembering(changes: Sequence[Remembered | PolicyChange]) -> list[Part]:
    """The steps of `make`, for plans and the journal."""
    return [(change.step, change.name, Phase.ALLOCATE, None) for change in changes]


def make(domain: Domain, tx: Transaction, change: Remembered | PolicyChange) -> None:
    """Write the change into the metadata; a step."""
    tx.effect(change.step, change.name, partial(_write, domain, change.halves, change.make))


def remember(domain: Domain, tx: Transaction, requests: Sequence[Mapping[str, Any]]) -> None:
    """Write all these changes of records into the metadata; a step for each."""
    for change in map(Remembered.from_request, requests):
        make(domain, tx, change)


def undo(domain: Domain, change: Remembered | PolicyChange) -> None:
    """Restore what the metadata had before the change, in each definition that there still is."""
    _write_again(domain, change.halves, change.undo)


def keep(domain: Domain, requests: Sequence[Mapping[str, Any]]) -> None:
    """Write again what `remember` wrote, where somebody has removed it since. Call it after each wait, during which the lock was free."""
    for change in map(Remembered.from_request, requests):
        if change.after is not None:
            _write_again(domain, change.halves, partial(_with_missing, change.after))


def remember_again(domain: Domain, change: Remembered, identity: Identity) -> None:
    """Write `identity` where `remember` wrote that of `change`."""
    _write_again(domain, change.halves, partial(_with, change.name, identity))


def _with(name: str, identity: Identity | None, now: DomainMetadata) -> DomainMetadata:
    return now.without_identity(name) if identity is None else now.with_identity(identity)


def _with_missing(identity: Identity, now: DomainMetadata) -> DomainMetadata:
    return now.with_identity(identity) if now.identity(identity.alias) is None else now


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
    """The name under which a NIC is remembered: its alias, or its MAC if the alias does not last."""
    return net.alias if net.alias is not None and is_lasting(net.alias) else str(net.mac)
