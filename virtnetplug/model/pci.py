"""PCI addresses, on the host and in the guest."""

from __future__ import annotations

import re
from dataclasses import dataclass

from virtnetplug.errors import PciAddressInvalid

_FORM = re.compile(r"(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,4}):([0-9a-f]{1,4})\.([0-9a-f]{1,2})", re.IGNORECASE)
LIMITS = {"domain": 0xFFFF, "bus": 0xFF, "slot": 0x1F, "function": 7}


@dataclass(frozen=True, order=True, slots=True)
class PciAddress:
    """``domain:bus:slot.function``; each part an int within PCI's own limits.

    Limits follow libvirt's ``virPCIDeviceAddressIsValid``: domain 0-0xffff, bus 0-0xff,
    slot 0-0x1f, function 0-7. Raises `PciAddressInvalid` otherwise.
    """

    domain: int
    bus: int
    slot: int
    function: int

    def __post_init__(self) -> None:
        for part, most in LIMITS.items():
            value = getattr(self, part)
            if not 0 <= value <= most:
                raise PciAddressInvalid(
                    f"PCI address {self.domain:04x}:{self.bus:02x}:{self.slot:02x}.{self.function:x} is out of range: "
                    f"its {part} is 0x{value:x}, and a {part} is 0 to 0x{most:x}"
                )

    def __str__(self) -> str:
        return f"{self.domain:04x}:{self.bus:02x}:{self.slot:02x}.{self.function:x}"

    @classmethod
    def parse(cls, text: str) -> PciAddress:
        """From ``0000:01:10.2`` or ``01:10.2`` (hexadecimal, as ``lspci`` writes)."""
        match = _FORM.fullmatch(text.strip())
        if not match:
            raise PciAddressInvalid(f"'{text}' is no PCI address; write it as lspci does, for example 0000:01:10.2")
        domain, bus, slot, function = (int(part or "0", 16) for part in match.groups())
        return cls(domain, bus, slot, function)
