"""What QEMU is told to boot: a kernel, or a hypervisor that has the kernel as a module."""

from __future__ import annotations

from dataclasses import replace

import pytest
from host.machine import BootFailed, Machine, _qemu_arguments
from image.recipe import Recipe
from inside import frames
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


class Booting(Machine):
    """One that says a word after `news` looks, and has by each look taken so many seconds and run for so many of them."""

    def __init__(self, news: int, seconds: float, worked: float) -> None:
        self.news, self.step, self.looks = news, (seconds, worked), 0

    def receive(self, timeout: float, *others: int) -> list[tuple[bytes, bytes]]:
        self.looks += 1
        return list(frames.Reader().feed(frames.control(ready=True))) if self.looks == self.news else []

    def _spent(self) -> tuple[float, float]:
        return self.looks * self.step[0], self.looks * self.step[1]


def test_a_boot_hangs_by_what_it_has_worked_and_not_by_the_clock() -> None:
    Booting(news=20, seconds=40, worked=1).wait_ready(lambda _stage: None)  # a busy machine
    for seconds, worked in ((10, 10), (100, 0)):
        with pytest.raises(BootFailed, match="it hangs: nothing new for"):
            Booting(news=20, seconds=seconds, worked=worked).wait_ready(lambda _stage: None)
