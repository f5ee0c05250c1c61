"""Requests for VFs that cannot work, by the command: refused with a reason and a remedy, before anything is touched.

Missing here, and shown on the fake host: a PF without the setting that is asked for (igb has them all but the link's state), and a
device in another's company in its IOMMU group (here each is alone).
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import libvirt
import pytest

from tests.lab import hands, pools, sriov
from tests.lab.nics import PFS, pci, pool_nic, vf_nic
from tests.lab.views import assert_back, everything
from tests.real.command import Command
from tests.real.guests import Guest
from tests.real.namespace import wait_until
from virtnetplug import Plugger
from virtnetplug.errors import Refused

PROHIBITED = Path("/etc/modprobe.d/virtnetplug-lab.conf")


@pytest.fixture
def untouched(plugger: Plugger, vm: Guest) -> Iterator[None]:
    """Whatever the test asks for, all is as it was."""
    before = everything(plugger, vm)
    yield
    assert_back(plugger, vm, before)


@pytest.fixture
def refused(untouched: None, vm: Guest, tmp_path: Path) -> Callable[..., str]:
    """``refused('pool-exhausted', '--network', 'pool0')`` holds the command to that reason and exit code 3; gives the message."""
    command = Command("qemu:///system", tmp_path / "journal")

    def ask(reason: str, *words: str, nic: str = "") -> str:
        given = (*words, "--xml", "-") if nic else words
        answer = command.json("attach", vm.name, *given, code=3, stdin=nic)
        assert answer.document["reason"] == reason, answer.document
        return str(answer.document["message"])

    return ask


DEVICES = {
    "a PF": (lambda: vf_nic(PFS[0], "yes"), "host-device-unfit", "it is a PF; name one of its VFs"),
    "no VF": (lambda: vf_nic("0000:00:00.0", "no"), "host-device-unfit", "it is no VF of an SR-IOV device"),
    "nothing": (lambda: vf_nic("0000:7f:10.0", "yes"), "host-device-missing", "`devices()`"),
    "VLAN 4095": (lambda: pool_nic(more="<vlan><tag id='4095'/></vlan>"), "vlan-invalid", "to 4094"),
    "VLAN 5000": (lambda: pool_nic(more="<vlan><tag id='5000'/></vlan>"), "xml-invalid", "from 0 to 4095"),
    "a trunk": (
        lambda: pool_nic(more="<vlan trunk='yes'><tag id='1'/><tag id='2'/></vlan>"),
        "vlan-invalid",
        "say one tag",
    ),
    "no such pool": (lambda: pool_nic(pool="nosuchpool"), "network-missing", "pool0, pool1"),
    "an alias of no user": (lambda: pool_nic().replace("ua-vf1", "vf1"), "alias-prefix", "ua-vf1"),
    "a filter": (lambda: pool_nic(more="<filterref filter='clean-traffic'/>"), "not-supported", "emulated NIC"),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("what", DEVICES)
def test_a_request(plugger: Plugger, vm: Guest, what: str) -> None:
    nic, reason, told = DEVICES[what]
    with pytest.raises(Refused) as caught:
        plugger.attach(vm.name, [nic()])
    assert (caught.value.reason, caught.value.exit_code) == (reason, 3)
    assert told in caught.value.message


def test_a_vf_in_use(refused: Callable[..., str], guest: Callable[..., Guest]) -> None:
    """By a domain that booted with one as a net and with another as a plain hostdev, and knows nothing of virtnetplug."""
    net, plain = sriov.vfs(PFS[0])[1:3]
    other = guest(nets=[vf_nic(net, "yes", 9)], running=False)
    source = pci(plain).replace(" type='pci'", "")
    hostdev = f"<hostdev mode='subsystem' type='pci' managed='yes'><source>{source}</source></hostdev>"
    other.dom.attachDeviceFlags(hostdev, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    other.dom.create()
    for vf, managed in ((net, "no"), (plain, "yes")):
        assert f"domain {other.name} has it" in refused("host-device-busy", nic=vf_nic(vf, managed))
    other.destroy()
    wait_until(lambda: hands.is_home(net) and hands.is_home(plain), "both to be back")


def test_an_alias_that_is_taken(plugger: Plugger, vm: Guest, tmp_path: Path) -> None:
    plugger.attach(vm.name, [pool_nic()])
    command = Command("qemu:///system", tmp_path / "journal")
    other = pool_nic(2).replace("ua-vf2", "ua-vf1")
    answer = command.json("attach", vm.name, "--xml", "-", code=3, stdin=other)
    assert answer.document["reason"] == "duplicate-alias"
    plugger.detach(vm.name, "ua-vf1", wait=600)


def test_rates_that_contradict(refused: Callable[..., str]) -> None:
    told = refused("host-device-unfit", "--network", "pool0", "--min-rate", "200", "--max-rate", "100")
    assert "above its most, 100 Mbit/s" in told


def test_an_inactive_pool(refused: Callable[..., str], connection: libvirt.virConnect) -> None:
    with pools.pool(connection, "<pf dev='pf1'/>", managed="yes", active=False) as name:
        assert f"virsh net-start {name}" in refused("network-inactive", "--network", name)


def test_a_network_that_is_no_pool(refused: Callable[..., str], connection: libvirt.virConnect) -> None:
    """Of a NIC that it makes, nothing can be set that a VF has."""
    xml = "<network><name>plain</name><forward mode='bridge'/><bridge name='br0'/></network>"
    network = connection.networkCreateXML(xml)
    try:
        assert "name a pool of VFs" in refused("not-supported", "--network", "plain", "--trust", "yes")
    finally:
        network.destroy()


@pytest.fixture
def no_vfio() -> Iterator[None]:
    """The administrator has prohibited vfio-pci, and it is not loaded."""
    subprocess.run(["modprobe", "-r", "vfio-pci"], check=True)
    PROHIBITED.write_text("blacklist vfio-pci\n")
    yield
    PROHIBITED.unlink()
    subprocess.run(["modprobe", "vfio-pci"], check=True)


@pytest.mark.usefixtures("no_vfio")
@pytest.mark.parametrize("nic", [pool_nic(), vf_nic("0000:02:10.4", "no")], ids=["pool", "unmanaged"])
def test_without_vfio(refused: Callable[..., str], nic: str) -> None:
    assert "modprobe vfio-pci" in refused("vfio-missing", nic=nic)
