"""Declarative XML mapping: a descriptor per property, over the lxml node itself (there is no second store).

A path is ``child/child/@attribute`` from the mapped node. None means the attribute, or the element, is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

from lxml import etree

from virtnetplug.errors import XmlInvalid
from virtnetplug.xml.kinds import Kind
from virtnetplug.xml.order import insert, remove

T = TypeVar("T")


class Property(Generic[T]):
    """What all descriptors share: a path of child elements."""

    def __init__(self, path: str) -> None:
        self.path = tuple(path.split("/")) if path else ()
        self.name = ""

    def __set_name__(self, owner: type[Mapped], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, mapped: None, owner: type[Mapped]) -> Self: ...

    @overload
    def __get__(self, mapped: Mapped, owner: type[Mapped]) -> T: ...

    def __get__(self, mapped: Mapped | None, owner: type[Mapped]) -> Self | T:
        return self if mapped is None else self.read(mapped.node)

    def __set__(self, mapped: Mapped, value: T) -> None:
        self.set(mapped.node, value)

    def set(self, node: etree._Element, value: T) -> None:
        """Write `value`, unless it is what the node already says: then not a byte changes."""
        try:
            if self.read(node) == value:
                return
        except XmlInvalid:
            pass  # what is there cannot be read, so it is written over
        self.write(node, value)

    def read(self, node: etree._Element) -> T:
        """The value below `node`."""
        raise NotImplementedError

    def write(self, node: etree._Element, value: T) -> None:
        """Set the value below `node`."""
        raise NotImplementedError

    def find(self, node: etree._Element) -> etree._Element | None:
        """The element at the path, if it is there."""
        for tag in self.path:
            for child in node.iterchildren(tag):
                node = child
                break
            else:
                return None
        return node

    def make(self, node: etree._Element) -> etree._Element:
        """The element at the path, made where it is missing."""
        for tag in self.path:
            child = next(node.iterchildren(tag), None)
            node = insert(node, tag) if child is None else child
        return node


class Attribute(Property[T | None]):
    """One attribute. `whole`: its element means nothing without it, and goes with it. `needed`: it must be there."""

    def __init__(
        self,
        path: str,
        kind: Kind[T],
        *,
        default: T | None = None,
        whole: bool = False,
        needed: bool = False,
    ) -> None:
        *parents, attribute = path.split("/")
        super().__init__("/".join(parents))
        self.attribute = attribute.removeprefix("@")
        self.kind = kind
        self.default = default
        self.whole = whole
        self.needed = needed

    def read(self, node: etree._Element) -> T | None:
        found = self.find(node)
        text = None if found is None else found.get(self.attribute)
        if found is None or text is None:
            if self.needed:
                raise XmlInvalid(f"{line_of(node)}<{node.tag}> has no {self.attribute}, and needs one")
            return self.default
        try:
            return self.kind.read(text)
        except ValueError:
            raise XmlInvalid(
                f"{line_of(found)}<{found.tag} {self.attribute}='{text}'>: '{text}' is not {self.kind.says}"
            ) from None

    def write(self, node: etree._Element, value: T | None) -> None:
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
        if self.attribute in found.attrib:
            del found.attrib[self.attribute]
        if self.whole:
            remove(found)
        elif self.path:
            _prune(found, node)


class Text(Property[str]):
    """The words of a nested element, empty where it is not there. Only read: nothing virtnetplug edits has any."""

    def read(self, node: etree._Element) -> str:
        found = self.find(node)
        return "" if found is None else (found.text or "").strip()


class Part(Property[Any]):
    """One nested element, as the value its `Mapped` class makes."""

    def __init__(self, path: str, mapped: type[Mapped]) -> None:
        super().__init__(path)
        self.mapped = mapped

    def read(self, node: etree._Element) -> Any:
        found = self.find(node)
        return None if found is None or not self.mapped.is_said(found) else self.mapped(found).load()

    def write(self, node: etree._Element, value: Any) -> None:
        if value is not None:
            self.mapped(self.make(node)).store(value)
            return
        found = self.find(node)
        if found is not None:
            parent = found.getparent()
            remove(found)
            if parent is not None:
                _prune(parent, node)


class Parts(Property[tuple[Any, ...]]):
    """Any number of nested elements of one tag, in order."""

    def __init__(self, tag: str, mapped: type[Mapped]) -> None:
        super().__init__("")
        self.tag = tag
        self.mapped = mapped

    def read(self, node: etree._Element) -> tuple[Any, ...]:
        return tuple(self.mapped(child).load() for child in node.iterchildren(self.tag) if self.mapped.is_said(child))

    def write(self, node: etree._Element, value: tuple[Any, ...]) -> None:
        present = list(node.iterchildren(self.tag))
        for child in present[len(value) :]:
            remove(child)
        for index, item in enumerate(value):
            child = present[index] if index < len(present) else insert(node, self.tag)
            self.mapped(child).store(item)


class Mapped:
    """An element seen through its descriptors. `value` is the dataclass whose fields they name."""

    value: ClassVar[Any] = None
    properties: ClassVar[dict[str, Property[Any]]] = {}

    def __init__(self, node: etree._Element) -> None:
        self.node = node

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.properties = {name: item for name, item in vars(cls).items() if isinstance(item, Property)}

    @classmethod
    def is_said(cls, node: etree._Element) -> bool:
        """Whether the element says anything that this class maps."""
        return True

    def load(self) -> Any:
        """The value, read from the node."""
        node = self.node
        return self.value(**{name: item.read(node) for name, item in self.properties.items()})

    def store(self, value: Any) -> None:
        """Write the value into the node; what already reads the same is left as it is written."""
        for name, item in self.properties.items():
            item.set(self.node, getattr(value, name))


def _prune(found: etree._Element, top: etree._Element) -> None:
    """Remove `found`, and then each parent up to `top`, as long as nothing is left in them."""
    for node in _upwards(found, top):
        if node.attrib or len(node) or (node.text or "").strip():
            return
        remove(node)


def _upwards(found: etree._Element, top: etree._Element) -> Iterator[etree._Element]:
    node: etree._Element | None = found
    while node is not None and node is not top:
        parent = node.getparent()
        yield node
        node = parent


def line_of(node: etree._Element) -> str:
    """``line N: `` for the front of a message, empty for a node that was not parsed."""
    return f"line {node.sourceline}: " if node.sourceline else ""
