"""libvirtd killed, or the domain destroyed, at any moment of an operation: what the journal, the host and `recover` make of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libvirt
import pytest

import virtnetplug
from tests.real import links
from tests.real.command import Command
from tests.real.daemon import Daemon
from tests.real.guests import Guest
from tests.real.namespace import wait_until
from virtnetplug import app
from virtnetplug.adapters.daemon import key_from_uri
from virtnetplug.adapters.linux.links import LinuxLinks
from virtnetplug.errors import VirtnetplugError
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Event, OperationState, Outcome, Result, Scope

pytestmark = [pytest.mark.driver("daemon"), pytest.mark.timeout(1800)]

Start = Callable[..., Guest]
Bridge = Callable[..., str]
Network = Callable[..., libvirt.virNetwork]
Act = Callable[[Plugger], Outcome]

SWEEP = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0, 15.0, 20.0]
"""Milliseconds after the first effect was begun; an attach takes 12 to 15 on a quiet machine."""


@dataclass
class Ward:
    """A guest, its surroundings, and the daemon that will die."""

    daemon: Daemon
    guest: Guest
    start: Start
    bridge: str
    other: str
    network: str
    place: Path
    rounds: list[Path] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    """Whether the operation of `run_and_kill` has ended."""

    @property
    def state(self) -> Path:
        return self.rounds[-1]

    def round(self) -> None:
        """A journal of its own for what comes."""
        self.rounds.append(self.place / f"state{len(self.rounds)}")

    @contextmanager
    def plugger(self, on_event: Callable[[Event], None] | None = None) -> Iterator[Plugger]:
        with virtnetplug.open(self.daemon.uri, state_dir=self.state, on_event=on_event) as plugger:
            yield plugger

    def network_ports(self) -> int:
        return len(libvirt.open(self.daemon.uri).networkLookupByName(self.network).listAllPorts())

    def held(self) -> frozenset[str]:
        """Taps the guest's QEMU has, which is what the host says."""
        return LinuxLinks().taps_of(self.guest.uuid)

    def nic(self, alias: str = "ua-nic") -> str:
        return (
            f"<interface type='network'><mac address='52:54:00:cc:00:01'/><source network='{self.network}'/>"
            f"<model type='virtio'/><alias name='{alias}'/></interface>"
        )

    def has_ended(self) -> bool:
        """libvirt 9.0, killed between ``netdev_del`` and its note of it, ends the guest when it is back ("reason=daemon")."""
        with suppress(libvirt.libvirtError):
            self.guest.dom.memoryStats()  # a job, which waits for that of qemuProcessReconnect
        return not self.guest.dom.isActive()

    def is_clean(self) -> bool:
        """No NIC in any view of it."""
        config = self.guest.xml(inactive=True).find("devices/interface")
        live = self.guest.aliases() if self.guest.dom.isActive() else []
        return not live and not self.held() and not self.network_ports() and config is None

    def renew(self) -> None:
        """A guest of which nothing happened yet."""
        with suppress(
            libvirt.libvirtError
        ):  # a libvirtd that lost its QEMU's monitor half way ends the guest by itself
            self.guest.destroy()
        self.guest = self.start()

    def run_and_kill(
        self, act: Act, at: str, milliseconds: float, kill: Callable[[], None]
    ) -> Outcome | VirtnetplugError:
        """Run `act`, and `kill` so many milliseconds after the event `at`; then all runs again."""
        begun = threading.Event()
        self.is_over.clear()

        def hear(event: Event) -> None:
            if at in event.text:
                begun.set()

        def strike() -> None:
            begun.wait()
            time.sleep(milliseconds / 1000)
            kill()

        thread = threading.Thread(target=strike)
        with self.plugger(hear) as plugger:
            thread.start()
            try:
                answer: Outcome | VirtnetplugError = act(plugger)
            except VirtnetplugError as error:
                answer = error
            self.is_over.set()
            begun.set()
            thread.join()
        if not self.daemon.is_running:
            self.daemon.start()
        self.guest.reconnect(libvirt.open(self.daemon.uri))
        return answer

    def kill_behind_qemu(self, milliseconds: float) -> None:
        """Kill libvirtd while QEMU, stopped so long after it got a tap, owes it an answer; then QEMU goes on."""
        while not self.held() and not self.is_over.is_set():
            pass
        time.sleep(milliseconds / 1000)
        pid = self.guest.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(0.05)  # for libvirtd to come as far as it can
            self.daemon.kill()
        finally:
            os.kill(pid, signal.SIGCONT)

    def open_operations(self) -> list[OperationState]:
        with closing(app.journal(self.state)) as journal:
            return [record.state for record in journal.open_operations(key_from_uri(self.daemon.uri))]

    def recover(self, **options: Any) -> list[Outcome]:
        with self.plugger() as plugger:
            outcomes = plugger.recover(wait=600, **options)
            assert all(each.operation for each in outcomes)
            return list(outcomes)

    def audit(self) -> list[str]:
        with self.plugger() as plugger:
            return [finding.kind for finding in plugger.audit().findings]


