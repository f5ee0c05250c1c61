"""How a run of the guest ends while an operation is under way, and what becomes of the operation: what is said, and what is so."""

from __future__ import annotations

import dataclasses
import itertools
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.test_hostdev import nic as vf_nic
from tests.contract.test_hostdev import pool as pool
from tests.contract.world import World
from tests.fakes.hypervisor import FakeHypervisor, Image
from virtnetplug import xml
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.errors import (
    DomainMissing,
    DomainNotRunning,
    ForgetRefused,
    HypervisorFailed,
    LeftPending,
    Refused,
    VirtnetplugError,
)
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.metrics import exposition
from virtnetplug.model.operation import Half, OperationState, Outcome, Result, Scope
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import HowEnded

pytestmark = pytest.mark.timeout(60)

ROOT = Path(__file__).parents[2]

TO_USER = {"type": "user", "source_bridge": None}
"""What libvirt cannot change in place: the NIC has to leave, and to come again."""

PENDING: dict[str, Callable[[World], Any]] = {
    "detach": lambda w: w.plugger.detach(w.name, ["ua-nic1"], scope=Scope.LIVE, wait=1),
    "detach-both": lambda w: w.plugger.detach(w.name, ["ua-nic1"], scope=Scope.BOTH, wait=1),
    "replace": lambda w: w.plugger.update(w.name, "ua-nic1", {"mtu": 1400}, replace=True, wait=1),
    "rebind": lambda w: w.plugger.rebind(w.name, "ua-nic1", TO_USER, replace=True, scope=Scope.BOTH, wait=1),
    "handover": lambda w: w.plugger.handover(w.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=1),
    "handback": lambda w: w.plugger.handback(w.name, "ua-nic1", wait=1),
}
"""Each leaves an operation that waits for a guest which holds on."""

KEEPING = ("replace", "rebind", "handover")
"""Those after which a guest has ua-nic1 where the operation was begun elsewhere: what it was for is not known there."""

FINAL = ("shut_down", "destroy", "crash")


def _holding(world: World, kind: str) -> None:
    """A guest that holds on, with all that this kind of operation needs."""
    world.plugger.attach(world.name, [world.bridge_nic(1), world.bridge_nic(2)], scope=Scope.BOTH)
    if kind == "handback":
        world.plugger.handover(world.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=5)
    world.guest.hold()


def _pending(world: World, kind: str) -> str:
    _holding(world, kind)
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
    before = _names(fake, Half.CONFIG)
    getattr(fake.guest, end)()
    outcome = _recovered(fake)
    if kind.startswith("detach"):
        assert (outcome.result, outcome.reason) == (Result.DONE, "guest-ended")
        assert ("ua-nic1" in _names(fake, Half.CONFIG)) == (kind == "detach")
    else:
        assert outcome.result is Result.UNDONE and _names(fake, Half.CONFIG) == before
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
    assert ("ua-nic1" in _names(fake)) == (kind in ("replace", "rebind", "handback")) and _is_clean(fake)


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


@pytest.mark.parametrize("kind", PENDING)
def test_an_image_that_was_seen_says_nothing_of_a_later_end(fake: World, kind: str) -> None:
    """The guest was started from it since, and is in a file now."""
    operation = _pending(fake, kind)
    fake.guest.managed_save()
    assert _recovered(fake).reason == "guest-saved"
    fake.guest.start()
    file = fake.guest.save()
    _hypervisor(fake).restart_daemon()
    assert _recovered(fake).reason == "end-unknown"
    fake.guest.restore(file)
    assert _recovered(fake).reason == "guest-holds-device"
    fake.guest.resume()
    assert _recovered(fake, wait=30).result is Result.DONE and _state(fake, operation) is OperationState.DONE


def test_an_operation_whose_image_was_removed_can_be_forgotten(fake: World) -> None:
    operation = _pending(fake, "detach")
    fake.guest.managed_save()
    fake.guest.forget_image()
    outcome = _recovered(fake)
    assert outcome.reason == "guest-saved" and f"forget={operation!r}" in outcome.message
    assert "to a file" in outcome.message and "was removed" in outcome.message
    assert _recovered(fake, forget=operation).reason == "forgotten" and _is_clean(fake)


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
    kept = ["ua-nic2"] if kind in ("detach-both", "handback") else ["ua-nic1", "ua-nic2"]
    assert _names(fake) == _names(fake, Half.CONFIG) == kept and _is_clean(fake)


def test_what_is_not_known_can_be_forgotten(fake: World) -> None:
    operation = _pending(fake, "detach")
    for forget in (fake.plugger.recover, fake.plugger.plan_recover):
        with pytest.raises(ForgetRefused, match="can be settled"):
            forget(forget=operation)
    image: Image = fake.guest.save()
    _hypervisor(fake).restart_daemon()
    assert _recovered(fake).reason == "end-unknown"
    for unknown in ("0" * 12, "x"):
        with pytest.raises(ForgetRefused, match=unknown):
            fake.plugger.recover(forget=unknown)
        with pytest.raises(ForgetRefused, match=unknown):
            fake.plugger.plan_recover(forget=unknown)
    (plan,) = fake.plugger.plan_recover(forget=operation)
    assert plan.fits and "would be closed and forgotten" in plan.warnings[0]
    assert _state(fake, operation) is OperationState.PENDING
    outcome = _recovered(fake, forget=operation)
    assert (outcome.result, outcome.reason) == (Result.LEFT, "forgotten") and "Not known is" in outcome.message
    assert _state(fake, operation) is OperationState.LEFT
    with pytest.raises(ForgetRefused):
        fake.plugger.recover(forget=operation)
    fake.guest.restore(image)
    assert _recovered(fake, wait=1).reason == "guest-holds-device", "it is back, and was asked"
    fake.guest.resume()
    assert _recovered(fake, wait=5).result is Result.DONE and "ua-nic1" not in _names(fake)


# -- the table of docs/design.md ------------------------------------------------------------------------------


def _table() -> list[tuple[str, str, str, str]]:
    """Its rows: what ends the run, and what is said of a detach, of any other operation, and once libvirtd was restarted."""
    lines = (ROOT / "docs" / "design.md").read_text().splitlines()
    first = lines.index("| the run ends by | a detach | any other | libvirtd restarted since | what is so |") + 2
    rows = [
        line.strip("| ").split(" | ") for line in itertools.takewhile(lambda line: line.startswith("|"), lines[first:])
    ]
    return [(row[0], row[1].strip("`"), row[2].strip("`"), row[3].strip("`")) for row in rows]


