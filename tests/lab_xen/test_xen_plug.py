"""Attach, detach and all that looks, on a real Xen host: the same as elsewhere, with what libvirt's Xen driver leaves out."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.lab import libvirtd as daemon
from tests.lab.figures import IS_LONG
from tests.lab_xen import store
from tests.lab_xen.guest import BRIDGE, MAC, PACE, Guest
from tests.lab_xen.nics import vif_nic
from tests.lab_xen.views import assert_back, everything
from tests.real.namespace import wait_until
from tests.real.stream import Stream
from virtnetplug import Plugger, Result, Scope
from virtnetplug.adapters.libvirt.domain import LibvirtDomain
from virtnetplug.errors import NeedsReplace, NotSupported, Refused, VirtnetplugError
from virtnetplug.lifecycle import State
from virtnetplug.model.operation import Half

CONNECTED = State.CONNECTED, State.CONNECTED


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """``script('exit 1')`` makes a hotplug script that begins so and goes on as the lab's; gives the element that names it."""

    def make(begin: str) -> str:
        place = tmp_path / "vif-script"
        place.write_text(f'#!/bin/sh\n{begin}\nexec /etc/xen/scripts/vif-bridge "$@"\n')
        place.chmod(0o755)
        return f"<script path='{place}'/>"

    return make


