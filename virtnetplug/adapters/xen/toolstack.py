"""Xen's own toolstack, ``xl``: for the vifs that libvirt's Xen driver has lost sight of."""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug.adapters.xen.tools import Done, Run, run_program
from virtnetplug.errors import XenStoreFailed

DONE_SECONDS = 120.0
"""How long one command may take. libxl waits 10 s for a backend, forces it, waits again, and gives each hotplug script 40 s."""

NO_SCRIPT = "/bin/true"
"""A hotplug script that puts a vif nowhere: its backend waits for ever for the script's answer."""


def run_xl(words: Sequence[str]) -> Done:
    """Run a command to its end. Raises `XenStoreFailed` if the program is not there or does not end."""
    late = f"'{' '.join(words)}' has not ended within {DONE_SECONDS:g} s"
    return run_program(words, "xen-utils-common", DONE_SECONDS, late)


class Toolstack:
    """libxl as its command line has it, which works on the same records in xenstore as libvirt's driver."""

    def __init__(self, run: Run = run_xl) -> None:
        self._run = run

    def remove(self, domain_id: int, number: int) -> None:
        """``xl network-detach``: by force, after 10 s, where the guest does not release the vif. Raises `XenStoreFailed` if the vif stays."""
        self._do(["xl", "network-detach", str(domain_id), str(number)])

    def add_placeholder(self, domain_id: int, mac: str) -> None:
        """Add a vif with this MAC that never connects: libvirt forgets a NIC only if there is something to remove."""
        self._do(["xl", "network-attach", str(domain_id), f"mac={mac}", f"script={NO_SCRIPT}"])

    def _do(self, words: Sequence[str]) -> None:
        done = self._run(words)
        if done.returncode:
            errors = done.stderr.strip().splitlines() or [f"code {done.returncode}"]
            raise XenStoreFailed(f"'{' '.join(words)}' failed: {errors[-1]}")
