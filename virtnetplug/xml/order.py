"""Where a new child goes, and what happens to the white space when a child comes or leaves."""

from __future__ import annotations

from lxml import etree

ORDER = (
    *(
        "mac",
        "source",
        "vlan",
        "virtualport",
        "bandwidth",
        "port",
        "ip",
        "route",
        "portForward",
        "script",
        "downscript",
    ),
    *("backenddomain", "target", "guest", "model", "driver", "backend", "filterref", "tune", "link", "mtu", "coalesce"),
    *("teaming", "boot", "alias", "acpi", "rom", "address"),
    *("inbound", "outbound"),
)
"""The order in which libvirt writes an ``<interface>``'s children (``virDomainNetDefFormat``); its schema takes any."""

_RANK = {tag: rank for rank, tag in enumerate(ORDER)}


def insert(parent: etree._Element, tag: str) -> etree._Element:
    """A new child at its place in `ORDER`, or last if it is not listed; indented like its neighbours."""
    new = etree.Element(tag)
    rank = _RANK.get(tag, len(ORDER))
    for sibling in parent.iterchildren(etree.Element):
        if _RANK.get(sibling.tag, -1) > rank:
            previous = sibling.getprevious()
            new.tail = _blank(parent.text if previous is None else previous.tail)
            sibling.addprevious(new)
            return new
    if len(parent):
        new.tail, parent[-1].tail = parent[-1].tail, _blank(parent.text)
    parent.append(new)
    return new


def remove(node: etree._Element) -> etree._Element:
    """Take a node out of its parent, and return the parent. Words beside the node stay, and the white space closes over it."""
    parent, previous = node.getparent(), node.getprevious()
    assert parent is not None
    before = (parent.text if previous is None else previous.tail) or ""
    after = node.tail or ""
    if node.getnext() is None and not before.strip():
        joined = after if previous is not None or after.strip() else ""
    else:
        joined = before if not after.strip() else before + after
    node.tail = None
    parent.remove(node)
    if previous is None:
        parent.text = joined or None
    else:
        previous.tail = joined or None
    return parent


def _blank(text: str | None) -> str | None:
    """The text, if it is white space only."""
    return text if text is not None and not text.strip() else None
