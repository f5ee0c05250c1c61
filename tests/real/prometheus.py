"""Prometheus and its tool, which set-up has unpacked in the cache."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

UNPACK = Path(__file__).parents[2] / "contrib/prometheus"


@cache
def program(name: str) -> Path:
    """``prometheus`` or ``promtool``."""
    paths = subprocess.run([UNPACK], capture_output=True, text=True, check=True).stdout.splitlines()
    return next(path for path in map(Path, paths) if path.name == name)
