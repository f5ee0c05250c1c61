"""The set-up on a machine that lacks what it needs: it says so, and has changed nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[3] / "contrib/setup"


@pytest.fixture
def bin_directory(tmp_path: Path) -> Path:
    """Commands of a machine on which nothing is installed; `apt-get install` and what comes after are noted as a fault."""
    place = tmp_path / "bin"
    place.mkdir()
    lines = {
        "dpkg-query": "exit 1",
        "id": "echo 0",
        "df": "printf 'Filesystem\\n/dev/x 1 1 9999999 1%% /\\n'",
        "apt-get": f"[ $1 = update ] || touch {tmp_path}/installed",
        "apt-cache": "exit 0",
        "tee": f"touch {tmp_path}/installed",
        "sudo": "exit 1",
    }
    for name, line in lines.items():
        write(place, name, line)
    return place


def write(place: Path, name: str, line: str) -> None:
    (place / name).write_text(f"#!/bin/sh\n{line}\n")
    (place / name).chmod(0o755)


def refusal(place: Path, *words: Path | str, has_home: bool = True) -> str:
    """What contrib/setup says on standard error, its own line being the last."""
    words = words or (SETUP, "fresh")
    environment = {"PATH": f"{place}:{os.environ['PATH']}", **({"HOME": str(place)} if has_home else {})}
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran
    assert not (place.parent / "installed").exists()
    return ran.stderr


def test_no_room(bin_directory: Path) -> None:
    write(bin_directory, "df", "printf 'Filesystem\\n/dev/x 1 1 1048576 1%% /\\n'")
    assert refusal(bin_directory) == (
        "setup: no room on the disk: /var has 1024 MiB free, and 1500 MiB are needed; make room there, and run this again\n"
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One that was never set up."""
    place = tmp_path / "checkout"
    (place / "contrib").mkdir(parents=True)
    shutil.copy(SETUP, place / "contrib")
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(SETUP.parents[1] / name, place)
    return place


@pytest.mark.parametrize("lacking", [".", "*/.cache"])
def test_room_is_looked_for_before_anything_is_installed(bin_directory: Path, checkout: Path, lacking: str) -> None:
    (bin_directory / ".cache").mkdir()
    few = f"case $3 in {lacking}) free=102400 ;; *) free=9999999 ;; esac"
    write(bin_directory, "df", f"{few}; printf 'Filesystem\\n/dev/x 1 1 %s 1%% /\\n' $free")
    said = refusal(bin_directory, checkout / "contrib/setup", "test")
    assert re.fullmatch(
        r"setup: no room on the disk: \S+ has 100 MiB free, and 500 MiB are needed; make room.*\n", said
    )


def test_no_home_is_no_fault(bin_directory: Path, checkout: Path) -> None:
    write(bin_directory, "apt-get", "echo E: no lists; exit 100")
    said = refusal(bin_directory, checkout / "contrib/setup", "test", has_home=False)
    assert said == "E: no lists\nsetup: apt-get update failed: its words are above\n"


def test_an_installation_that_fails_leaves_no_unit_enabled(bin_directory: Path, checkout: Path) -> None:
    told = bin_directory / "told"
    write(bin_directory, "tee", "exit 0")
    write(bin_directory, "chmod", "exit 0")
    write(bin_directory, "apt-get", "[ $1 = update ] || { echo E: half way; exit 100; }")
    write(bin_directory, "systemctl", f"[ $1 != is-enabled ] || echo enabled; echo $* >>{told}")
    assert refusal(bin_directory, checkout / "contrib/setup", "demo").endswith(
        "E: half way\nsetup: apt-get failed: its words are above\n"
    )
    assert "--quiet disable libvirtd.service" in told.read_text().splitlines()


def test_no_package_index(bin_directory: Path) -> None:
    write(bin_directory, "apt-cache", "exit 100")
    assert refusal(bin_directory).startswith(
        "setup: no package index has mmdebstrap: check the network, and the mirror"
    )


def test_a_mirror_that_cannot_be_asked(bin_directory: Path) -> None:
    write(bin_directory, "apt-get", "echo E: no lists; exit 100")
    assert refusal(bin_directory) == "E: no lists\nsetup: apt-get update failed: its words are above\n"


def test_another_apt_is_waited_for(bin_directory: Path) -> None:
    first = bin_directory / "first"
    locked = f"[ -e {first} ] || {{ touch {first}; echo 'E: Could not get lock /var/lib/apt/lists/lock'; exit 100; }}"
    write(bin_directory, "apt-get", f"{locked}; echo E: no lists; exit 100")
    write(bin_directory, "sleep", f"echo $1 >{bin_directory}/slept")
    assert refusal(bin_directory) == "E: no lists\nsetup: apt-get update failed: its words are above\n"
    assert (bin_directory / "slept").read_text() == "5\n"


def test_an_ordinary_user_is_given_the_line_for_root(bin_directory: Path) -> None:
    write(bin_directory, "id", "echo 1000")
    said = refusal(bin_directory)
    assert "\n\n    apt-get update && apt-get install --no-install-recommends mmdebstrap debian-archive-keyring" in said
