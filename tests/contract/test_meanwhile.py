"""What happens beside an operation that is open: its NIC comes back, its domain is another run, its lock or its owner is gone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.stopped import Stopped, at, waiting
from tests.contract.test_hostdev import nic as vf_nic
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_rebind_pf import has, rebind, second
from tests.contract.test_rebind_pf import house as house
from tests.contract.world import World
from virtnetplug import interruption, xml
from virtnetplug.adapters.sqlite import locks
from virtnetplug.errors import (
    HypervisorFailed,
    Interrupted,
    NicPending,
    NotApplied,
    OperationTaken,
    PlaceReserved,
    RollbackIncomplete,
    VirtnetplugError,
)
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import NetworkPort
from virtnetplug.model.operation import Half, Result, Scope

pytestmark = pytest.mark.timeout(60)


def _process(world: World) -> Plugger:
    return Plugger(world.reopen(), lambda: None)


def _models(world: World, half: Half = Half.LIVE) -> list[tuple[str | None, str | None]]:
    return [(net.alias, net.model) for net in xml.devices(world.definition(half)).nets]


def _cycle(world: World) -> None:
    """The guest is started anew, and lets go of what it is asked for."""
    world.guest.restart()
    world.guest.resume()


def _half_gone(world: World, nics: list[str], first: str, scope: Scope) -> None:
    """A detach of two NICs is pending: the guest has let go of `first` alone."""
    names = [xml.interface(nic).alias or "" for nic in nics]
    world.plugger.attach(world.name, nics, scope=scope)
    world.guest.hold()
    world.later(1.0, lambda: world.guest.let_go(first))
    assert world.plugger.detach(world.name, names, scope=scope, wait=5).result is Result.PENDING


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
def test_a_nic_that_left_and_came_again_is_not_detached_a_second_time(fake: World, scope: Scope) -> None:
    _half_gone(fake, [fake.bridge_nic(1), fake.bridge_nic(2)], "ua-nic1", scope)
    assert fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=scope).result is Result.DONE
    fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=30)] == [Result.DONE]
    assert _models(fake) == [("ua-nic1", "virtio")]
    assert _models(fake, Half.CONFIG) == ([("ua-nic1", "virtio")] if scope is Scope.BOTH else [])
    assert [nic.alias for nic in fake.host.journal.nics()] == ["ua-nic1"]


@pytest.mark.parametrize("is_recovering", [False, True])
def test_nor_in_a_run_that_has_it_of_its_new_definition(fake: World, is_recovering: bool) -> None:
    _half_gone(fake, [fake.bridge_nic(1), fake.bridge_nic(2)], "ua-nic1", Scope.BOTH)
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    if is_recovering:
        fake.later(1.0, lambda: _cycle(fake))
    else:
        _cycle(fake)
    assert [each.result for each in fake.plugger.recover(wait=30)] == [Result.DONE]
    assert _models(fake) == _models(fake, Half.CONFIG) == [("ua-nic1", "virtio")]
    assert [nic.alias for nic in fake.host.journal.nics()] == ["ua-nic1"]


def test_nor_in_one_that_has_it_of_another_hand(fake: World) -> None:
    """Asked for and taken out of the definition, and defined anew while the guest was off."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.guest.hold()
    assert fake.plugger.detach(fake.name, "ua-nic1", scope=Scope.BOTH, wait=1).result is Result.PENDING
    fake.guest.destroy()
    fake.guest.attach(fake.bridge_nic(1), Half.CONFIG)
    fake.guest.start()
    fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=30)] == [Result.DONE]
    assert _models(fake) == _models(fake, Half.CONFIG) == [("ua-nic1", "virtio")]


