"""A domain as it was looked at, what its metadata and the journal know of its NICs, and which of the NICs serve."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from virtnetplug import xml
from virtnetplug.backends import backend_of
from virtnetplug.errors import IdentityMissing, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change.remembering import Remembered, halves_of, name_of
from virtnetplug.hotplug.guest.nic_status import frontend, pending_nics
from virtnetplug.hotplug.look.open_operations import operation_on
from virtnetplug.hotplug.look.recognition import (
    Rows,
    first_of,
    is_stranger,
    plugged_rows,
    strange,
    twin_of,
    without_strangers,
)
from virtnetplug.hotplug.look.view import BOTH, DomainNic, DomainView, look
from virtnetplug.lifecycle import State
from virtnetplug.model.identity import CandidateView, DomainMetadata, Identity, TwinView, UnplugPolicy
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Scope
from virtnetplug.policy.activation import Candidate, Ranked, device_of_model, rank
from virtnetplug.policy.forced_unplug import decide
from virtnetplug.ports.domain import Domain

NOWHERE = DomainNic()

ETHERNET = "0200"
"""PCI class of every model that QEMU has, and of every VF that libvirt takes for a NIC."""


@dataclass(frozen=True, eq=False)
class KnownDomain:
    """A look at a domain, and what is known of its NICs, which is read once, when it is first used.

    `kept` is the metadata, if the caller has read it already or is about to write it.
    """

    host: Host
    view: DomainView
    kept: DomainMetadata | None = None

    @classmethod
    def of(cls, host: Host, domain: Domain) -> KnownDomain:
        """The domain as it is now. Raises `DomainMissing` if it is gone."""
        return cls(host, look(domain, BOTH))

    @cached_property
    def metadata(self) -> DomainMetadata:
        """What the live definition of a running domain remembers, or the config of a domain that is off.

        Only a definition that has virtnetplug metadata costs a call. Raises what `xml.metadata` raises.
        """
        if self.kept is not None:
            return self.kept
        if xml.NAMESPACE not in (self.view.live_xml or self.view.config_xml or ""):
            return DomainMetadata()
        return xml.metadata(self.view.domain.metadata(Half.LIVE if self.view.live_xml is not None else Half.CONFIG))

    @cached_property
    def rows(self) -> Rows:
        """See `plugged_rows`."""
        return plugged_rows(self.host, self.view)

    @cached_property
    def pending(self) -> Mapping[str, str]:
        """See `pending_nics`."""
        return pending_nics(self.host, self.view.domain.uuid, self.view)

    @cached_property
    def policy(self) -> UnplugPolicy:
        """The unplug policy of the domain, or the host's default for a domain without a policy."""
        return self.host.journal.host_policy() if self.metadata.unplug is None else self.metadata.unplug

    @cached_property
    def nets(self) -> Mapping[str, Interface]:
        """The NICs of the running guest, by the names that the metadata has."""
        return {name_of(net): net for net in (self.view.live.nets if self.view.live is not None else ())}

    def called(self, name: str) -> tuple[DomainNic, ...]:
        """The NICs that are remembered by that name."""
        return tuple(nic for nic in self.view.nics if name in map(name_of, nic.nets))

    def identity_of(self, emulated: str) -> Identity:
        """The remembered identity of the NIC with that alias or MAC. Raises `IdentityMissing`."""
        for identity in self.metadata.identities:
            nets = [xml.interface(text) for text in (identity.live, identity.config) if text is not None]
            if emulated == identity.alias or emulated.lower() in [str(net.mac) for net in nets]:
                return identity
        name = self.view.domain.name
        there = ", ".join(identity.alias for identity in self.metadata.identities) or "nothing"
        raise IdentityMissing(
            f"Domain {name} remembers no NIC '{emulated}' (it remembers {there}). A hand-over writes such a record, and so does the attach of "
            f"its twin with `twin_of`. {call('identities', name)} lists them."
        )

    def unheld(self, net: Interface) -> Interface:
        """The NIC with its own link state, if its link is held down because another NIC serves.

        While a NIC is in a group, its link state is the group's. Neither the NIC's record, nor the NIC that takes its identity, may inherit that state.
        """
        name = name_of(net)
        if net.link_state != "down" or not any(name in group for group in self.metadata.activation):
            return net
        identity = self.metadata.identity(name)
        was = xml.interface(identity.live).link_state if identity is not None and identity.live is not None else None
        return xml.interface(xml.edit(net.element, {"link_state": was}))

    def change(self, name: str, after: Identity | None) -> Remembered:
        """The change of the NIC's record to `after`; None deletes the record."""
        return Remembered(name=name, before=self.metadata.identity(name), after=after, halves=halves_of(self.view))

    def record(self, nic: DomainNic, *, vif: str, is_out: bool) -> Remembered:
        """The change that writes the NIC's elements as they are now, and its marker. A link that is held down is recorded as `unheld` says."""
        name = name_of(nic.net)
        after = replace(self.metadata.identity(name) or Identity(alias=name), vif=vif, is_out=is_out)
        if nic.live is not None:
            after = replace(after, live=self.unheld(nic.live).element)
        if nic.config is not None:
            after = replace(after, config=nic.config.element)
        return self.change(name, after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """An emulated NIC, as it is there, and what is decided because of its fast twin. A NIC that waits for its guest to let go does not count."""

    view: TwinView
    emulated: DomainNic
    halves: tuple[Half, ...]
    """The definitions that have the emulated NIC, and that lose it by the policy."""
    why: str
    others: tuple[str, ...]
    """For each of the two aliases that another NIC has, a sentence."""


def twins_of(known: KnownDomain) -> Iterator[Twin]:
    """Every emulated NIC that has a marker."""
    return (_twin(known, identity) for identity in known.metadata.identities if identity.vif)


def _twin(known: KnownDomain, identity: Identity) -> Twin:
    view, rows = known.view, known.rows
    live, config = fast = _staying(known, twin_of(view, identity.vif, rows, identity))
    called = known.called(identity.alias)
    emulated = _staying(known, first_of([without_strangers(identity.alias, nic, identity, rows) for nic in called]))
    is_connected = live is not None and frontend(known.host, view.domain, live) is State.CONNECTED
    decision = decide(
        known.policy,
        twin_present=fast != NOWHERE,
        twin_connected=is_connected,
        is_teaming_persistent=any(
            net.teaming is not None and net.teaming.type == "persistent" for net in emulated.nets
        ),
        scope=Scope.BOTH if live and config else Scope.CONFIG if config else Scope.LIVE,
    )
    others = tuple(text for alias in (identity.alias, identity.vif) for text in strange(alias, view, identity, rows))
    row = rows.get(identity.alias)  # another NIC that has the emulated one's alias stays
    goes = [half for half in decision.halves if not any(is_stranger(nic.half(half), identity, row) for nic in called)]
    return Twin(
        view=TwinView(
            alias=identity.alias,
            vif=identity.vif,
            is_there=emulated != NOWHERE,
            is_connected=is_connected,
            unplug_live=Half.LIVE in goes,
            unplug_config=Half.CONFIG in goes,
            why="; ".join((decision.why, *others)),
        ),
        emulated=emulated,
        halves=tuple(half for half in decision.halves if emulated.half(half) is not None),
        why=decision.why,
        others=others,
    )


def _staying(known: KnownDomain, nic: DomainNic) -> DomainNic:
    """The NIC without its live half, if the guest has been asked for it."""
    return nic if operation_on(nic.live, known.pending) is None else DomainNic(None, nic.config)


def candidates(known: KnownDomain, group: Collection[str], leaving: Collection[str] = ()) -> tuple[CandidateView, ...]:
    """The NICs of `group` that could serve now, the NIC that serves first. `leaving` are names of NICs that are about to leave the guest."""
    there = [name for name in known.nets if name in group and name not in leaving and not why_not(known, name)]
    return tuple(_view(known, ranked) for ranked in rank(_candidate(known, name) for name in there))


def why_not(known: KnownDomain, name: str) -> str:
    """Why the NIC of that name is no candidate now; empty if it is a candidate."""
    net = known.nets.get(name)
    if net is None:
        return "the guest does not have it" if known.view.live is not None else "the guest does not run"
    if text := stranger(known, name):
        return text
    if net.teaming is not None:
        return "it is half of a teaming pair, and which half serves is the guest's own choice"
    return "" if operation_on(net, known.pending) is None else "the guest has been asked to let go of it"


def stranger(known: KnownDomain, name: str) -> str:
    """A sentence about a NIC of the guest that only has the name of the NIC that is known by it; else empty."""
    if not is_stranger(known.nets.get(name), known.metadata.identity(name), known.rows.get(name)):
        return ""
    return f"{name} is another NIC than the NIC that was attached or recorded with that alias"


def _view(known: KnownDomain, ranked: Ranked) -> CandidateView:
    candidate = ranked.candidate
    net = known.nets[candidate.alias]
    is_up, obstacle = backend_of(net).link_of(known.host, net)
    return CandidateView(
        alias=candidate.alias,
        device=candidate.vendor_device,
        address=candidate.address,
        rank=ranked.rank,
        why=ranked.why,
        link_state="up" if is_up else "down",
        is_held=ranked.rank != 1,
        obstacle=obstacle,
    )


def _candidate(known: KnownDomain, name: str) -> Candidate:
    net, topology = known.nets[name], known.view.topology
    if (seen := backend_of(net).device_seen(known.host, net)) is not None:
        return Candidate(alias=name, vendor_device=seen, pci_class=ETHERNET, address=net.address or net.source_pci)
    is_conventional = net.address is not None and not (topology and topology.is_express(net.address.bus))
    device = device_of_model(net.model, is_conventional=is_conventional) or ""
    return Candidate(alias=name, vendor_device=device, pci_class=ETHERNET if device else "", address=net.address)
