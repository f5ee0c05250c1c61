"""Hand-over: a fast NIC takes an emulated NIC's place, and all that the guest knows that NIC by.

It has the two phases of xenvif's "Re-work identity stealing code" (commit 70f4bb96). First, `attach` writes a marker into the emulated NIC's record,
which names the fast NIC; nothing is taken. Later, when the emulated NIC is out and the marked NIC comes, the marked NIC gets the identity.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from virtnetplug import xml
from virtnetplug.backends import NO_CHOICE, Choice, backend_of
from virtnetplug.backends.lending import held
from virtnetplug.errors import (
    FilterLoss,
    HostDeviceUnfit,
    IdentityConflict,
    NicMissing,
    NotSupported,
    TeamingIncomplete,
    call,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change.swap import Swap, obstacles
from virtnetplug.hotplug.change.swap_operation import Swapping, prepared
from virtnetplug.hotplug.check.preflight import check_scope
from virtnetplug.hotplug.check.request import edited, name, parse, partner_of, scope_for
from virtnetplug.hotplug.check.reserved import unsettled
from virtnetplug.hotplug.engine.prepared import Prepared, refuse
from virtnetplug.hotplug.guest.assigned import as_in_run
from virtnetplug.hotplug.identity.serving import unheld
from virtnetplug.hotplug.look.find import find
from virtnetplug.hotplug.look.recognition import is_out, plugged_rows, strange
from virtnetplug.hotplug.look.view import BOTH, DomainNic, DomainView, describe, look
from virtnetplug.hotplug.plug.plugging import holder_of
from virtnetplug.hotplug.plug.remembering import Remembered, halves_of, metadata_of, name_of
from virtnetplug.model.identity import DomainMetadata, Identity
from virtnetplug.model.interface import Interface, Teaming
from virtnetplug.model.operation import Half, Refusal, Scope
from virtnetplug.policy import identity as deciding
from virtnetplug.ports.domain import Domain

NAME = "handover"
"""What the journal calls it."""


def _handover(
    host: Host, domain: Domain, emulated: str, fast: Interface | str, scope: Scope | None, *, allow_filter_loss: bool
) -> Prepared:
    view = look(domain, BOTH)
    scope = scope_for(scope, view.state, domain.name)
    metadata = metadata_of(view)
    nothing = Swap(operation=NAME)
    refuse(check_scope(view, scope))
    if refusals := list(unsettled(host, view, pairs_called(view, emulated), emulated)):
        return prepared(host, view, nothing, refusals)
    if (there := _is_over(host, view, metadata, emulated, fast, scope)) is not None:
        return prepared(host, view, nothing, tuple(unsettled(host, view, there)), already=there)
    e_pair = _pair_in(view, emulated, scope)
    p_pair, request = _fast(view, fast, scope)
    p = _named(view, request, e_pair)
    first = _of(e_pair, scope.halves[0])
    its = name_of(first) if p_pair == e_pair else p.alias or ""
    pairs = [pair for pair in (e_pair, p_pair) if pair]
    refusals = [*_unfit(view, metadata, first, its), *unsettled(host, view, pairs)]
    if refusals:
        return prepared(host, view, nothing, refusals)
    if first.teaming is not None and first.teaming.type == "persistent":
        wanted = _beside(view, metadata, e_pair, p_pair, p, scope)
    else:
        wanted = _instead(host, view, metadata, e_pair, p_pair, p, scope)
    refusals += _losses(host, e_pair, p, scope) if not allow_filter_loss else ()
    refusals += [_with_link(each, view, metadata, e_pair) for each in obstacles(host, view, wanted)]
    return prepared(host, view, wanted, refusals)


def _is_over(
    host: Host, view: DomainView, metadata: DomainMetadata, emulated: str, fast: Interface | str, scope: Scope
) -> tuple[DomainNic, ...] | None:
    """The fast NIC that is there and to which `emulated` was handed over. None if `emulated` is back, as after a new start."""
    known, rows = metadata.identity(emulated), plugged_rows(host, view)
    if known is None or not known.is_out or not all(is_out(view, known, rows, half) for half in scope.halves):
        return None
    wanted = fast if isinstance(fast, str) and not fast.lstrip().startswith("<") else parse([fast])[0].alias
    there, others = pairs_called(view, known.vif), strange(known.vif, view, known, rows)
    if wanted in (None, known.vif) and there and not others:
        return there
    raise IdentityConflict(
        f"{emulated} of domain {view.domain.name} has been handed over to {known.vif}, and is out of the guest: "
        f"{call('handback', view.domain.name, emulated)} first"
        + ("." if wanted not in (None, known.vif) else f", or attach {known.vif} again, which has its identity then.")
        + "".join(f" {text}." for text in others)
    )


def _pair_in(view: DomainView, selector: str, scope: Scope) -> DomainNic:
    pair = find(view, selector, scope.halves)
    for half, net in zip(BOTH, pair, strict=True):
        if half in scope.halves and net is None:
            raise NicMissing(
                f"NIC {describe(pair.net)} of domain {view.domain.name} is not in its {half} definition; "
                f"use --{'config' if half is Half.LIVE else 'live'}"
            )
    return pair


def _of(pair: DomainNic, half: Half) -> Interface:
    net = pair.live if half is Half.LIVE else pair.config
    assert net is not None
    return net


def _fast(view: DomainView, fast: Interface | str, scope: Scope) -> tuple[DomainNic | None, Interface]:
    """The fast NIC, if the guest has it already, and the request for the NIC that comes."""
    if isinstance(fast, str) and not fast.lstrip().startswith("<"):
        pair = _pair_in(view, fast, scope)
        return pair, xml.interface(xml.strip_live(_of(pair, scope.halves[0]).element))
    return None, parse([fast])[0]


def _named(view: DomainView, request: Interface, e_pair: DomainNic) -> Interface:
    """The request with an alias: its own, or one derived from the emulated NIC's. It gets the MAC of the emulated NIC later."""
    if request.alias is not None:
        return request
    family = next((net.alias for net in e_pair if net is not None and (net.alias or "").startswith("ua-")), None)
    taken = {net.alias for pair in view.nics for net in pair if net is not None}
    wanted = f"{family}-fast"
    return edited(request, {"alias": wanted}) if family is not None and wanted not in taken else name(request)


