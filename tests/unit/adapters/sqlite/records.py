"""Records to write into journals."""

from __future__ import annotations

import dataclasses
import sqlite3
from typing import Any

from virtnetplug.adapters.sqlite import rows
from virtnetplug.lifecycle import State
from virtnetplug.model.holding import Holding
from virtnetplug.model.operation import Half, NicRecord, OperationRecord, Phase, Scope, Step
from virtnetplug.model.pci import PciAddress

URI = "qemu:///system"
KEY = "qemu:socket=/run/libvirt"
UUID = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
STEPS = (
    Step(seq=0, name="allocate_actual_device", nic="ua-1", phase=Phase.ALLOCATE),
    Step(seq=1, name="host_net_add", nic="ua-1", phase=Phase.PLUG, half=Half.LIVE),
    Step(seq=2, name="define", nic="ua-1", phase=Phase.PLUG, half=Half.CONFIG, detail="slot 3"),
)


class Clock:
    """Stands at `time` until a test moves it."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


def operation(operation_id: str = "op1", **changes: Any) -> OperationRecord:
    record = OperationRecord(
        id=operation_id,
        operation="attach",
        uri=URI,
        hypervisor=KEY,
        domain_uuid=UUID,
        domain_name="web",
        domain_id=7,
        scope=Scope.BOTH,
        device_type="bridge",
        request={"nics": [{"alias": "ua-1", "live": "<interface type='bridge'>é\n</interface>", "index": None}]},
        started=1_700_000_000.0,
        steps=STEPS,
    )
    return dataclasses.replace(record, **changes)


def nic(alias: str = "ua-1", **changes: Any) -> NicRecord:
    record = NicRecord(
        uri=URI,
        hypervisor=KEY,
        domain_uuid=UUID,
        domain_name="web",
        alias=alias,
        mac="52:54:00:00:00:01",
        type="bridge",
        source="br0",
        model="virtio",
        target="vnet0",
        frontend=State.UNKNOWN,
        backend=State.CONNECTED,
        operation_id="op1",
        since=1_700_000_000.0,
    )
    return dataclasses.replace(record, **changes)


def put_nic(connection: sqlite3.Connection, record: NicRecord) -> None:
    """Write the row that an older version would: its table may not have all columns."""
    has = [column[1] for column in connection.execute("PRAGMA table_info(nics)")]
    connection.execute(rows.insert_into("nics", has), rows.row_from(record, rows.NIC))


FIRST = PciAddress(0, 1, 0x10, 0)


def holding(alias: str = "ua-a", address: PciAddress = FIRST, **changes: Any) -> Holding:
    made = Holding(
        address=address,
        uri="qemu:///system",
        hypervisor=KEY,
        domain_uuid="11111111-1111-4111-8111-111111111111",
        domain_name="web",
        domain_id=3,
        alias=alias,
        mac="52:54:00:00:00:01",
        managed=True,
        network="pool",
        port="22222222-2222-4222-8222-222222222222",
        operation_id=f"op-{alias}",
        snapshot={"mac": "02:00:00:00:00:01", "vlan": 0, "trust": False, "link_state": None},
        settings={"trust": True, "max_rate": 1000},
        since=1000.0,
    )
    return dataclasses.replace(made, **changes)
