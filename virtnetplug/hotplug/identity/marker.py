"""The marker that names a fast NIC, in an ordinary attach and detach: written, followed, and what a detach restores by it."""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug import xml
from virtnetplug.backends import backend_of
from virtnetplug.errors import FilterLoss, IdentityConflict, UsageError, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change.swap import Swap
from virtnetplug.hotplug.check.request import edited
from virtnetplug.hotplug.identity import handback
from virtnetplug.hotplug.identity.handover import kind_of, marked
from virtnetplug.hotplug.look.find import find
from virtnetplug.hotplug.look.open_operations import of_domain, operation_of_alias
from virtnetplug.hotplug.look.recognition import Rows, is_out, plugged_rows, strange, without_strangers
from virtnetplug.hotplug.look.view import BOTH, DomainNic, DomainView, describe
from virtnetplug.hotplug.plug.plugging import holder_of
from virtnetplug.hotplug.plug.remembering import Remembered, metadata_of, name_of
from virtnetplug.model.identity import DomainMetadata, Identity, UnplugPolicy
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Scope
from virtnetplug.policy import identity as deciding


def twin(view: DomainView, nets: Sequence[Interface], emulated: str) -> Remembered:
    """What the metadata remembers once the one NIC of `nets` comes beside the emulated NIC, which keeps its identity.

    Raises `IdentityConflict` where either belongs to another already.
    """
    if len(nets) != 1:
        raise UsageError(
            f"`twin_of` says of one NIC whose twin it is, and {len(nets)} were asked for; attach them one by one"
        )
    pair = find(view, emulated)
    net = pair.net
    assert net is not None
    if backend_of(net).is_lent:
        raise IdentityConflict(
            f"{describe(net)} is an assigned device, and a twin is of an emulated NIC. Name one that is emulated."
        )
    metadata = metadata_of(view)
    if (why := deciding.fault(metadata, name_of(net), nets[0].alias or "")) is not None:
        raise IdentityConflict(why)
    return marked(view, metadata, pair, nets[0], is_out=False)


def follow(host: Host, view: DomainView, nets: Sequence[Interface]) -> tuple[tuple[Interface, ...], tuple[str, ...]]:
    """The nets, and warnings. A net that a marker names gets the identity of its emulated NIC if that NIC is out; a warning names what it cannot have.

    Raises `IdentityConflict` where the request says another MAC or guest address.
    """
    metadata = metadata_of(view)
    found, said = [], list[str]()
    for net in nets:
        known = metadata.naming(net.alias or "")
        if known is None or not is_out(view, known, plugged_rows(host, view)) or (known.live or known.config) is None:
            found.append(net)
            continue
        stolen, left_out = _stolen(host, view, net, known)
        found.append(stolen)
        said += left_out
    return tuple(found), tuple(said)


def _stolen(host: Host, view: DomainView, net: Interface, known: Identity) -> tuple[Interface, list[str]]:
    e = xml.interface(known.live or known.config or "")
    taken = deciding.take(e, net, holder_of(host, net))
    for field in ("mac", "address"):
        asked, given = getattr(net, field), taken.changes.get(field)
        if None not in (asked, given) and asked != given:
            raise IdentityConflict(
                f"{net.alias} is to have the identity of {known.alias}, which is out of the guest, and so its {field} {given}; the request says "
                f"{asked}. Leave that out, or {call('forget_identity', view.domain.name, known.alias)} first."
            )
    if taken.loses_filter and not known.is_out:
        raise FilterLoss(
            f"{net.alias} is to have the identity of {known.alias}, which is filtered, and libvirt filters nothing of {kind_of(host, net)}. "
            f"{call('handover', view.domain.name, known.alias, net.alias or '', allow_filter_loss=True)} says that this is meant."
        )
    return edited(net, taken.changes), [f"{net.alias} cannot have its {field}: {why}" for field, why in taken.left_out]


def goes_back(
    host: Host, view: DomainView, pairs: Sequence[DomainNic], scope: Scope, *, restore: bool | None
) -> Swap | None:
    """The exchange that a detach of `pairs` becomes if emulated NICs are restored for them; None if none is.

    A NIC is restored if a hand-over had put it out and no unplug policy keeps it out; `restore` overrules both.
    """
    metadata, rows = metadata_of(view), plugged_rows(host, view)
    known = [(each, pair) for pair in pairs if (each := _known(metadata, pair)) is not None]
    knows = [
        (each, scope.halves if restore else _halves_of_twin(each, pair, rows, scope))
        for each, pair in known
        if restore is not False and (restore or _is_kept(host, metadata, each))
    ]
    backs = [
        each
        for each in (handback.back(view, one, rows, halves) for one, halves in knows)
        if each.entering or each.config_entering
    ]
    if not backs:
        return None
    entering = [net for each in backs for net in each.entering]
    in_config = [net for each in backs for net in each.config_entering]
    return Swap(
        operation=handback.NAME,
        leaving=tuple(live for live, _ in pairs if live is not None and Half.LIVE in scope.halves),
        entering=tuple(entering),
        config_leaving=tuple(config for _, config in pairs if config is not None and Half.CONFIG in scope.halves),
        config_entering=tuple(in_config),
        remembered=tuple(each for one in backs for each in one.remembered),
    )


def left_without(host: Host, view: DomainView, pairs: Sequence[DomainNic], scope: Scope) -> list[str]:
    """A sentence for each half (guest, next boot) that will lack a NIC where a fast NIC and its emulated twin were."""
    metadata, uuid, rows = metadata_of(view), view.domain.uuid, plugged_rows(host, view)
    records = host.journal.open_operations(host.hypervisor.key, uuid)
    leaving = of_domain(records, uuid)
    said: list[str] = []
    for pair in pairs:
        known = _known(metadata, pair)
        if known is not None:
            said += (f"{text}: nothing comes back for it" for text in strange(known.vif, view, known, rows, [pair]))
        record = next((each for each in records if known and each.id == operation_of_alias(known.alias, leaving)), None)
        for half, net in zip(BOTH, pair, strict=True):
            if known is None or net is None or half not in scope.halves:
                continue
            leaves = record is not None and half in record.scope.halves
            whose = "the guest" if half is Half.LIVE else "the next boot"
            if leaves and record is not None and record.request.get("twin") == known.vif:
                said.append(
                    f"{whose} has {known.alias} again once the detach {record.id} is settled ({call('recover', view.domain.name)}). "
                    f"A policy was detaching it, and {whose} may have no NIC in its place until then"
                )
            elif leaves or is_out(view, known, rows, half):
                how = "leaving: `handback()` restores it then" if leaves else "out: `restore_emulated=True` restores it"
                said.append(f"{whose} will have no NIC in the place of {known.alias}, which is {how}")
    return said


def _known(metadata: DomainMetadata, pair: DomainNic) -> Identity | None:
    return next((known for net in pair if net is not None and (known := metadata.naming(net.alias or ""))), None)


def _halves_of_twin(known: Identity, pair: DomainNic, rows: Rows, scope: Scope) -> tuple[Half, ...]:
    """The definitions of `scope` in which no other NIC is in the fast one's place."""
    its = zip(BOTH, pair, without_strangers(known.vif, pair, known, rows), strict=True)
    return tuple(half for half, there, twin in its if half in scope.halves and there is twin)


def _is_kept(host: Host, metadata: DomainMetadata, known: Identity) -> bool:
    policy = metadata.unplug if metadata.unplug is not None else host.journal.host_policy()
    return known.is_out and policy is UnplugPolicy.KEEP
