"""Every error of virtnetplug, in one tree.

`reason` is stable and machine-readable (JSON, metrics). `exit_code` is the exit code of the command line.
The message is one paragraph that names the fault and the remedy.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

_LONG = re.compile(r"\S{241,}")
"""Longer than any name or path that a person could compare."""


class VirtnetplugError(Exception):
    """Any error that virtnetplug raises on purpose."""

    reason = "internal"
    exit_code = 70
    result = "failed"
    """What the command line's JSON calls the end of a command that raises the error."""

    def __init_subclass__(cls, reason: str = "", exit_code: int = 0, result: str = "") -> None:
        """What the keywords of a subclass do not name is its base's."""
        cls.reason = reason or cls.reason
        cls.exit_code = exit_code or cls.exit_code
        cls.result = result or cls.result

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        self.message = _LONG.sub(lambda word: f"{word.group()[:80]}… ({len(word.group())} characters)", message)
        super().__init__(self.message)
        if reason is not None:
            self.reason = reason
        self.undo_failures: list[str] = []
        """What could not be undone after this error; each item is a sentence."""
        self.warnings: list[str] = []
        """The operation's warnings up to this error, with those of its undos."""


class UsageError(VirtnetplugError, reason="usage", exit_code=2, result="usage"):
    """The call itself makes no sense: a name is missing, or flags exclude each other."""


class Interrupted(VirtnetplugError, reason="interrupted", exit_code=130, result="interrupted"):
    """SIGINT (Ctrl-C), SIGTERM or SIGHUP came. The message says how the operation ended; the exit code is 128 plus the signal's number."""

    def __init__(self, message: str, *, signal: int = 2) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal


class Refused(VirtnetplugError, reason="refused", exit_code=3, result="refused"):
    """The operation was refused before it changed anything."""


class Failed(VirtnetplugError, reason="failed", exit_code=4, result="undone"):
    """The operation failed halfway, and every step was undone."""


class RollbackIncomplete(VirtnetplugError, reason="rollback-incomplete", exit_code=5, result="incomplete"):
    """The operation failed, and a step could not be undone; the journal keeps it for `recover`."""


class LeftPending(VirtnetplugError, reason="pending", exit_code=75, result="pending"):
    """The operation began and is neither done nor undone: the journal keeps it, and `recover` continues it."""


class GuestAway(LeftPending, reason="guest-saved"):
    """The guest was saved before it answered: the request to release the NIC is still open."""


class EndUnknown(LeftPending, reason="end-unknown"):
    """How the run ended is unknown: the guest may have stopped, been saved or been migrated."""


class GuestMigrated(LeftPending, reason="guest-migrated", result="left"):
    """The guest moved to another host. Nobody here can finish or undo the operation, so it is closed as left."""


class LeftInterrupted(LeftPending, Interrupted, reason="interrupted", exit_code=130, result="interrupted"):
    """A signal came, and the operation stays pending: nothing was undone because of the signal."""


class InvariantBroken(Failed, reason="invariant-broken"):
    """Nets and hostdevs disagree: libvirt shows a device that virtnetplug cannot account for."""


class IllegalTransition(Failed, reason="illegal-transition"):
    """The lifecycle table does not allow this change of state."""


# -- requests: nothing was touched ---------------------------------------------------------------


class MacInvalid(Refused, reason="mac-invalid"): ...


class PciAddressInvalid(Refused, reason="pci-address-invalid"): ...


class XmlInvalid(Refused, reason="xml-invalid"):
    """The XML is not well formed, has the wrong root, or is refused by the host's own schema."""


class XmlUnsafe(Refused, reason="xml-unsafe"):
    """The XML has a DTD or an entity. No caller needs these, and they are a known way to attack a parser."""


class XmlTooLarge(Refused, reason="xml-too-large"): ...


class InterfaceTypeUnknown(Refused, reason="interface-type-unknown"): ...


class DomainMissing(Refused, reason="domain-missing"): ...


class DomainNotRunning(Refused, reason="domain-not-running"): ...


class DomainTransient(Refused, reason="domain-transient"):
    """A transient domain has no config scope."""


class DomainBusy(Refused, reason="domain-busy"):
    """A migration, a save or another job owns the domain, or another operation works on it.

    `fact` is the message without its remedy; `interrupt` is a signal that came during the wait for the lock.
    """

    def __init__(self, message: str, *, reason: str | None = None, fact: str = "") -> None:
        super().__init__(message, reason=reason)
        self.fact = fact or message
        self.interrupt: KeyboardInterrupt | None = None


class LockTaken(DomainBusy):
    """Another process or thread held the lock during the whole wait; `process` is its id, if known.

    Callers of the API get `DomainBusy`.
    """

    def __init__(self, message: str, *, process: int | None = None) -> None:
        super().__init__(message)
        self.process = process

    @property
    def who(self) -> str:
        """The holder of the lock, as messages name it."""
        return "another process" if self.process is None else f"process {self.process}"


