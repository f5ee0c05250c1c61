"""What libvirt cannot change of an assigned device's NIC, through its PF; and replacing one, against the fake host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.test_hostdev import FIRST, by_address, devices, nic, pool, state_of
from tests.contract.test_rebind_pf import PF, VFS
from tests.contract.world import World
from tests.fakes.host_devices import PFS
from virtnetplug import xml
from virtnetplug.errors import NeedsReplace, Refused, UsageError, VirtnetplugError
from virtnetplug.hotplug.recover.returns import return_devices
from virtnetplug.model.host_device import VfSettings
from virtnetplug.model.interface import Interface, Vlan, VlanTag
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import Half, Result, Scope
from virtnetplug.model.pci import PciAddress

__all__ = ["pool"]

ALL = {
    "vlan": Vlan((VlanTag(42),)), "vlan_qos": 3, "trust": True, "spoofchk": False, "max_rate": 1000, "min_rate": 100,
    "link_state": "down",
}  # fmt: skip


@pytest.fixture
def linked(pool: World) -> World:
    """A host whose PFs have a link state for each VF, as igb's have not."""
    for address in devices(pool).set:
        devices(pool).set_by_hand(address, link_state="auto")
    return pool


def request(number: int = 1, network: str = "pool", **settings: Any) -> Interface:
    return Interface(
        type="network",
        source_network=network,
        mac=Mac(f"52:54:00:00:00:{number:02x}"),
        alias=f"ua-vf{number}",
        **settings,
    )


def attach(world: World, *nics: Any, **options: Any) -> PciAddress:
    (attached,) = world.plugger.attach(world.name, nics or [nic()], **options).nics
    assert attached.host_address is not None
    return attached.host_address


def settings(world: World, address: PciAddress) -> VfSettings:
    return devices(world).set[address]


def update(world: World, changes: Any, **options: Any) -> Any:
    return world.plugger.update(world.name, "ua-vf1", changes, **options)


def test_every_setting_changes_while_the_guest_has_the_vf_and_goes_when_it_is_given_back(linked: World) -> None:
    before = state_of(linked)
    address = attach(linked)
    outcome = update(linked, ALL)
    assert (outcome.result, [step.name for step in outcome.steps]) == (Result.DONE, ["change_device"])
    now = settings(linked, address)
    assert (now.vlan, now.qos, now.trust, now.spoofchk) == (42, 3, True, False)
    assert (now.max_rate, now.min_rate, now.link_state) == (1000, 100, "disable")
    (holding,) = linked.host.journal.holdings()
    assert holding.settings == {
        "vlan": 42, "qos": 3, "trust": True, "spoofchk": False, "max_rate": 1000, "min_rate": 100, "link_state": "disable",
    }  # fmt: skip
    assert update(linked, ALL).result is Result.ALREADY
    linked.plugger.detach(linked.name, "ua-vf1")
    assert state_of(linked) == before


def test_an_attach_may_bring_the_settings_along(linked: World) -> None:
    before = state_of(linked)
    address = attach(linked, request(**ALL))
    now = settings(linked, address)
    assert (now.vlan, now.qos, now.trust, now.spoofchk) == (42, 3, True, False)
    assert (now.max_rate, now.min_rate, now.link_state) == (1000, 100, "disable")
    linked.plugger.detach(linked.name, "ua-vf1")
    assert state_of(linked) == before


def test_none_is_what_the_vf_had_before(linked: World) -> None:
    address = attach(linked, request(**ALL))
    lent = linked.host.journal.holdings()[0].snapshot
    outcome = update(linked, dict.fromkeys(ALL))
    assert outcome.result is Result.DONE
    now = settings(linked, address)
    assert (now.vlan, now.qos, now.link_state) == (0, 0, "auto")
    assert (now.trust, now.spoofchk, now.max_rate) == (lent["trust"], lent["spoofchk"], lent["max_rate"])
    assert set(linked.host.journal.holdings()[0].settings) == {"vlan", "vlan_proto"}


