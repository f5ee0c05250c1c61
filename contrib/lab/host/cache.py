"""Where images are kept, and which of them is the one for this checkout's recipe."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from image.recipe import LABS, Recipe

_BESIDE = {"sriov": ("guest/linux/*.[ch]",)}
"""What an image is made of that is not below ``contrib/lab``."""


@dataclass(frozen=True)
class Image:
    """One lab's files, all in one directory."""

    directory: Path

    @property
    def root(self) -> Path:
        """The root file system as a directory: the QEMU that runs the lab is in it."""
        return self.directory / "root"

    @property
    def disk(self) -> Path:
        return self.directory / "disk.ext4"

    @property
    def kernel(self) -> Path:
        return self.directory / "kernel"

    @property
    def hypervisor(self) -> Path:
        """Where there is one."""
        return self.directory / "hypervisor"

    @property
    def initrd(self) -> Path:
        return self.directory / "initrd"


def home() -> Path:
    """Of all images."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "virtnetplug" / "lab"


def image_of(recipe: Recipe) -> Image:
    """Where the image of this recipe is, or will be."""
    return Image(home() / f"{recipe.name}-{_recipe_hash(recipe)}")


def _recipe_hash(recipe: Recipe) -> str:
    """Of all files that make up the image. Those in ``host`` only run it: a change there needs no new image."""
    total = hashlib.sha256()
    files = [path for part in ("image", "inside", recipe.name) for path in (LABS / part).rglob("*") if path.is_file()]
    files += [path for pattern in _BESIDE.get(recipe.name, ()) for path in LABS.parent.glob(pattern)]
    for file in sorted(files):
        if file.suffix == ".pyc":
            continue
        total.update(f"{os.path.relpath(file, LABS)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return total.hexdigest()[:16]


@contextmanager
def use(image: Image) -> Iterator[bool]:
    """While an image is used, nobody removes it. False if it is not there."""
    try:
        directory = os.open(image.directory, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(directory, fcntl.LOCK_SH)
        yield image.directory.exists()  # and not removed meanwhile
    finally:
        os.close(directory)


def ensure(recipe: Recipe, build: Callable[[Image], None], say: Callable[[str], None]) -> Image:
    """The image of `recipe`, built if it is not there; one build at a time, and an image is there whole or not at all.

    Images of the same lab that are of other recipes are removed, unless in use.
    """
    image = image_of(recipe)
    if image.directory.exists():
        return image
    home().mkdir(parents=True, exist_ok=True)
    with (home() / f"{recipe.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build of this lab")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if image.directory.exists():
            return image
        for left in home().glob(f".{recipe.name}-*"):  # by a build that was killed
            shutil.rmtree(left)
        partial = Path(tempfile.mkdtemp(prefix=f".{recipe.name}-", dir=home()))
        try:
            build(Image(partial))
            partial.rename(image.directory)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _remove_others(image, recipe)
    return image


def _remove_others(image: Image, recipe: Recipe) -> None:
    for other in home().glob(f"{recipe.name}-*"):
        if other == image.directory:
            continue
        directory = os.open(other, os.O_RDONLY)
        with suppress(BlockingIOError):
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(other)
        os.close(directory)
