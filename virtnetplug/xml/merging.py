"""A three-way merge of elements: what one change did to an element, done to the element as somebody else has changed it since."""

from __future__ import annotations

from lxml import etree

from virtnetplug.xml.order import insert, remove
from virtnetplug.xml.parser import root_from
from virtnetplug.xml.written import Written


def merged(now: str, before: str, after: str) -> str:
    """The ``<interface>`` `now` with what differs between `before` and `after` as `after` has it; whatever else `now` says stays.

    Attributes and elements are compared one by one. Elements of which a parent has several, such as ``<tag>`` of a VLAN, are compared together.
    """
    if now == before:
        return after
    root = root_from(now, "interface")
    written = Written(root, now)
    _merge(root, root_from(before, "interface"), root_from(after, "interface"))
    return written.write()


def _merge(now: etree._Element, before: etree._Element, after: etree._Element) -> None:
    for name in sorted({*map(str, before.attrib), *map(str, after.attrib)}):
        value = after.get(name)
        if value == before.get(name):
            continue
        if value is not None:
            now.set(name, value)
        elif name in now.attrib:
            del now.attrib[name]
    if (text := (after.text or "").strip()) != (before.text or "").strip():
        now.text = text or None
    for tag in dict.fromkeys(child.tag for child in (*before.iterchildren("*"), *after.iterchildren("*"))):
        _merge_children(now, before, after, str(tag))


def _merge_children(now: etree._Element, before: etree._Element, after: etree._Element, tag: str) -> None:
    """The children of that tag."""
    ours, was, new = (list(node.iterchildren(tag)) for node in (now, before, after))
    if [_said(node) for node in was] == [_said(node) for node in new]:
        return
    if len(ours) == len(was) == len(new) == 1:
        _merge(ours[0], was[0], new[0])
        return
    for node in ours:
        remove(node)
    for node in new:
        _copy(node, insert(now, tag))


def _copy(node: etree._Element, to: etree._Element) -> None:
    for name, value in node.attrib.items():
        to.set(name, value)
    to.text = (node.text or "").strip() or None
    for child in node.iterchildren("*"):
        _copy(child, etree.SubElement(to, child.tag))


def _said(node: etree._Element) -> object:
    """What the element says, whatever white space it is written with."""
    return (
        node.tag,
        sorted(node.attrib.items()),
        (node.text or "").strip(),
        [_said(child) for child in node.iterchildren("*")],
    )
