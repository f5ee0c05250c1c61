"""Two and three processes, and an administrator, on one open operation, in every order: nobody is told a lie, and nothing leaks.

By default a few orders of some scenarios are drawn by ``--seed``; ``--full`` runs all of them. A failure shows its schedule, and the order
that ``--order`` runs again.
"""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.contract.agreement import Change, Ledger, NicKey, Process, alias_of, key_of, keys
from tests.contract.conftest import one_fake_world
from tests.contract.faults import AtCall
from tests.contract.interleave import Turns, explore, replay, sample
from tests.contract.world import World
from tests.fakes.hypervisor import FakeHypervisor
from virtnetplug import xml
from virtnetplug.errors import DeviceMissing
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.interface import Interface, Vlan, VlanTag
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half, Scope

MOST_ORDERS = 20_000
STRIDE = 11
"""Without ``--full`` one case of so many is run."""
WAIT = 1.5
"""Seconds that a call waits for its guest: it looks once more, at the end, and the guest is not asked again."""
LONG = 5.5
"""Seconds after which a guest that another call had asked is asked again."""

MAC = "52:54:00:00:00:01"
PLACE = "<address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>"
"""The guest address of the NIC that each operation is about."""

OLD, NEW = ("ua-nic1", MAC, "virtio br0"), ("ua-nic1", MAC, "e1000 br0")
TWIN = ("ua-nic2", MAC, "virtio default")
VF_OLD, VF_NEW, VF_CONFIG = (
    ("ua-vf1", MAC, "vf 0000:01:10.0"),
    ("ua-vf1", MAC, "vf 0000:01:10.4"),
    ("ua-vf1", MAC, "- pool"),
)
OTHER, AT_PLACE = ("ua-nic5", "52:54:00:00:00:05", "virtio br0"), ("ua-nic6", "52:54:00:00:00:06", "virtio br0")
FOREIGN = ("ua-nic1", "52:54:00:00:00:99", "virtio br1")
FOREIGN_AT_PLACE = ("ua-nic8", "52:54:00:00:00:08", "virtio br1")


def _one(*keys: NicKey) -> frozenset[NicKey]:
    return frozenset(keys)


def _add_pool(world: World) -> None:
    fake = world.host.hypervisor
    assert isinstance(fake, FakeHypervisor)
    fake.add_network(Network(name="pool", forward="hostdev", pf="eth0", managed=True))


def _vf_nic(number: int = 1) -> str:
    return (
        f"<interface type='network'><mac address='52:54:00:00:00:{number:02x}'/><source network='pool'/>"
        f"<alias name='ua-vf{number}'/></interface>"
    )


NOTHING = Change()


@dataclass(frozen=True)
class Operation:
    """What the first process does: to `alias`, so that `old` becomes `new` in both halves where it succeeds."""

    alias: str
    change: Change
    act: Callable[[World, Plugger, float], Any]
    prepared: Change = NOTHING
    prepare: Callable[[World, Plugger], Any] | None = None
    deaths: tuple[tuple[str, int], ...] = (("detach", 1), ("attach", 1))
    """Calls after which a process that does it may have died."""
    detached: Change | None = None
    """What a detach of `alias` comes to, where that is more than that the NIC leaves."""


def _attach_old(world: World, plugger: Plugger) -> Any:
    return plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)


def _hand_over(world: World, plugger: Plugger) -> Any:
    _attach_old(world, plugger)
    return plugger.handover(world.name, "ua-nic1", world.network_nic(2), scope=Scope.BOTH)


_HANDS_BACK = Change(live_out=_one(TWIN), live_in=_one(OLD), config_out=_one(TWIN), config_in=_one(OLD))
_HAS_OLD = Change(live_in=_one(OLD), config_in=_one(OLD))

