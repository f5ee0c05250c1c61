"""Hand-over: a fast NIC takes an emulated NIC's place, and all that the guest knows that NIC by.

It has the two phases of xenvif's "Re-work identity stealing code" (commit 70f4bb96). First, `attach` writes a marker into the emulated NIC's record,
which names the fast NIC; nothing is taken. Later, when the emulated NIC is out and the marked NIC comes, the marked NIC gets the identity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from virtnetplug import xml
from virtnetplug.backends import Choice, backend_of
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
from virtnetplug.hotplug.change.remembering import name_of
from virtnetplug.hotplug.change.swap import Swap, obstacles
from virtnetplug.hotplug.change.swapping import Swapping, prepared
from virtnetplug.hotplug.check.preflight import check_scope
from virtnetplug.hotplug.check.request import edited, name, parse, partner_of, scope_for
from virtnetplug.hotplug.check.reserved import unsettled
from virtnetplug.hotplug.check.sources import holder_of
from virtnetplug.hotplug.engine.prepared import Prepared, refuse
from virtnetplug.hotplug.guest.assigned import as_in_run
from virtnetplug.hotplug.identity.known import KnownDomain
from virtnetplug.hotplug.look.find import find
from virtnetplug.hotplug.look.recognition import is_out, strange
from virtnetplug.hotplug.look.view import DomainNic, DomainView, describe
from virtnetplug.model.interface import Interface, Teaming
from virtnetplug.model.operation import Half, Refusal, Scope
from virtnetplug.policy import identity as deciding
from virtnetplug.ports.domain import Domain

NAME = "handover"
"""What the journal calls it."""


class Handover(Swapping):
    """Let `fast` (a NIC the guest has, by any of its names, or one to be attached) serve in place of `emulated`."""

    is_governed = True

    def __init__(
        self, emulated: str, fast: Interface | str, *, scope: Scope | None = None, allow_filter_loss: bool = False
    ) -> None:
        self.emulated, self.scope, self.allow_filter_loss = emulated, scope, allow_filter_loss
        is_name = isinstance(fast, str) and not fast.lstrip().startswith("<")
        self.fast = fast if is_name else parse([fast])[0]

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        """See `Operation.prepare`."""
        known = KnownDomain.of(host, domain)
        view, nothing = known.view, Swap(operation=NAME)
        scope = scope_for(self.scope, view.state, domain.name)
        refuse(check_scope(view, scope))
        if refusals := list(unsettled(host, view, known.called(self.emulated), self.emulated)):
            return prepared(host, view, nothing, refusals)
        if (there := self._is_over(known, scope)) is not None:
            return prepared(host, view, nothing, tuple(unsettled(host, view, there)), already=there)
        takeover = self._takeover(known, scope)
        if refusals := [*takeover.unfit(), *unsettled(host, view, [nic for nic in (takeover.e, takeover.p) if nic])]:
            return prepared(host, view, nothing, refusals)
        wanted = takeover.exchange()
        refusals += takeover.losses() if not self.allow_filter_loss else ()
        refusals += [takeover.with_link(each) for each in obstacles(host, view, wanted)]
        return prepared(host, view, wanted, refusals)

    def _is_over(self, known: KnownDomain, scope: Scope) -> tuple[DomainNic, ...] | None:
        """The fast NIC that is there and to which `emulated` was handed over. None if `emulated` is back, as after a new start."""
        view, rows, identity = known.view, known.rows, known.metadata.identity(self.emulated)
        if identity is None or not identity.is_out:
            return None
        if not all(is_out(view, identity, rows, half) for half in scope.halves):
            return None
        vif, wanted = identity.vif, self.fast if isinstance(self.fast, str) else self.fast.alias
        there, others = known.called(vif), strange(vif, view, identity, rows)
        if wanted in (None, vif) and there and not others:
            return there
        raise IdentityConflict(
            f"{self.emulated} of domain {view.domain.name} has been handed over to {vif}, and is out of the guest: "
            f"{call('handback', view.domain.name, self.emulated)} first"
            + ("." if wanted not in (None, vif) else f", or attach {vif} again, which has its identity then.")
            + "".join(f" {text}." for text in others)
        )

    def _takeover(self, known: KnownDomain, scope: Scope) -> _Takeover:
        """The NICs that are named, and the request. The NIC that comes gets an alias: its own, or an alias derived from the emulated NIC's."""
        view, e = known.view, _nic_in(known.view, self.emulated, scope)
        if isinstance(self.fast, str):
            p = _nic_in(view, self.fast, scope)
            request = xml.interface(xml.strip_live(_net(p, scope.halves[0]).element))
        else:
            p, request = None, self.fast
        if request.alias is None:
            family = next((net.alias for net in e.nets if (net.alias or "").startswith("ua-")), None)
            is_free = f"{family}-fast" not in [net.alias for nic in view.nics for net in nic.nets]
            request = edited(request, {"alias": f"{family}-fast"}) if family and is_free else name(request)
        return _Takeover(known, scope, e, p, request)


def _nic_in(view: DomainView, selector: str, scope: Scope) -> DomainNic:
    """The NIC, which every definition of `scope` has."""
    nic = find(view, selector, scope.halves)
    for half in scope.halves:
        if nic.half(half) is None:
            raise NicMissing(
                f"NIC {describe(nic.net)} of domain {view.domain.name} is not in its {half} definition; "
                f"use {'`scope=Scope.CONFIG`' if half is Half.LIVE else '`scope=Scope.LIVE`'}"
            )
    return nic


def _net(nic: DomainNic, half: Half) -> Interface:
    net = nic.half(half)
    assert net is not None
    return net


