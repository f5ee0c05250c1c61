"""NICs that a guest booted with, or that virsh attached, go through every operation: libvirt gave them their alias, and the definition has none."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import one_fake_world
from tests.contract.deaths import die
from tests.contract.faults import Crash, Trigger, faulty, points
from tests.contract.test_hostdev import pool as pool
from tests.contract.world import World
from tests.fakes.clock import FakeClock
from virtnetplug import xml
from virtnetplug.errors import (
    DeviceMissing,
    HypervisorFailed,
    NeedsReplace,
    NicAmbiguous,
    NicPending,
    RollbackIncomplete,
    VirtnetplugError,
)
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.interface import Interface, Vlan, VlanTag, is_lasting
from virtnetplug.model.operation import Half, Result, Scope
from virtnetplug.model.pci import PciAddress

MAC = "52:54:00:00:00:01"
ALL = (Scope.LIVE, Scope.CONFIG, Scope.BOTH)
LIVE_OR_BOTH = (Scope.LIVE, Scope.BOTH)
HALVES = (Half.LIVE, Half.CONFIG)


def element(number: int, source: str, more: str = "") -> str:
    """An element without alias."""
    kind = source.split("=")[0]
    return (
        f"<interface type='{kind}'><mac address='52:54:00:00:00:{number:02x}'/><source {source}/>"
        f"<model type='virtio'/>{more}</interface>"
    )


def boot(world: World) -> None:
    """Start the guest anew."""
    if world.kind == "fake":
        world.guest.restart()
        return
    world.guest.destroy()
    world.guest.dom.create()
    world.guest.wait_ready()


def give(world: World, origin: str, source: str = "") -> None:
    """Three NICs without an alias of anybody's, the second of which is the one that the tests are about."""
    domain = world.host.hypervisor.domain(world.name)
    elements = [element(8, f"bridge='{world.bridges[1]}'"), element(1, source or f"bridge='{world.bridges[0]}'")]
    elements.append(element(9, f"bridge='{world.bridges[1]}'"))
    for text in elements:
        domain.attach(text, Half.CONFIG)
        if origin == "virsh":
            domain.attach(text, Half.LIVE)
    if origin == "cold":
        boot(world)


def nets(world: World, half: Half) -> Sequence[Interface]:
    return xml.devices(world.host.hypervisor.domain(world.name).xml(half)).nets


def state(world: World) -> dict[str, Any]:
    """Each NIC as it is, but for the alias that was made for it. The definition has an order, the guest does not."""
    found = {
        half: [
            re.sub(r"'(net|ua-vnp)[0-9a-f]+'|\"(net|ua-vnp)[0-9a-f]+\"", r"'\1\2'", _plain(net))
            for net in nets(world, half)
        ]
        for half in HALVES
    }
    return {
        "live": sorted(found[Half.LIVE]),
        "config": found[Half.CONFIG],
        "taps": world.taps(),
        "ports": world.ports(),
    }


def _plain(net: Interface) -> str:
    """In one line, with the alias and what libvirt adds in a place of their own."""
    text = re.sub(r"\s*<target dev=['\"](vnet|macvtap)\d+['\"]/>|\s*portid=['\"][^'\"]*['\"]", "", net.element)
    alias = re.search(r"<alias [^>]*>", text)
    text = re.sub(r"<alias [^>]*>|\s*\n\s*", "", text)
    parts = sorted(re.findall(r"<[^>]*>", text))
    return "".join([*parts, alias.group() if alias else ""])


Act = Callable[[World, Plugger, Scope], Any]


def _handed_over(world: World, scope: Scope) -> None:
    world.plugger.handover(world.name, "net1", world.bridge_nic(2), scope=scope, wait=20)


def _cut_off(world: World, scope: Scope) -> None:
    world.restart_network()


def _nothing(world: World, scope: Scope) -> None:
    """The three NICs are all."""


def _update(world: World, plugger: Plugger, scope: Scope, changes: Any, **named: Any) -> Any:
    return plugger.update(world.name, MAC if scope is Scope.CONFIG else "net1", changes, scope=scope, wait=20, **named)


