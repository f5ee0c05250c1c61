"""xenstore, dom0's sysfs and its links, as its own tools show and change them."""

from __future__ import annotations

import subprocess
from pathlib import Path

DRIVER = Path("/sys/bus/xen-backend/drivers/vif")


def read(path: str) -> str | None:
    """None for what is not there."""
    done = subprocess.run(["xenstore-read", path], capture_output=True, text=True)
    return done.stdout.rstrip("\n") if done.returncode == 0 else None


def write(path: str, value: str) -> None:
    subprocess.run(["xenstore-write", path, value], check=True)


def list_all(path: str) -> list[str]:
    """All paths below one; empty if it is not there."""
    done = subprocess.run(["xenstore-ls", "-f", path], capture_output=True, text=True)
    return [line.split(" = ")[0] for line in done.stdout.splitlines()]


def run(command: str) -> None:
    """One command line of dom0, of words without blanks."""
    subprocess.run(command.split(), check=True)


def master(link: str) -> str | None:
    """The bridge that a link is in."""
    bridge = Path(f"/sys/class/net/{link}/master")
    return bridge.resolve().name if bridge.exists() else None
