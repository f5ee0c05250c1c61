"""The metrics of the journal beside what `list` says: while an operation waits, and once it waits no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.contract.test_hostdev import nic
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_rebind_pf import house as house
from tests.contract.test_rebind_pf import rebind
from tests.contract.world import World
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.metrics import exposition
from virtnetplug.model.operation import Result, Scope

PENDING = "virtnetplug_detach_pending"
OLDEST = "virtnetplug_oldest_detach_pending_timestamp_seconds"


def samples(world: World) -> list[Sample]:
    """As another process has them: what is not durable is not among them."""
    directory: Any = world.host.journal
    reader = SqliteJournal.open(directory.directory, read_only=True)
    text = exposition(reader).decode()
    reader.close()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def value(world: World, name: str, **labels: str) -> float | None:
    return next(
        (one.value for one in samples(world) if one.name == name and labels.items() <= one.labels.items()), None
    )


def listed(world: World) -> dict[tuple[str, str | None], tuple[str, str]]:
    return {(one.domain, one.alias): (one.frontend, one.backend) for one in world.plugger.list() if one.live}


def exposed(world: World) -> dict[tuple[str, str | None], tuple[str, str]]:
    return {
        (one.labels["domain"], one.labels["alias"]): (one.labels["frontend"], one.labels["backend"])
        for one in samples(world)
        if one.name == "virtnetplug_device_info"
    }


def test_list_and_metrics_say_the_same_states(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)])
    key = fake.name, "ua-nic1"
    assert listed(fake) == exposed(fake) and exposed(fake)[key] == ("Unknown", "Connected")
    fake.guest.hold()
    fake.later(1, lambda: seen.append((listed(fake), exposed(fake))))
    seen: list[Any] = []
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=2).result is Result.PENDING
    seen.append((listed(fake), exposed(fake)))
    assert [shown for shown, _ in seen] == [shown for _, shown in seen]
    assert [shown[key] for shown, _ in seen] == [("Closing", "Closing")] * 2
    assert exposed(fake)[fake.name, "ua-nic2"] == ("Unknown", "Connected")
    fake.guest.resume()
    fake.plugger.recover(wait=5)
    assert listed(fake) == exposed(fake) and key not in exposed(fake)


def detach(world: World) -> Result:
    return world.plugger.detach(world.name, "ua-nic1", wait=2).result


def replace(world: World) -> Result:
    return world.plugger.update(world.name, "ua-nic1", {"model": "e1000"}, replace=True, wait=2).result


def hand_over(world: World) -> Result:
    return world.plugger.handover(world.name, "ua-nic1", world.network_nic(2), scope=Scope.BOTH, wait=2).result


def waits(world: World, run: Callable[[World], Result]) -> list[tuple[float | None, float | None]]:
    """How many guests are waited for, and since when: a second after the guest was asked, at the end, and after recovery."""
    seen: list[tuple[float | None, float | None]] = []

    def look() -> None:
        seen.append((value(world, PENDING), value(world, OLDEST)))

    world.guest.hold()
    world.later(1, look)
    assert run(world) is Result.PENDING
    look()
    world.guest.resume()
    world.plugger.recover(wait=20)
    look()
    return seen


@pytest.mark.parametrize("run", [detach, replace, hand_over])
def test_a_guest_that_is_waited_for_counts_as_one_that_is_pending(fake: World, run: Callable[[World], Result]) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    start = fake.host.clock.now()
    assert waits(fake, run) == [(1, start), (1, start), (0, None)]


def test_every_nic_of_a_detach_counts_while_the_first_is_waited_for(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)])
    start = fake.host.clock.now()
    seen = waits(fake, lambda world: world.plugger.detach(world.name, ["ua-nic1", "ua-nic2"], wait=2).result)
    assert seen == [(2, start), (2, start), (0, None)]


def test_a_nic_that_has_gone_counts_no_longer_while_the_next_is_waited_for(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)])
    start, seen = fake.host.clock.now(), []
    fake.guest.hold()
    fake.later(1, lambda: fake.guest.let_go("ua-nic1"))
    fake.later(2, lambda: seen.append((value(fake, PENDING), value(fake, OLDEST))))
    assert fake.plugger.detach(fake.name, ["ua-nic1", "ua-nic2"], wait=3).result is Result.PENDING
    assert seen == [(1, start)]


def test_a_vf_that_moves_counts(pool: World) -> None:
    pool.plugger.attach(pool.name, [nic(1)])
    start = pool.host.clock.now()
    seen = waits(pool, lambda world: world.plugger.rebind_vf(world.name, "ua-vf1", "auto", wait=2).result)
    assert seen == [(1, start), (1, start), (0, None)]


def test_the_vfs_of_a_pf_that_is_rebound_count(house: World) -> None:
    """The first guest holds on; that the second let go is known once it is looked at, and it has its VF again."""
    start = house.host.clock.now()
    states: list[Any] = []
    house.later(1, lambda: states.append((listed(house), exposed(house))))
    seen = waits(house, lambda world: rebind(world, reload_driver=True, wait=2).result)
    assert [count for count, _ in seen] == [2, 1, 0]
    assert seen[0][1] == seen[1][1] == start
    ((shown, told),) = states
    assert shown == {key: told[key] for key in shown} and ("second", "ua-vf2") not in shown
    assert told[house.name, "ua-vf1"] == told["second", "ua-vf2"] == ("Closing", "Closing")


def test_the_three_rebinds_are_told_apart(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.plugger.rebind(fake.name, "ua-nic1", {"source_network": fake.network})
    fake.restart_network()
    fake.plugger.heal(fake.name, "ua-nic1")
    counted = [one.labels for one in samples(fake) if one.name == "virtnetplug_operations_total"]
    kinds = sorted((one["operation"], one.get("kind", ""), one["device_type"]) for one in counted)
    assert kinds == [("attach", "", "bridge"), ("rebind", "heal", "network"), ("rebind", "move", "bridge")]
    assert value(fake, "virtnetplug_operation_duration_seconds_count", operation="rebind", kind="heal") == 1
