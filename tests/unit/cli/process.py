"""The command line as a process of its own, on the fakes of ``fakes.py``."""

from __future__ import annotations

import sys

from tests.environment import environment

PROGRAM = """
import sys
{before}
from virtnetplug.cli import main
{between}
code = main(wiring, sys.argv[1:])
{after}
sys.exit(code)
"""
FAKES = (
    "from tests.unit.cli import fakes; wiring = fakes.FakeWiring(); from virtnetplug.cli import complete, progress; "
    "complete.PATIENCE = progress.PATIENCE = 3600"
)
"""However slow the machine, an answer is waited for, and no command is so late that it says what it waits for."""
ENVIRONMENT = environment(TERM="xterm")


def program(*, before: str = "", between: str = FAKES, after: str = "") -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(before=before, between=between, after=after)]
