"""Two living processes on one domain: an operation is settled once, and by the call that works on it or waits for it.

One of the two stands still where it would do most harm (`stopped`); the other does what it likes; then the first goes on.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from lxml import etree

from tests.contract.faults import Trigger, faulty, is_look
from tests.contract.stopped import Moment, Stopped, at, relocking, waiting
from tests.contract.test_hostdev import devices
from tests.contract.test_hostdev import nic as vf_nic
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_rebind_pf import PF, rebind
from tests.contract.test_rebind_pf import house as house
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.adapters.sqlite import locks
from virtnetplug.errors import JournalFull, VirtnetplugError
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.interface import Interface, Vlan, VlanTag
from virtnetplug.model.operation import Half, NicRecord, OperationState, Outcome, Result, Scope

pytestmark = pytest.mark.timeout(60)

Act = Callable[[Plugger], Outcome]
MOMENTS = {"while it waits": waiting, "before it has its lock again": relocking}


def _process(world: World) -> Plugger:
    return Plugger(world.reopen(), lambda: None)


def _nets(world: World, half: Half = Half.LIVE) -> list[tuple[str | None, str, str | None]]:
    """Alias, MAC and model of each NIC of that definition."""
    return [(net.alias, str(net.mac), net.model) for net in xml.devices(world.definition(half)).nets]


def _both(world: World) -> list[list[tuple[str | None, str, str | None]]]:
    return [_nets(world, half) for half in (Half.LIVE, Half.CONFIG)]


def _mac(number: int) -> str:
    return f"52:54:00:00:00:{number:02x}"


def _results(outcomes: Sequence[Outcome]) -> list[Result]:
    return [outcome.result for outcome in outcomes]


def _answer(act: Callable[[], Any]) -> tuple[str, int, str]:
    """Reason, exit code and message of what did not end well, whether it was returned or raised."""
    try:
        answer = act()
    except VirtnetplugError as error:
        return error.reason, error.exit_code, error.message
    (outcome,) = answer if isinstance(answer, tuple) else [answer]
    assert outcome.result is Result.PENDING, outcome
    return outcome.reason, 75, outcome.message


def _assert_left_alone(outcomes: Sequence[Outcome], operation_id: str) -> None:
    """`recover` says nothing of the operation, or who has it: it did not end in time, or stands still."""
    for outcome in outcomes:
        assert outcome.result is Result.PENDING and outcome.reason in ("operation-busy", "operation-stalled"), outcome
        assert operation_id in outcome.message and str(os.getpid()) in outcome.message


def _open_id(world: World) -> str:
    (record,) = world.host.journal.open_operations()
    return record.id


def _replace(plugger: Plugger, world: World, wait: float) -> Outcome:
    return plugger.update(world.name, "ua-nic1", {"model": "e1000"}, scope=Scope.BOTH, replace=True, wait=wait)


def _hand_over(plugger: Plugger, world: World, wait: float) -> Outcome:
    return plugger.handover(world.name, "ua-nic1", world.network_nic(2), scope=Scope.BOTH, wait=wait)


PENDING = {"replace": _replace, "handover": _hand_over}
AFTER = {"replace": ("ua-nic1", _mac(1), "e1000"), "handover": ("ua-nic2", _mac(1), "virtio")}


def _pending(world: World, name: str) -> None:
    """The guest holds the NIC that is to be exchanged, and whoever asked has given up waiting."""
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.guest.hold()
    assert PENDING[name](world.plugger, world, 0.1).result is Result.PENDING


# -- recover beside recover ---------------------------------------------------------------------------


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", PENDING)
def test_two_recovers_settle_one_operation_once(fake: World, name: str, moment: str) -> None:
    _pending(fake, name)
    operation = _open_id(fake)
    if moment == "before it has its lock again":
        fake.later(1.0, fake.guest.resume)
    first = Stopped(fake, lambda p: p.recover(wait=20), MOMENTS[moment](fake))
    fake.guest.resume()
    _assert_left_alone(_process(fake).recover(wait=1), operation)
    assert _results(first.go_on()) == [Result.DONE]
    assert _both(fake) == [[AFTER[name]]] * 2
    assert fake.host.journal.operation(operation).state is OperationState.DONE  # type: ignore[union-attr]
    assert fake.plugger.recover() == () and fake.plugger.audit().findings == ()


@pytest.mark.parametrize("wait", [0, 2])
@pytest.mark.parametrize("moment", MOMENTS)
def test_recover_leaves_an_operation_to_a_call_that_is_stopped(fake: World, moment: str, wait: float) -> None:
    _pending(fake, "replace")
    operation = _open_id(fake)
    if moment == "before it has its lock again":
        fake.later(1.0, fake.guest.resume)
    first = Stopped(fake, lambda p: p.recover(wait=20), MOMENTS[moment](fake))
    before = fake.snapshot()
    _assert_left_alone(_process(fake).recover(wait=wait), operation)
    assert fake.snapshot() == before
    fake.guest.resume()
    assert _results(first.go_on()) == [Result.DONE]


@pytest.mark.parametrize("wait", [0, 2])
def test_an_operation_that_stands_still_is_named_with_its_process(fake: World, wait: float) -> None:
    nics = [fake.bridge_nic(1)]
    first = Stopped(fake, lambda p: p.attach(fake.name, nics, scope=Scope.BOTH), at("attach", number=2))
    fake.host.clock.sleep(3600)  # type: ignore[attr-defined]
    (outcome,) = _process(fake).recover(wait=wait)
    assert outcome.reason == "operation-stalled"
    _assert_left_alone([outcome], _open_id(fake))
    assert first.go_on().result is Result.DONE


def test_recover_takes_over_what_its_owner_leaves_behind(fake: World) -> None:
    """It waits as long as the owner lives, and longer than a guest that was asked is left in peace."""
    _pending(fake, "replace")
    first = Stopped(fake, lambda p: p.recover(wait=20), waiting(fake))
    second, seen = Trigger(-1, "none"), list[str]()

    def end_first() -> None:
        seen.extend(call for call in second.calls if not (is_look(call) or call.startswith("journal.")))
        first.die()
        fake.guest.resume()

    fake.later(8.0, end_first)
    outcomes = Plugger(faulty(fake.reopen(), second), lambda: None).recover(wait=20)
    assert (seen, _results(outcomes)) == ([], [Result.DONE])
    assert _both(fake) == [[AFTER["replace"]]] * 2


# -- detach beside detach -----------------------------------------------------------------------------


def _detach(world: World, wait: float = 30) -> Act:
    return lambda plugger: plugger.detach(world.name, "ua-nic1", scope=Scope.BOTH, wait=wait)


def _stopped_detach(world: World, moment: Moment) -> Stopped:
    """One that was asked for, of a guest that has let go."""
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.guest.hold()
    world.later(1.0, world.guest.resume)
    stopped = Stopped(world, _detach(world), moment)
    world.guest.resume()
    assert _nets(world) == [] and len(_nets(world, Half.CONFIG)) == 1
    return stopped


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_second_detach_does_nothing_by_itself(fake: World, moment: str) -> None:
    first = _stopped_detach(fake, MOMENTS[moment](fake))
    operation = _open_id(fake)
    reason, code, message = _answer(lambda: _detach(fake, 1)(_process(fake)))
    assert (bool(reason), code) == (True, 75)
    assert operation in message and str(os.getpid()) in message
    assert len(_nets(fake, Half.CONFIG)) == len(fake.host.journal.nics()) == 1
    assert first.go_on().result is Result.DONE
    assert _both(fake) == [[], []] and fake.host.journal.nics() == []
    assert [(one.id, one.state) for one in fake.plugger.history(limit=1)] == [(operation, OperationState.DONE)]


def test_a_second_detach_ends_with_the_first(fake: World) -> None:
    first = _stopped_detach(fake, waiting(fake))
    second = Trigger(-1, "none")
    fake.later(1.0, first.go_on)
    timer = threading.Timer(1.0, first.go_on)
    timer.start()
    outcome = _detach(fake)(Plugger(faulty(fake.reopen(), second), lambda: None))
    timer.cancel()
    assert outcome.result is Result.DONE and first.go_on().result is Result.DONE
    assert not {"detach", "detach_element"} & set(second.calls)
    said = [event.text for event in fake.events if event.kind == "waiting" and "works on the detach" in event.text]
    assert said == [f"process {os.getpid()} works on the detach {outcome.operation_id}; waiting for it"]
    assert _both(fake) == [[], []]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_nic_that_came_under_the_alias_meanwhile_is_left_alone(fake: World, moment: str) -> None:
    first = _stopped_detach(fake, MOMENTS[moment](fake))
    other = fake.bridge_nic(2, bridge=fake.bridges[1], alias="ua-nic1")
    fake.guest.detach("ua-nic1", Half.CONFIG)
    for half in (Half.LIVE, Half.CONFIG):
        fake.guest.attach(other, half)
    row = NicRecord(
        uri=fake.host.hypervisor.uri, hypervisor=fake.host.hypervisor.key, domain_uuid=fake.guest.uuid, domain_name=fake.name,
        alias="ua-nic1", mac=_mac(2), type="bridge", source=fake.bridges[1], operation_id="another",
    )  # fmt: skip
    fake.host.journal.put_nic(row)
    assert first.go_on().result is Result.DONE
    assert _both(fake) == [[("ua-nic1", _mac(2), "virtio")]] * 2
    assert [(nic.alias, nic.mac) for nic in fake.host.journal.nics()] == [("ua-nic1", _mac(2))]
    assert fake.plugger.recover() == ()


# -- what an open operation will need --------------------------------------------------------------------


def _stopped_replacement(world: World, moment: Moment) -> tuple[Stopped, str]:
    """One whose guest has let go of the old NIC, and that NIC's guest address as an element."""
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    (address,) = etree.fromstring(world.definition(Half.LIVE)).findall("devices/interface/address")
    changes = {"mtu": 1400}
    world.guest.hold()
    world.later(1.0, world.guest.resume)
    stopped = Stopped(world, lambda p: p.update(world.name, "ua-nic1", changes, replace=True, wait=30), moment)
    world.guest.resume()
    assert _nets(world) == []
    return stopped, etree.tostring(address, encoding="unicode", with_tail=False)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_replacement_gets_the_guest_address_that_it_waits_for(fake: World, moment: str) -> None:
    first, address = _stopped_replacement(fake, MOMENTS[moment](fake))
    assert _process(fake).attach(fake.name, [fake.bridge_nic(2)]).result is Result.DONE
    assert first.go_on().result is Result.DONE
    nets = {net.alias: net for net in xml.devices(fake.definition(Half.LIVE)).nets}
    assert nets["ua-nic1"].mtu == 1400
    assert nets["ua-nic1"].address == xml.interface(fake.bridge_nic(1, extra=address)).address
    assert nets["ua-nic2"].address not in (None, nets["ua-nic1"].address)


