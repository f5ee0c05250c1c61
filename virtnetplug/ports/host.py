"""What operations need of the host: its links, its PCI network devices and their drivers, libvirt's networks, facts of its kernel, its clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from virtnetplug.model.host_device import Boot, NetdevState, PciDevice, PfState, VfCounters, VfIdentity, VfSettings
from virtnetplug.model.interface import Interface, Vlan
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.operation import Refusal
from virtnetplug.model.pci import PciAddress


class Clock(Protocol):
    """Two clocks: `now` for records, `monotonic` for durations."""

    def now(self) -> float:
        """Unix seconds."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never runs backwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One network device of the host: `master` is the bridge whose port the link is, `kind` as ``ip -d link`` names it.

    The kernel's master of an Open vSwitch port is the datapath; `master` is the port's bridge, unless Open vSwitch could not be asked.
    `isolated` and `learning` are flags of a Linux bridge's port, None for any other link.
    """

    name: str
    index: int
    kind: str | None = None
    master: str | None = None
    up: bool = False
    mac: str | None = None
    mtu: int | None = None
    isolated: bool | None = None
    learning: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPort:
    """What Open vSwitch keeps of a port: its NIC and domain, the parameters of its virtual port, its VLAN."""

    mac: str
    domain_uuid: str
    interface_id: str | None = None
    profile_id: str | None = None
    vlan: Vlan | None = None


class HostLinks(Protocol):
    """Links of the network namespace in which virtnetplug runs."""

    def links(self) -> Mapping[str, Link]:
        """All links, by name."""

    def link(self, name: str) -> Link | None:
        """The link of that name, or None."""

    def is_bridge(self, name: str) -> bool:
        """Whether the link is a Linux bridge or an Open vSwitch bridge."""

    def set_master(self, name: str, master: str | None) -> None:
        """Move a link into a Linux bridge, or (None) out of its bridge. Raises `BridgeMissing` or `Failed`, and then nothing has changed."""

    def join_switch(self, name: str, bridge: str, port: SwitchPort) -> None:
        """Make a link a port of this Open vSwitch bridge only, as libvirt does; the link must be in no Linux bridge. Raises `Failed`."""

    def leave_switch(self, name: str) -> None:
        """Remove a link from its Open vSwitch bridge; a link in no bridge is no error. Raises `Failed`."""

    def set_port(self, name: str, *, isolated: bool, only_mac: str | None = None) -> None:
        """Set what a bridge's port may do; with `only_mac`, the port neither learns nor is flooded, and gets frames for that MAC only."""

    def set_vlans(self, name: str, vlan: Vlan) -> None:
        """Put a Linux bridge's new port into these VLANs, instead of the VLAN in which a port begins."""

    def introduce(self, name: str, mac: str) -> None:
        """Announce to the bridge of the port `name`, and beyond the bridge, that `mac` is behind this port now. Raises `Failed`."""

    def learned(self, name: str, mac: str) -> str | None:
        """The port behind which the bridge of `name` last saw `mac`; None if nobody has sent from `mac` lately, or `name` does not learn."""

    def forget(self, name: str, mac: str) -> None:
        """Have the bridge look for `mac` everywhere, and not behind its port `name` any more, until `mac` sends. Raises `Failed`."""

    def state(self, name: str) -> NetdevState | None:
        """The state that a link loses with its driver; None if there is no such link."""

    def restore(self, name: str, wanted: NetdevState) -> None:
        """Restore what differs from `wanted`, including the name. Raises `Failed` naming what could not be restored."""

    def taps_of(self, domain_uuid: str) -> frozenset[str]:
        """Host devices that the domain's QEMU process holds open (``iff:`` in ``/proc/PID/fdinfo``); empty if that cannot be seen."""

    def taps_by_domain(self) -> Mapping[str, frozenset[str]]:
        """The same for every domain at once, by UUID; domains whose process cannot be looked at are left out."""


