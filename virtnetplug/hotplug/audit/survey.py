"""Everything an audit compares, fetched once and as cheaply as it can be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from virtnetplug import xml
from virtnetplug.backends import types_that
from virtnetplug.errors import DomainMissing, DomainNotRunning, DomainTransient, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.engine.ownership import stands_still
from virtnetplug.model.operation import Half, NicRecord, OperationRecord
from virtnetplug.ports.domain import Domain, DomainState, Ends, Stray
from virtnetplug.ports.host import Link
from virtnetplug.xml import NetGlimpse

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Seen:
    """One domain with its definitions, None where it has no such one; each is parsed only if somebody looks into it."""

    domain: Domain
    name: str
    uuid: str
    live_xml: str | None
    config_xml: str | None

    @cached_property
    def live(self) -> tuple[NetGlimpse, ...]:
        """The nets the guest has."""
        return () if self.live_xml is None else xml.glimpse(self.live_xml)

    @cached_property
    def config(self) -> tuple[NetGlimpse, ...]:
        """The nets of the next boot."""
        return () if self.config_xml is None else xml.glimpse(self.config_xml)

    @cached_property
    def aliases(self) -> frozenset[str | None]:
        """The aliases of its NICs in either definition."""
        return frozenset(net.alias for net in (*self.live, *self.config))

    @property
    def owner(self) -> tuple[str, str]:
        """Its name and its UUID, as findings give them."""
        return self.name, self.uuid

    @property
    def is_active(self) -> bool:
        """Whether it runs, or did a moment ago."""
        return self.live_xml is not None

    @property
    def nics(self) -> int:
        """How many it has; of the definition if it does not run."""
        return xml.nic_count(self.live_xml if self.live_xml is not None else self.config_xml or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All views of the same NICs; a view that could not be had is None, and `unseen` says why.

    `domains` is by UUID. `is_whole` is false when only one domain was looked at. `ports` has the UUIDs of
    each network's ports. `strays` and `ends` are what the hypervisor's host shows by itself, where it does: by domain, and by domain, MAC and link.
    `remains` are the ids of ended Xen domains that xenstore still has something of; a survey of one domain has none.
    `alive` holds the ids of those of `operations` that somebody is working on, `stalled` why some of them do not get on.
    """

    domains: Mapping[str, Seen]
    is_whole: bool
    links: Mapping[str, Link] | None = None
    taps: Mapping[str, frozenset[str]] | None = None
    ports: Mapping[str, frozenset[str]] | None = None
    strays: Mapping[str, Sequence[Stray]] = field(default_factory=dict)
    ends: Mapping[tuple[str, str, str | None], Ends] = field(default_factory=dict)
    remains: frozenset[int] = frozenset()
    nics: tuple[NicRecord, ...] = ()
    operations: tuple[OperationRecord, ...] = ()
    alive: frozenset[str] = frozenset()
    stalled: Mapping[str, str] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()


def survey(host: Host, domain: str | None = None) -> Survey:
    """Look at every domain, or at one; a domain that goes away meanwhile is left out."""
    if domain is None:
        definitions: Iterable[tuple[Domain, DomainState]] = host.hypervisor.definitions()
    else:
        one = host.hypervisor.domain(domain)
        definitions = [(one, one.state())]
    seen = (_see(*definition) for definition in definitions)
    return _surroundings(host, {each.uuid: each for each in seen if each is not None}, is_whole=domain is None)


def look_again(host: Host, first: Survey, uuids: Collection[str]) -> Survey:
    """`first` with the domains `uuids` and everything around them fetched afresh."""
    domains = dict(first.domains)
    for uuid in uuids:
        old = domains.pop(uuid, None)
        with suppress(DomainMissing):
            if old is not None and (new := _see(old.domain, old.domain.state())) is not None:
                domains[uuid] = new
    return _surroundings(host, domains, is_whole=first.is_whole)


def _see(domain: Domain, state: DomainState) -> Seen | None:
    try:
        live_xml = domain.xml(Half.LIVE) if state.is_active else None
    except DomainNotRunning:
        live_xml = None  # it stopped since it was listed
    except DomainMissing:
        return None
    try:
        config_xml = domain.xml(Half.CONFIG) if state.persistent else None
    except DomainTransient:
        config_xml = None
    except DomainMissing:
        return None
    return Seen(domain, domain.name, domain.uuid, live_xml, config_xml)


def _surroundings(host: Host, domains: Mapping[str, Seen], *, is_whole: bool) -> Survey:
    """The host, the networks and the journal around `domains`."""
    unseen: list[str] = []

    def tried(what: str, look: Callable[[], T]) -> T | None:
        try:
            return look()
        except (VirtnetplugError, OSError) as error:
            unseen.append(f"{what}: {error.message if isinstance(error, VirtnetplugError) else error}")
            return None

    active = [seen for seen in domains.values() if seen.is_active]
    links = taps = None
    if active and not host.hypervisor.is_local:
        unseen.append("taps and bridges: the hypervisor runs on another host")
    elif active:
        links, taps = tried("taps and bridges", lambda: (host.links.links(), host.links.taps_by_domain())) or (
            None,
            None,
        )
    hidden = sum(seen.uuid not in taps and not shows_ends(seen) for seen in active) if taps is not None else 0
    if hidden:
        unseen.append(f"the taps that QEMU holds open, for {hidden} running domain(s): that takes root")
    shown = [seen for seen in active if shows_ends(seen)]
    strays = {seen.uuid: tried(f"what the host shows of the NICs of {seen.name}", seen.domain.strays) for seen in shown}
    whole = Survey(
        domains=domains,
        is_whole=is_whole,
        links=links,
        taps=taps,
        strays={uuid: its for uuid, its in strays.items() if its is not None},
        ends={place: ends for seen in shown for place, ends in _ends(seen)},
        ports=tried("networks and their ports", lambda: _ports(host)),
    )
    whole = tried("the journal", lambda: _with_journal(host, whole)) or whole
    store = host.vif_store
    remains = tried("what is left of domains that ended", store.remains) if store is not None and is_whole else None
    return replace(whole, remains=remains or frozenset(), unseen=tuple(unseen))


def shows_ends(seen: Seen) -> bool:
    """Whether the hypervisor's host shows the domain's NICs by itself."""
    return seen.domain.ends(None) is not None


def _ends(seen: Seen) -> Iterator[tuple[tuple[str, str, str | None], Ends]]:
    for net in seen.live:
        if net.mac is not None and net.type in types_that("shown_types"):
            its = seen.domain.ends(net.mac, net.target)
            if its is not None:
                yield (seen.uuid, net.mac, net.target), its


def _ports(host: Host) -> dict[str, frozenset[str]]:
    """Neither the ports' own XML nor the network's is read here: 8,000 NICs have 8,000 ports."""
    return {name: frozenset(host.networks.port_uuids(name)) for name in host.networks.names()}


def _with_journal(host: Host, whole: Survey) -> Survey:
    hypervisor = host.hypervisor.key
    only = None if whole.is_whole else next(iter(whole.domains), "")
    domains = () if only is None else (only, "")  # those of a PF are of no one domain
    operations = tuple(
        replace(record, domain_name=whole.domains[record.domain_uuid].name)
        if record.domain_uuid in whole.domains
        else record
        for record in host.journal.open_operations(hypervisor, *domains)
    )
    alive = [record for record in operations if host.journal.is_owner_alive(record)]
    return replace(
        whole,
        nics=tuple(host.journal.nics(hypervisor, only)),
        operations=operations,
        alive=frozenset(record.id for record in alive),
        stalled={record.id: why for record in alive if (why := stands_still(host, record)) is not None},
    )
