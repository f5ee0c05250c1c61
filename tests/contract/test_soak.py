"""Two processes do anything at random on one imaginary host, among faults and deaths, with guests that do as they like.

Whenever both rest, what was told, the journal, the guest and the host agree. A world that fails is made again by its seed alone.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.contract.agreement import Call, Change, Ledger, NicKey, Process, alias_of, keys
from tests.contract.conftest import one_fake_world
from tests.contract.faults import Trigger
from tests.contract.interleave import Turns
from tests.contract.world import World
from virtnetplug.errors import VirtnetplugError
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half, OperationRecord, Scope

IN_DEFAULT, IN_FULL, IN_WORLD = 200, 20_000, 400
"""Operations of a run without and with ``--full``, and those of one world."""

NUMBERS = (1, 2, 3)
TWINS = {1: 11, 2: 12, 3: 13}
"""Of NICs that may be handed over, the NIC that serves then: always the same one, so that a hand-back is known by its name."""
VFS = (5, 6)

ASKED_FOR = ("config-differs",)
"""What an audit finds after operations on one of the two definitions alone."""

WAITS = (0.0, 0.5, 3.0, 8.0)


def change_of(call: Call, record: OperationRecord) -> Change | None:
    """What an operation that is done has changed."""
    aliases = [entry["alias"] for entry in record.request.get("nics", ()) if "alias" in entry]
    out: frozenset[NicKey] = frozenset()
    into: frozenset[NicKey] = frozenset()
    if record.operation == "attach":
        into = keys(*aliases)
    elif record.operation == "detach":  # of each NIC the halves that it had when it was asked for
        live, config = (
            [nic["alias"] for nic in record.request["nics"] if nic[half.value] is not None] for half in Half
        )
        return Change(live_out=keys(*live), config_out=keys(*config))
    elif all(step.name == "remember" for step in record.steps):
        return Change()  # the NIC was there, and what is remembered of it was wrong
    elif record.operation in ("handover", "handback"):
        (number,) = (
            number for number in NUMBERS if f"ua-nic{number}" in aliases or f"ua-nic{TWINS[number]}" in aliases
        )
        out, into = keys(f"ua-nic{number}"), keys(f"ua-nic{TWINS[number]}")
        if record.operation == "handback":
            out, into = into, out
    halves = record.scope.halves
    return Change(
        live_out=out if Half.LIVE in halves else frozenset(),
        live_in=into if Half.LIVE in halves else frozenset(),
        config_out=out if Half.CONFIG in halves else frozenset(),
        config_in=into if Half.CONFIG in halves else frozenset(),
    )


def _vf_nic(number: int) -> str:
    return (
        f"<interface type='network'><mac address='52:54:00:00:00:{number:02x}'/><source network='pool'/>"
        f"<alias name='ua-vf{number}'/></interface>"
    )


Act = tuple[str, Callable[[Plugger], Any]]


class _Life:
    """One process after another in one place: when a process has died, the next call is a new one's."""

    def __init__(self, soak: Soak, name: str) -> None:
        self.soak, self.name = soak, name
        self._begin()

    def _begin(self) -> None:
        self.trigger = Trigger(-1, "none")
        self.process: Process = self.soak.ledger.process(self.trigger)

    def call(self, what: str, act: Callable[[Plugger], Any]) -> None:
        """Make one call, perhaps with a fault in it."""
        draw, trigger = self.soak.draw, self.trigger
        trigger.at, trigger.fired, trigger.kind = -1, False, "none"
        trigger.calls.clear()
        if draw.random() < 0.25:
            trigger.at, trigger.after = trigger.count + int(draw.expovariate(1 / 12)), draw.random() < 0.5
            trigger.kind = draw.choice(("fail", "broken", "crash"))
        fault = f" ({trigger.kind} at {trigger.at - trigger.count}{' after it' if trigger.after else ''})"
        call = self.process.call(what + (fault if trigger.at >= 0 else ""), None, act, who=self.name)
        call.is_broken = trigger.fired
        if call.has_died:
            self._begin()
        trigger.kind, trigger.at = "none", -1


