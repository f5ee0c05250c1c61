"""Versions of one element or definition: their difference for a person, and a three-way merge."""

from __future__ import annotations

from lxml import etree

from virtnetplug.xml.parser import MAX_DEFINITION_BYTES, root_from
from virtnetplug.xml.written import Written, insert, remove


def diff(before: str, after: str, name: str) -> str:
    """A unified diff of two pieces of XML, empty if they say the same; each of its lines ends with a newline. Either may be empty text.

    Both are brought to one form first (indentation, quotes), so only what differs in meaning or order shows.
    """
    import difflib

    lines = difflib.unified_diff(_lines(before), _lines(after), f"{name} (before)", f"{name} (after)", lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _lines(text: str) -> list[str]:
    if not text.strip():
        return []
    root = root_from(text, None, limit=MAX_DEFINITION_BYTES)
    etree.indent(root)
    return Written(root).write().splitlines()


def merged(now: str, before: str, after: str) -> str:
    """The ``<interface>`` `now`, changed as `after` differs from `before`; whatever else somebody changed in `now` meanwhile stays.

    Attributes and elements are compared each for itself. Elements of which a parent has several, such as ``<tag>`` of a VLAN, are compared together.
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
        else:
            now.attrib.pop(name, "")
    if (text := (after.text or "").strip()) != (before.text or "").strip():
        now.text = text or None
    for tag in dict.fromkeys(child.tag for child in (*before.iterchildren("*"), *after.iterchildren("*"))):
        _merge_children(now, before, after, str(tag))


def _merge_children(now: etree._Element, before: etree._Element, after: etree._Element, tag: str) -> None:
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
    """What the element says, without its white space."""
    return (
        node.tag,
        sorted(node.attrib.items()),
        (node.text or "").strip(),
        [_said(child) for child in node.iterchildren("*")],
    )
