"""Processes that are forked from one which has imported everything: a start of Python and its imports cost more than all they do."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        *("__main__", "libvirt"),
        *(f"virtnetplug.adapters.libvirt.{name}" for name in ("connection", "networks", "nodedevs")),
        *("virtnetplug.adapters.linux.links", "virtnetplug.adapters.linux.host_devices"),
        *("virtnetplug.adapters.sqlite.journal", "virtnetplug.app", "virtnetplug.hotplug.plugger"),
    ]
)


def run(function: Callable[..., Any], *args: Any, timeout: float = 120) -> tuple[int, str]:
    """Call `function`, of a module that can be imported, in a process of its own; gives its exit status and what it said.

    The status is 1 if the function raised, and negative if a signal ended the process. Raises `TimeoutError`.
    """
    with tempfile.NamedTemporaryFile() as said:
        process = _forks.Process(target=_call, args=(said.name, function, args))
        process.start()
        process.join(timeout)
        status = process.exitcode
        if status is None:
            process.kill()
            process.join()
            raise TimeoutError(f"{function} has run for {timeout:g} s:\n{Path(said.name).read_text()}")
        return status, Path(said.name).read_text()


def _call(said: str, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    with open(said, "ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    function(*args)
