"""The tests that need the hardware of a lab: ``contrib/lab/lab run sriov -- python3 -m pytest tests/lab``.

Everywhere else they are not collected.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import libvirt
import pytest

import virtnetplug
from tests.lab import aftermath, pools
from tests.lab.figures import figure, pytest_collection_modifyitems, pytest_configure, pytest_terminal_summary
from tests.lab.linux_guest import LinuxGuest, Machine
from tests.lab.victims import victims
from tests.real import guests, namespace
from virtnetplug import Plugger

__all__ = ["figure", "pytest_collection_modifyitems", "pytest_configure", "pytest_terminal_summary", "victims"]

collect_ignore_glob = [] if os.environ.get("VIRTNETPLUG_LAB") == "sriov" else ["test_*.py"]

_modules = itertools.count(1)
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


@pytest.fixture(scope="module")
def vm(connect: Callable[[], libvirt.virConnect]) -> Iterator[guests.Guest]:
    """A guest that all tests of a module share: each leaves it as it was, and running."""
    place = namespace.PLACE / f"module{next(_modules)}"
    place.mkdir(parents=True)
    shared = guests.start(connect(), place)
    yield shared
    guests.remove(connect(), [shared.uuid])


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
