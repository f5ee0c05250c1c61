"""The PFs and VFs of this host, as sysfs shows them. Everything is by PCI address: names of VFs change at each rebind."""

from __future__ import annotations

from pathlib import Path

DEVICES = Path("/sys/bus/pci/devices")


def pfs() -> list[str]:
    """In the order of their addresses."""
    return sorted(total.parent.name for total in DEVICES.glob("*/sriov_totalvfs"))


def vfs(pf: str) -> list[str]:
    """Of one PF, in the order of their numbers."""
    links = (DEVICES / pf).glob("virtfn*")  # not sriov_numvfs, which cannot be read while a change of it waits
    return [link.resolve().name for link in sorted(links, key=lambda link: int(link.name[6:]))]


def driver(address: str) -> str | None:
    """That has the device now."""
    link = DEVICES / address / "driver"
    return link.resolve().name if link.exists() else None


def net_names(address: str) -> list[str]:
    """Of the device's network links."""
    return sorted(link.name for link in (DEVICES / address).glob("net/*"))


def group(address: str) -> list[str]:
    """The devices of its IOMMU group."""
    return sorted(device.name for device in (DEVICES / address / "iommu_group/devices").iterdir())
