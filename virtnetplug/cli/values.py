"""Single values as people write them on the command line, to model values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from virtnetplug.errors import UsageError
from virtnetplug.model.interface import Limit, Teaming, Vlan, VlanTag

Parser = Callable[[str], Any]
"""Takes the text. It raises `Malformed` with the form that the text should have; a MAC or PCI address raises its own error."""

_NATIVE_MODES = ("tagged", "untagged")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: what stands for the value in help, and how its text is parsed. The text of `is_list` may hold commas, also in ``--nic``."""

    metavar: str
    parse: Parser
    is_list: bool = False


class Malformed(Exception):
    """The text has not this form."""


def parsed(name: str, parse: Parser, text: str) -> Any:
    """The value that `text` means for the key or flag of that name; raises `UsageError` if the text is malformed."""
    try:
        return parse(text)
    except Malformed as form:
        raise UsageError(f"{name} is {form}, not '{text}'.") from None


def number(least: int, most: int, metavar: str = "N") -> Kind:
    """Whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        found = _whole(text)
        if found is None or not least <= found <= most:
            raise Malformed(f"a whole number from {least} to {most}")
        return found

    return Kind(metavar, parse)


def choice(*values: str, metavar: str = "") -> Kind:
    """A text that is one of these values, of which there are several."""

    def parse(text: str) -> str:
        if text not in values:
            raise Malformed(f"{', '.join(values[:-1])} or {values[-1]}")
        return text

    return Kind(metavar or "|".join(values), parse)


def _yes_no(text: str) -> bool:
    """``yes`` or ``no``, as libvirt spells booleans."""
    if text not in ("yes", "no"):
        raise Malformed("yes or no")
    return text == "yes"


def _vlan(text: str) -> Vlan:
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


def limit(*parts: str) -> Kind:
    """The `parts` of a `Limit`, with commas between them: kilobytes of 1000 bytes a second, and burst in KiB. Not all parts may be left empty."""
    form = f"{'[,'.join(parts)}{']' * (len(parts) - 1)}"

    def parse(text: str) -> Limit:
        texts = text.split(",")
        numbers = [_whole(part) for part in texts]
        malformed = any(part and number is None for part, number in zip(texts, numbers, strict=True))
        if malformed or len(texts) > len(parts) or not any(texts):
            raise Malformed(f"{form}, whole numbers in kilobytes (1000 bytes) a second, burst in KiB")
        return Limit(**dict(zip(parts, numbers, strict=False)))

    return Kind(form, parse, is_list=True)


def _teaming(text: str) -> Teaming:
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


NAME = Kind("NAME", str)
YES_NO = Kind("[yes|no]", _yes_no)
VLAN = Kind("ID[,ID…]", _vlan, is_list=True)
TEAMING = Kind("persistent|transient:ALIAS", _teaming)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
