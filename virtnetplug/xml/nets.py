"""One ``<interface>``: parsed, made, edited."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from lxml import etree

from virtnetplug.errors import InterfaceTypeUnknown, UsageError
from virtnetplug.model.interface import Interface
from virtnetplug.xml.elements import InterfaceElement
from virtnetplug.xml.order import remove
from virtnetplug.xml.parser import root_from
from virtnetplug.xml.written import Written

TYPES = (
    *("bridge", "direct", "ethernet", "hostdev", "internal", "network", "null", "user", "vdpa", "vds", "vhostuser"),
    *("client", "mcast", "server", "udp"),
)
"""Every type libvirt's ``virDomainNetType`` names."""

_LIBVIRT_NAMED = re.compile(r"(vnet|macvtap|macvlan|vif)[0-9]+(\.[0-9]+)?")
"""Host device names that libvirt makes, and drops from a config (``virDomainNetDefParseXML``)."""

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
    fields = {name: item.read(node) for name, item in InterfaceElement.properties.items()}
    return Interface(element=element, **fields)


def element(interface: Interface) -> str:
    """The element that describes `interface`: its own text if it has one, else one made from its fields."""
    if interface.element:
        return interface.element
    root = etree.Element("interface")
    InterfaceElement(root).store(interface)
    etree.indent(root)
    return Written(root).write()


def edit(element: str, changes: Mapping[str, Any]) -> str:
    """`element` with the fields of `Interface` that `changes` names set, or removed where the value is None.

    Every byte that no change touches stays as it is. Raises what `interface` raises, and `UsageError` for a field that
    there is not.
    """
    unknown = set(changes) - set(InterfaceElement.properties)
    if unknown:
        raise UsageError(f"an interface has no field {', '.join(sorted(unknown))} to set")
    root = root_from(element, "interface")
    written = Written(root, element)
    # Removals last: an element that loses one attribute and gains another must not go and come back elsewhere.
    for name, value in sorted(changes.items(), key=lambda change: change[1] is None):
        InterfaceElement.properties[name].set(root, value)
    return written.write()


def strip_live(element: str) -> str:
    """`element` without what libvirt adds only to a running NIC, ready to be attached again or put into config.

    Undoes ``virDomainActualNetDefContentsFormat``: a net of a network is of type ``network`` again, without the bridge
    or device the network gave it and without its port; host device names and aliases that libvirt made go.
    What the network's portgroup gave (vlan, bandwidth) cannot be told from what was asked, and stays.
    """
    root = root_from(element, "interface")
    written = Written(root, element)
    net = InterfaceElement(root)
    if net.source_network is not None:
        net.type = "network"
        for name in _FROM_NETWORK:
            InterfaceElement.properties[name].set(root, None)
        source = root.find("source")
        if source is not None:
            _drop(source, "macTableManager")
    if net.target_dev is not None and _LIBVIRT_NAMED.fullmatch(net.target_dev) and net.target_managed is not False:
        net.target_dev = None
    if net.alias is not None and not net.alias.startswith("ua-"):
        net.alias = None
    for bandwidth in root.findall("bandwidth"):
        _drop(bandwidth, "classID")
    for actual in (*root.findall("actual"), *root.findall("guest[@actual]")):
        remove(actual)
    return written.write()


def _drop(node: etree._Element, attribute: str) -> None:
    if attribute in node.attrib:
        del node.attrib[attribute]


def properties_of(interface: Interface) -> dict[str, Any]:
    """The mapped fields of `interface` that are said, by name."""
    named = ((name, getattr(interface, name)) for name in InterfaceElement.properties)
    return cast(dict[str, Any], {name: value for name, value in named if value is not None})
