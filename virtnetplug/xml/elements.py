"""The table: which attribute of which element is which field of the model."""

from __future__ import annotations

from lxml import etree

from virtnetplug.model.hostdev import Hostdev
from virtnetplug.model.interface import FilterRef, Interface, Limit, Teaming, VirtualPort, Vlan, VlanTag
from virtnetplug.model.network import NetworkPort, Portgroup
from virtnetplug.model.pci import PciAddress
from virtnetplug.xml.kinds import MAC, ON_OFF, TEXT, WHOLE, YES_NO, choice, part, whole
from virtnetplug.xml.mapping import Attribute, Mapped, Part, Parts, Text


class PciAddressElement(Mapped):
    """``<address type='pci'>``; one without a slot asks libvirt to choose, and says nothing."""

    value = PciAddress
    domain = Attribute("@domain", part("domain", 0xFFFF, 4), default=0)
    bus = Attribute("@bus", part("bus", 0xFF, 2), default=0)
    slot = Attribute("@slot", part("slot", 0x1F, 2), default=0)
    function = Attribute("@function", part("function", 7, 1), default=0)

    @classmethod
    def is_said(cls, node: etree._Element) -> bool:
        return node.get("type", "pci") == "pci" and any(name in node.attrib for name in cls.properties)

    def store(self, value: PciAddress) -> None:
        if self.node.get("type", "pci") != "pci":
            self.node.attrib.clear()
        if not self.node.attrib:
            self.node.set("type", "pci")
        for name, item in self.properties.items():
            if name not in self.node.attrib:  # libvirt's schema wants all parts, also those that are 0
                item.write(self.node, getattr(value, name))
        super().store(value)


class LimitElement(Mapped):
    value = Limit
    average = Attribute("@average", WHOLE)
    peak = Attribute("@peak", WHOLE)
    burst = Attribute("@burst", WHOLE)
    floor = Attribute("@floor", WHOLE)


class VlanTagElement(Mapped):
    value = VlanTag
    id = Attribute("@id", whole(0, 4095), needed=True)
    native_mode = Attribute("@nativeMode", choice("tagged", "untagged"))


class VlanElement(Mapped):
    value = Vlan
    trunk = Attribute("@trunk", YES_NO)
    tags = Parts("tag", VlanTagElement)


class VirtualPortElement(Mapped):
    value = VirtualPort
    type = Attribute("@type", TEXT)
    managerid = Attribute("parameters/@managerid", TEXT)
    typeid = Attribute("parameters/@typeid", TEXT)
    typeidversion = Attribute("parameters/@typeidversion", TEXT)
    instanceid = Attribute("parameters/@instanceid", TEXT)
    profileid = Attribute("parameters/@profileid", TEXT)
    interfaceid = Attribute("parameters/@interfaceid", TEXT)


class ParameterElement(Mapped):
    """``<parameter name= value=>``, as a pair."""

    name = Attribute("@name", TEXT, needed=True)
    text = Attribute("@value", TEXT, needed=True)

    def load(self) -> tuple[str | None, str | None]:
        return self.name, self.text

    def store(self, value: tuple[str, str]) -> None:
        self.name, self.text = value


class FilterRefElement(Mapped):
    value = FilterRef
    filter = Attribute("@filter", TEXT, needed=True)
    parameters = Parts("parameter", ParameterElement)


class TeamingElement(Mapped):
    value = Teaming
    type = Attribute("@type", choice("persistent", "transient"), needed=True)
    persistent = Attribute("@persistent", TEXT)


