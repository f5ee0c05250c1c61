"""What operations need of a hypervisor. Implemented by `adapters.libvirt`, and by a fake in the tests."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from virtnetplug.lifecycle import State
from virtnetplug.model.interface import Interface
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import Half


class PowerState(enum.StrEnum):
    """Of a domain (``virDomainState``, folded to what matters here)."""

    RUNNING = "running"
    PAUSED = "paused"
    SHUTOFF = "shutoff"


class HowEnded(enum.StrEnum):
    """How a run of a domain ended, as far as it is known."""

    SHUT_DOWN = "shutdown"
    DESTROYED = "destroyed"
    CRASHED = "crashed"
    OVER = "over"
    """It is not known how, but the domain was started anew since: the guest was not saved, and has not left."""
    SAVED = "saved"
    MIGRATED = "migrated"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether the guest is no more, and its hot-plugged NICs with it."""
        return self in (HowEnded.SHUT_DOWN, HowEnded.DESTROYED, HowEnded.CRASHED, HowEnded.OVER)


class HowBegan(enum.StrEnum):
    """How the process that runs a domain came to its guest, as far as the hypervisor still says it."""

    BOOTED = "booted"
    RESTORED = "restored"
    """From an image or a snapshot of its memory."""
    MIGRATED = "migrated"
    UNKNOWN = "unknown"
    """libvirt keeps one reason: that a guest was resumed takes the place of that it was booted or restored."""


