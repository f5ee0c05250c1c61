"""A signal at and after every call that an operation makes, and inside its waits: what is said, the journal and the world agree.

With ``--full`` at every call; else at a sample of them, another one for each operation.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.contract import test_rebind_pf
from tests.contract import test_steps as steps
from tests.contract.faults import Trigger, faulty, points
from tests.contract.operations import GOVERNED, OPERATIONS
from tests.contract.stopped import Stopped, waiting
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_rebind_pf import house as house
from tests.contract.world import World
from virtnetplug import interruption
from virtnetplug.adapters.sqlite import locks
from virtnetplug.errors import GuestBusy, Interrupted, Refused
from virtnetplug.hotplug.audit import repair
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.guest import asking
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.audit import AuditReport, Finding
from virtnetplug.model.operation import Half, OperationRecord, OperationState, Outcome, Result, Scope

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STRIDE = 43
"""Without ``--full``: of so many points one."""


def send(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


def act_under(
    world: World, act: steps.Act, trigger: Trigger | None = None
) -> tuple[Outcome | Interrupted, list[OperationRecord]]:
    """What the operation said, as the command line would hear it, and what the journal has of it, oldest first."""
    before = {record.id for record in world.plugger.history(limit=1000)}
    plugger = world.plugger if trigger is None else Plugger(faulty(world.host, trigger), lambda: None)
    said: Outcome | Interrupted
    with interruption.listening():
        try:
            answer = act(world, plugger)
            said = answer[-1] if isinstance(answer, tuple) else answer
        except Interrupted as error:
            said = error
    records = [record for record in world.plugger.history(limit=1000)[::-1] if record.id not in before]
    return said, records


def assert_agree(
    world: World,
    name: str,
    before: dict[str, Any],
    said: Outcome | Interrupted,
    records: list[OperationRecord],
    what: str,
) -> None:
    """What was said of the operation, the journal, and the world; and `recover` ends what is left."""
    open_ids = world.snapshot()["open"]
    if isinstance(said, Outcome):
        assert said.result is Result.DONE, what
        assert next(one for one in records if one.id == said.operation_id).state is OperationState.DONE, what
    else:
        assert said.reason == "interrupted", what
        assert all(record.state is not OperationState.RUNNING for record in records), what
        mine = [record for record in records if record.reason == "interrupted"]
        assert len(mine) <= 1, what
        if not mine:
            assert "touched" in said.message, what
        elif mine[0].state is OperationState.UNDONE:
            assert "was undone" in said.message or "Nothing was touched" in said.message, what
        assert bool(open_ids) == ("`recover(" in said.message), (what, said.message)
        assert said.undo_failures == [] or open_ids, what
        if not open_ids and name not in GOVERNED:
            steps._assert_as_before_or_complete(name, world, before, what)
            assert name == "heal" or not steps._is_complete(name, world, before), what
    if open_ids or name in GOVERNED:
        world.plugger.recover(wait=20)
    steps._assert_as_before_or_complete(name, world, before, what)
    if isinstance(said, Outcome):
        assert steps._is_complete(name, world, before), what
    assert world.plugger.recover() == (), what


@pytest.fixture
def chosen(request: pytest.FixtureRequest) -> Callable[[str, list[str]], list[tuple[int, bool]]]:
    """Gives the points of an operation at which a signal comes."""
    stride = 1 if request.config.getoption("--full") else STRIDE

    def choose(name: str, calls: list[str]) -> list[tuple[int, bool]]:
        every = sorted(points("fail", calls))
        return every[list(OPERATIONS).index(name) % stride :: stride]

    return choose


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_signal_at_every_call(
    fake: World, name: str, chosen: Callable[[str, list[str]], list[tuple[int, bool]]]
) -> None:
    """At every other call it comes once; else whoever presses Ctrl-C goes on pressing it, also while all is undone."""
    act, calls = steps._cases(fake, name)
    last = max(k for k, call in enumerate(calls) if call.startswith("journal."))
    for k, after in [*chosen(name, calls), (last, True)]:
        OPERATIONS[name][0](fake)
        before = fake.snapshot()
        trigger = Trigger(k, ("signal", "signals")[k % 2], after=after)
        trigger.number = SIGNALS[k % 3]
        said, records = act_under(fake, act, trigger)
        what = f"{name}, {trigger.number} {'after' if after else 'at'} call {k} ({trigger.calls[k]}): {said}"
        assert trigger.fired, what
        assert isinstance(said, Outcome) or (said.exit_code == 128 + trigger.number and k < last), what
        assert_agree(fake, name, before, said, records, what)
        steps._reset(fake)


WAITS: dict[str, steps.Act] = {name: OPERATIONS[name][1] for name in ("detach", "replace", "handover", "handback")}
"""Operations that wait for a guest."""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("name", WAITS)
def test_a_signal_ends_the_wait_for_a_guest_at_once(fake: World, name: str, number: signal.Signals) -> None:
    OPERATIONS[name][0](fake)
    before = fake.snapshot()
    fake.guest.hold()
    fake.later(3.0, lambda: send(number))
    began = fake.host.clock.monotonic()
    said, records = act_under(fake, WAITS[name])
    assert isinstance(said, Interrupted) and said.exit_code == 128 + number
    assert fake.host.clock.monotonic() - began < 10  # 20 were to be waited
    (record,) = [record for record in records if record.ended is None]
    assert (record.state, record.reason) == (OperationState.PENDING, "interrupted")
    fake.guest.resume()
    assert_agree(fake, name, before, said, records, name)
    assert steps._is_complete(name, fake, before)


def test_a_signal_ends_the_wait_of_a_recovery_and_the_operation_stays_pending(fake: World) -> None:
    OPERATIONS["detach"][0](fake)
    fake.guest.hold()
    (fake.plugger.detach(fake.name, "ua-nic1", wait=0.1))
    fake.later(3.0, send)
    said, _ = act_under(fake, lambda world, plugger: plugger.recover(wait=600))
    assert isinstance(said, Interrupted) and "`recover(" in said.message
    (record,) = fake.host.journal.open_operations(fake.host.hypervisor.key)
    assert (record.state, record.reason) == (OperationState.PENDING, "interrupted")
    fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.DONE]


@pytest.mark.parametrize("name", WAITS)
def test_a_signal_at_every_call_of_a_recovery(
    fake: World, name: str, chosen: Callable[[str, list[str]], list[tuple[int, bool]]]
) -> None:
    """What was pending is finished, or stays open and is finished the next time: it is never called undone."""
    before: dict[str, Any] = {}

    def leave_pending() -> None:
        OPERATIONS[name][0](fake)
        before.update(fake.snapshot())
        fake.guest.hold()
        fake.later(3.0, send)
        act_under(fake, WAITS[name])
        fake.guest.resume()

    def settle(world: World, plugger: Plugger) -> Any:
        return plugger.recover(wait=20)

    leave_pending()
    trigger = Trigger(-1, "none")
    act_under(fake, settle, trigger)
    steps._reset(fake)
    for k, after in chosen(name, trigger.calls):
        leave_pending()
        trigger = Trigger(k, "signals", after=after)
        said, _ = act_under(fake, settle, trigger)
        what = f"recovery of {name}, a signal {'after' if after else 'at'} call {k} ({trigger.calls[k]}): {said}"
        is_open = bool(fake.snapshot()["open"])
        assert is_open == isinstance(said, Interrupted), what
        assert not isinstance(said, Interrupted) or "`recover(" in said.message, what
        fake.plugger.recover(wait=20)
        steps._assert_as_before_or_complete(name, fake, before, what)
        assert steps._is_complete(name, fake, before), what
        steps._reset(fake)


def test_a_signal_at_every_call_of_a_rebind_of_a_pf(
    house: World, monkeypatch: pytest.MonkeyPatch, chosen: Callable[[str, list[str]], list[tuple[int, bool]]]
) -> None:
    """From where the PF is made again it only goes forward: no guest is left without its VF by a signal."""
    monkeypatch.setattr(asking, "GRACE", 0.05)

    def rebind(world: World, plugger: Plugger) -> Outcome:
        return test_rebind_pf.rebind(world, plugger, reload_driver=True)

    counter = Trigger(-1, "none")
    act_under(house, rebind, counter)
    before = test_rebind_pf.whole(house)
    forward = counter.calls.index("attach")  # into the first guest; the second one is to have its VF, too
    for k, after in [(forward, False), *chosen("attach", counter.calls)]:
        trigger = Trigger(k, "signals", after=after)
        said, (record,) = act_under(house, rebind, trigger)
        what = f"{'after' if after else 'at'} call {k} ({trigger.calls[k]}): {said}"
        assert isinstance(said, Outcome) == (record.state is OperationState.DONE), what
        assert isinstance(said, Outcome) or k < forward, what
        assert not isinstance(said, Interrupted) or ("recover" in said.message) == (record.ended is None), what
        house.plugger.recover(wait=5)
        assert test_rebind_pf.whole(house) == before, what


def test_a_signal_while_a_busy_slot_is_waited_for_leaves_nothing_open(fake: World) -> None:
    OPERATIONS["detach"][0](fake)
    before = fake.snapshot()

    def detach(alias: str, half: Half) -> None:
        raise GuestBusy("its slot is busy")

    fake.guest.detach = detach
    fake.later(3.0, send)
    said, records = act_under(fake, WAITS["detach"])
    assert isinstance(said, Interrupted) and "was undone" in said.message
    assert [record.state for record in records] == [OperationState.UNDONE]
    assert fake.snapshot() == before


def test_a_second_signal_while_the_lock_is_taken_again(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was interrupted while its guest was waited for holds the lock again when it says so."""
    OPERATIONS["detach"][0](fake)
    before = fake.snapshot()
    fake.guest.hold()
    fake.later(3.0, send)
    take, taken = Lock.take, []

    def take_slowly(self: Lock) -> None:
        with interruption.allowed():
            if taken:
                send()
        take(self)
        taken.append(self)

    monkeypatch.setattr(Lock, "take", take_slowly)
    said, records = act_under(fake, WAITS["detach"])
    assert isinstance(said, Interrupted) and len(taken) >= 2
    monkeypatch.undo()
    fake.guest.resume()
    assert_agree(fake, "detach", before, said, records, "the lock")


