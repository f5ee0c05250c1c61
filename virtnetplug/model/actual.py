"""The actual device: what a request resolves to."""

from __future__ import annotations

from dataclasses import dataclass

from virtnetplug.model.interface import Limit, VirtualPort, Vlan
from virtnetplug.model.pci import PciAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class ActualDevice:
    """What ``networkAllocateActualDevice`` would realise for a request.

    `type` is the actual type (``bridge``, ``direct``, ``hostdev``, ``user``, …), never ``network``
    unless libvirt keeps it so (a NAT or routed network, whose tap joins `bridge`).
    """

    type: str
    network: str | None = None
    portgroup: str | None = None
    bridge: str | None = None
    dev: str | None = None
    mode: str | None = None
    host_address: PciAddress | None = None
    vlan: Vlan | None = None
    virtualport: VirtualPort | None = None
    bandwidth_inbound: Limit | None = None
    bandwidth_outbound: Limit | None = None
    port_isolated: bool | None = None
    trust_guest_rx_filters: bool | None = None
    mtu: int | None = None
