"""What a machine lacks for a lab is said before anything is built: each a line with what to do."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
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
    monkeypatch.setattr(debian, "mirror", lambda: "http://mirror.invalid/debian")
    for look in ("missing_programs", "missing_room", "missing_rights", "missing_packages", "missing_index"):
        monkeypatch.setattr(needs, look, lambda *_: ())
    return made


def lab_build() -> int:
    return command_line._perform(argparse.Namespace(lab="xen", action="build"), Stages())


def test_a_machine_that_has_everything_builds(built: list[str]) -> None:
    assert lab_build() == 0 and built == ["xen"]


LOOKS: dict[str, Callable[..., object]] = {
    "missing_programs": lambda: ["a program"],
    "missing_room": lambda *_: ["room"],
    "missing_rights": lambda: ["rights"],
    "missing_packages": lambda _: ["packages"],
    "missing_index": lambda _: ["an index"],
}


@pytest.mark.parametrize("look", LOOKS)
def test_whatever_is_missing_nothing_is_built(built: list[str], monkeypatch: pytest.MonkeyPatch, look: str) -> None:
    monkeypatch.setattr(needs, look, LOOKS[look])
    with pytest.raises(SystemExit, match=r"^lab: (a program|room|rights|packages|an index)$"):
        lab_build()
    assert built == []


def test_a_machine_is_not_started_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(run, "inside", lambda *words, **_: started.append(words))
    monkeypatch.setattr(needs, "RUN_BYTES", 1 << 60)
    given = argparse.Namespace(action="run", command=["true"], timeout=None, keep_console=None)
    with pytest.raises(
        SystemExit, match=r"lab: /var/tmp has [\d.]+ GB free, and needs 1152921504.6 GB. Make room there"
    ):
        command_line._act(given, command_line.LABS["xen"], cache.Image(tmp_path), Stages())
    assert started == []


def test_without_root(tmp_path: Path) -> None:
    words = [sys.executable, str(LAB), "run", "xen", "--", "true"]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=_be_nobody)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "lab: needs root (mount, chroot and namespaces): sudo contrib/lab/lab …\n"


def _be_nobody() -> None:
    import os

    if os.geteuid() == 0:
        os.setuid(65534)


def test_programs(found_first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "PROGRAMS", ("sh", "no-such-program", "nor-this"))
    assert list(needs.missing_programs()) == ["no-such-program, nor-this: not installed. Run contrib/setup lab"]
    program(found_first, "no-such-program", "true")
    program(found_first, "nor-this", "true")
    assert list(needs.missing_programs()) == []


def test_room(tmp_path: Path) -> None:
    """Of the file system in which the place will be, although it is not there yet."""
    place = tmp_path / "not" / "there"
    (line,) = needs.missing_room(place, 1 << 60, "XDG_CACHE_HOME")
    assert line.startswith(f"{place} has ") and line.endswith(
        "Make room there, or name another place in XDG_CACHE_HOME"
    )
    assert list(needs.missing_room(place, 1, "XDG_CACHE_HOME")) == []


def test_rights(found_first: Path) -> None:
    program(found_first, "unshare", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1")
    (line,) = needs.missing_rights()
    assert "Operation not permitted" in line and "give it the capability SYS_ADMIN" in line
    program(found_first, "unshare", "true")
    assert list(needs.missing_rights()) == []


def test_a_mirror_that_does_not_answer() -> None:
    (line,) = needs.missing_packages("http://127.0.0.1:1/debian")
    assert line.startswith(f"the Debian mirror http://127.0.0.1:1/debian gives no {debian.RELEASE}: Failed to fetch ")
    assert line.endswith("Check the network, and apt's sources and proxy")


def test_an_index_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    (line,) = needs.missing_index("click")
    assert line.startswith("pip finds no click: Could not find a version")
    assert line.endswith("Check the network, and pip's index-url and proxy (pip config list)")
