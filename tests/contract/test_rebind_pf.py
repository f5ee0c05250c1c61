"""A PF is taken apart and made again under guests that have its VFs: all of it, or as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.faults import Crash, Trigger, faulty, points
from tests.contract.test_hostdev import by_address, devices, nic, state_of
from tests.contract.test_hostdev import pool as pool
from tests.contract.world import World
from tests.fakes.host_devices import PFS
from virtnetplug import xml
from virtnetplug.backends.vf_identity import loss_of
from virtnetplug.errors import HookFailed, HostDeviceFailed, HypervisorFailed, Refused, UsageError, VirtnetplugError
from virtnetplug.hotplug.call import waiting
from virtnetplug.hotplug.guest import asking
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VFIO_DRIVER
from virtnetplug.model.interface import Interface
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import NetworkPort
from virtnetplug.model.operation import Half, Outcome, Result, Scope
from virtnetplug.model.pci import PciAddress

PF = PFS[0]
VFS = [PciAddress(0, 1, 0x10, 2 * index) for index in range(4)]
SETTINGS = {"trust": True, "spoofchk": False, "max_rate": 100, "vlan_qos": 3}


def furnish(pool: World) -> None:
    """Two guests with VFs 0 and 1 of the PF, one of which has a teaming partner; a PF that the host uses; VF 3 set by hand."""
    fake = devices(pool)
    fake.netdevs[PF] = dataclasses.replace(
        fake.netdevs[PF],
        mtu=9000,
        master="br0",
        is_promiscuous=True,
        has_carrier=True,
        addresses=("0a",),
        routes=("0b",),
    )
    fake.set_by_hand(VFS[3], admin_mac="02:aa:00:00:00:03", mac="02:aa:00:00:00:03", vlan=9, trust=True)
    partner = pool.bridge_nic(1, alias="ua-e", extra="<teaming type='persistent'/>")
    teamed = nic(1, extra="<teaming type='transient' persistent='ua-e'/><vlan><tag id='42'/></vlan>")
    pool.plugger.attach(pool.name, [partner, teamed], scope=Scope.BOTH)
    pool.plugger.update(pool.name, "ua-vf1", SETTINGS)
    second(pool)
    pool.plugger.attach("second", [nic(2)])


@pytest.fixture
def house(pool: World) -> Iterator[World]:
    furnish(pool)
    yield pool
    assert devices(pool).deadlocks == []


def second(world: World) -> Any:
    fake: Any = world.host.hypervisor
    return fake.all["second"] if "second" in fake.all else fake.add("second")


def rebind(world: World, plugger: Plugger | None = None, **wish: Any) -> Outcome:
    wish = {"allow_outage": True, "wait": 5, **wish}
    return (plugger or world.plugger).rebind_pf(PF, **wish)


def whole(world: World) -> dict[str, Any]:
    """Everything, but what another loan of the same VF changes and the order in which libvirt lists NICs."""
    state: dict[str, Any] = state_of(world)
    held = [
        (dataclasses.replace(each, operation_id="", since=0.0, port="", identity=None), loss_of(world.host, each))
        for each in state["held"]
    ]
    fake = devices(world)
    return {
        **state,
        "live": nets_of(world, world.name),
        "second": nets_of(world, "second"),
        "config": sorted(str(state["config"]).split()),
        "held": held,
        "ports": sorted(state["ports"]),
        "pfs": {pf: (fake.found[pf].num_vfs, fake.found[pf].driver, fake.netdevs[pf]) for pf in PFS},
        "free": {
            vf: (fake.set[vf].mac, fake.set[vf].admin_mac) for vf in VFS if vf in fake.found and not fake.held.get(vf)
        },
        "known": sorted((each.domain_name, each.alias, each.source) for each in world.host.journal.nics()),
    }


def nets_of(world: World, name: str) -> list[Interface]:
    nets = xml.devices(world.host.hypervisor.domain(name).xml(Half.LIVE)).nets
    bare = [dataclasses.replace(net, element="", target_dev=None) for net in nets]
    return sorted(bare, key=lambda net: net.alias or "")


def has(world: World) -> dict[str, int | None]:
    """The number of the VF that each NIC has."""
    found = devices(world).found
    return {
        f"{each.domain}/{each.alias}": found[each.host_address].vf_index
        for each in world.plugger.list()
        if each.live and each.host_address is not None
    }


BOTH_BACK = {"fake/ua-vf1": 0, "second/ua-vf2": 1}


def test_the_driver_is_reloaded_and_everything_is_as_it_was(house: World) -> None:
    before = whole(house)
    outcome = rebind(house, reload_driver=True)
    assert (outcome.operation, outcome.domain, outcome.result) == ("rebind-pf", str(PF), Result.DONE)
    assert sorted(str(each.alias) for each in outcome.nics) == ["ua-vf1", "ua-vf2"]
    assert outcome.warnings == ("second/ua-vf2 has no teaming partner: its traffic stops until it has a VF again",)
    assert devices(house).made_anew == [f"driver {PF}", f"4 VFs of {PF}"]
    assert whole(house) == before and has(house) == BOTH_BACK
    assert house.plugger.audit().findings == ()
    house.plugger.detach(house.name, "ua-vf1", scope=Scope.BOTH)
    assert devices(house).set[VFS[0]].trust is False, "what it was before it was lent is not forgotten"


def test_more_vfs(house: World) -> None:
    before = whole(house)
    assert rebind(house, numvfs=6).result is Result.DONE
    assert (len(devices(house).vfs(PF)), has(house)) == (6, BOTH_BACK)
    now = whole(house)
    assert now["free"] == before["free"] and now["held"] == before["held"] and now["pfs"][PF][0] == 6
    assert house.host.host_devices.pf_state(PF).netdev == before["pfs"][PF][2]
    assert rebind(house, numvfs=6, allow_outage=False).result is Result.ALREADY
    plan = house.plugger.plan_rebind_pf(PF, numvfs=6)
    assert (plan.fits, plan.steps, plan.warnings) == (True, (), ("already as asked; nothing would be changed",))
    with pytest.raises(Refused, match="is no PF"):
        house.plugger.rebind_pf(VFS[0], numvfs=0)


def test_fewer_vfs_move_those_that_would_be_gone(house: World) -> None:
    house.plugger.rebind_vf("second", "ua-vf2", VFS[3])
    assert rebind(house, numvfs=2).result is Result.DONE
    assert has(house) == {"fake/ua-vf1": 0, "second/ua-vf2": 1}
    assert [each.address for each in house.host.journal.holdings()] == VFS[:2]
    assert [port.host_address for port in house.host.networks.ports("pool")] == VFS[:2]
    assert house.plugger.audit().findings == ()
    assert {each.alias: each.source for each in house.host.journal.nics()}["ua-vf2"] == str(VFS[1])
    house.plugger.detach("second", "ua-vf2")
    rebind(house, numvfs=4)
    assert has(house) == {"fake/ua-vf1": 0}


def test_a_pool_that_listed_its_vfs_lists_the_new_ones(house: World) -> None:
    networks: Any = house.host.networks
    networks.nets["pool"] = dataclasses.replace(networks.nets["pool"], addresses=tuple(VFS))
    assert rebind(house, numvfs=6).result is Result.DONE
    assert len(networks.network("pool").addresses) == 6
    mac = Mac("02:00:00:00:00:09")
    networks.create_port(
        NetworkPort(
            uuid="1", network="pool", owner_uuid="1", owner_name="x", mac=mac, host_address=VFS[3], managed=True
        )
    )
    (said, *_) = [text for text in rebind(house, numvfs=5).warnings if "network" in text]
    assert "has ports" in said


def test_a_hook_runs_while_no_guest_has_a_vf(house: World) -> None:
    before, seen = whole(house), []

    def flash(pf: PciAddress) -> None:
        seen.append((pf, list(devices(house).held)))
        devices(house).set_numvfs(pf, 0)  # a card that is reset has no VFs
        devices(house).netdevs[pf] = dataclasses.replace(devices(house).netdevs[pf], is_up=False, mtu=1500)

    devices(house).hooks["flash"] = flash
    assert rebind(house, firmware_hook="flash --now 'a b'").result is Result.DONE
    assert seen == [(PF, [])] and f"run_hook {PF} flash --now a b" in devices(house).calls
    assert whole(house) == before


def test_a_hook_that_fails_leaves_all_as_it_was(house: World) -> None:
    before = whole(house)

    def flash(pf: PciAddress) -> None:
        devices(house).set_numvfs(pf, 0)
        raise HookFailed("the firmware hook 'flash' ended with status 3: no")

    devices(house).hooks["flash"] = flash
    with pytest.raises(HookFailed, match="status 3"):
        rebind(house, firmware_hook=["flash"], reload_driver=True)
    assert whole(house) == before
    (record,) = house.plugger.history(limit=1)
    assert (record.state, record.reason) == ("undone", "hook-failed")


def test_a_vf_that_was_bound_to_vfio_by_hand_is_again(house: World) -> None:
    devices(house).bind(VFS[2], VFIO_DRIVER)
    before = whole(house)
    rebind(house, reload_driver=True)
    assert devices(house).found[VFS[2]].driver == VFIO_DRIVER
    assert whole(house) == before


def test_a_plan_names_every_guest_and_touches_nothing(house: World) -> None:
    house.plugger.rebind_vf("second", "ua-vf2", VFS[3])
    before = whole(house)
    plan = house.plugger.plan_rebind_pf("eth0", numvfs=2, reload_driver=True, allow_outage=True)
    assert plan.fits and plan.domain == str(PF)
    assert plan.warnings == (
        f"fake/ua-vf1 has VF 0 ({VFS[0]}): its teaming partner carries its traffic meanwhile",
        f"second/ua-vf2 has VF 3 ({VFS[3]}), and VF 1 in the end: it is cut off meanwhile",
    )
    assert [step.name for step in plan.steps] == [
        *("fence", "ask", "ask", "guest_release", "guest_release", "pci_reattach", "pci_reattach", "snapshot"),
        *(
            "unbind_pf",
            "bind_pf",
            "set_numvfs",
            "restore_pf",
            "restore_vfs",
            "attach_hostdev",
            "attach_hostdev",
            "unfence",
        ),
    ]
    assert whole(house) == before and house.host.journal.open_operations() == []


def _plain(world: World) -> None:
    address = "<address domain='0' bus='0x01' slot='0x10' function='0x4'/>"
    text = (
        f"<hostdev mode='subsystem' type='pci' managed='yes'><source>{address}</source><alias name='ua-h'/></hostdev>"
    )
    domain: Any = world.host.hypervisor.domain("second")
    domain._live.find("devices").append(xml_of(text))


def xml_of(text: str) -> Any:
    from lxml import etree

    return etree.fromstring(text)


def _process(world: World) -> None:
    devices(world).bind(VFS[2], VFIO_DRIVER)
    devices(world).held[VFS[2]] = {4242}


def _used(world: World) -> None:
    fake = devices(world)
    name = fake.found[VFS[2]].netdev or ""
    fake.netdevs[VFS[2]] = dataclasses.replace(fake.netdevs[PF], name=name, master="br1")


def _quarantined(world: World) -> None:
    world.host.journal.hold(_holding(world, quarantine="it is broken"))


def _elsewhere(world: World) -> None:
    world.host.journal.hold(_holding(world, uri="qemu:///session", hypervisor="qemu:socket=/run/user/1000/libvirt"))


def _holding(world: World, **more: Any) -> Holding:
    said = {"uri": world.uri, "hypervisor": world.host.hypervisor.key}
    said |= {"domain_uuid": "1", "domain_name": "web", "domain_id": 1, "alias": "ua-x", "mac": ""}
    return Holding(**{"address": VFS[2], "managed": True, **said, **more})


def _foreign(world: World) -> None:
    devices(world).bind(VFS[2], VFIO_DRIVER)
    world.host.hypervisor.domain("second").attach(by_address(VFS[2], "no").replace("ua-vf9", "hostdev7"), Half.LIVE)


def _changed(world: World) -> None:
    devices(world).set_by_hand(VFS[1], vlan=7)


def _paused(world: World) -> None:
    second(world).paused = True


def _above(world: World) -> None:
    devices(world).above[PF] = ["eth0.7", "tap3"]


def _forbidden(world: World) -> None:
    devices(world).forbidden = "its driver and VFs can only be changed by root"


REFUSED: dict[str, tuple[Callable[[World], None], dict[str, Any], str, str]] = {
    "no partner": (lambda w: None, {"allow_outage": False}, "outage", "second/ua-vf2 has no teaming partner.*allow_outage=True"),
    "plain hostdev": (_plain, {}, "vf-held", f"{VFS[2]} cannot be taken: domain second has it as a plain"),
    "process": (_process, {}, "vf-held", f"{VFS[2]} cannot be taken: process 4242"),
    "used by the host": (_used, {}, "vf-held", f"{VFS[2]} cannot be taken: the host uses it as eth"),
    "quarantined": (_quarantined, {}, "vf-held", "quarantined: it is broken"),
    "of another connection": (_elsewhere, {}, "vf-held", "held for ua-x of web"),
    "foreign": (_foreign, {}, "not-supported", "hostdev[0-9].*of second was attached by another program"),
    "set by hand": (_changed, {}, "vf-changed", "VLAN is 7 and not 0"),
    "paused": (_paused, {}, "guest-paused", "second is paused"),
    "links above": (_above, {}, "pf-in-use", "carries eth0.7, tap3"),
    "no root": (_forbidden, {}, "not-supported", "only be changed by root"),
    "too few": (lambda w: None, {"numvfs": 1}, "too-few-vfs", "would have 1 VFs, and guests have 2 .fake/ua-vf1, second/ua-vf2"),
    "too many": (lambda w: None, {"numvfs": 8}, "host-device-unfit", "can have 7 VFs, not 8"),
    "no hook": (lambda w: None, {"firmware_hook": "nosuch -x"}, "not-supported", "no program 'nosuch'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused_before_anything_is_touched(house: World, case: str) -> None:
    prepare, wish, reason, said = REFUSED[case]
    prepare(house)
    before = whole(house)
    plan = house.plugger.plan_rebind_pf(PF, **{"reload_driver": True, "allow_outage": True, **wish})
    assert [refusal.reason for refusal in plan.refusals] == [reason] and not plan.steps
    with pytest.raises(Refused, match=said) as caught:
        rebind(house, **{"reload_driver": True, **wish})
    assert (caught.value.reason, caught.value.exit_code) == (reason, 3)
    assert whole(house) == before and house.host.journal.open_operations() == []


@pytest.mark.parametrize("name", [str(PF), "0000:7f:00.0", "eth9"])
def test_a_pf_of_another_host_is_not_looked_for_on_this_one(house: World, name: str) -> None:
    house.host.hypervisor.is_local = False  # type: ignore[misc]
    before = whole(house)
    for ask in (house.plugger.rebind_pf, house.plugger.plan_rebind_pf):
        with pytest.raises(Refused) as caught:
            ask(name, reload_driver=True)
        assert caught.value.reason == "not-local" and name in caught.value.message
    assert whole(house) == before


def test_what_no_pf_is(house: World) -> None:
    for name, reason in (
        (VFS[0], "host-device-unfit"),
        ("0000:7f:00.0", "host-device-missing"),
        ("eth9", "host-device-missing"),
    ):
        with pytest.raises(Refused) as caught:
            house.plugger.rebind_pf(name, reload_driver=True)
        assert caught.value.reason == reason
    for wish in ({}, {"firmware_hook": ""}, {"firmware_hook": "a 'b"}, {"numvfs": -1}):
        with pytest.raises(UsageError):
            house.plugger.rebind_pf(PF, **wish)  # type: ignore[arg-type]


def test_a_vf_of_another_program_comes_back_as_ours(house: World) -> None:
    house.host.hypervisor.domain("second").attach(by_address(VFS[2]), Half.LIVE)
    assert rebind(house, reload_driver=True).result is Result.DONE
    assert has(house) == {**BOTH_BACK, "second/ua-vf9": 2}
    assert [port.host_address for port in house.host.networks.ports("pool")] == VFS[:3]
    assert house.plugger.detach("second", "ua-vf9").warnings == ()


def test_unmanaged_vfs(house: World) -> None:
    house.plugger.attach("second", [nic(3, "unmanaged")])
    before = whole(house)
    outcome = house.plugger.rebind_pf(PFS[1], reload_driver=True, allow_outage=True)
    assert outcome.result is Result.DONE and whole(house) == before


def test_a_guest_that_holds_on_aborts_the_rest(house: World) -> None:
    before = whole(house)
    second(house).hold()
    outcome = rebind(house, reload_driver=True, wait=0.3)
    assert (outcome.result, outcome.reason) == (Result.PENDING, "guest-holds-device")
    assert "second/ua-vf2 was asked for and is still held" in outcome.message
    assert devices(house).made_anew == [] and whole(house)["live"] == before["live"]
    assert [each.pending for each in house.plugger.list("second") if each.live] == [outcome.operation_id]
    with pytest.raises(Refused, match="not settled"):
        rebind(house, reload_driver=True)
    with pytest.raises(Refused, match="not settled"):
        house.plugger.detach("second", "ua-vf2")
    (still,) = house.plugger.recover("second")
    assert (still.operation, still.result) == ("rebind-pf", Result.PENDING)
    assert house.plugger.audit().findings == ()
    second(house).resume()
    assert [(each.kind, each.domain) for each in house.plugger.audit().findings] == [("operation-open", str(PF))]
    assert [each.result for each in house.plugger.recover()] == [Result.UNDONE]
    assert whole(house) == before and house.plugger.recover() == ()


def test_a_guest_that_says_no_aborts_the_rest(house: World) -> None:
    before = whole(house)
    second(house).refuses = True
    with pytest.raises(VirtnetplugError, match="refused to let go") as caught:
        rebind(house, reload_driver=True)
    assert (caught.value.reason, caught.value.exit_code) == ("removal-failed", 4)
    assert whole(house) == before and house.host.journal.open_operations() == []


def test_a_guest_that_cannot_be_asked_keeps_its_vf(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = whole(house)

    def refuse(alias: str, half: Half) -> None:
        raise HypervisorFailed("libvirt cannot ask it, for the test")

    monkeypatch.setattr(second(house), "detach", refuse)
    with pytest.raises(HypervisorFailed):
        rebind(house, reload_driver=True)
    assert whole(house) == before and house.host.journal.open_operations() == []


def test_a_guest_that_ends_meanwhile_is_no_obstacle(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second(house), "detach", lambda alias, half: second(house).destroy())
    assert rebind(house, reload_driver=True).result is Result.DONE
    assert has(house) == {"fake/ua-vf1": 0}
    assert [each.address for each in house.host.journal.holdings()] == VFS[:1]


def test_nobody_gets_a_vf_meanwhile(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that is free, nor one that a guest has just let go."""
    third: Any = house.host.hypervisor.add("third")  # type: ignore[attr-defined]
    tried: list[str] = []

    def attack(pf: PciAddress) -> None:
        for address in devices(house).vfs(pf):
            with pytest.raises(Refused) as caught:
                house.plugger.attach("third", [by_address(address.address)])
            tried.append(caught.value.reason)
        with pytest.raises(Refused, match="no device left"):
            house.plugger.attach("third", [nic(7)])
        house.plugger.recover()

    devices(house).hooks["attack"] = attack
    assert rebind(house, firmware_hook="attack").result is Result.DONE
    assert tried == ["host-device-busy"] * 4
    assert house.plugger.attach("third", [nic(7)]).nics[0].host_address == VFS[2]
    assert third.live_nics()


