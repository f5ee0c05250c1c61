"""Which of several NICs of a guest serves: the candidates as they are there, their rank, and their links."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from virtnetplug import xml
from virtnetplug.backends import backend_of
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.look.open_operations import operation_on
from virtnetplug.hotplug.look.recognition import is_stranger, plugged_rows
from virtnetplug.hotplug.look.view import DomainView
from virtnetplug.hotplug.plug.remembering import metadata_of, name_of
from virtnetplug.hotplug.report.inventory import pending_nics
from virtnetplug.model.identity import DomainMetadata
from virtnetplug.model.interface import Interface
from virtnetplug.policy.activation import Candidate, Ranked, device_of_model, rank

ETHERNET = "0200"
"""PCI class of every model that QEMU has, and of every VF that libvirt takes for a NIC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A candidate with its rank, and its link as it is now; `obstacle` says why that cannot be changed."""

    net: Interface
    ranked: Ranked
    is_up: bool
    obstacle: str = ""

    @property
    def serves(self) -> bool:
        """Whether this NIC serves. The links of all others are held down."""
        return self.ranked.rank == 1


def contenders(
    host: Host, view: DomainView, group: Collection[str], leaving: Collection[str] = ()
) -> tuple[Contender, ...]:
    """The NICs of `group` that the running guest has, the serving NIC first; `leaving` are names of NICs that are about to go.

    Another NIC that somebody gave the alias of one is none.
    A NIC that waits for its guest to let go is no candidate. Half of a teaming pair is no candidate either, because which half serves is the guest's
    choice.
    """
    pending, rows, metadata = pending_nics(host, view.domain.uuid, view), plugged_rows(host, view), metadata_of(view)
    there = {name: net for name, net in by_name(view).items() if name in group and net.teaming is None}
    there = {n: net for n, net in there.items() if not is_stranger(net, metadata.identity(n), rows.get(n))}
    nets = {name: net for name, net in there.items() if name not in leaving and operation_on(net, pending) is None}
    candidates = [_candidate(host, view, name, net) for name, net in nets.items()]
    return tuple(_contender(host, nets[ranked.candidate.alias], ranked) for ranked in rank(candidates))


def by_name(view: DomainView) -> Mapping[str, Interface]:
    """The NICs of the running guest, by the names that the metadata has."""
    return {name_of(net): net for net in (view.live.nets if view.live is not None else ())}


def unheld(metadata: DomainMetadata, net: Interface) -> Interface:
    """The NIC with its own link state, if its link is held down because another NIC serves.

    While a NIC is in a group, its link state is the group's. What is remembered of the NIC, and who takes its identity, must not inherit that state.
    """
    name = name_of(net)
    if net.link_state != "down" or not any(name in group for group in metadata.activation):
        return net
    known = metadata.identity(name)
    was = xml.interface(known.live).link_state if known is not None and known.live is not None else None
    return xml.interface(xml.edit(net.element, {"link_state": was}))


def freed(view: DomainView, before: DomainMetadata, after: DomainMetadata) -> Iterator[Interface]:
    """The NICs of the guest that a group of `before` has, and none of `after`."""
    kept = {alias for group in after.activation for alias in group}
    there = by_name(view)
    for alias in _members(before.activation):
        if alias not in kept and alias in there:
            yield there[alias]


def _members(groups: Sequence[Sequence[str]]) -> Iterator[str]:
    for group in groups:
        yield from group


def _candidate(host: Host, view: DomainView, name: str, net: Interface) -> Candidate:
    if (seen := backend_of(net).device_seen(host, net)) is not None:
        return Candidate(alias=name, vendor_device=seen, pci_class=ETHERNET, address=net.address or net.source_pci)
    is_conventional = net.address is not None and not (view.topology and view.topology.is_express(net.address.bus))
    device = device_of_model(net.model, is_conventional=is_conventional) or ""
    return Candidate(alias=name, vendor_device=device, pci_class=ETHERNET if device else "", address=net.address)


def _contender(host: Host, net: Interface, ranked: Ranked) -> Contender:
    is_up, obstacle = backend_of(net).link_of(host, net)
    return Contender(net=net, ranked=ranked, is_up=is_up, obstacle=obstacle)