@pytest.mark.parametrize("is_over", [False, True])
def test_a_run_that_was_asked_later_and_holds_on_is_waited_for(fake: World, is_over: bool) -> None:
    """It was started while the first one was waited for; only the journal knows that it was asked, too."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.guest.hold()
    fake.later(1.0, lambda: (fake.guest.destroy(), fake.guest.start()))
    assert fake.plugger.detach(fake.name, "ua-nic1", scope=Scope.BOTH, wait=9).result is Result.PENDING
    assert [each.result for each in fake.plugger.recover()] == [Result.PENDING]
    if is_over:
        _cycle(fake)
    else:
        fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=9)] == [Result.DONE]
    assert _models(fake) == _models(fake, Half.CONFIG) == []


def test_nor_is_a_detach_called_undone_while_it_may_let_go(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.guest.hold()
    fake.later(1.0, lambda: (fake.guest.destroy(), fake.guest.start()))
    detach = fake.guest.detach

    def of_the_guest_alone(alias: str, half: Half) -> None:
        if half is Half.CONFIG:
            raise HypervisorFailed("not out of the definition")
        detach(alias, half)

    with monkeypatch.context() as broken:
        broken.setattr(fake.guest, "detach", of_the_guest_alone)
        with pytest.raises(RollbackIncomplete, match="it was asked to let go, and still may"):
            fake.plugger.detach(fake.name, "ua-nic1", scope=Scope.BOTH, wait=9)
    fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=9)] == [Result.UNDONE]
    assert _models(fake) == _models(fake, Half.CONFIG) == [("ua-nic1", "virtio")]


def test_no_run_is_asked_but_the_one_that_was_looked_at(pool: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The persistent half would be asked for once its transient half has left with its run."""
    slow = pool.bridge_nic(1, alias="ua-e", extra="<teaming type='persistent'/>")
    fast = vf_nic(1, extra="<teaming type='transient' persistent='ua-e'/>")
    pool.plugger.attach(pool.name, [slow, fast], scope=Scope.LIVE)
    pool.guest.hold()
    pool.later(1.0, lambda: (pool.guest.destroy(), pool.guest.attach(slow, Half.CONFIG), pool.guest.start()))
    asked: list[str] = []
    detach = pool.guest.detach
    monkeypatch.setattr(pool.guest, "detach", lambda alias, half: (asked.append(alias), detach(alias, half)))
    assert pool.plugger.detach(pool.name, ["ua-e", "ua-vf1"], scope=Scope.LIVE, wait=9).result is Result.DONE
    pool.guest.resume()
    assert (asked, [alias for alias, _ in _models(pool)]) == (["ua-vf1"], ["ua-e"])


def test_an_attach_of_two_is_of_one_run(fake: World) -> None:
    nics = [fake.bridge_nic(1), fake.bridge_nic(2)]
    act = Stopped(fake, lambda p: p.attach(fake.name, nics), at("attach", number=2))
    _cycle(fake)
    assert isinstance(act.go_on(), NotApplied)
    assert _models(fake) == [] and fake.plugger.audit().findings == ()


@pytest.mark.parametrize("call", ["attach", "replace", "rebind-vf", "handover"])
def test_a_run_that_begins_while_a_vf_is_prepared_or_given_back_gets_no_nic(pool: World, call: str) -> None:
    """It is of no definition; an attach of two is of both or of none."""
    nic, other = vf_nic(5), pool.bridge_nic(1)
    if call != "attach":
        pool.plugger.attach(pool.name, [other if call == "handover" else nic])
    acts: dict[str, Callable[[Plugger], Any]] = {
        "attach": lambda p: p.attach(pool.name, [other, nic]),
        "replace": lambda p: p.update(pool.name, "ua-vf5", {"boot_order": 1}, replace=True, wait=5),
        "rebind-vf": lambda p: p.rebind_vf(pool.name, "ua-vf5", wait=5),
        "handover": lambda p: p.handover(pool.name, "ua-nic1", nic, wait=5),
    }
    is_new = call in ("attach", "handover")
    act = Stopped(pool, acts[call], at("networks.create_port" if is_new else "networks.delete_port"))
    pool.guest.destroy()
    pool.guest.start()
    assert isinstance(act.go_on(), VirtnetplugError)
    assert _models(pool) == _models(pool, Half.CONFIG) == []
    assert pool.plugger.recover(wait=5) == () and pool.host.journal.holdings() == []
    assert {each.kind for each in pool.plugger.audit().findings} == set()