def has_scripts() -> bool:
    """Whether a hotplug script runs: one that `script` made, or the lab's, which that becomes."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = process.read_bytes()
            if b"/vif-script" in words or b"/vif-bridge" in words:
                return True
    return False


def states(plugger: Plugger, alias: str) -> tuple[State, State]:
    nic = plugger.show("lab", alias).nic
    return nic.frontend, nic.backend


def wait_connected(plugger: Plugger, alias: str) -> None:
    wait_until(lambda: states(plugger, alias) == CONNECTED, f"both ends of {alias} to be connected")


def kinds(plugger: Plugger) -> list[tuple[str, str]]:
    return [(finding.kind, finding.nic) for finding in plugger.audit().findings]


@pytest.mark.parametrize("source", [f"bridge='{BRIDGE}'", "network='lab'"], ids=["bridge", "network"])
def test_both_halves(plugger: Plugger, lab: Guest, source: str) -> None:
    before = everything(plugger, lab)
    (attached,) = plugger.attach("lab", [vif_nic(1, source=source)], scope=Scope.BOTH).nics
    wait_connected(plugger, "ua-nic1")
    nic = lab.nic(1)
    assert (attached.target, attached.live, attached.config) == (nic.link, True, True)
    assert store.master(nic.link) == BRIDGE
    lab.wait_answers(nic.address)
    assert plugger.attach("lab", [vif_nic(1, source=source)], scope=Scope.BOTH).result is Result.ALREADY
    assert plugger.audit().findings == () and plugger.audit().unseen == ()
    assert (
        plugger.detach("lab", nic.link, scope=Scope.BOTH).result is Result.DONE
    )  # named by the link libvirt does not know
    assert_back(plugger, lab, before)


def test_the_definition_alone(plugger: Plugger, lab: Guest) -> None:
    before = everything(plugger, lab)
    plugger.attach("lab", [vif_nic(1)], scope=Scope.CONFIG)
    assert states(plugger, "ua-nic1") == (State.CLOSED, State.CLOSED) and MAC.format(1) not in lab.macs()
    plugger.update("lab", "ua-nic1", {"source_network": "lab"}, scope=Scope.CONFIG)
    assert plugger.show("lab", "ua-nic1").nic.network == "lab"
    plugger.detach("lab", "ua-nic1", scope=Scope.CONFIG)
    assert_back(plugger, lab, before)


def test_the_commands(lab: Guest, tmp_path: Path) -> None:
    def answer(*words: str, code: int = 0) -> Any:
        command = [
            "virtnetplug",
            "--state-dir",
            str(tmp_path / "journal"),
            "--json",
            *words,
        ]  # libvirt's own choice is Xen
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == code, done
        return json.loads(done.stdout)

    nic = ("--network", "lab", "--alias", "ua-nic1", "--mac", MAC.format(1))
    assert answer("plan", "attach", "lab", *nic)["fits"]
    assert answer("attach", "lab", *nic)["nics"][0]["portid"]
    lab.wait_answers("10.8.1.2")
    listed = {nic["alias"]: (nic["frontend"], nic["backend"], nic["target"]) for nic in answer("list")["nics"]}
    assert listed["ua-nic1"] == ("Connected", "Connected", lab.nic(1).link) and len(listed) == 2
    told = answer("-c", "xen:///system", "metrics")["exposition"].splitlines()
    (line,) = (line for line in told if line.startswith("virtnetplug_device_info"))
    assert 'alias="ua-nic1"' in line and 'frontend="Connected"' in line  # the journal alone has it Unknown
    answer("detach", "lab", "ua-nic1")


def test_what_a_vif_cannot_have_is_refused_first(plugger: Plugger, lab: Guest) -> None:
    before = everything(plugger, lab)
    asked = {
        "no NICs of type 'direct'": f"<interface type='direct'><source dev='{BRIDGE}' mode='bridge'/></interface>",
        "no NICs of type 'user'": "<interface type='user'/>",
        "only vifs": vif_nic(1, more="<model type='virtio'/>"),
        "no network filters": vif_nic(1, more="<filterref filter='clean-traffic'/>"),
        "cannot have an MTU": vif_nic(1, more="<mtu size='1400'/>"),
        "drops a VLAN": vif_nic(1, more="<vlan><tag id='4'/></vlan>"),
        "cannot have a link that is down": vif_nic(1, more="<link state='down'/>"),
        "cannot have port isolation": vif_nic(1, more="<port isolated='yes'/>"),
    }
    for why, element in asked.items():
        with pytest.raises(Refused, match=why) as caught:
            plugger.attach("lab", [element])
        assert caught.value.reason == NotSupported.reason
    assert_back(plugger, lab, before)


def test_an_update_replaces(plugger: Plugger, lab: Guest) -> None:
    before = everything(plugger, lab)
    plugger.attach("lab", [vif_nic(1)])
    with pytest.raises(NeedsReplace):
        plugger.update("lab", "ua-nic1", {"source_network": "lab"})
    with pytest.raises(Refused, match="cannot have a link that is down"):
        plugger.update("lab", "ua-nic1", {"link_state": "down"}, replace=True)
    plugger.update("lab", "ua-nic1", {"source_network": "lab"}, replace=True)
    wait_connected(plugger, "ua-nic1")
    assert plugger.show("lab", "ua-nic1").nic.network == "lab"
    lab.wait_answers("10.8.1.2")
    plugger.detach("lab", "ua-nic1")
    assert_back(plugger, lab, before)


def test_a_connection_outlives_hand_over_and_back(plugger: Plugger, lab: Guest) -> None:
    """One vif takes another's place and identity, and gives it back, without a reboot: MAC, number and bridge stay."""
    plugger.attach("lab", [vif_nic(1)], scope=Scope.BOTH)
    wait_connected(plugger, "ua-nic1")
    was, defined = lab.nic(1), plugger.show("lab", "ua-nic1").config
    lab.wait_answers(was.address)
    fast = "<interface type='network'><source network='lab'/><alias name='ua-fast'/></interface>"
    with Stream(was.address, pace=PACE) as stream:
        plugger.handover("lab", "ua-nic1", fast, scope=Scope.LIVE)
        wait_connected(plugger, "ua-fast")
        assert [nic.alias for nic in plugger.list("lab") if nic.live] == ["ua-first", "ua-fast"]
        assert lab.nic(1) == was and store.master(was.link) == BRIDGE
        stream.wait_flowing()
        plugger.handback("lab", "ua-nic1", scope=Scope.LIVE)
        wait_connected(plugger, "ua-nic1")
        assert lab.nic(1) == was and store.master(was.link) == BRIDGE
        stream.wait_flowing()
        stream.check()
    assert plugger.show("lab", "ua-nic1").config == defined
    plugger.detach("lab", "ua-nic1", scope=Scope.BOTH)
    plugger.forget_identity("lab", "ua-nic1", force=True)
    assert plugger.audit().findings == ()


