"""What a diagnosis needs to know of the host's kernel and daemons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Memlock:
    """How much memory a process may let its children lock: `hard` in bytes, None without a limit; `may_raise` if the limit binds it not at all."""

    process: str
    hard: int | None
    may_raise: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFault:
    """Why a driver is not in the kernel and cannot be loaded, and what to do; not `is_certain` where that cannot be seen."""

    found: str
    remedy: str
    is_certain: bool = True


class HostFacts(Protocol):
    """Facts of this host; none of them needs root."""

    def is_root(self) -> bool:
        """Whether this process may do what only root may."""

    def is_virtual(self) -> bool:
        """Whether the host itself is a virtual machine."""

    def cpu_vendor(self) -> str:
        """As ``/proc/cpuinfo`` has it (``GenuineIntel``, ``AuthenticAMD``), empty if it does not say."""

    def kernel_arguments(self) -> Sequence[str]:
        """What the kernel was booted with."""

    def kernel_release(self) -> str:
        """As ``uname -r`` says."""

    def iommu_groups(self) -> int:
        """How many there are; 0 while no IOMMU is on."""

    def remaps_interrupts(self) -> bool | None:
        """Whether the IOMMU can keep a guest's interrupts apart; None where the kernel does not say."""

    def has_driver(self, name: str) -> bool:
        """Whether this PCI driver is in the kernel now."""

    def module_fault(self, name: str) -> ModuleFault | None:
        """What keeps this PCI driver from being loaded when it is needed; None if it is in the kernel or can be loaded."""

    def memlock(self, *, own: bool) -> Memlock | None:
        """Of libvirt's QEMU daemon (`own`: of this process, in which an embedded driver runs); None while none runs."""
