"""The Linux guests: booted once while the image is built, and saved when they are up.

Booted inside the lab, emulation within emulation, decompressing the kernel alone would take a minute; to restore one
takes ten to thirty seconds.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from host import namespaces
from image import initrd, kernel
from image.recipe import LABS

HERE = Path(__file__).parent
PROGRAM = LABS.parent / "guest/linux"
"""The sources of their only process, which is that of the tests' Linux guests elsewhere."""

IMAGES = "var/lib/libvirt/images"
MODULES = ("virtio_pci", "virtio_net", "net_failover", "igbvf")


def make_guests(root: Path) -> None:
    """Put kernel, initial RAM disk and a save file for each machine type where libvirt keeps images."""
    images = root / IMAGES
    images.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kernel.compressed(root), images / "linux.kernel")
    with tempfile.TemporaryDirectory() as place:
        init = Path(place) / "init"
        sources = sorted(PROGRAM.glob("*.c"))
        subprocess.run(["gcc", "-static", "-O2", "-Wall", "-Werror", "-o", init, *sources], check=True)
        initrd.write(images / "linux.initrd", root, init, MODULES, {})
    for name in ("linux.xml", "save.py"):
        shutil.copy(HERE / name, root / "usr/lib/lab" / name)
    namespaces.run([str(HERE / "save"), str(root)])
