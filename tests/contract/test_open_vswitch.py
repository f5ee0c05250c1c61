"""Taps that are ports of Open vSwitch bridges: found out of them, healed, and said; the lab shows the same of a real one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.faults import Crash, Trigger, faulty
from tests.contract.test_rebind import audited, net
from tests.contract.world import World
from tests.fakes.hypervisor import FakeHypervisor
from virtnetplug.errors import Failed, HypervisorFailed, RollbackIncomplete, TapElsewhere
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.change.heal import Heal
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.interface import Vlan, VlanTag
from virtnetplug.model.operation import Outcome, Result
from virtnetplug.ports.domain import Domain
from virtnetplug.ports.host import SwitchPort

INTERFACE = "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f"
EXTRA = (
    "<vlan><tag id='42'/></vlan><virtualport type='openvswitch'>"
    f"<parameters interfaceid='{INTERFACE}' profileid='web'/></virtualport>"
)


def hypervisor(world: World) -> FakeHypervisor:
    assert isinstance(world.host.hypervisor, FakeHypervisor)
    return world.host.hypervisor


def _moved(host: Host, domain: Domain) -> Outcome:
    """Healed, also out of another bridge."""
    with Lock(host, [domain], 1.0) as lock:
        return Heal("ua-nic1", may_move=True).prepare(host, domain).run(host, lock, 0.0)


@pytest.fixture
def switched(fake: World) -> World:
    """With a NIC in one of two Open vSwitch bridges."""
    for name in ("ovsbr0", "ovsbr1"):
        hypervisor(fake).add_switch(name)
    fake.plugger.attach(fake.name, [fake.bridge_nic(1, bridge="ovsbr0", extra=EXTRA)])
    assert audited(fake) == []
    return fake


def tap(world: World) -> str:
    return net(world).target_dev or ""


def cut_off(world: World) -> None:
    """``ovs-vsctl del-br ovsbr0; ovs-vsctl add-br ovsbr0``."""
    hypervisor(world).add_switch("ovsbr0")


def put(where: str | None) -> Callable[[World], None]:
    def act(world: World) -> None:
        hypervisor(world)._leave(tap(world))
        if where is not None:
            hypervisor(world).bridges[where].add(tap(world))

    return act


def test_a_bridge_made_anew_has_its_port_again_with_all_that_libvirt_told_it(switched: World) -> None:
    cut_off(switched)
    assert audited(switched) == ["tap-not-in-bridge"]
    (plan,) = switched.plugger.plan_heal()
    assert plan.fits and [step.name for step in plan.steps] == ["join_bridge", "verify"]
    assert switched.members("ovsbr0") == set()
    (outcome,) = switched.plugger.heal()
    assert outcome.result is Result.DONE and "is in bridge ovsbr0" in outcome.message
    assert hypervisor(switched).switches["ovsbr0"] == {
        tap(switched): SwitchPort(
            mac="52:54:00:00:00:01",
            domain_uuid=switched.host.hypervisor.domain(switched.name).uuid,
            interface_id=INTERFACE,
            profile_id="web",
            vlan=Vlan((VlanTag(42),)),
        )
    }
    assert hypervisor(switched).introduced == []
    assert audited(switched) == [] and switched.plugger.heal() == ()


@pytest.mark.parametrize("where", ["ovsbr1", "br0"])
def test_in_another_bridge_it_is_left_and_put_back_by_a_repair_alone(switched: World, where: str) -> None:
    put(where)(switched)
    assert audited(switched) == ["tap-in-other-bridge"]
    with pytest.raises(TapElsewhere, match=f"is in bridge {where}, and its definition says ovsbr0"):
        switched.plugger.heal(switched.name, "ua-nic1")
    assert switched.members(where) == {tap(switched)}
    report = switched.plugger.repair(switched.plugger.audit())
    assert [finding.repaired for finding in report.findings] == [True]
    assert (switched.members(where), switched.members("ovsbr0")) == (set(), {tap(switched)})
    assert audited(switched) == []


@pytest.mark.parametrize("where", ["ovsbr0", "ovsbr1"])
def test_a_linux_bridges_nic_is_taken_out_of_a_switch(switched: World, where: str) -> None:
    switched.plugger.detach(switched.name, "ua-nic1")
    switched.plugger.attach(switched.name, [switched.bridge_nic(1)])
    put(where)(switched)
    switched.plugger.repair(switched.plugger.audit())
    assert (switched.members(where), switched.members("br0")) == (set(), {tap(switched)})


@pytest.mark.parametrize("way", [cut_off, put("ovsbr1"), put("br0")], ids=["out", "in another", "in a Linux bridge"])
@pytest.mark.parametrize("kind", ["fail", "crash"])
def test_cut_off_at_every_call_it_is_where_it_was_or_where_it_belongs(
    switched: World, way: Callable[[World], None], kind: str
) -> None:
    """Where it was, if it failed; where it belongs, once what was cut off has been recovered."""

    def act(trigger: Trigger) -> None:
        host = faulty(switched.host, trigger)
        _moved(host, host.hypervisor.domain(switched.name))

    count = Trigger(-1, "none")
    way(switched)
    act(count)
    assert "links.join_switch" in count.calls
    for at in range(len(count.calls)):
        for after in (False, True):
            way(switched)
            before = {bridge: set(taps) for bridge, taps in hypervisor(switched).bridges.items()}
            what = f"{kind} {'after' if after else 'at'} {at} {count.calls[at]}"
            try:
                act(Trigger(at, kind, after=after))
            except (Failed, HypervisorFailed, RollbackIncomplete):
                pass
            except Crash:
                switched.host.journal.close()
                switched.host = switched.reopen()
                outcomes = switched.plugger.recover()
                assert all(outcome.result in (Result.DONE, Result.UNDONE) for outcome in outcomes), what
            is_home = switched.members("ovsbr0") == {tap(switched)}
            assert is_home or hypervisor(switched).bridges == before, what
            assert switched.snapshot()["open"] == [], what


def test_one_that_will_not_take_it_is_an_error_and_nothing_is_changed(
    switched: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, bridge: str, port: SwitchPort) -> None:
        raise Failed("Open vSwitch would not", reason="link-not-set")

    cut_off(switched)
    before = switched.snapshot()
    monkeypatch.setattr(hypervisor(switched), "join_switch", refuse)
    with pytest.raises(Failed, match="would not") as caught:
        Plugger(switched.host, lambda: None).heal(switched.name, "ua-nic1")
    assert (caught.value.reason, caught.value.exit_code) == ("link-not-set", 4)
    assert switched.snapshot() == before


@pytest.mark.parametrize("where", ["br0", "ovsbr1"])
def test_a_bridge_that_goes_while_it_is_left_is_no_success_of_the_undo(
    switched: World, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:

    def refuse(name: str, bridge: str, port: SwitchPort) -> None:
        hypervisor(switched)._leave(name)
        hypervisor(switched).bridges.pop(where, None)
        hypervisor(switched).switches.pop(where, None)
        raise Failed("Open vSwitch would not", reason="link-not-set")

    put(where)(switched)
    monkeypatch.setattr(hypervisor(switched), "join_switch", refuse)
    domain = switched.host.hypervisor.domain(switched.name)
    with pytest.raises(RollbackIncomplete) as caught:
        _moved(switched.host, domain)
    assert where in str(caught.value.undo_failures)