class _Ways:
    """What ends the run of a guest, or makes it go on, word by word as the table names it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.image: Image | None = None
        self.hypervisor = _hypervisor(world)

    def take(self, words: str) -> None:
        for word in words.replace("`", "").split(", "):
            getattr(self, "_" + word.replace(" --", "_").replace("-", "_").replace(" ", "_"))()

    def _the_guest_shuts_down(self) -> None:
        self.world.guest.shut_down()

    def _destroy(self) -> None:
        self.world.guest.destroy()

    def _QEMU_crashes(self) -> None:  # noqa: N802
        self.world.guest.crash()

    def _the_host_crashes(self) -> None:
        self.hypervisor.reboot()

    def _managedsave(self) -> None:
        self.world.guest.managed_save()

    def _managedsave_remove(self) -> None:
        self.world.guest.forget_image()

    def _start(self) -> None:
        self.world.guest.start()

    def _start_force_boot(self) -> None:
        self.world.guest.forget_image()
        self.world.guest.start()

    def _recover(self) -> None:
        self.world.plugger.recover()

    def _save(self) -> None:
        self.image = self.world.guest.save()

    def _restore(self) -> None:
        assert self.image is not None
        self.world.guest.restore(self.image)

    def _suspend(self) -> None:
        self.world.guest.pause_and_go_on()

    def _resume(self) -> None:
        """The guest runs again since `_suspend`."""

    def _metadata_remove(self) -> None:
        self.hypervisor.domain(self.world.name).set_travelling(None)

    def _migrate(self) -> None:
        self.world.guest.stop(HowEnded.MIGRATED)

    def _migrate_breaks_off(self) -> None:
        self.world.guest.stay_between_hosts()

    def _migrate_undefinesource(self) -> None:
        self._migrate()
        self._undefine()

    def _undefine(self) -> None:
        self.world.guest.undefine()


@pytest.mark.parametrize("kind", PENDING)
@pytest.mark.parametrize("is_restarted", [False, True], ids=["", "libvirtd-restarted"])
@pytest.mark.parametrize("row", _table(), ids=lambda row: row[0])
def test_what_the_table_says_is_said(
    fake: World, row: tuple[str, str, str, str], is_restarted: bool, kind: str
) -> None:
    way, of_detach, of_other, restarted = row
    operation = _pending(fake, kind)
    _Ways(fake).take(way)
    if is_restarted:
        _hypervisor(fake).restart_daemon()
    expected = of_detach if kind.startswith("detach") else of_other
    said = _recovered(fake, wait=1 if _is_running(fake) else 0)
    assert said.reason == (restarted if is_restarted and restarted != "the same" else expected)
    states = {"guest-ended": "done", "recovered": "undone", "guest-migrated": "left", "domain-missing": "left"}
    now = fake.host.journal.operation(str(said.operation_id))
    assert now is not None and now.state == states.get(said.reason, "pending")
    first = fake.host.journal.operation(operation)
    assert first is not None and (first.id == now.id or first.ended is not None)
    if said.reason == "guest-ended":
        assert ("ua-nic1" in _names(fake, Half.CONFIG)) == (kind == "detach")


def _is_running(world: World) -> bool:
    try:
        return world.guest.state().is_active
    except DomainMissing:
        return False


# -- which run it is ------------------------------------------------------------------------------------------


def _unmarked(fake: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """A pending detach that could not say so in the guest."""
    if not _names(fake):
        fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], scope=Scope.BOTH)
    fake.guest.hold()
    with monkeypatch.context() as deaf:
        deaf.setattr(fake.guest, "set_travelling", _refuse)
        return str(PENDING["detach"](fake).operation_id)


def _refuse(*_: object) -> None:
    raise HypervisorFailed("metadata cannot be changed")


def _later(fake: World) -> None:
    """A minute has passed, and the host was started anew: ids begin again with 1."""
    fake.host.clock.sleep(60)
    _hypervisor(fake).reboot()


def _as_version_4(fake: World, operation: str) -> None:
    """Records of journal version 4 say no process."""
    fake.host.journal.close()
    with sqlite3.connect(fake.state_dir / "journal.db") as rows:
        assert rows.execute("UPDATE operations SET process = '' WHERE id = ?", (operation,)).rowcount == 1
    rows.close()
    fake.host = fake.reopen()


def test_a_record_without_a_process_is_not_of_a_run_that_began_later(
    fake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = _unmarked(fake, monkeypatch)
    before = fake.guest.state().id
    _later(fake)
    fake.guest.start()
    assert fake.guest.state().id == before
    fake.guest.resume()
    _as_version_4(fake, operation)
    assert _recovered(fake, wait=5).reason == "guest-ended" and "ua-nic1" in _names(fake)


def test_a_record_without_a_process_goes_on_in_its_own_run(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = _unmarked(fake, monkeypatch)
    _as_version_4(fake, operation)
    fake.host.clock.sleep(60)
    fake.guest.resume()
    outcome = _recovered(fake, wait=5)
    assert (outcome.result, outcome.reason) == (Result.DONE, "") and "ua-nic1" not in _names(fake)


@pytest.mark.parametrize("has_migrated", [False, True], ids=["restored", "migrated"])
@pytest.mark.parametrize("is_of_version_4", [False, True], ids=["", "version 4"])
def test_a_run_without_a_mark_is_told_from_no_other_that_was_restored(
    fake: World, monkeypatch: pytest.MonkeyPatch, has_migrated: bool, is_of_version_4: bool
) -> None:
    """The image may be of the guest that was asked, or one from before, which is not to lose its NIC."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], scope=Scope.BOTH)
    before = fake.guest.copy_image()
    operation = _unmarked(fake, monkeypatch)
    fake.guest.destroy()
    _later(fake)
    fake.guest.resume()
    fake.guest.restore(before, has_migrated=has_migrated)
    if is_of_version_4:
        _as_version_4(fake, operation)
    outcome = _recovered(fake, wait=5)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "end-unknown") and "ua-nic1" in _names(fake)
    assert f"forget={operation!r}" in outcome.message
    assert _recovered(fake, forget=operation).reason == "forgotten" and _is_clean(fake)


@pytest.mark.parametrize("kind", [kind for kind in PENDING if kind != "detach-both"])  # its NIC is in no later run
def test_a_later_run_that_was_saved_as_well_is_not_said_to_have_been_asked(fake: World, kind: str) -> None:
    """libvirt says that it was restored, and no more: nothing in it is the mark of the run that was asked."""
    operation = _pending(fake, kind)
    fake.guest.destroy()
    fake.guest.start()
    fake.guest.managed_save()
    fake.guest.start()
    before = _names(fake)
    outcome = _recovered(fake, wait=10)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "end-unknown")
    assert "started anew" in outcome.message and f"forget={operation!r}" in outcome.message
    assert _names(fake) == before and not fake.guest.copy_image().leaving
    assert _recovered(fake, forget=operation).reason == "forgotten" and _names(fake) == before


@pytest.mark.parametrize("kind", PENDING)
def test_a_guest_whose_mark_was_removed_is_not_told_from_a_later_one(fake: World, kind: str) -> None:
    """``virsh metadata --remove``, then a managed save."""
    operation = _pending(fake, kind)
    fake.host.hypervisor.domain(fake.name).set_travelling(None)
    fake.guest.managed_save()
    fake.guest.start()
    assert _recovered(fake, wait=1).reason == "end-unknown"
    assert _recovered(fake, forget=operation).reason == "forgotten" and _is_clean(fake)


def test_a_snapshot_from_before_the_question_was_not_asked(fake: World) -> None:
    _holding(fake, "detach")
    memory = fake.guest.copy_image()
    PENDING["detach"](fake)
    fake.guest.destroy()
    fake.guest.restore(memory)
    assert _recovered(fake, wait=1).reason == "end-unknown" and "ua-nic1" in _names(fake)


