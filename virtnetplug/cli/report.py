"""What people read: sentences, tables and XML, as text that ends in a newline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from virtnetplug.cli.table import Screen, printable, prose, table
from virtnetplug.hotplug.engine import kinds, migration

if TYPE_CHECKING:
    from virtnetplug.cli.wiring import NicDetail
    from virtnetplug.model.audit import AuditReport, Finding
    from virtnetplug.model.operation import Nic, OperationRecord, Outcome, Plan, Step

_LIST = (
    "DOMAIN",
    "ALIAS",
    "MAC",
    "TYPE",
    "SOURCE",
    "MODEL",
    "TARGET",
    "ADDRESS",
    "LINK",
    "SCOPE",
    "FRONTEND",
    "BACKEND",
)
_HISTORY = ("STARTED", "ID", "OPERATION", "DOMAIN", "SCOPE", "STATE", "RESULT", "REASON", "SECONDS")
_DIFF_COLOURS = {"+": "32", "-": "31", "@": "36"}


def message_from_outcome(outcome: Outcome) -> str:
    """The outcome in one paragraph; for a pending detach, who holds the NIC and what finishes it."""
    names = [_called(nic) for nic in outcome.nics] or dict.fromkeys(step.nic for step in outcome.steps if step.nic)
    nics = ", ".join(names) or "the NIC"
    result = outcome.result.value
    if outcome.message:
        return outcome.message
    words = kinds.words_of(outcome.operation)
    if words.bare and not outcome.nics and result in ("done", "already"):
        return f"{outcome.domain} {words.bare}" + (" already; nothing was changed" if result == "already" else "")
    if result == "pending":
        return (
            f"pending: the guest of {outcome.domain} still holds {nics}. The journal keeps the operation "
            f"({outcome.operation_id}); it ends when the guest lets go: "
            f"'virtnetplug recover --wait SECONDS {outcome.domain}' waits for that, "
            f"and a reset of the guest ('virsh reset {outcome.domain}') completes it at once."
        )
    if result == "already":
        return f"{nics}: already {words.done} {outcome.domain}; nothing was changed"
    if result == "done":
        return f"{nics} {words.done} {outcome.domain}"
    return f"{outcome.operation} on {outcome.domain}: {result}"


def text_from_outcome(screen: Screen, outcome: Outcome) -> str:
    """The paragraph with its time, then the NICs as a table."""
    text = f"{prose(message_from_outcome(outcome))} ({outcome.seconds:.3f} s)\n"
    if outcome.nics and outcome.result.value != "already" and kinds.words_of(outcome.operation).shows_nics:
        text += text_from_nics(screen, outcome.nics)
    return text


def text_from_recovery(outcomes: Sequence[Outcome]) -> str:
    """A line for each operation that was taken up."""
    if not outcomes:
        return "nothing to recover\n"
    lines = []
    for outcome in outcomes:
        result = outcome.result.value
        message = message_from_outcome(outcome).removeprefix(f"{result}: ")
        what = f"{outcome.operation} on {outcome.domain} ({outcome.operation_id}): {result}"
        lines.append(f"{printable(what)}: {prose(message)}\n")
    return "".join(lines)


def text_from_healing(outcomes: Sequence[Outcome]) -> str:
    """A line for each NIC that was cut off."""
    lines = [f"{outcome.result.value}: {prose(message_from_outcome(outcome))}\n" for outcome in outcomes]
    return "".join(lines) or "no NIC is cut off\n"


def text_from_heal_plans(screen: Screen, plans: Sequence[Plan]) -> str:
    """Each plan of a healing, a blank line between them."""
    return "\n".join(text_from_plan(screen, plan) for plan in plans) or "no NIC is cut off\n"


def text_from_nics(screen: Screen, nics: Sequence[Nic]) -> str:
    """The table of list; a NIC that waits for its guest is marked pending."""
    return table(screen, _LIST, [_row(nic) for nic in nics]) if nics else "no NICs\n"


def text_from_list(screen: Screen, nics: Sequence[Nic]) -> str:
    """The table, then what keeps guests from a live migration."""
    return text_from_nics(screen, nics) + "".join(f"{prose(text)}\n" for text in migration.obstacles(nics))


def text_from_detail(screen: Screen, detail: NicDetail) -> str:
    """Everything about one NIC: its properties, both elements, its history."""
    nic = detail.nic
    pairs = [*zip(_LIST, _row(nic), strict=True), ("NETWORK", nic.network), ("PORTGROUP", nic.portgroup)]
    pairs += [
        ("PORT", nic.portid),
        ("HOST ADDRESS", nic.host_address),
        ("PENDING", nic.pending),
        ("QUARANTINE", nic.quarantine),
        ("ORIGIN", nic.origin),
        ("MIGRATES", next(iter(migration.obstacles([nic])), None)),
    ]
    text = "".join(
        f"{name.lower() + ':':14}{prose(str(value))}\n" for name, value in pairs if value not in (None, "", "-")
    )
    for half, element in (("live", detail.live), ("config", detail.config)):
        if element:
            text += f"\n{half}:\n{xml_text(element)}"
    return text + (f"\nhistory:\n{text_from_history(screen, detail.history)}" if detail.history else "")


def xml_text(element: str) -> str:
    """An element with what could drive a terminal made visible, line by line."""
    return "".join(printable(line.replace("\t", "  ")) + "\n" for line in element.strip("\n").split("\n"))


def text_from_history(screen: Screen, records: Sequence[OperationRecord]) -> str:
    """A table of operations, newest first."""
    if not records:
        return "no operations\n"
    rows = []
    for record in records:
        seconds = "" if record.ended is None else f"{record.ended - record.started:.3f}"
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.started))
        rows.append(
            (started, record.id, record.operation, record.domain_name, record.scope.value, record.state.value,
             record.result, record.reason, seconds)
        )  # fmt: skip
    return table(screen, _HISTORY, rows)


def text_from_plan(screen: Screen, plan: Plan) -> str:
    """What would be done: the verdict, the steps, the XML diff."""
    verdict = "would be done" if plan.fits else "would be refused"
    text = f"{plan.operation} on {printable(plan.domain)} ({plan.scope.value}): {verdict}\n"
    for refusal in plan.refusals:
        nic = f"{refusal.nic}: " if refusal.nic else ""
        text += f"  refused: {prose(nic + refusal.message)} [{refusal.reason}]\n"
    text += "".join(f"  warning: {prose(warning)}\n" for warning in plan.warnings)
    text += "".join(f"  {number:2}. {_step(step)}\n" for number, step in enumerate(plan.steps, 1))
    for half, diff in plan.diff.items():
        if diff:
            text += f"\n{half}:\n{_diff(screen, diff)}"
    return text


def text_from_refusal(operation: str, domain: str, message: str, reason: str) -> str:
    """A plan that was refused before there was one."""
    return f"{operation} on {printable(domain)}: would be refused\n  refused: {prose(message)} [{reason}]\n"


def text_from_plans(screen: Screen, plans: Sequence[Plan]) -> str:
    """Each plan of recover, a blank line between them."""
    return "\n".join(text_from_plan(screen, plan) for plan in plans) or "nothing to recover\n"


def text_from_audit(report: AuditReport, *, has_plan: bool = False) -> str:
    """Each finding as a block, then what was looked at; with `has_plan`, what a repair would do."""
    text = "".join(_finding(finding, has_plan) for finding in report.findings)
    text += "".join(f"not looked at: {prose(unseen)}\n" for unseen in report.unseen)
    left = sum(finding.repaired is not True for finding in report.findings)
    repaired = len(report.findings) - left
    verdict = f"{left} disagreements remain" if left else "all views agree"
    mended = f", {repaired} repaired" if repaired else ""
    return f"{text}{report.nics} NICs of {report.domains} domains in {report.seconds:.3f} s: {verdict}{mended}\n"


def _finding(finding: Finding, has_plan: bool) -> str:
    where = "/".join(part for part in (finding.domain, finding.nic) if part) or finding.network or finding.device
    text = f"{printable(where)}: {finding.kind}: {prose(finding.message)}\n"
    if finding.repaired is not None:
        outcome = "repaired" if finding.repaired else "not repaired"
        return f"{text}    {outcome}: {prose(finding.repair or finding.remedy)}\n"
    if has_plan:
        return f"{text}    --repair would: {prose(finding.repair or 'leave it; ' + finding.remedy)}\n"
    return f"{text}    {prose(finding.remedy)}\n" if finding.remedy else text


def _called(nic: Nic) -> str:
    names = [name for name in (nic.alias, nic.mac) if name]
    return f"{names[0]} ({names[1]})" if len(names) == 2 else (names or ["a NIC"])[0]


def _row(nic: Nic) -> tuple[object, ...]:
    scope = "both" if nic.live and nic.config else "live" if nic.live else "config"
    frontend = f"{nic.frontend.value} (pending)" if nic.pending else nic.frontend.value
    backend = f"{nic.backend.value} (quarantined)" if nic.quarantine else nic.backend.value
    address = nic.address or ""
    return (
        nic.domain, nic.alias, nic.mac, nic.type, nic.source, nic.model, nic.target, address, nic.link_state, scope,
        frontend, backend,
    )  # fmt: skip


def _step(step: Step) -> str:
    half = f" [{step.half.value}]" if step.half else ""
    detail = f": {step.detail}" if step.detail else ""
    return prose(f"{step.name} {step.nic}{half}{detail}")


def _diff(screen: Screen, diff: str) -> str:
    text = xml_text(diff)
    if not screen.has_colour:
        return text
    lines = text.splitlines()
    return "".join(
        f"\x1b[{_DIFF_COLOURS[line[0]]}m{line}\x1b[0m\n" if line[:1] in _DIFF_COLOURS else line + "\n" for line in lines
    )
