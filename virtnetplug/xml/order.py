"""Where a new child goes, and what happens to the white space when one comes or leaves."""

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
"""The order libvirt writes an ``<interface>``'s children in (``virDomainNetDefFormat``); its schema takes any."""

_RANK = {tag: rank for rank, tag in enumerate(ORDER)}


def insert(parent: etree._Element, tag: str) -> etree._Element:
    """A new child at its place in `ORDER` (one not listed goes last), indented like its neighbours."""
    new = etree.Element(tag)
    rank = _RANK.get(tag, len(ORDER))
    for sibling in parent.iterchildren(etree.Element):
        if _RANK.get(sibling.tag, -1) > rank:
            new.tail = _before(sibling)
            sibling.addprevious(new)
            return new
    last = parent[-1] if len(parent) else None
    if last is not None:
        new.tail, last.tail = last.tail, _indent_of(parent)
    parent.append(new)
    return new


def remove(node: etree._Element) -> None:
    """Take a node out; words beside it stay, and the white space closes over it."""
    parent = node.getparent()
    if parent is None:
        return
    previous = node.getprevious()
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


def _before(sibling: etree._Element) -> str | None:
    """The white space just before a child."""
    previous = sibling.getprevious()
    parent = sibling.getparent()
    text = previous.tail if previous is not None else parent.text if parent is not None else None
    return text if text is not None and not text.strip() else None


def _indent_of(parent: etree._Element) -> str | None:
    text = parent.text
    return text if text is not None and not text.strip() else None
