"""What an operation may touch, in one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from virtnetplug.model.operation import Event
from virtnetplug.ports.clock import Clock
from virtnetplug.ports.domain import Hypervisor
from virtnetplug.ports.host_devices import HostDevices, NodeDevices
from virtnetplug.ports.links import HostLinks
from virtnetplug.ports.network import Networks
from virtnetplug.ports.store import Journal
from virtnetplug.ports.xen import VifDrivers, VifStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One hypervisor connection with all that belongs to its host.

    `publish` gets every `Event` as it happens; it must not raise. `vif_store` and `vif_drivers` are None where the hypervisor is not the
    Xen whose dom0 this is.
    """

    hypervisor: Hypervisor
    networks: Networks
    links: HostLinks
    host_devices: HostDevices
    nodedevs: NodeDevices
    journal: Journal
    clock: Clock
    publish: Callable[[Event], None]
    vif_store: VifStore | None = None
    vif_drivers: VifDrivers | None = None
