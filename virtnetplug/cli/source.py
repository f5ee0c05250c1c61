"""XML a person hands in: from a file or from standard input, never more than a NIC can need."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import BinaryIO

from virtnetplug.errors import UsageError, XmlInvalid, XmlTooLarge

MAX_XML = 1 << 20
"""Bytes; a NIC's element is a few hundred."""


def read_elements(names: Sequence[str]) -> list[str]:
    """The text of each file, ``-`` (once) being standard input; raises `XmlTooLarge` after `MAX_XML` + 1 bytes."""
    if names.count("-") > 1:
        raise UsageError("Standard input can be read once; give --xml - only once, and files for the rest.")
    return [_read(name) for name in names]


def _read(name: str) -> str:
    called = "standard input" if name == "-" else f"'{name}'"
    try:
        if name == "-":
            data = _limited(sys.stdin.buffer)
        else:
            with open(name, "rb", buffering=0) as file:
                data = _limited(file)
    except OSError as error:
        raise UsageError(
            f"{called} cannot be read ({error.strerror}); give --xml a readable file, or - for standard input."
        ) from error
    if len(data) > MAX_XML:
        raise XmlTooLarge(
            f"The XML in {called} is larger than {MAX_XML // 1024} KiB, and a NIC's is a few hundred bytes; "
            "give the <interface> element alone."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise XmlInvalid(f"The XML in {called} is not UTF-8 (byte {error.start}); save it as UTF-8.") from error


def _limited(file: BinaryIO) -> bytes:
    """All of `file`, but never more than one byte above the limit; an unbuffered read may return less than asked."""
    data = bytearray()
    while len(data) <= MAX_XML and (piece := file.read(MAX_XML + 1 - len(data))):
        data += piece
    return bytes(data)
