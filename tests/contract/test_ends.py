"""How a run of the guest ends while an operation is under way, and what becomes of the operation: what is said, and what is so."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.test_hostdev import nic as vf_nic
from tests.contract.test_hostdev import pool as pool
from tests.contract.world import World
from tests.fakes.hypervisor import FakeHypervisor, Image
from virtnetplug import xml
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.errors import ForgetRefused, VirtnetplugError
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.metrics import exposition
from virtnetplug.model.operation import Half, OperationState, Outcome, Result, Scope
from virtnetplug.ports.domain import HowEnded

pytestmark = pytest.mark.timeout(60)

PENDING: dict[str, Callable[[World], Any]] = {
    "detach": lambda w: w.plugger.detach(w.name, ["ua-nic1"], scope=Scope.LIVE, wait=1),
    "detach-both": lambda w: w.plugger.detach(w.name, ["ua-nic1"], scope=Scope.BOTH, wait=1),
    "replace": lambda w: w.plugger.update(w.name, "ua-nic1", {"mtu": 1400}, replace=True, wait=1),
    "handover": lambda w: w.plugger.handover(w.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=1),
}
"""Each leaves an operation that waits for a guest which holds on."""

FINAL = ("shut_down", "destroy", "crash")


def _pending(world: World, kind: str) -> str:
    world.plugger.attach(world.name, [world.bridge_nic(1), world.bridge_nic(2)], scope=Scope.BOTH)
    world.guest.hold()
    outcome = PENDING[kind](world)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-holds-device")
    return str(outcome.operation_id)


def _recovered(world: World, **how: Any) -> Outcome:
    (outcome,) = world.plugger.recover(**how)
    return outcome


def _state(world: World, operation: str) -> OperationState:
    record = world.host.journal.operation(operation)
    assert record is not None
    return record.state


def _names(world: World, half: Half = Half.LIVE) -> list[str]:
    return sorted(str(net.alias) for net in xml.devices(world.definition(half)).nets)


def _is_clean(world: World) -> bool:
    return world.plugger.audit().findings == () and world.host.journal.open_operations() == []


@pytest.mark.parametrize("kind", PENDING)
@pytest.mark.parametrize("end", FINAL)
def test_a_guest_that_is_no_more_has_ended_what_was_asked(fake: World, kind: str, end: str) -> None:
    operation = _pending(fake, kind)
    getattr(fake.guest, end)()
    outcome = _recovered(fake)
    if kind.startswith("detach"):
        assert (outcome.result, outcome.reason) == (Result.DONE, "guest-ended")
        assert ("ua-nic1" in _names(fake, Half.CONFIG)) == (kind == "detach")
    else:
        assert outcome.result is Result.UNDONE and _names(fake, Half.CONFIG) == ["ua-nic1", "ua-nic2"]
    assert _state(fake, operation) in (OperationState.DONE, OperationState.UNDONE) and _is_clean(fake)


@pytest.mark.parametrize("kind", PENDING)
@pytest.mark.parametrize("is_restarted", [False, True], ids=["", "libvirtd-restarted"])
def test_a_managed_save_ends_nothing(fake: World, kind: str, is_restarted: bool) -> None:
    operation = _pending(fake, kind)
    fake.guest.managed_save()
    if is_restarted:
        _hypervisor(fake).restart_daemon()
    for _ in range(2):
        outcome = _recovered(fake)
        assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-saved")
    fake.guest.start()
    assert _recovered(fake).reason == "guest-holds-device", "it is the same guest"
    fake.guest.resume()
    assert _recovered(fake, wait=30).result is Result.DONE
    assert _state(fake, operation) is OperationState.DONE and not fake.carries().asked
    assert ("ua-nic1" in _names(fake)) == (kind == "replace") and _is_clean(fake)


def _hypervisor(world: World) -> FakeHypervisor:
    hypervisor = world.host.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    return hypervisor


def test_what_a_saved_guest_had_let_go_of_is_out(fake: World) -> None:
    _pending(fake, "detach")
    fake.guest.resume()
    fake.guest.managed_save()
    outcome = _recovered(fake)
    assert (outcome.result, outcome.reason) == (Result.DONE, "")


def test_an_image_that_was_seen_and_removed_has_ended_the_guest(fake: World) -> None:
    _pending(fake, "detach")
    fake.guest.managed_save()
    assert _recovered(fake).reason == "guest-saved"
    fake.guest.forget_image()
    assert _recovered(fake).reason == "guest-ended"


def test_a_definition_that_was_copied_from_the_guest_is_not_that_guest(fake: World) -> None:
    """``virsh dumpxml`` and ``virsh define``: the next boot carries what the guest was asked, and has not been asked."""
    _pending(fake, "detach")
    fake.guest.define_as_it_runs()
    fake.guest.restart()
    assert _recovered(fake).reason == "guest-ended" and "ua-nic1" in _names(fake)
    assert fake.plugger.recover(wait=5) == () and "ua-nic1" in _names(fake)


def test_an_image_of_a_later_run_is_not_that_guest(fake: World) -> None:
    _pending(fake, "detach-both")
    fake.guest.destroy()
    fake.guest.start()
    fake.guest.managed_save()
    assert _recovered(fake).reason == "end-unknown", "somebody may have removed what marked it"
    fake.guest.start()
    assert _recovered(fake).result is Result.DONE


@pytest.mark.parametrize("kind", PENDING)
def test_a_guest_saved_to_a_file_goes_on_when_it_is_restored(fake: World, kind: str) -> None:
    operation = _pending(fake, kind)
    image: Image = fake.guest.save()
    assert _recovered(fake).reason == "guest-saved"
    _hypervisor(fake).restart_daemon()
    outcome = _recovered(fake)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "end-unknown")
    fake.guest.restore(image)
    fake.guest.resume()
    assert _recovered(fake, wait=30).result is Result.DONE
    assert _state(fake, operation) is OperationState.DONE and _is_clean(fake)


@pytest.mark.parametrize("kind", PENDING)
def test_what_is_not_known_is_decided_by_the_next_run(fake: World, kind: str) -> None:
    """After a restart of the host libvirt's ids begin anew: the next run has the id of the one that was asked."""
    _pending(fake, kind)
    before = fake.guest.state().id
    _hypervisor(fake).reboot()
    fake.host.journal.close()
    fake.host = fake.reopen()
    assert _recovered(fake).reason == "end-unknown"
    fake.guest.start()
    assert fake.guest.state().id == before
    outcome = _recovered(fake, wait=1)
    assert outcome.result is (Result.DONE if kind.startswith("detach") else Result.UNDONE)
    kept = ["ua-nic2"] if kind == "detach-both" else ["ua-nic1", "ua-nic2"]
    assert _names(fake) == _names(fake, Half.CONFIG) == kept and _is_clean(fake)


