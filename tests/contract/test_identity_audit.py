"""What an audit finds of identities and policies, and what its repairs make of that."""

from __future__ import annotations

import dataclasses

from tests.contract.deaths import die
from tests.contract.test_policy import nets
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.model.audit import Finding
from virtnetplug.model.identity import DomainMetadata, UnplugPolicy
from virtnetplug.model.operation import Half, OperationRecord, OperationState, Scope

HALVES = (Half.LIVE, Half.CONFIG)
KINDS = ("identity-lost", "identity-differs", "policy-unmet", "metadata-unread")


def found(world: World) -> list[Finding]:
    """Those of this page."""
    return [each for each in world.plugger.audit(world.name).findings if each.kind in KINDS]


def mended(world: World) -> list[tuple[str, bool | None]]:
    report = world.plugger.repair(world.plugger.audit(world.name))
    return [(each.kind, each.repaired) for each in report.findings if each.kind in KINDS]


def kept(world: World) -> list[DomainMetadata]:
    domain = world.host.hypervisor.domain(world.name)
    return [xml.metadata(domain.metadata(half)) for half in HALVES]


def handed_over(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.handover(world.name, "ua-nic1", world.network_nic(2), scope=Scope.BOTH)


def test_all_is_well(world: World) -> None:
    handed_over(world)
    world.plugger.set_policy(world.name, unplug=UnplugPolicy.PRESENT, serve=["ua-nic1", "ua-nic2"])
    assert found(world) == []
    world.plugger.handback(world.name, "ua-nic1")
    assert found(world) == []


def test_a_definition_that_was_replaced(world: World) -> None:
    handed_over(world)
    world.host.hypervisor.domain(world.name).set_metadata(Half.CONFIG, None)
    (finding,) = found(world)
    assert (finding.kind, finding.nic) == ("identity-differs", "ua-nic1") and finding.repair
    assert "Somebody" in finding.message, "it was booted from its definition"
    assert mended(world) == [("identity-differs", True)]
    live, config = kept(world)
    assert live == config != DomainMetadata() and found(world) == []


def test_a_guest_that_was_saved_before_a_hand_over_was_undone_was_edited_by_nobody(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    die(fake, lambda p: p.handover(fake.name, "ua-nic1", fake.network_nic(2), scope=Scope.BOTH), "detach")
    image = fake.guest.copy_image()
    fake.plugger.recover(wait=20)
    fake.guest.destroy()
    fake.guest.restore(image)
    (finding,) = found(fake)
    assert (finding.kind, finding.nic) == ("identity-differs", "ua-nic1")
    assert "restored" in finding.message and "somebody" not in finding.message


def test_policies_that_differ(world: World) -> None:
    world.plugger.set_policy(world.name, unplug=UnplugPolicy.PRESENT)
    world.host.hypervisor.domain(world.name).set_metadata(Half.CONFIG, None)
    (finding,) = found(world)
    assert finding.kind == "identity-differs" and "policies" in finding.message


def test_a_hand_over_that_is_remembered_nowhere(world: World) -> None:
    handed_over(world)
    before = kept(world)
    for half in HALVES:
        world.host.hypervisor.domain(world.name).set_metadata(half, None)
    (finding,) = found(world)
    assert (finding.kind, finding.nic) == ("identity-lost", "ua-nic1") and "ua-nic2" in finding.message
    assert mended(world) == [("identity-lost", True)]
    assert kept(world) == before and found(world) == []
    world.plugger.handback(world.name, "ua-nic1")
    assert list(nets(world)) == list(nets(world, Half.CONFIG)) == ["ua-nic1"]


def test_one_that_was_meant_to_be_lost_can_be_forgotten(world: World) -> None:
    handed_over(world)
    for half in HALVES:
        world.host.hypervisor.domain(world.name).set_metadata(half, None)
    assert [each.kind for each in found(world)] == ["identity-lost"]
    world.plugger.forget_identity(world.name, "ua-nic1")
    assert found(world) == [] and kept(world) == [DomainMetadata()] * 2


def test_handed_back_or_forgotten_it_is_not_missed(world: World) -> None:
    handed_over(world)
    world.plugger.handback(world.name, "ua-nic1")
    for half in HALVES:
        world.host.hypervisor.domain(world.name).set_metadata(half, None)
    assert found(world) == []


def test_a_policy_that_is_not_so_is_found_and_made_so(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1), world.bridge_nic(3)], scope=Scope.BOTH)
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1", scope=Scope.BOTH)
    world.plugger.set_policy(world.name, serve=["ua-nic2", "ua-nic3"])
    world.host.journal.set_host_policy(UnplugPolicy.PRESENT)
    domain = world.host.hypervisor.domain(world.name)
    down = next(net for net in xml.devices(domain.xml(Half.LIVE)).nets if net.link_state == "down")
    domain.update(xml.edit(xml.strip_live(down.element), {"link_state": "up"}), Half.LIVE)  # as virsh would
    assert sorted((each.kind, each.nic, each.device) for each in found(world)) == [
        ("policy-unmet", "ua-nic1", "unplug"),
        ("policy-unmet", down.alias, "link-down"),
    ]
    assert mended(world) == [("policy-unmet", True), ("policy-unmet", True)]
    assert found(world) == []
    assert sorted(map(str, nets(world))) == sorted(map(str, nets(world, Half.CONFIG))) == ["ua-nic2", "ua-nic3"]


def test_a_repair_that_the_guest_does_not_allow_is_none(world: World) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(1)])
    world.plugger.attach(world.name, [world.network_nic(2)], twin_of="ua-nic1")
    world.host.journal.set_host_policy(UnplugPolicy.PRESENT)
    report = world.plugger.audit(world.name)
    if world.kind == "fake":
        world.guest.refuses = True
        (finding,) = [each for each in world.plugger.repair(report).findings if each.kind in KINDS]
        assert finding.repaired is False and "refused to let go" in finding.message
    assert [each.kind for each in found(world)] == ["policy-unmet"]


def test_what_an_operation_is_about_to_do_is_no_finding(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)])
    fake.plugger.attach(fake.name, [fake.network_nic(2)], twin_of="ua-nic1")
    fake.host.journal.set_host_policy(UnplugPolicy.PRESENT)
    domain = fake.host.hypervisor.domain(fake.name)
    record = OperationRecord(
        id="running", operation="attach", uri=fake.host.hypervisor.uri, hypervisor=fake.host.hypervisor.key,
        domain_uuid=domain.uuid, domain_name=fake.name, request={"nics": []},
    )  # fmt: skip
    with fake.host.journal.call() as owner:
        fake.host.journal.begin(dataclasses.replace(record, owner=owner))
        assert found(fake) == [], "a call is at it"
        fake.host.journal.finish(record.id, OperationState.DONE, result="done", owner=owner)
    assert [each.kind for each in found(fake)] == ["policy-unmet"]


def test_metadata_of_a_newer_version_is_said(world: World) -> None:
    for half in HALVES:
        world.host.hypervisor.domain(world.name).set_metadata(half, '<domain version="9"/>')
    (finding,) = found(world)
    assert finding.kind == "metadata-unread" and "version 9" in finding.message and not finding.repair
    assert world.plugger.recover() == () and any("version 9" in event.text for event in world.events)
