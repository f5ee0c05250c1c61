"""Why an attach cannot work, and what to do about it: refused before anything is touched, and all of it at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from virtnetplug import xml
from virtnetplug.errors import DomainBusy, DomainNotRunning, DomainTransient, NotSupported, XmlInvalid
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check import fit, reserved, sources
from virtnetplug.hotplug.check.reserved import Reservation
from virtnetplug.hotplug.look import lacking
from virtnetplug.hotplug.look.view import DomainView, describe
from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half, Refusal, Scope

_CONNECTION = frozenset({"type", "source_network", "source_bridge", "source_dev", "source_pci", "source_portgroup"})

NOT_OF_A_VF = ("bandwidth_inbound", "bandwidth_outbound", "model", "driver_queues", "coalesce_rx_frames")
"""Fields that libvirt drops from an assigned device, or refuses once it runs."""


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
    are no obstacle: they had it beside that NIC before. Networks that are
    looked up are added to `networks`, so that the caller need not ask for them again. `kept` are the NICs of open operations.
    """
    refusals = [*check_scope(view, scope)]
    fitting = []
    for net in nets:
        found = [*_element(net)]
        refusals += found
        if not found:
            fitting.append(net)
    for refuse in (fit.aliases, fit.teaming, partial(fit.macs, sharing=sharing), fit.addresses, fit.of_devices):
        refusals += refuse(view, fitting, scope)
    refusals += reserved.refusals(view, fitting, kept)
    known = {} if networks is None else networks
    missing = list(sources.missing(host, fitting, scope, known, leaving))  # which also looks the networks up
    pools = frozenset(name for name, network in known.items() if network.forward == "hostdev")
    refusals += fit.ports(view, fitting, scope, pools, [each.net.address for each in kept if each.net.address])
    refusals += fit.memory(view, fitting, scope, pools)
    refusals += fit.models(host, view, fitting)
    refusals += lacking.of_hypervisor(view.domain, fitting, known)
    if Half.LIVE in scope.halves:
        refusals += lacking.hidden(view, fitting)
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
    return tuple(_update(host, view, after, changed, scope, leaving))


def _update(
    host: Host,
    view: DomainView,
    net: Interface,
    changed: Collection[str],
    scope: Scope,
    leaving: Interface | None,
) -> Iterator[Refusal]:
    if "alias" in changed:
        yield Refusal(
            reason=NotSupported.reason,
            nic=describe(net),
            message=f"An update keeps the alias, so the NIC cannot become {net.alias}. Leave the alias as it is, or "
            "detach the NIC and attach it with the other one.",
        )
        return
    if found := tuple(_element(net)):
        yield from found
        return
    for field, refuse in (("mac", fit.macs), ("teaming", fit.teaming), ("address", fit.addresses)):
        if field in changed:
            yield from refuse(view, [net], scope)
    if "model" in changed:
        yield from fit.models(host, view, [net])
    is_elsewhere = not _CONNECTION.isdisjoint(changed)
    networks: dict[str, Network] = {}
    if is_elsewhere or (leaving is not None and leaving.is_hostdev):
        yield from sources.missing(host, [net], scope, networks, leaving)
        network = networks.get(net.source_network or "")
        if leaving is not None and (net.is_hostdev or (network is not None and network.forward == "hostdev")):
            yield from _not_of_a_vf(net, changed)
            if not leaving.is_hostdev:
                yield from fit.memory(view, [net], scope, [network.name] if network is not None else [])
    its_own = {"type"} if is_elsewhere else set()
    yield from lacking.of_hypervisor(view.domain, [net], networks, its_own.union(changed))


def _not_of_a_vf(net: Interface, changed: Collection[str]) -> Iterator[Refusal]:
    """What is asked of an assigned device that none has, and that would silently come to nothing."""
    if asked := [name for name in NOT_OF_A_VF if name in changed and getattr(net, name) is not None]:
        names = ", ".join(asked).replace("_", " ")
        yield Refusal(
            reason=NotSupported.reason,
            nic=describe(net),
            message=f"{describe(net)} is an assigned PCI device, which has no {names}. Leave that out.",
        )


def check_scope(view: DomainView, scope: Scope) -> tuple[Refusal, ...]:
    """What speaks against touching the definitions of `scope` at all."""
    return tuple(_scope(view, scope))


def _scope(view: DomainView, scope: Scope) -> Iterator[Refusal]:
    name = view.domain.name
    if Half.LIVE in scope.halves and not view.state.is_active:
        yield Refusal(
            reason=DomainNotRunning.reason,
            message=f"Domain {name} is not running, so nothing can be hot-plugged into it. "
            "Start it, or change its definition alone with `scope=Scope.CONFIG`.",
        )
    if Half.CONFIG in scope.halves and not view.state.persistent:
        yield Refusal(
            reason=DomainTransient.reason,
            message=f"Domain {name} is transient: it has no persistent definition to change. Use `scope=Scope.LIVE`.",
        )
    if Half.LIVE in scope.halves and view.state.is_between_hosts and not view.state.job:
        yield Refusal(
            reason="guest-between-hosts",
            message=f"Domain {name} is paused for a migration that nobody goes on with, and its guest may run on the other host. See whether it does. "
            f"If so, change its NICs there, and 'virsh destroy {name}' removes what is left here; else 'virsh resume {name}' lets it run on here.",
        )
    if view.state.job:
        yield Refusal(
            reason=DomainBusy.reason,
            message=f"Domain {name} is busy with a job ({view.state.job}); NICs cannot be changed under it. "
            f"Wait until it has ended ('virsh domjobinfo {name}').",
        )


def _element(net: Interface) -> Iterator[Refusal]:
    """What makes an element no candidate at all. Then nothing more of it is checked."""
    name = describe(net)
    try:
        if net.element:
            xml.validate(net.element)
    except XmlInvalid as error:
        message = f"libvirt on this host would not take the element of {name}: {error.message}"
        yield Refusal(reason=error.reason, nic=name, message=message)