@pytest.fixture
def ward(mortal_libvirtd: Daemon, guest: Start, bridge: Bridge, network: Network, place: Path) -> Ward:
    return Ward(mortal_libvirtd, guest(), guest, bridge(), bridge(), network("isolated").name(), place)


def until_lost(lost: list[float], least: int, moments: list[float]) -> Iterator[float]:
    """`moments`, and again from their first until that many were `lost` in the middle: load moves them all."""
    yield from moments
    for milliseconds in moments * 10:
        if len(lost) >= least:
            return
        yield milliseconds
    pytest.fail(f"lost in the middle after {lost} ms only: the sweep is not where it should be")


def check_lost(answer: Outcome | VirtnetplugError) -> bool:
    """Whether the connection broke; if it did not, the operation was done."""
    if isinstance(answer, Outcome):
        assert answer.result is Result.DONE
        return False
    assert (answer.reason, answer.exit_code) == ("connection-lost", 5), answer
    assert "`recover(" in answer.message
    return True


def test_attach(ward: Ward) -> None:
    lost: list[float] = []
    for milliseconds in until_lost(lost, 3, SWEEP):
        ward.round()
        answer = ward.run_and_kill(
            lambda p: p.attach(ward.guest.name, [ward.nic()], scope=Scope.BOTH), "host_net_add", milliseconds,
            ward.daemon.kill,
        )  # fmt: skip
        what = f"killed after {milliseconds} ms: {answer}"
        if check_lost(answer):
            lost.append(milliseconds)
            is_orphan = bool(ward.held()) and not ward.guest.aliases()
            if is_orphan:
                check_orphan(ward, what)
            else:
                assert [each.result for each in ward.recover()] == [Result.UNDONE], what
            assert ward.is_clean(), what
        elif ward.guest.aliases() == ["ua-nic"]:  # killed when it was over
            with ward.plugger() as plugger:
                plugger.detach(ward.guest.name, "ua-nic", scope=Scope.BOTH)
        assert ward.recover() == [] and ward.audit() == [], what


def catch_orphan(ward: Ward, *, has_device: bool = False) -> None:
    """Kill libvirtd in attaches until one leaves a NIC that it does not know (`has_device`: one the guest sees). It takes a few.

    QEMU is stopped so long after it got the tap, libvirtd killed while it waits for an answer, and QEMU goes on with what it was
    asked: no load of the machine moves that moment out of the attach.
    """
    for milliseconds in [n / 2 for n in range(30)] * 3:
        ward.round()
        answer = ward.run_and_kill(
            lambda p: p.attach(ward.guest.name, [ward.nic()]),
            "host_net_add",
            0.0,
            lambda after=milliseconds: ward.kill_behind_qemu(after),  # type: ignore[misc]
        )
        if ward.has_ended():
            ward.recover()
            ward.renew()
            continue
        is_orphan = not isinstance(answer, Outcome) and ward.held() and not ward.guest.aliases()
        if is_orphan and (not has_device or "ua-nic" in ward.guest.devices()):
            return
        ward.recover(allow_taint=True)
        if ward.guest.aliases():
            with ward.plugger() as plugger:
                plugger.detach(ward.guest.name, "ua-nic")
        assert ward.is_clean()
    pytest.fail("libvirtd was never caught in the middle of an attach")