OPERATIONS: dict[str, tuple[Sequence[Scope], Callable[[World, Scope], None], Act]] = {
    "update": (ALL, _nothing, lambda w, p, s: _update(w, p, s, {"link_state": "down"})),
    "replace": (ALL, _nothing, lambda w, p, s: _update(w, p, s, {"mtu": 1400}, replace=True)),
    "rebind": (
        LIVE_OR_BOTH,
        _nothing,
        lambda w, p, s: p.rebind(w.name, "net1", {"source_bridge": w.bridges[1]}, scope=s),
    ),
    "heal": ((Scope.LIVE,), _cut_off, lambda w, p, s: p.heal(w.name, "net1")[0]),
    "handover": (
        ALL,
        _nothing,
        lambda w, p, s: p.handover(w.name, MAC if s is Scope.CONFIG else "net1", w.bridge_nic(2), scope=s, wait=20),
    ),
    "handback": (LIVE_OR_BOTH, _handed_over, lambda w, p, s: p.handback(w.name, MAC, wait=20)),
    "detach": (
        ALL,
        _nothing,
        lambda w, p, s: p.detach(w.name, MAC if s is Scope.CONFIG else "net1", scope=s, wait=20),
    ),
}
CASES = [(name, scope) for name, (scopes, _, _) in OPERATIONS.items() for scope in scopes]


def _given(world: World, origin: str, name: str, scope: Scope) -> Act:
    give(world, origin, f"network='{world.network}'" if name == "heal" else "")
    OPERATIONS[name][1](world, scope)
    return OPERATIONS[name][2]


@pytest.mark.parametrize("origin", ["cold", "virsh"])
@pytest.mark.parametrize(("name", "scope"), CASES)
def test_every_operation_works_on_a_nic_without_an_alias_of_its_own(
    fake: World, origin: str, name: str, scope: Scope
) -> None:
    _assert_works(fake, origin, name, scope)


@pytest.mark.parametrize("name", OPERATIONS)
def test_and_on_real_qemu(real: World, name: str) -> None:
    _assert_works(real, "cold", name, OPERATIONS[name][0][-1])


def _assert_works(world: World, origin: str, name: str, scope: Scope) -> None:
    act = _given(world, origin, name, scope)
    before, others = state(world), _others(world)
    outcome = act(world, world.plugger, scope)
    assert outcome.result is Result.DONE
    after = state(world)
    assert (after["live"] != before["live"]) == (scope is not Scope.CONFIG and name != "heal")
    assert (after["config"] != before["config"]) == (scope is not Scope.LIVE)
    assert _others(world) == others
    if name != "detach":
        assert [str(net.mac)[-1] for net in nets(world, Half.CONFIG)] == ["8", "1", "9"]
        assert {_one(world, half).address for half in HALVES} == {nic_address(before)}
        assert [nic.mac for nic in outcome.nics if nic.live or nic.config][:1] == [MAC]
    assert world.plugger.recover() == ()


def _others(world: World) -> list[tuple[str | None, str]]:
    return [(net.alias, str(net.mac)) for net in nets(world, Half.LIVE) if str(net.mac) != MAC]


def _one(world: World, half: Half) -> Interface:
    (one,) = (net for net in nets(world, half) if str(net.mac) == MAC)
    return one


def nic_address(found: dict[str, Any]) -> PciAddress | None:
    """Where the guest has the NIC that the tests are about."""
    (text,) = (text for text in found["config"] if MAC in text)
    slot = re.search(r"slot=['\"]0x([0-9a-f]+)", text)
    return PciAddress(0, 0, int(slot.group(1), 16), 0) if slot is not None else None


@pytest.mark.parametrize("origin", ["cold", "virsh"])
@pytest.mark.parametrize(("name", "scope"), CASES)
@pytest.mark.parametrize("kind", ["crash", "fail", "broken"])
@pytest.mark.many(9)
def test_whatever_fails_or_dies_the_nic_is_as_before_or_as_asked(
    memory: Path, kind: str, name: str, scope: Scope, origin: str
) -> None:
    clock = FakeClock()
    with one_fake_world(memory / "whole", clock) as world:
        act, trigger = _given(world, origin, name, scope), Trigger(-1, "none")
        before = state(world)
        act(world, Plugger(faulty(world.host, trigger), lambda: None), scope)
        after = state(world)
    for k, is_after in points(kind, trigger.calls):
        with one_fake_world(memory / f"{k}{is_after}", FakeClock()) as world:
            act = _given(world, origin, name, scope)
            trigger = Trigger(k, kind, after=is_after)
            what = f"{kind} {'after' if is_after else 'at'} call {k}"
            try:
                act(world, Plugger(faulty(world.host, trigger), lambda: None), scope)
            except Crash:
                world.host.journal.close()
                world.host = world.reopen()
                world.plugger.recover(wait=20)
            except RollbackIncomplete:
                world.plugger.recover(wait=20)
            except VirtnetplugError as error:
                what += f": {error}"
            now = state(world)
            assert now in (before, after), f"{what} ({trigger.calls[-1]})"
            assert world.plugger.recover() == (), what


