"""What a test that failed has left: its guests' VFs are taken from them and given back, so that one failure is not many."""

from __future__ import annotations

import time
from contextlib import suppress
from xml.etree import ElementTree

import libvirt

from tests.lab.views import POOLS

SECONDS = 20.0
"""A guest lets go within."""


def clear(connection: libvirt.virConnect) -> None:
    """No guest has a device of the host, and no pool says that it has lent one."""
    for dom in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        with suppress(libvirt.libvirtError):  # it ended
            _take_out(dom)
    for pool in POOLS:
        for port in connection.networkLookupByName(pool).listAllPorts():
            with suppress(libvirt.libvirtError):
                port.delete()


def _take_out(dom: libvirt.virDomain) -> None:
    for nic in (nics := _assigned(dom)):
        with suppress(libvirt.libvirtError):
            dom.detachDeviceFlags(nic, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    until = time.monotonic() + SECONDS
    while nics and (nics := _assigned(dom)) and time.monotonic() < until:
        time.sleep(0.2)
    if nics:
        dom.destroy()


def _assigned(dom: libvirt.virDomain) -> list[str]:
    found = ElementTree.fromstring(dom.XMLDesc()).findall("devices/interface[@type='hostdev']")
    return [ElementTree.tostring(nic, encoding="unicode") for nic in found]
