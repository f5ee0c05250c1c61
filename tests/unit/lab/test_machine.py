"""What QEMU is told to boot: a kernel, or a hypervisor that has the kernel as a module."""

from __future__ import annotations

from dataclasses import replace

import pytest
from host.machine import _qemu_arguments
from image.recipe import Recipe
from sriov.recipe import SRIOV
from xen.recipe import XEN


def boot_of(recipe: Recipe) -> dict[str, str]:
    """What is booted, with what arguments and modules."""
    words = list(_qemu_arguments(recipe, 3, keep_disk=False))
    return {name: words[words.index(name) + 1] for name in ("-kernel", "-append", "-initrd")}


def test_a_lab_without_hypervisor_boots_its_kernel() -> None:
    boot = boot_of(SRIOV)
    assert (boot["-kernel"], boot["-initrd"]) == ("/mnt/kernel", "/mnt/initrd")
    assert boot["-append"].startswith("console=ttyS0 ") and "intel_iommu=on" in boot["-append"]


def test_a_hypervisor_gets_the_kernel_and_its_initial_ram_disk_as_modules() -> None:
    assert XEN.hypervisor is not None
    boot = boot_of(replace(XEN, kernel_arguments="isolcpus=1,2"))
    assert (boot["-kernel"], boot["-append"]) == ("/mnt/hypervisor", XEN.hypervisor.arguments)
    kernel, initrd = boot["-initrd"].replace(",,", "\0").split(",")  # as QEMU reads a list: doubled, it is a comma
    assert initrd == "/mnt/initrd"
    assert kernel.startswith("/mnt/kernel console=hvc0 ") and kernel.endswith("isolcpus=1\0002")


@pytest.mark.parametrize("recipe", [SRIOV, XEN])
def test_what_is_written_to_the_disk_is_kept_at_the_build_only(recipe: Recipe) -> None:
    for keep in (False, True):
        words = _qemu_arguments(recipe, 3, keep_disk=keep)
        (disk,) = [word for word in words if word.startswith("file=/mnt/disk.ext4")]
        assert ("snapshot=off" in disk) == keep