FOR_MIGRATION = "paused for a migration"
"""`DomainState.paused_reason` of a guest that is on its way from or to another host, or was when its migration broke off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainState:
    """`id` is -1 when it does not run; `job` names a running job (migration, save, …), else empty.

    `end` says how the last run ended, of a domain that does not run: the hypervisor's daemon forgets it when it is restarted. `began` says how a running
    domain came to its guest.
    """

    power: PowerState
    id: int = -1
    persistent: bool = True
    paused_reason: str = ""
    job: str = ""
    end: HowEnded = HowEnded.UNKNOWN
    began: HowBegan = HowBegan.UNKNOWN

    @property
    def is_restored(self) -> bool:
        """Whether its guest was there before, in an image or on another host."""
        return self.began in (HowBegan.RESTORED, HowBegan.MIGRATED)

    @property
    def has_migrated(self) -> bool:
        """Whether its guest came from another host."""
        return self.began is HowBegan.MIGRATED

    @property
    def is_between_hosts(self) -> bool:
        """Whether it is paused for a migration: its guest runs on the other host, or may, and this half of it may be of no more use."""
        return self.power is PowerState.PAUSED and self.paused_reason == FOR_MIGRATION

    @property
    def is_active(self) -> bool:
        """Running or paused: it has a live definition."""
        return self.power is not PowerState.SHUTOFF


class GuestEventKind(enum.StrEnum):
    """What a watch reports."""

    REMOVED = "removed"  # DEVICE_REMOVED
    REMOVAL_FAILED = "removal-failed"  # DEVICE_REMOVAL_FAILED
    ENDED = "ended"  # the domain stopped, crashed or went away
    LOST = "lost"  # the connection broke: look again


@dataclass(frozen=True, slots=True)
class GuestEvent:
    """`alias` is empty for ENDED and LOST; `end` is set for ENDED only."""

    kind: GuestEventKind
    alias: str = ""
    end: HowEnded = HowEnded.UNKNOWN


@dataclass(frozen=True, slots=True)
class Ends:
    """The states of a NIC's ends, as the hypervisor's host itself shows them; None for an end that is not there."""

    frontend: State | None
    backend: State | None


@dataclass(frozen=True, slots=True)
class Stray:
    """A NIC that the hypervisor's host shows in a running guest, and the live definition does not. `mac` is None where it cannot be read."""

    name: str
    mac: str | None
    bridge: str | None = None

    def is_of(self, net: Interface) -> bool:
        """Whether it may be what is left of `net`: it has the MAC, and no other bridge, as far as both are known."""
        has_mac = net.mac is not None and self.mac == str(net.mac)
        return has_mac and (None in (self.bridge, net.source_bridge) or self.bridge == net.source_bridge)


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing asked of a NIC that the hypervisor does not do: the field of `Interface`, and why, with what to do, in a sentence."""

    field: str
    why: str


class WhatWasTold:
    """What the events of one run told so far: how it ended, and which devices its guest has let go of."""

    def __init__(self) -> None:
        self.end = HowEnded.UNKNOWN
        self.removed: set[str] = set()
        self.is_between_hosts: bool | None = None
        """True from a pause for a migration until the guest is resumed; None if no event told of either."""

    def hear(self, event: GuestEvent) -> None:
        """Note an event. Of several ends the first is that of the run: what follows tells of later ones, or that the domain was undefined."""
        if self.end is HowEnded.UNKNOWN:
            self.end = event.end
            if event.kind is GuestEventKind.REMOVED:
                self.removed.add(event.alias)

    def go_on(self) -> None:
        """The domain was restored, or has come back: an end after which a guest may go on was none."""
        if self.end in (HowEnded.SAVED, HowEnded.MIGRATED):
            self.end = HowEnded.UNKNOWN
        self.is_between_hosts = False


class Watch(Protocol):
    """Events of one domain, from the moment the watch was made."""

    @property
    def end(self) -> HowEnded:
        """How the run ended that is watched, as the events told it; `HowEnded.UNKNOWN` if they did not, or its guest goes on since."""

    @property
    def is_between_hosts(self) -> bool | None:
        """Whether the events told last that the run was paused for a migration; None if they told neither that nor that it was resumed."""

    def has_removed(self, alias: str) -> bool:
        """Whether the events told that the guest of that run has let go of this device."""

    def forget(self) -> None:
        """Watch the run that there is now: what was told of an earlier one says nothing of it."""

    def next(self, timeout: float) -> GuestEvent | None:
        """The next event, or None after `timeout` seconds."""


class Domain(Protocol):
    """One domain. Every call is a look or a single effect; errors are `HypervisorFailed` and its kin, or `ConnectionLost`."""

    @property
    def name(self) -> str:
        """As libvirt has it."""

    @property
    def uuid(self) -> str:
        """Lower case, with dashes."""

    def state(self) -> DomainState:
        """Now; raises `DomainMissing` once it is gone altogether."""

    def process(self) -> str:
        """What runs the guest now, named so that no other run has the same name; empty if that cannot be seen, or it does not run."""

    def process_began(self) -> float | None:
        """When that process began, in Unix seconds by the clock of now; None if that cannot be seen."""

    def xml(self, half: Half) -> str:
        """The whole definition; live raises `DomainNotRunning`, config `DomainTransient`, where there is none."""

    def attach(self, element: str, half: Half) -> None:
        """``virDomainAttachDeviceFlags``."""

    def detach(self, alias: str, half: Half) -> None:
        """``virDomainDetachDeviceAlias``: live, it only asks the guest. Raises `DeviceMissing`, `UnplugInProgress`, `GuestBusy`."""

    def detach_element(self, element: str, half: Half = Half.CONFIG) -> None:
        """``virDomainDetachDeviceFlags``, for a NIC without an alias in the config, or a hypervisor that knows none."""

    def update(self, element: str, half: Half) -> None:
        """``virDomainUpdateDeviceFlags``."""

    def metadata(self, half: Half) -> str | None:
        """virtnetplug's own element of that definition's ``<metadata>``, without its namespace; None where there is none.

        Raises `DomainNotRunning` or `DomainTransient` as `xml` does.
        """

    def set_metadata(self, half: Half, text: str | None) -> None:
        """Replace it by this element, written without a namespace; None or an empty text removes it, and one not there is no error."""

    def travelling(self) -> str | None:
        """What the running guest carries with it (`xml.travelling`), without its namespace; None where it carries nothing.

        Raises `DomainNotRunning`.
        """

    def set_travelling(self, text: str | None) -> None:
        """Replace it by this element, in the live definition alone; None or an empty text removes it."""

    def packets_sent(self, target: str) -> int:
        """Packets the guest sent through the host device `target` so far (``virDomainInterfaceStats``)."""

    def evict(self, net: Interface) -> bool:
        """Have what is below libvirt remove a NIC that libvirt does not know; True once it has gone."""

    @property
    def evicts_cleanly(self) -> bool:
        """Whether `evict` leaves the domain as good as before; else it taints it."""

    def strays(self) -> Sequence[Stray]:
        """NICs of the running guest that are none of the live definition, by MAC and bridge; none where the hypervisor's host shows no NICs by itself.

        Raises `XenStoreFailed` if the host could not be asked.
        """

    def ends(self, mac: Mac | str | None, target: str | None = None) -> Ends | None:
        """Of a NIC, as of the last look at the live definition; None where the hypervisor's host shows no such thing.

        `target` is the name of its link, as the live definition says it. A NIC without one has no end.
        """

    def lacks(self, net: Interface, actual_type: str) -> Sequence[Lack]:
        """What `net` asks for and this domain's hypervisor refuses, or would take and not do. `actual_type` is that of its `ActualDevice`."""

    @property
    def takes_by_force(self) -> bool:
        """Whether a detach takes the NIC from a guest that does not let go; else it waits for that guest."""

    @property
    def changes_in_place(self) -> bool:
        """Whether anything of a running guest's NIC can be changed (`update`) without taking it out."""

    def saved_image(self) -> str | None:
        """The definition in the managed image that the domain was saved to; None if there is no such image.

        Empty if there is one whose definition cannot be read.
        """

    def await_idle(self) -> None:
        """Return once no other call is changing the domain: a killed client does not cancel the call it made."""

    def watch(self) -> AbstractContextManager[Watch]:
        """Begin to collect this domain's events."""


class Hypervisor(Protocol):
    """One connection."""

    @property
    def uri(self) -> str:
        """The canonical URI, as the hypervisor gives it."""

    @property
    def key(self) -> str:
        """Which hypervisor it is, however its URI is spelled: the driver, and the daemon that answers. Another daemon, or one of another user, has another key.

        It is the same after a restart of the daemon. On this host it asks the hypervisor nothing.
        """

    @property
    def is_local(self) -> bool:
        """Whether the hypervisor's host is this one, so that taps and bridges can be looked at."""

    def domain(self, name: str) -> Domain:
        """By name, UUID or id; raises `DomainMissing`."""

    def domains(self) -> Iterable[Domain]:
        """All of them."""

    def running(self) -> Iterable[Domain]:
        """Those that run, as one look has them."""

    def definitions(self) -> Iterable[tuple[Domain, DomainState]]:
        """All domains with their states, as cheaply as the hypervisor can."""

    def nic_models(self, domain_xml: str) -> frozenset[str] | None:
        """The NIC models this domain's emulator offers, or None where it cannot be known."""

    def close(self) -> None:
        """Let go of the connection; safe twice."""
