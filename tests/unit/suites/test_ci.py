"""`.ci/run` on commands that do nothing: what it counts, and that a signal ends it and the part that runs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.environment import environment
from tests.suites.parts import CHECKOUT

MAKE = """#!/bin/sh
trap 'echo told to end; exit 143' TERM
echo "make $*, flags $MAKEFLAGS"
[ "$1" = "$STOPS" ] || exit 0
while :; do sleep 0.1; done
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in (("bin/make", MAKE), ("contrib/fresh", "#!/bin/sh\n[ $1 != 13 ]")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".ci").mkdir()
    shutil.copy(CHECKOUT / ".ci/run", tmp_path / ".ci")
    return tmp_path


def start(place: Path, stops: str = "") -> subprocess.Popen[str]:
    variables = {"PATH": f"{place}/bin:{os.environ['PATH']}", "MAKEFLAGS": "n", "STOPS": stops}
    # bash cannot trap what its caller ignores, and nobody else ends this one
    words = ["env", "--default-signal", "setpriv", "--pdeathsig", "TERM", place / ".ci/run"]
    return subprocess.Popen(
        words, env=environment(**variables), stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def test_every_part_runs_and_those_that_failed_are_named(place: Path) -> None:
    with start(place) as run:
        said = run.communicate()[0].splitlines()
    assert run.returncode == 1
    assert [line for line in said if line.startswith("make ")] == [
        "make setup, flags ",
        *(f"make {name} SUITE=--no-skip, flags " for name in ("check", "test", "lab")),
    ]
    assert "at most 30 min" in said[0] and "build/*/*.log" in said[0]
    wanted = r"5 of 6 parts passed in 0 min \d+ s; failed: contrib/fresh 13 make demo && make check SUITE=--no-skip"
    assert re.fullmatch(wanted, said[-1])


def keep_sending(run: subprocess.Popen[str], number: signal.Signals) -> None:
    """Until it has ended: a signal that comes just before bash's ``wait`` begins is heard with the next one."""
    while run.poll() is None:
        run.send_signal(number)
        time.sleep(0.5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_part_and_all_that_would_follow(place: Path, number: signal.Signals) -> None:
    with start(place, stops="test") as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("make test"):
                break
        presser = threading.Thread(target=keep_sending, args=(run, number))
        presser.start()
        said = run.communicate()[0].splitlines()
        presser.join()
    assert run.returncode == 128 + number
    assert said == ["told to end", f"ended by {number.name} after 2 parts passed, 0 failed"]
