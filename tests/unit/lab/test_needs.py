"""What a machine lacks for a lab is said before anything is built: each a line with what to do."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from host import cache, command_line, needs, run
from host.stages import Stages
from image import debian

LAB = Path(needs.__file__).parents[1] / "lab"


def program(place: Path, name: str, script: str) -> None:
    """One that is found first."""
    (place / name).write_text(f"#!/bin/sh\n{script}\n")
    (place / name).chmod(0o755)


@pytest.fixture
def found_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:/usr/sbin:/usr/bin:/sbin:/bin")
    return place


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was built on a machine that has everything, unless the test takes it away."""
    made: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(command_line, "build", lambda recipe, *_: made.append(recipe.name))
    monkeypatch.setattr(debian, "find_mirror", lambda: "http://mirror.invalid/debian")
    for look in LOOKS:
        monkeypatch.setattr(needs, look, lambda *_: None)
    return made


def lab_build() -> int:
    return command_line._perform(argparse.Namespace(lab="xen", action="build"), Stages())


def test_a_machine_that_has_everything_builds(built: list[str]) -> None:
    assert lab_build() == 0 and built == ["xen"]


LOOKS = ("lacks_programs", "lacks_room", "lacks_rights", "lacks_index", "lacks_python_package")


@pytest.mark.parametrize("look", LOOKS)
def test_whatever_is_missing_nothing_is_built(built: list[str], monkeypatch: pytest.MonkeyPatch, look: str) -> None:
    monkeypatch.setattr(needs, look, lambda *_: look)
    with pytest.raises(SystemExit, match=f"^lab: {look}$"):
        lab_build()
    assert built == []


def test_a_machine_is_not_started_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[object] = []
    monkeypatch.setattr(cache, "ensure", lambda *words: begun.append(words))
    monkeypatch.setattr(run, "inside", lambda *words, **_: begun.append(words))
    monkeypatch.setattr(needs, "RUN_MEGABYTES", 1 << 60)
    monkeypatch.setattr(needs, "lacks_rights", lambda: None)  # which an ordinary user does
    given = argparse.Namespace(action="run", lab="xen", command=["true"], timeout=None, keep_console=None)
    with pytest.raises(
        SystemExit, match=r"lab: no room on the disk: /var/tmp has \d+ MB free, and \d+ MB are needed; make room there$"
    ):
        command_line._perform(given, Stages())
    assert begun == [], "the image is not built, either"


def test_without_root() -> None:
    """As a user that the namespace does not map: it is not root, and may read what it could before, in a home of mode 0700, too."""
    words = ["unshare", "--user", sys.executable, str(LAB), "run", "xen", "--", "true"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "lab: needs root (mount, chroot and namespaces): sudo contrib/lab/lab …\n"


def test_programs(found_first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "PROGRAMS", ("sh", "no-such-program", "nor-this"))
    assert needs.lacks_programs() == "no-such-program, nor-this: not installed; run contrib/setup lab"
    program(found_first, "no-such-program", "true")
    program(found_first, "nor-this", "true")
    assert needs.lacks_programs() is None


def test_room(tmp_path: Path) -> None:
    """Of the file system in which the place will be, although it is not there yet."""
    place = tmp_path / "not" / "there"
    line = needs.lacks_room(place, 1 << 60) or ""
    assert line.startswith(f"no room on the disk: {tmp_path} has ")
    assert line.endswith("make room there, or set XDG_CACHE_HOME")
    assert needs.lacks_room(place, 1) is None


def test_rights(found_first: Path) -> None:
    program(found_first, "unshare", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1")
    line = needs.lacks_rights() or ""
    assert "Operation not permitted" in line and "give it the capability SYS_ADMIN" in line
    program(found_first, "unshare", "true")
    assert needs.lacks_rights() is None


def test_a_mirror_that_does_not_answer() -> None:
    line = needs.lacks_index("http://127.0.0.1:1/debian", debian.RELEASE) or ""
    assert line.startswith(f"no package index: http://127.0.0.1:1/debian/dists/{debian.RELEASE}/InRelease cannot")
    assert line.endswith("check the network, and the mirror in /etc/apt/sources.list.d")


def test_an_index_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "PYTHON", sys.executable)  # only a lab needs that pip is installed
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    line = needs.lacks_python_package("click") or ""
    assert line.startswith("pip finds no click (Could not find a version")
    assert line.endswith("check the network, and pip's index-url and proxy (pip config list)")
