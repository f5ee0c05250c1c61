"""Examine a request to attach NICs: it is refused, or the NICs are there already, or they will be attached as described here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from virtnetplug.backends import backend_of
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check import reserved
from virtnetplug.hotplug.check.preflight import check_attach
from virtnetplug.hotplug.check.request import name, pair
from virtnetplug.hotplug.check.reserved import not_settled, placed, reservations
from virtnetplug.hotplug.check.sources import actual_of
from virtnetplug.hotplug.look.open_operations import of_domain, operation_of_alias, operation_on
from virtnetplug.hotplug.look.view import DomainNic, DomainView
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half, OperationRecord, Refusal, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The answer to a request. `there` are the NICs if all of them are there already; `nets` have MACs and aliases, `actuals` is what libvirt makes of them."""

    nets: tuple[Interface, ...]
    refusals: tuple[Refusal, ...] = ()
    there: Sequence[DomainNic] = ()
    actuals: tuple[ActualDevice, ...] = ()


def paired(view: DomainView, nets: tuple[Interface, ...]) -> tuple[Interface, ...]:
    """The nets with the MACs that teaming pairs share, persistent halves first (see `request.pair`)."""
    if all(net.teaming is None for net in nets):
        return nets
    return pair(nets, [net for devices in (view.live, view.config) if devices is not None for net in devices.nets])


def examine(host: Host, view: DomainView, nets: tuple[Interface, ...], scope: Scope) -> Examined:
    """Examine the request against the domain, its open operations and the host. Nothing is touched."""
    records = host.journal.open_operations(host.hypervisor.key, view.domain.uuid, "")
    kept = reservations(records, view.domain.uuid)
    if refusals := _unsettled(view, nets, records):
        return Examined(nets=placed(view, tuple(map(name, nets)), kept), refusals=refusals)
    if there := _already(host, view, nets, scope):
        return Examined(nets=nets, refusals=tuple(reserved.refusals(view, nets, kept)), there=there)
    networks: dict[str, Network] = {}
    refusals = check_attach(host, view, nets, scope, networks=networks, kept=kept)
    pools = [source for source, network in networks.items() if network.is_pool]
    nets = placed(view, tuple(map(name, nets)), kept, pools)
    actuals = () if refusals else tuple(actual_of(host, net, networks) for net in nets)
    return Examined(nets=nets, refusals=refusals, actuals=actuals)


def _unsettled(view: DomainView, nets: Sequence[Interface], records: Sequence[OperationRecord]) -> tuple[Refusal, ...]:
    """A refusal for each NIC that an open operation may still take out of the guest. Such a NIC is not "there already", and cannot come."""
    pending = of_domain(records, view.domain.uuid)
    if not pending:
        return ()
    live = view.live.nets if view.live is not None else ()
    of_mac = [each for net in nets if net.alias is None and net.mac is not None for each in live if each.mac == net.mac]
    theirs = [*(net for net in nets if net.alias is not None), *of_mac]
    by_id = {record.id: record for record in records}
    return tuple(
        not_settled(view, net.alias or "", net.alias or "", by_id[operation])
        for net in theirs
        if (operation := operation_of_alias(net.alias, pending) or operation_on(net, pending)) is not None
    )


def _already(host: Host, view: DomainView, nets: Sequence[Interface], scope: Scope) -> list[DomainNic]:
    """The NICs there are, if every net of the request is there in every half of the scope; else nothing."""
    found = []
    pools = _pools(host, view)
    for half in scope.halves:
        devices = view.live if half is Half.LIVE else view.config
        for net in nets:
            match = next((other for other in devices.nets if _is_same(net, other, pools)), None) if devices else None
            if match is None:
                return []
            found.append(match)
    return [nic for nic in view.nics if any(net is each for net in nic for each in found)]


def _pools(host: Host, view: DomainView) -> Mapping[str, str]:
    """Alias of each assigned device to the network that lent it, which its live element does not name."""
    if view.live is None or not any(backend_of(net).is_lent for net in view.live.nets):
        return {}
    return {nic.alias: nic.network for nic in host.journal.nics(host.hypervisor.key, view.domain.uuid)}


def _is_same(request: Interface, there: Interface, pools: Mapping[str, str]) -> bool:
    """Same alias and MAC, as far as the request names them (it must name one), and the same source."""
    if request.mac is None and request.alias is None:
        return False
    if request.mac not in (None, there.mac) or request.alias not in (None, there.alias):
        return False
    if backend_of(there).is_lent and request.type == "network":
        return pools.get(there.alias or "") == request.source_network
    kind = "network" if there.source_network is not None else there.type  # live, its type is what came of its network
    return (request.type, request.source) == (kind, there.source)
