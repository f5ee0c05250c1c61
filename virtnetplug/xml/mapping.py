"""Declarative XML mapping: which attribute of which element is which field of a value. There is no second store.

A path is ``child/child/@attribute`` from the mapped node. None means that the attribute, or the element, is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lxml import etree

from virtnetplug.errors import XmlInvalid
from virtnetplug.xml.kinds import Kind
from virtnetplug.xml.written import insert, remove


class Property:
    """A field of a value, at a path of child elements. `Element` sets its `name`."""

    def __init__(self, path: str) -> None:
        self.path = tuple(path.split("/")) if path else ()
        self.name = ""

    def set(self, node: etree._Element, value: Any) -> None:
        """Write `value`, unless the node already has it: then not a byte changes."""
        try:
            if self.read(node) == value:
                return
        except XmlInvalid:
            pass  # nobody can read the present text, so it is overwritten
        self.write(node, value)

    def read(self, node: etree._Element) -> Any:
        """The value below `node`."""
        raise NotImplementedError

    def write(self, node: etree._Element, value: Any) -> None:
        """Set the value below `node`."""
        raise NotImplementedError

    def find(self, node: etree._Element) -> etree._Element | None:
        """The element at the path, if it is there."""
        for tag in self.path:
            child = next(node.iterchildren(tag), None)
            if child is None:
                return None
            node = child
        return node

    def make(self, node: etree._Element) -> etree._Element:
        """The element at the path, made where it is missing."""
        for tag in self.path:
            child = next(node.iterchildren(tag), None)
            node = insert(node, tag) if child is None else child
        return node


class Attribute(Property):
    """One attribute. `whole`: its element means nothing without it, and is removed with it. `needed`: it must be there."""

    def __init__(
        self, path: str, kind: Kind[Any], *, default: object = None, whole: bool = False, needed: bool = False
    ) -> None:
        parents, _, self.attribute = path.rpartition("@")
        super().__init__(parents.rstrip("/"))
        self.kind = kind
        self.default = default
        self.whole = whole
        self.needed = needed

    def read(self, node: etree._Element) -> Any:
        found = self.find(node)
        text = None if found is None else found.get(self.attribute)
        if found is None or text is None:
            if self.needed:
                raise XmlInvalid(f"{_line_of(node)}<{node.tag}> has no {self.attribute}, and needs one")
            return self.default
        try:
            return self.kind.read(text)
        except ValueError:
            raise XmlInvalid(
                f"{_line_of(found)}<{found.tag} {self.attribute}='{text}'>: '{text}' is not {self.kind.says}"
            ) from None

    def write(self, node: etree._Element, value: Any) -> None:
        if value is None:
            self._remove(node)
            return
        try:
            text = self.kind.write(value)
            self.kind.read(text)
            self.make(node).set(self.attribute, text)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise XmlInvalid(
                f"{self.name or self.attribute} cannot be {value!r}: that is not {self.kind.says}"
            ) from None

    def _remove(self, node: etree._Element) -> None:
        found = self.find(node)
        if found is None:
            return
        found.attrib.pop(self.attribute, "")
        if self.whole:
            remove(found)
        else:
            _prune(found, node)


def namesakes(path: str, kind: Kind[Any], *names: str, prefix: str = "") -> dict[str, Attribute]:
    """Attributes of the element at `path` (empty, or with ``/`` at its end); each field is named as its attribute, after `prefix`."""
    return {prefix + name: Attribute(f"{path}@{name}", kind) for name in names}


class Text(Property):
    """The words of a nested element; `missing` where the element is not there."""

    def __init__(self, path: str, *, missing: str | None = "") -> None:
        super().__init__(path)
        self.missing = missing

    def read(self, node: etree._Element) -> str | None:
        found = self.find(node)
        return self.missing if found is None else (found.text or "").strip()

    def write(self, node: etree._Element, value: str) -> None:
        self.make(node).text = value


class Part(Property):
    """One nested element, as a value."""

    def __init__(self, path: str, element: Element) -> None:
        super().__init__(path)
        self.element = element

    def read(self, node: etree._Element) -> Any:
        found = self.find(node)
        return None if found is None or not self.element.is_said(found) else self.element.load(found)

    def write(self, node: etree._Element, value: Any) -> None:
        if value is not None:
            self.element.store(self.make(node), value)
        elif (found := self.find(node)) is not None:
            _prune(remove(found), node)


class Parts(Property):
    """Any number of nested elements of one tag, in order."""

    def __init__(self, tag: str, element: Element) -> None:
        super().__init__("")
        self.tag = tag
        self.element = element

    def read(self, node: etree._Element) -> tuple[Any, ...]:
        return tuple(self.element.load(child) for child in node.iterchildren(self.tag) if self.element.is_said(child))

    def write(self, node: etree._Element, value: tuple[Any, ...]) -> None:
        present = list(node.iterchildren(self.tag))
        for child in present[len(value) :]:
            remove(child)
        for index, item in enumerate(value):
            child = present[index] if index < len(present) else insert(node, self.tag)
            self.element.store(child, item)


class Element:
    """An element as a value: `value` makes it from fields, and `properties` say where the element has each field."""

    def __init__(self, value: Callable[..., Any], **properties: Property) -> None:
        self.value = value
        self.properties = properties
        for name, item in properties.items():
            item.name = name

    def is_said(self, node: etree._Element) -> bool:
        """Whether the element says anything of the value."""
        return True

    def fields(self, node: etree._Element) -> dict[str, Any]:
        """The fields of the value, read from the node."""
        return {name: item.read(node) for name, item in self.properties.items()}

    def load(self, node: etree._Element) -> Any:
        """The value, read from the node."""
        return self.value(**self.fields(node))

    def store(self, node: etree._Element, value: Any) -> None:
        """Write the value into the node; what already reads the same is left as it is written."""
        for name, item in self.properties.items():
            item.set(node, getattr(value, name))


class Only(Element):
    """An element that is its only field, and no value of its own."""

    def __init__(self, **properties: Property) -> None:
        super().__init__(lambda **fields: next(iter(fields.values())), **properties)

    def store(self, node: etree._Element, value: Any) -> None:
        for item in self.properties.values():
            item.set(node, value)


def _prune(node: etree._Element, top: etree._Element) -> None:
    """Remove `node`, and then each parent below `top`, as long as nothing is left in them."""
    while node is not top and not (node.attrib or len(node) or (node.text or "").strip()):
        node = remove(node)


def _line_of(node: etree._Element) -> str:
    """``line N: `` for the front of a message, empty for a node that was not parsed."""
    return f"line {node.sourceline}: " if node.sourceline else ""
