"""Why an attach or an update cannot work, and what to do about it: everything at once, before anything is touched.

`examine` answers a request to attach NICs: it is refused, or the NICs are there already, or they will be attached as described here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from virtnetplug import xml
from virtnetplug.backends import backend_in, backend_of
from virtnetplug.errors import DomainBusy, DomainNotRunning, DomainTransient, NotSupported, XmlInvalid
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check import conflicts, request, reserved, sources
from virtnetplug.hotplug.check.reserved import Reservation, not_settled, placed, reservations
from virtnetplug.hotplug.check.sources import actual_of
from virtnetplug.hotplug.look.open_operations import of_domain, operation_of_alias, operation_on
from virtnetplug.hotplug.look.view import DomainNic, DomainView, describe, refusal
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half, OperationRecord, Refusal, Scope

_CONNECTION = frozenset({"type", "source_network", "source_bridge", "source_dev", "source_pci", "source_portgroup"})

NOT_OF_A_VF = ("bandwidth_inbound", "bandwidth_outbound", "model", "driver_queues", "coalesce_rx_frames")
"""Fields that no assigned device has: libvirt drops them, or refuses them once the guest runs."""


def check_attach(
    host: Host,
    view: DomainView,
    nets: Sequence[Interface],
    scope: Scope,
    *,
    networks: dict[str, Network] | None = None,
    leaving: Interface | None = None,
    sharing: Sequence[Interface] = (),
    kept: Sequence[Reservation] = (),
) -> tuple[Refusal, ...]:
    """Everything that speaks against attaching `nets` in `scope`; empty if nothing does.

    `view` must have the definitions that `scope` touches, without the NIC `leaving`, which is gone by then. NICs that have a MAC of `sharing`
    are no obstacle: they had it beside that NIC before. Networks that are looked up are added to `networks`, so that the caller need not ask for
    them again. `kept` are the NICs of open operations.
    """
    faults = [_element(net) for net in nets]
    fitting = [net for net, found in zip(nets, faults, strict=True) if not found]
    refusals = [*check_scope(view, scope), *chain.from_iterable(faults)]
    refusals += conflicts.aliases(view, fitting, scope)
    refusals += conflicts.teaming(view, fitting, scope)
    refusals += conflicts.macs(view, fitting, scope, sharing)
    refusals += conflicts.addresses(view, fitting, scope)
    refusals += conflicts.of_devices(view, fitting, scope)
    refusals += reserved.refusals(view, fitting, kept)
    known = {} if networks is None else networks
    missing = list(sources.missing(host, fitting, scope, known, leaving))  # which also looks the networks up
    pools = frozenset(name for name, network in known.items() if network.is_pool)
    refusals += conflicts.ports(view, fitting, scope, pools, [each.net.address for each in kept if each.net.address])
    refusals += conflicts.memory(view, fitting, scope, pools)
    refusals += conflicts.models(host, view, fitting)
    refusals += sources.lacking(view.domain, fitting, known)
    if Half.LIVE in scope.halves:
        refusals += conflicts.hidden_macs(view, fitting)
    return tuple(dict.fromkeys((*refusals, *missing)))


def check_update(
    host: Host,
    view: DomainView,
    after: Interface,
    changed: Collection[str],
    scope: Scope = Scope.LIVE,
    *,
    leaving: Interface | None = None,
) -> tuple[Refusal, ...]:
    """What speaks against a NIC of `view` becoming `after`, of which the fields `changed` are new.

    `leaving` is the NIC that `after` replaces as a whole, gone by then.
    """
    if "alias" in changed:
        message = (
            f"An update keeps the alias, so the NIC cannot become {after.alias}. Leave the alias as it is, or "
            "detach the NIC and attach it with the other one."
        )
        return (refusal(NotSupported.reason, after, message),)
    if found := _element(after):
        return found
    refusals: list[Refusal] = []
    for field, refuse in (("mac", conflicts.macs), ("teaming", conflicts.teaming), ("address", conflicts.addresses)):
        refusals += refuse(view, [after], scope) if field in changed else ()
    refusals += conflicts.models(host, view, [after]) if "model" in changed else ()
    is_elsewhere = not _CONNECTION.isdisjoint(changed)
    networks: dict[str, Network] = {}
    if is_elsewhere or (leaving is not None and backend_of(leaving).is_lent):
        refusals += sources.missing(host, [after], scope, networks, leaving)
        pools = [name for name, network in networks.items() if network.is_pool]
        if leaving is not None and backend_in(after, pools).is_lent:
            refused = [name for name in NOT_OF_A_VF if name in changed and getattr(after, name) is not None]
            names = ", ".join(refused).replace("_", " ")
            message = f"{describe(after)} is an assigned PCI device, which has no {names}. Leave that out."
            refusals += [refusal(NotSupported.reason, after, message)] if refused else []
        if leaving is not None and not backend_of(leaving).locks_memory:
            refusals += conflicts.memory(view, [after], scope, pools)
    its_own = {"type"} if is_elsewhere else set()
    return (*refusals, *sources.lacking(view.domain, [after], networks, its_own.union(changed)))


def check_scope(view: DomainView, scope: Scope) -> tuple[Refusal, ...]:
    """What speaks against touching the definitions of `scope` at all."""
    name, state = view.domain.name, view.state
    found: dict[str, str] = {}
    if Half.LIVE in scope.halves and not state.is_active:
        found[DomainNotRunning.reason] = (
            f"Domain {name} is not running, so nothing can be hot-plugged into it. "
            "Start it, or change its definition alone with `scope=Scope.CONFIG`."
        )
    if Half.CONFIG in scope.halves and not state.persistent:
        found[DomainTransient.reason] = (
            f"Domain {name} is transient: it has no persistent definition to change. Use `scope=Scope.LIVE`."
        )
    if Half.LIVE in scope.halves and state.is_between_hosts and not state.job:
        reason = "guest-between-hosts"
        found[reason] = (
            f"Domain {name} is paused for a migration that nobody goes on with, and its guest may run on the other host. See whether it does. "
            f"If so, change its NICs there, and 'virsh destroy {name}' removes what is left here; else 'virsh resume {name}' lets it run on here."
        )
    if state.job:
        found[DomainBusy.reason] = (
            f"Domain {name} is busy with a job ({state.job}); NICs cannot be changed under it. "
            f"Wait until it has ended ('virsh domjobinfo {name}')."
        )
    return tuple(Refusal(reason=reason, message=message) for reason, message in found.items())


def _element(net: Interface) -> tuple[Refusal, ...]:
    """What makes an element no candidate at all: then nothing more is checked of it."""
    try:
        if net.element:
            xml.validate(net.element)
    except XmlInvalid as error:
        message = f"libvirt on this host would not take the element of {describe(net)}: {error.message}"
        return (refusal(error.reason, net, message),)
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The answer to a request. `there` are the NICs if all of them are there already; `nets` have MACs and aliases, `actuals` is what libvirt makes of them."""

    nets: tuple[Interface, ...]
    refusals: tuple[Refusal, ...] = ()
    there: Sequence[DomainNic] = ()
    actuals: tuple[ActualDevice, ...] = ()