def test_a_signal_while_the_locks_of_a_pf_are_taken_again(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is undone because of it is undone under all locks."""
    before = test_rebind_pf.whole(house)
    take, taken = Lock.take, []

    def take_slowly(self: Lock) -> None:
        with interruption.allowed():
            if len(taken) == 3:  # each to settle what is open, both to begin; now both again
                send()
        take(self)
        taken.append(self)

    monkeypatch.setattr(Lock, "take", take_slowly)
    house.guest.hold()
    house.later(1.0, house.guest.resume)
    said, _ = act_under(house, lambda world, plugger: test_rebind_pf.rebind(world, plugger, reload_driver=True))
    assert isinstance(said, Interrupted) and "was undone" in said.message and len(taken) == 4
    assert test_rebind_pf.whole(house) == before


@contextmanager
def _taken(
    world: World, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, when: str, uuid: str
) -> Iterator[None]:
    """After 1 s another process has the lock of a domain for good; the signal comes before this one wants it, or while it waits for it."""
    monkeypatch.setattr(locks, "time", world.host.clock, raising=False)
    with ExitStack() as stack:
        lock = world.reopen().journal.lock(world.host.hypervisor.key, uuid)

        def take() -> None:
            stack.enter_context(lock)
            (send if when == "guest" else lambda _: world.guest.resume())(number)

        world.later(1.0, take)
        if when == "lock":
            world.later(4.0, lambda: send(number))
        began = world.host.clock.monotonic()
        yield
        assert world.host.clock.monotonic() - began < 12  # 20 were to be waited


def _assert_interrupted(said: Outcome | Interrupted, number: int, record: OperationRecord) -> None:
    assert isinstance(said, Interrupted) and (said.reason, said.exit_code) == ("interrupted", 128 + number)
    assert str(os.getpid()) in said.message and "`recover(" in said.message and said.undo_failures == []
    assert (record.state, record.reason) == (OperationState.PENDING, "interrupted")


@pytest.mark.parametrize("when", ["guest", "lock"])
@pytest.mark.parametrize("name", WAITS)
def test_a_signal_while_the_lock_is_not_to_be_had_again(
    fake: World, monkeypatch: pytest.MonkeyPatch, name: str, when: str
) -> None:
    """Nothing is done without the lock, and it is not waited for much longer."""
    number = SIGNALS[list(WAITS).index(name) % 3]
    OPERATIONS[name][0](fake)
    before = fake.snapshot()
    fake.guest.hold()
    with _taken(fake, monkeypatch, number, when, fake.guest.uuid):
        said, records = act_under(fake, WAITS[name])
    (record,) = [record for record in records if record.ended is None]
    _assert_interrupted(said, number, record)
    fake.guest.resume()
    assert_agree(fake, name, before, said, records, name)
    assert steps._is_complete(name, fake, before)


@pytest.mark.parametrize("when", ["guest", "lock"])
def test_a_signal_while_the_lock_is_not_to_be_had_again_in_a_recovery(
    fake: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    OPERATIONS["replace"][0](fake)
    fake.guest.hold()
    fake.plugger.update(fake.name, "ua-nic1", {"model": "e1000"}, scope=Scope.BOTH, replace=True, wait=0.1)
    with _taken(fake, monkeypatch, signal.SIGTERM, when, fake.guest.uuid):
        said, _ = act_under(fake, lambda world, plugger: plugger.recover(wait=600))
    (record,) = fake.host.journal.open_operations()
    _assert_interrupted(said, signal.SIGTERM, record)
    fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.DONE]


@pytest.mark.parametrize("when", ["guest", "lock"])
def test_a_signal_while_a_lock_of_a_pf_is_not_to_be_had_again(
    house: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """No guest is touched without its lock, so it has no VF until somebody recovers."""
    before = test_rebind_pf.whole(house)
    house.guest.hold()
    with _taken(house, monkeypatch, signal.SIGHUP, when, test_rebind_pf.second(house).uuid):
        said, (record,) = act_under(house, lambda w, p: test_rebind_pf.rebind(w, p, reload_driver=True, wait=20))
    _assert_interrupted(said, signal.SIGHUP, record)
    house.guest.resume()
    assert [each.result for each in house.plugger.recover(wait=20)] == [Result.UNDONE]
    assert test_rebind_pf.whole(house) == before


@pytest.mark.parametrize("when", ["guest", "lock"])
def test_a_signal_while_a_second_detach_waits_for_the_first(
    fake: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """It had begun nothing, and the first one goes on."""
    OPERATIONS["detach"][0](fake)
    fake.guest.hold()
    first = Stopped(fake, lambda p: p.detach(fake.name, ["ua-nic1", "ua-nic2"], scope=Scope.BOTH), waiting(fake))
    with _taken(fake, monkeypatch, signal.SIGINT, when, fake.guest.uuid):
        said, records = act_under(fake, WAITS["detach"])
    assert isinstance(said, Interrupted) and said.exit_code == 130 and records == []
    fake.guest.resume()
    assert first.go_on().result is Result.DONE


def test_a_signal_while_recover_waits_for_another_call(fake: World) -> None:
    OPERATIONS["detach"][0](fake)
    fake.guest.hold()
    first = Stopped(fake, lambda p: p.detach(fake.name, ["ua-nic1", "ua-nic2"], scope=Scope.BOTH), waiting(fake))
    fake.later(3.0, send)
    began = fake.host.clock.monotonic()
    said, _ = act_under(fake, lambda world, plugger: plugger.recover(wait=600))
    assert isinstance(said, Interrupted) and fake.host.clock.monotonic() - began < 10
    fake.guest.resume()
    assert first.go_on().result is Result.DONE


def test_a_signal_while_a_policy_is_at_work_does_not_hide_what_was_done(fake: World) -> None:
    """The attach is done; the NIC that is to leave because of it was asked, and may."""
    act, calls = steps._cases(fake, "enforcement")
    OPERATIONS["enforcement"][0](fake)
    said, _ = act_under(fake, act, Trigger(calls.index("detach"), "signal"))
    assert isinstance(said, Outcome) and said.result is Result.DONE
    assert any("`recover(" in warning for warning in said.warnings)
    fake.plugger.recover(wait=20)
    assert steps._is_complete("enforcement", fake, {})


def test_a_signal_does_not_end_the_wait_of_an_undo(fake: World) -> None:
    """An attach that fails asks the guest for the first NIC back; Ctrl-C meanwhile changes nothing of that."""
    before = fake.snapshot()
    attach = fake.guest.attach

    def fail(element: str, half: Any) -> None:
        if "ua-nic2" in element:
            fake.guest.hold()
            fake.later(2.0, send)
            fake.later(4.0, fake.guest.resume)
            raise Refused("no second one today")
        attach(element, half)

    fake.guest.attach = fail
    with interruption.listening(), pytest.raises(Exception, match="no second one today") as caught:
        fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], wait=20)
    assert getattr(caught.value, "exit_code", None) == 4
    assert fake.snapshot() == before


def test_a_signal_between_two_repairs(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mended = []

    def mend(host: Any, finding: Finding) -> None:
        mended.append(finding.nic)
        send(signal.SIGTERM)

    monkeypatch.setattr(repair, "REPAIRS", {"tap-not-in-bridge": mend})
    findings = [
        Finding(kind="tap-not-in-bridge", domain=fake.name, nic=nic, message="", remedy="", repair="put it back")
        for nic in ("ua-nic1", "ua-nic2")
    ]
    report = AuditReport(domains=1, nics=2, findings=tuple(findings), seconds=0.0)
    with interruption.listening(), pytest.raises(Interrupted, match="what was done before stands") as caught:
        fake.plugger.repair(report)
    assert mended == ["ua-nic1"] and caught.value.exit_code == 143


def test_from_python_ctrl_c_is_delivered_as_soon_as_nothing_is_half_done(fake: World) -> None:
    """Interrupted says what became of the operation; KeyboardInterrupt, that it had ended when Ctrl-C came."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    act, calls = steps._cases(fake, "detach")
    last = max(k for k, call in enumerate(calls) if call == "journal.commit")
    for k, expected in ((calls.index("detach"), Interrupted), (last, KeyboardInterrupt)):
        OPERATIONS["detach"][0](fake)
        before = fake.snapshot()
        with pytest.raises(expected):
            act(fake, Plugger(faulty(fake.host, Trigger(k, "signal")), lambda: None))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if expected is KeyboardInterrupt:
            assert steps._is_complete("detach", fake, before)
        fake.plugger.recover(wait=20)
        steps._reset(fake)


def test_a_handler_of_the_application_is_left_alone(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    old = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        trigger = Trigger(3, "signal")
        outcome = Plugger(faulty(fake.host, trigger), lambda: None).attach(fake.name, [fake.bridge_nic()])
        assert outcome.result is Result.DONE and heard == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, old)


def test_an_operation_of_another_thread_is_not_interrupted(fake: World) -> None:
    outcomes: list[Outcome] = []
    with interruption.listening():
        send()
        run = threading.Thread(
            target=lambda: outcomes.append(fake.plugger.attach(fake.name, [fake.bridge_nic()], scope=Scope.BOTH))
        )
        run.start()
        run.join()
        with pytest.raises(Interrupted):
            fake.plugger.detach(fake.name, "ua-nic1", scope=Scope.BOTH)
    assert [outcome.result for outcome in outcomes] == [Result.DONE]
    assert fake.plugger.list(fake.name) != ()


def test_a_wait_for_another_call_ends_at_once(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=0.1).result is Result.PENDING
    (record,) = fake.host.journal.open_operations()
    other, began = fake.reopen().journal, fake.host.clock.monotonic()
    fake.later(1.0, lambda: send(signal.SIGTERM))
    with other.call() as owner, interruption.listening():
        assert other.adopt(record.id, owner)
        with pytest.raises(Interrupted) as caught:
            fake.plugger.recover(wait=30)
    assert (caught.value.exit_code, fake.host.clock.monotonic() - began < 5) == (143, True)