class HostDevices(Protocol):
    """The PCI devices of this host. A look is always a fresh one, and raises `HostDeviceMissing` for a device that is not there."""

    def obstacles(self) -> Sequence[Refusal]:
        """What keeps this program from lending any device of this host, each obstacle with its remedy."""

    def device(self, address: PciAddress) -> PciDevice:
        """Any PCI device."""

    def devices(self) -> Sequence[PciDevice]:
        """Every network PF, each followed by its VFs; none on a host without SR-IOV."""

    def vfs(self, pf: PciAddress) -> Sequence[PciDevice]:
        """The VFs of `pf` by index; none for a device that is no PF."""

    def identity(self, vf: PciAddress) -> VfIdentity:
        """The identity of the VF at that address. Raises `HostDeviceUnfit` for a device that is no VF."""

    def boot(self) -> Boot:
        """The current boot of this host."""

    def settings(self, vf: PciAddress) -> VfSettings:
        """The VF's current settings. Raises `HostDeviceUnfit` for a device that is no VF, or whose PF has no network interface."""

    def apply(self, vf: PciAddress, settings: VfSettings) -> None:
        """Set what is not None in `settings` and differs from the current settings.

        Everything is tried, and a `HostDeviceFailed` names what could not be set. Raises what the method `settings` raises, too.
        """

    def counters(self, pf: PciAddress) -> Mapping[PciAddress, VfCounters]:
        """What each VF of `pf` has carried. VFs with zeroes alone are left out, as a driver that counts nothing reports zeroes.

        Raises `HostDeviceFailed`, and `HostDeviceUnfit` for a device without a network interface.
        """

    def group(self, address: PciAddress) -> Sequence[PciDevice]:
        """All devices of the device's IOMMU group, itself among them; none if the device is in no group."""

    def vfio_users(self, address: PciAddress) -> frozenset[int]:
        """The ids of the processes that hold the device's VFIO file or group open.

        Raises `HostDeviceFailed` if some process may not be looked at (that takes root).
        """

    def is_msix_enabled(self, address: PciAddress) -> bool:
        """Whether the device's MSI-X is on, which a guest's driver does; False for a device without MSI-X.

        Raises `HostDeviceFailed` if that cannot be seen (that takes root).
        """

    def is_link_up(self, pf: PciAddress) -> bool:
        """Whether the network interface of a device has a carrier; False if the device has no interface."""

    # -- PFs. Nobody may have a VF of a PF that is unbound, or whose number of VFs changes. Else the kernel waits for the VF's user,
    # without a limit. ------------------------------------------------------------------------------

    def pf_state(self, pf: PciAddress) -> PfState:
        """Everything that has to be restored after the PF was bound anew. Raises `HostDeviceFailed`."""

    def netdev_state(self, address: PciAddress) -> NetdevState | None:
        """The state of a device's network interface; None if the device has none here. Raises `HostDeviceFailed`."""

    def links_above(self, address: PciAddress) -> Sequence[str]:
        """Names of the links that stand on the device's network interface (VLANs, macvtaps), and go with it."""

    def obstacle(self, pf: PciAddress) -> str | None:
        """Why this process cannot change the PF, a sentence; None if nothing is known against it."""

    def unbind(self, address: PciAddress) -> None:
        """Unbind the driver of a device, which removes its VFs; a device without a driver is no error. Raises `HostDeviceFailed`."""

    def bind(self, address: PciAddress, driver: str) -> None:
        """Bind a device to a driver; returns once the driver works. A device that has the driver is no error. Raises `HostDeviceFailed`."""

    def set_num_vfs(self, pf: PciAddress, number: int) -> None:
        """Set the number of VFs, which makes all VFs anew, unless the PF has this number already. Raises `HostDeviceFailed`."""

    def restore_netdev(self, address: PciAddress, state: NetdevState) -> None:
        """Wait for the device's network interface, and restore what differs from `state`. `HostDeviceFailed` names what could not be restored."""

    def hook_fault(self, command: Sequence[str]) -> str | None:
        """Why that program cannot be run, a sentence; None if it can."""

    def run_hook(self, pf: PciAddress, command: Sequence[str]) -> None:
        """Run a program (no shell) with ``VIRTNETPLUG_PF`` (the address) and ``VIRTNETPLUG_NETDEV`` in its environment; raises `HookFailed`."""


