"""PCI devices as sysfs shows them (``Documentation/ABI/testing/sysfs-bus-pci``). Paths are plain strings, for speed."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from virtnetplug.adapters.linux import files
from virtnetplug.errors import HostDeviceMissing, PciAddressInvalid
from virtnetplug.model.host_device import PciDevice
from virtnetplug.model.pci import PciAddress

_NETWORK_CLASS = "0x02"
_VIRTFN = re.compile(r"virtfn([0-9]+)")

_REPRESENTOR = re.compile(r"(c[0-9]+)?pf[0-9]+[vs]f[0-9]+")
"""``phys_port_name`` of a VF's or subfunction's stand-in on its PF (``devlink``)."""

_STATUS, _HAS_LIST, _POINTER = 0x06, 0x10, 0x34  # PCI Local Bus Specification 3.0, 6.7 and 6.8
_MSIX = 0x11
_CONTROL, _ENABLED = 2, 0x8000
OPEN_TO_ALL = 64
"""Bytes of ``config`` that any user may read (``pci_read_config``); the capabilities come after these bytes, and take root."""


class PciTree:
    """The tree below ``/sys``; every look is a fresh one."""

    def __init__(self, sys: Path = Path("/sys")) -> None:
        self._sys = sys
        self._devices = f"{sys}/bus/pci/devices"

    def device(self, address: PciAddress) -> PciDevice:
        place = self.place(address)
        pf = _linked(f"{place}/physfn")
        return self._device(address, place, pf, None if pf is None else _index(f"{place}/physfn", address))

    def devices(self) -> Sequence[PciDevice]:
        found: list[PciDevice] = []
        for address in _addresses(self._devices):
            place = f"{self._devices}/{address}"
            is_pf = files.number(f"{place}/sriov_totalvfs") > 0
            if is_pf and files.text(f"{place}/class").startswith(_NETWORK_CLASS):
                found += [self._device(address, place, None, None), *self.vfs(address)]
        return found

    def vfs(self, pf: PciAddress) -> Sequence[PciDevice]:
        place = self.place(pf)
        matches = (_VIRTFN.fullmatch(name) for name in files.names(place))
        numbered = ((int(match[1]), _linked(f"{place}/{match[0]}")) for match in matches if match)
        found = sorted((index, vf) for index, vf in numbered if vf is not None)
        return [self._device(vf, f"{self._devices}/{vf}", pf, index) for index, vf in found]

    def group(self, address: PciAddress) -> Sequence[PciDevice]:
        return [self.device(member) for member in _addresses(f"{self.place(address)}/iommu_group/devices")]

    def vfio_names(self, address: PciAddress) -> frozenset[str]:
        """The device files under ``/dev`` through which a process can hold a device."""
        place = self.place(address)
        names = {f"devices/{name}" for name in files.names(f"{place}/vfio-dev")}
        group = _group(place)
        if group is not None:
            names |= {f"{group}", f"noiommu-{group}"}
        return frozenset(f"/dev/vfio/{name}" for name in names)

    def is_on_host(self, address: PciAddress) -> bool:
        """Whether the driver of a device serves the host alone; raises `HostDeviceMissing`."""
        driver = _name_of(f"{self.place(address)}/driver")
        return driver is not None and "vfio" not in driver  # vfio-pci, mlx5_vfio_pci, …

    def is_link_up(self, address: PciAddress) -> bool:
        place = self.place(address)
        netdev = _netdev(place)
        return netdev is not None and files.text(f"{place}/net/{netdev}/carrier") == "1"

    def interface_index(self, device: PciDevice) -> int | None:
        """The index of the network interface of a device, None if it has none."""
        return int(self.of_interface(device, "ifindex") or 0) or None

    def of_interface(self, device: PciDevice, name: str) -> str:
        """An attribute of the network interface of a device (``/sys/class/net``); empty if the device has none."""
        return files.text(f"{self._devices}/{device.address}/net/{device.netdev}/{name}") if device.netdev else ""

    def inode(self, address: PciAddress) -> int:
        """The inode of a device's directory, which no other device has while the host runs (``kernfs_new_node``); raises `HostDeviceMissing`."""
        try:
            return os.stat(f"{self._devices}/{address}").st_ino
        except OSError:
            raise _missing(address) from None

    def binding(self, address: PciAddress) -> tuple[str, int]:
        """The driver, and the inode of the link to it, which the kernel makes at each bind (``driver_sysfs_add``); empty and 0 without a driver."""
        link = f"{self.place(address)}/driver"
        try:
            inode = os.lstat(link).st_ino
            return os.path.basename(os.readlink(link)), inode
        except OSError:
            return "", 0

    def place(self, address: PciAddress) -> str:
        """The directory of a device; raises `HostDeviceMissing`."""
        place = f"{self._devices}/{address}"
        if not os.path.isdir(place):
            raise _missing(address)
        return place

    def _device(self, address: PciAddress, place: str, pf: PciAddress | None, index: int | None) -> PciDevice:
        node = files.text(f"{place}/numa_node")
        total = files.number(f"{place}/sriov_totalvfs") if pf is None else 0
        return PciDevice(
            address=address,
            vendor=files.text(f"{place}/vendor").removeprefix("0x"),
            device=files.text(f"{place}/device").removeprefix("0x"),
            driver=_name_of(f"{place}/driver"),
            iommu_group=_group(place),
            numa_node=int(node) if node.isdecimal() else None,  # -1 where the host has no nodes
            pf=pf,
            vf_index=index,
            netdev=_netdev(place),
            total_vfs=total,
            # not from sriov_numvfs: whoever reads that waits, and cannot be killed, while a change of it waits for a guest
            num_vfs=sum(name.startswith("virtfn") for name in files.names(place)) if total else 0,
        )


