"""A process is killed in an operation, somebody changes a NIC with libvirt alone: recover touches what is ours alone.

One of each on real QEMU; `tests/contract/test_foreign.py` has the table.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
from tests.real.daemon import Daemon
from tests.real.guests import Guest
from tests.real.namespace import wait_until
from virtnetplug.model.operation import Half

pytestmark = [pytest.mark.driver("daemon"), pytest.mark.timeout(300)]

FLAGS = {Half.LIVE: libvirt.VIR_DOMAIN_AFFECT_LIVE, Half.CONFIG: libvirt.VIR_DOMAIN_AFFECT_CONFIG}
VIEWS = {Half.LIVE: 0, Half.CONFIG: libvirt.VIR_DOMAIN_XML_INACTIVE}


@pytest.fixture
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    yield from real_world(request, tmp_path)


BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass
class Restarts:
    """What is started anew while no process of virtnetplug runs. libvirt's ids begin anew with its daemon."""

    daemon: Daemon
    boot: Path
    """The file that is in the place of the boot id once the host was started anew."""
    is_booted: bool = field(default=False, init=False)

    def libvirtd(self, world: World) -> None:
        self.daemon.restart()
        self._look_up(world)

    def guest(self, world: World) -> None:
        number = world.guest.dom.ID()
        world.guest.destroy()
        self.libvirtd(world)
        self._start(world, number)

    def host(self, world: World) -> None:
        """Every process of it dies, ``/run`` is empty, and the boot id is another."""
        guest: Guest = world.guest
        number, pid, taps = guest.dom.ID(), guest.pid, set().union(*map(world.members, world.bridges))
        self.daemon.kill()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not taps & set(os.listdir("/sys/class/net")), "the taps to go with QEMU")
        shutil.rmtree("/run/libvirt/qemu")
        self.boot.write_text(f"{uuid.uuid4()}\n")
        subprocess.run(["mount", "--bind", self.boot, BOOT_ID], check=True)
        self.is_booted = True
        assert BOOT_ID.read_text() == self.boot.read_text()
        self.daemon.start()
        self._look_up(world)
        self._start(world, number)

    def _look_up(self, world: World) -> None:
        world.guest.reconnect(libvirt.open(self.daemon.uri))

    def _start(self, world: World, number: int) -> None:
        world.guest.dom.create()
        world.guest.wait_ready()
        assert world.guest.dom.ID() == number, "it has another id: nothing is shown"


@pytest.fixture
def restarts(mortal_libvirtd: Daemon, tmp_path: Path) -> Iterator[Restarts]:
    """Before any guest: the id of the first is 1."""
    mortal_libvirtd.restart()
    one = Restarts(mortal_libvirtd, tmp_path / "boot_id")
    yield one
    if one.is_booted:
        subprocess.run(["umount", BOOT_ID], check=True)


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


def _remove_config(world: World, bridge: str) -> None:
    world.guest.dom.detachDeviceFlags(_text(_node(world, Half.CONFIG, "ua-nic1")), FLAGS[Half.CONFIG])


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
    "remove live": _remove,
    "remove config": _remove_config,
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


@pytest.mark.parametrize("hand", ["remove config", "recable config", "take alias"])
@pytest.mark.parametrize("restart", ["libvirtd", "guest", "host"])
@pytest.mark.parametrize(("name", "call"), [("update", "update"), ("replace", "attach")])
def test_somebody_changes_a_nic_and_something_is_started_anew(
    restarts: Restarts, real: World, third: str, name: str, call: str, restart: str, hand: str
) -> None:
    _bystand(real, third)
    effect = _killed(real, name, call)
    crashed = _picture(real)
    HANDS[hand](real, third)
    changed = _picture(real)
    real.host.journal.close()
    getattr(restarts, restart)(real)
    real.host = real.reopen()
    _recovered(real, Case(effect, crashed, changed, _picture(real), is_started_anew=restart != "libvirtd"))
