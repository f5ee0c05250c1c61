"""What operations need of a hypervisor. `adapters.libvirt` implements it, and so does a fake in the tests."""

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
    """The power state of a domain: ``virDomainState``, reduced to what matters here."""

    RUNNING = "running"
    PAUSED = "paused"
    SHUTOFF = "shutoff"


class HowEnded(enum.StrEnum):
    """How a run of a domain ended, as far as anybody knows."""

    SHUT_DOWN = "shutdown"
    DESTROYED = "destroyed"
    CRASHED = "crashed"
    OVER = "over"
    """The end is not known, but the domain was started anew since: the guest was not saved, and has not left."""
    SAVED = "saved"
    MIGRATED = "migrated"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether the guest is gone for good, and its hot-plugged NICs with it."""
        return self in (HowEnded.SHUT_DOWN, HowEnded.DESTROYED, HowEnded.CRASHED, HowEnded.OVER)


class HowBegan(enum.StrEnum):
    """How the process that runs a domain came to its guest, as far as the hypervisor still knows."""

    BOOTED = "booted"
    RESTORED = "restored"
    """The guest comes from an image or a snapshot of its memory."""
    MIGRATED = "migrated"
    UNKNOWN = "unknown"
    """libvirt keeps one reason: when a guest is resumed, "resumed" replaces "booted" or "restored"."""


FOR_MIGRATION = "paused for a migration"
"""`DomainState.paused_reason` of a guest that is being migrated, or whose migration broke off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainState:
    """The state of a domain. `id` is -1 when the domain does not run; `job` names a running job (migration, save, …), else empty.

    `end` is how the last run ended, if the domain does not run: the hypervisor's daemon forgets the end when the daemon is restarted.
    `began` is how a running domain came to its guest.
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
        """Whether the guest existed before, in an image or on another host."""
        return self.began in (HowBegan.RESTORED, HowBegan.MIGRATED)

    @property
    def has_migrated(self) -> bool:
        """Whether the guest came from another host."""
        return self.began is HowBegan.MIGRATED

    @property
    def is_between_hosts(self) -> bool:
        """Whether the domain is paused for a migration: its guest may run on the other host, and this half may be of no more use."""
        return self.power is PowerState.PAUSED and self.paused_reason == FOR_MIGRATION

    @property
    def is_active(self) -> bool:
        """Whether the domain runs or is paused: then it has a live definition."""
        return self.power is not PowerState.SHUTOFF


class GuestEventKind(enum.StrEnum):
    """The kinds of events that a watch reports."""

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
    """The states of a NIC's ends, as the hypervisor's host itself shows them; None for an end that does not exist."""

    frontend: State | None
    backend: State | None


@dataclass(frozen=True, slots=True)
class Stray:
    """A NIC that the hypervisor's host shows in a running guest, and the live definition does not. `mac` is None if it cannot be read."""

    name: str
    mac: str | None
    bridge: str | None = None

    def is_of(self, net: Interface) -> bool:
        """Whether the stray may be what is left of `net`: the same MAC, and the same bridge if both bridges are known."""
        has_mac = net.mac is not None and self.mac == str(net.mac)
        return has_mac and (None in (self.bridge, net.source_bridge) or self.bridge == net.source_bridge)


@dataclass(frozen=True, slots=True)
class Lack:
    """One wish that the hypervisor does not fulfil: the field of `Interface`, and why, with what to do, in a sentence."""

    field: str
    why: str


