"""Attach and detach as callers ask for them: they also follow what the domain's metadata says of its NICs' identities and policies.

A domain without such metadata is attached to, and detached from, as `change.attach` and `change.detach` do it. Modules that only such metadata needs
are imported where it was found, as most domains have none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from virtnetplug import xml
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import DomainLock
from virtnetplug.hotplug.call.waiting import Work
from virtnetplug.hotplug.change.attach import Attach
from virtnetplug.hotplug.change.detach import Detach, Detaching
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.look.view import DomainView
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Scope
from virtnetplug.ports.domain import Domain

if TYPE_CHECKING:
    from virtnetplug.hotplug.plug.remembering import Remembered


class AttachBeside(Attach):
    """An attach in which a NIC gets the identity that a marker in the domain's metadata names for it.

    `twin_of` is the emulated NIC whose identity the one NIC of the request may take later. The metadata remembers that; the emulated NIC keeps its identity
    as long as the guest has it.
    """

    def __init__(
        self, nics: Sequence[Interface | str], *, scope: Scope | None = None, twin_of: str | None = None
    ) -> None:
        super().__init__(nics, scope=scope)
        self.twin_of, self.needs_config = twin_of, twin_of is not None

    def identified(
        self, host: Host, view: DomainView, nets: tuple[Interface, ...]
    ) -> tuple[tuple[Interface, ...], Sequence[str]]:
        """See `Attach.identified`."""
        if not _has_metadata(view):
            return nets, ()
        from virtnetplug.hotplug.identity.marker import follow

        return follow(host, view, nets)

    def remembered(self, view: DomainView, nets: Sequence[Interface]) -> tuple[Remembered, ...]:
        """See `Attach.remembered`."""
        if self.twin_of is None:
            return ()
        from virtnetplug.hotplug.identity.marker import twin

        return (twin(view, nets, self.twin_of),)


class DetachBeside(Detach):
    """A detach after which an emulated NIC comes back into its place, or another NIC of its group serves.

    The emulated NIC comes back if a hand-over had put it out and no unplug policy forbids it; the operation is a hand-back then.
    `restore_emulated` overrules both. The link of the NIC that serves next goes up first.
    """

    def __init__(
        self, nics: Sequence[str], *, scope: Scope | None = None, restore_emulated: bool | None = None, twin: str = ""
    ) -> None:
        super().__init__(nics, scope=scope, twin=twin)
        self.restore_emulated = restore_emulated

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        """See `Operation.prepare`."""
        asked = self.look(host, domain)
        if not _has_metadata(asked.view):
            return self.prepared(asked)
        from virtnetplug.hotplug.identity.marker import left_without

        asked = dataclasses.replace(asked, warnings=left_without(host, asked.view, asked.nics, asked.scope))
        plain = self.prepared(asked)
        plain = dataclasses.replace(plain, warnings=(*plain.warnings, *_stand_ins(host, asked)))
        if asked.waiting is not None:
            return plain
        exchanged = None if asked.refusals else _exchange(host, asked, self.restore_emulated)
        chosen = plain if exchanged is None else exchanged

        def start(lock: DomainLock, seconds: float) -> Work:
            from virtnetplug.hotplug.identity.enforcement import standing_in, telling

            with standing_in(host, asked.view, asked.nics, asked.scope, lock) as done:
                outcome = yield from chosen.start(lock, seconds)
                return telling(outcome, done)

        return dataclasses.replace(chosen, start=start)


def _has_metadata(view: DomainView) -> bool:
    return any(xml.NAMESPACE in (text or "") for text in (view.live_xml, view.config_xml))


def _stand_ins(host: Host, asked: Detaching) -> list[str]:
    """The links that go up first, as their NICs serve then."""
    if Half.LIVE not in asked.scope.halves:
        return []
    from virtnetplug.hotplug.identity.enforcement import stand_ins
    from virtnetplug.hotplug.plug.remembering import metadata_of

    return [f"first, {due.sentence}" for due in stand_ins(host, asked.view, metadata_of(asked.view), asked.nics)]


def _exchange(host: Host, asked: Detaching, restore: bool | None) -> Prepared | None:
    """The detach as an exchange, where an emulated NIC comes back for a NIC that leaves."""
    from virtnetplug.hotplug.change.swap import obstacles
    from virtnetplug.hotplug.change.swap_operation import prepared
    from virtnetplug.hotplug.check.reserved import unsettled
    from virtnetplug.hotplug.identity.marker import goes_back

    exchange = goes_back(host, asked.view, asked.nics, asked.scope, restore=restore)
    if exchange is None:
        return None
    open_ones = unsettled(host, asked.view, (), *(each.name for each in exchange.remembered))
    return prepared(host, asked.view, exchange, (*open_ones, *obstacles(host, asked.view, exchange)))
