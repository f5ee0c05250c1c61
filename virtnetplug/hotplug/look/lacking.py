"""What a hypervisor would refuse of a NIC, or accept and not do: refused before anything is touched."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from virtnetplug.errors import DuplicateMac, NotSupported, VirtnetplugError
from virtnetplug.hotplug.look.view import DomainView, describe
from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Refusal
from virtnetplug.ports.domain import Domain
from virtnetplug.resolve import resolve


def of_hypervisor(
    domain: Domain, nets: Sequence[Interface], networks: Mapping[str, Network], changed: Collection[str] | None = None
) -> Iterator[Refusal]:
    """What it does not do of what `nets` ask for; of an update, of the fields that it changes."""
    for net in nets:
        for lack in domain.lacks(net, _actual_type(net, networks)):
            if changed is None or lack.field in changed:
                yield Refusal(reason=NotSupported.reason, nic=describe(net), message=f"{describe(net)}: {lack.why}")


def _actual_type(net: Interface, networks: Mapping[str, Network]) -> str:
    try:
        return resolve(net, networks.get(net.source_network or "")).type
    except VirtnetplugError:  # refused where the sources are looked at, if they are
        return net.type


def hidden(view: DomainView, nets: Sequence[Interface]) -> Iterator[Refusal]:
    """MACs of NICs that the guest has behind libvirt's back: to undo an attach could take those out."""
    try:
        there = {stray.mac: stray.name for stray in view.domain.strays()} if view.state.is_active else {}
    except VirtnetplugError:
        return  # it cannot be seen; libvirt asks for no more
    for net in nets:
        if net.mac is not None and (name := there.get(str(net.mac))) is not None:
            yield Refusal(
                reason=DuplicateMac.reason,
                nic=describe(net),
                message=f"The MAC {net.mac} is that of {name}, which {view.domain.name} has and libvirt does not know. `audit()` says "
                "more of it; choose another MAC, or leave it out.",
            )
