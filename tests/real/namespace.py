"""Where the real tests run: in namespaces of their own, made by ``tests/namespace``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PLACE = Path("/run/virtnetplug-tests")
"""Private to a test run, gone with it, and short enough for the paths of sockets."""

IN_LAB = "VIRTNETPLUG_LAB" in os.environ and Path("/usr/lib/lab/prepare").exists()
"""Whether this is the emulated machine of `contrib/lab`, all of which is the tests'."""

PATIENCE = 10
"""How many times longer than on a quiet machine anything may take: under load, or in a lab, whose host is emulated, too."""


def require() -> None:
    """Fail the test where it could touch the machine's own libvirt or network."""
    is_within = os.environ.get("VIRTNETPLUG_NAMESPACE") == "ready" and PLACE.is_dir()
    if not is_within and not IN_LAB:
        pytest.fail(
            "needs namespaces of its own: run `make test`, or tests/namespace .venv/bin/pytest …", pytrace=False
        )


def is_root_of_the_machine() -> bool:
    """And not of a user namespace, as an ordinary user is here: the device nodes that the kernel makes belong to that root."""
    return Path("/proc/self/uid_map").read_text().split()[:2] == ["0", "0"]


def wait_until(condition: Callable[[], object], what: str, timeout: float = 20.0) -> float:
    """Wait for `condition`; gives the seconds it took, and fails the test after `timeout` (times `PATIENCE`) of them."""
    timeout *= PATIENCE
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > timeout:
            pytest.fail(f"waited {timeout:g} s for {what}")
        time.sleep(0.005)
    return time.monotonic() - start
