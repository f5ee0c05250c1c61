"""A suite as a whole: its lines, its exit code, and the environment that its parts get."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.environment import environment
from tests.real.namespace import wait_until
from tests.suites import command_line, parts, running
from tests.suites.parts import CHECKOUT, SUITES, Part, Suite
from tests.suites.room import directory

CONTRIBUTING = CHECKOUT / "CONTRIBUTING.md"


@pytest.fixture(autouse=True)
def _logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parts, "BUILD", tmp_path / "build")


def place() -> str:
    """Of the logs, as it is said."""
    return os.path.relpath(parts.BUILD / "trial", CHECKOUT)


def shell(name: str, script: str, *, is_tests: bool = True) -> Part:
    return Part(name, ["sh", "-c", script, name], is_tests)


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *made: Part, words: Sequence[str] = ()
) -> tuple[int, list[str]]:
    monkeypatch.setitem(SUITES, "trial", Suite("trial", "a trial", 1, made))
    monkeypatch.setattr("sys.argv", ["tests/suite", "trial", *words])
    code = command_line.main()
    return code, capsys.readouterr().out.splitlines()


def test_all_passed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run(monkeypatch, capsys, shell("a", "echo '3 passed in 0.1s'"), shell("b", ":", is_tests=False))
    assert code == 0
    assert lines[0] == "make trial: a trial. At most 1 min on two quiet cores."
    assert lines[1] == f"make trial: the output of a, b is in {place()}/*.log"
    assert re.fullmatch(r"make trial: 4 of 4 passed in \d+ s", lines[-1])
    assert (parts.BUILD / "trial/a.log").read_text() == "3 passed in 0.1s\n"


def test_what_failed_is_named_and_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said = "== FAILURES ==\\nassert 0\\n== short test summary info ==\\nFAILED tests/a.py::one - assert 0\\n1 failed, 3 passed in 0.1s"
    code, lines = run(
        monkeypatch, capsys, shell("a", f"printf '{said}\\n'; exit 1"), shell("b", "exit 3", is_tests=False)
    )
    assert code == 1
    assert "assert 0" in lines
    assert re.fullmatch(
        r"make trial: 3 of 5 passed in \d+ s; failed: tests/a.py::one, b \(exit code 3, see .*build/trial/b.log\)",
        lines[-1],
    )


def test_what_its_caller_ignores_is_of_no_account(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """nohup has SIGHUP ignored, which a shell cannot trap then; with SIGCHLD ignored no exit code is heard of."""
    ignored = signal.SIGHUP, signal.SIGCHLD
    before = [signal.signal(number, signal.SIG_IGN) for number in ignored]
    try:
        traps = shell("a", "trap 'echo 1 passed in 0.1s' HUP; kill -HUP $$")
        code, lines = run(monkeypatch, capsys, traps, shell("b", "exit 3", is_tests=False))
    finally:
        for number, handler in zip(ignored, before, strict=True):
            signal.signal(number, handler)
    assert code == 1 and re.fullmatch(r"make trial: 1 of 2 passed in \d+ s; failed: b \(exit code 3, .*\)", lines[-1])


@pytest.mark.parametrize("script", ["echo '[gw0] [ 33%] PASSED a'", "echo '3 passed in 0.1s'; exit 3", "kill -9 $$"])
def test_a_part_that_did_not_come_to_its_end_has_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], script: str
) -> None:
    code, lines = run(monkeypatch, capsys, shell("a", script))
    assert code == 1 and "failed: a (exit code" in lines[-1]


def test_a_part_that_hangs_is_ended_and_the_tests_it_was_at_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hangs = Part("a", ["sh", "-c", "echo 'tests/a.py::one '; sleep 600"], silence=0.5)
    code, lines = run(monkeypatch, capsys, hangs, shell("b", "sleep 1; echo '1 passed in 0.1s'"))
    assert code == 1
    assert lines[-1].endswith(
        f"; failed: a (ended, as nothing was heard for 0 s, at tests/a.py::one, see {place()}/a.log)"
    )


def test_skips_are_counted_apart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run(monkeypatch, capsys, shell("a", "echo '3 passed, 2 skipped in 0.1s'"))
    assert code == 0 and lines[-1].startswith("make trial: 3 of 3 passed in") and lines[-1].endswith("; 2 skipped")


def test_several_parts_of_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made = shell("a", "echo '1 passed in 0.1s'"), shell("b", "exit 1"), shell("c", "echo '2 passed in 0.1s'")
    code, lines = run(monkeypatch, capsys, *made, words=["--only", "a", "--only", "c"])
    assert code == 0 and lines[-1].startswith("make trial: 3 of 3 passed")


def test_arguments_of_pytest_for_no_test(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="a: no tests, so there is nothing for -k b to choose from"):
        run(monkeypatch, capsys, shell("a", ":", is_tests=False), words=["--", "-k", "b"])


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", ".venv/bin/ruff"), "run make setup"),
        (PermissionError(errno.EACCES, "Permission denied", "a.log"), "remove build/trial if it is another user's"),
        (OSError(errno.ENOSPC, "No space left"), "make room on the disk"),
    ],
)
def test_each_error_has_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError, remedy: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(command_line, "Running", fail)
    monkeypatch.setattr(command_line, "_close_output", lambda: None)
    with pytest.raises(SystemExit, match=re.escape(f"{error.strerror}") + f".*; {remedy}"):
        run(monkeypatch, capsys, shell("a", ":"))


def test_what_a_killed_run_left_is_removed_once_nothing_of_it_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(parts, "memory", lambda: str(tmp_path))
    left, other = tmp_path / "vnp-suite-left", tmp_path / "other"
    for each in (left, other):
        (each / "file").mkdir(parents=True)
    held = os.open(left, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    made = shell("a", f"ls {tmp_path}; echo '1 passed in 0.1s'")
    assert run(monkeypatch, capsys, made)[0] == 0 and left.exists()
    os.close(held)
    assert run(monkeypatch, capsys, made)[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build", "other"]
    assert "vnp-suite-" in (parts.BUILD / "trial/a.log").read_text()


def test_no_room_for_what_tests_write(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(parts, "memory", lambda: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=parts.ROOM - 1))
    monkeypatch.setattr(command_line, "_close_output", lambda: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SystemExit, match=f"No space left on device: '{tmp_path}'; make room there: 256 MiB are needed"):
        run(monkeypatch, capsys, shell("a", "echo '1 passed in 0.1s'"))


def test_a_new_directory_that_another_run_removes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its lock it looks as if a killed run had left it."""
    make = tempfile.mkdtemp
    gone: list[str] = []

    def make_and_lose(**more: Any) -> str:
        made = make(**more)
        if not gone:
            os.rmdir(made)
            gone.append(made)
        return made

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lose)
    with directory(tmp_path, "run-") as (path, _):
        assert path.is_dir() and str(path) not in gone
    assert list(tmp_path.iterdir()) == []


