"""What libvirt will make of a request, and what it changes in place."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.unit.xml.examples import EXAMPLES
from virtnetplug.backends import updatable
from virtnetplug.errors import NetworkInactive, NetworkMissing, NotSupported, PortgroupMissing
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import FilterRef, Interface, Limit, Teaming, VirtualPort, Vlan, VlanTag
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import Network, Portgroup
from virtnetplug.model.pci import PciAddress
from virtnetplug.resolve import IN_PLACE, changes_between, fits_in_place, resolve

OVS = VirtualPort("openvswitch")


def vlan(tag: int) -> Vlan:
    return Vlan((VlanTag(tag),))


def request(**fields: Any) -> Interface:
    return Interface(type="network", source_network="lan", **fields)


@pytest.mark.parametrize(
    ("network", "actual"),
    [
        (Network(name="lan", bridge="virbr0"), ActualDevice(type="network", bridge="virbr0")),
        (Network(name="lan", forward="nat", bridge="virbr0"), ActualDevice(type="network", bridge="virbr0")),
        (Network(name="lan", forward="route", bridge="virbr0"), ActualDevice(type="network", bridge="virbr0")),
        (Network(name="lan", forward="open", bridge="virbr0"), ActualDevice(type="network", bridge="virbr0")),
        (Network(name="lan", forward="bridge", bridge="br0"), ActualDevice(type="bridge", bridge="br0")),
        (
            Network(name="lan", forward="bridge", devices=("e0",)),
            ActualDevice(type="direct", dev="e0", mode="bridge"),
        ),
        (
            Network(name="lan", forward="private", devices=("e0",)),
            ActualDevice(type="direct", dev="e0", mode="private"),
        ),
        (Network(name="lan", forward="vepa", devices=("e0", "e1")), ActualDevice(type="direct", mode="vepa")),
        (Network(name="lan", forward="passthrough", pf="p0"), ActualDevice(type="direct", mode="passthrough")),
        (Network(name="lan", forward="hostdev", pf="p0"), ActualDevice(type="hostdev")),
    ],
)
def test_each_forward_mode_is_realised(network: Network, actual: ActualDevice) -> None:
    assert resolve(request(), network) == dataclasses.replace(actual, network="lan")


@pytest.mark.parametrize(
    ("interface", "actual"),
    [
        (Interface(type="bridge", source_bridge="br0", mtu=9000), ActualDevice(type="bridge", bridge="br0", mtu=9000)),
        (Interface(type="direct", source_dev="e0"), ActualDevice(type="direct", dev="e0", mode="vepa")),
        (
            Interface(type="direct", source_dev="e0", source_mode="bridge"),
            ActualDevice(type="direct", dev="e0", mode="bridge"),
        ),
        (
            Interface(type="hostdev", source_pci=PciAddress(0, 7, 16, 0)),
            ActualDevice(type="hostdev", host_address=PciAddress(0, 7, 16, 0)),
        ),
        (Interface(type="user"), ActualDevice(type="user")),
    ],
)
def test_without_a_network_it_is_as_written(interface: Interface, actual: ActualDevice) -> None:
    assert resolve(interface, None) == actual


def network_with_everything() -> Network:
    return Network(
        name="lan",
        forward="bridge",
        bridge="ovs0",
        vlan=vlan(30),
        virtualport=OVS,
        port_isolated=True,
        trust_guest_rx_filters=True,
        mtu=9000,
        portgroups=(
            Portgroup(name="web", vlan=vlan(20), bandwidth_inbound=Limit(20), trust_guest_rx_filters=False),
            Portgroup(name="usual", default=True, vlan=vlan(21), bandwidth_outbound=Limit(21)),
        ),
    )


def test_the_interface_comes_before_portgroup_and_network() -> None:
    own = request(
        source_portgroup="web",
        vlan=vlan(1),
        bandwidth_outbound=Limit(1),
        port_isolated=False,
        trust_guest_rx_filters=True,
        mtu=1400,
    )
    assert resolve(own, network_with_everything()) == ActualDevice(
        type="bridge",
        network="lan",
        portgroup="web",
        bridge="ovs0",
        vlan=vlan(1),
        virtualport=OVS,
        bandwidth_outbound=Limit(1),  # and none inbound: bandwidth is taken whole
        port_isolated=False,
        trust_guest_rx_filters=True,
        mtu=1400,
    )


def test_the_portgroup_comes_before_the_network() -> None:
    got = resolve(request(source_portgroup="web"), network_with_everything())
    assert (got.vlan, got.bandwidth_inbound, got.trust_guest_rx_filters) == (vlan(20), Limit(20), False)
    assert (got.port_isolated, got.mtu) == (True, 9000)


def test_the_default_portgroup_serves_who_names_none() -> None:
    got = resolve(request(), network_with_everything())
    assert (got.portgroup, got.vlan, got.bandwidth_outbound) == ("usual", vlan(21), Limit(21))
    assert got.trust_guest_rx_filters is True


def test_without_a_portgroup_the_networks_own_settings_hold() -> None:
    got = resolve(request(), dataclasses.replace(network_with_everything(), portgroups=()))
    assert (got.portgroup, got.vlan, got.bandwidth_inbound) == (None, vlan(30), None)


@pytest.mark.parametrize(
    ("interface", "network", "error", "words"),
    [
        (request(), None, NetworkMissing, "'lan' does not exist"),
        (request(), Network(name="lan", active=False), NetworkInactive, "virsh net-start lan"),
        (request(source_portgroup="x"), network_with_everything(), PortgroupMissing, "has web, usual"),
        (request(source_portgroup="x"), Network(name="lan"), PortgroupMissing, "has none"),
        (request(virtualport=OVS), Network(name="lan", forward="nat"), NotSupported, "takes none"),
        (
            request(virtualport=VirtualPort("802.1Qbg")),
            Network(name="lan", forward="bridge", bridge="b"),
            NotSupported,
            "only openvswitch",
        ),
        (
            request(virtualport=OVS),
            Network(name="lan", forward="vepa", devices=("e",)),
            NotSupported,
            "802.1Qbg or 802.1Qbh",
        ),
        (request(virtualport=OVS), Network(name="lan", forward="hostdev"), NotSupported, "PCI devices"),
        (
            request(virtualport=VirtualPort("openvswitch", profileid="a")),
            Network(name="lan", forward="bridge", bridge="b", virtualport=VirtualPort(profileid="b")),
            NotSupported,
            "profileid.*'a' and 'b'",
        ),
        (request(), Network(name="lan", forward="private"), NotSupported, "names no device"),
        (request(), Network(name="lan", forward="teleport"), NotSupported, "teleport"),
    ],
)
def test_what_libvirt_would_refuse_or_get_wrong_is_refused(
    interface: Interface, network: Network | None, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        resolve(interface, network)


def test_virtualports_are_merged_part_by_part() -> None:
    network = Network(
        name="lan",
        forward="bridge",
        bridge="b",
        virtualport=OVS,
        portgroups=(Portgroup(name="web", virtualport=VirtualPort(profileid="p")),),
    )
    got = resolve(request(source_portgroup="web", virtualport=VirtualPort(interfaceid="i")), network)
    assert got.virtualport == VirtualPort("openvswitch", profileid="p", interfaceid="i")


BRIDGED = Interface(type="bridge", source_bridge="br0", model="virtio", alias="ua-1", mac=Mac("52:54:00:00:00:01"))

# What was once seen of libvirt 9.0's update of one running virtio NIC on a bridge; nothing here asks libvirt again.
IN_PLACE_THERE: list[dict[str, Any]] = [
    {"link_state": "down"},
    {"bandwidth_inbound": Limit(1000), "bandwidth_outbound": Limit(500)},
    {"source_bridge": "br1"},
    {"filterref": FilterRef("clean-traffic")},
    {"port_isolated": True},
    {"coalesce_rx_frames": 32},
    {"vlan": vlan(5)},
    {"type": "network", "source_bridge": None, "source_network": "lan", "source_portgroup": "web"},
]
REPLACED_THERE: list[dict[str, Any]] = [
    {"mtu": 1400},
    {"boot_order": 1},
    {"rom_bar": False},
    {"rom_file": "/x"},
    {"rom_enabled": False},
    {"acpi_index": 7},
    {"driver_queues": 2},
    {"driver_name": "qemu"},
    {"script": "/bin/true"},
    {"model": "e1000"},
    {"model": None},
    {"mac": Mac("52:54:00:00:00:02")},
    {"alias": "ua-2"},
    {"address": PciAddress(0, 0, 21, 0)},
    {"target_dev": "foo0"},
    {"virtualport": OVS},
    {"type": "user", "source_bridge": None},
    {"type": "direct", "source_bridge": None, "source_dev": "eth0"},
    {"trust_guest_rx_filters": True},  # success, and nothing changed
    {"teaming": Teaming("persistent")},  # success, and nothing changed
    {"source_portgroup": "web"},  # success, and nothing changed
]


@pytest.mark.parametrize("changes", IN_PLACE_THERE)
def test_in_place(changes: dict[str, Any]) -> None:
    fits, needs = fits_in_place(BRIDGED, dataclasses.replace(BRIDGED, **changes), IN_PLACE)
    assert (set(fits), needs) == (set(changes), ())


@pytest.mark.parametrize("changes", REPLACED_THERE)
def test_by_replacement(changes: dict[str, Any]) -> None:
    fits, needs = fits_in_place(BRIDGED, dataclasses.replace(BRIDGED, **changes), IN_PLACE)
    assert (fits, set(needs)) == ((), set(changes))


def test_every_field_is_judged() -> None:
    for name, (one, other) in EXAMPLES.items():
        before, after = (dataclasses.replace(BRIDGED, **{name: value}) for value in (one, other))
        fits, needs = fits_in_place(before, after, IN_PLACE)
        assert name in (*fits, *needs)
        assert name in IN_PLACE or name in needs


def test_what_libvirt_keeps_by_itself_may_be_left_out() -> None:
    before = dataclasses.replace(BRIDGED, address=PciAddress(0, 1, 0, 0), target_dev="vnet0", source_portid="p")
    after = dataclasses.replace(before, address=None, target_dev=None, source_portid=None, alias=None, element="<x/>")
    assert changes_between(before, after) == ()


def test_a_link_not_said_is_up() -> None:
    assert changes_between(BRIDGED, dataclasses.replace(BRIDGED, link_state="up")) == ()


def test_a_hostdev_can_change_in_nothing() -> None:
    vf = Interface(type="hostdev", source_pci=PciAddress(0, 7, 16, 0))
    down = dataclasses.replace(vf, link_state="down")
    assert fits_in_place(vf, down, updatable(vf, down)) == ((), ("link_state",))
    other = dataclasses.replace(vf, alias="ua-1", mac=BRIDGED.mac)
    assert fits_in_place(BRIDGED, other, updatable(BRIDGED, other))[0] == ()


def test_with_a_virtualport_another_bridge_needs_a_replacement() -> None:
    before = dataclasses.replace(BRIDGED, virtualport=OVS)
    assert fits_in_place(before, dataclasses.replace(before, source_bridge="ovs1"), IN_PLACE) == (
        (),
        ("source_bridge",),
    )
    assert fits_in_place(before, dataclasses.replace(before, vlan=vlan(3)), IN_PLACE) == (("vlan",), ())


def test_a_macvtap_nic_stays_on_its_device() -> None:
    before = Interface(type="direct", source_dev="eth0", source_mode="bridge")
    assert fits_in_place(before, dataclasses.replace(before, source_dev="eth1"), IN_PLACE) == ((), ("source_dev",))
    assert fits_in_place(before, dataclasses.replace(before, link_state="down"), IN_PLACE) == (("link_state",), ())
