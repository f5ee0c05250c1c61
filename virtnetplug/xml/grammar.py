"""A RELAX NG grammar read as a vocabulary, to say in a person's words why it refuses an element.

libxml2's own messages ("Invalid sequence in interleave") name neither the culprit nor what would be right.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

_RNG = "{http://relaxng.org/ns/structure/1.0}"
_TRANSPARENT = frozenset({"group", "interleave", "grammar", "start"})
_WORDS = frozenset({"text", "data", "value", "mixed"})
_SAID = {
    **dict.fromkeys(
        ("unsignedInt", "positiveInteger", "unsignedShort", "unsignedLong", "speed", "BurstSize"), "a whole number"
    ),
    **dict.fromkeys(("uint8", "uint16", "uint24", "uint32"), "a number in range, decimal or with 0x"),
    "PortNumber": "a port number, 0 to 65535",
    "UUID": "a UUID",
    "uniMacAddr": "a unicast MAC address such as 52:54:00:12:34:56",
    "deviceName": "a device name (letters, digits and ._-:/)",
    "aliasName": "a name of letters, digits, - and _",
    "absFilePath": "an absolute path",
    "ipv4Addr": "an IPv4 address",
    "ipAddr": "an IP address",
    "pciDomain": "0x0000 to 0xffff",
    "pciBus": "0x00 to 0xff",
    "pciSlot": "0x00 to 0x1f",
    "pciFunc": "0x0 to 0x7",
}


@dataclass(frozen=True, slots=True)
class _Item:
    """An attribute or element that a pattern allows."""

    node: etree._Element
    name: str
    is_attribute: bool
    required: bool
    repeats: bool


class Grammar:
    """The defines reachable from ``domaincommon.rng`` of one schema directory."""

    def __init__(self, schemas: Path) -> None:
        self._defines: dict[str, list[etree._Element]] = {}
        self._load(schemas / "domaincommon.rng", set())

    def _load(self, path: Path, seen: set[Path]) -> None:
        if path in seen:
            return
        seen.add(path)
        root = etree.parse(str(path)).getroot()
        for define in root.iterchildren(_RNG + "define"):
            self._defines.setdefault(define.get("name", ""), []).append(define)
        for include in root.iterchildren(_RNG + "include"):
            self._load(path.parent / include.get("href", ""), seen)

    def explain(self, root: etree._Element) -> str:
        """One sentence or two: the line, what is wrong there, and what would be right."""
        items = (item for define in self._defines.get("interface", ()) for item in self._items(define, None))
        faults = filter(None, (self._fault(root, item) for item in items))
        unknown = f"line {root.sourceline}: libvirt's schema refuses this <interface>, though it knows each part of it"
        return next(faults, unknown)

    # -- what is wrong ----------------------------------------------------------------------------

    def _fault(self, node: etree._Element, definition: _Item) -> str | None:
        items = list(self._items(definition.node, node))
        attributes = [item for item in items if item.is_attribute]
        elements = [item for item in items if not item.is_attribute and item.name]
        return (
            self._attribute_fault(node, attributes, definition)
            or self._child_fault(node, elements, definition)
            or _words_fault(node, items)
            or self._missing(node, attributes, elements)
        )

    def _attribute_fault(self, node: etree._Element, allowed: Sequence[_Item], definition: _Item) -> str | None:
        for name, value in ((str(name), str(value)) for name, value in node.attrib.items()):
            here = f"line {node.sourceline}: <{node.tag} {name}='{value}'>"
            known = [item for item in allowed if item.name == name]
            if not known:
                near = _known("attribute", name, allowed)
                if any(item.name == name for item in self._items(definition.node, None)):
                    # Another branch of the schema has it: what discriminates the branches is in the sentence's end.
                    return f"{here}: this does not go with {_context(node)}; {near}"
                return f"{here}: libvirt's <{node.tag}> knows no attribute '{name}'; {near}"
            if not any(self._accepts(item, name, value) for item in known):
                return f"{here}: '{value}' is no value for {name}; {self._wanted(known, value)}"
        return None

    def _child_fault(self, node: etree._Element, allowed: Sequence[_Item], definition: _Item) -> str | None:
        seen: set[str] = set()
        for child in node.iterchildren(etree.Element):
            here = f"line {child.sourceline}: <{child.tag}>"
            known = [item for item in allowed if item.name == child.tag]
            if not known:
                near = _known("element", str(child.tag), allowed)
                if any(item.name == child.tag for item in self._items(definition.node, None)):
                    return f"{here} does not go with {_context(node)}; {near}"
                return f"{here} is not an element that libvirt's <{node.tag}> knows; {near}"
            if child.tag in seen and not any(item.repeats for item in known):
                return f"{here} is there twice, and libvirt's <{node.tag}> takes one; remove one of them"
            seen.add(str(child.tag))
            possible = _possible([item.node for item in known], child)
            fitting = [item for item in known if item.node in possible]
            if all(self._fault(child, item) for item in fitting):
                return self._fault(child, max(fitting, key=lambda item: self._likeness(child, item)))
        return None

    def _likeness(self, node: etree._Element, definition: _Item) -> tuple[int, int]:
        """How much of an element's definition the node has right, then how much it could say at all."""
        allowed = [item for item in self._items(definition.node, node) if item.is_attribute]
        said = [(item, str(value)) for item in allowed for name, value in node.attrib.items() if item.name == name]
        right = {item.name for item, value in said if self._accepts(item, item.name, value)}
        return len(right), len(allowed)

    def _missing(self, node: etree._Element, attributes: Iterable[_Item], elements: Iterable[_Item]) -> str | None:
        here = f"line {node.sourceline}: {_context(node)}"
        missing = [
            f"the attribute '{item.name}'" for item in attributes if item.required and item.name not in node.attrib
        ]
        missing += [f"a <{item.name}> element" for item in elements if item.required and node.find(item.name) is None]
        return f"{here} needs {missing[0]}" if missing else None

    # -- what would be right ----------------------------------------------------------------------

    def _items(self, pattern: etree._Element, node: etree._Element | None) -> Iterator[_Item]:
        """The attributes and elements that a pattern allows, without the branches that the attributes of `node` rule out."""
        yield from self._walk(pattern.iterchildren(etree.Element), node, True, False, frozenset())

    def _walk(
        self,
        nodes: Iterable[etree._Element],
        about: etree._Element | None,
        required: bool,
        repeats: bool,
        inside: frozenset[str],
    ) -> Iterator[_Item]:
        for pattern in nodes:
            kind = str(pattern.tag).removeprefix(_RNG)
            children = list(pattern.iterchildren(etree.Element))
            if kind in ("attribute", "element"):
                name = pattern.get("name")
                if name:
                    yield _Item(pattern, name, kind == "attribute", required, repeats)
            elif kind in _WORDS:
                yield _Item(pattern, "", False, False, repeats)
            elif kind == "ref":
                name = pattern.get("name", "")
                if name not in inside:
                    for define in self._defines.get(name, ()):
                        yield from self._walk(
                            define.iterchildren(etree.Element), about, required, repeats, inside | {name}
                        )
            elif kind == "choice":
                branches = children if about is None else _possible(children, about)
                only = len(branches) == 1
                for branch in branches:
                    yield from self._walk([branch], about, required and only, repeats, inside)
            elif kind in ("optional", "zeroOrMore", "oneOrMore"):
                more = repeats or kind != "optional"
                yield from self._walk(children, about, required and kind == "oneOrMore", more, inside)
            elif kind in _TRANSPARENT:
                yield from self._walk(children, about, required, repeats, inside)

    def _accepts(self, item: _Item, name: str, value: str) -> bool:
        """Whether an attribute's definition takes a value: a grammar of that one attribute is asked."""
        grammar = etree.Element(_RNG + "grammar", datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes")
        start = etree.SubElement(grammar, _RNG + "start")
        etree.SubElement(start, _RNG + "element", name="x").append(copy.deepcopy(item.node))
        for define in self._needed(item.node):
            grammar.append(copy.deepcopy(define))
        return bool(etree.RelaxNG(grammar).validate(etree.Element("x", {name: value})))

    def _needed(self, node: etree._Element) -> Iterator[etree._Element]:
        todo, seen = [node], set()
        while todo:
            for ref in todo.pop().iter(_RNG + "ref"):
                name = ref.get("name", "")
                if name not in seen:
                    seen.add(name)
                    todo += self._defines.get(name, ())
                    yield from self._defines.get(name, ())

    def _wanted(self, items: Sequence[_Item], value: str) -> str:
        words: list[str] = []
        for item in items:
            for node in (item.node, *self._needed(item.node)):
                words += [said.text or "" for said in node.iter(_RNG + "value")]
        if words:
            return _near(value, words, "'{}'") or f"it is one of {', '.join(dict.fromkeys(words))}"
        refs = (ref.get("name", "") for item in items for ref in item.node.iter(_RNG + "ref"))
        said = next((_SAID[name] for name in refs if name in _SAID), None)
        return f"it is {said}" if said else "libvirt's documentation of the element says which are"


def _possible(branches: Sequence[etree._Element], node: etree._Element) -> Sequence[etree._Element]:
    """The branches whose fixed attributes agree with the node's; all of them if none does."""
    return [branch for branch in branches if _agrees(branch, node)] or branches


def _agrees(branch: etree._Element, node: etree._Element) -> bool:
    for attribute in branch.iterchildren(_RNG + "attribute"):
        values = [value.text for value in attribute.iter(_RNG + "value")]
        if values and node.get(attribute.get("name", "")) not in values:
            return False
    return True


def _context(node: etree._Element) -> str:
    kind = node.get("type")
    return f"<{node.tag} type='{kind}'>" if kind else f"<{node.tag}>"


def _known(what: str, name: str, items: Iterable[_Item]) -> str:
    names = sorted({item.name for item in items})
    form = "<{}>" if what == "element" else "'{}'"
    if not names:
        return f"it takes no {what}s here, so remove it"
    return _near(name, names, form) or f"those it knows are {', '.join(names)}"


def _near(word: str, words: Iterable[str], form: str) -> str | None:
    near = difflib.get_close_matches(word, list(words), n=1, cutoff=0.7)
    return f"did you mean {form.format(near[0])}?" if near else None


def _words_fault(node: etree._Element, items: Iterable[_Item]) -> str | None:
    if any(not item.name for item in items):
        return None
    words = [node.text, *(child.tail for child in node)]
    stray = next((word.strip() for word in words if word and word.strip()), None)
    if stray is None:
        return None
    return f"line {node.sourceline}: <{node.tag}> has the words '{stray[:40]}' in it, where there can be none"
