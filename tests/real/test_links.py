"""`LinuxLinks` against the kernel, in a network namespace of each test's own. Needs root."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.real.namespace import wait_until
from virtnetplug.adapters.linux.links import LinuxLinks
from virtnetplug.errors import BridgeMissing, Failed

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TAP_NO_PI = 0x1002
_UUID = "6d5e4a0c-1b7c-4f7e-9d2a-3c5b8a7f9e10"


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


def inside(work: Callable[[], None]) -> None:
    """Run `work` in a thread with a network namespace of its own, which goes when the thread does."""

    def body() -> None:
        if _LIBC.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET) needs root")
        work()

    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(body).result()


def make_links() -> None:
    ip("link add br0 type bridge")
    ip("link add br1 type bridge")
    ip("tuntap add dev vnet0 mode tap")
    ip("link set vnet0 address fe:54:00:00:00:01 mtu 1400 master br0 up")
    ip("tuntap add dev vnet1 mode tap")


def test_links_tells_name_kind_master_address_mtu_and_whether_it_is_up() -> None:
    def work() -> None:
        make_links()
        links = LinuxLinks().links()
        assert set(links) >= {"lo", "br0", "br1", "vnet0", "vnet1"}
        tap = links["vnet0"]
        assert (tap.kind, tap.master, tap.mac, tap.mtu, tap.up) == ("tun", "br0", "fe:54:00:00:00:01", 1400, True)
        assert (links["vnet1"].master, links["vnet1"].up) == (None, False)
        assert links["br0"].kind == "bridge"
        assert {link.index for link in links.values()} == {i for i, _name in socket.if_nameindex()}

    inside(work)


def test_link_agrees_with_links_and_is_none_for_what_is_not_there() -> None:
    def work() -> None:
        make_links()
        host = LinuxLinks()
        for name, link in host.links().items():
            assert host.link(name) == link
        for name in ("vnet9", "", "a" * 16, "-x", "a\0b", "../br0"):
            assert host.link(name) is None
            assert not host.is_bridge(name)

    inside(work)


def test_a_dump_longer_than_one_buffer_is_whole() -> None:
    def work() -> None:
        make_links()
        for number in range(100, 260):
            ip(f"tuntap add dev vnet{number} mode tap")
        links = LinuxLinks().links()
        assert {f"vnet{number}" for number in range(100, 260)} <= set(links)

    inside(work)


def test_is_bridge_is_said_of_a_bridge_and_not_of_a_tap() -> None:
    def work() -> None:
        make_links()
        host = LinuxLinks()
        assert host.is_bridge("br0")
        assert not host.is_bridge("vnet0")
        assert not host.is_bridge("lo")

    inside(work)


def test_set_master_moves_a_tap_from_nothing_and_between_bridges() -> None:
    def work() -> None:
        make_links()
        host = LinuxLinks()
        host.set_master("vnet1", "br0")
        host.set_master("vnet0", "br1")
        links = host.links()
        assert (links["vnet1"].master, links["vnet0"].master) == ("br0", "br1")

    inside(work)


def test_set_master_says_what_is_wrong() -> None:
    def work() -> None:
        make_links()
        host = LinuxLinks()
        with pytest.raises(BridgeMissing, match="br7"):
            host.set_master("vnet0", "br7")
        with pytest.raises(Failed, match="vnet7"):
            host.set_master("vnet7", "br0")
        with pytest.raises(BridgeMissing, match="no Linux bridge 'vnet1'"):
            host.set_master("vnet0", "vnet1")
        with pytest.raises(Failed, match="would not put 'br0' into bridge 'br1'"):
            host.set_master("br0", "br1")
        assert host.links()["vnet0"].master == "br0"

    inside(work)


def test_set_master_takes_a_tap_out_of_its_bridge() -> None:
    def work() -> None:
        make_links()
        host = LinuxLinks()
        host.set_master("vnet0", None)
        host.set_master("vnet1", None)
        assert {host.links()[name].master for name in ("vnet0", "vnet1")} == {None}

    inside(work)


def test_the_flags_of_a_bridge_port_are_set_and_seen() -> None:
    def work() -> None:
        make_links()
        host = LinuxLinks()
        for isolated, learning in ((True, True), (True, False), (False, True)):
            host.set_port("vnet0", isolated=isolated, only_mac=None if learning else "52:54:00:00:00:78")
            link = host.link("vnet0")
            fdb = subprocess.run(["bridge", "fdb", "show", "br", "br0"], capture_output=True, text=True).stdout
            assert ("52:54:00:00:00:78 dev vnet0 master br0 static" in fdb) == (not learning or not isolated)
            assert link is not None and (link.isolated, link.learning) == (isolated, learning)
            told = subprocess.run(["bridge", "-d", "link", "show", "dev", "vnet0"], capture_output=True, text=True)
            assert f"flood {'on' if learning else 'off'}" in told.stdout.replace("mcast_flood", "")
        for name in ("vnet1", "br0"):
            link = host.link(name)
            assert link is not None and (link.isolated, link.learning) == (None, None)
        with pytest.raises(Failed, match="no link 'vnet1' in a bridge"):
            host.set_port("vnet1", isolated=True)

    inside(work)


def test_a_bridge_and_what_is_beyond_it_learn_where_a_mac_is() -> None:
    """The MAC was known behind another port, of this bridge and of the switch beyond it (here another bridge)."""
    mac = "52:54:00:00:00:77"

    def place(bridge: str) -> str:
        told = subprocess.run(["bridge", "fdb", "show", "br", bridge], capture_output=True, text=True).stdout
        return " ".join(line.split()[2] for line in told.splitlines() if line.startswith(mac))

    def forwarding() -> set[str]:
        ports = json.loads(subprocess.run(["bridge", "-j", "link"], capture_output=True, check=True).stdout)
        return {port["ifname"] for port in ports if port["state"] == "forwarding"}

    def work() -> None:
        make_links()
        for number in (0, 1):
            ip(f"link add nic{number} type veth peer name guest{number}")
            ip(f"link set guest{number} up")
            ip(f"link set nic{number} master br{number} up")
        ip("link add up0 type veth peer name up1")
        for words in ("up0 master br0", "up1 master br1", "br0", "br1"):
            ip(f"link set {words} up")
        wait_until(lambda: forwarding() >= {"nic0", "nic1", "up0", "up1"}, "the ports to forward")
        host = LinuxLinks()
        host.introduce("nic1", mac)
        wait_until(lambda: (place("br1"), place("br0")) == ("nic1", "up0"), "the bridges to learn")
        host.introduce("nic0", mac)
        wait_until(lambda: (place("br0"), place("br1")) == ("nic0", "up1"), "the bridges to learn anew")
        host.introduce("vnet0", mac)  # has no carrier: it is no place for a MAC, and beyond the bridge all is as before
        assert (place("br0"), place("br1")) == ("nic0", "up1")
        with pytest.raises(Failed, match="no link 'vnet9'"):
            host.introduce("vnet9", mac)
        assert [host.learned(name, mac) for name in ("nic0", "up0", "nic1", "vnet9", "br0")] == [
            *("nic0", "nic0", "up1"), None, None
        ]  # fmt: skip
        host.forget("nic1", mac)  # it is not behind that one
        assert place("br1") == "up1"
        host.forget("nic0", mac)
        assert (place("br0"), host.learned("nic0", mac), place("br1")) == ("", None, "up1")
        host.set_port("nic0", isolated=False, only_mac=mac)
        assert host.learned("nic0", mac) is None, "what libvirt keeps in the table was not learnt"
        with pytest.raises(Failed, match="no link 'vnet9'"):
            host.forget("vnet9", mac)

    inside(work)


_HOLDER = f"""
import fcntl, os, struct, sys
for name in sys.argv[3:]:
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, {_TUNSETIFF}, struct.pack("16sH22x", name.encode(), {_IFF_TAP_NO_PI}))
    os.set_inheritable(fd, True)
