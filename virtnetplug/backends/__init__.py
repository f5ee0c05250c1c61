"""Kinds of host backend: what the host has behind a NIC, and how it gets there.

Each kind has one class, and modules beside it where it has many parts. A backend works on the host alone. The guest's side
(attach, detach, waiting) belongs to `hotplug`, which calls a backend in this order:

- `refusals` before anything is touched;
- `plug` before the guest gets the NIC, and `configure` once the guest has it;
- `probe` at any time;
- `unplug` after the guest has released the NIC, or when an attach is undone.

Another package adds or replaces a kind with an entry point in the group ``virtnetplug.backends``, which names an instance of a
`Backend`. The backends of other packages are asked first (`third_party`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from virtnetplug.errors import NotSupported
from virtnetplug.lifecycle import State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.audit import Finding
from virtnetplug.model.holding import Setting
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase, Refusal
from virtnetplug.model.pci import PciAddress
from virtnetplug.model.run import Run
from virtnetplug.ports.domain import Domain, Hypervisor
from virtnetplug.ports.host import Clock, HostDevices, HostLinks, Networks, NodeDevices
from virtnetplug.ports.store import Journal
from virtnetplug.resolve import IN_PLACE

if TYPE_CHECKING:
    from virtnetplug.backends.third_party import ThirdParty

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The parts of a host that a backend may look at and change; `hotplug.call.host.Host` has more."""

    hypervisor: Hypervisor
    networks: Networks
    links: HostLinks
    host_devices: HostDevices
    nodedevs: NodeDevices
    journal: Journal
    clock: Clock


class Steps(Protocol):
    """The operation that a backend takes part in; `hotplug.engine.transaction.Transaction`."""

    def note(self, name: str, nic: str, run: Callable[[], T], *, half: Half | None = None) -> T:
        """Run a planned step that changes nothing outside the journal."""

    def effect(self, name: str, nic: str, run: Callable[[], T], *, half: Half | None = None) -> T:
        """Run a planned step that changes something. `unplug` undoes the step, also where the step ended early."""

    def warn(self, text: str) -> None:
        """Tell the caller something that they should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which host device of its pool a NIC gets; None leaves that to the backend. The names are keys in the journal.

    `again` is the device that the NIC had a moment ago: the NIC gets it again, unless another user has it. `only` is the single device
    that the NIC may get, and `avoid` a device that it must not get.
    """

    again: PciAddress | None = None
    only: PciAddress | None = None
    avoid: PciAddress | None = None

    @property
    def written(self) -> dict[str, str]:
        """The choice as the journal keeps it."""
        return {name: str(getattr(self, name) or "") for name in self.__slots__}

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Choice:
        """The choice that the journal has in `entry`; an older version wrote no `only` and no `avoid`."""
        written = {name: entry.get(name) for name in cls.__slots__}
        return cls(**{name: PciAddress.parse(text) for name, text in written.items() if text})


