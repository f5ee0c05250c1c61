"""The imaginary host's guests start, and are refused, as libvirt and QEMU do it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.hypervisor import FakeDomain, FakeHypervisor
from virtnetplug import xml
from virtnetplug.errors import HypervisorFailed, VirtnetplugError
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half


@pytest.fixture
def hypervisor() -> FakeHypervisor:
    fake = FakeHypervisor()
    fake.add_bridge("br0")
    fake.add_network(Network(name="default", forward="nat", bridge="virbr0"))
    fake.add_network(Network(name="vfs", forward="hostdev", pf="eth0", managed=True))
    return fake


def nic(number: int, source: str, extra: str = "") -> str:
    kind = source.partition("=")[0]
    return (
        f"<interface type='{kind}'><mac address='52:54:00:00:00:{number:02x}'/><source {source}/>"
        f"<model type='virtio'/><alias name='ua-{number}'/>{extra}</interface>"
    )


def at(slot: str) -> str:
    return f"<address type='pci' domain='0x0000' bus='0x00' slot='{slot}' function='0x0'/>"


def held(fake: FakeHypervisor) -> dict[str, Any]:
    """All that a running guest has of its host."""
    return {
        "taps": dict(fake.taps),
        "bridges": {name: set(taps) for name, taps in fake.bridges.items()},
        "ports": dict(fake.net_ports),
        "drivers": {address: device.driver for address, device in fake.devices.found.items()},
        "users": dict(fake.devices.held),
    }


def off(fake: FakeHypervisor, *nics: str) -> FakeDomain:
    guest = fake.add("web1")
    guest.destroy()
    for element in nics:
        guest.attach(element, Half.CONFIG)
    return guest


def test_a_start_that_fails_leaves_nothing_allocated(hypervisor: FakeHypervisor) -> None:
    guest = off(
        hypervisor,
        *(nic(1, "bridge='br0'"), nic(2, "network='default'"), nic(3, "network='vfs'"), nic(4, "bridge='br9'")),
    )
    before, run = held(hypervisor), guest._id
    with pytest.raises(HypervisorFailed, match="br9"):
        guest.start()
    assert held(hypervisor) == before
    assert (guest.state().is_active, guest._id) == (False, run)
    hypervisor.add_bridge("br9")
    guest.start()
    assert guest.state().is_active and len(hypervisor.taps) == 3 and len(hypervisor.net_ports) == 2
    guest.destroy()
    assert held(hypervisor) == {**before, "bridges": {**before["bridges"], "br9": set()}}


def test_what_only_half_came_is_gone_too(hypervisor: FakeHypervisor) -> None:
    """A network whose bridge somebody deleted, and a pool whose first VF is lent without a port."""
    first = hypervisor.add("db1")
    first.attach(
        "<interface type='hostdev' managed='yes'><mac address='52:54:00:00:00:09'/><source>"
        "<address type='pci' domain='0x0000' bus='0x01' slot='0x10' function='0x0'/></source></interface>",
        Half.LIVE,
    )
    del hypervisor.bridges["virbr0"]
    for source in ("network='default'", "network='vfs'"):
        guest = off(hypervisor, nic(1, source))
        before = held(hypervisor)
        with pytest.raises(VirtnetplugError):
            guest.start()
        assert held(hypervisor) == before


def test_a_nic_without_an_alias_gets_one_at_the_start(hypervisor: FakeHypervisor) -> None:
    guest = off(hypervisor, nic(1, "bridge='br0'").replace("<alias name='ua-1'/>", ""))
    guest.start()
    assert [net.alias for net in xml.devices(guest.xml(Half.LIVE)).nets] == ["net0"]


@pytest.mark.parametrize("half", Half)
def test_no_two_devices_have_one_guest_address(hypervisor: FakeHypervisor, half: Half) -> None:
    guest = hypervisor.add("web1")
    guest.attach(nic(1, "bridge='br0'", at("0x05")), half)
    before = held(hypervisor)
    with pytest.raises(HypervisorFailed, match=r"double use of PCI Address 0000:00:05\.0"):
        guest.attach(nic(2, "bridge='br0'", at("0x5")), half)
    assert held(hypervisor) == before
    guest.attach(nic(2, "bridge='br0'"), half)
    assert [net.alias for net in xml.devices(guest.xml(half)).nets] == ["ua-1", "ua-2"]


def test_a_guest_that_refuses_answers_all_that_it_was_asked(hypervisor: FakeHypervisor) -> None:
    guest = hypervisor.add("web1")
    guest.attach(nic(1, "bridge='br0'"), Half.LIVE)
    guest.hold()
    guest.detach("ua-1", Half.LIVE)
    guest.refuses = True
    guest.detach("ua-1", Half.LIVE)
    guest.resume()
    assert [net.alias for net in xml.devices(guest.xml(Half.LIVE)).nets] == ["ua-1"]
