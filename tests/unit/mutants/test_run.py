"""``python -m tests.mutants`` on a package of one function: what is killed, and what counts as not killed."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.environment import environment
from tests.mutants import __main__ as run
from tests.mutants import forks

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


def test_a_test_that_fails_alone_without_the_fault_kills_none(tmp_path: Path) -> None:
    place = project(tmp_path, same=("number * 2", "number + number"))
    (place / "trials/test_once.py").write_text(f"""
from pathlib import Path
from virtnetplug import numbers
def test_once():
    before = Path({str(tmp_path)!r}, "before")
    is_first = not before.exists()
    before.touch()
    assert numbers.double(1) == 2 and is_first
""")
    ended = mutants(place)
    assert ended.returncode == 1 and "test_once fails alone without the fault, too" in ended.stdout


def test_a_test_that_no_limit_ends_is_killed(tmp_path: Path) -> None:
    pool = forks.Pool(tmp_path, 1)
    assert pool.run([forks.Job("hangs", lambda _: time.sleep(1000), 0.2)]) == {"hangs": None}


@pytest.mark.parametrize(
    ("new", "why"),
    [("raise KeyboardInterrupt", "ended early"), ("import os; os._exit(0)", "process died, or had to be killed")],
)
def test_a_run_that_comes_to_no_end_kills_and_survives_nothing(tmp_path: Path, new: str, why: str) -> None:
    ended = mutants(project(tmp_path, other=("return number * 2", new)))
    assert ended.returncode == 1 and why in ended.stdout and "survives" not in ended.stdout


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("", "there is no [[fault]]"),
        ("[[fault]", "Expected"),
        ("[[fault]]\nname = 'a'\n", "missing"),
        ("[[fault]]\nname='a'\nfile='b'\nold='c'\nnew='d'\nmore=1\n", "'more'"),
    ],
)
def test_a_table_that_is_wrong_is_said_in_a_line(tmp_path: Path, table: str, why: str) -> None:
    place = project(tmp_path)
    (place / "faults.toml").write_text(table)
    ended = mutants(place)
    assert ended.returncode == 2 and f"{place}/faults.toml: " in ended.stderr and why in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_was_measured_and_cannot_be_read_is_measured_anew(tmp_path: Path) -> None:
    place = project(tmp_path, one=("number * 2", "number + 1"))
    for name in ("reach.json", "killers.json"):
        (place / "build/mutants").mkdir(parents=True, exist_ok=True)
        (place / "build/mutants" / name).write_text('{"key":')
    assert mutants(place).returncode == 0


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
    assert run._lacks_room(Path("/")).startswith("no room on the disk: /")