class RunEvents:
    """What the events of one run have reported so far; a `Watch` that receives events is one."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.end = HowEnded.UNKNOWN
        self.removed: set[str] = set()
        self.is_between_hosts: bool | None = None

    def has_removed(self, alias: str) -> bool:
        return alias in self.removed

    def hear(self, event: GuestEvent) -> None:
        """Note an event. The first end is the end of the run; later ends are of later runs, or mean that the domain was undefined."""
        if self.end is HowEnded.UNKNOWN:
            self.end = event.end
            if event.kind is GuestEventKind.REMOVED:
                self.removed.add(event.alias)

    def go_on(self) -> None:
        """Note that the domain was restored, or that the guest has returned: then a save or a migration was no end."""
        if self.end in (HowEnded.SAVED, HowEnded.MIGRATED):
            self.end = HowEnded.UNKNOWN
        self.is_between_hosts = False


class Watch(Protocol):
    """Events of one domain, from the moment the watch was made."""

    @property
    def end(self) -> HowEnded:
        """How the watched run ended, from the events; `HowEnded.UNKNOWN` if no event shows it, or if its guest goes on since."""

    @property
    def is_between_hosts(self) -> bool | None:
        """Whether the newest event is a pause for a migration; None if there was neither such a pause nor a resumption."""

    def has_removed(self, alias: str) -> bool:
        """Whether the events show that the guest of that run has released this device."""

    def forget(self) -> None:
        """Watch the current run: events of an earlier run are forgotten."""

    def next(self, timeout: float) -> GuestEvent | None:
        """The next event, or None after `timeout` seconds."""


class Domain(Protocol):
    """One domain. Every call is a look or a single effect; errors are `HypervisorFailed` and its kin, or `ConnectionLost`.

    The answers given here are QEMU's: its host shows no NICs by itself, and the backend of a NIC says what QEMU lacks.
    """

    name: str
    """The domain's name in libvirt."""

    uuid: str
    """The domain's UUID: lower case, with dashes."""

    def state(self) -> DomainState:
        """The current state; raises `DomainMissing` once the domain does not exist any more."""

    def process(self) -> str:
        """A name for what runs the guest now, which no other run has; empty if that cannot be seen, or the domain does not run."""

    def process_began(self) -> float | None:
        """When that process began, in Unix seconds by the current clock; None if that cannot be seen."""

    def xml(self, half: Half) -> str:
        """The whole definition. Raises `DomainNotRunning` if there is no live definition, `DomainTransient` if there is no config."""

    def attach(self, element: str, half: Half) -> None:
        """``virDomainAttachDeviceFlags``."""

    def detach(self, alias: str, half: Half) -> None:
        """``virDomainDetachDeviceAlias``: live, this only asks the guest. Raises `DeviceMissing`, `UnplugInProgress`, `GuestBusy`."""

    def detach_element(self, element: str, half: Half = Half.CONFIG) -> None:
        """``virDomainDetachDeviceFlags``, for a NIC without an alias in the config, or a hypervisor that knows none."""

    def update(self, element: str, half: Half) -> None:
        """``virDomainUpdateDeviceFlags``."""

    def metadata(self, half: Half) -> str | None:
        """virtnetplug's own element in that definition's ``<metadata>``, without its namespace; None if there is none.

        Raises `DomainNotRunning` or `DomainTransient` as `xml` does.
        """

    def set_metadata(self, half: Half, text: str | None) -> None:
        """Replace that element by `text`, written without a namespace; None or an empty text removes the element, if there is one."""

    def travelling(self) -> str | None:
        """The element that the running guest carries with it (`xml.travelling`), without its namespace; None if there is none.

        Raises `DomainNotRunning`.
        """

    def set_travelling(self, text: str | None) -> None:
        """Replace that element by `text`, in the live definition alone; None or an empty text removes the element."""

    def packets_sent(self, target: str) -> int:
        """How many packets the guest has sent through the host device `target` (``virDomainInterfaceStats``)."""

    def evict(self, net: Interface) -> bool:
        """Remove a NIC that libvirt does not know, by the means below libvirt; True once the NIC has gone."""

    evicts_cleanly: bool = False
    """Whether `evict` leaves the domain untainted."""

    def strays(self) -> Sequence[Stray]:
        """NICs of the running guest that are not in the live definition; none if the hypervisor's host shows no NICs by itself.

        Raises `XenStoreFailed` if the host could not be asked.
        """
        return ()

    def ends(self, mac: Mac | str | None, target: str | None = None) -> Ends | None:
        """The ends of a NIC, as of the last look at the live definition; None if the hypervisor's host shows no ends.

        `target` is the name of the NIC's link in the live definition. A NIC without a link has no end.
        """
        return None

    def lacks(self, net: Interface, actual_type: str) -> Sequence[Lack]:
        """What `net` asks for and this domain's hypervisor refuses, or takes and ignores. `actual_type` is the type of the `ActualDevice`."""
        return ()

    takes_by_force: bool = False
    """Whether a detach removes a NIC that the guest does not release; else the detach waits for the guest."""

    changes_in_place: bool = True
    """Whether anything of a running guest's NIC can be changed (`update`) without a detach."""

    def saved_image(self) -> str | None:
        """The definition in the domain's managed-save image; None without an image, empty if the definition cannot be read."""

    def await_idle(self) -> None:
        """Return once no other call changes the domain: the call of a killed client goes on."""

    def watch(self) -> AbstractContextManager[Watch]:
        """Begin to collect this domain's events."""


class Hypervisor(Protocol):
    """A connection to a hypervisor."""

    uri: str
    """The canonical URI, as the hypervisor gives it."""

    key: str
    """The identity of the hypervisor, however its URI is spelled: the driver, and the daemon that answers.

    Each daemon, and each user's daemon, has a key of its own, which is the same after a restart. On this host the key costs no call.
    """

    is_local: bool
    """Whether the hypervisor's host is this one, so that taps and bridges can be looked at."""

    def domain(self, name: str) -> Domain:
        """The domain of that name, UUID or id; raises `DomainMissing`."""

    def domains(self) -> Iterable[Domain]:
        """All domains."""

    def running(self) -> Iterable[Domain]:
        """The domains that run, from one look."""

    def definitions(self) -> Iterable[tuple[Domain, DomainState]]:
        """All domains with their states, as cheaply as the hypervisor can."""

    def nic_models(self, domain_xml: str) -> frozenset[str] | None:
        """The NIC models that this domain's emulator offers; None if they cannot be known."""

    def close(self) -> None:
        """Release the connection; safe twice."""