class NicMissing(Refused, reason="nic-missing"): ...


class NicAmbiguous(Refused, reason="nic-ambiguous"): ...


class PlaceReserved(Refused, reason="place-reserved"):
    """An open operation will need this guest PCI address."""


class NicPending(Refused, reason="nic-pending"):
    """An open operation may still remove this NIC, or add a NIC with the same alias or MAC."""


class DuplicateMac(Refused, reason="duplicate-mac"): ...


class DuplicateAlias(Refused, reason="duplicate-alias"): ...


class NetworkMissing(Refused, reason="network-missing"): ...


class NetworkInactive(Refused, reason="network-inactive"): ...


class PortgroupMissing(Refused, reason="portgroup-missing"): ...


class BridgeMissing(Refused, reason="bridge-missing"): ...


class PortForeign(Refused, reason="port-foreign"):
    """The network port that a NIC names belongs to another NIC."""


class TapForeign(Refused, reason="tap-foreign"):
    """Another domain holds the tap that a NIC names, or no visible domain does."""


class TapMissing(Refused, reason="tap-missing"):
    """The tap that a NIC names does not exist."""


class TapElsewhere(Refused, reason="tap-elsewhere"):
    """The tap is not in the bridge of its definition, or its network has another bridge now."""


class VifUnfit(Refused, reason="vif-unfit"):
    """The vif's driver cannot be reloaded: the guest is not connected, the vif is leaving, or its backend is in another domain."""


class ModelUnknown(Refused, reason="model-unknown"): ...


class NoFreePort(Refused, reason="no-free-port"):
    """The guest has no free PCIe hotplug port, or no free PCI slot."""


class TeamingIncomplete(Refused, reason="teaming-incomplete"): ...


class NeedsReplace(Refused, reason="needs-replace"):
    """libvirt cannot change this in place; a replacement of the NIC can."""


class NotSupported(Refused, reason="not-supported"): ...


class BackendFailed(Refused, reason="backend-failed"):
    """A backend of another package is at fault; the message names the package, its entry point and what went wrong."""


class BackendMissing(Refused, reason="backend-missing"):
    """The backend that plugged a NIC is not installed any more, so nothing can undo what the backend did on the host."""


class ConnectionFailed(Refused, reason="connection-failed"):
    """The hypervisor did not answer at all; nothing was started."""


class EventLoopConflict(Refused, reason="event-loop-conflict"): ...


class JournalReadOnly(Refused, reason="journal-read-only"): ...


class JournalNewer(Refused, reason="journal-newer"): ...


class JournalFull(Refused, reason="journal-full"): ...


class JournalBroken(Refused, reason="journal-broken"): ...


class JournalMoved(JournalBroken, reason="journal-moved"):
    """The journal's path leads to another file now, or to none."""


class ClaimTaken(Refused, reason="claim-taken"):
    """Another NIC or operation holds this host device, or the device is quarantined."""


class HostDeviceMissing(Refused, reason="host-device-missing"):
    """The host has no PCI device at this address."""


class HostDeviceBusy(Refused, reason="host-device-busy"):
    """A domain has this device, or a process holds its VFIO group."""


class HostDeviceUnfit(Refused, reason="host-device-unfit"):
    """The device cannot be lent: it is no VF, lacks a requested setting, or shares its IOMMU group with a device in use."""


class VfChanged(Refused, reason="vf-changed"):
    """The VF differs from the journal: somebody set its MAC or VLAN, or another VF has its address. The VF is not changed."""


class VfHeld(Refused, reason="vf-held"):
    """A VF of the PF is quarantined, or the host, a process or a plain ``<hostdev>`` has it."""


class TooFewVfs(Refused, reason="too-few-vfs"):
    """The guests have more VFs than would be left."""


class PfInUse(Refused, reason="pf-in-use"):
    """A VLAN, a macvtap or the like on the PF's network interface would be lost."""


class PfPending(Refused, reason="pf-pending"):
    """Another operation on this PF is open."""


class Outage(Refused, reason="outage"):
    """Guests without a teaming partner would lose their network meanwhile, unless the caller allows the outage."""


class PoolExhausted(Refused, reason="pool-exhausted"):
    """No VF of the pool is free."""


class VlanInvalid(Refused, reason="vlan-invalid"): ...


class MetadataInvalid(Refused, reason="metadata-invalid"):
    """virtnetplug cannot read its element in the domain's metadata, and leaves the element unchanged."""


class ForgetRefused(Refused, reason="forget-refused"):
    """`recover` was asked to forget an operation that is not open, or that can be settled."""


