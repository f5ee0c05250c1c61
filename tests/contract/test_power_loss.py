"""A host that loses power loses what was not on its disk. The tests cut the journal to its last fsync at every world of an operation.

Another boot of the host follows, with the guest from its definition, or from the image that it was saved to before. Then `recover` tells the truth,
and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.contract import operations
from tests.contract.conftest import one_fake_world
from tests.contract.faults import Crash, Trigger, faulty, kill_points
from tests.contract.test_hostdev import nic as vf_nic
from tests.contract.world import World
from tests.fakes.clock import FakeClock
from virtnetplug import xml
from virtnetplug.adapters.sqlite.database import Database
from virtnetplug.errors import VirtnetplugError
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half, OperationState

pytestmark = pytest.mark.timeout(100)

Act = Callable[[World, Plugger], Any]


def _nothing(world: World) -> None:
    """No NIC is there before."""


def _live(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1), world.network_nic(2)])


def _holding(world: World) -> None:
    _live(world)
    world.guest.hold()


def _lent(world: World) -> None:
    world.plugger.attach(world.name, [vf_nic(1)])


OPERATIONS: dict[str, tuple[Callable[[World], None], Act]] = {
    **{f"{kind}, both": one for kind, one in operations.OPERATIONS.items() if kind not in operations.GOVERNED},
    "attach": (_nothing, lambda w, p: p.attach(w.name, [w.bridge_nic(1), w.network_nic(2)])),
    "detach": (_live, lambda w, p: p.detach(w.name, ["ua-nic1", "ua-nic2"], wait=20)),
    "detach, pending": (_holding, lambda w, p: p.detach(w.name, ["ua-nic1", "ua-nic2"], wait=2)),
    "update": (_live, lambda w, p: p.update(w.name, "ua-nic1", {"link_state": "down"})),
    "rebind": (_live, lambda w, p: p.rebind(w.name, "ua-nic1", {"source_bridge": w.bridges[1]})),
    "attach a VF": (_nothing, lambda w, p: p.attach(w.name, [vf_nic(1)])),
    "detach a VF": (_lent, lambda w, p: p.detach(w.name, "ua-vf1", wait=20)),
    "replace": (_live, lambda w, p: p.update(w.name, "ua-nic1", {"model": "e1000"}, replace=True, wait=20)),
}


@contextmanager
def last_fsync(path: Path) -> Iterator[dict[str, bytes]]:
    """The files of the journal at `path` as they are on the disk: as its last durable commit left them."""
    on_disk: dict[str, bytes] = {}
    commit = Database._commit

    def keep() -> None:
        for each in (path, path.with_name(f"{path.name}-wal")):
            on_disk[each.name] = each.read_bytes() if each.exists() else b""

    def spied(self: Database, name: str) -> None:
        commit(self, name)
        if not name and self._is_durable:
            keep()

    keep()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "_commit", spied)
        yield on_disk


def lose_power(world: World, on_disk: dict[str, bytes], *, has_image: bool) -> None:
    """The guest may have been saved just before; another boot of the host starts it."""
    if has_image:
        world.guest.managed_save()
    world.host.journal.close()
    for name, content in on_disk.items():
        (world.state_dir / name).write_bytes(content)
    (world.state_dir / "journal.db-shm").unlink(missing_ok=True)
    world.host.hypervisor.reboot()  # type: ignore[attr-defined]
    world.guest.start()
    world.guest.resume()
    world.host = world.reopen()


def nics(world: World, half: Half = Half.LIVE) -> list[tuple[Any, ...]]:
    """What tells what an operation made of the NICs; the VF of a NIC may be another after a boot."""
    found = xml.devices(world.definition(half)).nets
    return sorted((net.alias, net.model, net.source_network or net.source_bridge, net.link_state) for net in found)


def settled(world: World) -> list[OperationState]:
    """The states of all operations, the newest first, once all is settled that can be; nothing is left, nor found."""
    for _ in range(3):
        outcomes = world.plugger.recover(wait=30)
    # Honest, and for a person to decide: the guest was saved before it carried that it was asked.
    unknown = [each.operation_id for each in outcomes if each.reason == "end-unknown" and not world.carries().asked]
    assert [record.id for record in world.host.journal.open_operations()] == unknown, outcomes
    assert [finding.device for finding in world.plugger.audit().findings] == unknown
    return [record.state for record in world.host.journal.history(limit=100)]


@pytest.mark.parametrize("has_image", [False, True], ids=["", "image"])
@pytest.mark.parametrize("kind", OPERATIONS)
def test_what_the_disk_lacks_is_never_said(memory: Path, kind: str, has_image: bool) -> None:
    prepare, act = OPERATIONS[kind]

    @contextmanager
    def fresh(name: str) -> Iterator[World]:
        (memory / name).mkdir()
        with one_fake_world(memory / name, FakeClock()) as world:
            pool = Network(name="pool", forward="hostdev", pf="eth0", managed=True)
            world.host.hypervisor.add_network(pool)  # type: ignore[attr-defined]
            prepare(world)
            yield world

    with fresh("whole") as world:
        counter, before = Trigger(-1, "none"), nics(world)
        act(world, Plugger(faulty(world.host, counter), lambda: None))
        pending = bool(world.host.journal.open_operations())
        world.guest.resume()
        settled(world)
        after = nics(world)
    for number, is_after in (*kill_points(counter.calls), (len(counter.calls), False)):
        with fresh(f"{number}-{is_after}") as world, last_fsync(world.state_dir / "journal.db") as on_disk:
            earlier = len(world.host.journal.history(limit=100))
            has_answer = False
            with suppress(Crash, VirtnetplugError):
                act(world, Plugger(faulty(world.host, Trigger(number, "crash", after=is_after)), lambda: None))
                has_answer = True
            lose_power(world, on_disk, has_image=has_image)
            where = f"cut {'after' if is_after else 'before'} call {number} of {counter.calls}"
            if has_answer and not pending:
                assert world.host.journal.history(limit=1)[0].state is OperationState.DONE, where
            states = settled(world)[: -earlier or None]
            assert len(states) <= 1, where
            if has_image:
                assert nics(world) == (after if states == [OperationState.DONE] else before), (where, states)
            else:
                assert nics(world) == nics(world, Half.CONFIG), where
