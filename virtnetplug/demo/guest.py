"""The guest of the demo and the tests: a boot sector that answers PCI unplug requests and does nothing else.

Its source is ``contrib/guest/guest.S``; ``make guest`` assembles it and writes the code below.
"""

from __future__ import annotations

import math
from typing import Literal

READY = b"READY\n"
"""What the guest writes to its first serial port once it runs."""

HOLD = b"h"
"""Sent to the guest's first serial port: release no device from now on. The guest echoes the order once it obeys."""

ACKNOWLEDGE = b"a"
"""Sent to the guest's first serial port: release devices again."""

TICKS_PER_SECOND = 1193182 / 65536
"""The rate of the BIOS timer: the guest looks for requests at each tick."""

IMAGE_BYTES = 1 << 20
"""A virtio disk of a single sector is none to a q35 BIOS."""

_MODE_AT = 507
_CODE = bytes.fromhex(
    "ea057c000031c08ed88ed0bc007cfcbafb03b080eebaf803b001ee42b000ee4242b003eebd00aebaf80c66b800000080"
    "66efbafc0c66ed663d868037127403bdc00cbed17cace879003c0a75f8fbf4bafd03eca801740abaf803eca2fb7de861"
    "0030db6631c989ea83c2106689c866ef83ea0c66ed6685c07438fec3668b3e6c04803ed77c007509fe06d77c66893ed8"
    "7c803efb7d68741a662b3ed87c660fb736fc7d6639f7720a83c20466ef83ea04ebc14183f92872ae84db7591881ed77c"
    "eb8b50bafd03eca82074fb58baf803eec352454144590a"
)


def image(mode: Literal["acknowledge", "hold"] = "acknowledge", delay_seconds: float = 0.0) -> bytes:
    """A raw disk image to boot from. Each VM needs its own, as QEMU locks the image.

    The guest releases a device `delay_seconds` (0 to 3000, to one 18th of a second) after it was asked. In mode ``hold`` the guest
    releases none until `ACKNOWLEDGE` or a reset. Raises `ValueError` for a delay out of range.
    """
    if not 0 <= delay_seconds <= 3000:  # the ticks have two bytes
        raise ValueError(f"a delay is from 0 to 3000 seconds, not {delay_seconds}")
    delay = math.ceil(delay_seconds * TICKS_PER_SECOND)
    sector = _CODE.ljust(_MODE_AT, b"\0") + (HOLD if mode == "hold" else ACKNOWLEDGE)
    return (sector + delay.to_bytes(2, "little") + b"\x55\xaa").ljust(IMAGE_BYTES, b"\0")
