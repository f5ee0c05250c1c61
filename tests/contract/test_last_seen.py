"""Somebody changes a NIC, or takes it out and puts it in again, while an operation on it is open: what comes back, or comes, has what was seen last."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.foreign import ELSEWHERE, HANDS, RESTARTS, Picture, hypervisor_of, picture
from tests.contract.operations import OPERATIONS, Act
from tests.contract.test_recover_again import PENDING
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import HypervisorFailed
from virtnetplug.hotplug.change import swap_run, update
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.interface import Limit, Vlan, VlanTag
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import Half, Outcome, Result, Scope
from virtnetplug.resolve import changes_by_hand

BEFORE, AFTER = False, True
BOTH = (Half.LIVE, Half.CONFIG)


@pytest.fixture(autouse=True)
def elsewhere(fake: World) -> None:
    """The bridge that no operation knows."""
    hypervisor_of(fake).add_bridge(ELSEWHERE)


def _pending(world: World, name: str) -> None:
    OPERATIONS[name][0](world)
    world.guest.hold()
    assert PENDING[name][1](world, world.plugger).result is Result.PENDING


def _dies(world: World, name: str, call: str, after: bool, number: int = 1) -> None:
    prepare, act = OPERATIONS[name]
    prepare(world)
    die(world, lambda p: act(world, p), call, after=after, number=number)


def _looked(world: World) -> Outcome:
    """`recover` looks at the NIC while the guest still has it."""
    (outcome,) = world.plugger.recover()
    assert outcome.result is Result.PENDING
    return outcome


def _let_go(world: World) -> Outcome:
    world.guest.resume()
    (outcome,) = world.plugger.recover(wait=20)
    return outcome


def _set(world: World, alias: str, changes: dict[str, Any], *halves: Half) -> None:
    """``virsh update-device``."""
    for half in halves:
        (net,) = (net for net in xml.devices(world.definition(half)).nets if net.alias == alias)
        world.guest.update(xml.edit(net.element, changes), half)


def _nets(world: World, half: Half = Half.LIVE) -> list[tuple[str | None, str, str | None, str | None]]:
    return [(net.alias, net.source, net.link_state, net.model) for net in xml.devices(world.definition(half)).nets]


def _refuse(world: World, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """libvirt attaches nothing whose element has that."""
    attach = world.guest.attach

    def refuse(element: str, half: Half) -> None:
        if what in element:
            raise HypervisorFailed("no room today")
        attach(element, half)

    monkeypatch.setattr(world.guest, "attach", refuse)


@pytest.mark.parametrize("halves", [(Half.LIVE,), BOTH], ids=["live", "both"])
def test_a_replacement_is_where_the_nic_was_seen_that_somebody_moved(fake: World, halves: tuple[Half, ...]) -> None:
    _pending(fake, "replace")
    _set(fake, "ua-nic1", {"source_bridge": ELSEWHERE}, *halves)
    assert any(ELSEWHERE in text for text in _looked(fake).warnings)
    outcome = _let_go(fake)
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    assert _nets(fake) == [("ua-nic1", ELSEWHERE, None, "e1000")]
    assert _nets(fake, Half.CONFIG) == [("ua-nic1", ELSEWHERE if Half.CONFIG in halves else "br0", None, "e1000")]
    assert next((nic.source, nic.origin) for nic in fake.plugger.list(fake.name)) == (ELSEWHERE, "virtnetplug")


def test_a_replacement_whose_undo_takes_it_out_again_leaves_the_nic_where_somebody_moved_it(
    fake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pending(fake, "replace")
    _set(fake, "ua-nic1", {"source_bridge": ELSEWHERE}, Half.LIVE)
    _looked(fake)
    monkeypatch.setattr(fake.guest, "update", _fails)
    outcome = _let_go(fake)  # the definition cannot be changed
    assert outcome.result is Result.UNDONE
    assert [ELSEWHERE in text and "seen last" in text for text in outcome.warnings] == [True], outcome.warnings
    assert _nets(fake) == [("ua-nic1", ELSEWHERE, None, "virtio")]


def test_a_replacement_that_was_to_move_the_nic_itself_is_undone(fake: World) -> None:
    OPERATIONS["replace"][0](fake)
    fake.guest.hold()
    changes = {"model": "e1000", "source_bridge": fake.bridges[1]}
    fake.plugger.update(fake.name, "ua-nic1", changes, replace=True, wait=0.1)
    _set(fake, "ua-nic1", {"source_bridge": ELSEWHERE}, Half.LIVE)
    _looked(fake)
    outcome = _let_go(fake)
    assert outcome.result is Result.UNDONE and ELSEWHERE in outcome.message
    assert _nets(fake) == [("ua-nic1", ELSEWHERE, None, "virtio")]


def test_a_handover_of_a_nic_that_somebody_moved_is_undone(fake: World) -> None:
    _pending(fake, "handover")
    _set(fake, "ua-nic1", {"source_bridge": ELSEWHERE}, *BOTH)
    _looked(fake)
    outcome = _let_go(fake)
    assert outcome.result is Result.UNDONE and ELSEWHERE in outcome.message
    assert _nets(fake) == _nets(fake, Half.CONFIG) == [("ua-nic1", ELSEWHERE, None, "virtio")]
    assert fake.plugger.recover() == () and not fake.plugger.audit().findings


def test_a_link_that_was_taken_down_is_down_after_the_handover_and_the_handback(fake: World) -> None:
    _pending(fake, "handover")
    _set(fake, "ua-nic1", {"link_state": "down"}, *BOTH)
    _looked(fake)
    assert _let_go(fake).result is Result.DONE
    assert [(alias, link) for alias, _, link, _ in _nets(fake)] == [("ua-nic2", "down")]
    fake.plugger.update(fake.name, "ua-nic2", {"link_state": "up"})
    assert fake.plugger.handback(fake.name, "ua-nic1", wait=20).result is Result.DONE
    assert _nets(fake) == [("ua-nic1", "br0", "down", "virtio")]


def test_what_was_changed_of_a_fast_nic_that_was_there_is_so_after_the_handover(fake: World) -> None:
    OPERATIONS["detach"][0](fake)  # both NICs are there
    fake.guest.hold()
    fake.plugger.handover(fake.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=0.1)
    _set(fake, "ua-nic2", {"link_state": "down"}, Half.LIVE)
    _looked(fake)
    assert _let_go(fake).result is Result.DONE
    assert _nets(fake) == [("ua-nic2", fake.network, "down", "virtio")]


@pytest.mark.parametrize("name", ["replace", "handover", "detach"])
def test_a_nic_that_an_undo_takes_out_and_puts_back_has_what_was_changed(fake: World, name: str) -> None:
    _dies(fake, name, "detach", BEFORE)
    if name == "detach":
        record = fake.host.journal.open_operations()[0]
        fake.host.journal.amend(record.id, {**record.request, "back": True}, owner=record.owner)
    _set(fake, "ua-nic1", {"link_state": "down"}, Half.LIVE)
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.UNDONE]
    assert ("ua-nic1", "br0", "down", "virtio") in _nets(fake)


AGAIN: dict[str, tuple[str, str, bool, str]] = {
    "update": ("update", "update", AFTER, "ua-nic1"),
    "rebind": ("rebind", "update", AFTER, "ua-nic1"),
    "replace": ("replace", "update", BEFORE, "ua-nic1"),
    "handover": ("handover", "update", BEFORE, "ua-nic2"),
    "attach": ("attach", "attach", AFTER, "ua-nic1"),
}
"""The operation, where it dies, and the NIC that is taken out and put in again then."""


@pytest.mark.parametrize("case", AGAIN)
def test_an_undo_leaves_a_nic_that_somebody_has_put_in_again(fake: World, case: str) -> None:
    name, call, after, alias = AGAIN[case]
    _dies(fake, name, call, after, 3 if name == "attach" else 1)
    assert HANDS["attach again"](fake, alias, alias)
    before = picture(fake)[Half.LIVE]
    (outcome,) = fake.plugger.recover(wait=20)
    assert outcome.result is Result.UNDONE
    assert any(alias in text and "somebody else attached" in text for text in outcome.warnings), outcome.warnings
    assert [nic for nic in picture(fake)[Half.LIVE] if nic.alias == alias] == [n for n in before if n.alias == alias]
    assert fake.plugger.recover() == ()


def _put_in_once_released(world: World) -> Picture:
    """The guest lets go, and somebody puts in a NIC of that alias, which no operation is shown to ask for; what there is then."""
    world.guest.resume()
    (net,) = xml.devices(world.definition(Half.CONFIG)).nets
    world.guest.attach(net.element, Half.LIVE)
    assert [(nic.alias, nic.pending) for nic in world.plugger.list(world.name)] == [("ua-nic1", None)]
    return picture(world)


def test_a_nic_that_came_once_the_guest_had_let_go_is_displaced_by_no_replacement(fake: World) -> None:
    _pending(fake, "replace")
    before = _put_in_once_released(fake)
    (outcome,) = fake.plugger.recover(wait=20)
    assert (outcome.result, outcome.reason, picture(fake)) == (Result.PENDING, "place-taken", before)


def test_nor_is_it_asked_for_by_a_detach(fake: World) -> None:
    OPERATIONS["replace"][0](fake)
    fake.guest.hold()
    assert fake.plugger.detach(fake.name, "ua-nic1", wait=0.1).result is Result.PENDING
    before = _put_in_once_released(fake)
    (outcome,) = fake.plugger.recover(wait=20)
    assert (outcome.result, picture(fake)) == (Result.DONE, before)
    assert any("was put in once the guest had let go" in text for text in outcome.warnings), outcome.warnings


@pytest.mark.parametrize(("name", "what"), [("replace", "e1000"), ("handover", "ua-nic2")])
def test_an_undo_that_died_once_the_nic_was_back_says_nothing_of_others(
    fake: World, monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    _pending(fake, name)
    _refuse(fake, monkeypatch, what)
    fake.guest.resume()
    die(fake, lambda p: p.recover(wait=20), "attach", after=AFTER, number=2)
    assert _nets(fake) == [("ua-nic1", "br0", None, "virtio")]
    (outcome,) = fake.plugger.recover(wait=20)
    assert (outcome.result, outcome.warnings) == (Result.UNDONE, ())
    assert _nets(fake) == [("ua-nic1", "br0", None, "virtio")]


@pytest.mark.parametrize("name", ["replace", "handover", "update", "attach"])
@pytest.mark.parametrize("restart", ["none", "libvirtd", "guest"])
def test_a_nic_of_the_operation_is_taken_for_nobody_elses(fake: World, name: str, restart: str) -> None:
    """It has another tap after a replacement, and after a start of the guest."""
    before = "attach" if name == "attach" else "update"
    _dies(fake, name, before, BEFORE if name != "update" else AFTER, 3 if name == "attach" else 1)
    RESTARTS[restart](fake)
    (outcome,) = fake.plugger.recover(wait=20)
    assert (outcome.result, outcome.warnings) == (Result.UNDONE, ())
    assert [(alias, source, model) for alias, source, _, model in _nets(fake)] == (
        [] if name == "attach" else [("ua-nic1", "br0", "virtio")]
    )


def test_an_undo_waits_for_a_guest_that_takes_its_time_with_a_nic_that_came(fake: World) -> None:
    _dies(fake, "replace", "update", BEFORE)
    fake.guest.hold()
    fake.later(1.0, fake.guest.resume)
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.UNDONE]
    assert _nets(fake) == [("ua-nic1", "br0", None, "virtio")]


def _links(world: World, half: Half) -> list[tuple[str | None, str | None]]:
    return [(alias, link) for alias, _, link, _ in _nets(world, half)]


@pytest.mark.parametrize("alias", ["ua-nic1", "ua-nic2"])
def test_what_was_changed_in_the_definition_is_handed_over_there(fake: World, alias: str) -> None:
    OPERATIONS["detach"][0](fake)  # both NICs are there
    fake.guest.hold()
    fake.plugger.handover(fake.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=0.1)
    _set(fake, alias, {"link_state": "down"}, Half.CONFIG)
    assert _let_go(fake).result is Result.DONE
    assert (_links(fake, Half.LIVE), _links(fake, Half.CONFIG)) == ([("ua-nic2", None)], [("ua-nic2", "down")])
    assert fake.plugger.handback(fake.name, "ua-nic1", wait=20).result is Result.DONE
    assert _links(fake, Half.CONFIG) == [("ua-nic1", "down" if alias == "ua-nic1" else None)]


def _fails(*_: object) -> None:
    raise HypervisorFailed("no")


@pytest.mark.parametrize("call", ["detach", "update"])
def test_a_recovery_that_died_in_the_definition_is_taken_for_nobody_elses_hand(fake: World, call: str) -> None:
    OPERATIONS["detach"][0](fake)
    fake.guest.hold()
    fake.plugger.handover(fake.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=0.1)
    fake.guest.resume()
    die(fake, lambda p: p.recover(wait=20), call, after=AFTER, number=2)
    (outcome,) = fake.plugger.recover(wait=20)
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    assert _nets(fake) == _nets(fake, Half.CONFIG) == [("ua-nic2", fake.network, None, "virtio")]


@pytest.mark.parametrize("alias", ["ua-nic1", "ua-nic2"])
def test_what_was_changed_in_the_definition_is_there_after_an_undo(
    fake: World, monkeypatch: pytest.MonkeyPatch, alias: str
) -> None:
    OPERATIONS["detach"][0](fake)
    fake.guest.hold()
    fake.plugger.handover(fake.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=0.1)
    _set(fake, alias, {"link_state": "down"}, Half.CONFIG)
    monkeypatch.setattr(swap_run, "expect_run", _fails)
    assert _let_go(fake).result is Result.UNDONE
    assert sorted(_links(fake, Half.CONFIG)) == [
        (each, "down" if each == alias else None) for each in ("ua-nic1", "ua-nic2")
    ]


def _macs(world: World, half: Half) -> list[str]:
    return [str(net.mac) for net in xml.devices(world.definition(half)).nets]


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_replacement_with_another_mac_that_died_between_its_two_calls_is_in_the_definition(
    fake: World, is_changed: bool
) -> None:
    OPERATIONS["replace"][0](fake)
    fake.guest.hold()
    mac = "52:54:00:00:00:77"
    fake.plugger.update(fake.name, "ua-nic1", {"mac": Mac(mac)}, scope=Scope.BOTH, replace=True, wait=0.1)
    if is_changed:
        _set(fake, "ua-nic1", {"link_state": "down"}, *BOTH)
        _looked(fake)
    fake.guest.resume()
    die(fake, lambda p: p.recover(wait=20), "detach", after=AFTER)
    assert _nets(fake, Half.CONFIG) == []
    (outcome,) = fake.plugger.recover(wait=20)
    link = "down" if is_changed else None
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    assert _nets(fake) == _nets(fake, Half.CONFIG) == [("ua-nic1", "br0", link, "virtio")]
    assert _macs(fake, Half.LIVE) == _macs(fake, Half.CONFIG) == [mac]
    assert fake.plugger.recover() == () and not fake.plugger.audit().findings


def test_its_undo_puts_the_nic_back_into_the_definition_as_somebody_changed_it(
    fake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    OPERATIONS["replace"][0](fake)
    fake.guest.hold()
    mac = Mac("52:54:00:00:00:77")
    fake.plugger.update(fake.name, "ua-nic1", {"mac": mac}, scope=Scope.BOTH, replace=True, wait=0.1)
    _set(fake, "ua-nic1", {"link_state": "down"}, *BOTH)
    _looked(fake)
    fake.guest.resume()
    die(fake, lambda p: p.recover(wait=20), "detach", after=AFTER)
    monkeypatch.setattr(update, "rewrite", _fails)
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.UNDONE]
    assert _nets(fake) == _nets(fake, Half.CONFIG) == [("ua-nic1", "br0", "down", "virtio")]
    assert _macs(fake, Half.LIVE) == _macs(fake, Half.CONFIG) != [str(mac)]


def _over_to_one_that_is_there(world: World, plugger: Plugger) -> object:
    return plugger.handover(world.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=20)


EXCHANGES: dict[str, tuple[str, Act, str, str]] = {
    "handover": ("handover", OPERATIONS["handover"][1], "ua-nic1", "ua-nic2"),
    "handover to one that is there": ("detach", _over_to_one_that_is_there, "ua-nic1", "ua-nic2"),
    "handback": ("handback", OPERATIONS["handback"][1], "ua-nic2", "ua-nic1"),
}
"""Whose preparation an exchange has, what begins it, the NIC that leaves, and the one that has its identity."""


@pytest.mark.parametrize("case", EXCHANGES)
def test_an_undo_that_finds_the_definition_unchanged_leaves_it_as_somebody_changed_it(fake: World, case: str) -> None:
    prepare, act, leaving, _ = EXCHANGES[case]
    OPERATIONS[prepare][0](fake)
    die(fake, lambda p: act(fake, p), "update", after=BEFORE)
    _set(fake, leaving, {"link_state": "down"}, Half.CONFIG)
    (outcome,) = fake.plugger.recover(wait=20)
    assert (outcome.result, outcome.warnings) == (Result.UNDONE, ())
    assert (leaving, "down") in _links(fake, Half.CONFIG)


@pytest.mark.parametrize("case", EXCHANGES)
def test_what_was_changed_of_the_nic_that_came_is_so_of_those_that_an_undo_puts_back(fake: World, case: str) -> None:
    prepare, act, leaving, came = EXCHANGES[case]
    OPERATIONS[prepare][0](fake)
    before = sorted(alias or "" for alias, _ in _links(fake, Half.CONFIG))
    die(fake, lambda p: act(fake, p), "update", after=AFTER, number=2)
    _set(fake, came, {"link_state": "down"}, *BOTH)
    (outcome,) = fake.plugger.recover(wait=20)
    assert (outcome.result, outcome.warnings) == (Result.UNDONE, ())
    assert sorted(_links(fake, Half.CONFIG)) == sorted(_links(fake, Half.LIVE)) == [(each, "down") for each in before]
    assert leaving in before


@pytest.mark.parametrize("name", ["replace", "handover"])
@pytest.mark.parametrize("dies_again", [False, True])
def test_a_link_that_was_taken_down_of_a_nic_that_had_just_come_stays_down(
    fake: World, name: str, dies_again: bool
) -> None:
    prepare, act = OPERATIONS[name]
    prepare(fake)
    die(fake, lambda p: act(fake, p), "attach", after=AFTER)
    _set(fake, "ua-nic1" if name == "replace" else "ua-nic2", {"link_state": "down"}, Half.LIVE)
    if dies_again:
        die(fake, lambda p: p.recover(wait=20), "attach", after=BEFORE)
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.UNDONE]
    assert _nets(fake) == [("ua-nic1", "br0", "down", "virtio")]


def test_what_the_network_gave_the_nic_that_came_is_nobody_elses_change(fake: World) -> None:
    """A hand-over to a NIC of a network, whose bandwidth the live definition shows."""
    wanted = xml.interface(fake.network_nic(2))
    shown = xml.interface(xml.edit(wanted.element, {"bandwidth_inbound": Limit(average=1000)}))
    assert changes_by_hand(wanted, shown) == ()
    own = xml.interface(xml.edit(wanted.element, {"bandwidth_inbound": Limit(average=500)}))
    assert changes_by_hand(own, shown) == ("bandwidth_inbound",)


def test_a_vlan_of_the_nic_that_came_is_not_put_on_one_that_is_connected_elsewhere(fake: World) -> None:
    """libvirt might refuse the NIC then, and the guest would have none."""
    prepare, act = OPERATIONS["handover"]
    prepare(fake)
    die(fake, lambda p: act(fake, p), "attach", after=AFTER)
    _set(fake, "ua-nic2", {"vlan": Vlan((VlanTag(42),)), "bandwidth_inbound": Limit(average=500)}, Half.LIVE)
    (net,) = xml.devices(fake.definition(Half.LIVE)).nets
    came = xml.interface(xml.edit(net.element, {"vlan": Vlan((VlanTag(7),)), "bandwidth_inbound": Limit(average=1)}))
    (record,) = fake.host.journal.open_operations()
    request = {**record.request, "entering": [{**record.request["entering"][0], "element": came.element}]}
    fake.host.journal.amend(record.id, request, owner=record.owner)
    (outcome,) = fake.plugger.recover(wait=20)
    assert outcome.result is Result.UNDONE
    assert [text.startswith("vlan of ua-nic2") for text in outcome.warnings] == [True], outcome.warnings
    (net,) = xml.devices(fake.definition(Half.LIVE)).nets
    assert (net.alias, net.vlan, net.bandwidth_inbound) == ("ua-nic1", None, Limit(average=500))


def test_a_definition_that_was_rewritten_before_is_left_as_somebody_changed_it(fake: World) -> None:
    _pending(fake, "handover")
    fake.guest.resume()
    die(fake, lambda p: p.recover(wait=20), "update", after=AFTER, number=2)
    _set(fake, "ua-nic2", {"link_state": "down"}, Half.CONFIG)
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.DONE]
    assert _links(fake, Half.CONFIG) == [("ua-nic2", "down")]


def _live_alone(world: World, name: str, wait: float) -> Outcome:
    if name == "replace":
        return world.plugger.update(
            world.name, "ua-nic1", {"model": "e1000"}, scope=Scope.LIVE, replace=True, wait=wait
        )
    return world.plugger.handover(world.name, "ua-nic1", world.network_nic(2), scope=Scope.LIVE, wait=wait)


@pytest.mark.parametrize("name", ["replace", "handover"])
@pytest.mark.parametrize("change", [{"source_bridge": ELSEWHERE}, {"link_state": "down"}], ids=["source", "link"])
def test_what_nobody_saw_and_only_the_definition_has_is_warned_of(
    fake: World, name: str, change: dict[str, Any]
) -> None:
    OPERATIONS[name][0](fake)
    fake.guest.hold()
    assert _live_alone(fake, name, 0.1).result is Result.PENDING
    _set(fake, "ua-nic1", change, *BOTH)
    outcome = _let_go(fake)
    assert outcome.result is Result.DONE
    assert [next(iter(change)) in text and "not seen" in text for text in outcome.warnings] == [True], outcome.warnings


@pytest.mark.parametrize("name", ["replace", "handover"])
def test_a_definition_that_differed_before_is_not_warned_of(fake: World, name: str) -> None:
    OPERATIONS[name][0](fake)
    _set(fake, "ua-nic1", {"link_state": "down"}, Half.CONFIG)
    assert _live_alone(fake, name, 20).warnings == ()


@pytest.mark.parametrize("alias", ["ua-nic1", "ua-nic2"])
def test_a_change_of_the_definition_that_was_taken_back_is_not_handed_over(fake: World, alias: str) -> None:
    OPERATIONS["detach"][0](fake)
    fake.guest.hold()
    fake.plugger.handover(fake.name, "ua-nic1", "ua-nic2", scope=Scope.BOTH, wait=0.1)
    _set(fake, alias, {"link_state": "down"}, Half.CONFIG)
    fake.guest.resume()
    die(fake, lambda p: p.recover(wait=20), "detach", after=BEFORE, number=2)
    _set(fake, alias, {"link_state": None}, Half.CONFIG)
    assert [each.result for each in fake.plugger.recover(wait=20)] == [Result.DONE]
    assert _links(fake, Half.CONFIG) == [("ua-nic2", None)]


def test_a_nic_without_a_tap_that_came_once_the_guest_had_let_go_is_shown_as_asked_by_nobody(fake: World) -> None:
    """The NIC that was detached had no host end by which to tell them apart."""
    user = "<interface type='user'><mac address='52:54:00:00:00:01'/><alias name='ua-nic1'/></interface>"
    fake.plugger.attach(fake.name, [user], scope=Scope.BOTH)
    die(fake, lambda p: p.detach(fake.name, "ua-nic1", scope=Scope.BOTH), "detach", after=BEFORE, number=2)
    fake.guest.attach(str(fake.bridge_nic(1)), Half.LIVE)
    (live,) = [nic for nic in fake.plugger.list(fake.name) if nic.live]
    assert (live.pending, live.source) == (None, "br0")
