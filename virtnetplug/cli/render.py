"""JSON: the one place that decides its keys. Every document has `result`, `reason`, `message` and `exit_code` first."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from virtnetplug.cli.wording import in_commands
from virtnetplug.errors import Refused, VirtnetplugError

if TYPE_CHECKING:
    from virtnetplug.cli.wiring import NicDetail
    from virtnetplug.model.audit import AuditReport, Diagnosis
    from virtnetplug.model.host_device import DeviceTree, PciDevice, VfView
    from virtnetplug.model.identity import IdentityView, PolicyView
    from virtnetplug.model.operation import Nic, OperationRecord, Outcome, Plan

Document = dict[str, Any]

DONE, PENDING, DISAGREEMENT, UNFIT = 0, 75, 1, 1
_EXIT_OF_RESULT = {
    "done": DONE,
    "already": DONE,
    "pending": PENDING,
    "left": PENDING,
    "undone": 4,
    "incomplete": 5,
    "refused": 3,
}
_RESULT_OF_EXIT = {
    2: "usage", 3: "refused", 4: "undone", 5: "incomplete", PENDING: "pending",
    129: "interrupted", 130: "interrupted", 143: "interrupted",
}  # fmt: skip


_PROSE = frozenset(
    [
        "message",
        "remedy",
        "repair",
        "warnings",
        "undo_failures",
        "detail",
        "why",
        "obstacle",
        "problems",
        "unseen",
        "found",
        "pending",
        "quarantine",
    ]
)
"""The keys of messages: sentences of the core, or lists of such."""


def dump(document: Document) -> str:
    """The document as ASCII JSON text, keys in their documented order, with commands where messages name calls."""
    return json.dumps(_worded(document), indent=2, allow_nan=False)


def _worded(value: Any, *, is_prose: bool = False) -> Any:
    if isinstance(value, dict):
        return {key: _worded(item, is_prose=key in _PROSE) for key, item in value.items()}
    if isinstance(value, list):
        return [_worded(item, is_prose=is_prose) for item in value]
    return in_commands(value) if is_prose and isinstance(value, str) else value


def plain(value: Any) -> Any:
    """A model value as JSON's own types: enums by value, addresses as text, dataclasses by field."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (str, int, bool)) or value is None:
        return value
    if isinstance(value, float):
        return round(value, 6)
    if dataclasses.is_dataclass(value):
        if type(value).__str__ is not object.__str__:
            return str(value)  # Mac and PciAddress say themselves
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return str(value)


def document(
    result: str = "done", *, reason: str = "", message: str = "", exit_code: int = DONE, **rest: Any
) -> Document:
    """A document with the four keys that every one has, then `rest` as plain values."""
    return {"result": result, "reason": reason, "message": message, "exit_code": exit_code, **plain(rest)}


def document_from_error(error: VirtnetplugError) -> Document:
    """What every command answers when it fails; `result` follows from the exit code."""
    return document(
        error.result or _RESULT_OF_EXIT.get(error.exit_code, "failed"),
        reason=error.reason,
        message=error.message,
        exit_code=error.exit_code,
        undo_failures=error.undo_failures,
        warnings=error.warnings,
    )


def document_from_outcome(outcome: Outcome, message: str) -> Document:
    """An attach, detach or update, or one operation that recover took up."""
    return {
        **document(outcome.result.value, reason=outcome.reason, message=message, exit_code=exit_code_of(outcome)),
        **{key: value for key, value in plain(outcome).items() if key not in ("result", "reason", "message")},
    }


def warnings_of(document: Document) -> list[str]:
    """The warnings of the operations in the document. Those of a plan are in its text."""
    operations = document.get("operations", [document])
    return [text for operation in operations if "fits" not in operation for text in operation.get("warnings", ())]


def document_from_recovery(outcomes: Sequence[Outcome], messages: Sequence[str]) -> Document:
    """All operations that recover took up; the exit code is the worst of theirs, an undone one being a success."""
    operations = [document_from_outcome(outcome, message) for outcome, message in zip(outcomes, messages, strict=True)]
    results = [outcome.result.value for outcome in outcomes]
    worst = next((result for result in ("incomplete", "pending", "left", "refused") if result in results), "done")
    if worst == "left" and all(outcome.reason == "forgotten" for outcome in outcomes if outcome.result.value == "left"):
        worst = "done"  # it was asked for
    reason = next((outcome.reason for outcome in outcomes if outcome.result.value == worst), "")
    message = f"{len(outcomes)} operations looked at" if outcomes else "nothing to recover"
    exit_code = _EXIT_OF_RESULT[worst]
    return document(
        worst,
        reason="" if exit_code == DONE else reason,
        message=message,
        exit_code=exit_code,
        operations=operations,
        warnings=[],
    )


def document_from_healing(outcomes: Sequence[Outcome], messages: Sequence[str]) -> Document:
    """All NICs that were cut off; the exit code is the worst of theirs."""
    operations = [document_from_outcome(outcome, message) for outcome, message in zip(outcomes, messages, strict=True)]
    results = [outcome.result.value for outcome in outcomes]
    worst = next((result for result in ("incomplete", "undone", "refused") if result in results), "done")
    reason = next((outcome.reason for outcome in outcomes if outcome.result.value == worst != "done"), "")
    healed = sum(result == "done" for result in results)
    message = f"{healed} of {len(outcomes)} NICs healed" if outcomes else "no NIC is cut off"
    return document(
        worst, reason=reason, message=message, exit_code=_EXIT_OF_RESULT[worst], operations=operations, warnings=[]
    )


