"""The tests that need a Xen host: ``contrib/lab/lab run xen -- python3 -m pytest tests/lab_xen``.

Everywhere else they are not collected.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import libvirt
import pytest

from tests.lab_xen.guest import Guest, Nic

collect_ignore_glob = [] if os.environ.get("VIRTNETPLUG_LAB") == "xen" else ["test_*.py"]


@pytest.fixture(scope="session")
def uri(event_loop: None) -> str:
    """The lab's own libvirtd, which runs already."""
    return "xen:///system"


@pytest.fixture
def lab(connection: libvirt.virConnect) -> Guest:
    """The guest that the lab starts with; it answers."""
    guest = Guest(connection.lookupByName("lab"))
    guest.wait_answers(guest.first.address)
    return guest


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
