"""Write the golden journals of version 3, with the world that each was left in, by the virtnetplug that wrote such journals.

Run it in a checkout of bae4cd7, the last commit of that version, with a Python that has what virtnetplug needs::

    git worktree add ../old bae4cd7 && cd ../old && python ../virtnetplug/tests/golden/journals/write_v3.py

It uses bae4cd7's own package, fakes and contract tests, and writes the files beside itself, in ``v3``. Time stands still there and
identifiers are counted, so that a second run writes the same bytes.

Each operation is left open in each way there is. ``pending``: the guest still holds the NIC. ``killed``: the process died after the call
of that number. ``waiting``: it died while the guest held the NIC. ``incomplete``: the call failed although it had its effect, and every
undo failed.
``lost``: the connection broke after the call. ``resuming`` and ``undoing``: the process died in the recovery of a pending operation, or of
one that was killed. ``before`` and ``after`` are the world before the operation and after one that nothing disturbed. The holdings that no
operation is open for are cases of their own.

``schema.sql`` holds the tables and both pragmas. ``NAME.sql`` lists the cases, and then every row of their journals: the comment behind a
row names the cases whose journal has it. ``NAME.jsonl`` holds what the fakes had, one fact a line, with its cases in the same way.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import json
import os
import queue
import shutil
import sqlite3
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, os.getcwd())

import pytest
import tenacity
import tenacity.nap
from lxml import etree

import virtnetplug
from tests.contract import operations, test_hostdev, test_rebind_pf, test_rebind_vf, test_rebind_vif
from tests.contract.conftest import fake_world
from tests.contract.faults import Crash, Trigger, faulty
from tests.fakes.hypervisor import FakeWatch
from tests.fakes.xen import _Quiet
from virtnetplug.adapters.clock import SystemClock
from virtnetplug.adapters.sqlite import schema
from virtnetplug.errors import ConnectionLost, HypervisorFailed, VirtnetplugError
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import Half, Scope
from virtnetplug.model.pci import PciAddress

TARGET = Path(__file__).parent / "v3"
STARTED = 1_700_000_000.0
"""Unix seconds at which each case begins."""

_LOOKS = (
    *("state", "xml", "metadata", "packets_sent", "strays", "ends", "lacks", "await_idle"),
    *(f"hypervisor.{look}" for look in ("domain", "domains", "definitions", "running", "nic_models", "is_active")),
    *(f"host_devices.{look}" for look in ("device", "devices", "vfs", "group", "settings", "counters", "obstacles")),
    *(f"host_devices.{look}" for look in ("vfio_users", "is_link_up", "is_msix_enabled", "links_above", "pf_state")),
    *("host_devices.netdev_state", "host_devices.obstacle", "host_devices.hook_fault", "nodedevs.driver"),
    *(f"vif_store.{look}" for look in ("vif", "vifs", "domains", "rings", "watch", "watch_frontends")),
    *(f"vif_drivers.{look}" for look in ("bound", "is_bound", "link", "rebind_obstacle")),
)
"""Calls that leave the world as it is: a process that dies at one leaves what the change before it left."""


# -- a world in which nothing is left to chance --------------------------------------------------------------------------


class Still:
    """A clock that only those who wait move, and identifiers that are counted."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.passed, self.made, self.drawn = 0.0, itertools.count(1), itertools.count(1)

    def now(self, *_: object) -> float:
        return STARTED + self.passed

    def monotonic(self, *_: object) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += max(seconds, 0.0)

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(int=next(self.made) << 80, version=4)

    def bytes(self, number: int) -> bytes:
        return next(self.drawn).to_bytes(number, "big")


STILL = Still()


def _next_event(watch: Any, timeout: float) -> Any:
    with suppress(queue.Empty):
        return watch._events.get_nowait()
    STILL.sleep(timeout)
    return None


def _next_change(_: Any, timeout: float) -> bool:
    STILL.sleep(timeout)
    return False


def stand_still() -> None:
    SystemClock.now, SystemClock.monotonic = Still.now.__get__(STILL), Still.monotonic.__get__(STILL)
    FakeWatch.next, _Quiet.next = _next_event, _next_change
    tenacity.nap.time = tenacity.time = STILL
    uuid.uuid4, os.urandom = STILL.uuid, STILL.bytes


