"""Documents of libvirt: one ``<interface>``, a domain's definition, a network, one port of a network, a device of the host."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from lxml import etree

from virtnetplug.errors import InterfaceTypeUnknown, UsageError, XmlInvalid
from virtnetplug.model.domain import DomainDevices, Hostdev, PciController, Topology
from virtnetplug.model.interface import TYPES, Interface, is_lasting
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.pci import PciAddress
from virtnetplug.xml.elements import HOSTDEV, INTERFACE, NETWORK, NETWORK_PORT, PCI_ADDRESS
from virtnetplug.xml.kinds import part, whole
from virtnetplug.xml.mapping import Attribute, Parts
from virtnetplug.xml.parser import MAX_DEFINITION_BYTES, root_from
from virtnetplug.xml.written import Written, remove, slices

_LIBVIRT_NAMED = re.compile(r"(vnet|macvtap|macvlan|vif)[0-9]+(\.[0-9]+)?")
"""Host device names that libvirt makes, and drops from a config (``virDomainNetDefParseXML``)."""

_LIVE_ONLY = (("source", "macTableManager"), ("bandwidth", "classID"))
_FROM_NETWORK = ("source_portid", "source_bridge", "source_dev", "source_mode", "source_pci")


def interface(text: str) -> Interface:
    """The net an untrusted ``<interface>`` document describes.

    Raises `XmlTooLarge`, `XmlUnsafe`, `XmlInvalid`, `InterfaceTypeUnknown`, `MacInvalid` or `PciAddressInvalid`.
    """
    root = root_from(text, "interface")
    stripped = text.strip()
    element = stripped if stripped.startswith("<interface") and stripped.endswith(">") else Written(root, text).write()
    return net_from(root, element)


def net_from(node: etree._Element, element: str) -> Interface:
    """The net of a parsed ``<interface>``, carrying its text."""
    kind = node.get("type")
    if kind not in TYPES:
        what = "has no type" if kind is None else f"has the type '{kind}', which is not known"
        raise InterfaceTypeUnknown(
            f"line {node.sourceline}: the <interface> {what}; the types known are {', '.join(TYPES)}"
        )
    return Interface(element=element, **INTERFACE.fields(node))


def element(interface: Interface) -> str:
    """The element that describes `interface`: its own text if it has one, else one made from its fields."""
    if interface.element:
        return interface.element
    root = etree.Element("interface")
    INTERFACE.store(root, interface)
    etree.indent(root)
    return Written(root).write()


def edit(element: str, changes: Mapping[str, Any]) -> str:
    """`element` with the fields of `Interface` that `changes` names set, or removed where the value is None.

    Every byte that no change touches stays as it is. Raises what `interface` raises, and `UsageError` for an unknown field.
    """
    unknown = set(changes) - set(INTERFACE.properties)
    if unknown:
        raise UsageError(f"an interface has no field {', '.join(sorted(unknown))} to set")
    root = root_from(element, "interface")
    written = Written(root, element)
    # Removals last: an element that loses one attribute and gains another must not go and come back elsewhere.
    for name, value in sorted(changes.items(), key=lambda change: change[1] is None):
        INTERFACE.properties[name].set(root, value)
    return written.write()


def strip_live(element: str) -> str:
    """`element` without what libvirt adds only to a running NIC, ready to be attached again or put into config.

    This undoes ``virDomainActualNetDefContentsFormat``. A net of a network is of type ``network`` again, without its port
    and without the network's bridge or device. Host device names and aliases that libvirt made are removed.
    A VLAN or bandwidth of the network's portgroup stays: nothing distinguishes it from one of the NIC's own.
    """
    root = root_from(element, "interface")
    written = Written(root, element)
    fields = INTERFACE.properties
    if fields["source_network"].read(root) is not None:
        fields["type"].set(root, "network")
        for name in _FROM_NETWORK:
            fields[name].set(root, None)
    target = fields["target_dev"].read(root) or ""
    if _LIBVIRT_NAMED.fullmatch(target) and fields["target_managed"].read(root) is not False:
        fields["target_dev"].set(root, None)
    if not is_lasting(fields["alias"].read(root)):
        fields["alias"].set(root, None)
    for tag, attribute in _LIVE_ONLY:
        for node in root.iterchildren(tag):
            node.attrib.pop(attribute, "")
    for actual in (*root.findall("actual"), *root.findall("guest[@actual]")):
        remove(actual)
    return written.write()


def properties_of(interface: Interface) -> dict[str, Any]:
    """The mapped fields of `interface` that are not None, by name."""
    named = {name: getattr(interface, name) for name in INTERFACE.properties}
    return {name: value for name, value in named.items() if value is not None}


_BUS = Attribute("@bus", part("bus"), default=0)
_SLOT = Attribute("@slot", part("slot"), default=0)
_INDEX = Attribute("@index", whole(0, 0xFFFF), default=0)


@lru_cache(maxsize=32)  # an operation looks again and again, and mostly nothing has changed
def devices(domain_xml: str) -> DomainDevices:
    """All nets and PCI hostdevs of a domain definition; each net's `element` is its text, byte for byte.

    A hostdev net owns a `Hostdev` whose parent is the net's alias. In a config a net may have no alias: its host device
    cannot name the net then, and has no parent. A net of a USB device owns none. Raises `InvariantBroken` where the lists disagree.
    """
    root = _root(domain_xml)
    nodes = root.findall("devices/interface")
    texts = slices(domain_xml, root, nodes)
    nets = tuple(net_from(node, text) for node, text in zip(nodes, texts, strict=True))
    owned = tuple(
        Hostdev(
            host_address=net.source_pci,
            managed=bool(net.managed),
            alias=net.alias,
            address=net.address,
            parent=net.alias,
        )
        for net in nets
        if net.is_hostdev and net.source_pci is not None
    )
    plain = (HOSTDEV.load(node) for node in root.iterfind("devices/hostdev[@type='pci']"))
    return DomainDevices(nets, (*owned, *(device for device in plain if device.host_address is not None)))


def host_addresses(domain_xml: str) -> frozenset[PciAddress]:
    """The host PCI devices a domain definition gives to the guest, those of its nets included; reads nothing else of it."""
    root = _root(domain_xml)
    nodes = (*root.iterfind("devices/interface[@type='hostdev']"), *root.iterfind("devices/hostdev[@type='pci']"))
    found = (HOSTDEV.properties["host_address"].read(node) for node in nodes)
    return frozenset(address for address in found if address is not None)


def memory_nodes(domain_xml: str) -> frozenset[int]:
    """The host NUMA nodes the guest's memory is on (``<numatune><memory nodeset=>``); none where it may be on any."""
    memory = _root(domain_xml).find("numatune/memory[@nodeset]")
    nodes: set[int] = set()
    for text in [] if memory is None else memory.get("nodeset", "").split(","):
        first, _, last = text.strip().lstrip("^").partition("-")
        span = range(int(first), int(last or first) + 1)
        nodes = nodes - set(span) if text.strip().startswith("^") else nodes | set(span)
    return frozenset(nodes)


