"""A process is killed in an operation, somebody changes a NIC with libvirt alone: recover touches what is ours alone.

One of each on real QEMU; `tests/contract/test_foreign.py` has the table.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from lxml import etree

from tests import warm
from tests.contract import victim
from tests.contract.conftest import real_world
from tests.contract.foreign import BYSTANDER, Case, Effect, Picture, elsewhere, foreign_nic, nic_of, plain
from tests.contract.operations import OPERATIONS
from tests.contract.world import World
from virtnetplug.model.operation import Half

pytestmark = [pytest.mark.driver("daemon"), pytest.mark.timeout(300)]

FLAGS = {Half.LIVE: libvirt.VIR_DOMAIN_AFFECT_LIVE, Half.CONFIG: libvirt.VIR_DOMAIN_AFFECT_CONFIG}
VIEWS = {Half.LIVE: 0, Half.CONFIG: libvirt.VIR_DOMAIN_XML_INACTIVE}


@pytest.fixture
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    yield from real_world(request, tmp_path)


@pytest.fixture
def third(bridge: Callable[[], str]) -> str:
    """A bridge that no operation knows."""
    return bridge()


def _nodes(world: World, half: Half) -> list[Any]:
    return list(etree.fromstring(world.guest.dom.XMLDesc(VIEWS[half])).iterfind("devices/interface"))


def _picture(world: World) -> Picture:
    return {half: tuple(map(nic_of, _nodes(world, half))) for half in Half}


def _node(world: World, half: Half, alias: str) -> Any:
    (found,) = [node for node in _nodes(world, half) if nic_of(node).alias == alias]
    return found


def _text(node: Any) -> str:
    return etree.tostring(node).decode()


# -- what somebody does ------------------------------------------------------------------------------------


def _remove(world: World, bridge: str) -> None:
    world.guest.dom.detachDeviceFlags(_text(_node(world, Half.LIVE, "ua-nic1")), FLAGS[Half.LIVE])
    world.guest.wait_gone("ua-nic1")


def _attach_again(world: World, bridge: str) -> None:
    node = _node(world, Half.LIVE, "ua-nic1")
    _remove(world, bridge)
    world.guest.dom.attachDeviceFlags(_text(plain(node)), FLAGS[Half.LIVE])


def _recable_live(world: World, bridge: str) -> None:
    world.guest.dom.updateDeviceFlags(elsewhere(_node(world, Half.LIVE, "ua-nic1"), bridge), FLAGS[Half.LIVE])


def _recable_config(world: World, bridge: str) -> None:
    world.guest.dom.updateDeviceFlags(elsewhere(_node(world, Half.CONFIG, "ua-nic1"), bridge), FLAGS[Half.CONFIG])


def _take_alias(world: World, bridge: str) -> None:
    _remove(world, bridge)
    world.guest.dom.attachDeviceFlags(foreign_nic("ua-nic1", 1, bridge), FLAGS[Half.LIVE])


def _redefine(world: World, bridge: str) -> None:
    tree = etree.fromstring(world.guest.dom.XMLDesc(VIEWS[Half.CONFIG]))
    devices = tree.find("devices")
    for node in devices.findall("interface"):
        devices.remove(node)
    devices.append(etree.fromstring(foreign_nic("ua-nic1", 2, bridge)))
    world.guest.dom.undefine()
    world.guest.dom.connect().defineXML(_text(tree))


HANDS: dict[str, Callable[[World, str], None]] = {
    "remove": _remove,
    "attach again": _attach_again,
    "recable live": _recable_live,
    "recable config": _recable_config,
    "take alias": _take_alias,
    "redefine": _redefine,
}


# -- what recover makes of it --------------------------------------------------------------------------------


def _killed(world: World, name: str, call: str, number: int = 1) -> Effect:
    """The operation died after that call; gives what it makes of the guest where nobody disturbs it."""
    prepare, act = OPERATIONS[name]
    prepare(world)
    before = _picture(world)
    act(world, world.plugger)
    effect = Effect(before, _picture(world))
    world.plugger.detach(world.name, sorted({nic.alias for nic in effect.after[Half.LIVE]} - {BYSTANDER}), wait=20)
    for alias in {nic.alias for nic in effect.after[Half.CONFIG]} - {BYSTANDER}:
        world.host.hypervisor.domain(world.name).detach(alias, Half.CONFIG)
    prepare(world)
    world.host.journal.close()
    status, said = warm.run(victim.die_after, victim.Scene.of(world), name, call, number)
    assert status == -signal.SIGKILL, said
    world.host = world.reopen()
    return effect


def _bystand(world: World, bridge: str) -> None:
    for half in Half:
        world.guest.dom.attachDeviceFlags(foreign_nic(BYSTANDER, 0, bridge), FLAGS[half])


def _recovered(world: World, case: Case) -> None:
    case.judged = frozenset(record.id for record in world.host.journal.open_operations())
    case.outcomes = (*world.plugger.recover(wait=20), *world.plugger.recover(wait=20))
    case.then = _picture(world)
    assert case.outcomes and not case.faults(), "\n".join([*case.faults(), str(case.outcomes)])
    waits = any(outcome.reason == "place-taken" for outcome in case.outcomes)
    assert bool(world.host.journal.open_operations()) == waits
    for node in _nodes(world, Half.LIVE):
        tap, bridge, alias = (node.xpath(path)[0] for path in ("target/@dev", "source/@bridge", "alias/@name"))
        assert tap in world.members(bridge) and alias in world.guest.devices()


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize(("name", "call"), [("update", "update"), ("replace", "attach")])
def test_somebody_changes_a_nic(real: World, third: str, name: str, call: str, hand: str) -> None:
    _bystand(real, third)
    effect = _killed(real, name, call)
    crashed = _picture(real)
    HANDS[hand](real, third)
    changed = _picture(real)
    _recovered(real, Case(effect, crashed, changed, changed))
