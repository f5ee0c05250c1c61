"""PFs in memory: what becomes of one whose driver is bound anew or whose VFs are made anew, as igb was seen to do it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

from virtnetplug.errors import HostDeviceFailed, HostDeviceMissing
from virtnetplug.model.host_device import NetdevState, PciDevice, PfState, VfSettings
from virtnetplug.model.pci import PciAddress


class FakePhysicalFunctions:
    """The PFs' part of `ports.host.HostDevices`, for `FakeHostDevices`.

    A PF that is unbound while somebody has one of its VFs makes the kernel wait. This must never happen: here it is an `AssertionError`,
    kept in `deadlocks`. `above` are links on a PF's interface, `hooks` what a hook does, `forbidden` why a PF cannot be changed.
    """

    found: dict[PciAddress, PciDevice]
    set: dict[PciAddress, VfSettings]
    held: dict[PciAddress, set[int]]
    inodes: dict[PciAddress, int]
    _inodes: Iterator[int]
    _names: Iterator[int]
    _called: Callable[..., None]
    replace: Callable[..., PciDevice]
    set_numvfs: Callable[[PciAddress, int], None]

    def _make_pfs(self, pfs: Sequence[PciAddress]) -> None:
        self.netdevs = {
            pf: NetdevState(name=f"eth{number}", mac=f"02:00:00:01:00:{number:02x}", mtu=1500, is_up=True)
            for pf, number in zip(pfs, itertools.count(), strict=False)
        }
        self.above: dict[PciAddress, list[str]] = {}
        self.hooks: dict[str, Callable[[PciAddress], None]] = {}
        self.forbidden: str | None = None
        self.made_anew: list[str] = []
        self.deadlocks: list[str] = []

    def pf_state(self, pf: PciAddress) -> PfState:
        self._called("pf_state", pf)
        device = self._pf(pf)
        return PfState(driver=device.driver, num_vfs=device.num_vfs, netdev=self.netdevs.get(pf))

    def netdev_state(self, address: PciAddress) -> NetdevState | None:
        self._called("netdev_state", address)
        device = self._pf(address)
        if device.is_pf:
            return self.netdevs.get(address)
        return None if device.netdev is None else self.netdevs.get(address, NetdevState(name=device.netdev))

    def links_above(self, address: PciAddress) -> Sequence[str]:
        return self.above.get(address, [])

    def obstacle(self, pf: PciAddress) -> str | None:
        return self.forbidden

    def unbind(self, address: PciAddress) -> None:
        self._called("unbind", address)
        if not self._pf(address).is_pf:
            self.replace(address, driver=None, netdev=None)
            return
        self._assert_free(address)
        self.set_numvfs(address, 0)
        self.replace(address, driver=None, netdev=None)
        self.netdevs.pop(address, None)

    def bind_pf(self, pf: PciAddress, driver: str | None) -> None:
        """The part of `bind` that is a PF's: a new interface, with nothing of what the old one had."""
        if self._pf(pf).driver == driver:
            return
        name = f"eth{next(self._names)}"
        number = pf.bus - 1
        self.replace(pf, driver=driver, netdev=name)
        self.inodes[pf] = next(self._inodes)
        self.netdevs[pf] = NetdevState(name=name, mac=f"02:00:00:01:00:{number:02x}", mtu=1500)
        self.made_anew.append(f"driver {pf}")

    def set_num_vfs(self, pf: PciAddress, number: int) -> None:
        self._called("set_num_vfs", pf, number)
        device = self._pf(pf)
        if device.num_vfs == number:
            return
        if device.driver is None:
            raise HostDeviceFailed(f"the kernel would not let {pf} have {number} VFs: No such file or directory")
        if number > device.total_vfs:
            raise HostDeviceFailed(f"the kernel would not let {pf} have {number} VFs: Numerical result out of range")
        self._assert_free(pf)
        self.set_numvfs(pf, number)
        self.made_anew.append(f"{number} VFs of {pf}")

    def restore_netdev(self, address: PciAddress, state: NetdevState) -> None:
        self._called("restore_netdev", address)
        if self._pf(address).netdev is None:
            raise HostDeviceFailed(f"the driver of {address} made no network interface, which was {state.name}")
        self.netdevs[address] = dataclasses.replace(state)
        self.replace(address, netdev=state.name)

    def hook_fault(self, command: Sequence[str]) -> str | None:
        return None if command and command[0] in self.hooks else f"there is no program '{command[0]}' that can be run"

    def run_hook(self, pf: PciAddress, command: Sequence[str]) -> None:
        self._called("run_hook", pf, *command)
        self.hooks[command[0]](pf)

    def _pf(self, pf: PciAddress) -> PciDevice:
        if pf not in self.found:
            raise HostDeviceMissing(f"this host has no PCI device {pf}")
        return self.found[pf]

    def _assert_free(self, pf: PciAddress) -> None:
        held = [str(vf.address) for vf in self.found.values() if vf.pf == pf and self.held.get(vf.address)]
        if held:
            self.deadlocks.append(f"the kernel waits for ever: {', '.join(held)} is in use")
            raise AssertionError(self.deadlocks[-1])
