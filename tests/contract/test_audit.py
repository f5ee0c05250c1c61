"""Audit and repair of a host that disagrees with itself, with real taps, bridges, ports and QEMU."""

from __future__ import annotations

import time
import uuid

import libvirt
import pytest

from tests.contract.world import World
from virtnetplug.model.audit import AuditReport
from virtnetplug.model.operation import Half, Scope


def found(report: AuditReport) -> list[tuple[str, str]]:
    return [(finding.kind, finding.nic) for finding in report.findings]


def tap(world: World) -> str:
    target = world.plugger.show(world.name, "ua-nic1").nic.target
    assert target is not None
    return target


def test_a_host_in_order_has_no_findings(world: World) -> None:
    nics = [world.bridge_nic(1), world.network_nic(2)]
    world.plugger.attach(world.name, nics, scope=Scope.BOTH)
    report = world.plugger.audit()
    assert (found(report), report.domains, report.nics) == ([], 1, 2)
    assert found(world.plugger.audit(world.name)) == []


@pytest.mark.parametrize("is_network", [False, True])
def test_a_tap_in_another_bridge_is_put_back(world: World, is_network: bool) -> None:
    world.plugger.attach(world.name, [world.network_nic() if is_network else world.bridge_nic()])
    before = world.taps()
    world.host.links.set_master(tap(world), world.bridges[1])
    report = world.plugger.audit()
    assert found(report) == [("tap-in-other-bridge", "ua-nic1")]
    assert [finding.repaired for finding in world.plugger.repair(report).findings] == [True]
    assert found(world.plugger.audit()) == []
    assert world.taps() == before


def test_a_nic_that_others_detached_is_forgotten(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic()])
    domain = world.host.hypervisor.domain(world.name)
    domain.detach("ua-nic1", Half.LIVE)
    while "ua-nic1" in world.definition(Half.LIVE):
        time.sleep(0.01)  # the guest is asked, and takes its time
    report = world.plugger.audit()
    assert found(report) == [("nic-gone", "ua-nic1")]
    world.plugger.repair(report)
    assert world.host.journal.nics() == []
    assert found(world.plugger.audit()) == []


def test_nics_that_others_attached_are_no_findings(world: World) -> None:
    world.host.hypervisor.domain(world.name).attach(world.network_nic(), Half.LIVE)
    assert found(world.plugger.audit()) == []


def test_a_network_that_was_restarted_under_a_running_guest(real: World) -> None:
    real.plugger.attach(real.name, [real.network_nic()])
    bridge = real.host.networks.network(real.network).bridge or ""
    connection = libvirt.open("network:///system")
    network = connection.networkLookupByName(real.network)
    network.destroy()
    assert ("bridge-missing", "ua-nic1") in found(real.plugger.audit())
    network.create()
    report = real.plugger.audit()
    assert found(report) == [("port-missing", "ua-nic1"), ("tap-not-in-bridge", "ua-nic1")]
    assert [finding.repaired for finding in real.plugger.repair(report).findings] == [True, True]
    assert real.members(bridge) == {tap(real)}
    assert found(real.plugger.audit()) == []
    connection.close()


def test_qemu_shows_its_taps(real: World) -> None:
    real.plugger.attach(real.name, [real.bridge_nic(), real.network_nic(2)])
    nics = real.plugger.list(real.name)
    assert real.host.links.taps_of(real.host.hypervisor.domain(real.name).uuid) == {nic.target for nic in nics}
    assert real.plugger.audit().unseen == ()


def test_a_port_that_was_left_behind_is_deleted(real: World) -> None:
    connection = libvirt.open("network:///system")
    network = connection.networkLookupByName(real.network)
    domain = real.host.hypervisor.domain(real.name)
    network.portCreateXML(
        f"<networkport><uuid>{uuid.uuid4()}</uuid><owner><name>{domain.name}</name><uuid>{domain.uuid}</uuid></owner>"
        "<mac address='52:54:00:00:00:77'/></networkport>"
    )
    report = real.plugger.audit()
    assert found(report) == [("port-orphaned", "52:54:00:00:00:77")]
    assert [finding.repaired for finding in real.plugger.repair(report).findings] == [True]
    assert (real.ports(), found(real.plugger.audit())) == (0, [])
    connection.close()
