"""Where the views of an audit disagree: pure functions from a `Survey` to findings, one for each kind of place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from virtnetplug import xml
from virtnetplug.backends import types_that
from virtnetplug.errors import VirtnetplugError, call
from virtnetplug.hotplug.audit.findings import finding
from virtnetplug.hotplug.audit.survey import Seen, Survey
from virtnetplug.hotplug.engine.kinds import operation_of, why_unknown
from virtnetplug.hotplug.engine.transaction import REMEDY
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.ending import REASONS
from virtnetplug.hotplug.look.backing import DATAPATH, LINUX, ON_BRIDGE, OPEN_VSWITCH
from virtnetplug.hotplug.look.open_operations import leaving
from virtnetplug.lifecycle import State
from virtnetplug.model.audit import Finding
from virtnetplug.model.interface import known_as
from virtnetplug.model.operation import Half, NicRecord, OperationRecord, OperationState
from virtnetplug.ports.domain import HowEnded
from virtnetplug.ports.host import Link
from virtnetplug.xml import NetGlimpse


def disagreements(whole: Survey) -> Iterator[Finding]:
    """All, but for ports of NICs nobody has (`audit` reads those ports)."""
    aliases = {(nic.domain_uuid, nic.alias) for nic in whole.nics}
    known = {uuid for uuid, _alias in aliases}
    for seen in whole.domains.values():
        yield from _doubles(seen)
        if not seen.is_active:
            continue
        for net in seen.live:
            yield from (*_link(seen, net, whole), *_port(seen, net, whole)) or _down(seen, net, whole)
        yield from _orphan_taps(seen, whole)
        yield from _vifs(seen, whole)
        if seen.uuid in known:
            yield from _config(seen, aliases)
    yield from _operations(whole)
    yield from _gone(whole)


def behind(whole: Survey) -> Iterator[tuple[Seen, NetGlimpse, Finding]]:
    """For each NIC of a running guest, what is wrong behind it."""
    for seen in whole.domains.values():
        for net in seen.live:
            for found in (*_link(seen, net, whole), *_port(seen, net, whole)):
                yield seen, net, found


def _name(net: NetGlimpse) -> str:
    """A NIC by what it is best known by."""
    return net.alias or net.mac or net.target or net.type


def _at(
    seen: Seen, net: NetGlimpse, kind: str, device: str | None, *, is_safe: bool = True, **values: object
) -> Finding:
    """The finding about a NIC, and the device or port that is behind it."""
    network = net.network
    return finding(kind, seen.owner, _name(net), device=device or "", network=network, is_safe=is_safe, **values)


def _twice(values: Iterable[str | None]) -> set[str]:
    return {value for value, count in Counter(values).items() if value is not None and count > 1}


def _doubles(seen: Seen) -> Iterator[Finding]:
    """Aliases and MACs that occur twice; where both definitions have such a double, the finding is about the live one."""
    found: set[str] = set()
    for half, text in ((Half.LIVE, seen.live_xml), (Half.CONFIG, seen.config_xml)):
        if text is None or not xml.may_have_doubles(text):
            continue  # most definitions of the next boot are never parsed
        nets = seen.live if half is Half.LIVE else seen.config
        for alias in sorted(_twice(net.alias for net in nets) - found):
            found.add(alias)
            yield finding("alias-duplicate", seen.owner, alias, half=half)
        for mac in sorted(_twice(net.mac for net in nets) - found):
            names = [_name(net) for net in nets if net.mac == mac]
            if len(names) > 2 or not _are_teamed(text, mac):
                found.add(mac)
                yield finding("mac-duplicate", seen.owner, mac, half=half, count=len(names), names=", ".join(names))


def _are_teamed(text: str, mac: str) -> bool:
    """A teaming pair shares its MAC by design."""
    try:
        nets = xml.devices(text).nets
    except VirtnetplugError:
        return False
    teaming = [net.teaming for net in nets if str(net.mac) == mac]
    return sorted(each.type for each in teaming if each is not None) == ["persistent", "transient"]


def _link(seen: Seen, net: NetGlimpse, whole: Survey) -> Iterator[Finding]:
    """A tap that is gone, that is not where the live definition says, or that is not isolated."""
    target = net.target
    if whole.links is None or target is None or net.type not in types_that("linked_types"):
        return
    link = whole.links.get(target)
    if link is None:
        is_held = whole.taps is not None and target in whole.taps.get(seen.uuid, ())
        if not is_held:  # QEMU may have the tap after all: then the tap is in another network namespace than ours
            yield _at(seen, net, "tap-missing", target)
        return
    if net.type not in ON_BRIDGE:
        return
    if net.bridge is not None and link.master != net.bridge:
        yield from _outside(seen, net, link, whole.links)
    elif net.is_isolated and link.isolated is False:
        yield _at(seen, net, "tap-not-isolated", link.name, master=link.master)


def _down(seen: Seen, net: NetGlimpse, whole: Survey) -> Iterator[Finding]:
    """A tap that somebody has set down. libvirt sets it up when it makes it, whatever the link state of the NIC, and never sets it down."""
    link = whole.links.get(net.target or "") if whole.links is not None else None
    if link is not None and not link.up and net.type in ON_BRIDGE and net.bridge is not None:
        yield _at(seen, net, "tap-down", link.name)


def _outside(seen: Seen, net: NetGlimpse, link: Link, links: Mapping[str, Link]) -> Iterator[Finding]:
    bridge, master = links.get(net.bridge or ""), links.get(link.master or "")
    # Open vSwitch that could not be asked: a port's master is its datapath then, or none at all where that is in user space.
    is_unasked = bridge is not None and bridge.kind not in (LINUX, OPEN_VSWITCH)
    is_of_datapath = (
        bridge is not None and bridge.kind == OPEN_VSWITCH and master is not None and master.name == DATAPATH
    )
    if is_unasked or is_of_datapath:
        return
    kind = "tap-in-other-bridge" if link.master else "tap-not-in-bridge"
    if bridge is None:
        kind = "bridge-missing"
    is_safe = bridge is not None and bridge.kind in (LINUX, OPEN_VSWITCH)
    start = f"start network {net.network}" if net.network else f"make bridge {net.bridge}"
    yield _at(seen, net, kind, link.name, is_safe=is_safe, bridge=net.bridge, master=link.master, start=start)


def _port(seen: Seen, net: NetGlimpse, whole: Survey) -> Iterator[Finding]:
    if whole.ports is None or net.portid is None or net.network is None:
        return
    if net.portid in whole.ports.get(net.network, ()):
        return
    is_defined = net.network in whole.ports
    can_return = is_defined and net.type in (*ON_BRIDGE, "direct")
    start = "The network was stopped or restarted under it: start it, then `heal()` makes the port again."
    why = "which has no such port" if is_defined else "and there is no such network"
    how = start if can_return else "Detach the NIC and attach it again."
    yield _at(seen, net, "port-missing", net.portid, is_safe=can_return, why=why, how=how)


def _orphan_taps(seen: Seen, whole: Survey) -> Iterator[Finding]:
    held = whole.taps.get(seen.uuid, frozenset()) if whole.taps is not None and whole.links is not None else frozenset()
    extra = held.difference([net.target for net in seen.live if net.target is not None])
    if extra and not xml.has_own_netdevs(seen.live_xml or ""):
        for tap in sorted(extra):
            yield finding("orphan-tap", seen.owner, tap, device=tap)


def _vifs(seen: Seen, whole: Survey) -> Iterator[Finding]:
    """What the host of a hypervisor that shows NICs by itself has more, or less, than the live definition."""
    for stray in whole.strays.get(seen.uuid, ()):
        name, number = stray.name, stray.name.rpartition(".")[2]
        mac, bridge = stray.mac or "unknown", stray.bridge or "unknown"
        yield finding("orphan-vif", seen.owner, stray.mac or name, device=name, mac=mac, bridge=bridge, number=number)
    for net in seen.live:
        ends = whole.ends.get((seen.uuid, net.mac or "", net.target))
        missing = [] if ends is None else [name for name in ("frontend", "backend") if getattr(ends, name) is None]
        if missing:
            yield _at(seen, net, "vif-missing", net.target, missing=" and no ".join(missing))


def _config(seen: Seen, known: set[tuple[str, str]]) -> Iterator[Finding]:
    """Only NICs virtnetplug attached to both: between others' definitions a difference may be meant."""
    config = {net.alias: net for net in reversed(seen.config)}
    for net in seen.live:
        if net.alias is None or not net.alias.startswith("ua-") or (seen.uuid, net.alias) not in known:
            continue
        changes = _differences(net, config[net.alias]) if net.alias in config else ()
        if changes:
            yield finding("config-differs", seen.owner, net.alias, changes=", ".join(changes))


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
        about = ", ".join([entry["alias"] for entry in record.named] if record.asked is None else record.asked)
        owner = record.domain_name, record.domain_uuid
        if (stalled := whole.stalled.get(record.id)) is not None:
            yield finding("operation-stalled", owner, about, device=record.id, why=stalled[0].upper() + stalled[1:])
        if record.id in whole.alive:
            continue
        why, how = _why_open(whole, record), f"Run {call('recover', record.domain_name)}."
        if operation_of(record) is None:
            how = REMEDY
        elif record.state is OperationState.PENDING and (end := _end_seen(whole, record)) is not None:
            why = "waits for a guest of which nothing says how its run ended" if end is HowEnded.UNKNOWN else ""
            how = (
                f"Start {record.domain_name} if it is off, which decides it. If you know that the guest is no more, or is to stay as it is, "
                f"{call('recover', record.domain_name, forget=record.id)} closes the operation."
            )
        if why:
            operation = record.operation
            yield finding("operation-open", owner, about, device=record.id, operation=operation, why=why, how=how)


