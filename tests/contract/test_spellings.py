"""A hypervisor whose URI is spelled otherwise is the same one; one with another key is another, be its guests of the same names and UUIDs."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.test_hostdev import nic as vf_nic
from tests.contract.test_hostdev import pool as pool
from tests.contract.world import World
from virtnetplug.backends.lending import held_for
from virtnetplug.errors import ClaimTaken, DomainBusy, VirtnetplugError
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.metrics.collector import exposition
from virtnetplug.model.operation import Result, Scope

OTHER_URI = "fake+unix:///host?socket=/run/libvirt/libvirt-sock"


def dialled(world: World, **changes: str) -> Plugger:
    """A plugger of another process's, whose hypervisor has another `uri` or `key`."""
    host = world.reopen()
    hypervisor: Any = copy.copy(host.hypervisor)
    for name, value in changes.items():
        setattr(hypervisor, name, value)
    return Plugger(dataclasses.replace(host, hypervisor=hypervisor), lambda: None)


def pending(world: World) -> str:
    """A detach that waits for its guest; returns its id."""
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.guest.hold()
    return world.plugger.detach(world.name, "ua-nic1", scope=Scope.BOTH, wait=1).operation_id


def test_a_pending_detach_is_seen_and_ended_by_another_spelling(fake: World) -> None:
    operation = pending(fake)
    other = dialled(fake, uri=OTHER_URI)
    (nic,) = other.list(fake.name)
    assert (nic.origin, nic.pending) == ("virtnetplug", operation)
    assert [record.id for record in other.history()] == [record.id for record in fake.plugger.history()]
    assert other.audit().findings == ()
    with pytest.raises(VirtnetplugError) as caught:
        other.attach(fake.name, [fake.bridge_nic(2, alias="ua-nic1")])
    assert operation in caught.value.message or caught.value.reason == "alias-taken", "its alias is reserved"
    fake.guest.resume()
    assert [outcome.result for outcome in other.recover(wait=10)] == [Result.DONE]
    assert fake.plugger.list(fake.name) == () and fake.host.journal.open_operations() == []


def test_what_a_crash_left_is_undone_by_another_spelling(fake: World) -> None:
    before = fake.snapshot()
    die(fake, lambda p: p.attach(fake.name, [fake.network_nic(1)], scope=Scope.BOTH), "attach", after=True)
    assert [outcome.result for outcome in dialled(fake, uri=OTHER_URI).recover()] == [Result.UNDONE]
    assert fake.snapshot() == before


def test_the_lock_is_one(fake: World) -> None:
    mine, others = fake.host, dialled(fake, uri=OTHER_URI)._host
    domain = mine.hypervisor.domain(fake.name)
    with Lock(others, [domain], 0, least=0), pytest.raises(DomainBusy):
        Lock(mine, [domain], 0, least=0).take()


def test_the_uri_stays_as_it_was_dialled(fake: World) -> None:
    other = dialled(fake, uri=OTHER_URI)
    other.attach(fake.name, [fake.bridge_nic(1)])
    assert (other.uri, fake.plugger.uri) == (OTHER_URI, "fake:///host")
    (record,) = fake.plugger.history()
    (nic,) = fake.host.journal.nics()
    assert record.uri == nic.uri == OTHER_URI


def test_metrics_show_a_nic_as_leaving_that_another_spelling_asks_for(fake: World) -> None:
    dialled(fake, uri=OTHER_URI).attach(fake.name, [fake.bridge_nic(1)])
    fake.guest.hold()
    fake.plugger.detach(fake.name, "ua-nic1", wait=1)
    (line,) = [line for line in exposition(fake.host.journal).decode().splitlines() if "device_info{" in line]
    assert 'frontend="Closing"' in line and f'uri="{OTHER_URI}"' in line


def test_another_daemon_is_another_world(fake: World) -> None:
    operation = pending(fake)
    other = dialled(fake, key="fake:socket=/srv/b")
    (nic,) = other.list(fake.name)
    assert (nic.origin, nic.pending) == ("virtnetplug", operation), (
        "the guest itself says so: it is one domain of two daemons here"
    )
    assert other.history() == other.recover(wait=1) == ()
    with fake.host.journal.lock(fake.host.hypervisor.key, fake.guest.uuid):
        other.attach(fake.name, [fake.bridge_nic(2)])
    assert [record.id for record in fake.host.journal.open_operations()] == [operation]
    assert [nic.alias for nic in fake.host.journal.nics(fake.host.hypervisor.key)] == ["ua-nic1"]
    assert {nic.alias: nic.origin for nic in fake.plugger.list(fake.name)} == {
        "ua-nic1": "virtnetplug",
        "ua-nic2": "virtnetplug",
    }


def test_a_device_comes_back_by_another_spelling_and_by_no_other_daemon(pool: World) -> None:
    pool.plugger.attach(pool.name, [vf_nic()])
    pool.guest.destroy()
    (holding,) = pool.host.journal.holdings()
    other = dialled(pool, key="fake:socket=/srv/b")
    assert other.recover() == () and pool.host.journal.holdings() == [holding]
    held = [held_for(plugger._host, pool.guest, "ua-vf1") for plugger in (other, pool.plugger)]
    assert held == [[], [holding]], "a domain may have its UUID in two daemons, and a NIC its alias"
    kinds = [finding.kind for finding in other.audit().findings]
    assert "device-leaked" not in kinds
    assert [outcome.result for outcome in dialled(pool, uri=OTHER_URI).recover()] == [Result.DONE]
    assert pool.host.journal.holdings() == []


def test_no_two_daemons_have_one_device(pool: World) -> None:
    """Host devices are the host's: a row is unique by the address alone."""
    pool.plugger.attach(pool.name, [vf_nic()])
    (holding,) = pool.host.journal.holdings()
    with pytest.raises(ClaimTaken):
        pool.host.journal.hold(dataclasses.replace(holding, hypervisor="fake:socket=/srv/b", operation_id="another"))
