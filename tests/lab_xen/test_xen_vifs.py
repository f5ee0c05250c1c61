"""`adapters.xen` against a real xenstore and a real netback."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import libvirt
import pytest

from tests.lab_xen import store
from tests.lab_xen.guest import BRIDGE, PACE, Guest, Nic
from tests.real.namespace import wait_until
from tests.real.stream import Stream
from virtnetplug import Plugger
from virtnetplug.adapters.xen.netback import XenVifDrivers
from virtnetplug.adapters.xen.xenstore import XenStore
from virtnetplug.errors import HostDeviceFailed
from virtnetplug.lifecycle import State
from virtnetplug.ports.xen import Vif

Attach = Callable[..., Nic]
VIFS, DRIVERS = XenStore(), XenVifDrivers()


def vif(nic: Nic) -> Vif:
    """As it is now."""
    found = VIFS.vif(nic.domain_id, nic.vif)
    assert found is not None
    return found


def wait_connected(nic: Nic) -> Vif:
    wait_until(lambda: vif(nic).is_connected, f"both ends of {nic.device} to be connected")
    return vif(nic)


def test_a_vif_is_what_it_was_attached_as(lab: Guest, nic: Attach) -> None:
    new = nic(7, more="<target dev='seven'/><bandwidth><outbound average='1024'/></bandwidth>")
    assert wait_connected(new) == Vif(
        domain_id=new.domain_id,
        number=new.vif,
        backend=State.CONNECTED,
        frontend=State.CONNECTED,
        is_recorded=True,
        is_online=True,
        mac=new.mac,
        bridge=BRIDGE,
        script="/etc/xen/scripts/vif-bridge",
        link_name="seven",
        rate="52428,50000",
        hotplug_status="connected",
    )
    assert DRIVERS.is_bound(new.device) and DRIVERS.link(new.device) == "seven"
    assert VIFS.remains() == frozenset()
    lab.detach(new)
    assert VIFS.vif(new.domain_id, new.vif) is None and not DRIVERS.is_bound(new.device)


def test_a_vif_is_unbound_and_bound_under_a_stream(lab: Guest) -> None:
    nic = lab.first
    assert DRIVERS.rebind_obstacle() is None
    with Stream(nic.address, pace=PACE) as stream:
        DRIVERS.unbind(nic.device)
        unbound = vif(nic)
        assert unbound.is_connected and unbound.hotplug_status is None  # the store alone does not tell
        assert not DRIVERS.is_bound(nic.device) and DRIVERS.link(nic.device) is None
        DRIVERS.unbind(nic.device)
        DRIVERS.bind(nic.device)
        DRIVERS.bind(nic.device)
        link = DRIVERS.link(nic.device)
        wait_until(lambda: vif(nic).backend is State.INIT_WAIT, "the backend to wait for its script")
        store.run(f"ip link set {link} address fe:ff:ff:ff:ff:ff master {BRIDGE} up")
        VIFS.set_plumbed(vif(nic))
        assert wait_connected(nic).hotplug_status == "connected"
        stream.wait_flowing()
        stream.check()


def test_the_module_stays_while_a_vif_has_it_and_binds_all_when_it_comes(lab: Guest, nic: Attach) -> None:
    nics = [lab.first, nic(8)]
    wait_connected(nics[1])
    with pytest.raises(HostDeviceFailed, match="in use"):
        DRIVERS.reload()
    for one in nics:
        DRIVERS.unbind(one.device)
    DRIVERS.reload()
    for one in nics:
        DRIVERS.bind(one.device)
        one.replumb()
        wait_connected(one)
        lab.wait_answers(one.address)


def test_a_watch_tells_of_what_happens_to_the_domains_vifs(lab: Guest, nic: Attach) -> None:
    with VIFS.watch(lab.dom.ID()) as changes:
        assert not changes.next(0.5)
        attaching = threading.Thread(target=nic, args=(9,))
        attaching.start()
        assert changes.next(60)
        attaching.join()
        end = time.monotonic() + 120
        while not vif(lab.nic(9)).is_connected:
            assert changes.next(end - time.monotonic())


def test_what_a_failed_attach_left_is_seen(connection: libvirt.virConnect, lab: Guest) -> None:
    with pytest.raises(libvirt.libvirtError):
        lab.attach(10, source="bridge='nowhere'")
    left = next(one for one in VIFS.vifs(lab.dom.ID()) if one.bridge == "nowhere")
    assert left.is_recorded and left.hotplug_status == "error" and "nowhere" in str(left.hotplug_error)
    subprocess.run(["xl", "network-detach", "lab", str(left.number)], check=True)
    wait_until(lambda: VIFS.vif(left.domain_id, left.number) is None, "the toolstack to take it out")


def test_what_a_script_says_after_its_domain_is_told_and_removed(plugger: Plugger, lab: Guest) -> None:
    store.write("/local/domain/0/backend/vif/9999/1/hotplug-status", "error")
    try:
        assert VIFS.remains() == {9999}
        (told,) = plugger.audit().findings
        assert (told.kind, told.device) == ("vif-remains", "9999")
        assert plugger.repair(plugger.audit()).findings[0].repaired
        assert store.list_all("/local/domain/0/backend/vif/9999") == [] and plugger.audit().findings == ()
    finally:
        subprocess.run(["xenstore-rm", "/local/domain/0/backend/vif/9999"], capture_output=True)
    VIFS.clear(lab.dom.ID())
    assert VIFS.vif(lab.dom.ID(), lab.first.vif) is not None


def test_who_may_not_ask_is_told(lab: Guest) -> None:
    ask = "from virtnetplug.adapters.xen.xenstore import XenStore; XenStore().remains()"
    command = [sys.executable, "-c", ask]
    asked = subprocess.run(command, user="nobody", capture_output=True, text=True, cwd="/", env=dict(os.environ))
    assert "Run this as root" in asked.stderr
