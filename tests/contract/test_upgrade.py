"""Every record that the last virtnetplug of journal version 3 can leave open is finished or undone by the present one.

That virtnetplug itself wrote the records and their worlds, in ``tests/golden/journals/v3``; ``write_v3.py`` beside them explains the cases.
"""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract import golden_worlds, test_hostdev, test_rebind_pf, test_rebind_vf, test_steps
from tests.contract.conftest import fake_world
from tests.contract.test_hostdev import devices, state_of
from tests.contract.test_rebind_vif import Dom0
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.xen import FakeXen
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.hotplug.vif import netback, rebind_vif
from virtnetplug.model.operation import OPEN_STATES, OperationState, Result

BROKEN = {"killed", "incomplete", "lost"}
ASKED = {"pending", "waiting", "resuming"}

WAYS: tuple[tuple[set[str], tuple[str, ...]], ...] = (
    (BROKEN | {"undoing"}, ("attach", "update", "rebind", "heal", "marker", "forget", "policy", "rebind-vif-one")),
    (BROKEN | {"undoing"}, ("vf-attach", "vf-attach-with-settings", "vf-set")),
    (BROKEN | ASKED, ("detach", "remember", "enforcement", "stand-in")),
    (BROKEN | ASKED | {"undoing"}, ("replace", "handover", "handback", "vf-detach", "vf-replace", "vf-become-a-vf")),
    (BROKEN | ASKED | {"undoing"}, ("vf-handover", "vf-handback", "rebind-vf-other")),
    ({"killed", "incomplete", "undoing"}, ("rebind-vif-all",)),
    ({"killed", "incomplete", "pending-fake"} | ASKED, ("rebind-pf-reload",)),
    ({"killed", "pending", "pending-fake"}, ("rebind-pf-more", "rebind-pf-fewer", "rebind-pf-hook")),
    ({"killed", "pending"}, ("detach-live", "replace-live", "handover-live", "vf-replace-unmanaged", "rebind-vf-auto")),
    ({"killed"}, ("attach-live", "attach-config", "detach-config", "update-live", "update-config", "rebind-live")),
    ({"killed"}, ("heal-elsewhere", "vf-set-both")),
)
"""The ways in which operations are left open, and the names of those operations."""

GOVERNED = {"policy": "policy", "remember": "policy", "enforcement": "attach", "stand-in": "detach"}
"""What was asked for, where a policy has operations of its own done beside it."""

CASES = [(name, case) for name in golden_worlds.names() for case in golden_worlds.cases(name)]
OPEN = [(name, case) for name, case in CASES if name != "holdings" and case not in ("before", "after")]
HELD = [case for name, case in CASES if name == "holdings" and case != "before"]


@contextmanager
def left(name: str, case: str, place: Path) -> Iterator[Any]:
    """The world of that case, opened by the present virtnetplug; its journal is in a new directory in `place`, which goes with it."""
    facts = golden_worlds.golden(name).world(case)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place)))
        golden_worlds.write_journal(name, case, directory / "state")
        if name.startswith("rebind-vif-"):
            dom0 = Dom0(FakeXen(), FakeHypervisor(), directory / "state")
            golden_worlds.fill(dom0.hypervisor, facts, dom0.xen)
            dom0.open()
            stack.callback(dom0.host.journal.close)
            yield dom0
            return
        world = stack.enter_context(contextmanager(fake_world)(directory))
        golden_worlds.fill(world.host.hypervisor, facts)
        devices(world).hooks["flash"] = lambda pf: devices(world).set_numvfs(pf, 0)
        yield world


def seen(name: str, world: Any) -> Any:
    """All that an operation may change, in the form in which the operation's own tests compare it."""
    if name.startswith("rebind-vif-"):
        return world.whole()
    if name.startswith("rebind-pf-"):
        whole = test_rebind_pf.whole(world)
        return {part: whole[part] for part in whole if part not in ("free", "devices")}  # VFs made anew are other VFs
    if name.startswith("rebind-vf-"):
        return _without_identities(test_rebind_vf.as_before(state_of(world)))
    for domain in world.host.hypervisor.all.values():
        _drop_empty_metadata(domain)
    if name.startswith("vf-") or name == "holdings":
        return _without_identities(test_hostdev._without_order(state_of(world)))
    return test_steps._without_order(world.snapshot())


def _without_identities(state: Any) -> Any:
    """Version 3 did not write down which VF it held."""
    return {**state, "held": [dataclasses.replace(one, identity=None) for one in state["held"]]}


def _drop_empty_metadata(domain: Any) -> None:
    """Libvirt keeps the element ``<metadata>`` after its last child is removed."""
    for tree in (domain._live, domain._config):
        metadata = None if tree is None else tree.find("metadata")
        if metadata is not None and len(metadata) == 0:
            tree.remove(metadata)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for the worlds. A `tmp_path` for each of them would cost a tenth of these tests' time."""
    return tmp_path_factory.mktemp("golden")