def test_up_undoes_down_and_is_no_change_where_it_is_up(linked: World) -> None:
    address = attach(linked)
    assert update(linked, {"link_state": "up"}).result is Result.ALREADY
    update(linked, {"link_state": "down"})
    assert settings(linked, address).link_state == "disable"
    update(linked, {"link_state": "up"})
    assert settings(linked, address).link_state == "auto"
    devices(linked).set_by_hand(address, link_state="enable")
    assert update(linked, {"link_state": "up"}).result is Result.ALREADY


@pytest.mark.parametrize(
    ("changes", "reason", "told"),
    [
        ({"link_state": "down"}, "host-device-unfit", "no such setting as link state"),
        ({"vlan": Vlan((VlanTag(4095),))}, "vlan-invalid", "0 .none. to 4094"),
        ({"vlan": Vlan((VlanTag(1), VlanTag(2)), trunk=True)}, "vlan-invalid", "trunk"),
        ({"min_rate": 200, "max_rate": 100}, "host-device-unfit", "200 Mbit/s, would be above"),
        ({"vlan_qos": 8}, "host-device-unfit", "0 to 7"),
        ({"vlan_proto": "802.1x"}, "host-device-unfit", "802.1Q or 802.1ad"),
        ({"max_rate": -1}, "host-device-unfit", "0 .no limit."),
    ],
)
def test_what_the_vf_cannot_have_is_refused_before_anything_is_touched(
    pool: World, changes: dict[str, Any], reason: str, told: str
) -> None:
    attach(pool)
    before = state_of(pool)
    with pytest.raises(Refused, match=told) as caught:
        update(pool, changes)
    assert (caught.value.reason, caught.value.exit_code) == (reason, 3)
    plan = pool.plugger.plan_update(pool.name, "ua-vf1", changes)
    assert not plan.fits and plan.refusals[0].reason == reason
    pool.plugger.detach(pool.name, "ua-vf1")
    with pytest.raises(Refused, match=told) as caught:
        pool.plugger.attach(pool.name, [request(**changes)])
    assert caught.value.reason == reason
    assert state_of(pool)["held"] == [] and before["held"] != []


def test_a_pf_that_cannot_is_passed_over_for_one_that_can(pool: World) -> None:
    for address in devices(pool).set:
        devices(pool).set_by_hand(address, trust=None)
    with pytest.raises(Refused, match="no such setting as trust"):
        pool.plugger.attach(pool.name, [request(trust=True)])
    last = max(address for address in devices(pool).set if address.bus == 1)
    devices(pool).set_by_hand(last, trust=False)
    assert attach(pool, request(trust=True)) == last