OPERATIONS = {
    "detach": Operation(
        "ua-nic1",
        Change(live_out=_one(OLD, NEW), config_out=_one(OLD, NEW)),
        lambda world, plugger, wait: plugger.detach(world.name, "ua-nic1", scope=Scope.BOTH, wait=wait),
        _HAS_OLD,
        _attach_old,
        deaths=(("detach", 1),),
    ),
    "replace": Operation(
        "ua-nic1",
        Change(live_out=_one(OLD), live_in=_one(NEW), config_out=_one(OLD), config_in=_one(NEW)),
        lambda world, plugger, wait: plugger.update(
            world.name, "ua-nic1", {"model": "e1000"}, scope=Scope.BOTH, replace=True, wait=wait
        ),
        _HAS_OLD,
        _attach_old,
    ),
    "handover": Operation(
        "ua-nic1",
        Change(live_out=_one(OLD, NEW), live_in=_one(TWIN), config_out=_one(OLD, NEW), config_in=_one(TWIN)),
        lambda world, plugger, wait: plugger.handover(
            world.name, "ua-nic1", world.network_nic(2), scope=Scope.BOTH, wait=wait
        ),
        _HAS_OLD,
        _attach_old,
    ),
    "handback": Operation(
        "ua-nic2",
        _HANDS_BACK,
        lambda world, plugger, wait: plugger.handback(world.name, "ua-nic1", wait=wait),
        Change(live_in=_one(TWIN), config_in=_one(TWIN)),
        _hand_over,
        detached=_HANDS_BACK,
    ),
    "attach": Operation("ua-nic1", _HAS_OLD, lambda world, plugger, wait: _attach_old(world, plugger), deaths=(("attach", 1), ("attach", 2))),
    "rebind-vf": Operation(
        "ua-vf1",
        Change(live_out=_one(VF_OLD), live_in=_one(VF_NEW)),
        lambda world, plugger, wait: plugger.rebind_vf(world.name, "ua-vf1", "0000:01:10.4", wait=wait),
        Change(live_in=_one(VF_OLD), config_in=_one(VF_CONFIG)),
        lambda world, plugger: plugger.attach(world.name, [_vf_nic()], scope=Scope.BOTH),
    ),
}  # fmt: skip

Act = Callable[[World, Plugger, Operation], Any]


def _attach_same(world: World, plugger: Plugger, operation: Operation) -> Any:
    asked = _vf_nic() if operation.alias == "ua-vf1" else world.bridge_nic(1, extra=PLACE)
    return plugger.attach(world.name, [asked], wait=WAIT)


OTHERS: dict[str, tuple[Callable[[Operation], Change | None], Act]] = {
    "recover": (lambda o: None, lambda w, p, o: p.recover(wait=WAIT)),
    "recover at once": (lambda o: None, lambda w, p, o: p.recover(wait=0)),
    "detach": (
        lambda o: (
            o.detached
            or Change(
                live_out=o.change.live_out | o.change.live_in | o.prepared.live_in,
                config_out=o.change.config_out | o.change.config_in | o.prepared.config_in,
            )
        ),
        lambda w, p, o: p.detach(w.name, o.alias, scope=Scope.BOTH, wait=WAIT),
    ),
    "exchange": (
        lambda o: OPERATIONS["rebind-vf" if o.alias == "ua-vf1" else "replace"].change,
        lambda w, p, o: OPERATIONS["rebind-vf" if o.alias == "ua-vf1" else "replace"].act(w, p, WAIT),
    ),
    "attach the same": (
        lambda o: Change(live_in=_one(VF_OLD if o.alias == "ua-vf1" else OLD)),
        _attach_same,
    ),
    "attach another": (
        lambda o: Change(live_in=_one(OTHER)),
        lambda w, p, o: p.attach(w.name, [w.bridge_nic(5)], wait=WAIT),
    ),
    "attach in its place": (
        lambda o: Change(live_in=_one(AT_PLACE)),
        lambda w, p, o: p.attach(w.name, [w.bridge_nic(6, extra=PLACE)], wait=WAIT),
    ),
}
"""What another process does meanwhile."""

ALIKE = (("replace", "exchange"), ("rebind-vf", "exchange"), ("attach", "exchange"))
"""What would be the same twice, or has nothing to exchange."""

GUESTS = ("goes", "goes later", "refuses", "holds")
STARTS = ("fresh", "pending", "died")


def _same_alias(world: World) -> tuple[Change, Callable[[], object]]:
    nic = world.bridge_nic(0x99, bridge="br1", alias="ua-nic1")
    return Change(live_in=_one(FOREIGN)), lambda: world.guest.attach(nic, Half.LIVE)


def _at_the_place(world: World) -> tuple[Change, Callable[[], object]]:
    nic = world.bridge_nic(8, bridge="br1", extra=PLACE)
    return Change(live_in=_one(FOREIGN_AT_PLACE)), lambda: world.guest.attach(nic, Half.LIVE)


def _takes_away(world: World) -> tuple[Change, Callable[[], object]]:
    """The NIC that has come, whichever that is."""

    def act() -> None:
        live = world.guest.xml(Half.LIVE)
        came = next((alias for alias, mark in (("ua-nic1", "e1000"), ("ua-nic2", "ua-nic2")) if mark in live), None)
        if came is None or world.guest.holds:
            raise DeviceMissing("there is none to take away")
        world.guest.detach(came, Half.LIVE)

    return Change(live_out=_one(NEW, TWIN)), act


