"""The command line: turns arguments into calls of a plugger, and its answers into text or JSON.

`main` is all that the composition root needs; importing this package alone imports nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtnetplug.cli.session import Wiring


def main(wiring: Wiring, argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (docs/cli.md lists them); never raises but `SystemExit`.

    `argv` is without the program's name, and `sys.argv[1:]` if None.
    """
    from virtnetplug.cli.run import run

    return run(wiring, argv)
