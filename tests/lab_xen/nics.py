"""Elements of NICs for the Xen lab's guest, called after the number in their MACs and addresses (`guest.MAC`)."""

from __future__ import annotations

from tests.lab_xen.guest import BRIDGE, MAC


def vif_nic(number: int, *, source: str = f"bridge='{BRIDGE}'", more: str = "") -> str:
    """``ua-nicN`` on the lab's bridge, or on a network as in ``network='lab'``."""
    kind = source.partition("=")[0]
    return (
        f"<interface type='{kind}'><mac address='{MAC.format(number)}'/><source {source}/>{more}"
        f"<alias name='ua-nic{number}'/></interface>"
    )