@pytest.fixture(scope="module")
def seen_in(place: Path) -> Callable[[str, str], Any]:
    """Gives what is seen in a case that needs no recovery."""

    @functools.cache
    def look(name: str, case: str) -> Any:
        with left(name, case, place) as world:
            return seen(name, world)

    return look


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recovery waits for vifs in real time."""
    monkeypatch.setattr(netback, "ORPHAN_SECONDS", 0.05)
    monkeypatch.setattr(netback, "LOOK_AGAIN", 0.01)
    monkeypatch.setattr(rebind_vif, "CONNECT_SECONDS", 0.05)


@pytest.mark.many(12)
@pytest.mark.parametrize(("name", "case"), OPEN)
def test_what_was_left_open_is_finished_or_undone(
    name: str, case: str, place: Path, seen_in: Callable[[str, str], Any]
) -> None:
    before, after = seen_in(name, "before"), seen_in(name, "after")
    with left(name, case, place) as world:
        journal = world.host.journal
        assert len(world.plugger.plan_recover()) >= len(journal.open_operations()) > 0
        for domain in world.host.hypervisor.all.values():
            domain.resume()
        outcomes = world.plugger.recover(wait=20)
        assert {outcome.result for outcome in outcomes} <= {Result.DONE, Result.UNDONE}
        assert journal.open_operations() == [] and world.plugger.recover(wait=20) == ()
        now = seen(name, world)
        assert now in ([after] if only_goes_forward(name, case) else [before, after])
        ends = {OperationState.DONE} if now == after else set()
        ends |= {OperationState.UNDONE, OperationState.REFUSED} if now == before else set()
        assert end_of(world.host, name, golden_worlds.operations(name, "before")) in ends
        assert_nothing_is_left_over(world.host, world.plugger)


def only_goes_forward(name: str, case: str) -> bool:
    """Whether the guest was asked in an operation that is not given up then; for a PF all guests are asked first."""
    return case.startswith(("pending", "resuming")) and not name.startswith("rebind-pf-")


def end_of(host: Host, name: str, before: Collection[str]) -> OperationState:
    """How the operation that was asked for ended; an operation that never began counts as undone. `before` are earlier ones."""
    records = [record for record in reversed(host.journal.history(limit=99)) if record.id not in before]
    asked = [record for record in records if record.operation == GOVERNED.get(name, record.operation)]
    return asked[0].state if asked else OperationState.UNDONE


def assert_nothing_is_left_over(host: Host, plugger: Plugger) -> None:
    """Each tap, network port and held device belongs to a NIC, and each NIC has its own."""
    hypervisor: Any = host.hypervisor
    nics = [nic for nic in plugger.list() if nic.live]
    assigned = sorted(nic.host_address for nic in nics if nic.host_address is not None)
    assert sorted(holding.address for holding in host.journal.holdings()) == assigned
    assert not any(holding.quarantine for holding in host.journal.holdings())
    assert sorted(hypervisor.devices.held) == assigned and hypervisor.devices.deadlocks == []
    assert sorted(hypervisor.taps) == sorted(nic.target for nic in nics if nic.target is not None)
    assert len(hypervisor.net_ports) == len([nic for nic in nics if nic.network is not None])


@pytest.mark.parametrize("case", HELD)
def test_what_is_held_for_nobody_is_given_back(case: str, place: Path, seen_in: Callable[[str, str], Any]) -> None:
    before = seen_in("holdings", "before")
    with left("holdings", case, place) as world:
        assert len(world.host.journal.holdings()) == 1
        assert [outcome.result for outcome in world.plugger.recover()] == [Result.DONE]
        assert world.plugger.recover() == () and world.host.journal.holdings() == []
        if not world.guest.state().is_active:
            world.guest.start()
        if case.startswith("gone"):
            assert world.host.networks.ports("pool") == []
        else:
            assert seen("holdings", world) == before


def test_every_operation_is_there_in_every_way_it_can_be_left_open() -> None:
    found: dict[str, set[str]] = {}
    for name, case in OPEN:
        found.setdefault(name, set()).add(case.partition(" ")[0])
    assert found == {name: ways for ways, names in WAYS for name in names}
    assert all({"before", "after"} <= set(golden_worlds.cases(name)) for name in found)
    assert (len(OPEN), len(HELD)) == (941, 8)


def test_every_kind_of_record_is_there() -> None:
    assert "PRAGMA user_version = 3;" in golden_worlds.JOURNALS.joinpath("schema.sql").read_text()
    operations = [row for name in golden_worlds.names() for row in golden_worlds.rows(name, "operations")]
    assert {row["operation"] for row in operations} == {
        *("attach", "detach", "update", "rebind", "rebind-vf", "rebind-pf"),
        *("handover", "handback", "remember", "forget", "policy"),
    }
    assert {row["state"] for row in operations} == {*OPEN_STATES, OperationState.DONE, OperationState.UNDONE}
    holdings = [row for name in golden_worlds.names() for row in golden_worlds.rows(name, "holdings")]
    kinds = {(bool(row["domain_uuid"]), bool(row["quarantine"]), bool(row["network"])) for row in holdings}
    assert {(True, False, True), (True, False, False), (True, True, True), (False, False, False)} <= kinds
