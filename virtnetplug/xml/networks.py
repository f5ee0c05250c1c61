"""A libvirt network, one port of it, and a device of the host."""

from __future__ import annotations

from lxml import etree

from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.xml.elements import NETWORK, NETWORK_PORT, PCI_ADDRESS
from virtnetplug.xml.mapping import Parts
from virtnetplug.xml.parser import MAX_DEFINITION_BYTES, root_from
from virtnetplug.xml.written import Written


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
