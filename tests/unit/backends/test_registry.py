"""Which backend serves what, how a package adds or replaces one, and what becomes of a package that is at fault."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import packages
from tests.environment import ROOT
from tests.fakes.stage import Stage
from virtnetplug import backends, xml
from virtnetplug.backends import backend_for, backend_of
from virtnetplug.backends.emulated import TYPES, Emulated
from virtnetplug.backends.hostdev import AssignedDevice
from virtnetplug.backends.third_party import ThirdParty
from virtnetplug.errors import NotSupported
from virtnetplug.lifecycle import State
from virtnetplug.model import interface
from virtnetplug.model.actual import ActualDevice
from virtnetplug.ports.host import Link

NOOP = "from virtnetplug.backends.noop import Noop\nbackend = Noop({!r})\n"
BRIDGE = ActualDevice(type="bridge")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    with packages.importable(tmp_path):
        yield tmp_path


def served_by(actual: ActualDevice) -> str:
    backend = backend_for(actual)
    return backend.name if isinstance(backend, ThirdParty) else type(backend).__name__


def test_every_emulated_type_has_the_emulated_backend() -> None:
    for kind in TYPES:
        assert isinstance(backend_for(ActualDevice(type=kind)), Emulated), kind


def test_every_type_that_a_request_may_have_is_decided() -> None:
    assert set(interface.TYPES) - TYPES == {"hostdev"}


def test_a_type_without_backend_is_refused_by_name() -> None:
    with pytest.raises(NotSupported, match="'example'"):
        backend_for(ActualDevice(type="example"))


def test_a_nic_in_a_guest_has_the_backend_of_its_type() -> None:
    net = xml.interface("<interface type='bridge'><source bridge='br0'/></interface>")
    assert isinstance(backend_of(net), Emulated)


def test_an_entry_point_adds_a_kind(site: Path) -> None:
    packages.install(site, "adds", NOOP.format("example"))
    assert served_by(ActualDevice(type="example")) == "the backend 'adds-point' of package adds 1.0"
    assert (served_by(BRIDGE), served_by(ActualDevice(type="hostdev"))) == ("Emulated", "AssignedDevice")
    assert backends.faults() == ()


@pytest.mark.parametrize(("kind", "ours"), [("bridge", Emulated), ("hostdev", AssignedDevice)])
def test_an_entry_point_replaces_a_kind(site: Path, kind: str, ours: type) -> None:
    packages.install(site, "replaces", NOOP.format(kind))
    assert served_by(ActualDevice(type=kind)) == "the backend 'replaces-point' of package replaces 1.0"
    assert [type(backend) for backend in backends.known()] == [ThirdParty, Emulated, AssignedDevice]


def test_of_two_packages_the_first_by_name_serves(site: Path) -> None:
    packages.install(site, "bbb", NOOP.format("bridge"))
    packages.install(site, "aaa", NOOP.format("bridge"))
    assert served_by(BRIDGE) == "the backend 'aaa-point' of package aaa 1.0"


def test_nothing_looks_for_packages_until_a_backend_is_asked_for(site: Path) -> None:
    packages.install(site, "late", "raise RuntimeError('imported')")
    assert backends.faults() == () and backends._of_others.cache_info().misses == 0 and "late" not in sys.modules
    for _ in range(3):
        backend_for(BRIDGE)
    assert backends._of_others.cache_info().misses == 1


def test_without_such_a_package_the_slow_search_is_left_out(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: pytest.fail("searched"))
    (site / "other-1.0.dist-info").mkdir()
    (site / "other-1.0.dist-info" / "entry_points.txt").write_text("[console_scripts]\nother = other:main\n")
    assert served_by(BRIDGE) == "Emulated"


def test_files_that_cannot_be_read_name_no_package(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "other-1.0.dist-info" / "entry_points.txt").mkdir(parents=True)  # reading it raises OSError, also for root
    assert served_by(BRIDGE) == "Emulated" and backends.faults() == ()


def test_what_a_package_prints_is_no_part_of_an_answer(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packages.install(site, "loud", "print('hello')\n" + NOOP.format("bridge"))
    assert "loud-point" in served_by(BRIDGE)
    assert capsys.readouterr() == ("", "hello\n")


def test_an_egg_is_found(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    egg = site / "hatched-1.0-py3.egg"
    packages.install(egg, "hatched", NOOP.format("bridge"))
    (egg / "hatched-1.0.dist-info").rename(egg / "EGG-INFO")
    (egg / "EGG-INFO" / "METADATA").rename(egg / "EGG-INFO" / "PKG-INFO")
    monkeypatch.syspath_prepend(egg)
    assert "hatched-point" in served_by(BRIDGE)


CLASS = "from virtnetplug.backends import Backend\nclass Own(Backend):\n{}\nbackend = Own()\n"
UNUSABLE = {
    "raises on import": ("raise RuntimeError('no driver here')", "RuntimeError: no driver here"),
    "ends the process": ("raise SystemExit(3)", "SystemExit: 3"),
    "is cancelled": ("import asyncio\nraise asyncio.CancelledError(7)", "CancelledError: 7"),
    "is no Python": ("def (", "SyntaxError"),
    "has no such name": ("other = 1", "AttributeError"),
    "raises what has no text": ("class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute", "Mute"),
    "calls a step by the name of ours": (
        CLASS.format("    attach_step = 'confirm'\n    def serves(self, actual): return False"),
        "its 'attach_step' is str 'confirm'",
    ),
    "serves everything": (CLASS.format("    def serves(self, actual): return True"), "it serves every type of NIC"),
    "has a strange trait": (
        CLASS.format("    migrates = 'perhaps'\n    def serves(self, actual): return False"),
        "its 'migrates' is str 'perhaps'",
    ),
    "has strange steps": (
        CLASS.format("    plug_steps = ('one', 'two')\n    def serves(self, actual): return False"),
        "its 'plug_steps' is tuple ('one', 'two')",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_package_that_cannot_be_used_is_named_and_the_others_serve(site: Path, case: str) -> None:
    source, why = UNUSABLE[case]
    packages.install(site, "broken", source)
    packages.install(site, "sound", NOOP.format("example"))
    assert served_by(BRIDGE) == "Emulated"
    assert served_by(ActualDevice(type="example")) == "the backend 'sound-point' of package sound 1.0"
    (fault,) = backends.faults()
    assert fault.startswith("the backend 'broken-point' of package broken 1.0 cannot be used: ") and why in fault
    with pytest.raises(NotSupported, match=r"of package broken 1\.0 cannot be used"):
        backend_for(ActualDevice(type="strange"))


@pytest.mark.parametrize("answer", ["'yes'", "1", "None", "1 / 0"])
def test_a_package_that_cannot_say_what_it_serves_serves_nothing(site: Path, answer: str) -> None:
    packages.install(site, "vague", CLASS.format(f"    def serves(self, actual): return {answer}"))
    assert served_by(BRIDGE) == "Emulated"
    (fault,) = backends.faults()
    assert "the backend 'vague-point' of package vague 1.0" in fault and "'serves'" in fault


def test_a_backend_need_not_be_a_subclass(site: Path) -> None:
    packages.install(
        site, "duck", "class Own:\n    def serves(self, actual): return actual.type == 'example'\nbackend = Own()\n"
    )
    backend = backend_for(ActualDevice(type="example"))
    assert (backend.attach_step, backend.migrates) == ("host_net_add", True)
    assert backend.end_of(xml.interface("<interface type='bridge'><target dev='tap0'/></interface>")) == "tap0"


def test_pip_installs_a_package_that_serves(tmp_path: Path) -> None:
    packages.pip_install(packages.build(tmp_path / "tree", "real-one", NOOP.format("example")), tmp_path / "site")
    with packages.importable(tmp_path / "site"):
        assert served_by(ActualDevice(type="example")) == "the backend 'real-one-point' of package real-one 1.0"


def test_a_kind_of_the_package_itself_touches_at_most_ten_files() -> None:
    """vDPA as a package touches none: `tests/contract/test_third_party.py`. In the package it needs what CONTRIBUTING.md lists."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    ((new, changed),) = re.findall(r"vDPA in this package would be (\d) new files: .* It would change (.*)\n", text)
    files = re.findall(r"`(virtnetplug/\S+\.py)`", changed)
    assert files and all((ROOT / name).exists() for name in files)
    assert int(new) + len(files) <= 10


