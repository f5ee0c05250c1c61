"""Packages that bring backends of their own, installed by a test and forgotten after it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from virtnetplug import backends

GROUP = "virtnetplug.backends"
_SETUP = """
from setuptools import setup
setup(name={name!r}, version="1.0", py_modules=[{module!r}], entry_points={{{group!r}: [{point!r}]}})
"""


def build(place: Path, name: str, source: str) -> Path:
    """The source tree of the package `name`, whose one module has this source and an instance called `backend`."""
    module = name.replace("-", "_")
    place.mkdir(parents=True)
    (place / f"{module}.py").write_text(source)
    point = f"{name}-point = {module}:backend"
    (place / "setup.py").write_text(_SETUP.format(name=name, module=module, group=GROUP, point=point))
    return place


def pip_install(tree: Path, target: Path) -> None:
    """Install the package for real, without a network."""
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    words = [sys.executable, "-m", "pip", "install", "-q", *offline, "--target", str(target), str(tree)]
    subprocess.run(words, check=True, capture_output=True)


def install(target: Path, name: str, source: str) -> None:
    """What an installation of that package leaves: its module, and its metadata with the entry point."""
    module, info = name.replace("-", "_"), target / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (target / f"{module}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name}-point = {module}:backend\n")


def look_again() -> None:
    """Have the backends of other packages found anew, as a process that starts finds them."""
    backends._of_others.cache_clear()
    backends.types_that.cache_clear()


@contextmanager
def importable(directory: Path) -> Iterator[None]:
    """The packages in that directory are installed, as far as this process is concerned."""
    modules = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(directory))
        look_again()
        yield
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(directory)):
            del sys.modules[name]
    look_again()
