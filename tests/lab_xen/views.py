"""What xenstore, dom0, libvirt and the journal show: taken before, and the same again after."""

from __future__ import annotations

import os
from typing import Any

import libvirt

from tests.lab_xen import store
from tests.lab_xen.guest import Guest
from virtnetplug import Plugger, Scope


def everything(plugger: Plugger, lab: Guest) -> dict[str, Any]:
    """All views of the guest's NICs; of xenstore which areas there are, with what the toolstack wrote into them."""
    domain_id, network = lab.dom.ID(), lab.dom.connect().networkLookupByName("lab")
    areas = f"/libxl/{domain_id}/device/vif", f"/local/domain/0/backend/vif/{domain_id}"
    return {
        "areas": [store.list_all(area) for area in (*areas, f"/local/domain/{domain_id}/device/vif")],
        "links": sorted(os.listdir("/sys/class/net")),
        "bridge": sorted(os.listdir("/sys/class/net/xenbr0/brif")),
        "bound": sorted(place.name for place in store.DRIVER.glob("vif-*")),
        "ports": [port.UUIDString() for port in network.listAllPorts()],
        "live": lab.dom.XMLDesc(0),
        "config": lab.dom.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE),
        "nics": [nic.alias for nic in plugger._host.journal.nics()],
        "open": [record.id for record in plugger._host.journal.open_operations()],
    }


def assert_back(plugger: Plugger, lab: Guest, before: dict[str, Any], what: str = "") -> None:
    """All is as it was, view by view."""
    now = everything(plugger, lab)
    differing = [f"{view}: {was} became {now[view]}" for view, was in before.items() if now[view] != was]
    assert not differing, "\n".join([what, *differing])


def take_all_out(plugger: Plugger) -> None:
    """Detach whatever the guest has beside its first NIC, from wherever it is, and settle what is left."""
    for nic in plugger.list("lab"):
        if nic.alias != "ua-first":
            plugger.detach("lab", nic.alias or "", scope=scope_of(nic.live, nic.config))
    plugger.recover()


def scope_of(live: bool, config: bool) -> Scope:
    """The scope of a NIC that is in these definitions."""
    return Scope.BOTH if live and config else Scope.LIVE if live else Scope.CONFIG