@pytest.mark.parametrize(
    ("link", "held", "state"),
    [
        (Link(name="vnet1", index=2, master="br0", up=True), True, State.CONNECTED),
        (Link(name="vnet1", index=2, master="br0"), True, State.INITIALISED),
        (Link(name="vnet1", index=2, up=True), True, State.INITIALISED),
        (None, False, State.INITIALISED),
        (None, True, None),
    ],
)
def test_a_tap_that_carries_nothing_is_not_connected(link: Link | None, held: bool, state: State | None) -> None:
    stage = Stage(there={} if link is None else {"vnet1": link}, held={"uuid": frozenset({"vnet1"} if held else ())})
    element = "<interface type='bridge'><source bridge='br0'/><target dev='vnet1'/></interface>"
    assert Emulated().probe(stage.host(), xml.interface(element)) is state


def test_a_tap_is_not_gone_where_no_emulator_can_be_seen() -> None:
    element = "<interface type='bridge'><source bridge='br0'/><target dev='vnet1'/></interface>"
    assert Emulated().probe(Stage().host(), xml.interface(element)) is None


@pytest.mark.parametrize("kind", ["vhostuser", "direct", "ethernet"])
def test_no_process_is_looked_at_for_a_nic_outside_bridges(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "taps_by_domain", lambda self: pytest.fail("every process was looked at"))
    element = f"<interface type='{kind}'><target dev='vnet1'/></interface>"
    assert Emulated().probe(Stage().host(), xml.interface(element)) is None
