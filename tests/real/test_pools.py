"""Ports of a hostdev pool on a real libvirt. Its VFs are made of files: libvirt looks for ``physfn`` in /sys, and no further."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from tests.real.daemon import Daemon
from virtnetplug.adapters.libvirt.connection import LibvirtHypervisor
from virtnetplug.adapters.libvirt.faults import PermissionDenied
from virtnetplug.adapters.libvirt.networks import LibvirtNetworks
from virtnetplug.errors import ClaimTaken, HostDeviceUnfit, NetworkInactive, NetworkMissing, NotSupported
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import NetworkPort
from virtnetplug.model.pci import PciAddress

FIRST, SECOND, FOREIGN = (PciAddress.parse(f"0000:07:10.{function}") for function in (1, 3, 5))
ADDRESS = "<address type='pci' domain='0x0000' bus='0x07' slot='0x10' function='{:#x}'/>"
POOL = f"<network><name>vfs</name><forward mode='hostdev' managed='yes'>{ADDRESS.format(1)}{ADDRESS.format(3)}</forward></network>"
OWNER = str(uuid.uuid4())


@pytest.fixture
def pool(libvirtd: Daemon, tmp_path: Path) -> Iterator[libvirt.virNetwork]:
    """An active pool of two devices."""
    for address in (FIRST, SECOND):
        (tmp_path / str(address)).mkdir()
        (tmp_path / str(address) / "physfn").symlink_to("../0000:07:00.0")
        (tmp_path / str(address) / "config").write_bytes(bytes(256))
    (tmp_path / "0000:07:00.0").mkdir()
    subprocess.run(["mount", "--bind", tmp_path, "/sys/bus/pci/devices"], check=True)
    network = libvirt.open("network:///system").networkDefineXML(POOL)
    try:
        network.create()
        yield network
    finally:
        if network.isActive():
            network.destroy()
        network.undefine()
        subprocess.run(["umount", "/sys/bus/pci/devices"], check=True)


@pytest.fixture
def networks(libvirtd: Daemon) -> Iterator[LibvirtNetworks]:
    hypervisor = LibvirtHypervisor.open(libvirtd.uri)
    yield LibvirtNetworks(hypervisor)
    hypervisor.close()


@pytest.fixture
def reader(libvirtd: Daemon) -> Iterator[LibvirtNetworks]:
    hypervisor = LibvirtHypervisor.open(libvirtd.uri, read_only=True)
    yield LibvirtNetworks(hypervisor)
    hypervisor.close()


def reserve(
    networks: LibvirtNetworks, address: PciAddress = FIRST, *, name: str = "vfs", port: str | None = None
) -> NetworkPort:
    return networks.create_port(
        NetworkPort(
            uuid=port or str(uuid.uuid4()), network=name, owner_uuid=OWNER, owner_name="web & co",
            mac=Mac("52:54:00:00:00:01"), host_address=address, managed=True,
        )
    )  # fmt: skip


@pytest.mark.driver("daemon")
def test_a_port_reserves_this_very_device(pool: libvirt.virNetwork, networks: LibvirtNetworks) -> None:
    made = reserve(networks, SECOND)
    assert (made.host_address, made.owner_uuid, made.owner_name) == (SECOND, OWNER, "web & co")
    assert (made.plug_type, made.managed, str(made.mac)) == ("hostdev-pci", True, "52:54:00:00:00:01")
    assert list(networks.ports("vfs")) == [made]
    assert "connections='1'" in pool.XMLDesc(0)
    with pytest.raises(ClaimTaken, match=r"0000:07:10\.3 is in use"):
        reserve(networks, SECOND)
    assert reserve(networks, SECOND, port=made.uuid) == made, "asked again after an answer was lost"
    with pytest.raises(ClaimTaken, match=r"holds 0000:07:10\.3"):
        reserve(networks, FIRST, port=made.uuid)
    networks.delete_port("vfs", made.uuid)
    assert reserve(networks, SECOND).uuid != made.uuid


@pytest.mark.driver("daemon")
def test_what_is_refused_and_why(pool: libvirt.virNetwork, networks: LibvirtNetworks, reader: LibvirtNetworks) -> None:
    with pytest.raises(HostDeviceUnfit, match=r"vfs does not have the device 0000:07:10\.5"):
        reserve(networks, FOREIGN)
    with pytest.raises(NetworkMissing):
        reserve(networks, name="nowhere")
    with pytest.raises(PermissionDenied):
        reserve(reader)
    pool.destroy()
    with pytest.raises(NetworkInactive, match="virsh net-start vfs"):
        reserve(networks)


@pytest.mark.driver("daemon")
def test_a_network_that_is_no_pool(networks: LibvirtNetworks, network: object) -> None:
    name = network("isolated").name()  # type: ignore[operator]
    with pytest.raises(NotSupported, match="no pool of PCI devices"):
        reserve(networks, name=name)


@pytest.mark.driver("daemon")
def test_a_port_is_of_one_pool_and_not_of_its_name(pool: libvirt.virNetwork, networks: LibvirtNetworks) -> None:
    """A pool that was stopped has no port, and one defined anew with the same name never has a port of the old one."""
    old = reserve(networks, SECOND)
    pool.destroy()
    networks.delete_port("vfs", old.uuid)
    pool.create()
    old = reserve(networks, SECOND)
    connection, before = pool.connect(), pool.UUIDString()
    pool.destroy()
    pool.undefine()
    with pytest.raises(NetworkMissing):
        networks.delete_port("vfs", old.uuid)
    anew = connection.networkDefineXML(POOL)
    anew.create()
    try:
        assert anew.UUIDString() != before and list(networks.ports("vfs")) == []
        other = reserve(networks, SECOND)
        networks.delete_port("vfs", old.uuid)
        assert list(networks.ports("vfs")) == [other]
    finally:
        anew.destroy()
        anew.undefine()
        connection.networkDefineXML(POOL.replace("<name>", f"<uuid>{before}</uuid><name>"))
