"""What a running guest carries with it in its metadata: which NICs are virtnetplug's, and which requests it has not answered.

The metadata goes where the guest goes: into a saved image and out of it, and to another host.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from virtnetplug.model.interface import is_lasting, lasting_name


@dataclass(frozen=True, slots=True)
class KnownNic:
    """What distinguishes a NIC: its alias, its MAC, its source (`Interface.source`), and its guest address, if it has any."""

    alias: str
    mac: str
    source: str
    address: str = ""

    @property
    def name(self) -> str:
        """The NIC's name that holds in every run: libvirt gives ``netN`` anew at each restore."""
        return lasting_name(self.alias, self.mac, self.address)

    def is_one_with(self, other: KnownNic) -> bool:
        """Whether both are one NIC, whatever its source: by MAC, and by an alias that lasts or by guest address.

        An address that only one of them has is no difference. It is one if only one has an alias that lasts: the guest was restored without it.
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
    """An operation that asked the guest to release `nics`: its name, its id in the journal of the host where it began, its `Scope`.

    `process` names the run that was asked (`Run.process`): a guest that came from an image or another host since has another process.
    """

    operation: str
    id: str
    scope: str
    process: str
    nics: tuple[KnownNic, ...]


@dataclass(frozen=True, slots=True)
class Travelling:
    """All that a guest carries; `domain_uuid` is the UUID of the domain it was written for, empty if nothing was written.

    `ending` are the ids of operations that withdrew their request and are still open in their journal: they still mark the run.
    """

    domain_uuid: str = ""
    nics: tuple[KnownNic, ...] = ()
    asked: tuple[Asked, ...] = ()
    ending: tuple[str, ...] = ()

    def with_nics(self, nics: Collection[KnownNic], operation_id: str = "") -> Travelling:
        """The same, with these NICs as virtnetplug's, which that operation may have attached. A NIC of the same alias is replaced.

        The operation's request for such a NIC meant the earlier NIC of that alias: the request ends, and the operation's mark stays. Requests of
        other operations stay.
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
        """The same, without the NICs that have the alias and MAC of one of these."""
        gone = {(nic.alias, nic.mac) for nic in nics}
        return replace(self, nics=tuple(nic for nic in self.nics if (nic.alias, nic.mac) not in gone))

    def with_asked(self, asked: Asked) -> Travelling:
        """The same, with the NICs of `asked` among those that its operation asked for."""
        before = next((each.nics for each in self.asked if each.id == asked.id), ())
        others = tuple(each for each in self.asked if each.id != asked.id)
        more = tuple(nic for nic in asked.nics if nic not in before)
        return replace(self, asked=(*others, replace(asked, nics=(*before, *more))))

    def without_asked(self, operation_ids: Collection[str], answered: Collection[KnownNic] = ()) -> Travelling:
        """The same, without the requests and marks of these operations, and without the NICs `answered`, which the guest released for whomever."""
        asked = []
        for each in self.asked:
            left = tuple(nic for nic in each.nics if not any(nic.is_one_with(other) for other in answered))
            asked += [replace(each, nics=left)] if left and each.id not in operation_ids else []
        ending = tuple(each for each in self.ending if each not in operation_ids)
        return replace(self, asked=tuple(asked), ending=ending)

    def with_ending(self, operation_id: str, answered: Collection[KnownNic] = ()) -> Travelling:
        """As `without_asked` of that operation, but its mark stays, if there is any."""
        is_marked = operation_id in self.ending or any(each.id == operation_id for each in self.asked)
        left = self.without_asked([operation_id], answered)
        return replace(left, ending=(*left.ending, operation_id)) if is_marked else left

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to carry."""
        return not (self.nics or self.asked or self.ending)
