"""PCI devices as sysfs shows them (``Documentation/ABI/testing/sysfs-bus-pci``)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from virtnetplug.errors import HostDeviceMissing, PciAddressInvalid
from virtnetplug.model.host_device import PciDevice
from virtnetplug.model.pci import PciAddress

_NETWORK_CLASS = "0x02"
_VIRTFN = re.compile(r"virtfn([0-9]+)")
_REPRESENTOR = re.compile(r"(c[0-9]+)?pf[0-9]+[vs]f[0-9]+")
"""``phys_port_name`` of a VF's or subfunction's stand-in on its PF (``devlink``)."""


class PciTree:
    """The tree below ``/sys``; every look is a fresh one."""

    def __init__(self, sys: Path = Path("/sys")) -> None:
        self._devices = sys / "bus/pci/devices"

    def device(self, address: PciAddress) -> PciDevice:
        """One device; raises `HostDeviceMissing`."""
        place = self.place(address)
        pf = _linked(place / "physfn")
        index = None if pf is None else {vf: index for index, vf in self._virtfns(pf)}.get(address)
        return self._device(address, place, pf, index)

    def sriov(self) -> Iterator[PciDevice]:
        """Every PF of a network class, each followed by its VFs."""
        for address in self._addresses(self._devices):
            place = self._devices / str(address)
            is_pf = _number(place / "sriov_totalvfs") > 0
            if is_pf and _text(place / "class").startswith(_NETWORK_CLASS):
                yield self._device(address, place, None, None)
                yield from self.vfs(address)

    def vfs(self, pf: PciAddress) -> Sequence[PciDevice]:
        """The VFs of `pf`, by index; raises `HostDeviceMissing`."""
        self.place(pf)
        return [self._device(vf, self._devices / str(vf), pf, index) for index, vf in self._virtfns(pf)]

    def group(self, address: PciAddress) -> Sequence[PciDevice]:
        """All devices of its IOMMU group; raises `HostDeviceMissing`."""
        return [self.device(member) for member in self._addresses(self.place(address) / "iommu_group/devices")]

    def vfio_names(self, address: PciAddress) -> frozenset[str]:
        """The device files under ``/dev`` through which a process can hold it."""
        place = self.place(address)
        names = {f"devices/{name}" for name in _listed(place / "vfio-dev")}
        group = _group(place)
        if group is not None:
            names |= {f"{group}", f"noiommu-{group}"}
        return frozenset(f"/dev/vfio/{name}" for name in names)

    def is_link_up(self, address: PciAddress) -> bool:
        """Whether its network interface has a carrier; raises `HostDeviceMissing`."""
        place = self.place(address)
        netdev = _netdev(place)
        return netdev is not None and _text(place / "net" / netdev / "carrier") == "1"

    def interface_index(self, device: PciDevice) -> int | None:
        """The index of its network interface, None if it has none."""
        if device.netdev is None:
            return None
        return _number(self._devices / str(device.address) / "net" / device.netdev / "ifindex") or None

    def interface_mac(self, device: PciDevice) -> str | None:
        """The MAC of its network interface."""
        return None if device.netdev is None else self._of_interface(device, "address").lower() or None

    def interface_mtu(self, device: PciDevice) -> int | None:
        """The MTU of its network interface, in bytes."""
        return None if device.netdev is None else int(self._of_interface(device, "mtu") or 0) or None

    def place(self, address: PciAddress) -> Path:
        """Its directory; raises `HostDeviceMissing`."""
        place = self._devices / str(address)
        if not place.is_dir():
            raise HostDeviceMissing(
                f"this host has no PCI device {address}; 'virtnetplug devices' shows the SR-IOV devices, 'lspci -D' all"
            )
        return place

    def _device(self, address: PciAddress, place: Path, pf: PciAddress | None, index: int | None) -> PciDevice:
        node = _text(place / "numa_node")
        total = _number(place / "sriov_totalvfs")
        return PciDevice(
            address=address,
            vendor=_text(place / "vendor").removeprefix("0x"),
            device=_text(place / "device").removeprefix("0x"),
            driver=_name_of(place / "driver"),
            iommu_group=_group(place),
            numa_node=int(node) if node.isdecimal() else None,  # -1 where the host has no nodes
            pf=pf,
            vf_index=index,
            netdev=_netdev(place),
            total_vfs=total,
            # not from sriov_numvfs: whoever reads that waits, and cannot be killed, while a change of it waits for a guest
            num_vfs=len(self._virtfns(address)) if total else 0,
        )

    def _of_interface(self, device: PciDevice, name: str) -> str:
        return _text(self._devices / str(device.address) / "net" / str(device.netdev) / name)

    def _virtfns(self, pf: PciAddress) -> list[tuple[int, PciAddress]]:
        place = self._devices / str(pf)
        matches = (_VIRTFN.fullmatch(name) for name in _listed(place))
        numbered = ((int(match[1]), _linked(place / match[0])) for match in matches if match)
        return sorted((index, vf) for index, vf in numbered if vf is not None)

    def _addresses(self, folder: Path) -> list[PciAddress]:
        return sorted(address for name in _listed(folder) if (address := _parsed(name)) is not None)


def _netdev(place: Path) -> str | None:
    """The device's own interface: a PF in switchdev mode has its VFs' representors beside it."""
    names = sorted(_listed(place / "net"))
    own = (name for name in names if not _REPRESENTOR.fullmatch(_text(place / "net" / name / "phys_port_name")))
    return next(own, None)


def _group(place: Path) -> int | None:
    name = _name_of(place / "iommu_group")
    return int(name) if name is not None and name.isdecimal() else None


def _linked(link: Path) -> PciAddress | None:
    return _parsed(_name_of(link) or "")


def _parsed(name: str) -> PciAddress | None:
    try:
        return PciAddress.parse(name)
    except PciAddressInvalid:  # libvirt, too, has no address for a domain above 0xffff (Intel VMD)
        return None


def _name_of(link: Path) -> str | None:
    try:
        return os.path.basename(os.readlink(link))
    except OSError:
        return None


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _text(path: Path) -> str:
    """Empty where there is no such attribute, or it cannot be read just now (``carrier`` of an interface that is down)."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdecimal() else 0
