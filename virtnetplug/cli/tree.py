"""The host's devices as a tree, and what a diagnosis found, as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from virtnetplug.cli.table import printable, prose

if TYPE_CHECKING:
    from virtnetplug.model.audit import Check, Diagnosis
    from virtnetplug.model.host_device import DeviceTree, PfView, VfSettings, VfView


def text_from_devices(tree: DeviceTree) -> str:
    """A PF on a line, its VFs below it, and below each what is wrong with it."""
    lines = [line for pf in tree.pfs for line in _pf(pf)] or [
        "no SR-IOV devices; 'virtnetplug doctor' says what is missing"
    ]
    lines += [f"not looked at: {prose(unseen)}" for unseen in tree.unseen]
    return "".join(f"{line}\n" for line in lines)


def text_from_diagnosis(diagnosis: Diagnosis) -> str:
    """A line for each check, with its remedy below it, then the verdict."""
    lines = [line for check in diagnosis.checks for line in _check(check)]
    verdict = "fit for SR-IOV hot-plug" if diagnosis.fit else "not fit for SR-IOV hot-plug"
    return "".join(f"{line}\n" for line in [*lines, verdict])


def _pf(pf: PfView) -> Iterator[str]:
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
        yield from _vf(vf, "└─ " if is_last else "├─ ", "   " if is_last else "│  ")


def _vf(vf: VfView, branch: str, below: str) -> Iterator[str]:
    device = vf.device
    words = (
        f"{device.vf_index}  {device.address}  {device.netdev or '-'}  {device.driver or 'no driver'}  "
        f"{_place(device.iommu_group, device.numa_node)}  {vf.state.value}{_users(vf)}"
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


def _check(check: Check) -> Iterator[str]:
    subject = f" {check.subject}" if check.subject else ""
    yield printable(f"{check.verdict.value:8} {check.name}{subject}: {check.found}")
    if check.remedy:
        yield f"{'':8} → {prose(check.remedy)}"
