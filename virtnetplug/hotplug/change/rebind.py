"""Rebind: change what is behind a NIC of a running guest, its network, bridge or VLAN, while its connections live.

The change itself is libvirt's (``qemuDomainChangeNetBridge``): the tap leaves one bridge and joins another, the guest sees nothing of it.
What libvirt leaves out is done here. The NIC takes nothing along that came from its old network alone. Its port forwards as the new network says, and
all who talk to the NIC learn where it is now.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from virtnetplug import xml
from virtnetplug.errors import NicMissing, UsageError, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change import heal, update
from virtnetplug.hotplug.engine.operation import Site
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.transaction import Transaction, Undos
from virtnetplug.hotplug.guest import compensation, guest
from virtnetplug.hotplug.look.backing import backing_of, elsewhere, foreign
from virtnetplug.hotplug.look.strangers import end_of
from virtnetplug.hotplug.look.view import BOTH, carried, describe, find, has_source_of, look
from virtnetplug.hotplug.plug.introduction import introduce
from virtnetplug.hotplug.plug.last_seen import is_put_in
from virtnetplug.hotplug.plug.plugging import Part
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase, Refusal, Scope
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


def undos(site: Site, tx: Transaction) -> Undos:
    """What takes the steps of a rebind back."""
    return update.undos(site, tx, _Move(site.host, None, None))


def _look(
    domain: Domain, selector: str, changes: Mapping[str, Any], scope: Scope | None
) -> tuple[Interface, Interface | None]:
    if not changes or not FIELDS.issuperset(changes):
        more = ", ".join(sorted(set(changes) - FIELDS)).replace("_", "-")
        raise UsageError(
            f"rebind changes what is behind a NIC; {more} is for `update()`"
            if more
            else "say what to connect the NIC to: a network or a bridge, or its VLAN"
        )
    if scope is Scope.CONFIG:
        raise UsageError("rebind is for a running guest; `update(scope=Scope.CONFIG)` changes the definition alone")
    view = look(domain, BOTH)
    live, config = find(view, selector, (scope or Scope.LIVE).halves)
    if live is None and view.state.is_active:
        raise NicMissing(f"NIC {describe(config)} of domain {domain.name} is not in its live definition")
    return live or config, config  # type: ignore[return-value]  # one of a pair is always there


def _refusals(host: Host, domain: Domain, live: Interface) -> tuple[Refusal, ...]:
    """What is behind it must be its own; that something is missing there is no obstacle."""
    if not host.hypervisor.is_local or live.target_dev is None or live.is_hostdev:
        return ()
    backing = backing_of(host, domain, live)
    return (*foreign(backing, is_held=False), *elsewhere(backing))


class _Move(update.Manner):
    """A change in place, checked on the host and announced to the network."""

    operation = "rebind"

    def __init__(
        self, host: Host, live: Interface | None, config: Interface | None, *, flap_link: bool = False
    ) -> None:
        self._host, self._flap_link = host, flap_link
        self._inherited = inherited(host, live, config) if live is not None else ()
        self.is_local = host.hypervisor.is_local

    def request(self) -> Mapping[str, Any]:
        return {"kind": KIND}

    def inherited(self) -> Collection[str]:
        return self._inherited

    def parts(self, alias: str) -> list[Part]:
        names = ["confirm"]
        if self.is_local:
            names += ["join_bridge", "verify"]
        if self._flap_link:
            names.append("flap_link")
        return [(name, alias, Phase.PLUG, Half.LIVE) for name in names]

    def confirm(self, tx: Transaction, alias: str, live: Mapping[str, Any], domain: Domain) -> None:
        if self.is_local:  # at once: until others know where the NIC is now, what they send is lost
            introduce(self._host, xml.interface(live["before"]), tx)
        now = tx.note("confirm", alias, lambda: update.applied(domain, alias, live, but=self._inherited))
        if self.is_local:
            tx.note(
                "join_bridge", alias, lambda: self._complete(domain, now)
            )  # it goes with the change, if that is undone
            tx.note("verify", alias, lambda: heal.verify(self._host, domain, now))
        if self._flap_link:
            tx.effect("flap_link", alias, lambda: _flap(domain, now), half=Half.LIVE)

    def change_back(self, domain: Domain, live: Mapping[str, Any]) -> None:
        super().change_back(domain, live)
        now = guest.there(domain, xml.interface(live["before"]), Half.LIVE)
        if self.is_local and now is not None:
            self._complete(domain, now)

    def undos(self, site: Site, tx: Transaction, alias: str, live: Mapping[str, Any]) -> Undos:
        if tx.is_done("flap_link", alias):  # the link is up again
            return {}
        return {("flap_link", alias): partial(_end_flap, site, tx, alias, live)}

    def _complete(self, domain: Domain, net: Interface) -> None:
        """What libvirt leaves out: it makes no forwarding table of the new bridge's (``qemuDomainChangeNetBridge``)."""
        backing = backing_of(self._host, domain, net)
        if backing.lacks_bridge and backing.tap is not None and backing.tap.master == net.source_bridge:
            heal.join_bridge(self._host, backing)


