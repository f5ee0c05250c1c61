"""Vifs bound anew under a real guest: by the API and the command, with the module loaded anew, and cut off in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

import virtnetplug
from tests import warm
from tests.lab.figures import long
from tests.lab_xen import operations, store
from tests.lab_xen.guest import BRIDGE, MAC, PACE, Guest, Nic
from tests.real.namespace import wait_until
from tests.real.stream import Stream
from virtnetplug import Plugger
from virtnetplug.adapters.linux.links import LinuxLinks
from virtnetplug.adapters.xen.xenstore import XenStore
from virtnetplug.errors import Refused, VifNotConnected
from virtnetplug.model.host_device import NetdevState
from virtnetplug.model.operation import Result
from virtnetplug.ports.xen import Vif

Attach = Callable[..., Nic]
Figure = Callable[[str], None]
ROUNDS = int(os.environ.get("VIRTNETPLUG_LAB_ROUNDS", "3"))
FIRST, FOREIGN = "ua-first", 11


@pytest.fixture(autouse=True)
def neighbours() -> Iterator[None]:
    """Forgotten after each test: the guest answers for each of its addresses with any of its NICs, also with one that is gone by then."""
    yield
    store.run(f"ip neigh flush dev {BRIDGE}")


@pytest.fixture
def plugger(uri: str, tmp_path: Path) -> Iterator[Plugger]:
    with virtnetplug.open(uri, state_dir=tmp_path / "state") as opened:
        yield opened
        assert opened.recover() == ()


@pytest.fixture
def foreign(lab: Guest) -> Iterator[Nic]:
    """A vif that Xen's own tool has made, which libvirt does not know."""
    attach_by_xl()
    new = lab.nic(FOREIGN)
    wait_connected(new)
    yield new
    detach_by_xl(lab.nic(FOREIGN))


def attach_by_xl() -> None:
    store.run(f"xl network-attach lab mac={MAC.format(FOREIGN)} bridge={BRIDGE}")


def detach_by_xl(nic: Nic) -> None:
    store.run(f"xl network-detach lab {nic.vif}")
    wait_until(lambda: not store.list_all(nic.backend), f"{nic.device} to be gone")


def wait_connected(nic: Nic) -> None:
    wait_until(nic.is_connected, f"both ends of {nic.device} to be connected")


def link(name: str) -> NetdevState:
    found = LinuxLinks().state(name)
    assert found is not None
    return found


def rings(*nics: Nic) -> list[Any]:
    return [XenStore().rings(Vif(domain_id=nic.domain_id, number=nic.vif)) for nic in nics]


