"""The host's SR-IOV devices: found in sysfs, set through the kernel's netlink."""

from __future__ import annotations

import errno
import sys as interpreter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from virtnetplug.adapters.linux import config_space, processes, rtnetlink, vf
from virtnetplug.adapters.linux.host_facts import LinuxHostFacts
from virtnetplug.adapters.linux.pci import PciTree
from virtnetplug.adapters.linux.physical_functions import LinuxPhysicalFunctions
from virtnetplug.errors import HostDeviceFailed, HostDeviceMissing, HostDeviceUnfit
from virtnetplug.model.host_device import VFIO_DRIVER, Boot, PciDevice, VfCounters, VfIdentity, VfSettings
from virtnetplug.model.operation import Refusal
from virtnetplug.model.pci import PciAddress

_ADDRESS, _MTU = 1, 4
_WITHOUT_LINK_STATE = frozenset({"igb"})
"""PF drivers without ``ndo_set_vf_link_state``: the kernel says ``auto`` for their VFs, too."""

_NO_VF = "{} is no VF; `devices()` shows the VFs of this host"

Change = tuple[str, Callable[[], None]]


class LinuxHostDevices(LinuxPhysicalFunctions):
    """`ports.host_devices.HostDevices` of the network namespace of the calling thread."""

    def __init__(
        self, sys: Path = Path("/sys"), proc: Path = Path("/proc"), facts: LinuxHostFacts | None = None
    ) -> None:
        self._sys = sys
        self._tree = PciTree(sys)
        self._proc = proc
        self._facts = LinuxHostFacts() if facts is None else facts

    def obstacles(self) -> Sequence[Refusal]:
        """Without root nothing can be set of a VF, nor its processes seen, nor is the journal the one that all share."""
        found = []
        if not self._facts.is_root():
            found.append(
                Refusal(
                    reason="permission-denied",
                    message="only root can lend a device of this host. Run virtnetplug as root.",
                )
            )
        fault = self._facts.module_fault(VFIO_DRIVER)
        if fault is not None and fault.is_certain:
            found.append(Refusal(reason="vfio-missing", message=f"{fault.found}. Remedy: {fault.remedy}."))
        return found

    def device(self, address: PciAddress) -> PciDevice:
        """Any PCI device."""
        return self._tree.device(address)

    def devices(self) -> Sequence[PciDevice]:
        """Every network PF, each followed by its VFs."""
        return list(self._tree.sriov())

    def vfs(self, pf: PciAddress) -> Sequence[PciDevice]:
        """The VFs of `pf` by index."""
        return self._tree.vfs(pf)

    def group(self, address: PciAddress) -> Sequence[PciDevice]:
        """All devices of its IOMMU group."""
        return self._tree.group(address)

    def is_link_up(self, pf: PciAddress) -> bool:
        """From the interface's ``carrier``."""
        return self._tree.is_link_up(pf)

    def is_msix_enabled(self, address: PciAddress) -> bool:
        """From its ``config``; QEMU switches a VFIO device's MSI-X on when the guest does (``vfio_msix_enable``)."""
        try:
            config = Path(self._tree.place(address), "config").read_bytes()
        except OSError as error:
            raise HostDeviceFailed(f"the configuration of {address} cannot be read: {error.strerror}") from None
        if len(config) <= config_space.OPEN_TO_ALL:
            raise HostDeviceFailed(f"whether MSI-X of {address} is enabled cannot be seen; run this as root")
        return config_space.is_msix_enabled(config)

    def vfio_users(self, address: PciAddress) -> frozenset[int]:
        """From ``/proc/PID/fd``: whoever has one of its device files open.

        Nobody has one that its host's driver has: VFIO's leaves it when the last user has closed it (``vfio_unregister_group_dev``).
        """
        if self._tree.is_on_host(address):
            return frozenset()
        try:
            return processes.holders(self._proc, self._tree.vfio_names(address))
        except PermissionError as error:
            raise HostDeviceFailed(
                f"who has {address} open through VFIO cannot be seen ({error.strerror} for process {error.filename}); "
                "run this as root"
            ) from None

    def identity(self, vf: PciAddress) -> VfIdentity:
        """By inodes of sysfs, and the boot id; its directory is looked at first, so that a VF made meanwhile is not taken for the one before."""
        inode, device = self._tree.inode(vf), self._tree.device(vf)
        if device.pf is None or device.vf_index is None:
            raise HostDeviceUnfit(_NO_VF.format(vf))
        driver, binding = self._tree.binding(device.pf)
        return VfIdentity(
            boot=self._boot_id(),
            pf=str(device.pf),
            driver=driver,
            binding=binding,
            index=device.vf_index,
            inode=inode,
        )

    def boot(self) -> Boot:
        """``boot_id``, and ``btime`` of ``/proc/stat``, which follows the clock where that is set."""
        words = (line.split() for line in self._said("stat").splitlines() if line.startswith("btime "))
        return Boot(self._boot_id(), next((float(one[1]) for one in words), 0.0))

    def _boot_id(self) -> str:
        return self._said("sys/kernel/random/boot_id").strip()

    def _said(self, name: str) -> str:
        try:
            return (self._proc / name).read_text()
        except OSError:
            return ""

    def settings(self, vf: PciAddress) -> VfSettings:
        """The PF's view of it, and the MAC and MTU of its own interface."""
        device, pf, index = self._of(vf)
        return self._settings(device, pf, index)

    def counters(self, pf: PciAddress) -> Mapping[PciAddress, VfCounters]:
        """One message for all VFs of the PF."""
        device = self._tree.device(pf)
        index = self._tree.interface_index(device)
        if index is None:
            raise HostDeviceUnfit(f"{pf} has no network interface here, so nothing is counted of its VFs")
        try:
            found = vf.read_counters(index)
        except OSError as error:
            raise HostDeviceFailed(
                f"the counters of the VFs of {device.netdev} cannot be read: {error.strerror}"
            ) from None
        numbered = ((one.address, one.vf_index) for one in self._tree.vfs(pf))
        return {address: found[number] for address, number in numbered if number is not None and number in found}

    def apply(self, vf: PciAddress, settings: VfSettings) -> None:
        """Each setting that differs by a message of its own; all are tried."""
        device, pf, index = self._of(vf)
        now = self._settings(device, pf, index)
        failures = []
        for name, change in self._changes(device, index, now, settings):
            try:
                change()
            except OSError as error:
                failures.append(f"{name}: {_reason(error, name, pf)}")
        if failures:
            raise HostDeviceFailed(f"{vf} could not be set as it should be: {'; '.join(failures)}")

    def _of(self, vf: PciAddress) -> tuple[PciDevice, PciDevice, int]:
        """The VF, its PF, and the index of the PF's interface."""
        device = self._tree.device(vf)
        if device.pf is None or device.vf_index is None:
            raise HostDeviceUnfit(_NO_VF.format(vf))
        pf = self._tree.device(device.pf)
        index = self._tree.interface_index(pf)
        if index is None:
            raise HostDeviceUnfit(
                f"{pf.address}, the PF of {vf}, has no network interface here (its driver is {pf.driver or 'missing'}), "
                "so nothing can be set of its VFs; load its driver, or bring its interface back to this network namespace"
            )
        return device, pf, index

    def _settings(self, device: PciDevice, pf: PciDevice, index: int) -> VfSettings:
        try:
            raw = vf.read(index).get(device.vf_index if device.vf_index is not None else -1)
        except OSError as error:
            raise HostDeviceFailed(f"the VFs of {pf.netdev} cannot be read: {error.strerror}") from None
        if raw is None:
            raise HostDeviceMissing(f"{pf.netdev} knows no VF {device.vf_index} ({device.address}) any more")
        return VfSettings(
            mac=self._tree.interface_mac(device),
            admin_mac=raw.mac,
            vlan=raw.vlan,
            qos=raw.qos,
            vlan_proto=raw.vlan_proto,
            spoofchk=raw.spoofchk,
            trust=raw.trust,
            min_rate=raw.min_rate,
            max_rate=raw.max_rate,
            link_state=None if pf.driver in _WITHOUT_LINK_STATE else raw.link_state,
            mtu=self._tree.interface_mtu(device),
        )

    def _changes(self, device: PciDevice, pf: int, now: VfSettings, wanted: VfSettings) -> Iterator[Change]:
        """What differs, in an order that works: what the PF allows the VF comes before what the VF does itself."""
        index = device.vf_index or 0
        if wanted.admin_mac != now.admin_mac:
            yield "admin MAC", lambda: vf.set_mac(pf, index, wanted.admin_mac)
        if (wanted.vlan, wanted.qos, wanted.vlan_proto) != (now.vlan, now.qos, now.vlan_proto):
            yield "VLAN", lambda: vf.set_vlan(pf, index, wanted.vlan, wanted.qos, wanted.vlan_proto)
        if (wanted.min_rate, wanted.max_rate) != (now.min_rate, now.max_rate):
            yield "rate", lambda: vf.set_rate(pf, index, wanted.min_rate, wanted.max_rate)
        if (spoofchk := wanted.spoofchk) is not None and spoofchk is not now.spoofchk:
            yield "spoofchk", lambda: vf.set_spoofchk(pf, index, spoofchk)
        if (trust := wanted.trust) is not None and trust is not now.trust:
            yield "trust", lambda: vf.set_trust(pf, index, trust)
        if (state := wanted.link_state) is not None and state != now.link_state:
            yield "link state", lambda: vf.set_link_state(pf, index, state)
        yield from self._own_changes(device, now, wanted)

    def _own_changes(self, device: PciDevice, now: VfSettings, wanted: VfSettings) -> Iterator[Change]:
        mac, mtu = wanted.mac, wanted.mtu
        if mac is not None and mac != now.mac:
            value = bytes.fromhex(mac.replace(":", ""))
            yield "MAC of its own interface", lambda: self._set_own(device, rtnetlink.packed(_ADDRESS, value))
        if mtu is not None and mtu != now.mtu:
            number = mtu.to_bytes(4, interpreter.byteorder)
            yield "MTU", lambda: self._set_own(device, rtnetlink.packed(_MTU, number))

    def _set_own(self, device: PciDevice, attribute: bytes) -> None:
        index = self._tree.interface_index(device)
        if index is None:
            raise OSError(errno.ENODEV, f"it has no network interface while its driver is {device.driver or 'missing'}")
        rtnetlink.write(index, attribute)


def _reason(error: OSError, name: str, pf: PciDevice) -> str:
    """The kernel's words, with what a person would have to look up."""
    words = error.strerror or str(error)
    if error.errno == errno.EPERM:
        return f"{words}; it takes CAP_NET_ADMIN, so run this as root"
    if error.errno == errno.EOPNOTSUPP:
        return f"{words}: the driver {pf.driver} of its PF {pf.netdev} has no such setting"
    if name == "rate" and error.errno == errno.EINVAL:
        return f"{words}; a rate must be below the speed of {pf.netdev}, whose link has to be up"
    return words
