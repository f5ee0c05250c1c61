"""A domain's devices, and the parts of its machine that decide whether a NIC can be plugged."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from virtnetplug.errors import InvariantBroken
from virtnetplug.model.interface import Interface
from virtnetplug.model.pci import PciAddress

PCIE_MODELS = frozenset({"virtio", "virtio-non-transitional", "e1000e", "igb"})
"""NIC models libvirt puts on a PCI Express port where the machine has any; all others need a conventional slot.

``qemuDomainDeviceCalculatePCIConnectFlags``. An assigned PCI Express device counts as one of these.
"""

_X86 = frozenset({"x86_64", "i686"})
_PORTS = frozenset({"pcie-root-port", "pcie-switch-downstream-port"})
_CONVENTIONAL = frozenset({"pci-root", "pci-bridge", "pcie-to-pci-bridge", "pci-expander-bus"})
_LAST_SLOT = 31


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


@dataclass(frozen=True, slots=True)
class PciController:
    """A PCI bus of the guest: its `index` and `model`, the slots `taken` on it, and whether it takes hot-plug."""

    index: int
    model: str
    taken: frozenset[int] = frozenset()
    hotplug: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """`controllers` are the PCI buses; a machine without any (s390x with CCW, microvm) has none."""

    name: str
    uuid: str = ""
    virt_type: str = ""
    arch: str = ""
    machine: str = ""
    emulator: str | None = None
    controllers: tuple[PciController, ...] = ()

    @property
    def is_pcie(self) -> bool:
        """Whether the root bus is PCI Express (q35, aarch64 virt): then hot-plug needs ports made beforehand."""
        return any(bus.model == "pcie-root" for bus in self.controllers)

    def has_bus(self, index: int) -> bool:
        """Whether the guest has the PCI bus `index`."""
        return any(bus.index == index for bus in self.controllers)

    def is_taken(self, address: PciAddress) -> bool:
        """Whether the guest has that slot, and a device in it."""
        return any(bus.index == address.bus and address.slot in bus.taken for bus in self.controllers)

    def is_express(self, bus: int) -> bool:
        """Whether a device on that bus is behind a PCI Express port; one on a root bus is not (``pci_bus_is_root``)."""
        return any(one.index == bus and one.model in _PORTS for one in self.controllers)

    def takes_port(self, model: str | None) -> bool:
        """Whether a NIC of `model` goes into a PCI Express port here, and not into a conventional slot."""
        if model is None:  # qemuDomainDefaultNetModel: rtl8139 on x86, virtio elsewhere
            model = "rtl8139" if self.arch in _X86 else "virtio"
        return self.is_pcie and model in PCIE_MODELS

    def free_hotplug_slots(self, model: str | None = None, taken: Collection[tuple[int, int]] = ()) -> int | None:
        """How many more NICs of `model` (None is the hypervisor's default) can be hot-plugged, beside devices in the buses and slots `taken`.

        None where the machine has no PCI. libvirt makes no controller for a hot-plugged device (``virDomainPCIAddressGetNextAddr``).
        So on a PCI Express machine a NIC of `PCIE_MODELS` needs a free root or downstream port. Any other NIC needs a slot of a
        PCI bridge there. On ``pc`` every NIC takes a slot of the root bus or of a bridge.
        """
        if not self.controllers:
            return None
        return len(self._places(is_express=self.takes_port(model)).difference(taken))

    def free_place(self, *, is_express: bool, taken: Collection[tuple[int, int]]) -> tuple[int, int] | None:
        """The first bus and slot where a device can be hot-plugged that is not among `taken` either; None if there is none."""
        return min(self._places(is_express=is_express).difference(taken), default=None)

    def _places(self, *, is_express: bool) -> set[tuple[int, int]]:
        """Every bus and slot where a device can be hot-plugged."""
        buses = (bus for bus in self.controllers if bus.hotplug)
        return {(bus.index, slot) for bus in buses for slot in _free(bus, conventional=not is_express)}


def _free(bus: PciController, *, conventional: bool) -> frozenset[int]:
    """Free slots of one bus; slot 0 of a bridge is its own, slots 0 and 1 of ``pci-root`` the chipset's."""
    if bus.model in _PORTS:
        return frozenset() if conventional or bus.taken else frozenset({0})
    if not conventional or bus.model not in _CONVENTIONAL:
        return frozenset()
    reserved = {0, 1} if bus.model == "pci-root" and bus.index == 0 else {0}
    return frozenset(range(_LAST_SLOT + 1)) - reserved - bus.taken
