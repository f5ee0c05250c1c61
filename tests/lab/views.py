"""What host, pools, journal and guest show: taken before, and the same again after."""

from __future__ import annotations

import json
import subprocess
from typing import Any
from xml.etree import ElementTree

import libvirt

from tests.lab import sriov
from tests.real import guests
from virtnetplug import Plugger
from virtnetplug.adapters.linux.host_devices import LinuxHostDevices
from virtnetplug.lifecycle import State

POOLS = ("pool0", "pool1")


def host_state() -> dict[str, Any]:
    """Driver and every setting of every VF, but its interface's name, which changes at each rebind."""
    devices = LinuxHostDevices()
    return {
        str(device.address): (device.driver, device.netdev is not None, devices.settings(device.address))
        for device in devices.devices()
        if device.is_vf
    }


def ports(plugger: Plugger) -> dict[str, list[str]]:
    """The devices that each pool says it has lent."""
    networks = plugger._host.networks
    return {pool: sorted(str(port.host_address) for port in networks.ports(pool)) for pool in POOLS}


def frontend(plugger: Plugger, name: str, alias: str = "ua-vf1") -> State:
    """What virtnetplug says of the guest's end of a NIC."""
    return plugger.show(name, alias).nic.frontend


def everything(plugger: Plugger, vm: guests.Guest) -> dict[str, Any]:
    """All views of them, and both definitions of one guest."""
    return {
        "host": host_state(),
        "ports": ports(plugger),
        "held": list(plugger._host.journal.holdings()),
        "open": [record.id for record in plugger._host.journal.open_operations()],
        "live": vm.dom.XMLDesc(0).replace("  <metadata/>\n", "")
        if vm.dom.isActive()
        else "",  # libvirt leaves it empty
        "config": vm.dom.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE),
    }


def assert_back(plugger: Plugger, vm: guests.Guest, before: dict[str, Any], what: str = "") -> None:
    """All is as it was, view by view."""
    now = everything(plugger, vm)
    differing = [f"{view}: {_difference(was, now[view])}" for view, was in before.items() if now[view] != was]
    assert not differing, "\n".join([what, *differing])


def _difference(was: Any, now: Any) -> str:
    if isinstance(was, dict) and isinstance(now, dict):
        return "; ".join(
            f"{key}: {was.get(key)} became {now.get(key)}" for key in was | now if was.get(key) != now.get(key)
        )
    return f"{was} became {now}"


def take_all_out(plugger: Plugger, name: str) -> None:
    """Detach whatever the guest has, a transient half with its partner, and settle what is left."""
    # one that is not live is gone already: its VF is in quarantine because a look at the host had to fail
    aliases = [nic.alias or "" for nic in plugger.list(name) if nic.live]
    if aliases:
        plugger.detach(name, aliases, wait=600)
    plugger.recover(wait=600)


# -- with other eyes than the program's ----------------------------------------------------------


def connections(connection: libvirt.virConnect, network: str) -> int:
    """What a network's definition counts as its users."""
    root = ElementTree.fromstring(connection.networkLookupByName(network).XMLDesc())
    return int(root.get("connections", "0"))


def vf_lines() -> dict[str, Any]:
    """What ``ip link show PF`` says of every VF."""
    found = {}
    for pf in sriov.pfs():
        (name,) = sriov.net_names(pf)
        said = subprocess.run(["ip", "-json", "link", "show", name], check=True, capture_output=True)
        lines = json.loads(said.stdout)[0]["vfinfo_list"]
        found |= dict(zip(sriov.vfs(pf), lines, strict=True))
    return found
