"""Whether a NIC is the one that the domain or the journal knows by its alias, or another one that somebody gave that alias."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from virtnetplug import xml
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.travel import MINTED
from virtnetplug.hotplug.view import BOTH, DomainView, Pair, has_source_of
from virtnetplug.model.identity import DomainMetadata, Identity
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Half, NicRecord

Rows = Mapping[str, NicRecord]


def plugged_rows(host: Host, view: DomainView) -> Rows:
    """The journal's rows of the domain's NICs that were plugged, by alias."""
    return {nic.alias: nic for nic in host.journal.nics(host.hypervisor.key, view.domain.uuid)}


def is_stranger(net: Interface | None, known: Identity | None, row: NicRecord | None) -> bool:
    """Whether that NIC has another MAC or source than is remembered of its alias, and than its row has; one of which nothing is known is none."""
    seen = _remembered(known) if known is not None else []
    if net is None or not (seen or row is not None) or (row is not None and _is_of_row(net, row)):
        return False
    return not any(net.mac == each.mac and has_source_of(net, each) for each in seen)


def without_strangers(pair: Pair, known: Identity, rows: Rows) -> Pair:
    """Without a NIC that has the alias of an emulated NIC, and is another one."""
    live, config = (None if is_stranger(net, known, rows.get(known.alias)) else net for net in pair)
    return live, config


def emulated_of(view: DomainView, known: Identity, rows: Rows) -> Pair:
    """The emulated NIC that is remembered, as each definition has it."""
    live, config = (
        next((net for net in devices.nets if _is_emulated(net, known, rows)), None) if devices is not None else None
        for devices in (view.live, view.config)
    )
    return live, config


def is_out(view: DomainView, known: Identity, rows: Rows) -> bool:
    """Whether the running guest has not got the emulated NIC; of a domain that is off, its next boot."""
    return is_out_of(view, known, rows, Half.LIVE if view.live is not None else Half.CONFIG)


def is_out_of(view: DomainView, known: Identity, rows: Rows, half: Half) -> bool:
    """Whether that definition has not got the emulated NIC."""
    return emulated_of(view, known, rows)[BOTH.index(half)] is None


def _is_emulated(net: Interface, known: Identity, rows: Rows) -> bool:
    """Whether that is the emulated NIC: by its MAC, and by its alias if that lasts.

    One whose alias libvirt made has an alias of ours once it is put back. Where its MAC is with another alias, the source decides: the fast twin has
    that MAC, and so may a NIC that somebody put in.
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
    is_ours = (net.alias or "").startswith(MINTED) and net.alias != known.vif
    return is_ours or not is_named or any(has_source_of(net, one) for one in seen)


def _remembered(known: Identity) -> list[Interface]:
    """The NIC as it is remembered of each definition."""
    return [xml.interface(text) for text in (known.live, known.config) if text is not None]


def without_strange_twin(pair: Pair, vif: str, rows: Rows) -> Pair:
    """Without a NIC that has the alias of the fast twin, and is another one. The definition of one that is not may say another source."""
    live, config = pair
    row = rows.get(vif)
    if is_stranger(live, None, row):
        live = None
    is_one = live is not None and config is not None and live.mac == config.mac
    return live, config if is_one or not is_stranger(config, None, row) else None


def twin_of(view: DomainView, vif: str, rows: Rows) -> Pair:
    """The fast twin of that alias as it is there."""
    return first_of([without_strange_twin(pair, vif, rows) for pair in view.pairs if _is_called(pair, vif)])


def first_of(pairs: Sequence[Pair]) -> Pair:
    """The first NIC of each definition that `pairs` have."""
    live, config = (next((pair[at] for pair in pairs if pair[at] is not None), None) for at in (0, 1))
    return live, config


def strange_twin(pairs: Iterable[Pair], known: Identity, rows: Rows) -> tuple[str, ...]:
    """The sentence that says that one of `pairs` is another NIC of its alias; none if none is."""
    named = [pair for pair in pairs if _is_called(pair, known.vif)]
    if all(without_strange_twin(pair, known.vif, rows) == pair for pair in named):
        return ()
    return (f"{known.vif} is another NIC than the fast twin of {known.alias}, which was plugged with that alias",)


def strange_emulated(view: DomainView, known: Identity, rows: Rows) -> tuple[str, ...]:
    """The same of the alias of the emulated NIC."""
    named = [pair for pair in view.pairs if _is_called(pair, known.alias)]
    if all(without_strangers(pair, known, rows) == pair for pair in named):
        return ()
    return (f"{known.alias} is another NIC than the one that is remembered by that alias",)


def strange_members(view: DomainView, metadata: DomainMetadata, rows: Rows) -> Mapping[str, str]:
    """The NICs of the running guest that only have the alias of one that a group names: that alias, and the sentence that says so."""
    named = {alias for group in metadata.activation for alias in group}
    return {
        net.alias: f"{net.alias} is another NIC than the one that was plugged with that alias, or is remembered by it"
        for net in (view.live.nets if view.live is not None else ())
        if net.alias in named and is_stranger(net, metadata.identity(net.alias), rows.get(net.alias))
    }


def _is_called(pair: Pair, alias: str) -> bool:
    return bool(alias) and any(net is not None and net.alias == alias for net in pair)


def _is_of_row(net: Interface, row: NicRecord) -> bool:
    """Of a pool, the guest has one device or another, and the definition the pool."""
    if row.mac not in ("", str(net.mac or "")):
        return False
    if "hostdev" in (row.type, net.type) and {row.type, net.type} <= {"network", "hostdev"}:
        return None in (net.source_network, row.network or None) or net.source_network == row.network
    return net.source == row.source