@pytest.mark.many(3)
@pytest.mark.parametrize("name", ["replace", "handover", "detach"])
def test_a_recovery_that_dies_is_recovered(memory: Path, name: str) -> None:
    """Every third death of the operation, and every third of each recovery."""
    scope = Scope.BOTH
    with one_fake_world(memory / "whole", FakeClock()) as world:
        act, trigger = _given(world, "cold", name, scope), Trigger(-1, "none")
        before = state(world)
        act(world, Plugger(faulty(world.host, trigger), lambda: None), scope)
        after = state(world)
    for k, is_after in points("crash", trigger.calls)[::3]:
        again = 0
        while True:
            with one_fake_world(memory / f"{k}{is_after}{again}", FakeClock()) as world:
                act = _given(world, "cold", name, scope)
                with pytest.raises(Crash):
                    act(world, Plugger(faulty(world.host, Trigger(k, "crash", after=is_after)), lambda: None), scope)
                world.host.journal.close()
                world.host = world.reopen()
                second = Trigger(again, "crash", after=True)
                try:
                    Plugger(faulty(world.host, second), lambda: None).recover(wait=20)
                except Crash:
                    world.host.journal.close()
                    world.host = world.reopen()
                    world.plugger.recover(wait=20)
                assert state(world) in (before, after), f"{k} {is_after}, then {again}"
                if not second.fired:
                    break
            again += 3


def test_a_nic_that_is_back_under_another_alias_is_not_put_back_again(fake: World) -> None:
    give(fake, "cold")
    die(fake, lambda p: p.update(fake.name, "net1", {"mtu": 1400}, replace=True, wait=5), "attach")
    die(fake, lambda p: p.recover(wait=5), "attach", after=True)
    assert _one(fake, Half.LIVE).alias == "net3"
    assert [each.result for each in fake.plugger.recover(wait=5)] == [Result.UNDONE]
    assert (_one(fake, Half.LIVE).alias, _one(fake, Half.LIVE).mtu) == ("net3", None)


