"""Whole definitions: nets and hostdevs, glimpses, PCI buses, networks, ports, differences."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from virtnetplug import xml
from virtnetplug.errors import InvariantBroken, PciAddressInvalid, XmlInvalid, XmlUnsafe
from virtnetplug.model.domain import PciController
from virtnetplug.model.interface import Limit, VirtualPort, Vlan, VlanTag
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import Network, NetworkPort, Portgroup
from virtnetplug.model.pci import PciAddress
from virtnetplug.xml.written import slices

TOPOLOGIES = Path(__file__).parents[2] / "golden" / "topology"

VIRTIO = """<interface type='network'>
      <mac address='52:54:00:00:00:01'/>
      <source network='lan' portgroup='web' portid='6c0c1b52-73e3-4c46-9b0b-c0d0a0f3d7f1' bridge='virbr0'/>
      <target dev='vnet0'/>
      <model type='virtio'/>
      <filterref filter='clean-traffic'/>
      <link state='down'/>
      <alias name='net0'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </interface>"""
VF = """<interface type='hostdev' managed='yes'>
      <mac address='52:54:00:00:00:02'/>
      <source>
        <address type='pci' domain='0x0000' bus='0x07' slot='0x10' function='0x3'/>
      </source>
      <alias name='ua-vf'/>
      <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/>
    </interface>"""
PLAIN = """<hostdev mode='subsystem' type='pci' managed='no'>
      <source>
        <address domain='0x0000' bus='0x08' slot='0x00' function='0x1'/>
      </source>
      <alias name='hostdev0'/>
      <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>
    </hostdev>"""
USB = "<hostdev mode='subsystem' type='usb'><source><vendor id='1'/><product id='2'/></source></hostdev>"


def domain(*devices: str) -> str:
    return f"""<domain type='kvm' id='3'>
  <name>web</name>
  <metadata><o:x xmlns:o='urn:o'><devices><interface type='user'/></devices></o:x></metadata>
  <!-- <interface type='user'/> -->
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <description>&lt;interface&gt; <![CDATA[<interface type='null'/>]]></description>
  <ours><interface type='user'/></ours>
  <devices>
    <emulator>/usr/bin/qemu</emulator>
    {chr(10).join(devices)}
  </devices>
