"""What operations need of a Xen host beside libvirt: its vifs as xenstore has them, and dom0's drivers of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from virtnetplug.lifecycle import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Vif:
    """One vif of a guest. What is not there, or cannot be read as what it should be, is None.

    Nothing but `frontend` is the guest's word: all else is from areas that only the toolstack and the backend may write.
    """

    domain_id: int
    number: int
    backend_domain: int = 0
    """Where the backend runs: 0 unless there is a driver domain."""
    backend: State | None = None
    """None without a backend area; Unknown if the area has no state that can be read."""
    frontend: State | None = None
    is_recorded: bool = False
    """Whether the toolstack has it in its own records (``/libxl``), which outlive what backend and guest do to their areas."""
    is_online: bool = False
    """Whether it is to stay: a detach begins with this."""
    mac: str | None = None
    bridge: str | None = None
    script: str | None = None
    link_name: str | None = None
    """That the hotplug script gives the link instead of the kernel's."""
    rate: str | None = None
    """``BYTES,MICROSECONDS``, as netback obeys it."""
    mtu: int | None = None
    """That the toolstack asked for."""
    hotplug_status: str | None = None
    """``connected`` once the link is where it belongs, ``error``, or empty before; None while no driver is bound."""
    hotplug_error: str | None = None

    @property
    def name(self) -> str:
        """Of its device, on the bus of backends and for its drivers."""
        return f"vif-{self.domain_id}-{self.number}"

    @property
    def link(self) -> str:
        """Name of the backend's link: as the hotplug script was told to call it, or as the kernel does (``xenvif_alloc``)."""
        return self.link_name or f"vif{self.domain_id}.{self.number}"

    def has_link(self, target: str | None) -> bool:
        """Whether a definition means this vif with `target`. libvirt adds ``-emu`` for an HVM guest (``libxlDomainCreateIfaceNames``)."""
        return target is not None and target.removesuffix("-emu") == self.link.removesuffix("-emu")

    @property
    def is_connected(self) -> bool:
        """Both ends are; so are those of a vif whose driver was taken from it, which only `VifDrivers.is_bound` tells."""
        return self.backend is State.CONNECTED and self.frontend is State.CONNECTED


class VifWatch(Protocol):
    """Changes to the areas of one domain's vifs since it was made. Several in a row may be told once."""

    def next(self, timeout: float) -> bool:
        """Wait for a change; False after `timeout` seconds without any."""


class FrontendWatch(Protocol):
    """Whether guests began anew with their ends of vifs since it was made; one whose ring is taken as it is does not."""

    def moved(self) -> frozenset[str]:
        """Names of the vifs whose guest has written its state since, be it the same one. Raises `XenStoreFailed`."""


class VifStore(Protocol):
    """Each method raises `XenStoreFailed` if xenstore cannot be asked."""

    def vifs(self, domain_id: int) -> Sequence[Vif]:
        """Of one domain, by number: all that have an area at either end or are recorded. No snapshot: look again before deciding on it."""

    def vif(self, domain_id: int, number: int) -> Vif | None:
        """An emulated NIC and its fast twin."""

    def process(self, domain_id: int) -> str:
        """What no other domain has had, on this host or after its next boot: boot of dom0, id, time of creation; empty if that is not there."""

    def remains(self) -> frozenset[int]:
        """Ids of domains that have ended, but of whose vifs in dom0 a hotplug script has said something since then."""

    def clear(self, domain_id: int) -> None:
        """Remove what a script has said of the vifs of a domain that has ended; nothing if there is a domain of that id."""

    def watch(self, domain_id: int) -> AbstractContextManager[VifWatch]:
        """Watch the domain's areas; nothing that happens after this returned is missed."""

    def rings(self, vif: Vif) -> Mapping[str, str]:
        """Where the guest said that it has its rings: their references and event channels, by the names it gave them, of each queue."""

    def watch_frontends(self, vifs: Sequence[Vif]) -> AbstractContextManager[FrontendWatch]:
        """Watch the state of these guests' ends; nothing that happens after this returned is missed."""

    def set_plumbed(self, vif: Vif) -> None:
        """Say that its link is where it belongs, as a hotplug script does: the backend waits for this before it connects."""


class VifDrivers(Protocol):
    """dom0's drivers of vifs. Each method raises `HostDeviceFailed` if the kernel refuses."""

    def rebind_obstacle(self) -> str | None:
        """Why a vif of a running guest cannot be unbound and bound again on this host, in a sentence; None if it can."""

    def bound(self) -> frozenset[str]:
        """The names of all vifs that have a driver."""

    def is_bound(self, name: str) -> bool:
        """Whether that vif has one."""

    def link(self, name: str) -> str | None:
        """The name of its link; None while it has no driver."""

    def unbind(self, name: str) -> None:
        """Take its driver from it, and so its link; nothing if it has none."""

    def bind(self, name: str) -> None:
        """Give it its driver; returns when the link is there. Nothing if it has it already."""

    def load(self) -> None:
        """Load the driver if it is not, which gives it to every vif. Nothing else changes."""

    def reload(self) -> None:
        """Load the driver anew, which gives it to every vif without one. No vif may have it."""