@pytest.mark.parametrize("kind", PENDING)
@pytest.mark.parametrize("is_marked", [False, True], ids=["mark removed", "marked"])
def test_a_restored_guest_that_was_resumed_is_not_called_another(fake: World, kind: str, is_marked: bool) -> None:
    """libvirt keeps one reason, and a resume takes the place of the restore: only a mark tells the run then."""
    operation = _pending(fake, kind)
    if not is_marked:
        fake.host.hypervisor.domain(fake.name).set_travelling(None)
    image = fake.guest.save()
    fake.guest.restore(image)
    fake.guest.pause_and_go_on()
    outcome = _recovered(fake)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-holds-device" if is_marked else "end-unknown")
    if not is_marked:
        assert "started anew" in outcome.message
        assert _recovered(fake, forget=operation).reason == "forgotten" and _is_clean(fake)


def test_what_a_guest_lacks_it_has_let_go_of_whatever_run_it_is(fake: World) -> None:
    _pending(fake, "detach")
    fake.host.hypervisor.domain(fake.name).set_travelling(None)
    fake.guest.resume()
    fake.guest.restore(fake.guest.save())
    fake.guest.pause_and_go_on()
    outcome = _recovered(fake)
    assert (outcome.result, outcome.reason) == (Result.DONE, "")


@pytest.mark.parametrize("number", [1, 2])
def test_a_crashed_attach_in_a_guest_that_may_be_another_is_undone(fake: World, number: int) -> None:
    """Whichever run has the NIC had it of the attach."""
    act = lambda p: p.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)  # noqa: E731
    die(fake, act, "attach", after=True, number=number)
    fake.guest.restore(fake.guest.save())
    fake.guest.pause_and_go_on()
    assert fake.plugger.plan_recover()[0].fits
    assert _recovered(fake, wait=5).result is Result.UNDONE
    assert _names(fake) == _names(fake, Half.CONFIG) == [] and _is_clean(fake)


@pytest.mark.parametrize("kind", ["detach", "detach-both", "replace"])
def test_what_the_guest_carries_is_its_mark_before_the_journal_has_it(fake: World, kind: str) -> None:
    """A call dies between the two: the guest that is restored says whose it is."""
    _holding(fake, kind)
    fake.guest.resume()
    call = {"detach": Scope.LIVE, "detach-both": Scope.BOTH}.get(kind)
    if call is None:
        die(
            fake,
            lambda p: p.update(fake.name, "ua-nic1", {"mtu": 1400}, replace=True, wait=5),
            "set_travelling",
            after=True,
        )
    else:
        die(fake, lambda p: p.detach(fake.name, ["ua-nic1"], scope=call, wait=5), "set_travelling", after=True)
    assert fake.carries().asked
    fake.guest.managed_save()
    fake.guest.start()
    outcome = _recovered(fake, wait=30)
    assert outcome.result is (Result.UNDONE if kind == "replace" else Result.DONE)
    assert ("ua-nic1" in _names(fake)) == (kind == "replace") and not fake.carries().asked and _is_clean(fake)


@pytest.mark.parametrize("kind", [kind for kind in PENDING if kind != "handback"])
@pytest.mark.parametrize("has_mark", [False, True], ids=["mark removed", "mark in the definition too"])
def test_a_guest_that_runs_is_not_asked_again_for_what_was_forgotten(fake: World, kind: str, has_mark: bool) -> None:
    operation = _pending(fake, kind)
    if has_mark:
        fake.guest.define_as_it_runs()
    else:
        fake.host.hypervisor.domain(fake.name).set_travelling(None)
    fake.guest.restore(
        dataclasses.replace(fake.guest.save(), leaving=())
    )  # QEMU does not carry the question out by itself
    before = _names(fake)
    assert _recovered(fake).reason == "end-unknown"
    outcome = _recovered(fake, forget=operation)
    assert outcome.reason == "forgotten" and "may still let go" in outcome.message and "image" not in outcome.message
    assert not fake.carries().asked and [nic.alias for nic in fake.plugger.list(fake.name) if nic.pending] == []
    fake.guest.resume()
    assert fake.plugger.recover(wait=10) == () and _names(fake) == before


