"""From a recipe to an image, stage by stage."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

from host import run
from host.cache import Image
from host.stages import Stages
from image import debian, disk, initrd, kernel
from image.recipe import LABS, Recipe

FILES = {
    "inside/init": "/usr/lib/lab/init",
    "inside/agent.py": "/usr/lib/lab/agent.py",
    "inside/frames.py": "/usr/lib/lab/frames.py",
    "inside/virtnetplug": "/usr/local/bin/virtnetplug",
}
"""What every lab has, and where."""
ENVIRONMENT = "usr/lib/lab/environment"
SEAL_SECONDS = 1200.0
"""Of twenty that it takes: once, it was seen to hang."""


def build(recipe: Recipe, image: Image, stages: Stages) -> None:
    """Fill the directory of `image`, which is there and empty."""
    with stages.stage("root file system from Debian packages"):
        debian.make_root(image.root, recipe.packages)
        debian.install_python_packages(image.root, recipe.python_packages)
        _install(image.root, recipe)
    with stages.stage("guests"):
        recipe.guests(image.root)
    with stages.stage("kernel and initial RAM disk"):
        _write_kernel(image, recipe)
        busybox = {"bin/busybox": image.root / "usr/bin/busybox"}
        initrd.write(image.initrd, image.root, LABS / "inside/initrd", recipe.kernel_modules, busybox)
    with stages.stage("first boot, kept on the disk"):
        code = _seal(recipe, image, stages)
        if code == run.TIMED_OUT:
            code = _seal(recipe, image, stages)
        if code:
            raise SystemExit(f"lab: the first boot failed with code {code}")


def _seal(recipe: Recipe, image: Image, stages: Stages) -> int:
    def new_disk() -> None:
        disk.write(image.disk, image.root)

    return run.inside(recipe, image, recipe.seal, stages, timeout=SEAL_SECONDS, new_disk=new_disk)


def _write_kernel(image: Image, recipe: Recipe) -> None:
    if recipe.hypervisor is None:
        shutil.copyfile(kernel.compressed(image.root), image.kernel)
        return
    image.hypervisor.write_bytes(gzip.decompress((image.root / recipe.hypervisor.file).read_bytes()))
    kernel.write(image.kernel, image.root)


def _install(root: Path, recipe: Recipe) -> None:
    for source, target in {**FILES, **recipe.files}.items():
        place = root / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(LABS / source, place)
    (root / "etc/hostname").write_text(f"{recipe.name}\n")
    environment = {"VIRTNETPLUG_LAB": recipe.name, **recipe.environment}
    (root / ENVIRONMENT).write_text("".join(f"{name}={value}\n" for name, value in environment.items()))
    (root / "usr/lib/python3/dist-packages/virtnetplug.pth").write_text("/opt/virtnetplug\n")
    (root / "opt/virtnetplug").mkdir()
