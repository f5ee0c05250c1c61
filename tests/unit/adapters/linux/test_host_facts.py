"""Facts of a kernel, from files made here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from virtnetplug.adapters.linux.host_facts import LinuxHostFacts
from virtnetplug.ports.host import Memlock

LIMITS = "Limit                     Soft Limit           Hard Limit           Units     \nMax locked memory         {0:<20} {0:<20} bytes     \n"


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_a_bare_metal_host_with_an_iommu(tmp_path: Path) -> None:
    put(tmp_path, "proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vmx\n")
    put(tmp_path, "proc/cmdline", "root=/dev/sda1 intel_iommu=on iommu=pt\n")
    put(tmp_path, "proc/sys/kernel/osrelease", "6.12.1\n")
    put(tmp_path, "sys/class/iommu/dmar0/intel-iommu/ecap", "f00f4a\n")
    put(
        tmp_path,
        "lib/modules/6.12.1/modules.dep",
        "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n",
    )
    put(tmp_path, "lib/modules/6.12.1/modules.builtin", "kernel/drivers/pci/pci_stub.ko\n")
    (tmp_path / "sys/kernel/iommu_groups/0").mkdir(parents=True)
    (tmp_path / "sys/kernel/iommu_groups/1").mkdir(parents=True)
    facts = LinuxHostFacts(tmp_path)
    assert (facts.cpu_vendor(), facts.is_virtual(), facts.iommu_groups()) == ("GenuineIntel", False, 2)
    assert list(facts.kernel_arguments()) == ["root=/dev/sda1", "intel_iommu=on", "iommu=pt"]
    assert facts.remaps_interrupts() is True
    assert [facts.module_fault(name) for name in ("vfio-pci", "vfio_pci", "pci-stub")] == [None] * 3
    missing = facts.module_fault("vfio")
    assert missing is not None and missing.found == "kernel 6.12.1 has no module vfio" and missing.is_certain
    assert not facts.has_driver("vfio-pci")
    (tmp_path / "sys/bus/pci/drivers/vfio-pci").mkdir(parents=True)
    assert facts.has_driver("vfio-pci")


def test_a_virtual_machine_whose_iommu_does_not_remap(tmp_path: Path) -> None:
    put(tmp_path, "proc/cpuinfo", "vendor_id\t: AuthenticAMD\nflags\t: fpu hypervisor\n")
    put(tmp_path, "sys/class/iommu/dmar0/intel-iommu/ecap", "f00f42\n")
    facts = LinuxHostFacts(tmp_path)
    assert (facts.is_virtual(), facts.remaps_interrupts()) == (True, False)


def test_a_host_that_says_nothing(tmp_path: Path) -> None:
    facts = LinuxHostFacts(tmp_path)
    assert (facts.cpu_vendor(), facts.is_virtual(), facts.kernel_release()) == ("", False, "")
    assert (facts.iommu_groups(), facts.remaps_interrupts(), facts.memlock(own=False)) == (0, None, None)
    unknown = facts.module_fault("vfio-pci")
    assert unknown is not None and not unknown.is_certain and "cannot be seen" in unknown.found


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("etc/modprobe.d/local.conf", "# no\nblacklist vfio_pci\n", "a line in /etc/modprobe.d/local.conf"),
        ("usr/lib/modprobe.d/x.conf", "install vfio-pci /bin/false\n", "a line in /usr/lib/modprobe.d/x.conf"),
        ("proc/sys/kernel/modules_disabled", "1\n", "loads no modules any more"),
    ],
)
def test_a_module_that_may_not_be_loaded(tmp_path: Path, path: str, text: str, told: str) -> None:
    put(tmp_path, "proc/sys/kernel/osrelease", "6.12.1\n")
    put(tmp_path, "lib/modules/6.12.1/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko.xz:\n")
    put(tmp_path, "proc/sys/kernel/modules_disabled", "0\n")
    for name in ("#blacklist vfio-pci", "blacklist vfio", "install vfio-pci /sbin/modprobe x"):
        put(tmp_path, f"etc/modprobe.d/{abs(hash(name))}.conf", f"{name}\n")
    put(tmp_path, "etc/modprobe.d/README", "blacklist vfio-pci\n")
    facts = LinuxHostFacts(tmp_path)
    assert facts.module_fault("vfio-pci") is None
    put(tmp_path, path, text)
    fault = facts.module_fault("vfio-pci")
    assert fault is not None and told in fault.found and fault.remedy
    (tmp_path / "sys/bus/pci/drivers/vfio-pci").mkdir(parents=True)
    assert facts.module_fault("vfio-pci") is None, "it is loaded already"


@pytest.mark.parametrize(
    ("limit", "capabilities", "hard", "may_raise"),
    [
        ("8388608", "0000000000000000", 8388608, False),
        ("unlimited", "0", None, False),
        ("65536", "1ffffffffff", 65536, True),
    ],
)
def test_what_the_daemon_may_lock(
    tmp_path: Path, limit: str, capabilities: str, hard: int | None, may_raise: bool
) -> None:
    for pid, comm in ((1, "systemd"), (77, "virtqemud"), (os.getpid(), "python3")):
        put(tmp_path, f"proc/{pid}/comm", f"{comm}\n")
        put(tmp_path, f"proc/{pid}/limits", LIMITS.format(limit if pid == 77 else "4096"))
        put(tmp_path, f"proc/{pid}/status", f"Name:\t{comm}\nCapEff:\t{capabilities}\n")
    facts = LinuxHostFacts(tmp_path)
    assert facts.memlock(own=False) == Memlock(process="virtqemud (77)", hard=hard, may_raise=may_raise)
    assert facts.memlock(own=True) == Memlock(process="this process", hard=4096, may_raise=may_raise)