def test_what_a_guest_cannot_be_made_to_forget_is_not_forgotten(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = _pending(fake, "detach")
    fake.guest.define_as_it_runs()
    fake.guest.managed_save()
    fake.guest.start()
    assert _recovered(fake).reason == "end-unknown"
    with monkeypatch.context() as deaf:
        deaf.setattr(fake.guest, "set_travelling", _refuse)
        with pytest.raises(ForgetRefused, match="metadata cannot be changed"):
            fake.plugger.recover(forget=operation)
    assert _state(fake, operation) is OperationState.PENDING
    assert _recovered(fake, forget=operation).reason == "forgotten"


IN_PLACE: dict[str, Callable[[Plugger, World], Any]] = {
    "update": lambda p, w: p.update(w.name, "ua-nic1", {"link_state": "down"}, scope=Scope.BOTH),
    "update-live": lambda p, w: p.update(w.name, "ua-nic1", {"link_state": "down"}, scope=Scope.LIVE),
    "rebind": lambda p, w: p.rebind(w.name, "ua-nic1", {"source_bridge": w.bridges[1]}, scope=Scope.BOTH),
    "rebind-flap": lambda p, w: p.rebind(
        w.name, "ua-nic1", {"source_bridge": w.bridges[1]}, scope=Scope.LIVE, flap_link=True
    ),
}


def _changed_in_place(fake: World, kind: str, *, number: int = 1) -> tuple[str, str]:
    """A change in place that died once the guest had it; both definitions as they were before."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    before = fake.guest.xml(Half.LIVE), fake.guest.xml(Half.CONFIG)
    die(fake, lambda p: IN_PLACE[kind](p, fake), "update", after=True, number=number)
    assert fake.guest.xml(Half.LIVE) != before[0]
    return before


def _connected(text: str) -> list[tuple[str, str]]:
    return [(net.source, net.link_state or "up") for net in xml.devices(text).nets]


@pytest.mark.parametrize("kind", IN_PLACE)
@pytest.mark.parametrize("how", ["restored", "resumed", "migrated", "without aliases"])
def test_a_change_in_place_is_undone_in_whichever_guest_has_it(fake: World, kind: str, how: str) -> None:
    """Nothing marks the run: the NIC says that it has what was set."""
    before = _changed_in_place(fake, kind, number=2 if kind == "rebind-flap" else 1)
    image = fake.guest.save()
    fake.guest.restore(_without_aliases(image) if how == "without aliases" else image, has_migrated=how == "migrated")
    if how == "resumed":
        fake.guest.pause_and_go_on()
    assert fake.plugger.plan_recover()[0].fits
    outcome = _recovered(fake)
    assert (outcome.result, outcome.reason, outcome.warnings) == (Result.UNDONE, "recovered", ())
    assert _connected(fake.guest.xml(Half.LIVE)) == _connected(before[0])
    assert fake.guest.xml(Half.CONFIG) == before[1] and fake.host.journal.open_operations() == []


@pytest.mark.parametrize("kind", ["update", "rebind"])
@pytest.mark.parametrize("hand", ["another image", "changed since", "gone"])
def test_a_guest_that_does_not_have_that_change_is_left_as_it_is(fake: World, kind: str, hand: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    image = fake.guest.copy_image()
    die(fake, lambda p: IN_PLACE[kind](p, fake), "update", after=True)
    if hand == "another image":
        fake.guest.destroy()
        fake.guest.restore(image)
    else:
        fake.guest.managed_save()
        fake.guest.start()
        (net,) = xml.devices(fake.guest.xml(Half.LIVE)).nets
        if hand == "gone":
            fake.guest.detach("ua-nic1", Half.LIVE)
            fake.host.clock.sleep(5)
        else:
            changes = {"link_state": "up"} if kind == "update" else {"source_bridge": fake.bridges[0]}
            fake.guest.update(xml.strip_live(xml.edit(net.element, changes)), Half.LIVE)
    before = fake.guest.xml(Half.LIVE)
    outcome = _recovered(fake)
    assert outcome.result is Result.UNDONE and fake.guest.xml(Half.LIVE) == before
    assert any("there does not have what the" in text for text in outcome.warnings)


@pytest.mark.parametrize("kind", ["update", "rebind"])
def test_a_change_in_place_whose_guest_is_away_waits_for_it(fake: World, kind: str) -> None:
    before = _changed_in_place(fake, kind)
    image = fake.guest.save()
    fake.guest.forget_end()
    outcome = _recovered(fake)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "end-unknown") and "let go" not in outcome.message
    fake.guest.restore(image)
    assert _recovered(fake).result is Result.UNDONE
    assert _connected(fake.guest.xml(Half.LIVE)) == _connected(before[0])


@pytest.mark.parametrize("is_managed", [False, True], ids=["file", "managed"])
def test_what_a_saved_guest_remembers_is_undone_when_it_is_back(fake: World, is_managed: bool) -> None:
    """A hand-over died once it had written the identity, before it asked the guest."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], scope=Scope.BOTH)
    before = fake.guest.metadata(Half.LIVE), fake.guest.metadata(Half.CONFIG)
    act = lambda p: p.handover(fake.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=5)  # noqa: E731
    die(fake, act, "set_metadata", after=True, number=2)
    fake.guest.managed_save() if is_managed else None
    image = None if is_managed else fake.guest.save()
    (plan,) = fake.plugger.plan_recover()
    outcome = _recovered(fake)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-saved")
    assert [refusal.reason for refusal in plan.refusals] == ["guest-saved"]
    fake.guest.start() if image is None else fake.guest.restore(image)
    assert fake.plugger.plan_recover()[0].fits and _recovered(fake).result is Result.UNDONE
    assert (fake.guest.metadata(Half.LIVE), fake.guest.metadata(Half.CONFIG)) == before and _is_clean(fake)


@pytest.mark.parametrize("kind", ["update", "rebind"])
def test_what_is_not_known_of_a_change_in_place_can_be_forgotten(fake: World, kind: str) -> None:
    _changed_in_place(fake, kind)
    fake.guest.stop(HowEnded.UNKNOWN)
    (operation,) = [record.id for record in fake.host.journal.open_operations()]
    assert _recovered(fake).reason == "end-unknown"
    outcome = _recovered(fake, forget=operation)
    assert outcome.reason == "forgotten" and "let go" not in outcome.message
    assert f"has what the {kind} did with ua-nic1" in outcome.message


LIVE_ONLY: dict[str, Callable[[World], Any]] = {
    "detach": lambda w: w.plugger.detach(w.name, ["ua-nic1"], scope=Scope.LIVE, wait=1),
    "replace": lambda w: w.plugger.update(w.name, "ua-nic1", {"mtu": 1400}, replace=True, scope=Scope.LIVE, wait=1),
    "handover": lambda w: w.plugger.handover(w.name, "ua-nic1", "ua-nic2", scope=Scope.LIVE, wait=1),
}


@pytest.mark.parametrize("kind", LIVE_ONLY)
@pytest.mark.parametrize("is_off", [False, True], ids=["runs", "off"])
def test_audit_plan_and_recover_say_the_same_of_an_end_that_is_not_known(fake: World, kind: str, is_off: bool) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], scope=Scope.LIVE)
    fake.guest.hold()
    operation = str(LIVE_ONLY[kind](fake).operation_id)
    if is_off:
        fake.guest.stop(HowEnded.UNKNOWN)
    else:
        fake.guest.restart()
        fake.guest.pause_and_go_on()
    (finding,) = fake.plugger.audit().findings
    (plan,) = fake.plugger.plan_recover()
    assert finding.kind == "operation-open" and finding.remedy == f"Run `recover({fake.name!r})`."
    outcome = _recovered(fake)
    if kind == "detach" and not is_off:  # whichever guest it is, it lacks the NIC
        assert plan.fits and outcome.result is Result.DONE and _is_clean(fake)
        return
    assert outcome.reason == "end-unknown" and [refusal.reason for refusal in plan.refusals] == ["end-unknown"]
    (finding,) = fake.plugger.audit().findings
    assert "let go" not in finding.message and f"forget={operation!r}" in finding.remedy
    assert _recovered(fake, forget=operation).reason == "forgotten" and _is_clean(fake)