BY_HAND = {"same alias": _same_alias, "in its place": _at_the_place, "takes away": _takes_away}


@dataclass(frozen=True)
class Case:
    """One scenario. `others` and `by_hand` name what else happens, `death` after which call the first process had died."""

    operation: str
    start: str
    guest: str
    others: tuple[str, ...]
    by_hand: str = ""
    death: tuple[str, int] = ("", 0)

    def __str__(self) -> str:
        start = f"{self.start} after {self.death[0]} {self.death[1]}" if self.death[0] else self.start
        return ", ".join((self.operation, start, f"guest {self.guest}", *self.others, *filter(None, [self.by_hand])))

    def run(self, directory: Path, turns: Turns) -> None:
        """Prepare the world, let all act in the order of `turns`, and check what came of it."""
        with one_fake_world(directory, turns.clock) as world:
            _add_pool(world)
            ledger = Ledger(world, turns)
            self._prepare(world, ledger)
            self._let_act(world, ledger, turns)
            turns.run()
            ledger.assert_agreed()
            self._assert_in_its_place(world)
            world.guest.refuses = False
            world.guest.resume()
            ledger.assert_settles()

    @property
    def _operation(self) -> Operation:
        return OPERATIONS[self.operation]

    def _assert_in_its_place(self, world: World) -> None:
        """A NIC that has come for another one has its guest address."""
        for net in xml.devices(world.guest.xml(Half.LIVE)).nets:
            if self._operation.change.live_out and key_of(net) in self._operation.change.live_in:
                assert str(net.address) == "0000:00:02.0", f"{net.alias} is at {net.address}"

    def _prepare(self, world: World, ledger: Ledger) -> None:
        first, operation = ledger.process(), self._operation
        if operation.prepare is not None:
            prepare = operation.prepare
            call = first.call("prepares", operation.prepared, lambda plugger: prepare(world, plugger))
            assert call.error is None, call
        if self.start != "fresh" and self.guest != "goes":
            world.guest.hold()
        if self.start == "pending":
            world.guest.hold()
            first.call("has asked", operation.change, lambda plugger: operation.act(world, plugger, 0.5))
        elif self.start == "died":
            dies = ledger.process(AtCall(*self.death, after=True))
            died = dies.call("has died", operation.change, lambda plugger: operation.act(world, plugger, WAIT))
            assert died.has_died, died
        world.guest.holds = self.guest in ("holds", "goes later")
        world.guest.refuses = self.guest == "refuses"
        if self.start == "pending" and self.guest == "goes":
            world.guest.resume()

    def _let_act(self, world: World, ledger: Ledger, turns: Turns) -> None:
        operation = self._operation
        if self.start == "fresh":
            self._add(turns, ledger, "A", self.operation, operation.change, lambda p: operation.act(world, p, WAIT))
        else:
            wait = LONG if self.guest == "refuses" else WAIT  # only who is asked refuses
            self._add(turns, ledger, "A", "recover", None, lambda p: p.recover(wait=wait))
        for name, other in zip("BCD", self.others, strict=False):
            change, act = OTHERS[other]
            self._add(turns, ledger, name, other, change(operation), lambda p, act=act: act(world, p, operation))
        if self.guest == "goes later":
            turns.add("guest", world.guest.resume)
        if self.by_hand:
            by_hand, hand = BY_HAND[self.by_hand](world)
            turns.add("admin", lambda: ledger.by_hand(by_hand, hand))

    def _add(
        self, turns: Turns, ledger: Ledger, name: str, what: str, change: Change | None, act: Callable[[Plugger], Any]
    ) -> None:
        process: Process = ledger.process()
        turns.add(name, lambda: process.call(what, change, act, who=name), is_watched=True)


def _starts(operation: str) -> Iterator[tuple[str, tuple[str, int]]]:
    yield "fresh", ("", 0)
    if operation != "attach":
        yield "pending", ("", 0)
    for death in OPERATIONS[operation].deaths:
        yield "died", death


def _pairs() -> Iterator[Case]:
    for operation, other in itertools.product(OPERATIONS, OTHERS):
        for start, death in _starts(operation):
            for guest in GUESTS:
                if (operation, other) in ALIKE:
                    continue
                if death[0] == "attach" and operation != "attach" and guest != "goes":
                    continue  # nothing comes before the guest has let go
                yield Case(operation, start, guest, (other,), death=death)


def _by_hand() -> Iterator[Case]:
    for operation, hand in itertools.product(("detach", "replace", "handover"), BY_HAND):
        for start in ("fresh", "pending"):
            for others in ((), ("recover",)):
                if (operation, hand) != ("detach", "takes away"):
                    yield Case(operation, start, "goes later", others, hand)