# -- operations --------------------------------------------------------------------------------------------------------------


WAYS = frozenset(("killed", "incomplete", "lost", "undoing", "waiting", "resuming"))
"""All in which an operation is left open, but ``pending``."""

FEW = frozenset(("killed",))
"""Of an operation that is like another one of many ways: only its effects count, and not the writes of its journal."""

LONG = WAYS - {"lost"}
"""Of an operation of many steps."""


@dataclasses.dataclass(frozen=True)
class Case:
    """An operation to leave open. `guests` are those of the world that can hold their NICs."""

    make: Callable[[Path, ExitStack], Any]
    prepare: Callable[[Any], object]
    act: Callable[[Any, Plugger], object]
    guests: tuple[str, ...] = ("fake",)
    ways: frozenset[str] = WAYS


def _of(fixture: Any, *arguments: Any) -> Iterator[Any]:
    return fixture._get_wrapped_function()(*arguments)  # type: ignore[no-any-return]


def _made(worlds: Iterator[Any], stack: ExitStack) -> Any:
    """What a fixture gives, which goes with `stack`."""
    world = next(worlds)
    stack.callback(lambda: next(worlds, None))
    return world


def plain(directory: Path, stack: ExitStack) -> Any:
    return _made(fake_world(directory), stack)


def pool(directory: Path, stack: ExitStack) -> Any:
    return _made(_of(test_hostdev.pool, directory), stack)


def house(directory: Path, stack: ExitStack) -> Any:
    return _made(_of(test_rebind_pf.house, pool(directory, stack)), stack)


def dom0(directory: Path, stack: ExitStack) -> Any:
    return _made(_of(test_rebind_vif.dom0, directory, stack.enter_context(pytest.MonkeyPatch.context())), stack)


def _with_an_old_memory(world: Any) -> None:
    """What is remembered of the emulated NIC is not what it is."""
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1", scope=Scope.BOTH)
    world.plugger.update(world.name, "ua-nic1", {"source_bridge": world.bridges[1]}, scope=Scope.BOTH)


def _elsewhere(world: Any) -> None:
    """The tap is in another bridge than its definition names."""
    operations._one(world)
    world.host.hypervisor.set_master("vnet0", world.bridges[1])


def _lent(world: Any) -> None:
    operations._one(world)
    world.plugger.handover(world.name, "ua-nic1", test_hostdev.nic(2), scope=Scope.BOTH)


def _in_the_last(world: Any) -> None:
    world.plugger.rebind_vf("second", "ua-vf2", test_rebind_pf.VFS[3])


def _flashes(world: Any) -> None:
    devices = test_hostdev.devices(world)

    def flash(pf: PciAddress) -> None:
        devices.set_numvfs(pf, 0)
        devices.netdevs[pf] = dataclasses.replace(devices.netdevs[pf], is_up=False, mtu=1500)

    devices.hooks["flash"] = flash


def _of_pf(prepare: Callable[[Any], object], ways: frozenset[str] = FEW, **wish: Any) -> Case:
    return Case(house, prepare, lambda w, p: test_rebind_pf.rebind(w, p, **wish), ("second", "fake"), ways)


def _of_vif(*, reload: bool) -> Case:
    ways = LONG if reload else WAYS
    return Case(dom0, lambda w: None, lambda w, p: test_rebind_vif.rebind(w, p, reload=reload), (), ways)


def _of_one_half(name: str, scope: Scope) -> Case:
    return Case(plain, operations.OPERATIONS[name][0], lambda w, p: HALF[name](w, p, scope), ways=FEW)