def test_a_nic_of_the_definition_that_an_undo_moves_is_not_lost(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt refuses to take the second NIC out, and to put it in again behind the first one, which is back."""
    give(fake, "cold")
    before = state(fake)
    detach, attach = fake.guest.detach_element, fake.guest.attach

    def refuse(element: str) -> None:
        if MAC not in element:
            monkeypatch.setattr(fake.guest, "detach_element", detach)
            raise HypervisorFailed("not out")
        detach(element)

    def lose(element: str, half: Half) -> None:
        if half is Half.CONFIG and MAC not in element:
            raise HypervisorFailed("not in")
        attach(element, half)

    monkeypatch.setattr(fake.guest, "detach_element", refuse)
    monkeypatch.setattr(fake.guest, "attach", lose)
    with pytest.raises(RollbackIncomplete, match="not out"):
        fake.plugger.detach(fake.name, ["net1", "net2"], scope=Scope.BOTH, wait=5)
    assert [str(net.mac)[-1] for net in nets(fake, Half.CONFIG)] == ["8", "1"]
    monkeypatch.undo()
    assert [each.result for each in fake.plugger.recover(wait=5)] == [Result.UNDONE]
    assert state(fake) == before


def test_what_libvirt_makes_of_an_alias(world: World) -> None:
    """The next number after the highest is the alias of what has none; one that does not begin with ua- is not kept."""
    give(world, "cold")
    domain = world.host.hypervisor.domain(world.name)
    assert [net.alias for net in nets(world, Half.LIVE)] == ["net0", "net1", "net2"]
    assert [net.alias for net in nets(world, Half.CONFIG)] == [None] * 3
    world.plugger.detach(world.name, "net1", wait=20)
    domain.attach(element(1, f"bridge='{world.bridges[0]}'", "<alias name='net1'/>"), Half.LIVE)
    assert _one(world, Half.LIVE).alias == "net3"
    named = element(1, f"bridge='{world.bridges[0]}'", "<alias name='ua-x'/>")
    domain.update(named, Half.CONFIG)
    assert [net.alias for net in nets(world, Half.CONFIG)] == [None, "ua-x", None]
    with pytest.raises(DeviceMissing):
        domain.update(named.replace("ua-x", "ua-y"), Half.CONFIG)
    domain.update(named.replace("ua-x", "net7"), Half.CONFIG)
    assert [net.alias for net in nets(world, Half.CONFIG)] == [None] * 3


def test_a_nic_that_is_replaced_keeps_mac_and_address_and_has_an_alias_of_ours(world: World) -> None:
    """b-01: the guest's only NIC."""
    world.host.hypervisor.domain(world.name).attach(element(1, f"bridge='{world.bridges[0]}'"), Half.CONFIG)
    boot(world)
    old = _one(world, Half.LIVE)
    assert world.plugger.plan_update(world.name, "net0", {"mtu": 1400}, replace=True).fits
    with pytest.raises(NeedsReplace, match="same MAC and guest PCI address, and an alias beginning with ua-vnp"):
        world.plugger.update(world.name, "net0", {"mtu": 1400})
    with pytest.raises(NeedsReplace, match="with the same guest PCI address, and an alias"):
        world.plugger.update(world.name, "net0", {"mac": "52:54:00:00:00:99"})
    outcome = world.plugger.update(world.name, "net0", {"mtu": 1400}, replace=True, scope=Scope.BOTH, wait=20)
    (nic,) = outcome.nics
    new, config = _one(world, Half.LIVE), _one(world, Half.CONFIG)
    assert is_lasting(new.alias) and (nic.alias, nic.live, nic.config) == (new.alias, True, True)
    assert nic.origin == "virtnetplug"
    assert (new.mac, new.address, new.mtu) == (old.mac, old.address, 1400)
    assert (config.alias, config.address, config.mtu) == (None, old.address, 1400)
    boot(world)
    assert [(nic.alias, nic.live, nic.config) for nic in world.plugger.list(world.name)] == [("net0", True, True)]


def test_the_live_element_edited_is_for_both_definitions(world: World) -> None:
    """What libvirt itself says of a running NIC (alias, target, port, address) is no change of it."""
    give(world, "cold", f"network='{world.network}'")
    live = _one(world, Half.LIVE)
    assert live.alias == "net1" and live.target_dev is not None and live.source_portid is not None
    edited = xml.edit(live.element, {"link_state": "down"})
    outcome = world.plugger.update(world.name, "net1", edited, scope=Scope.BOTH)
    assert outcome.result is Result.DONE
    config = _one(world, Half.CONFIG)
    assert (config.alias, config.target_dev, config.source_portid, config.source_bridge) == (None,) * 4
    assert [_one(world, half).link_state for half in HALVES] == ["down", "down"]
    assert world.plugger.update(world.name, "net1", edited, scope=Scope.BOTH).result is Result.ALREADY
    with pytest.raises(VirtnetplugError, match="keeps the alias"):
        world.plugger.update(world.name, "net1", xml.edit(edited, {"alias": "ua-x"}), scope=Scope.BOTH)


def test_two_nics_of_one_mac_that_differ_are_two(world: World) -> None:
    """The guest's has been handed over, and the definition has the one that was there before."""
    give(world, "cold")
    world.plugger.handover(world.name, "net1", world.bridge_nic(2, bridge=world.bridges[1]), wait=20)
    both = [nic for nic in world.plugger.list(world.name) if nic.mac == MAC]
    assert [(nic.alias, nic.source, nic.live, nic.config) for nic in both] == [
        ("ua-nic2", world.bridges[1], True, False),
        (None, world.bridges[0], False, True),
    ]
    with pytest.raises(
        NicAmbiguous, match=r"you mean by the one definition that has it: `scope=Scope.LIVE` .* `scope=Scope.CONFIG`"
    ):
        world.plugger.update(world.name, MAC, {"link_state": "down"}, scope=Scope.BOTH)
    world.plugger.update(world.name, MAC, {"link_state": "down"}, scope=Scope.CONFIG)
    assert [_one(world, half).link_state for half in HALVES] == [None, "down"]
    world.plugger.detach(world.name, MAC, scope=Scope.CONFIG)
    assert [str(net.mac) for net in nets(world, Half.LIVE)].count(MAC) == 1
    assert [str(net.mac)[-1] for net in nets(world, Half.CONFIG)] == ["8", "9"]


def test_a_detach_that_is_pending_knows_its_nic_in_the_next_run_under_another_alias(fake: World) -> None:
    """Somebody has put the NIC into the definition again, where it is the last one: that renumbers the others."""
    give(fake, "cold")
    fake.guest.hold()
    assert fake.plugger.detach(fake.name, "net1", scope=Scope.BOTH, wait=0.1).result is Result.PENDING
    fake.guest.attach(element(1, f"bridge='{fake.bridges[0]}'"), Half.CONFIG)
    boot(fake)
    pending = {nic.mac: (nic.alias, nic.pending is not None) for nic in fake.plugger.list(fake.name)}
    others = {"52:54:00:00:00:08": ("net0", False), "52:54:00:00:00:09": ("net1", False)}
    assert pending == {**others, MAC: ("net2", True)}


@pytest.mark.parametrize("selector", ["net1", MAC])
def test_a_nic_that_is_pending_is_touched_by_nothing_else(fake: World, selector: str) -> None:
    give(fake, "cold")
    fake.guest.hold()
    fake.plugger.detach(fake.name, selector, wait=0.1)
    for half in (Scope.LIVE, Scope.CONFIG, Scope.BOTH):
        with pytest.raises(NicPending):
            fake.plugger.update(fake.name, selector if half is not Scope.CONFIG else MAC, {"mtu": 1400}, scope=half)
    with pytest.raises(NicPending):
        fake.plugger.handover(fake.name, selector, fake.bridge_nic(2))
    assert fake.plugger.update(fake.name, "net0", {"link_state": "down"}).result is Result.DONE


@pytest.mark.parametrize("name", ["update", "replace", "handover", "detach"])
def test_the_next_run_has_renumbered_the_nics(memory: Path, name: str) -> None:
    """After a death, the guest is started anew without its first NIC: what was net1 is another NIC."""
    with one_fake_world(memory / "whole", FakeClock()) as world:
        act, trigger = _given(world, "cold", name, Scope.BOTH), Trigger(-1, "none")
        before = state(world)["config"]
        act(world, Plugger(faulty(world.host, trigger), lambda: None), Scope.BOTH)
        after = state(world)["config"]
    for k, is_after in points("crash", trigger.calls):
        with one_fake_world(memory / f"{k}{is_after}", FakeClock()) as world:
            act = _given(world, "cold", name, Scope.BOTH)
            with pytest.raises(Crash):
                act(world, Plugger(faulty(world.host, Trigger(k, "crash", after=is_after)), lambda: None), Scope.BOTH)
            world.host.journal.close()
            world.host = world.reopen()
            _renumber(world)
            world.plugger.recover(wait=20)
            assert world.plugger.recover() == ()
            config = state(world)["config"]
            assert config in (before[1:], after[1:]), f"{k} {is_after}"
            macs = [sorted(str(net.mac) for net in nets(world, half)) for half in HALVES]
            assert macs[0] == macs[1], f"{k} {is_after}"


def _renumber(world: World) -> None:
    world.host.hypervisor.domain(world.name).detach_element(element(8, f"bridge='{world.bridges[1]}'"))
    boot(world)


@pytest.mark.parametrize("name", ["detach", "rebind_vf", "replace", "vlan"])
def test_a_vf_that_the_guest_booted_with(pool: World, name: str) -> None:
    """Its live element names no pool, and has an alias that libvirt made."""
    networks = pool.host.networks
    network = next(each for each in networks.names() if networks.network(each).forward == "hostdev")
    vf = f"<interface type='network'><mac address='{MAC}'/><source network='{network}'/></interface>"
    pool.host.hypervisor.domain(pool.name).attach(vf, Half.CONFIG)
    boot(pool)
    (nic,) = pool.plugger.list(pool.name)
    assert (nic.alias or "").startswith("hostdev") and (nic.live, nic.config) == (True, True)
    old = _one(pool, Half.LIVE)
    if name == "detach":
        assert pool.plugger.detach(pool.name, nic.alias or "", scope=Scope.BOTH).result is Result.DONE
        assert pool.plugger.list(pool.name) == ()
        return
    if name == "rebind_vf":
        pool.plugger.rebind_vf(pool.name, nic.alias or "")
        assert _one(pool, Half.LIVE).source_pci not in (None, old.source_pci)
    elif name == "replace":
        pool.plugger.update(
            pool.name, nic.alias or "", {"source_bridge": pool.bridges[0]}, replace=True, scope=Scope.BOTH
        )
        assert {_one(pool, half).source for half in HALVES} == {pool.bridges[0]}
    else:
        pool.plugger.update(pool.name, nic.alias or "", {"vlan": Vlan((VlanTag(5),))}, scope=Scope.LIVE)
    now = _one(pool, Half.LIVE)
    assert is_lasting(now.alias) == (name != "vlan") and now.address == old.address
    assert [(each.mac, each.live, each.config) for each in pool.plugger.list(pool.name)] == [(MAC, True, True)]
    assert pool.plugger.recover() == ()