class Soak:
    """One world, its two processes, its guest, and all that is drawn by `seed`."""

    def __init__(self, world: World, turns: Turns, seed: str) -> None:
        self.world, self.turns, self.draw = world, turns, random.Random(seed)
        self.ledger = Ledger(
            world, turns, key_of=alias_of, change_of=change_of, is_fault=lambda finding: finding.kind not in ASKED_FOR
        )
        self.lives = [_Life(self, "A"), _Life(self, "B")]
        self.counted: Counter[str] = Counter()

    def run(self, operations: int) -> None:
        """So many operations; after every few the processes rest, and all is looked at."""
        rounds = 0
        while sum(self.counted.values()) < operations:
            rounds += 1
            for life in self.lives:
                acts = [self._operation() for _ in range(self.draw.randint(1, 3))]
                self.turns.add(life.name, lambda life=life, acts=acts: [life.call(*act) for act in acts])
                self.counted.update(what.partition(" ")[0] for what, _ in acts)
            self.turns.add("guest", self._guest)
            self.turns.run()
            self.ledger.assert_agreed()
            if rounds % 3 == 0:
                self._settle()

    def _settle(self) -> None:
        guest = self.world.guest
        guest.refuses = guest.blinks = False
        if guest.state().is_active:
            guest.resume()
        self.ledger.assert_settles()
        if not guest.state().is_active:
            with suppress(VirtnetplugError):
                guest.start()
        self.ledger.begin_anew()

    def _guest(self) -> None:
        """What the guest does meanwhile, and what is done to it."""
        guest = self.world.guest
        for _ in range(self.draw.randint(0, 3)):
            self.turns.clock.sleep(self.draw.choice((0.0, 0.0, 1.0, 4.0)))
            what = self.draw.choice(("hold", "resume", "resume", "refuse", "comply", "stop", "start"))
            if what == "stop" and self.draw.random() < 0.3 and guest.state().is_active:
                self.ledger.guest_ended()
                guest.destroy()
            elif what == "start" and not guest.state().is_active:
                self.ledger.guest_ended()
                with suppress(VirtnetplugError):
                    guest.start()
            elif what in ("refuse", "comply"):
                guest.refuses = what == "refuse"
            elif what == "hold" or guest.state().is_active:
                (guest.hold if what == "hold" else guest.resume)()

    def _operation(self) -> Act:
        world, draw = self.world, self.draw
        name, number, wait = world.name, draw.choice(NUMBERS), draw.choice(WAITS)
        nic, twin, vf = f"ua-nic{number}", TWINS[number], draw.choice(VFS)
        any_alias = draw.choice((nic, nic, f"ua-nic{twin}", f"ua-vf{vf}"))
        scope = draw.choice((Scope.BOTH, Scope.BOTH, Scope.LIVE, Scope.CONFIG))
        made = draw.choice((world.bridge_nic(number), world.network_nic(number), _vf_nic(vf)))
        policy = draw.choice(list(UnplugPolicy))
        acts: list[tuple[int, str, Callable[[Plugger], Any]]] = [
            (6, "attach", lambda p: p.attach(name, [made], scope=scope, wait=wait)),
            (1, "attach two", lambda p: p.attach(name, [world.bridge_nic(1), world.network_nic(2)], scope=scope, wait=wait)),
            (5, f"detach {any_alias}", lambda p: p.detach(name, any_alias, scope=scope, wait=wait)),
            (1, "detach two", lambda p: p.detach(name, ["ua-nic1", "ua-nic2"], scope=scope, wait=wait)),
            (2, f"update {nic}", lambda p: p.update(name, nic, {"source_bridge": draw.choice(("br0", "br1"))}, wait=wait)),
            (2, f"replace {nic}", lambda p: p.update(
                name, nic, {"model": draw.choice(("e1000", "virtio"))}, scope=scope, replace=True, wait=wait)),
            (1, f"rebind {nic}", lambda p: p.rebind(name, nic, {"source_network": "default"}, scope=scope)),
            (1, f"heal {nic}", lambda p: p.heal(name, nic)),
            (2, f"handover {nic}", lambda p: p.handover(
                name, nic, world.network_nic(twin), scope=Scope.BOTH, wait=wait)),
            (2, f"handback {nic}", lambda p: p.handback(name, nic, wait=wait)),
            (1, f"marker {nic}", lambda p: p.attach(
                name, [world.network_nic(twin)], scope=Scope.BOTH, twin_of=nic, wait=wait)),
            (1, f"forget {nic}", lambda p: p.forget_identity(name, nic)),
            (1, f"policy {policy}", lambda p: p.set_policy(
                name, **({"force_unplug": "NICS"} if policy is UnplugPolicy.PRESENT else {"unplug": policy}))),
            (1, "serve", lambda p: p.set_policy(name, serve=["ua-nic1", "ua-nic2"])),
            (1, "clear", lambda p: p.clear_policy(name)),
            (2, f"rebind-vf ua-vf{vf}", lambda p: p.rebind_vf(name, f"ua-vf{vf}", wait=wait)),
            (1, f"change ua-vf{vf}", lambda p: p.update(name, f"ua-vf{vf}", {"trust": draw.random() < 0.5}, wait=wait)),
            (3, "recover", lambda p: p.recover(wait=wait)),
        ]  # fmt: skip
        _, what, act = draw.choices(acts, weights=[weight for weight, _, _ in acts])[0]
        return what, act


def soak(directory: Path, seed: str, operations: int) -> Counter[str]:
    """One world of that seed. Returns how often what was done."""
    turns = Turns(draw=random.Random(seed))
    with one_fake_world(directory, turns.clock) as world:
        world.host.hypervisor.add_network(  # type: ignore[attr-defined]
            Network(name="pool", forward="hostdev", pf="eth0", managed=True)
        )
        there = Soak(world, turns, seed)
        try:
            there.run(operations)
        except BaseException as error:
            done = sum(there.counted.values())
            error.add_note(f"the world of seed {seed!r}, after {done} operations\n{turns.schedule}")
            raise
    return there.counted


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    worlds = IN_FULL // IN_WORLD if metafunc.config.getoption("--full") else 1
    metafunc.parametrize("seed", [f"{metafunc.config.getoption('--seed')} {number}" for number in range(worlds)])


def test_two_processes_do_anything(seed: str, memory: Path, request: pytest.FixtureRequest) -> None:
    operations = IN_WORLD if request.config.getoption("--full") else IN_DEFAULT
    began = time.monotonic()
    counted = soak(memory / "state", seed, operations)
    shutil.rmtree(memory / "state")
    number = sum(counted.values())
    print(f"{number} operations, {number / (time.monotonic() - began):.0f} a second: {dict(counted)}")
    assert number >= operations
