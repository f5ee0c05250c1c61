"""More pools of VFs than the lab has from the start."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import libvirt

_numbers = itertools.count(1)


@contextmanager
def pool(connection: libvirt.virConnect, source: str, *, managed: str = "", active: bool = True) -> Iterator[str]:
    """A ``<forward mode='hostdev'>`` network with `source` (``<pf>``, or addresses) in it, by name; removed at the end."""
    name = f"more{next(_numbers)}"
    said = f" managed='{managed}'" if managed else ""
    xml = f"<network><name>{name}</name><forward mode='hostdev'{said}>{source}</forward></network>"
    network = connection.networkDefineXML(xml)
    try:
        if active:
            network.create()
        yield name
    finally:
        with suppress(libvirt.libvirtError):
            network.destroy()
        network.undefine()
