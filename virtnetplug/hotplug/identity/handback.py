"""Hand-back: an emulated NIC gets its place and its identity again, however long it has been out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from virtnetplug import xml
from virtnetplug.errors import IdentityMissing, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change.swap import Swap, obstacles
from virtnetplug.hotplug.change.swap_operation import Swapping, prepared
from virtnetplug.hotplug.check.preflight import check_scope
from virtnetplug.hotplug.check.request import name
from virtnetplug.hotplug.check.reserved import unsettled
from virtnetplug.hotplug.engine.prepared import Prepared, refuse
from virtnetplug.hotplug.identity.handover import pairs_called
from virtnetplug.hotplug.look.recognition import Rows, emulated_of, is_out, plugged_rows, strange, twin_of
from virtnetplug.hotplug.look.view import BOTH, DomainView, look
from virtnetplug.hotplug.plug.remembering import Remembered, halves_of, metadata_of
from virtnetplug.model.identity import DomainMetadata, Identity
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Scope
from virtnetplug.ports.domain import Domain

NAME = "handback"
"""What the journal calls it."""


def identity_of(view: DomainView, metadata: DomainMetadata, emulated: str) -> Identity:
    """The remembered identity of the NIC with that alias or MAC; raises `IdentityMissing`."""
    for known in metadata.identities:
        nets = [xml.interface(text) for text in (known.live, known.config) if text is not None]
        if emulated == known.alias or any(str(net.mac) == emulated.lower() for net in nets):
            return known
    there = ", ".join(known.alias for known in metadata.identities) or "nothing"
    raise IdentityMissing(
        f"Domain {view.domain.name} remembers no NIC '{emulated}' (it remembers {there}): a hand-over, or the attach of its twin with "
        f"`twin_of`, makes it do so. {call('identities', view.domain.name)} lists them."
    )


def _handback(host: Host, domain: Domain, emulated: str, scope: Scope | None) -> Prepared:
    view = look(domain, BOTH)
    known = identity_of(view, metadata_of(view), emulated)
    if scope is not None:
        refuse(check_scope(view, scope))
    wanted = back(view, known, plugged_rows(host, view), BOTH if scope is None else scope.halves)
    there = pairs_called(view, known.alias)
    gone = [pair for pair in view.nics if any(net in (*wanted.leaving, *wanted.config_leaving) for net in pair)]
    refusals = list(unsettled(host, view, (*there, *gone), known.alias))
    is_known = all(each.before == each.after for each in wanted.remembered)  # else only the record is wrong
    if is_known and not (wanted.leaving or wanted.entering or wanted.config_leaving or wanted.config_entering):
        return prepared(host, view, wanted, refusals, already=there)
    others = "".join(f" {text}." for text in wanted.warnings)
    refusals += [dataclasses.replace(each, message=each.message + others) for each in obstacles(host, view, wanted)]
    return prepared(host, view, wanted, refusals)


def back(view: DomainView, known: Identity, rows: Rows, halves: Sequence[Half] = BOTH) -> Swap:
    """The exchange that restores an emulated NIC where it is missing, and detaches the NIC that has its identity."""
    sides: dict[Half, tuple[tuple[Interface, ...], tuple[Interface, ...]]] = {}
    emulated = dict(zip(BOTH, emulated_of(view, known, rows), strict=True))
    twin = dict(zip(BOTH, twin_of(view, known.vif, rows, known), strict=True))
    for half, devices, element in ((Half.LIVE, view.live, known.live), (Half.CONFIG, view.config, known.config)):
        if devices is None or half not in halves:
            continue
        there, fast = emulated[half], twin[half]
        is_team = there is not None and there.teaming is not None
        came = () if there is not None or element is None else (_returned(element, half),)
        sides[half] = (fast,) if fast is not None and (is_team or came) else (), came
    live, config = sides.get(Half.LIVE, ((), ())), sides.get(Half.CONFIG, ((), ()))
    serving = Half.LIVE if view.live is not None else Half.CONFIG
    stays_out = serving not in halves and is_out(view, known, rows, serving)
    after = dataclasses.replace(known, is_out=known.is_out and stays_out)
    return Swap(
        operation=NAME,
        leaving=live[0],
        entering=live[1],
        config_leaving=config[0],
        config_entering=config[1],
        remembered=(Remembered(name=known.alias, before=known, after=after, halves=halves_of(view)),),
        warnings=tuple(f"{text}: it stays" for text in strange(known.vif, view, known, rows)),
    )


def _returned(element: str, half: Half) -> Interface:
    """The element that restores the NIC: in the guest under an alias that an undo can name, in the definition byte for byte."""
    return name(xml.interface(xml.strip_live(element))) if half is Half.LIVE else xml.interface(element)


class Handback(Swapping):
    """Restore the emulated NIC as it was before it was handed over."""

    is_governed = True

    def __init__(self, emulated: str, *, scope: Scope | None = None) -> None:
        self.emulated, self.scope = emulated, scope

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        """See `Operation.prepare`."""
        return _handback(host, domain, self.emulated, self.scope)


OPERATION = Handback
