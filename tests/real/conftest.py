"""`command` runs the whole program as a process, with a journal of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import environment
from tests.real.command import Command
from tests.real.daemon import Daemon

environment.clean()


@pytest.fixture
def command(libvirtd: Daemon, place: Path) -> Iterator[Command]:
    """``virtnetplug`` on the private libvirtd, its journal below `place`."""
    one = Command(libvirtd.uri, place / "state")
    yield one
    one.close()