def test_what_is_not_known_can_be_forgotten(fake: World) -> None:
    operation = _pending(fake, "detach")
    with pytest.raises(ForgetRefused, match="can be settled"):
        fake.plugger.recover(forget=operation)
    image: Image = fake.guest.save()
    _hypervisor(fake).restart_daemon()
    assert _recovered(fake).reason == "end-unknown"
    for unknown in ("0" * 12, "x"):
        with pytest.raises(ForgetRefused, match=unknown):
            fake.plugger.recover(forget=unknown)
    outcome = _recovered(fake, forget=operation)
    assert (outcome.result, outcome.reason) == (Result.LEFT, "forgotten") and "Not known is" in outcome.message
    assert _state(fake, operation) is OperationState.LEFT
    with pytest.raises(ForgetRefused):
        fake.plugger.recover(forget=operation)
    fake.guest.restore(image)
    assert fake.plugger.recover(wait=1) == () and "ua-nic1" in _names(fake)


@pytest.mark.parametrize("kind", PENDING)
def test_a_guest_that_left_is_told_of_and_closes_the_operation(fake: World, kind: str) -> None:
    operation = _pending(fake, kind)
    fake.guest.stop(HowEnded.MIGRATED)
    outcome = _recovered(fake)
    assert (outcome.result, outcome.reason) == (Result.LEFT, "guest-migrated")
    assert _state(fake, operation) is OperationState.LEFT and _is_clean(fake)


