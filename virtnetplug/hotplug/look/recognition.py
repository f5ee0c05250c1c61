"""Whether a NIC is the one that the domain or the journal knows by its alias, or another NIC that somebody gave that alias."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from virtnetplug import xml
from virtnetplug.backends import backend_of
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.look.view import BOTH, DomainNic, DomainView, has_source_of
from virtnetplug.lifecycle import GONE
from virtnetplug.model.identity import Identity
from virtnetplug.model.interface import Interface, is_lasting, is_minted
from virtnetplug.model.operation import Half, NicRecord
from virtnetplug.ports.domain import HowBegan

Rows = Mapping[str, NicRecord]


def plugged_rows(host: Host, view: DomainView) -> Rows:
    """The journal's rows of the domain's NICs that were plugged, by alias."""
    return {nic.alias: nic for nic in host.journal.nics(host.hypervisor.key, view.domain.uuid)}


def is_stranger(net: Interface | None, known: Identity | None, row: NicRecord | None) -> bool:
    """Whether that NIC has another MAC or source than its row has, and than is remembered of its alias. If nothing is known of the alias, it has not."""
    seen = _remembered(known) if known is not None else []
    if net is None or not (seen or row is not None) or (row is not None and is_of_row(net, row)):
        return False
    return not any(net.mac == each.mac and has_source_of(net, each) for each in seen)


def end_of(net: Interface) -> str:
    return backend_of(net).end_of(net)


def has_other_end(now: Interface, end: str, process: str, process_now: str) -> bool:
    """Whether a NIC that had that host end (`end_of`), in that process of QEMU, is not the NIC `now`.

    libvirt moves the tap of a NIC that it connects to something else, and makes no other one as long as the process lives. It gives a NIC no other
    host device. If a process or an end is not seen, nothing shows which NIC it is.
    """
    return bool(process) and process == process_now and bool(end and end_of(now)) and end_of(now) != end


def is_anothers(row: NicRecord, live: Interface, config: Interface | None, view: DomainView) -> bool:
    """Whether somebody has put a NIC of that alias and MAC, connected to something else, in the place of the one that was plugged.

    In the process that the NIC was plugged into, another NIC has another tap. A guest that was booted since, and a guest that never had the NIC,
    have it as the definition (`config`) has it. Nothing shows it in a guest that was restored, or in a process that is not seen.
    """
    if not backend_of(live).updatable or is_of_row(live, row) or not row.process:
        return False
    if row.process == view.run.process and (row.frontend, row.backend) != GONE:
        return has_other_end(live, row.target, row.process, view.run.process)
    is_fresh = row.process == view.run.process or view.state.began is HowBegan.BOOTED
    return is_fresh and not (config is not None and config.mac == live.mac and has_source_of(live, config))


def emulated_of(view: DomainView, known: Identity, rows: Rows) -> DomainNic:
    """The emulated NIC that is remembered, as each definition has it."""
    found = ([net for net in view.nets(half) if _is_emulated(net, known, rows)] for half in BOTH)
    return DomainNic(*(next(iter(nets), None) for nets in found))


def is_out(view: DomainView, known: Identity, rows: Rows, half: Half | None = None) -> bool:
    """Whether that definition lacks the emulated NIC. If no `half` is given, the running guest decides, or the next boot of a domain that is off."""
    present = Half.LIVE if view.live is not None else Half.CONFIG
    return emulated_of(view, known, rows).half(half or present) is None


def _is_emulated(net: Interface, known: Identity, rows: Rows) -> bool:
    """Whether that is the emulated NIC: by its MAC, and by its alias if that lasts.

    A NIC whose alias libvirt made has an alias of ours once it is restored. Where its MAC is with another alias, the source decides: the fast twin
    has that MAC, and so may a NIC that somebody put in.
    """
    seen, is_named = _remembered(known), is_lasting(net.alias)
    if is_named and net.alias == known.alias:
        is_changed = not known.is_out and not is_stranger(net, known, rows.get(known.alias))  # by virtnetplug since
        return not seen or is_changed or net.mac in {one.mac for one in seen}
    if net.mac is None or net.mac not in {one.mac for one in seen}:
        return False
    if net.alias == known.vif and not is_stranger(net, None, rows.get(known.vif)):
        return False
    if is_named and is_lasting(known.alias):
        return False
    is_ours = is_minted(net.alias) and net.alias != known.vif
    return is_ours or not is_named or any(has_source_of(net, one) for one in seen)


def _remembered(known: Identity) -> list[Interface]:
    """The NIC as it is remembered of each definition."""
    return [xml.interface(text) for text in (known.live, known.config) if text is not None]


def without_strangers(alias: str, nic: DomainNic, known: Identity | None, rows: Rows) -> DomainNic:
    """`nic` without an element that has `alias`, that of the emulated NIC or of its fast twin, and is of another NIC.

    Nothing but its row is remembered of the twin: its definition may have another source than its live element.
    """
    its, row = known if known is not None and alias == known.alias else None, rows.get(alias)
    live, config = (None if is_stranger(net, its, row) else net for net in nic)
    is_twins = its is None and live is not None and nic.config is not None and live.mac == nic.config.mac
    is_known = is_twins or _serves_in_config(alias, nic.config, known, row)
    return DomainNic(live, nic.config if is_known else config)


def _serves_in_config(alias: str, config: Interface | None, known: Identity | None, row: NicRecord | None) -> bool:
    """Whether that is the fast twin with the MAC of the emulated NIC. The row may still be of the guest's NIC, which has its own MAC."""
    if config is None or row is None or known is None or not known.is_out or alias != known.vif:
        return False
    has_its_mac = config.mac in {one.mac for one in _remembered(known)}
    return has_its_mac and is_of_row(config, dataclasses.replace(row, mac=""))


