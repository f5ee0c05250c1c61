"""Where the views of an audit disagree: pure functions from a `Survey` to findings, one for each kind of place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from virtnetplug import xml
from virtnetplug.errors import VirtnetplugError
from virtnetplug.hotplug.engine.registry import operation_of, why_unknown
from virtnetplug.hotplug.engine.transaction import REMEDY
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.ending import REASONS
from virtnetplug.hotplug.look.backing import DATAPATH, LINUX, ON_BRIDGE, OPEN_VSWITCH
from virtnetplug.hotplug.look.open_operations import leaving
from virtnetplug.hotplug.report.survey import Seen, Survey
from virtnetplug.lifecycle import State
from virtnetplug.model.audit import Finding
from virtnetplug.model.interface import known_as
from virtnetplug.model.operation import Half, NicRecord, OperationRecord, OperationState
from virtnetplug.ports.domain import HowEnded
from virtnetplug.ports.links import Link
from virtnetplug.xml import NetGlimpse

WITH_LINK = ON_BRIDGE | {"ethernet", "direct"}
"""Actual types whose target is a link of the host (that of a vhost-user NIC is none)."""


def disagreements(whole: Survey) -> Iterator[Finding]:
    """All, but for ports of NICs nobody has (`orphaned_ports` in audit, which must read those ports)."""
    aliases = {(nic.domain_uuid, nic.alias) for nic in whole.nics}
    known = {uuid for uuid, _alias in aliases}
    for seen in whole.domains.values():
        yield from _doubles(seen)
        if not seen.is_active:
            continue
        if whole.links is not None:
            yield from _links(seen, seen.live, whole, whole.links)
            yield from _orphan_taps(seen, seen.live, whole)
        yield from _vifs(seen, whole)
        if whole.ports is not None:
            yield from _ports(seen, seen.live, whole.ports)
        if seen.uuid in known:
            yield from _config(seen, seen.live, seen.config, aliases)
    yield from _operations(whole)
    yield from _gone(whole)


def behind(whole: Survey) -> Iterator[tuple[Seen, NetGlimpse, Finding]]:
    """Of each NIC of a running guest, what is wrong behind it."""
    for seen in whole.domains.values():
        for net in seen.live:
            for one in (*_links(seen, [net], whole, whole.links or {}), *_ports(seen, [net], whole.ports or {})):
                yield seen, net, one


def name_of(net: NetGlimpse) -> str:
    """A NIC by what it is best known by."""
    return net.alias or net.mac or net.target or net.type


def finding(
    kind: str,
    seen: Seen,
    nic: str,
    message: str,
    remedy: str = "",
    *,
    repair: str = "",
    device: str = "",
    network: str | None = None,
) -> Finding:
    """What is wrong with a NIC of that domain."""
    return Finding(
        kind=kind,
        domain=seen.name,
        domain_uuid=seen.uuid,
        nic=nic,
        message=message,
        remedy=remedy,
        repair=repair,
        device=device,
        network=network or "",
    )


def _twice(values: Iterable[str | None]) -> set[str]:
    known: set[str] = set()
    twice: set[str] = set()
    for value in values:
        if value is not None:
            (twice if value in known else known).add(value)
    return twice


def _doubles(seen: Seen) -> Iterator[Finding]:
    """Aliases and MACs that occur twice; one that does in both definitions is found in the live one."""
    told: set[str] = set()
    for half, text in ((Half.LIVE, seen.live_xml), (Half.CONFIG, seen.config_xml)):
        if text is None or not xml.may_have_doubles(text):
            continue
        nets = seen.live if half is Half.LIVE else seen.config
        for alias in sorted(_twice(net.alias for net in nets) - told):
            told.add(alias)
            yield _alias_double(seen, alias, half)
        for mac in sorted(_twice(net.mac for net in nets) - told):
            same = [net for net in nets if net.mac == mac]
            if len(same) > 2 or not _are_teamed(seen, half, mac):
                told.add(mac)
                yield _mac_double(seen, mac, same, half)


def _alias_double(seen: Seen, alias: str, half: Half) -> Finding:
    return finding(
        "alias-duplicate",
        seen,
        alias,
        f"In the {half} definition of {seen.name} the alias {alias} names more than one NIC.",
        "Give each NIC an alias of its own (virsh edit); by this one neither can be named.",
    )


def _mac_double(seen: Seen, mac: str, same: Sequence[NetGlimpse], half: Half) -> Finding:
    return finding(
        "mac-duplicate",
        seen,
        mac,
        f"In the {half} definition of {seen.name} {len(same)} NICs have the MAC {mac}: "
        f"{', '.join(map(name_of, same))}.",
        "Detach all but one of them by alias, and attach them again with MACs of their own.",
    )


def _are_teamed(seen: Seen, half: Half, mac: str) -> bool:
    """A teaming pair shares its MAC by design."""
    text = seen.live_xml if half is Half.LIVE else seen.config_xml
    try:
        nets = xml.devices(text or "<domain/>").nets
    except VirtnetplugError:
        return False
    teaming = [net.teaming for net in nets if str(net.mac) == mac]
    return sorted(each.type for each in teaming if each is not None) == ["persistent", "transient"]


def _links(seen: Seen, nets: Sequence[NetGlimpse], whole: Survey, links: Mapping[str, Link]) -> Iterator[Finding]:
    for net in nets:
        target = net.target
        if target is None or net.type not in WITH_LINK:
            continue
        link = links.get(target)
        if link is None:
            if not _holds(whole, seen, target):
                yield _tap_missing(seen, net, target)
        elif net.bridge is not None and link.master != net.bridge and net.type in ON_BRIDGE:
            yield from _outside(seen, net, net.bridge, link, links)
        elif net.is_isolated and link.isolated is False and net.type in ON_BRIDGE:
            yield _not_isolated(seen, net, link)


def _holds(whole: Survey, seen: Seen, target: str) -> bool:
    """Whether the domain's QEMU has the tap after all: then it is in another network namespace than ours."""
    return whole.taps is not None and target in whole.taps.get(seen.uuid, ())