@pytest.mark.parametrize("name", ["handback", "replace"])
def test_an_exchange_is_of_one_run(pool: World, name: str) -> None:
    """The guest is started anew once its NIC has come, with what the definition had until then."""
    pool.plugger.attach(pool.name, [pool.bridge_nic(1)], scope=Scope.BOTH)
    if name == "handback":
        pool.plugger.handover(pool.name, "ua-nic1", vf_nic(5), scope=Scope.BOTH)
    before = _models(pool, Half.CONFIG)
    acts: dict[str, Callable[[Plugger], Any]] = {
        "handback": lambda p: p.handback(pool.name, "ua-nic1", wait=5),
        "replace": lambda p: p.update(pool.name, "ua-nic1", {"model": "e1000"}, replace=True, scope=Scope.BOTH, wait=5),
    }
    act = Stopped(pool, acts[name], at("update"))
    _cycle(pool)
    error = act.go_on()
    assert isinstance(error, NotApplied) and error.reason == "guest-ended"
    assert _models(pool) == _models(pool, Half.CONFIG) == before
    assert pool.plugger.recover(wait=5) == () and pool.host.journal.holdings() == []
    assert {each.kind for each in pool.plugger.audit().findings} <= {"nic-gone"}


@pytest.mark.parametrize("kind", ["bridge", "vf", "teaming"])
@pytest.mark.parametrize("is_alive", [True, False])
def test_a_nic_that_left_is_asked_for_in_the_run_that_its_definition_made(
    pool: World, kind: str, is_alive: bool
) -> None:
    """The other one is waited for when the guest is started anew, and has both again."""
    team = ("<teaming type='persistent'/>", "<teaming type='transient' persistent='ua-nic2'/>")
    slow, fast = team if kind == "teaming" else ("", "")
    first = pool.bridge_nic(1, alias="ua-vf1") if kind == "bridge" else vf_nic(1, extra=fast)
    second = pool.bridge_nic(1 if kind == "teaming" else 2, alias="ua-nic2", extra=slow)
    pool.plugger.attach(pool.name, [first, second], scope=Scope.BOTH)
    pool.guest.hold()
    pool.later(1.0, lambda: pool.guest.let_go("ua-vf1"))
    names = ["ua-vf1", "ua-nic2"]
    if is_alive:
        pool.later(10.0, lambda: _cycle(pool))
        assert pool.plugger.detach(pool.name, names, scope=Scope.BOTH, wait=30).result is Result.DONE
    else:  # before the first is taken out of the definition
        die(pool, lambda p: p.detach(pool.name, names, scope=Scope.BOTH, wait=5), "detach", number=3)
        _cycle(pool)
        assert [each.result for each in pool.plugger.recover(wait=30)] == [Result.DONE]
    assert _models(pool) == _models(pool, Half.CONFIG) == [] and pool.host.journal.nics() == []
    assert pool.host.journal.holdings() == [] and pool.plugger.audit().findings == ()


def test_the_vf_of_a_nic_that_came_again_is_not_given_back(pool: World) -> None:
    _half_gone(pool, [vf_nic(1), vf_nic(2)], "ua-vf1", Scope.LIVE)
    pool.plugger.attach(pool.name, [vf_nic(7).replace("ua-vf7", "ua-vf1")])
    pool.guest.resume()
    assert [each.result for each in pool.plugger.recover(wait=30)] == [Result.DONE]
    assert [(one.alias, one.quarantine) for one in pool.host.journal.holdings()] == [("ua-vf1", "")]


@pytest.mark.parametrize(
    ("names", "scope"),
    [(["ua-nic1", "ua-nic2"], Scope.LIVE), (["ua-nic1"], Scope.BOTH), (["ua-nic1"], Scope.CONFIG)],
)
def test_a_detach_of_more_than_an_open_one_takes_out_is_refused(fake: World, names: list[str], scope: Scope) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], scope=Scope.BOTH)
    fake.guest.hold()
    Stopped(fake, lambda p: p.detach(fake.name, "ua-nic1", scope=Scope.LIVE), waiting(fake)).die()
    with pytest.raises(NicPending):
        fake.plugger.detach(fake.name, names, scope=scope)


