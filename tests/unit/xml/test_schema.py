"""The host's own schema: what it refuses, and in which words."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from tests.unit.xml.test_requests import SOURCES
from virtnetplug import xml
from virtnetplug.errors import XmlInvalid
from virtnetplug.xml import parser

NET = "<interface type='network'>\n  <source network='lan'/>\n  {}\n</interface>"


@pytest.mark.parametrize("kind", SOURCES)
def test_every_type_of_interface_passes(kind: str) -> None:
    # The schema of libvirt 9.0 lets passt's <backend> stand only beside a source device, and knows all of these.
    assert xml.validate(f"<interface type='{kind}'>{SOURCES[kind][0]}</interface>") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            NET.format("<foo/>"),
            r"line 3: <foo> is not an element that libvirt's <interface> knows; those it knows are .*mac",
        ),
        (NET.format("<modle type='virtio'/>"), r"line 3: <modle> .* did you mean <model>\?"),
        (NET.format("<link stat='up'/>"), r"line 3: .*<link> knows no attribute 'stat'; did you mean 'state'\?"),
        (NET.format("<link state='sideways'/>"), r"line 3: .*'sideways' is no value for state; it is one of up, down"),
        (NET.format("<mtu size='abc'/>"), r"line 3: .*'abc' is no value for size; it is a whole number"),
        (NET.format("<mtu size='1'/><mtu size='2'/>"), r"line 3: <mtu> is there twice"),
        (
            NET.format("<teaming type='transient'/>"),
            r"line 3: <teaming type='transient'> needs the attribute 'persistent'",
        ),
        (NET.format("<alias name='a b'/>"), r"line 3: .*'a b' is no value for name; it is a name of letters"),
        (NET.format("<vlan/>"), r"line 3: <vlan> needs a <tag> element"),
        (NET.format("<driver name='vhost' que='2'/>"), r"line 3: .*<driver> knows no attribute 'que'"),
        (NET.format("<address type='pci' slot='0x99'/>"), r"line 3: .*'0x99' is no value for slot; it is 0x00 to 0x1f"),
        (NET.format("words"), r"line 1: <interface> has the words 'words' in it"),
        (
            NET.format("<virtualport type='openvswitch'>\n<parameters managerid='1'/></virtualport>"),
            r"line 4: .*'managerid'; those it knows are interfaceid, profileid",
        ),
        ("<interface type='network'/>", r"line 1: <interface type='network'> needs a <source> element"),
        ("<interface type='direct'><source mode='vepa'/></interface>", r"<source> needs the attribute 'dev'"),
        (
            "<interface type='bridge'><source dev='e'/></interface>",
            r"knows no attribute 'dev'; those it knows are bridge, ",
        ),
        (
            "<interface type='user'>\n<virtualport/></interface>",
            r"line 2: <virtualport> does not go with <interface type='user'>",
        ),
        ("<interface type='netwrok'/>", r"'netwrok' is no value for type; did you mean 'network'\?"),
    ],
)
def test_a_refusal_names_the_line_the_culprit_and_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(XmlInvalid, match=words) as caught:
        xml.validate(text)
    for jargon in ("interleave", "Relax", "RELAX", "validity", "Did not expect", "\n"):
        assert jargon not in caught.value.message


TWO_DRIVERS = """\
<grammar xmlns="http://relaxng.org/ns/structure/1.0" datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
  <define name="interface"><element name="interface"><optional><choice>
    <element name="driver"><optional><attribute name="name"><value>vfio</value></attribute></optional></element>
    <group><element name="driver">
      <optional><attribute name="name"><choice><value>qemu</value><value>vhost</value></choice></attribute></optional>
      <optional><attribute name="queues"><data type="positiveInteger"/></attribute></optional>
    </element></group>
  </choice></optional></element></define>
</grammar>
"""
"""As libvirt has it since version 10: the driver of a host device's NIC, and that of all others."""


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        ("name='vhost' que='2'", "<driver que='2'>: .* knows no attribute 'que'; those it knows are name, queues"),
        ("que='2' name='vhost'", "<driver que='2'>: .* knows no attribute 'que'; those it knows are name, queues"),
        ("name='vhots'", "'vhots' is no value for name; did you mean 'vhost'"),
        ("name='vhost' queues='two'", "'two' is no value for queues"),
        ("name='vfio' x='2'", "knows no attribute 'x'; those it knows are name$"),
    ],
)
def test_of_two_definitions_the_one_that_fits_better_tells_what_is_wrong(
    tmp_path: Path, driver: str, words: str
) -> None:
    (tmp_path / "domaincommon.rng").write_text(TWO_DRIVERS)
    with pytest.raises(XmlInvalid, match=words):
        xml.validate(f"<interface><driver {driver}/></interface>", tmp_path)


def test_a_host_without_schemas_is_a_warning(tmp_path: Path) -> None:
    warning = xml.validate("<interface type='user'><foo/></interface>", tmp_path)
    assert warning is not None
    assert str(tmp_path) in warning


def test_a_broken_schema_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "domaincommon.rng").write_text("<grammar")
    warning = xml.validate("<interface type='user'/>", tmp_path)
    assert warning is not None
    assert "cannot be used" in warning


def test_the_schemas_of_another_directory_are_used(tmp_path: Path) -> None:
    there = tmp_path / "schemas"
    shutil.copytree(parser.SCHEMAS, there)
    common = there / "domaincommon.rng"
    common.write_text(common.read_text().replace('<element name="mtu">', '<element name="size">'))
    text = NET.format("<size/>")
    with pytest.raises(XmlInvalid):
        xml.validate(text)
    network_common = there / "networkcommon.rng"
    network_common.write_text(network_common.read_text().replace('<element name="mtu">', '<element name="em-tee-you">'))
    assert xml.validate(NET.format("<em-tee-you size='1'/>"), there) is None
    with pytest.raises(XmlInvalid, match="<mtu>"):
        xml.validate(NET.format("<mtu size='1'/>"), there)


def test_many_threads_share_one_compiled_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "schemas"
    shutil.copytree(parser.SCHEMAS, there)
    made: list[str] = []

    class Counted(parser.Schema):
        def __init__(self, text: bytes, base_url: str) -> None:
            made.append(base_url)
            super().__init__(text, base_url)

    monkeypatch.setattr(parser, "Schema", Counted)
    wrong: list[str] = []

    def ask(text: str, *, fits: bool) -> None:
        for _ in range(50):
            try:
                xml.validate(text, there)
            except XmlInvalid:
                if fits:
                    wrong.append(text)
            else:
                if not fits:
                    wrong.append(text)

    threads = [
        threading.Thread(target=ask, args=(text,), kwargs={"fits": fits})
        for text, fits in [
            (NET.format(""), True),
            ("<interface type='null'/>", True),
            ("<interface type='network'/>", False),
        ]
        * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert made == [str(there / "virtnetplug-interface.rng")]
