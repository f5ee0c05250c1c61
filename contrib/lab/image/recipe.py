"""What a lab is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

LABS = Path(__file__).resolve().parents[1]
"""``contrib/lab``."""


@dataclass(frozen=True)
class Hypervisor:
    """What boots in place of the kernel, and then starts that as its first domain."""

    file: str
    """A Multiboot program, gzipped, in the root file system."""
    arguments: str


@dataclass(frozen=True)
class Recipe:
    """One lab: a machine with its disk image, and how both are made."""

    name: str
    summary: str
    packages: tuple[str, ...]
    """Of Debian, for the root file system, which also holds the QEMU that runs the lab."""
    python_packages: tuple[str, ...]
    """Of the Python package index, where Debian's are older than what virtnetplug is written for. Pure Python only."""
    kernel_modules: tuple[str, ...]
    """For the first steps of the boot, until the disk is found."""
    kernel_arguments: str
    machine: tuple[str, ...]
    """QEMU's arguments for processors, memory and devices."""
    environment: Mapping[str, str]
    """Of all that runs inside."""
    files: Mapping[str, str]
    """Where a file of ``contrib/lab`` goes in the root file system. Executable ones stay so."""
    guests: Callable[[Path], None]
    """Makes, in the root file system, the guests that take too long to boot inside."""
    seal: tuple[str, ...]
    """Run inside once, at the end of the build; what it leaves on the disk stays."""
    hypervisor: Hypervisor | None = None