def lockable_memory(domain_xml: str) -> tuple[int, int] | None:
    """The guest's memory, and how much of it its QEMU may lock (``<memtune><hard_limit>``), in KiB.

    None where nothing limits that, or where a device need not have all memory: the guest has a virtual IOMMU.
    """
    root = _root(domain_xml)
    memory, limit = root.find("memory"), root.find("memtune/hard_limit")
    if memory is None or limit is None or root.find("devices/iommu") is not None:
        return None
    return _kibibytes(memory), _kibibytes(limit)


def _kibibytes(node: etree._Element) -> int:
    """libvirt writes no other unit."""
    if node.get("unit", "KiB") != "KiB" or not (node.text or "").strip().isdecimal():
        raise XmlInvalid(f"line {node.sourceline}: <{node.tag}> is not a number of KiB")
    return int(node.text or "")


@lru_cache(maxsize=32)  # as `devices`
def topology(domain_xml: str) -> Topology:
    """The machine, and which slots of its PCI buses are taken."""
    root = _root(domain_xml)
    kind = root.find("os/type")
    taken: dict[int, set[int]] = defaultdict(set)
    for address in root.iterfind("devices//address[@type='pci'][@slot]"):
        parent = address.getparent()
        if parent is not None and parent.tag != "source":  # a <source> address is the host's
            taken[_BUS.read(address)].add(_SLOT.read(address))
    controllers = []
    for node in root.iterfind("devices/controller[@type='pci']"):
        index, target = _INDEX.read(node), node.find("target")
        takes_hotplug = target is None or target.get("hotplug") != "off"
        controllers.append(PciController(index, node.get("model", ""), frozenset(taken[index]), takes_hotplug))
    return Topology(
        name=root.findtext("name", ""),
        uuid=root.findtext("uuid", ""),
        virt_type=root.get("type", ""),
        arch="" if kind is None else kind.get("arch", ""),
        machine="" if kind is None else kind.get("machine", ""),
        emulator=root.findtext("devices/emulator"),
        controllers=tuple(controllers),
    )


