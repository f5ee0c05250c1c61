"""Rebind: another network or bridge behind a NIC, and the same one again after it was made anew; on both hosts."""

from __future__ import annotations

from collections.abc import Iterator

import libvirt
import pytest

from tests.contract.faults import Crash, Trigger, faulty
from tests.contract.world import World
from tests.real import links
from tests.real.namespace import is_root_of_the_machine
from virtnetplug import xml
from virtnetplug.errors import (
    DomainNotRunning,
    Failed,
    NeedsReplace,
    NetworkInactive,
    NicMissing,
    PortForeign,
    Refused,
    TapElsewhere,
    TapForeign,
    UsageError,
)
from virtnetplug.hotplug.change import rebind
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.interface import Interface, Limit, Vlan, VlanTag
from virtnetplug.model.network import Network, Portgroup
from virtnetplug.model.operation import Half, Result, Scope


def net(world: World, half: Half = Half.LIVE, alias: str = "ua-nic1") -> Interface:
    nets = xml.devices(world.host.hypervisor.domain(world.name).xml(half)).nets
    return next(each for each in nets if each.alias == alias)


def names(outcome: object) -> list[str]:
    return [step.name for step in outcome.steps]  # type: ignore[attr-defined]


def network_bridge(world: World) -> str:
    return world.host.networks.network(world.network).bridge or ""


def audited(world: World) -> list[str]:
    return [finding.kind for finding in world.plugger.audit().findings]


# -- another network or bridge ------------------------------------------------------------------


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
def test_from_a_bridge_to_a_network_and_back(world: World, scope: Scope) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1, alias="ua-nic1")], scope=Scope.BOTH)
    before, config = net(world), net(world, Half.CONFIG)

    outcome = world.plugger.rebind(world.name, "ua-nic1", {"source_network": world.network}, scope=scope)
    assert (outcome.operation, outcome.result) == ("rebind", Result.DONE)
    assert names(outcome)[:4] == ["change", "confirm", "join_bridge", "verify"]
    now = net(world)
    assert (now.source_network, now.target_dev, now.address) == (world.network, before.target_dev, before.address)
    assert world.members(network_bridge(world)) == {now.target_dev}
    assert world.members(world.bridges[0]) == set()
    (port,) = world.host.networks.ports(world.network)
    assert (port.uuid, port.mac) == (now.source_portid, before.mac)
    assert (net(world, Half.CONFIG).source_network == world.network) == (scope is Scope.BOTH)

    world.plugger.rebind(world.name, "ua-nic1", {"source_bridge": world.bridges[1]}, scope=scope)
    assert (world.members(world.bridges[1]), world.ports()) == ({before.target_dev}, 0)
    assert (net(world, Half.CONFIG) == config) == (scope is Scope.LIVE)
    assert audited(world) == ([] if scope is Scope.BOTH else ["config-differs"])
    assert world.plugger.list(world.name)[0].source == world.bridges[1]


def test_twice_is_once(world: World) -> None:
    for nic, changes in (
        (world.network_nic(1), {"source_network": world.network, "type": "network"}),
        (world.bridge_nic(2), {"source_bridge": world.bridges[1]}),
    ):
        world.plugger.attach(world.name, [nic])
        alias = xml.interface(nic).alias or ""
        world.plugger.rebind(world.name, alias, changes)
        before = world.snapshot()
        assert world.plugger.rebind(world.name, alias, changes).result is Result.ALREADY
        plan = world.plugger.plan_rebind(world.name, alias, changes)
        assert (plan.fits, plan.steps, plan.warnings) == (True, (), ("already as asked; nothing would be changed",))
        assert world.snapshot() == before


def test_a_plan_says_it_and_touches_nothing(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    before = world.snapshot()
    plan = world.plugger.plan_rebind(world.name, "ua-nic1", {"source_network": world.network}, flap_link=True)
    assert (plan.operation, plan.fits) == ("rebind", True)
    assert [step.name for step in plan.steps] == ["change", "confirm", "join_bridge", "verify", "flap_link"]
    assert world.network in plan.diff["live"]
    assert world.snapshot() == before


def test_a_link_flaps_only_if_it_is_asked_to(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    outcome = world.plugger.rebind(world.name, "ua-nic1", {"source_bridge": world.bridges[1]}, flap_link=True)
    assert names(outcome)[-1] == "flap_link"
    assert net(world).link_state in (None, "up")
    quiet = world.plugger.rebind(world.name, "ua-nic1", {"source_bridge": world.bridges[0]})
    assert "flap_link" not in names(quiet)


def test_a_link_that_is_down_stays_down(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1, extra="<link state='down'/>")])
    world.plugger.rebind(world.name, "ua-nic1", {"source_bridge": world.bridges[1]}, flap_link=True)
    assert net(world).link_state == "down"


