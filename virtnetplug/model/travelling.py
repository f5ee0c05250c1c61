"""What a running guest carries with it in its metadata: which NICs are virtnetplug's, and what the guest was asked and has not answered.

It goes where the guest goes: into a saved image and out of it, and to another host.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from virtnetplug.model.interface import is_lasting, lasting_name


@dataclass(frozen=True, slots=True)
class KnownNic:
    """A NIC by what tells it from others: alias, MAC, what it is connected to (`Interface.source`), and its guest address, if it has one."""

    alias: str
    mac: str
    source: str
    address: str = ""

    @property
    def name(self) -> str:
        """What the NIC is known by for good: libvirt gives ``netN`` anew at each restore."""
        return lasting_name(self.alias, self.mac, self.address)

    def is_one_with(self, other: KnownNic) -> bool:
        """Whether both are one NIC, whatever it is connected to: by MAC, and by an alias that lasts or by guest address.

        An address that only one of them has is no difference, unless only one has an alias that lasts: the guest was restored without it.
        """
        if self.mac != other.mac:
            return False
        lasting = [is_lasting(nic.alias) for nic in (self, other)]
        if all(lasting):
            return self.alias == other.alias
        if "" in (self.address, other.address):
            return not any(lasting)
        return self.address == other.address


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation that asked the guest to let go of `nics`: its name, its id in the journal of the host it began on, its `Scope`.

    `process` names the run that was asked (`Run.process`): a guest that has come from elsewhere since, or from an image, has another one.
    """

    operation: str
    id: str
    scope: str
    process: str
    nics: tuple[KnownNic, ...]


@dataclass(frozen=True, slots=True)
class Travelling:
    """All of one guest; `domain_uuid` is that of the domain it was written for, empty if nothing was.

    `ending` are the ids of operations whose question is withdrawn and whose journal does not say yet that they have ended: they still mark the run.
    """

    domain_uuid: str = ""
    nics: tuple[KnownNic, ...] = ()
    asked: tuple[Asked, ...] = ()
    ending: tuple[str, ...] = ()

    def with_nics(self, nics: Collection[KnownNic], operation_id: str = "") -> Travelling:
        """With these as virtnetplug's, too, which that operation may have put in; one of the same alias is replaced.

        What it asked for before is another NIC than the one of the same alias that has come since; its mark stays. What other operations asked stays.
        """
        names, asked, ending = {nic.alias for nic in nics}, [], self.ending
        come = {(nic.alias, nic.mac, nic.source) for nic in nics}
        for each in self.asked:
            is_its = each.id == operation_id
            left = tuple(nic for nic in each.nics if not is_its or (nic.alias, nic.mac, nic.source) not in come)
            asked += [replace(each, nics=left)] if left else []
            ending += (each.id,) if is_its and not left else ()
        known = (nic for nic in self.nics if nic.alias not in names)
        return replace(self, nics=(*known, *nics), asked=tuple(asked), ending=ending)

    def without_nics(self, nics: Collection[KnownNic]) -> Travelling:
        """Without those of them that have the same alias and MAC."""
        gone = {(nic.alias, nic.mac) for nic in nics}
        return replace(self, nics=tuple(nic for nic in self.nics if (nic.alias, nic.mac) not in gone))

    def with_asked(self, asked: Asked) -> Travelling:
        """With the NICs of it among those that this operation asked for."""
        before = next((each.nics for each in self.asked if each.id == asked.id), ())
        others = tuple(each for each in self.asked if each.id != asked.id)
        more = tuple(nic for nic in asked.nics if nic not in before)
        return replace(self, asked=(*others, replace(asked, nics=(*before, *more))))

    def without_asked(self, operation_ids: Collection[str], answered: Collection[KnownNic] = ()) -> Travelling:
        """Without what these operations asked and their marks, and without the NICs `answered`, which the guest has let go of, whoever had asked."""
        asked = []
        for each in self.asked:
            left = tuple(nic for nic in each.nics if not any(nic.is_one_with(other) for other in answered))
            asked += [replace(each, nics=left)] if left and each.id not in operation_ids else []
        ending = tuple(each for each in self.ending if each not in operation_ids)
        return replace(self, asked=tuple(asked), ending=ending)

    def with_ending(self, operation_id: str, answered: Collection[KnownNic] = ()) -> Travelling:
        """As `without_asked` of that operation, but its mark stays, if it is there."""
        is_marked = operation_id in self.ending or any(each.id == operation_id for each in self.asked)
        left = self.without_asked([operation_id], answered)
        return replace(left, ending=(*left.ending, operation_id)) if is_marked else left

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to carry."""
        return not self.nics and not self.asked and not self.ending
