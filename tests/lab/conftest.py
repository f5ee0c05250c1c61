"""The tests that need the hardware of a lab: ``contrib/lab/lab run sriov -- python3 -m pytest tests/lab``.

Everywhere else they are not collected.
"""

from __future__ import annotations

import os

import pytest

collect_ignore_glob = [] if os.environ.get("VIRTNETPLUG_LAB") == "sriov" else ["test_*.py"]


@pytest.fixture(scope="session")
def uri(event_loop: None) -> str:
    """The lab's own libvirtd, which runs already."""
    return "qemu:///system"
