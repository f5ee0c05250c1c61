"""`command` runs the whole program as a process, with a journal of the test's own; `hosts` are two hosts with one journal each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import environment
from tests.real.command import Command
from tests.real.daemon import Daemon
from tests.real.hosts import TwoHosts

environment.clean()


@pytest.fixture
def command(libvirtd: Daemon, place: Path) -> Iterator[Command]:
    """``virtnetplug`` on the private libvirtd, its journal below `place`."""
    one = Command(libvirtd.uri, place / "state")
    yield one
    one.close()


@pytest.fixture
def hosts(mortal_libvirtd: Daemon, place: Path, bridge: Callable[[], str]) -> Iterator[TwoHosts]:
    """The private libvirtd and a second one, with two bridges of the same names."""
    both = TwoHosts(mortal_libvirtd, place, (bridge(), bridge()))
    yield both
    both.close()