class InterfaceElement(Mapped):
    """``<interface>`` of a domain."""

    value = Interface
    type = Attribute("@type", TEXT, needed=True)
    managed = Attribute("@managed", YES_NO)
    trust_guest_rx_filters = Attribute("@trustGuestRxFilters", YES_NO)
    mac = Attribute("mac/@address", MAC, whole=True)
    source_type = Attribute("source/@type", TEXT)
    source_network = Attribute("source/@network", TEXT)
    source_portgroup = Attribute("source/@portgroup", TEXT)
    source_portid = Attribute("source/@portid", TEXT)
    source_bridge = Attribute("source/@bridge", TEXT)
    source_dev = Attribute("source/@dev", TEXT)
    source_name = Attribute("source/@name", TEXT)
    source_mode = Attribute("source/@mode", TEXT)
    source_path = Attribute("source/@path", TEXT)
    source_address = Attribute("source/@address", TEXT)
    source_port = Attribute("source/@port", whole(0, 65535))
    source_switchid = Attribute("source/@switchid", TEXT)
    source_pci = Part("source/address", PciAddressElement)
    vlan = Part("vlan", VlanElement)
    virtualport = Part("virtualport", VirtualPortElement)
    bandwidth_inbound = Part("bandwidth/inbound", LimitElement)
    bandwidth_outbound = Part("bandwidth/outbound", LimitElement)
    port_isolated = Attribute("port/@isolated", YES_NO)
    script = Attribute("script/@path", TEXT, whole=True)
    target_dev = Attribute("target/@dev", TEXT, whole=True)
    target_managed = Attribute("target/@managed", YES_NO)
    model = Attribute("model/@type", TEXT, whole=True)
    driver_name = Attribute("driver/@name", TEXT)
    driver_queues = Attribute("driver/@queues", whole(0, 65535))
    filterref = Part("filterref", FilterRefElement)
    link_state = Attribute("link/@state", choice("up", "down"), whole=True)
    mtu = Attribute("mtu/@size", whole(0, 65535), whole=True)
    coalesce_rx_frames = Attribute("coalesce/rx/frames/@max", WHOLE)
    teaming = Part("teaming", TeamingElement)
    boot_order = Attribute("boot/@order", WHOLE, whole=True)
    alias = Attribute("alias/@name", TEXT, whole=True)
    acpi_index = Attribute("acpi/@index", WHOLE)
    rom_enabled = Attribute("rom/@enabled", YES_NO)
    rom_bar = Attribute("rom/@bar", ON_OFF)
    rom_file = Attribute("rom/@file", TEXT)
    address = Part("address", PciAddressElement)


class HostdevElement(Mapped):
    """``<hostdev mode='subsystem' type='pci'>``."""

    value = Hostdev
    managed = Attribute("@managed", YES_NO, default=False)
    host_address = Part("source/address", PciAddressElement)
    alias = Attribute("alias/@name", TEXT)
    address = Part("address", PciAddressElement)


class PortgroupElement(Mapped):
    value = Portgroup
    name = Attribute("@name", TEXT, needed=True)
    default = Attribute("@default", YES_NO, default=False)
    trust_guest_rx_filters = Attribute("@trustGuestRxFilters", YES_NO)
    vlan = Part("vlan", VlanElement)
    virtualport = Part("virtualport", VirtualPortElement)
    bandwidth_inbound = Part("bandwidth/inbound", LimitElement)
    bandwidth_outbound = Part("bandwidth/outbound", LimitElement)


class NetworkElement(Mapped):
    """``<network>``, but for what its ``<forward>`` offers (`virtnetplug.xml.networks`)."""

    name = Text("name")
    uuid = Text("uuid")
    bridge = Attribute("bridge/@name", TEXT)
    mac_table = Attribute("bridge/@macTableManager", TEXT)
    pf = Attribute("forward/pf/@dev", TEXT)
    managed = Attribute("forward/@managed", YES_NO, default=False)
    mtu = Attribute("mtu/@size", WHOLE)
    vlan = Part("vlan", VlanElement)
    virtualport = Part("virtualport", VirtualPortElement)
    port_isolated = Attribute("port/@isolated", YES_NO)
    trust_guest_rx_filters = Attribute("@trustGuestRxFilters", YES_NO)
    portgroups = Parts("portgroup", PortgroupElement)


class NetworkPortElement(Mapped):
    """``<networkport>``. It does not name its network: whoever fetched it knows."""

    value = NetworkPort
    uuid = Text("uuid")
    owner_uuid = Text("owner/uuid")
    owner_name = Text("owner/name")
    mac = Attribute("mac/@address", MAC)
    plug_type = Attribute("plug/@type", TEXT)
    managed = Attribute("plug/@managed", YES_NO, default=False)
    bridge = Attribute("plug/@bridge", TEXT)
    host_address = Part("plug/address", PciAddressElement)
