"""What operations need of the host's physical functions (PFs): their drivers, how many VFs they have, and their network interfaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from virtnetplug.model.host_device import NetdevState, PfState
from virtnetplug.model.pci import PciAddress


class PhysicalFunctions(Protocol):
    """Every method raises `HostDeviceMissing` for a device that is not there.

    Nobody may have a VF of a PF that is unbound, or whose number of VFs changes: the kernel then waits for who has it, for as long as it takes.
    """

    def pf_state(self, pf: PciAddress) -> PfState:
        """All that is to be as it was. Raises `HostDeviceFailed`."""

    def netdev_state(self, address: PciAddress) -> NetdevState | None:
        """The network interface of any device; None if it has none here. Raises `HostDeviceFailed`."""

    def links_above(self, address: PciAddress) -> Sequence[str]:
        """Names of the links that stand on its network interface (VLANs, macvtaps), and go with it."""

    def obstacle(self, pf: PciAddress) -> str | None:
        """Why this process cannot change the PF, a sentence; None if nothing is known against it."""

    def unbind(self, address: PciAddress) -> None:
        """Take its driver from a device, and its VFs with it; one without a driver is no error. Raises `HostDeviceFailed`."""

    def bind(self, address: PciAddress, driver: str) -> None:
        """Give it that driver; returns once it works. One that has it is no error. Raises `HostDeviceFailed`."""

    def set_num_vfs(self, pf: PciAddress, number: int) -> None:
        """Let it have so many VFs, all made anew; one that has so many keeps those. Raises `HostDeviceFailed`."""

    def restore_netdev(self, address: PciAddress, state: NetdevState) -> None:
        """Wait for its network interface, and make it as `state`, as far as it is not. `HostDeviceFailed` names all that could not be."""

    def hook_fault(self, command: Sequence[str]) -> str | None:
        """Why that program cannot be run, a sentence; None if it can."""

    def run_hook(self, pf: PciAddress, command: Sequence[str]) -> None:
        """Run it (no shell) with ``VIRTNETPLUG_PF`` (the address) and ``VIRTNETPLUG_NETDEV`` in its environment; raises `HookFailed`."""
