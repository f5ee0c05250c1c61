"""The QEMU process of a domain: where its pid file is, and what is said of it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from virtnetplug.adapters.libvirt import emulator


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("qemu:///system", "/run/libvirt/qemu"),
        ("qemu+unix:///system", "/run/libvirt/qemu"),
        ("qemu+unix:///system?socket=/run/libvirt/libvirt-sock", "/run/libvirt/qemu"),
        ("qemu+unix:///system?socket=/srv/other/libvirt-sock", None),
        ("qemu:///session", "/run/user/7/libvirt/qemu/run"),
        ("qemu:///embed?root=/srv/embed", "/srv/embed/run/qemu"),
        ("qemu:///embed", None),
        ("qemu+ssh://host/system", None),
        ("test:///default", None),
        ("xen:///system", None),
    ],
)
def test_where_the_pid_files_are(uri: str, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    assert emulator.state_dir(uri) == (None if expected is None else Path(expected))


def test_a_session_of_roots_is_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert emulator.state_dir("qemu:///session") == Path("/run/libvirt/qemu")


def test_when_a_process_began(tmp_path: Path) -> None:
    (tmp_path / "web1.pid").write_text(f"{os.getpid()}\n")
    began = emulator.began(emulator.process(tmp_path, "web1"))
    assert began is not None and 0 <= time.time() - began < 24 * 3600
    child = subprocess.Popen(["sleep", "60"])
    (tmp_path / "web2.pid").write_text(f"{child.pid}\n")
    later = emulator.began(emulator.process(tmp_path, "web2"))
    child.kill()
    child.wait()
    assert later is not None and began <= later and abs(time.time() - later) < 30
    assert emulator.began("") is None


def test_a_process_is_known_by_boot_pid_and_start(tmp_path: Path) -> None:
    (tmp_path / "web1.pid").write_text(f"{os.getpid()}\n")
    said = emulator.process(tmp_path, "web1")
    boot, pid, ticks = said.split()
    assert (len(boot), pid) == (36, str(os.getpid())) and ticks.isdecimal()
    assert emulator.process(tmp_path, "web1") == said


@pytest.mark.parametrize("written", [None, "", "x", "999999999"])
def test_what_cannot_be_read_says_nothing(tmp_path: Path, written: str | None) -> None:
    if written is not None:
        (tmp_path / "web1.pid").write_text(written)
    assert emulator.process(tmp_path, "web1") == emulator.process(None, "web1") == ""


def test_an_emulator_that_did_not_answer_is_asked_again(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text(
        f"#!/bin/sh\n[ -e {tmp_path}/ready ] && printf 'Network devices:\\nname \"e1000\", bus PCI\\n'\n"
    )
    program.chmod(0o755)
    assert emulator.nic_models(str(program)) is None
    (tmp_path / "ready").touch()
    assert emulator.nic_models(str(program)) == {"e1000"}
    (tmp_path / "ready").unlink()
    assert emulator.nic_models(str(program)) == {"e1000"}, "it is asked once"
