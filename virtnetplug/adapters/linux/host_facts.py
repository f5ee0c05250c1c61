"""Facts of this host's kernel, from ``/proc``, ``/sys`` and ``/lib/modules``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from virtnetplug.ports.host_facts import Memlock, ModuleFault

_DAEMONS = frozenset({"virtqemud", "libvirtd"})
_CAP_SYS_RESOURCE = 24  # <linux/capability.h>
_ECAP_INTERRUPT_REMAPPING = 3  # bit of VT-d's extended capability register


class LinuxHostFacts:
    """`ports.host_facts.HostFacts`; `root` is where the file systems are looked for."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._proc, self._sys, self._modules = root / "proc", root / "sys", root / "lib/modules"
        self._rules = [root / place / "modprobe.d" for place in ("etc", "run", "usr/lib", "lib")]

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

    def module_fault(self, name: str) -> ModuleFault | None:
        """By the lists that ``depmod`` and the kernel's build left, and by what ``modprobe -b``, which is how libvirt loads it, would obey."""
        if self.has_driver(name):
            return None
        release = self.kernel_release()
        known = self._known_modules(release)
        if not known:
            return ModuleFault(
                found=f"{name} is not loaded, and which modules kernel {release or 'of this host'} has cannot be seen",
                remedy=f"load it ('modprobe {name}')",
                is_certain=False,
            )
        if _module(name) not in known:
            return ModuleFault(
                found=f"kernel {release} has no module {name}",
                remedy="install a kernel that has it (CONFIG_VFIO_PCI): Debian's linux-image-amd64 does, its cloud kernel does not",
            )
        if _text(self._proc / "sys/kernel/modules_disabled").strip() == "1":
            return ModuleFault(
                found=f"{name} is not loaded, and this kernel loads no modules any more (kernel.modules_disabled)",
                remedy="load it at boot, by a line in /etc/modules-load.d, and reboot",
            )
        if (where := self._forbidden(name)) is not None:
            return ModuleFault(
                found=f"{name} is not to be loaded, says {where}", remedy=f"take that line out, or 'modprobe {name}'"
            )
        return None

    def _known_modules(self, release: str) -> frozenset[str]:
        folder = self._modules / release
        lines = (_text(folder / list_).splitlines() for list_ in ("modules.dep", "modules.builtin"))
        return frozenset(_module(os.path.basename(line.partition(":")[0])) for some in lines for line in some)

    def _forbidden(self, name: str) -> str | None:
        """The file of ``modprobe.d(5)`` that blacklists the module, or installs nothing in its place."""
        for folder in self._rules:
            for file in _listed(folder):
                for line in _text(folder / file).splitlines() if file.endswith(".conf") else ():
                    words = line.split()
                    if len(words) < 2 or _module(words[1]) != _module(name):
                        continue
                    is_nothing = (
                        words[0] == "install" and words[2:3] and os.path.basename(words[2]) in ("false", "true")
                    )
                    if words[0] == "blacklist" or is_nothing:
                        return f"/{folder.relative_to(self._root)}/{file}"
        return None

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


def _module(name: str) -> str:
    """As the kernel calls it: ``vfio-pci.ko.xz`` and ``vfio_pci`` are the same."""
    return name.partition(".ko")[0].replace("-", "_")


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
