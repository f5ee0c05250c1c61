"""Single values as people write them on the command line, to model values.

Each parser takes the key's name (for the message) and the text; a malformed text raises `UsageError`,
a MAC or PCI address its own error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from virtnetplug.errors import UsageError
from virtnetplug.model.interface import FilterRef, Limit, Teaming, Vlan, VlanTag
from virtnetplug.model.mac import Mac
from virtnetplug.model.pci import PciAddress

Parser = Callable[[str, str], Any]

_NATIVE_MODES = ("tagged", "untagged")


def text(key: str, value: str) -> str:
    """Any non-empty text."""
    return value


def mac(key: str, value: str) -> Mac:
    """A unicast Ethernet address; raises `MacInvalid`."""
    return Mac(value)


def pci(key: str, value: str) -> PciAddress:
    """A PCI address as lspci writes it; raises `PciAddressInvalid`."""
    return PciAddress.parse(value)


def number(least: int, most: int) -> Parser:
    """A parser of whole numbers from `least` to `most`."""

    def parse(key: str, value: str) -> int:
        parsed = _whole(value)
        if parsed is None or not least <= parsed <= most:
            raise UsageError(f"{key} is a whole number from {least} to {most}, not '{value}'.")
        return parsed

    return parse


def choice(*values: str) -> Parser:
    """A parser of one of `values`."""

    def parse(key: str, value: str) -> str:
        if value not in values:
            raise UsageError(f"{key} is {_either(values)}, not '{value}'.")
        return value

    return parse


def yes_no(key: str, value: str) -> bool:
    """``yes`` or ``no``, as libvirt spells booleans."""
    if value not in ("yes", "no"):
        raise UsageError(f"{key} is yes or no, not '{value}'.")
    return value == "yes"


def vlan(key: str, value: str) -> Vlan:
    """``ID[:tagged|untagged][,…]``; more than one tag makes a trunk."""
    tags = []
    for part in value.split(","):
        tag, _, mode = part.partition(":")
        parsed = _whole(tag)
        if parsed is None or not 0 <= parsed <= 4095 or (":" in part and mode not in _NATIVE_MODES):
            raise UsageError(
                f"{key} is a list of tags from 0 to 4095 with commas between them, each with an optional native mode "
                f"(10,20 or 10:untagged,20), not '{value}'."
            )
        tags.append(VlanTag(parsed, mode or None))
    return Vlan(tuple(tags), trunk=True if len(tags) > 1 else None)


def limit(has_floor: bool) -> Parser:
    """A parser of ``average[,peak[,burst[,floor]]]`` (kilobytes of 1000 bytes a second, burst in KiB); a part may be left empty, but not all."""
    parts = ("average", "peak", "burst", "floor") if has_floor else ("average", "peak", "burst")
    form = f"{parts[0]}[,{'[,'.join(parts[1:])}{']' * (len(parts) - 1)}"

    def parse(key: str, value: str) -> Limit:
        texts = value.split(",")
        numbers = [_whole(part) for part in texts]
        malformed = any(part and number is None for part, number in zip(texts, numbers, strict=True))
        if malformed or len(texts) > len(parts) or not any(texts):
            raise UsageError(
                f"{key} is {form}, whole numbers in kilobytes (1000 bytes) a second, burst in KiB, not '{value}'."
            )
        return Limit(**dict(zip(parts, numbers, strict=False)))

    return parse


def teaming(key: str, value: str) -> Teaming:
    """``persistent``, or ``transient:ALIAS`` naming the persistent partner."""
    kind, _, partner = value.partition(":")
    if value == "persistent":
        return Teaming("persistent")
    if kind == "transient" and partner:
        return Teaming("transient", partner)
    raise UsageError(f"{key} is 'persistent', or 'transient:' with its partner's alias, not '{value}'.")


def filterref(key: str, value: str) -> FilterRef:
    """The name of a network filter, without parameters."""
    return FilterRef(value)


def seconds(key: str, value: str) -> float:
    """A finite number of seconds, zero or more."""
    try:
        parsed = float(value)
    except ValueError:
        parsed = math.nan
    if not (math.isfinite(parsed) and parsed >= 0):
        raise UsageError(f"{key} is a number of seconds, zero or more, not '{value}'.")
    return parsed


def _whole(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None


def _either(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} or {values[-1]}"
