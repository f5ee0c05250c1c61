"""Which NICs an open operation may still take out, and the states that the journal has of a NIC."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from virtnetplug.hotplug.look.open_operations import (
    asked,
    leaving,
    of_domain,
    operation_of_alias,
    operation_on,
    states,
)
from virtnetplug.lifecycle import ASKED, State
from virtnetplug.model.interface import Interface
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import NicRecord, OperationRecord, OperationState, Phase, Step, StepState

URI, KEY, ONE, OTHER = "qemu:///system", "qemu:socket=/run/libvirt", "uuid-1", "uuid-2"
RUNNING, PENDING, INCOMPLETE = OperationState.RUNNING, OperationState.PENDING, OperationState.INCOMPLETE
NICS = {"nics": [{"alias": "ua-1"}, {"alias": "ua-2"}, {"address": "0000:01:00.0"}]}


def record(state: OperationState, request: dict[str, Any], uuid: str = ONE) -> OperationRecord:
    return OperationRecord(
        id="op",
        operation="detach",
        uri=URI,
        hypervisor=KEY,
        domain_uuid=uuid,
        domain_name="web",
        state=state,
        request=request,
    )


@pytest.mark.parametrize(
    ("operation", "found"),
    [
        (record(RUNNING, {**NICS, "asked": ["ua-2"]}), {(ONE, "ua-2")}),
        (record(PENDING, {**NICS, "asked": ["ua-2"]}), {(ONE, "ua-2")}),
        (record(INCOMPLETE, {**NICS, "asked": []}), set()),
        (record(RUNNING, NICS), set()),  # an attach: what it plugs stays
        (record(INCOMPLETE, NICS), {(ONE, "ua-1"), (ONE, "ua-2")}),
        (record(INCOMPLETE, {}), set()),
        (record(RUNNING, {"nics": [{"alias": "ua-1", "domain_uuid": OTHER}]}, ""), {(OTHER, "ua-1")}),
    ],
)
def test_what_an_operation_may_still_take_out(operation: OperationRecord, found: set[tuple[str, str]]) -> None:
    assert leaving([operation]) == {(KEY, uuid, alias): "op" for uuid, alias in found}


@pytest.mark.parametrize(
    ("second", "found"),
    [(StepState.PLANNED, {"ua-1"}), (StepState.UNDONE, {"ua-1"}), (StepState.DONE, {"ua-1", "ua-2"})],
)
def test_an_operation_of_a_pf_that_is_being_undone_asks_for_no_other_nic(second: StepState, found: set[str]) -> None:
    nics = [{"alias": f"ua-{n}", "domain_uuid": ONE, "label": f"web/ua-{n}"} for n in (1, 2)]
    states = {"web/ua-1": StepState.UNDO_FAILED, "web/ua-2": second}
    asks = [
        Step(seq=at, name="ask", nic=nic, phase=Phase.UNPLUG, state=state)
        for at, (nic, state) in enumerate(states.items())
    ]
    operation = dataclasses.replace(record(INCOMPLETE, {"nics": nics}, ""), steps=tuple(asks))
    assert leaving([operation]) == {(KEY, ONE, alias): "op" for alias in found}


@pytest.mark.parametrize(("state", "found"), [(StepState.PLANNED, set()), (StepState.DONE, {"ua-1"})])
def test_a_nic_of_a_pf_that_its_guest_is_yet_to_be_asked_for_is_not_shown_as_asked(
    state: StepState, found: set[str]
) -> None:
    nics = [{"alias": "ua-1", "domain_uuid": ONE, "label": "web/ua-1"}]
    asks = (Step(seq=0, name="ask", nic="web/ua-1", phase=Phase.UNPLUG, state=state),)
    operation = dataclasses.replace(record(RUNNING, {"nics": nics}, ""), steps=asks)
    assert asked([operation]) == {(KEY, ONE, alias): "op" for alias in found}


MAC, ANOTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"


@pytest.mark.parametrize(
    ("nic", "net", "is_its"),
    [
        ({"alias": "ua-1", "mac": MAC}, Interface(type="bridge", alias="ua-1", mac=Mac(MAC)), True),
        ({"alias": "ua-1", "mac": MAC}, Interface(type="bridge", alias="ua-1", mac=Mac(ANOTHER)), False),
        ({"alias": "ua-1", "mac": MAC}, Interface(type="bridge", alias="ua-1"), True),
        ({"alias": "ua-1", "mac": MAC}, Interface(type="bridge", alias="ua-2", mac=Mac(MAC)), False),
        ({"alias": "ua-1"}, Interface(type="bridge", alias="ua-1", mac=Mac(ANOTHER)), True),  # an earlier version's
        ({"alias": "net0", "mac": MAC}, Interface(type="bridge", alias="net1", mac=Mac(MAC)), True),
        ({"alias": "net0", "mac": MAC}, Interface(type="bridge", alias="net0", mac=Mac(ANOTHER)), False),
        ({"alias": "net0", "mac": MAC}, Interface(type="bridge", alias="ua-1", mac=Mac(MAC)), False),
    ],
)
def test_an_operation_is_on_the_nic_of_its_alias_and_mac(nic: dict[str, str], net: Interface, is_its: bool) -> None:
    operations = of_domain([record(PENDING, {"nics": [nic], "asked": [nic["alias"]]})], ONE)
    assert operation_on(net, operations) == ("op" if is_its else None)
    assert operation_on(None, operations) is None


def test_of_an_alias_alone_every_mac_is_its() -> None:
    operations = of_domain([record(PENDING, {"nics": [{"alias": "ua-1", "mac": MAC}], "asked": ["ua-1"]})], ONE)
    assert [operation_of_alias(alias, operations) for alias in ("ua-1", "ua-2", None)] == ["op", None, None]


def test_the_states_are_those_of_the_journal_unless_the_nic_leaves() -> None:
    nic = NicRecord(
        uri=URI,
        hypervisor=KEY,
        domain_uuid=ONE,
        domain_name="web",
        alias="ua-1",
        mac="",
        type="bridge",
        backend=State.CONNECTED,
    )
    assert states(nic, is_leaving=False) == (State.UNKNOWN, State.CONNECTED)
    assert states(None, is_leaving=False) == (State.UNKNOWN, State.UNKNOWN)
    assert states(nic, is_leaving=True) == states(None, is_leaving=True) == ASKED