class MetadataTooNew(Refused, reason="metadata-too-new"):
    """A newer virtnetplug wrote the domain's metadata."""


class IdentityMissing(Refused, reason="identity-missing"):
    """The domain's metadata has no identity of that NIC."""


class IdentityConflict(Refused, reason="identity-conflict"):
    """Two NICs would have the same identity, or one NIC would have two."""


class FilterLoss(Refused, reason="filter-loss"):
    """The NIC's traffic would no longer be filtered."""


# -- effects -------------------------------------------------------------------------------------


class HypervisorFailed(Failed, reason="hypervisor-failed"):
    """The hypervisor refused or failed a call; the message is the hypervisor's."""

    def __init__(self, message: str, *, code: int = 0, reason: str | None = None) -> None:
        super().__init__(message, reason=reason)
        self.code = code


class DeviceMissing(HypervisorFailed, reason="device-missing"):
    """The hypervisor has no such device (any more)."""


class UnplugInProgress(HypervisorFailed, reason="unplug-in-progress"):
    """The guest was asked to release this device before."""


class EmulatorLost(HypervisorFailed):
    """QEMU's monitor broke during the call: QEMU died or is dying, and libvirt ends the domain."""


class AliasTaken(HypervisorFailed):
    """The hypervisor refused the device before it did anything: another device has its alias."""


class GuestBusy(HypervisorFailed, reason="guest-busy"):
    """The guest's slot is busy (its PCIe power indicator blinks); a later attempt works."""


class RemovalFailed(Failed, reason="removal-failed"):
    """The guest refused to release the device (DEVICE_REMOVAL_FAILED)."""


class TwinGone(Failed, reason="twin-gone"):
    """A policy wanted to unplug an emulated NIC because its fast twin serves, but the twin left or may leave."""


class NotApplied(Failed, reason="not-applied"):
    """libvirt reported success and changed nothing."""


class NicChanged(NotApplied, reason="nic-changed"):
    """Somebody connected the NIC elsewhere after virtnetplug looked at it: the NIC stays as it is."""


class OperationGone(Failed, reason="operation-gone"):
    """The journal lacks the operation's row: the journal was moved, removed or restored. No other call can undo the operation."""


class HookFailed(Failed, reason="hook-failed"):
    """The firmware hook could not be run, or its exit status reports a failure."""


class HostDeviceFailed(Failed, reason="host-device-failed"):
    """The kernel refused to change a host device; the message names the change."""


class XenStoreFailed(Failed, reason="xenstore-failed"):
    """xenstore did not answer, or did not do what virtnetplug asked; the message says why."""


class VifNotConnected(RollbackIncomplete, reason="vif-not-connected"):
    """The vif's driver was reloaded, but backend and guest did not both connect again; the message has both states."""


class OperationTaken(RollbackIncomplete, reason="operation-taken"):
    """Another call settled the operation, continues it, or may do so. This call wrote nothing."""


class Orphaned(RollbackIncomplete, reason="orphan-tap"):
    """The guest has a NIC that the hypervisor does not know; the undo is incomplete as long as the guest has the NIC."""


class ConnectionLost(RollbackIncomplete, reason="connection-lost"):
    """The connection broke halfway; the journal keeps the operation, and `recover` settles it."""


def call(method: str, *arguments: object, **options: object) -> str:
    """A call of the `Plugger`, as a message names it: ``recover('web1', wait=60)`` in backticks.

    Parameters are named likewise, such as ``scope=Scope.CONFIG``. The command line puts its own command or flag there.
    """
    words = [*map(_word, arguments), *(f"{name}={_word(value)}" for name, value in options.items())]
    return f"`{method}({', '.join(words)})`"


def _word(value: object) -> str:
    return f"{type(value).__name__}.{value.name}" if isinstance(value, enum.Enum) else repr(value).replace("`", "\\x60")


def sentence(text: str) -> str:
    """The text with a full stop, so that another sentence can follow."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def unfinished_from(first: VirtnetplugError, operation: str) -> RollbackIncomplete:
    """`first`, as the error of an operation that can no longer be undone."""
    left = f"The {operation} can no longer be undone, and it has not ended."
    error = RollbackIncomplete(f"{sentence(first.message)} {left} The journal keeps it: `recover()` goes on with it.")
    error.undo_failures = [left]
    return error


def incomplete_from(first: VirtnetplugError, failures: Sequence[str]) -> RollbackIncomplete:
    """`first`, as the error of an operation whose undo failed; `failures` say which steps remain."""
    left = "; ".join(failures)
    error = RollbackIncomplete(
        f"{sentence(first.message)} Undoing it did not finish either ({left}). The journal keeps it: run `recover()`."
    )
    error.undo_failures = list(failures)
    return error
