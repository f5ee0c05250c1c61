"""What operations need of a Xen host beside libvirt: the vifs as xenstore has them, and dom0's drivers of vifs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from virtnetplug.lifecycle import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Vif:
    """One vif of a guest. A field that xenstore does not have, or whose value makes no sense, is None.

    Only `frontend` comes from the guest: all else comes from areas that only the toolstack and the backend may write.
    """

    domain_id: int
    number: int
    backend_domain: int = 0
    """The domain of the backend: 0 unless there is a driver domain."""
    backend: State | None = None
    """None without a backend area; Unknown if the area has no state that can be read."""
    frontend: State | None = None
    is_recorded: bool = False
    """Whether the toolstack has the vif in its own records (``/libxl``), which outlive what backend and guest do to their areas."""
    is_online: bool = False
    """False from the beginning of a detach on."""
    mac: str | None = None
    bridge: str | None = None
    script: str | None = None
    link_name: str | None = None
    """The name that the hotplug script gives the link instead of the kernel's name."""
    rate: str | None = None
    """``BYTES,MICROSECONDS``, as netback obeys it."""
    mtu: int | None = None
    """The MTU that the toolstack asked for."""
    hotplug_status: str | None = None
    """``connected`` once the link is in its bridge, ``error``, or empty before; None while no driver is bound."""
    hotplug_error: str | None = None

    @property
    def name(self) -> str:
        """The name of the vif's device, on the bus of backends and for its drivers."""
        return f"vif-{self.domain_id}-{self.number}"

    @property
    def link(self) -> str:
        """The name of the backend's link: as the hotplug script calls it, or as the kernel does (``xenvif_alloc``)."""
        return self.link_name or f"vif{self.domain_id}.{self.number}"

    def has_link(self, target: str | None) -> bool:
        """Whether `target` in a definition means this vif. libvirt adds ``-emu`` for an HVM guest (``libxlDomainCreateIfaceNames``)."""
        return target is not None and target.removesuffix("-emu") == self.link.removesuffix("-emu")

    @property
    def is_connected(self) -> bool:
        """Whether both ends are connected. They stay connected without a driver, which only `VifDrivers.is_bound` shows."""
        return self.backend is State.CONNECTED and self.frontend is State.CONNECTED


class VifWatch(Protocol):
    """Changes to the areas of one domain's vifs since the watch was made. Several changes in a row may be reported as one."""

    def next(self, timeout: float) -> bool:
        """Wait for a change; False after `timeout` seconds without a change."""


class FrontendWatch(Protocol):
    """Which guests have connected their ends of vifs anew since the watch was made; a guest whose rings are taken as they are does not."""

    def moved(self) -> frozenset[str]:
        """Names of the vifs whose guest has written its state since, even the same state. Raises `XenStoreFailed`."""


class VifStore(Protocol):
    """Each method raises `XenStoreFailed` if xenstore cannot be asked."""

    def vifs(self, domain_id: int) -> Sequence[Vif]:
        """The vifs of one domain that have an area at either end or a record, by number. No snapshot: look again before a decision."""

    def vif(self, domain_id: int, number: int) -> Vif | None:
        """The vif of that number, or None."""

    def process(self, domain_id: int) -> str:
        """A name that no other domain has, even after dom0's next boot: boot of dom0, id, time of creation; empty if xenstore lacks it."""

    def remains(self) -> frozenset[int]:
        """Ids of ended domains for whose vifs in dom0 a hotplug script has written something after the end."""

    def clear(self, domain_id: int) -> None:
        """Remove what a script has written for the vifs of an ended domain; nothing if there is a domain of that id."""

    def watch(self, domain_id: int) -> AbstractContextManager[VifWatch]:
        """Watch the domain's areas; no change after the call returns is missed."""

    def rings(self, vif: Vif) -> Mapping[str, str]:
        """The guest's rings as the guest wrote them: references and event channels of each queue, by the names of their nodes."""

    def watch_frontends(self, vifs: Sequence[Vif]) -> AbstractContextManager[FrontendWatch]:
        """Watch the states of these vifs' frontends; no change after the call returns is missed."""

    def set_plumbed(self, vif: Vif) -> None:
        """Report that the vif's link is in its bridge, as a hotplug script does: the backend waits for this before it connects."""


class VifDrivers(Protocol):
    """dom0's drivers of vifs. Each method raises `HostDeviceFailed` if the kernel refuses."""

    def rebind_obstacle(self) -> str | None:
        """Why a vif of a running guest cannot be unbound and bound again on this host, a sentence; None if it can."""

    def bound(self) -> frozenset[str]:
        """The names of all vifs that have a driver."""

    def is_bound(self, name: str) -> bool:
        """Whether that vif has a driver."""

    def link(self, name: str) -> str | None:
        """The name of the vif's link; None while the vif has no driver."""

    def unbind(self, name: str) -> None:
        """Unbind the driver of a vif, which removes its link; nothing if the vif has no driver."""

    def bind(self, name: str) -> None:
        """Bind a vif to its driver; returns when the link is there. Nothing if the vif has its driver already."""

    def load(self) -> None:
        """Load the driver if it is not loaded, which binds every vif. Nothing else changes."""

    def reload(self) -> None:
        """Load the driver anew, which binds every vif. No vif may be bound."""
