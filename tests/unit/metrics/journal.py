"""A journal written as operations write it, at fixed times."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from weakref import WeakKeyDictionary

from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.lifecycle import State
from virtnetplug.model.operation import Half, NicRecord, OperationRecord, OperationState, Phase, Step, StepState

START = 1_700_000_000.0
URI = "qemu:///system"
KEY = "qemu:socket=/run/libvirt"
UUID = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
ATTACH = (("allocate_actual_device", Phase.ALLOCATE), ("host_net_add", Phase.PLUG), ("attach", Phase.GUEST))
DETACH = (("ask", Phase.UNPLUG), ("guest_release", Phase.GUEST), ("host_net_remove", Phase.RELEASE))
REBIND = (("change", Phase.PLUG),)


_calls: WeakKeyDictionary[SqliteJournal, AbstractContextManager[str]] = WeakKeyDictionary()


def living(journal: SqliteJournal) -> str:
    """The name of a call that runs for as long as somebody has the journal."""
    _calls[journal] = journal.call()
    return _calls[journal].__enter__()


class Clock:
    """Stands at `time`."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


def scripted(directory: Path) -> SqliteJournal:
    """Attaches that went well, were undone and refused; detaches that ended and that wait; one NIC that is still there; rebinds."""
    clock = Clock()
    journal = SqliteJournal.open(directory, clock=clock)
    for number, seconds in enumerate((0.0004, 0.003, 0.9)):
        run(journal, begin(journal, f"attach{number}", "attach", ATTACH, device_type="bridge"), seconds)
        journal.finish(f"attach{number}", OperationState.DONE, result="done")
    run(journal, begin(journal, "undone", "attach", ATTACH, device_type="network"), 0.02)
    journal.step("undone", 2, StepState.UNDONE)
    journal.step("undone", 1, StepState.UNDO_FAILED, "the tap is busy")
    journal.step("undone", 1, StepState.UNDONE)
    journal.finish("undone", OperationState.UNDONE, result="undone", reason="hypervisor-failed", error='said "no"\n')
    begin(journal, "refused", "attach", ATTACH)
    journal.finish("refused", OperationState.REFUSED, result="refused", reason="no-free-port")
    run(journal, begin(journal, "detached", "detach", DETACH, device_type="bridge"), 45.0)
    journal.finish("detached", OperationState.DONE, result="done")

    for kind in ("move", "move", "heal"):
        record = begin(journal, f"{kind}{len(journal.history())}", "rebind", REBIND, device_type="bridge", kind=kind)
        run(journal, record, 0.04)
        journal.finish(record.id, OperationState.DONE, result="done")
    owner = living(journal)
    begin(journal, "moving", "rebind", REBIND, kind="move", owner=owner)

    begin(journal, "pending", "detach", DETACH, nics=("ua-web", "ua-db"), started=START - 300)
    journal.step("pending", 0, StepState.DONE, at=START - 300)
    for seq, moment in ((1, START - 300), (4, START - 250)):
        journal.step("pending", seq, StepState.STARTED, at=moment)
    journal.step("pending", 4, StepState.DONE, at=START - 240)
    journal.finish("pending", OperationState.PENDING, result="pending", reason="guest-holds-device")
    begin(journal, "waiting", "detach", DETACH, started=START - 20, owner=owner)
    journal.step("waiting", 1, StepState.STARTED, at=START - 10)
    begin(journal, "updating", "update", ATTACH, owner=owner)
    journal.put_nic(nic())
    return journal


def nic() -> NicRecord:
    """A NIC that is in its guest."""
    return NicRecord(
        uri=URI,
        hypervisor=KEY,
        domain_uuid=UUID,
        domain_name='web "1"\\',
        alias="ua-web",
        mac="52:54:00:00:00:01",
        type="network",
        source="default",
        network="default",
        target="vnet0",
        backend=State.CONNECTED,
        since=START,
    )


def begin(
    journal: SqliteJournal,
    operation_id: str,
    operation: str,
    steps: tuple[tuple[str, Phase], ...],
    *,
    nics: tuple[str, ...] = ("ua-web",),
    device_type: str = "none",
    started: float = START,
    owner: str = "",
    kind: str = "",
) -> OperationRecord:
    """Write an operation with `steps` for each NIC."""
    planned = [(name, nic, phase) for nic in nics for name, phase in steps]
    record = OperationRecord(
        id=operation_id,
        operation=operation,
        uri=URI,
        hypervisor=KEY,
        domain_uuid=UUID,
        domain_name="web",
        device_type=device_type,
        started=started,
        owner=owner,
        request={"nics": [{"alias": nic} for nic in nics], **({"kind": kind} if kind else {})},
        steps=tuple(
            Step(seq=seq, name=name, nic=nic, phase=phase, half=Half.LIVE)
            for seq, (name, nic, phase) in enumerate(planned)
        ),
    )
    journal.begin(record)
    return record


def run(journal: SqliteJournal, record: OperationRecord, seconds: float) -> None:
    """Run every step, each `seconds` long."""
    for step in record.steps:
        journal.step(record.id, step.seq, StepState.STARTED, at=START)
        journal.step(record.id, step.seq, StepState.DONE, at=START + seconds)
