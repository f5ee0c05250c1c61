"""What the two ends of a lab's serial line say to each other; this file is used at both.

A frame is one byte of kind, four of length (big endian), and that many bytes. ``CONTROL`` frames hold a JSON object:
from inside ``{"stage": …}``, ``{"ready": true}``, ``{"failed": …}``, ``{"exit": CODE}``; from outside
``{"run": [COMMAND…], "terminal": {…}}``, ``{"resize": [rows, columns]}``, ``{"off": true}``.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

PORT = "lab"
"""The name of the virtio-serial port. Not a UART: that one echoes what it is sent before anyone made it raw."""

CONTROL, OUTPUT, INPUT = b"c", b"o", b"i"
_HEADER = struct.Struct(">cI")


def frame(kind: bytes, payload: bytes) -> bytes:
    """One frame, to be written whole."""
    return _HEADER.pack(kind, len(payload)) + payload


def control(**message: Any) -> bytes:
    """A ``CONTROL`` frame."""
    return frame(CONTROL, json.dumps(message).encode())


class Reader:
    """Puts together the frames of a stream that arrives in pieces."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The frames that are whole with `data`, as kind and payload. Raises `ValueError` for what is no frame."""
        self._pending += data
        while len(self._pending) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._pending)
            if kind not in (CONTROL, OUTPUT, INPUT):
                raise ValueError(f"no frame begins with {self._pending[:16]!r}")
            end = _HEADER.size + length
            if len(self._pending) < end:
                return
            payload, self._pending = self._pending[_HEADER.size : end], self._pending[end:]
            yield kind, payload
