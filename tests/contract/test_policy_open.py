"""A forced unplug whose reason, the fast twin, leaves while the guest is waited for: the guest keeps one of the two."""

from __future__ import annotations

import dataclasses

import pytest

from tests.contract.faults import AtCall, faulty
from tests.contract.stopped import Stopped, waiting
from tests.contract.test_policy import nets
from tests.contract.world import World
from virtnetplug.errors import NicPending
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.operation import Half, Result, Scope

pytestmark = pytest.mark.timeout(60)


def _governed(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.set_policy(world.name, unplug=UnplugPolicy.PRESENT)
    world.guest.hold()


def _both(world: World) -> list[list[str | None]]:
    return [list(nets(world, half)) for half in (Half.LIVE, Half.CONFIG)]


def _pending(world: World) -> None:
    """The guest has been asked for the emulated NIC, and nobody waits."""
    _governed(world)
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1", scope=Scope.BOTH, wait=0.1)
    assert len(world.host.journal.open_operations()) == 1


@pytest.mark.parametrize("scope", [Scope.BOTH, Scope.LIVE])
@pytest.mark.parametrize("first", ["ua-nic1", "ua-nic2"])
def test_the_twin_is_detached_while_the_unplug_is_pending(fake: World, first: str, scope: Scope) -> None:
    _pending(fake)
    outcome = fake.plugger.detach(fake.name, "ua-nic2", scope=scope, wait=0.1)
    assert outcome.result is Result.PENDING
    assert any("has ua-nic1 again" in text for text in outcome.warnings)
    fake.guest.let_go(first)
    fake.plugger.recover()
    fake.guest.resume()
    fake.plugger.recover(wait=5)
    assert _both(fake) == [["ua-nic1"], ["ua-nic1" if scope is Scope.BOTH else "ua-nic2"]]
    assert fake.plugger.recover() == () and fake.plugger.audit().findings == ()


def test_the_twin_is_detached_beside_the_call_that_waits(fake: World) -> None:
    _governed(fake)
    fast = [fake.network_nic(2)]
    act = Stopped(
        fake,
        lambda p: p.attach(fake.name, fast, twin_of="ua-nic1", scope=Scope.BOTH, wait=30),
        waiting(fake),
    )
    fake.guest.resume()
    assert fake.plugger.detach(fake.name, "ua-nic2", scope=Scope.BOTH, wait=5).result is Result.DONE
    outcome = act.go_on()
    assert [each.result for each in outcome.enforced] == [Result.UNDONE]
    assert any("ua-nic2, which was to serve" in text for text in outcome.warnings)
    assert _both(fake) == [["ua-nic1"]] * 2 and not fake.host.journal.open_operations()


def test_another_hand_takes_the_twin(fake: World) -> None:
    _pending(fake)
    domain = fake.host.hypervisor.domain(fake.name)
    for half in (Half.LIVE, Half.CONFIG):
        domain.detach("ua-nic2", half)
    fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=5)] == [Result.UNDONE]
    assert _both(fake) == [["ua-nic1"]] * 2


def test_with_the_twin_there_it_goes(fake: World) -> None:
    _pending(fake)
    fake.guest.resume()
    assert [each.result for each in fake.plugger.recover(wait=5)] == [Result.DONE]
    assert _both(fake) == [["ua-nic2"]] * 2


def test_what_a_user_takes_out_beside_its_twin_stays_out(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.plugger.attach(fake.name, [fake.network_nic(2)], twin_of="ua-nic1")
    fake.guest.hold()
    fake.plugger.detach(fake.name, "ua-nic1", wait=0.1)
    with pytest.raises(NicPending, match="recover"):
        fake.plugger.handback(fake.name, "ua-nic1")
    outcome = fake.plugger.detach(fake.name, "ua-nic2", wait=0.1)
    assert any("no NIC in the place of ua-nic1, which is leaving" in text for text in outcome.warnings)
    fake.guest.resume()
    fake.plugger.recover(wait=5)
    assert list(nets(fake)) == []


def test_the_next_operation_that_undoes_it_says_undone(fake: World) -> None:
    _pending(fake)
    fake.guest.detach("ua-nic2", Half.LIVE)  # by another hand
    fake.guest.resume()
    said: list[str] = []
    host = dataclasses.replace(fake.host, publish=lambda event: said.append(event.text))
    Plugger(host, lambda: None).attach(fake.name, [fake.bridge_nic(3)])
    assert [text for text in said if "could not be settled" in text] == []
    assert any("was undone: ua-nic2, which was to serve" in text for text in said)
    assert sorted(map(str, nets(fake, Half.LIVE))) == ["ua-nic1", "ua-nic3"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_fails_in_its_recovery_puts_no_nic_in(fake: World, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Its twin is there, so it goes on with the next recovery."""
    _pending(fake)
    plugged: list[str] = []
    attach = fake.guest.attach
    monkeypatch.setattr(fake.guest, "attach", lambda element, half: (plugged.append(element), attach(element, half)))
    fake.guest.resume()
    trigger = AtCall("journal.commit", number, after=False, kind="fail")
    Plugger(faulty(fake.host, trigger), lambda: None).recover(wait=5)
    assert trigger.fired
    fake.plugger.recover(wait=5)
    assert (_both(fake), plugged) == ([["ua-nic2"]] * 2, [])


@pytest.mark.parametrize("is_alive", [True, False])
def test_a_run_that_was_not_asked_keeps_the_nic_whose_twin_has_left(
    fake: World, monkeypatch: pytest.MonkeyPatch, is_alive: bool
) -> None:
    """The guest that holds on is started anew, and has the emulated NIC of its definition."""
    _governed(fake)
    fast = [fake.network_nic(2)]
    act = Stopped(
        fake, lambda p: p.attach(fake.name, fast, twin_of="ua-nic1", scope=Scope.BOTH, wait=30), waiting(fake)
    )
    assert fake.plugger.detach(fake.name, "ua-nic2", scope=Scope.BOTH, wait=0.1).result is Result.PENDING
    if not is_alive:
        act.die()
    fake.guest.destroy()
    fake.guest.start()
    asked: list[Half] = []
    detach = fake.guest.detach
    monkeypatch.setattr(fake.guest, "detach", lambda alias, half: (asked.append(half), detach(alias, half)))
    fake.guest.resume()
    if is_alive:
        act.go_on()
    fake.plugger.recover(wait=5)
    fake.plugger.recover(wait=5)
    assert _both(fake) == [["ua-nic1"]] * 2 and Half.LIVE not in asked
    assert fake.plugger.recover() == () and list(fake.host.journal.open_operations()) == []
