"""The imaginary host's VFs behave as libvirt and the kernel were seen to."""

from __future__ import annotations

import pytest

from tests.fakes.host_devices import FakeHostDevices
from tests.fakes.hypervisor import FakeDomain, FakeHypervisor
from virtnetplug.errors import ClaimTaken, HostDeviceBusy, HostDeviceFailed, HostDeviceUnfit, HypervisorFailed
from virtnetplug.model.host_device import NO_MAC, VFIO_DRIVER, VfSettings
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.operation import Half
from virtnetplug.model.pci import PciAddress

PF, FIRST, SECOND = (PciAddress.parse(text) for text in ("0000:01:00.0", "0000:01:10.0", "0000:01:10.2"))


@pytest.fixture
def hypervisor() -> FakeHypervisor:
    fake = FakeHypervisor()
    fake.add_network(Network(name="vfs", forward="hostdev", pf="eth0", managed=True))
    return fake


@pytest.fixture
def guest(hypervisor: FakeHypervisor) -> FakeDomain:
    return hypervisor.add("web1")


@pytest.fixture
def devices(hypervisor: FakeHypervisor) -> FakeHostDevices:
    return hypervisor.devices


def nic(address: PciAddress = FIRST, *, managed: str = "yes", alias: str = "ua-1", extra: str = "") -> str:
    place = f"domain='0x0000' bus='{address.bus:#04x}' slot='{address.slot:#04x}' function='{address.function:#x}'"
    return (
        f"<interface type='hostdev' managed='{managed}'><mac address='52:54:00:00:00:01'/>"
        f"<source><address type='pci' {place}/></source>{extra}<alias name='{alias}'/></interface>"
    )


def port(hypervisor: FakeHypervisor, address: PciAddress, number: int = 1) -> None:
    hypervisor.create_port(
        NetworkPort(
            uuid=f"port-{number}", network="vfs", owner_uuid="o", owner_name="web1", mac=Mac("52:54:00:00:00:01"),
            host_address=address, managed=True,
        )
    )  # fmt: skip


def test_a_vf_comes_and_goes(guest: FakeDomain, devices: FakeHostDevices) -> None:
    before, was = devices.settings(FIRST), devices.device(FIRST)
    guest.attach(nic(extra="<vlan><tag id='7'/></vlan>"), Half.LIVE)
    lent = devices.settings(FIRST)
    assert devices.device(FIRST).driver == VFIO_DRIVER and devices.device(FIRST).netdev is None
    assert (lent.admin_mac, lent.vlan, lent.mac, lent.mtu) == ("52:54:00:00:00:01", 7, None, None)
    assert len(devices.vfio_users(FIRST)) == 1
    guest.detach("ua-1", Half.LIVE)
    after = devices.settings(FIRST)
    assert devices.device(FIRST).driver == was.driver
    assert devices.device(FIRST).netdev not in (None, was.netdev), "interface names change with every rebind"
    assert before.differences(after) == ("mac",), "igbvf makes up another MAC where none was given"
    assert devices.vfio_users(FIRST) == frozenset()
    devices.apply(FIRST, before)
    assert before.differences(devices.settings(FIRST)) == ()


def test_a_guest_that_holds_on_keeps_the_vf(guest: FakeDomain, devices: FakeHostDevices) -> None:
    guest.attach(nic(), Half.LIVE)
    guest.hold()
    guest.detach("ua-1", Half.LIVE)
    assert devices.device(FIRST).driver == VFIO_DRIVER
    with pytest.raises(HostDeviceBusy):
        devices.reattach(FIRST)
    guest.destroy()
    assert devices.device(FIRST).driver == "igbvf"


def test_unmanaged_means_bound_by_hand(guest: FakeDomain, devices: FakeHostDevices) -> None:
    with pytest.raises(HypervisorFailed, match="must be manually detached") as caught:
        guest.attach(nic(managed="no"), Half.LIVE)
    assert caught.value.code == 55
    devices.detach(FIRST)
    guest.attach(nic(managed="no"), Half.LIVE)
    guest.detach("ua-1", Half.LIVE)
    assert devices.driver(FIRST) == VFIO_DRIVER, "giving it back to its host driver is ours"
    devices.reattach(FIRST)
    assert devices.driver(FIRST) == "igbvf"


def test_a_vf_in_use_is_refused_and_its_pool_lends_it_again(hypervisor: FakeHypervisor, guest: FakeDomain) -> None:
    guest.attach(nic(), Half.LIVE)
    other = hypervisor.add("web2")
    pooled = "<interface type='network'><mac address='52:54:00:00:00:02'/><source network='vfs'/><alias name='ua-2'/></interface>"
    for element in (nic(alias="ua-2"), pooled):
        with pytest.raises(HostDeviceBusy, match="in use by driver QEMU, domain web1"):
            other.attach(element, Half.LIVE)
    hypervisor.net_ports.clear()
    port(hypervisor, FIRST)
    other.attach(pooled, Half.LIVE)
    assert 'type="hostdev"' in other.xml(Half.LIVE) and 'slot="0x10" function="0x2"' in other.xml(Half.LIVE)
    other.detach("ua-2", Half.LIVE)
    assert list(hypervisor.net_ports) == ["port-1"], "a port of ours outlives the NIC, libvirt's own does not"


def test_a_port_is_one_device_and_no_other(hypervisor: FakeHypervisor) -> None:
    port(hypervisor, FIRST)
    port(hypervisor, FIRST)
    with pytest.raises(ClaimTaken):
        port(hypervisor, FIRST, 2)
    with pytest.raises(HostDeviceUnfit):
        port(hypervisor, PciAddress.parse("0000:02:10.0"), 3)
    assert len(hypervisor.ports("vfs")) == 1


def test_what_cannot_be_set_is_named_and_the_rest_is_set(devices: FakeHostDevices) -> None:
    devices.unsettable.add("trust")
    with pytest.raises(HostDeviceFailed, match=r"trust: .*; link state: "):
        devices.apply(FIRST, VfSettings(vlan=5, trust=True, link_state="enable"))
    now = devices.settings(FIRST)
    assert (now.vlan, now.trust, now.link_state, now.admin_mac) == (5, False, None, NO_MAC)
    with pytest.raises(HostDeviceUnfit):
        devices.settings(PF)


def test_changing_numvfs_takes_every_vf_away(guest: FakeDomain, devices: FakeHostDevices) -> None:
    guest.attach(nic(), Half.LIVE)
    devices.set_numvfs(PF, 0)
    assert devices.vfs(PF) == []
    guest.detach("ua-1", Half.LIVE)
    devices.set_numvfs(PF, 2)
    assert [one.address for one in devices.vfs(PF)] == [FIRST, SECOND]