HALF: dict[str, Callable[[Any, Plugger, Scope], object]] = {
    "attach": lambda w, p, scope: p.attach(w.name, [w.bridge_nic(1), w.network_nic(2)], scope=scope),
    "detach": lambda w, p, scope: p.detach(w.name, ["ua-nic1", "ua-nic2"], scope=scope, wait=5),
    "update": lambda w, p, scope: p.update(w.name, "ua-nic1", {"source_bridge": w.bridges[1]}, scope=scope),
    "replace": lambda w, p, scope: p.update(w.name, "ua-nic1", {"model": "e1000"}, scope=scope, replace=True, wait=5),
    "rebind": lambda w, p, scope: p.rebind(w.name, "ua-nic1", {"source_network": w.network}, scope=scope),
    "handover": lambda w, p, scope: p.handover(w.name, "ua-nic1", w.network_nic(2), scope=scope, wait=5),
}
"""Operations on one definition of the domain only."""

CASES: dict[str, Case] = {
    **{name: Case(plain, *both) for name, both in operations.OPERATIONS.items()},
    **{f"{name}-live": _of_one_half(name, Scope.LIVE) for name in HALF},
    **{f"{name}-config": _of_one_half(name, Scope.CONFIG) for name in ("attach", "detach", "update")},
    "heal-elsewhere": Case(plain, _elsewhere, lambda w, p: p.repair(p.audit()), ways=FEW),
    "remember": Case(plain, _with_an_old_memory, lambda w, p: p.set_policy(w.name, force_unplug="NICS")),
    **{
        f"vf-{name.replace(' ', '-')}": Case(pool, *both, ways=FEW if name in ("set both", "replace unmanaged") else WAYS)
        for name, both in test_hostdev.OPERATIONS.items()
    },
    "vf-handover": Case(
        pool, operations._one, lambda w, p: p.handover(w.name, "ua-nic1", test_hostdev.nic(2), scope=Scope.BOTH, wait=5)
    ),
    "vf-handback": Case(pool, _lent, lambda w, p: p.handback(w.name, "ua-nic1", wait=5)),
    **{
        f"rebind-vf-{name}": Case(pool, test_rebind_vf.attached, act[0], ways=FEW if name == "auto" else WAYS)
        for name, act in test_rebind_vf.ACTS.items()
    },
    "rebind-pf-reload": _of_pf(lambda w: None, LONG, **test_rebind_pf.WISHES["reload"]),
    "rebind-pf-more": _of_pf(lambda w: None, **test_rebind_pf.WISHES["more"]),
    "rebind-pf-fewer": _of_pf(_in_the_last, **test_rebind_pf.WISHES["fewer"]),
    "rebind-pf-hook": _of_pf(_flashes, firmware_hook="flash"),
    "rebind-vif-one": _of_vif(reload=False),
    "rebind-vif-all": _of_vif(reload=True),
}  # fmt: skip


class Fault(Trigger):
    """Breaks after one call: ``crash``, the process dies; ``broken``, this and each later effect fails; ``lost``, the connection breaks."""

    def __init__(self, at: int, kind: str) -> None:
        super().__init__(at, kind, after=True)

    def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
        number, self.count = self.count, self.count + 1
        self.calls.append(name)
        if self.fired and (self.kind == "crash" or is_effect(name)):
            self._stop(name)
        answer = call(*args, **named)
        if number == self.at:
            self._stop(name)
        return answer

    def _stop(self, name: str) -> None:
        self.fired = True
        if self.kind == "crash":
            raise Crash
        if self.kind == "lost":
            raise ConnectionLost("the connection broke, for the test")
        raise HypervisorFailed("it failed, for the test")


def is_effect(call: str) -> bool:
    return call not in _LOOKS and not call.startswith("journal.")


# -- what is kept of a case --------------------------------------------------------------------------------------------------


def value(thing: Any) -> Any:
    """As JSON has it; of a model's class only what is not as it is by default."""
    if dataclasses.is_dataclass(thing) and not isinstance(thing, PciAddress | Mac):
        fields = {field.name: field.default for field in dataclasses.fields(thing)}
        return {name: value(getattr(thing, name)) for name in fields if getattr(thing, name) != fields[name]}
    if isinstance(thing, enum.Enum):
        return thing.value
    if isinstance(thing, dict):
        return {str(key): value(each) for key, each in sorted(thing.items(), key=lambda item: str(item[0]))}
    if isinstance(thing, set | frozenset):
        return sorted(map(value, thing), key=str)
    if isinstance(thing, list | tuple):
        return [value(each) for each in thing]
    return thing if isinstance(thing, str | int | float | bool | None) and not isinstance(thing, Mac) else str(thing)