NO_CHOICE = Choice()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One NIC to be plugged for one run (`run`) of a domain.

    `settings` are what the request asks of the host device beyond its element (see `Backend.settings_of`). `refused` are the devices that
    libvirt called busy when this operation attached them, with libvirt's words: the pool lends another device.
    """

    domain: Domain
    run: Run
    net: Interface
    actual: ActualDevice
    operation_id: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    choice: Choice = NO_CHOICE
    refused: Mapping[PciAddress, str] = field(default_factory=dict)


class Backend:
    """One kind of host backend. What a subclass does not say is as for an emulated NIC, whose host end libvirt makes."""

    plug_steps: Sequence[tuple[str, Phase]] = ()
    """The steps that `plug` runs, in order, for plans and the journal."""

    attach_step = "host_net_add"
    """The name of the step that gives the NIC to the guest. A kind whose host end libvirt does not make has a name of its own."""

    release_step = "host_net_remove"
    """The name of the step that calls `unplug`."""

    updatable: Collection[str] = IN_PLACE
    """The fields that libvirt can change while the guest has the NIC. Without any, libvirt never connects the NIC to something else."""

    is_lent = False
    """Whether a pool lends the NIC any of its devices, so that a NIC that is plugged again may have another device."""

    migrates = True
    """Whether a live migration takes the NIC along."""

    locks_memory = False
    """Whether QEMU locks all memory of the guest for such a NIC."""

    is_express = False
    """Whether the NIC takes a PCI Express port of the guest, whatever its model is."""

    linked_types: Collection[str] = ()
    """The actual types whose target is a link of the host: an audit compares them with the host's links."""

    shown_types: Collection[str] = ()
    """The actual types whose two ends a hypervisor's host may show by itself (Xen does)."""

    audited_types: Collection[str] = ()
    """The actual types whose NICs an audit asks `findings` about."""

    def serves(self, actual: ActualDevice) -> bool:
        """Whether this kind realises that actual device."""
        raise NotImplementedError

    def settings_of(self, net: Interface) -> Mapping[str, Setting]:
        """What a request asks of the host device beyond its element. Where there is any, `configure` is a step."""
        return {}

    def refusals(
        self, ground: Ground, net: Interface, actual: ActualDevice, leaving: Interface | None = None
    ) -> Sequence[Refusal]:
        """All reasons why the NIC cannot be plugged once the guest has released `leaving`, which it replaces. Touches nothing."""
        name = net.alias or str(net.mac or f"a {net.type} NIC")
        found = self._reasons(ground, net, actual, leaving)
        return [Refusal(reason=reason, nic=name, message=f"{name} {why}") for reason, why in found]

    def _reasons(
        self, ground: Ground, net: Interface, actual: ActualDevice, leaving: Interface | None
    ) -> Iterable[tuple[str, str]]:
        """The reasons of `refusals`, each with the sentence that follows the NIC's name."""
        return ()

    def plug(self, ground: Ground, order: Order, steps: Steps) -> Interface:
        """Make the host's side ready, each effect a step. Returns the net to give to the guest, with the alias and MAC of
        `order.net`. `unplug` undoes all steps.
        """
        return order.net

    def configure(self, ground: Ground, order: Order, plugged: Interface) -> None:
        """Apply the settings of the order to the host device of `plugged`, which the guest has by now. `unplug` undoes that, too."""

    def unplug(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[str]:
        """Release what `plug` took, as far as no guest has it. Safe twice, and after a crash. Returns warnings."""
        return ()

    def probe(self, ground: Ground, net: Interface) -> State | None:
        """The state that the host shows of the backend of a guest's NIC; None if the host shows nothing."""
        return None

    def findings(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[Finding]:
        """What is wrong on the host behind a guest's NIC. Touches nothing."""
        return ()

    def end_of(self, net: Interface) -> str:
        """The host's end of a guest's NIC, by name: a tap, or a device. Empty if the element does not name the host's end."""
        return net.target_dev or ""

    def device_seen(self, ground: Ground, net: Interface) -> str | None:
        """``vendor:device`` of the host device that the guest sees, empty if not known; None if the guest sees an emulated model."""
        return None

    def link_of(self, ground: Ground, net: Interface) -> tuple[bool, str]:
        """Whether the link of a guest's NIC is up; and if that cannot be changed, why."""
        why = "" if "link_state" in self.updatable else "libvirt cannot change the link of such a NIC"
        return net.link_state != "down", why

    def is_driven(self, ground: Ground, domain: Domain, net: Interface) -> bool:
        """Whether it can be seen that the guest uses the NIC: here, that the guest has sent packets since the plug."""
        return net.target_dev is not None and domain.packets_sent(net.target_dev) > 0


def backend_for(actual: ActualDevice) -> Backend:
    """The backend that realises `actual`: of another package before ours. Raises `NotSupported` if there is none."""
    for backend in known():
        if backend.serves(actual):
            return backend
    why = "; ".join([f"no backend of this version realises a NIC whose actual type is '{actual.type}'", *faults()])
    raise NotSupported(why)


def backend_of(net: Interface) -> Backend:
    """The backend of a NIC that a guest has: its live element says what it is."""
    return backend_for(ActualDevice(type=net.type, bridge=net.source_bridge, dev=net.source_dev))


def are_lent(net: Interface, other: Interface) -> bool:
    """Whether pools lend both NICs their devices: then another device is no sign of another NIC."""
    return backend_of(net).is_lent and backend_of(other).is_lent


def updatable(before: Interface, after: Interface) -> Collection[str]:
    """The fields that libvirt can change of the running NIC `before`, where that becomes `after`."""
    return frozenset(backend_of(before).updatable).intersection(backend_of(after).updatable)


def backend_in(net: Interface, pools: Collection[str]) -> Backend:
    """The backend of a NIC as it is asked for; `pools` are the networks that lend PCI devices."""
    return backend_for(ActualDevice(type="hostdev")) if net.source_network in pools else backend_of(net)


def known() -> Iterator[Backend]:
    """All backends, in the order in which they are asked. Each is imported only if none before it is chosen."""
    yield from _of_others()[0]
    yield _emulated()
    yield _assigned()


def faults() -> tuple[str, ...]:
    """What is wrong with backends of other packages, a sentence each that names package and entry point; none until a backend is asked for."""
    backends, unusable = _of_others() if _of_others.cache_info().currsize else ((), ())
    return (*unusable, *(fault for backend in backends for fault in tuple(backend.faults.values())))


@cache
def types_that(trait: str) -> frozenset[str]:
    """The actual types that any backend names in this trait: ``linked_types``, ``shown_types`` or ``audited_types``."""
    return frozenset().union(*(getattr(backend, trait) for backend in known()))


@cache
def _of_others() -> tuple[tuple[ThirdParty, ...], tuple[str, ...]]:
    from virtnetplug.backends.third_party import installed

    return installed()


@cache
def _emulated() -> Backend:
    from virtnetplug.backends.emulated import Emulated

    return Emulated()


@cache
def _assigned() -> Backend:
    from virtnetplug.backends.hostdev import AssignedDevice

    return AssignedDevice()
