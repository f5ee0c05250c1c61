"""Quick looks at a definition as libvirt writes it, for an audit of thousands of domains: no look validates, and most do not parse.

libvirt has one formatter (``virXMLFormatElement``): single quotes, one space. A text that is written otherwise, or that only looks like
a NIC, makes the answers cautious, never wrong.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lxml import etree

from virtnetplug.xml.metadata import NAMESPACE
from virtnetplug.xml.parser import MAX_DEFINITION_BYTES, root_from

_VIF = re.compile(r"""\bvif=["']([^"']*)""")
_RUN = re.compile(r"<domain\s[^>]*\bid='(\d+)'")
_NAMES = (re.compile(r"<mac address='([^']*)'"), re.compile(r"<alias name='([^']*)'"))


class NetGlimpse(NamedTuple):
    """A net, each part as libvirt wrote it (None where the net has no such part). `address` has the form of ``lspci``."""

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


def may_have_doubles(domain_xml: str) -> bool:
    """Whether two NICs may have the same MAC or alias. False is certain; after True the caller has to parse."""
    counts = []
    for pattern in _NAMES:
        found = pattern.findall(domain_xml)
        if len(set(found)) < len(found):
            return True
        counts.append(len(found))
    return counts[0] < domain_xml.count("<interface")


def serving(domain_xml: str) -> frozenset[str]:
    """The aliases in a definition's metadata that may belong to NICs which serve in the place of others."""
    return frozenset(_VIF.findall(domain_xml)) if NAMESPACE in domain_xml else frozenset()


def nic_count(domain_xml: str) -> int:
    """How many NICs a definition has, accurate enough for messages to people."""
    return domain_xml.count("</interface>")


def run_of(domain_xml: str) -> int | None:
    """The id of the run of the domain whose live definition this is (``virDomainDefFormatInternal``); None if it has none."""
    match = _RUN.match(domain_xml)
    return int(match.group(1)) if match else None


def has_own_netdevs(domain_xml: str) -> bool:
    """Whether the definition hands QEMU network backends past libvirt (``<qemu:commandline>``)."""
    return "qemu:arg" in domain_xml and "netdev" in domain_xml


def _glimpse(net: etree._Element) -> NetGlimpse:
    # One pass over the children: ten searches for ten tags would cost three times as much. A table of the tags is slower, too.
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