def test_a_tap_of_the_next_run_is_not_said_to_be_held(fake: World) -> None:
    """The kernel numbers taps anew: that of the NIC that was asked for is another NIC's by now."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.plugger.attach(fake.name, [fake.bridge_nic(2)], scope=Scope.BOTH)
    fake.guest.hold()
    PENDING["detach"](fake)
    (target,) = [net.target_dev for net in xml.devices(fake.guest.xml(Half.LIVE)).nets if net.alias == "ua-nic1"]
    assert target is not None
    fake.guest.destroy()
    _hypervisor(fake).number_taps(int(target.removeprefix("vnet")))
    fake.guest.start()
    assert target in fake.guest.xml(Half.LIVE)
    outcome = _recovered(fake)
    assert (outcome.result, outcome.reason, outcome.warnings) == (Result.DONE, "guest-ended", ())


# -- what a broken migration leaves here ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PENDING)
def test_nothing_is_done_to_a_half_whose_guest_may_run_on_the_other_host(fake: World, kind: str) -> None:
    _pending(fake, kind)
    fake.guest.stay_between_hosts()
    before = fake.guest.xml(Half.LIVE), fake.guest.xml(Half.CONFIG)
    (plan,) = fake.plugger.plan_recover()
    outcome = _recovered(fake, wait=5)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-between-hosts")
    assert "on the other host" in outcome.message and "makes it" not in outcome.message
    assert [refusal.reason for refusal in plan.refusals] == ["guest-between-hosts"]
    assert (fake.guest.xml(Half.LIVE), fake.guest.xml(Half.CONFIG)) == before


@pytest.mark.parametrize("kind", PENDING)
@pytest.mark.parametrize("end", ["destroy", "crash", "undefine"])
def test_the_end_of_such_a_half_says_nothing_of_its_guest(fake: World, kind: str, end: str) -> None:
    operation = _pending(fake, kind)
    fake.guest.stay_between_hosts()
    _recovered(fake)
    fake.guest.destroy() if end == "undefine" else getattr(fake.guest, end)()
    if end == "undefine":
        fake.guest.undefine()
        assert _recovered(fake).reason == "domain-missing" and _state(fake, operation) is OperationState.LEFT
        return
    for _ in range(2):
        outcome = _recovered(fake)
        assert (outcome.result, outcome.reason) == (Result.PENDING, "end-unknown")
    assert _recovered(fake, forget=operation).reason == "forgotten"


@pytest.mark.parametrize("kind", PENDING)
def test_a_half_that_is_started_anew_ends_what_was_asked_here(fake: World, kind: str) -> None:
    _pending(fake, kind)
    fake.guest.stay_between_hosts()
    _recovered(fake)
    fake.guest.restart()
    assert _recovered(fake, wait=1).result is (Result.DONE if kind.startswith("detach") else Result.UNDONE)
    assert _is_clean(fake)


@pytest.mark.parametrize("kind", PENDING)
def test_a_guest_that_was_seen_to_run_on_here_ends_here(fake: World, kind: str) -> None:
    operation = _pending(fake, kind)
    fake.guest.stay_between_hosts()
    _recovered(fake)
    fake.guest.run_again()
    assert _recovered(fake).reason == "guest-holds-device"
    fake.guest.destroy()
    assert _recovered(fake).result is (Result.DONE if kind.startswith("detach") else Result.UNDONE)
    assert _state(fake, operation) in (OperationState.DONE, OperationState.UNDONE) and _is_clean(fake)


def _said(world: World, kind: str) -> str:
    """The reason of what is left pending, answered or raised."""
    try:
        return str(PENDING[kind](world).reason)
    except LeftPending as left:
        return left.reason


@pytest.mark.parametrize("kind", PENDING)
@pytest.mark.parametrize("is_destroyed", [False, True], ids=["stays", "destroyed"])
def test_who_waits_notes_that_the_run_is_between_hosts(fake: World, kind: str, is_destroyed: bool) -> None:
    _holding(fake, kind)
    fake.later(0.2, fake.guest.stay_between_hosts)
    if is_destroyed:
        fake.later(0.4, fake.guest.destroy)
    reason = "end-unknown" if is_destroyed else "guest-between-hosts"
    assert _said(fake, kind) == reason
    if not is_destroyed:
        fake.guest.destroy()
    assert _recovered(fake).reason == "end-unknown"


@pytest.mark.parametrize("number", [1, 2])
def test_a_crashed_attach_is_not_undone_in_such_a_half(fake: World, number: int) -> None:
    act = lambda p: p.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)  # noqa: E731
    die(fake, act, "attach", after=True, number=number)
    fake.guest.stay_between_hosts()
    before = fake.guest.xml(Half.LIVE)
    assert _recovered(fake, wait=5).reason == "guest-between-hosts" and fake.guest.xml(Half.LIVE) == before
    fake.guest.run_again()
    assert _recovered(fake, wait=5).result is Result.UNDONE
    assert _names(fake) == _names(fake, Half.CONFIG) == [] and _is_clean(fake)


CHANGES: dict[str, Callable[[World], Any]] = {
    **{kind: act for kind, act in PENDING.items() if kind != "detach-both"},
    "attach": lambda w: w.plugger.attach(w.name, [w.bridge_nic(3)]),
    "update": lambda w: w.plugger.update(w.name, "ua-nic1", {"link_state": "down"}),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_half_is_changed_by_nobody(fake: World, kind: str) -> None:
    """The guest would not have what was said to be done."""
    _holding(fake, kind)
    fake.guest.stay_between_hosts()
    before = fake.guest.xml(Half.LIVE)
    with pytest.raises(Refused) as refused:
        CHANGES[kind](fake)
    assert refused.value.reason == "guest-between-hosts" and "virsh resume" in refused.value.message
    assert fake.guest.xml(Half.LIVE) == before


# -- a domain that has another name, or none any more ----------------------------------------------------------


@pytest.mark.parametrize("kind", PENDING)
def test_a_domain_is_named_as_it_is_called_now(fake: World, kind: str) -> None:
    """Another one may have the name that it had when the operation began."""
    operation = _pending(fake, kind)
    old = fake.name
    fake.guest.stop(HowEnded.UNKNOWN)
    fake.guest.rename("newname")
    (finding,) = fake.plugger.audit().findings
    (plan,) = fake.plugger.plan_recover()
    outcome = _recovered(fake)
    assert finding.domain == plan.domain == outcome.domain == "newname"
    said = [finding.message, finding.remedy, outcome.message, *(refusal.message for refusal in plan.refusals)]
    assert all("newname" in text and old not in text for text in said)
    (finding,) = fake.plugger.audit().findings
    assert "newname" in finding.remedy and old not in finding.message + finding.remedy
    with pytest.raises(DomainMissing):
        fake.plugger.recover(old)
    (forgotten,) = fake.plugger.recover("newname", forget=operation)
    assert forgotten.reason == "forgotten" and forgotten.domain == "newname" and old not in forgotten.message


@pytest.mark.parametrize("kind", PENDING)
def test_an_operation_of_a_domain_that_is_no_more_is_found_by_its_name(fake: World, kind: str) -> None:
    operation = _pending(fake, kind)
    fake.guest.save()
    fake.guest.undefine()
    (finding,) = fake.plugger.audit().findings
    assert f"recover({fake.name!r})" in finding.remedy
    (plan,) = fake.plugger.plan_recover(fake.name)
    assert plan.warnings[0].endswith("would be closed as left") and not plan.steps
    outcome = _recovered(fake, domain=fake.name)
    assert (outcome.result, outcome.reason) == (Result.LEFT, "domain-missing")
    assert _state(fake, operation) is OperationState.LEFT and fake.host.journal.open_operations() == []
    for act in (fake.plugger.recover, fake.plugger.plan_recover):
        with pytest.raises(DomainMissing):
            act(fake.name)


def test_and_so_is_one_whose_name_another_domain_has(fake: World) -> None:
    operation = _pending(fake, "detach")
    fake.guest.save()
    fake.guest.undefine()
    fake.host.hypervisor.add(fake.name)  # type: ignore[attr-defined]
    outcome = _recovered(fake, domain=fake.name)
    assert (outcome.result, outcome.reason) == (Result.LEFT, "domain-missing")
    assert _state(fake, operation) is OperationState.LEFT


# -- a guest that is back after it was taken for ended ---------------------------------------------------------


@pytest.mark.parametrize("kind", PENDING)
def test_a_file_that_is_restored_after_a_cold_start_brings_the_question_back(fake: World, kind: str) -> None:
    operation = _pending(fake, kind)
    image = fake.guest.save()
    fake.guest.start()
    _recovered(fake, wait=1)
    assert fake.host.journal.open_operations() == []
    fake.guest.destroy()
    fake.guest.restore(image)
    (pending,) = [nic.pending for nic in fake.plugger.list(fake.name) if nic.pending is not None]
    assert pending == operation, "what the guest carries says it before anybody has written"
    (plan,) = fake.plugger.plan_recover()
    assert operation in plan.warnings[0] and plan.steps
    assert _recovered(fake, wait=1).reason == "guest-holds-device"
    assert any("came with what its guest was asked" in event.text for event in fake.events)
    fake.guest.resume()
    assert _recovered(fake, wait=30).result is Result.DONE and fake.host.journal.open_operations() == []
    assert ("ua-nic1" in _names(fake)) == (kind in KEEPING)
    # what a hand-over remembers is in the image, and was taken out of the definition again
    assert {finding.kind for finding in fake.plugger.audit().findings} <= {"identity-differs"}


def _back_and_let_go(fake: World, kind: str, meanwhile: Callable[[], object] = lambda: None) -> None:
    """The guest of an operation that was undone is back from a file, and lets go before anybody of us looks."""
    _pending(fake, kind)
    image = fake.guest.save()
    fake.guest.start()
    _recovered(fake, wait=1)
    fake.guest.destroy()
    meanwhile()
    fake.guest.restore(image)
    fake.guest.resume()


@pytest.mark.parametrize("kind", [kind for kind in PENDING if not kind.startswith("detach")])
def test_a_guest_that_lets_go_before_anybody_looks_has_its_nic_again(fake: World, kind: str) -> None:
    _back_and_let_go(fake, kind)
    wanted = _names(fake, Half.CONFIG)
    assert _names(fake) != wanted
    assert _recovered(fake, wait=30).result is Result.DONE and _names(fake) == wanted
    assert not any("attach it again" in event.text for event in fake.events)


@pytest.mark.parametrize("hand", ["taken out", "connected elsewhere", "place taken"])
def test_why_it_does_not_have_it_again_is_what_is_so(fake: World, hand: str) -> None:
    def meanwhile() -> None:
        (net,) = [net for net in xml.devices(fake.guest.xml(Half.CONFIG)).nets if net.alias == "ua-nic1"]
        if hand == "taken out":
            fake.guest.detach("ua-nic1", Half.CONFIG)
        elif hand == "connected elsewhere":
            fake.guest.update(xml.edit(net.element, {"source_bridge": fake.bridges[1]}), Half.CONFIG)

    _back_and_let_go(fake, "replace", meanwhile)
    if hand == "place taken":
        other = fake.bridge_nic(1, alias="ua-other")
        fake.guest.attach(other, Half.LIVE)
    before = _names(fake)
    assert fake.plugger.recover(wait=5) == () and _names(fake) == before
    (said,) = [event.text for event in fake.events if "attach it again" in event.text]
    why = {"taken out": "does not have that NIC", "connected elsewhere": f"connects that NIC to {fake.bridges[1]}"}
    assert why.get(hand, "ua-other (52:54:00:00:00:01) has its MAC") in said and "elsewhere" not in said


@pytest.mark.parametrize("bridge", [0, 1])
def test_a_file_takes_nothing_out_of_the_definition_that_was_put_in_since(fake: World, bridge: int) -> None:
    """The detach had ended with its definition: what that has now is somebody's later work."""
    _pending(fake, "detach-both")
    image = fake.guest.save()
    fake.guest.start()
    assert _recovered(fake, wait=1).reason == "guest-ended" and "ua-nic1" not in _names(fake, Half.CONFIG)
    text = "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='{}'/><model type='virtio'/><alias name='ua-nic1'/></interface>"
    fake.host.hypervisor.domain(fake.name).attach(text.format(fake.bridges[bridge]), Half.CONFIG)
    before = fake.guest.xml(Half.CONFIG)
    fake.guest.destroy()
    fake.guest.restore(image)
    assert _recovered(fake, wait=1).reason == "guest-holds-device"
    fake.guest.resume()
    assert _recovered(fake, wait=30).result is Result.DONE and "ua-nic1" not in _names(fake)
    assert fake.guest.xml(Half.CONFIG) == before


