"""An SR-IOV host in memory: two PFs with four VFs each, which behave as an igb with igbvf under libvirt was seen to."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from tests.fakes.physical_functions import FakePhysicalFunctions
from virtnetplug.errors import (
    HostDeviceBusy,
    HostDeviceFailed,
    HostDeviceMissing,
    HostDeviceUnfit,
    VirtnetplugError,
)
from virtnetplug.model.host_device import NO_MAC, VFIO_DRIVER, Boot, PciDevice, VfCounters, VfIdentity, VfSettings
from virtnetplug.model.operation import Refusal
from virtnetplug.model.pci import PciAddress

PFS = (PciAddress(0, 1, 0, 0), PciAddress(0, 2, 0, 0))
PF_DRIVER, VF_DRIVER = "igb", "igbvf"


class FakeHostDevices(FakePhysicalFunctions):
    """`HostDevices` and `NodeDevices` of `ports.host`, of one imaginary host.

    ``0000:01:00.0`` (eth0, node 0) and ``0000:02:00.0`` (eth1, node 1) with VFs at ``0000:01:10.0``, ``.2``, ``.4``, ``.6`` and
    likewise on bus 2, each alone in its IOMMU group. `set` are the settings of the VFs, which outlive their drivers.

    A fault for a test: each call of `apply` raises ``fake.faults["apply"] = HostDeviceFailed("…")`` until the fault is removed.
    `unsettable` are settings that `apply` cannot set; `driven` are VFs that a guest has a driver for. `held` are pids by device, as of a
    QEMU that has not released the device. `counted` is what VFs have carried (igb counts nothing).
    """

    def __init__(self, *, vfs: int = 4) -> None:
        self._names = itertools.count(2)
        self._random_macs = itertools.count(1)
        self._inodes = itertools.count(1000)
        self.inodes: dict[PciAddress, int] = {}
        self.boots = Boot("boot-1")
        self.found: dict[PciAddress, PciDevice] = {}
        self.set: dict[PciAddress, VfSettings] = {}
        self.links = dict.fromkeys(PFS, True)
        self.driven: set[PciAddress] = set()
        self.held: dict[PciAddress, set[int]] = {}
        self.faults: dict[str, VirtnetplugError] = {}
        self.unsettable: set[str] = set()
        self.counted: dict[PciAddress, VfCounters] = {}
        self.against: list[Refusal] = []
        self.calls: list[str] = []
        for node, address in enumerate(PFS):
            self._add_pf(address, node, vfs)
        self._make_pfs(PFS)

    # -- making it other than it is --------------------------------------------------------------

    def replace(self, address: PciAddress, **changes: object) -> PciDevice:
        """Change what sysfs shows of a device: its driver by hand, its IOMMU group, its node."""
        self.found[address] = dataclasses.replace(self.found[address], **changes)  # type: ignore[arg-type]
        return self.found[address]

    def set_by_hand(self, vf: PciAddress, **changes: object) -> VfSettings:
        """Change a VF's settings behind our back (``ip link set DEV vf N …``)."""
        self.set[vf] = dataclasses.replace(self.set[vf], **changes)  # type: ignore[arg-type]
        return self.set[vf]

    def start_anew(self, name: str, began: float = 0.0) -> None:
        """The host was started anew: another boot id, and every device has come again, at the address it had."""
        self.boots = Boot(name, began)
        self.held.clear()
        for pf in PFS:
            number = self.found[pf].num_vfs
            self.set_numvfs(pf, 0)
            self.inodes[pf] = next(self._inodes)
            self.set_numvfs(pf, number)

    def set_numvfs(self, pf: PciAddress, number: int) -> None:
        """``echo N > sriov_numvfs``: the VFs there were are gone, also those that somebody has."""
        for vf in self.vfs(pf):
            del self.found[vf.address], self.set[vf.address]
        self.replace(pf, num_vfs=number)
        for index in range(number):
            self._add_vf(pf, index)

    def bind(self, address: PciAddress, driver: str | None) -> None:
        """Bind a VF to a driver, as libvirt or a person does; a host driver makes it a new interface."""
        device = self.device(address)
        if device.is_pf:
            self._called("bind", address, driver)
            self.bind_pf(address, driver)
            return
        if device.driver == driver:
            return
        if self.held.get(address):
            raise HostDeviceBusy(f"PCI device {address} is in use by process {min(self.held[address])}")
        netdev = f"eth{next(self._names)}" if driver == VF_DRIVER else None
        self.replace(address, driver=driver, netdev=netdev)
        admin = self.set[address].admin_mac
        mac = (admin if admin != NO_MAC else self._random_mac()) if netdev else None
        self.set_by_hand(address, mac=mac, mtu=1500 if netdev else None)

    # -- HostDevices -----------------------------------------------------------------------------

    def obstacles(self) -> Sequence[Refusal]:
        self._called("obstacles")
        return self.against

    def device(self, address: PciAddress) -> PciDevice:
        self._called("device", address)
        if address not in self.found:
            raise HostDeviceMissing(f"this host has no PCI device {address}")
        return self.found[address]

    def devices(self) -> Sequence[PciDevice]:
        self._called("devices")
        return [one for pf in PFS if pf in self.found for one in (self.found[pf], *self.vfs(pf))]

    def vfs(self, pf: PciAddress) -> Sequence[PciDevice]:
        self._called("vfs", pf)
        if pf not in self.found:
            raise HostDeviceMissing(f"this host has no PCI device {pf}")
        return sorted((one for one in self.found.values() if one.pf == pf), key=lambda one: one.vf_index or 0)

    def identity(self, vf: PciAddress) -> VfIdentity:
        device = self.device(vf)
        if device.pf is None:
            raise HostDeviceUnfit(f"{vf} is no VF")
        driver = self.found[device.pf].driver
        return VfIdentity(
            boot=self.boots.id, pf=str(device.pf), driver=driver or "", binding=self.inodes[device.pf] if driver else 0,
            index=device.vf_index or 0, inode=self.inodes[vf],
        )  # fmt: skip

    def boot(self) -> Boot:
        return self.boots

    def settings(self, vf: PciAddress) -> VfSettings:
        self._called("settings", vf)
        device = self.device(vf)
        if device.pf is None:
            raise HostDeviceUnfit(f"{vf} is no VF")
        if self.found[device.pf].netdev is None:
            raise HostDeviceUnfit(f"{device.pf}, the PF of {vf}, has no network interface")
        return self.set[vf]

    def apply(self, vf: PciAddress, settings: VfSettings) -> None:
        now = self.settings(vf)
        self._called("apply", vf)
        failures, changes = [], {}
        for name in now.differences(settings) + self._unknown_here(now, settings):
            if name in self.unsettable or getattr(now, name) is None:
                failures.append(f"{name.replace('_', ' ')}: Operation not supported")
            else:
                changes[name] = getattr(settings, name)
        self.set_by_hand(vf, **changes)
        if failures:
            raise HostDeviceFailed(f"{vf} could not be set as it should be: {'; '.join(failures)}")

    def counters(self, pf: PciAddress) -> Mapping[PciAddress, VfCounters]:
        self._called("counters", pf)
        if self.device(pf).netdev is None:
            raise HostDeviceUnfit(f"{pf} has no network interface")
        return {one.address: self.counted[one.address] for one in self.vfs(pf) if one.address in self.counted}

    def group(self, address: PciAddress) -> Sequence[PciDevice]:
        self._called("group", address)
        group = self.device(address).iommu_group
        if group is None:
            return []
        return sorted((one for one in self.found.values() if one.iommu_group == group), key=lambda one: one.address)

    def is_msix_enabled(self, address: PciAddress) -> bool:
        self._called("is_msix_enabled", address)
        self.device(address)
        return address in self.driven

    def vfio_users(self, address: PciAddress) -> frozenset[int]:
        self._called("vfio_users", address)
        self.device(address)
        return frozenset(self.held.get(address, ()))

    def is_link_up(self, pf: PciAddress) -> bool:
        self._called("is_link_up", pf)
        return self.device(pf).netdev is not None and self.links.get(pf, False)

    # -- NodeDevices -----------------------------------------------------------------------------

    def driver(self, address: PciAddress) -> str | None:
        self._called("driver", address)
        return self.device(address).driver

    def detach(self, address: PciAddress) -> None:
        self._called("detach", address)
        self.bind(address, VFIO_DRIVER)

    def reattach(self, address: PciAddress) -> None:
        self._called("reattach", address)
        if self.device(address).driver in (VFIO_DRIVER, None):
            self.bind(address, VF_DRIVER)

    # -- how it is made --------------------------------------------------------------------------

    def _add_pf(self, address: PciAddress, node: int, vfs: int) -> None:
        self.found[address] = PciDevice(
            address=address, vendor="8086", device="10c9", driver=PF_DRIVER, iommu_group=10 * (node + 1), numa_node=node,
            netdev=f"eth{node}", total_vfs=7, num_vfs=vfs,
        )  # fmt: skip
        self.inodes[address] = next(self._inodes)
        for index in range(vfs):
            self._add_vf(address, index)

    def _add_vf(self, pf: PciAddress, index: int) -> None:
        above = self.found[pf]
        address = PciAddress(pf.domain, pf.bus, 0x10 + index // 4, 2 * (index % 4))
        self.found[address] = PciDevice(
            address=address, vendor="8086", device="10ca", driver=VF_DRIVER, numa_node=above.numa_node, pf=pf,
            iommu_group=(above.iommu_group or 0) + 1 + index, vf_index=index, netdev=f"eth{next(self._names)}",
        )  # fmt: skip
        self.inodes[address] = next(self._inodes)
        self.set[address] = VfSettings(mac=self._random_mac(), spoofchk=True, trust=False, mtu=1500)

    def _random_mac(self) -> str:
        """What igbvf makes up for a VF that was given none: another one each time."""
        return f"02:00:00:00:00:{next(self._random_macs):02x}"

    def _unknown_here(self, now: VfSettings, wanted: VfSettings) -> tuple[str, ...]:
        names = [field.name for field in dataclasses.fields(now)]
        return tuple(name for name in names if getattr(now, name) is None and getattr(wanted, name) is not None)

    def _called(self, name: str, *arguments: object) -> None:
        self.calls.append(" ".join((name, *map(str, arguments))))
        if name in self.faults:
            raise self.faults[name]
