"""What a look answers: NICs, history, identities, policies, an audit, devices, a diagnosis, each as a document and as text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from virtnetplug.cli.render import Document, document, plain
from virtnetplug.cli.table import printable, prose, table
from virtnetplug.hotplug.engine import migration

if TYPE_CHECKING:
    from virtnetplug.cli.session import Answer
    from virtnetplug.hotplug.report.inventory import NicDetail
    from virtnetplug.model.audit import AuditReport, Check, Diagnosis, Finding
    from virtnetplug.model.host_device import DeviceTree, PciDevice, PfView, VfSettings, VfView
    from virtnetplug.model.identity import CandidateView, IdentityView, PolicyView, TwinView
    from virtnetplug.model.operation import Nic, OperationRecord

_LIST = (
    "DOMAIN", "ALIAS", "MAC", "TYPE", "SOURCE", "MODEL", "TARGET", "ADDRESS", "LINK", "SCOPE", "FRONTEND", "BACKEND",
)  # fmt: skip
_HISTORY = ("STARTED", "ID", "OPERATION", "DOMAIN", "SCOPE", "STATE", "RESULT", "REASON", "SECONDS")
_IDENTITIES = ("DOMAIN", "NIC", "IS IN", "HANDED OVER", "TWIN", "TWIN IS IN")
_CANDIDATES = ("RANK", "NIC", "DEVICE", "ADDRESS", "LINK", "IS TO", "WHY")
_OF_THE_JOURNAL = ("request", "owner", "domain_id", "process", "hypervisor", "unreadable")
"""The fields of a record that are the journal's own business."""


def of_list(nics: Sequence[Nic]) -> Answer:
    """The table, then what keeps guests from a live migration."""
    return document(nics=nics), text_from_nics(nics) + _lines(prose(text) for text in migration.obstacles(nics))


def text_from_nics(nics: Sequence[Nic]) -> str:
    """The table of list; a NIC that waits for its guest is marked pending."""
    return table(_LIST, [_row(nic) for nic in nics], empty="no NICs\n")


def of_detail(detail: NicDetail) -> Answer:
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
    text = _lines(
        f"{name.lower() + ':':14}{prose(str(value))}" for name, value in pairs if value not in (None, "", "-")
    )
    for half, element in (("live", detail.live), ("config", detail.config)):
        if element:
            text += f"\n{half}:\n{xml_text(element)}"
    past, table_of_past = of_history(detail.history)
    text += f"\nhistory:\n{table_of_past}" if detail.history else ""
    return document(nic=nic, live=detail.live, config=detail.config, history=past["operations"]), text


def of_element(detail: NicDetail) -> Answer:
    """The same document; the text is the live element alone, or the config element of a NIC that is not live."""
    return of_detail(detail)[0], xml_text(detail.live or detail.config or "")


def xml_text(element: str) -> str:
    """An element with what could drive a terminal made visible, line by line."""
    return _lines(printable(line.replace("\t", "  ")) for line in element.strip("\n").split("\n"))


def of_history(records: Sequence[OperationRecord]) -> Answer:
    """A table of operations, newest first."""
    rows = []
    for record in records:
        seconds = "" if record.ended is None else f"{record.ended - record.started:.3f}"
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.started))
        rows.append(
            (started, record.id, record.operation, record.domain_name, record.scope, record.state,
             record.result, record.reason, seconds)
        )  # fmt: skip
    shown = [{key: value for key, value in plain(each).items() if key not in _OF_THE_JOURNAL} for each in records]
    return document(operations=shown), table(_HISTORY, rows, empty="no operations\n")


def of_identities(found: Sequence[IdentityView]) -> Answer:
    """A table with a line for each emulated NIC that is remembered."""
    rows = [
        (
            each.domain, each.alias, definitions(live=each.live, config=each.config), "yes" if each.is_out else "no", each.vif,
            definitions(live=each.vif_live, config=each.vif_config),
        )
        for each in found
    ]  # fmt: skip
    return document(identities=found), table(_IDENTITIES, rows, empty="nothing is remembered\n")