def test_a_run_that_was_booted_from_a_marked_definition_was_asked_nothing(fake: World) -> None:
    """``dumpxml``, ``define``, a new start, and somebody takes the metadata out of the definition again."""
    operation, domain = _pending(fake, "detach"), fake.host.hypervisor.domain(fake.name)
    carried = domain.travelling()
    fake.guest.destroy()
    fake.guest.start()
    domain.set_travelling(carried)  # as the definition had it when the guest was started
    assert _recovered(fake, wait=1).reason == "guest-ended" and "ua-nic1" in _names(fake)
    assert _state(fake, operation) is OperationState.DONE


@pytest.mark.parametrize("kind", PENDING)
def test_a_snapshot_of_a_guest_that_was_asked_brings_the_question_back(fake: World, kind: str) -> None:
    """Whatever became of the operation since: QEMU has the request in its memory, and carries it out."""
    operation = _pending(fake, kind)
    memory = fake.guest.copy_image()
    fake.guest.resume()
    assert _recovered(fake, wait=30).result is Result.DONE
    fake.guest.destroy()
    fake.guest.hold()
    fake.guest.restore(memory)
    assert _recovered(fake, wait=1).reason == "guest-holds-device" and fake.carries().asked
    fake.guest.resume()
    again = _recovered(fake, wait=30)
    assert again.result is Result.DONE and again.operation_id != operation
    assert ("ua-nic1" in _names(fake)) == (kind in KEEPING) and not fake.carries().asked
    assert fake.host.journal.open_operations() == []


def test_a_snapshot_from_after_the_guest_let_go_is_asked_nothing(fake: World) -> None:
    _pending(fake, "detach")
    fake.guest.resume()
    memory = fake.guest.copy_image()
    assert _recovered(fake, wait=5).result is Result.DONE
    fake.guest.destroy()
    fake.guest.restore(memory)
    assert fake.plugger.recover(wait=1) == () and "ua-nic1" not in _names(fake) and not fake.carries().asked


# -- one wait, several ends --------------------------------------------------------------------------------------


def test_a_guest_that_was_restored_and_then_destroyed_was_not_saved(fake: World) -> None:
    """The events of one wait told of a save first."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], scope=Scope.BOTH)
    fake.guest.hold()

    def end() -> None:
        fake.guest.restore(fake.guest.save())
        fake.guest.destroy()

    fake.later(0.5, end)
    assert PENDING["detach"](fake).reason == "guest-ended"


def test_the_end_of_an_earlier_run_is_not_that_of_the_next(fake: World) -> None:
    """The first was destroyed; the second was asked as well, and is saved."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], scope=Scope.BOTH)
    fake.guest.hold()
    fake.later(0.5, fake.guest.restart)
    fake.later(3.5, fake.guest.save)
    outcome = fake.plugger.detach(fake.name, ["ua-nic1"], scope=Scope.BOTH, wait=30)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-saved")


def test_what_was_let_go_of_before_the_end_is_not_said_to_have_been_held(fake: World) -> None:
    """While the first is waited for, the second leaves."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)])
    fake.guest.hold()
    fake.later(0.5, lambda: fake.guest.let_go("ua-nic2"))
    fake.later(1.0, fake.guest.destroy)
    outcome = fake.plugger.detach(fake.name, ["ua-nic1", "ua-nic2"], wait=30)
    assert outcome.reason == "guest-ended"
    assert outcome.message.startswith("ua-nic1 detached") and "ua-nic2" not in outcome.message


def test_what_had_been_done_is_said_in_a_sentence_of_its_own(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the hypervisor's words end with."""
    attach = fake.guest.attach

    def refuse(element: str, half: Half) -> None:
        if "ua-nic2" in element:
            raise DomainNotRunning("domain is not running")
        attach(element, half)

    monkeypatch.setattr(fake.guest, "attach", refuse)
    with pytest.raises(VirtnetplugError, match=r"domain is not running\. All that had been done was undone\."):
        fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)])