def _tap_missing(seen: Seen, net: NetGlimpse, target: str) -> Finding:
    return finding(
        "tap-missing",
        seen,
        name_of(net),
        f"NIC {name_of(net)} of {seen.name} is said to have the host device {target}, and the host has no such link.",
        "It carries no traffic: detach it and attach it again.",
        device=target,
        network=net.network,
    )


def _outside(seen: Seen, net: NetGlimpse, bridge: str, link: Link, links: Mapping[str, Link]) -> Iterator[Finding]:
    """A tap that is not where the live definition says."""
    there = links.get(bridge)
    master = links.get(link.master) if link.master is not None else None
    if _is_switched(there, master):
        return
    nic = name_of(net)
    more = {"device": link.name, "network": net.network or ""}
    if there is None:
        message = (
            f"Host device {link.name} of NIC {nic} of {seen.name} should be in bridge {bridge}, which does not exist."
        )
        start = f"start network {net.network}" if net.network else f"make bridge {bridge}"
        yield finding(
            "bridge-missing", seen, nic, message, f"To have traffic again, {start}, then audit again.", **more
        )
        return
    where = f"is in bridge {link.master}" if link.master else "is in no bridge"
    kind = "tap-in-other-bridge" if link.master else "tap-not-in-bridge"
    yield finding(
        kind,
        seen,
        nic,
        f"Host device {link.name} of NIC {nic} of {seen.name} {where}; its definition says {bridge}.",
        "Put it back with 'virtnetplug audit --repair'"
        + ("." if link.master else ", or heal all that are out with 'virtnetplug rebind --heal'."),
        repair=f"put {link.name} into bridge {bridge}" if there.kind in (LINUX, OPEN_VSWITCH) else "",
        device=link.name,
        network=net.network,
    )


def _not_isolated(seen: Seen, net: NetGlimpse, link: Link) -> Finding:
    nic = name_of(net)
    return finding(
        "tap-not-isolated",
        seen,
        nic,
        f"NIC {nic} of {seen.name} should be isolated from the other isolated NICs of its bridge, and its host device {link.name} is not.",
        "Isolate it with 'virtnetplug audit --repair' or 'virtnetplug rebind --heal'.",
        repair=f"isolate {link.name} in bridge {link.master} again",
        device=link.name,
        network=net.network,
    )


def _is_switched(bridge: Link | None, master: Link | None) -> bool:
    """Open vSwitch that could not be asked: a port's master is its datapath then, or none at all where that is in user space."""
    if bridge is None or bridge.kind == LINUX:
        return False
    return bridge.kind != OPEN_VSWITCH or (master is not None and master.name == DATAPATH)


