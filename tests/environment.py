"""The environment of the tests and of each process that they start: no variable of the caller makes a test green or red."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEPT = ("PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME")
"""Of the caller: where programs are, where files may be written, and where set-up has put the guests of tests."""
_OF_THE_TESTS = ("VIRTNETPLUG_", "PYTEST_")


def environment(**named: str) -> dict[str, str]:
    """For a process of a test: `KEPT`, a UTF-8 locale, this checkout for Python to import, and what the test names."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), **named}


def clean(named: Sequence[str] = _OF_THE_TESTS) -> None:
    """Take from this process all but `KEPT` and what begins with one of `named`, by which tests and pytest are told something."""
    for name in set(os.environ).difference(KEPT):
        if not name.startswith(tuple(named)) or name == "VIRTNETPLUG_STATE_DIR":
            del os.environ[name]
    os.environ["LANG"] = "C.UTF-8"
    os.umask(0o022)