class NodeDevices(Protocol):
    """libvirt's node devices. Every method raises `HostDeviceMissing` for a device that libvirt does not know (any more)."""

    def driver(self, address: PciAddress) -> str | None:
        """The kernel driver that holds the device, None if no driver does."""

    def detach(self, address: PciAddress) -> None:
        """``virNodeDeviceDetachFlags``: bind the device to vfio-pci; a device that has vfio-pci is no error. Raises `HostDeviceBusy`."""

    def reattach(self, address: PciAddress) -> None:
        """``virNodeDeviceReAttach``: re-attach the device to its host driver, from vfio-pci or from none.

        Raises `HostDeviceBusy` while a domain has the device.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Memlock:
    """How much memory a process may let its children lock: `hard` in bytes, None without a limit; `may_raise` if the process may exceed the limit."""

    process: str
    hard: int | None
    may_raise: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFault:
    """Why a driver is not in the kernel and cannot be loaded, and what to do; `is_certain` is False if that cannot be seen."""

    found: str
    remedy: str
    is_certain: bool = True


class HostFacts(Protocol):
    """Facts of this host; no method needs root."""

    def is_root(self) -> bool:
        """Whether this process may do what only root may."""

    def is_virtual(self) -> bool:
        """Whether the host itself is a virtual machine."""

    def cpu_vendor(self) -> str:
        """The vendor in ``/proc/cpuinfo`` (``GenuineIntel``, ``AuthenticAMD``), empty if there is none."""

    def kernel_arguments(self) -> Sequence[str]:
        """The words of the kernel's command line."""

    def iommu_groups(self) -> int:
        """How many IOMMU groups there are; 0 while no IOMMU is on."""

    def remaps_interrupts(self) -> bool | None:
        """Whether the IOMMU can keep a guest's interrupts apart; None if the kernel does not show it."""

    def has_driver(self, name: str) -> bool:
        """Whether this PCI driver is in the kernel now."""

    def module_fault(self, name: str) -> ModuleFault | None:
        """What keeps this PCI driver from being loaded when it is needed; None if the driver is in the kernel or can be loaded."""

    def memlock(self, *, own: bool) -> Memlock | None:
        """The limit of libvirt's QEMU daemon, None while no daemon runs; `own`: of this process, in which an embedded driver runs."""


class Networks(Protocol):
    """The networks a domain's NICs may name."""

    def network(self, name: str) -> Network:
        """The network of that name, active or not; raises `NetworkMissing`."""

    def names(self) -> Sequence[str]:
        """The names of all defined networks."""

    def ports(self, name: str) -> Sequence[NetworkPort]:
        """The ports of an active network; none for an inactive network."""

    def port_uuids(self, name: str) -> frozenset[str]:
        """The UUIDs of these ports alone, without a look at each port (``virNetworkListAllPorts``)."""

    def create_port(self, port: NetworkPort) -> NetworkPort:
        """Reserve exactly the device `port.host_address` of a pool (``virNetworkPortCreateXML`` with ``VIR_NETWORK_PORT_CREATE_RECLAIM``).

        Raises `ClaimTaken` if a port has the device already, and `HostDeviceUnfit` if the pool does not have it. Raises `NotSupported` for a
        network that is no pool of PCI devices, `NetworkInactive`, and `NetworkMissing`.
        """

    def port(self, network: str, uuid: str) -> NetworkPort | None:
        """The port of that UUID, or None; always None for an inactive network. Raises `NetworkMissing`."""

    def restore_port(self, net: Interface, *, owner_uuid: str, owner_name: str) -> NetworkPort:
        """Make the port whose UUID is the portid of `net`, from a live definition; a port that exists is no error.

        Raises `PortForeign` if the port has another MAC or owner, `NetworkInactive`, `NetworkMissing`.
        """

    def restart(self, name: str) -> None:
        """Stop a network and start it again, so that a pool lists the current VFs; raises `Failed`, nothing changed, while the network has ports.

        Raises `NetworkMissing`, and `NotSupported` for a transient network, which would vanish.
        """

    def delete_port(self, network: str, uuid: str) -> None:
        """``virNetworkPortDelete``; a port that is gone, or whose network is not active, is no error. Raises `NetworkMissing`."""