print("held", flush=True)
sys.stdin.read()
"""


def test_taps_are_those_a_process_with_the_domains_uuid_holds() -> None:
    def work() -> None:
        command = [sys.executable, "-c", _HOLDER, "-uuid", _UUID, "vnet40", "vnet41"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == b"held\n"
            host = LinuxLinks()
            assert host.taps_by_domain()[_UUID] == {"vnet40", "vnet41"}
            assert host.taps_of(_UUID.upper()) == {"vnet40", "vnet41"}
            process.stdin.close()
            process.wait()
        assert _UUID not in host.taps_by_domain()
        assert host.taps_of(_UUID) == frozenset()

    inside(work)


def test_our_own_taps_belong_to_no_domain() -> None:
    def work() -> None:
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
        try:
            fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", b"vnet50", _IFF_TAP_NO_PI))
            host = LinuxLinks(proc=Path("/proc"))
            assert host.link("vnet50") is not None
            assert all("vnet50" not in taps for taps in host.taps_by_domain().values())
        finally:
            os.close(descriptor)

    inside(work)


def test_a_link_is_made_as_it_was() -> None:
    def work() -> None:
        make_links()
        ip("link set vnet0 txqueuelen 77")
        subprocess.run(["bridge", "link", "set", "dev", "vnet0", "isolated", "on", "learning", "off"], check=True)
        links = LinuxLinks()
        before = links.state("vnet0")
        assert before is not None and (before.master, before.mtu, before.is_up) == ("br0", 1400, True)
        ip("link del vnet0")
        assert links.state("vnet0") is None
        ip("tuntap add dev vif7.0 mode tap")
        links.restore("vif7.0", before)
        assert links.state("vnet0") == before and links.state("vif7.0") is None
        assert links.link("vnet0").isolated is True  # type: ignore[union-attr]

    inside(work)


def test_what_a_link_did_not_get_is_said() -> None:
    def work() -> None:
        make_links()
        links = LinuxLinks()
        wanted = links.state("vnet0")
        assert wanted is not None
        with pytest.raises(Failed, match="'vnet1' was restored without its name vnet0: another link has it"):
            links.restore("vnet1", wanted)
        ip("link del br0")
        with pytest.raises(Failed, match=r"'vnet1' was restored without being in br0: ") as caught:
            links.restore("vnet1", wanted)
        assert caught.value.reason == "link-not-set"
        assert links.state("vnet1").mtu == 1400  # type: ignore[union-attr]
        with pytest.raises(Failed, match=r"no link 'vif7\.0' on this host, which was 'vnet0'") as caught:
            links.restore("vif7.0", wanted)
        assert caught.value.reason == "link-missing"

    inside(work)
