"""Assigned PCI devices against the fake host: what the lab shows with real VFs, in milliseconds."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import fake_world
from tests.contract.faults import Crash, Trigger, faulty, points
from tests.contract.world import World
from tests.fakes.host_devices import PFS, FakeHostDevices
from virtnetplug import xml
from virtnetplug.errors import ClaimTaken, HostDeviceFailed, Refused, VirtnetplugError
from virtnetplug.hotplug.change.attach import PlainAttach as Attach
from virtnetplug.hotplug.change.rebind_vf import RebindVf
from virtnetplug.hotplug.engine.migration import obstacles
from virtnetplug.hotplug.guest import asking
from virtnetplug.hotplug.identity.handover import Handover
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.lifecycle import State
from virtnetplug.model.host_device import VFIO_DRIVER, VfSettings
from virtnetplug.model.interface import Interface, Vlan, VlanTag
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.operation import Half, Result, Scope
from virtnetplug.model.pci import PciAddress

FIRST = PciAddress(0, 1, 0x10, 0)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[World]:
    for world in fake_world(tmp_path):
        world.host.hypervisor.add_network(  # type: ignore[attr-defined]
            Network(name="pool", forward="hostdev", pf="eth0", managed=True)
        )
        world.host.hypervisor.add_network(  # type: ignore[attr-defined]
            Network(name="unmanaged", forward="hostdev", pf="eth1", managed=False)
        )
        yield world


def devices(world: World) -> FakeHostDevices:
    fake = world.host.host_devices
    assert isinstance(fake, FakeHostDevices)
    return fake


def nic(number: int = 1, network: str = "pool", extra: str = "") -> str:
    return (
        f"<interface type='network'><mac address='52:54:00:00:00:{number:02x}'/><source network='{network}'/>{extra}"
        f"<alias name='ua-vf{number}'/></interface>"
    )


def by_address(address: PciAddress = FIRST, managed: str = "yes") -> str:
    return (
        f"<interface type='hostdev' managed='{managed}'><mac address='52:54:00:00:00:09'/><source>"
        f"<address type='pci' domain='0x0000' bus='0x{address.bus:02x}' slot='0x{address.slot:02x}' function='0x{address.function}'/>"
        f"</source><alias name='ua-vf9'/></interface>"
    )


def state_of(world: World) -> dict[str, object]:
    fake = devices(world)
    return {
        **world.snapshot(),
        "devices": {address: (device.driver, device.netdev is None) for address, device in fake.found.items()},
        "settings": {address: dataclasses.replace(one, mac=None) for address, one in fake.set.items()},
        "ports": [port.host_address for name in ("pool", "unmanaged") for port in world.host.networks.ports(name)],
        "held": list(world.host.journal.holdings()),
    }


@pytest.mark.parametrize("network", ["pool", "unmanaged"])
def test_a_vf_is_lent_and_given_back(pool: World, network: str) -> None:
    before = state_of(pool)
    (attached,) = pool.plugger.attach(pool.name, [nic(network=network, extra="<vlan><tag id='42'/></vlan>")]).nics
    address = attached.host_address
    assert address is not None
    assert (attached.type, attached.network, attached.backend) == ("hostdev", network, State.CONNECTED)
    assert devices(pool).found[address].driver == VFIO_DRIVER
    assert devices(pool).set[address].vlan == 42
    (holding,) = pool.host.journal.holdings()
    assert (holding.address, holding.alias, holding.network) == (address, "ua-vf1", network)
    assert [port.host_address for port in pool.host.networks.ports(network)] == [address]
    outcome = pool.plugger.detach(pool.name, "ua-vf1")
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    assert state_of(pool) == before


@pytest.mark.parametrize("managed", ["yes", "no"])
def test_a_vf_named_by_address(pool: World, managed: str) -> None:
    before = state_of(pool)
    (attached,) = pool.plugger.attach(pool.name, [by_address(managed=managed)]).nics
    assert attached.host_address == FIRST
    pool.plugger.detach(pool.name, str(FIRST))
    assert state_of(pool) == before


@pytest.mark.parametrize("managed", [True, False])
def test_a_vf_named_by_address_gets_back_what_was_set_of_it(pool: World, managed: bool) -> None:
    before = state_of(pool)
    asked = Interface(type="hostdev", source_pci=FIRST, managed=managed, alias="ua-vf9", trust=True, spoofchk=False)
    pool.plugger.attach(pool.name, [asked])
    (holding,) = pool.host.journal.holdings()
    assert holding.snapshot["trust"] is False and devices(pool).set[FIRST].trust is True
    assert pool.plugger.detach(pool.name, "ua-vf9").result is Result.DONE
    assert state_of(pool) == before


def wish(**chosen: Any) -> Interface:
    return Interface(type="network", source_network="both", mac=Mac("52:54:00:00:00:01"), alias="ua-vf1", **chosen)


@pytest.fixture
def both(pool: World) -> World:
    """With a pool of VFs of both PFs."""
    addresses = tuple(PciAddress(0, bus, 0x10, function) for bus in (1, 2) for function in (0, 2))
    pool.host.hypervisor.add_network(  # type: ignore[attr-defined]
        Network(name="both", forward="hostdev", addresses=addresses, managed=True)
    )
    return pool


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        ({}, "0000:01:10.0"),
        ({"vf": PciAddress(0, 2, 0x10, 2)}, "0000:02:10.2"),
        ({"pf": "eth1"}, "0000:02:10.0"),
        ({"pf": "0000:02:00.0"}, "0000:02:10.0"),
        ({"pf": "02:00.0"}, "0000:02:10.0"),
        ({"pf": "eth1", "vf": PciAddress(0, 2, 0x10, 2)}, "0000:02:10.2"),
    ],
)
def test_a_vf_of_a_pool_may_be_chosen_by_its_address_or_its_pf(
    both: World, chosen: dict[str, Any], wanted: str
) -> None:
    before = state_of(both)
    assert both.plugger.plan_attach(both.name, [wish(**chosen)]).fits
    (attached,) = both.plugger.attach(both.name, [wish(**chosen)]).nics
    assert (str(attached.host_address), attached.network) == (wanted, "both")
    assert [str(port.host_address) for port in both.host.networks.ports("both")] == [wanted]
    assert both.plugger.detach(both.name, "ua-vf1").result is Result.DONE
    assert state_of(both) == before


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"vf": PciAddress(0, 1, 0x10, 4)}, "lends no VF 0000:01:10.4"),
        ({"pf": "eth9"}, "lends no VF of a PF eth9"),
        ({"pf": "eth0", "vf": PciAddress(0, 2, 0x10, 2)}, "VF 0000:02:10.2 that is a VF of a PF eth0"),
    ],
)
def test_a_vf_that_its_pool_does_not_lend_is_refused(both: World, chosen: dict[str, Any], told: str) -> None:
    before = state_of(both)
    with pytest.raises(Refused, match=told) as caught:
        both.plugger.attach(both.name, [wish(**chosen)])
    assert caught.value.reason == "host-device-unfit" and "of eth0, eth1. Name one of these" in caught.value.message
    assert state_of(both) == before


def test_a_chosen_vf_that_is_taken_becomes_no_other(both: World) -> None:
    first = wish(vf=FIRST)
    both.plugger.attach(both.name, [first])
    before = state_of(both)
    again = dataclasses.replace(first, alias="ua-vf2", mac=Mac("52:54:00:00:00:02"))
    with pytest.raises(Refused, match=r"has no device left to lend: 0000:01:10\.0") as caught:
        both.plugger.attach(both.name, [again])
    assert caught.value.reason == "pool-exhausted"
    assert state_of(both) == before


@pytest.mark.parametrize("scope", [Scope.CONFIG, Scope.BOTH])
def test_no_definition_keeps_which_vf_was_chosen(both: World, scope: Scope) -> None:
    before = state_of(both)
    with pytest.raises(Refused, match="no place for pf"):
        both.plugger.attach(both.name, [wish(pf="eth1")], scope=scope)
    assert state_of(both) == before


def test_an_emulated_nic_is_of_no_pf(both: World) -> None:
    nic_on_bridge = Interface(type="bridge", source_bridge=both.bridges[0], pf="eth1")
    with pytest.raises(Refused, match="pf is only for an assigned device"):
        both.plugger.attach(both.name, [nic_on_bridge])


def test_both_halves_keep_the_pool_in_the_definition(pool: World) -> None:
    before = state_of(pool)
    pool.plugger.attach(pool.name, [nic()], scope=Scope.BOTH)
    detail = pool.plugger.show(pool.name, "ua-vf1")
    assert detail.live is not None and "hostdev" in detail.live
    assert detail.config is not None and "network=" in detail.config and "hostdev" not in detail.config
    assert pool.plugger.detach(pool.name, "ua-vf1", scope=Scope.BOTH).result is Result.DONE
    assert state_of(pool) == before


def test_attach_again_is_already_done(pool: World) -> None:
    pool.plugger.attach(pool.name, [nic()])
    before = state_of(pool)
    assert pool.plugger.attach(pool.name, [nic()]).result is Result.ALREADY
    assert state_of(pool) == before


def test_a_pool_lends_each_vf_once_and_says_who_has_them(pool: World) -> None:
    lent = [pool.plugger.attach(pool.name, [nic(number)]).nics[0].host_address for number in range(1, 5)]
    assert len(set(lent)) == 4
    before = state_of(pool)
    with pytest.raises(Refused) as caught:
        pool.plugger.attach(pool.name, [nic(5)])
    assert caught.value.reason == "pool-exhausted"
    assert caught.value.message.count(f"domain {pool.name} has it") + caught.value.message.count("held for") == 4
    assert state_of(pool) == before


def count(pool: World, *addresses: PciAddress) -> None:
    """Have libvirt say of these devices that another domain has them, which it has not."""
    pool.host.hypervisor.counted.update(dict.fromkeys(addresses, "web9"))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("network", "bus"), [("pool", 1), ("unmanaged", 2)])
def test_a_vf_that_libvirt_refuses_is_passed_over(pool: World, network: str, bus: int) -> None:
    before = state_of(pool)
    count(pool, *(PciAddress(0, bus, 0x10, function) for function in (0, 4)))
    second, fourth = (PciAddress(0, bus, 0x10, function) for function in (2, 6))
    lent = [pool.plugger.attach(pool.name, [nic(number, network)]).nics[0].host_address for number in (1, 2)]
    assert lent == [second, fourth]
    assert [one.address for one in pool.host.journal.holdings()] == lent
    assert pool.plugger.detach(pool.name, "ua-vf2").result is Result.DONE
    assert pool.plugger.detach(pool.name, "ua-vf1").result is Result.DONE
    assert state_of(pool) == before


def test_vfs_that_libvirt_refuses_one_and_all(pool: World) -> None:
    before = state_of(pool)
    count(pool, *devices(pool).found)
    with pytest.raises(VirtnetplugError, match=r"no device left to lend: 0000:01:10\.0 \(Requested .*web9") as caught:
        pool.plugger.attach(pool.name, [nic()])
    assert caught.value.reason == "pool-exhausted" and caught.value.message.count("domain web9") == 4
    with pytest.raises(VirtnetplugError, match="domain web9") as caught:
        pool.plugger.attach(pool.name, [by_address(FIRST)])
    assert caught.value.reason == "host-device-busy"
    assert state_of(pool) == before


def test_a_vf_that_was_attached_by_address_is_passed_over(pool: World) -> None:
    pool.plugger.attach(pool.name, [by_address(FIRST)])
    (attached,) = pool.plugger.attach(pool.name, [nic()]).nics
    assert attached.host_address not in (None, FIRST)


def test_a_vf_lost_to_another_domain_at_the_last_moment_becomes_the_next_one(pool: World) -> None:
    other = pool.host.hypervisor.add("other")  # type: ignore[attr-defined]
    domain = pool.host.hypervisor.domain(pool.name)
    attach, raced = domain.attach, []

    def race(element: str, half: Half) -> None:
        if not raced:
            raced.append(element)
            other.attach(by_address(FIRST), Half.LIVE)
        attach(element, half)

    domain.attach = race  # type: ignore[method-assign]
    (attached,) = pool.plugger.attach(pool.name, [nic()]).nics
    assert raced and attached.host_address not in (None, FIRST)
    assert [one.address for one in pool.host.journal.holdings()] == [attached.host_address]


def test_a_pf_whose_link_is_down_lends_nothing(pool: World) -> None:
    devices(pool).links[PFS[0]] = False
    with pytest.raises(Refused, match=r"link of its PF 0000:01:00\.0 is down"):
        pool.plugger.attach(pool.name, [nic()])


def test_a_guest_that_holds_on_keeps_its_vf_from_everybody(pool: World) -> None:
    before = state_of(pool)
    (attached,) = pool.plugger.attach(pool.name, [nic()]).nics
    pool.guest.hold()
    assert pool.plugger.detach(pool.name, "ua-vf1", wait=0.2).result is Result.PENDING
    assert devices(pool).found[attached.host_address].driver == VFIO_DRIVER  # type: ignore[index]
    (second,) = pool.plugger.attach(pool.name, [nic(2)]).nics
    assert second.host_address != attached.host_address
    pool.guest.resume()
    pool.plugger.recover(wait=5)
    pool.plugger.detach(pool.name, "ua-vf2")
    assert state_of(pool) == before


def test_a_domain_that_ends_gives_its_vfs_back(pool: World) -> None:
    before = state_of(pool)
    pool.plugger.attach(pool.name, [nic(1), nic(2)])
    pool.guest.destroy()
    outcomes = pool.plugger.recover()
    assert [(outcome.operation, outcome.result) for outcome in outcomes] == [("return", Result.DONE)] * 2
    now = state_of(pool) if pool.guest.start() is None else {}
    assert now == before


def test_without_proof_a_vf_is_quarantined_until_it_can_be_given_back(pool: World) -> None:
    before = state_of(pool)
    (attached,) = pool.plugger.attach(pool.name, [nic(extra="<vlan><tag id='42'/></vlan>")]).nics
    address = attached.host_address
    assert address is not None
    devices(pool).set_by_hand(address, trust=True)  # behind our back
    devices(pool).unsettable.add("trust")
    outcome = pool.plugger.detach(pool.name, "ua-vf1")
    assert outcome.result is Result.DONE
    (warning,) = outcome.warnings
    assert "quarantined" in warning and "trust" in warning
    (holding,) = pool.host.journal.holdings()
    assert holding.quarantine
    lent = {pool.plugger.attach(pool.name, [nic(number)]).nics[0].host_address for number in (2, 3, 4)}
    assert address not in lent
    with pytest.raises(Refused, match="quarantined"):
        pool.plugger.attach(pool.name, [nic(5)])
    pool.plugger.detach(pool.name, ["ua-vf2", "ua-vf3", "ua-vf4"])
    (still,) = pool.plugger.recover()
    assert (still.result, still.reason) == (Result.INCOMPLETE, "quarantined")
    devices(pool).unsettable.clear()
    (mended,) = pool.plugger.recover()
    assert mended.result is Result.DONE
    assert state_of(pool) == before


def test_a_vf_that_a_process_still_holds_is_not_given_back(pool: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.plugger.attach(pool.name, [nic()])
    monkeypatch.setattr(devices(pool), "vfio_users", lambda address: frozenset({4242}))
    outcome = pool.plugger.detach(pool.name, "ua-vf1")
    assert outcome.warnings and "quarantined" in outcome.warnings[0]


def test_eight_at_once_for_four_vfs(pool: World) -> None:
    results: list[str] = []

    def take(number: int) -> None:
        try:
            pool.plugger.attach(pool.name, [nic(number)])
            results.append("done")
        except VirtnetplugError as error:
            results.append(error.reason)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["done"] * 4 + ["pool-exhausted"] * 4
    assert len({one.address for one in pool.host.journal.holdings()}) == 4


SETTINGS = {"vlan": Vlan((VlanTag(42),)), "vlan_qos": 3, "trust": True, "spoofchk": False, "max_rate": 1000}


SET = ("trust", "spoofchk", "max_rate", "min_rate", "qos", "vlan")


def requested(number: int = 1, network: str = "pool", **settings: Any) -> Interface:
    """The same NIC as `nic`, with what no element can say."""
    mac = Mac(f"52:54:00:00:00:{number:02x}")
    return Interface(type="network", source_network=network, mac=mac, alias=f"ua-vf{number}", **settings)


def _attached_and_set(world: World, network: str = "pool") -> None:
    world.plugger.attach(world.name, [nic(1, network)], scope=Scope.BOTH)
    world.plugger.update(world.name, "ua-vf1", SETTINGS)


OPERATIONS = {
    "attach": (lambda w: None, lambda w, p: p.attach(w.name, [nic(1), nic(2, "unmanaged")], scope=Scope.BOTH, wait=5)),
    "detach": (
        lambda w: w.plugger.attach(w.name, [nic(1), nic(2, "unmanaged")], scope=Scope.BOTH),
        lambda w, p: p.detach(w.name, ["ua-vf1", "ua-vf2"], scope=Scope.BOTH, wait=5),
    ),
    "set": (
        lambda w: w.plugger.attach(w.name, [nic(1)], scope=Scope.BOTH),
        lambda w, p: p.update(w.name, "ua-vf1", SETTINGS, wait=5),
    ),
    "set both": (
        lambda w: w.plugger.attach(w.name, [nic(1)], scope=Scope.BOTH),
        lambda w, p: p.update(w.name, "ua-vf1", {"vlan": Vlan((VlanTag(42),))}, scope=Scope.BOTH, wait=5),
    ),
    "attach with settings": (
        lambda w: None,
        lambda w, p: p.attach(w.name, [requested(trust=True, vlan_qos=3, max_rate=100)], wait=5),
    ),
    "replace": (
        _attached_and_set,
        lambda w, p: p.update(w.name, "ua-vf1", {"boot_order": 1}, scope=Scope.BOTH, replace=True, wait=5),
    ),
    "replace unmanaged": (
        lambda w: _attached_and_set(w, network="unmanaged"),
        lambda w, p: p.update(w.name, "ua-vf1", {"boot_order": 1}, scope=Scope.BOTH, replace=True, wait=5),
    ),
    "become a vf": (
        lambda w: w.plugger.attach(w.name, [w.bridge_nic(1, alias="ua-vf1")], scope=Scope.BOTH),
        lambda w, p: p.update(
            w.name, "ua-vf1", {"type": "network", "source_network": "pool", "model": None}, replace=True, wait=5,
        ),
    ),
}  # fmt: skip
"""What is broken at every call: how the guest comes to what it has, and the operation."""


def _steps(pool: World, name: str) -> list[str]:
    prepare, act = OPERATIONS[name]
    prepare(pool)
    trigger = Trigger(-1, "none")
    act(pool, Plugger(faulty(pool.host, trigger), lambda: None))
    _clear(pool)
    return trigger.calls


def _clear(pool: World) -> None:
    for one in pool.plugger.list(pool.name):
        scope = Scope.BOTH if one.live and one.config else Scope.LIVE if one.live else Scope.CONFIG
        pool.plugger.detach(pool.name, one.alias or "", scope=scope)
    pool.plugger.recover()


def _error_of(pool: World, act: Any, trigger: Trigger) -> VirtnetplugError | None:
    try:
        act(pool, Plugger(faulty(pool.host, trigger), lambda: None))
    except VirtnetplugError as error:
        return error
    return None


def _check(pool: World, name: str, before: dict[str, object], what: str) -> None:
    now = state_of(pool)
    assert now["open"] == [], what
    lent = [one.address for one in pool.host.journal.holdings()]
    live = [one.host_address for one in pool.plugger.list(pool.name) if one.live]
    assert sorted(lent) == sorted(filter(None, live)), what
    on_vfio = [address for address, device in devices(pool).found.items() if device.driver == VFIO_DRIVER]
    assert sorted(on_vfio) == sorted(lent), what
    assert sorted(now["ports"]) == sorted(lent), what  # type: ignore[call-overload]
    if name in ("attach", "detach", "attach with settings") and not lent and not before["held"]:
        assert now == before, what
    if name.startswith(("set", "replace", "become")):
        _check_settings(pool, name, before, now, what)


def _check_settings(pool: World, name: str, before: dict[str, object], now: dict[str, object], what: str) -> None:
    """The NIC is as it was or as it should be, in every half; nothing else changed; what it was before is not forgotten."""
    (one,) = pool.plugger.list(pool.name)
    if one.host_address is not None:
        (holding,) = pool.host.journal.holdings()
        assert holding.snapshot["trust"] is False and holding.snapshot["vlan"] == 0, what
        expected = {name: holding.snapshot[name] for name in SET} | dict(holding.settings)
        now_set = {name: getattr(devices(pool).set[one.host_address], name) for name in expected}
        assert now_set == expected, what
    others = {address: state for address, state in now["settings"].items() if address != one.host_address}  # type: ignore[attr-defined]
    assert all(state == VfSettings(spoofchk=True, trust=False, mtu=1500) for state in others.values()), what
    if not IS_DONE[name](one, now):
        assert _without_order(now) == _without_order(before), what


IS_DONE: dict[str, Any] = {
    "set": lambda nic, now: now["held"][0].settings.get("trust") is True,
    "set both": lambda nic, now: now["held"][0].settings == {"vlan": 42} and 'id="42"' in now["config"],
    "replace": lambda nic, now: "<boot" in now["live"] and "<boot" in now["config"],
    "replace unmanaged": lambda nic, now: "<boot" in now["live"] and "<boot" in now["config"],
    "become a vf": lambda nic, now: nic.host_address is not None and len(now["held"]) == 1,
}
"""Whether all of it happened; if not, nothing may have: the same VF, too."""


def _without_order(state: dict[str, object]) -> dict[str, object]:
    """libvirt appends what is put back; who lends it again, and when, is another operation.

    A VF that is lent again has the VLAN in its element that was set through its PF before.
    """
    held = [dataclasses.replace(one, operation_id="", since=0.0, port="") for one in state["held"]]  # type: ignore[attr-defined]
    config = sorted(str(state["config"]).split())
    nets = [dataclasses.replace(net, element="", vlan=None) for net in xml.devices(str(state["live"])).nets]
    return {**state, "config": config, "live": nets, "held": held}


@pytest.mark.many(2)
@pytest.mark.parametrize("name", OPERATIONS)
def test_fail_at_every_step(pool: World, name: str) -> None:
    prepare, act = OPERATIONS[name]
    steps = _steps(pool, name)
    for k, after in points("fail", steps):
        prepare(pool)
        before = state_of(pool)
        trigger = Trigger(k, "fail", after=after)
        error = _error_of(pool, act, trigger)
        assert error is None or error.exit_code in (3, 4, 5)
        pool.plugger.recover(wait=5)  # also what a look that failed has put into quarantine
        assert trigger.fired
        _check(pool, name, before, f"{name} {k} {after} {trigger.calls[-1]}")
        _clear(pool)


@pytest.mark.many(2)
@pytest.mark.parametrize("name", OPERATIONS)
def test_crash_at_every_step_then_recover(pool: World, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "GRACE", 0.05)  # what a real guest needs, this one does not
    prepare, act = OPERATIONS[name]
    steps = _steps(pool, name)
    for k, after in points("crash", steps):
        prepare(pool)
        before = state_of(pool)
        trigger = Trigger(k, "crash", after=after)
        with pytest.raises(Crash):
            act(pool, Plugger(faulty(pool.host, trigger), lambda: None))
        pool.host.journal.close()
        pool.host = pool.reopen()
        pool.plugger.recover(wait=5)
        _check(pool, name, before, f"{name} {k} {after} {trigger.calls[-1]}")
        assert pool.plugger.recover() == ()
        _clear(pool)


def test_a_vf_whose_port_somebody_makes_meanwhile_is_left_and_the_next_one_lent(pool: World) -> None:
    hypervisor: Any = pool.host.hypervisor
    create = hypervisor.create_port

    def lose_first(port: NetworkPort) -> Any:
        if port.host_address == FIRST:
            raise ClaimTaken(f"{FIRST} is in use: a port of network {port.network} holds it")
        return create(port)

    hypervisor.create_port = lose_first
    (attached,) = pool.plugger.attach(pool.name, [nic()]).nics
    assert attached.host_address == PciAddress(0, 1, 0x10, 2)
    assert [holding.address for holding in pool.host.journal.holdings()] == [attached.host_address]


def test_a_vf_that_its_guest_still_holds_is_neither_given_back_nor_in_quarantine(pool: World) -> None:
    pool.plugger.attach(pool.name, [nic()])
    pool.guest.hold()
    outcome = pool.plugger.detach(pool.name, "ua-vf1", wait=1)
    assert (outcome.result, outcome.warnings) == (Result.PENDING, ())
    assert [holding.quarantine for holding in pool.host.journal.holdings()] == [""]


def test_a_failing_setting_undoes_the_attach(pool: World) -> None:
    before = state_of(pool)
    devices(pool).faults["settings"] = HostDeviceFailed("the PF does not answer")
    with pytest.raises(VirtnetplugError):
        pool.plugger.attach(pool.name, [nic()])
    del devices(pool).faults["settings"]
    pool.plugger.recover()
    assert state_of(pool) == before


def kinds(world: World) -> list[str]:
    return [finding.kind for finding in world.plugger.audit().findings]


def test_audit_finds_and_mends_a_quarantined_vf_and_list_shows_it(pool: World) -> None:
    before = state_of(pool)
    (attached,) = pool.plugger.attach(pool.name, [nic()]).nics
    assert attached.host_address is not None
    assert kinds(pool) == []
    devices(pool).set_by_hand(attached.host_address, trust=True)
    devices(pool).unsettable.add("trust")
    pool.plugger.detach(pool.name, "ua-vf1")
    (listed,) = pool.plugger.list()
    assert listed.quarantine is not None and listed.host_address == attached.host_address
    assert kinds(pool) == ["device-quarantined"]
    report = pool.plugger.repair(pool.plugger.audit())
    assert [finding.repaired for finding in report.findings] == [False]
    devices(pool).unsettable.clear()
    report = pool.plugger.repair(pool.plugger.audit())
    assert [finding.repaired for finding in report.findings] == [True]
    assert kinds(pool) == [] and pool.plugger.list() == ()
    assert state_of(pool) == before


def test_audit_finds_a_vf_whose_domain_ended(pool: World) -> None:
    pool.plugger.attach(pool.name, [nic()])
    pool.guest.destroy()
    assert "device-leaked" in kinds(pool)
    pool.plugger.repair(pool.plugger.audit())
    assert "device-leaked" not in kinds(pool)
    assert pool.host.journal.holdings() == []


def test_audit_finds_what_others_did_to_a_vf_in_use(pool: World) -> None:
    (attached,) = pool.plugger.attach(pool.name, [nic()]).nics
    address = attached.host_address
    assert address is not None
    devices(pool).replace(address, driver="igbvf")
    assert kinds(pool) == ["device-driver"]
    devices(pool).replace(address, driver=VFIO_DRIVER)
    pool.host.networks.delete_port("pool", pool.host.journal.holdings()[0].port)  # as net-destroy does
    assert kinds(pool) == ["device-port-missing"]
    pool.plugger.repair(pool.plugger.audit())
    assert kinds(pool) == []
    assert [port.host_address for port in pool.host.networks.ports("pool")] == [address]
    devices(pool).held.clear()
    devices(pool).set_numvfs(PFS[0], 0)
    assert kinds(pool) == ["device-missing"]


def test_a_network_in_which_libvirt_has_a_port_of_its_own_has_lost_none(pool: World) -> None:
    """It was started anew while the guest was down, and has lent the same VF to its next run."""
    pool.plugger.attach(pool.name, [nic()], scope=Scope.BOTH)
    hypervisor: Any = pool.host.hypervisor
    pool.guest.destroy()
    hypervisor.stop_network("pool")
    hypervisor.nets["pool"] = dataclasses.replace(hypervisor.nets["pool"], active=True)
    pool.guest.start()
    (port,) = pool.host.networks.ports("pool")
    assert port.uuid != pool.host.journal.holdings()[0].port and kinds(pool) == []
    pool.plugger.detach(pool.name, "ua-vf1", scope=Scope.BOTH)
    assert not pool.host.networks.ports("pool")
    assert pool.host.journal.holdings() == []


# -- a guest with a VF does not migrate with it ----------------------------------------------------


STAYS = "must be detached before a live migration, or the migration needs a destination XML that names a host device of the destination"


def test_list_and_plan_say_that_a_vf_does_not_migrate(pool: World) -> None:
    pool.plugger.attach(pool.name, [pool.bridge_nic(7)], scope=Scope.BOTH)
    pool.plugger.attach(pool.name, [pool.bridge_nic(8)], scope=Scope.CONFIG)
    plan = pool.plugger.plan(pool.name, Attach([nic(1), nic(2), pool.bridge_nic(9)]))
    assert plan.warnings == (f"ua-vf1, ua-vf2 of {pool.name} {STAYS}",)
    pool.plugger.attach(pool.name, [nic(1), by_address(PciAddress(0, 1, 0x10, 4))])
    assert {one.alias: one.migrates for one in pool.plugger.list()} == {
        "ua-nic7": True, "ua-nic8": None, "ua-vf1": False, "ua-vf9": False,
    }  # fmt: skip
    assert [*obstacles(pool.plugger.list())] == [f"ua-vf1, ua-vf9 of {pool.name} {STAYS}"]
    moved = pool.plugger.plan(pool.name, RebindVf("ua-vf1", "auto"))
    assert not any(STAYS in text for text in moved.warnings), "it has a VF already"
    handover = Handover("ua-nic7", nic(3))
    assert pool.plugger.plan(pool.name, handover).warnings[-1:] == (f"ua-vf3 of {pool.name} {STAYS}",)
    assert pool.plugger.plan(pool.name, Attach([pool.bridge_nic(9)])).warnings == ()
