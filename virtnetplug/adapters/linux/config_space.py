"""A PCI device's configuration space, as sysfs's ``config`` gives it (PCI Local Bus Specification 3.0, 6.7 and 6.8)."""

from __future__ import annotations

from collections.abc import Iterator

_STATUS, _HAS_LIST, _POINTER = 0x06, 0x10, 0x34
_MSIX = 0x11
_CONTROL, _ENABLED = 2, 0x8000
OPEN_TO_ALL = 64
"""Bytes that sysfs gives to anybody (``pci_read_config``); the capabilities come after them, and take root."""


def is_msix_enabled(config: bytes) -> bool:
    """Whether MSI-X is switched on, which a driver does and no firmware; False for a device that has none."""
    return any(
        bool(_word(config, place + _CONTROL) & _ENABLED) for kind, place in _capabilities(config) if kind == _MSIX
    )


def _capabilities(config: bytes) -> Iterator[tuple[int, int]]:
    """Kind and place of each in the list; a list that loops or leads out of what was read ends there."""
    if not _word(config, _STATUS) & _HAS_LIST:
        return
    place = config[_POINTER] & ~3
    for _ in range(48):
        if not OPEN_TO_ALL <= place < len(config) - 3:
            return
        yield config[place], place
        place = config[place + 1] & ~3


def _word(config: bytes, place: int) -> int:
    return int.from_bytes(config[place : place + 2], "little")
