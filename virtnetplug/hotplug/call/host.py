"""What an operation may touch, in one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from virtnetplug.backends import Ground
from virtnetplug.model.operation import Event
from virtnetplug.ports.xen import VifDrivers, VifStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Host(Ground):
    """One hypervisor connection with all that belongs to its host.

    `publish` gets every `Event` as it happens; it must not raise. `vif_store` and `vif_drivers` are None where the hypervisor is not the
    Xen whose dom0 this is.
    """

    publish: Callable[[Event], None]
    vif_store: VifStore | None = None
    vif_drivers: VifDrivers | None = None
