"""A libvirt network, and one port of it."""

from __future__ import annotations

from lxml import etree

from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.pci import PciAddress
from virtnetplug.xml.elements import NetworkElement, NetworkPortElement, PciAddressElement
from virtnetplug.xml.parser import MAX_DEFINITION_BYTES, root_from
from virtnetplug.xml.written import Written


def network(text: str) -> Network:
    """The network of a ``<network>`` definition. Whether it is active is not in it: ``active`` is True here."""
    root = root_from(text, "network", limit=MAX_DEFINITION_BYTES)
    forward = root.find("forward")
    fields = {name: item.read(root) for name, item in NetworkElement.properties.items()}
    if forward is None:
        return Network(**fields)
    return Network(
        # A <forward> without a mode means NAT (virNetworkForwardDefParseXML).
        forward=forward.get("mode", "nat"),
        devices=_devices(forward),
        addresses=_addresses(forward),
        **fields,
    )


def network_port(text: str, network: str = "") -> NetworkPort:
    """The port of a ``<networkport>`` document, which does not itself name its `network`."""
    root = root_from(text, "networkport", limit=MAX_DEFINITION_BYTES)
    return NetworkPort(
        network=network, **{name: item.read(root) for name, item in NetworkPortElement.properties.items()}
    )


def network_port_text(port: NetworkPort) -> str:
    """The ``<networkport>`` document of a port that holds a PCI device (libvirt's ``networkport.rng``)."""
    root = etree.Element("networkport")
    etree.SubElement(root, "uuid").text = port.uuid
    owner = etree.SubElement(root, "owner")
    etree.SubElement(owner, "name").text = port.owner_name
    etree.SubElement(owner, "uuid").text = port.owner_uuid
    mapped = NetworkPortElement(root)
    mapped.mac, mapped.plug_type = port.mac, port.plug_type
    mapped.managed, mapped.host_address = port.managed, port.host_address
    for address in root.iterfind("plug/address"):
        del address.attrib["type"]  # a port's address has none
    return Written(root).write()


def restored_port_text(net: Interface, *, owner_uuid: str, owner_name: str) -> str:
    """The ``<networkport>`` document of the port that `net`, of a live definition, names by its portid.

    As ``virDomainNetDefActualToNetworkPort`` makes it: with what the net has of it, and where it is plugged if that is a link.
    """
    node = root_from(net.element, "interface")
    root = etree.Element("networkport")
    etree.SubElement(root, "uuid").text = net.source_portid
    owner = etree.SubElement(root, "owner")
    etree.SubElement(owner, "name").text = owner_name
    etree.SubElement(owner, "uuid").text = owner_uuid
    if net.source_portgroup is not None:
        etree.SubElement(root, "group").text = net.source_portgroup
    if (trust := node.get("trustGuestRxFilters")) is not None:
        etree.SubElement(root, "rxfilters", trustGuest=trust)
    for tag in ("mac", "virtualport", "bandwidth", "vlan", "port"):
        root.extend(node.findall(tag))
    if net.type == "direct":
        etree.SubElement(root, "plug", type="direct", dev=net.source_dev or "", mode=net.source_mode or "vepa")
    return Written(root).write()


def _devices(forward: etree._Element) -> tuple[str, ...]:
    named = [forward.get("dev"), *(child.get("dev") for child in forward.iterchildren("interface"))]
    return tuple(dict.fromkeys(name for name in named if name))


def _addresses(forward: etree._Element) -> tuple[PciAddress, ...]:
    return tuple(
        PciAddressElement(child).load() for child in forward.iterchildren("address") if PciAddressElement.is_said(child)
    )
