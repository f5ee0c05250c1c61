"""A quick look at a domain's nets, for an audit of thousands: the words as written, nothing validated."""

from __future__ import annotations

from typing import NamedTuple

from lxml import etree

from virtnetplug.xml.parser import MAX_DEFINITION_BYTES, root_from


class NetGlimpse(NamedTuple):
    """One net, each part as libvirt wrote it (None where it does not say). `address` is as ``lspci`` writes it."""

    type: str
    mac: str | None = None
    alias: str | None = None
    target: str | None = None
    network: str | None = None
    portgroup: str | None = None
    portid: str | None = None
    bridge: str | None = None
    dev: str | None = None
    model: str | None = None
    address: str | None = None
    host_address: str | None = None
    filterref: str | None = None
    link_state: str | None = None
    is_isolated: bool = False


def glimpse(domain_xml: str) -> tuple[NetGlimpse, ...]:
    """The nets of a domain definition, in order. Raises `XmlTooLarge`, `XmlUnsafe` or `XmlInvalid`."""
    devices = root_from(domain_xml, "domain", limit=MAX_DEFINITION_BYTES).find("devices")
    if devices is None:
        return ()
    return tuple([_glimpse(net) for net in devices.iterchildren("interface")])


def _glimpse(net: etree._Element) -> NetGlimpse:
    # One pass over the children: ten searches for ten tags would cost three times as much.
    mac = alias = target = network = portgroup = portid = bridge = dev = None
    model = address = host_address = filterref = link_state = None
    is_isolated = False
    for child in net:
        tag = child.tag
        if tag == "mac":
            mac = child.get("address")
        elif tag == "source":
            network, portgroup, portid = child.get("network"), child.get("portgroup"), child.get("portid")
            bridge, dev = child.get("bridge"), child.get("dev")
            if len(child):
                host_address = _address(child.find("address"))
        elif tag == "target":
            target = child.get("dev")
        elif tag == "model":
            model = child.get("type")
        elif tag == "alias":
            alias = child.get("name")
        elif tag == "address":
            address = _address(child)
        elif tag == "filterref":
            filterref = child.get("filter")
        elif tag == "link":
            link_state = child.get("state")
        elif tag == "port":
            is_isolated = child.get("isolated") == "yes"
    return NetGlimpse(
        *(net.get("type", ""), mac, alias, target, network, portgroup, portid, bridge, dev),
        *(model, address, host_address, filterref, link_state, is_isolated),
    )


def _address(node: etree._Element | None) -> str | None:
    if node is None or node.get("type", "pci") != "pci":
        return None
    domain, bus, slot, function = node.get("domain"), node.get("bus"), node.get("slot"), node.get("function")
    if domain is None or bus is None or slot is None or function is None:
        return None
    # libvirt writes 0x0000, 0x00, 0x03, 0x0: without the prefix they are what lspci prints.
    return f"{domain[2:]}:{bus[2:]}:{slot[2:]}.{function[2:]}"
