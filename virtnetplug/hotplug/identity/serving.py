"""Which NICs serve: an emulated NIC or its fast twin, and one NIC of a group. The NICs as they are there, with what policies decide of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from virtnetplug.backends import backend_of
from virtnetplug.hotplug.identity.known import KnownDomain
from virtnetplug.hotplug.look.open_operations import operation_on
from virtnetplug.hotplug.look.recognition import first_of, is_stranger, strange, twin_of, without_strangers
from virtnetplug.hotplug.look.view import DomainNic
from virtnetplug.hotplug.report.inventory import frontend
from virtnetplug.lifecycle import State
from virtnetplug.model.identity import CandidateView, Identity, TwinView
from virtnetplug.model.operation import Half, Scope
from virtnetplug.policy.activation import Candidate, Ranked, device_of_model, rank
from virtnetplug.policy.forced_unplug import decide

NOWHERE = DomainNic()

ETHERNET = "0200"
"""PCI class of every model that QEMU has, and of every VF that libvirt takes for a NIC."""


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
    return f"{name} is another NIC than the one that was plugged with that alias, or is remembered by it"


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