def document_from_heal_plans(plans: Sequence[Plan]) -> Document:
    """What a healing would do, one plan per NIC."""
    return _document_from_plans(plans, f"{len(plans)} NICs to heal" if plans else "no NIC is cut off")


def document_from_plan(plan: Plan) -> Document:
    """What an operation would do; exit code 3 if it would be refused."""
    first = plan.refusals[0] if plan.refusals else None
    return document(
        "planned" if plan.fits else "refused",
        reason="" if plan.fits or first is None else first.reason,
        message="" if plan.fits or first is None else first.message,
        exit_code=DONE if plan.fits else 3,
        **plain(plan),
    )


def document_from_refusal(operation: str, domain: str, error: Refused) -> Document:
    """A plan that was refused before there was one: the same keys, nothing in them."""
    refusal = {"reason": error.reason, "message": error.message, "nic": ""}
    return {
        **document("refused", reason=error.reason, message=error.message, exit_code=3),
        "operation": operation, "domain": domain, "scope": None, "fits": False, "refusals": [refusal],
        "steps": [], "diff": {}, "actual": [], "warnings": [],
    }  # fmt: skip


def document_from_plans(plans: Sequence[Plan]) -> Document:
    """What recover would do, one plan per operation."""
    return _document_from_plans(plans, f"{len(plans)} operations to take up" if plans else "nothing to recover")


def _document_from_plans(plans: Sequence[Plan], message: str) -> Document:
    documents = [document_from_plan(plan) for plan in plans]
    refused = next((one for one in documents if one["exit_code"]), None)
    if refused is None:
        return document("planned", message=message, plans=documents)
    return document("refused", reason=refused["reason"], message=refused["message"], exit_code=3, plans=documents)


def document_from_nics(nics: Sequence[Nic]) -> Document:
    """What list answers."""
    return document(nics=nics)


def document_from_detail(detail: NicDetail) -> Document:
    """What show answers."""
    history = [plain_record(record) for record in detail.history]
    return document(nic=detail.nic, live=detail.live, config=detail.config, history=history)


def document_from_identities(found: Sequence[IdentityView]) -> Document:
    """What identity show answers."""
    return document(identities=found)


def document_from_policy(found: PolicyView) -> Document:
    """What policy explain answers."""
    return document(**{field.name: getattr(found, field.name) for field in dataclasses.fields(found)})


def document_from_history(records: Sequence[OperationRecord]) -> Document:
    """What history answers, newest first."""
    return document(operations=[plain_record(record) for record in records])


def plain_record(record: OperationRecord) -> Document:
    """A journal record without what is the journal's own business (its request, its owner)."""
    own = ("request", "owner", "domain_id", "process", "hypervisor", "unreadable")
    return {key: value for key, value in plain(record).items() if key not in own}


def document_from_audit(report: AuditReport) -> Document:
    """What audit answers; exit code 1 while a finding is not repaired."""
    left = sum(finding.repaired is not True for finding in report.findings)
    agrees = not left
    return document(
        "done" if agrees else "disagreement",
        reason="" if agrees else "disagreement",
        message="all views agree" if agrees else f"{left} of {len(report.findings)} findings remain",
        exit_code=DONE if agrees else DISAGREEMENT,
        **plain(report),
        warnings=[],
    )


def document_from_devices(tree: DeviceTree) -> Document:
    """What devices answers: PFs with their VFs; a VF's device and its place in the tree on one level."""
    pfs = [
        {**_device(pf.device), "total_vfs": pf.device.total_vfs, "num_vfs": pf.device.num_vfs, "link_up": pf.link_up,
         "pools": pf.pools, "problems": pf.problems, "vfs": [_vf(vf) for vf in pf.vfs]}
        for pf in tree.pfs
    ]  # fmt: skip
    return document(message="" if pfs else "no SR-IOV devices", devices=pfs, unseen=tree.unseen)


def _device(device: PciDevice) -> Document:
    names = ("address", "vendor", "device", "driver", "netdev", "iommu_group", "numa_node")
    return {name: getattr(device, name) for name in names}


def _vf(vf: VfView) -> Document:
    return {
        **_device(vf.device), "vf_index": vf.device.vf_index, "state": vf.state, "users": vf.users,
        "settings": vf.settings, "counters": vf.counters, "problems": vf.problems,
    }  # fmt: skip


def document_from_diagnosis(diagnosis: Diagnosis) -> Document:
    """What doctor answers; exit code 1 for a host that is not fit."""
    missing = [check.name for check in diagnosis.checks if check.verdict.value == "missing"]
    return document(
        "unfit" if missing else "done",
        reason="host-unfit" if missing else "",
        message=f"not fit for SR-IOV hot-plug: {', '.join(dict.fromkeys(missing))}"
        if missing
        else "fit for SR-IOV hot-plug",
        exit_code=UNFIT if missing else DONE,
        fit=diagnosis.fit,
        checks=diagnosis.checks,
    )


def exit_code_of(outcome: Outcome) -> int:
    """The exit code of an attach, detach or update that answered."""
    return DONE if outcome.reason == "forgotten" else _EXIT_OF_RESULT[outcome.result.value]
