"""For every step k: fail at k, fail at k with undos that fail too, and die at k then recover.

On the fake host an operation fails at every call. On real QEMU, and wherever a process dies, once for each world that the
operation goes through (`faults.kill_points`; `test_worlds` shows that nothing is left out by that).
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests import warm
from tests.contract import victim
from tests.contract.faults import Crash, Trigger, changes, faulty, kill_points, points
from tests.contract.operations import GOVERNED, OPERATIONS, Act
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import RollbackIncomplete, VirtnetplugError
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.identity import DomainMetadata
from virtnetplug.model.operation import Half, Result, Scope


def _plugger(world: World, trigger: Trigger) -> Plugger:
    return Plugger(faulty(world.host, trigger), lambda: None)


def _run(world: World, act: Act, trigger: Trigger) -> VirtnetplugError | None:
    try:
        act(world, _plugger(world, trigger))
    except VirtnetplugError as error:
        return error
    return None


def _is_complete(name: str, world: World, before: dict[str, Any]) -> bool:
    """Whether the operation has had all of its effect."""
    now = world.snapshot()
    has = [alias in now[half] for alias in ("ua-nic1", "ua-nic2") for half in ("live", "config")]
    if name == "attach":
        return all(has)
    if name == "detach":
        return not any(has)
    if name in ("handover", "handback"):
        came = "ua-nic2" if name == "handover" else "ua-nic1"
        nets = [xml.devices(now[half]).nets for half in ("live", "config")]
        remembered = world.host.hypervisor.domain(world.name)
        outs = [xml.metadata(remembered.metadata(half)).identity("ua-nic1") for half in (Half.LIVE, Half.CONFIG)]
        is_out = [known is not None and known.is_out for known in outs]
        return is_out == [name == "handover"] * 2 and all(
            [(net.alias, str(net.mac)) for net in each] == [(came, "52:54:00:00:00:01")] for each in nets
        )
    if name == "heal":
        return bool(now["ports"] == 1 and sum(now["taps"].values()) == 1)
    if name in _COMPLETE:
        return _COMPLETE[name](world)
    changed = now["live"] != before["live"] and now["config"] != before["config"]
    return changed and sum(now["taps"].values()) == sum(before["taps"].values())


def _nets(world: World) -> list[dict[str | None, bool]]:
    """Of each definition, the NICs and whether their links are up."""
    definitions = [xml.devices(world.definition(half)).nets for half in (Half.LIVE, Half.CONFIG)]
    return [{net.alias: net.link_state != "down" for net in nets} for nets in definitions]


def _kept(world: World) -> list[DomainMetadata]:
    domain = world.host.hypervisor.domain(world.name)
    return [xml.metadata(domain.metadata(half)) for half in (Half.LIVE, Half.CONFIG)]


def _has_marker(world: World) -> bool:
    known = [kept.identity("ua-nic1") for kept in _kept(world)]
    return all(each is not None and each.vif == "ua-nic2" and not each.is_out for each in known)


_BOTH_UP = {"ua-nic1": True, "ua-nic2": True}
_COMPLETE: dict[str, Callable[[World], bool]] = {
    "marker": lambda w: _has_marker(w) and _nets(w) == [_BOTH_UP] * 2,
    "forget": lambda w: _kept(w) == [DomainMetadata()] * 2,
    "policy": lambda w: (
        [kept.activation for kept in _kept(w)] == [(("ua-nic1", "ua-nic2"),)] * 2
        and _nets(w) == [{"ua-nic1": True, "ua-nic2": False}, _BOTH_UP]
    ),
    "enforcement": lambda w: _has_marker(w) and _nets(w) == [{"ua-nic2": True}] * 2,
    "stand-in": lambda w: _nets(w) == [{"ua-nic2": True}] * 2,
}


def _assert_as_before_or_complete(name: str, world: World, before: dict[str, Any], what: str) -> None:
    now = world.snapshot()
    assert now["open"] == [], what
    if world.carries().asked:  # the call that was to end that has failed
        world.plugger.recover()
        assert not world.carries().asked, what
    if not _is_complete(name, world, before):
        assert _without_order(now) == _without_order(before), what
        if name == "heal":
            return  # before, it was cut off
    taps, ports = sum(now["taps"].values()), now["ports"]
    assert taps == now["live"].count("<interface") and ports == now["live"].count('type="network"') + now["live"].count(
        "type='network'"
    ), what


def _without_order(snapshot: dict[str, Any]) -> dict[str, Any]:
    """libvirt appends what is put back: the order of the interfaces is compared apart."""
    halves = {half: sorted(snapshot[half].replace("><", "> <").split()) for half in ("live", "config")}
    return {**snapshot, **halves}


def _count(world: World, act: Act) -> list[str]:
    trigger = Trigger(-1, "none")
    act(world, _plugger(world, trigger))
    return trigger.calls


def _reset(world: World) -> None:
    """No NIC anywhere."""
    for nic in world.plugger.list(world.name):
        scope = Scope.BOTH if nic.live and nic.config else Scope.LIVE if nic.live else Scope.CONFIG
        world.plugger.detach(world.name, nic.alias or nic.mac or "", scope=scope, restore_emulated=False, wait=20)
    for half in (Half.LIVE, Half.CONFIG):
        world.host.hypervisor.domain(world.name).set_metadata(half, None)


def _cases(world: World, name: str) -> tuple[Act, list[str]]:
    """The operation, and the calls that it makes when nothing is wrong."""
    prepare, act = OPERATIONS[name]
    prepare(world)
    calls = _count(world, act)
    _reset(world)
    effects = {
        "attach": "attach",
        "detach": "detach",
        "update": "update",
        "replace": "attach",
        "rebind": "update",
        "heal": "links.set_master",
        "stand-in": "update",
    }
    assert effects.get(name, "set_metadata") in calls
    return act, calls


Where = Callable[[World, str, list[str]], list[tuple[int, bool]]]


@pytest.fixture
def where(request: pytest.FixtureRequest) -> Where:
    """Gives the points to break at: on real QEMU one for each change, and with ``--full`` every one."""
    is_full = request.config.getoption("--full")
    return lambda world, kind, calls: _where(world, kind, calls, is_full=is_full)


def _where(world: World, kind: str, calls: list[str], *, is_full: bool) -> list[tuple[int, bool]]:
    if world.kind == "fake":
        return points(kind, calls)
    if is_full:
        return points("broken" if kind == "broken" else "fail", calls)
    if kind == "kill":
        return kill_points(calls)
    return [(k, kind != "broken") for k in changes(calls)]


@pytest.mark.many(2)
@pytest.mark.parametrize("name", OPERATIONS)
def test_fail_at_every_step(world: World, where: Where, name: str) -> None:
    act, calls = _cases(world, name)
    missed = 0
    for k, after in (chosen := where(world, "fail", calls)):
        OPERATIONS[name][0](world)
        before = world.snapshot()
        trigger = Trigger(k, "fail", after=after)
        error = _run(world, act, trigger)
        what = f"{name}, {'after' if after else 'at'} call {k} ({trigger.calls[-1] if trigger.calls else '-'}): {error}"
        if not trigger.fired:  # a real guest that let go before it was looked at has saved this run a look
            assert world.kind != "fake" and error is None, what
            missed += 1
        is_said_undone = error is not None and error.exit_code in (3, 4)
        assert not (is_said_undone and _is_complete(name, world, before)), f"{what}: and it is done"
        if isinstance(error, RollbackIncomplete) or name in GOVERNED:
            world.plugger.recover(wait=20)
        _assert_as_before_or_complete(name, world, before, what)
        _reset(world)
    assert missed <= len(chosen) * 0.2


@pytest.mark.many(2)
@pytest.mark.parametrize("name", OPERATIONS)
def test_fail_at_every_step_with_failing_undos(world: World, where: Where, name: str) -> None:
    act, calls = _cases(world, name)
    incomplete = 0
    for k, after in where(world, "broken", calls):
        OPERATIONS[name][0](world)
        before = world.snapshot()
        trigger = Trigger(k, "broken", after=after)
        error = _run(world, act, trigger)
        what = f"{name}, broken from call {k}: {error}"
        if isinstance(error, RollbackIncomplete):
            incomplete += 1
            assert error.exit_code == 5 and error.undo_failures, what
            outcomes = world.plugger.recover(wait=20)
            assert {outcome.result for outcome in outcomes} <= {Result.UNDONE, Result.DONE}, what
        elif name in GOVERNED:
            world.plugger.recover(wait=20)
        _assert_as_before_or_complete(name, world, before, what)
        assert world.plugger.recover() == ()
        _reset(world)
    assert incomplete > 0, "no undo ever failed: the fault is not where it should be"


@pytest.mark.many(2)
@pytest.mark.parametrize("name", OPERATIONS)
def test_crash_in_every_world_then_recover(fake: World, name: str) -> None:
    """Imaginary host, imaginary death: nothing of the process runs after call k, no undo either."""
    act, calls = _cases(fake, name)
    for k, after in points("crash", calls):
        OPERATIONS[name][0](fake)
        before = fake.snapshot()
        trigger = Trigger(k, "crash", after=after)
        with pytest.raises(Crash):
            act(fake, _plugger(fake, trigger))
        fake.host.journal.close()
        fake.host = fake.reopen()
        fake.plugger.recover(wait=20)
        what = f"{name}, died {'after' if after else 'at'} call {k} ({trigger.calls[-1]})"
        _assert_as_before_or_complete(name, fake, before, what)
        assert fake.plugger.recover() == (), what
        _reset(fake)


@pytest.mark.driver("daemon")
@pytest.mark.parametrize("name", OPERATIONS)
def test_kill_in_every_world_then_recover(real: World, where: Where, name: str) -> None:
    """Real QEMU, a real process, a real SIGKILL at call k."""
    _, calls = _cases(real, name)
    scene = victim.Scene.of(real)
    killed = 0
    for k, after in (chosen := where(real, "kill", calls)):
        OPERATIONS[name][0](real)
        before = real.snapshot()
        real.host.journal.close()
        status, said = warm.run(victim.die, scene, name, k, after)
        what = f"{name}, killed {'after' if after else 'at'} call {k} ({calls[k]}): {said}"
        assert status in (-signal.SIGKILL, victim.NEVER_CAME), what
        killed += status == -signal.SIGKILL
        real.host = real.reopen()
        real.plugger.recover(wait=20)
        _assert_as_before_or_complete(name, real, before, what)
        assert real.plugger.recover() == (), what
        _reset(real)
    assert killed >= len(chosen) * 0.8