def test_a_saved_guest_is_no_disagreement_once_recover_has_seen_it(fake: World) -> None:
    """It has the NIC wherever it is saved, as one that runs and holds on: `recover` could do nothing about it."""
    _pending(fake, "detach")
    fake.guest.managed_save()
    assert [finding.kind for finding in fake.plugger.audit().findings] == ["operation-open"]
    assert _recovered(fake).reason == "guest-saved"
    assert fake.plugger.audit().findings == ()


def test_a_row_without_a_process_is_not_of_a_run_that_began_later(fake: World) -> None:
    """As journal version 4 wrote it: the guest was started anew before anybody wrote again, and took the hot-plugged NIC along."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.host.journal.close()
    with sqlite3.connect(fake.state_dir / "journal.db") as rows:
        assert rows.execute("UPDATE nics SET process = ''").rowcount == 1
    rows.close()
    fake.host = fake.reopen()
    fake.guest.detach("ua-nic1", Half.LIVE)
    assert [finding.kind for finding in fake.plugger.audit().findings] == ["nic-gone"], "somebody took it"
    fake.host.clock.sleep(60)
    fake.guest.restart()
    assert fake.plugger.audit().findings == ()


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "off"])
def test_a_nic_is_ours_after_its_domain_was_defined_anew(fake: World, is_running: bool) -> None:
    """The journal knows it, though the metadata went with the definition."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    if not is_running:
        fake.guest.destroy()
    fake.guest.redefine()
    assert _origins(fake) == {"ua-nic1": "virtnetplug"}
    if not is_running:
        fake.guest.start()
        assert fake.plugger.recover() == () and _origins(fake) == {"ua-nic1": "virtnetplug"}


@pytest.mark.parametrize("kind", PENDING)
def test_a_guest_that_left_this_way_says_nothing_stale(fake: World, kind: str) -> None:
    """History does not call an operation undone because its guest was saved, which is over."""
    operation = _pending(fake, kind)
    fake.guest.managed_save()
    _recovered(fake)
    fake.guest.forget_image()
    fake.guest.start()
    _recovered(fake)
    record = fake.host.journal.operation(operation)
    assert record is not None and record.ended is not None and record.reason != "guest-saved"


@pytest.mark.parametrize("kind", PENDING)
def test_a_guest_that_left_is_told_of_and_closes_the_operation(fake: World, kind: str) -> None:
    operation = _pending(fake, kind)
    fake.guest.stop(HowEnded.MIGRATED)
    outcome = _recovered(fake)
    assert (outcome.result, outcome.reason) == (Result.LEFT, "guest-migrated")
    assert f"recover({fake.host.hypervisor.domain(fake.name).uuid!r}, wait=" in outcome.message, (
        "it may have another name there"
    )
    assert _state(fake, operation) is OperationState.LEFT and _is_clean(fake)


@pytest.mark.parametrize("kind", PENDING)
@pytest.mark.parametrize(
    ("end", "reason"),
    [(HowEnded.SAVED, "guest-saved"), (HowEnded.MIGRATED, "guest-migrated"), (HowEnded.DESTROYED, "guest-ended")],
    ids=str,
)
def test_who_waits_is_told_how_the_run_ended(fake: World, kind: str, end: HowEnded, reason: str) -> None:
    """By the event: libvirtd forgets the reason at once."""
    _holding(fake, kind)
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
    assert "let go" not in outcome.message, "it was asked for nothing"
    fake.guest.start()
    undone = _recovered(fake, wait=5)
    assert undone.result is Result.UNDONE and _names(fake) == [] and _is_clean(fake)
    record = fake.host.journal.operation(undone.operation_id)
    assert record is not None and record.reason == "recovered", "that it was saved is over"


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


# -- a guest that arrives -----------------------------------------------------------------------------------


def arrived(fake: World) -> Plugger:
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
    plugger = arrived(fake)
    assert {nic.origin for nic in plugger.list(fake.name)} == {"virtnetplug"}
    assert sum(nic.pending is not None for nic in plugger.list(fake.name)) == 1
    assert _recovered(fake, wait=1).reason == "guest-holds-device"
    fake.guest.resume()
    assert _recovered(fake, wait=30).result is Result.DONE
    assert ("ua-nic1" in _names(fake)) == (kind in KEEPING)
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
    plugger = arrived(fake)
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


def _lose_journal(world: World) -> None:
    world.host.journal.close()
    journal = SqliteJournal.open(world.state_dir / "new", clock=world.host.clock)
    world.host = dataclasses.replace(world.host, journal=journal)


def _of_another_journal(world: World) -> Plugger:
    """Another user's, or that of a host whose guest is here again."""
    journal = SqliteJournal.open(world.state_dir / "other", clock=world.host.clock)
    return Plugger(dataclasses.replace(world.host, journal=journal), journal.close)


def _asked(world: World) -> list[str]:
    return [each.id for each in world.carries().asked]


