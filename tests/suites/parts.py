"""The suites: which commands each is made of, and how long it may take. CONTRIBUTING.md has the same budget as a table."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.environment import KEPT

CHECKOUT = Path(__file__).resolve().parents[2]
BUILD = CHECKOUT / "build"
BIN = Path(".venv/bin")
LABS = ("sriov", "xen")
ROOM = 256 << 20
"""Bytes that must be free where tests write."""


@dataclass(frozen=True)
class Part:
    """One command of a suite. `is_tests`: its output is pytest's. It hangs if it says nothing for `silence` seconds."""

    name: str
    command: Sequence[str]
    is_tests: bool = True
    silence: float = 900


@dataclass(frozen=True)
class Suite:
    """Parts that run at the same time. `minutes` is the budget on two quiet cores, without set-up and images."""

    name: str
    summary: str
    minutes: float
    parts: Sequence[Part]


def environment(temporary: Path) -> dict[str, str]:
    """All that a test gets of its caller's environment, and where its files go: nothing else can make it green or red."""
    kept = {name: os.environ[name] for name in KEPT if os.environ.get(name)}
    return {"PATH": os.defpath, "HOME": os.path.expanduser("~"), **kept, "LANG": "C.UTF-8", "TMPDIR": str(temporary)}


def memory() -> str | None:
    """A directory in memory, where tests need not wait for a disk; None for the usual one if there is no such directory.

    Tests run programs that they write there; in containers ``/dev/shm`` is often mounted noexec.
    """
    place = "/dev/shm"
    if not os.access(place, os.W_OK | os.X_OK) or os.statvfs(place).f_flag & os.ST_NOEXEC:
        return None
    return place if shutil.disk_usage(place).free > ROOM else None


def disk() -> str:
    """The usual directory for temporary files. Raises `OSError` without `ROOM` in it."""
    try:
        place = tempfile.gettempdir()
    except FileNotFoundError:  # it tried to write to each: there is no room in any, or no right
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp") from None
    if shutil.disk_usage(place).free < ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)
    return place


def _pytest(*words: str, workers: int, enclosed: bool = True) -> list[str]:
    """pytest whose workers are in namespaces of their own each: a libvirtd, bridges and processes that nobody else sees."""
    python = f"tests/namespace {BIN}/python" if enclosed else f"{BIN}/python"
    spread = [f"--tx={workers}*popen//python={python}", "--dist=load", "--maxschedchunk=1", "--max-worker-restart=8"]
    return [f"{BIN}/python", "-m", "pytest", "-v", "--durations=10", "-p", "no:cacheprovider", *spread, *words]


def _lab(name: str, seconds: int, *words: str) -> Part:
    """The tests of one lab, inside it. The lab's own lines are in the same log. `seconds` are for a hang, not for a slow machine."""
    tests = [
        "python3",
        "-m",
        "pytest",
        "-v",
        f"--timeout={seconds // 2}",
        "--durations=10",
        "tests/lab",
        "tests/lab_xen",
    ]
    return Part(
        name, ["contrib/lab/lab", "run", name, "--timeout", str(seconds), "--", "env", *words, *tests], silence=seconds
    )


_LONG = [f"VIRTNETPLUG_LAB_{word}" for word in ("WORLDS=all", "CYCLES=200", "ROUNDS=20")]
_FULL = ["env", "VIRTNETPLUG_REBINDS=100"]


def _of_drivers(*words: str, prefix: Sequence[str] = ()) -> list[Part]:
    return [
        Part("driver", [*prefix, *_pytest("--part=driver", *words, workers=4)]),
        Part("embedded", [*prefix, *_pytest("--driver=embedded", *words, workers=2)]),
        Part("rest", _pytest("--part=rest", *words, workers=2)),
    ]


SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            "check",
            "format, lint, types, unit tests, and the contract suite on the fake host",
            1,
            [
                Part("format", [f"{BIN}/ruff", "format", "--check", "--quiet", "."], is_tests=False),
                Part("lint", [f"{BIN}/ruff", "check", "--quiet", "."], is_tests=False),
                Part("types", [f"{BIN}/mypy"], is_tests=False),
                Part(
                    "fast", _pytest("--part=rest", "--brief", "tests/unit", "tests/contract", workers=2, enclosed=False)
                ),
            ],
        ),
        Suite("test", "every test that needs no lab, on real QEMU, libvirt, bridges and networks", 8, _of_drivers()),
        Suite(
            "test-full",
            "what make test runs, real QEMU broken at every call, and 100 rebinds under a stream",
            15,
            _of_drivers("--full", "--timeout=900", prefix=_FULL),
        ),
        Suite("lab", "real SR-IOV and real Xen, in emulated hosts", 10, [_lab(name, 7200) for name in LABS]),
        Suite("lab-full", "all tests of both labs", 90, [_lab(name, 28800, *_LONG) for name in LABS]),
    )
}