@dataclass(frozen=True, slots=True)
class _Takeover:
    """The emulated NIC `e`, and the fast NIC that takes over: `p` if the guest has it already, and the request for it.

    Every definition of `scope` has the NICs that are there.
    """

    known: KnownDomain
    scope: Scope
    e: DomainNic
    p: DomainNic | None
    request: Interface

    @property
    def first(self) -> Interface:
        """The emulated NIC in the first definition of the scope."""
        return _net(self.e, self.scope.halves[0])

    def unfit(self) -> Iterator[Refusal]:
        """Why the two cannot be a pair, whatever the guest has room for."""
        e, domain = self.first, self.known.view.domain
        p = name_of(e) if self.p == self.e else self.request.alias or ""
        if backend_of(e).is_lent:
            yield Refusal(
                reason=NotSupported.reason,
                nic=describe(e),
                message=f"{describe(e)} is an assigned device, and what is handed over is an emulated NIC's identity; "
                f"{call('update', domain.name, name_of(e), replace=True)} changes what is behind a NIC.",
            )
        elif (why := deciding.fault(self.known.metadata, name_of(e), p)) is not None:
            yield Refusal(reason=IdentityConflict.reason, nic=describe(e), message=why)

    def losses(self) -> Iterator[Refusal]:
        """The refusal if the traffic of the emulated NIC is filtered, and that of the fast NIC would not be."""
        e, p = self.first, self.request
        taken = deciding.take(e, p, holder_of(self.known.host, p))
        if e.teaming is None and taken.loses_filter:
            yield Refusal(
                reason=FilterLoss.reason,
                nic=describe(e),
                message=f"{describe(e)} is filtered by {e.filterref.filter if e.filterref else 'a filter'}, and libvirt filters nothing of "
                f"{taken.kind}: its traffic would be unfiltered. Use `allow_filter_loss=True` if that is meant.",
            )

    def with_link(self, refusal: Refusal) -> Refusal:
        """Add the remedy to the refusal of a device that has no link state, if only the emulated NIC's link needs that state."""
        live, domain = self.e.live, self.known.view.domain
        if refusal.reason != HostDeviceUnfit.reason or live is None or self.known.unheld(live).link_state != "down":
            return refusal
        more = (
            f" The link of {describe(live)} is down, and what takes its identity has that, too: if the device has no link state, "
            f"{call('update', domain.name, name_of(live), {'link_state': 'up'})} first."
        )
        return replace(refusal, message=refusal.message + more)

    def exchange(self) -> Swap:
        """What leaves and what comes. The persistent half of a teaming pair stays beside the fast NIC."""
        is_persistent = self.first.teaming is not None and self.first.teaming.type == "persistent"
        wanted = self._beside() if is_persistent else self._instead()
        record = self.known.record(self.e, vif=self.request.alias or "", is_out=not is_persistent)
        return replace(wanted, remembered=(record,))

    def _beside(self) -> Swap:
        """The exchange of a teaming pair: both NICs are there, and the guest moves its traffic by itself."""
        e, p = self.first, self.request
        if self.p is not None and partner_of(_net(self.p, self.scope.halves[0])) != e.alias:
            raise TeamingIncomplete(
                f"{e.alias} is the persistent half of a teaming pair, so its fast twin has to be the transient half, and {p.alias} is not. "
                f"Detach {p.alias}, and hand over to a NIC that is attached for it (`fast`): it is made the transient half then."
            )
        team = {"teaming": Teaming("transient", e.alias), "mac": e.mac}
        p = edited(p, {field: value for field, value in team.items() if getattr(p, field) is None})
        sides = {half: ((), (p,)) for half in self.scope.halves if self.p is None}
        return Swap.of(NAME, sides)

    def _instead(self) -> Swap:
        """The exchange without teaming: the fast NIC leaves first if it is there, then the emulated NIC. The fast NIC comes at the latter's address."""
        known, p = self.known, self.request
        sides: dict[Half, tuple[list[Interface], list[Interface]]] = {}
        warnings: list[str] = []
        leaving = [nic for nic in (self.p, self.e) if nic is not None]
        for half in self.scope.halves:
            request = p if self.p is None else edited(_asked_again(known, _net(self.p, half), half), {"alias": p.alias})
            e = known.unheld(_net(self.e, half)) if half is Half.LIVE else _net(self.e, half)
            taken = deciding.take(e, request, holder_of(known.host, request))
            warnings += [f"{p.alias} cannot have its {field.replace('_', ' ')}: {why}" for field, why in taken.left_out]
            comes = edited(request, taken.changes)
            if half is Half.CONFIG:  # it cannot keep what is set through a PF, and an attach sets that again
                comes = xml.interface(comes.element)
            sides[half] = [_net(nic, half) for nic in leaving], [comes]
        addresses = [_net(self.p, half).source_pci for half in self.scope.halves if self.p is not None]
        wanted = Swap.of(NAME, sides)
        choice = Choice(again=next(filter(None, addresses), None))
        return replace(wanted, choice=choice, warnings=tuple(dict.fromkeys(warnings)))


def _asked_again(known: KnownDomain, there: Interface, half: Half) -> Interface:
    """The request that would give the NIC that is there: from its pool if a pool lent it, in the guest with its device's settings."""
    host, domain = known.host, known.view.domain
    from virtnetplug.hotplug.change.rebind_vf import moved

    address = there.source_pci
    holding = None if address is None else held(host, domain, there.alias or "", there.mac, address)
    if holding is None:
        return xml.interface(xml.strip_live(there.element))
    settings = as_in_run(host, domain, holding).settings if half is Half.LIVE else {}
    return moved(there, settings, None, holding.network or None)
