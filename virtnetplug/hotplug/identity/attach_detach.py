"""Attach and detach as callers ask for them: they also follow what the domain's metadata says of its NICs' identities and policies.

A domain without such metadata is attached to, and detached from, as `change.attach` and `change.detach` do it. Modules that only such metadata needs
are imported where it was found, as most domains have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from virtnetplug import xml
from virtnetplug.backends import backend_of
from virtnetplug.errors import FilterLoss, IdentityConflict, UsageError, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change.attach import PlainAttach
from virtnetplug.hotplug.change.detach import PlainDetach
from virtnetplug.hotplug.change.remembering import Remembered, name_of
from virtnetplug.hotplug.check.request import edited
from virtnetplug.hotplug.check.sources import holder_of
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.identity.known import KnownDomain
from virtnetplug.hotplug.look.find import find
from virtnetplug.hotplug.look.recognition import is_out
from virtnetplug.hotplug.look.view import DomainView, describe
from virtnetplug.model.identity import Identity
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Scope
from virtnetplug.policy import identity as deciding
from virtnetplug.ports.domain import Domain


class Attach(PlainAttach):
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
        """A net that a marker names gets the identity of its emulated NIC if that NIC is out. A warning names what the net cannot have.

        Raises `IdentityConflict` where the request says another MAC or guest address.
        """
        known, found, warnings = KnownDomain(host, view), list[Interface](), list[str]()
        for net in nets:
            identity = known.metadata.naming(net.alias or "")
            if identity is None or (identity.live or identity.config) is None or not is_out(view, identity, known.rows):
                found.append(net)
                continue
            taken = _taken(known, net, identity)
            warnings += [f"{net.alias} cannot have its {field}: {why}" for field, why in taken.left_out]
            found.append(edited(net, taken.changes))
        return tuple(found), tuple(warnings)

    def remembered(self, host: Host, view: DomainView, nets: Sequence[Interface]) -> tuple[Remembered, ...]:
        """The record of the emulated NIC, with a marker that names the one NIC of `nets`.

        Raises `IdentityConflict` where either belongs to another already.
        """
        if self.twin_of is None:
            return ()
        if len(nets) != 1:
            raise UsageError(
                f"`twin_of` says of one NIC whose twin it is, and {len(nets)} were asked for; attach them one by one"
            )
        known, nic, vif = KnownDomain(host, view), find(view, self.twin_of), nets[0].alias or ""
        if backend_of(nic.net).is_lent:
            raise IdentityConflict(
                f"{describe(nic.net)} is an assigned device, and a twin is of an emulated NIC. Name one that is emulated."
            )
        if (why := deciding.fault(known.metadata, name_of(nic.net), vif)) is not None:
            raise IdentityConflict(why)
        return (known.record(nic, vif=vif, is_out=False),)


def _taken(known: KnownDomain, net: Interface, identity: Identity) -> deciding.Taken:
    """What the net takes of the identity."""
    e, domain = xml.interface(identity.live or identity.config or ""), known.view.domain
    taken = deciding.take(e, net, holder_of(known.host, net))
    for field in ("mac", "address"):
        asked, given = getattr(net, field), taken.changes.get(field)
        if None not in (asked, given) and asked != given:
            raise IdentityConflict(
                f"{net.alias} is to have the identity of {identity.alias}, which is out of the guest, and so its {field} {given}; the request says "
                f"{asked}. Leave that out, or {call('forget_identity', domain.name, identity.alias)} first."
            )
    if taken.loses_filter and not identity.is_out:
        raise FilterLoss(
            f"{net.alias} is to have the identity of {identity.alias}, which is filtered, and libvirt filters nothing of {taken.kind}. "
            f"{call('handover', domain.name, identity.alias, net.alias or '', allow_filter_loss=True)} says that this is meant."
        )
    return taken


class Detach(PlainDetach):
    """A detach after which an emulated NIC comes back into its place, or another NIC of its group serves.

    The emulated NIC comes back if a hand-over had put it out and no unplug policy forbids it; the operation is a hand-back then.
    `restore_emulated` overrules both. The link of the NIC that serves next goes up first.
    """

    def __init__(
        self, nics: Sequence[str], *, scope: Scope | None = None, restore_emulated: bool | None = None
    ) -> None:
        super().__init__(nics, scope=scope)
        self.restore_emulated = restore_emulated

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        """See `Operation.prepare`."""
        asked = self.look(host, domain)
        known = KnownDomain(host, asked.view)
        if known.metadata.is_empty:
            return self.prepared(asked)
        from virtnetplug.hotplug.identity.enforcement import run_with_stand_ins, stand_ins
        from virtnetplug.hotplug.identity.handback import detach_as_handback, left_without

        nics, scope = asked.nics, asked.scope
        asked = replace(asked, warnings=left_without(known, nics, scope))
        plain = self.prepared(asked)
        first = [f"first, {due.sentence}" for due in stand_ins(known, nics, scope)]
        plain = replace(plain, warnings=(*plain.warnings, *first))
        if asked.waiting is not None:
            return plain
        handback = None if asked.refusals else detach_as_handback(known, nics, scope, restore=self.restore_emulated)
        chosen = handback or plain
        return replace(chosen, start=partial(run_with_stand_ins, known, nics, scope, chosen))
