"""Backends of other packages on the fake host: a kind that this package has not, a kind that it has, and packages that are at fault."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import packages
from tests.contract.faults import Crash, Trigger, faulty, points
from tests.contract.test_unfit_host import limit
from tests.contract.world import World
from tests.environment import ROOT
from tests.fakes.vdpa import GUEST_DRIVER, HOST_DRIVER, FakeVdpaBus
from virtnetplug import backends, xml
from virtnetplug.errors import BackendFailed, HypervisorFailed, Refused, RollbackIncomplete, VirtnetplugError
from virtnetplug.hotplug.engine.migration import obstacles
from virtnetplug.hotplug.guest import asking
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.lifecycle import State
from virtnetplug.model.operation import Half, Result, Scope

SOURCES = ROOT / "tests" / "third_party"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "site").mkdir()
    with packages.importable(tmp_path / "site"):
        yield tmp_path / "site"


@pytest.fixture
def bus(fake: World, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeVdpaBus:
    """The vDPA devices of the fake host, and the package that brings their backend."""
    packages.install(site, "vnp-vdpa", (SOURCES / "vdpa.py").read_text())

    def opened() -> list[str]:
        text = fake.host.hypervisor.domain(fake.name).xml(Half.LIVE)
        return [net.source_dev or "" for net in xml.devices(text).nets if net.type == "vdpa"]

    bus = FakeVdpaBus(tmp_path / "kernel", opened)
    attach = type(fake.guest).attach

    def needs_node(domain: Any, element: str, half: Half) -> None:
        dev = xml.interface(element).source_dev or ""
        if half is Half.LIVE and "vhost-vdpa" in dev and not (bus.root / dev.lstrip("/")).exists():
            raise HypervisorFailed(f"Unable to open '{dev}' for vdpa device: No such file or directory")
        attach(domain, element, half)

    monkeypatch.setattr(type(fake.guest), "attach", needs_node)
    assert next(iter(backends.known())).attach_step == "attach_vdpa"
    sys.modules["vnp_vdpa"].backend.kernel = bus  # type: ignore[attr-defined]
    return bus


def nic(number: int = 0) -> str:
    return (
        f"<interface type='vdpa'><mac address='52:54:00:00:01:{number:02x}'/><source dev='/dev/vhost-vdpa-{number}'/>"
        f"<model type='virtio'/><alias name='ua-vdpa{number}'/></interface>"
    )


def whole(world: World, bus: FakeVdpaBus) -> dict[str, Any]:
    return {**world.snapshot(), "bus": bus.state()}


def test_a_kind_that_is_not_here_is_plugged_and_unplugged(fake: World, bus: FakeVdpaBus) -> None:
    before = whole(fake, bus)
    outcome = fake.plugger.attach(fake.name, [nic()])
    (attached,) = outcome.nics
    assert (attached.type, attached.source, attached.backend) == ("vdpa", "/dev/vhost-vdpa-0", State.CONNECTED)
    assert {"bind_vhost_vdpa", "attach_vdpa"} < {step.name for step in outcome.steps} and outcome.warnings == ()
    assert bus.driver("vdpa0") == GUEST_DRIVER
    (listed,) = fake.plugger.list(fake.name)
    assert (listed.frontend, listed.backend, listed.migrates) == (State.CONNECTED, State.CONNECTED, False)
    assert ["ua-vdpa0" in text for text in obstacles([listed])] == [True]
    assert fake.plugger.audit().findings == ()
    outcome = fake.plugger.detach(fake.name, "ua-vdpa0")
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    assert whole(fake, bus) == before


def test_an_audit_asks_the_kind(fake: World, bus: FakeVdpaBus) -> None:
    fake.plugger.attach(fake.name, [nic(0), nic(1)])
    assert fake.plugger.audit().findings == ()
    (bus.root / "sys/bus/vdpa/devices/vdpa1/driver").unlink()
    (found,) = fake.plugger.audit().findings
    assert (found.kind, found.nic, found.device) == ("device-driver", "ua-vdpa1", "/dev/vhost-vdpa-1")
    sys.modules["vnp_vdpa"].backend.findings = lambda *given: 1 / 0  # type: ignore[attr-defined]
    report = fake.plugger.audit()
    assert report.findings == () and "of package vnp-vdpa 1.0 failed in 'findings'" in report.unseen[-1]


def test_a_plan_says_what_the_kind_does(fake: World, bus: FakeVdpaBus) -> None:
    before = whole(fake, bus)
    plan = fake.plugger.plan_attach(fake.name, [nic()])
    assert [step.name for step in plan.steps][-3:] == ["bind_vhost_vdpa", "attach_vdpa", "confirm"]
    assert any("before a live migration" in text for text in plan.warnings)
    assert whole(fake, bus) == before


def test_the_kind_refuses_what_its_host_has_not(fake: World, bus: FakeVdpaBus) -> None:
    with pytest.raises(Refused, match="no vDPA device for /dev/vhost-vdpa-7") as refused:
        fake.plugger.attach(fake.name, [nic(7)])
    assert refused.value.reason == "host-device-missing"
    fake.plugger.attach(fake.name, [nic(0)])
    with pytest.raises(Refused, match="process 4711 has /dev/vhost-vdpa-0 open"):
        fake.plugger.attach(fake.name, [nic(0).replace("01:00", "01:09").replace("ua-vdpa0", "ua-other")])


def test_its_memory_is_locked(fake: World, bus: FakeVdpaBus) -> None:
    limit(fake, 2048, 1024)
    with pytest.raises(Refused, match="hard_limit") as refused:
        fake.plugger.attach(fake.name, [nic()])
    assert refused.value.reason == "memlock-too-small"


def test_a_change_of_it_is_a_replacement(fake: World, bus: FakeVdpaBus) -> None:
    fake.plugger.attach(fake.name, [nic()])
    with pytest.raises(Refused) as refused:
        fake.plugger.update(fake.name, "ua-vdpa0", {"link_state": "down"})
    assert refused.value.reason == "needs-replace"
    fake.plugger.update(fake.name, "ua-vdpa0", {"source_bridge": fake.bridges[0]}, replace=True)
    assert bus.driver("vdpa0") == HOST_DRIVER
    assert [one.type for one in fake.plugger.list(fake.name)] == ["bridge"]


def _plug(world: World, plugger: Plugger) -> None:
    plugger.attach(world.name, [nic(), world.bridge_nic(2)], scope=Scope.LIVE)


def _unplug(world: World, plugger: Plugger) -> None:
    plugger.detach(world.name, "ua-vdpa0", wait=5)


def _check(world: World, bus: FakeVdpaBus, what: str) -> None:
    """Nothing is open, and exactly what the guest has is bound for guests."""
    assert world.snapshot()["open"] == [], what
    live = {one.source for one in world.plugger.list(world.name) if one.type == "vdpa"}
    bound = {f"/dev/vhost-{name.replace('vdpa', 'vdpa-')}" for name in bus.state() if bus.driver(name) == GUEST_DRIVER}
    assert bound == live, what
    assert not any(override != "(null)\n" for driver, override, _ in bus.state().values() if driver == HOST_DRIVER), (
        what
    )


ACTS: dict[str, tuple[Callable[[World], None], Callable[[World, Plugger], None]]] = {
    "attach": (lambda world: None, _plug),
    "detach": (lambda world: _plug(world, world.plugger), _unplug),
}


def _clear(world: World) -> None:
    for one in world.plugger.list(world.name):
        world.plugger.detach(world.name, one.alias or "")


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("kind", ["fail", "crash"])
def test_broken_at_every_call(
    fake: World, bus: FakeVdpaBus, monkeypatch: pytest.MonkeyPatch, act: str, kind: str
) -> None:
    monkeypatch.setattr(asking, "GRACE", 0.05)
    prepare, run = ACTS[act]
    prepare(fake)
    trigger = Trigger(-1, "none")
    run(fake, Plugger(faulty(fake.host, trigger), lambda: None))
    _clear(fake)
    for k, after in points(kind, trigger.calls):
        prepare(fake)
        broken = Trigger(k, kind, after=after)
        with suppress(VirtnetplugError, Crash):
            run(fake, Plugger(faulty(fake.host, broken), lambda: None))
        if kind == "crash":
            fake.host.journal.close()
            fake.host = fake.reopen()
        fake.plugger.recover(wait=5)
        _check(fake, bus, f"{act} {kind} {k} {after}")
        _clear(fake)


def dying(bus: FakeVdpaBus, trigger: Trigger) -> Callable[[], None]:
    """The process dies: whatever it asks of its host from then on does not happen."""

    def die() -> None:
        trigger.fired = bus.is_dead = True
        raise Crash

    return die


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


FAULTS: dict[str, Callable[[FakeVdpaBus, Trigger], Callable[[], None]]] = {
    "the kernel refuses": lambda bus, trigger: failing(OSError(5, "Input/output error")),
    "the package has a fault": lambda bus, trigger: failing(ZeroDivisionError("in the package")),
    "the process dies": dying,
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_broken_at_every_write_to_the_kernel(
    fake: World, bus: FakeVdpaBus, monkeypatch: pytest.MonkeyPatch, act: str, after: bool, fault: str
) -> None:
    monkeypatch.setattr(asking, "GRACE", 0.05)
    prepare, run = ACTS[act]
    for number in range(3):
        prepare(fake)
        trigger = Trigger(-1, "crash")
        bus.writes.clear()
        bus.break_at, bus.after, bus.fail = number, after, FAULTS[fault](bus, trigger)
        with pytest.raises((VirtnetplugError, Crash)) as raised:
            run(fake, Plugger(faulty(fake.host, trigger), lambda: None))
        bus.break_at, bus.is_dead = -1, False
        if fault == "the package has a fault":
            assert "of package vnp-vdpa 1.0 failed in" in str(raised.value) and "ZeroDivisionError" in str(raised.value)
        if fault == "the process dies":
            fake.host.journal.close()
            fake.host = fake.reopen()
        fake.plugger.recover(wait=5)
        _check(fake, bus, f"{act} {number} {after} {fault}")
        _clear(fake)


def test_what_a_package_did_is_undone_by_nobody_else(fake: World, bus: FakeVdpaBus, site: Path) -> None:
    before = whole(fake, bus)
    trigger = Trigger(-1, "crash")
    bus.break_at, bus.after, bus.fail = 2, True, dying(bus, trigger)
    with pytest.raises(Crash):
        Plugger(faulty(fake.host, trigger), lambda: None).attach(fake.name, [nic()])
    bus.break_at, bus.is_dead = -1, False
    info = site / "vnp_vdpa-1.0.dist-info"
    kept = info.rename(site / "gone")
    packages.look_again()
    fake.host.journal.close()
    fake.host = fake.reopen()
    (outcome,) = fake.plugger.recover()
    assert outcome.result is Result.INCOMPLETE and "bind_vhost_vdpa of ua-vdpa0" in outcome.message, outcome
    assert bus.driver("vdpa0") == GUEST_DRIVER
    kept.rename(info)
    packages.look_again()
    (outcome,) = fake.plugger.recover()
    assert outcome.result is Result.UNDONE
    assert whole(fake, bus) == before


def test_a_nic_whose_package_is_gone_is_not_said_to_be_released(fake: World, bus: FakeVdpaBus, site: Path) -> None:
    before = whole(fake, bus)
    fake.plugger.attach(fake.name, [nic()])
    fake.guest.hold()
    assert fake.plugger.detach(fake.name, "ua-vdpa0", wait=0).result is Result.PENDING
    fake.guest.resume()
    info = site / "vnp_vdpa-1.0.dist-info"
    kept = info.rename(site / "gone")
    packages.look_again()
    (outcome,) = fake.plugger.recover(wait=5)
    assert (outcome.result, outcome.reason) == (
        Result.PENDING,
        "backend-missing",
    ) and "return_vdpa of ua-vdpa0" in outcome.message
    kept.rename(info)
    packages.look_again()
    (outcome,) = fake.plugger.recover(wait=5)
    assert outcome.result is Result.DONE
    assert whole(fake, bus) == before


def test_a_kind_that_is_here_can_be_replaced(fake: World, site: Path) -> None:
    packages.install(site, "vnp-bridge", (SOURCES / "bridge.py").read_text())
    packages.look_again()
    before, marks = fake.snapshot(), list[tuple[str, str]]()
    assert next(iter(backends.known())).attach_step == "attach_to_marked_bridge"
    sys.modules["vnp_bridge"].backend.run = lambda words: marks.append((words[4], words[6]))  # type: ignore[attr-defined]
    outcome = fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.network_nic(2)])
    names = {(step.name, step.nic) for step in outcome.steps}
    assert {("mark_bridge", "ua-nic1"), ("attach_to_marked_bridge", "ua-nic1"), ("host_net_add", "ua-nic2")} < names
    assert fake.plugger.update(fake.name, "ua-nic1", {"source_bridge": fake.bridges[1]}).result is Result.DONE
    outcome = fake.plugger.detach(fake.name, ["ua-nic1", "ua-nic2"])
    assert outcome.warnings == () and marks == [(fake.bridges[0], "ua-nic1"), (fake.bridges[1], "")]
    assert fake.snapshot() == before


OWN = "from virtnetplug.backends.emulated import Emulated\nclass Own(Emulated):\n    plug_steps = (('mine', Phase.PLUG),)\n{}\nbackend = Own()\n"
IMPORTS = "import os\nfrom dataclasses import replace\nfrom virtnetplug.model.operation import Half, Phase, Refusal\n"
SERVES = "    def serves(self, actual): return actual.type == 'bridge'\n"
REFUSALS = [
    "42",
    "'no'",
    "['no']",
    "None",
    "{'reason': 'no'}",
    "1 / 0",
    "iter(())",
    "[Refusal(reason=5, message=None)]",
]


def faulty_package(site: Path, body: str) -> None:
    packages.install(site, "at-fault", IMPORTS + OWN.format(SERVES + body))
    packages.look_again()


@pytest.mark.parametrize("answer", REFUSALS)
def test_nonsense_for_refusals_refuses_its_nic_alone(fake: World, site: Path, answer: str) -> None:
    faulty_package(site, f"    def refusals(self, *given): return {answer}")
    before = fake.snapshot()
    with pytest.raises(BackendFailed, match=r"the backend 'at-fault-point' of package at-fault 1\.0") as refused:
        fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.network_nic(2)])
    assert (refused.value.reason, refused.value.exit_code) == (
        "backend-failed",
        3,
    ) and "'refusals'" in refused.value.message
    assert fake.snapshot() == before
    assert fake.plugger.attach(fake.name, [fake.network_nic(2)]).warnings == ()


DEATHS = {
    "before its step": "raise ValueError('dies')",
    "by exiting": "raise SystemExit(1)",
    "by being cancelled": "import asyncio; raise asyncio.CancelledError",
    "in its step": "return steps.effect('mine', order.net.alias, lambda: 1 / 0, half=Half.LIVE)",
    "after its step": "steps.effect('mine', order.net.alias, lambda: None, half=Half.LIVE); raise ValueError('dies')",
    "with a step it has not": "return steps.effect('other', order.net.alias, lambda: None)",
    "with no net": "return None",
    "with another net": "return 'element'",
    "with another alias": "return replace(order.net, alias='ua-other')",
    "with an element of another alias": "return replace(order.net, element=order.net.element.replace('ua-nic', 'ua-other'))",
    "with an element of another MAC": "return replace(order.net, element=order.net.element.replace('52:54', '52:55'))",
    "with no element": "return replace(order.net, element='<interface')",
}


@pytest.mark.parametrize("how", DEATHS)
def test_a_package_that_dies_inside_plug_is_named_and_undone(fake: World, site: Path, how: str) -> None:
    faulty_package(site, f"    def plug(self, ground, order, steps): {DEATHS[how]}")
    before = fake.snapshot()
    with pytest.raises(VirtnetplugError) as failed:
        fake.plugger.attach(fake.name, [fake.network_nic(2), fake.bridge_nic(1)])
    assert failed.value.exit_code == 4 and failed.value.reason in ("backend-failed", "internal"), failed.value
    if how != "with a step it has not":
        assert "the backend 'at-fault-point' of package at-fault 1.0" in failed.value.message
    assert fake.snapshot() == before and fake.plugger.recover() == ()
    assert fake.plugger.attach(fake.name, [fake.network_nic(2)]).result is Result.DONE


def test_a_package_that_dies_inside_unplug_keeps_the_operation_open(fake: World, site: Path) -> None:
    body = "    def plug(self, g, order, steps): return order.net\n    def unplug(self, *given): {}"
    faulty_package(site, body.format("raise ValueError('dies')"))
    before = fake.snapshot()
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    with pytest.raises(RollbackIncomplete, match=r"of package at-fault 1\.0 failed in 'unplug' with ValueError: dies"):
        fake.plugger.detach(fake.name, "ua-nic1")
    assert fake.snapshot()["open"] != []
    backend: Any = next(iter(backends.known()))
    backend._backend.unplug = lambda *given: ()
    assert fake.plugger.recover()[0].result is Result.DONE
    assert fake.snapshot() == before


@pytest.mark.parametrize(
    "body",
    [
        "    def probe(self, *given): return 'up'",
        "    def probe(self, *given): return 1 / 0",
        "    def end_of(self, net): raise KeyError",
    ],
)
def test_a_list_outlives_a_package_at_fault(fake: World, site: Path, body: str) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    faulty_package(site, body)
    for look in (fake.plugger.list, partial(fake.plugger.show, nic="ua-nic1")):
        fake.events.clear()
        look(fake.name)
        warnings = [event.text for event in fake.events if event.kind == "warning"]
        assert warnings == list(backends.faults()) and (warnings != []) == ("probe" in body)
    assert [one.alias for one in fake.plugger.list(fake.name)] == ["ua-nic1"]
    assert fake.plugger.audit().findings == ()


def test_a_package_that_answers_again_is_not_named_any_more(fake: World, site: Path) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    faulty_package(site, "    def probe(self, *given): return 1 / 0")
    fake.plugger.list(fake.name)
    assert len(backends.faults()) == 1
    backend: Any = next(iter(backends.known()))
    backend._backend.probe = lambda *given: None
    fake.plugger.list(fake.name)
    assert backends.faults() == ()


@pytest.mark.parametrize(
    "source", ["raise RuntimeError('no')", OWN.format("    def serves(self, actual): return True")]
)
def test_the_answer_names_a_package_that_cannot_be_used(fake: World, site: Path, source: str) -> None:
    packages.install(site, "unusable", IMPORTS + source)
    packages.look_again()
    planned = fake.plugger.plan_attach(fake.name, [fake.bridge_nic(1)]).warnings
    outcome = fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    (warning,) = outcome.warnings
    assert planned == outcome.warnings
    assert "the backend 'unusable-point' of package unusable 1.0 cannot be used" in warning
    assert outcome.result is Result.DONE and outcome.nics[0].alias == "ua-nic1"


def test_who_looks_where_no_nic_is_pays_for_no_search(fake: World, site: Path) -> None:
    packages.install(site, "late", "raise RuntimeError('imported')")
    packages.look_again()
    assert fake.plugger.list() == () and fake.plugger.audit().findings == () and fake.plugger.recover() == ()
    fake.plugger.history()
    assert backends._of_others.cache_info().misses == 0
    assert "late 1.0 cannot be used" in fake.plugger.attach(fake.name, [fake.bridge_nic(1)]).warnings[0]
    assert backends._of_others.cache_info().misses == 1
