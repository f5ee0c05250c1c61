"""Whether a NIC is the one that the domain or the journal knows by its alias, or another one that somebody gave that alias."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from virtnetplug import xml
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.view import DomainView, Pair, has_source_of
from virtnetplug.lifecycle import GONE
from virtnetplug.model.identity import DomainMetadata, Identity
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import NicRecord
from virtnetplug.ports.domain import HowBegan

Rows = Mapping[str, NicRecord]


def plugged_rows(host: Host, view: DomainView) -> Rows:
    """The journal's rows of the domain's NICs that were plugged, by alias."""
    return {nic.alias: nic for nic in host.journal.nics(host.hypervisor.key, view.domain.uuid)}


def is_stranger(net: Interface | None, known: Identity | None, row: NicRecord | None) -> bool:
    """Whether that NIC has another MAC or source than is remembered of its alias, and than its row has; one of which nothing is known is none."""
    seen = [xml.interface(text) for text in (known.live, known.config) if text is not None] if known else []
    if net is None or not (seen or row is not None) or (row is not None and _is_of_row(net, row)):
        return False
    return not any(net.mac == each.mac and has_source_of(net, each) for each in seen)


def is_anothers(row: NicRecord, live: Interface, config: Interface | None, view: DomainView) -> bool:
    """Whether somebody has put a NIC of that alias and MAC, connected to something else, in the place of the one that was plugged.

    In the process that the NIC was plugged into it has another tap. A guest that was booted since, and one that never had the NIC, have it as
    the definition (`config`) has it. Of a guest that was restored, or a process that is not seen, nothing tells.
    """
    if live.is_hostdev or row.source == live.source or not row.process:
        return False
    if row.process == view.run.process and (row.frontend, row.backend) != GONE:
        return row.target not in ("", live.target_dev)
    is_fresh = row.process == view.run.process or view.state.began is HowBegan.BOOTED
    return is_fresh and not (config is not None and config.mac == live.mac and has_source_of(live, config))


def without_strangers(pair: Pair, known: Identity, rows: Rows) -> Pair:
    """Without a NIC that has the alias of an emulated NIC, and is another one."""
    live, config = (None if is_stranger(net, known, rows.get(known.alias)) else net for net in pair)
    return live, config


def without_strange_twin(pair: Pair, known: Identity, rows: Rows) -> Pair:
    """Without a NIC that has the alias of the fast twin, and is another one. The definition of one that is not may say another source."""
    live, config = pair
    row = rows.get(known.vif)
    if is_stranger(live, None, row):
        live = None
    is_one = live is not None and config is not None and live.mac == config.mac
    return live, config if is_one or not is_stranger(config, None, row) else None


def twin_of(view: DomainView, known: Identity, rows: Rows) -> Pair:
    """The fast twin as it is there."""
    return first_of([without_strange_twin(pair, known, rows) for pair in view.pairs if _is_called(pair, known.vif)])


def first_of(pairs: Sequence[Pair]) -> Pair:
    """The first NIC of each definition that `pairs` have."""
    live, config = (next((pair[at] for pair in pairs if pair[at] is not None), None) for at in (0, 1))
    return live, config


def strange_twin(pairs: Iterable[Pair], known: Identity, rows: Rows) -> tuple[str, ...]:
    """The sentence that says that one of `pairs` is another NIC of its alias; none if none is."""
    named = [pair for pair in pairs if _is_called(pair, known.vif)]
    if all(without_strange_twin(pair, known, rows) == pair for pair in named):
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