def of_policy(found: PolicyView) -> Answer:
    """The policy, what it makes of each emulated NIC with a twin, and a table for each group."""
    whose = "its own" if found.own is not None else "the host's default"
    default = f"; the host's default is {found.host}" if found.own is not None else ""
    text = f"{printable(found.domain)}: unplug {found.unplug} ({whose}{default})\n"
    text += "".join(_twin(twin) for twin in found.twins)
    for group in found.groups:
        text += f"\none of {printable(', '.join(sorted(each.alias for each in group)))} serves:\n"
        text += table(_CANDIDATES, [_candidate(each) for each in group])
    return document(**plain(found)), text


def of_audit(report: AuditReport, *, has_plan: bool = False) -> Answer:
    """Each finding as a block, then what was looked at; with `has_plan`, what a repair would do. Exit code 1 while a finding is not repaired."""
    text = "".join(_finding(finding, has_plan) for finding in report.findings)
    text += _lines(f"not looked at: {prose(unseen)}" for unseen in report.unseen)
    left, rest = sum(finding.repaired is not True for finding in report.findings), {**plain(report), "warnings": []}
    repaired = len(report.findings) - left
    mended = f", {repaired} repaired" if repaired else ""
    looked = f"{text}{report.nics} NICs of {report.domains} domains in {report.seconds:.3f} s"
    if not left:
        agreed = "all views agree, as far as they were looked at" if report.unseen else "all views agree"
        return document(message=agreed, **rest), f"{looked}: {agreed}{mended}\n"
    message = f"{left} of {len(report.findings)} findings remain"
    found = document("disagreement", reason="disagreement", message=message, exit_code=1, **rest)
    return found, f"{looked}: {left} disagreements remain{mended}\n"


def of_devices(tree: DeviceTree) -> Answer:
    """PFs with their VFs. In the document, a VF's device and its place in the tree are on one level."""
    pfs = [
        {**_device(pf.device), "total_vfs": pf.device.total_vfs, "num_vfs": pf.device.num_vfs, "link_up": pf.link_up,
         "pools": pf.pools, "problems": pf.problems, "vfs": [_vf(vf) for vf in pf.vfs]}
        for pf in tree.pfs
    ]  # fmt: skip
    lines = [line for pf in tree.pfs for line in _lines_of_pf(pf)]
    lines = lines or ["no SR-IOV devices; 'virtnetplug doctor' says what is missing"]
    text = _lines([*lines, *(f"not looked at: {prose(unseen)}" for unseen in tree.unseen)])
    return document(message="" if pfs else "no SR-IOV devices", devices=pfs, unseen=tree.unseen), text


def of_diagnosis(diagnosis: Diagnosis) -> Answer:
    """A line for each check, with its remedy below it, then the verdict; exit code 1 for a host that is not fit."""
    missing = [check.name for check in diagnosis.checks if check.verdict == "missing"]
    rest: dict[str, Any] = {"fit": diagnosis.fit, "checks": diagnosis.checks}
    text = _lines(line for check in diagnosis.checks for line in _lines_of_check(check))
    if not missing:
        verdict = "fit for SR-IOV hot-plug"
        return document(message=verdict, **rest), f"{text}{verdict}\n"
    verdict = "not fit for SR-IOV hot-plug"
    message = f"{verdict}: {', '.join(dict.fromkeys(missing))}"
    return document("unfit", reason="host-unfit", message=message, exit_code=1, **rest), f"{text}{verdict}\n"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _twin(twin: TwinView) -> str:
    where = [name for name, goes in (("the guest", twin.unplug_live), ("the definition", twin.unplug_config)) if goes]
    verdict = f"is unplugged from {' and '.join(where)}" if where else "stays"
    if where and not twin.is_there:
        verdict += " (it has left already)"
    return f"{printable(twin.alias)}, whose fast twin is {printable(twin.vif)}, {verdict}: {prose(twin.why)}\n"


def _candidate(each: CandidateView) -> tuple[object, ...]:
    wanted = "" if each.rank is None else "be held down" if each.is_held else "serve"
    why = f"{each.why}; its link cannot be held down: {each.obstacle}" if each.obstacle else each.why
    return each.rank or "", each.alias, each.device, each.address or "", each.link_state, wanted, why


