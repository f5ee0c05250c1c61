"""What people read: sentences, tables and XML, as text that ends in a newline."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtnetplug.cli.table import paint, printable, prose, table
from virtnetplug.hotplug.engine import kinds, migration

if TYPE_CHECKING:
    from virtnetplug.errors import Refused
    from virtnetplug.hotplug.report.inventory import NicDetail
    from virtnetplug.model.audit import AuditReport, Finding
    from virtnetplug.model.identity import CandidateView, IdentityView, PolicyView, TwinView
    from virtnetplug.model.operation import Nic, OperationRecord, Outcome, Plan, Step

_LIST = (
    "DOMAIN", "ALIAS", "MAC", "TYPE", "SOURCE", "MODEL", "TARGET", "ADDRESS", "LINK", "SCOPE", "FRONTEND", "BACKEND",
)  # fmt: skip
_HISTORY = ("STARTED", "ID", "OPERATION", "DOMAIN", "SCOPE", "STATE", "RESULT", "REASON", "SECONDS")
_IDENTITIES = ("DOMAIN", "NIC", "IS IN", "HANDED OVER", "TWIN", "TWIN IS IN")
_CANDIDATES = ("RANK", "NIC", "DEVICE", "ADDRESS", "LINK", "IS TO", "WHY")
_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """What people read of a command that comes to any number of operations.

    `faults` are the results that count as a failure, the worst first. `line` is what is written of each outcome.
    """

    verb: str
    doing: str
    nothing: str
    planned: str
    faults: Sequence[str]
    summary: Callable[[Sequence[Outcome]], str]
    line: Callable[[Outcome], str]


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
            f"({outcome.operation_id}); it ends when the guest lets go. "
            f"'virtnetplug recover --wait SECONDS {outcome.domain}' waits for that, "
            f"and a reset of the guest ('virsh reset {outcome.domain}') completes it at once."
        )
    if result == "already":
        return f"{nics}: already {words.done} {outcome.domain}; nothing was changed"
    if result == "done":
        return f"{nics} {words.done} {outcome.domain}"
    return f"{outcome.operation} on {outcome.domain}: {result}"


def text_from_outcome(has_colour: bool, outcome: Outcome) -> str:
    """The paragraph with its time, then the NICs as a table."""
    text = f"{prose(message_from_outcome(outcome))} ({outcome.seconds:.3f} s)\n"
    if outcome.nics and outcome.result.value != "already" and kinds.words_of(outcome.operation).shows_nics:
        text += text_from_nics(has_colour, outcome.nics)
    return text


def text_from_outcomes(words: Several, outcomes: Sequence[Outcome]) -> str:
    """A line for each outcome."""
    return "".join(f"{words.line(outcome)}\n" for outcome in outcomes) or f"{words.nothing}\n"


def text_from_plans(has_colour: bool, words: Several, plans: Sequence[Plan]) -> str:
    """Each plan, with a blank line between two plans."""
    return "\n".join(text_from_plan(has_colour, plan) for plan in plans) or f"{words.nothing}\n"


def _line_of_recovery(outcome: Outcome) -> str:
    result = outcome.result.value
    what = f"{outcome.operation} on {outcome.domain} ({outcome.operation_id}): {result}"
    return f"{printable(what)}: {prose(message_from_outcome(outcome).removeprefix(f'{result}: '))}"


RECOVERY = Several(
    verb="recover",
    doing="recovering",
    nothing="nothing to recover",
    planned="{} operations to take up",
    faults=("incomplete", "pending", "left", "refused"),
    summary=lambda outcomes: f"{len(outcomes)} operations looked at",
    line=_line_of_recovery,
)
HEALING = Several(
    verb="heal",
    doing="healing",
    nothing="no NIC is cut off",
    planned="{} NICs to heal",
    faults=("incomplete", "undone", "refused"),
    summary=lambda outcomes: (
        f"{sum(outcome.result.value == 'done' for outcome in outcomes)} of {len(outcomes)} NICs healed"
    ),
    line=lambda outcome: f"{outcome.result.value}: {prose(message_from_outcome(outcome))}",
)


def text_from_nics(has_colour: bool, nics: Sequence[Nic]) -> str:
    """The table of list; a NIC that waits for its guest is marked pending."""
    return table(has_colour, _LIST, [_row(nic) for nic in nics], empty="no NICs\n")


def text_from_list(has_colour: bool, nics: Sequence[Nic]) -> str:
    """The table, then what keeps guests from a live migration."""
    return text_from_nics(has_colour, nics) + "".join(f"{prose(text)}\n" for text in migration.obstacles(nics))


def text_from_detail(has_colour: bool, detail: NicDetail) -> str:
    """Everything about one NIC: its properties, both elements, its history."""
    nic = detail.nic
    pairs = [
        *zip(_LIST, _row(nic), strict=True),
        ("NETWORK", nic.network),
        ("PORTGROUP", nic.portgroup),
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
    return text + (f"\nhistory:\n{text_from_history(has_colour, detail.history)}" if detail.history else "")


def xml_text(element: str) -> str:
    """An element with what could drive a terminal made visible, line by line."""
    return "".join(printable(line.replace("\t", "  ")) + "\n" for line in element.strip("\n").split("\n"))


def text_from_history(has_colour: bool, records: Sequence[OperationRecord]) -> str:
    """A table of operations, newest first."""
    rows = []
    for record in records:
        seconds = "" if record.ended is None else f"{record.ended - record.started:.3f}"
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.started))
        rows.append(
            (started, record.id, record.operation, record.domain_name, record.scope.value, record.state.value,
             record.result, record.reason, seconds)
        )  # fmt: skip
    return table(has_colour, _HISTORY, rows, empty="no operations\n")


def text_from_plan(has_colour: bool, plan: Plan) -> str:
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
            text += f"\n{half}:\n{_diff(has_colour, diff)}"
    return text


def text_from_refusal(operation: str, domain: str, error: Refused) -> str:
    """A plan that was refused before there was a plan."""
    refused = f"  refused: {prose(error.message)} [{error.reason}]"
    return f"{operation} on {printable(domain)}: would be refused\n{refused}\n"


def text_from_identities(has_colour: bool, found: Sequence[IdentityView]) -> str:
    """A table with a line for each emulated NIC that is remembered."""
    rows = [
        (
            each.domain, each.alias, definitions(live=each.live, config=each.config), "yes" if each.is_out else "no", each.vif,
            definitions(live=each.vif_live, config=each.vif_config),
        )
        for each in found
    ]  # fmt: skip
    return table(has_colour, _IDENTITIES, rows, empty="nothing is remembered\n")


def text_from_policy(has_colour: bool, found: PolicyView) -> str:
    """The policy, what it makes of each emulated NIC with a twin, and a table for each group."""
    whose = "its own" if found.own is not None else "the host's default"
    default = f"; the host's default is {found.host}" if found.own is not None else ""
    text = f"{printable(found.domain)}: unplug {found.unplug} ({whose}{default})\n"
    text += "".join(_twin(twin) for twin in found.twins)
    for group in found.groups:
        text += f"\none of {printable(', '.join(sorted(each.alias for each in group)))} serves:\n"
        text += table(has_colour, _CANDIDATES, [_candidate(each) for each in group])
    return text


def _twin(twin: TwinView) -> str:
    where = [name for name, goes in (("the guest", twin.unplug_live), ("the definition", twin.unplug_config)) if goes]
    verdict = f"goes from {' and '.join(where)}" if where else "stays"
    if where and not twin.is_there:
        verdict += " (and has gone)"
    return f"{printable(twin.alias)}, whose fast twin is {printable(twin.vif)}, {verdict}: {prose(twin.why)}\n"


def _candidate(each: CandidateView) -> tuple[object, ...]:
    wanted = "" if each.rank is None else "be held down" if each.is_held else "serve"
    why = f"{each.why}; its link cannot be held down: {each.obstacle}" if each.obstacle else each.why
    return each.rank or "", each.alias, each.device, each.address or "", each.link_state, wanted, why


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
    frontend = f"{nic.frontend.value} (pending)" if nic.pending else nic.frontend.value
    backend = f"{nic.backend.value} (quarantined)" if nic.quarantine else nic.backend.value
    scope = definitions(live=nic.live, config=nic.config)
    return (
        nic.domain, nic.alias, nic.mac, nic.type, nic.source, nic.model, nic.target, nic.address, nic.link_state, scope,
        frontend, backend,
    )  # fmt: skip


def definitions(*, live: bool, config: bool) -> str:
    """Which definitions have a NIC."""
    return "both" if live and config else "live" if live else "config" if config else "none"


def _step(step: Step) -> str:
    half = f" [{step.half.value}]" if step.half else ""
    detail = f": {step.detail}" if step.detail else ""
    return prose(f"{step.name} {step.nic}{half}{detail}")


def _diff(has_colour: bool, diff: str) -> str:
    colours = _DIFF_COLOURS if has_colour else {}
    return "".join(f"{paint(line, colours.get(line[:1]))}\n" for line in xml_text(diff).splitlines())
