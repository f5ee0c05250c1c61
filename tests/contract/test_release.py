"""A guest lets go in its own time, and libvirt tells of it late: who waits, asks again or recovers must not take one thing for another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import fake_world
from tests.contract.deaths import die
from tests.contract.world import World
from tests.fakes.hypervisor import BLINKING
from virtnetplug import xml
from virtnetplug.errors import (
    ConnectionLost,
    EmulatorLost,
    GuestBusy,
    HypervisorFailed,
    RemovalFailed,
    VirtnetplugError,
)
from virtnetplug.model.operation import Half, OperationState, Result, Scope
from virtnetplug.ports.domain import GuestEvent, GuestEventKind


@pytest.fixture
def express(tmp_path: Path) -> Iterator[World]:
    """A guest on a machine with native PCIe hot-plug."""
    for world in fake_world(tmp_path, machine="q35"):
        world.guest.blinks = True
        yield world


def _aliases(world: World, half: Half = Half.LIVE) -> list[str | None]:
    return [net.alias for net in xml.devices(world.definition(half)).nets]


# -- asked twice ----------------------------------------------------------------------------------


def test_a_second_press_of_the_button_would_end_the_first(express: World) -> None:
    express.plugger.attach(express.name, [express.bridge_nic(1)])
    first = express.plugger.detach(express.name, "ua-nic1", wait=1)
    second = express.plugger.detach(express.name, "ua-nic1", wait=BLINKING + 1)
    assert (first.result, second.result, _aliases(express)) == (Result.PENDING, Result.DONE, [])


def test_recover_leaves_a_guest_alone_that_was_just_asked(express: World) -> None:
    express.plugger.attach(express.name, [express.bridge_nic(1)])
    before = express.snapshot()
    express.plugger.detach(express.name, "ua-nic1", wait=1)
    (outcome,) = express.plugger.recover(wait=BLINKING + 1)
    assert (outcome.result, _aliases(express)) == (Result.DONE, [])
    assert express.snapshot() == {**before, "live": express.definition(Half.LIVE), "nics": [], "taps": express.taps()}


def test_an_undo_leaves_a_guest_alone_that_was_just_asked(express: World) -> None:
    """A replacement dies once the guest was asked: the old NIC is out, and in again."""
    express.plugger.attach(express.name, [express.bridge_nic(1)])
    before = express.snapshot()
    die(express, lambda p: p.update(express.name, "ua-nic1", {"mtu": 1400}, replace=True), "detach", after=True)
    (outcome,) = express.plugger.recover(wait=BLINKING + 1)
    assert outcome.result is Result.UNDONE
    assert express.snapshot() == before


def test_a_guest_that_forgot_is_asked_again_after_that(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    fake.plugger.detach(fake.name, "ua-nic1", wait=1)
    fake.guest._leaving.clear()
    fake.guest.holds = False
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=10).result is Result.DONE


def test_a_slot_that_is_busy_is_asked_again(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.busy_until = fake.host.clock.monotonic() + 3
    with pytest.raises(GuestBusy):
        fake.plugger.detach(fake.name, "ua-nic1", wait=1)
    assert _aliases(fake) == ["ua-nic1"]
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=10).result is Result.DONE


# -- what libvirt has still in its queue ---------------------------------------------------------------


def test_an_event_in_the_queue_does_not_strike_the_next_of_that_alias(fake: World) -> None:
    """Asked for what QEMU has removed, libvirt forgets it at once: the event about it is still to come."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    fake.guest.behind = True
    seen: list[Any] = []

    def forget() -> None:
        fake.guest.resume()
        seen.append(_aliases(fake))  # QEMU has removed it, and libvirt has not looked at that yet
        fake.guest.detach("ua-nic1", Half.LIVE)  # as another client would
        seen.append(_aliases(fake))

    fake.later(1.0, forget)
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=10).result is Result.DONE
    assert seen == [["ua-nic1"], []]
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    assert _aliases(fake) == ["ua-nic1"]


@pytest.mark.parametrize("how", ["says no", "cannot be asked", "is busy"])
def test_nor_does_it_strike_a_nic_that_is_put_back(fake: World, how: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)])
    before = fake.snapshot()
    domain, asked = fake.guest, fake.guest.detach

    def refuse_second(alias: str, half: Half) -> None:
        if alias == "ua-nic2" and how == "cannot be asked":
            raise HypervisorFailed("not this one")
        if alias == "ua-nic2" and how == "is busy":
            raise GuestBusy("its slot is busy")
        domain.refuses, domain.behind = alias == "ua-nic2", alias == "ua-nic1"
        asked(alias, half)
        if alias == "ua-nic1":
            asked(alias, half)  # as another client would, which makes libvirt forget it

    domain.detach = refuse_second
    with pytest.raises(RemovalFailed if how == "says no" else HypervisorFailed):
        fake.plugger.detach(fake.name, ["ua-nic1", "ua-nic2"], wait=0.2)
    domain.detach = asked
    assert sorted(_aliases(fake), key=str) == ["ua-nic1", "ua-nic2"]
    assert {**fake.snapshot(), "live": 0} == {**before, "live": 0}


