"""Hand-back: an emulated NIC gets its place and its identity again, however long it has been out, also by the detach of its fast twin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from virtnetplug import xml
from virtnetplug.errors import call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change.remembering import Remembered
from virtnetplug.hotplug.change.swap import Sides, Swap, obstacles
from virtnetplug.hotplug.change.swapping import Swapping, prepared
from virtnetplug.hotplug.check.preflight import check_scope
from virtnetplug.hotplug.check.request import name
from virtnetplug.hotplug.check.reserved import unsettled
from virtnetplug.hotplug.engine.prepared import Prepared, refuse
from virtnetplug.hotplug.identity.known import KnownDomain
from virtnetplug.hotplug.look.open_operations import of_domain, operation_of_alias
from virtnetplug.hotplug.look.recognition import emulated_of, is_out, strange, twin_of, without_strangers
from virtnetplug.hotplug.look.view import BOTH, DomainNic
from virtnetplug.model.identity import Identity, UnplugPolicy
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Scope
from virtnetplug.ports.domain import Domain

NAME = "handback"
"""What the journal calls it."""


class Handback(Swapping):
    """Restore the emulated NIC as it was before it was handed over."""

    is_governed = True

    def __init__(self, emulated: str, *, scope: Scope | None = None) -> None:
        self.emulated, self.scope = emulated, scope

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        """See `Operation.prepare`."""
        known = KnownDomain.of(host, domain)
        view, identity = known.view, known.identity_of(self.emulated)
        if self.scope is not None:
            refuse(check_scope(view, self.scope))
        sides, change = restored(known, identity, BOTH if self.scope is None else self.scope.halves)
        others = strange(identity.vif, view, identity, known.rows)
        wanted = replace(Swap.of(NAME, sides, change), warnings=tuple(f"{text}: it stays" for text in others))
        there = known.called(identity.alias)
        leaving = [net for nets, _ in sides.values() for net in nets]
        gone = [nic for nic in view.nics if any(net in leaving for net in nic.nets)]
        refusals = list(unsettled(host, view, (*there, *gone), identity.alias))
        if change.before == change.after and not any(side for both in sides.values() for side in both):
            return prepared(host, view, wanted, refusals, already=there)
        stays = "".join(f" {text}." for text in wanted.warnings)
        refusals += [replace(each, message=each.message + stays) for each in obstacles(host, view, wanted)]
        return prepared(host, view, wanted, refusals)


def restored(known: KnownDomain, identity: Identity, halves: Sequence[Half]) -> tuple[Sides, Remembered]:
    """What restores an emulated NIC where it is missing in `halves`, and detaches the NIC that has its identity. The record says where it is out."""
    view, rows = known.view, known.rows
    emulated, twin = emulated_of(view, identity, rows), twin_of(view, identity.vif, rows, identity)
    sides: dict[Half, tuple[tuple[Interface, ...], tuple[Interface, ...]]] = {}
    for half, devices, element in ((Half.LIVE, view.live, identity.live), (Half.CONFIG, view.config, identity.config)):
        if devices is None or half not in halves:
            continue
        there, fast = emulated.half(half), twin.half(half)
        is_team = there is not None and there.teaming is not None
        came = () if there is not None or element is None else (_returned(element, half),)
        sides[half] = (fast,) if fast is not None and (is_team or came) else (), came
    serving = Half.LIVE if view.live is not None else Half.CONFIG
    stays_out = serving not in halves and emulated.half(serving) is None
    return sides, known.change(identity.alias, replace(identity, is_out=identity.is_out and stays_out))


def _returned(element: str, half: Half) -> Interface:
    """The element that restores the NIC: in the guest under an alias that an undo can name, in the definition byte for byte."""
    return name(xml.interface(xml.strip_live(element))) if half is Half.LIVE else xml.interface(element)


def detach_as_handback(
    known: KnownDomain, nics: Sequence[DomainNic], scope: Scope, *, restore: bool | None
) -> Prepared | None:
    """The hand-back that a detach of `nics` becomes if emulated NICs are restored for them; None if none is.

    A NIC is restored if a hand-over had put it out and no unplug policy keeps it out; `restore` overrules both.
    """
    found: list[tuple[Sides, Remembered]] = []
    for nic in nics if restore is not False else ():
        identity = _identity(known, nic)
        if identity is not None and (restore or (identity.is_out and known.policy is UnplugPolicy.KEEP)):
            twin = without_strangers(identity.vif, nic, identity, known.rows)
            halves = [half for half in scope.halves if restore or nic.half(half) is twin.half(half)]
            found.append(restored(known, identity, halves))
    found = [(sides, change) for sides, change in found if any(came for _, came in sides.values())]
    sides = {
        half: (
            [net for nic in nics if (net := nic.half(half)) is not None],
            [net for its, _ in found if half in its for net in its[half][1]],
        )
        for half in scope.halves
    }
    if not found:
        return None
    wanted = Swap.of(NAME, sides, *(change for _, change in found))
    open_ones = unsettled(known.host, known.view, (), *(change.name for _, change in found))
    return prepared(known.host, known.view, wanted, (*open_ones, *obstacles(known.host, known.view, wanted)))


def left_without(known: KnownDomain, nics: Sequence[DomainNic], scope: Scope) -> list[str]:
    """A sentence for each half (guest, next boot) that will lack a NIC where a fast NIC and its emulated twin were."""
    found: list[str] = []
    for nic in nics:
        identity = _identity(known, nic)
        if identity is not None:
            others = strange(identity.vif, known.view, identity, known.rows, [nic])
            found += (f"{text}: nothing comes back for it" for text in others)
            found += _lacking(known, identity, [half for half in scope.halves if nic.half(half) is not None])
    return found


def _lacking(known: KnownDomain, identity: Identity, halves: Sequence[Half]) -> Iterator[str]:
    view, alias = known.view, identity.alias
    records = known.host.journal.open_operations(known.host.hypervisor.key, view.domain.uuid)
    asking = operation_of_alias(alias, of_domain(records, view.domain.uuid))
    record = next((each for each in records if each.id == asking), None)
    for half in halves:
        whose = "the guest" if half is Half.LIVE else "the next boot"
        leaves = record is not None and half in record.scope.halves
        if leaves and record is not None and record.request.get("twin") == identity.vif:
            yield (
                f"{whose} has {alias} again once the detach {record.id} is settled ({call('recover', view.domain.name)}). "
                f"A policy was detaching it, and {whose} may have no NIC in its place until then"
            )
        elif leaves or is_out(view, identity, known.rows, half):
            how = "leaving: `handback()` restores it then" if leaves else "out: `restore_emulated=True` restores it"
            yield f"{whose} will have no NIC in the place of {alias}, which is {how}"


def _identity(known: KnownDomain, nic: DomainNic) -> Identity | None:
    """The identity whose marker names the NIC."""
    found = (known.metadata.naming(net.alias or "") for net in nic.nets)
    return next((identity for identity in found if identity is not None), None)
