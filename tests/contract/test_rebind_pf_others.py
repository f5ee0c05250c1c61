"""Who else is alive while a PF is taken apart: a guest that ends, another tenant, an administrator."""

from __future__ import annotations

import pytest

from tests.contract.deaths import die
from tests.contract.test_hostdev import devices
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_rebind_pf import SETTINGS, VFS, has, rebind, second
from tests.contract.test_rebind_pf import house as house
from tests.contract.world import World
from virtnetplug.hotplug import guest
from virtnetplug.model.operation import Result


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "GRACE", 0.05)


def assert_is_returned(world: World, index: int) -> None:
    """Nobody has the VF, nothing is held of it, and it is set as a VF that was never lent."""
    vf, fake = VFS[index], devices(world)
    assert fake.found[vf].driver == "igbvf" and vf not in {each.address for each in world.host.journal.holdings()}
    assert vf not in [port.host_address for port in world.host.networks.ports("pool")]
    now = fake.set[vf]
    assert (now.trust, now.spoofchk, now.max_rate, now.vlan, now.qos) == (False, True, 0, 0, 0)


def test_the_vf_of_a_guest_that_ends_while_another_holds_on_is_given_back(house: World) -> None:
    second(house).hold()
    house.later(0.1, lambda: house.guest.destroy())
    assert rebind(house, reload_driver=True, wait=1).result is Result.PENDING
    assert_is_returned(house, 0)
    second(house).resume()
    assert [each.result for each in house.plugger.recover(wait=5)] == [Result.UNDONE]
    assert has(house) == {"second/ua-vf2": 1} and house.plugger.audit().findings == ()


def test_the_vf_of_a_guest_that_ends_before_the_recovery_is_given_back(house: World) -> None:
    die(house, lambda plugger: rebind(house, plugger, reload_driver=True), "attach", after=True)
    assert devices(house).set[VFS[0]].trust is SETTINGS["trust"], "it was set already"
    house.guest.destroy()
    assert [each.result for each in house.plugger.recover(wait=5)] == [Result.DONE]
    assert_is_returned(house, 0)
    assert has(house) == {"second/ua-vf2": 1} and house.plugger.audit().findings == ()
