"""The kinds of value an attribute holds: how each is read, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from virtnetplug.errors import PciAddressInvalid
from virtnetplug.model.mac import Mac

T = TypeVar("T")

_DECIMAL = re.compile(r"[0-9]{1,20}")
_HEX = re.compile(r"(?:0[xX])?[0-9a-fA-F]{1,8}")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """`says` completes "… is not"; `read` raises ValueError for any other text."""

    says: str
    read: Callable[[str], T]
    write: Callable[[T], str] = str


def _whole(text: str) -> int:
    if not _DECIMAL.fullmatch(text.strip()):
        raise ValueError(text)
    return int(text)


def _word(words: dict[str, bool]) -> Kind[bool]:
    spelled = {value: word for word, value in words.items()}

    def read(text: str) -> bool:
        if text not in words:
            raise ValueError(text)
        return words[text]

    return Kind(" or ".join(f"'{word}'" for word in words), read, lambda value: spelled[value])


def choice(*words: str) -> Kind[str]:
    """One of `words`."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return Kind(" or ".join(f"'{word}'" for word in words), read)


def whole(least: int, most: int) -> Kind[int]:
    """A decimal (or, as libvirt also takes for tags, ``0x`` hexadecimal) number within limits."""

    def read(text: str) -> int:
        value = int(text, 16) if text.lower().startswith("0x") and _HEX.fullmatch(text) else _whole(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return Kind(f"a whole number from {least} to {most}", read)


def part(name: str, most: int, digits: int) -> Kind[int]:
    """Part of a PCI address: hexadecimal with ``0x``, else decimal (``virPCIDeviceAddressParseXML``)."""

    def read(text: str) -> int:
        if not _HEX.fullmatch(text):
            raise ValueError(text)
        value = int(text, 16) if text[:2].lower() == "0x" else _whole(text)
        if value > most:
            raise PciAddressInvalid(f"PCI {name} '{text}' is out of range: a {name} is 0 to 0x{most:x}")
        return value

    return Kind(f"a PCI {name} (0 to 0x{most:x})", read, lambda value: f"0x{value:0{digits}x}")


TEXT: Kind[str] = Kind("text", str)
WHOLE: Kind[int] = Kind("a whole number", _whole)
YES_NO: Kind[bool] = _word({"yes": True, "no": False})
ON_OFF: Kind[bool] = _word({"on": True, "off": False})
MAC: Kind[Mac] = Kind("a MAC address", Mac)