def examine(host: Host, view: DomainView, nets: tuple[Interface, ...], scope: Scope) -> Examined:
    """Examine the request against the domain, its open operations and the host. Nothing is touched."""
    records = host.journal.open_operations(host.hypervisor.key, view.domain.uuid, "")
    kept = reservations(records, view.domain.uuid)
    if refusals := _unsettled(view, nets, records):
        return Examined(nets=placed(view, tuple(map(request.name, nets)), kept), refusals=refusals)
    if there := _already(host, view, nets, scope):
        return Examined(nets=nets, refusals=tuple(reserved.refusals(view, nets, kept)), there=there)
    networks: dict[str, Network] = {}
    refusals = check_attach(host, view, nets, scope, networks=networks, kept=kept)
    pools = [source for source, network in networks.items() if network.is_pool]
    nets = placed(view, tuple(map(request.name, nets)), kept, pools)
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


def _is_same(asked: Interface, there: Interface, pools: Mapping[str, str]) -> bool:
    """Same alias and MAC, as far as the request names them (it must name one), and the same source."""
    if asked.mac is None and asked.alias is None:
        return False
    if asked.mac not in (None, there.mac) or asked.alias not in (None, there.alias):
        return False
    if backend_of(there).is_lent and asked.type == "network":
        return pools.get(there.alias or "") == asked.source_network
    kind = "network" if there.source_network is not None else there.type  # live, its type is what came of its network
    return (asked.type, asked.source) == (kind, there.source)