def test_a_replacement_is_not_struck_by_the_event_of_the_nic_it_replaced(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    domain, asked = fake.guest, fake.guest.detach

    def twice(alias: str, half: Half) -> None:
        domain.behind = True
        asked(alias, half)
        asked(alias, half)

    domain.detach = twice
    assert fake.plugger.update(fake.name, "ua-nic1", {"mtu": 1400}, replace=True).result is Result.DONE
    assert _aliases(fake) == ["ua-nic1"]


# -- a dead client's call ---------------------------------------------------------------------------------


def test_recover_waits_for_the_attach_of_a_dead_client(fake: World) -> None:
    """The client is dead, and its call is not: the NIC comes a moment after the death."""
    before = fake.snapshot()
    die(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(1)]), "attach")
    fake.guest.go_on(lambda: fake.guest.attach(fake.bridge_nic(1), Half.LIVE))
    (outcome,) = fake.plugger.recover(wait=5)
    assert outcome.result is Result.UNDONE
    fake.host.clock.sleep(5)  # type: ignore[attr-defined]
    assert fake.snapshot() == before


def test_recover_waits_for_the_change_of_a_dead_client(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    before = fake.snapshot()
    die(fake, lambda p: p.update(fake.name, "ua-nic1", {"link_state": "down"}), "update")
    after = xml.edit(xml.devices(fake.definition(Half.LIVE)).nets[0].element, {"link_state": "down"})
    fake.guest.go_on(lambda: fake.guest.update(after, Half.LIVE))
    (outcome,) = fake.plugger.recover()
    fake.host.clock.sleep(5)  # type: ignore[attr-defined]
    assert outcome.result is Result.UNDONE
    assert fake.snapshot() == before


def test_an_undo_waits_for_the_call_that_it_undoes(fake: World) -> None:
    """libvirt says that the attach failed, and goes on with it."""
    before = fake.snapshot()
    attach = fake.guest.attach

    def fail(element: str, half: Half) -> None:
        fake.guest.go_on(lambda: attach(element, half))
        raise HypervisorFailed("Timed out during operation: cannot acquire state change lock")

    fake.guest.attach = fail
    with pytest.raises(HypervisorFailed):
        fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.host.clock.sleep(5)  # type: ignore[attr-defined]
    assert fake.snapshot() == before


# -- whose event, and of which run ---------------------------------------------------------------------------


def test_a_refusal_of_another_nic_is_not_this_ones(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)])
    fake.guest.hold()
    fake.later(0.5, lambda: fake.guest._tell(GuestEvent(GuestEventKind.REMOVAL_FAILED, "ua-nic2")))
    fake.later(1.0, fake.guest.resume)
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=10).result is Result.DONE
    assert _aliases(fake) == ["ua-nic2"]


def test_an_event_that_is_lost_is_no_reason_to_wait_for_the_deadline(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    fake.later(1.0, lambda: _go_unsaid(fake))
    outcome = fake.plugger.detach(fake.name, "ua-nic1", wait=60)
    assert outcome.result is Result.DONE and outcome.seconds < 10


def test_nor_does_an_undo_wait_for_the_deadline_then(fake: World) -> None:
    before, clock = fake.snapshot(), fake.host.clock
    die(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(1)]), "attach", after=True)
    fake.guest.hold()
    fake.later(1.0, lambda: _go_unsaid(fake))
    started = clock.monotonic()
    (outcome,) = fake.plugger.recover(wait=60)
    assert outcome.result is Result.UNDONE and clock.monotonic() - started < 10
    assert fake.snapshot() == before


def _go_unsaid(world: World) -> None:
    """The guest lets go, and the event that says so is lost."""
    world.guest._watches, watches = [], world.guest._watches
    world.guest.resume()
    world.guest._watches = watches