@pytest.mark.parametrize(
    ("wanted", "reason"), [("alias", "nic-pending"), ("mac", "nic-pending"), ("address", "place-reserved")]
)
@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_replacement_will_need_is_refused_to_others(fake: World, moment: str, wanted: str, reason: str) -> None:
    first, address = _stopped_replacement(fake, MOMENTS[moment](fake))
    nic = {
        "alias": fake.bridge_nic(2, alias="ua-nic1"),
        "mac": fake.bridge_nic(1, alias="ua-nic2"),
        "address": fake.bridge_nic(2, extra=address),
    }[wanted]
    before = fake.snapshot()
    found, code, _ = _answer(lambda: _process(fake).attach(fake.name, [nic]))
    assert (found, code) == (reason, 3)
    assert fake.snapshot() == before
    assert first.go_on().result is Result.DONE
    assert [net.alias for net in xml.devices(fake.definition(Half.LIVE)).nets] == ["ua-nic1"]


# -- VFs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["host_devices.vfio_users", "host_devices.settings", "host_devices.apply"])
def test_a_vf_that_was_lent_on_meanwhile_stays_as_its_next_guest_has_it(
    pool: World, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(locks, "time", pool.host.clock, raising=False)
    hypervisor: Any = pool.host.hypervisor
    hypervisor.add("next")
    lent = Interface(
        type="network", source_network="pool", alias="ua-vf1", vlan=Vlan((VlanTag(41),)), trust=True, spoofchk=False
    )
    pool.plugger.attach(pool.name, [lent])
    (holding,) = pool.host.journal.holdings()
    pool.guest.destroy()  # the VF is for recover
    slow = Stopped(pool, lambda p: p.recover(), at(call))
    done = list(_process(pool).recover())
    _process(pool).attach("next", [vf_nic(2, extra="<vlan><tag id='42'/></vlan>")])
    (mine,) = [one for one in pool.host.journal.holdings() if one.alias == "ua-vf2"]
    kept = devices(pool).set[mine.address]
    assert kept.vlan == 42 and kept.admin_mac == _mac(2)
    done += slow.go_on()
    assert devices(pool).set[mine.address] == kept
    assert mine in pool.host.journal.holdings()
    assert mine.address in [port.host_address for port in pool.host.networks.ports("pool")]
    done += pool.plugger.recover()
    assert _results([one for one in done if one.result is not Result.PENDING]) == [Result.DONE]
    assert pool.host.journal.holdings() == [mine] and pool.plugger.audit().findings == ()
    assert holding.address == mine.address or devices(pool).set[holding.address].vlan == 0


def test_a_vf_that_comes_out_of_quarantine_takes_nobodys_row_along(pool: World) -> None:
    (nic,) = pool.plugger.attach(pool.name, [vf_nic(1)]).nics
    assert nic.host_address is not None
    devices(pool).set_by_hand(nic.host_address, trust=True)
    devices(pool).unsettable.add("trust")
    outcome = pool.plugger.rebind(pool.name, "ua-vf1", {"source_bridge": pool.bridges[0]}, replace=True)
    assert outcome.result is Result.DONE and [one.quarantine != "" for one in pool.host.journal.holdings()] == [True]
    rows = pool.host.journal.nics()
    devices(pool).unsettable.clear()
    assert _results(_process(pool).recover()) == [Result.DONE]
    assert pool.host.journal.holdings() == [] and pool.host.journal.nics() == rows
    assert [(one.alias, one.type, one.origin) for one in pool.plugger.list()] == [("ua-vf1", "bridge", "virtnetplug")]


# -- a long-lived process ------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["the same process", "another process"])
def test_what_a_full_journal_left_open_is_settled_though_its_process_lives(fake: World, who: str) -> None:
    before, journal = fake.snapshot(), fake.host.journal
    finish = journal.finish

    def fail(*_: Any, **__: Any) -> None:
        raise JournalFull("no room for the journal")

    journal.finish = fail  # type: ignore[method-assign]
    with pytest.raises(VirtnetplugError):
        fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    journal.finish = finish  # type: ignore[method-assign]
    operation = _open_id(fake)
    plugger = fake.plugger if who == "the same process" else _process(fake)
    assert _results(plugger.recover(wait=5)) == [Result.UNDONE]
    assert fake.snapshot() == before
    assert journal.operation(operation).state is OperationState.UNDONE  # type: ignore[union-attr]


# -- locks ------------------------------------------------------------------------------------------------------


class _Elapsed:
    """Seconds since it was made, on the world's clock and on ours."""

    def __init__(self, world: World) -> None:
        self._clock = world.host.clock
        self._begun = self._clock.monotonic(), time.monotonic()

    def __call__(self) -> float:
        return self._clock.monotonic() - self._begun[0] + time.monotonic() - self._begun[1]


def _lock(world: World) -> Any:
    """The lock of the domain, as another process takes it."""
    return world.reopen().journal.lock(world.host.hypervisor.key, world.guest.uuid)


BOUNDED: dict[str, Callable[[World, float], Any]] = {
    "attach": lambda w, wait: w.plugger.attach(w.name, [w.bridge_nic(2)], wait=wait),
    "detach": lambda w, wait: w.plugger.detach(w.name, "ua-nic1", wait=wait),
    "update": lambda w, wait: w.plugger.update(w.name, "ua-nic1", {"link_state": "down"}, wait=wait),
}


@pytest.mark.timeout(12)
@pytest.mark.parametrize(("wait", "seconds"), [(0, 5), (8, 8)])
@pytest.mark.parametrize("name", BOUNDED)
def test_a_lock_is_waited_for_so_long_and_no_longer(
    fake: World, monkeypatch: pytest.MonkeyPatch, name: str, wait: float, seconds: float
) -> None:
    monkeypatch.setattr(locks, "time", fake.host.clock, raising=False)
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    before, elapsed = fake.snapshot(), _Elapsed(fake)
    with _lock(fake):
        reason, code, message = _answer(lambda: BOUNDED[name](fake, wait))
    assert (reason, code) == ("domain-busy", 3) and str(os.getpid()) in message
    assert seconds <= elapsed() < seconds + 2
    assert fake.snapshot() == before


@pytest.mark.timeout(12)
@pytest.mark.parametrize("name", ["detach", "replace"])
def test_a_lock_that_does_not_come_back_leaves_the_operation_pending(
    fake: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(locks, "time", fake.host.clock, raising=False)
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.guest.hold()
    lock = _lock(fake)

    def take_it() -> None:
        lock.__enter__()
        fake.guest.resume()

    fake.later(1.0, take_it)
    act = _detach(fake, 6) if name == "detach" else lambda p: _replace(p, fake, 6)
    try:
        reason, code, message = _answer(lambda: act(_process(fake)))
    finally:
        lock.__exit__(None, None, None)
    assert (reason, code) == ("domain-busy", 75) and str(os.getpid()) in message
    assert _open_id(fake)
    assert _results(fake.plugger.recover(wait=20)) == [Result.DONE]
    assert _both(fake) == ([[], []] if name == "detach" else [[AFTER["replace"]]] * 2)


@pytest.mark.timeout(12)
def test_recover_says_which_domain_it_left_out(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "time", fake.host.clock, raising=False)
    hypervisor: Any = fake.host.hypervisor
    other = hypervisor.add("other")
    for number, name in enumerate(("other", fake.name)):
        fake.plugger.attach(name, [fake.bridge_nic(number)])
        hypervisor.domain(name).hold()
        fake.plugger.detach(name, f"ua-nic{number}", wait=0.1)
        hypervisor.domain(name).resume()
    with _lock(fake):
        outcomes = {outcome.domain: outcome for outcome in _process(fake).recover(wait=0)}
    assert (outcomes["other"].result, other.live_nics()) == (Result.DONE, [])
    assert (outcomes[fake.name].result, outcomes[fake.name].reason) == (Result.PENDING, "domain-busy")
    assert str(os.getpid()) in outcomes[fake.name].message
    assert [(outcome.domain, outcome.result) for outcome in fake.plugger.recover()] == [(fake.name, Result.DONE)]


PF_LOCKS: dict[str, Callable[[World], tuple[str, str]]] = {
    "pf": lambda w: ("", f"pf {PF}"),
    "guest": lambda w: (w.host.hypervisor.key, w.guest.uuid),
}


@pytest.mark.timeout(12)
@pytest.mark.parametrize("whose", PF_LOCKS)
def test_recover_that_does_not_wait_leaves_out_a_busy_pf(
    house: World, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    monkeypatch.setattr(locks, "time", house.host.clock, raising=False)
    house.guest.hold()
    assert rebind(house, reload_driver=True, wait=0.1).result is Result.PENDING
    house.guest.resume()
    elapsed = _Elapsed(house)
    with house.reopen().journal.lock(*PF_LOCKS[whose](house)):
        outcomes = [one for one in _process(house).recover(wait=0) if one.operation == "rebind-pf"]
    assert _answer(lambda: tuple(outcomes))[:2] == ("domain-busy", 75) and str(os.getpid()) in outcomes[0].message
    assert elapsed() < 4
    assert _results(house.plugger.recover()) == [Result.UNDONE]


def test_an_address_that_is_about_to_be_free_is_kept_too(fake: World) -> None:
    """The guest lets go between the look of another attach and its call."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    assert fake.plugger.update(fake.name, "ua-nic1", {"mtu": 1400}, replace=True, wait=0.1).result is Result.PENDING
    other = Stopped(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(2)]), at("attach"))
    fake.guest.resume()
    assert _nets(fake) == []
    assert other.go_on().result is Result.DONE
    assert _results(fake.plugger.recover(wait=20)) == [Result.DONE]
    assert {net.alias: net.mtu for net in xml.devices(fake.definition(Half.LIVE)).nets} == {
        "ua-nic1": 1400,
        "ua-nic2": None,
    }
