"""Attaching one NIC to a running guest: the backend's part, then the guest's part. Also restoring a NIC that the guest had a moment ago.

A NIC is restored in the process that took the NIC out, or in the process that recovers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from virtnetplug import xml
from virtnetplug.backends import Backend, Choice, Order, backend_for, backend_of, faults
from virtnetplug.backends.lending import held
from virtnetplug.backends.vf_settings import fields_from, put
from virtnetplug.errors import (
    DomainMissing,
    DomainNotRunning,
    HostDeviceBusy,
    NetworkInactive,
    NetworkMissing,
    NotApplied,
    NotSupported,
    VirtnetplugError,
    call,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check.reserved import SAME_MAC, expect_free
from virtnetplug.hotplug.engine.operation import Site
from virtnetplug.hotplug.engine.transaction import Transaction, record_of
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.assigned import as_in_run, lending_pool, set_in_run
from virtnetplug.hotplug.guest.ending import expect_run
from virtnetplug.hotplug.guest.guest import Answer
from virtnetplug.hotplug.look.open_operations import is_any_of
from virtnetplug.hotplug.look.view import DomainView, same
from virtnetplug.hotplug.plug.edit import of_pool
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.holding import Setting
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Half, OperationRecord, Phase, Scope, Step
from virtnetplug.ports.domain import Domain

T = TypeVar("T")

MOST_RACES = 8
"""How often a device may be lost to a domain started meanwhile before the operation gives up."""

Part = tuple[str, str, Phase, Half | None]


def steps_in(backend: Backend, alias: str, settings: Mapping[str, Setting], *, name: str = "") -> list[Part]:
    """The steps that attach a NIC with these settings (see `Order`) and look for it in the guest.

    `name` is what the last step calls the NIC, if that is not its alias.
    """
    own = [*backend.plug_steps, (backend.attach_step, Phase.PLUG)]
    own += [("change_device", Phase.PLUG)] if settings else []
    parts: list[Part] = [(step, alias, phase, Half.LIVE) for step, phase in own]
    return [*parts, ("confirm", name or alias, Phase.PLUG, Half.LIVE)]


def new_record(
    host: Host,
    view: DomainView,
    operation: str,
    scope: Scope,
    nets: Iterable[Interface | ActualDevice],
    request: dict[str, Any],
    steps: Sequence[Step],
) -> OperationRecord:
    """A new operation on a domain that was just looked at, for the journal; `nets` are the NICs that it changes."""
    types = [net.type for net in nets]
    domain, run = view.domain, view.run
    return record_of(host, operation, domain, run=run, scope=scope, device_types=types, request=request, steps=steps)


def plug(host: Host, tx: Transaction, order: Order, *, has_waited: bool = False) -> Interface:
    """Run those steps but for the last; returns the net as it went to the guest.

    Where a guest was waited for (`has_waited`), somebody may have taken the NIC's place: that raises `LeftPending`, see `expect_free`.
    """
    backend, alias = backend_for(order.actual), order.net.alias or ""

    def attach(element: str) -> None:
        if has_waited or backend.plug_steps:  # which take their time
            expect_run(order.domain, order.run, tx.record, alias, "attached")
        order.domain.attach(element, Half.LIVE)

    def configure(plugged: Interface) -> Interface:
        if order.settings:
            tx.effect("change_device", alias, partial(backend.configure, host, order, plugged), half=Half.LIVE)
        return plugged

    tx.warn(*faults())
    if (there := _plugged_before(tx, backend, order)) is not None:
        return configure(there)
    if has_waited:
        expect_free(order.domain, order.net, tx.record)
    for is_last in (False,) * MOST_RACES + (True,):
        undone_to = len(tx.undo)
        plugged = backend.plug(host, order, tx)
        try:
            act = partial(attach, plugged.element)
            tx.effect(backend.attach_step, alias, act, half=Half.LIVE, is_one_attach=True)
            break
        except HostDeviceBusy as busy:
            # another domain got that device meanwhile, or libvirt says so: release the device, and the pool lends the next one
            if is_last or order.net.source_pci is not None or tx.undo.unwind(undone_to):
                raise
            if plugged.source_pci is not None:
                order = replace(order, refused={**order.refused, plugged.source_pci: busy.message})
    return configure(plugged)


def expect_attached(nets: Sequence[Interface], alias: str) -> Interface:
    """The NIC of that alias among the nets of a guest; raises `NotApplied` if it is not there, whatever libvirt answered."""
    found = next((net for net in nets if net.alias == alias), None)
    if found is None:
        raise NotApplied(
            f"libvirt reported that {alias} was attached, but the guest's live definition does not have it"
        )
    return found


def _plugged_before(tx: Transaction, backend: Backend, order: Order) -> Interface | None:
    """The NIC as the guest has it, where this operation attached the NIC before it was cut off."""
    alias = order.net.alias or ""
    if not tx.was_begun(backend.attach_step, alias):
        return None
    there = guest.net_of(order.domain, alias)
    if there is None or there.mac != order.net.mac:
        return None
    tx.end(backend.attach_step, alias)
    return there


class _Unjournaled:
    """`backends.Steps` of an undo: the journal has no steps for it."""

    def note(self, name: str, nic: str, run: Callable[[], T], *, half: Half | None = None) -> T:
        return run()

    effect = note

    def warn(self, text: str) -> None:
        return


def restore(site: Site, operation: OperationRecord, element: str, old: Mapping[str, Any] | None = None) -> None:
    """Restore the NIC whose live element was `element`, unless the guest has ended. Raises `LeftPending` if somebody has its place (`expect_free`).

    An assigned device is lent again: the same device if nobody else has it. The device gets its settings, also if the guest has it already.
    `old` is what the journal held of the device, for the device may have been returned since. Without `old`, the device is still held, or was never ours.
    """
    host, domain, net = site.host, site.domain, xml.interface(element)
    if old is None:
        old = held_of(host, domain, net)
    try:
        domain.await_idle()  # what libvirt still does about the one that left must be over before its alias is used again
        answer = guest.look_for(domain, net, run=site.run)
        if answer is Answer.GONE and not _is_renamed(domain, net, operation):
            expect_free(domain, net, operation)
            if backend_of(net).is_lent and old is not None:
                _lend(site, operation, net, old)
            else:
                domain.attach(xml.strip_live(element), Half.LIVE)
        if answer is not Answer.ENDED and old is not None:
            _set(host, domain, _held_as(host, domain, net), old["settings"])
    except (DomainNotRunning, DomainMissing):
        return


def _held_as(host: Host, domain: Domain, net: Interface) -> str:
    """The alias that the NIC has by now, and that its device is held for."""
    there = None if is_lasting(net.alias) else guest.there(domain, net)
    if there is None or there.alias is None:
        return net.alias or ""
    for holding in host.journal.holdings():
        its = (holding.hypervisor, holding.domain_uuid, holding.alias, holding.address)
        if its == (host.hypervisor.key, domain.uuid, net.alias, there.source_pci) and there.alias != net.alias:
            host.journal.amend_holding(replace(holding, alias=there.alias), holding)
    return there.alias


def _is_renamed(domain: Domain, net: Interface, operation: OperationRecord) -> bool:
    """Whether the guest has the NIC under another alias: libvirt gives a NIC without a lasting alias the next free ``netN``.

    A NIC that may come at any address is none of the NICs that shared its MAC before.
    """
    if is_lasting(net.alias):
        return False
    others = operation.request.get(SAME_MAC, ()) if net.address is None else ()
    nets = guest.nets_of(domain)
    return same([now for now in nets if not is_any_of([now], others)], net) is not None


def held_of(host: Host, domain: Domain, net: Interface) -> dict[str, Any] | None:
    """What `restore` has to know of a NIC whose device is going to be returned; None if the device is neither ours nor a pool's.

    libvirt deletes the port that it made in a pool when the NIC leaves, and the live element does not name the pool.
    """
    if not backend_of(net).is_lent or net.source_pci is None:
        return None
    holding = held(host, domain, net.alias or "", net.mac, net.source_pci)
    if holding is not None:
        return {"network": holding.network, "settings": dict(as_in_run(host, domain, holding).settings)}
    pool = lending_pool(host, domain, net.source_pci) if host.hypervisor.is_local else None
    return None if pool is None else {"network": pool, "settings": {}}


def _lend(site: Site, operation: OperationRecord, net: Interface, old: Mapping[str, Any]) -> None:
    host, domain, run = site.host, site.domain, site.run
    if old["network"]:
        _expect_pool(host, domain, net, old["network"])
    wanted = xml.interface(xml.edit(xml.strip_live(net.element), fields_from(old["settings"])))
    actual = ActualDevice(
        type="hostdev",
        network=old["network"] or None,
        host_address=net.source_pci,
        vlan=wanted.vlan,
        virtualport=net.virtualport,
    )
    asked = of_pool(wanted, old["network"]) if old["network"] else wanted
    order = Order(
        domain=domain,
        run=run,
        net=replace(asked, alias=net.alias),  # by which it is held until libvirt has named it (`_held_as`)
        actual=actual,
        operation_id=operation.id,
        settings=old["settings"],
        choice=Choice(again=net.source_pci),
    )
    backend = backend_for(actual)
    try:
        plugged = backend.plug(host, order, _Unjournaled())
        expect_run(domain, run, operation, net.alias or "", "put back")
        domain.attach(plugged.element, Half.LIVE)
    except (DomainNotRunning, DomainMissing, NotApplied):
        backend.unplug(host, domain, order.net)
    except VirtnetplugError:
        if guest.look_for(domain, net, run=run) is not Answer.HELD:
            backend.unplug(host, domain, order.net)
        raise


def _expect_pool(host: Host, domain: Domain, net: Interface, name: str) -> None:
    """Raise, with a remedy, where the pool of the NIC's device lends none now."""
    needs = f"{net.alias} comes back with a device of network {name}, which is"
    then = f"Then {call('recover', domain.name)} puts {net.alias} into the guest again."
    try:
        network = host.networks.network(name)
    except NetworkMissing:
        raise NetworkMissing(f"{needs} not there. Define it as it was, and start it. {then}") from None
    if not network.is_pool:
        raise NotSupported(f"{needs} no pool of PCI devices any more. Define it as it was, and start it. {then}")
    if not network.active:
        raise NetworkInactive(f"{needs} not active: 'virsh net-start {name}'. {then}")


def _set(host: Host, domain: Domain, alias: str, settings: Mapping[str, Setting]) -> None:
    """Set the device that is held for the NIC and that its guest has; the journal's row names that device from now on. libvirt has set the VLAN."""
    there = guest.net_of(domain, alias)
    if there is None or there.source_pci is None:
        return
    if (holding := held(host, domain, alias, there.mac, there.source_pci)) is None:
        return
    for record in host.journal.nics(host.hypervisor.key, domain.uuid):
        if record.alias == alias and record.source != there.source:
            host.journal.put_nic(replace(record, source=there.source))
    put(host, set_in_run(host, domain, holding), settings)