def test_the_callers_umask_is_not_that_of_the_tests(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = os.umask(0o077)
    try:
        run(monkeypatch, capsys, shell("a", "umask"))
    finally:
        os.umask(before)
    assert (parts.BUILD / "trial/a.log").read_text() == "0022\n"


def test_a_part_keeps_its_directory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Also when the suite that made it is gone: the lock is the part's, too."""
    monkeypatch.setattr(parts, "memory", lambda: str(tmp_path))
    tried = 'flock --nonblock "$TMPDIR" true || echo "1 passed in 0.1s"'
    assert run(monkeypatch, capsys, shell("a", f"for n in /proc/self/fd/*; do readlink $n; done; {tried}"))[0] == 0
    assert "vnp-suite-" in (parts.BUILD / "trial/a.log").read_text()


def test_a_checkout_that_is_not_set_up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command_line, "_close_output", lambda: None)
    with pytest.raises(SystemExit, match=r"\.venv/bin/none'; run make setup"):
        run(monkeypatch, capsys, Part("a", [".venv/bin/none"]))


def test_a_signal_while_namespaces_are_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: object) -> str:
        raise KeyboardInterrupt(int(signal.SIGTERM))

    monkeypatch.setattr(command_line, "_lacks_namespaces", interrupt)
    assert run(monkeypatch, capsys, shell("a", ":"))[0] == 143


