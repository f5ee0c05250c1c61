"""What the other real tests stand on: these guests, this daemon and these networks do what they say."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import libvirt
import pytest

from tests.environment import ROOT, environment
from tests.real import links
from tests.real.daemon import Daemon
from tests.real.guests import Guest
from tests.real.namespace import wait_until

Start = Callable[..., Guest]
LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE


def nic(source: str, alias: str = "ua-nic") -> str:
    return (
        f"<interface type='bridge'><source bridge='{source}'/><model type='virtio'/><alias name='{alias}'/></interface>"
    )


def detach(guest: Guest, alias: str = "ua-nic") -> None:
    guest.dom.detachDeviceAlias(alias, LIVE)


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_guest_boots_and_acknowledges(machine: str, guest: Start, bridge: Callable[[], str]) -> None:
    switch = bridge()
    one = guest(machine=machine)
    for _ in range(2):
        one.dom.attachDeviceFlags(nic(switch), LIVE)
        assert one.aliases() == ["ua-nic"]
        assert links.members(switch) == {one.target("ua-nic")}
        detach(one)
        one.wait_gone("ua-nic")
        wait_until(lambda: links.members(switch) == set(), "the tap to go")


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_held_guest_keeps_its_nic_until_reset(machine: str, guest: Start, bridge: Callable[[], str]) -> None:
    one = guest(machine=machine, mode="hold")
    one.dom.attachDeviceFlags(nic(bridge()), LIVE)
    detach(one)
    time.sleep(0.5)
    assert one.aliases() == ["ua-nic"]
    one.reset()
    one.wait_gone("ua-nic")


def test_guest_obeys_over_its_serial_port(guest: Start, bridge: Callable[[], str]) -> None:
    one = guest()
    one.dom.attachDeviceFlags(nic(bridge()), LIVE)
    one.hold()
    detach(one)
    time.sleep(0.5)
    assert one.aliases() == ["ua-nic"]
    one.resume()
    one.wait_gone("ua-nic")


def test_all_nics_asked_for_together_go_together(guest: Start, bridge: Callable[[], str]) -> None:
    one, switch = guest(), bridge()
    aliases = [f"ua-{number}" for number in range(4)]
    for alias in aliases:
        one.dom.attachDeviceFlags(nic(switch, alias), LIVE)
    one.hold()
    for alias in aliases:
        detach(one, alias)
    one.resume()
    for alias in aliases:
        one.wait_gone(alias)


def test_late_guest_lets_go_after_its_delay(guest: Start, bridge: Callable[[], str]) -> None:
    one = guest(delay=1.0)
    for _ in range(2):  # the second wait is as long as the first
        one.dom.attachDeviceFlags(nic(bridge()), LIVE)
        start = time.monotonic()
        detach(one)
        one.wait_gone("ua-nic")
        assert 0.9 <= time.monotonic() - start < 60


def test_guest_starts_with_nics(guest: Start, bridge: Callable[[], str]) -> None:
    one = guest(machine="q35", nets=[nic(bridge())])
    detach(one)
    one.wait_gone("ua-nic")


def test_q35_offers_the_root_ports_asked_for(guest: Start, bridge: Callable[[], str]) -> None:
    one, switch = guest(machine="q35", root_ports=2), bridge()
    for number in range(2):
        one.dom.attachDeviceFlags(nic(switch, f"ua-{number}"), LIVE)
    with pytest.raises(libvirt.libvirtError, match="No more available PCI slots"):
        one.dom.attachDeviceFlags(nic(switch, "ua-2"), LIVE)


@pytest.mark.driver("daemon")
@pytest.mark.parametrize("number", [9, 15])
def test_guest_outlives_the_daemon(
    number: int,
    guest: Start,
    bridge: Callable[[], str],
    connect: Callable[[], libvirt.virConnect],
    mortal_libvirtd: Daemon,
) -> None:
    one = guest()
    one.dom.attachDeviceFlags(nic(bridge()), LIVE)
    mortal_libvirtd.kill(number)
    mortal_libvirtd.start()
    one.reconnect(connect())
    assert one.dom.isActive()
    assert one.aliases() == ["ua-nic"]
    detach(one)
    one.wait_gone("ua-nic")


def test_network_gives_its_nics_a_port(guest: Start, network: Callable[..., libvirt.virNetwork]) -> None:
    net = network("isolated")
    one = guest()
    xml = f"<interface type='network'><source network='{net.name()}'/><alias name='ua-nic'/></interface>"
    one.dom.attachDeviceFlags(xml, LIVE)
    assert len(net.listAllPorts()) == 1
    assert one.target("ua-nic") in links.members(net.bridgeName())
    detach(one)
    one.wait_gone("ua-nic")
    wait_until(lambda: net.listAllPorts() == [], "its port to go")


def test_network_on_an_existing_bridge(
    uri: str, bridge: Callable[[], str], network: Callable[..., libvirt.virNetwork]
) -> None:
    switch = bridge()
    assert network("bridge", bridge=switch).isActive()
    assert not network("bridge", bridge=switch, active=False).isActive()


def test_nat_network_starts(uri: str, network: Callable[..., libvirt.virNetwork]) -> None:
    net = network("nat")
    assert net.isActive()
    assert "192.168." in links.ip("address", "show", net.bridgeName())


@pytest.mark.parametrize("said", ["ready", "entering"])
def test_no_variable_makes_a_process_pass_for_one_in_the_namespaces(said: str, tmp_path: Path) -> None:
    """What runs here is in them; the same script elsewhere, where their directory is not, is not."""
    script = tmp_path / "namespace"
    script.write_text((ROOT / "tests/namespace").read_text().replace("/run/virtnetplug-tests", str(tmp_path / "none")))
    script.chmod(0o755)
    own = os.readlink("/proc/self/ns/net")
    words = [
        "sh",
        "-c",
        f"{script} readlink /proc/self/ns/net; exit $?",
    ]  # a shell between, so that it is not process 1
    ran = subprocess.run(words, env=environment(VIRTNETPLUG_NAMESPACE=said), capture_output=True, text=True)
    assert ran.stdout.startswith("net:[") and ran.stdout.strip() != own, ran.stderr
