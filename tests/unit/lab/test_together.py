"""One command in every lab at once, with a script for the lab."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from host import together

SCRIPT = """#!/bin/sh
# usage: run NAME OPTIONS… -- COMMAND
trap 'echo ending $2; rm "$2.runs"; exit 143' TERM
touch "$2.runs"
echo "$2 is given $3 $4: $6 $7"
echo "to standard error" >&2
case $2 in slow) while :; do sleep 0.1; done;; bad) exit 3;; killed) kill -KILL $$;; esac
rm "$2.runs"
"""


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = tmp_path / "lab"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(together, "LAB", script)
    return script


def run(*names: str) -> int:
    return together.run(names, ["--timeout", "5"], ["say", "it"])


def test_each_says_which_it_is(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run("one", "two") == 0
    lines = capfdbinary.readouterr().out.decode().splitlines()
    for name in ("one", "two"):
        assert [line for line in lines if line.startswith(name)] == [
            f"{name:6}{name} is given --timeout 5: say it",
            f"{name:6}to standard error",
        ]
        assert any(re.fullmatch(f"== lab {name}: [0-9]+ s, exit code 0", line) for line in lines)


@pytest.mark.parametrize(("name", "code"), [("bad", 3), ("killed", 128 + signal.SIGKILL)])
def test_one_that_fails_is_not_lost(capfdbinary: pytest.CaptureFixture[bytes], name: str, code: int) -> None:
    assert run(name, "good") == code
    said = capfdbinary.readouterr().out.decode()
    assert re.search("^== lab good: [0-9]+ s, exit code 0$", said, re.MULTILINE)
    assert re.search(f"^== lab {name}: [0-9]+ s, exit code", said, re.MULTILINE)


def test_ctrl_c_ends_them_all(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def press() -> None:
        while not Path("slow.runs").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    assert run("slow", "good") == 130
    thread.join()
    assert not Path("slow.runs").exists()
    assert "slow  ending slow" in capfdbinary.readouterr().out.decode()


def test_a_console_to_keep_is_of_one_lab() -> None:
    words = [
        sys.executable,
        str(Path(together.__file__).parents[1] / "lab"),
        "run",
        "all",
        "--keep-console",
        "x",
        "--",
        "true",
    ]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode != 0 and "several would write the same file" in done.stderr
