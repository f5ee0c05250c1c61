"""One ``<interface>``: parsed, made, edited."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lxml import etree

from virtnetplug.errors import InterfaceTypeUnknown, UsageError
from virtnetplug.model.interface import TYPES, Interface, is_lasting
from virtnetplug.xml.elements import INTERFACE
from virtnetplug.xml.order import remove
from virtnetplug.xml.parser import root_from
from virtnetplug.xml.written import Written

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
