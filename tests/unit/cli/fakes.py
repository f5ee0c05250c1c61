"""A wiring without a hypervisor: it answers what a test put into it, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virtnetplug.lifecycle import State
from virtnetplug.model.audit import AuditReport, Check, Diagnosis, Finding, Verdict
from virtnetplug.model.host_device import DeviceState, DeviceTree, DeviceUser, PciDevice, PfView, VfSettings, VfView
from virtnetplug.model.identity import CandidateView, IdentityView, PolicyView, TwinView, UnplugPolicy
from virtnetplug.model.operation import (
    Deed,
    Enforced,
    Event,
    Half,
    Nic,
    OperationRecord,
    OperationState,
    Outcome,
    Phase,
    Plan,
    Refusal,
    Result,
    Scope,
    Step,
    StepState,
)
from virtnetplug.model.pci import PciAddress

NIC = Nic(
    domain="web1",
    domain_uuid="0c1e8a52-0000-4000-8000-000000000001",
    alias="ua-1f0c",
    mac="52:54:00:12:34:56",
    type="network",
    source="default",
    model="virtio",
    network="default",
    target="vnet3",
    address=PciAddress(0, 1, 0, 0),
    live=True,
    config=True,
    frontend=State.CONNECTED,
    backend=State.CONNECTED,
    origin="virtnetplug",
)
STEP = Step(
    seq=1,
    name="attach",
    nic="ua-1f0c",
    phase=Phase.GUEST,
    half=Half.LIVE,
    state=StepState.DONE,
    started=1.0,
    seconds=0.5,
)
RECORD = OperationRecord(
    id="op-1",
    operation="attach",
    uri="qemu:///system",
    hypervisor="qemu:socket=/run/libvirt",
    domain_uuid=NIC.domain_uuid,
    domain_name="web1",
    request={"secret": "of the journal"},
    state=OperationState.DONE,
    result="done",
    started=1_700_000_000.0,
    ended=1_700_000_000.25,
    steps=(STEP,),
)
FINDING = Finding(
    kind="tap-not-in-bridge",
    domain="web1",
    nic="ua-1f0c",
    message="vnet3 is not in virbr0.",
    remedy="Put it back.",
    repair="put vnet3 into virbr0",
)
PF = PciDevice(
    address=PciAddress(0, 1, 0, 0), vendor="8086", device="10c9", driver="igb", iommu_group=4, numa_node=0, netdev="eth0",
    total_vfs=7, num_vfs=1,
)  # fmt: skip
VF = PciDevice(
    address=PciAddress(0, 1, 16, 0), vendor="8086", device="10ca", driver="vfio-pci", iommu_group=5, numa_node=0,
    pf=PF.address, vf_index=0,
)  # fmt: skip
USER = DeviceUser(view="domain", domain="web1", domain_uuid=NIC.domain_uuid, nic="ua-1f0c")
TREE = DeviceTree(
    pfs=(
        PfView(
            device=PF,
            link_up=True,
            pools=("vfs",),
            vfs=(
                VfView(
                    device=VF,
                    state=DeviceState.ATTACHED,
                    users=(USER, DeviceUser(view="process", pid=77)),
                    settings=VfSettings(admin_mac="52:54:00:12:34:56", vlan=7, spoofchk=True),
                    problems=("it is\x1b[31m ill",),
                ),
            ),
        ),
    ),
    unseen=("processes: root sees them",),
)
DIAGNOSIS = Diagnosis(
    checks=(
        Check(name="iommu", verdict=Verdict.OK, found="on: 9 groups"),
        Check(name="link", subject="0000:01:00.0 (eth0)", verdict=Verdict.WARNING, found="down", remedy="Pull it up."),
    )
)
UNFIT = Diagnosis(checks=(Check(name="vfio", verdict=Verdict.MISSING, found="no module", remedy="Install it."),))


IDENTITY = IdentityView(
    domain="web1", domain_uuid=NIC.domain_uuid, alias="ua-front", vif="ua-vf0", config=True, vif_live=True, vif_config=True,
    is_out=True, live_element="<interface type='bridge'/>",
)  # fmt: skip
ENFORCED = Enforced(
    deed=Deed.UNPLUG, nic="ua-front", halves=(Half.LIVE,), why="its twin is there", result=Result.DONE, operation_id="op-2"
)  # fmt: skip
POLICY = PolicyView(
    domain="web1",
    unplug=UnplugPolicy.PRESENT,
    own=UnplugPolicy.PRESENT,
    host=UnplugPolicy.KEEP,
    twins=(
        TwinView(
            alias="ua-front", vif="ua-vf0", is_there=True, is_connected=False, unplug_live=True, unplug_config=False,
            why="its fast twin is there",
        ),
    ),
    groups=(
        (
            CandidateView(alias="ua-vf0", device="8086:10ca", address=PciAddress(0, 0, 5, 0), rank=1, why="number 30", link_state="up"),
            CandidateView(
                alias="ua-vf1", device="8086:10ca", rank=2, why="number 30", link_state="up", is_held=True, obstacle="no link state"
            ),
            CandidateView(alias="ua-late", why="the guest does not have it"),
        ),
    ),
)  # fmt: skip


@dataclass
class Detail:
    nic: Nic = NIC
    live: str | None = "<interface type='network'>\n  <live/>\n</interface>"
    config: str | None = "<interface type='network'>\n  <config/>\n</interface>"
    history: tuple[OperationRecord, ...] = (RECORD,)


@dataclass
class FakePlugger:
    """Every method notes its call; `raises` is raised instead of an answer, `events` are published first."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    raises: BaseException | None = None
    events: list[str] = field(default_factory=list)
    while_running: Callable[[], object] = lambda: None
    result: Result = Result.DONE
    message: str = ""
    warnings: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    nics: tuple[Nic, ...] = (NIC,)
    report: AuditReport = field(
        default_factory=lambda: AuditReport(domains=1, nics=1, findings=(FINDING,), seconds=0.1)
    )
    detail: Detail = field(default_factory=Detail)
    tree: DeviceTree = TREE
    remembered: tuple[IdentityView, ...] = (IDENTITY,)
    policies: PolicyView = POLICY
    enforced: tuple[Enforced, ...] = ()
    outcomes: tuple[Outcome, ...] | None = None
    published: tuple[str, ...] = ()
    """Warnings that are published, whether they are of the outcome or not."""
    on_event: Callable[[Event], None] | None = None
    is_closed: bool = False

    def __enter__(self) -> FakePlugger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.is_closed = True

    def _do(self, *call: Any) -> None:
        self.calls.append(call)
        for text in self.events:
            assert self.on_event is not None
            self.on_event(Event(kind="step", text=text))
        for text in self.published:
            assert self.on_event is not None
            self.on_event(Event(kind="warning", text=text))
        self.while_running()
        if self.raises is not None:
            raise self.raises

    def _outcome(self, operation: str) -> Outcome:
        return Outcome(
            operation=operation, domain="web1", result=self.result, operation_id="op-1", message=self.message,
            nics=self.nics, steps=(STEP,), seconds=0.5, warnings=self.warnings, enforced=self.enforced,
        )  # fmt: skip

    def _plan(self, operation: str) -> Plan:
        return Plan(
            operation=operation, domain="web1", scope=Scope.LIVE, fits=not self.refusals, refusals=self.refusals,
            steps=(STEP,), diff={"live": "+<interface/>\n"},
        )  # fmt: skip

    def attach(self, domain, nics, *, scope=None, twin_of=None, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("attach", domain, nics, scope, wait, *([twin_of] if twin_of else []))
        return self._outcome("attach")

    def detach(self, domain, nics, *, scope=None, restore_emulated=None, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("detach", domain, nics, scope, wait, *([] if restore_emulated is None else [restore_emulated]))
        return self._outcome("detach")

    def update(self, domain, nic, changes, *, scope=None, replace=False, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("update", domain, nic, changes, scope, replace, wait)
        return self._outcome("update")

    def rebind(self, domain, nic, changes, *, scope=None, replace=False, flap_link=False, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("rebind", domain, nic, changes, scope, replace, flap_link, wait)
        return self._outcome("rebind")

    def heal(self, domain=None, nic=None, *, network=None, bridge=None):  # type: ignore[no-untyped-def]
        self._do("heal", domain, nic, network, bridge)
        return (self._outcome("rebind"),) if self.outcomes is None else self.outcomes

    def plan_rebind(self, domain, nic, changes, *, scope=None, replace=False, flap_link=False, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("plan_rebind", domain, nic, changes, scope, replace, flap_link)
        return self._plan("rebind")

    def plan_heal(self, domain=None, nic=None, *, network=None, bridge=None):  # type: ignore[no-untyped-def]
        self._do("plan_heal", domain, nic, network, bridge)
        return (self._plan("rebind"),)

    def rebind_vf(self, domain, nic, to="auto", *, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("rebind_vf", domain, nic, to, wait)
        return self._outcome("rebind-vf")

    def plan_rebind_vf(self, domain, nic, to="auto", *, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("plan_rebind_vf", domain, nic, to)
        return self._plan("rebind-vf")

    def rebind_vif(self, domain, nic, *, reload_driver=False, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("rebind_vif", domain, nic, reload_driver, wait)
        return self._outcome("rebind")

    def plan_rebind_vif(self, domain, nic, *, reload_driver=False, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("plan_rebind_vif", domain, nic, reload_driver)
        return self._plan("rebind")

    def rebind_pf(self, pf, **wish):  # type: ignore[no-untyped-def]
        self._do("rebind_pf", pf, wish)
        return self._outcome("rebind-pf")

    def plan_rebind_pf(self, pf, *, wait=30.0, **wish):  # type: ignore[no-untyped-def]
        self._do("plan_rebind_pf", pf, wish)
        return self._plan("rebind-pf")

    def handover(self, domain, emulated, fast, *, scope=None, allow_filter_loss=False, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("handover", domain, emulated, fast, scope, allow_filter_loss, wait)
        return self._outcome("handover")

    def handback(self, domain, emulated, *, scope=None, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("handback", domain, emulated, scope, wait)
        return self._outcome("handback")

    def identities(self, domain=None):  # type: ignore[no-untyped-def]
        self._do("identities", domain)
        return self.remembered

    def forget_identity(self, domain, emulated, *, force=False):  # type: ignore[no-untyped-def]
        self._do("forget_identity", domain, emulated, force)
        return self._outcome("forget")

    def set_policy(self, domain, *, unplug=None, force_unplug=None, serve=None, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("set_policy", domain, unplug, force_unplug, serve, wait)
        return self._outcome("policy")

    def clear_policy(self, domain, *, unplug=True, serve=True):  # type: ignore[no-untyped-def]
        self._do("clear_policy", domain, unplug, serve)
        return self._outcome("policy")

    def explain_policy(self, domain):  # type: ignore[no-untyped-def]
        self._do("explain_policy", domain)
        return self.policies

    def plan_handover(self, domain, emulated, fast, *, scope=None, allow_filter_loss=False, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("plan_handover", domain, emulated, fast, scope, allow_filter_loss)
        return self._plan("handover")

    def plan_handback(self, domain, emulated, *, scope=None, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("plan_handback", domain, emulated, scope)
        return self._plan("handback")

    def plan_attach(self, domain, nics, *, scope=None, twin_of=None, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("plan_attach", domain, nics, scope, *([twin_of] if twin_of else []))
        return self._plan("attach")

    def plan_detach(self, domain, nics, *, scope=None, restore_emulated=None, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("plan_detach", domain, nics, scope, *([] if restore_emulated is None else [restore_emulated]))
        return self._plan("detach")

    def plan_update(self, domain, nic, changes, *, scope=None, replace=False, wait=30.0):  # type: ignore[no-untyped-def]
        self._do("plan_update", domain, nic, changes, scope, replace)
        return self._plan("update")

    def list(self, domain=None):  # type: ignore[no-untyped-def]
        self._do("list", domain)
        return self.nics

    def show(self, domain, nic):  # type: ignore[no-untyped-def]
        self._do("show", domain, nic)
        return self.detail

    def recover(self, domain=None, *, wait=0.0, allow_taint=False, any_address=False, forget=""):  # type: ignore[no-untyped-def]
        self._do(
            "recover", domain, wait, *(["tainting"] if allow_taint else []), *(["anywhere"] if any_address else [])
        )
        return (self._outcome("detach"),) if self.outcomes is None else self.outcomes

    def plan_recover(self, domain=None, *, wait=0.0, allow_taint=False, any_address=False, forget=""):  # type: ignore[no-untyped-def]
        self._do("plan_recover", domain, **({"forget": forget} if forget else {}))
        return (self._plan("detach"),)

    def audit(self, domain=None):  # type: ignore[no-untyped-def]
        self._do("audit", domain)
        return self.report

    def devices(self):  # type: ignore[no-untyped-def]
        self._do("devices")
        return self.tree

    def states(self):  # type: ignore[no-untyped-def]
        self._do("states")
        return {}

    def repair(self, report):  # type: ignore[no-untyped-def]
        from dataclasses import replace

        self._do("repair")
        return replace(report, findings=tuple(replace(finding, repaired=True) for finding in report.findings))


@dataclass
class FakeJournal:
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    is_closed: bool = False

    def history(self, *, uri=None, domain=None, names=None, limit=20):  # type: ignore[no-untyped-def]
        self.calls.append(("history", uri, domain, names, limit))
        return () if domain == "7" else (RECORD,)

    def close(self) -> None:
        self.is_closed = True


@dataclass
class FakeWiring:
    plugger: FakePlugger = field(default_factory=FakePlugger)
    fake_journal: FakeJournal = field(default_factory=FakeJournal)
    opened: list[tuple[str | None, Path | None, bool]] = field(default_factory=list)
    journals: list[tuple[Path | None, bool]] = field(default_factory=list)
    open_raises: BaseException | None = None
    demo_code: int = 0
    names: tuple[str, ...] = ("web1", "web2", "db")
    diagnosis: Diagnosis = DIAGNOSIS
    doctored: list[str | None] = field(default_factory=list)

    def open(self, uri, *, state_dir, read_only, on_event):  # type: ignore[no-untyped-def]
        self.opened.append((uri, state_dir, read_only))
        if self.open_raises is not None:
            raise self.open_raises
        self.plugger.on_event = on_event
        return self.plugger

    def journal(self, state_dir, *, read_only):  # type: ignore[no-untyped-def]
        self.journals.append((state_dir, read_only))
        return self.fake_journal

    def demo(self, say, *, keep):  # type: ignore[no-untyped-def]
        say(f"keep: {keep}")
        return self.demo_code

    def doctor(self, uri):  # type: ignore[no-untyped-def]
        self.doctored.append(uri)
        return self.diagnosis

    def domains(self, uri):  # type: ignore[no-untyped-def]
        return {f"uuid of {name}": name for name in self.names}

    def uuid_of(self, uri, domain):  # type: ignore[no-untyped-def]
        return {"7": "uuid of 7"}[domain]