def inherited(host: Host, live: Interface, config: Interface | None) -> tuple[str, ...]:
    """Fields that the live NIC has of its network alone: as that says, and not in the definition of the next boot."""
    if live.source_network is None:
        return ()
    try:
        network = dataclasses.replace(host.networks.network(live.source_network), active=True)
        actual = resolve(_without(live), network)
    except VirtnetplugError:
        return ()
    found = [name for name in INHERITED if getattr(live, name) is not None]
    return tuple(
        name
        for name in found
        if getattr(live, name) == getattr(actual, name) and (config is None or getattr(config, name) is None)
    )


def _without(net: Interface) -> Interface:
    return dataclasses.replace(
        net, type="network", vlan=None, virtualport=None, bandwidth_inbound=None, bandwidth_outbound=None, port_isolated=None,
        trust_guest_rx_filters=None,
    )  # fmt: skip


def _flap(domain: Domain, net: Interface) -> None:
    if net.link_state == "down":
        return
    domain.update(xml.strip_live(xml.edit(net.element, {"link_state": "down"})), Half.LIVE)
    with domain.watch() as watch:
        watch.next(FLAP)
    domain.update(xml.strip_live(net.element), Half.LIVE)


def _end_flap(site: Site, tx: Transaction, alias: str, live: Mapping[str, Any]) -> None:
    """Put the link up that a flap has left down; nothing if the guest has another NIC there by now."""
    after = xml.interface(live["after"])
    down = xml.edit(after.element, {"link_state": "down"})
    now = carried(guest.nets_of(site.domain), after)
    if now is not None and has_source_of(now, after) and not is_put_in(site.domain, tx, alias, now, end_of(after)):
        compensation.change(site.domain, now, down, after.element)


class Rebind(update.Update):
    """Connect the NIC as `changes` say, and no more; one that is connected so, but cut off, is healed.

    Undone as an update is, and what the host has behind the NIC with it.
    """

    is_governed = False

    def __init__(
        self,
        nic: str,
        changes: Mapping[str, Any],
        *,
        scope: Scope | None = None,
        replace: bool = False,
        flap_link: bool = False,
    ) -> None:
        super().__init__(nic, changes, scope=scope, replace=replace)
        self.connection, self.flap_link = changes, flap_link

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        """See `Operation.prepare`."""
        live, config = _look(domain, self.nic, self.connection, self.scope)
        refusals = _refusals(host, domain, live)
        manner = _Move(host, live, config, flap_link=self.flap_link)
        wanted = update.prepared(
            host, domain, self.nic, self.changes, scope=self.scope, replace=self.replace, manner=manner
        )
        if refusals:
            return dataclasses.replace(wanted, refusals=(*refusals, *wanted.refusals), steps=())
        if wanted.already is not None and manner.is_local and not backing_of(host, domain, live).is_whole:
            return heal.Heal(self.nic).prepare(host, domain)
        return wanted

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        """See `undos`."""
        return undos(site, tx)


OPERATION = Rebind
