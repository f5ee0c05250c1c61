"""From a recipe to an image, stage by stage."""

from __future__ import annotations

import shutil
from pathlib import Path

from host import run
from host.cache import Image
from host.stages import Stages
from image import debian, disk, initrd
from image.recipe import LABS, Recipe

FILES = {
    "inside/init": "/usr/lib/lab/init",
    "inside/agent.py": "/usr/lib/lab/agent.py",
    "inside/frames.py": "/usr/lib/lab/frames.py",
    "inside/virtnetplug": "/usr/local/bin/virtnetplug",
}
"""What every lab has, and where."""


def build(recipe: Recipe, image: Image, stages: Stages) -> None:
    """Fill the directory of `image`, which is there and empty."""
    with stages.stage("root file system from Debian packages"):
        debian.make_root(image.root, recipe.packages)
        debian.install_python_packages(image.root, recipe.python_packages)
        _install(image.root, recipe)
    with stages.stage("guests that are restored inside"):
        recipe.guests(image.root)
    with stages.stage("kernel and initial RAM disk"):
        release = initrd.kernel_release(image.root)
        shutil.copyfile(image.root / f"boot/vmlinuz-{release}", image.kernel)
        busybox = {"bin/busybox": image.root / "usr/bin/busybox"}
        initrd.write(image.initrd, image.root, LABS / "inside/initrd", recipe.kernel_modules, busybox)
    with stages.stage("first boot, kept on the disk"):
        code = run.inside(recipe, image, recipe.seal, stages, new_disk=lambda: disk.write(image.disk, image.root))
        if code:
            raise SystemExit(f"lab: the first boot failed with code {code}")


def _install(root: Path, recipe: Recipe) -> None:
    for source, target in {**FILES, **recipe.files}.items():
        place = root / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(LABS / source, place)
    (root / "etc/hostname").write_text(f"{recipe.name}\n")
    (root / "usr/lib/python3/dist-packages/virtnetplug.pth").write_text("/opt/virtnetplug\n")
    (root / "opt/virtnetplug").mkdir()
