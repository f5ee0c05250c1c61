"""No lies and no leaks: what callers were told, the journal, the guest, its definition and the host agree.

A `Ledger` is opened on a fresh imaginary host. Every process of a test comes from it, and every call is made through it with the
`Change` that the call was asked to make. From the order in which operations ended the ledger works out which NICs the guest and its
definition must have; what each caller was told must fit the journal; and every tap, port and VF must have the NIC it is for.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.contract.faults import Crash, Trigger, faulty
from tests.contract.interleave import Turns, taking_turns
from tests.contract.world import World
from tests.fakes.host_devices import VF_DRIVER, FakeHostDevices
from tests.fakes.hypervisor import FakeHypervisor
from virtnetplug import xml
from virtnetplug.errors import VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.lifecycle import State
from virtnetplug.model.audit import Finding
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VFIO_DRIVER, VfSettings
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import OPEN_STATES, Half, OperationRecord, OperationState, Outcome, Result

NicKey = tuple[str, str, str]
"""Alias, MAC, and what is behind the NIC: `vf ADDRESS`, or its model with its network or bridge."""

ENDED_AS = {
    Result.DONE: (OperationState.DONE,),
    Result.UNDONE: (OperationState.UNDONE,),
    Result.REFUSED: (OperationState.REFUSED, OperationState.UNDONE),
}
"""The states an operation may be in after somebody was told that result. All other results say that it is open."""


def key_of(net: Interface) -> NicKey:
    """What tells a NIC from every other one."""
    behind = (
        f"vf {net.source_pci}" if net.is_hostdev else f"{net.model or '-'} {net.source_network or net.source_bridge}"
    )
    return net.alias or "", str(net.mac), behind


def alias_of(net: Interface) -> NicKey:
    """The alias alone, for tests that do not know beforehand what is behind a NIC."""
    return net.alias or "", "", ""


def keys(*aliases: str) -> frozenset[NicKey]:
    """As `alias_of` gives them."""
    return frozenset((alias, "", "") for alias in aliases)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a call makes of the two definitions where it succeeds: the NICs that leave, and those that come."""

    live_out: frozenset[NicKey] = frozenset()
    live_in: frozenset[NicKey] = frozenset()
    config_out: frozenset[NicKey] = frozenset()
    config_in: frozenset[NicKey] = frozenset()

    @property
    def keys(self) -> frozenset[NicKey]:
        """Every NIC it is about."""
        return self.live_out | self.live_in | self.config_out | self.config_in


@dataclass
class Call:
    """One call of one process: what it was to do, the operations it began, and what its caller was told."""

    who: str
    what: str
    change: Change | None
    begun: list[str] = field(default_factory=list)
    left: dict[str, OperationState] = field(default_factory=dict)
    """The state in which it left each operation that it worked on."""
    outcomes: tuple[Outcome, ...] = ()
    error: BaseException | None = None
    has_died: bool = False
    is_broken: bool = False
    """Whether something failed in it on purpose: its end may not be in the journal then."""

    def __str__(self) -> str:
        if self.has_died:
            return f"{self.who}: {self.what}: died"
        if self.error is not None:
            code = getattr(self.error, "exit_code", "-")
            return f"{self.who}: {self.what}: {type(self.error).__name__} ({code}): {self.error}"
        told = ", ".join(f"{one.operation} {one.operation_id} {one.result} {one.reason}" for one in self.outcomes)
        return f"{self.who}: {self.what}: {told or 'nothing'}"


@dataclass
class _Event:
    """Something that changes what the guest must have: an operation has ended, or an administrator did something."""

    change: Change | None = None
    operation_id: str = ""
    state: OperationState | None = None


