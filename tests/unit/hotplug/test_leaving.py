"""Which NICs an open operation may still take out, and the states that the journal has of a NIC."""

from __future__ import annotations

from typing import Any

import pytest

from virtnetplug.hotplug.leaving import leaving, states
from virtnetplug.lifecycle import ASKED, State
from virtnetplug.model.operation import NicRecord, OperationRecord, OperationState

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
