"""A PCI device of the host: an SR-IOV physical function (PF), one of its virtual functions (VF), or their company."""

from __future__ import annotations

from dataclasses import dataclass, fields

from virtnetplug.model.pci import PciAddress

VFIO_DRIVER = "vfio-pci"
"""The driver that lends a device to a guest."""

NO_MAC = "00:00:00:00:00:00"
"""The administrative MAC of a VF to which its PF has given none."""

_HARMLESS_DRIVERS = frozenset({VFIO_DRIVER, "pcieport", "pci-stub"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PciDevice:
    """One PCI device as sysfs shows it; `vendor` and `device` are four hex digits, as ``lspci -n`` writes them.

    `pf` and `vf_index` are set for a VF only. `total_vfs` (the most there can be) and `num_vfs` (the present number) are 0 unless the
    device is a PF. `netdev` is its network interface, if its driver made one. `numa_node` is None on a host that has no nodes.
    """

    address: PciAddress
    vendor: str = ""
    device: str = ""
    driver: str | None = None
    iommu_group: int | None = None
    numa_node: int | None = None
    pf: PciAddress | None = None
    vf_index: int | None = None
    netdev: str | None = None
    total_vfs: int = 0
    num_vfs: int = 0

    @property
    def is_vf(self) -> bool:
        """Whether it is a virtual function."""
        return self.pf is not None

    @property
    def is_pf(self) -> bool:
        """Whether it is a physical function, with VFs or without any yet."""
        return self.total_vfs > 0

    @property
    def allows_company(self) -> bool:
        """Whether another device of its IOMMU group can be lent to a guest while this one is as it is.

        No driver, or one that does no DMA of its own (``driver_managed_dma`` in the kernel: vfio-pci, pcieport, pci-stub).
        """
        return self.driver is None or self.driver in _HARMLESS_DRIVERS


@dataclass(frozen=True, slots=True, kw_only=True)
class VfSettings:
    """What is set of one VF. None: the driver has no such setting, or (for `apply`) leave it as it is.

    `mac` and `mtu` (bytes) are those of the VF's own network interface, None while it has none; all else is the PF's view
    of it. `admin_mac` may be all zeroes, none given. `vlan` 0 is none; `vlan_proto` is ``802.1Q`` or ``802.1ad``. Rates are in
    Mbit/s, 0 for no limit. `link_state` is ``auto``, ``enable`` or ``disable``. All plain values, so that
    ``VfSettings(**dataclasses.asdict(settings))`` is the way through JSON.
    """

    mac: str | None = None
    admin_mac: str = NO_MAC
    vlan: int = 0
    qos: int = 0
    vlan_proto: str = "802.1Q"
    spoofchk: bool | None = None
    trust: bool | None = None
    min_rate: int = 0
    max_rate: int = 0
    link_state: str | None = None
    mtu: int | None = None

    def differences(self, other: VfSettings) -> tuple[str, ...]:
        """The names of the settings that both of them say and do not say alike."""
        names = (field.name for field in fields(self))
        both = ((name, getattr(self, name), getattr(other, name)) for name in names)
        return tuple(name for name, mine, theirs in both if None not in (mine, theirs) and mine != theirs)


@dataclass(frozen=True, slots=True, kw_only=True)
class VfCounters:
    """What a VF has carried since its PF made it, as its PF counts it: frames and bytes, seen from the guest."""

    rx_packets: int = 0
    tx_packets: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    broadcast: int = 0
    multicast: int = 0
    rx_dropped: int = 0
    tx_dropped: int = 0