def test_what_needs_a_replacement_is_refused_without_it(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    before = world.snapshot()
    with pytest.raises(NeedsReplace):
        world.plugger.rebind(
            world.name, "ua-nic1", {"type": "direct", "source_dev": world.bridges[1], "source_bridge": None}
        )
    assert world.snapshot() == before


def test_a_nic_that_is_cut_off_moves_to_where_there_is_a_network(world: World) -> None:
    world.plugger.attach(world.name, [world.network_nic(1)])
    world.stop_network()
    outcome = world.plugger.rebind(world.name, "ua-nic1", {"source_bridge": world.bridges[0]})
    assert outcome.result is Result.DONE
    assert world.members(world.bridges[0]) == {net(world).target_dev}
    world.start_network()
    assert audited(world) == []


def test_its_own_network_again_heals_it(world: World) -> None:
    world.plugger.attach(world.name, [world.network_nic(1)])
    world.restart_network()
    changes = {"type": "network", "source_network": world.network}
    assert names(world.plugger.plan_rebind(world.name, "ua-nic1", changes))[0] == "restore_port"
    assert world.plugger.rebind(world.name, "ua-nic1", changes).result is Result.DONE
    assert audited(world) == []


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mac": "52:54:00:00:00:99"},
        {"source_bridge": "br0", "model": "e1000"},
    ],
)
def test_what_is_no_rebind_is_a_usage_error(fake: World, changes: dict[str, object]) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    with pytest.raises(UsageError):
        fake.plugger.rebind(fake.name, "ua-nic1", changes)
    with pytest.raises(UsageError):
        fake.plugger.rebind(fake.name, "ua-nic1", {"source_bridge": "br1"}, scope=Scope.CONFIG)


def test_targets_that_are_not_there_are_refused(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1), world.network_nic(2)])
    before = world.snapshot()
    for changes in (
        {"source_bridge": "no-such"},
        {"source_network": "no-such"},
        {"source_network": world.network, "source_portgroup": "no-such"},
        {"source_bridge": "../" * 40},
        {"source_bridge": "br0' onload='x"},
        {"source_network": "&x;"},
    ):
        with pytest.raises(Refused):
            world.plugger.rebind(world.name, "ua-nic1", changes)
    for selector in ("ua-nic9", "", "52:54:00:00:00:99", "'; rm"):
        with pytest.raises(NicMissing):
            world.plugger.rebind(world.name, selector, {"source_bridge": world.bridges[1]})
        with pytest.raises(NicMissing):
            world.plugger.heal(world.name, selector)
    assert world.snapshot() == before


