"""What a domain's metadata remembers of its emulated NICs, and what its owner has said about them."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from virtnetplug.errors import InvariantBroken


class UnplugPolicy(enum.StrEnum):
    """When an emulated NIC goes by itself: never, when its fast twin is Connected, or when its fast twin is there at all."""

    KEEP = "keep"
    ACTIVE = "active"
    PRESENT = "present"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One emulated NIC E: who may take its identity, and all that is needed to put it back.

    `vif` is the marker: the alias of the fast device that may take it ("" for none). `live` and `config` are E's whole
    ``<interface>`` as text, as last seen in the guest and in the persistent definition; `is_out` says that a hand-over has
    put E out of the guest.
    """

    alias: str
    vif: str = ""
    live: str | None = None
    config: str | None = None
    is_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainMetadata:
    """All of one domain. `unplug` None is the host's default; `activation` are groups of aliases, of each of which one NIC is to serve.

    Invariants, checked at construction (`InvariantBroken`): each identity has an alias, and no other one has it or its marker; no
    NIC has a marker that names itself; no group is empty, and no NIC is in a group twice or in two of them.
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
        """That of the NIC called `alias`."""
        return next((each for each in self.identities if each.alias == alias), None)

    def naming(self, vif: str) -> Identity | None:
        """The one whose marker names the fast device `vif`; None, too, for no name at all."""
        return next((each for each in self.identities if vif and each.vif == vif), None)

    def with_identity(self, identity: Identity) -> DomainMetadata:
        """With `identity` in the place of the one of the same alias, or at the end. Raises `InvariantBroken`."""
        if self.identity(identity.alias) is None:
            return replace(self, identities=(*self.identities, identity))
        return replace(
            self, identities=tuple(identity if each.alias == identity.alias else each for each in self.identities)
        )

    def without_identity(self, alias: str) -> DomainMetadata:
        """Without that of the NIC called `alias`; one not known is no error."""
        return replace(self, identities=tuple(each for each in self.identities if each.alias != alias))


def _doubles(names: Sequence[str]) -> Sequence[str]:
    return sorted({name for name in names if names.count(name) > 1})