def _finding(finding: Finding, has_plan: bool) -> str:
    where = "/".join(part for part in (finding.domain, finding.nic) if part) or finding.network or finding.device
    text = f"{printable(where)}: {finding.kind}: {prose(finding.message)}\n"
    if finding.repaired is not None:
        outcome = "repaired" if finding.repaired else "not repaired"
        return f"{text}    {outcome}: {prose(finding.repair or finding.remedy)}\n"
    if has_plan:
        return f"{text}    --repair would: {prose(finding.repair or 'leave it; ' + finding.remedy)}\n"
    return f"{text}    {prose(finding.remedy)}\n" if finding.remedy else text


def _row(nic: Nic) -> tuple[object, ...]:
    frontend = f"{nic.frontend} (pending)" if nic.pending else nic.frontend
    backend = f"{nic.backend} (quarantined)" if nic.quarantine else nic.backend
    scope = definitions(live=nic.live, config=nic.config)
    return (
        nic.domain, nic.alias, nic.mac, nic.type, nic.source, nic.model, nic.target, nic.address, nic.link_state, scope,
        frontend, backend,
    )  # fmt: skip


def definitions(*, live: bool, config: bool) -> str:
    """Which definitions have a NIC."""
    return "both" if live and config else "live" if live else "config" if config else "none"


def _device(device: PciDevice) -> Document:
    names = ("address", "vendor", "device", "driver", "netdev", "iommu_group", "numa_node")
    return {name: getattr(device, name) for name in names}


def _vf(vf: VfView) -> Document:
    return {
        **_device(vf.device), "vf_index": vf.device.vf_index, "state": vf.state, "users": vf.users,
        "settings": vf.settings, "counters": vf.counters, "problems": vf.problems,
    }  # fmt: skip


def _lines_of_pf(pf: PfView) -> Iterator[str]:
    device = pf.device
    pools = f"  pools: {', '.join(pf.pools)}" if pf.pools else ""
    words = (
        f"{device.address}  {device.netdev or '-'}  {device.driver or 'no driver'}  {device.vendor}:{device.device}  "
        f"link {'up' if pf.link_up else 'down'}  {_place(device.iommu_group, device.numa_node)}  "
        f"VFs {device.num_vfs} of {device.total_vfs}{pools}"
    )
    yield printable(words)
    yield from (f"│  ! {prose(problem)}" for problem in pf.problems)
    for vf in pf.vfs:
        is_last = vf is pf.vfs[-1]
        yield from _lines_of_vf(vf, "└─ " if is_last else "├─ ", "   " if is_last else "│  ")


def _lines_of_vf(vf: VfView, branch: str, below: str) -> Iterator[str]:
    device = vf.device
    words = (
        f"{device.vf_index}  {device.address}  {device.netdev or '-'}  {device.driver or 'no driver'}  "
        f"{_place(device.iommu_group, device.numa_node)}  {vf.state}{_users(vf)}"
    )
    yield branch + printable(words)
    if vf.settings is not None:
        yield f"{below}   {printable(_settings(vf.settings))}"
    yield from (f"{below}   ! {prose(problem)}" for problem in vf.problems)


def _place(group: int | None, node: int | None) -> str:
    return f"group {'-' if group is None else group}  node {'-' if node is None else node}"


def _users(vf: VfView) -> str:
    names = dict.fromkeys(
        f"{user.domain or user.domain_uuid} {user.nic}".strip() if user.pid is None else f"process {user.pid}"
        for user in vf.users
    )
    text = ", ".join(filter(None, names))
    return f": {text}" if text else ""


def _settings(settings: VfSettings) -> str:
    vlan = "none" if not settings.vlan else f"{settings.vlan} qos {settings.qos} {settings.vlan_proto}"
    rate = f"{settings.min_rate}-{settings.max_rate or 'any'} Mbit/s"
    said = [f"mac {settings.mac or '-'} (admin {settings.admin_mac})", f"vlan {vlan}", f"rate {rate}"]
    for name, switch in (("spoofchk", settings.spoofchk), ("trust", settings.trust)):
        said += [] if switch is None else [f"{name} {'on' if switch else 'off'}"]
    said += [] if settings.link_state is None else [f"link {settings.link_state}"]
    return "  ".join(said + ([] if settings.mtu is None else [f"mtu {settings.mtu}"]))


def _lines_of_check(check: Check) -> Iterator[str]:
    subject = f" {check.subject}" if check.subject else ""
    yield printable(f"{check.verdict:8} {check.name}{subject}: {check.found}")
    if check.remedy:
        yield f"{'':8} → {prose(check.remedy)}"
