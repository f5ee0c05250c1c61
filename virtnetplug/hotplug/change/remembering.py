"""Changes of what a domain's metadata remembers of its NICs, one identity at a time, and of the domain's policies.

The metadata is in both definitions of a persistent domain, so that it outlives a shutdown and travels with a migration. Such a change is a step of
another operation, or an operation of its own: journaled, and undone whole, also after a crash.
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
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.engine.operation import LIST, OBJECT, OBJECT_OR_NOTHING, REMEMBERED, Operation, Shape, Site
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, plan_steps, record_of, transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.look.view import DomainView
from virtnetplug.hotplug.plug.plugging import Part
from virtnetplug.hotplug.plug.undoing import expect_ended
from virtnetplug.model.identity import DomainMetadata, Identity, UnplugPolicy
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Half, OperationState, Outcome, Phase, Result, Scope
from virtnetplug.model.run import NO_RUN
from virtnetplug.ports.domain import Domain

REMEMBER, FORGET, POLICY = "remember", "forget", "policy"
"""What the journal calls an amendment, by what it changes."""

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


def of_remembering(site: Site, tx: Transaction, requests: Sequence[Mapping[str, Any]]) -> Undos:
    """Undo the steps that changed what the domain's metadata says of NICs. The image of a guest that is away has that metadata as well."""

    def restore_record(request: Mapping[str, Any]) -> None:
        if Half.LIVE.value in request["halves"] and guest.run_of(site.domain) == NO_RUN:
            expect_ended(site, tx, request["name"])
        undo(site.domain, Remembered.from_request(request))

    return {("remember", request["name"]): partial(restore_record, request) for request in requests}


def amend(host: Host, view: DomainView, operation: str, message: str, change: Remembered | PolicyChange) -> Outcome:
    """Write the change into all definitions. `operation` is `REMEMBER`, `FORGET` or `POLICY`. The caller holds the domain's lock."""
    is_policy = isinstance(change, PolicyChange)
    halves = halves_of(view)
    record = record_of(
        host,
        operation,
        view.domain,
        run=view.run,
        scope=Scope.BOTH if len(halves) > 1 else Scope((*halves, Half.LIVE)[0].value),
        device_types=["none"],
        request={
            "nics": [],
            "remembered": [] if is_policy else [change.request],
            "policies": change.request if is_policy else None,
        },
        steps=plan_steps(*steps_remembering([change])),
    )
    site = Site(host=host, domain=view.domain, run=view.run)
    with transaction(host, record, partial(Amending.undos, site)) as tx:
        make(view.domain, tx, change)
        tx.finish(OperationState.DONE, Result.DONE)
        return tx.outcome(Result.DONE, message=message)


class Amending(Operation):
    """A change of metadata that never ended is undone."""

    request: ClassVar[Shape] = {"nics": LIST, "remembered": LIST, "policies": OBJECT_OR_NOTHING}
    entries: ClassVar[Mapping[str, Shape]] = {
        "remembered": REMEMBERED,
        "policies": {"halves": LIST, "before": OBJECT, "after": OBJECT},
    }

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        request = tx.record.request
        found: dict[tuple[str, str], Any] = dict(of_remembering(site, tx, request["remembered"]))
        if request["policies"] is not None:
            change = PolicyChange.from_request(request["policies"])
            found[change.step, change.name] = partial(undo, site.domain, change)
        return found
