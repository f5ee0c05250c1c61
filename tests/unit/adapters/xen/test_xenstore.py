"""Vifs as xenstore has them, from what was recorded of a real one, and from what nobody would expect there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.unit.adapters.xen.recorded_store import RecordedStore
from virtnetplug.adapters.xen.tools import Done, Tools, ToolWatch
from virtnetplug.adapters.xen.xenstore import XenStore
from virtnetplug.errors import XenStoreFailed
from virtnetplug.lifecycle import State
from virtnetplug.ports.xen import Vif

BACKEND, FRONTEND, RECORD = "/local/domain/0/backend/vif/1/1", "/local/domain/1/device/vif/1", "/libxl/1/device/vif/1"


def second(store: RecordedStore) -> Vif:
    """The vif that was attached to the running guest."""
    vif = XenStore(Tools(store)).vif(1, 1)
    assert vif is not None
    return vif


def test_a_vif_that_is_attached_and_used() -> None:
    first, other = XenStore(Tools(RecordedStore("attached"))).vifs(1)
    assert other == Vif(
        domain_id=1,
        number=1,
        backend=State.CONNECTED,
        frontend=State.CONNECTED,
        is_recorded=True,
        is_online=True,
        mac="00:16:3e:08:00:01",
        bridge="xenbr0",
        script="/etc/xen/scripts/vif-bridge",
        link_name="mynic1",
        rate="52428,50000",
        hotplug_status="connected",
    )
    assert other.is_connected and other.name == "vif-1-1"
    assert (first.number, first.mac, first.link_name, first.rate) == (0, "00:16:3e:08:00:00", None, None)


@pytest.mark.parametrize(
    ("moment", "backend", "status"),
    [("unbound", State.CONNECTED, None), ("bound", State.INIT_WAIT, None), ("failed-attach", State.INIT_WAIT, "error")],
)
def test_the_states_of_a_real_netback(moment: str, backend: State, status: str | None) -> None:
    vif = second(RecordedStore(moment))
    assert (vif.backend, vif.frontend, vif.hotplug_status) == (backend, State.CONNECTED, status)


def test_a_failed_attach_leaves_a_vif_and_says_why() -> None:
    vif = second(RecordedStore("failed-attach"))
    assert vif.is_recorded and vif.hotplug_error == "Could not find bridge device nobr"


def test_a_domain_without_vifs_or_that_never_was_has_none() -> None:
    assert XenStore(Tools(RecordedStore("attached"))).vifs(7) == []
    assert XenStore(Tools(RecordedStore())).vif(1, 0) is None


def test_a_backend_that_vanished() -> None:
    store = RecordedStore("attached")
    store.remove_area(BACKEND)
    vif = second(store)
    assert vif.backend is None and vif.frontend is State.CONNECTED
    assert vif.is_recorded and not vif.is_online and vif.hotplug_status is None
    assert vif.mac == "00:16:3e:08:00:01"  # from the records


def test_what_backend_and_records_left_behind() -> None:
    store = RecordedStore("attached")
    store.remove_area(RECORD)
    store.remove_area(FRONTEND)
    vif = second(store)
    assert vif.frontend is None and not vif.is_recorded and vif.backend is State.CONNECTED


@pytest.mark.parametrize("value", ["", "x", "9", "-1", "4 ", "٤", "99999999999999999999", None])
def test_a_state_that_is_none_is_unknown(value: str | None) -> None:
    store = RecordedStore("attached")
    store.set(f"{FRONTEND}/state", value)
    vif = second(store)
    assert vif.frontend is State.UNKNOWN and vif.backend is State.CONNECTED


def test_an_area_that_is_only_begun() -> None:
    store = RecordedStore("attached")
    for area in (BACKEND, FRONTEND, RECORD):
        store.remove_area(area)
    store.set(BACKEND, "")
    store.set(f"{BACKEND}/frontend", FRONTEND)
    assert second(store) == Vif(domain_id=1, number=1, backend=State.UNKNOWN)


def test_what_the_backends_area_does_not_show_is_in_the_records() -> None:
    store = RecordedStore("attached")
    honest = second(store)
    store.set(f"{BACKEND}/mac", None)
    store.remove(f"{BACKEND}/bridge")
    assert second(store) == honest


def test_nothing_of_what_the_guest_writes_is_believed_but_its_state() -> None:
    store = RecordedStore("attached")
    honest = second(store)
    store.set(f"{FRONTEND}/mac", "52:54:00:00:00:01")
    store.set(f"{FRONTEND}/backend", "/local/domain/5/backend/vif/1/1")
    store.set(f"{FRONTEND}/backend-id", "5")
    assert second(store) == honest


def test_a_backend_in_a_driver_domain() -> None:
    store = RecordedStore("attached")
    store.lines = [
        line.replace("/local/domain/0/backend/vif/1/1", "/local/domain/5/backend/vif/1/1") for line in store.lines
    ]
    vif = second(store)
    assert (vif.backend_domain, vif.backend, vif.hotplug_status) == (5, State.CONNECTED, "connected")
    XenStore(Tools(store)).set_plumbed(vif)
    assert store.written == [["/local/domain/5/backend/vif/1/1/hotplug-status", "connected"]]


def test_a_record_that_names_anothers_backend_is_not_followed() -> None:
    store = RecordedStore("attached")
    store.set(f"{RECORD}/backend", "/local/domain/5/backend/vif/2/0")
    assert second(store).backend_domain == 0


def test_what_is_no_vif_is_passed_over() -> None:
    store = RecordedStore("attached")
    store.set("/local/domain/1/device/vif/feature", "1")
    store.set("/local/domain/0/backend/vif/1/x/state", "4")
    assert [vif.number for vif in XenStore(Tools(store)).vifs(1)] == [0, 1]


BACKENDS = "/local/domain/0/backend/vif"


def test_what_a_script_said_after_its_domain_is_left_and_nothing_else() -> None:
    store = RecordedStore("attached")
    store.set(f"{BACKENDS}/12/0/hotplug-status", "error")
    store.set(f"{BACKENDS}/13", "")  # an empty area is nothing
    store.set(f"{BACKENDS}/3/0/hotplug-status", "error")
    store.set("/libxl/3/type", "pv")  # is being made or removed
    store.set(f"{BACKENDS}/15/0/state", "4")  # libxl's, whatever has become of it
    store.set(f"{BACKENDS}/16/0/frontend", "/local/domain/16/device/vif/0")
    assert XenStore(Tools(store)).remains() == {12}
    for domain in (1, 3, 12, 15, 16):
        XenStore(Tools(store)).clear(domain)
    assert store.removed == [f"{BACKENDS}/12"]
    assert XenStore(Tools(store)).remains() == XenStore(Tools(RecordedStore())).remains() == frozenset()


def test_a_domain_that_begins_while_one_looks_is_none_that_ended() -> None:
    store = RecordedStore("attached")

    def begin(words: Sequence[str]) -> None:
        if words[-1] == "/libxl":
            store.set("/local/domain/14/name", "new")
            store.set(f"{BACKENDS}/14/0/hotplug-status", "error")

    store.before = begin
    assert XenStore(Tools(store)).remains() == frozenset()


def test_domains_that_cannot_be_listed_have_not_ended() -> None:
    store = RecordedStore("attached")
    store.set(f"{BACKENDS}/12/0/hotplug-status", "error")

    def run(words: Sequence[str]) -> Done:
        if words == ["xenstore-list", "/local/domain"]:
            return Done(words, 1, "", "xenstore-list: could not list path /local/domain\n")
        return store(words)

    with pytest.raises(XenStoreFailed, match="/local/domain cannot be listed"):
        XenStore(Tools(run)).clear(12)
    assert store.removed == []


def test_all_that_concerns_a_domain_is_watched() -> None:
    watched: list[Sequence[str]] = []

    @contextmanager
    def watch(paths: Sequence[str]) -> Iterator[ToolWatch]:
        watched.append(paths)
        yield None  # type: ignore[misc]

    with XenStore(Tools(RecordedStore()), watch).watch(4):
        pass
    assert watched == [["/local/domain/0/backend/vif/4", "/local/domain/4/device/vif", "/libxl/4/device/vif"]]


def test_rings_are_those_that_the_guest_wrote_of_every_queue() -> None:
    store = RecordedStore("attached")
    vif = second(store)
    rings = XenStore(Tools(store)).rings(vif)
    assert sorted(rings) == [
        "event-channel-rx",
        "event-channel-tx",
        "multi-queue-num-queues",
        "rx-ring-ref",
        "tx-ring-ref",
    ]
    assert rings["tx-ring-ref"].isdecimal()
    for key in ("queue-1/tx-ring-ref", "queue-1/event-channel", "event-channel", "ring-ref"):
        store.set(f"{FRONTEND}/{key}", "17")
    store.set(f"{FRONTEND}/queue-1/state", "4")
    store.set(f"{FRONTEND}/rx-ring-ref", None)
    now = XenStore(Tools(store)).rings(vif)
    assert set(now) - set(rings) == {"queue-1/tx-ring-ref", "queue-1/event-channel", "event-channel", "ring-ref"}
    assert "rx-ring-ref" not in now
    store.remove_area(FRONTEND)
    assert XenStore(Tools(store)).rings(vif) == {}


def test_a_guest_that_writes_its_state_has_moved() -> None:
    told = [["/local/domain/1/device/vif/1/state", "/elsewhere"], [], ["/local/domain/2/device/vif/0/state"], []]

    class Changes:
        def read(self, timeout: float) -> list[str]:
            assert timeout == 0
            return told.pop(0)

    watched: list[Sequence[str]] = []

    @contextmanager
    def watch(paths: Sequence[str]) -> Iterator[ToolWatch]:
        watched.append(paths)
        yield Changes()  # type: ignore[misc]

    vifs = [Vif(domain_id=1, number=1), Vif(domain_id=2, number=0), Vif(domain_id=2, number=1)]
    with XenStore(Tools(RecordedStore()), watch).watch_frontends(vifs) as guests:
        assert guests.moved() == {"vif-1-1"}
        assert guests.moved() == {"vif-1-1", "vif-2-0"}
    assert watched == [[f"/local/domain/{vif.domain_id}/device/vif/{vif.number}/state" for vif in vifs]]


def test_what_no_other_domain_has_had() -> None:
    store = RecordedStore("attached")
    assert XenStore(Tools(store)).process(1) == "", "older libxl writes no start_time"
    store.set("/local/domain/1/vm", "/vm/1234")
    store.set("/vm/1234/start_time", "1700000000.25")
    process = XenStore(Tools(store)).process(1)
    assert process.split()[1:] == ["1", "1700000000.25"] and len(process.split()[0]) == 36
    assert XenStore(Tools(store)).process(2) == ""
