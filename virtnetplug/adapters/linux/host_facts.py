"""Facts of this host's kernel, from ``/proc``, ``/sys`` and ``/lib/modules``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from virtnetplug.adapters.linux import files
from virtnetplug.ports.host import Memlock, ModuleFault

_DAEMONS = frozenset({"virtqemud", "libvirtd"})
_CAP_SYS_RESOURCE = 24  # <linux/capability.h>
_ECAP_INTERRUPT_REMAPPING = 3  # bit of VT-d's extended capability register


class LinuxHostFacts:
    """`ports.host.HostFacts`; `root` is where the file systems are looked for."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._proc, self._sys, self._modules = root / "proc", root / "sys", root / "lib/modules"
        self._rules = [root / place / "modprobe.d" for place in ("etc", "run", "usr/lib", "lib")]

    def is_root(self) -> bool:
        return os.geteuid() == 0

    def is_virtual(self) -> bool:
        return "hypervisor" in _field(self._proc / "cpuinfo", "flags").split()

    def cpu_vendor(self) -> str:
        return _field(self._proc / "cpuinfo", "vendor_id")

    def kernel_arguments(self) -> Sequence[str]:
        return files.text(self._proc / "cmdline").split()

    def kernel_release(self) -> str:
        return files.text(self._proc / "sys/kernel/osrelease")

    def iommu_groups(self) -> int:
        return len(files.names(self._sys / "kernel/iommu_groups"))

    def remaps_interrupts(self) -> bool | None:
        """From the capabilities of Intel's units; no other IOMMU shows it."""
        units = self._sys / "class/iommu"
        texts = [files.text(units / name / "intel-iommu/ecap") for name in files.names(units)]
        capabilities = [int(text, 16) for text in texts if text]
        return all(value >> _ECAP_INTERRUPT_REMAPPING & 1 for value in capabilities) if capabilities else None

    def has_driver(self, name: str) -> bool:
        return (self._sys / "bus/pci/drivers" / name).is_dir()

    def module_fault(self, name: str) -> ModuleFault | None:
        """By the lists that ``depmod`` and the kernel's build left, and by the rules of ``modprobe -b``, which is how libvirt loads a module."""
        if self.has_driver(name):
            return None
        release = self.kernel_release()
        lists = [self._modules / release / file for file in ("modules.dep", "modules.builtin")]
        lines = (line for path in lists for line in files.text(path).splitlines())
        known = {_module(os.path.basename(line.partition(":")[0])) for line in lines}
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
        if files.text(self._proc / "sys/kernel/modules_disabled") == "1":
            return ModuleFault(
                found=f"{name} is not loaded, and this kernel loads no modules any more (kernel.modules_disabled)",
                remedy="load it at boot, by a line in /etc/modules-load.d, and reboot",
            )
        if (where := self._forbidden(name)) is not None:
            return ModuleFault(
                found=f"a line in {where} forbids to load {name}", remedy=f"take that line out, or 'modprobe {name}'"
            )
        return None

    def _forbidden(self, name: str) -> str | None:
        """The file of ``modprobe.d(5)`` that blacklists the module, or installs nothing in its place."""
        places = (folder / file for folder in self._rules for file in files.names(folder) if file.endswith(".conf"))
        for place in places:
            for words in map(str.split, files.text(place).splitlines()):
                if len(words) < 2 or _module(words[1]) != _module(name):
                    continue
                is_nothing = words[0] == "install" and os.path.basename("".join(words[2:3])) in ("false", "true")
                if words[0] == "blacklist" or is_nothing:
                    return f"/{place.relative_to(self._root)}"
        return None

    def memlock(self, *, own: bool) -> Memlock | None:
        for process in [self._proc / str(os.getpid())] if own else self._daemons():
            limits = files.text(process / "limits").splitlines()
            hard = next((line.split()[4] for line in limits if line.startswith("Max locked memory")), None)
            if hard is not None:
                effective = int(_field(process / "status", "CapEff") or "0", 16)
                return Memlock(
                    process="this process" if own else f"{files.text(process / 'comm')} ({process.name})",
                    hard=None if hard == "unlimited" else int(hard),
                    may_raise=bool(effective >> _CAP_SYS_RESOURCE & 1),
                )
        return None

    def _daemons(self) -> Iterator[Path]:
        for pid in files.names(self._proc):
            if pid.isdigit() and files.text(self._proc / pid / "comm") in _DAEMONS:
                yield self._proc / pid


def _field(path: Path, name: str) -> str:
    """The value of the first line ``NAME : VALUE`` of a file."""
    for line in files.text(path).splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return ""


def _module(name: str) -> str:
    """The kernel's name of a module: ``vfio-pci.ko.xz`` and ``vfio_pci`` are the same."""
    return name.partition(".ko")[0].replace("-", "_")
