"""Every error of virtnetplug, in one tree.

`reason` is stable and machine-readable (JSON, metrics), and `exit_code` is what the CLI exits with. The message is one paragraph that names the fault
and the remedy.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

_LONG = re.compile(r"\S{241,}")
"""A word longer than any name or path that a person could compare."""


class VirtnetplugError(Exception):
    """Any error virtnetplug raises on purpose."""

    reason = "internal"
    exit_code = 70
    result = ""
    """The operation's `Result`, where the exit code does not say it."""

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        self.message = _LONG.sub(lambda word: f"{word.group()[:80]}… ({len(word.group())} characters)", message)
        super().__init__(self.message)
        if reason is not None:
            self.reason = reason
        self.undo_failures: list[str] = []
        """What could not be undone after this error, a sentence each."""
        self.warnings: list[str] = []
        """What the operation had to warn of until then, its undos included."""


class UsageError(VirtnetplugError):
    """The call itself makes no sense: flags that exclude each other, a name missing."""

    reason = "usage"
    exit_code = 2


class Interrupted(VirtnetplugError):
    """SIGINT (Ctrl-C), SIGTERM or SIGHUP: the message says what became of the operation. The exit code is 128 and the signal's number."""

    reason = "interrupted"
    exit_code = 130

    def __init__(self, message: str, *, signal: int = 2) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal


class Refused(VirtnetplugError):
    """Refused before anything was touched."""

    reason = "refused"
    exit_code = 3


class Failed(VirtnetplugError):
    """Failed in the middle, and every step was undone."""

    reason = "failed"
    exit_code = 4


class RollbackIncomplete(VirtnetplugError):
    """Failed, and something could not be undone; the journal keeps it for `recover`."""

    reason = "rollback-incomplete"
    exit_code = 5


class LeftPending(VirtnetplugError):
    """The operation began and is neither done nor undone: the journal keeps it, and `recover` goes on with it."""

    reason = "pending"
    exit_code = 75


class GuestAway(LeftPending):
    """The guest was saved. What it was asked is still open."""

    reason = "guest-saved"


class EndUnknown(LeftPending):
    """The run of the domain ended in a way that is not known. Its guest may be no more, in an image, or on another host."""

    reason = "end-unknown"


class GuestMigrated(LeftPending):
    """The guest has gone to another host. Nobody on this host can finish or undo the operation, so it is closed as left."""

    reason = "guest-migrated"
    result = "left"


class LeftInterrupted(LeftPending, Interrupted):
    """A signal came, and the operation is left pending as it is: nothing was undone because of the signal."""

    reason = "interrupted"
    exit_code = 130


class InvariantBroken(Failed):
    """nets and hostdevs disagree: libvirt shows a device virtnetplug cannot account for."""

    reason = "invariant-broken"


class IllegalTransition(Failed):
    """A state change the lifecycle table does not allow."""

    reason = "illegal-transition"


# -- requests: nothing was touched ---------------------------------------------------------------


class MacInvalid(Refused):
    reason = "mac-invalid"


class PciAddressInvalid(Refused):
    reason = "pci-address-invalid"


class XmlInvalid(Refused):
    """Not well formed, a wrong root, or refused by the host's own schema."""

    reason = "xml-invalid"


class XmlUnsafe(Refused):
    """A DTD or an entity: never needed here, and a known way to attack a parser."""

    reason = "xml-unsafe"


class XmlTooLarge(Refused):
    reason = "xml-too-large"


class InterfaceTypeUnknown(Refused):
    reason = "interface-type-unknown"


class DomainMissing(Refused):
    reason = "domain-missing"


class DomainNotRunning(Refused):
    reason = "domain-not-running"


class DomainTransient(Refused):
    """A transient domain has no config scope."""

    reason = "domain-transient"


class DomainBusy(Refused):
    """A migration, save or other job owns the domain, or another operation works on it.

    `fact` is the message without its remedy; `interrupt` is a signal that came while the lock was waited for.
    """

    reason = "domain-busy"

    def __init__(self, message: str, *, reason: str | None = None, fact: str = "") -> None:
        super().__init__(message, reason=reason)
        self.fact = fact or message
        self.interrupt: KeyboardInterrupt | None = None


class LockTaken(DomainBusy):
    """Another process or thread held the lock for as long as it was waited for; `process` is its id, if known. Callers of the API get `DomainBusy`."""

    def __init__(self, message: str, *, process: int | None = None) -> None:
        super().__init__(message)
        self.process = process

    @property
    def who(self) -> str:
        """The process that has the lock, as messages name it."""
        return "another process" if self.process is None else f"process {self.process}"


