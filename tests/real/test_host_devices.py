"""What a machine without SR-IOV can show of it: the kernel takes our messages, and both commands look at the real host.

A VF's settings themselves are shown where there are VFs.
"""

from __future__ import annotations

import errno

import pytest

from tests.real.command import Command
from tests.real.test_links import inside, ip
from virtnetplug.adapters.linux import rtnetlink, vf


def index_of(name: str) -> int:
    link = rtnetlink.get(name)
    assert link is not None
    return link.index


def test_the_kernel_takes_what_is_written_and_says_why_it_does_not() -> None:
    def work() -> None:
        ip("link add br0 type bridge")
        index = index_of("br0")
        rtnetlink.write(index, rtnetlink.packed(4, (1400).to_bytes(4, "little")))
        rtnetlink.write(index, rtnetlink.packed(1, bytes.fromhex("525400000001")))
        link = rtnetlink.get("br0")
        assert link is not None and (link.mtu, link.mac) == (1400, "52:54:00:00:00:01")
        with pytest.raises(OSError, match="mtu less than device minimum"):
            rtnetlink.write(index, rtnetlink.packed(4, (5).to_bytes(4, "little")))
        with pytest.raises(OSError) as caught:
            rtnetlink.write(999, rtnetlink.packed(4, (1400).to_bytes(4, "little")))
        assert caught.value.errno == errno.ENODEV

    inside(work)


def test_a_link_that_is_no_pf_has_no_vfs_and_takes_no_settings() -> None:
    def work() -> None:
        ip("link add br0 type bridge")
        index = index_of("br0")
        assert vf.read(index) == {}
        for change in (
            lambda: vf.write(index, 0, "admin MAC", "52:54:00:00:00:01"),
            lambda: vf.write(index, 0, "VLAN", 5, 0, "802.1ad"),
            lambda: vf.write(index, 0, "rate", 0, 100),
            lambda: vf.write(index, 0, "spoofchk", True),
            lambda: vf.write(index, 0, "trust", True),
            lambda: vf.write(index, 0, "link state", "enable"),
        ):
            with pytest.raises(OSError) as caught:
                change()
            assert caught.value.errno == errno.EOPNOTSUPP, "EINVAL would mean that the message is malformed"
        with pytest.raises(OSError) as caught:
            vf.read(999)
        assert caught.value.errno == errno.ENODEV

    inside(work)


@pytest.mark.driver("daemon")
def test_both_commands_on_a_real_host(command: Command) -> None:
    document = command("devices", "--json").document
    assert isinstance(document["devices"], list) and document["unseen"] == []
    answer = command.run("doctor", "--json")
    checks = {check["name"]: check["verdict"] for check in answer.document["checks"]}
    assert answer.code == (0 if answer.document["fit"] else 1)
    assert (checks["libvirt"], checks["privileges"]) == ("ok", "ok")
    assert {"iommu", "vfio", "sriov", "memlock", "pool"} <= checks.keys()