def check_orphan(ward: Ward, what: str) -> None:
    """libvirt has lost sight of the NIC. Never is the host said to be as before; with leave to taint, it will be."""
    (first,) = ward.recover()
    assert (first.result, first.reason) == (Result.INCOMPLETE, "orphan-tap"), what
    assert "allow_taint=True" in first.message and next(iter(ward.held())) in first.message
    assert "orphan-tap" in ward.audit(), what
    with ward.plugger() as plugger, pytest.raises(VirtnetplugError) as caught:
        plugger.attach(ward.guest.name, [ward.nic()])  # it could go in, and the next recovery would take it out
    assert (caught.value.reason, caught.value.exit_code) == ("nic-pending", 3)
    (second,) = ward.recover(allow_taint=True)
    assert second.result is Result.UNDONE, what


def test_an_orphan_is_said_and_taken_out_with_leave_to_taint(ward: Ward) -> None:
    catch_orphan(ward, has_device=True)
    command = Command(ward.daemon.uri, ward.state)
    (finding,) = [each for each in command.json("audit", code=1).document["findings"] if each["kind"] == "orphan-tap"]
    (tap,) = ward.held()
    assert finding["device"] == tap
    for _ in range(2):
        document = command.json("recover", code=5).document
        assert document["operations"][0]["reason"] == "orphan-tap" and tap in document["operations"][0]["message"]
        assert ward.held() == {tap}
    ward.guest.hold()
    assert command.json("recover", "--allow-taint", "--wait", "0.5", code=75).document["result"] == "pending"
    ward.guest.resume()
    assert command.json("recover", "--allow-taint", "--wait", "600").document["operations"][0]["result"] == "undone"
    assert ward.is_clean() and ward.audit() == []
    assert "tainted" in (command("recover").out + Path(f"/var/log/libvirt/qemu/{ward.guest.name}.log").read_text())
    command("attach", ward.guest.name, "--xml", "-", stdin=ward.nic())
    command("detach", ward.guest.name, "ua-nic")


def test_a_guest_that_ends_takes_its_orphan_along(ward: Ward) -> None:
    catch_orphan(ward)
    ward.guest.destroy()
    assert [each.result for each in ward.recover()] == [Result.UNDONE]
    assert ward.network_ports() == 0 and ward.audit() == []


def test_detach(ward: Ward) -> None:
    lost: list[float] = []
    for milliseconds in until_lost(lost, 3, [*SWEEP, 30.0, 50.0, 80.0]):
        ward.round()
        with ward.plugger() as plugger:
            plugger.attach(ward.guest.name, [ward.nic()], scope=Scope.BOTH)
        answer = ward.run_and_kill(
            lambda p: p.detach(ward.guest.name, "ua-nic", scope=Scope.BOTH), "ask", milliseconds, ward.daemon.kill
        )
        what = f"killed after {milliseconds} ms: {answer}"
        if check_lost(answer):
            lost.append(milliseconds)
            assert ward.open_operations() == [OperationState.INCOMPLETE], what
            (outcome,) = ward.recover()
            if ward.has_ended() and outcome.reason == "end-unknown":  # the next run decides it
                assert outcome.result is Result.PENDING, what
                ward.guest = ward.start()
                (outcome,) = ward.recover()
            assert outcome.result is Result.DONE, what
        assert ward.is_clean(), what
        assert ward.recover() == [] and ward.audit() == [], what
        if ward.has_ended():
            ward.renew()


