"""The host's SR-IOV devices: found in sysfs, set through the kernel's netlink."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from virtnetplug.adapters.linux import files, pci, rtnetlink, vf
from virtnetplug.adapters.linux.host_facts import LinuxHostFacts
from virtnetplug.adapters.linux.physical_functions import LinuxPhysicalFunctions, readable
from virtnetplug.errors import HostDeviceFailed, HostDeviceMissing, HostDeviceUnfit
from virtnetplug.model.host_device import VFIO_DRIVER, Boot, PciDevice, VfCounters, VfIdentity, VfSettings
from virtnetplug.model.operation import Refusal
from virtnetplug.model.pci import PciAddress

_WITHOUT_LINK_STATE = frozenset({"igb"})
"""PF drivers without ``ndo_set_vf_link_state``: the kernel reports ``auto`` for their VFs, too."""

Change = tuple[str, Callable[[], None]]


class LinuxHostDevices(LinuxPhysicalFunctions):
    """`ports.host.HostDevices` of the network namespace of the calling thread."""

    def __init__(
        self, sys: Path = Path("/sys"), proc: Path = Path("/proc"), facts: LinuxHostFacts | None = None
    ) -> None:
        super().__init__(sys)
        self._proc = proc
        self._facts = LinuxHostFacts() if facts is None else facts

    def obstacles(self) -> Sequence[Refusal]:
        """Only root can set a VF and see who uses it, and only root's journal is the one that all processes share."""
        found = []
        if not self._facts.is_root():
            message = "only root can lend a device of this host. Run virtnetplug as root."
            found.append(Refusal(reason="permission-denied", message=message))
        fault = self._facts.module_fault(VFIO_DRIVER)
        if fault is not None and fault.is_certain:
            found.append(Refusal(reason="vfio-missing", message=f"{fault.found}. Remedy: {fault.remedy}."))
        return found

    def is_msix_enabled(self, address: PciAddress) -> bool:
        """From the device's ``config``; QEMU switches a VFIO device's MSI-X on when the guest does (``vfio_msix_enable``)."""
        with readable(f"the configuration of {address}"):
            config = Path(self.place(address), "config").read_bytes()
        if len(config) <= pci.OPEN_TO_ALL:
            raise HostDeviceFailed(f"whether MSI-X of {address} is enabled cannot be seen; run this as root")
        return pci.is_msix_enabled(config)

    def vfio_users(self, address: PciAddress) -> frozenset[int]:
        """From ``/proc/PID/fd``: the processes that have a VFIO file of the device open.

        A device that the host's driver has is in no process: VFIO releases it when the last user has closed it (``vfio_unregister_group_dev``).
        """
        if self.is_on_host(address):
            return frozenset()
        try:
            return files.holders(self._proc, self.vfio_names(address))
        except PermissionError as error:
            raise HostDeviceFailed(
                f"who has {address} open through VFIO cannot be seen ({error.strerror} for process {error.filename}); "
                "run this as root"
            ) from None

    def identity(self, vf: PciAddress) -> VfIdentity:
        """The boot id, and inodes of sysfs. The directory is looked at first, so that a VF made meanwhile is not taken for the earlier VF."""
        inode, (_, index, pf) = self.inode(vf), self._vf(vf)
        driver, binding = self.binding(pf)
        return VfIdentity(boot=self._boot_id(), pf=str(pf), driver=driver, binding=binding, index=index, inode=inode)

    def boot(self) -> Boot:
        """``boot_id``, and ``btime`` of ``/proc/stat``, which follows the clock when somebody sets the clock."""
        words = map(str.split, files.text(self._proc / "stat").splitlines())
        return Boot(self._boot_id(), next((float(line[1]) for line in words if line[:1] == ["btime"]), 0.0))

    def _boot_id(self) -> str:
        return files.text(self._proc / "sys/kernel/random/boot_id")

    def settings(self, vf: PciAddress) -> VfSettings:
        return self._settings(*self._of(vf))

    def counters(self, pf: PciAddress) -> Mapping[PciAddress, VfCounters]:
        device = self.device(pf)
        index = self.interface_index(device)
        if index is None:
            raise HostDeviceUnfit(f"{pf} has no network interface here, so nothing is counted of its VFs")
        with readable(f"the counters of the VFs of {device.netdev}"):
            found = vf.read_counters(index)
        numbered = ((one.address, one.vf_index) for one in self.vfs(pf))
        return {address: found[number] for address, number in numbered if number is not None and number in found}

    def apply(self, vf: PciAddress, settings: VfSettings) -> None:
        device, number, pf, index = self._of(vf)
        now = self._settings(device, number, pf, index)
        failures = []
        for name, change in self._changes(device, number, index, now, settings):
            try:
                change()
            except OSError as error:
                failures.append(f"{name}: {_reason(error, name, pf)}")
        if failures:
            raise HostDeviceFailed(f"{vf} could not be set as it should be: {'; '.join(failures)}")

    def _vf(self, address: PciAddress) -> tuple[PciDevice, int, PciAddress]:
        """The VF, its number, and the address of its PF."""
        device = self.device(address)
        if device.pf is None or device.vf_index is None:
            raise HostDeviceUnfit(f"{address} is no VF; `devices()` shows the VFs of this host")
        return device, device.vf_index, device.pf

    def _of(self, vf: PciAddress) -> tuple[PciDevice, int, PciDevice, int]:
        """The VF, its number, its PF, and the index of the PF's interface."""
        device, number, address = self._vf(vf)
        pf = self.device(address)
        index = self.interface_index(pf)
        if index is None:
            raise HostDeviceUnfit(
                f"{address}, the PF of {vf}, has no network interface here (its driver is {pf.driver or 'missing'}), "
                "so its VFs cannot be set. Load the driver, or move the interface into this network namespace"
            )
        return device, number, pf, index

    def _settings(self, device: PciDevice, number: int, pf: PciDevice, index: int) -> VfSettings:
        with readable(f"the VFs of {pf.netdev}"):
            raw = vf.read(index).get(number)
        if raw is None:
            raise HostDeviceMissing(f"{pf.netdev} knows no VF {number} ({device.address}) any more")
        return replace(
            raw,
            mac=self.of_interface(device, "address").lower() or None,
            mtu=int(self.of_interface(device, "mtu") or 0) or None,
            link_state=None if pf.driver in _WITHOUT_LINK_STATE else raw.link_state,
        )

    def _changes(
        self, device: PciDevice, number: int, pf: int, now: VfSettings, wanted: VfSettings
    ) -> Iterator[Change]:
        """What differs: what the PF allows the VF comes before what the VF does itself."""
        for name, fields in vf.SETTINGS.items():
            values = [getattr(wanted, field) for field in fields]
            if None not in values and values != [getattr(now, field) for field in fields]:
                yield name, partial(vf.write, pf, number, name, *values)
        if (mac := wanted.mac) is not None and mac != now.mac:
            yield "MAC of its own interface", lambda: rtnetlink.write_mac(self._own(device), mac)
        if (mtu := wanted.mtu) is not None and mtu != now.mtu:
            yield "MTU", lambda: rtnetlink.write_number(self._own(device), rtnetlink.MTU, mtu)

    def _own(self, device: PciDevice) -> int:
        index = self.interface_index(device)
        if index is None:
            raise OSError(errno.ENODEV, f"it has no network interface while its driver is {device.driver or 'missing'}")
        return index


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
