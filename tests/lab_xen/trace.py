"""What xenstored itself says was written: every state, in order, where a watch would tell several at once."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab_xen.guest import Nic
from virtnetplug.lifecycle import State

_WRITE = re.compile(r"IN \S+ \(d(\d+)\) .* WRITE \((\S+)/state (\d)\)$")
_STATES = tuple(State)


class Trace:
    """The log of one run of `traced`."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def clear(self) -> None:
        """Forget what was written so far."""
        self._log.write_text("")

    def states(self, nic: Nic) -> list[tuple[str, State]]:
        """Each end and what it went to; the same state written again is no move."""
        now: dict[str, State] = {}
        found = []
        for line in self._log.read_text().splitlines():
            if (write := _WRITE.search(line)) is None:
                continue
            who, place, number = write.groups()
            path = place if place.startswith("/") else f"/local/domain/{who}/{place}"
            end = {nic.frontend: "frontend", nic.backend: "backend"}.get(path)
            state = _STATES[int(number)]
            if end is not None and now.get(end) is not state:
                now[end] = state
                found.append((end, state))
        return found


@contextmanager
def traced(log: Path) -> Iterator[Trace]:
    """Have xenstored write all that it is asked into `log`."""
    log.touch()
    for words in (["logfile", str(log)], ["log", "on"]):
        subprocess.run(["xenstore-control", *words], check=True, stdout=subprocess.DEVNULL)
    try:
        yield Trace(log)
    finally:
        subprocess.run(["xenstore-control", "log", "off"], check=True, stdout=subprocess.DEVNULL)
