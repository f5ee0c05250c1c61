"""What an operation may touch, in one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from virtnetplug.model.operation import Event
from virtnetplug.ports.clock import Clock
from virtnetplug.ports.domain import Hypervisor
from virtnetplug.ports.links import HostLinks
from virtnetplug.ports.network import Networks
from virtnetplug.ports.store import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One hypervisor connection with all that belongs to its host. `publish` is told every `Event` as it happens."""

    hypervisor: Hypervisor
    networks: Networks
    links: HostLinks
    journal: Journal
    clock: Clock
    publish: Callable[[Event], None]
