"""The host's PFs: drivers and numbers of VFs through sysfs (``Documentation/ABI/testing/sysfs-bus-pci``), interfaces through netlink."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from virtnetplug.adapters.linux import netdev_state
from virtnetplug.adapters.linux.pci import PciTree
from virtnetplug.errors import HookFailed, HostDeviceFailed
from virtnetplug.model.host_device import NetdevState, PfState
from virtnetplug.model.pci import PciAddress
from virtnetplug.retry import until_true

NETDEV_SECONDS = 30.0
"""How long a driver may take to make its network interface (seen: 0.5 s, and more where the driver waits for its firmware)."""

UDEV_SECONDS = 5.0
"""How long udev may take to finish with a new interface, which it may rename."""


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Raise `HostDeviceFailed` if the kernel does not let `what` be read."""
    try:
        yield
    except OSError as error:
        raise HostDeviceFailed(f"{what} cannot be read: {error.strerror}") from None


class LinuxPhysicalFunctions(PciTree):
    """The PFs' part of `ports.host.HostDevices`."""

    _udev: Path = Path("/run/udev/data")

    def pf_state(self, pf: PciAddress) -> PfState:
        device = self.device(pf)
        return PfState(driver=device.driver, num_vfs=device.num_vfs, netdev=self.netdev_state(pf))

    def netdev_state(self, address: PciAddress) -> NetdevState | None:
        index = self._index(address)
        with readable(f"the network interface of {address}"):
            return None if index is None else netdev_state.read(index)

    def links_above(self, address: PciAddress) -> Sequence[str]:
        index = self._index(address)
        return [] if index is None else netdev_state.above(index)

    def obstacle(self, pf: PciAddress) -> str | None:
        if os.access(Path(self.place(pf)) / "sriov_numvfs", os.W_OK):
            return None
        return "its driver and VFs can only be changed by root; run this as root"

    def unbind(self, address: PciAddress) -> None:
        """``driver/unbind``; the kernel returns once the driver is unbound."""
        if self.device(address).driver is not None:
            self._write(Path(self.place(address)) / "driver/unbind", str(address), f"take {address} from its driver")

    def bind(self, address: PciAddress, driver: str) -> None:
        if self.device(address).driver == driver:
            return
        self.unbind(address)
        self._write(self._sys / "bus/pci/drivers" / driver / "bind", str(address), f"give {address} to driver {driver}")
        if not until_true(lambda: self.device(address).driver == driver, seconds=NETDEV_SECONDS):
            raise HostDeviceFailed(f"{address} was given to driver {driver}, which did not take it; see 'dmesg'")

    def set_num_vfs(self, pf: PciAddress, number: int) -> None:
        """``sriov_numvfs``: by way of 0, as the kernel refuses every other change of a number that is not 0."""
        now = self.device(pf).num_vfs
        if now == number:
            return
        place = Path(self.place(pf)) / "sriov_numvfs"
        for value in (0, number) if now and number else (number,):
            self._write(place, str(value), f"let {pf} have {value} VFs")
        if not until_true(lambda: len(self.vfs(pf)) == number, seconds=NETDEV_SECONDS):
            raise HostDeviceFailed(f"{pf} was to have {number} VFs, and has {len(self.vfs(pf))}; see 'dmesg'")

    def restore_netdev(self, address: PciAddress, state: NetdevState) -> None:
        """Once udev has finished with the interface: only then does the interface keep a restored name."""
        if not until_true(lambda: self._index(address) is not None, seconds=NETDEV_SECONDS):
            raise HostDeviceFailed(f"the driver of {address} made no network interface, which was {state.name}")
        index = self._index(address) or 0
        until_true(lambda: self._is_known_to_udev(index), seconds=UDEV_SECONDS)
        try:
            faults = netdev_state.restore(index, state)
        except OSError as error:
            faults = [str(error.strerror)]
        if faults:
            raise HostDeviceFailed(
                f"{state.name}, the interface of {address}, was restored without {'; '.join(faults)}"
            )

    def hook_fault(self, command: Sequence[str]) -> str | None:
        import shutil

        if not command:
            return "it names no program"
        return None if shutil.which(command[0]) else f"there is no program '{command[0]}' that can be run"

    def run_hook(self, pf: PciAddress, command: Sequence[str]) -> None:
        import subprocess

        netdev = self.device(pf).netdev or ""
        environment = {**os.environ, "VIRTNETPLUG_PF": str(pf), "VIRTNETPLUG_NETDEV": netdev}
        try:
            done = subprocess.run(
                list(command), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                check=False, process_group=0,
            )  # fmt: skip
        except OSError as error:
            raise HookFailed(f"the firmware hook '{command[0]}' could not be run: {error.strerror}") from None
        if done.returncode:
            words = done.stdout.decode(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
            raise HookFailed(f"the firmware hook '{command[0]}' ended with status {done.returncode}: {words[0]}")

    def _index(self, address: PciAddress) -> int | None:
        return self.interface_index(self.device(address))

    def _is_known_to_udev(self, index: int) -> bool:
        return not self._udev.is_dir() or (self._udev / f"n{index}").exists()

    def _write(self, place: Path, text: str, what: str) -> None:
        try:
            place.write_text(text)
        except OSError as error:
            hint = "; run this as root" if isinstance(error, PermissionError) else "; 'dmesg' may say why"
            raise HostDeviceFailed(f"the kernel would not {what}: {error.strerror}{hint}") from None
