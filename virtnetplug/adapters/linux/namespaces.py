"""Network namespaces."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNET = 0x40000000
"""<linux/sched.h>"""


def leave_network() -> bool:
    """Move this process into a new, empty network namespace (``unshare(2)``); False where it may not.

    Call it before any thread is started: those that exist stay behind.
    """
    if os.geteuid() != 0:
        return False
    return bool(ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0)
