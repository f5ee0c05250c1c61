"""Whether MSI-X is on, as the configuration spaces of an igbvf say it: its list is MSI-X at 0x70, then PCI Express at 0xa0."""

from __future__ import annotations

import pytest

from virtnetplug.adapters.linux.pci import is_msix_enabled


def config(*, msix: int | None = 0x0002, status: int = 0x0010, first: int = 0x70, size: int = 256) -> bytearray:
    """The configuration space of a VF: `msix` is its message control, None without the capability."""
    found = bytearray(256)
    found[0x06:0x08] = status.to_bytes(2, "little")
    found[0x34] = first
    found[0x70:0x72] = bytes([0x11 if msix is not None else 0x05, 0xA0])
    found[0x72:0x74] = (msix or 0).to_bytes(2, "little")
    found[0xA0:0xA2] = bytes([0x10, 0x00])
    return found[:size]


@pytest.mark.parametrize(
    ("space", "is_on"),
    [
        (config(msix=0x0002), False),
        (config(msix=0x8002), True),
        (config(msix=0xC002), True),  # masked as a whole, and on
        (config(msix=None), False),
        (config(msix=0x8002, status=0), False),  # no list, whatever stands there
        (config(msix=0x8002, first=0x73), True),  # the two lowest bits are reserved
        (config(msix=0x8002, first=0), False),
        (config(msix=0x8002, size=0x72), False),
        (bytearray(b"\xff" * 256), False),  # a device that does not answer
        (bytearray(), False),
    ],
)
def test_the_enable_bit(space: bytearray, is_on: bool) -> None:
    assert is_msix_enabled(bytes(space)) is is_on


def test_a_list_that_loops_ends() -> None:
    space = config(msix=None)
    space[0xA1] = 0x70
    assert not is_msix_enabled(bytes(space))


def test_one_further_down_the_list() -> None:
    space = config(msix=None)
    space[0xA0:0xA4] = bytes([0x11, 0x00, 0x02, 0x80])
    assert is_msix_enabled(bytes(space))
