"""What an operation may touch: the host in one value, and the domain as one call sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from virtnetplug import xml
from virtnetplug.backends import Ground
from virtnetplug.model.operation import Event, Half
from virtnetplug.ports.domain import Domain
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


class WatchedDomain:
    """A domain for one operation: every call goes through to it.

    `has_metadata` says whether the operation has seen that the domain keeps anything of ours. Only then are the policies of the domain
    looked at, so that no other domain pays for them.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain, self.has_metadata = domain, False

    def xml(self, half: Half) -> str:
        text = self._domain.xml(half)
        self.has_metadata |= xml.NAMESPACE in text
        return text

    def set_metadata(self, half: Half, text: str | None) -> None:
        self.has_metadata = True
        self._domain.set_metadata(half, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._domain, name)