def test_update_in_place(ward: Ward) -> None:
    lost: list[float] = []
    ward.round()
    with ward.plugger() as plugger:
        plugger.attach(ward.guest.name, [ward.nic()], scope=Scope.BOTH)
    for milliseconds in until_lost(lost, 2, SWEEP):
        ward.round()
        before = ward.guest.xml(inactive=True).find("devices/interface")
        answer = ward.run_and_kill(
            lambda p: p.update(ward.guest.name, "ua-nic", {"source_bridge": ward.bridge}, scope=Scope.BOTH),
            "change",
            milliseconds,
            ward.daemon.kill,
        )
        what = f"killed after {milliseconds} ms: {answer}"
        tap = ward.guest.target("ua-nic")
        if check_lost(answer):
            lost.append(milliseconds)
            assert [each.result for each in ward.recover()] == [Result.UNDONE], what
            config = ward.guest.xml(inactive=True).find("devices/interface")
            assert before is not None and config is not None and before.attrib == config.attrib, what
            assert ward.guest.xml().find("devices/interface").attrib == {"type": "network"}, what  # type: ignore[union-attr]
            assert (links.members(ward.bridge), ward.network_ports()) == (set(), 1), what
        else:
            assert (links.members(ward.bridge), ward.network_ports()) == ({tap}, 0), what
            with ward.plugger() as plugger:
                plugger.update(ward.guest.name, "ua-nic", {"source_network": ward.network}, scope=Scope.BOTH)
        assert ward.held() == {tap} and ward.recover() == [] and ward.audit() == [], what


def test_replacement(ward: Ward) -> None:
    lost: list[float] = []
    for milliseconds in until_lost(lost, 2, [*SWEEP[::2], 40.0, 60.0, 80.0, 100.0]):
        ward.round()
        with ward.plugger() as plugger:
            plugger.attach(ward.guest.name, [ward.nic()], scope=Scope.BOTH)
        answer = ward.run_and_kill(
            lambda p: p.update(ward.guest.name, "ua-nic", {"model": "e1000"}, scope=Scope.BOTH, replace=True),
            "ask",
            milliseconds,
            ward.daemon.kill,
        )
        what = f"killed after {milliseconds} ms: {answer}"
        if check_lost(answer):
            lost.append(milliseconds)
            (settled,) = ward.recover(allow_taint=True)
            assert settled.result is Result.UNDONE, f"{what}: {settled}"
        if ward.has_ended():
            assert ward.network_ports() == 0 and ward.recover() == [], what
            with ward.plugger() as plugger:
                plugger.detach(ward.guest.name, "ua-nic", scope=Scope.CONFIG)
            ward.renew()
            continue
        models = {
            net.find("model").attrib["type"]  # type: ignore[union-attr]
            for inactive in (False, True)
            for net in ward.guest.xml(inactive=inactive).iterfind("devices/interface")
        }
        assert models == ({"virtio"} if isinstance(answer, VirtnetplugError) else {"e1000"}), what
        assert ward.held() == {ward.guest.target("ua-nic")} and ward.network_ports() == 1, what
        assert ward.recover() == [] and ward.audit() == [], what
        with ward.plugger() as plugger:
            plugger.detach(ward.guest.name, "ua-nic", scope=Scope.BOTH)
        assert ward.is_clean(), what


@pytest.mark.parametrize("ending", ["resume", "reset", "while it is away"])
def test_while_a_held_guest_is_waited_for(ward: Ward, ending: str) -> None:
    ward.round()
    with ward.plugger() as plugger:
        plugger.attach(ward.guest.name, [ward.nic()], scope=Scope.BOTH)
    ward.guest.hold()

    def kill() -> None:
        ward.daemon.kill()
        if ending == "while it is away":
            ward.guest.resume()
            time.sleep(0.3)

    answer = ward.run_and_kill(
        lambda p: p.detach(ward.guest.name, "ua-nic", scope=Scope.BOTH, wait=3600), "waiting for the guest", 300, kill
    )
    assert check_lost(answer)
    assert ward.open_operations() == [OperationState.INCOMPLETE]
    if ending == "resume":
        ward.guest.resume()
    elif ending == "reset":
        ward.guest.reset()
    assert [each.result for each in ward.recover()] == [Result.DONE]
    assert ward.is_clean() and ward.audit() == []