class NicMissing(Refused):
    reason = "nic-missing"


class NicAmbiguous(Refused):
    reason = "nic-ambiguous"


class PlaceReserved(Refused):
    """An open operation will need this guest PCI address."""

    reason = "place-reserved"


class NicPending(Refused):
    """An open operation may still take the NIC out of its guest, or put in a NIC of that alias or MAC."""

    reason = "nic-pending"


class DuplicateMac(Refused):
    reason = "duplicate-mac"


class DuplicateAlias(Refused):
    reason = "duplicate-alias"


class NetworkMissing(Refused):
    reason = "network-missing"


class NetworkInactive(Refused):
    reason = "network-inactive"


class PortgroupMissing(Refused):
    reason = "portgroup-missing"


class BridgeMissing(Refused):
    reason = "bridge-missing"


class PortForeign(Refused):
    """The network port that a NIC names is another NIC's."""

    reason = "port-foreign"


class TapForeign(Refused):
    """The tap that a NIC names is held by another domain, or by none that can be seen."""

    reason = "tap-foreign"


class TapMissing(Refused):
    """The tap that a NIC names is not there."""

    reason = "tap-missing"


class TapElsewhere(Refused):
    """A tap is in another bridge than the definition says, or its network has another bridge now."""

    reason = "tap-elsewhere"


class VifUnfit(Refused):
    """A vif that cannot be bound anew: its guest is not connected, it is being taken out, or its backend is in another domain."""

    reason = "vif-unfit"


class ModelUnknown(Refused):
    reason = "model-unknown"


class NoFreePort(Refused):
    """No PCIe hotplug port, or no PCI slot, is left in the guest."""

    reason = "no-free-port"


class TeamingIncomplete(Refused):
    reason = "teaming-incomplete"


class NeedsReplace(Refused):
    """libvirt cannot change this in place; a replacement (`replace=True`) would do it."""

    reason = "needs-replace"


class NotSupported(Refused):
    reason = "not-supported"


class ConnectionFailed(Refused):
    """The hypervisor did not answer at all; nothing was started."""

    reason = "connection-failed"


class EventLoopConflict(Refused):
    reason = "event-loop-conflict"


class JournalReadOnly(Refused):
    reason = "journal-read-only"


class JournalNewer(Refused):
    reason = "journal-newer"


class JournalFull(Refused):
    reason = "journal-full"


class JournalBroken(Refused):
    reason = "journal-broken"


class JournalMoved(JournalBroken):
    """Another file has the journal's path by now, or none has."""

    reason = "journal-moved"


class ClaimTaken(Refused):
    """Another NIC or operation holds this host device, or it is quarantined."""

    reason = "claim-taken"


class HostDeviceMissing(Refused):
    """The host has no PCI device at this address."""

    reason = "host-device-missing"


class HostDeviceBusy(Refused):
    """Somebody has this device: a domain, or a process that holds its VFIO group."""

    reason = "host-device-busy"


class HostDeviceUnfit(Refused):
    """A device that cannot be lent: no VF, in bad company in its IOMMU group, without a setting that was asked for."""

    reason = "host-device-unfit"


class VfChanged(Refused):
    """A VF is not what the journal says: somebody set its MAC or VLAN, or another VF has its address. Nothing is written to it."""

    reason = "vf-changed"


class VfHeld(Refused):
    """A process, a plain ``<hostdev>``, the host or a quarantine has a VF of the PF."""

    reason = "vf-held"


class TooFewVfs(Refused):
    """Fewer VFs would be left than guests have."""

    reason = "too-few-vfs"


class PfInUse(Refused):
    """A VLAN, a macvtap or the like uses the PF's network interface, and would be lost."""

    reason = "pf-in-use"


class PfPending(Refused):
    """Another operation on this PF is open."""

    reason = "pf-pending"


class Outage(Refused):
    """Guests without a teaming partner would be cut off meanwhile; `allow_outage=True` allows it."""

    reason = "outage"


class PoolExhausted(Refused):
    """No VF of the pool is free."""

    reason = "pool-exhausted"


class VlanInvalid(Refused):
    reason = "vlan-invalid"


class MetadataInvalid(Refused):
    """virtnetplug's part of the domain's metadata is not as virtnetplug writes it. virtnetplug does not change what it cannot read."""

    reason = "metadata-invalid"


class ForgetRefused(Refused):
    """`recover` was to forget an operation that is not open, or that can be settled."""

    reason = "forget-refused"


class MetadataTooNew(Refused):
    """A newer virtnetplug wrote the domain's metadata."""

    reason = "metadata-too-new"


