"""The tests that need the hardware of a lab: ``contrib/lab/lab run sriov -- python3 -m pytest tests/lab``.

Everywhere else they are not collected.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import libvirt
import pytest

import virtnetplug
from tests.lab import aftermath, pools
from tests.lab.figures import figure, pytest_collection_modifyitems, pytest_configure, pytest_terminal_summary
from tests.lab.linux_guest import LinuxGuest, Machine
from tests.lab.small_guests import SmallGuests
from tests.real.guests import Guest
from virtnetplug import Plugger

__all__ = ["figure", "pytest_collection_modifyitems", "pytest_configure", "pytest_terminal_summary"]

collect_ignore_glob = [] if os.environ.get("VIRTNETPLUG_LAB") == "sriov" else ["test_*.py"]

_HAS_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_HAS_FAILED] = item.stash.get(_HAS_FAILED, False) or report.failed
    return report


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest, uri: str) -> Iterator[None]:
    """A test that fails fails alone."""
    yield
    if request.node.stash.get(_HAS_FAILED, False):
        aftermath.clear(libvirt.open(uri))


@pytest.fixture(scope="session")
def uri(event_loop: None) -> str:
    """The lab's own libvirtd, which runs already."""
    return "qemu:///system"


@pytest.fixture
def reopen(uri: str, tmp_path: Path) -> Iterator[Callable[..., Plugger]]:
    """``reopen()`` gives a plugger of a new process's view on one journal; ``reopen(on_event)`` one that tells what it does."""
    with ExitStack() as opened:
        yield lambda on_event=None: opened.enter_context(
            virtnetplug.open(uri, state_dir=tmp_path / "journal", on_event=on_event)
        )


@pytest.fixture
def plugger(reopen: Callable[..., Plugger]) -> Plugger:
    """One with a journal of this test's own."""
    return reopen()


@pytest.fixture(scope="session")
def small_guests(connect: Callable[[], libvirt.virConnect]) -> SmallGuests:
    """Those that nobody has now, running; they end with the machine."""
    return SmallGuests(connect)


@pytest.fixture
def guest(request: pytest.FixtureRequest, small_guests: SmallGuests) -> Iterator[Callable[..., Guest]]:
    """``guest()`` and ``guest(machine='q35')`` run already, unless all are taken; with other options one is started."""
    taken: list[Guest] = []
    started: list[Guest] = []

    def get(**options: Any) -> Guest:
        if options.keys() <= {"machine"}:
            taken.append(small_guests.take(**options))
            return taken[-1]
        started.append(small_guests.start(**options))
        return started[-1]

    yield get
    has_failed = request.node.stash.get(_HAS_FAILED, False)
    for one in taken:
        small_guests.remove(one) if has_failed else small_guests.give_back(one)
    for one in started:
        small_guests.remove(one)


@pytest.fixture(scope="module")
def vm(small_guests: SmallGuests) -> Iterator[Guest]:
    """A guest that all tests of a module share: each leaves it as it was, and running."""
    shared = small_guests.take()
    yield shared
    small_guests.give_back(shared)


@pytest.fixture
def linux(uri: str) -> Iterator[Callable[[Machine], LinuxGuest]]:
    """``linux('q35')``: the Linux guest of that machine type, which answers, and has nothing but its backup NIC.

    It runs from the first test that asks for it to the last one, unless a test leaves more than that: then the next one gets it restored.
    """
    asked: list[LinuxGuest] = []

    def get(machine: Machine) -> LinuxGuest:
        asked.append(LinuxGuest(libvirt.open(uri), machine))
        asked[-1].wait_answers(asked[-1].address)
        return asked[-1]

    yield get
    for guest in asked:
        guest.forget()
        if not guest.is_as_restored():
            guest.destroy()


@pytest.fixture
def pool(connection: libvirt.virConnect) -> Iterator[Callable[..., str]]:
    """``pool('<pf dev="pf1"/>', managed='no')`` starts one more pool; gives its name."""
    with ExitStack() as made:
        yield lambda *words, **more: made.enter_context(pools.pool(connection, *words, **more))
