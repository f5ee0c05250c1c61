"""A hostdev: one assigned PCI device of a domain."""

from __future__ import annotations

from dataclasses import dataclass

from virtnetplug.model.pci import PciAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostdev:
    """An assigned PCI device. `parent` is the alias of the net it belongs to, or None for a plain ``<hostdev>``."""

    host_address: PciAddress
    managed: bool = False
    alias: str | None = None
    address: PciAddress | None = None
    parent: str | None = None
