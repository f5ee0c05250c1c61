"""Which of several NICs serves: the kinds of their devices decide, and nothing that happened before.

The tables are data, in order of precedence. Names are those of the PCI ID repository. The IDs of emulated models are those QEMU 7.2
shows on its own bus (``info pci``), and for igb those of its ``hw/net/e1000x_regs.h``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from virtnetplug.model.pci import PciAddress

DEVICES: Mapping[str, str] = {
    # Functions of real adapters, the fastest first. A vendor's specific device comes before its device for a whole family.
    "15b3:101c": "Mellanox ConnectX-6 VF",
    "15b3:101a": "Mellanox ConnectX-5 Ex VF",
    "15b3:1018": "Mellanox ConnectX-5 VF",
    "15b3:1016": "Mellanox ConnectX-4 Lx VF",
    "15b3:1014": "Mellanox ConnectX-4 VF",
    "15b3:101e": "Mellanox ConnectX family VF",
    "15b3:1004": "Mellanox ConnectX-3 VF",
    "14e4:1806": "Broadcom BCM5750X NetXtreme-E VF",
    "14e4:16dc": "Broadcom NetXtreme-E VF",
    "14e4:16d3": "Broadcom NetXtreme-E VF",
    "14e4:16e1": "Broadcom NetXtreme-C VF",
    "1dd8:1003": "Pensando DSC VF",
    "1924:1b03": "Solarflare SFC9250 VF",
    "1924:1a03": "Solarflare SFC9220 VF",
    "1425:6801": "Chelsio T6225-CR VF",
    "1425:5801": "Chelsio T520-CR VF",
    "1077:8090": "QLogic FastLinQ QL41000 VF",
    "1077:1664": "QLogic FastLinQ QL45000 VF",
    "19e5:375e": "Huawei Hi1822 VF",
    "1137:0071": "Cisco VIC VF",
    "8086:154c": "Intel 700 series VF",
    "8086:37cd": "Intel X722 VF",
    "8086:1889": "Intel adaptive VF",
    "8086:15c5": "Intel X553 VF",
    "8086:15a8": "Intel X552 VF",
    "8086:1565": "Intel X550 VF",
    "8086:1515": "Intel X540 VF",
    "8086:10ed": "Intel 82599 VF",
    "8086:1520": "Intel I350 VF",
    "8086:10ca": "Intel 82576 VF",
    # Made for guests.
    "1af4:1041": "virtio",
    "1af4:1000": "virtio, transitional",
    "15ad:07b0": "VMXNET3",
    # Emulations of real adapters, the newest first.
    "8086:10c9": "Intel 82576 (igb)",
    "8086:10d3": "Intel 82574L (e1000e)",
    "8086:100e": "Intel 82540EM (e1000)",
    "10ec:8139": "Realtek RTL8139",
    "1022:2000": "AMD PCnet",
    "10ec:8029": "Realtek RTL8029 (ne2k_pci)",
}
"""By vendor and device, in order of precedence."""

CLASSES: Mapping[str, str] = {
    "0200": "an Ethernet controller",
    "0207": "an InfiniBand controller",
    "0280": "another network controller",
}
"""By PCI base class and subclass, for devices that `DEVICES` does not list, in order of precedence."""

_MODELS: Mapping[str, str] = {
    "virtio": "1af4:1041",
    "virtio-non-transitional": "1af4:1041",
    "virtio-transitional": "1af4:1000",
    "igb": "8086:10c9",
    "e1000e": "8086:10d3",
    "e1000": "8086:100e",
    "e1000-82540em": "8086:100e",
    "e1000-82544gc": "8086:100c",
    "e1000-82545em": "8086:100f",
    "rtl8139": "10ec:8139",
    "pcnet": "1022:2000",
    "ne2k_pci": "10ec:8029",
    "vmxnet3": "15ad:07b0",
    "i82551": "8086:1209",
    "i82557b": "8086:1229",
    "i82559er": "8086:1209",
    "i82562": "8086:1209",
    "tulip": "1011:0019",
}
_DEVICE_RANKS = {device: place for place, device in enumerate(DEVICES, start=1)}
_CLASS_RANKS = {pci_class: place for place, pci_class in enumerate(CLASSES, start=1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A device that could serve: `vendor_device` as ``lspci -n`` writes it, `pci_class` its first four digits (``0200``), or "".

    `address` is the device's address in the guest, else its address on the host.
    """

    alias: str
    vendor_device: str
    pci_class: str = ""
    address: PciAddress | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its place: 1 serves, all others are held link-down. `why` is a sentence for people."""

    candidate: Candidate
    rank: int
    why: str


def rank(candidates: Iterable[Candidate]) -> tuple[Ranked, ...]:
    """All candidates, first the candidate that serves. Their order before has no influence on the result."""
    ordered = sorted(candidates, key=_key)
    found: list[Ranked] = []
    for number, candidate in enumerate(ordered, start=1):
        group, place, why = _place(candidate)
        such = [other for other in ordered if _place(other)[:2] == (group, place)]
        by = "alias" if candidate.address is None else f"PCI address (here {candidate.address})"
        if such[1:]:
            why = f"{why}; {len(such)} NICs have this place, ordered by {by}"
        found.append(Ranked(candidate, number, why))
    return tuple(found)


def device_of_model(model: str | None, *, is_conventional: bool = False) -> str | None:
    """The vendor and device of an emulated NIC model; None for an unknown model.

    `is_conventional`: the NIC is in a conventional PCI slot, where QEMU makes ``virtio`` a transitional device (``virtio_pci_realize``:
    ``disable-legacy=auto`` means on for PCI Express ports).
    """
    if model == "virtio" and is_conventional:
        return _MODELS["virtio-transitional"]
    return _MODELS.get(model or "")


def _key(candidate: Candidate) -> tuple[int, int, bool, PciAddress, str]:
    """The place in its table, then the address, then the alias."""
    group, place, _ = _place(candidate)
    return group, place, candidate.address is None, candidate.address or PciAddress(0, 0, 0, 0), candidate.alias


def _place(candidate: Candidate) -> tuple[int, int, str]:
    """The table that has the candidate (devices before classes before the rest), its place there, and both as a sentence."""
    device, pci_class = candidate.vendor_device.lower(), candidate.pci_class.lower().removeprefix("0x")[:4]
    if place := _DEVICE_RANKS.get(device):
        return 1, place, f"{device} ({DEVICES[device]}) is number {place} in the table of devices"
    name = device or "its device"
    if place := _CLASS_RANKS.get(pci_class):
        why = f"{name} is not in the table of devices; as {CLASSES[pci_class]} it is number {place} in the table of classes"
        return 2, place, why
    return 3, 0, f"{name} is in no table, and comes after all devices that are in a table"