</domain>"""


def test_nets_and_hostdevs_are_found_with_their_own_text() -> None:
    found = xml.devices(domain(VIRTIO, VF, PLAIN, USB))
    assert [net.element for net in found.nets] == [VIRTIO, VF]
    assert found.nets[0].source_network == "lan"
    owned, plain = found.hostdevs
    assert (owned.parent, owned.alias, owned.managed) == ("ua-vf", "ua-vf", True)
    assert (owned.host_address, owned.address) == (PciAddress(0, 7, 16, 3), PciAddress(0, 2, 0, 0))
    assert (plain.parent, plain.alias, plain.managed) == (None, "hostdev0", False)
    assert plain.host_address == PciAddress(0, 8, 0, 1)


def test_the_host_devices_of_a_guest_are_those_of_a_full_look() -> None:
    for text in (domain(VIRTIO, VF, PLAIN, USB), domain(VIRTIO), domain(PLAIN), "<domain/>"):
        assert xml.host_addresses(text) == {dev.host_address for dev in xml.devices(text).hostdevs}
    assert xml.host_addresses(domain(VF, PLAIN)) == {PciAddress(0, 7, 16, 3), PciAddress(0, 8, 0, 1)}


def test_a_config_without_aliases_holds_the_invariants() -> None:
    net = VF.replace("<alias name='ua-vf'/>", "")
    found = xml.devices(domain(VIRTIO.replace("<alias name='net0'/>", ""), net, PLAIN))
    assert [dev.parent for dev in found.hostdevs] == [None, None]
    assert [net.alias for net in found.nets] == [None, None]


def test_a_device_assigned_twice_breaks_the_invariants() -> None:
    with pytest.raises(InvariantBroken, match="assigned twice"):
        xml.devices(domain(VF, VF.replace("ua-vf", "ua-other")))


def test_a_domain_without_nics_has_none() -> None:
    assert xml.devices("<domain/>").nets == ()
    assert xml.glimpse("<domain/>") == ()


def test_a_glimpse_agrees_with_a_full_look() -> None:
    text = domain(VIRTIO, VF, "<interface type='user'/>", "<interface type='user'><address type='ccw'/></interface>")
    glimpses, nets = xml.glimpse(text), xml.devices(text).nets
    assert len(glimpses) == len(nets) == 4
    for glimpse, net in zip(glimpses, nets, strict=True):
        assert glimpse == xml.NetGlimpse(
            type=net.type,
            mac=str(net.mac) if net.mac else None,
            alias=net.alias,
            target=net.target_dev,
            network=net.source_network,
            portgroup=net.source_portgroup,
            portid=net.source_portid,
            bridge=net.source_bridge,
            dev=net.source_dev,
            model=net.model,
            address=str(net.address) if net.address else None,
            host_address=str(net.source_pci) if net.source_pci else None,
            filterref=net.filterref.filter if net.filterref else None,
            link_state=net.link_state,
        )
    assert glimpses[0].filterref == "clean-traffic"
    assert glimpses[1].host_address == "0000:07:10.3"


@pytest.mark.parametrize("read", [xml.glimpse, xml.devices, xml.host_addresses, xml.topology])
def test_a_definition_is_no_more_trusted_than_a_request(read: object) -> None:
    assert callable(read)
    with pytest.raises(XmlUnsafe):
        read("<!DOCTYPE domain><domain/>")
    with pytest.raises(XmlInvalid, match="<domain> is wanted"):
        read("<interface type='user'/>")


# Each file is a live definition; the number is how many NICs of that model libvirt 9.0 let in before it said
# "No more available PCI slots" (the two larger than 40: how many it had let in, plus what was free afterwards).
ROOM = [
    ("q35", "virtio", 4),
    ("q35", "e1000e", 4),
    ("q35", "e1000", 0),
    ("q35", None, 0),
    ("q35-full", "virtio", 0),
    ("q35-hotplug-off", "virtio", 4),
    ("q35-switch", "virtio", 5),
    ("q35-pcie-to-pci-bridge", "e1000", 31),
    ("q35-pcie-to-pci-bridge", "virtio", 3),
    ("q35-pci-bridge", "rtl8139", 61),
    ("pc", "virtio", 29),
    ("pc-full", "virtio", 0),
    ("pc-vga", "virtio", 28),
    ("pc-bridge", "e1000", 59),
]


@pytest.mark.parametrize(("name", "model", "free"), ROOM)
def test_room_for_nics_is_what_libvirt_has(name: str, model: str | None, free: int) -> None:
    assert xml.topology((TOPOLOGIES / f"{name}.xml").read_text()).free_hotplug_slots(model) == free


def test_every_topology_is_counted() -> None:
    assert {path.stem for path in TOPOLOGIES.glob("*.xml")} == {name for name, _, _ in ROOM}


def test_a_machine_says_what_it_is() -> None:
    found = xml.topology((TOPOLOGIES / "q35.xml").read_text())
    assert (found.name, found.virt_type, found.arch, found.machine) == ("qq35", "qemu", "x86_64", "pc-q35-7.2")
    assert found.emulator == "/usr/bin/qemu-system-x86_64"
    assert found.is_pcie
    assert found.has_bus(6)
    assert not found.has_bus(9)


def test_the_hosts_addresses_take_no_guest_slot() -> None:
    on_bus_0 = VF.replace("bus='0x02'", "bus='0x00'").replace("bus='0x07'", "bus='0x00'")
    found = xml.topology(domain("<controller type='pci' index='0' model='pci-root'/>", on_bus_0))
    assert found.controllers == (PciController(0, "pci-root", frozenset({0})),)
    assert found.free_hotplug_slots("virtio") == 30, "slots 0 and 1 are the chipset's, whatever is said of them"


def test_a_machine_without_pci_has_no_count() -> None:
    assert xml.topology("<domain type='kvm'><devices/></domain>").free_hotplug_slots("virtio") is None


def test_a_controller_index_that_is_no_number_is_refused() -> None:
    with pytest.raises(XmlInvalid, match="index='x'"):
        xml.topology(domain("<controller type='pci' index='x' model='pci-root'/>"))


def test_a_slot_out_of_range_is_refused() -> None:
    with pytest.raises(PciAddressInvalid):
        xml.topology(domain(VIRTIO.replace("slot='0x00'", "slot='0x20'")))


def test_a_network_is_read() -> None:
    assert xml.network(
        """<network connections='1' trustGuestRxFilters='yes'><name>lan</name><uuid>u</uuid>
        <forward mode='bridge'/><bridge name='br0'/><mtu size='9000'/><port isolated='yes'/>
        <vlan><tag id='3'/></vlan><virtualport type='openvswitch'/>
        <portgroup name='web' default='yes' trustGuestRxFilters='no'><vlan><tag id='4'/></vlan><virtualport>
        <parameters profileid='p'/></virtualport><bandwidth><inbound average='1'/><outbound average='2'/></bandwidth>
        </portgroup><portgroup name='db'/></network>"""
    ) == Network(
        name="lan",
        uuid="u",
        forward="bridge",
        bridge="br0",
        mtu=9000,
        vlan=Vlan((VlanTag(3),)),
        virtualport=VirtualPort("openvswitch"),
        port_isolated=True,
        trust_guest_rx_filters=True,
        portgroups=(
            Portgroup(
                name="web",
                default=True,
                vlan=Vlan((VlanTag(4),)),
                virtualport=VirtualPort(profileid="p"),
                bandwidth_inbound=Limit(1),
                bandwidth_outbound=Limit(2),
                trust_guest_rx_filters=False,
            ),
            Portgroup(name="db"),
        ),
    )


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        ("", {"forward": None}),
        ("<forward/>", {"forward": "nat"}),
        ("<forward mode='nat'><nat><port start='1' end='2'/></nat></forward>", {"forward": "nat"}),
        ("<forward dev='e0' mode='route'><interface dev='e0'/></forward>", {"forward": "route", "devices": ("e0",)}),
        (
            "<forward mode='vepa'><interface dev='a'/><interface dev='b'/></forward>",
            {"forward": "vepa", "devices": ("a", "b")},
        ),
        (
            "<forward mode='hostdev' managed='yes'><pf dev='p0'/>"
            "<address type='pci' domain='0x0000' bus='0x07' slot='0x10' function='0x0'/></forward>",
            {"forward": "hostdev", "managed": True, "pf": "p0", "addresses": (PciAddress(0, 7, 16, 0),)},
        ),
    ],
)
def test_a_forward_is_read(forward: str, said: dict[str, Any]) -> None:
    assert xml.network(f"<network><name>n</name>{forward}</network>") == Network(name="n", **said)


def test_a_network_port_is_read() -> None:
    assert xml.network_port(
        """<networkport><uuid>u</uuid><owner><name>web</name><uuid>o</uuid></owner>
        <mac address='52:54:00:00:00:01'/><plug type='hostdev-pci' managed='yes'>
        <address domain='0x0000' bus='0x07' slot='0x10' function='0x3'/></plug></networkport>""",
        "vfs",
    ) == NetworkPort(
        uuid="u",
        network="vfs",
        owner_uuid="o",
        owner_name="web",
        mac=Mac("52:54:00:00:00:01"),
        plug_type="hostdev-pci",
        managed=True,
        host_address=PciAddress(0, 7, 16, 3),
    )
    assert xml.network_port("<networkport><uuid>u</uuid><plug type='bridge' bridge='b'/></networkport>").bridge == "b"


def test_only_what_differs_is_in_a_diff() -> None:
    one = "<interface type='user'><mtu size='1'/><alias name='a'/></interface>"
    same = '<interface  type="user">\n\n  <mtu size="1"></mtu><alias name="a" />\n</interface>'
    assert xml.diff(one, same, "web") == ""
    lines = xml.diff(one, xml.edit(one, {"mtu": 2}), "web").splitlines()
    assert lines[:2] == ["--- web (before)", "+++ web (after)"]
    assert [line for line in lines[3:] if line[0] in "+-"] == ["-  <mtu size='1'/>", "+  <mtu size='2'/>"]


def test_what_comes_and_what_goes_is_a_diff_too() -> None:
    element = "<interface type='user'><alias name='a'/></interface>"
    assert [line[0] for line in xml.diff("", element, "x").splitlines()[3:]] == ["+", "+", "+"]
    assert [line[0] for line in xml.diff(element, "", "x").splitlines()[3:]] == ["-", "-", "-"]


ONE = "<interface type='bridge'><mac address='52:54:00:00:00:01'/></interface>"


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (f"<devices>{ONE}<interface type='user'/>{ONE}</devices>", [ONE, "<interface type='user'/>", ONE]),
        (f"<metadata>{ONE}</metadata><devices>{ONE}</devices>", [ONE]),
        (f"<!--{ONE}--><devices>{ONE}</devices>", [ONE]),
        (
            '<devices><interface type="/>"\n/><interface\n>x</interface ></devices>',
            ['<interface type="/>"\n/>', "<interface\n>x</interface >"],
        ),
        ("<devices><interface><interface/></interface></devices>", ["<interface><interface/></interface>"]),
        ("<devices><interface><a b='/>'/></interface><interfaces/></devices>", ["<interface><a b='/>'/></interface>"]),
        ("<devices/>", []),
    ],
)
def test_each_net_is_sliced_as_it_is_written(body: str, written: list[str]) -> None:
    text = f"<domain>{body}</domain>"
    root = etree.fromstring(text)
    assert slices(text, root, root.findall("devices/interface")) == written


def test_a_port_that_is_made_is_what_libvirts_schema_wants_and_reads_back() -> None:
    port = NetworkPort(
        uuid="9be380a8-85f4-47c6-8610-339c75eff162",
        network="vfs",
        owner_uuid="418cb219-6299-443c-affb-0ffeaab6093f",
        owner_name="a <b> & 'c'",
        mac=Mac("52:54:00:00:00:01"),
        plug_type="hostdev-pci",
        managed=True,
        host_address=PciAddress(0, 7, 16, 3),
    )
    for one in (port, dataclasses.replace(port, managed=False)):
        text = xml.network_port_text(one)
        assert xml.network_port(text, "vfs") == one
        schema = etree.RelaxNG(file="/usr/share/libvirt/schemas/networkport.rng")
        assert schema.validate(etree.fromstring(text)), schema.error_log


def test_the_driver_of_a_node_device() -> None:
    bound = "<device><name>pci_0000_01_10_0</name><driver><name>igbvf</name></driver><capability type='pci'/></device>"
    assert xml.node_device_driver(bound) == "igbvf"
    assert xml.node_device_driver("<device><name>pci_0000_01_10_0</name></device>") is None
    with pytest.raises(XmlInvalid):
        xml.node_device_driver("<domain/>")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ("<memory unit='KiB'>2048</memory><memtune><hard_limit unit='KiB'>1024</hard_limit></memtune>", (2048, 1024)),
        ("<memory>2048</memory><memtune><hard_limit>1024</hard_limit></memtune>", (2048, 1024)),
        ("<memory unit='KiB'>2048</memory><memtune><soft_limit unit='KiB'>1</soft_limit></memtune>", None),
        ("<memory unit='KiB'>2048</memory>", None),
        (
            "<memory>2048</memory><memtune><hard_limit>1</hard_limit></memtune><devices><iommu model='intel'/></devices>",
            None,
        ),
    ],
)
def test_how_much_memory_may_be_locked(parts: str, expected: tuple[int, int] | None) -> None:
    assert xml.lockable_memory(f"<domain>{parts}</domain>") == expected


@pytest.mark.parametrize("memory", ["<memory unit='GiB'>2</memory>", "<memory unit='KiB'>much</memory>"])
def test_a_memory_that_libvirt_would_not_write_is_refused(memory: str) -> None:
    with pytest.raises(XmlInvalid, match="not a number of KiB"):
        xml.lockable_memory(f"<domain>{memory}<memtune><hard_limit>1</hard_limit></memtune></domain>")
