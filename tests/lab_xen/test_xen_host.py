"""The Xen lab is what it says, and bare libvirt and sysfs can plug its vifs: what every other test here stands on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import libvirt
import pytest

from tests.lab.figures import long
from tests.lab_xen import store
from tests.lab_xen.guest import BRIDGE, MAC, PACE, Guest, Nic, echo
from tests.real.namespace import wait_until
from tests.real.stream import Stream

Attach = Callable[..., Nic]


def wait_connected(nic: Nic) -> None:
    wait_until(nic.is_connected, f"both ends of {nic.device} to be connected")


def rebind(nic: Nic, *, reload: bool = False) -> None:
    nic.unbind()
    if reload:
        store.run("rmmod xen-netback")
        store.run("modprobe xen-netback")
    if not (store.DRIVER / nic.device).exists():  # a module that is loaded binds what it finds
        nic.bind()
    nic.replumb()


def test_virsh_lists_the_guest() -> None:
    listed = subprocess.run(["virsh", "-q", "list", "--name"], capture_output=True, text=True, check=True)
    assert set(listed.stdout.split()) == {"Domain-0", "lab"}


def test_the_guest_is_kept_and_answers(lab: Guest) -> None:
    assert lab.dom.isPersistent() and lab.macs() == [MAC.format(0)]
    assert lab.first.is_connected() and store.master(lab.first.link) == BRIDGE
    assert echo("10.8.0.2", b"is anyone there?") == b"is anyone there?"


def test_a_vif_comes_and_goes(lab: Guest, nic: Attach) -> None:
    before = len(lab.said())
    new = nic(1, more="<alias name='ua-one'/>")
    wait_connected(new)
    assert store.master(new.link) == BRIDGE
    assert store.read(f"{new.backend}/hotplug-status") == "connected"
    lab.wait_says(rf"^NIC \w+ {new.mac} vif={new.vif} {new.address}$", before)
    assert echo(new.address, b"x" * 100_000) == b"x" * 100_000
    before = len(lab.said())
    lab.detach(new)
    assert new.mac not in lab.macs()
    assert store.list_all(new.backend) == store.list_all(new.frontend) == []
    assert not Path(f"/sys/class/net/{new.link}").exists()
    lab.wait_says(rf"^GONE \w+ {new.mac}$", before)


def test_a_vif_of_a_network_has_a_port(connection: libvirt.virConnect, lab: Guest, nic: Attach) -> None:
    network = connection.networkLookupByName("lab")
    new = nic(2, source="network='lab'")
    wait_connected(new)
    assert store.master(new.link) == BRIDGE
    assert len(network.listAllPorts()) == 1
    lab.detach(new)
    assert network.listAllPorts() == []


@long
def test_debians_own_hotplug_script_works(lab: Guest, nic: Attach) -> None:
    new = nic(3, more="<script path='/etc/xen/scripts/vif-bridge.debian'/>")
    wait_connected(new)
    lab.wait_answers(new.address)


@pytest.mark.parametrize("reload", [False, True], ids=["rebound", "with its module reloaded"])
def test_a_connection_outlives_its_vif_being_bound_anew(lab: Guest, reload: bool) -> None:
    nic = lab.first
    with Stream(nic.address, pace=PACE) as stream:
        start = stream.mark()
        rebind(nic, reload=reload)
        wait_connected(nic)
        stream.wait_flowing()
        stream.check()
        print(f"{stream.blocks} blocks, longest silence {stream.longest_gap(start):.1f} s")


def test_what_the_states_are_while_a_vif_is_bound_anew(lab: Guest, nic: Attach) -> None:
    new = nic(4)
    wait_connected(new)
    new.unbind()
    assert new.states() == ("4", "4") and store.read(f"{new.backend}/hotplug-status") is None
    assert not Path(f"/sys/class/net/{new.link}").exists()
    new.bind()
    wait_until(lambda: new.states() == ("2", "4"), "the backend to wait for its script")
    new.replumb()
    wait_connected(new)
    lab.wait_answers(new.address)


@long
def test_a_connection_outlives_its_nic_being_taken_out_and_put_in_again(lab: Guest, nic: Attach) -> None:
    first = nic(5)
    lab.wait_answers(first.address)
    with Stream(first.address, pace=PACE) as stream:
        lab.detach(first)
        nic(5)
        stream.wait_flowing()
        stream.check()


def test_the_guest_lets_go_of_a_vif_and_takes_it_again(lab: Guest, nic: Attach) -> None:
    new = nic(6)
    wait_connected(new)
    before = len(lab.said())
    lab.tell(f"unbind {new.vif}")
    lab.wait_says(rf"^GONE \w+ {new.mac}$", before)
    assert new.states() == ("6", "6")
    lab.tell(f"bind {new.vif}")
    wait_connected(new)
    lab.wait_answers(new.address)


@long
def test_the_guest_reboots(connection: libvirt.virConnect, lab: Guest) -> None:
    before = lab.first
    lab.dom.reboot()
    wait_until(lambda: connection.lookupByName("lab").ID() not in (-1, before.domain_id), "it to be started again")
    again = Guest(connection.lookupByName("lab"))
    again.wait_answers(before.address)
    assert again.first.is_connected()
    assert store.list_all(before.backend) == store.list_all(before.frontend) == []
