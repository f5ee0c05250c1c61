"""Facts of the host's kernel and daemons, for a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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