def test_a_setting_that_the_pf_accepts_and_does_not_make_fails_and_is_undone(
    pool: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = attach(pool)
    before, was = state_of(pool), settings(pool, address)
    apply = devices(pool).apply

    def deaf(vf: PciAddress, wanted: VfSettings) -> None:
        if not wanted.trust:
            apply(vf, wanted)

    monkeypatch.setattr(devices(pool), "apply", deaf)
    with pytest.raises(VirtnetplugError, match="trust is False and not True") as caught:
        update(pool, {"trust": True})
    assert (caught.value.reason, caught.value.exit_code) == ("host-device-failed", 4)
    assert state_of(pool) == before and settings(pool, address) == was


def test_half_of_what_was_asked_is_undone(pool: World) -> None:
    address = attach(pool)
    before, was = state_of(pool), settings(pool, address)
    devices(pool).unsettable.add("spoofchk")
    with pytest.raises(VirtnetplugError, match="spoofchk"):
        update(pool, {"trust": True, "spoofchk": False})
    assert state_of(pool) == before and settings(pool, address) == was


@pytest.mark.parametrize("scope", [Scope.CONFIG, Scope.BOTH])
def test_a_definition_has_no_place_for_them(pool: World, scope: Scope) -> None:
    pool.plugger.attach(pool.name, [nic()], scope=Scope.BOTH)
    before = state_of(pool)
    with pytest.raises(Refused, match="no place for trust") as caught:
        update(pool, {"trust": True}, scope=scope)
    assert caught.value.reason == "not-supported"
    with pytest.raises(Refused, match="no place for max-rate"):
        pool.plugger.attach(pool.name, [request(2, max_rate=10)], scope=scope)
    assert state_of(pool) == before


def test_a_vlan_goes_into_both_halves(pool: World) -> None:
    address = attach(pool, nic(), scope=Scope.BOTH)
    update(pool, {"vlan": Vlan((VlanTag(7),))}, scope=Scope.BOTH)
    assert settings(pool, address).vlan == 7
    config = pool.plugger.show(pool.name, "ua-vf1").config
    assert config is not None and xml.interface(config).vlan == Vlan((VlanTag(7),))
    assert xml.interface(config).source_network == "pool"


def test_an_emulated_nic_has_no_such_settings(pool: World) -> None:
    pool.plugger.attach(pool.name, [pool.bridge_nic(1)])
    before = state_of(pool)
    with pytest.raises(Refused, match="no assigned device") as caught:
        pool.plugger.update(pool.name, "ua-nic1", {"trust": True})
    assert caught.value.reason == "not-supported"
    emulated = Interface(type="bridge", source_bridge=pool.bridges[0], spoofchk=False)
    with pytest.raises(Refused, match="it is emulated, and spoofchk") as caught:
        pool.plugger.attach(pool.name, [emulated])
    assert caught.value.reason == "not-supported"
    assert state_of(pool) == before


def test_a_nic_that_another_program_attached_is_ours_to_give_back_from_then_on(pool: World) -> None:
    before = state_of(pool)
    pool.host.hypervisor.domain(pool.name).attach(by_address(), Half.LIVE)
    pool.plugger.update(pool.name, "ua-vf9", {"trust": True, "vlan": Vlan((VlanTag(5),))})
    assert (settings(pool, FIRST).trust, settings(pool, FIRST).vlan) == (True, 5)
    (holding,) = pool.host.journal.holdings()
    assert holding.snapshot == {"trust": False}, "libvirt takes its own back"
    pool.plugger.update(pool.name, "ua-vf9", {"spoofchk": False})
    pool.plugger.detach(pool.name, "ua-vf9")
    assert state_of(pool) == before


def test_a_plan_says_what_would_change_of_the_device(pool: World) -> None:
    address = attach(pool)
    before = state_of(pool)
    plan = pool.plugger.plan_update(pool.name, "ua-vf1", {"trust": True})
    assert plan.fits and [step.name for step in plan.steps] == ["change_device"]
    assert f"--- {address}" in plan.diff["live"] and "-trust: False\n+trust: True" in plan.diff["live"]
    assert state_of(pool) == before


# -- replacing --------------------------------------------------------------------------------------


def test_what_libvirt_cannot_change_needs_replace_and_keeps_what_was_set(pool: World) -> None:
    before = state_of(pool)
    first = attach(pool, request(trust=True))
    update(pool, {"vlan": Vlan((VlanTag(42),)), "max_rate": 500})
    with pytest.raises(NeedsReplace):
        update(pool, {"boot_order": 1})
    was = pool.plugger.show(pool.name, "ua-vf1")
    outcome = update(pool, {"boot_order": 1}, replace=True)
    assert outcome.result is Result.DONE and outcome.warnings == ()
    detail = pool.plugger.show(pool.name, "ua-vf1")
    assert detail.live is not None and was.live is not None
    old, new = xml.interface(was.live), xml.interface(detail.live)
    assert (new.boot_order, new.alias, new.mac, new.address) == (1, old.alias, old.mac, old.address)
    assert (detail.nic.host_address, detail.nic.network) == (first, "pool")
    now = settings(pool, first)
    assert (now.trust, now.vlan, now.max_rate) == (True, 42, 500)
    (holding,) = pool.host.journal.holdings()
    assert holding.settings == {"trust": True, "vlan": 42, "max_rate": 500}
    assert holding.snapshot["trust"] is False
    pool.plugger.detach(pool.name, "ua-vf1")
    assert state_of(pool) == before


def test_a_replacement_may_bring_settings_and_another_pool(pool: World) -> None:
    before = state_of(pool)
    attach(pool)
    update(pool, {"source_network": "unmanaged", "trust": True}, replace=True)
    (now,) = pool.plugger.list(pool.name)
    assert now.network == "unmanaged" and now.host_address is not None and now.host_address.bus == 2
    assert settings(pool, now.host_address).trust is True
    pool.plugger.detach(pool.name, "ua-vf1")
    assert state_of(pool) == before


def test_a_full_pool_is_no_obstacle_for_who_is_in_it(pool: World) -> None:
    for number in range(1, 5):
        pool.plugger.attach(pool.name, [nic(number)])
    assert update(pool, {"boot_order": 1}, replace=True).result is Result.DONE
    assert len({one.host_address for one in pool.plugger.list(pool.name)}) == 4


def test_an_emulated_nic_becomes_a_vf_and_back(pool: World) -> None:
    pool.plugger.attach(pool.name, [pool.bridge_nic(1)])
    before = state_of(pool)
    change = {"type": "network", "source_network": "pool", "model": None, "trust": True}
    pool.plugger.update(pool.name, "ua-nic1", change, replace=True)
    (now,) = pool.plugger.list(pool.name)
    assert now.type == "hostdev" and now.host_address is not None and settings(pool, now.host_address).trust is True
    back = {"type": "bridge", "source_bridge": pool.bridges[0], "model": "virtio"}
    pool.plugger.update(pool.name, "ua-nic1", back, replace=True)
    after = state_of(pool)
    assert sorted(str(after.pop("live")).split()) == sorted(str(before.pop("live")).split()) and after == before


def test_what_no_vf_has_is_refused(pool: World) -> None:
    attach(pool)
    before = state_of(pool)
    for change in ({"model": "e1000"}, {"mtu": 9000}):
        with pytest.raises(Refused):
            update(pool, change, replace=True)
    assert state_of(pool) == before


def test_a_whole_element_as_it_was_attached_changes_nothing(pool: World) -> None:
    attach(pool)
    assert update(pool, nic()).result is Result.ALREADY
    with pytest.raises(UsageError):
        update(pool, {})


def test_a_replacement_the_guest_delays_is_finished_by_recover(pool: World) -> None:
    before = state_of(pool)
    attach(pool, request(trust=True))
    pool.guest.hold()
    assert update(pool, {"boot_order": 1}, replace=True, wait=0.2).result is Result.PENDING
    pool.guest.resume()
    (outcome,) = pool.plugger.recover(wait=5)
    assert outcome.result is Result.DONE
    (now,) = pool.plugger.list(pool.name)
    assert now.host_address is not None and settings(pool, now.host_address).trust is True
    pool.plugger.detach(pool.name, "ua-vf1")
    assert state_of(pool) == before


def test_the_old_vf_comes_back_if_no_new_one_can_be_had(pool: World) -> None:
    first = attach(pool, request(trust=True))
    before = state_of(pool)
    domain = pool.host.hypervisor.domain(pool.name)
    real, failed = domain.attach, []

    def fail(element: str, half: Half) -> None:
        if not failed:
            failed.append(element)
            raise VirtnetplugError("no")
        real(element, half)

    domain.attach = fail  # type: ignore[method-assign]
    with pytest.raises(VirtnetplugError):
        update(pool, {"boot_order": 1}, replace=True)
    (now,) = pool.plugger.list(pool.name)
    assert now.host_address == first and settings(pool, first).trust is True
    after = state_of(pool)
    for state in (before, after):
        (one,) = state["held"]  # type: ignore[misc]
        assert (one.alias, one.settings, one.snapshot["trust"]) == ("ua-vf1", {"trust": True}, False)
    assert devices(pool).links[PFS[0]]
    assert after["live"] == before["live"]


def _boot_with(world: World, *macs: int) -> None:
    """The guest is started with these NICs of the pool, in this order: libvirt lends the first free VF to each."""
    for net in xml.devices(world.guest.xml(Half.CONFIG)).nets:
        world.guest.detach_element(net.element)
    for number in macs:
        mac = f"<mac address='52:54:00:00:00:{number:02x}'/>"
        world.guest.attach(f"<interface type='network'>{mac}<source network='pool'/></interface>", Half.CONFIG)
    world.guest.restart()


@pytest.mark.parametrize("then", [(1,), (2, 1), (2,), ()])
def test_what_was_set_of_a_vf_ends_with_the_run_that_booted_with_it(pool: World, then: tuple[int, ...]) -> None:
    """The next run has the VF for the same NIC or for another one, or not at all: libvirt knows nothing of the setting."""
    _boot_with(pool, 1)
    pool.plugger.update(pool.name, "hostdev0", {"trust": True, "spoofchk": False})
    assert (settings(pool, FIRST).trust, settings(pool, FIRST).spoofchk) == (True, False)
    _boot_with(pool, *then)
    assert {one.kind for one in pool.plugger.audit().findings} == (set() if then == (1,) else {"device-leaked"})
    (outcome,) = pool.plugger.recover()
    assert (outcome.operation, outcome.result) == ("return", Result.DONE)
    assert (settings(pool, FIRST).trust, settings(pool, FIRST).spoofchk) == (False, True)
    assert pool.host.journal.holdings() == [] and pool.plugger.audit().findings == ()
    assert pool.plugger.recover() == ()


def test_a_run_that_goes_on_keeps_what_was_set(pool: World) -> None:
    _boot_with(pool, 1)
    pool.plugger.update(pool.name, "hostdev0", {"trust": True})
    assert pool.plugger.recover() == () and settings(pool, FIRST).trust


def test_another_domain_that_got_the_vf_does_not_have_what_was_set_of_it(pool: World) -> None:
    """libvirt lent it, to a domain that was started before anybody has given it back. What somebody set since is left."""
    _boot_with(pool, 1)
    pool.plugger.update(pool.name, "hostdev0", {"trust": True, "max_rate": 100})
    pool.guest.destroy()
    other = pool.host.hypervisor.add("other")  # type: ignore[attr-defined]
    element = "<interface type='network'><mac address='52:54:00:00:00:05'/><source network='pool'/></interface>"
    other.attach(element, Half.LIVE)
    devices(pool).set_by_hand(FIRST, max_rate=200)
    (outcome,) = pool.plugger.recover()
    assert (outcome.operation, outcome.result) == ("return", Result.DONE)
    now = settings(pool, FIRST)
    assert (now.trust, now.max_rate, now.admin_mac) == (False, 200, "52:54:00:00:00:05")
    assert pool.host.journal.holdings() == []


def vlan(number: int) -> Vlan:
    return Vlan((VlanTag(number),))


@pytest.fixture
def in_a_later_run(pool: World) -> World:
    """A NIC of both definitions whose VLAN was 42 in the run before, and is 7 by its definition."""
    attach(pool, by_address(FIRST), scope=Scope.BOTH)
    pool.plugger.update(pool.name, "ua-vf9", {"vlan": vlan(42), "max_rate": 100}, scope=Scope.LIVE)
    pool.plugger.update(pool.name, "ua-vf9", {"vlan": vlan(7)}, scope=Scope.CONFIG)
    pool.guest.destroy()
    pool.guest.start()
    assert settings(pool, FIRST).vlan == 7
    return pool


AFTER_A_START: dict[str, Callable[[World], Any]] = {
    "nothing": lambda world: None,
    "recover": lambda world: world.plugger.recover(),
    "update": lambda world: world.plugger.update(world.name, "ua-vf9", {"trust": True}, scope=Scope.LIVE),
    "replace": lambda world: world.plugger.update(
        world.name, "ua-vf9", {"boot_order": 1}, scope=Scope.LIVE, replace=True, wait=3
    ),
    "rebind_vf": lambda world: world.plugger.rebind_vf(world.name, "ua-vf9", VFS[2], wait=3),
    "plan_rebind_vf": lambda world: world.plugger.plan_rebind_vf(world.name, "ua-vf9", VFS[2]),
    "rebind_pf": lambda world: world.plugger.rebind_pf(PF, reload_driver=True, allow_outage=True, wait=3),
}


@pytest.mark.parametrize("call", AFTER_A_START)
def test_a_later_run_has_the_vlan_that_its_definition_says(in_a_later_run: World, call: str) -> None:
    world = in_a_later_run
    assert getattr(AFTER_A_START[call](world), "fits", True)
    (there,) = world.plugger.list(world.name)
    assert there.host_address is not None
    now = settings(world, there.host_address)
    assert (now.vlan, now.max_rate) == (7, 100)
    found = [each.kind for each in world.plugger.audit().findings]
    assert found == (["config-differs"] if call == "rebind_vf" else [])  # the definition names the VF of before


def test_a_guest_is_read_once_for_each_vf_that_it_has(pool: World, monkeypatch: pytest.MonkeyPatch) -> None:
    attach(pool, by_address(FIRST))
    domain, read = pool.host.hypervisor.domain(pool.name), list[Half]()
    definition = domain.xml
    monkeypatch.setattr(domain, "xml", lambda half: (read.append(half), definition(half))[1])
    assert return_devices(pool.host, domain.uuid, domain=domain) == []
    assert read == [Half.LIVE]


def test_a_vlan_that_was_set_in_a_later_run_is_of_that_run(in_a_later_run: World) -> None:
    world = in_a_later_run
    world.plugger.update(world.name, "ua-vf9", {"vlan": vlan(50)}, scope=Scope.LIVE)
    world.plugger.recover()
    assert settings(world, FIRST).vlan == 50 and world.plugger.audit().findings == ()
    devices(world).set_by_hand(FIRST, vlan=1)
    (finding,) = world.plugger.audit().findings
    assert "its VLAN is 1 and not 50" in finding.message
    world.guest.destroy()
    world.guest.start()
    world.plugger.recover()
    assert settings(world, FIRST).vlan == 7 and world.plugger.audit().findings == ()


TO_A_VF: dict[str, Any] = {
    "request": lambda world: request(2, trust=True),
    "element": lambda world: "<interface type='network'><source network='pool'/><alias name='ua-vf2'/></interface>",
    "twin": lambda world: "ua-vf2",
    "marked": lambda world: None,
}


@pytest.mark.parametrize(
    ("form", "scope"), [*((form, Scope.LIVE) for form in TO_A_VF), *((form, Scope.BOTH) for form in list(TO_A_VF)[:3])]
)
def test_a_vf_that_takes_an_identity_has_its_outbound_rate(pool: World, form: str, scope: Scope) -> None:
    slow = pool.bridge_nic(1, alias="ua-e", extra="<bandwidth><outbound average='12500'/></bandwidth>")
    pool.plugger.attach(pool.name, [slow], scope=Scope.BOTH)
    if form == "twin":
        pool.plugger.attach(pool.name, [request(2)], scope=scope)
        pool.plugger.update(pool.name, "ua-vf2", {"trust": True}, scope=Scope.LIVE)
    fast = TO_A_VF[form](pool)
    if fast is None:  # it comes again, with what its marker says
        pool.plugger.handover(pool.name, "ua-e", request(2), scope=scope)
        pool.plugger.detach(pool.name, "ua-vf2", scope=scope, restore_emulated=False)
        pool.plugger.attach(pool.name, [Interface(type="network", source_network="pool", alias="ua-vf2")], scope=scope)
    else:
        assert pool.plugger.plan_handover(pool.name, "ua-e", fast, scope=scope).fits
        assert pool.plugger.handover(pool.name, "ua-e", fast, scope=scope).result is Result.DONE
    (holding,) = pool.host.journal.holdings()
    now = settings(pool, holding.address)
    assert (holding.alias, holding.settings["max_rate"], now.max_rate) == ("ua-vf2", 100, 100)
    assert now.trust is (form in ("request", "twin")) and pool.plugger.audit().findings == ()


def test_a_vf_that_is_lent_again_is_held_for_the_mac_that_its_nic_has_by_now(pool: World) -> None:
    """The hand-over gives the NIC the MAC of the emulated one. Its VF could not be given back meanwhile, so the row is still there."""
    emulated = pool.bridge_nic(7)
    pool.plugger.attach(pool.name, [emulated])
    address = attach(pool)
    devices(pool).set_by_hand(address, trust=True)
    devices(pool).unsettable.add("trust")
    assert pool.plugger.handover(pool.name, "ua-nic7", "ua-vf1").result is Result.DONE
    (holding,) = pool.host.journal.holdings()
    assert (holding.address, holding.mac, holding.quarantine) == (address, str(xml.interface(emulated).mac), "")
    assert update(pool, {"max_rate": 100}).result is Result.DONE and settings(pool, address).max_rate == 100


EXCHANGED: dict[str, tuple[Callable[[World], Any], Callable[[World], Any]]] = {
    "replace": (
        lambda w: w.plugger.plan_update(w.name, "ua-vf1", {"boot_order": 1}, replace=True),
        lambda w: update(w, {"boot_order": 1}, replace=True),
    ),
    "rebind-vf": (
        lambda w: w.plugger.plan_rebind_vf(w.name, "ua-vf1"),
        lambda w: w.plugger.rebind_vf(w.name, "ua-vf1"),
    ),
    "rebind-pf": (
        lambda w: w.plugger.plan_rebind_pf(PF, reload_driver=True, allow_outage=True),
        lambda w: w.plugger.rebind_pf(PF, reload_driver=True, allow_outage=True),
    ),
    "handover": (
        lambda w: w.plugger.plan_handover(w.name, "ua-nic7", "ua-vf1"),
        lambda w: w.plugger.handover(w.name, "ua-nic7", "ua-vf1"),
    ),
}


@pytest.mark.parametrize("case", EXCHANGED)
def test_what_somebody_set_by_hand_of_a_vf_that_is_exchanged_is_said(pool: World, case: str) -> None:
    """It is of no definition and no row, so the VF that comes is not set so. What was asked of it is, and is not said."""
    plan, act = EXCHANGED[case]
    pool.plugger.attach(pool.name, [pool.bridge_nic(7)])
    address = attach(pool, request(spoofchk=False))
    assert not [text for text in plan(pool).warnings if "by hand" in text]
    devices(pool).set_by_hand(address, max_rate=500, trust=True)
    (planned,) = [text for text in plan(pool).warnings if "by hand" in text]
    assert "ua-vf1" in planned and str(address) in planned
    assert "trust is True and not False, max rate is 500 and not 0" in planned and "spoofchk" not in planned
    (said,) = [text for text in act(pool).warnings if "by hand" in text]
    assert said == planned
    (holding,) = pool.host.journal.holdings()
    now = settings(pool, holding.address)
    assert (now.max_rate, now.trust, now.spoofchk) == (0, False, False)


def test_what_a_replacement_is_to_set_anyway_is_not_said(pool: World) -> None:
    address = attach(pool)
    devices(pool).set_by_hand(address, max_rate=500, min_rate=100, trust=True)
    asked = {"boot_order": 1, "max_rate": 500, "min_rate": 200}
    (said,) = update(pool, asked, replace=True).warnings
    assert "trust is True" in said and "rate" not in said


def test_a_vf_that_leaves_for_an_emulated_nic_loses_nothing_that_is_said(pool: World) -> None:
    pool.plugger.attach(pool.name, [pool.bridge_nic(7)])
    pool.plugger.handover(pool.name, "ua-nic7", request(1))
    (holding,) = pool.host.journal.holdings()
    devices(pool).set_by_hand(holding.address, max_rate=500)
    assert not [text for text in pool.plugger.plan_handback(pool.name, "ua-nic7").warnings if "by hand" in text]
    assert not [text for text in pool.plugger.handback(pool.name, "ua-nic7").warnings if "by hand" in text]


@pytest.mark.parametrize("dies", [False, True])
def test_what_was_asked_of_a_vf_that_came_after_a_restore_is_what_it_keeps(pool: World, dies: bool) -> None:
    """The operation began in the run's first process, under another id; its mark is gone once it has ended."""
    attach(pool, request(vlan=Vlan((VlanTag(42),)), vlan_qos=2), scope=Scope.LIVE)
    pool.guest.hold()
    changes = {"boot_order": 1, "vlan_qos": 3}
    assert update(pool, changes, scope=Scope.LIVE, replace=True, wait=0.1).result is Result.PENDING
    pool.guest.resume()
    if dies:  # once it has a VF for the NIC
        die(pool, lambda p: p.recover(wait=20), "attach")
    pool.host.clock.sleep(60)
    pool.guest.restore(pool.guest.save())
    assert [each.result for each in pool.plugger.recover(wait=20)] == [Result.DONE]
    (holding,) = pool.host.journal.holdings()
    assert settings(pool, holding.address).qos == 3
    assert not pool.plugger.audit().findings
