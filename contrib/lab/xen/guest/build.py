"""The PV guest: the host's own kernel, and one static program."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from image import initrd, kernel

HERE = Path(__file__).parent
IMAGES = "var/lib/libvirt/images"
MODULES = ("xen-netfront",)


def make_guests(root: Path) -> None:
    """Put kernel and initial RAM disk where libvirt keeps images, and let libvirt start guest and network by itself."""
    images = root / IMAGES
    images.mkdir(parents=True, exist_ok=True)
    kernel.write(images / "guest.kernel", root)
    with tempfile.TemporaryDirectory() as place:
        init = Path(place) / "init"
        subprocess.run(["gcc", "-static", "-O2", "-Wall", "-Werror", "-o", init, HERE / "init.c"], check=True)
        initrd.write(images / "guest.initrd", root, init, MODULES, {"sbin/poweroff": init})
    for directory in ("etc/libvirt/libxl", "etc/libvirt/qemu/networks"):
        autostart = root / directory / "autostart"
        autostart.mkdir(parents=True, exist_ok=True)
        (autostart / "lab.xml").symlink_to("../lab.xml")
    scripts = root / "etc/xen/scripts"
    (scripts / "vif-bridge").rename(scripts / "vif-bridge.debian")
    (scripts / "vif-bridge.lab").rename(scripts / "vif-bridge")