@pytest.mark.parametrize("kind", PENDING)
@pytest.mark.parametrize(
    ("end", "reason"),
    [(HowEnded.SAVED, "guest-saved"), (HowEnded.MIGRATED, "guest-migrated"), (HowEnded.DESTROYED, "guest-ended")],
    ids=str,
)
def test_who_waits_is_told_how_the_run_ended(fake: World, kind: str, end: HowEnded, reason: str) -> None:
    """By the event: libvirtd forgets the reason at once."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], scope=Scope.BOTH)
    fake.guest.hold()
    fake.later(0.5, lambda: (fake.guest.stop(end), fake.guest.forget_end()))
    if kind.startswith("detach"):
        assert PENDING[kind](fake).reason == reason
        return
    with pytest.raises(VirtnetplugError) as raised:
        PENDING[kind](fake)
    assert raised.value.reason == reason
    assert raised.value.exit_code == (4 if end is HowEnded.DESTROYED else 75)


def test_an_undefined_domain_says_nothing_of_its_guest(fake: World) -> None:
    operation = _pending(fake, "detach-both")
    fake.guest.save()
    fake.guest.undefine()
    outcome = _recovered(fake)
    assert (outcome.result, outcome.reason) == (Result.LEFT, "domain-missing")
    assert _state(fake, operation) is OperationState.LEFT


@pytest.mark.parametrize("end", [*FINAL, "managed_save"])
def test_a_crashed_attach_in_a_guest_that_ended(fake: World, end: str) -> None:
    die(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(1)]), "attach", after=True)
    getattr(fake.guest, end)()
    if end in FINAL:
        assert _recovered(fake).result is Result.UNDONE and _is_clean(fake)
        return
    outcome = _recovered(fake)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-saved"), "the image has the NIC"
    fake.guest.start()
    assert _recovered(fake, wait=5).result is Result.UNDONE
    assert _names(fake) == [] and _is_clean(fake)


@pytest.mark.parametrize("end", [*FINAL, "save"])
def test_an_end_with_plugged_nics_is_no_disagreement(fake: World, end: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.plugger.attach(fake.name, [fake.bridge_nic(2)], scope=Scope.BOTH)
    getattr(fake.guest, end)()
    assert _is_clean(fake)
    fake.guest.start()
    assert _is_clean(fake)
    assert fake.plugger.recover() == ()
    assert [nic.alias for nic in fake.host.journal.nics()] == ["ua-nic2"], "what may write the journal has stored it"
    assert {nic.alias: nic.origin for nic in fake.plugger.list(fake.name)} == {"ua-nic2": "virtnetplug"}


def _shown(world: World) -> dict[str, tuple[str, str]]:
    """Alias to frontend and backend, as metrics have them."""
    lines = [line for line in exposition(world.host.journal).decode().splitlines() if "device_info{" in line]
    labels = [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in lines]
    return {one["alias"]: (one["frontend"], one["backend"]) for one in labels}


WRITERS: dict[str, Callable[[World], Any]] = {
    "recover": lambda w: w.plugger.recover(),
    "recover-domain": lambda w: w.plugger.recover(w.name),
    "operation": lambda w: w.plugger.attach(w.name, [w.bridge_nic(3)], scope=Scope.CONFIG),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("end", [*FINAL, "migrate"])
def test_metrics_lag_until_somebody_may_write(fake: World, end: str, writer: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.plugger.attach(fake.name, [fake.bridge_nic(2)], scope=Scope.BOTH)
    fake.guest.stop(HowEnded.MIGRATED) if end == "migrate" else getattr(fake.guest, end)()
    fake.plugger.list()
    assert _is_clean(fake) and set(_shown(fake)) == {"ua-nic1", "ua-nic2"}, "no read writes"
    WRITERS[writer](fake)
    assert _shown(fake) == {} and _origins(fake)["ua-nic2"] == "virtnetplug"
    fake.guest.start()
    fake.plugger.recover()
    assert _shown(fake)["ua-nic2"] == ("Unknown", "Connected") and _is_clean(fake)


@pytest.mark.parametrize("end", [HowEnded.SAVED, HowEnded.UNKNOWN])
def test_a_guest_that_may_come_back_keeps_its_nics_in_the_journal(fake: World, end: HowEnded) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    before = fake.host.journal.nics()
    fake.guest.stop(end)
    assert fake.plugger.recover() == () and fake.host.journal.nics() == before


def test_a_vf_goes_back_however_its_guest_ended(pool: World) -> None:
    pool.plugger.attach(pool.name, [vf_nic(1)])
    pool.guest.hold()
    pool.plugger.detach(pool.name, ["ua-vf1"], wait=1)
    pool.guest.stop(HowEnded.MIGRATED)
    outcome = _recovered(pool)
    assert (outcome.result, outcome.reason) == (Result.LEFT, "guest-migrated")
    assert pool.host.journal.holdings() == []


# -- whose a NIC is ---------------------------------------------------------------------------------------


def _origins(world: World) -> dict[str, str]:
    return {str(nic.alias): nic.origin for nic in world.plugger.list(world.name)}


def test_a_nic_of_ours_stays_ours(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(2)], scope=Scope.BOTH)
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.CONFIG)
    fake.plugger.detach(fake.name, ["ua-nic2"], scope=Scope.LIVE, wait=5)
    expected = {"ua-nic1": "virtnetplug", "ua-nic2": "virtnetplug"}
    assert _origins(fake) == expected
    fake.guest.restart()
    assert _origins(fake) == expected
    fake.guest.managed_save()
    fake.plugger.repair(fake.plugger.audit())
    fake.guest.start()
    assert _origins(fake) == expected


def test_another_nic_of_the_alias_is_not_ours(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    domain = fake.host.hypervisor.domain(fake.name)
    domain.detach("ua-nic1", Half.LIVE)
    domain.attach(fake.bridge_nic(7, alias="ua-nic1"), Half.LIVE)
    assert _origins(fake) == {"ua-nic1": "foreign"}


# -- a guest that arrives -----------------------------------------------------------------------------------


def _arrived(fake: World) -> Plugger:
    """For a host whose journal has never heard of the domain: its guest has come from elsewhere."""
    image: Image = fake.guest.save()
    _hypervisor(fake).boot += 1  # another host's
    fake.guest.restore(image, has_migrated=True)
    fake.host.journal.close()
    fake.host = dataclasses.replace(
        fake.host, journal=SqliteJournal.open(fake.state_dir / "other", clock=fake.host.clock)
    )
    return fake.plugger


@pytest.mark.parametrize("kind", PENDING)
def test_what_travels_is_gone_on_with(fake: World, kind: str) -> None:
    _pending(fake, kind)
    plugger = _arrived(fake)
    assert {nic.origin for nic in plugger.list(fake.name)} == {"virtnetplug"}
    assert sum(nic.pending is not None for nic in plugger.list(fake.name)) == 1
    assert _recovered(fake, wait=1).reason == "guest-holds-device"
    fake.guest.resume()
    assert _recovered(fake, wait=30).result is Result.DONE
    assert ("ua-nic1" in _names(fake)) == (not kind.startswith("detach"))
    assert not fake.carries().asked and _is_clean(fake)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text, uuid: text.replace('version="1"', 'version="2"'),
        lambda text, uuid: text.replace("/>", f' note="{"x" * 300_000}"/>', 1),
        lambda text, uuid: text.replace('scope="live"', 'scope="all"'),
        lambda text, uuid: text.replace(uuid, "0" * 8 + uuid[8:]),
        lambda text, uuid: text.replace("52:54:00:00:00:01", "52:54:00:00:00:77"),
    ],
    ids=["newer", "huge", "broken", "of another domain", "of a NIC that is not there"],
)
def test_what_travels_is_never_obeyed_beyond_its_guest(fake: World, spoil: Callable[[str, str], str]) -> None:
    _pending(fake, "detach")
    domain = fake.host.hypervisor.domain(fake.name)
    domain.set_travelling(spoil(domain.travelling() or "", domain.uuid))
    plugger = _arrived(fake)
    assert plugger.recover(wait=1) == () and _names(fake) == ["ua-nic1", "ua-nic2"]
    plugger.update(fake.name, "ua-nic2", {"link_state": "down"})
    assert plugger.list(fake.name) != () and plugger.audit().findings == ()


def test_two_journals_on_one_host_do_not_take_each_others_operations(fake: World) -> None:
    """The guest has come from nowhere: what it was asked is under way in the other journal."""
    _pending(fake, "detach")
    other = SqliteJournal.open(fake.state_dir / "other", clock=fake.host.clock)
    stranger = Plugger(dataclasses.replace(fake.host, journal=other), lambda: None)
    assert stranger.recover(wait=1) == () and other.open_operations() == []
    other.close()
    fake.guest.resume()
    assert _recovered(fake, wait=5).result is Result.DONE


# -- an administrator's hand between a crash and the recovery -------------------------------------------------


def _other_bridge(fake: World, number: int = 1) -> str:
    return fake.bridge_nic(number, bridge=fake.bridges[1])


def test_an_undo_leaves_a_nic_that_was_connected_to_something_else(fake: World) -> None:
    die(fake, lambda p: p.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH), "attach", after=True, number=2)
    domain = fake.host.hypervisor.domain(fake.name)
    for half in Half:
        domain.update(_other_bridge(fake), half)
    assert _recovered(fake).result is Result.UNDONE
    assert _names(fake) == _names(fake, Half.CONFIG) == ["ua-nic1"]
    assert all(fake.bridges[1] in fake.definition(half) for half in Half)


def _updated_and_dead(fake: World) -> Any:
    """A process has died once it had updated both halves of a NIC."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    change = {"link_state": "down"}
    die(fake, lambda p: p.update(fake.name, "ua-nic1", change, scope=Scope.BOTH), "update", after=True, number=2)
    return fake.host.hypervisor.domain(fake.name)


def test_an_undo_of_an_update_does_not_bring_back_what_was_removed(fake: World) -> None:
    domain = _updated_and_dead(fake)
    for half in Half:
        domain.detach("ua-nic1", half)
    outcome = _recovered(fake)
    assert outcome.result is Result.UNDONE and _names(fake) == _names(fake, Half.CONFIG) == []


def test_nor_connect_what_was_moved(fake: World) -> None:
    domain = _updated_and_dead(fake)
    for half in Half:
        domain.update(_other_bridge(fake), half)
    outcome = _recovered(fake)
    assert outcome.result is Result.UNDONE and len(outcome.warnings) == 2
    assert all(fake.bridges[1] in fake.definition(half) for half in Half)
