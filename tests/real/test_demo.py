"""``virtnetplug demo``: it runs through, tells the story it is there for, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import environment

RUN = "from virtnetplug.app import main; main()"
WITHOUT_PRIVILEGES = f"from virtnetplug.adapters.linux import links; links.leave_network = lambda: False; {RUN}"

RECORDED = f"""
import os, tempfile
make = tempfile.mkdtemp
def record(**options):
    made = make(**options)
    with open(os.environ["MADE"], "a") as file:
        file.write(made)
    return made
tempfile.mkdtemp = record
{RUN}
"""
"""The demo, which writes the name of its directory into a file: others may run a demo, too."""


def demo(program: str, temporary: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, "demo", *options]
    return subprocess.run(command, env=environment(TMPDIR=str(temporary), **variables), capture_output=True, text=True)


@pytest.mark.parametrize(("program", "kind"), [(RUN, "bridge demo0"), (WITHOUT_PRIVILEGES, "user")])
def test_demo_shows_a_nic_that_goes_and_one_that_is_pending(program: str, kind: str, tmp_path: Path) -> None:
    ran = demo(program, tmp_path, "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = json.loads(ran.stdout)["lines"]
    nics = [line for line in lines if line.startswith("   ua-")]
    assert [line.split()[0] for line in nics] == ["ua-one", "ua-two"]
    assert all(f"  {kind}" in line for line in nics)
    assert "Closing" in nics[1]
    assert any("pending, for the guest still has it" in line for line in lines)
    assert lines[-1].startswith("The journal has it all: attach done,")
    assert lines[-1].endswith("attach done, detach done.")


def test_demo_leaves_nothing_behind_and_needs_no_short_tmpdir(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    ran = demo(RECORDED, deep, MADE=str(tmp_path / "made"))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert list(deep.iterdir()) == []
    made = Path((tmp_path / "made").read_text())
    assert made.parent == Path("/tmp") and not made.exists()


def test_demo_keeps_its_directory_when_asked(tmp_path: Path) -> None:
    ran = demo(RUN, tmp_path, "--keep")
    kept = Path(ran.stdout.splitlines()[-1].removeprefix("Left in place: "))
    try:
        assert (kept / "root").is_dir() and (kept / "journal").is_dir()
    finally:
        shutil.rmtree(kept)
