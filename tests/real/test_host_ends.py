"""What libvirt tells of the end of a run, of a guest that goes on elsewhere, and of a request to the guest that goes with it.

virtnetplug decides by these facts; where one fails, another libvirt or QEMU tells something else.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import libvirt
import pytest

from tests.real.ends import end, image, run_again
from tests.real.guests import Guest
from tests.real.hosts import LIVE, TwoHosts
from tests.real.namespace import wait_until

pytestmark = pytest.mark.driver("daemon")

MACS = ("52:54:00:ed:00:01", "52:54:00:ed:00:02")
OURS, THEIRS = "urn:virtnetplug-test:ours", "urn:virtnetplug-test:theirs"

STARTED, STOPPED, SUSPENDED, SHUTDOWN = (
    libvirt.VIR_DOMAIN_EVENT_STARTED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED,
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN,
)

SAYS = {
    "shut-down": ([(SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_GUEST), (STOPPED, 0)], 1, False),
    "destroyed": ([(SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_HOST), (STOPPED, 1)], 2, False),
    "crashed": ([(STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED)], 3, False),
    "managed-save": ([(SUSPENDED, 0), (STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED)], 5, True),
    "save": ([(SUSPENDED, 0), (STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED)], 5, False),
    "migrated": ([(SUSPENDED, 1), (STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED)], None, False),
    "migrated-kept": ([(SUSPENDED, 1), (STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED)], 4, False),
}
"""Of each way: the events on the source, the reason of the state "shut off" (None: no domain is left), and whether there is an image."""


def _nic(hosts: TwoHosts, alias: str, mac: str) -> str:
    source = f"<source bridge='{hosts.bridges[0]}'/>"
    return f"<interface type='bridge'><mac address='{mac}'/>{source}<model type='virtio'/><alias name='{alias}'/></interface>"


@contextmanager
def _events(connection: libvirt.virConnect) -> Iterator[list[Any]]:
    """The lifecycle events (kind, detail) of a host, and the aliases of devices that were removed."""
    heard: list[Any] = []
    callbacks = [
        connection.domainEventRegisterAny(
            None,
            libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
            lambda _c, _d, kind, detail, _o: heard.append((kind, detail)),
            None,
        ),
        connection.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, lambda _c, _d, alias, _o: heard.append(alias), None
        ),
    ]
    yield heard
    for callback in callbacks:
        connection.domainEventDeregisterAny(callback)


def _evidence(hosts: TwoHosts, guest: Guest) -> tuple[int | None, bool]:
    """The reason of "shut off" (None: no such domain), and whether there is a managed image."""
    try:
        dom = hosts.on_a.lookupByUUIDString(guest.uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return None, False
    state, reason = dom.state()
    assert state == libvirt.VIR_DOMAIN_SHUTOFF and dom.ID() == -1
    return reason, bool(dom.hasManagedSaveImage())


def _aliases(text: str) -> set[str]:
    return {alias.attrib["name"] for alias in ElementTree.fromstring(text).iterfind("devices/interface/alias")}


@pytest.mark.parametrize("way", SAYS)
def test_of_the_end(hosts: TwoHosts, way: str) -> None:
    events, reason, has_image = SAYS[way]
    one = hosts.guest(nets=[_nic(hosts, "ua-a", MACS[0])])
    one.dom.attachDeviceFlags(_nic(hosts, "ua-hot", MACS[1]), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    with _events(hosts.on_a) as heard:
        end(way, hosts, one)
        wait_until(lambda: len(heard) >= len(events), "the events")
        assert heard == events  # of a definition that went with its guest, there is none
    assert _evidence(hosts, one) == (reason, has_image)
    hosts.restart()
    assert _evidence(hosts, one) == (None if reason is None else 0, has_image)  # what is left of it
    if has_image:
        text = hosts.on_a.lookupByUUIDString(one.uuid).managedSaveGetXMLDesc(0)
        assert _aliases(text) == {"ua-a", "ua-hot"} and "id" not in ElementTree.fromstring(text).attrib
    if way == "save":
        assert _aliases(hosts.on_a.saveImageGetXMLDesc(image(hosts))) == {"ua-a", "ua-hot"}
    if way.startswith("migrated"):
        there = hosts.on(one, b=True)
        assert set(there.aliases()) == {"ua-a", "ua-hot"}
        assert there.dom.state() == [libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_MIGRATED]
        return
    run_again(way, hosts, one)
    assert one.dom.ID() == 1  # as the run before it: ids begin anew with the daemon
    is_restored = way in ("managed-save", "save")
    assert set(one.aliases()) == ({"ua-a", "ua-hot"} if is_restored else {"ua-a"})


def test_an_image_that_is_dropped_leaves_the_reason_of_one_that_was_saved(hosts: TwoHosts) -> None:
    one = hosts.guest()
    end("managed-save", hosts, one)
    one.dom.managedSaveRemove(0)
    assert _evidence(hosts, one) == (libvirt.VIR_DOMAIN_SHUTOFF_SAVED, False)  # the same as of ``virsh save FILE``


def _write(guest: Guest, text: str, half: int, uri: str = OURS) -> None:
    guest.dom.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, "test", uri, half)


def _read(guest: Guest, half: int, uri: str = OURS) -> str | None:
    try:
        text = guest.dom.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, uri, half)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            raise
        return None
    return ElementTree.fromstring(text).attrib["v"]


ON, DEFINED = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG


def test_metadata_goes_with_the_run_and_with_the_definition(hosts: TwoHosts) -> None:
    one = hosts.guest()
    _write(one, "<a v='live'/>", ON)
    _write(one, "<a v='config'/>", DEFINED)
    for half in (ON, DEFINED):  # as another version of virtnetplug rewrites its own element
        for text in ("<b v='1'/>", "<b v='2'/>", None):
            _write(one, text, half, THEIRS)  # type: ignore[arg-type]
        assert _read(one, half, THEIRS) is None

    def kept(guest: Guest) -> bool:
        return (_read(guest, ON), _read(guest, DEFINED)) == ("live", "config")

    for way in ("managed-save", "save"):
        end(way, hosts, one)
        hosts.restart()
        run_again(way, hosts, one)
        assert kept(one), way
    there = hosts.migrate(one)
    assert kept(there)
    here = hosts.back(there)
    assert kept(here)
    there = hosts.migrate(here, flags=LIVE)
    assert _read(there, ON) == "live" and not there.dom.isPersistent()
    here = hosts.back(there, flags=LIVE)
    assert kept(here)  # its definition had stayed
    end("destroyed", hosts, here)
    run_again("destroyed", hosts, here)
    assert (_read(here, ON), _read(here, DEFINED)) == ("config", "config")


def test_an_arriving_guest_is_listed_before_it_runs_and_an_aborted_one_is_no_more(hosts: TwoHosts) -> None:
    one = hosts.guest(nets=[_nic(hosts, "ua-a", MACS[0])])
    with hosts.held(one) as migration:
        assert one.dom.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_UNBOUNDED
        there = hosts.on(one, b=True)
        assert there.dom.state() == [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION]
        assert there.aliases() == one.aliases() == ["ua-a"] and not there.dom.isPersistent()
        migration.abort()
        assert migration.error is not None
    wait_until(lambda: not hosts.on_b.listAllDomains(), "the guest to be gone from B")
    assert one.dom.state()[0] == libvirt.VIR_DOMAIN_RUNNING and one.aliases() == ["ua-a"]


def test_nothing_is_written_while_a_guest_migrates(hosts: TwoHosts) -> None:
    """libvirt waits 30 s for its job, and then refuses; it takes that long here, once."""
    one = hosts.guest()
    with hosts.held(one) as migration:
        with pytest.raises(libvirt.libvirtError) as refused:
            _write(one, "<a v='late'/>", ON)
        assert refused.value.get_error_code() == libvirt.VIR_ERR_OPERATION_TIMEOUT
        migration.finish()
        assert migration.error is None
    assert _read(hosts.on(one, b=True), ON) is None


@pytest.mark.parametrize("machine", ["pc", "q35"])
@pytest.mark.parametrize("way", ["managed-save", "save", "migrated"])
def test_a_request_to_the_guest_goes_with_the_run(hosts: TwoHosts, way: str, machine: str) -> None:
    """The guest lets go in its next run, and nobody has to ask it again."""
    one = hosts.guest(nets=[_nic(hosts, "ua-a", MACS[0])], machine=machine)
    one.hold()
    one.dom.detachDeviceAlias("ua-a", ON)
    end(way, hosts, one)
    hosts.restart()
    if way == "migrated":
        one = hosts.on(one, b=True)
    else:
        run_again(way, hosts, one)
    with _events(hosts.on_b if way == "migrated" else hosts.on_a) as heard:
        time.sleep(0.5)
        assert one.aliases() == ["ua-a"]
        one.resume()
        wait_until(lambda: "ua-a" in heard, "the guest to let go")
        assert one.aliases() == [] and "ua-a" not in one.devices()


@pytest.mark.parametrize("is_aborted", [True, False])
def test_a_nic_that_was_let_go_during_a_migration_is_there_again(hosts: TwoHosts, is_aborted: bool) -> None:
    """The destination was started with it and hears of no removal: the guest has to be asked again."""
    one = hosts.guest(nets=[_nic(hosts, "ua-a", MACS[0])])
    one.hold()
    one.dom.detachDeviceAlias("ua-a", ON)
    with hosts.held(one) as migration:
        one.resume()
        time.sleep(0.5)
        assert one.aliases() == ["ua-a"]  # libvirt drops it after the migration
        if is_aborted:
            migration.abort()
        else:
            migration.finish()
    if is_aborted:
        one.wait_gone("ua-a")
        return
    one = hosts.on(one, b=True)
    time.sleep(0.5)
    assert one.aliases() == ["ua-a"] and "ua-a" in one.devices()
    one.dom.detachDeviceAlias("ua-a", ON)
    one.wait_gone("ua-a")


def test_a_reset_carries_the_request_out(hosts: TwoHosts) -> None:
    one = hosts.guest(nets=[_nic(hosts, "ua-a", MACS[0])])
    one.hold()
    one.dom.detachDeviceAlias("ua-a", ON)
    one.reset()
    one.wait_gone("ua-a")
