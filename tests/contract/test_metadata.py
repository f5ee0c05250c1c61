"""The element of ours in a domain's metadata, as the fake and as libvirt keep it."""

from __future__ import annotations

import libvirt
import pytest

from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import DomainNotRunning, DomainTransient
from virtnetplug.model.identity import DomainMetadata, Identity, UnplugPolicy
from virtnetplug.model.operation import Half, Scope
from virtnetplug.ports.domain import Domain

LIVE = "<interface type='user'>\r\n\t<mac address=\"52:54:00:00:00:01\"/><!-- ]]&gt; é -->  <a b='&#10;'></a>\n</interface>"
CONFIG = "<interface type='user'><link state='down'/></interface>"
REMEMBERED = DomainMetadata(
    identities=(Identity(alias="ua-e", vif="ua-p", live=LIVE, config=CONFIG, is_out=True), Identity(alias="ua-f")),
    unplug=UnplugPolicy.PRESENT,
    activation=(("ua-e", "ua-p"),),
)
BOTH = (Half.LIVE, Half.CONFIG)


def domain_of(world: World) -> Domain:
    return world.host.hypervisor.domain(world.name)


def remembered(domain: Domain, half: Half) -> DomainMetadata:
    return xml.metadata(domain.metadata(half))


def test_there_is_none_until_it_is_set_and_none_once_it_is_removed(world: World) -> None:
    domain = domain_of(world)
    for half in BOTH:
        before = domain.xml(half)
        assert domain.metadata(half) is None
        domain.set_metadata(half, None)
        assert domain.xml(half) == before
        for nothing in (None, ""):
            domain.set_metadata(half, xml.metadata_text(REMEMBERED))
            assert remembered(domain, half) == REMEMBERED
            domain.set_metadata(half, nothing)
            assert domain.metadata(half) is None
            assert xml.NAMESPACE not in domain.xml(half)


def test_each_definition_has_its_own(world: World) -> None:
    domain, other = domain_of(world), DomainMetadata(unplug=UnplugPolicy.KEEP)
    domain.set_metadata(Half.LIVE, xml.metadata_text(REMEMBERED))
    assert domain.metadata(Half.CONFIG) is None
    domain.set_metadata(Half.CONFIG, xml.metadata_text(other))
    assert (remembered(domain, Half.LIVE), remembered(domain, Half.CONFIG)) == (REMEMBERED, other)


@pytest.mark.parametrize("half", BOTH)
def test_an_element_comes_back_byte_for_byte_however_often(world: World, half: Half) -> None:
    domain = domain_of(world)
    metadata = REMEMBERED
    for number in range(5):
        metadata = metadata.with_identity(Identity(alias=f"ua-{number}", live=LIVE))
        domain.set_metadata(half, xml.metadata_text(metadata))
        metadata = remembered(domain, half)
    assert len(metadata.identities) == 7
    for alias in ("ua-e", "ua-0", "ua-4"):
        identity = metadata.identity(alias)
        assert identity is not None and identity.live == LIVE
    assert domain.xml(half).count(xml.NAMESPACE) == 1, "one declaration and one element of ours"


def test_it_is_in_the_definition_in_our_namespace_as_the_schema_has_it(world: World) -> None:
    domain = domain_of(world)
    domain.set_metadata(Half.CONFIG, xml.metadata_text(REMEMBERED))
    text = domain.xml(Half.CONFIG)
    element = text[
        text.index("<virtnetplug:domain") : text.index("</virtnetplug:domain>") + len("</virtnetplug:domain>")
    ]
    assert xml.metadata(element) == REMEMBERED


def test_nics_come_and_go_beside_it(world: World) -> None:
    domain = domain_of(world)
    for half in BOTH:
        domain.set_metadata(half, xml.metadata_text(REMEMBERED))
    world.plugger.attach(world.name, [world.bridge_nic(1)], scope=Scope.BOTH)
    world.plugger.detach(world.name, "ua-nic1", scope=Scope.BOTH, wait=120)
    assert [remembered(domain, half) for half in BOTH] == [REMEMBERED, REMEMBERED]


def test_the_next_run_has_what_the_definition_had(world: World) -> None:
    domain, saved = domain_of(world), DomainMetadata(unplug=UnplugPolicy.ACTIVE)
    domain.set_metadata(Half.LIVE, xml.metadata_text(REMEMBERED))
    domain.set_metadata(Half.CONFIG, xml.metadata_text(saved))
    world.guest.destroy()
    with pytest.raises(DomainNotRunning):
        domain.metadata(Half.LIVE)
    with pytest.raises(DomainNotRunning):
        domain.set_metadata(Half.LIVE, "")
    assert remembered(domain, Half.CONFIG) == saved
    world.guest.dom.create() if world.kind == "real" else world.guest.start()
    assert remembered(domain, Half.LIVE) == saved


def test_a_transient_domain_has_metadata_while_it_runs_only(fake: World) -> None:
    fake.guest._hypervisor.add("brief", persistent=False)
    assert_transient(fake.host.hypervisor.domain("brief"))


def test_a_real_transient_domain_has_metadata_while_it_runs_only(real: World, request: pytest.FixtureRequest) -> None:
    assert_transient(real.host.hypervisor.domain(request.getfixturevalue("guest")(persistent=False).name))


def assert_transient(domain: Domain) -> None:
    with pytest.raises(DomainTransient):
        domain.metadata(Half.CONFIG)
    with pytest.raises(DomainTransient):
        domain.set_metadata(Half.CONFIG, xml.metadata_text(REMEMBERED))
    domain.set_metadata(Half.LIVE, xml.metadata_text(REMEMBERED))
    assert remembered(domain, Half.LIVE) == REMEMBERED


def test_it_travels_with_the_definition_and_is_lost_by_one_without_it(real: World) -> None:
    """``virsh dumpxml`` to another host and ``virsh define`` there keep it; a define from elsewhere does not."""
    domain, connection = domain_of(real), real.guest.dom.connect()
    bare = domain.xml(Half.CONFIG)
    domain.set_metadata(Half.CONFIG, xml.metadata_text(REMEMBERED))
    connection.defineXML(domain.xml(Half.CONFIG))
    assert remembered(domain, Half.CONFIG) == REMEMBERED
    connection.defineXML(bare)
    assert domain.metadata(Half.CONFIG) is None
    assert domain.metadata(Half.LIVE) is None


def test_the_metadata_of_others_stays_as_it_is(real: World) -> None:
    domain, handle = domain_of(real), real.guest.dom
    kind, flags = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_CONFIG
    handle.setMetadata(kind, "<os id='x'/>", "libosinfo", "urn:theirs", flags)
    handle.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "A title", None, None, flags)
    domain.set_metadata(Half.CONFIG, xml.metadata_text(REMEMBERED))
    domain.set_metadata(Half.CONFIG, xml.metadata_text(DomainMetadata(unplug=UnplugPolicy.KEEP)))
    assert "<libosinfo:os" in domain.xml(Half.CONFIG)
    domain.set_metadata(Half.CONFIG, None)
    assert handle.metadata(kind, "urn:theirs", flags).replace("'", '"') == '<os id="x"/>'
    assert handle.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None, flags) == "A title"