def twin_of(view: DomainView, vif: str, rows: Rows, known: Identity | None = None) -> DomainNic:
    """The fast twin of that alias as it is there; `known` is what is remembered of the emulated NIC."""
    return first_of([without_strangers(vif, nic, known, rows) for nic in _called(vif, view.nics)])


def first_of(nics: Sequence[DomainNic]) -> DomainNic:
    """The first element of each definition that `nics` have."""
    return DomainNic(*(next((net for nic in nics if (net := nic.half(half)) is not None), None) for half in BOTH))


def strange(
    alias: str, view: DomainView, known: Identity, rows: Rows, nics: Iterable[DomainNic] | None = None
) -> tuple[str, ...]:
    """The sentence about a NIC of `nics` (all, if None) that has `alias` and is not the emulated NIC or fast twin of that alias.

    A definition in which the emulated NIC was not handed over may have the fast one as it was before.
    """
    emulated = emulated_of(view, known, rows)
    is_before = [alias == known.vif and known.is_out and net is not None and net.teaming is None for net in emulated]
    called = _called(alias, view.nics if nics is None else nics)
    if all(
        here is its or before
        for nic in called
        for here, its, before in zip(nic, without_strangers(alias, nic, known, rows), is_before, strict=True)
    ):
        return ()
    if alias == known.alias:
        return (f"{alias} is another NIC than the emulated NIC that was recorded with that alias",)
    return (f"{alias} is another NIC than the fast twin of {known.alias} that was attached with that alias",)


def _called(alias: str, nics: Iterable[DomainNic]) -> list[DomainNic]:
    return [nic for nic in nics if alias and any(net.alias == alias for net in nic.nets)]


def is_of_row(net: Interface, row: NicRecord) -> bool:
    """Whether that NIC has the MAC and the source of its row. A NIC of a pool has a device in the guest, and the pool in the definition."""
    if row.mac not in ("", str(net.mac or "")):
        return False
    if "hostdev" in (row.type, net.type) and {row.type, net.type} <= {"network", "hostdev"}:
        return None in (net.source_network, row.network or None) or net.source_network == row.network
    return net.source == row.source
