"""The tests that need a Xen host: ``contrib/lab/lab run xen -- python3 -m pytest tests/lab_xen``.

Everywhere else they are not collected.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import libvirt
import pytest

import virtnetplug
from tests.lab.figures import figure, pytest_collection_modifyitems, pytest_configure, pytest_terminal_summary
from tests.lab_xen.guest import Guest, Nic
from tests.lab_xen.views import take_all_out
from tests.real.namespace import wait_until
from virtnetplug import Plugger

__all__ = ["figure", "pytest_collection_modifyitems", "pytest_configure", "pytest_terminal_summary"]

collect_ignore_glob = [] if os.environ.get("VIRTNETPLUG_LAB") == "xen" else ["test_*.py"]


@pytest.fixture(scope="session")
def uri(event_loop: None) -> str:
    """The lab's own libvirtd, which runs already."""
    return "xen:///system"


@pytest.fixture
def lab(fresh: Callable[[], Guest]) -> Guest:
    """The guest that the lab starts with; it answers."""
    return fresh()


@pytest.fixture
def fresh(connection: libvirt.virConnect, rebooted: Callable[[], Guest]) -> Callable[[], Guest]:
    """``fresh()`` is the guest, which can stand being given some more NICs; it answers."""

    def find() -> Guest:
        guest = Guest(connection.lookupByName("lab"))
        guest.wait_answers(guest.first.address)
        return rebooted() if guest.is_worn else guest

    return find


@pytest.fixture
def nic(lab: Guest) -> Iterator[Callable[..., Nic]]:
    """``nic(1)`` attaches one by plain libvirt, with the MAC whose address is 10.8.1.2; see `Guest.attach`."""
    attached: list[Nic] = []

    def attach(number: int, **options: str) -> Nic:
        attached.append(lab.attach(number, **options))
        return attached[-1]

    yield attach
    for one in attached:
        if one.mac in lab.macs():
            lab.detach(one)


@pytest.fixture
def reopen(uri: str, tmp_path: Path) -> Iterator[Callable[[], Plugger]]:
    """``reopen()`` gives a plugger of a new process's view on one journal."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(virtnetplug.open(uri, state_dir=tmp_path / "journal"))
        take_all_out(
            opened.enter_context(virtnetplug.open(uri, state_dir=tmp_path / "journal"))
        )  # a test that failed must not fail others


@pytest.fixture
def plugger(reopen: Callable[[], Plugger]) -> Plugger:
    """One with a journal of this test's own."""
    return reopen()


@pytest.fixture
def rebooted(connection: libvirt.virConnect) -> Callable[[], Guest]:
    """``rebooted()`` has the guest boot anew, and gives it once it answers."""

    def reboot() -> Guest:
        running = connection.lookupByName("lab")
        before = running.ID()
        running.reboot()
        wait_until(lambda: connection.lookupByName("lab").ID() not in (-1, before), "it to be started again")
        again = Guest(connection.lookupByName("lab"))
        again.wait_answers(again.first.address)
        return again

    return reboot