def _number(counter: Any) -> int:
    """The number that it will give next, which it still gives next."""
    return int(counter.__reduce__()[1][0])


def facts_of(world: Any) -> dict[str, Any]:
    """All that the fakes have."""
    hypervisor = world.host.hypervisor
    xen = getattr(world, "xen", None)
    facts = {"clock": STILL.now(), **_domains(hypervisor), **_hypervisor(hypervisor), **_devices(hypervisor.devices)}
    return facts | (_xen(xen) if xen is not None else {})


def _domains(hypervisor: Any) -> dict[str, Any]:
    facts = {}
    for name, domain in hypervisor.all.items():
        assert not domain.refuses and not domain.paused and not domain.sent
        facts[f"domain {name}"] = {
            "uuid": domain.uuid, "id": domain._id, "holds": domain.holds, "leaving": list(domain._leaving),
        }  # fmt: skip
        for half, tree in (("live", domain._live), ("config", domain._config)):
            facts[f"{half} {name}"] = None if tree is None else etree.tostring(tree, encoding="unicode")
    return facts


def _hypervisor(hypervisor: Any) -> dict[str, Any]:
    assert not hypervisor.switches and not hypervisor.vlans and not hypervisor.macs
    facts = {name: value(getattr(hypervisor, name)) for name in ("bridges", "taps", "isolated", "only_macs")}
    facts |= {f"network {name}": value(network) for name, network in hypervisor.nets.items()}
    facts |= {f"port {name}": value(port) for name, port in hypervisor.net_ports.items()}
    for address, before in hypervisor._before.items():
        facts[f"assigned {address}"] = {"before": value(before), "port": hypervisor._allocated.get(address)}
    assert set(hypervisor._allocated) <= set(hypervisor._before)
    return facts | {
        "next": {
            "id": _number(hypervisor.ids), "tap": _number(hypervisor._taps), "port": _number(hypervisor._ports),
            "netdev": _number(hypervisor.devices._names), "mac": _number(hypervisor.devices._random_macs),
        },
    }  # fmt: skip


def _devices(devices: Any) -> dict[str, Any]:
    assert not devices.faults and not devices.counted and not devices.against and not devices.forbidden
    assert all(devices.links.values()) and not devices.driven and not devices.above and not devices.deadlocks
    facts = {f"device {address}": value(device) for address, device in devices.found.items()}
    facts |= {f"settings {address}": value(settings) for address, settings in devices.set.items()}
    facts |= {f"netdev {address}": value(state) for address, state in devices.netdevs.items()}
    facts |= {f"held {address}": value(pids) for address, pids in devices.held.items()}
    return facts | {"unsettable": value(devices.unsettable)}


def _xen(xen: Any) -> dict[str, Any]:
    assert xen.obstacle is None
    channel = _number(xen._channels)
    facts = {"xen": {"bridges": xen.bridges, "is_loaded": xen.is_loaded, "loads": xen.loads, "channel": channel}}
    return facts | {f"vif {name}": value(seat) for name, seat in xen.seats.items()}