def test_a_nic_of_another_hand_that_has_the_alias_can_be_detached(fake: World) -> None:
    """As ``place-taken`` says."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    act = Stopped(fake, lambda p: p.update(fake.name, "ua-nic1", {"mtu": 1400}, replace=True), waiting(fake))
    fake.guest.resume()
    fake.guest.attach(fake.bridge_nic(9, alias="ua-nic1"), Half.LIVE)
    assert act.go_on().reason == "place-taken"
    assert fake.plugger.detach(fake.name, "52:54:00:00:00:09").result is Result.DONE
    assert [each.result for each in fake.plugger.recover()] == [Result.DONE]


def test_nothing_is_done_by_a_call_whose_operation_was_taken_over(pool: World) -> None:
    """Its owner file was removed, so it counted as dead."""
    pool.plugger.attach(pool.name, [vf_nic(1)])
    pool.guest.hold()
    act = Stopped(pool, lambda p: p.detach(pool.name, "ua-vf1"), waiting(pool))
    for path in (pool.state_dir / "owners").iterdir():
        path.unlink()
    pool.guest.resume()
    assert [each.result for each in _process(pool).recover(wait=5)] == [Result.DONE]
    _process(pool).attach(pool.name, [vf_nic(7).replace("ua-vf7", "ua-vf1")])
    assert isinstance(act.go_on(), OperationTaken)
    assert [one.quarantine for one in pool.host.journal.holdings()] == [""]


def test_a_reserved_place_is_kept_though_its_nic_is_still_there(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    act = Stopped(fake, lambda p: p.update(fake.name, "ua-nic1", {"mtu": 1400}, replace=True), waiting(fake))
    other = Stopped(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(2)]), at("attach"))
    fake.guest.resume()
    assert other.go_on().result is Result.DONE and act.go_on().result is Result.DONE


@pytest.mark.parametrize("is_named", [False, True])
def test_the_place_of_a_nic_that_a_pf_took_out_is_kept(house: World, is_named: bool) -> None:
    old = next(net for net in xml.devices(house.definition(Half.LIVE)).nets if net.alias == "ua-vf1")
    second(house).hold()
    act = Stopped(house, lambda p: rebind(house, p, reload_driver=True, wait=30), lambda name: name == "wait")
    if is_named:
        with pytest.raises(PlaceReserved):
            _process(house).attach(house.name, [xml.edit(house.bridge_nic(8), {"address": old.address})])
    else:
        _process(house).attach(house.name, [house.bridge_nic(8)])
    second(house).resume()
    assert act.go_on().result is Result.DONE
    assert has(house) == {"fake/ua-vf1": 0, "second/ua-vf2": 1}


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
def test_a_detach_of_both_is_done_when_the_run_that_came_meanwhile_has_let_go(fake: World, scope: Scope) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.guest.hold()
    act = Stopped(fake, lambda p: p.detach(fake.name, "ua-nic1", scope=scope), waiting(fake))
    fake.guest.restart()
    outcome = act.go_on()
    assert outcome.result is (Result.DONE if scope is Scope.LIVE else Result.PENDING)
    assert [nic.alias for nic in outcome.nics] == ["ua-nic1"]
    fake.guest.resume()
    fake.plugger.recover(wait=5)
    assert len(_models(fake)) == (1 if scope is Scope.LIVE else 0)


@pytest.mark.parametrize("wait", [0.1, 30])
def test_a_nic_of_the_running_guest_alone_does_not_come_into_another_run(fake: World, wait: float) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    replace: Any = lambda p: p.update(fake.name, "ua-nic1", {"mtu": 1400}, replace=True, wait=wait)  # noqa: E731
    act = Stopped(fake, replace, waiting(fake)) if wait > 1 else replace(fake.plugger)
    fake.guest.restart()
    if wait > 1:
        assert isinstance(act.go_on(), VirtnetplugError)
    else:
        assert [each.result for each in fake.plugger.recover(wait=5)] == [Result.UNDONE]
    assert _models(fake) == [] and fake.host.journal.open_operations() == []


@pytest.mark.parametrize("holds", [False, True])
def test_an_attach_that_died_is_undone_in_the_run_that_its_definition_made(fake: World, holds: bool) -> None:
    attach: Any = lambda p: p.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)  # noqa: E731
    die(fake, attach, "attach", after=True, number=2)
    fake.guest.restart()
    if holds:
        fake.guest.hold()
        assert [[each.result for each in fake.plugger.recover(wait=1)] for _ in range(2)] == [[Result.PENDING]] * 2
        fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=5)] == [Result.UNDONE]
    assert _models(fake) == _models(fake, Half.CONFIG) == []


@pytest.mark.parametrize("call", ["handover", "replace"])
def test_an_exchange_that_died_is_undone_in_the_run_that_its_definition_made(fake: World, call: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    if call == "replace":
        change = {"model": "e1000"}
        act: Any = lambda p: p.update(fake.name, "ua-nic1", change, scope=Scope.BOTH, replace=True)  # noqa: E731
        die(fake, act, "update", after=True)
    else:
        act = lambda p: p.handover(fake.name, "ua-nic1", fake.network_nic(2), scope=Scope.BOTH)  # noqa: E731
        die(fake, act, "update", after=True, number=2)
    fake.guest.restart()
    assert [each.result for each in fake.plugger.recover(wait=5)] == [Result.UNDONE]
    assert _models(fake) == _models(fake, Half.CONFIG) == [("ua-nic1", "virtio")]


@pytest.mark.parametrize("name", ["replace", "handover"])
def test_a_plan_says_what_the_recovery_of_an_ended_run_does(fake: World, name: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.guest.hold()
    if name == "replace":
        fake.plugger.update(fake.name, "ua-nic1", {"mtu": 1400}, replace=True, scope=Scope.BOTH, wait=0.1)
    else:
        fake.plugger.handover(fake.name, "ua-nic1", fake.network_nic(2), scope=Scope.BOTH, wait=0.1)
    assert "would be finished" in str(fake.plugger.plan_recover())
    _cycle(fake)
    assert "would be undone" in str(fake.plugger.plan_recover())
    assert [each.result for each in fake.plugger.recover(wait=5)] == [Result.UNDONE]


def test_a_port_does_not_outlive_its_domain(fake: World) -> None:
    """libvirtd died inside the attach, with the port made."""
    die(fake, lambda p: p.attach(fake.name, [fake.network_nic(1)]), "attach")
    hypervisor: Any = fake.host.hypervisor
    port = NetworkPort(uuid="p", network="default", owner_uuid=fake.guest.uuid, mac=Mac("52:54:00:00:00:01"))
    hypervisor.net_ports["p"] = port
    fake.guest.destroy()
    del hypervisor.all[fake.name]
    (outcome,) = fake.plugger.recover()
    assert (outcome.result, outcome.reason, fake.ports()) == (Result.LEFT, "domain-missing", 0)


def test_ctrl_c_in_the_wait_for_another_calls_detach_leaves_it_pending(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    first = Stopped(fake, lambda p: p.detach(fake.name, "ua-nic1", wait=30), waiting(fake))
    fake.later(3.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    with interruption.listening(), pytest.raises(Interrupted, match="waits for the guest to let go") as caught:
        fake.plugger.detach(fake.name, "ua-nic1", wait=600)
    assert caught.value.exit_code == 130 and "touched" not in caught.value.message
    fake.guest.resume()
    assert first.go_on().result is Result.DONE


def test_policies_do_nothing_more_once_the_lock_is_not_to_be_had(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "time", fake.host.clock, raising=False)
    for number in (1, 2):
        fake.plugger.attach(fake.name, [fake.bridge_nic(number)])
        fake.plugger.attach(fake.name, [fake.network_nic(number + 4)], twin_of=f"ua-nic{number}")
    fake.guest.hold()
    lock, asked, detach = fake.reopen().journal.lock(fake.host.hypervisor.key, fake.guest.uuid), [], fake.guest.detach
    fake.later(1.0, lock.__enter__)
    monkeypatch.setattr(fake.guest, "detach", lambda alias, half: (asked.append(alias), detach(alias, half)))
    outcome = fake.plugger.set_policy(fake.name, force_unplug="NICS", wait=6)
    lock.__exit__(None, None, None)
    assert asked == ["ua-nic1"] and [each.result for each in outcome.enforced] == [Result.PENDING]


PERSISTENT: dict[str, Callable[[World, Plugger], object]] = {
    "detach": lambda w, p: p.detach(w.name, "ua-nic1", scope=Scope.BOTH, wait=20),
    "replace": lambda w, p: p.update(w.name, "ua-nic1", {"model": "e1000"}, scope=Scope.BOTH, replace=True, wait=20),
    "handover": lambda w, p: p.handover(w.name, "ua-nic1", w.bridge_nic(2), scope=Scope.BOTH, wait=20),
    "handback": lambda w, p: p.handback(w.name, "ua-nic1", scope=Scope.BOTH, wait=20),
}


@pytest.mark.parametrize("name", PERSISTENT)
def test_a_domain_that_is_undefined_meanwhile_leaves_nothing_open(fake: World, name: str) -> None:
    """The guest runs on and has a NIC; there is no definition any more."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    if name == "handback":
        fake.plugger.handover(fake.name, "ua-nic1", fake.bridge_nic(2), scope=Scope.BOTH)
    before = [net.alias for net in xml.devices(fake.definition(Half.LIVE)).nets]
    fake.guest.hold()
    act = Stopped(fake, lambda p: PERSISTENT[name](fake, p), waiting(fake))
    fake.guest._config = None  # type: ignore[attr-defined]
    fake.guest.resume()
    outcome = act.go_on()
    if isinstance(outcome, VirtnetplugError):
        assert outcome.exit_code == 4, outcome
        assert [net.alias for net in xml.devices(fake.definition(Half.LIVE)).nets] == before
    assert list(fake.host.journal.open_operations()) == []


