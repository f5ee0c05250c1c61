"""JSON: every document has `result`, `reason`, `message` and `exit_code` first, then what the command found, by its model's names."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from virtnetplug.cli import report
from virtnetplug.cli.wording import in_commands
from virtnetplug.errors import Refused, VirtnetplugError
from virtnetplug.model.operation import Plan, Refusal, Scope

if TYPE_CHECKING:
    from virtnetplug.cli.report import Several
    from virtnetplug.hotplug.report.inventory import NicDetail
    from virtnetplug.model.audit import AuditReport, Diagnosis
    from virtnetplug.model.host_device import DeviceTree, PciDevice, VfView
    from virtnetplug.model.operation import OperationRecord, Outcome

Document = dict[str, Any]

DONE, PENDING, DISAGREEMENT, UNFIT = 0, 75, 1, 1
_EXIT_OF_RESULT = {
    "done": DONE, "already": DONE, "pending": PENDING, "left": PENDING, "undone": 4, "incomplete": 5, "refused": 3,
}  # fmt: skip
_RESULT_OF_EXIT = {
    2: "usage", 3: "refused", 4: "undone", 5: "incomplete", PENDING: "pending",
    129: "interrupted", 130: "interrupted", 143: "interrupted",
}  # fmt: skip


_PROSE = frozenset((
    "message", "error", "remedy", "repair", "warnings", "undo_failures", "detail", "why", "obstacle", "problems", "unseen",
    "found", "pending", "quarantine",
))  # fmt: skip
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


def document_from_outcome(outcome: Outcome) -> Document:
    """The outcome of one operation."""
    result, reason = outcome.result.value, outcome.reason
    exit_code = DONE if reason == "forgotten" else _EXIT_OF_RESULT[result]
    first = document(result, reason=reason, message=report.message_from_outcome(outcome), exit_code=exit_code)
    return {**first, **{key: value for key, value in plain(outcome).items() if key not in first}}


def warnings_of(document: Document) -> list[str]:
    """The warnings of the operations in the document; the warnings of a plan are in its text."""
    operations = document.get("operations", [document])
    return [text for operation in operations if "fits" not in operation for text in operation.get("warnings", ())]


def document_from_outcomes(words: Several, outcomes: Sequence[Outcome]) -> Document:
    """All operations of a recovery or a healing. The exit code is the worst of theirs; `words.faults` says what counts."""
    left = [outcome for outcome in outcomes if outcome.reason != "forgotten"]  # a caller asked for what is forgotten
    first = {outcome.result.value: outcome for outcome in reversed(left)}
    worst = next((result for result in words.faults if result in first), "done")
    return document(
        worst,
        reason=first[worst].reason if worst != "done" else "",
        message=words.summary(outcomes) if outcomes else words.nothing,
        exit_code=_EXIT_OF_RESULT[worst],
        operations=[document_from_outcome(outcome) for outcome in outcomes],
        warnings=[],
    )


def document_from_plan(plan: Plan) -> Document:
    """What an operation would do; exit code 3 if it would be refused."""
    if plan.fits:
        return document("planned", **plain(plan))
    first = plan.refusals[0]
    return document("refused", reason=first.reason, message=first.message, exit_code=3, **plain(plan))


def document_from_refusal(operation: str, domain: str, error: Refused) -> Document:
    """A plan that was refused before there was a plan: the same keys, without a scope."""
    refusal = Refusal(reason=error.reason, message=error.message)
    refused = Plan(operation=operation, domain=domain, scope=Scope.LIVE, fits=False, refusals=(refusal,))
    return {**document_from_plan(refused), "scope": None}


def document_from_plans(words: Several, plans: Sequence[Plan]) -> Document:
    """What a recovery or a healing would do, one plan for each operation."""
    documents = [document_from_plan(plan) for plan in plans]
    refused = next((one for one in documents if one["exit_code"]), None)
    if refused is None:
        message = words.planned.format(len(plans)) if plans else words.nothing
        return document("planned", message=message, plans=documents)
    return document("refused", reason=refused["reason"], message=refused["message"], exit_code=3, plans=documents)


def document_from_detail(detail: NicDetail) -> Document:
    """What show answers."""
    return document(nic=detail.nic, live=detail.live, config=detail.config, history=plain_records(detail.history))


def plain_records(records: Sequence[OperationRecord]) -> list[Document]:
    """Records of the journal, without what is the journal's own business (such as the request and the owner)."""
    own = ("request", "owner", "domain_id", "process", "hypervisor", "unreadable")
    return [{key: value for key, value in plain(record).items() if key not in own} for record in records]


def document_from_audit(found: AuditReport) -> Document:
    """What audit answers; exit code 1 while a finding is not repaired."""
    left = sum(finding.repaired is not True for finding in found.findings)
    rest = {**plain(found), "warnings": []}
    if not left:
        return document(message="all views agree", **rest)
    message = f"{left} of {len(found.findings)} findings remain"
    return document("disagreement", reason="disagreement", message=message, exit_code=DISAGREEMENT, **rest)


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
    rest: dict[str, Any] = {"fit": diagnosis.fit, "checks": diagnosis.checks}
    if not missing:
        return document(message="fit for SR-IOV hot-plug", **rest)
    message = f"not fit for SR-IOV hot-plug: {', '.join(dict.fromkeys(missing))}"
    return document("unfit", reason="host-unfit", message=message, exit_code=UNFIT, **rest)