# -- what libvirt's Xen driver leaves behind -----------------------------------------------------


def test_a_failed_attach_leaves_nothing(plugger: Plugger, lab: Guest, script: Callable[[str], str]) -> None:
    """libvirt forgets such a NIC and leaves its vif, in which the guest's end connects."""
    before = everything(plugger, lab)
    bad = script('xenstore-write "$XENBUS_PATH/hotplug-status" error; exit 1')
    with pytest.raises(VirtnetplugError, match="failed to attach") as caught:
        plugger.attach("lab", [vif_nic(1, more=bad)])
    assert caught.value.undo_failures == []
    assert_back(plugger, lab, before)


def test_libvirtd_dies_in_an_attach(
    plugger: Plugger, reopen: Callable[[], Plugger], lab: Guest, script: Callable[[str], str], uri: str
) -> None:
    before = everything(plugger, lab)
    with pytest.raises(VirtnetplugError):
        attach_while_libvirtd_dies(plugger, lab, vif_nic(1, more=script("sleep 3")))
    again, found = reopen(), Guest(libvirt.open(uri).lookupByName("lab"))
    assert kinds(again) == [("orphan-vif", MAC.format(1)), ("operation-open", "ua-nic1")]
    (outcome,) = again.recover()
    assert outcome.result is Result.UNDONE
    assert_back(again, found, before)
    assert kinds(again) == []


def attach_while_libvirtd_dies(plugger: Plugger, lab: Guest, element: str) -> None:
    """It is killed once xenstore has the vif, and started again."""
    record = f"/libxl/{lab.dom.ID()}/device/vif/1"

    def kill() -> None:
        wait_until(lambda: bool(store.list_all(record)), "the toolstack to have begun")
        daemon.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        plugger.attach("lab", [element])
    finally:
        killer.join()
        daemon.start()


@pytest.mark.parametrize("lost", ["backend", "frontend", "record", "by libvirt", "all"] if IS_LONG else ["all"])
def test_a_vif_of_which_somebody_removed_a_part(plugger: Plugger, lab: Guest, lost: str) -> None:
    before = everything(plugger, lab)
    plugger.attach("lab", [vif_nic(1, source="network='lab'")])
    wait_connected(plugger, "ua-nic1")
    nic = lab.nic(1)
    areas = {"backend": nic.backend, "frontend": nic.frontend, "record": f"/libxl/{nic.domain_id}/device/vif/{nic.vif}"}
    if lost == "by libvirt":  # it says that it failed, and then lists the NIC for ever
        nic.unbind()
        with pytest.raises(libvirt.libvirtError):
            lab.detach(nic)
        assert nic.mac in lab.macs()
    for area in areas.values() if lost == "all" else [areas[lost]] if lost in areas else []:
        store.run(f"xenstore-rm {area}")
    if lost in ("backend", "all"):
        wait_until(lambda: states(plugger, "ua-nic1")[1] is State.CLOSED, "the backend's end to be seen to be gone")
    if lost != "record":
        assert ("vif-missing", "ua-nic1") in kinds(plugger)
    assert plugger.detach("lab", "ua-nic1").result is Result.DONE
    assert_back(plugger, lab, before)