@pytest.mark.parametrize("kind", ["replace", "handover"])
def test_what_an_operation_of_another_journal_asked_stays(fake: World, kind: str) -> None:
    """The guest lets go, and an operation of the second journal puts the NIC in again."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], scope=Scope.BOTH)
    fake.guest.hold()
    operation = fake.plugger.detach(fake.name, "ua-nic2", scope=Scope.LIVE, wait=1).operation_id
    with _of_another_journal(fake) as other:
        _hypervisor(fake).clock.after(2.0, fake.guest.resume)
        if kind == "replace":
            other.update(fake.name, "ua-nic2", {"mtu": 1400}, replace=True, wait=20)
        else:
            other.handover(fake.name, "ua-nic1", "ua-nic2", wait=20)
    assert _asked(fake) == (
        [operation] if kind == "replace" else []
    )  # the NIC has the emulated one's MAC after a handover: it is another one
    assert _recovered(fake, wait=20).result is Result.DONE
    assert "ua-nic2" in _names(fake) and _asked(fake) == []  # a NIC that has another tap was not asked for


def test_nor_is_it_cleared_by_a_journal_that_has_the_nic(fake: World) -> None:
    """The guest is restored, so the second journal looks for its NICs anew."""
    with _of_another_journal(fake) as other:
        other.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
        fake.guest.hold()
        operation = fake.plugger.detach(fake.name, "ua-nic1", scope=Scope.BOTH, wait=1).operation_id
        fake.guest.restore(fake.guest.save())
        other.recover(wait=1)
    assert _asked(fake) == [operation]
    fake.guest.resume()
    assert (_recovered(fake, wait=20).result, _names(fake)) == (Result.DONE, [])


def test_what_an_operation_asked_whose_journal_is_lost_can_be_cleared(fake: World) -> None:
    operation = _pending(fake, "detach")
    _lose_journal(fake)
    assert fake.plugger.recover(wait=1) == ()
    assert any(f"forget={operation!r}" in event.text for event in fake.events)
    (outcome,) = fake.plugger.recover(forget=operation)
    assert (outcome.result, outcome.reason) == (Result.LEFT, "forgotten") and operation in outcome.message
    assert not fake.carries().asked and {nic.pending for nic in fake.plugger.list(fake.name)} == {None}
    with pytest.raises(ForgetRefused):
        fake.plugger.recover(forget=operation)


def test_nor_is_it_left_by_a_detach_that_the_guest_answers(fake: World) -> None:
    _pending(fake, "detach")
    _lose_journal(fake)
    fake.guest.resume()
    fake.plugger.detach(fake.name, ["ua-nic2"], wait=5)
    fake.guest.attach(fake.bridge_nic(1), Half.LIVE)
    fake.plugger.detach(fake.name, ["ua-nic1"], wait=5)
    assert not fake.carries().asked


def test_another_nic_of_that_alias_answers_nothing(fake: World) -> None:
    _pending(fake, "detach")
    _lose_journal(fake)
    fake.guest.resume()
    fake.guest.attach(fake.bridge_nic(3, alias="ua-nic1"), Half.LIVE)
    fake.plugger.detach(fake.name, ["ua-nic1"], wait=5)
    assert [nic.mac for asked in fake.carries().asked for nic in asked.nics] == ["52:54:00:00:00:01"]


def _renumbered(fake: World) -> str:
    """A guest was asked for net1, by an operation whose journal is lost; since a restore that NIC is net0, and another one is net1."""
    unnamed = "<interface type='bridge'><mac address='52:54:00:00:00:0{}'/><source bridge='{}'/><model type='virtio'/></interface>"
    for number in (5, 6):
        fake.guest.attach(unnamed.format(number, fake.bridges[0]), Half.LIVE)
    fake.guest.detach("net0", Half.LIVE)
    fake.guest.hold()
    outcome = fake.plugger.detach(fake.name, ["net1"], wait=1)
    assert outcome.reason == "guest-holds-device"
    _lose_journal(fake)
    fake.guest.restore(fake.guest.save())
    fake.guest.attach(unnamed.format(7, fake.bridges[0]), Half.LIVE)
    assert _names(fake) == ["net0", "net1"]
    return str(outcome.operation_id)


def test_a_nic_that_was_renumbered_is_told_by_the_alias_that_it_has_now(fake: World) -> None:
    operation = _renumbered(fake)
    assert fake.plugger.recover(wait=1) == ()
    (said,) = {event.text for event in fake.events if operation in event.text}
    assert "let go of net0 (52:54:00:00:00:06)" in said and "detach net0 again" in said and "net1" not in said
    (outcome,) = fake.plugger.recover(forget=operation)
    assert "net0 (52:54:00:00:00:06)" in outcome.message and "net1" not in outcome.message


def test_a_nic_that_was_renumbered_answers_for_itself_alone(fake: World) -> None:
    _renumbered(fake)
    fake.guest.resume()
    (number,) = [asked.nics[0].mac for asked in fake.carries().asked]
    fake.plugger.detach(fake.name, ["net1"], wait=5)
    assert number == "52:54:00:00:00:06" and [asked.nics[0].mac for asked in fake.carries().asked] == [number]
    fake.guest.attach(_at_its_place(fake), Half.LIVE)
    fake.plugger.detach(fake.name, [number], wait=5)
    assert not fake.carries().asked


def _at_its_place(fake: World) -> str:
    """The NIC that the guest was asked for, put in again where it was."""
    (nic,) = fake.carries().asked[0].nics
    place = xml.edit(
        f"<interface type='bridge'><mac address='{nic.mac}'/><source bridge='{fake.bridges[0]}'/><model type='virtio'/></interface>",
        {"address": PciAddress.parse(nic.address)},
    )
    return str(place)


# -- a guest that arrives connected to something else ----------------------------------------------------------


def _without_aliases(image: Image) -> Image:
    """As ``virsh restore --xml`` or a migration's definition for the destination has it."""
    for alias in list(image.live.iterfind("devices/interface/alias")):
        alias.getparent().remove(alias)
    return image


@pytest.mark.parametrize("kind", ["detach", "detach-both", "replace"])
def test_a_guest_that_is_restored_without_aliases_still_has_its_nic(fake: World, kind: str) -> None:
    _pending(fake, kind)
    fake.guest.restore(_without_aliases(fake.guest.save()))
    assert _recovered(fake, wait=1).reason == "guest-holds-device"
    fake.guest.resume()
    assert _recovered(fake, wait=30).result is Result.DONE
    live = xml.devices(fake.definition(Half.LIVE)).nets
    assert ("52:54:00:00:00:01" in {str(net.mac) for net in live}) == (kind in KEEPING)


def test_what_travels_does_not_go_on_without_the_alias_and_says_so(fake: World) -> None:
    _pending(fake, "detach")
    copy, fake.guest.save = fake.guest.save, lambda: _without_aliases(copy())
    assert arrived(fake).recover(wait=1) == ()
    assert any("That request goes no further" in event.text for event in fake.events)


def _cabled_anew(fake: World, image: Image) -> Image:
    """As a migration's definition for the destination has it, or an administrator before the guest left."""
    for source in image.live.iterfind("devices/interface/source"):
        source.set("bridge", fake.bridges[1])
    return image


def _arrived_cabled_anew(fake: World) -> Plugger:
    copy, fake.guest.save = fake.guest.save, lambda: _cabled_anew(fake, copy())
    return arrived(fake)


@pytest.mark.parametrize("kind", PENDING)
def test_what_travels_goes_on_with_a_nic_that_is_connected_to_something_else(fake: World, kind: str) -> None:
    _pending(fake, kind)
    _arrived_cabled_anew(fake)
    assert _recovered(fake, wait=1).reason == "guest-holds-device"
    fake.guest.resume()
    assert _recovered(fake, wait=30).result is Result.DONE
    assert ("ua-nic1" in _names(fake)) == (kind in KEEPING)
    live = xml.devices(fake.definition(Half.LIVE)).nets
    assert {net.source_bridge for net in live} == {fake.bridges[1]}, "nothing is moved back"


def test_a_nic_that_serves_in_the_place_of_another_stays_where_its_guest_arrives(fake: World) -> None:
    """A hand-over has died once its guest was as it should be. To put either NIC in again as it was would push out the one that serves."""
    _holding(fake, "handover")
    fake.guest.resume()
    act = lambda p: p.handover(fake.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=5)  # noqa: E731
    die(fake, act, "attach", after=True)
    plugger = arrived(fake)
    assert plugger.recover(wait=5) == () and fake.host.journal.open_operations() == []
    assert _names(fake) == ["ua-nic2"] and not fake.carries().asked
    assert sum("attach it again" in event.text for event in fake.events) == 2


def test_a_nic_that_cannot_be_told_any_more_is_said(fake: World) -> None:
    """libvirt makes its alias, so that MAC and source alone tell it."""
    element = "<interface type='bridge'><mac address='52:54:00:00:00:05'/><source bridge='{}'/><model type='virtio'/></interface>"
    fake.guest.attach(element.format(fake.bridges[0]), Half.LIVE)
    fake.guest.hold()
    fake.plugger.detach(fake.name, ["52:54:00:00:00:05"], scope=Scope.LIVE, wait=1)
    fake.guest.attach(fake.bridge_nic(7), Half.LIVE)
    plugger = _arrived_cabled_anew(fake)
    assert plugger.recover(wait=1) == ()
    assert any("That request goes no further" in event.text and fake.bridges[0] in event.text for event in fake.events)


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
    assert outcome.result is Result.UNDONE and len(outcome.warnings) == 1
    assert all(fake.bridges[1] in fake.definition(half) for half in Half)
