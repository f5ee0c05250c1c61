"""Xen's own toolstack, ``xl``: for the vifs that libvirt's Xen driver has lost sight of."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence

from virtnetplug.errors import XenStoreFailed

DONE_SECONDS = 120.0
"""For one command. libxl waits 10 s for a backend, forces it, waits again, and gives each hotplug script 40 s."""

NO_SCRIPT = "/bin/true"
"""A hotplug script that puts a vif nowhere: its backend waits for ever to be told that it did."""

Done = subprocess.CompletedProcess[str]
Run = Callable[[Sequence[str]], Done]


def run_tool(words: Sequence[str]) -> Done:
    """Run one to its end. Raises `XenStoreFailed` if it is not there or does not end."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=DONE_SECONDS,
            process_group=0,
        )
    except FileNotFoundError:
        raise XenStoreFailed(f"'{words[0]}' is not installed. Install xen-utils-common.") from None
    except subprocess.TimeoutExpired:
        raise XenStoreFailed(f"'{' '.join(words)}' has not ended within {DONE_SECONDS:g} s") from None


class Toolstack:
    """libxl as its command line has it, which works on the same records in xenstore as libvirt's driver."""

    def __init__(self, run: Run = run_tool) -> None:
        self._run = run

    def remove(self, domain_id: int, number: int) -> None:
        """``xl network-detach``: by force, after 10 s, where the guest does not let go. Raises `XenStoreFailed` if it stays."""
        self._do(["xl", "network-detach", str(domain_id), str(number)])

    def add_placeholder(self, domain_id: int, mac: str) -> None:
        """Give the domain a vif with this MAC that never connects: something for libvirt to remove, which it would not forget otherwise."""
        self._do(["xl", "network-attach", str(domain_id), f"mac={mac}", f"script={NO_SCRIPT}"])

    def _do(self, words: Sequence[str]) -> None:
        done = self._run(words)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise XenStoreFailed(f"'{' '.join(words)}' failed: {said[-1] if said else f'code {done.returncode}'}")
