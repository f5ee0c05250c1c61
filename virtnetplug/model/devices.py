"""The two lists that must never disagree: a domain's nets and hostdevs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from virtnetplug.errors import InvariantBroken
from virtnetplug.model.interface import Interface
from virtnetplug.model.pci import PciAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostdev:
    """An assigned PCI device. `parent` is the alias of the net it belongs to, or None for a plain ``<hostdev>``."""

    host_address: PciAddress
    managed: bool = False
    alias: str | None = None
    address: PciAddress | None = None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class DomainDevices:
    """A domain's `nets` and `hostdevs` (``def->nets`` and ``def->hostdevs`` in libvirt).

    The constructor checks these invariants (`InvariantBroken`). Aliases are unique over both lists, except that a net and its
    hostdev share theirs. Each hostdev net owns exactly one hostdev, whose parent it is. Each hostdev with a parent names a hostdev
    net. No host device is assigned twice.
    """

    nets: tuple[Interface, ...] = ()
    hostdevs: tuple[Hostdev, ...] = ()

    def __post_init__(self) -> None:
        for fault in self._faults():
            raise InvariantBroken(fault)

    def _faults(self) -> Iterator[str]:
        aliases = [net.alias for net in self.nets if net.alias]
        aliases += [dev.alias for dev in self.hostdevs if dev.alias and dev.parent is None]
        for alias in {alias for alias in aliases if aliases.count(alias) > 1}:
            yield f"alias {alias} names more than one device"
        addresses = [dev.host_address for dev in self.hostdevs]
        for address in {address for address in addresses if addresses.count(address) > 1}:
            yield f"host device {address} is assigned twice"
        owners = {net.alias: net for net in self.nets if net.is_hostdev}
        for dev in self.hostdevs:
            if dev.parent is not None and dev.parent not in owners:
                yield f"host device {dev.host_address} names the net {dev.parent} as its parent, which is no hostdev net"
        for net in self.nets:
            owned = [dev for dev in self.hostdevs if dev.parent is not None and dev.parent == net.alias]
            if net.is_hostdev and net.alias is not None and len(owned) != 1:
                yield f"hostdev net {net.alias} owns {len(owned)} host devices, and must own exactly one"