class IdentityMissing(Refused):
    """Nothing is remembered of that NIC."""

    reason = "identity-missing"


class IdentityConflict(Refused):
    """Two NICs would have one identity, or one NIC two."""

    reason = "identity-conflict"


class FilterLoss(Refused):
    """The NIC's traffic would no longer be filtered."""

    reason = "filter-loss"


# -- effects -------------------------------------------------------------------------------------


class HypervisorFailed(Failed):
    """The hypervisor refused or failed a call; the message is its own."""

    reason = "hypervisor-failed"

    def __init__(self, message: str, *, code: int = 0, reason: str | None = None) -> None:
        super().__init__(message, reason=reason)
        self.code = code


class DeviceMissing(HypervisorFailed):
    """The hypervisor has no such device (any more)."""

    reason = "device-missing"


class UnplugInProgress(HypervisorFailed):
    """The guest has already been asked to let this device go."""

    reason = "unplug-in-progress"


class EmulatorLost(HypervisorFailed):
    """QEMU's monitor broke during the call: QEMU has died, or dies, and libvirt ends the domain."""


class GuestBusy(HypervisorFailed):
    """The guest's slot is busy just now (PCIe power indicator blinking); asking again later works."""

    reason = "guest-busy"


class RemovalFailed(Failed):
    """The guest refused to let go of the device (DEVICE_REMOVAL_FAILED)."""

    reason = "removal-failed"


class TwinGone(Failed):
    """A policy would have detached an emulated NIC because its fast twin serves, and that twin has left, or may leave."""

    reason = "twin-gone"


class NotApplied(Failed):
    """libvirt reported success and changed nothing."""

    reason = "not-applied"


class NicChanged(NotApplied):
    """Somebody has connected the NIC to something else since it was looked at: it is left as it is."""

    reason = "nic-changed"


class OperationGone(Failed):
    """No row of the journal in place is the operation's: the journal was moved away, removed or restored. No other call can undo the operation."""

    reason = "operation-gone"


class HookFailed(Failed):
    """The firmware hook could not be run, or its exit status says that it failed."""

    reason = "hook-failed"


class HostDeviceFailed(Failed):
    """The kernel refused a change of a host device; the message names the change."""

    reason = "host-device-failed"


class XenStoreFailed(Failed):
    """xenstore could not be read, or did not do what was asked; the message says why."""

    reason = "xenstore-failed"


class VifNotConnected(RollbackIncomplete):
    """A vif was bound anew, and backend and guest did not both connect again; the message has both states."""

    reason = "vif-not-connected"


class OperationTaken(RollbackIncomplete):
    """Another call has settled the operation, goes on with it, or may do so. This call wrote nothing more."""

    reason = "operation-taken"


class Orphaned(RollbackIncomplete):
    """The guest has a NIC that the hypervisor does not know. Undoing is incomplete as long as the guest has it."""

    reason = "orphan-tap"


class ConnectionLost(RollbackIncomplete):
    """The connection broke in the middle; the journal keeps the operation and `recover` settles it."""

    reason = "connection-lost"


def call(method: str, *arguments: object, **options: object) -> str:
    """A call of the `Plugger`, as a message names it: ``recover('web1', wait=60)`` in backticks.

    Parameters are named likewise, such as ``scope=Scope.CONFIG``. The command line puts its own command or flag there.
    """
    words = [*map(_word, arguments), *(f"{name}={_word(value)}" for name, value in options.items())]
    return f"`{method}({', '.join(words)})`"


def _word(value: object) -> str:
    return f"{type(value).__name__}.{value.name}" if isinstance(value, enum.Enum) else repr(value).replace("`", "\\x60")


def sentence(text: str) -> str:
    """The text with a full stop, so that another sentence can follow it."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def unfinished_from(first: VirtnetplugError, operation: str) -> RollbackIncomplete:
    """`first`, reported of an operation that is past the point where it could be undone."""
    left = f"The {operation} can no longer be undone, and it has not ended."
    error = RollbackIncomplete(f"{sentence(first.message)} {left} The journal keeps it: `recover()` goes on with it.")
    error.undo_failures = [left]
    return error


def incomplete_from(first: VirtnetplugError, failures: Sequence[str]) -> RollbackIncomplete:
    """`first`, reported as a rollback that could not be finished, with what is left to do."""
    left = "; ".join(failures)
    error = RollbackIncomplete(
        f"{sentence(first.message)} Undoing it did not finish either ({left}). The journal keeps it: run `recover()`."
    )
    error.undo_failures = list(failures)
    return error
