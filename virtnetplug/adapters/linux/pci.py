"""PCI devices as sysfs shows them (``Documentation/ABI/testing/sysfs-bus-pci``).

Paths are plain strings, and files are read without a buffer: every attach and detach of a VF looks at a hundred of them.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from virtnetplug.errors import HostDeviceMissing, PciAddressInvalid
from virtnetplug.model.host_device import PciDevice
from virtnetplug.model.pci import PciAddress

_NETWORK_CLASS = "0x02"
_VIRTFN = re.compile(r"virtfn([0-9]+)")
_PAGE = 4096
"""Bytes that an attribute has at most (``Documentation/filesystems/sysfs.rst``)."""

_REPRESENTOR = re.compile(r"(c[0-9]+)?pf[0-9]+[vs]f[0-9]+")
"""``phys_port_name`` of a VF's or subfunction's stand-in on its PF (``devlink``)."""


class PciTree:
    """The tree below ``/sys``; every look is a fresh one."""

    def __init__(self, sys: Path = Path("/sys")) -> None:
        self._devices = f"{sys}/bus/pci/devices"

    def device(self, address: PciAddress) -> PciDevice:
        """One device; raises `HostDeviceMissing`."""
        place = self.place(address)
        pf = _linked(f"{place}/physfn")
        return self._device(address, place, pf, None if pf is None else _index(f"{place}/physfn", address))

    def sriov(self) -> Iterator[PciDevice]:
        """Every PF of a network class, each followed by its VFs."""
        for address in self._addresses(self._devices):
            place = f"{self._devices}/{address}"
            is_pf = _number(f"{place}/sriov_totalvfs") > 0
            if is_pf and _text(f"{place}/class").startswith(_NETWORK_CLASS):
                yield self._device(address, place, None, None)
                yield from self.vfs(address)

    def vfs(self, pf: PciAddress) -> Sequence[PciDevice]:
        """The VFs of `pf`, by index; raises `HostDeviceMissing`."""
        self.place(pf)
        return [self._device(vf, f"{self._devices}/{vf}", pf, index) for index, vf in self._virtfns(pf)]

    def group(self, address: PciAddress) -> Sequence[PciDevice]:
        """All devices of its IOMMU group; raises `HostDeviceMissing`."""
        return [self.device(member) for member in self._addresses(f"{self.place(address)}/iommu_group/devices")]

    def vfio_names(self, address: PciAddress) -> frozenset[str]:
        """The device files under ``/dev`` through which a process can hold it."""
        place = self.place(address)
        names = {f"devices/{name}" for name in _listed(f"{place}/vfio-dev")}
        group = _group(place)
        if group is not None:
            names |= {f"{group}", f"noiommu-{group}"}
        return frozenset(f"/dev/vfio/{name}" for name in names)

    def is_on_host(self, address: PciAddress) -> bool:
        """Whether a driver has it that gives it to no process; raises `HostDeviceMissing`."""
        driver = _name_of(f"{self.place(address)}/driver")
        return driver is not None and "vfio" not in driver  # vfio-pci, mlx5_vfio_pci, …

    def is_link_up(self, address: PciAddress) -> bool:
        """Whether its network interface has a carrier; raises `HostDeviceMissing`."""
        place = self.place(address)
        netdev = _netdev(place)
        return netdev is not None and _text(f"{place}/net/{netdev}/carrier") == "1"

    def interface_index(self, device: PciDevice) -> int | None:
        """The index of its network interface, None if it has none."""
        if device.netdev is None:
            return None
        return _number(f"{self._devices}/{device.address}/net/{device.netdev}/ifindex") or None

    def interface_mac(self, device: PciDevice) -> str | None:
        """The MAC of its network interface."""
        return None if device.netdev is None else self._of_interface(device, "address").lower() or None

    def interface_mtu(self, device: PciDevice) -> int | None:
        """The MTU of its network interface, in bytes."""
        return None if device.netdev is None else int(self._of_interface(device, "mtu") or 0) or None

    def inode(self, address: PciAddress) -> int:
        """That of its directory, which no other device has while the host runs (``kernfs_new_node``); raises `HostDeviceMissing`."""
        place = self.place(address)
        try:
            return os.stat(place).st_ino
        except OSError:  # it went since
            raise _missing(address) from None

    def binding(self, address: PciAddress) -> tuple[str, int]:
        """Its driver, and the inode of the link to it, which the kernel makes at each bind (``driver_sysfs_add``); empty and 0 without one."""
        link = f"{self.place(address)}/driver"
        try:
            inode = os.lstat(link).st_ino
        except OSError:
            return "", 0
        name = _name_of(link)
        return ("", 0) if name is None else (name, inode)

    def place(self, address: PciAddress) -> str:
        """Its directory; raises `HostDeviceMissing`."""
        place = f"{self._devices}/{address}"
        if not os.path.isdir(place):
            raise _missing(address)
        return place

    def _device(self, address: PciAddress, place: str, pf: PciAddress | None, index: int | None) -> PciDevice:
        node = _text(f"{place}/numa_node")
        total = _number(f"{place}/sriov_totalvfs") if pf is None else 0
        return PciDevice(
            address=address,
            vendor=_text(f"{place}/vendor").removeprefix("0x"),
            device=_text(f"{place}/device").removeprefix("0x"),
            driver=_name_of(f"{place}/driver"),
            iommu_group=_group(place),
            numa_node=int(node) if node.isdecimal() else None,  # -1 where the host has no nodes
            pf=pf,
            vf_index=index,
            netdev=_netdev(place),
            total_vfs=total,
            # not from sriov_numvfs: whoever reads that waits, and cannot be killed, while a change of it waits for a guest
            num_vfs=sum(name.startswith("virtfn") for name in _listed(place)) if total else 0,
        )

    def _of_interface(self, device: PciDevice, name: str) -> str:
        return _text(f"{self._devices}/{device.address}/net/{device.netdev}/{name}")

    def _virtfns(self, pf: PciAddress) -> list[tuple[int, PciAddress]]:
        place = f"{self._devices}/{pf}"
        matches = (_VIRTFN.fullmatch(name) for name in _listed(place))
        numbered = ((int(match[1]), _linked(f"{place}/{match[0]}")) for match in matches if match)
        return sorted((index, vf) for index, vf in numbered if vf is not None)

    def _addresses(self, folder: str) -> list[PciAddress]:
        return sorted(address for name in _listed(folder) if (address := _parsed(name)) is not None)


def _missing(address: PciAddress) -> HostDeviceMissing:
    return HostDeviceMissing(
        f"this host has no PCI device {address}; `devices()` shows the SR-IOV devices, 'lspci -D' all"
    )


def _index(pf: str, address: PciAddress) -> int | None:
    """The number of the ``virtfn`` link of a PF that leads to this VF; they are numbered without a gap (``sriov_add_vfs``)."""
    wanted = str(address)
    for index in itertools.count():
        name = _name_of(f"{pf}/virtfn{index}")
        if name is None or name == wanted:
            return index if name else None
    return None


def _netdev(place: str) -> str | None:
    """The device's own interface: a PF in switchdev mode has its VFs' representors beside it."""
    names = sorted(_listed(f"{place}/net"))
    own = (name for name in names if not _REPRESENTOR.fullmatch(_text(f"{place}/net/{name}/phys_port_name")))
    return next(own, None)


def _group(place: str) -> int | None:
    name = _name_of(f"{place}/iommu_group")
    return int(name) if name is not None and name.isdecimal() else None


def _linked(link: str) -> PciAddress | None:
    return _parsed(_name_of(link) or "")


def _parsed(name: str) -> PciAddress | None:
    try:
        return PciAddress.parse(name)
    except PciAddressInvalid:  # libvirt, too, has no address for a domain above 0xffff (Intel VMD)
        return None


def _name_of(link: str) -> str | None:
    try:
        return os.readlink(link).rpartition("/")[2]
    except OSError:
        return None


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _text(path: str) -> str:
    """Empty where there is no such attribute, or it cannot be read just now (``carrier`` of an interface that is down)."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(file, _PAGE).decode(errors="replace").strip()
    except OSError:
        return ""
    finally:
        os.close(file)


def _number(path: str) -> int:
    text = _text(path)
    return int(text) if text.isdecimal() else 0