def is_msix_enabled(config: bytes) -> bool:
    """Whether MSI-X is on in this configuration space, which a driver does and no firmware; False for a device that has none."""
    return any(
        bool(_word(config, place + _CONTROL) & _ENABLED) for kind, place in _capabilities(config) if kind == _MSIX
    )


def _capabilities(config: bytes) -> Iterator[tuple[int, int]]:
    """Kind and place of each capability in the list; a list that loops or leads out of `config` ends there."""
    if not _word(config, _STATUS) & _HAS_LIST:
        return
    place = config[_POINTER] & ~3
    for _ in range(48):
        if not OPEN_TO_ALL <= place < len(config) - 3:
            return
        yield config[place], place
        place = config[place + 1] & ~3


def _word(config: bytes, place: int) -> int:
    return int.from_bytes(config[place : place + 2], "little")


def _missing(address: PciAddress) -> HostDeviceMissing:
    return HostDeviceMissing(
        f"this host has no PCI device {address}; `devices()` shows the SR-IOV devices, 'lspci -D' all"
    )


def _index(pf: str, address: PciAddress) -> int | None:
    """The number of the ``virtfn`` link of a PF that leads to this VF; the links are numbered without a gap (``sriov_add_vfs``)."""
    wanted = str(address)
    for index in itertools.count():
        name = _name_of(f"{pf}/virtfn{index}")
        if name is None or name == wanted:
            return index if name else None
    return None


def _netdev(place: str) -> str | None:
    """The device's own interface: a PF in switchdev mode has its VFs' representors beside it."""
    names = files.names(f"{place}/net")
    own = (name for name in names if not _REPRESENTOR.fullmatch(files.text(f"{place}/net/{name}/phys_port_name")))
    return next(own, None)


def _group(place: str) -> int | None:
    name = _name_of(f"{place}/iommu_group")
    return int(name) if name is not None and name.isdecimal() else None


def _addresses(folder: str) -> list[PciAddress]:
    return sorted(address for name in files.names(folder) if (address := _parsed(name)) is not None)


def _linked(link: str) -> PciAddress | None:
    return _parsed(_name_of(link) or "")


def _parsed(name: str) -> PciAddress | None:
    try:
        return PciAddress.parse(name)
    except PciAddressInvalid:  # libvirt, too, has no address for a domain above 0xffff (Intel VMD)
        return None


def _name_of(link: str) -> str | None:
    return files.target(link).rpartition("/")[2] or None