def test_a_connection_that_breaks_while_the_guest_is_waited_for(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    fake.later(0.5, lambda: fake.guest._tell(GuestEvent(GuestEventKind.LOST)))
    with pytest.raises(ConnectionLost, match="recover"):
        fake.plugger.detach(fake.name, "ua-nic1", wait=10)
    (record,) = fake.host.journal.open_operations(fake.host.hypervisor.key)
    assert record.state is OperationState.INCOMPLETE
    fake.guest.resume()
    (outcome,) = fake.plugger.recover(wait=10)
    assert (outcome.result, _aliases(fake)) == (Result.DONE, [])


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
def test_another_run_of_the_domain_was_not_asked(fake: World, scope: Scope) -> None:
    """It has a NIC of that alias, from its definition; the one that was asked for is gone with its run."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.guest.hold()
    assert fake.plugger.detach(fake.name, "ua-nic1", scope=scope, wait=1).result is Result.PENDING
    fake.guest.restart()
    fake.guest.resume()
    (outcome,) = fake.plugger.recover(wait=10)
    assert outcome.result is Result.DONE
    assert _aliases(fake) == (["ua-nic1"] if scope is Scope.LIVE else [])


def test_a_restart_while_the_guest_is_waited_for(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.guest.hold()
    fake.later(1.0, fake.guest.restart)
    outcome = fake.plugger.detach(fake.name, "ua-nic1", scope=Scope.LIVE, wait=10)
    assert outcome.result is Result.DONE and outcome.seconds < 5
    assert _aliases(fake) == ["ua-nic1"], "the one of the new run was never asked for"


@pytest.mark.parametrize("how", ["destroy", "restart"])
def test_a_replacement_does_not_go_on_in_another_run(fake: World, how: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.guest.hold()
    fake.later(1.0, getattr(fake.guest, how))
    with pytest.raises(VirtnetplugError, match="before ua-nic1 could be replaced"):
        fake.plugger.update(fake.name, "ua-nic1", {"mtu": 1400}, scope=Scope.LIVE, replace=True, wait=10)
    if how == "restart":
        (net,) = xml.devices(fake.definition(Half.LIVE)).nets
        assert (net.alias, net.mtu) == ("ua-nic1", None)


@pytest.mark.parametrize("how", ["destroy", "restart"])
def test_nor_does_a_hand_over(fake: World, how: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    before = fake.snapshot()
    fake.guest.hold()
    fake.later(1.0, getattr(fake.guest, how))
    with pytest.raises(VirtnetplugError, match="before ua-nic1 could be exchanged"):
        fake.plugger.handover(fake.name, "ua-nic1", fake.network_nic(2), scope=Scope.BOTH, wait=10)
    fake.plugger.recover()
    assert fake.definition(Half.CONFIG).replace("<metadata/>", "") == before["config"]
    assert fake.host.journal.open_operations() == []
    if how == "restart":
        assert _aliases(fake) == ["ua-nic1"]


@pytest.mark.parametrize("seconds", [0.0, 2.0])
def test_a_guest_whose_qemu_dies_while_it_is_asked_has_let_go(fake: World, seconds: float) -> None:
    """Whoever destroys a domain kills QEMU first; libvirt ends the domain a moment later."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])

    def die(alias: str, half: Half) -> None:
        fake.later(seconds, fake.guest.destroy)
        raise EmulatorLost("Unable to read from monitor: Connection reset by peer")

    fake.guest.detach = die
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=5).result is Result.DONE


def test_a_guest_that_ends_while_it_cannot_be_asked_has_let_go(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])

    def end(alias: str, half: Half) -> None:
        fake.guest.destroy()
        raise HypervisorFailed("of another reason")

    fake.guest.detach = end
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=5).result is Result.DONE


def test_a_monitor_that_breaks_is_an_error_while_its_guest_runs_on(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])

    def fail(alias: str, half: Half) -> None:
        raise EmulatorLost("Unable to write to monitor")

    fake.guest.detach = fail
    with pytest.raises(EmulatorLost):
        fake.plugger.detach(fake.name, "ua-nic1", wait=5)
    assert _aliases(fake) == ["ua-nic1"] and fake.host.journal.open_operations() == []


# -- others meanwhile ----------------------------------------------------------------------------------------


def test_what_is_worked_on_is_not_recovered(fake: World) -> None:
    """Taken up again it is pending in the journal, and yet in hands; `recover` and its plan say whose."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=1).result is Result.PENDING
    found: list[Any] = []
    fake.later(1.0, lambda: found.extend(fake.plugger.recover()))
    fake.later(1.5, lambda: found.extend(each for plan in fake.plugger.plan_recover() for each in plan.refusals))
    fake.later(2.0, fake.guest.resume)
    outcome = fake.plugger.detach(fake.name, "ua-nic1", wait=20)
    assert ([each.reason for each in found], outcome.result) == (["operation-busy"] * 2, Result.DONE)
    assert all(f"process {os.getpid()}" in each.message and outcome.operation_id in each.message for each in found)


def test_another_nic_can_come_while_a_guest_is_waited_for(fake: World) -> None:
    """The domain's lock is not held meanwhile, and is again after it."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    found: list[Any] = []

    def come() -> None:
        found.append(_is_free(fake))
        if found[0]:
            fake.plugger.attach(fake.name, [fake.bridge_nic(2)])
        fake.guest.resume()

    fake.later(1.0, come)
    removed = fake.host.hypervisor.link  # type: ignore[attr-defined]

    def look(name: str) -> Any:
        found.append(_is_free(fake))
        return removed(name)

    fake.host.hypervisor.link = look  # type: ignore[attr-defined]
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=20).result is Result.DONE
    assert _aliases(fake) == ["ua-nic2"]
    assert found[0] is True and found[-1] is False


def _is_free(world: World) -> bool:
    """Whether nobody has the domain's lock."""
    import fcntl

    (path,) = (world.state_dir / "locks").iterdir()
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