def _unfit(view: DomainView, metadata: DomainMetadata, e: Interface, p: str) -> Iterator[Refusal]:
    """Why `e` and the NIC called `p` cannot be a pair, whatever the guest has room for."""
    if backend_of(e).is_lent:
        yield Refusal(
            reason=NotSupported.reason,
            nic=describe(e),
            message=f"{describe(e)} is an assigned device, and what is handed over is an emulated NIC's identity; "
            f"{call('update', view.domain.name, name_of(e), replace=True)} changes what is behind a NIC.",
        )
    elif (why := deciding.fault(metadata, name_of(e), p)) is not None:
        yield Refusal(reason=IdentityConflict.reason, nic=describe(e), message=why)


def _with_link(refusal: Refusal, view: DomainView, metadata: DomainMetadata, e_pair: DomainNic) -> Refusal:
    """Add the remedy to the refusal of a device that has no link state, if only the emulated NIC's link needs that state."""
    live = e_pair.live
    if refusal.reason != HostDeviceUnfit.reason or live is None or unheld(metadata, live).link_state != "down":
        return refusal
    more = (
        f" The link of {describe(live)} is down, and what takes its identity has that, too: if the device has no link state, "
        f"{call('update', view.domain.name, name_of(live), {'link_state': 'up'})} first."
    )
    return dataclasses.replace(refusal, message=refusal.message + more)


def _beside(
    view: DomainView, metadata: DomainMetadata, e_pair: DomainNic, p_pair: DomainNic | None, p: Interface, scope: Scope
) -> Swap:
    """The exchange of a teaming pair: both NICs are there, and the guest moves its traffic by itself."""
    e = _of(e_pair, scope.halves[0])
    remembered = (marked(view, metadata, e_pair, p, is_out=False),)
    if p_pair is not None:
        if partner_of(_of(p_pair, scope.halves[0])) != e.alias:
            raise TeamingIncomplete(
                f"{e.alias} is the persistent half of a teaming pair, so its fast twin has to be the transient half, and {p.alias} is not. "
                f"Detach {p.alias}, and hand over to a NIC that is attached for it (`fast`): it is made the transient half then."
            )
        return Swap(operation=NAME, remembered=remembered)
    team = {"teaming": Teaming("transient", e.alias), "mac": e.mac}
    p = edited(p, {field: value for field, value in team.items() if getattr(p, field) is None})
    return Swap(
        operation=NAME,
        entering=(p,) if Half.LIVE in scope.halves else (),
        config_entering=(p,) if Half.CONFIG in scope.halves else (),
        remembered=remembered,
    )