def test_a_domain_that_does_not_run(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    fake.guest.destroy()
    with pytest.raises(DomainNotRunning):
        fake.plugger.rebind(fake.name, "ua-nic1", {"source_bridge": fake.bridges[1]})
    with pytest.raises(DomainNotRunning):
        fake.plugger.heal(fake.name, "ua-nic1")
    assert fake.plugger.heal() == ()


# -- what is behind it must be its own ------------------------------------------------------------


def test_a_nic_of_a_guest_that_does_not_run_is_for_an_update_of_the_definition(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.guest.destroy()
    with pytest.raises(DomainNotRunning, match=r"`update\(scope=Scope\.CONFIG\)`"):
        world.plugger.rebind(world.name, "ua-nic1", {"source_bridge": world.bridges[1]}, scope=Scope.LIVE)


def test_a_tap_in_another_bridge_is_refused_and_both_are_said(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    world.host.links.set_master(net(world).target_dev or "", world.bridges[1])
    before = world.snapshot()
    for call in (
        lambda: world.plugger.rebind(world.name, "ua-nic1", {"source_network": world.network}),
        lambda: world.plugger.heal(world.name, "ua-nic1"),
    ):
        with pytest.raises(TapElsewhere) as said:
            call()
        assert world.bridges[0] in said.value.message and world.bridges[1] in said.value.message
    (outcome,) = world.plugger.heal()
    assert (outcome.result, outcome.reason) == (Result.REFUSED, "tap-elsewhere")
    assert not world.plugger.plan_heal()[0].fits
    assert not world.plugger.plan_rebind(world.name, "ua-nic1", {"source_network": world.network}).fits
    assert world.snapshot() == before


def test_a_port_with_another_mac_is_refused_and_both_are_said(world: World) -> None:
    world.plugger.attach(world.name, [world.network_nic(1), world.network_nic(2)])
    first, second = net(world), net(world, alias="ua-nic2")
    world.restart_network()
    other = xml.interface(xml.edit(first.element, {"mac": second.mac}))
    domain = world.host.hypervisor.domain(world.name)
    world.host.networks.restore_port(other, owner_uuid=domain.uuid, owner_name=domain.name)
    for call in (
        lambda: world.plugger.heal(world.name, "ua-nic1"),
        lambda: world.plugger.rebind(world.name, "ua-nic1", {"source_bridge": world.bridges[0]}),
    ):
        with pytest.raises(PortForeign) as said:
            call()
        assert str(first.mac) in said.value.message or "ua-nic1" in said.value.message
        assert str(second.mac) in said.value.message
    assert {outcome.result for outcome in world.plugger.heal()} == {Result.REFUSED, Result.DONE}
    (port,) = [port for port in world.host.networks.ports(world.network) if port.uuid == first.source_portid]
    assert port.mac == second.mac
    assert first.target_dev not in world.members(network_bridge(world))


def test_a_tap_that_another_domain_holds_is_refused_and_both_are_said(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.network_nic(1)])
    hypervisor = fake.host.hypervisor
    other = hypervisor.add("other")  # type: ignore[attr-defined]
    fake.restart_network()
    hypervisor.taps[net(fake).target_dev] = other.uuid  # type: ignore[attr-defined]
    for call in (
        lambda: fake.plugger.heal(fake.name, "ua-nic1"),
        lambda: fake.plugger.rebind(fake.name, "ua-nic1", {"source_bridge": fake.bridges[0]}),
    ):
        with pytest.raises(TapForeign) as said:
            call()
        assert other.uuid in said.value.message and fake.guest.uuid in said.value.message
    assert (fake.ports(), fake.members("virbr0")) == (0, set())


# -- the same network or bridge again ------------------------------------------------------------


def test_a_restarted_network_is_behind_its_nics_again(world: World) -> None:
    nics = [world.network_nic(1), world.network_nic(2), world.bridge_nic(3)]
    world.plugger.attach(world.name, nics, scope=Scope.BOTH)
    before, ports = world.snapshot(), {port.uuid for port in world.host.networks.ports(world.network)}
    live = world.host.hypervisor.domain(world.name).xml(Half.LIVE)
    world.restart_network()
    assert len(world.plugger.plan_heal()) == 2
    assert world.plugger.heal(network="another") == ()
    outcomes = world.plugger.heal(network=world.network)
    assert [outcome.result for outcome in outcomes] == [Result.DONE] * 2
    assert names(outcomes[0]) == ["restore_port", "join_bridge", "verify"]
    assert world.snapshot() == before
    assert {port.uuid for port in world.host.networks.ports(world.network)} == ports
    assert world.host.hypervisor.domain(world.name).xml(Half.LIVE) == live
    assert audited(world) == []
    assert world.plugger.heal() == ()
    (already,) = world.plugger.heal(world.name, "ua-nic1")
    assert already.result is Result.ALREADY
    world.plugger.detach(world.name, ["ua-nic1", "ua-nic2"], scope=Scope.BOTH)
    assert (world.ports(), world.members(network_bridge(world))) == (0, set())


def test_a_network_that_is_not_active_heals_nothing(world: World) -> None:
    world.plugger.attach(world.name, [world.network_nic(1)])
    world.stop_network()
    (outcome,) = world.plugger.heal()
    assert (outcome.result, outcome.reason) == (Result.REFUSED, "network-inactive")
    with pytest.raises(NetworkInactive, match="net-start"):
        world.plugger.heal(world.name, "ua-nic1")
    assert world.host.journal.open_operations(world.host.hypervisor.key) == []
    world.start_network()
    assert world.plugger.heal()[0].result is Result.DONE


def test_a_tap_that_was_put_back_by_hand_only_lacks_its_port(world: World) -> None:
    world.plugger.attach(world.name, [world.network_nic(1)])
    world.restart_network()
    world.host.links.set_master(net(world).target_dev or "", network_bridge(world))
    assert names(world.plugger.heal()[0]) == ["restore_port", "verify"]
    assert audited(world) == []


def test_a_bridge_made_anew_has_its_nics_again(real: World) -> None:
    bridge = real.bridges[0]
    isolated = "<port isolated='yes'/>"
    real.plugger.attach(real.name, [real.bridge_nic(1), real.bridge_nic(2, extra=isolated)])
    links.ip("link", "del", bridge)
    (first, second) = real.plugger.heal()
    assert {first.reason, second.reason} == {"bridge-missing"}
    links.ip("link", "add", bridge, "type", "bridge")
    links.ip("link", "set", bridge, "up")
    assert [outcome.result for outcome in real.plugger.heal(bridge=bridge)] == [Result.DONE] * 2
    taps = [net(real, alias=f"ua-nic{number}").target_dev or "" for number in (1, 2)]
    found = [real.host.links.link(tap) for tap in taps]
    assert [(link.master, link.isolated, link.learning) for link in found if link] == [
        (bridge, False, True),
        (bridge, True, True),
    ]
    assert audited(real) == []


@pytest.mark.driver(
    "daemon"
)  # libvirt's embedded driver (9.0 and 11.3) crashes when such a NIC leaves, or its guest stops
def test_a_macvtap_networks_port_is_made_again(real: World) -> None:
    """The device itself does not go with its network."""
    if not is_root_of_the_machine():
        pytest.skip("/dev/tapN of a macvtap device belongs to root of the machine, whichever namespace it is made in")
    links.ip("link", "add", "lower7", "type", "veth", "peer", "name", "beyond7")
    links.ip("link", "set", "lower7", "up")
    connection = libvirt.open("network:///system")
    network = connection.networkDefineXML(
        "<network><name>taps7</name><forward mode='bridge'><interface dev='lower7'/></forward></network>"
    )
    try:
        network.create()
        real.plugger.attach(real.name, [xml.edit(real.network_nic(1), {"source_network": "taps7"})])
        before = [port.XMLDesc() for port in network.listAllPorts()]
        network.destroy()
        network.create()
        assert audited(real) == ["port-missing"]
        (outcome,) = real.plugger.heal()
        assert (outcome.result, names(outcome)) == (Result.DONE, ["restore_port", "verify"]), outcome.message
        assert [port.XMLDesc() for port in network.listAllPorts()] == before
        assert audited(real) == []
    finally:
        network.destroy()
        network.undefine()
        links.ip("link", "del", "lower7")
        connection.close()


def test_isolation_that_was_lost_is_set_again(real: World) -> None:
    real.plugger.attach(real.name, [real.bridge_nic(1, extra="<port isolated='yes'/>")])
    tap = net(real).target_dev or ""
    real.host.links.set_port(tap, isolated=False)
    assert audited(real) == ["tap-not-isolated"]
    assert names(real.plugger.heal()[0]) == ["join_bridge", "verify"]
    link = real.host.links.link(tap)
    assert link is not None and link.isolated


# -- networks that say more ------------------------------------------------------------------------


@pytest.fixture
def isolating(real: World) -> Iterator[str]:
    """A network whose ports are isolated."""
    with links.network("network:///system", extra="<port isolated='yes'/>") as network:
        yield network.name()


def test_isolation_is_the_new_networks(real: World, isolating: str) -> None:
    real.plugger.attach(real.name, [real.bridge_nic(1)])
    real.plugger.rebind(real.name, "ua-nic1", {"source_network": isolating})
    tap = net(real).target_dev or ""
    link = real.host.links.link(tap)
    assert link is not None and link.isolated
    real.plugger.rebind(real.name, "ua-nic1", {"source_bridge": real.bridges[0]})
    link = real.host.links.link(tap)
    assert link is not None and (link.master, link.isolated) == (real.bridges[0], False)
    assert net(real).port_isolated is None, "isolation was the network's"


def test_isolation_of_a_network_that_was_restarted(real: World, isolating: str) -> None:
    real.plugger.attach(real.name, [xml.edit(real.network_nic(1), {"source_network": isolating})])
    connection = libvirt.open("network:///system")
    connection.networkLookupByName(isolating).destroy()
    connection.networkLookupByName(isolating).create()
    connection.close()
    assert real.plugger.heal()[0].result is Result.DONE
    link = real.host.links.link(net(real).target_dev or "")
    assert link is not None and link.isolated


def test_isolation_that_is_the_nics_own_goes_along(real: World, isolating: str) -> None:
    real.plugger.attach(real.name, [real.bridge_nic(1, extra="<port isolated='yes'/>")], scope=Scope.BOTH)
    for changes in ({"source_network": isolating}, {"source_bridge": real.bridges[0]}):
        real.plugger.rebind(real.name, "ua-nic1", changes, scope=Scope.BOTH)
        link = real.host.links.link(net(real).target_dev or "")
        assert link is not None and link.isolated


def test_a_table_that_libvirt_keeps(fake: World) -> None:
    """libvirt moves the tap, and makes its entry only at an attach; so the lab shows it of the real one."""
    hypervisor = fake.host.hypervisor
    hypervisor.add_network(Network(name="kept", bridge="brkept", mac_table="libvirt"))  # type: ignore[attr-defined]
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.plugger.rebind(fake.name, "ua-nic1", {"source_network": "kept"})
    tap = net(fake).target_dev
    only = {tap: "52:54:00:00:00:01"}
    assert hypervisor.only_macs == only  # type: ignore[attr-defined]
    hypervisor.stop_network("kept")  # type: ignore[attr-defined]
    hypervisor.start_network("kept")  # type: ignore[attr-defined]
    assert hypervisor.only_macs == {}  # type: ignore[attr-defined]
    fake.plugger.heal()
    assert hypervisor.only_macs == only  # type: ignore[attr-defined]
    fake.plugger.rebind(fake.name, "ua-nic1", {"source_bridge": fake.bridges[0]})
    assert hypervisor.only_macs == {}  # type: ignore[attr-defined]


def test_what_only_the_old_network_said_is_left_behind(fake: World) -> None:
    """A live definition shows it as if it were the NIC's own."""
    hypervisor = fake.host.hypervisor
    group = Portgroup(name="fast", bandwidth_inbound=Limit(average=1000))
    hypervisor.add_network(Network(name="limited", bridge="brlim", portgroups=(group,)))  # type: ignore[attr-defined]
    said = "<bandwidth><inbound average='1000'/><outbound average='500'/></bandwidth>"
    element = fake.network_nic(1).replace(f"network='{fake.network}'", "network='limited' portgroup='fast'")
    fake.plugger.attach(fake.name, [element.replace("<alias", f"{said}<alias")])
    fake.plugger.rebind(fake.name, "ua-nic1", {"source_network": fake.network})
    now = net(fake)
    assert (now.bandwidth_inbound, now.bandwidth_outbound) == (None, Limit(average=500))
    assert now.source_portgroup is None


# -- who is told, and what happens when it fails -------------------------------------------------------


def test_the_new_bridge_is_told_where_the_nic_is(fake: World) -> None:
    told = fake.host.hypervisor.introduced  # type: ignore[attr-defined]
    pair = fake.bridge_nic(2, extra="<teaming type='persistent'/>")
    fake.plugger.attach(fake.name, [fake.bridge_nic(1), pair])
    fake.plugger.rebind(fake.name, "ua-nic1", {"source_bridge": fake.bridges[1]})
    assert told == [(net(fake).target_dev, "52:54:00:00:00:01")]
    fake.plugger.rebind(fake.name, "ua-nic2", {"source_bridge": fake.bridges[1]})
    assert len(told) == 1, "the MAC of a teaming pair may be in use behind its other half"


def test_that_nobody_could_be_told_is_a_warning(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, mac: str) -> None:
        raise Failed("no permission")

    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    monkeypatch.setattr(fake.host.hypervisor, "introduce", fail)
    outcome = fake.plugger.rebind(fake.name, "ua-nic1", {"source_bridge": fake.bridges[1]})
    assert outcome.result is Result.DONE
    assert "no permission" in outcome.warnings[0]


def test_a_healing_that_cannot_be_finished_is_undone(fake: World) -> None:
    """Cut off by a crash; and before anybody recovers, somebody puts the tap elsewhere, where it stays."""
    fake.plugger.attach(fake.name, [fake.network_nic(1)])
    fake.restart_network()
    trigger = Trigger(-1, "none")
    faulty_plugger = Plugger(faulty(fake.host, trigger), lambda: None)
    trigger.at = next(number for number, name in enumerate(_calls_of_a_heal(fake)) if name == "links.set_master")
    trigger.kind, trigger.after = "crash", True
    with pytest.raises(Crash):
        faulty_plugger.heal(fake.name, "ua-nic1")
    assert fake.ports() == 1
    fake.host.journal.close()
    fake.host = fake.reopen()
    fake.host.links.set_master(net(fake).target_dev or "", fake.bridges[1])
    (outcome,) = fake.plugger.recover()
    assert (outcome.result, outcome.operation) == (Result.UNDONE, "rebind")
    assert (fake.ports(), fake.taps()) == (0, {"br0": 0, "br1": 1, "virbr0": 0})
    assert fake.host.journal.open_operations(fake.host.hypervisor.key) == []


@pytest.mark.parametrize("kind", ["fail", "crash"])
def test_a_flap_that_is_cut_off_leaves_no_link_down(fake: World, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(rebind, "FLAP", 0.01)
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    before = fake.snapshot()

    def act(trigger: Trigger) -> None:
        plugger = Plugger(faulty(fake.host, trigger), lambda: None)
        plugger.rebind(fake.name, "ua-nic1", {"source_bridge": fake.bridges[1]}, flap_link=True)

    count = Trigger(-1, "none")
    act(count)
    fake.plugger.rebind(fake.name, "ua-nic1", {"source_bridge": fake.bridges[0]})
    updates = [number for number, name in enumerate(count.calls) if name == "update"]
    assert len(updates) == 3  # the bridge, the link down, the link up
    for at in updates[1:]:
        for after in (False, True):
            with pytest.raises((Failed, Crash)):
                act(Trigger(at, kind, after=after))
            if kind == "crash":
                fake.host.journal.close()
                fake.host = fake.reopen()
                assert [outcome.result for outcome in fake.plugger.recover()] == [Result.UNDONE]
            assert net(fake).link_state in (None, "up")
            assert fake.snapshot()["taps"] == before["taps"]
            assert fake.snapshot()["open"] == []


def _calls_of_a_heal(world: World) -> list[str]:
    trigger = Trigger(-1, "none")
    Plugger(faulty(world.host, trigger), lambda: None).heal(world.name, "ua-nic1")
    world.restart_network()
    return trigger.calls


def test_a_vlan_comes_back_with_the_bridge_wherever_a_healing_is_cut_off(fake: World) -> None:
    """Between the two the NIC would be in the bridge's own VLAN, and look whole."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1, extra="<vlan><tag id='7'/></vlan>")])
    vlans = fake.host.hypervisor.vlans  # type: ignore[attr-defined]
    tap = net(fake).target_dev or ""

    def cut_off() -> None:
        fake.host.links.set_master(tap, None)
        vlans.clear()

    def act(trigger: Trigger) -> None:
        Plugger(faulty(fake.host, trigger), lambda: None).heal(fake.name, "ua-nic1")

    count = Trigger(-1, "none")
    cut_off()
    act(count)
    assert vlans == {tap: Vlan((VlanTag(7),))}
    begun = count.calls.index("links.set_master")
    for at in range(begun, len(count.calls)):
        for after in (False, True):
            cut_off()
            with pytest.raises(Crash):
                act(Trigger(at, "crash", after=after))
            fake.host.journal.close()
            fake.host = fake.reopen()
            fake.plugger.recover()
            assert fake.members("br0") == {tap}
            assert vlans == {tap: Vlan((VlanTag(7),))}, f"{after} {count.calls[at]}"