class Ledger:
    """Everything that happened on one imaginary host, and what has to be there after it."""

    def __init__(
        self,
        world: World,
        turns: Turns | None = None,
        *,
        key_of: Callable[[Interface], NicKey] = key_of,
        change_of: Callable[[Call, OperationRecord], Change | None] = lambda call, record: call.change,
        is_fault: Callable[[Finding], bool] = lambda finding: True,
    ) -> None:
        self._is_fault = is_fault
        self.world, self._turns, self._key_of, self._change_by = world, turns, key_of, change_of
        self._before: dict[Half, frozenset[NicKey]] = dict.fromkeys(Half, frozenset())
        self._has_ended = self._is_recovered = False
        self.calls: list[Call] = []
        self._events: list[_Event] = []
        self._foreign: set[NicKey] = set()
        self._removed: set[NicKey] = set()
        self._started: set[NicKey] = set()
        self._outdated: set[tuple[str, str]] = set()
        """Rows of NICs that the guest had before it was started anew."""
        self._hosts: list[Host] = []
        self._unlent = {address: _own(now) for address, now in self._devices.set.items()}

    # -- making things happen -----------------------------------------------------------------------

    def process(self, trigger: Trigger | None = None) -> Process:
        """A new process on the host; its ports break where `trigger` says."""
        host = self.world.reopen()
        self._hosts.append(host)
        return Process(self, host, self._turns, trigger)

    def by_hand(self, change: Change, act: Callable[[], object]) -> bool:
        """What an administrator does with libvirt alone; False, and nothing has happened, where libvirt refuses."""
        try:
            act()
        except VirtnetplugError:
            return False
        self._foreign |= change.live_in | change.config_in
        self._foreign -= change.live_out | change.config_out
        self._removed |= change.live_out - self._foreign
        self._events.append(_Event(change=change))
        return True

    def began(self, call: Call, operation_id: str) -> None:
        call.begun.append(operation_id)

    def ended(self, operation_id: str, state: OperationState) -> None:
        self._events.append(_Event(operation_id=operation_id, state=state))

    def guest_ended(self) -> None:
        """The guest was destroyed, and perhaps started anew from its definition: which NICs it has is not worked out until `begin_anew`."""
        self._has_ended = True

    def begin_anew(self) -> None:
        """Forget what has been called, and take what is there now for right."""
        due = {half: self._due(half) for half in Half}
        live = frozenset(self._there(Half.LIVE)) if self._has_ended else frozenset(due[Half.LIVE])
        if self._has_ended:
            self._started |= live
            there = {(net.alias, str(net.mac)) for net in self._nets(Half.LIVE)}
            self._outdated = {(nic.alias, nic.mac) for nic in self.world.host.journal.nics()} - there
        self._before = {Half.LIVE: live, Half.CONFIG: frozenset(due[Half.CONFIG])}
        self.calls, self._events, self._removed = [], [], set()
        self._has_ended = self._is_recovered = False

    # -- what does not agree -----------------------------------------------------------------------

    def disagreements(self, *, is_settled: bool = False) -> list[str]:
        """Everything that does not agree, a sentence each. With `is_settled` nothing may be open any more."""
        records = {op: record for call in self.calls for op in call.begun if (record := self._record(op)) is not None}
        still_open = {op: record for op, record in records.items() if record.state in OPEN_STATES}
        found = [
            *self._lies(records),
            *self._nics(still_open),
            *self._host_ends(still_open),
            *self._devices_lent(still_open),
        ]
        found += [*self._rows(still_open), *self._exchanged_nothing()]
        if is_settled:
            found += [f"{record.operation} {op} is still {record.state}" for op, record in still_open.items()]
        return found

    def assert_agreed(self, *, is_settled: bool = False) -> None:
        """Fail, with all that is known, if anything does not agree."""
        if found := self.disagreements(is_settled=is_settled):
            raise AssertionError("\n".join([*found, "", self.story()]))

    def assert_settles(self, *, wait: float = 30.0) -> None:
        """A fresh process recovers until nothing is open, or says what stays open because a foreign NIC is in its way."""
        self.assert_agreed()
        recovering = self.process()
        call = recovering.call("recover", None, lambda plugger: plugger.recover(wait=wait))
        self._is_recovered = True
        said = {one.operation_id for one in call.outcomes if one.result in (Result.PENDING, Result.INCOMPLETE)}
        left = {record.id for record in self.world.host.journal.open_operations()}
        excused = left if self._foreign and left <= said else set()
        self.assert_agreed(is_settled=not excused)
        report = recovering.plugger.audit()
        if self._has_ended or self._started:  # what it had, and what it started with, is known to an audit alone
            recovering.plugger.repair(report)
        elif not excused and not self._removed:
            findings = [finding for finding in report.findings if self._is_fault(finding)]
            assert not findings, "\n".join([*(str(finding) for finding in findings), "", self.story()])

    def story(self) -> str:
        """What happened, for whoever reads a failure."""
        lines = [str(call) for call in self.calls]
        for event in self._events:
            record = self._record(event.operation_id) if event.operation_id else None
            lines.append(f"  {record.operation} {record.id}: {event.state}" if record else f"  by hand: {event.change}")
        for half in Half:
            lines.append(f"{half}: {sorted(self._there(half))}")
        rows = sorted((nic.alias, nic.mac) for nic in self.world.host.journal.nics())
        lines.append(f"rows: {rows}")
        for record in reversed(self.world.host.journal.history(limit=20)):
            lines.append(f"journal: {record.operation} {record.id} {record.state} {record.reason} {record.error}")
        return "\n".join(lines)

    def _lies(self, records: dict[str, OperationRecord]) -> list[str]:
        """What callers were told and the journal does not have so."""
        found = []
        for call in self.calls:
            if call.has_died:
                continue
            found += self._told_wrongly(call, records)
            code = getattr(call.error, "exit_code", 70) if call.error is not None else None
            if code == 70:
                found.append(f"{call.who}: {call.what} raised {type(call.error).__name__}: {call.error}")
            states = {op: records[op].state for op in call.begun if op in records}
            left = {op: state for op, state in states.items() if state in OPEN_STATES}
            its_own = states
            if call.what.split()[0] in (
                "clear",
                "policy",
            ):  # what policies had done before it is taken back by operations of their own
                its_own = {op: state for op, state in states.items() if records[op].operation == "policy"}
            is_undone = any(state in ENDED_AS[Result.REFUSED] for state in states.values())
            if code in (3, 4) and its_own and not is_undone and not (call.is_broken and left):
                found.append(
                    f"{call.who}: {call.what} ended with {code}, and of its operations none is undone: {states}"
                )
            if code is None and not call.is_broken:
                untold = [op for op in left if not _has_said_open(call, op)]
                found += [
                    f"{call.who}: {call.what} was not told that its operation {op} is {left[op]}" for op in untold
                ]
        for op, record in records.items():
            is_left = any(op in one.begun for one in self.calls if one.has_died or one.is_broken)
            if record.state is OperationState.RUNNING and not is_left:
                found.append(f"{record.operation} {op} is running, and no call works on it")
        return found

    def _told_wrongly(self, call: Call, records: dict[str, OperationRecord]) -> list[str]:
        found = []
        for one in call.outcomes:
            record = records.get(one.operation_id)
            if record is None or record.operation != one.operation:
                continue
            allowed, left = ENDED_AS.get(one.result), call.left.get(record.id)
            if allowed is None and one.result is not Result.ALREADY and left not in (None, *OPEN_STATES):
                found.append(f"{call.who} was told that {one.operation} {record.id} is {one.result}: it left it {left}")
            if allowed is not None and record.state not in allowed:
                found.append(
                    f"{call.who} was told that {one.operation} {record.id} is {one.result}: it is {record.state}"
                )
        return found

    def _nics(self, still_open: dict[str, OperationRecord]) -> list[str]:
        """What the guest and its definition have and should not, or should and do not."""
        found = []
        for half in Half:
            there = self._there(half)
            nets = self._nets(half)
            due = set(there) if self._has_ended and half is Half.LIVE else self._due(half)
            names = {alias for record in still_open.values() for _, alias in record.touched}
            unsettled = {key for key in {*there, *due} - self._foreign if key[0] in names}
            unsettled |= {key for op in still_open if (change := self._change_of(op)) for key in change.keys}
            for key, number in there.items():
                if number > 1:
                    found.append(f"{half}: {number} NICs are {key}")
                if key not in due and key not in unsettled:
                    found.append(f"{half}: there is {key}, and should not be")
            found += [f"{half}: {key} is missing" for key in due if key not in there and key not in unsettled]
            for name in ("alias", "mac", "address"):
                values = Counter(str(value) for net in nets if (value := getattr(net, name)) is not None)
                twice = [value for value, number in values.items() if number > 1]
                found += [f"{half}: two NICs have the {name} {value}" for value in twice]
        return found

    def _due(self, half: Half) -> set[NicKey]:
        """Where all that was done, in the order in which it ended, leads."""
        due = set(self._before[half])
        for change, _ in self._changes():
            due -= change.live_out if half is Half.LIVE else change.config_out
            due |= change.live_in if half is Half.LIVE else change.config_in
        return due

    def _exchanged_nothing(self) -> list[str]:
        """Operations that are done, and whose NIC to be exchanged had been detached by then, as somebody else was told.

        A hand-back is none of them: what it restores comes back, whether or not another NIC serves in its place.
        """
        due, found = set(self._before[Half.LIVE]), []
        for change, record in self._changes():
            is_exchange = record is not None and record.operation != "handback" and change.live_out and change.live_in
            if record is not None and is_exchange and not due & change.live_out:
                found.append(f"{record.operation} {record.id} is done, though no NIC was there that it could exchange")
            due = (due - change.live_out) | change.live_in
        return [] if self._has_ended else found

    def _changes(self) -> Iterator[tuple[Change, OperationRecord | None]]:
        """All that was done, in the order in which it ended; None stands for an administrator."""
        counted: set[str] = set()
        for event in self._events:
            if not event.operation_id:
                if event.change is not None:
                    yield event.change, None
                continue
            record = self._record(event.operation_id)
            if record is None or not record.state is event.state is OperationState.DONE or record.id in counted:
                continue
            counted.add(record.id)
            if (change := self._change_of(record.id)) is not None:
                yield change, record

    def _there(self, half: Half) -> Counter[NicKey]:
        return Counter(self._key_of(net) for net in self._nets(half))

    def _host_ends(self, still_open: dict[str, OperationRecord]) -> list[str]:
        """Taps and ports without a NIC, NICs without a tap or port, or with one in another bridge."""
        fake, live = self._hypervisor, self._nets(Half.LIVE)
        uuid, found = self.world.guest.uuid, []
        emulated = {net.target_dev or "": net for net in live if not net.is_hostdev}
        taps = {tap for tap, owner in fake.taps.items() if owner == uuid}
        found += [f"tap {tap} has no NIC" for tap in sorted(taps - set(emulated))]
        for tap, net in emulated.items():
            bridge = net.source_bridge or fake.nets[net.source_network or ""].bridge
            if tap not in taps or tap not in fake.bridges.get(bridge or "", ()):
                found.append(f"{net.alias} has no tap {tap} in {bridge}")
        ports = {net.source_portid or "": net for net in live if net.source_network is not None}
        lent = {net.source_pci for net in live if net.is_hostdev}
        lent |= {holding.address for holding in self._kept(still_open)}
        for port in fake.net_ports.values():
            if port.host_address is None and port.uuid not in ports:
                found.append(f"port {port.uuid} of {port.network} has no NIC")
            if port.host_address is not None and port.host_address not in lent:
                found.append(f"port {port.uuid} of {port.network} keeps {port.host_address}, which nobody has")
        return found + [f"{net.alias} has no port" for uuid, net in ports.items() if uuid not in fake.net_ports]

    def _devices_lent(self, still_open: dict[str, OperationRecord]) -> list[str]:
        """VFs that are lent to nobody and not as they were, and those that the journal does not know right."""
        journal, found = self.world.host.journal, []
        lent = {net.source_pci: net for net in self._nets(Half.LIVE) if net.is_hostdev}
        held = {holding.address: holding for holding in journal.holdings()}
        kept = self._kept(still_open)
        for address, net in lent.items():
            assert address is not None
            if self._devices.found[address].driver != VFIO_DRIVER:
                found.append(f"{address} of {net.alias} is on {self._devices.found[address].driver}")
            if self._is_ours(net) and (address not in held or held[address].alias != net.alias):
                found.append(f"{address} of {net.alias} is held as {held.get(address)}")
        for address in set(self._unlent) - set(lent):
            holding = held.get(address)
            if holding in kept:
                continue
            if holding is not None:
                found.append(f"{address} is held for {holding.alias}, which does not have it")
            now = self._devices.set[address]
            if self._devices.found[address].driver != VF_DRIVER or _own(now) != self._unlent[address]:
                driver = self._devices.found[address].driver
                found.append(f"{address} is not as it was: {driver}, {_own(now)}, was {self._unlent[address]}")
        return found

    def _kept(self, still_open: dict[str, OperationRecord]) -> list[Holding]:
        """What is held of devices that are in no guest, and may be: an operation on them is open, or they are quarantined."""
        busy = {alias for record in still_open.values() for _, alias in record.touched}
        are_late = self._has_ended and not self._is_recovered  # a guest that ended leaves its devices to `recover`
        held = self.world.host.journal.holdings()
        return [one for one in held if one.alias in busy or one.quarantine or are_late]

    def _rows(self, still_open: dict[str, OperationRecord]) -> list[str]:
        """What the journal says of NICs that are not there, or does not say of those that it plugged."""
        busy = {alias for record in still_open.values() for _, alias in record.touched}
        busy |= {alias for alias, _, _ in self._removed}
        if self._has_ended:
            return []
        nets = {(net.alias or "", str(net.mac)): net for net in self._nets(Half.LIVE)}
        known = [nic for nic in self.world.host.journal.nics() if nic.alias not in busy]
        rows = {
            (nic.alias, nic.mac) for nic in known if nic.backend is not State.CLOSED
        }  # the definition alone has the others
        found = [f"the journal has a NIC {row}, the guest has not" for row in sorted(rows - set(nets) - self._outdated)]
        ours = {pair for pair, net in nets.items() if self._is_ours(net) and pair[0] not in busy}
        found += [f"the guest has {pair}, and the journal does not know it" for pair in sorted(ours - rows)]
        wrong = sorted(pair for pair in rows & set(nets) if self._key_of(nets[pair]) in self._foreign)
        return found + [f"the journal calls {pair} its own, which is an administrator's" for pair in wrong]

    def _is_ours(self, net: Interface) -> bool:
        """Whether an attach has brought it: no administrator, and no start of the guest."""
        return self._key_of(net) not in self._foreign | self._started and not self._has_ended

    def _change_of(self, operation_id: str) -> Change | None:
        call, record = next((one for one in self.calls if operation_id in one.begun), None), self._record(operation_id)
        return None if call is None or record is None else self._change_by(call, record)

    def _record(self, operation_id: str) -> OperationRecord | None:
        return self.world.host.journal.operation(operation_id)

    def _nets(self, half: Half) -> Sequence[Interface]:
        with suppress(VirtnetplugError):
            return xml.devices(self.world.guest.xml(half)).nets
        return ()

    @property
    def _hypervisor(self) -> FakeHypervisor:
        fake = self.world.host.hypervisor
        assert isinstance(fake, FakeHypervisor)
        return fake

    @property
    def _devices(self) -> FakeHostDevices:
        fake = self.world.host.host_devices
        assert isinstance(fake, FakeHostDevices)
        return fake


