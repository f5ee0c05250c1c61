"""What a domain's metadata remembers of its NICs: read where there is any, and changed one identity at a time.

The metadata is in both definitions of a persistent domain, so that it outlives a shutdown and travels with a migration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from virtnetplug import xml
from virtnetplug.errors import DomainMissing, DomainNotRunning, DomainTransient
from virtnetplug.hotplug.transaction import Transaction
from virtnetplug.hotplug.view import DomainView
from virtnetplug.model.identity import DomainMetadata, Identity
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Domain

NOTHING = DomainMetadata()


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
        sides = {"before": self.before, "after": self.after}
        said = {side: None if one is None else dataclasses.asdict(one) for side, one in sides.items()}
        return {"name": self.name, "halves": [half.value for half in self.halves], **said}

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> Remembered:
        """The change that the journal has."""
        sides = {side: None if request[side] is None else Identity(**request[side]) for side in ("before", "after")}
        return cls(name=request["name"], halves=tuple(Half(half) for half in request["halves"]), **sides)


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


def remember(domain: Domain, tx: Transaction, requests: Sequence[Mapping[str, Any]]) -> None:
    """Make the metadata say all that; a step for each, undone with the operation."""
    for asked in map(Remembered.from_request, requests):
        tx.effect(
            "remember",
            asked.name,
            lambda asked=asked: _write(domain, asked.name, asked.after, asked.halves),  # type: ignore[misc]
            lambda asked=asked: _set_back(domain, asked),  # type: ignore[misc]
        )


def forget(domain: Domain, tx: Transaction, requests: Sequence[Mapping[str, Any]]) -> None:
    """Make it say what it said before, for an operation that another process left open."""
    for asked in map(Remembered.from_request, reversed(requests)):
        tx.compensate("remember", asked.name, lambda asked=asked: _set_back(domain, asked))  # type: ignore[misc]


def _set_back(domain: Domain, asked: Remembered) -> None:
    for half in asked.halves:
        with suppress(DomainNotRunning, DomainTransient, DomainMissing):
            _write(domain, asked.name, asked.before, (half,))


def _write(domain: Domain, name: str, identity: Identity | None, halves: Sequence[Half]) -> None:
    for half in halves:
        now = xml.metadata(domain.metadata(half))
        then = now.without_identity(name) if identity is None else now.with_identity(identity)
        if then != now:
            domain.set_metadata(half, xml.metadata_text(then))


def name_of(net: Interface) -> str:
    """What a NIC is remembered by: its alias, or its MAC where it has none that lasts."""
    return net.alias if net.alias is not None and net.alias.startswith("ua-") else str(net.mac)