def _root(domain_xml: str) -> etree._Element:
    return root_from(domain_xml, "domain", limit=MAX_DEFINITION_BYTES)


def network(text: str) -> Network:
    """The network of a ``<network>`` definition. Whether it is active is not in it: ``active`` is True here."""
    root = root_from(text, "network", limit=MAX_DEFINITION_BYTES)
    forward = root.find("forward")
    fields = NETWORK.fields(root)
    if forward is not None:
        devices = [forward.get("dev"), *(child.get("dev") for child in forward.iterchildren("interface"))]
        fields["forward"] = forward.get("mode", "nat")  # so without a mode, too (virNetworkForwardDefParseXML)
        fields["devices"] = tuple(dict.fromkeys(name for name in devices if name))
        fields["addresses"] = Parts("address", PCI_ADDRESS).read(forward)
    return Network(**fields)


def network_port(text: str, network: str = "") -> NetworkPort:
    """The port of a ``<networkport>`` document, which does not itself name its `network`."""
    return NetworkPort(
        network=network, **NETWORK_PORT.fields(root_from(text, "networkport", limit=MAX_DEFINITION_BYTES))
    )


def network_port_text(port: NetworkPort) -> str:
    """The ``<networkport>`` document of a port that holds a PCI device (libvirt's ``networkport.rng``)."""
    root = etree.Element("networkport")
    NETWORK_PORT.store(root, port)
    for address in root.iterfind("plug/address"):
        del address.attrib["type"]  # a port's address has none
    return Written(root).write()


def restored_port_text(net: Interface, *, owner_uuid: str, owner_name: str) -> str:
    """The ``<networkport>`` document of the port that `net`, of a live definition, names by its portid.

    As ``virDomainNetDefActualToNetworkPort`` makes it: with what the net has of it, and where it is plugged if that is a link.
    """
    node = root_from(net.element, "interface")
    root = etree.Element("networkport")
    port = NetworkPort(uuid=net.source_portid or "", network="", owner_name=owner_name, owner_uuid=owner_uuid)
    NETWORK_PORT.store(root, port)
    if net.source_portgroup is not None:
        etree.SubElement(root, "group").text = net.source_portgroup
    if (trust := node.get("trustGuestRxFilters")) is not None:
        etree.SubElement(root, "rxfilters", trustGuest=trust)
    for tag in ("mac", "virtualport", "bandwidth", "vlan", "port"):
        root.extend(node.findall(tag))
    if net.type == "direct":
        etree.SubElement(root, "plug", type="direct", dev=net.source_dev or "", mode=net.source_mode or "vepa")
    return Written(root).write()


def node_device_driver(text: str) -> str | None:
    """The kernel driver that a ``<device>`` document names, None where nothing drives the device."""
    return root_from(text, "device", limit=MAX_DEFINITION_BYTES).findtext("driver/name") or None