class Process:
    """One process of a ledger, with a journal of its own. Once its trigger has fired as a crash, it is dead."""

    def __init__(self, ledger: Ledger, host: Host, turns: Turns | None, trigger: Trigger | None) -> None:
        self._ledger, self._journal, self._trigger = ledger, host.journal, trigger
        self._call: Call | None = None
        journal: Any = _Witnessed(host.journal, self)
        own = dataclasses.replace(host, journal=journal)
        if turns is not None:
            own = taking_turns(own, turns)
        self.plugger = Plugger(own if trigger is None else faulty(own, trigger), lambda: None)

    def call(self, what: str, change: Change | None, act: Callable[[Plugger], Any], *, who: str = "") -> Call:
        """Make one call; whatever its caller is told is kept. A process that dies in it can make no other."""
        call = self._call = Call(who or "someone", what, change)
        self._ledger.calls.append(call)
        try:
            told = act(self.plugger)
            call.outcomes = tuple(told) if isinstance(told, tuple) else (told,)
        except Crash:
            call.has_died = True
        except Exception as error:  # noqa: BLE001 - a bare one is a finding
            call.error = error
        if call.has_died:
            self._journal.close()
        return call

    def began(self, operation_id: str) -> None:
        if self._call is not None:
            self._ledger.began(self._call, operation_id)

    def ended(self, operation_id: str, state: OperationState) -> None:
        if self._call is not None:
            self._call.left[operation_id] = state
        self._ledger.ended(operation_id, state)

    def check_alive(self) -> None:
        """A process that has died takes no lock."""
        if self._trigger is not None and self._trigger.kind == "crash" and self._trigger.fired:
            raise Crash


class _Witnessed:
    """A journal whose `begin` and `finish` the ledger sees."""

    def __init__(self, inner: Any, process: Process) -> None:
        self._inner, self._process = inner, process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def begin(self, record: OperationRecord, *more: Any, **named: Any) -> Any:
        answer = self._inner.begin(record, *more, **named)
        self._process.began(record.id)
        return answer

    def finish(self, operation_id: str, state: OperationState, *more: Any, **named: Any) -> Any:
        answer = self._inner.finish(operation_id, state, *more, **named)
        now = self._inner.operation(operation_id)  # an operation that has ended stays as it ended
        self._process.ended(operation_id, state if now is None else now.state)
        return answer

    def lock(self, *asked: Any, **named: Any) -> Any:
        self._process.check_alive()
        return self._inner.lock(*asked, **named)


def _own(settings: VfSettings) -> VfSettings:
    """Without the MAC, which a host driver makes up anew each time."""
    return dataclasses.replace(settings, mac=None)


def _has_said_open(call: Call, operation_id: str) -> bool:
    told = [deed for one in call.outcomes for deed in (one, *one.enforced)]
    return any(one.operation_id == operation_id and one.result not in ENDED_AS for one in told)
