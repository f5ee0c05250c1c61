"""An element beside the text it was written as, so that what an edit does not touch keeps its very bytes.

lxml alone would turn libvirt's single quotes into double ones and ``<a></a>`` into ``<a/>``. A new child goes to its place in `ORDER`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lxml import etree

ORDER = (
    *("mac", "source", "vlan", "virtualport", "bandwidth", "port", "ip", "route", "portForward", "script"),
    *("downscript", "backenddomain", "target", "guest", "model", "driver", "backend", "filterref", "tune"),
    *("link", "mtu", "coalesce", "teaming", "boot", "alias", "acpi", "rom", "address", "inbound", "outbound"),
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


_TOKEN = re.compile(r"""<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<(?:[^<>"']|"[^"]*"|'[^']*')*>|[^<]+""", re.DOTALL)
_ATTRIBUTE = re.compile(r"""(\s+)([^\s=/>]+)(\s*=\s*)("[^"]*"|'[^']*')""")
_ELEMENT = r"""<{tag}(?:[^<>"']|"[^"]*"|'[^']*')*>(?:(?<=/>)|.*?</{tag}\s*>)"""
_TAG_NAME = re.compile(r"<([^\s/>]+)")


class _Original(NamedTuple):
    """How one node was written, and what it held then."""

    start: str
    end: str
    attributes: dict[str, str]


class Written:
    """A parsed `root` and its `text`. Nodes made later are written as libvirt writes: single quotes, ``<a/>``."""

    def __init__(self, root: etree._Element, text: str = "") -> None:
        self.root = root
        self._nodes: dict[etree._Element, _Original] = {}
        self._words: dict[tuple[etree._Element, bool], tuple[str | None, str]] = {}
        if text:
            self._read(text)

    def _read(self, text: str) -> None:
        """Walk the text's tokens and the tree's nodes side by side: both are in document order."""
        nodes = self.root.iter()
        open_nodes: list[etree._Element] = []
        place: tuple[etree._Element, bool] | None = None  # whose text (True) or tail (False) comes now
        words: list[str] = []
        for token in _TOKEN.findall(text):
            if not token.startswith("<") or token.startswith("<![CDATA["):
                words.append(token)
                continue
            self._keep(place, words)
            words = []
            if token.startswith("</"):
                node = open_nodes.pop()
                self._nodes[node] = self._nodes[node]._replace(end=token)
                place = (node, False)
            elif token.startswith(("<!--", "<?")):
                if place is None or not open_nodes:
                    continue
                node = next(nodes)
                self._nodes[node] = _Original(token, "", {})
                place = (node, False)
            else:
                node = next(nodes) if open_nodes or place is None else self.root
                self._nodes[node] = _Original(token, "", _attributes(node))
                is_closed = token.endswith("/>")
                if not is_closed:
                    open_nodes.append(node)
                place = (node, not is_closed)
            if not open_nodes:
                break

    def _keep(self, place: tuple[etree._Element, bool] | None, words: list[str]) -> None:
        if place is not None and words:
            node, is_text = place
            self._words[place] = (node.text if is_text else node.tail, "".join(words))

    def write(self, node: etree._Element | None = None) -> str:
        """The text of `node` (the root if None) as it is now, without what follows it."""
        return "".join(self._pieces(self.root if node is None else node))

    def _pieces(self, node: etree._Element) -> Iterator[str]:
        original = self._nodes.get(node)
        if not isinstance(node.tag, str):
            yield original.start if original else etree.tostring(node, with_tail=False, encoding="unicode")
            return
        has_body = bool(node.text) or len(node) > 0 or (original is not None and bool(original.end))
        yield self._start(node, original, has_body)
        if not has_body:
            return
        yield self._text(node, True)
        for child in node:
            yield from self._pieces(child)
            yield self._text(child, False)
        tag = _TAG_NAME.findall(original.start)[0] if original else node.tag
        yield original.end if original and original.end else f"</{tag}>"

    def _start(self, node: etree._Element, original: _Original | None, has_body: bool) -> str:
        if original is None:
            start = f"<{node.tag}{''.join(f' {name}={_quoted(value)}' for name, value in _attributes(node).items())}>"
        elif original.attributes == _attributes(node):
            start = original.start
        else:
            start = _with_attributes(original, _attributes(node))
        if has_body:
            return start[:-2].rstrip() + ">" if start.endswith("/>") else start
        return start if start.endswith("/>") else start[:-1] + "/>"

    def _text(self, node: etree._Element, is_text: bool) -> str:
        value = node.text if is_text else node.tail
        was = self._words.get((node, is_text))
        if was is not None and was[0] == value:
            return was[1]
        return _escaped(value or "")


def slices(text: str, root: etree._Element, nodes: Sequence[etree._Element]) -> list[str]:
    """The text, as written, of each of these nodes of a document: the elements of one tag in its ``<devices>``, in order.

    A text with no other mention of the tag is not walked through.
    """
    if not nodes:
        return []
    tag = nodes[0].tag
    if text.count(f"<{tag}") == len(nodes) and "<!" not in text and "<?" not in text:
        return re.findall(_ELEMENT.format(tag=tag), text, re.DOTALL)
    written = Written(root, text)
    return [written.write(node) for node in nodes]


def _attributes(node: etree._Element) -> dict[str, str]:
    return {str(name): str(value) for name, value in node.attrib.items()}


def _with_attributes(original: _Original, now: dict[str, str]) -> str:
    """The start tag as written, but for the attributes that have changed, come or gone."""

    def rewrite(match: re.Match[str]) -> str:
        space, name, equals, quoted = match.groups()
        if name.startswith("xmlns") or ":" in name or now.get(name) == original.attributes.get(name):
            return match.group()
        return "" if name not in now else f"{space}{name}{equals}{_quoted(now[name], quoted[0])}"

    start = _ATTRIBUTE.sub(rewrite, original.start)
    new = "".join(f" {name}={_quoted(value)}" for name, value in now.items() if name not in original.attributes)
    body = start.rstrip(">").rstrip("/").rstrip() if new else start
    return start if not new else body + new + ("/>" if start.endswith("/>") else ">")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def _quoted(value: str, quote: str = "'") -> str:
    escaped = _escaped(value).replace("\n", "&#10;").replace("\t", "&#9;")
    return quote + escaped.replace(quote, "&apos;" if quote == "'" else "&quot;") + quote
