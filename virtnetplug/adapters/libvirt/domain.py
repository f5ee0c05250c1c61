"""One domain, through libvirt."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path

import libvirt

from virtnetplug.adapters.libvirt import emulator
from virtnetplug.adapters.libvirt.faults import absent, translated
from virtnetplug.adapters.libvirt.watch import DomainWatch, EventHub
from virtnetplug.errors import DomainMissing, DomainNotRunning, DomainTransient
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import FOR_MIGRATION, Domain, DomainState, HowBegan, HowEnded, PowerState
from virtnetplug.xml.metadata import NAMESPACE, PREFIX, TRAVELLING, TRAVELLING_PREFIX

_AFFECT = {Half.LIVE: libvirt.VIR_DOMAIN_AFFECT_LIVE, Half.CONFIG: libvirt.VIR_DOMAIN_AFFECT_CONFIG}
_POWER = {
    libvirt.VIR_DOMAIN_RUNNING: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_SHUTDOWN: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: PowerState.PAUSED,
}
_PAUSED = {
    libvirt.VIR_DOMAIN_PAUSED_USER: "paused by a user",
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION: FOR_MIGRATION,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY: FOR_MIGRATION,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED: FOR_MIGRATION,
    libvirt.VIR_DOMAIN_PAUSED_SAVE: "paused for a save",
    libvirt.VIR_DOMAIN_PAUSED_DUMP: "paused for a dump",
    libvirt.VIR_DOMAIN_PAUSED_IOERROR: "paused by an I/O error",
    libvirt.VIR_DOMAIN_PAUSED_CRASHED: "paused because it crashed",
}
_ENDS = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: HowEnded.SHUT_DOWN,
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: HowEnded.DESTROYED,
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: HowEnded.CRASHED,
    libvirt.VIR_DOMAIN_SHUTOFF_DAEMON: HowEnded.DESTROYED,  # by libvirtd, when it could not have its monitor again
    libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED: HowEnded.MIGRATED,
    libvirt.VIR_DOMAIN_SHUTOFF_SAVED: HowEnded.SAVED,
}
_BEGAN = {
    libvirt.VIR_DOMAIN_RUNNING_BOOTED: HowBegan.BOOTED,
    libvirt.VIR_DOMAIN_RUNNING_RESTORED: HowBegan.RESTORED,
    libvirt.VIR_DOMAIN_RUNNING_FROM_SNAPSHOT: HowBegan.UNKNOWN,  # with its memory, or started on the disks of one that has none
    libvirt.VIR_DOMAIN_RUNNING_MIGRATED: HowBegan.MIGRATED,
    libvirt.VIR_DOMAIN_RUNNING_POSTCOPY: HowBegan.MIGRATED,
}
_HAS_ID = re.compile(r"<domain\s[^>]*\bid='")
"""Only the definition of a domain that runs has an id (``virDomainDefFormatInternal``)."""
_JOB_RUNNING = (libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED)


class LibvirtDomain(Domain):
    """`ports.domain.Domain` on a ``virDomain``. QEMU's strays are seen by their taps (`ports.host.HostLinks.taps_of`)."""

    def __init__(
        self,
        handle: libvirt.virDomain,
        events: EventHub,
        *,
        was_persistent: bool = False,
        state_dir: Path | None = None,
    ) -> None:
        """`was_persistent`: a list has just shown it, and the next look at the config need not ask again. `state_dir`: see `emulator`."""
        self._state_dir = state_dir
        self._handle = handle
        self._was_persistent = was_persistent
        self._events = events
        self._connection = handle.connect()
        self.name: str = handle.name()
        self.uuid: str = handle.UUIDString()

    def state(self) -> DomainState:
        """State, reason and id from one call, ``virDomainIsPersistent`` and, while it runs, ``virDomainGetJobInfo``."""
        with translated(self._connection):
            code, detail, live_id = self._state()
            # kept (``on_crash``), with all that it had
            has_crashed = code == libvirt.VIR_DOMAIN_CRASHED and live_id >= 0
            reason = libvirt.VIR_DOMAIN_PAUSED_CRASHED if has_crashed else detail
            power = PowerState.PAUSED if has_crashed else _POWER.get(code, PowerState.SHUTOFF)
            active = power is not PowerState.SHUTOFF
            self._was_persistent = bool(self._handle.isPersistent())
            return DomainState(
                power=power,
                id=live_id if active else -1,
                persistent=self._was_persistent,
                paused_reason=_PAUSED.get(reason, "paused") if power is PowerState.PAUSED else "",
                job=self._job() if active else "",
                end=HowEnded.UNKNOWN if active else _ENDS.get(detail, HowEnded.UNKNOWN),
                began=_BEGAN.get(detail, HowBegan.UNKNOWN) if code == libvirt.VIR_DOMAIN_RUNNING else HowBegan.UNKNOWN,
            )

    def process(self) -> str:
        return emulator.process(self._state_dir, self.name)

    def process_began(self) -> float | None:
        return emulator.began(self.process())

    def xml(self, half: Half) -> str:
        """``virDomainGetXMLDesc``, without secrets: one call for the live definition, as each is a round trip."""
        with translated(self._connection):
            if half is Half.CONFIG:
                return self._config_xml()
            text = str(self._handle.XMLDesc(0))
        if not _HAS_ID.match(text):
            raise DomainNotRunning(
                f"domain {self.name} is not running, so it has no live definition; start it, or use `scope=Scope.CONFIG`"
            )
        return text

    def _config_xml(self) -> str:
        is_persistent, self._was_persistent = self._was_persistent or bool(self._handle.isPersistent()), False
        if not is_persistent:
            raise DomainTransient(
                f"domain {self.name} is transient: it has no persistent definition, so use `scope=Scope.LIVE`"
            )
        return str(self._handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def attach(self, element: str, half: Half) -> None:
        with translated(self._connection):
            self._handle.attachDeviceFlags(element, _AFFECT[half])

    def detach(self, alias: str, half: Half) -> None:
        with translated(self._connection):
            self._handle.detachDeviceAlias(alias, _AFFECT[half])

    def detach_element(self, element: str, half: Half = Half.CONFIG) -> None:
        with translated(self._connection):
            self._handle.detachDeviceFlags(element, _AFFECT[half])

    def update(self, element: str, half: Half) -> None:
        with translated(self._connection):
            self._handle.updateDeviceFlags(element, _AFFECT[half])

    def metadata(self, half: Half) -> str | None:
        return self._metadata(NAMESPACE, half)

    def _metadata(self, namespace: str, half: Half) -> str | None:
        with translated(self._connection), absent(libvirt.VIR_ERR_NO_DOMAIN_METADATA):
            return str(self._handle.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, namespace, _AFFECT[half]))
        return None

    def set_metadata(self, half: Half, text: str | None) -> None:
        with translated(self._connection):
            kind, flags = libvirt.VIR_DOMAIN_METADATA_ELEMENT, _AFFECT[half]
            self._handle.setMetadata(kind, text or None, PREFIX, NAMESPACE, flags)

    def travelling(self) -> str | None:
        return self._metadata(TRAVELLING, Half.LIVE)

    def set_travelling(self, text: str | None) -> None:
        """``virDomainSetMetadata``: it is kept in the live definition, and so goes into saved images and to other hosts."""
        with translated(self._connection):
            kind, flags = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_LIVE
            self._handle.setMetadata(kind, text or None, TRAVELLING_PREFIX, TRAVELLING, flags)

    def packets_sent(self, target: str) -> int:
        """``virDomainInterfaceStats``: its tx is what the guest sent."""
        with translated(self._connection):
            return int(self._handle.interfaceStats(target)[5])

    def evict(self, net: Interface) -> bool:
        """``virDomainQemuMonitorCommand``: tell QEMU to remove a NIC that libvirt does not know; True once it has gone."""
        with translated(self._connection):
            return emulator.evict(self._handle, net.alias or "")

    def saved_image(self) -> str | None:
        with translated(self._connection):
            try:
                if not self._handle.hasManagedSaveImage():
                    return None
                return str(self._handle.managedSaveGetXMLDesc())
            except libvirt.libvirtError as error:
                if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_CONNECT):
                    raise
                return None if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT else ""

    def await_idle(self) -> None:
        """``virDomainMemoryStats``: it takes the domain's query job, so it queues behind whatever changes the domain."""
        try:
            with translated(self._connection):
                self._handle.memoryStats()
        except (DomainNotRunning, DomainMissing):
            return  # nothing changes it any more

    def watch(self) -> AbstractContextManager[DomainWatch]:
        return self._events.watch(self.uuid)

    def _state(self) -> tuple[int, int, int]:
        """State, reason and id now: a handle keeps the id it was looked up with, that of a restarted domain is another."""
        found = []
        with absent(libvirt.VIR_ERR_NO_SUPPORT):
            found = self._connection.domainListGetStats([self._handle], libvirt.VIR_DOMAIN_STATS_STATE)
        if found:  # not for a domain that has gone, or by a driver without bulk statistics
            ((handle, values),) = found
            return values["state.state"], values["state.reason"], handle.ID()
        code, detail = self._handle.state()
        return code, detail, self._connection.lookupByUUIDString(self.uuid).ID()

    def _job(self) -> str:
        kind = libvirt.VIR_DOMAIN_JOB_NONE
        with absent(libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_INVALID):  # the latter: it has ended since
            kind = self._handle.jobInfo()[0]
        return "a job such as a migration, save or backup" if kind in _JOB_RUNNING else ""