def rows_of(directory: Path) -> tuple[list[str], list[str]]:
    """The statements that make a journal, and those that fill it."""
    with closing(sqlite3.connect(directory / "journal.db")) as database:
        dump = [line for line in database.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;")]
        pragmas = [f"PRAGMA {name} = {database.execute(f'PRAGMA {name}').fetchone()[0]};" for name in _PRAGMAS]
    rows = [line for line in dump if line.startswith("INSERT")]
    assert not any("\n" in row for row in rows)
    return [*pragmas, *(line for line in dump if not line.startswith("INSERT"))], rows


_PRAGMAS = ("application_id", "user_version")


# -- leaving them open --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Left:
    """A case: its name, the rows of its journal, and the facts of its world."""

    name: str
    rows: list[str]
    facts: dict[str, Any]
    is_open: bool


def capture(world: Any, name: str) -> Left:
    journal = world.host.journal
    is_open = bool(journal.open_operations())
    state = world.state_dir
    journal.close()
    return Left(name, rows_of(state)[1], facts_of(world), is_open)


@contextmanager
def world_of(case: Case) -> Iterator[Any]:
    """A new world, ready for the operation."""
    STILL.reset()
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        world = case.make(Path(directory), stack)
        case.prepare(world)
        yield world


def reopened(world: Any) -> None:
    """Another process has the world."""
    if hasattr(world, "open"):
        world.open()
        return
    world.host.journal.close()
    world.host = world.reopen()


def run(case: Case, world: Any, fault: Trigger, *, recovers: bool = False) -> None:
    plugger = Plugger(faulty(world.host, fault), lambda: None)
    with suppress(VirtnetplugError, Crash):
        if recovers:
            plugger.recover(wait=5)
        else:
            case.act(world, plugger)


def hold(world: Any, guests: tuple[str, ...]) -> None:
    for name in guests:
        world.host.hypervisor.all[name].hold()


def resume(world: Any, guests: tuple[str, ...]) -> None:
    for name in guests:
        world.host.hypervisor.all[name].resume()


Ready = Callable[[Any], object]


def broken(
    case: Case, kind: str, how: str, ready: Ready, *, recovers: bool = False, journal: bool = False, first: str = ""
) -> Iterator[Left]:
    """The operation, or its recovery, broken at each effect from the first of that name on; with `journal`, also at each write of it."""
    calls = calls_of(case, ready, recovers=recovers)
    start = calls.index(first) if first else 0
    for number, call in enumerate(calls):
        if number >= start and (is_effect(call) or (journal and call not in _LOOKS)):
            with world_of(case) as world:
                ready(world)
                run(case, world, Fault(number, how), recovers=recovers)
                yield capture(world, f"{kind} {number:02} {call}")


def calls_of(case: Case, ready: Ready, *, recovers: bool = False) -> list[str]:
    with world_of(case) as world:
        ready(world)
        fault = Fault(-1, "none")
        run(case, world, fault, recovers=recovers)
        return fault.calls


def at_once(world: Any) -> None:
    """The operation comes next."""


def left_open(case: Case) -> Iterator[Left]:
    """Every way in which the operation can be left open, and what it should be compared with."""
    with world_of(case) as world:
        yield dataclasses.replace(capture(world, "before"), is_open=True)
    with world_of(case) as world:
        case.act(world, world.plugger)
        yield dataclasses.replace(capture(world, "after"), is_open=True)
    for guest in case.guests:
        yield from held(case, guest)
    yield from broken(case, "killed", "crash", at_once, journal=case.ways != FEW)
    for way, how in (("incomplete", "broken"), ("lost", "lost")):
        if way in case.ways:
            yield from broken(case, way, how, at_once)
    if "undoing" in case.ways:
        yield from broken(case, "undoing", "crash", killed_late(case), recovers=True)


def killed_late(case: Case) -> Ready:
    """The operation died after the last effect that it had in the guest or on the host."""
    effects = [number for number, call in enumerate(calls_of(case, at_once)) if is_effect(call)]

    def ready(world: Any) -> None:
        run(case, world, Fault(effects[-1], "crash"))
        reopened(world)

    return ready


def held(case: Case, guest: str) -> Iterator[Left]:
    """What the operation leaves where the guest does not let go, and what a recovery leaves that dies once it has."""

    def holding(world: Any) -> None:
        world.host.hypervisor.all[guest].hold()

    def asked(world: Any) -> None:
        holding(world)
        run(case, world, Fault(-1, "none"))

    def gone(world: Any) -> None:
        asked(world)
        reopened(world)
        world.host.hypervisor.all[guest].resume()

    if "detach" not in calls_of(case, holding):
        return
    kind = "" if guest == case.guests[0] else f"-{guest}"
    with world_of(case) as world:
        asked(world)
        yield capture(world, f"pending{kind}")
    if not kind and "waiting" in case.ways:
        yield from broken(case, "waiting", "crash", holding, journal=True, first="detach")
        yield from broken(case, "resuming", "crash", gone, recovers=True, journal=True)


# -- holdings that no operation is open for -----------------------------------------------------------------------------------


def holdings() -> Iterator[Left]:
    """VFs that are held though no guest has them, and those that are not to be lent."""
    case = Case(pool, lambda w: None, lambda w, p: None)
    with world_of(case) as world:
        yield capture(world, "before")

    def attached(world: Any, network: str = "pool") -> PciAddress:
        (one,) = world.plugger.attach(world.name, [test_hostdev.nic(1, network)]).nics
        return one.host_address  # type: ignore[no-any-return]

    def quarantined(world: Any) -> None:
        test_hostdev.devices(world).set_by_hand(attached(world), trust=True)
        test_hostdev.devices(world).unsettable.add("trust")
        world.plugger.detach(world.name, "ua-vf1")
        test_hostdev.devices(world).unsettable.clear()

    for network in ("pool", "unmanaged"):
        with world_of(case) as world:
            attached(world, network)
            world.guest.destroy()
            yield capture(world, f"ended {network}")
        with world_of(case) as world:
            attached(world, network)
            world.guest.detach("ua-vf1", Half.LIVE)
            yield capture(world, f"left {network}")
    with world_of(case) as world:
        quarantined(world)
        yield capture(world, "quarantined")
    with world_of(case) as world:
        quarantined(world)
        world.guest.destroy()
        yield capture(world, "quarantined ended")
    with world_of(case) as world:
        world.host.hypervisor.domain(world.name).attach(test_hostdev.by_address(), Half.LIVE)
        world.plugger.update(world.name, "ua-vf9", {"trust": True})
        world.guest.destroy()
        yield capture(world, "foreign ended")
    with world_of(case) as world:
        test_hostdev.devices(world).set_numvfs(test_hostdev.PFS[0], 4)
        address = attached(world)
        world.guest.destroy()
        test_hostdev.devices(world).set_numvfs(test_hostdev.PFS[0], 0)
        assert address not in test_hostdev.devices(world).found
        yield capture(world, "gone ended")


# -- writing -------------------------------------------------------------------------------------------------------------------


def ranges(numbers: list[int]) -> str:
    """As ``0 2-5``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def write(name: str, lefts: list[Left]) -> None:
    rows: dict[str, list[int]] = {}
    facts: dict[str, dict[str, list[int]]] = {}
    for number, left in enumerate(lefts):
        for row in left.rows:
            rows.setdefault(row, []).append(number)
        for fact, is_so in left.facts.items():
            text = json.dumps(is_so, ensure_ascii=False, separators=(",", ":"))
            facts.setdefault(fact, {}).setdefault(text, []).append(number)
    head = [f"-- {number} {left.name}" for number, left in enumerate(lefts)]
    body = [f"{row} -- {ranges(numbers)}" for row, numbers in sorted(rows.items(), key=lambda row: row[0][:25])]
    lines = [
        f'{{"in":"{ranges(numbers)}","fact":{json.dumps(fact)},"is":{text}}}'
        for fact, values in sorted(facts.items())
        for text, numbers in values.items()
    ]
    TARGET.joinpath(f"{name}.sql").write_text("\n".join([*head, *body, ""]))
    TARGET.joinpath(f"{name}.jsonl").write_text("\n".join([*lines, ""]))


def unlike(lefts: Iterator[Left]) -> list[Left]:
    """Those that have something open, each once."""
    seen: set[str] = set()
    found = []
    for left in lefts:
        key = repr((left.rows, left.facts))
        if left.is_open and (key not in seen or left.name in ("before", "after")):
            seen.add(key)
            found.append(left)
    return found


def main(names: list[str]) -> None:
    assert Path(virtnetplug.__file__).is_relative_to(Path.cwd()) and schema.VERSION == 3, (
        "run it in a checkout of bae4cd7"
    )
    stand_still()
    if not names:
        shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(exist_ok=True)
    with world_of(CASES["attach"]) as world:
        world.host.journal.close()
        TARGET.joinpath("schema.sql").write_text("\n".join([*rows_of(world.state_dir)[0], ""]))
    for name in names or CASES:
        if name in CASES:
            write(name, unlike(left_open(CASES[name])))
    if not names or "holdings" in names:
        write("holdings", list(holdings()))


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    main(sys.argv[1:])