def test_a_guest_that_is_started_anew_before_the_attach_does_not_keep_a_nic_that_is_undone(fake: World) -> None:
    """The attach finds the run that is there; the definition then cannot be written."""
    attach = fake.guest.attach

    def after_a_start(element: str, half: Half) -> None:
        if half is Half.CONFIG:
            raise HypervisorFailed("not in the definition")
        fake.guest.destroy()
        fake.guest.start()
        attach(element, half)

    fake.guest.attach = after_a_start  # type: ignore[method-assign]
    with pytest.raises(HypervisorFailed):
        fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    assert _models(fake) == [] and list(fake.host.journal.open_operations()) == []


@pytest.mark.parametrize("name", ["attach", "replace"])
def test_what_the_definition_gives_to_a_run_is_not_taken_out_by_an_undo(fake: World, name: str) -> None:
    """The guest is started anew just before the attach: its NIC is the one of the definition."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.CONFIG)
    if name == "replace":
        fake.guest.destroy()
        fake.guest.start()
    attach = fake.guest.attach

    def after_a_start(element: str, half: Half) -> None:
        fake.guest.attach = attach  # type: ignore[method-assign]
        fake.guest.destroy()
        fake.guest.start()
        attach(element, half)

    fake.guest.attach = after_a_start  # type: ignore[method-assign]
    acts = {
        "attach": lambda: fake.plugger.attach(fake.name, [fake.bridge_nic(1)]),
        "replace": lambda: fake.plugger.update(fake.name, "ua-nic1", {"model": "e1000"}, replace=True),
    }
    with pytest.raises(HypervisorFailed):
        acts[name]()
    assert _models(fake) == [("ua-nic1", "virtio")] and list(fake.host.journal.open_operations()) == []
