"""The kinds of value an attribute holds: how each is read, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from virtnetplug.errors import PciAddressInvalid
from virtnetplug.model.mac import Mac
from virtnetplug.model.pci import LIMITS

T = TypeVar("T")

_DECIMAL = re.compile(r"[0-9]{1,20}")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,8}")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """`says` completes "… is not"; `read` raises ValueError for any other text."""

    says: str
    read: Callable[[str], T]
    write: Callable[[T], str] = str


def _decimal(text: str) -> int:
    if not _DECIMAL.fullmatch(text.strip()):
        raise ValueError(text)
    return int(text)


def _number(text: str) -> int:
    """Hexadecimal with ``0x``, else decimal: libvirt takes both for VLAN tags and for the parts of a PCI address."""
    return int(text, 16) if _HEX.fullmatch(text) else _decimal(text)


def _spelled(words: Mapping[str, T]) -> Kind[T]:
    """The values of `words`, each by the word for it."""
    spelled = {value: word for word, value in words.items()}

    def read(text: str) -> T:
        if text not in words:
            raise ValueError(text)
        return words[text]

    return Kind(" or ".join(f"'{word}'" for word in words), read, spelled.__getitem__)


def choice(*words: str) -> Kind[str]:
    """A text that is one of `words`."""
    return _spelled({word: word for word in words})


def whole(least: int, most: int) -> Kind[int]:
    """A whole number within limits."""

    def read(text: str) -> int:
        value = _number(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return Kind(f"a whole number from {least} to {most}", read)


def part(name: str) -> Kind[int]:
    """The part `name` of a PCI address (``virPCIDeviceAddressParseXML``)."""
    most = LIMITS[name]

    def read(text: str) -> int:
        value = _number(text)
        if value > most:
            raise PciAddressInvalid(f"PCI {name} '{text}' is out of range: a {name} is 0 to 0x{most:x}")
        return value

    digits = len(f"{most:x}")
    return Kind(f"a PCI {name} (0 to 0x{most:x})", read, lambda value: f"0x{value:0{digits}x}")


TEXT: Kind[str] = Kind("text", str)
WHOLE: Kind[int] = Kind("a whole number", _decimal)
YES_NO: Kind[bool] = _spelled({"yes": True, "no": False})
ON_OFF: Kind[bool] = _spelled({"on": True, "off": False})
MAC: Kind[Mac] = Kind("a MAC address", Mac)