def runs(pid: str) -> bool:
    """Not one that is dead, and waits for its parent; one may go between two looks, or within one."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path("/proc", pid, "cmdline").read_bytes() != b""
    return False


def test_parts_end_with_a_suite_that_is_killed(tmp_path: Path) -> None:
    main = f"""
import sys
from pathlib import Path
from tests.suites import command_line, parts
parts.BUILD = Path({str(tmp_path)!r})
parts.memory = lambda: {str(tmp_path)!r}
made = [parts.Part("a", ["sh", "-c", "echo $$ >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec sleep 1000"])]
parts.SUITES["trial"] = parts.Suite("trial", "a trial", 1, made)
sys.argv[1:] = ["trial"]
command_line.main()
"""
    suite = subprocess.Popen([sys.executable, "-c", main], stdout=subprocess.DEVNULL, env=environment())
    wait_until((tmp_path / "pid").exists, "the part to begin")
    suite.kill()
    suite.wait()
    pid = (tmp_path / "pid").read_text().strip()
    wait_until(lambda: not runs(pid), "the part to end")


def test_a_suite_runs_once_in_a_checkout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made = shell("a", "echo '1 passed in 0.1s'")
    run(monkeypatch, capsys, made)
    with (parts.BUILD / "trial/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(
            SystemExit, match="make trial is running in this checkout: wait for its end, or use another"
        ):
            run(monkeypatch, capsys, shell("a", "echo '2 passed in 0.1s'"))
    assert (parts.BUILD / "trial/a.log").read_text() == "1 passed in 0.1s\n"
    assert run(monkeypatch, capsys, made)[0] == 0


def test_options_reach_tests_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    script = 'echo "$# $*"; echo "1 passed in 0.1s"'
    words = ["--no-skip", "--", "-k", "a b"]
    run(monkeypatch, capsys, shell("a", script), shell("b", script, is_tests=False), words=words)
    assert (parts.BUILD / "trial/a.log").read_text().startswith("3 --no-skip -k a b\n")
    assert (parts.BUILD / "trial/b.log").read_text().startswith("0 \n")


def test_one_part_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made = shell("a", "exit 1"), shell("b", "echo '1 passed in 0.1s'")
    code, lines = run(monkeypatch, capsys, *made, words=["--only", "b"])
    assert code == 0 and "the output of b is" in lines[1]
    with pytest.raises(SystemExit, match="trial has no part 'c'; it has a, b"):
        run(monkeypatch, capsys, *made, words=["--only", "c"])


def test_nothing_of_the_environment_reaches_a_part(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PYTHONUNBUFFERED", "PYTEST_ADDOPTS", "LIBVIRT_DEFAULT_URI", "LC_ALL", "COLUMNS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    run(monkeypatch, capsys, shell("a", "env; echo '1 passed in 0.1s'"))
    names = {line.partition("=")[0] for line in (parts.BUILD / "trial/a.log").read_text().splitlines() if "=" in line}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME"}


def test_a_signal_ends_every_part(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupt(*_: object) -> None:
        while not pid.exists():
            pass
        raise KeyboardInterrupt(int(signal.SIGTERM))

    pid = tmp_path / "pid"
    monkeypatch.setattr(command_line, "_wait", interrupt)
    code, lines = run(monkeypatch, capsys, shell("a", f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 1000"))
    assert code == 143 and lines[-1].startswith("make trial: ended by SIGTERM after")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_second_signal_does_not_stop_the_end_of_the_parts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupt(*_: object) -> None:
        while not ready.exists():
            pass
        raise KeyboardInterrupt

    ready = tmp_path / "ready"
    twice = f"trap 'kill -INT {os.getpid()}; exit' TERM; touch {ready}; while :; do sleep 0.1; done"
    monkeypatch.setattr(command_line, "_wait", interrupt)
    code, lines = run(monkeypatch, capsys, shell("a", twice), shell("b", "exec sleep 1000"))
    assert code == 130 and lines[-1].startswith("make trial: ended by SIGINT after")


def test_what_ignores_its_end_is_killed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupt(*_: object) -> None:
        while not pid.exists():
            pass
        raise KeyboardInterrupt

    pid = tmp_path / "pid"
    stubborn = f"(trap '' TERM; exec sleep 1000) & echo $! >{pid}.new; sleep 0.2; mv {pid}.new {pid}; wait"
    monkeypatch.setattr(command_line, "_wait", interrupt)
    monkeypatch.setattr(running, "PATIENCE", 0.5)
    run(monkeypatch, capsys, shell("a", stubborn))
    assert not runs(pid.read_text().strip())


def test_a_hangup_that_nohup_ignores_is_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        code, _ = run(monkeypatch, capsys, shell("a", f"kill -HUP {os.getpid()}; echo '1 passed in 0.1s'"))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert code == 0


def test_a_part_whose_tests_were_all_skipped_has_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = run(monkeypatch, capsys, shell("a", "echo '2 skipped in 0.1s'"))
    assert code == 1 and "0 of 1 passed" in lines[-1] and "failed: a (ran no test, see " in lines[-1]


def test_why_a_test_failed_is_said_again_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = (
        r"== FAILURES ==\n___ test_a ___\nE   boom\n== short test summary info ==\nFAILED test_a\n1 failed in 0.1s\n"
    )
    _, lines = run(monkeypatch, capsys, shell("a", f"printf '{output}'; exit 1"))
    assert lines[-2] == "  test_a: boom"


def test_a_log_that_cannot_be_written_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = parts.BUILD / "trial"
    logs.mkdir(parents=True)
    (logs / "a.log").symlink_to("/dev/full")
    monkeypatch.setattr(command_line, "details", lambda *_: [])  # /dev/full has no end
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "")
    code, lines = run(monkeypatch, capsys, shell("a", "seq 99999; echo '1 passed in 0.1s'"))
    assert code == 1 and lines[-1].endswith("a.log cannot be written: No space left on device)")
    (logs / "b.log").mkdir()
    with pytest.raises(SystemExit, match=r"b.log.*; remove build/trial"):
        run(monkeypatch, capsys, shell("b", ":"))


def test_the_budget_is_that_of_the_documents() -> None:
    rows = re.findall(r"^\| `make ([a-z-]+)` \|.*\| (\d+) min \|$", CONTRIBUTING.read_text(), re.MULTILINE)
    assert dict(rows) == {name: f"{suite.minutes:g}" for name, suite in SUITES.items()}


def test_a_user_without_namespaces_is_told_so_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, line in (("id", "echo 1000"), ("unshare", "exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    enclosed = Part("a", ["sh", "-c", f"touch {tmp_path}/ran", "tests/namespace"])
    with pytest.raises(SystemExit, match="run as root, or let 1000 have user namespaces: the package uidmap"):
        run(monkeypatch, capsys, enclosed)
    assert not (tmp_path / "ran").exists() and capsys.readouterr().out == ""


def test_a_reader_that_goes_away_ends_the_suite(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    main = f"""
import sys
from pathlib import Path
from tests.suites import command_line, parts
parts.BUILD = Path({str(tmp_path)!r})
sys.exit(command_line.main())
"""
    words = [sys.executable, "-c", main, "check", "--only", "format"]
    ran = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, env=environment(), text=True)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_no_variable_of_python_reaches_the_suite_itself(tmp_path: Path) -> None:
    (tmp_path / "argparse.py").write_text("raise SystemExit(3)")
    variables = {"PYTHONHOME": "/nowhere", "PYTHONPATH": str(tmp_path)}
    words = [CHECKOUT / "tests/suite", "check", "--only", "nothing"]
    ran = subprocess.run(words, env=environment(**variables), capture_output=True, text=True)
    assert ran.stderr == "tests/suite: check has no part 'nothing'; it has format, lint, types, fast\n"


@pytest.mark.parametrize(("flag", "is_used"), [(0, True), (os.ST_NOEXEC, False)])
def test_memory_where_no_program_may_be_started_is_not_used(
    monkeypatch: pytest.MonkeyPatch, flag: int, is_used: bool
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: True)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=flag))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=parts.ROOM + 1))
    assert parts.memory() == ("/dev/shm" if is_used else None)


def test_home_is_that_of_the_user_where_none_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HOME")
    assert Path(parts.environment(tmp_path)["HOME"]).is_absolute()
