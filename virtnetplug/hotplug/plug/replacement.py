"""Replacing a NIC of a running guest by another of the same MAC and guest address: old out, its device returned, new in.

The new NIC has the alias of the old one, or one of ours where that was made by libvirt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from typing import Any

from virtnetplug import xml
from virtnetplug.backends import Order, backend_for, backend_of
from virtnetplug.errors import NetworkMissing, NotApplied
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.waiting import Wait
from virtnetplug.hotplug.check.request import edited, name
from virtnetplug.hotplug.engine.operation import Site
from virtnetplug.hotplug.engine.transaction import Transaction, Undos
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.look.view import has_source_of
from virtnetplug.hotplug.plug.edit import Edit, check_applied
from virtnetplug.hotplug.plug.last_seen import as_defined, as_seen, expect_same_source, keep_end
from virtnetplug.hotplug.plug.plugging import Part, parts, plug
from virtnetplug.hotplug.plug.reinstatement import held_of
from virtnetplug.hotplug.plug.release import GuestRelease, steps_out
from virtnetplug.hotplug.plug.undoing import Leaving, of_ask, of_plug
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.holding import Setting
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Half, Phase
from virtnetplug.ports.domain import Domain, GuestEvent
from virtnetplug.resolve import resolve

_SOURCES = ("type", "managed", "source_")


def actual_of(host: Host, net: Interface) -> ActualDevice:
    """What libvirt would make of the new NIC; raises what `resolve` and looking up its network raise."""
    if net.type == "network" and net.source_network is None:
        raise NetworkMissing("the NIC names no network")
    return resolve(net, host.networks.network(net.source_network or "") if net.type == "network" else None)


def holder_of(host: Host, net: Interface) -> str:
    """The type that decides which settings the NIC can hold (see `policy.identity.take`)."""
    actual = actual_of(host, net)
    return actual.type if backend_for(actual).is_lent else net.type


def steps_of(edit: Edit, actual: ActualDevice, alias: str) -> list[Part]:
    """Its steps, for plans and the journal."""
    return [
        *steps_out(edit.before, alias),
        *parts(backend_for(actual), edit.after.alias or alias, _settings(edit, actual)),
        ("confirm", alias, Phase.PLUG, Half.LIVE),
    ]


def named(edit: Edit) -> Edit:
    """The edit with a lasting alias for the new NIC, where the old one has none: libvirt would make one that nobody knows beforehand."""
    if is_lasting(edit.after.alias):
        return edit
    return dataclasses.replace(edit, after=name(edited(edit.after, {"alias": None})))


def request_of(host: Host, domain: Domain, edit: Edit, actual: ActualDevice) -> dict[str, Any]:
    """What the journal keeps of it beside the two elements."""
    return {
        "type": actual.type,
        "settings": dict(_settings(edit, actual)),
        "old": held_of(host, domain, edit.before),
    }


def _settings(edit: Edit, actual: ActualDevice) -> Mapping[str, Setting]:
    """What the new device is to have: as the old one, or as an attach would ask."""
    backend = backend_for(actual)
    return edit.kept if edit.kept and backend.is_lent else backend.settings_of(edit.after)


def live_as_seen(request: Mapping[str, Any], alias: str) -> dict[str, Any]:
    """What the request has of the guest's NIC, with what was last seen of the leaving NIC. The new NIC has that, too, but for the change."""
    live = request[Half.LIVE.value]
    before = as_seen(request, alias, live["before"])
    return {**live, "before": before, "after": xml.merged(before, live["before"], live["after"])}


def config_as_defined(request: Mapping[str, Any], alias: str) -> dict[str, Any]:
    """What the request has of the definition, with what was changed there of a NIC that the operation takes out to give it another MAC."""
    config = request[Half.CONFIG.value]
    before = as_defined(request, alias, config["before"])
    return {**config, "before": before, "after": xml.merged(before, config["before"], config["after"])}


class Replacement:
    """One replacement on its way, fresh or taken up again."""

    def __init__(self, host: Host, domain: Domain, release: GuestRelease, alias: str) -> None:
        self.host, self.domain, self.release = host, domain, release
        self.alias = alias

    def run(self, tx: Transaction, live: Mapping[str, Any]) -> Generator[Wait, GuestEvent | None, bool]:
        """Old out, new in at the same guest address; False if the guest still holds the old one."""
        if not (yield from self.release.out(tx, self.alias, live["before"], "replaced")):
            return False
        if not has_source_of(xml.interface(live["before"]), xml.interface(live["after"])):
            expect_same_source(tx, self.alias, live["before"])
        live = live_as_seen(tx.record.request, self.alias)
        net = xml.interface(xml.strip_live(live["after"]))
        actual = actual_of(self.host, net)
        order = Order(
            domain=self.domain,
            run=self.release.run,
            net=net,
            actual=actual,
            operation_id=tx.record.id,
            settings=live.get("settings", {}),
        )
        plugged = plug(self.host, tx, backend_for(actual), order, has_waited=True)
        keep_end(tx, tx.note("confirm", self.alias, lambda: self._confirm(live, plugged)))
        return True

    def _confirm(self, live: Mapping[str, Any], plugged: Interface) -> Interface:
        alias = plugged.alias or self.alias
        now = guest.net_of(self.domain, alias)
        if now is None:
            raise NotApplied(f"after the change the guest's live definition has no {alias}")
        changed = live["changed"]
        if backend_of(plugged).is_lent:  # its element names the device, whatever was asked for
            check_applied(plugged, now, [name for name in changed if not name.startswith(_SOURCES)])
        else:
            check_applied(xml.interface(live["after"]), now, changed)
        return now


def undos(
    site: Site, tx: Transaction, alias: str, live: Mapping[str, Any], config: Mapping[str, Any] | None = None
) -> Undos:
    """The undos of a replacement: new out, old in again. `config` is the same change of the definition."""
    backend, new = backend_for(ActualDevice(type=live.get("type", "network"))), xml.interface(live["after"])
    followers = [(backend.attach_step, new)]
    leaving = Leaving(alias, live["before"], config["before"] if config is not None else None)
    rewritten = None if config is None else (xml.interface(config["before"]), xml.interface(config["after"]))
    return {
        **of_plug(site, tx, backend, new, left=[leaving], rewritten=rewritten),
        **of_ask(site, tx, leaving, old=live.get("old"), followers=followers),
    }