@pytest.mark.parametrize("is_paused", [False, True] if IS_LONG else [False], ids=lambda paused: f"paused={paused}")
def test_a_vif_without_a_driver_is_detached_at_once(
    plugger: Plugger, lab: Guest, monkeypatch: pytest.MonkeyPatch, is_paused: bool
) -> None:
    """libxl would wait 20 s for its backend, and fail, and have to be asked again; libvirt would list the NIC for ever."""
    asked: list[str] = []
    ask = LibvirtDomain.detach_element

    def counted(domain: LibvirtDomain, element: str, half: Half = Half.CONFIG) -> None:
        asked.append(element)
        ask(domain, element, half)

    monkeypatch.setattr(LibvirtDomain, "detach_element", counted)
    before = everything(plugger, lab)
    plugger.attach("lab", [vif_nic(1)])
    wait_connected(plugger, "ua-nic1")
    lab.nic(1).unbind()
    assert kinds(plugger) == [("tap-missing", "ua-nic1")]
    if is_paused:
        lab.dom.suspend()
    try:
        done = plugger.detach("lab", "ua-nic1")
    finally:
        if is_paused:
            lab.dom.resume()
    assert done.result is Result.DONE and (is_paused or len(asked) == 1)
    assert_back(plugger, lab, before)
    lab.wait_answers(lab.first.address)


def test_an_area_that_is_only_begun_harms_nobody(plugger: Plugger, lab: Guest) -> None:
    before = everything(plugger, lab)
    begun = f"/local/domain/0/backend/vif/{lab.dom.ID()}/9"
    store.write(f"{begun}/state", "nonsense")
    try:
        assert [nic.alias for nic in plugger.list("lab")] == ["ua-first"]
        assert [kind for kind, _ in kinds(plugger)] == ["orphan-vif"]
        plugger.attach("lab", [vif_nic(1)])
        plugger.detach("lab", "ua-nic1")
    finally:
        store.run(f"xenstore-rm {begun}")
    assert_back(plugger, lab, before)


def test_a_vif_that_xl_made(plugger: Plugger, lab: Guest) -> None:
    """It is said, and left alone."""
    store.run(f"xl network-attach lab mac={MAC.format(3)} bridge={BRIDGE}")
    nic = lab.nic(3)
    assert kinds(plugger) == [("orphan-vif", MAC.format(3))]
    with pytest.raises(Refused) as caught:
        plugger.attach("lab", [vif_nic(3)])
    assert caught.value.reason == "duplicate-mac"
    assert plugger.recover() == () and nic.is_connected()
    store.run(f"xl network-detach lab {nic.vif}")
    wait_until(lambda: not store.list_all(nic.backend), f"{nic.device} to be gone")


def test_the_guest_dies_in_an_attach(
    plugger: Plugger, connection: libvirt.virConnect, lab: Guest, script: Callable[[str], str]
) -> None:
    dead = lab.dom.ID()

    def destroy() -> None:
        wait_until(lambda: bool(store.list_all(f"/libxl/{dead}/device/vif/1")), "the toolstack to have begun")
        store.run(f"xl destroy {dead}")

    killer = threading.Thread(target=destroy)
    killer.start()
    try:
        with pytest.raises(VirtnetplugError):
            plugger.attach("lab", [vif_nic(1, more=script("sleep 3"))])
    finally:
        killer.join()
        wait_until(lambda: not connection.lookupByName("lab").isActive(), "libvirt to see it")
        plugger.recover()
        connection.lookupByName("lab").create()
    again = Guest(connection.lookupByName("lab"))
    again.wait_answers(again.first.address)
    assert plugger._host.journal.open_operations() == plugger._host.journal.nics() == []
    wait_until(lambda: not has_scripts(), "the hotplug script to end")
    told = plugger.repair(plugger.audit()).findings
    assert {finding.kind for finding in told} <= {"vif-remains"}  # what the script says once the areas are gone
    left = [store.list_all(f"{area}/{dead}") for area in ("/libxl", "/local/domain/0/backend/vif", "/local/domain")]
    assert left == [[], [], []]
    assert plugger.audit().findings == ()