def answer(place: Path, *words: str) -> Any:
    """Of the command, which must say success."""
    command = ["virtnetplug", "-c", "xen:///system", "--state-dir", str(place / "state"), "--json", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def whole(*nics: Nic) -> list[Any]:
    """All that a rebind must leave as it was."""
    links = [Path(f"/sys/bus/xen-backend/devices/{nic.device}/net") for nic in nics]
    return [
        *((nic.states(), store.read(f"{nic.backend}/hotplug-status")) for nic in nics),
        *(link(next(place.iterdir()).name) for place in links),
        *rings(*nics),
    ]


def test_a_connection_outlives_rebinds(plugger: Plugger, lab: Guest, figure: Figure) -> None:
    """A quarter of them, and one at least, with the module loaded anew."""
    nic = lab.first
    before = whole(nic)
    assert before[0] == (("4", "4"), "connected") and before[2]
    with Stream(nic.address, pace=PACE) as stream:
        for number in range(1, ROUNDS + 1):
            reload = number % 4 == 3 or number == ROUNDS == 1
            start = stream.mark()
            outcome = plugger.rebind_vif("lab", FIRST, reload_driver=reload)
            seconds = time.monotonic() - start
            stream.wait_flowing()
            gap = stream.longest_gap(start)
            assert (outcome.result, outcome.reason, outcome.warnings) == (Result.DONE, "", ())
            assert whole(nic) == before
            stream.check()
            how = "with its module reloaded" if reload else "rebound"
            figure(f"rebind {number}: {how} in {seconds:.2f} s, longest silence {gap:.2f} s")
    assert stream.lost == 0 and not stream.fault


@long
def test_and_what_taking_it_out_and_in_again_does(lab: Guest, foreign: Nic, figure: Figure) -> None:
    """Beside that, what else there is: nothing of it is held to anything but to work."""
    with Stream(foreign.address, pace=PACE) as stream:
        start = stream.mark()
        detach_by_xl(foreign)
        attach_by_xl()
        wait_connected(lab.nic(FOREIGN))
        stream.wait_flowing()
        gap = stream.longest_gap(start)
        figure(f"xl network-detach and network-attach: longest silence {gap:.2f} s, {stream.resets} connections reset")


def test_every_vif_of_the_host_goes_with_the_module(
    plugger: Plugger, tmp_path: Path, lab: Guest, nic: Attach, foreign: Nic
) -> None:
    mine = nic(7, more="<target dev='seven'/><alias name='ua-seven'/><bandwidth><outbound average='1024'/></bandwidth>")
    wait_connected(mine)
    store.run("ip link set seven mtu 1400")
    store.run("bridge link set dev seven isolated on cost 7")
    store.run(f"ip link set {foreign.link} nomaster")  # as by a bridge that was made anew
    all_of_them = (lab.first, mine, foreign)
    joined = link(foreign.link)
    before = whole(*all_of_them)
    assert before[4].port != before[3].port and before[4].name == "seven"

    planned = answer(tmp_path, "plan", "rebind", "lab", "ua-seven", "--reload-driver")
    assert planned["fits"]
    assert planned["warnings"] == [
        f"lab/ua-seven ({mine.device} in {BRIDGE}) is bound anew: cut off meanwhile",
        f"lab/{FIRST} ({lab.first.device} in {BRIDGE}) is bound anew: cut off meanwhile",
        f"lab/{foreign.device} ({foreign.device} in {BRIDGE}) is bound anew: cut off meanwhile",
    ]
    assert whole(*all_of_them) == before
    done = answer(tmp_path, "rebind", "lab", "ua-seven", "--reload-driver")
    assert (done["result"], done["reason"], done["warnings"]) == ("done", "", [])
    now = whole(*all_of_them)
    assert now[5].master == BRIDGE and joined.master is None
    assert now[:5] == before[:5] and now[6:] == before[6:]
    for one in all_of_them:
        lab.wait_answers(one.address)


def test_what_does_not_fit_is_refused(plugger: Plugger, lab: Guest, nic: Attach) -> None:
    new = nic(6, more="<alias name='ua-six'/>")
    wait_connected(new)
    store.run("ip link add other type bridge")
    store.run(f"ip link set {new.link} master other")
    with pytest.raises(Refused, match=f"{new.link} is in other, and its definition says bridge {BRIDGE}") as caught:
        plugger.rebind_vif("lab", "ua-six")
    assert caught.value.reason == "tap-elsewhere"
    with pytest.raises(Refused, match=f"lab/ua-six: its link {new.link} is in other"):
        plugger.rebind_vif("lab", FIRST, reload_driver=True)
    store.run(f"ip link set {new.link} master {BRIDGE}")
    store.run("ip link del other")
    before = len(lab.said())
    lab.tell(f"unbind {new.vif}")
    lab.wait_says(rf"^GONE \w+ {new.mac}$", before)
    wait_until(lambda: new.states() == ("6", "6"), "the guest to have let go")
    with pytest.raises(Refused, match="backend Closed, frontend Closed") as caught:
        plugger.rebind_vif("lab", "ua-six")
    assert caught.value.reason == "vif-unfit"
    lab.tell(f"bind {new.vif}")
    wait_connected(new)


def test_a_paused_guest_is_no_obstacle(plugger: Plugger, lab: Guest) -> None:
    before = whole(lab.first)
    lab.dom.suspend()
    try:
        assert plugger.rebind_vif("lab", FIRST).result is Result.DONE
        assert whole(lab.first) == before
    finally:
        lab.dom.resume()
    lab.wait_answers(lab.first.address)


def test_a_guest_that_does_not_connect_again(plugger: Plugger, lab: Guest, nic: Attach) -> None:
    """Its driver goes while the backend's is away: both states are said, and once it is back `recover` finds all well."""
    new = nic(5, more="<alias name='ua-five'/>")
    wait_connected(new)
    drivers: Any = plugger._host.vif_drivers
    bind = drivers.bind

    def late(name: str) -> None:
        lab.tell(f"unbind {new.vif}")
        wait_until(lambda: new.states()[1] != "4", "the guest to begin to let go")
        bind(name)
        wait_until(lambda: new.states() == ("6", "6"), "the guest to have let go")

    drivers.bind = late
    with pytest.raises(VifNotConnected, match="backend Closed, frontend Closed") as caught:
        plugger.rebind_vif("lab", "ua-five", wait=1)
    assert caught.value.exit_code == 5
    del drivers.bind
    lab.tell(f"bind {new.vif}")
    wait_connected(new)
    (settled,) = plugger.recover(wait=600)
    assert (settled.result, settled.reason) == (Result.DONE, "ring-renewed"), settled
    lab.wait_answers(new.address)


def start(connection: libvirt.virConnect) -> Guest:
    """The lab's guest, after its end."""
    again = Guest(connection.lookupByName("lab"))
    again.dom.create()
    again.wait_answers(again.first.address)
    return again


@pytest.mark.parametrize("is_started", [False, True], ids=["destroyed", "and-started"])
def test_a_guest_that_is_destroyed_inside_a_rebind_is_no_success(
    plugger: Plugger, lab: Guest, connection: libvirt.virConnect, is_started: bool
) -> None:
    """The next run of the domain has another id: its vif is bound by its own start, and not by the rebind."""
    drivers: Any = plugger._host.vif_drivers
    bind, nic = drivers.bind, lab.first
    now: list[list[Any]] = []

    def late(name: str) -> None:
        lab.dom.destroy()
        wait_until(lambda: not store.list_all(nic.backend), f"{nic.device} to be gone")
        if is_started:
            now.append(whole(start(connection).first))
        bind(name)

    drivers.bind = late
    try:
        outcome = plugger.rebind_vif("lab", FIRST)
    finally:
        del drivers.bind
        again = Guest(connection.lookupByName("lab")) if is_started else start(connection)
    assert (outcome.result, outcome.reason) == (Result.UNDONE, "guest-ended"), outcome
    assert not now or now == [whole(again.first)]
    again.wait_answers(again.first.address)
    (record,) = plugger.history("lab", limit=1)
    assert (record.result, record.reason) == ("undone", "guest-ended")


@pytest.fixture
def exchanged(lab: Guest) -> Iterator[Callable[[], None]]:
    """``exchanged()`` has the running guest be another one that Xen gave the same id: to Xen's tools it was made at another time."""
    path = f"{store.read(f'/local/domain/{lab.dom.ID()}/vm')}/start_time"
    made = store.read(path)
    assert made is not None
    yield lambda: store.write(path, f"{float(made) + 1:.2f}")
    store.write(path, made)
    if not Path(f"/sys/class/net/{lab.first.link}").exists():
        lab.first.bind()
    lab.first.replumb()
    store.run(f"ip link set {lab.first.link} mtu 1500")
    lab.wait_answers(lab.first.address)


@pytest.mark.parametrize("is_bound", [False, True], ids=["without-driver", "with-driver"])
def test_an_id_that_is_used_again_is_another_guests(
    plugger: Plugger, tmp_path: Path, lab: Guest, exchanged: Callable[[], None], is_bound: bool
) -> None:
    """A rebind was cut off, and its guest has ended since: the vif of that name is neither bound nor set."""
    nic = lab.first
    assert warm.run(operations.die_in_rebind, tmp_path / "state", "unbind", timeout=1200)[0] == -signal.SIGKILL
    exchanged()
    if is_bound:
        nic.bind()
        nic.replumb()
        store.run(f"ip link set {nic.link} nomaster mtu 1400")
    before = whole(nic) if is_bound else nic.states()
    (settled,) = plugger.recover()
    assert (settled.result, settled.reason) == (Result.UNDONE, "guest-ended"), settled
    assert (whole(nic) if is_bound else nic.states()) == before
    assert (store.DRIVER / nic.device).exists() == is_bound


@pytest.mark.parametrize("after", ["unbind", "reload", "bind"])
def test_one_that_is_killed_is_finished(
    plugger: Plugger, tmp_path: Path, lab: Guest, after: str, figure: Figure
) -> None:
    nic = lab.first
    before = whole(nic)
    with Stream(nic.address, pace=PACE) as stream:
        start = stream.mark()
        ended = warm.run(operations.die_in_rebind, tmp_path / "state", after, timeout=1200)
        assert ended[0] == -signal.SIGKILL, ended
        assert whole_or_none(nic) != before
        (settled,) = plugger.recover("lab")
        ended = Result.UNDONE if after == "reload" else Result.DONE  # only a done reload is known to be one
        assert (settled.result, settled.reason) == (ended, "recovered"), settled
        stream.wait_flowing()
        figure(f"rebind killed after {after}, then finished: longest silence {stream.longest_gap(start):.2f} s")
        stream.check()
    assert whole(nic) == before


def whole_or_none(nic: Nic) -> list[Any] | None:
    try:
        return whole(nic)
    except OSError:
        return None
