"""The table: which attribute of which element is which field of the model."""

from __future__ import annotations

from lxml import etree

from virtnetplug.model.domain import Hostdev
from virtnetplug.model.interface import FilterRef, Interface, Limit, Teaming, VirtualPort, Vlan, VlanTag
from virtnetplug.model.network import Network, NetworkPort, Portgroup
from virtnetplug.model.pci import LIMITS, PciAddress
from virtnetplug.xml.kinds import MAC, ON_OFF, TEXT, WHOLE, YES_NO, choice, part, whole
from virtnetplug.xml.mapping import Attribute, Element, Part, Parts, Text, namesakes


class _PciAddress(Element):
    """``<address type='pci'>``. An address without a slot says nothing: it asks libvirt to choose."""

    def is_said(self, node: etree._Element) -> bool:
        return node.get("type", "pci") == "pci" and any(name in node.attrib for name in self.properties)

    def store(self, node: etree._Element, value: PciAddress) -> None:
        if node.get("type", "pci") != "pci":
            node.attrib.clear()
        if not node.attrib:
            node.set("type", "pci")
        for name, item in self.properties.items():  # libvirt's schema wants all parts, also those that are 0
            write = item.set if name in node.attrib else item.write
            write(node, getattr(value, name))


class _Pair(Element):
    """``<parameter name= value=>``, as a pair."""

    def load(self, node: etree._Element) -> tuple[str, ...]:
        return tuple(self.fields(node).values())

    def store(self, node: etree._Element, value: tuple[str, str]) -> None:
        for item, word in zip(self.properties.values(), value, strict=True):
            item.set(node, word)


PCI_ADDRESS = _PciAddress(PciAddress, **{name: Attribute(f"@{name}", part(name), default=0) for name in LIMITS})

LIMIT = Element(Limit, **namesakes("", WHOLE, "average", "peak", "burst", "floor"))

VLAN_TAG = Element(
    VlanTag,
    id=Attribute("@id", whole(0, 4095), needed=True),
    native_mode=Attribute("@nativeMode", choice("tagged", "untagged")),
)

VLAN = Element(
    Vlan,
    trunk=Attribute("@trunk", YES_NO),
    tags=Parts("tag", VLAN_TAG),
)

VIRTUALPORT = Element(
    VirtualPort,
    type=Attribute("@type", TEXT),
    **namesakes("parameters/", TEXT, "managerid", "typeid", "typeidversion", "instanceid", "profileid", "interfaceid"),
)

PARAMETER = _Pair(tuple, name=Attribute("@name", TEXT, needed=True), text=Attribute("@value", TEXT, needed=True))

FILTERREF = Element(
    FilterRef,
    filter=Attribute("@filter", TEXT, needed=True),
    parameters=Parts("parameter", PARAMETER),
)

TEAMING = Element(
    Teaming,
    type=Attribute("@type", choice("persistent", "transient"), needed=True),
    persistent=Attribute("@persistent", TEXT),
)

INTERFACE = Element(
    Interface,
    type=Attribute("@type", TEXT, needed=True),
    managed=Attribute("@managed", YES_NO),
    trust_guest_rx_filters=Attribute("@trustGuestRxFilters", YES_NO),
    mac=Attribute("mac/@address", MAC, whole=True),
    **namesakes("source/", TEXT, "type", "network", "portgroup", "portid", "bridge", prefix="source_"),
    **namesakes("source/", TEXT, "dev", "name", "mode", "path", "address", "switchid", prefix="source_"),
    source_port=Attribute("source/@port", whole(0, 65535)),
    source_pci=Part("source/address", PCI_ADDRESS),
    vlan=Part("vlan", VLAN),
    virtualport=Part("virtualport", VIRTUALPORT),
    bandwidth_inbound=Part("bandwidth/inbound", LIMIT),
    bandwidth_outbound=Part("bandwidth/outbound", LIMIT),
    port_isolated=Attribute("port/@isolated", YES_NO),
    script=Attribute("script/@path", TEXT, whole=True),
    target_dev=Attribute("target/@dev", TEXT, whole=True),
    target_managed=Attribute("target/@managed", YES_NO),
    model=Attribute("model/@type", TEXT, whole=True),
    driver_name=Attribute("driver/@name", TEXT),
    driver_queues=Attribute("driver/@queues", whole(0, 65535)),
    filterref=Part("filterref", FILTERREF),
    link_state=Attribute("link/@state", choice("up", "down"), whole=True),
    mtu=Attribute("mtu/@size", whole(0, 65535), whole=True),
    coalesce_rx_frames=Attribute("coalesce/rx/frames/@max", WHOLE),
    teaming=Part("teaming", TEAMING),
    boot_order=Attribute("boot/@order", WHOLE, whole=True),
    alias=Attribute("alias/@name", TEXT, whole=True),
    acpi_index=Attribute("acpi/@index", WHOLE),
    rom_enabled=Attribute("rom/@enabled", YES_NO),
    rom_bar=Attribute("rom/@bar", ON_OFF),
    rom_file=Attribute("rom/@file", TEXT),
    address=Part("address", PCI_ADDRESS),
)
"""``<interface>`` of a domain."""

HOSTDEV = Element(
    Hostdev,
    managed=Attribute("@managed", YES_NO, default=False),
    host_address=Part("source/address", PCI_ADDRESS),
    alias=Attribute("alias/@name", TEXT),
    address=Part("address", PCI_ADDRESS),
)
"""``<hostdev mode='subsystem' type='pci'>``."""

PORTGROUP = Element(
    Portgroup,
    name=Attribute("@name", TEXT, needed=True),
    default=Attribute("@default", YES_NO, default=False),
    trust_guest_rx_filters=Attribute("@trustGuestRxFilters", YES_NO),
    vlan=Part("vlan", VLAN),
    virtualport=Part("virtualport", VIRTUALPORT),
    bandwidth_inbound=Part("bandwidth/inbound", LIMIT),
    bandwidth_outbound=Part("bandwidth/outbound", LIMIT),
)

NETWORK = Element(
    Network,
    name=Text("name"),
    uuid=Text("uuid"),
    bridge=Attribute("bridge/@name", TEXT),
    mac_table=Attribute("bridge/@macTableManager", TEXT),
    pf=Attribute("forward/pf/@dev", TEXT),
    managed=Attribute("forward/@managed", YES_NO, default=False),
    mtu=Attribute("mtu/@size", WHOLE),
    vlan=Part("vlan", VLAN),
    virtualport=Part("virtualport", VIRTUALPORT),
    port_isolated=Attribute("port/@isolated", YES_NO),
    trust_guest_rx_filters=Attribute("@trustGuestRxFilters", YES_NO),
    portgroups=Parts("portgroup", PORTGROUP),
)
"""``<network>``, but for what its ``<forward>`` offers (`virtnetplug.xml.documents`)."""

NETWORK_PORT = Element(
    NetworkPort,
    uuid=Text("uuid"),
    owner_name=Text("owner/name"),
    owner_uuid=Text("owner/uuid"),
    mac=Attribute("mac/@address", MAC),
    plug_type=Attribute("plug/@type", TEXT),
    managed=Attribute("plug/@managed", YES_NO, default=False),
    bridge=Attribute("plug/@bridge", TEXT),
    host_address=Part("plug/address", PCI_ADDRESS),
)
"""``<networkport>``. It does not name its network: whoever fetched it knows."""
