"""Rebind: change what is behind a NIC of a running guest, its network, bridge or VLAN, while its connections live.

libvirt makes the change itself (``qemuDomainChangeNetBridge``): the tap leaves one bridge and joins another, and the guest sees nothing of it.
What libvirt leaves out is done here. The NIC takes nothing along that it only had of its old network. Its port forwards as the new network
says. All who talk to the NIC learn where it is now.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any

from virtnetplug import xml
from virtnetplug.backends import backend_of
from virtnetplug.errors import DomainNotRunning, UsageError, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change import heal, update
from virtnetplug.hotplug.engine.operation import Site
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.transaction import Transaction, Undos
from virtnetplug.hotplug.guest import definition, guest
from virtnetplug.hotplug.look.backing import backing_of, elsewhere, foreign
from virtnetplug.hotplug.look.find import find, in_guest
from virtnetplug.hotplug.look.recognition import end_of
from virtnetplug.hotplug.look.view import BOTH, DomainNic, carried, has_source_of, look
from virtnetplug.hotplug.plug.announcement import announce
from virtnetplug.hotplug.plug.last_seen import is_put_in
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Scope
from virtnetplug.ports.domain import Domain
from virtnetplug.resolve import resolve

KIND = "move"
"""What the journal calls it, among the kinds of a rebind."""

FIELDS = frozenset(
    {
        *("type", "source_network", "source_bridge", "source_dev", "source_mode", "source_portgroup", "source_portid"),
        *("vlan", "virtualport", "port_isolated"),
    }
)
"""What can be named: what is behind the NIC. The rest of it is for `update`."""

INHERITED = (
    "vlan",
    "virtualport",
    "bandwidth_inbound",
    "bandwidth_outbound",
    "port_isolated",
    "trust_guest_rx_filters",
)
"""Fields that a live NIC shows although only its network or portgroup says them."""

FLAP = 1.2
"""Seconds a link is down that is asked to flap. Linux tells of a link's changes once a second at most (``linkwatch``)."""


class _Move(update.UpdateRun):
    """A change in place that is also completed and looked at on the host, and announced to the network."""

    def confirm(self, live: Mapping[str, Any]) -> None:
        tx, alias, is_local = self.tx, self.alias, self.host.hypervisor.is_local
        if is_local:  # at once: until others know where the NIC is now, what they send is lost
            announce(self.host, xml.interface(live["before"]), tx)
        now = tx.note("confirm", alias, lambda: self.applied(live))
        if is_local:  # what the first step does goes with the change, if that is undone
            tx.note("join_bridge", alias, lambda: _complete(self.host, self.domain, now))
            tx.note("verify", alias, lambda: heal.verify(self.host, self.domain, now))
        if any(step.name == "flap_link" for step in tx.steps):
            tx.effect("flap_link", alias, lambda: _flap(self.domain, now), half=Half.LIVE)


def _complete(host: Host, domain: Domain, net: Interface) -> None:
    """Do what libvirt leaves out: it writes nothing into the new bridge's forwarding table (``qemuDomainChangeNetBridge``)."""
    backing = backing_of(host, domain, net)
    if backing.lacks_bridge and backing.tap is not None and backing.tap.master == net.source_bridge:
        heal.join_bridge(host, backing)


def inherited(host: Host, live: Interface, config: Interface | None) -> tuple[str, ...]:
    """The fields that the live NIC has of its network alone: the network says them, and the definition of the next boot does not."""
    if live.source_network is None:
        return ()
    try:
        network = dataclasses.replace(host.networks.network(live.source_network), active=True)
        nothing: dict[str, Any] = dict.fromkeys(INHERITED)
        actual = resolve(dataclasses.replace(live, type="network", **nothing), network)
    except VirtnetplugError:
        return ()
    found = [name for name in INHERITED if getattr(live, name) is not None]
    return tuple(
        name
        for name in found
        if getattr(live, name) == getattr(actual, name) and (config is None or getattr(config, name) is None)
    )


