"""Vifs of Xen guests are bound anew: all of it, or as it was; and none is ever left without its driver."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contract.faults import AtCall, Crash, Trigger, faulty, points
from tests.fakes.hypervisor import FakeDomain, FakeHypervisor
from tests.fakes.xen import ISOLATED_PORT, NEW_PORT, FakeXen, Seat
from virtnetplug.adapters.clock import SystemClock
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.errors import (
    HostDeviceFailed,
    NicChanged,
    Refused,
    UsageError,
    VifNotConnected,
    VirtnetplugError,
    XenStoreFailed,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.hotplug.vif import netback, rebind_vif
from virtnetplug.lifecycle import State
from virtnetplug.model.audit import Finding
from virtnetplug.model.host_device import NetdevState
from virtnetplug.model.operation import Half, Result

MACS = [f"00:16:3e:00:00:{number:02x}" for number in range(8)]


@dataclasses.dataclass
class Dom0:
    """Two guests that libvirt knows, `web` with two vifs and `db` with one, and one of another toolstack."""

    xen: FakeXen
    hypervisor: FakeHypervisor
    state_dir: Path
    host: Any = None

    def open(self) -> None:
        if self.host is not None:
            self.host.journal.close()
        self.host = Host(
            hypervisor=self.hypervisor,
            networks=self.hypervisor,
            links=self.xen.links,  # type: ignore[arg-type]
            host_devices=self.hypervisor.devices,
            nodedevs=self.hypervisor.devices,
            journal=SqliteJournal.open(self.state_dir),
            clock=SystemClock(),
            publish=lambda event: None,
            vif_store=self.xen,
            vif_drivers=self.xen,
        )

    @property
    def plugger(self) -> Plugger:
        return Plugger(self.host, lambda: None)

    def domain(self, name: str) -> FakeDomain:
        return self.hypervisor.all[name]

    def name(self, number: int, of: str = "web") -> str:
        return f"vif-{self.domain(of).state().id}-{number}"

    def whole(self) -> Any:
        """All that must be as it was."""
        states = {name: (seat.vif, seat.state, dict(seat.rings), seat.moves) for name, seat in self.xen.seats.items()}
        return states, self.xen.is_loaded, [record.id for record in self.host.journal.open_operations()]


@pytest.fixture
def dom0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(netback, "ORPHAN_SECONDS", 0.05)
    monkeypatch.setattr(netback, "LOOK_AGAIN", 0.01)
    monkeypatch.setattr(rebind_vif, "CONNECT_SECONDS", 0.05)
    made = Dom0(FakeXen(), FakeHypervisor(), tmp_path / "state")
    made.hypervisor.add_bridge("br0")
    for name, numbers in (("web", (0, 1)), ("db", (0,))):
        domain = made.hypervisor.add(name)
        for number in numbers:
            mac = MACS[number + (2 if name == "db" else 0)]
            domain.attach(interface(mac, f"ua-{name}{number}"), Half.LIVE)
            made.xen.add(domain.state().id, number, mac)
    seat = made.xen.seats[made.name(1)]
    assert seat.state is not None
    seat.vif = replace(seat.vif, link_name="mynic", rate="1000,50000")
    seat.state = replace(seat.state, name="mynic", mtu=9000, port=ISOLATED_PORT, is_promiscuous=True)
    made.xen.add(99, 3, MACS[7], bridge="br1")
    made.open()
    yield made
    made.host.journal.close()


def interface(mac: str, alias: str, *, bridge: str = "br0", extra: str = "") -> str:
    return f"<interface type='bridge'><mac address='{mac}'/><source bridge='{bridge}'/><alias name='{alias}'/>{extra}</interface>"


def rebind(dom0: Dom0, plugger: Plugger | None = None, *, nic: str = "ua-web1", reload: bool = False) -> Any:
    return (plugger or dom0.plugger).rebind_vif("web", nic, reload_driver=reload, wait=0.2)


def test_a_vif_is_bound_anew_and_all_is_as_it_was(dom0: Dom0) -> None:
    before, bound = dom0.whole(), []
    dom0.xen.on_bind = bound.append
    outcome = rebind(dom0)
    assert (outcome.operation, outcome.domain, outcome.result, outcome.reason) == ("rebind", "web", Result.DONE, "")
    assert [nic.alias for nic in outcome.nics] == ["ua-web1"] and outcome.warnings == ()
    assert [step.name for step in outcome.steps] == ["unbind_vif", "bind_vif", "join_bridge", "verify"]
    assert bound == [dom0.name(1)] and dom0.whole() == before
    (record,) = dom0.plugger.history(domain="web", limit=1)
    assert (record.operation, record.state) == ("rebind", "done")
    assert [total[:2] for total in dom0.host.journal.operation_totals() if total[0] == "rebind"] == [("rebind", "vif")]


def test_every_vif_goes_with_the_driver(dom0: Dom0) -> None:
    before = dom0.whole()
    outcome = rebind(dom0, reload=True)
    assert (outcome.result, outcome.reason, outcome.warnings) == (Result.DONE, "", ())
    assert sorted(nic.alias for nic in outcome.nics) == ["ua-db0", "ua-web0", "ua-web1"]
    assert dom0.xen.loads == 1 and dom0.whole() == before


def test_a_plan_names_every_vif_and_touches_nothing(dom0: Dom0) -> None:
    before = dom0.whole()
    web, db = dom0.domain("web").state().id, dom0.domain("db").state().id
    plan = dom0.plugger.plan_rebind_vif("web", "ua-web1", reload_driver=True)
    assert plan.fits and plan.warnings == (
        f"web/ua-web1 (vif-{web}-1 in br0) is bound anew: cut off meanwhile",
        f"web/ua-web0 (vif-{web}-0 in br0) is bound anew: cut off meanwhile",
        f"db/ua-db0 (vif-{db}-0 in br0) is bound anew: cut off meanwhile",
        "vif-99-3 (vif-99-3 in br1) is bound anew: cut off meanwhile",
    )
    names = [step.name for step in plan.steps]
    assert names == [*["unbind_vif"] * 4, "reload_driver", *["bind_vif", "join_bridge"] * 4, *["verify"] * 4]
    single = dom0.plugger.plan_rebind_vif("web", "ua-web1")
    assert single.fits and single.warnings == () and len(single.steps) == 4
    assert dom0.whole() == before


def test_one_that_its_script_had_put_nowhere_stays_there(dom0: Dom0) -> None:
    left = dom0.xen.seats["vif-99-3"]
    left.vif = replace(left.vif, hotplug_status="error", backend=State.INIT_WAIT, bridge="gone")
    assert left.state is not None
    left.state = replace(left.state, master=None, is_up=False, port="", queue_length=32)
    before = left.state
    plan = dom0.plugger.plan_rebind_vif("web", "ua-web1", reload_driver=True)
    assert "vif-99-3 (vif-99-3, in no bridge) is bound anew: whose guest is not connected" in plan.warnings
    assert rebind(dom0, reload=True).result is Result.DONE
    assert left.state == before and left.vif.backend is State.INIT_WAIT


def test_one_whose_guest_is_not_connected_goes_with_the_others(dom0: Dom0) -> None:
    other = dom0.xen.seats["vif-99-3"]
    other.vif = replace(other.vif, frontend=State.INITIALISING, backend=State.INIT_WAIT)
    before = other.state
    assert rebind(dom0, reload=True).result is Result.DONE
    assert other.state == before and other.vif.hotplug_status == "connected"


def test_one_that_was_left_half_done_is_completed(dom0: Dom0) -> None:
    """By hand: unbound, or bound and not put back."""
    before = dom0.whole()
    name = dom0.name(0)
    for is_bound in (False, True):
        dom0.xen.unbind(name)
        if is_bound:
            dom0.xen.bind(name)
        assert rebind(dom0, nic="ua-web0").result is Result.DONE
        seat = dom0.xen.seats[name]
        assert seat.state is not None
        seat.state = replace(seat.state, queue_length=1000)  # what nobody could know any more
        assert dom0.whole() == before


def test_isolation_that_the_definition_says_comes_with_the_bridge(dom0: Dom0) -> None:
    domain = dom0.domain("web")
    domain.attach(interface(MACS[5], "ua-alone", extra="<port isolated='yes'/>"), Half.LIVE)
    seat = dom0.xen.add(domain.state().id, 5, MACS[5])
    dom0.xen.unbind(seat.vif.name)
    assert rebind(dom0, nic="ua-alone").result is Result.DONE
    assert seat.state is not None and (seat.state.port, seat.state.master) == (ISOLATED_PORT, "br0")


def test_a_guest_that_connects_anew_meanwhile_is_told_of(dom0: Dom0) -> None:
    dom0.xen.on_bind = lambda name: dom0.xen.connect_anew(name)
    outcome = rebind(dom0)
    assert (outcome.result, outcome.reason) == (Result.DONE, "ring-renewed")
    (said,) = outcome.warnings
    assert "event-channel=6 before" in said and "event-channel=9 now" in said


def test_a_guest_that_rewrites_its_state_alone_is_told_of(dom0: Dom0) -> None:
    """The references may be the same again: that something was written is enough."""
    seat = dom0.xen.seats[dom0.name(1)]
    dom0.xen.on_bind = lambda name: setattr(seat, "moves", seat.moves + 4)
    assert rebind(dom0).reason == "ring-renewed"


def test_a_guest_that_never_comes_back(dom0: Dom0) -> None:
    name = dom0.name(1)
    dom0.xen.on_bind = dom0.xen.let_go
    with pytest.raises(
        VifNotConnected, match=f"ua-web1 .{name}. is not connected again: backend Closed, frontend Closed"
    ) as caught:
        rebind(dom0)
    assert (caught.value.exit_code, caught.value.reason) == (5, "vif-not-connected")
    assert dom0.xen.is_bound(name) and dom0.xen.seats[name].vif.hotplug_status == "connected"
    (still,) = dom0.plugger.recover()
    assert (still.result, still.reason) == (
        Result.INCOMPLETE,
        "vif-not-connected",
    ) and "frontend Closed" in still.message
    with pytest.raises(Refused, match="not settled"):
        dom0.plugger.rebind_vif("web", "ua-web0", reload_driver=True)
    dom0.xen.connect_anew(name)
    (done,) = dom0.plugger.recover()
    assert (done.result, done.reason) == (Result.DONE, "ring-renewed") and dom0.plugger.recover() == ()


def test_a_guest_that_ends_meanwhile_is_no_success(dom0: Dom0) -> None:
    def end(name: str) -> None:
        del dom0.xen.seats[name]
        raise HostDeviceFailed("the kernel knows no such vif")

    dom0.xen.on_bind = end
    outcome = rebind(dom0)
    assert (outcome.result, outcome.reason) == (Result.UNDONE, "guest-ended")
    assert dom0.name(1) not in dom0.xen.seats and dom0.plugger.recover() == ()


def die(dom0: Dom0, call: str) -> None:
    """A rebind of ua-web1 that dies right after `call`."""
    with pytest.raises(Crash):
        rebind(dom0, Plugger(faulty(dom0.host, AtCall(call, after=True)), lambda: None))
    dom0.open()


def replace_vif(dom0: Dom0, mac: str) -> Seat:
    """Somebody takes vif 1 out and attaches one of the same number to br1."""
    name, domain_id = dom0.name(1), dom0.domain("web").state().id
    del dom0.xen.seats[name]
    return dom0.xen.add(domain_id, 1, mac, bridge="br1")


@pytest.mark.parametrize("mac", [MACS[6], MACS[1]], ids=["another", "elsewhere"])
@pytest.mark.parametrize("call", ["vif_drivers.unbind", "vif_drivers.bind", "links.restore", "vif_store.set_plumbed"])
def test_another_vif_of_that_number_is_left_as_it_is(dom0: Dom0, call: str, mac: str) -> None:
    die(dom0, call)
    theirs = replace_vif(dom0, mac)
    before = dataclasses.astuple(theirs)
    (outcome,) = dom0.plugger.recover(wait=1)
    assert (outcome.result, outcome.reason) == (
        Result.UNDONE,
        "nic-changed",
    ) and "another NIC by now" in outcome.message
    assert dataclasses.astuple(theirs) == before and not dom0.host.journal.open_operations()


@pytest.mark.parametrize("call", ["unbind", "bind"])
def test_another_vif_that_comes_under_way_is_left_as_it_is(
    dom0: Dom0, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    kernels, theirs = getattr(dom0.xen, call), []

    def write(name: str) -> None:
        kernels(name)
        theirs.append(replace_vif(dom0, MACS[6]))

    monkeypatch.setattr(dom0.xen, call, write)
    outcome = rebind(dom0)
    assert (outcome.result, outcome.reason) == (Result.UNDONE, "nic-changed")
    (seat,) = theirs
    assert seat.state is not None and (seat.state.master, seat.state.mtu, seat.state.port) == ("br1", 1500, NEW_PORT)


@pytest.mark.parametrize("mac", [MACS[6], None], ids=["another", "none"])
def test_the_ring_of_another_vif_says_nothing_of_the_guest(
    dom0: Dom0, monkeypatch: pytest.MonkeyPatch, mac: str | None
) -> None:
    """One of several vifs is detached while the driver is reloaded, and another one may have its number."""
    kernels, theirs = dom0.xen.reload, []

    def reload() -> None:
        kernels()
        theirs.append(dom0.xen.seats[dom0.name(1)] if mac is None else replace_vif(dom0, mac))
        theirs[0].rings = {"tx-ring-ref": "99"}
        if mac is None:
            del dom0.xen.seats[dom0.name(1)]

    monkeypatch.setattr(dom0.xen, "reload", reload)
    outcome = rebind(dom0, reload=True)
    assert (outcome.result, outcome.reason) == (Result.DONE, "")
    (said,) = outcome.warnings
    assert "ua-web1 was not bound anew" in said


def test_a_domain_id_that_is_used_again_before_it_is_unbound_keeps_its_driver(
    dom0: Dom0, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, theirs = dom0.xen.watch_frontends, []

    def watch_frontends(vifs: Any) -> Any:
        watched = watch(vifs)
        dom0.xen.boot = "later"  # the guest ends, and another one has its id
        theirs.append(replace_vif(dom0, MACS[1]))
        theirs[0].vif = replace(theirs[0].vif, bridge="br0")
        return watched

    monkeypatch.setattr(dom0.xen, "watch_frontends", watch_frontends)
    outcome = rebind(dom0)
    assert (outcome.result, outcome.reason) == (Result.UNDONE, "guest-ended")
    assert theirs[0].state is not None and theirs[0].state.master == "br1" and theirs[0].moves == 0


def test_a_vif_that_took_the_name_in_the_moment_of_the_unbind_has_its_driver_again(
    dom0: Dom0, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels, theirs = dom0.xen.unbind, []

    def unbind(name: str) -> None:
        if not theirs:
            theirs.append(replace_vif(dom0, MACS[6]))
        kernels(name)

    monkeypatch.setattr(dom0.xen, "unbind", unbind)
    with pytest.raises(HostDeviceFailed, match="became another vif"):
        rebind(dom0)
    (seat,) = theirs
    assert seat.state is not None and seat.state.is_up
    assert (seat.state.name, seat.state.master, seat.state.mtu) == (f"vif{seat.vif.domain_id}.1", "br1", 1500)
    assert seat.vif.is_connected and not dom0.host.journal.open_operations()


def test_a_link_that_somebody_moves_before_it_is_unbound_stays_there(
    dom0: Dom0, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, seat = dom0.xen.watch_frontends, dom0.xen.seats[dom0.name(1)]

    def watch_frontends(vifs: Any) -> Any:
        assert seat.state is not None
        seat.state = replace(seat.state, master="br1", mtu=1400)
        return watch(vifs)

    monkeypatch.setattr(dom0.xen, "watch_frontends", watch_frontends)
    with pytest.raises(NicChanged, match="into br1"):
        rebind(dom0)
    assert seat.state is not None and (seat.state.master, seat.state.mtu, seat.state.name) == ("br1", 1400, "mynic")
    assert not dom0.host.journal.open_operations()


@pytest.mark.parametrize("call", ["vif_drivers.bind", "vif_store.set_plumbed"])
def test_a_link_that_somebody_moved_meanwhile_is_left_there(dom0: Dom0, call: str) -> None:
    die(dom0, call)
    seat = dom0.xen.seats[dom0.name(1)]
    assert seat.state is not None
    moved = seat.state = replace(seat.state, master="br1", mtu=1400, port=NEW_PORT)
    (outcome,) = dom0.plugger.recover(wait=1)
    assert outcome.result is Result.DONE and seat.state == moved and seat.vif.is_connected
    assert "somebody has put its link" in outcome.warnings[0] and "br1" in outcome.warnings[0]


def test_what_somebody_set_of_a_link_in_its_bridge_stays(dom0: Dom0) -> None:
    die(dom0, "vif_store.set_plumbed")
    seat = dom0.xen.seats[dom0.name(1)]
    assert seat.state is not None
    now = seat.state = replace(seat.state, mtu=1400)
    assert dom0.plugger.recover(wait=1)[0].result is Result.DONE and seat.state == now


@pytest.mark.parametrize("after", ["unbind", "bind"])
@pytest.mark.parametrize("is_bound", [False, True])
def test_a_domain_id_that_is_used_again_is_another_guests(dom0: Dom0, after: str, is_bound: bool) -> None:
    """Of a rebind that was cut off: a vif of the same name is another guest's by now. It gets no driver and no link settings of the first one's."""
    with pytest.raises(Crash):
        rebind(dom0, Plugger(faulty(dom0.host, AtCall(f"vif_drivers.{after}", 1, after=True)), lambda: None))
    dom0.open()
    seat = dom0.xen.seats[dom0.name(1)]
    state = NetdevState(name="theirs", mac="fe:ff:ff:ff:ff:ff", mtu=1400, is_up=False, master="br1", port=NEW_PORT)
    seat.state = state if is_bound else None
    seat.vif, seat.rings = replace(seat.vif, hotplug_status=None), {"tx-ring-ref": "99"}
    dom0.xen.boot = "next boot"
    before, theirs = dom0.whole()[:2], seat.state
    (outcome,) = dom0.plugger.recover()
    assert (outcome.result, outcome.reason, outcome.warnings) == (Result.UNDONE, "guest-ended", ())
    assert dom0.whole()[:2] == before and seat.state == theirs


def test_a_driver_that_cannot_be_loaded_is_tried_again(dom0: Dom0, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dom0.whole()

    def fail() -> None:
        raise HostDeviceFailed("modprobe: FATAL: Module xen-netback not found")

    def lose() -> None:
        dom0.xen.is_loaded = False
        fail()

    monkeypatch.setattr(dom0.xen, "reload", lose)
    monkeypatch.setattr(dom0.xen, "load", fail)
    with pytest.raises(VirtnetplugError, match="not found") as caught:
        rebind(dom0, reload=True)
    assert caught.value.exit_code == 5
    (still,) = dom0.plugger.recover("db")
    assert (still.result, still.reason, still.domain) == (Result.INCOMPLETE, "host-device-failed", "web")
    monkeypatch.undo()
    (done,) = dom0.plugger.recover()
    assert (done.result, done.reason) == (Result.UNDONE, "recovered")
    assert dom0.whole() == before


def test_a_vif_that_comes_meanwhile_keeps_the_driver_loaded(dom0: Dom0) -> None:
    before = dom0.whole()
    unbind = dom0.xen.unbind

    def late(name: str) -> None:
        unbind(name)
        dom0.xen.seats.setdefault("vif-100-0", dom0.xen.add(100, 0, MACS[6]))

    dom0.xen.unbind = late  # type: ignore[method-assign]
    with pytest.raises(HostDeviceFailed, match="vif-100-0 came meanwhile") as caught:
        rebind(dom0, reload=True)
    assert caught.value.exit_code == 4
    del dom0.xen.seats["vif-100-0"]
    assert dom0.whole() == before and dom0.xen.loads == 0


def test_a_watch_that_ends_is_said(dom0: Dom0, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any) -> None:
        raise XenStoreFailed("xenstore-watch has ended")

    monkeypatch.setattr("tests.fakes.xen._Frontends.moved", broken)
    outcome = rebind(dom0)
    assert outcome.result is Result.DONE and "was not seen all along" in outcome.warnings[0]


# -- what is refused --------------------------------------------------------------------------------


def _vif(dom0: Dom0, **changes: Any) -> None:
    seat = dom0.xen.seats[dom0.name(1)]
    seat.vif = replace(seat.vif, **changes)


def _link(dom0: Dom0, **changes: Any) -> None:
    seat = dom0.xen.seats[dom0.name(1)]
    assert seat.state is not None
    seat.state = replace(seat.state, **changes)


def _add(dom0: Dom0, mac: str, extra: str) -> None:
    dom0.domain("web").attach(interface(mac, "ua-more", extra=extra), Half.LIVE)
    dom0.xen.add(dom0.domain("web").state().id, 6, mac)


def _undefined(dom0: Dom0) -> None:
    domain: Any = dom0.domain("web")
    (source,) = domain._live.xpath("devices/interface[alias/@name='ua-web1']/source")
    source.getparent().set("type", "ethernet")
    source.getparent().remove(source)
    _vif(dom0, bridge=None, script="/etc/xen/scripts/vif-route")
    _link(dom0, master=None)


def _elsewhere(dom0: Dom0) -> None:
    _link(dom0, master="br1")


REFUSED: dict[str, tuple[Callable[[Dom0], Any], str, str, str]] = {
    "old kernel": (lambda d: setattr(d.xen, "obstacle", "kernel 5.4 cannot"), "ua-web1", "not-supported", "cannot be bound anew: kernel 5.4 cannot"),
    "other link": (_elsewhere, "ua-web1", "tap-elsewhere", "its link mynic is in br1, and its definition says bridge br0"),
    "other bridge in xenstore": (lambda d: _vif(d, bridge="br1"), "ua-web1", "tap-elsewhere", "definition says bridge br0, and xenstore bridge br1"),
    "no bridge there": (lambda d: d.xen.bridges.pop("br0"), "ua-web1", "bridge-missing", "bridge br0 is not on this host"),
    "no Linux bridge": (lambda d: d.xen.bridges.update(br0="openvswitch"), "ua-web1", "not-supported", "of kind openvswitch"),
    "in no bridge": (_undefined, "ua-web1", "not-supported", "in no bridge, and what its script /etc/xen/scripts/vif-route"),
    "VLAN": (lambda d: _add(d, MACS[6], "<vlan><tag id='7'/></vlan>"), "ua-more", "not-supported", "has a VLAN"),
    "guest not connected": (lambda d: d.xen.let_go(d.name(1)), "ua-web1", "vif-unfit", "backend Closed, frontend Closed"),
    "being detached": (lambda d: _vif(d, is_online=False, backend=State.CLOSING), "ua-web1", "vif-unfit", "backend Closing, frontend Connected"),
    "backend gone": (lambda d: _vif(d, backend=None), "ua-web1", "vif-unfit", "backend gone, frontend Connected"),
    "driver domain": (lambda d: _vif(d, backend_domain=4), "ua-web1", "vif-unfit", "runs in domain 4"),
    "no vif": (lambda d: _vif(d, mac=MACS[4]), "ua-web1", "vif-unfit", "no vif with its MAC"),
    "two vifs": (lambda d: d.xen.add(d.domain("web").state().id, 6, MACS[1]), "ua-web1", "vif-unfit", r"vif-\d+-1, vif-\d+-6 with its MAC"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused_before_anything_is_touched(dom0: Dom0, case: str) -> None:
    prepare, nic, reason, said = REFUSED[case]
    prepare(dom0)
    before = dom0.whole()
    plan = dom0.plugger.plan_rebind_vif("web", nic)
    assert [refusal.reason for refusal in plan.refusals] == [reason] and not plan.fits and not plan.steps
    with pytest.raises(Refused, match=said) as caught:
        rebind(dom0, nic=nic)
    assert (caught.value.reason, caught.value.exit_code) == (reason, 3)
    assert dom0.whole() == before


def test_what_speaks_against_one_speaks_against_all(dom0: Dom0) -> None:
    _elsewhere(dom0)
    other = dom0.xen.seats["vif-99-3"]
    other.vif = replace(other.vif, backend_domain=0, is_online=False)
    bound = dom0.xen.bound()
    dom0.xen.bound = lambda: bound | {"vif-77-0"}  # type: ignore[method-assign]
    before = dom0.whole()
    plan = dom0.plugger.plan_rebind_vif("db", "ua-db0", reload_driver=True)
    assert sorted(refusal.nic for refusal in plan.refusals) == ["vif-77-0", "vif-99-3", "web/ua-web1"]
    with pytest.raises(Refused, match="Also: "):
        dom0.plugger.rebind_vif("db", "ua-db0", reload_driver=True)
    assert dom0.whole() == before


def test_what_is_left_of_a_domain_that_ended_is_told_and_removed(dom0: Dom0) -> None:
    dom0.xen.left = {7, 8}

    def told(domain: str | None = None) -> list[Finding]:
        return [each for each in dom0.plugger.audit(domain).findings if each.kind == "vif-remains"]

    assert [each.domain for each in told()] == ["id 7", "id 8"]
    assert told("web") == []
    mended = dom0.plugger.repair(dom0.plugger.audit()).findings
    assert all(each.repaired for each in mended if each.kind == "vif-remains")
    assert dom0.xen.left == set() and told() == []


def test_a_script_that_says_something_again_is_not_called_repaired(dom0: Dom0, monkeypatch: pytest.MonkeyPatch) -> None:
    dom0.xen.left = {7}
    monkeypatch.setattr(dom0.xen, "clear", lambda domain_id: None)
    mended = dom0.plugger.repair(dom0.plugger.audit()).findings
    assert [(each.repaired, "again" in each.message) for each in mended if each.kind == "vif-remains"] == [
        (False, True)
    ]


def test_what_is_left_of_domains_that_ended_and_cannot_be_seen_is_told(
    dom0: Dom0, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remains() -> frozenset[int]:
        raise XenStoreFailed("xenstore has not answered for 20 s")

    monkeypatch.setattr(dom0.xen, "remains", remains)
    unseen = dom0.plugger.audit().unseen
    assert "what is left of domains that ended: xenstore has not answered for 20 s" in unseen


def test_it_is_for_xen_only(dom0: Dom0) -> None:
    dom0.host = replace(dom0.host, vif_store=None, vif_drivers=None)
    with pytest.raises(UsageError, match="say what to connect the NIC to"):
        dom0.plugger.rebind_vif("web", "ua-web1")
    for call in (dom0.plugger.rebind_vif, dom0.plugger.plan_rebind_vif):
        with pytest.raises(UsageError, match="`pf`"):
            call("web", "ua-web1", reload_driver=True)


def test_a_vif_that_is_not_settled_is_nobody_elses(dom0: Dom0) -> None:
    """What died with every vif unbound is settled by `recover` of any of its domains, and told of until then."""
    kill = Trigger(count(dom0, reload=True).index("vif_drivers.reload"), "crash")
    with pytest.raises(Crash):
        rebind(dom0, Plugger(faulty(dom0.host, kill), lambda: None), reload=True)
    dom0.open()
    assert dom0.xen.bound() == frozenset()
    assert [nic.pending is not None for nic in dom0.plugger.list("db")] == [True]
    (plan,) = dom0.plugger.plan_recover("db")
    assert "would be undone" in plan.warnings[0]
    with pytest.raises(Refused) as caught:
        dom0.plugger.rebind_vif("db", "ua-db0")
    assert caught.value.reason == "nic-pending"
    (settled,) = dom0.plugger.recover("db")
    assert settled.result is Result.UNDONE and len(dom0.xen.bound()) == 4


@pytest.mark.parametrize("whose", ["driver", "guest"])
def test_recover_that_does_not_wait_leaves_out_vifs_that_are_busy(dom0: Dom0, whose: str) -> None:
    kill = Trigger(count(dom0, reload=True).index("vif_drivers.reload"), "crash")
    with pytest.raises(Crash):
        rebind(dom0, Plugger(faulty(dom0.host, kill), lambda: None), reload=True)
    dom0.open()
    hypervisor = dom0.host.hypervisor
    key = ("", rebind_vif.DRIVER) if whose == "driver" else (hypervisor.key, hypervisor.domain("web").uuid)
    began = time.monotonic()
    with dom0.host.journal.lock(*key):
        (left,) = dom0.plugger.recover("db")
    assert (left.result, left.reason) == (Result.PENDING, "domain-busy") and time.monotonic() - began < 4
    assert [each.result for each in dom0.plugger.recover("db")] == [Result.UNDONE]


# -- at every step -----------------------------------------------------------------------------------


def count(dom0: Dom0, *, reload: bool) -> list[str]:
    counter = Trigger(-1, "none")
    rebind(dom0, Plugger(faulty(dom0.host, counter), lambda: None), reload=reload)
    return counter.calls


@pytest.mark.many(4)
@pytest.mark.parametrize("reload", [False, True], ids=["one", "all"])
@pytest.mark.parametrize("kind", ["fail", "broken", "crash"])
def test_whatever_fails_and_wherever_it_dies_every_vif_is_bound_and_connected(
    dom0: Dom0, kind: str, reload: bool
) -> None:
    before = dom0.whole()
    calls = count(dom0, reload=reload)
    assert dom0.whole() == before and "vif_drivers.unbind" in calls
    codes = set()
    for k, after in points("fail" if kind == "broken" else kind, calls):
        trigger = Trigger(k, kind, after=after)
        what = f"{kind} {'after' if after else 'at'} call {k}, {calls[k]}"
        try:
            rebind(dom0, Plugger(faulty(dom0.host, trigger), lambda: None), reload=reload)
        except VirtnetplugError as error:
            codes.add(error.exit_code)
            if error.exit_code != 5:
                assert dom0.whole() == before, what
        except Crash:
            dom0.open()
        assert trigger.fired, what
        results = [outcome.result for outcome in dom0.plugger.recover()]
        assert Result.INCOMPLETE not in results, what
        assert dom0.plugger.recover() == () and dom0.whole() == before, what
    assert codes == {"fail": {4}, "broken": {4, 5}, "crash": set()}[kind]


def _detached(dom0: Dom0) -> None:
    dom0.domain("web").detach("ua-web1", Half.LIVE)
    del dom0.xen.seats[dom0.name(1)]


def _another_has_its_number(dom0: Dom0) -> None:
    _detached(dom0)
    dom0.domain("web").attach(interface(MACS[5], "ua-web1", bridge="br1"), Half.LIVE)
    dom0.xen.add(dom0.domain("web").state().id, 1, MACS[5], bridge="br1")


def _moved(dom0: Dom0) -> None:
    """``ip link set vif1.1 master br1``, where it has a link."""
    if (link := dom0.xen.link(dom0.name(1))) is not None:
        seat = dom0.xen.seats[dom0.name(1)]
        assert seat.state is not None and seat.state.name == link
        seat.state = replace(seat.state, master="br1", port=NEW_PORT)


@pytest.mark.many(3)
@pytest.mark.parametrize("reload", [False, True], ids=["one", "all"])
@pytest.mark.parametrize("hand", [_detached, _another_has_its_number, _moved])
def test_what_somebody_made_of_a_vif_after_a_death_stays(
    dom0: Dom0, hand: Callable[[Dom0], None], reload: bool
) -> None:
    dom0.hypervisor.add_bridge("br1")
    calls, name = count(dom0, reload=reload), dom0.name(1)
    ours = dataclasses.replace(dom0.xen.seats[name])
    for k, after in points("crash", calls):
        dom0.xen.seats[name] = dataclasses.replace(ours)
        with suppress(VirtnetplugError):
            dom0.domain("web").detach("ua-web1", Half.LIVE)
        dom0.domain("web").attach(interface(MACS[1], "ua-web1"), Half.LIVE)
        with pytest.raises(Crash):
            rebind(dom0, Plugger(faulty(dom0.host, Trigger(k, "crash", after=after)), lambda: None), reload=reload)
        dom0.open()
        hand(dom0)
        found = dom0.xen.seats.get(name)
        before = dataclasses.replace(found) if found is not None else None
        said = " ".join(text for outcome in dom0.plugger.recover() for text in (outcome.message, *outcome.warnings))
        what = f"{'after' if after else 'at'} call {k}, {calls[k]}: {said}"
        assert dom0.plugger.recover() == () and dom0.xen.is_loaded, what
        if hand is not _moved:
            assert dom0.xen.seats.get(name) == before, what
        elif before is not None and before.state is not None:
            now = dom0.xen.seats[name].state
            assert now is not None and now.master == "br1", what
        for other in (dom0.name(0), dom0.name(0, "db"), "vif-99-3"):
            assert dom0.xen.seats[other].state is not None and dom0.xen.seats[other].vif.is_connected, what


@pytest.mark.parametrize("call", ["unbind", "bind", "reload"])
def test_the_next_operation_on_the_domain_finishes_one_that_died(dom0: Dom0, call: str) -> None:
    before = dom0.whole()
    reload = call == "reload"
    at = count(dom0, reload=reload).index(f"vif_drivers.{call}")
    with suppress(Crash):
        rebind(dom0, Plugger(faulty(dom0.host, Trigger(at, "crash", after=True)), lambda: None), reload=reload)
    dom0.open()
    assert dom0.whole() != before
    if reload:
        assert [outcome.result for outcome in dom0.plugger.recover()] == [Result.UNDONE]
    assert rebind(dom0).result is Result.DONE
    assert dom0.whole() == before
