"""``python -m tests.mutants`` on a package of one function: what is killed, and what counts as not killed."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import environment
from tests.mutants import __main__ as run

ROOT = Path(__file__).parents[3]
CODE = """\
FIRST = 1


def double(number):
    return number * 2


def triple(number):
    return number * 3


def never(number):
    return number * 4
"""
TESTS = """\
import pytest
from virtnetplug import numbers

@pytest.fixture
def doubled():
    return numbers.double(1)

def test_double():
    assert numbers.double(2) == 4

def test_triple():
    assert numbers.triple(0) == 0

def test_set_up(doubled):
    assert doubled == 2
"""


def project(place: Path, **faults: tuple[str, str]) -> Path:
    (place / "virtnetplug").mkdir()
    (place / "virtnetplug/__init__.py").touch()
    (place / "virtnetplug/numbers.py").write_text(CODE)
    (place / "trials").mkdir()
    (place / "trials/test_numbers.py").write_text(TESTS)
    (place / "setup.cfg").write_text("[tool:pytest]\npythonpath = .\naddopts = --import-mode=importlib\n")
    table = [
        f"[[fault]]\nname = '{name}'\nfile = 'virtnetplug/numbers.py'\nold = '{old}'\nnew = '{new}'\n"
        for name, (old, new) in faults.items()
    ]
    (place / "faults.toml").write_text("".join(table))
    return place


def mutants(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.mutants", f"--root={place}", f"--table={place}/faults.toml", "--tests=trials", *words],
        cwd=ROOT, env=environment(), capture_output=True, text=True,
    )  # fmt: skip


def test_each_fault_is_killed_by_a_test_that_is_named_or_said_not_to_be(tmp_path: Path) -> None:
    place = project(
        tmp_path,
        killed=("number * 2", "number + 1"),
        survivor=("number * 3", "number * 5"),
        unreached=("number * 4", "number * 5"),
        carried=("number * 6", "number * 5"),
        broken=("FIRST = 1", "FIRST = 1 // 0"),
    )
    ended = mutants(place)
    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (1, "")
    assert lines[0].startswith("5 faults, ")
    told = {line[4:]: why for line, why in zip(lines[1:-1:2], lines[2:-1:2], strict=True)}
    assert [line[:3] for line in lines[1:-1:2]] == ["000", "001", "002", "003", "004"]
    assert told["killed"].strip() == "trials/test_numbers.py::test_double"
    assert "survives the 1 tests that reach it" in told["survivor"]
    assert "no test reaches it" in told["unreached"]
    assert "does not apply" in told["carried"] and "0 times" in told["carried"]
    assert "no test that fails: trials/test_numbers.py" in told["broken"]
    assert lines[-1].startswith("1 of 5 faults killed, ")
    assert lines[-1].endswith("not killed: survivor; unreached; carried; broken")
    assert (place / "build/mutants.log").read_text() == ended.stdout
    assert (place / "virtnetplug/numbers.py").read_text() == CODE, "the file itself is never touched"


def test_all_killed_is_success_and_a_test_that_fails_anyway_is_not(tmp_path: Path) -> None:
    place = project(tmp_path, one=("number * 2", "number + 1"), other=("number * 3", "number * 5"))
    ended = mutants(place, "one")
    assert ended.returncode == 0 and ended.stdout.splitlines()[-1].startswith("1 of 1 faults killed, ")
    with (place / "trials/test_numbers.py").open("a") as file:
        file.write("def test_wrong():\n    assert numbers.double(1) == 3\n")
    ended = mutants(place)
    assert ended.returncode == 1 and "trials/test_numbers.py::test_wrong" in ended.stdout


def test_words_that_no_fault_has(tmp_path: Path) -> None:
    ended = mutants(project(tmp_path, one=("number * 2", "number + 1")), "other")
    assert ended.returncode == 2 and "no fault's name has 'other'; they are in " in ended.stderr


def test_a_second_run_in_one_checkout_waits_for_its_turn(tmp_path: Path) -> None:
    place = project(tmp_path, one=("number * 2", "number + 1"))
    (place / "build/mutants").mkdir(parents=True)
    with (place / "build/mutants/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = mutants(place)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "another run is on its way" in ended.stderr and not (place / "build/mutants.log").exists()


def test_a_full_disk_kills_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ROOM", 1 << 60)
    assert run._lacks_room().startswith("no room on the disk: /")
