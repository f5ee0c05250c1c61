"""What the commands need of the rest of the program, declared here, wired by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from virtnetplug.lifecycle import State
    from virtnetplug.model.audit import AuditReport, Diagnosis
    from virtnetplug.model.host_device import DeviceTree
    from virtnetplug.model.identity import IdentityView, PolicyView, UnplugPolicy
    from virtnetplug.model.interface import Interface
    from virtnetplug.model.operation import Event, Nic, OperationRecord, Outcome, Plan, Scope
    from virtnetplug.ports.store import Journal


class NicDetail(Protocol):
    """All that is known of one NIC; `live` and `config` are its elements as text."""

    @property
    def nic(self) -> Nic:
        """The NIC as `list` gives it."""

    @property
    def live(self) -> str | None:
        """Its element in the live definition."""

    @property
    def config(self) -> str | None:
        """Its element in the persistent definition."""

    @property
    def history(self) -> tuple[OperationRecord, ...]:
        """Its operations, newest first."""


class Plugger(Protocol):
    """One open connection, as `virtnetplug.hotplug.plugger.Plugger` offers it; used as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...

    def attach(
        self,
        domain: str,
        nics: Sequence[Interface | str],
        *,
        scope: Scope | None = None,
        twin_of: str | None = None,
        wait: float = 30.0,
    ) -> Outcome: ...

    def detach(
        self,
        domain: str,
        nics: str | Sequence[str],
        *,
        scope: Scope | None = None,
        restore_emulated: bool | None = None,
        wait: float = 30.0,
    ) -> Outcome: ...

    def update(
        self,
        domain: str,
        nic: str,
        changes: Mapping[str, object] | str,
        *,
        scope: Scope | None = None,
        replace: bool = False,
        wait: float = 30.0,
    ) -> Outcome: ...

    def handover(
        self,
        domain: str,
        emulated: str,
        fast: Interface | str,
        *,
        scope: Scope | None = None,
        allow_filter_loss: bool = False,
        wait: float = 30.0,
    ) -> Outcome: ...

    def handback(self, domain: str, emulated: str, *, scope: Scope | None = None, wait: float = 30.0) -> Outcome: ...

    def identities(self, domain: str | None = None) -> tuple[IdentityView, ...]: ...

    def forget_identity(self, domain: str, emulated: str, *, force: bool = False) -> Outcome: ...

    def set_policy(
        self,
        domain: str | None,
        *,
        unplug: UnplugPolicy | None = None,
        force_unplug: str | None = None,
        serve: Sequence[str] | None = None,
        wait: float = 30.0,
    ) -> Outcome: ...

    def clear_policy(self, domain: str | None, *, unplug: bool = True, serve: bool = True) -> Outcome: ...

    def explain_policy(self, domain: str) -> PolicyView: ...

    def plan_attach(
        self,
        domain: str,
        nics: Sequence[Interface | str],
        *,
        scope: Scope | None = None,
        twin_of: str | None = None,
    ) -> Plan: ...

    def plan_detach(
        self,
        domain: str,
        nics: str | Sequence[str],
        *,
        scope: Scope | None = None,
        restore_emulated: bool | None = None,
    ) -> Plan: ...

    def plan_handover(
        self,
        domain: str,
        emulated: str,
        fast: Interface | str,
        *,
        scope: Scope | None = None,
        allow_filter_loss: bool = False,
    ) -> Plan: ...

    def plan_handback(self, domain: str, emulated: str, *, scope: Scope | None = None) -> Plan: ...

    def plan_update(
        self,
        domain: str,
        nic: str,
        changes: Mapping[str, object] | str,
        *,
        scope: Scope | None = None,
        replace: bool = False,
    ) -> Plan: ...

    def rebind(
        self,
        domain: str,
        nic: str,
        changes: Mapping[str, object],
        *,
        scope: Scope | None = None,
        replace: bool = False,
        flap_link: bool = False,
        wait: float = 30.0,
    ) -> Outcome: ...

    def plan_rebind(
        self,
        domain: str,
        nic: str,
        changes: Mapping[str, object],
        *,
        scope: Scope | None = None,
        replace: bool = False,
        flap_link: bool = False,
    ) -> Plan: ...

    def heal(
        self,
        domain: str | None = None,
        nic: str | None = None,
        *,
        network: str | None = None,
        bridge: str | None = None,
    ) -> tuple[Outcome, ...]: ...

    def plan_heal(
        self,
        domain: str | None = None,
        nic: str | None = None,
        *,
        network: str | None = None,
        bridge: str | None = None,
    ) -> tuple[Plan, ...]: ...

    def rebind_vf(self, domain: str, nic: str, to: str = "auto", *, wait: float = 30.0) -> Outcome: ...

    def plan_rebind_vf(self, domain: str, nic: str, to: str = "auto") -> Plan: ...

    def rebind_vif(self, domain: str, nic: str, *, reload_driver: bool = False, wait: float = 30.0) -> Outcome: ...

    def plan_rebind_vif(self, domain: str, nic: str, *, reload_driver: bool = False) -> Plan: ...

    def rebind_pf(
        self,
        pf: str,
        *,
        reload_driver: bool = False,
        numvfs: int | None = None,
        firmware_hook: str | None = None,
        allow_outage: bool = False,
        wait: float = 30.0,
    ) -> Outcome: ...

    def plan_rebind_pf(
        self,
        pf: str,
        *,
        reload_driver: bool = False,
        numvfs: int | None = None,
        firmware_hook: str | None = None,
        allow_outage: bool = False,
    ) -> Plan: ...

    def list(self, domain: str | None = None) -> tuple[Nic, ...]: ...

    def show(self, domain: str, nic: str) -> NicDetail: ...

    def recover(
        self,
        domain: str | None = None,
        *,
        wait: float = 0.0,
        allow_taint: bool = False,
        any_address: bool = False,
        forget: str = "",
    ) -> tuple[Outcome, ...]: ...

    def plan_recover(self, domain: str | None = None, *, forget: str = "") -> tuple[Plan, ...]: ...

    def audit(self, domain: str | None = None) -> AuditReport: ...

    def repair(self, report: AuditReport) -> AuditReport: ...

    def devices(self) -> DeviceTree: ...

    def states(self) -> Mapping[tuple[str, str], tuple[State, State]]: ...


class Wiring(Protocol):
    """The composition root, as the commands see it; each call imports only what it needs."""

    def open(
        self,
        uri: str | None,
        *,
        state_dir: Path | None,
        read_only: bool,
        on_event: Callable[[Event], None] | None,
    ) -> Plugger:
        """Connect; `uri` None means the hypervisor's own default."""

    def journal(self, state_dir: Path | None, read_only: bool) -> Journal:
        """The journal alone, with no hypervisor connection."""

    def doctor(self, uri: str | None) -> Diagnosis:
        """Look at this host; libvirt's absence is a finding, not an error. Needs no journal."""

    def demo(self, say: Callable[[str], None], keep: bool) -> int:
        """Run the demonstration and return its exit code; `keep` leaves its directory in place."""

    def domains(self, uri: str | None) -> Mapping[str, str]:
        """The name of each domain, by its UUID, over a read-only connection; nothing is written."""
