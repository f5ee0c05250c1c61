"""Kinds of host backend: what stands on the host behind a NIC, and how it comes and goes.

One file per kind, and beside it the modules of its parts where it has many. A backend works on the host alone; the guest's side
(attach, detach, waiting) is `hotplug`'s, which calls a backend's methods in this order: `refusals` before anything is touched,
`plug` before the guest gets the NIC, `probe` at any time, `unplug` after the guest has let go or an attach is undone.

A third party adds a kind with an entry point in the group ``virtnetplug.backends`` that names an instance of it; it is asked about
actual types that no backend here serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol, TypeVar

from virtnetplug.errors import NotSupported
from virtnetplug.lifecycle import State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.holding import Setting
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase, Refusal
from virtnetplug.model.pci import PciAddress
from virtnetplug.model.run import Run
from virtnetplug.ports.clock import Clock
from virtnetplug.ports.domain import Domain, Hypervisor
from virtnetplug.ports.host_devices import HostDevices, NodeDevices
from virtnetplug.ports.links import HostLinks
from virtnetplug.ports.network import Networks
from virtnetplug.ports.store import Journal

T = TypeVar("T")

GROUP = "virtnetplug.backends"

ATTACH_ASSIGNED, RELEASE_ASSIGNED = "attach_hostdev", "pci_reattach"
"""The steps in which a guest is given an assigned device, and in which the host has it again."""


class Ground(Protocol):
    """What of the host a backend may look at and touch."""

    @property
    def hypervisor(self) -> Hypervisor:
        """The connection."""

    @property
    def networks(self) -> Networks:
        """libvirt's networks."""

    @property
    def links(self) -> HostLinks:
        """The host's links."""

    @property
    def host_devices(self) -> HostDevices:
        """The host's SR-IOV devices."""

    @property
    def nodedevs(self) -> NodeDevices:
        """Who drives them."""

    @property
    def journal(self) -> Journal:
        """What survives this process."""

    @property
    def clock(self) -> Clock:
        """The time."""


class Steps(Protocol):
    """The operation a backend does its part of; `hotplug.engine.transaction.Transaction`."""

    def note(self, name: str, nic: str, run: Callable[[], T], *, half: Half | None = None) -> T:
        """Run a planned step that changes nothing outside the journal."""

    def effect(self, name: str, nic: str, run: Callable[[], T], *, half: Half | None = None) -> T:
        """Run a planned step that changes something; `unplug` makes it not have happened, however far it got."""

    def warn(self, text: str) -> None:
        """Something the caller should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One NIC to be plugged for one run (`run`) of a domain.

    `settings` are what an assigned device shall have beyond what libvirt sets, by field name of `VfSettings`. `again` is the device that
    the NIC had a moment ago: it gets that one, if anybody can. Of a pool it gets `only` that device, where one is said, and never `avoid`.
    """

    domain: Domain
    run: Run
    net: Interface
    actual: ActualDevice
    operation_id: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    again: PciAddress | None = None
    only: PciAddress | None = None
    avoid: PciAddress | None = None


class Backend(Protocol):
    """One kind of host backend."""

    @property
    def plug_steps(self) -> Sequence[tuple[str, Phase]]:
        """The steps `plug` runs, in order, for plans and the journal."""

    @property
    def attach_step(self) -> str:
        """What giving the NIC to the guest is called: for an emulated NIC it is also what makes its host end."""

    @property
    def release_step(self) -> str:
        """What `unplug` is called in plans and the journal."""

    def serves(self, actual: ActualDevice) -> bool:
        """Whether this kind realises that actual device."""

    def refusals(
        self, ground: Ground, net: Interface, actual: ActualDevice, leaving: Interface | None = None
    ) -> Sequence[Refusal]:
        """What speaks against plugging it, once `leaving` has gone, which the guest has in its place. Touches nothing."""

    def plug(self, ground: Ground, order: Order, steps: Steps) -> Interface:
        """Make the host's side ready, each effect a step; returns the net to give to the guest. `unplug` is what undoes all of it."""

    def unplug(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[str]:
        """Give back what `plug` took, as far as it is held and no guest has it; safe twice, and after a crash. Returns warnings."""

    def probe(self, ground: Ground, net: Interface) -> State | None:
        """What the host shows of the backend of a NIC that a guest has; None if it shows nothing."""


def backend_for(actual: ActualDevice) -> Backend:
    """The backend that realises `actual`; raises `NotSupported` if none does."""
    for kinds in (_emulated, _assigned, _third_party):
        for backend in kinds():
            if backend.serves(actual):
                return backend
    raise NotSupported(f"no backend of this version realises a NIC whose actual type is '{actual.type}'")


def backend_of(net: Interface) -> Backend:
    """The backend of a NIC that a guest has: its live element says what it is."""
    return backend_for(ActualDevice(type=net.type, bridge=net.source_bridge, dev=net.source_dev))


@cache
def _emulated() -> tuple[Backend, ...]:
    from virtnetplug.backends.emulated import Emulated

    return (Emulated(),)


@cache
def _assigned() -> tuple[Backend, ...]:
    from virtnetplug.backends.hostdev import AssignedDevice

    return (AssignedDevice(),)


@cache
def _third_party() -> tuple[Backend, ...]:
    # imported here: it costs 20 ms, and only an actual type unknown to this package needs it
    from importlib.metadata import entry_points

    return tuple(point.load() for point in entry_points(group=GROUP))
