"""Which NICs open operations may still take out of a guest, by the journal alone: `list` and the metrics both ask here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from virtnetplug.lifecycle import ASKED, State
from virtnetplug.model.interface import Interface, is_lasting, lasting_name
from virtnetplug.model.operation import NicRecord, OperationRecord, OperationState, StepState

Key = tuple[str, str, str]
"""A NIC: the key of its hypervisor, the UUID of its domain, and its `lasting_name`."""


def leaving(records: Iterable[OperationRecord]) -> dict[Key, str]:
    """The NICs that an open operation may still take out of their guest, each with the operation's id (see `operation_on`).

    An operation of one domain takes out the NICs that it asks its guest for. An operation that is not settled may take out
    every NIC it touched, if its request does not name those it asks for. An operation of no one domain, such as that of a
    PF, takes out every NIC it touches. An operation that is being undone takes out none that it has not asked for, or that is back.
    """
    found: dict[Key, str] = {}
    for record in records:
        if record.domain_uuid and record.asked is not None:
            nics = {(record.domain_uuid, name) for alias in record.asked for name in record.names_of(alias)}
        elif record.domain_uuid and record.state is OperationState.RUNNING:
            nics = set()
        else:
            nics = {(uuid, name) for uuid, alias in record.touched for name in record.names_of(alias)}
        is_undone = any(step.state in (StepState.UNDONE, StepState.UNDO_FAILED) for step in record.steps)
        if record.goes_back or is_undone:
            nics -= _with_ask(record, StepState.PLANNED, StepState.UNDONE)
        found.update({(record.hypervisor, uuid, name): record.id for uuid, name in nics})
    return found


def _with_ask(record: OperationRecord, *states: StepState) -> set[tuple[str, str]]:
    """The NICs whose step that asks the guest has one of `states`, by domain UUID and name."""
    labels = {step.nic for step in record.steps if step.name == "ask" and step.state in states}
    return {
        (entry.get("domain_uuid", record.domain_uuid), name)
        for entry in record.named
        if entry.get("label", entry["alias"]) in labels
        for name in record.names_of(entry["alias"])
    }


def asked(records: Iterable[OperationRecord]) -> dict[Key, str]:
    """The NICs of `leaving`, without those that an operation is yet to ask its guest for."""
    found: dict[Key, str] = {}
    for record in records:
        planned = _with_ask(record, StepState.PLANNED)
        found.update({key: operation for key, operation in leaving([record]).items() if key[1:] not in planned})
    return found


def of_domain(records: Iterable[OperationRecord], domain_uuid: str) -> dict[str, str]:
    """The NICs of one domain that `leaving` has, by their names; `records` are the domain's, and those of no one domain."""
    return {name: operation for (_, uuid, name), operation in leaving(records).items() if uuid == domain_uuid}


def operation_on(net: Interface | None, operations: Mapping[str, str]) -> str | None:
    """The operation of `operations`, by names as `leaving` has them, that the NIC belongs to."""
    if net is None:
        return None
    called = [name for name in operations if is_called(net, name)]
    if is_lasting(net.alias):
        called = [name for name in called if name.partition(" ")[0] == net.alias]
    return operations[called[0]] if called else None


def operation_of_alias(alias: str | None, operations: Mapping[str, str]) -> str | None:
    """The operation of `operations` that a NIC of this alias, or name, belongs to, whatever its MAC."""
    return next((found for name, found in operations.items() if alias in (name, name.partition(" ")[0])), None)


def names_of(alias: str, mac: str, address: str = "") -> frozenset[str]:
    """The names that an operation may have for the NIC: an operation of an earlier version, or of a PF, has the alias alone."""
    return frozenset({alias, lasting_name(alias, mac, address)})


def is_called(net: Interface, name: str) -> bool:
    """Whether `name` is one of the NIC's names; a MAC or an address that only one of the two has is no difference."""
    first, _, rest = name.partition(" ")
    if first == net.alias:
        return not rest or net.mac is None or rest == str(net.mac)
    return first == str(net.mac) and (not rest or net.address is None or rest == str(net.address))


def is_any_of(nets: Iterable[Interface | None], names: Collection[str]) -> bool:
    """Whether one of these NICs is called by one of these names."""
    return any(net is not None and is_called(net, name) for net in nets for name in names)


def states(record: NicRecord | None, *, is_leaving: bool) -> tuple[State, State]:
    """Frontend and backend of a NIC that its guest has, from what the journal knows of it (None: nothing)."""
    if is_leaving:
        return ASKED
    return (record.frontend, record.backend) if record is not None else (State.UNKNOWN, State.UNKNOWN)
