"""Facts of this host's kernel, from ``/proc``, ``/sys`` and ``/lib/modules``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from virtnetplug.ports.host_facts import Memlock

_DAEMONS = frozenset({"virtqemud", "libvirtd"})
_CAP_SYS_RESOURCE = 24  # <linux/capability.h>
_ECAP_INTERRUPT_REMAPPING = 3  # bit of VT-d's extended capability register


class LinuxHostFacts:
    """`ports.host_facts.HostFacts`; `root` is where the file systems are looked for."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc, self._sys, self._modules = root / "proc", root / "sys", root / "lib/modules"

    def is_root(self) -> bool:
        """By the effective user."""
        return os.geteuid() == 0

    def is_virtual(self) -> bool:
        """By the CPU's flag ``hypervisor``."""
        return "hypervisor" in self._cpu("flags").split()

    def cpu_vendor(self) -> str:
        """Of the first CPU."""
        return self._cpu("vendor_id")

    def kernel_arguments(self) -> Sequence[str]:
        """``/proc/cmdline``."""
        return _text(self._proc / "cmdline").split()

    def kernel_release(self) -> str:
        """``/proc/sys/kernel/osrelease``."""
        return _text(self._proc / "sys/kernel/osrelease").strip()

    def iommu_groups(self) -> int:
        """``/sys/kernel/iommu_groups``."""
        return len(_listed(self._sys / "kernel/iommu_groups"))

    def remaps_interrupts(self) -> bool | None:
        """From the capabilities of Intel's units; no other IOMMU's tells."""
        units = self._sys / "class/iommu"
        capabilities = [_text(units / name / "intel-iommu/ecap").strip() for name in _listed(units)]
        said = [int(text, 16) for text in capabilities if text]
        return all(value >> _ECAP_INTERRUPT_REMAPPING & 1 for value in said) if said else None

    def has_driver(self, name: str) -> bool:
        """``/sys/bus/pci/drivers``."""
        return (self._sys / "bus/pci/drivers" / name).is_dir()

    def has_module(self, name: str) -> bool:
        """By the lists that ``depmod`` and the kernel's build left."""
        folder = self._modules / self.kernel_release()
        lines = (_text(folder / list_).splitlines() for list_ in ("modules.dep", "modules.builtin"))
        paths = (line.partition(":")[0] for some in lines for line in some)
        wanted = name.replace("-", "_")
        return any(os.path.basename(path).partition(".ko")[0].replace("-", "_") == wanted for path in paths)

    def memlock(self, *, own: bool) -> Memlock | None:
        """From ``limits`` and ``status`` of the process."""
        for pid in [str(os.getpid())] if own else self._daemons():
            limits, status = _text(self._proc / pid / "limits"), _text(self._proc / pid / "status")
            hard = next((line.split()[4] for line in limits.splitlines() if line.startswith("Max locked memory")), None)
            if hard is not None:
                effective = int(_field(status, "CapEff") or "0", 16)
                return Memlock(
                    process="this process" if own else f"{_text(self._proc / pid / 'comm').strip()} ({pid})",
                    hard=None if hard == "unlimited" else int(hard),
                    may_raise=bool(effective >> _CAP_SYS_RESOURCE & 1),
                )
        return None

    def _daemons(self) -> Iterator[str]:
        for pid in _listed(self._proc):
            if pid.isdigit() and _text(self._proc / pid / "comm").strip() in _DAEMONS:
                yield pid

    def _cpu(self, name: str) -> str:
        return _field(_text(self._proc / "cpuinfo"), name)


def _field(text: str, name: str) -> str:
    """The value of the first line ``NAME : VALUE``."""
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return ""


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