def _threes() -> Iterator[Case]:
    for operation in ("detach", "replace", "handover", "rebind-vf"):
        for others in (("recover", "recover"), ("detach", "recover"), ("attach the same", "recover")):
            yield Case(operation, "pending", "goes later", others)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All cases with ``--full``, else every `STRIDE`-th of them, from the `--seed`-th on."""
    if not {"case", "three"} & set(metafunc.fixturenames):
        return
    cases = [*_pairs(), *_by_hand()] if "case" in metafunc.fixturenames else [*_threes()]
    config = metafunc.config
    if not config.getoption("--full"):
        cases = cases[config.getoption("--seed") % STRIDE :: STRIDE]
    name = "case" if "case" in metafunc.fixturenames else "three"
    metafunc.parametrize(name, cases, ids=map(str, cases))


def _is_full(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--full"))


def test_nobody_is_told_a_lie_and_nothing_leaks(case: Case, request: pytest.FixtureRequest, memory: Path) -> None:
    is_large = bool(case.by_hand and case.others)
    _in_orders(case, memory, request.config, sampled=500 if is_large and _is_full(request) else 2, is_large=is_large)


def test_nor_with_three_processes(three: Case, request: pytest.FixtureRequest, memory: Path) -> None:
    _in_orders(three, memory, request.config, sampled=500 if _is_full(request) else 2, is_large=True)


@pytest.mark.parametrize("meanwhile", ["recover", "attach", "both"])
def test_a_device_that_a_guest_left_is_given_back_once(
    meanwhile: str, request: pytest.FixtureRequest, memory: Path
) -> None:
    """Who comes late must not give back what is lent again by then."""
    _in_orders(_LeftBehind(meanwhile), memory, request.config, sampled=10)


@dataclass(frozen=True)
class _LeftBehind:
    """A guest was destroyed with a VF and started without; two or three processes recover, or lend the VF again."""

    meanwhile: str

    def run(self, directory: Path, turns: Turns) -> None:
        with one_fake_world(directory, turns.clock) as world:
            _add_pool(world)
            self._let_act(world, Ledger(world, turns, key_of=alias_of), turns)

    def _let_act(self, world: World, ledger: Ledger, turns: Turns) -> None:
        asked = Interface(
            type="network",
            source_network="pool",
            mac=Mac(MAC),
            alias="ua-vf1",
            vlan=Vlan((VlanTag(42),)),
            trust=True,
        )
        ledger.process().call("lends", Change(live_in=keys("ua-vf1")), lambda p: p.attach(world.name, [asked]))
        ledger.guest_ended()
        world.guest.restart()
        ledger.begin_anew()
        acts: dict[str, Callable[[Plugger], Any]] = {"A": lambda p: p.recover()}
        if self.meanwhile != "attach":
            acts["B"] = lambda p: p.recover()
        for name, act in acts.items():
            self._add(turns, ledger, name, None, act)
        if self.meanwhile != "recover":
            again = dataclasses.replace(asked, alias="ua-vf2", mac=Mac("52:54:00:00:00:02"), vlan=Vlan((VlanTag(7),)))
            self._add(turns, ledger, "C", Change(live_in=keys("ua-vf2")), lambda p: p.attach(world.name, [again]))
        turns.run()
        ledger.assert_agreed()
        ledger.assert_settles()

    @staticmethod
    def _add(turns: Turns, ledger: Ledger, name: str, change: Change | None, act: Callable[[Plugger], Any]) -> None:
        process = ledger.process()
        turns.add(name, lambda: process.call(name, change, act, who=name), is_watched=True)


class _Runs(Protocol):
    def run(self, directory: Path, turns: Turns) -> None:
        """One world, in the order of `turns`."""


def _in_orders(case: _Runs, directory: Path, config: pytest.Config, *, sampled: int, is_large: bool = False) -> None:
    """Run it in all orders with ``--full`` unless it `is_large`, else in so many of them; with ``--order`` in that one."""
    numbers = itertools.count()

    def scenario(turns: Turns) -> None:
        place = directory / str(next(numbers))
        try:
            case.run(place, turns)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    if order := config.getoption("--order"):
        replay(scenario, order)
    elif config.getoption("--full") and not is_large:
        print(f"all {explore(scenario, most=MOST_ORDERS)} orders of {case}")
    else:
        number = sample(scenario, orders=sampled, seed=f"{case} {config.getoption('--seed')}")
        print(f"{number} orders of {case}")
