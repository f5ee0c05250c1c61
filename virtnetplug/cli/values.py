"""Single values as people write them on the command line, to model values.

A parser takes the text. It raises `Malformed` with the form that the text should have; a MAC or PCI address raises its own error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from virtnetplug.errors import UsageError
from virtnetplug.model.interface import Limit, Teaming, Vlan, VlanTag

Parser = Callable[[str], Any]

_NATIVE_MODES = ("tagged", "untagged")


class Malformed(Exception):
    """The text has not this form."""


def parsed(name: str, parse: Parser, text: str) -> Any:
    """The value that `text` means for the key or flag of that name; raises `UsageError` if the text is malformed."""
    try:
        return parse(text)
    except Malformed as form:
        raise UsageError(f"{name} is {form}, not '{text}'.") from None


def number(least: int, most: int) -> Parser:
    """A parser of whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        found = _whole(text)
        if found is None or not least <= found <= most:
            raise Malformed(f"a whole number from {least} to {most}")
        return found

    return parse


def choice(*values: str) -> Parser:
    """A parser of one of `values`, of which there are several."""

    def parse(text: str) -> str:
        if text not in values:
            raise Malformed(f"{', '.join(values[:-1])} or {values[-1]}")
        return text

    return parse


def yes_no(text: str) -> bool:
    """``yes`` or ``no``, as libvirt spells booleans."""
    if text not in ("yes", "no"):
        raise Malformed("yes or no")
    return text == "yes"


def vlan(text: str) -> Vlan:
    """``ID[:tagged|untagged][,…]``; more than one tag makes a trunk."""
    tags = []
    for part in text.split(","):
        tag, _, mode = part.partition(":")
        found = _whole(tag)
        if found is None or not 0 <= found <= 4095 or (":" in part and mode not in _NATIVE_MODES):
            raise Malformed(
                "a list of tags from 0 to 4095 with commas between them, each with an optional native mode "
                "(10,20 or 10:untagged,20)"
            )
        tags.append(VlanTag(found, mode or None))
    return Vlan(tuple(tags), trunk=True if len(tags) > 1 else None)


def limit(*, has_floor: bool) -> Parser:
    """A parser of ``average[,peak[,burst[,floor]]]`` (kilobytes of 1000 bytes a second, burst in KiB); a part may be left empty, but not all."""
    parts = ("average", "peak", "burst", "floor") if has_floor else ("average", "peak", "burst")

    def parse(text: str) -> Limit:
        texts = text.split(",")
        numbers = [_whole(part) for part in texts]
        malformed = any(part and number is None for part, number in zip(texts, numbers, strict=True))
        if malformed or len(texts) > len(parts) or not any(texts):
            form = f"{'[,'.join(parts)}{']' * (len(parts) - 1)}"
            raise Malformed(f"{form}, whole numbers in kilobytes (1000 bytes) a second, burst in KiB")
        return Limit(**dict(zip(parts, numbers, strict=False)))

    return parse


def teaming(text: str) -> Teaming:
    """``persistent``, or ``transient:ALIAS`` naming the persistent partner."""
    kind, _, partner = text.partition(":")
    if text == "persistent":
        return Teaming("persistent")
    if kind == "transient" and partner:
        return Teaming("transient", partner)
    raise Malformed("'persistent', or 'transient:' with its partner's alias")


def seconds(text: str) -> float:
    """A finite number of seconds, zero or more."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found >= 0):
        raise Malformed("a number of seconds, zero or more")
    return found


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
