"""What a domain's metadata remembers of its emulated NICs, what their owner has decided, and how policies answer."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from virtnetplug.errors import InvariantBroken
from virtnetplug.model.pci import PciAddress


class UnplugPolicy(enum.StrEnum):
    """When an emulated NIC is unplugged automatically: never, when its fast twin is Connected, or when its fast twin is there at all."""

    KEEP = "keep"
    ACTIVE = "active"
    PRESENT = "present"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An emulated NIC E: who may take its identity, and all that is needed to restore E.

    `vif` is the marker: the alias of the fast device that may take the identity ("" for none). `live` and `config` are E's whole
    ``<interface>`` as text, as last seen in the guest and in the persistent definition. `is_out` says that a hand-over removed
    E from the guest.
    """

    alias: str
    vif: str = ""
    live: str | None = None
    config: str | None = None
    is_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainMetadata:
    """What is remembered of a domain. `unplug` None is the host's default; `activation` are groups of aliases: one NIC of each group serves.

    The constructor checks these invariants (`InvariantBroken`). Each identity has an alias; no two share an alias or a marker. No marker
    names its own NIC. No group is empty, and no NIC is named twice in the groups.
    """

    identities: tuple[Identity, ...] = ()
    unplug: UnplugPolicy | None = None
    activation: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        for fault in self._faults():
            raise InvariantBroken(fault)

    def _faults(self) -> Iterator[str]:
        aliases = [each.alias for each in self.identities]
        if "" in aliases:
            yield "an identity has no alias, so that no NIC has it"
        for alias in _doubles(aliases):
            yield f"NIC {alias} has two identities, and can have one"
        for vif in _doubles([each.vif for each in self.identities if each.vif]):
            of = " and ".join(each.alias for each in self.identities if each.vif == vif)
            yield f"NIC {vif} is named by the markers of {of}, and can take one identity"
        for each in self.identities:
            if each.vif == each.alias:
                yield f"the marker of NIC {each.alias} names that NIC itself"
        if () in self.activation:
            yield "a group of NICs of which one is to serve is empty"
        for alias in _doubles([alias for group in self.activation for alias in group]):
            yield f"NIC {alias} is named twice among those of which one is to serve"

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remember, so that no document need be kept."""
        return self == DomainMetadata()

    def identity(self, alias: str) -> Identity | None:
        """The identity of the NIC called `alias`."""
        return next((each for each in self.identities if each.alias == alias), None)

    def naming(self, vif: str) -> Identity | None:
        """The identity whose marker names the fast device `vif`; None, too, for an empty name."""
        return next((each for each in self.identities if vif and each.vif == vif), None)

    def with_identity(self, identity: Identity) -> DomainMetadata:
        """The same metadata, with `identity` instead of the one of its alias, or at the end. Raises `InvariantBroken`."""
        known = {each.alias: each for each in self.identities} | {identity.alias: identity}
        return replace(self, identities=tuple(known.values()))

    def without_identity(self, alias: str) -> DomainMetadata:
        """The same metadata, without the identity of the NIC called `alias`; an unknown alias is no error."""
        return replace(self, identities=tuple(each for each in self.identities if each.alias != alias))


def _doubles(names: Sequence[str]) -> Sequence[str]:
    return sorted({name for name in names if names.count(name) > 1})


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityView:
    """An emulated NIC that a domain remembers.

    `vif` is its marker, the alias of its fast twin ("" for none). `live`, `config`, `vif_live` and `vif_config` say which definition
    has the NIC, or its twin. `is_out` says that a hand-over removed the NIC. The elements are as they were last seen.
    """

    domain: str
    domain_uuid: str
    alias: str
    vif: str = ""
    live: bool = False
    config: bool = False
    vif_live: bool = False
    vif_config: bool = False
    is_out: bool = False
    live_element: str | None = None
    config_element: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinView:
    """What the unplug policy decides for an emulated NIC and its fast twin; `why` is a sentence.

    `is_there` says that a definition has the NIC, `is_connected` that there is evidence of the guest driving the twin.
    """

    alias: str
    vif: str
    is_there: bool
    is_connected: bool
    unplug_live: bool
    unplug_config: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateView:
    """A NIC of a group in which one NIC serves: `rank` 1. A NIC that is no candidate now has no rank; `why` is a sentence.

    `device` is vendor and device ("" where not known), `link_state` the link as it is now, ``up`` or ``down``. `is_held` says that the
    policy wants the link down, and `obstacle` why this cannot be done.
    """

    alias: str
    device: str = ""
    address: PciAddress | None = None
    rank: int | None = None
    why: str = ""
    link_state: str = ""
    is_held: bool = False
    obstacle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """All policies of a domain: `unplug` is the one that holds, `own` the domain's, `host` the host's default."""

    domain: str
    unplug: UnplugPolicy
    own: UnplugPolicy | None
    host: UnplugPolicy
    twins: tuple[TwinView, ...] = ()
    groups: tuple[tuple[CandidateView, ...], ...] = ()
