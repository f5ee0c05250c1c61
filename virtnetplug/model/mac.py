"""Ethernet addresses as libvirt writes them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from virtnetplug.errors import MacInvalid

_FORM = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
QEMU_OUI = "52:54:00"
"""The prefix libvirt mints NIC addresses under (``virMacAddrGenerate``)."""


@dataclass(frozen=True, order=True, slots=True)
class Mac:
    """A unicast Ethernet address, lower case, colon separated.

    Raises `MacInvalid` for any other form, and for what libvirt refuses for a NIC. These are multicast addresses (lowest bit
    of the first byte set, IEEE 802-2014 8.2), and all zeroes.
    """

    text: str

    def __post_init__(self) -> None:
        text = self.text.strip().lower().replace("-", ":")
        if not _FORM.fullmatch(text):
            raise MacInvalid(f"'{self.text}' is no MAC address; write six hex bytes, as in 52:54:00:12:34:56")
        if int(text[:2], 16) & 1:
            raise MacInvalid(
                f"MAC address {text} is a multicast address (its first byte is odd), which no NIC can own; "
                f"use a unicast one, for example {QEMU_OUI}{text[8:]}"
            )
        if text == "00:00:00:00:00:00":
            raise MacInvalid("the all-zero MAC address cannot be a NIC's; leave it out and one is made for you")
        object.__setattr__(self, "text", text)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def mint(cls) -> Mac:
        """A random address under QEMU's prefix, as ``virMacAddrGenerate`` makes."""
        return cls(QEMU_OUI + "".join(f":{byte:02x}" for byte in os.urandom(3)))