def _flap(domain: Domain, net: Interface) -> None:
    if net.link_state == "down":
        return
    domain.update(xml.strip_live(xml.edit(net.element, {"link_state": "down"})), Half.LIVE)
    with domain.watch() as watch:
        watch.next(FLAP)
    domain.update(xml.strip_live(net.element), Half.LIVE)


def _end_flap(site: Site, tx: Transaction, alias: str, after: Interface) -> None:
    """Set the link up that a flap has left down; does nothing if the guest has another NIC there by now."""
    down = xml.edit(after.element, {"link_state": "down"})
    now = carried(guest.nets_of(site.domain), after)
    if now is not None and has_source_of(now, after) and not is_put_in(site.domain, tx, alias, now, end_of(after)):
        definition.change(site.domain, now, down, after.element)


@dataclass(eq=False)
class Rebind(update.Update):
    """Connect the NIC as `changes` say, and no more. A NIC that is connected so already, but cut off, is healed.

    The undo of an update also undoes what the host has behind the NIC.
    """

    is_governed = False
    name, kind, runner = "rebind", KIND, _Move

    changes: Mapping[str, Any]
    _: KW_ONLY
    flap_link: bool = False

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        nic = self._look(domain)
        net = nic.net
        has_tap = host.hypervisor.is_local and net.target_dev is not None and not backend_of(net).is_lent
        backing = backing_of(host, domain, net) if has_tap else None
        # what is behind the NIC must be its own; that something is missing there is no obstacle
        refusals = (*foreign(backing, is_held=False), *elsewhere(backing)) if backing is not None else ()
        wanted = self.prepared(host, domain, inherited(host, net, nic.config))
        if refusals:
            return dataclasses.replace(wanted, refusals=(*refusals, *wanted.refusals), steps=())
        if wanted.already is not None and host.hypervisor.is_local and not backing_of(host, domain, net).is_whole:
            return heal.Heal(self.nic).prepare(host, domain)
        return wanted

    def _look(self, domain: Domain) -> DomainNic:
        if not self.changes or not FIELDS.issuperset(self.changes):
            more = ", ".join(sorted(set(self.changes) - FIELDS)).replace("_", "-")
            raise UsageError(
                f"rebind changes what is behind a NIC; {more} is for `update()`"
                if more
                else "say what to connect the NIC to: a network or a bridge, or its VLAN"
            )
        if self.scope is Scope.CONFIG:
            raise UsageError("rebind is for a running guest; `update(scope=Scope.CONFIG)` changes the definition alone")
        view = look(domain, BOTH)
        if not view.state.is_active:
            raise DomainNotRunning(
                f"domain {domain.name} is not running, so nothing is behind its NICs; start it, or change its definition with "
                "`update(scope=Scope.CONFIG)`"
            )
        nic = find(view, self.nic, (self.scope or Scope.LIVE).halves)
        in_guest(view, nic)
        return nic

    def after_change(self, host: Host) -> Sequence[str]:
        on_host = ("join_bridge", "verify") if host.hypervisor.is_local else ()
        return ("confirm", *on_host, *(("flap_link",) if self.flap_link else ()))

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        """See `Operation.undos`. Once a link has been up again after a flap, there is nothing to undo of the flap."""
        found = super().undos(site, tx)
        alias = tx.record.request["nics"][0]["alias"]
        if ("change", alias) not in found or tx.is_done("flap_link", alias):
            return found
        after = tx.record.request[Half.LIVE.value]["after"]
        return {**found, ("flap_link", alias): partial(_end_flap, site, tx, alias, xml.interface(after))}

    @classmethod
    def complete_undo(cls, site: Site, net: Interface) -> None:
        now = guest.there(site.domain, net)
        if site.host.hypervisor.is_local and now is not None:
            _complete(site.host, site.domain, now)