def _ports(seen: Seen, nets: Sequence[NetGlimpse], networks: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    for net in nets:
        if net.portid is None or net.network is None:
            continue
        if net.portid not in networks.get(net.network, ()):
            is_defined = net.network in networks
            can_return = is_defined and net.type in (*ON_BRIDGE, "direct")
            yield finding(
                "port-missing",
                seen,
                name_of(net),
                f"NIC {name_of(net)} of {seen.name} names port {net.portid} of network {net.network}, "
                + ("which has no such port." if is_defined else "and there is no such network."),
                "The network was stopped or restarted under it: start it, then 'virtnetplug rebind --heal' makes the port again."
                if can_return
                else "Detach the NIC and attach it again.",
                repair=f"make port {net.portid} of network {net.network} again" if can_return else "",
                network=net.network,
                device=net.portid,
            )


def _orphan_taps(seen: Seen, nets: Sequence[NetGlimpse], whole: Survey) -> Iterator[Finding]:
    held = whole.taps.get(seen.uuid) if whole.taps is not None else None
    extra = held.difference([net.target for net in nets if net.target is not None]) if held else ()
    if not extra or xml.has_own_netdevs(seen.live_xml or ""):
        return
    for tap in sorted(extra):
        yield finding(
            "orphan-tap",
            seen,
            tap,
            f"The QEMU process of {seen.name} holds the host device {tap}, and its live definition has no NIC with it: "
            "an attach was cut off half way, and the guest may have a NIC that libvirt does not know.",
            "Shut the guest down and start it again when that suits, as libvirt cannot remove what it does not know; or "
            f"let 'virtnetplug recover {seen.name} --allow-taint' have QEMU remove what an operation left.",
            device=tap,
        )


def _vifs(seen: Seen, whole: Survey) -> Iterator[Finding]:
    """What the host of a hypervisor that shows NICs by itself has more, or less, than the live definition."""
    for stray in whole.strays.get(seen.uuid, ()):
        yield finding(
            "orphan-vif",
            seen,
            stray.mac or stray.name,
            f"The host shows {stray.name} of {seen.name} (MAC {stray.mac or 'unknown'}, bridge {stray.bridge or 'unknown'}), and its live definition has no "
            "NIC with it: an attach was cut off or failed half way, or 'xl' made it.",
            f"'virtnetplug recover {seen.name}' removes what an operation left. One that is meant stays as it is; any other goes with "
            f"'xl network-detach {seen.name} {stray.name.rpartition('.')[2]}'.",
            device=stray.name,
        )
    for net in seen.live:
        ends = whole.ends.get((seen.uuid, net.mac or "", net.target))
        missing = [] if ends is None else [name for name in ("frontend", "backend") if getattr(ends, name) is None]
        if missing:
            yield finding(
                "vif-missing",
                seen,
                name_of(net),
                f"Of NIC {name_of(net)} of {seen.name} the host has no {' and no '.join(missing)}.",
                "It carries no traffic: detach it and attach it again.",
                device=net.target or "",
                network=net.network,
            )


def _config(
    seen: Seen, live: Sequence[NetGlimpse], config: Sequence[NetGlimpse], known: set[tuple[str, str]]
) -> Iterator[Finding]:
    """Only NICs virtnetplug attached to both: between others' definitions a difference may be meant."""
    for net in live:
        if net.alias is None or not net.alias.startswith("ua-") or (seen.uuid, net.alias) not in known:
            continue
        other = next((each for each in config if each.alias == net.alias), None)
        differing = _differences(net, other) if other is not None else []
        if differing:
            yield finding(
                "config-differs",
                seen,
                net.alias,
                f"NIC {net.alias} of {seen.name} will change at the next boot: {', '.join(differing)}.",
                "If that is not meant, set the definition right with 'virtnetplug update --config'.",
            )


def _differences(live: NetGlimpse, config: NetGlimpse) -> list[str]:
    rows = [("MAC", live.mac, config.mac), ("model", live.model, config.model)]
    is_of_pool = live.type == "hostdev" and config.type == "network"  # the live element does not name the pool
    if not is_of_pool:
        rows.append(("source", _source(live), _source(config)))
    rows.append(("guest address", live.address, config.address or live.address))
    return [f"{what} {now or 'none'} becomes {then or 'none'}" for what, now, then in rows if now != then]


def _source(net: NetGlimpse) -> str:
    """What the NIC is connected to: a network by its name alone, as libvirt adds to the live element what that comes to."""
    if net.network is not None:
        return f"network {net.network}"
    return " ".join(filter(None, (net.type, net.bridge or net.dev or net.host_address)))


def _operations(whole: Survey) -> Iterator[Finding]:
    for record in whole.operations:
        if (stalled := whole.stalled.get(record.id)) is not None:
            message, remedy = stalled[0].upper() + stalled[1:], "Nobody else settles it as long as that process lives."
            yield _of_operation("operation-stalled", record, message, remedy)
        if record.id in whole.alive:
            continue
        remedy = f"Run 'virtnetplug recover {record.domain_name}'."
        if operation_of(record) is None:
            why, remedy = f"is not known to this version ({why_unknown(record)})", REMEDY
        elif record.state is OperationState.PENDING and (end := _end_seen(whole, record)) is not None:
            why = "waits for a guest of which nothing says how its run ended" if end is HowEnded.UNKNOWN else ""
            remedy = (
                f"Start {record.domain_name} if it is off, which decides it. If you know that the guest is no more, or is to stay as it is, "
                f"'virtnetplug recover {record.domain_name} --forget {record.id}' closes the operation."
            )
        elif record.state is OperationState.PENDING:
            why = _why_pending_is_over(whole, record)
        else:
            why = "was left open by a process that is gone, or could not be undone"
        if why:
            message = f"Operation {record.id} ({record.operation} on {record.domain_name}) {why}."
            yield _of_operation("operation-open", record, message, remedy)


def _of_operation(kind: str, record: OperationRecord, message: str, remedy: str) -> Finding:
    about = [entry["alias"] for entry in record.named] if record.asked is None else record.asked
    return Finding(
        kind=kind,
        domain=record.domain_name,
        domain_uuid=record.domain_uuid,
        nic=", ".join(about),
        message=message,
        remedy=remedy,
        device=record.id,
    )


def _end_seen(whole: Survey, record: OperationRecord) -> HowEnded | None:
    """How the run ended, as `recover` has said it: it could say no more now. A guest that was saved has the NIC wherever that is."""
    seen, operation = whole.domains.get(record.domain_uuid), operation_of(record)
    if seen is None or operation is None or record.reason not in REASONS.values():
        return None
    ending = operation.away(seen.domain, record)
    return ending.end if ending is not None and REASONS[ending.end] == record.reason else None


def _why_pending_is_over(whole: Survey, record: OperationRecord) -> str:
    """Empty while the guest has the NIC: that is no disagreement. Once it let go, `recover` has to finish."""
    if not record.domain_uuid:  # a PF's, of many guests
        there = {(seen.uuid, name) for seen in whole.domains.values() for net in seen.live for name in _names(net)}
        its = [{(uuid, name) for name in record.names_of(alias)} for uuid, alias in record.touched if uuid]
        is_held = all(names & there for names in its) or not whole.is_whole
        return "" if is_held else "waits for a guest, which has let go or ended meanwhile"
    seen = whole.domains.get(record.domain_uuid)
    if seen is None or not seen.is_active:
        return "waits for a guest that does not run any more"
    leaves = {(uuid, name) for _, uuid, name in leaving([record]) if uuid}
    if not leaves.intersection((seen.uuid, name) for net in seen.live for name in _names(net)):
        return "waits for the guest, which has let go meanwhile"
    return ""


def _names(net: NetGlimpse) -> tuple[str | None, ...]:
    """All that the NIC may be called in `leaving`."""
    return net.alias, net.mac, known_as(net.alias, net.mac), known_as(net.mac, net.address)


def _gone(whole: Survey) -> Iterator[Finding]:
    """NICs of the journal that are nowhere; those of an open operation are its own business."""
    busy = {nic for record in whole.operations for nic in record.touched}
    aliases: dict[str, set[str | None]] = {}
    for nic in whole.nics:
        seen = whole.domains.get(nic.domain_uuid)
        if nic.unreadable:
            yield _damaged(nic)
            continue
        if seen is not None and nic.domain_uuid not in aliases:
            aliases[seen.uuid] = {net.alias for net in (*seen.live, *seen.config)}
        is_nowhere = nic.alias not in aliases.get(nic.domain_uuid, ()) and (nic.domain_uuid, nic.alias) not in busy
        if is_nowhere and seen is not None and _was_taken(nic, seen):
            yield _nic_gone(nic, seen)


def _was_taken(nic: NicRecord, seen: Seen) -> bool:
    """Whether the NIC was taken from the run that it was given to, or from the definition. A run that ends takes its hot-plugged NICs along."""
    if nic.backend is State.CLOSED:
        return True
    if not seen.is_active:
        return False
    process = seen.domain.process()
    if nic.process and process:
        return nic.process == process
    return not guest.began_after(seen.domain, nic.since)  # rows of journal version 4 name no process


def _damaged(nic: NicRecord) -> Finding:
    return Finding(
        kind="row-damaged",
        domain=nic.domain_name,
        domain_uuid=nic.domain_uuid,
        nic=nic.alias,
        message=f"The journal's row of NIC {nic.alias} of {nic.domain_name} cannot be read: {nic.unreadable}.",
        remedy="The NIC itself works on. 'virtnetplug show' has what the hypervisor says of it.",
    )


def _nic_gone(nic: NicRecord, seen: Seen | None) -> Finding:
    name = seen.name if seen is not None else nic.domain_name
    why = "does not exist any more" if seen is None else "does not have it any more"
    return Finding(
        kind="nic-gone",
        domain=name,
        domain_uuid=nic.domain_uuid,
        nic=nic.alias,
        message=f"The journal has NIC {nic.alias} ({nic.mac}) of {name}, and that domain {why}.",
        remedy="The guest was shut down, or others detached it: 'virtnetplug audit --repair' forgets it.",
        repair=f"forget NIC {nic.alias} in the journal",
        network=nic.network,
    )