def _instead(
    host: Host,
    view: DomainView,
    metadata: DomainMetadata,
    e_pair: DomainNic,
    p_pair: DomainNic | None,
    p: Interface,
    scope: Scope,
) -> Swap:
    """The exchange without teaming: the fast NIC leaves first if it is there, then the emulated NIC. The fast NIC comes at the latter's address."""
    sides: dict[Half, tuple[tuple[Interface, ...], Interface]] = {}
    warnings: list[str] = []
    choice = NO_CHOICE
    for half in scope.halves:
        there, request = None if p_pair is None else _of(p_pair, half), p
        if there is not None:
            choice = Choice(again=choice.again or there.source_pci)
            request = edited(_asked_again(host, view, there, half), {"alias": p.alias})
        e = unheld(metadata, _of(e_pair, half)) if half is Half.LIVE else _of(e_pair, half)
        taken = deciding.take(e, request, holder_of(host, request))
        warnings += [f"{p.alias} cannot have its {field.replace('_', ' ')}: {why}" for field, why in taken.left_out]
        leaving = tuple(net for net in (there, _of(e_pair, half)) if net is not None)
        sides[half] = leaving, edited(request, taken.changes)
    live, config = sides.get(Half.LIVE), sides.get(Half.CONFIG)
    return Swap(
        operation=NAME,
        leaving=live[0] if live else (),
        entering=(live[1],) if live else (),
        config_leaving=config[0] if config else (),
        config_entering=(_for_config(config[1]),) if config else (),
        choice=choice,
        remembered=(marked(view, metadata, e_pair, p, is_out=True),),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _asked_again(host: Host, view: DomainView, there: Interface, half: Half) -> Interface:
    """The request that would give the NIC that is there: from its pool if a pool lent it, in the guest with its device's settings."""
    if there.source_pci is None:
        return xml.interface(xml.strip_live(there.element))
    from virtnetplug.hotplug.change.rebind_vf import moved

    holding = held(host, view.domain, there.alias or "", there.mac, there.source_pci)
    if holding is None:
        return xml.interface(xml.strip_live(there.element))
    settings = as_in_run(host, view.domain, holding).settings if half is Half.LIVE else {}
    return moved(there, settings, None, holding.network or None)


def _for_config(net: Interface) -> Interface:
    """The net without what is set through a PF: the definition cannot keep that, and an attach sets it again."""
    return xml.interface(net.element)


def marked(view: DomainView, metadata: DomainMetadata, e_pair: DomainNic, p: Interface, *, is_out: bool) -> Remembered:
    """The emulated NIC's record with its marker, and with its elements as they are now."""
    return kept(view, metadata, e_pair, vif=p.alias or "", is_out=is_out)


def kept(view: DomainView, metadata: DomainMetadata, e_pair: DomainNic, *, vif: str, is_out: bool) -> Remembered:
    """The emulated NIC's record with its elements as they are now. A link that is held down because another NIC serves is not kept."""
    live, config = e_pair
    net = live or config
    assert net is not None
    before = metadata.identity(name_of(net))
    if live is not None:
        live = unheld(metadata, live)
    after = Identity(
        alias=name_of(net),
        vif=vif,
        live=live.element if live is not None else (before.live if before is not None else None),
        config=config.element if config is not None else (before.config if before is not None else None),
        is_out=is_out,
    )
    return Remembered(name=after.alias, before=before, after=after, halves=halves_of(view))


def _losses(host: Host, e_pair: DomainNic, p: Interface, scope: Scope) -> Iterator[Refusal]:
    e = _of(e_pair, scope.halves[0])
    if e.teaming is None and deciding.take(e, p, holder_of(host, p)).loses_filter:
        yield Refusal(
            reason=FilterLoss.reason,
            nic=describe(e),
            message=f"{describe(e)} is filtered by {e.filterref.filter if e.filterref else 'a filter'}, and libvirt filters nothing of "
            f"{kind_of(host, p)}: its traffic would be unfiltered. Use `allow_filter_loss=True` if that is meant.",
        )


def kind_of(host: Host, net: Interface) -> str:
    """The kind of the NIC, for a message that says what such a NIC cannot have."""
    kind = holder_of(host, net)
    return "an assigned device" if kind == deciding.HOSTDEV else f"a NIC of type {kind}"


def pairs_called(view: DomainView, alias: str) -> tuple[DomainNic, ...]:
    """The NICs that are remembered by that name."""
    return tuple(pair for pair in view.nics if any(net is not None and name_of(net) == alias for net in pair))


class Handover(Swapping):
    """Let `fast` (a NIC the guest has, by any of its names, or one to be attached) serve in place of `emulated`."""

    is_governed = True

    def __init__(
        self, emulated: str, fast: Interface | str, *, scope: Scope | None = None, allow_filter_loss: bool = False
    ) -> None:
        self.emulated, self.fast, self.scope, self.allow_filter_loss = emulated, fast, scope, allow_filter_loss

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        """See `Operation.prepare`."""
        loses = self.allow_filter_loss
        return _handover(host, domain, self.emulated, self.fast, self.scope, allow_filter_loss=loses)


OPERATION = Handover