def _end_seen(whole: Survey, record: OperationRecord) -> HowEnded | None:
    """How the run ended, as `recover` has reported it: it could say no more now. A guest that was saved has the NIC wherever that is."""
    seen, operation = whole.domains.get(record.domain_uuid), operation_of(record)
    if seen is None or operation is None or record.reason not in REASONS.values():
        return None
    ending = operation.away(seen.domain, record)
    return ending.end if ending is not None and REASONS[ending.end] == record.reason else None


def _why_open(whole: Survey, record: OperationRecord) -> str:
    """Why an open operation is a finding. Empty while the guest has the NIC; once it let go, `recover` has to finish."""
    if operation_of(record) is None:
        return f"is not known to this version ({why_unknown(record)})"
    if record.state is not OperationState.PENDING:
        return "was left open by a process that is gone, or could not be undone"
    if not record.domain_uuid:  # a PF's, of many guests
        there = {(seen.uuid, name) for seen in whole.domains.values() for net in seen.live for name in _names(net)}
        its = [{(uuid, name) for name in record.names_of(alias)} for uuid, alias in record.touched if uuid]
        is_held = all(names & there for names in its) or not whole.is_whole
        return "" if is_held else "waits for a guest, which has let go or ended meanwhile"
    seen = whole.domains.get(record.domain_uuid)
    if seen is None or not seen.is_active:
        return "waits for a guest that does not run any more"
    leaves = {(uuid, name) for _, uuid, name in leaving([record]) if uuid}
    is_held = bool(leaves.intersection((seen.uuid, name) for net in seen.live for name in _names(net)))
    return "" if is_held else "waits for the guest, which has let go meanwhile"


def _names(net: NetGlimpse) -> tuple[str | None, ...]:
    """All that the NIC may be called in `leaving`."""
    return net.alias, net.mac, known_as(net.alias, net.mac), known_as(net.mac, net.address)


def _gone(whole: Survey) -> Iterator[Finding]:
    """NICs of the journal that are nowhere; those of an open operation are its own business."""
    busy = {nic for record in whole.operations for nic in record.touched}
    for nic in whole.nics:
        owner = nic.domain_name, nic.domain_uuid
        seen = whole.domains.get(nic.domain_uuid)
        if nic.unreadable:
            yield finding("row-damaged", owner, nic.alias, why=nic.unreadable)
        elif seen is None or (nic.domain_uuid, nic.alias) in busy:
            continue
        elif nic.alias not in seen.aliases and _was_taken(nic, seen):
            yield finding("nic-gone", seen.owner, nic.alias, network=nic.network, mac=nic.mac)


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
