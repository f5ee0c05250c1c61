"""Processes that are to die: forked from a parent that has imported everything, which in a lab takes longer than all the rest.

The parent is ``python -m tests.lab.victims``; it must never have opened a connection itself.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_IMPORTED = (
    "app",
    "adapters.libvirt.connection",
    "adapters.libvirt.networks",
    "adapters.libvirt.nodedevs",
    "adapters.linux.host_devices",
    "adapters.sqlite.journal",
    "adapters.xen.vifs",
    "adapters.xen.xenstore",
    "hotplug.rebind_pf",
    "hotplug.rebind_vf",
    "hotplug.rebind_vif",
)


@dataclass(frozen=True)
class Ended:
    """How a process ended: `code` as `subprocess` gives it, and what it said on standard error."""

    code: int
    said: str


class Victims:
    """The parent, from outside."""

    def __init__(self) -> None:
        words = [sys.executable, "-m", __name__]
        self._parent = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, function: str, *words: object) -> Ended:
        """One process that calls ``module:function`` with these words, to its end."""
        (ended,) = self.together(function, [words])
        return ended

    def together(self, function: str, calls: Sequence[Sequence[object]]) -> list[Ended]:
        """A process for each of `calls`, all at once, to the end of the last."""
        assert self._parent.stdin is not None and self._parent.stdout is not None
        self._parent.stdin.write(json.dumps([function, [[str(word) for word in words] for words in calls]]) + "\n")
        self._parent.stdin.flush()
        return [Ended(*one) for one in json.loads(self._parent.stdout.readline())]

    def end(self) -> None:
        """End the parent; those that it had to start have all ended."""
        self._parent.communicate()


@pytest.fixture(scope="session")
def victims() -> Iterator[Victims]:
    """``victims.run("module:function", word, …)``; all are of one parent."""
    one = Victims()
    yield one
    one.end()


def main() -> None:
    for name in _IMPORTED:
        importlib.import_module(f"virtnetplug.{name}")
    for line in sys.stdin:
        function, calls = json.loads(line)
        module, _, name = function.partition(":")
        call = getattr(importlib.import_module(module), name)
        with tempfile.TemporaryDirectory() as place:
            said = [Path(place) / str(number) for number in range(len(calls))]
            children = [_fork(call, words, file) for words, file in zip(calls, said, strict=True)]
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
            print(json.dumps([[code, file.read_text()] for code, file in zip(codes, said, strict=True)]), flush=True)


def _fork(call: object, words: list[str], said: Path) -> int:
    assert callable(call)
    said.touch()
    if child := os.fork():
        return child
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(said, os.O_WRONLY), 2)
        os.dup2(2, 1)
        code = call(*words) or 0
    except Exception:  # noqa: BLE001 - whatever it is, it is said to whoever asked for this process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
