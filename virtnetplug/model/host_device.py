"""The host's PCI devices: SR-IOV physical functions (PFs), their virtual functions (VFs), and who has them."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from virtnetplug.model.pci import PciAddress

VFIO_DRIVER = "vfio-pci"
"""The driver that lends a device to a guest."""

NO_MAC = "00:00:00:00:00:00"
"""The administrative MAC of a VF to which its PF has given none."""

_HARMLESS_DRIVERS = frozenset({VFIO_DRIVER, "pcieport", "pci-stub"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PciDevice:
    """One PCI device as sysfs shows it; `vendor` and `device` are four hex digits, as ``lspci -n`` writes them.

    `pf` and `vf_index` are set for a VF only. `total_vfs` (the most there can be) and `num_vfs` (those there are) are 0 for a
    device that is no PF. `netdev` is its network interface, if its driver made one. `numa_node` is None on a host without nodes.
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
    """The settings of a VF. None: the driver has no such setting, or (for `apply`) the setting stays as it is.

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
        """The names of the settings that both have, with different values."""
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


@dataclass(frozen=True, slots=True)
class Boot:
    """A run of this host's kernel: its boot id, and when it `began`, in Unix seconds by the present clock (0 if unknown)."""

    id: str = ""
    began: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VfIdentity:
    """What the kernel shows of one VF and of no other: equal identities mean the same VF, whatever address it has.

    `boot` is the kernel's boot id, `pf` the PCI address of the VF's PF, and `driver` the PF's driver (empty if it has none). `binding`
    is the inode of the link to that driver, which each bind makes anew (0 without a driver). `index` is the VF's number at its PF. `inode`
    is the inode of the VF's directory in sysfs, which each change of ``sriov_numvfs`` makes anew: kernfs gives no number twice in a boot.
    All plain values, so that ``VfIdentity(**dataclasses.asdict(identity))`` is the way through JSON.
    """

    boot: str
    pf: str
    driver: str
    binding: int
    index: int
    inode: int

    def change(self, now: VfIdentity) -> str | None:
        """Why `now` is another VF, as the end of a sentence; None if it is the same one."""
        if now.boot != self.boot:
            return "this host was started anew since"
        if (now.pf, now.index) != (self.pf, self.index):
            return f"that was VF {self.index} of PF {self.pf}, and this is VF {now.index} of PF {now.pf}"
        if (now.driver, now.binding) != (self.driver, self.binding):
            return f"the driver of PF {self.pf} was bound anew since"
        if now.inode != self.inode:
            return f"the VFs of PF {self.pf} were made anew since"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetdevState:
    """What a network interface loses when its driver is unbound. All plain values, as the journal keeps them.

    `queue_length` in packets, `mtu` in bytes. `port`, `addresses` and `routes` are messages of the kernel in hexadecimal. `port` has the flags
    of a bridge's port (``IFLA_BRPORT_…``). `addresses` (``struct ifaddrmsg``) and `routes` (``struct rtmsg``) are those that a person or
    program set, with their attributes.
    """

    name: str
    mac: str | None = None
    mtu: int | None = None
    queue_length: int | None = None
    is_up: bool = False
    is_promiscuous: bool = False
    hears_all_multicast: bool = False
    has_carrier: bool = False
    master: str | None = None
    port: str = ""
    addresses: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()

    @property
    def is_in_use(self) -> bool:
        """Whether the host itself uses it."""
        return self.master is not None or (self.is_up and bool(self.addresses))


@dataclass(frozen=True, slots=True, kw_only=True)
class PfState:
    """A PF as it has to be again after its driver was reloaded, or after the number of its VFs changed.

    `netdev` is None where the driver made none, or where it is in another network namespace.
    """

    driver: str | None
    num_vfs: int
    netdev: NetdevState | None = None

    @property
    def request(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> PfState:
        """What the journal has."""
        netdev = request["netdev"]
        if netdev is not None:
            lists = {name: tuple(netdev[name]) for name in ("addresses", "routes")}
            netdev = NetdevState(**{**netdev, **lists})
        return cls(driver=request["driver"], num_vfs=request["num_vfs"], netdev=netdev)


class DeviceState(enum.StrEnum):
    """The state of a VF: the first that applies."""

    QUARANTINED = "quarantined"  # it could not be restored
    ATTACHED = "attached"  # a running domain has it
    HELD = "held"  # an operation of virtnetplug holds it for a domain
    RESERVED = "reserved"  # a port of its pool names a domain that does not have it
    BUSY = "busy"  # some process has it open, and no domain of this connection has it
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUser:
    """A user of a VF, as one view shows it.

    `view` is ``domain`` (a running domain's definition), ``port`` (a network's), ``journal`` or ``process`` (its id is `pid`).
    """

    view: str
    domain: str = ""
    domain_uuid: str = ""
    nic: str = ""
    network: str = ""
    port: str = ""
    operation: str = ""
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VfView:
    """A VF of a `DeviceTree`. `settings` is None where they could not be read; `problems` are sentences, none for a healthy VF.

    `counters` exist for a VF that a running domain has; None where nothing was counted, as by a driver that counts nothing.
    """

    device: PciDevice
    state: DeviceState
    users: tuple[DeviceUser, ...] = ()
    settings: VfSettings | None = None
    counters: VfCounters | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PfView:
    """A PF with its VFs by index, and the hostdev networks that lend them."""

    device: PciDevice
    link_up: bool
    pools: tuple[str, ...] = ()
    vfs: tuple[VfView, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTree:
    """Every SR-IOV network device of a host; `unseen` names what could not be seen, and why."""

    pfs: tuple[PfView, ...]
    unseen: tuple[str, ...] = ()
