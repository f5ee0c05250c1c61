"""What libvirt says of a device of the host."""

from __future__ import annotations

from virtnetplug.xml.parser import MAX_DEFINITION_BYTES, root_from


def node_device_driver(text: str) -> str | None:
    """The kernel driver that a ``<device>`` document names, None where nothing drives it."""
    return root_from(text, "device", limit=MAX_DEFINITION_BYTES).findtext("driver/name") or None
