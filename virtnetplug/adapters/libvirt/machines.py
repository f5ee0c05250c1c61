"""Virtual machines of virtnetplug's own: those the demonstration boots. Never a user's."""

from __future__ import annotations

import libvirt

from virtnetplug.adapters.libvirt import loop
from virtnetplug.adapters.libvirt.connection import dial
from virtnetplug.adapters.libvirt.faults import translated


class Machines:
    """Starts and ends the domains of one embedded driver, which has no others."""

    def __init__(self, uri: str) -> None:
        loop.start()
        self._connection = dial(uri)

    def start(self, xml: str) -> None:
        with translated(self._connection):
            self._connection.defineXML(xml).create()

    def reset(self, name: str) -> None:
        with translated(self._connection):
            self._connection.lookupByName(name).reset(0)

    def close(self) -> None:
        """End and forget every domain of the connection."""
        for domain in self._connection.listAllDomains(0):
            self._end(domain)

    def _end(self, domain: libvirt.virDomain) -> None:
        with translated(self._connection):
            if domain.isActive():
                domain.destroy()
            domain.undefine()