def test_nobody_gets_a_vf_that_is_new(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    house.host.hypervisor.add("third")  # type: ignore[attr-defined]
    fake, tried = devices(house), []
    restore = fake.restore_netdev

    def attack(pf: PciAddress, state: Any) -> None:
        with pytest.raises(Refused) as caught:
            house.plugger.attach("third", [by_address(fake.vfs(PF)[5].address)])
        tried.append(caught.value.reason)
        house.plugger.recover()
        restore(pf, state)

    monkeypatch.setattr(fake, "restore_netdev", attack)
    assert rebind(house, numvfs=6).result is Result.DONE and tried == ["host-device-busy"]
    assert house.plugger.attach("third", [by_address(fake.vfs(PF)[5].address)]).result is Result.DONE


def test_a_vf_that_another_program_takes_meanwhile_ends_it(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt knows nothing of what is held: it lends what it is asked for."""
    before, fake = whole(house), devices(house)
    third: Any = house.host.hypervisor.add("third")  # type: ignore[attr-defined]
    look = fake.pf_state

    def late(pf: PciAddress) -> Any:
        third.attach(by_address(VFS[2]), Half.LIVE)
        return look(pf)

    monkeypatch.setattr(fake, "pf_state", late)
    with pytest.raises(VirtnetplugError, match="domain third has") as caught:
        rebind(house, reload_driver=True)
    assert (caught.value.exit_code, fake.made_anew) == (4, [])
    third.destroy()
    monkeypatch.undo()
    assert {**whole(house), "free": before["free"]} == before


def test_recover_waits_for_who_took_a_vf_of_a_pf_that_is_half_made(house: World) -> None:
    before, fake = whole(house), devices(house)
    third: Any = house.host.hypervisor.add("third")  # type: ignore[attr-defined]
    die(house, lambda plugger: rebind(house, plugger, numvfs=6), "host_devices.set_num_vfs", after=True)
    third.attach(by_address(fake.vfs(PF)[5].address), Half.LIVE)
    (left,) = house.plugger.recover()
    assert (left.result, left.reason) == (Result.INCOMPLETE, "host-device-busy") and "domain third" in left.message
    third.destroy()
    assert [each.result for each in house.plugger.recover()] == [Result.UNDONE]
    assert {**whole(house), "free": before["free"]} == before


def test_a_vf_that_somebody_sets_before_it_comes_back_is_left_alone(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = devices(house)
    attach = house.guest.attach

    def late(element: str, half: Half) -> None:
        fake.set_by_hand(VFS[1], vlan=99)
        attach(element, half)

    monkeypatch.setattr(house.guest, "attach", late)
    with pytest.raises(VirtnetplugError, match="VLAN is 99 and not 0") as caught:
        rebind(house, reload_driver=True)
    assert caught.value.exit_code == 5 and has(house) == {"fake/ua-vf1": 0}
    assert "Undoing" not in caught.value.message and "can no longer be undone" in caught.value.message
    assert fake.set[VFS[1]].vlan == 99, "nothing overwrites it"
    (again,) = house.plugger.recover()
    assert (again.result, again.reason) == (Result.INCOMPLETE, "vf-changed")
    fake.set_by_hand(VFS[1], vlan=0)
    assert [each.result for each in house.plugger.recover()] == [Result.DONE]
    assert has(house) == BOTH_BACK and house.plugger.recover() == ()


def test_what_cannot_be_set_again_undoes_it(house: World) -> None:
    fake = devices(house)
    house.plugger.detach("second", "ua-vf2")
    fake.set_by_hand(VFS[1], trust=True)
    house.plugger.attach("second", [nic(2)])
    before = whole(house)
    fake.hooks["break"] = lambda pf: fake.set_numvfs(pf, 4) or fake.unsettable.add("trust")  # type: ignore[func-returns-value]
    with pytest.raises(VirtnetplugError, match="trust") as caught:
        rebind(house, firmware_hook="break")
    assert caught.value.exit_code == 5  # nor can it be undone
    fake.unsettable.clear()
    assert [each.result for each in house.plugger.recover()] == [Result.UNDONE]
    house.plugger.repair(house.plugger.audit())
    assert whole(house) == before
    house.plugger.detach("second", "ua-vf2")
    assert fake.set[VFS[1]].trust is True, "what it was before it was lent is not forgotten"


def test_guests_wait_for_a_pf_that_cannot_be_made_as_it_was(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a VF of one with another number of VFs, they would be in the way of who makes it as it was."""
    before, fake = whole(house), devices(house)
    set_num_vfs = fake.set_num_vfs

    def stuck(pf: PciAddress, number: int) -> None:
        if number == 4:
            raise HostDeviceFailed("the kernel would not")
        set_num_vfs(pf, number)

    monkeypatch.setattr(fake, "set_num_vfs", stuck)
    monkeypatch.setattr(fake, "is_link_up", lambda pf: (_ for _ in ()).throw(HostDeviceFailed("no link")))
    with pytest.raises(VirtnetplugError) as caught:
        rebind(house, numvfs=6)
    assert caught.value.exit_code == 5 and has(house) == {}
    monkeypatch.undo()
    assert [each.result for each in house.plugger.recover()] == [Result.UNDONE]
    assert whole(house) == before


def test_ctrl_c_while_guests_are_waited_for(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = whole(house)
    held = house.host.hypervisor.domain("second")
    held.hold()  # type: ignore[attr-defined]
    following = waiting._next

    def interrupted(host: Any, wait: waiting.Wait, lock: Any) -> Any:
        if wait.alias == "ua-vf2":
            raise KeyboardInterrupt
        return following(host, wait, lock)

    monkeypatch.setattr(waiting, "_next", interrupted)
    with pytest.raises(VirtnetplugError) as caught:
        rebind(house, reload_driver=True)
    assert caught.value.exit_code == 130
    monkeypatch.undo()
    held.resume()  # type: ignore[attr-defined]
    house.plugger.recover(wait=5)
    assert whole(house) == before


WISHES: dict[str, dict[str, Any]] = {
    "reload": {"reload_driver": True},
    "more": {"numvfs": 6},
    "fewer": {"numvfs": 2, "reload_driver": True},
}


@pytest.mark.many(4)
@pytest.mark.parametrize("how", ["fail", "broken", "crash"])
@pytest.mark.parametrize("name", WISHES)
def test_at_every_step(house: World, monkeypatch: pytest.MonkeyPatch, name: str, how: str) -> None:
    """Whatever fails, and wherever it dies: afterwards it is done, or as before; all guests have theirs in either case."""
    monkeypatch.setattr(asking, "GRACE", 0.05)
    if name == "fewer":
        house.plugger.rebind_vf("second", "ua-vf2", VFS[3])
    before = whole(house)
    counter = Trigger(-1, "none")
    rebind(house, Plugger(faulty(house.host, counter), lambda: None), **WISHES[name])
    after_it = whole(house)

    def undo(*, is_done: bool) -> None:
        if is_done:
            rebind(house, numvfs=4)
            if name == "fewer":
                house.plugger.rebind_vf("second", "ua-vf2", VFS[3])
        for vf in VFS[2:]:
            if vf in before["free"]:
                mac, admin = before["free"][vf]
                devices(house).set_by_hand(
                    vf, **dataclasses.asdict(before["settings"][vf]) | {"mac": mac, "admin_mac": admin}
                )

    ways, is_done = set(), True
    for k, after in points(how, counter.calls):
        undo(is_done=is_done)
        now = whole(house)
        trigger = Trigger(k, how, after=after)
        with suppress(VirtnetplugError, Crash):
            rebind(house, Plugger(faulty(house.host, trigger), lambda: None), **WISHES[name])
        what = f"{how} {'after' if after else 'at'} call {k}, {trigger.calls[-1]}"
        assert trigger.fired, what
        if how == "crash":
            house.host.journal.close()
            house.host = house.reopen()
        house.plugger.recover(wait=5)
        assert [each.message for each in house.plugger.recover()] == [], what
        found = whole(house)
        is_done = found["pfs"] == after_it["pfs"] and found["held"] == after_it["held"] and name != "reload"
        ways.add(is_done)
        assert differing(found, after_it if is_done else now) == {}, what
    assert ways == ({False} if name == "reload" else {False, True})


def differing(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What is not alike, without what was made up for VFs that are new."""
    names = [name for name in wanted if name not in ("free", "devices") and found[name] != wanted[name]]
    pairs = {name: (found[name], wanted[name]) for name in names}
    for name, (one, other) in pairs.items():
        if isinstance(one, dict):
            pairs[name] = [
                (key, one.get(key), other.get(key)) for key in {*one, *other} if one.get(key) != other.get(key)
            ]  # type: ignore[assignment]
    return pairs


def test_a_pf_that_does_not_come_back_is_tried_again(house: World) -> None:
    before = whole(house)
    devices(house).faults["restore_netdev"] = HostDeviceFailed("the driver made no network interface")
    with pytest.raises(VirtnetplugError) as caught:
        rebind(house, reload_driver=True)
    assert caught.value.exit_code == 5
    assert {each.alias: each.live for each in house.plugger.list("fake")}["ua-e"], "its partner is never touched"
    assert [each.result for each in house.plugger.recover()] == [Result.INCOMPLETE]
    devices(house).faults.clear()
    assert [each.result for each in house.plugger.recover()] == [Result.UNDONE]
    assert whole(house) == before


@pytest.fixture
def booted(pool: World) -> World:
    """The guest boots with two VFs of one MAC, as the ports of a bond; what is set of the first is ours."""
    _boot(pool)
    return pool


def _booted(world: World) -> list[tuple[Any, ...]]:
    """The guest's NICs by place: the VF, what is set of it, and whether the definition has it."""
    fake = devices(world)
    nics = sorted(world.plugger.list(world.name), key=lambda nic: str(nic.address))
    return [
        (nic.mac, nic.address, nic.host_address, fake.set[nic.host_address].trust, nic.live, nic.config)
        for nic in nics
        if nic.host_address is not None
    ]


def _found(world: World) -> set[str]:
    return {each.kind for each in world.plugger.audit().findings}


def test_vfs_that_a_guest_booted_with_have_an_alias_of_ours_then(booted: World) -> None:
    """libvirt would give the NICs other aliases, and nobody could tell after a crash which of them has come."""
    before = _booted(booted)
    assert [trust for *_, trust, _, _ in before] == [True, False]
    plan = booted.plugger.plan_rebind_pf(PF, reload_driver=True, allow_outage=True)
    assert plan.fits and any("fake/hostdev1" in text for text in plan.warnings)
    outcome = rebind(booted, reload_driver=True)
    assert outcome.result is Result.DONE and len(outcome.nics) == 2
    assert _booted(booted) == before and _found(booted) == {"mac-duplicate"}
    assert all((nic.alias or "").startswith("ua-vnp") for nic in booted.plugger.list(booted.name))
    assert booted.plugger.recover() == ()


def test_one_of_them_is_pending(booted: World) -> None:
    """The guest lets go of none: both stay, and nobody else may take them out."""
    before = _booted(booted)
    booted.guest.hold()
    assert rebind(booted, reload_driver=True).result is Result.PENDING
    assert [nic.pending is not None for nic in booted.plugger.list(booted.name)] == [True, True]
    with pytest.raises(Refused):
        booted.plugger.detach(booted.name, "hostdev0", wait=1)
    assert _found(booted) == {"mac-duplicate"}
    booted.guest.resume()
    assert [each.result for each in booted.plugger.recover(wait=20)] == [Result.UNDONE]
    assert _booted(booted) == before and booted.plugger.recover() == ()


@pytest.mark.parametrize(("call", "number"), [("detach", 1), ("detach", 2), ("attach", 1), ("attach", 2)])
@pytest.mark.parametrize("after", [False, True])
def test_wherever_it_dies_they_are_as_before(booted: World, call: str, number: int, after: bool) -> None:
    before = _booted(booted)
    die(booted, lambda p: rebind(booted, p, reload_driver=True), call, number=number, after=after)
    booted.plugger.recover(wait=20)
    assert _booted(booted) == before and booted.plugger.recover() == ()
    assert _found(booted) == {"mac-duplicate"}


def _boot(world: World) -> None:
    for _ in range(2):
        element = "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='pool'/></interface>"
        world.guest.attach(element, Half.CONFIG)
    world.guest.restart()
    world.plugger.update(world.name, "hostdev0", {"trust": True})


@pytest.mark.parametrize("number", [1, 2])
def test_guests_whose_vfs_cannot_come_back_can_be_left_without(house: World, number: int) -> None:
    """It died once so many guests had been asked, and the pool is gone: what is held is given back, and nothing stays open."""
    die(house, lambda plugger: rebind(house, plugger, numvfs=6), "detach", after=True, number=number)
    del house.host.hypervisor.nets["pool"]
    house.plugger.recover(wait=1)
    (record,) = house.host.journal.open_operations()
    closed = house.plugger.recover(forget=record.id)[0]
    assert (closed.result, closed.reason) == (Result.LEFT, "forgotten")
    assert "fake/ua-vf1" in closed.message and ("second/ua-vf2" in closed.message) == (number == 2)
    assert house.host.journal.open_operations() == [] and house.plugger.recover() == ()
    assert len(house.host.journal.holdings()) == 2 - number and house.plugger.audit().findings == ()