def test_the_whole_command_says_so(ward: Ward) -> None:
    ward.round()
    command = Command(ward.daemon.uri, ward.state)
    command("attach", ward.guest.name, "--xml", "-", stdin=ward.nic())
    ward.guest.hold()
    process = command.start("detach", ward.guest.name, "ua-nic", "--wait", "3600", "--json", "-v")
    assert process.stderr is not None
    with process:
        wait_until(lambda: "waiting for the guest" in process.stderr.readline(), "the wait")  # type: ignore[union-attr]
        ward.daemon.kill()
        out, _ = process.communicate()
    assert process.returncode == 5 and '"reason": "connection-lost"' in out
    assert command.json("recover", code=3).document["reason"] == "connection-failed"
    ward.daemon.start()
    ward.guest.reconnect(libvirt.open(ward.daemon.uri))
    ward.guest.resume()
    assert command.json("recover", "--wait", "600").document["operations"][0]["result"] == "done"
    assert ward.is_clean()


def test_a_restart_between_two_operations_of_one_plugger(ward: Ward) -> None:
    """A plugger whose connection is gone says so, and touches nothing."""
    ward.round()
    with ward.plugger() as plugger:
        plugger.attach(ward.guest.name, [ward.nic()])
        ward.daemon.restart()
        with pytest.raises(VirtnetplugError) as caught:
            plugger.detach(ward.guest.name, "ua-nic")
        assert (caught.value.reason, caught.value.exit_code) == ("connection-lost", 5)
    ward.guest.reconnect(libvirt.open(ward.daemon.uri))
    assert ward.guest.aliases() == ["ua-nic"] and ward.recover() == []


# -- the domain, not the daemon ------------------------------------------------------------------


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
def test_the_domain_is_destroyed_during_an_attach(ward: Ward, scope: Scope) -> None:
    """As it would be had it never begun, or complete and then destroyed."""
    ended: list[float] = []
    for milliseconds in until_lost(ended, 1, SWEEP[::2]):
        ward.round()
        answer = ward.run_and_kill(
            lambda p: p.attach(ward.guest.name, [ward.nic()], scope=scope),
            "host_net_add",
            milliseconds,
            lambda: ward.guest.destroy(),
        )
        what = f"destroyed after {milliseconds} ms: {answer}"
        config = ward.guest.xml(inactive=True).find("devices/interface")
        if isinstance(answer, Outcome):
            assert (config is not None) == (scope is Scope.BOTH), what
        else:
            ended.append(milliseconds)
            assert answer.exit_code in (3, 4), what
            assert config is None, what
        assert ward.recover() == [] and ward.network_ports() == 0, what
        with ward.plugger() as plugger:
            if config is not None:
                plugger.detach(ward.guest.name, "ua-nic", scope=Scope.CONFIG)
        ward.guest = ward.start()


@pytest.mark.parametrize("scope", [Scope.LIVE, Scope.BOTH])
def test_the_domain_is_destroyed_during_a_detach(ward: Ward, scope: Scope) -> None:
    for milliseconds in [*SWEEP[::3], 40.0, 80.0]:
        ward.round()
        with ward.plugger() as plugger:
            plugger.attach(ward.guest.name, [ward.nic()], scope=scope)
        answer = ward.run_and_kill(
            lambda p: p.detach(ward.guest.name, "ua-nic", scope=scope),
            "ask",
            milliseconds,
            lambda: ward.guest.destroy(),
        )
        what = f"destroyed after {milliseconds} ms: {answer}"
        assert isinstance(answer, Outcome) and answer.result is Result.DONE, what
        assert ward.guest.xml(inactive=True).find("devices/interface") is None, what
        assert ward.network_ports() == 0 and ward.recover() == [], what
        with ward.plugger() as plugger:
            assert plugger.list(ward.guest.name) == () and plugger.audit().findings == (), what
        ward.guest = ward.start()
