"""The document in a domain's metadata: what is written is what is read, in every version, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from virtnetplug import xml
from virtnetplug.errors import MetadataInvalid, MetadataTooNew, VirtnetplugError, XmlTooLarge, XmlUnsafe
from virtnetplug.model.identity import DomainMetadata, Identity, UnplugPolicy

NET = "<interface type='user'>\n  <mac address=\"52:54:00:00:00:01\"/><!-- & ]]> é --></interface>"
IDENTITY = "<identity alias='ua-a' vif='ua-p' out='yes'><live>&lt;interface type='user'/></live></identity>"


def test_all_of_it_in_the_newest_form() -> None:
    metadata = DomainMetadata(
        identities=(
            Identity(alias="ua-a", vif="ua-p", live=NET, config="<interface type='user'/>", is_out=True),
            Identity(alias="net0"),
        ),
        unplug=UnplugPolicy.PRESENT,
        activation=(("ua-p", "ua-q"), ("ua-a",)),
    )
    text = xml.metadata_text(metadata)
    assert text == (
        "<domain version='2'><identity alias='ua-a' vif='ua-p' out='yes'>"
        "<live>&lt;interface type='user'&gt;\n  &lt;mac address=\"52:54:00:00:00:01\"/&gt;"
        "&lt;!-- &amp; ]]&gt; é --&gt;&lt;/interface&gt;</live>"
        "<config>&lt;interface type='user'/&gt;</config></identity><identity alias='net0'/>"
        "<unplug policy='present'/>"
        "<activation><nic alias='ua-p'/><nic alias='ua-q'/></activation><activation><nic alias='ua-a'/></activation>"
        "</domain>"
    )
    assert xml.metadata(text) == metadata


def test_nothing_to_remember_is_no_document() -> None:
    assert xml.metadata_text(DomainMetadata()) == ""
    assert xml.metadata("") == xml.metadata(None) == DomainMetadata()
    assert xml.metadata("<domain version='2'/>") == DomainMetadata()


WORDS = st.text(alphabet="ab-é\r\n\t <&>'\"]", min_size=1, max_size=6)
TEXTS = st.none() | st.builds(
    lambda gap, word: f"<interface type='user'>{gap}<ip address=\"{word}\"/>{gap}</interface>",
    st.sampled_from(["", "\r\n", "\n\t", "<![CDATA[<]]>", "<!-- ]] -->"]),
    st.sampled_from(["a'b", "&#10;", "&amp;", "é\u2028"]),
)


@st.composite
def remembered(draw: st.DrawFn) -> DomainMetadata:
    names = draw(st.lists(WORDS, unique=True, min_size=6, max_size=6))
    count = draw(st.integers(0, 3))
    identities = tuple(
        Identity(
            alias=names[place],
            vif=draw(st.sampled_from(["", names[3 + place]])),
            live=draw(TEXTS),
            config=draw(TEXTS),
            is_out=draw(st.booleans()),
        )
        for place in range(count)
    )
    cut = draw(st.integers(0, 5))
    return DomainMetadata(
        identities=identities,
        unplug=draw(st.sampled_from([None, *UnplugPolicy])),
        activation=tuple(group for group in (tuple(names[:cut]), tuple(names[cut:])) if group)[
            : draw(st.integers(0, 2))
        ],
    )


@settings(max_examples=200, deadline=None)
@given(remembered())
def test_what_is_written_is_what_is_read(metadata: DomainMetadata) -> None:
    assert xml.metadata(xml.metadata_text(metadata)) == metadata


@settings(max_examples=100, deadline=None)
@given(remembered())
def test_it_stays_so_when_libvirt_has_put_it_into_a_definition_and_taken_it_out(metadata: DomainMetadata) -> None:
    """Indented, in our namespace, with a prefix: as a definition has it, and as ``virsh dumpxml`` gives it."""
    if metadata.is_empty:
        return
    bare = etree.fromstring(xml.metadata_text(metadata))
    for node in bare.iter():
        node.tag = f"{{{xml.NAMESPACE}}}{node.tag}"
    etree.indent(bare)
    assert xml.metadata(etree.tostring(bare, encoding="unicode")) == metadata


def test_version_1_is_read_and_written_anew_in_the_newest() -> None:
    old = f"<domain version='1'>{IDENTITY}</domain>"
    read = xml.metadata(old)
    assert read.identities == (Identity(alias="ua-a", vif="ua-p", live="<interface type='user'/>", is_out=True),)
    assert (read.unplug, read.activation) == (None, ())
    assert xml.metadata_text(read).startswith("<domain version='2'>")
    assert xml.metadata(xml.metadata_text(read)) == read


@pytest.mark.parametrize("version", ["3", "17", "9" * 5000])
def test_a_newer_version_is_refused_whatever_is_in_it(version: str) -> None:
    with pytest.raises(MetadataTooNew) as caught:
        xml.metadata(f"<domain version='{version}'><what-is-to-come/></domain>")
    assert (caught.value.reason, caught.value.exit_code) == ("metadata-too-new", 3)
    for word in ("Upgrade", "version 2", version[:10]):
        assert word in caught.value.message


def doc(inner: str, version: str = "2") -> str:
    return f"<domain version='{version}'>{inner}</domain>"


BROKEN = {
    "no XML": ("<domain", "not well-formed"),
    "another root": ("<identities version='2'/>", "root is <identities>"),
    "another namespace": ("<domain xmlns='urn:x' version='2'/>", "root is <domain>"),
    "no version": ("<domain/>", "its version is ''"),
    "version 0": ("<domain version='0'/>", "its version is '0'"),
    "version -1": ("<domain version='-1'/>", "its version is '-1'"),
    "version ²": ("<domain version='²'/>", "its version"),
    "version 02": ("<domain version='02'/>", "domain-metadata.rng"),
    "a policy in version 1": (doc("<unplug policy='keep'/>", "1"), "unplug"),
    "an activation in version 1": (doc("<activation><nic alias='a'/></activation>", "1"), "activation"),
    "an unknown element": (doc("<colour/>"), "colour"),
    "an element of others": (doc("<x:y xmlns:x='urn:x'/>"), "domain-metadata.rng"),
    "an unknown attribute": (doc("<identity alias='a' colour='red'/>"), "domain-metadata.rng"),
    "no alias": (doc("<identity/>"), "domain-metadata.rng"),
    "an empty alias": (doc("<identity alias=''/>"), "domain-metadata.rng"),
    "an unknown policy": (doc("<unplug policy='perhaps'/>"), "domain-metadata.rng"),
    "two policies": (doc("<unplug policy='keep'/><unplug policy='keep'/>"), "domain-metadata.rng"),
    "an empty group": (doc("<activation/>"), "domain-metadata.rng"),
    "an out that is neither": (doc("<identity alias='a' out='maybe'/>"), "domain-metadata.rng"),
    "a nested element": (
        doc("<identity alias='a'><live><interface type='user'/></live></identity>"),
        "domain-metadata.rng",
    ),
    "an element that is none": (doc("<identity alias='a'><live>&lt;disk/></live></identity>"), "live element of NIC a"),
    "an element cut off": (doc("<identity alias='a'><config>&lt;interface</config></identity>"), "config element"),
    "a type that is none": (doc("<identity alias='a'><live>&lt;interface/></live></identity>"), "has no type"),
    "a MAC that is none": (
        doc(
            "<identity alias='a'><live>&lt;interface type='user'>&lt;mac address='x'/>&lt;/interface></live></identity>"
        ),
        "'x'",
    ),
    "an empty element": (doc("<identity alias='a'><live/></identity>"), "live element of NIC a"),
    "two identities of one": (doc("<identity alias='a'/><identity alias='a'/>"), "two identities"),
    "two markers of one": (doc("<identity alias='a' vif='c'/><identity alias='b' vif='c'/>"), "markers of a and b"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_we_would_not_have_written_is_refused(case: str) -> None:
    text, words = BROKEN[case]
    with pytest.raises(MetadataInvalid, match=words) as caught:
        xml.metadata(text)
    assert (caught.value.reason, caught.value.exit_code) == ("metadata-invalid", 3)
    assert f"virsh metadata DOMAIN {xml.NAMESPACE}" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain version='2'/>",
        doc("<identity alias='a'><live>&lt;!DOCTYPE interface>&lt;interface type='user'/></live></identity>"),
        doc("<identity alias='&a;'/>"),
        doc("<identity alias='a'><live>&lt;interface type='user'>&amp;a;&lt;/interface></live></identity>"),
    ],
)
def test_document_types_and_entities_are_refused_also_in_the_elements_kept(text: str) -> None:
    with pytest.raises(XmlUnsafe):
        xml.metadata(text)


def test_a_document_without_end_is_refused_unread() -> None:
    with pytest.raises(XmlTooLarge):
        xml.metadata("<domain version='2'>" + " " * (16 * 1024 * 1024))


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")) | st.text().map(doc))
def test_whatever_stands_there_is_read_or_refused_in_our_words(text: str) -> None:
    error = refusal(text)
    assert error is None or (error.exit_code == 3 and "\n" not in error.message)


def refusal(text: str) -> VirtnetplugError | None:
    try:
        xml.metadata(text)
    except VirtnetplugError as error:
        return error
    return None


def test_the_schema_names_our_namespace_and_the_newest_version() -> None:
    schema = Path(__file__).parents[3] / "xml_schemas" / "domain-metadata.rng"
    root = etree.fromstring(schema.read_bytes())
    assert root.get("ns") == xml.NAMESPACE
    values = root.findall(".//{*}attribute[@name='version']/{*}value")
    newest = max(int(value.text or "") for value in values)
    assert xml.metadata_text(DomainMetadata(unplug=UnplugPolicy.KEEP)).startswith(f"<domain version='{newest}'>")
