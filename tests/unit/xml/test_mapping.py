"""Every mapped property, written, read and removed; and what an edit leaves alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.unit.xml.examples import EXAMPLES
from virtnetplug import xml
from virtnetplug.errors import UsageError, XmlInvalid
from virtnetplug.model.interface import OF_DEVICES, OF_POOLS, TYPES, Interface, Vlan, VlanTag
from virtnetplug.model.pci import PciAddress
from virtnetplug.xml.elements import INTERFACE

# those of OF_DEVICES are set through a PF, those of OF_POOLS choose one of a pool: libvirt's element has no place for them
FIELDS = {field.name for field in dataclasses.fields(Interface)} - {"element", *OF_DEVICES, *OF_POOLS}
PAIRS = [(name, value) for name, values in EXAMPLES.items() for value in values]
OTHERS = sorted(FIELDS - {"type"})


def test_every_field_of_the_model_is_mapped_and_has_an_example() -> None:
    assert set(INTERFACE.properties) == FIELDS
    assert set(EXAMPLES) == FIELDS


@pytest.mark.parametrize(("name", "value"), PAIRS)
def test_a_property_is_read_back_as_it_was_written(name: str, value: Any) -> None:
    net = xml.interface(xml.edit("<interface type='user'/>", {name: value}))
    assert getattr(net, name) == value
    said = {other for other in FIELDS if getattr(net, other) is not None}
    assert said == {name, "type"}, "one change says one thing"


@pytest.mark.parametrize("name", OTHERS)
def test_a_property_set_and_removed_leaves_the_bytes_as_they_were(name: str) -> None:
    for text in ("<interface type='user'/>", "<interface type='user'>\n  <ip address='1.1.1.1'/>\n</interface>"):
        for value in EXAMPLES[name]:
            there = xml.edit(text, {name: value})
            assert there != text
            assert xml.interface(xml.edit(there, {name: None})) == dataclasses.replace(
                xml.interface(text), element=xml.edit(there, {name: None})
            )
    assert xml.edit(xml.edit(text, {name: EXAMPLES[name][0]}), {name: None}) == text


@pytest.mark.parametrize("name", OTHERS)
def test_a_property_changed_and_changed_back_leaves_the_bytes_as_they_were(name: str) -> None:
    one, other = EXAMPLES[name]
    text = xml.edit('<interface type="user" >\n  <ip address="1.1.1.1" ></ip>\n</interface>', {name: one})
    changed = xml.edit(text, {name: other})
    assert changed != text
    assert '<interface type="user"' in changed
    assert '<ip address="1.1.1.1" ></ip>' in changed
    assert xml.interface(xml.edit(changed, {name: one})) == dataclasses.replace(
        xml.interface(text), element=xml.edit(changed, {name: one})
    )


def interfaces() -> st.SearchStrategy[Interface]:
    fields = {name: st.sampled_from((None, *EXAMPLES[name])) for name in OTHERS}
    return st.builds(Interface, type=st.sampled_from(TYPES), element=st.just(""), **fields)


@settings(max_examples=150, deadline=None)
@given(interfaces())
def test_what_is_written_is_what_is_read(net: Interface) -> None:
    assert dataclasses.replace(xml.interface(xml.element(net)), element="") == net


NAMES = st.sampled_from(["ip", "tune", "backend", "x-ours", "guest", "metadata", "route"])
WORDS = st.text(alphabet="ab é\u2028\t\n<&>'\"]", max_size=8)
QUOTES = st.sampled_from("'\"")
GAPS = st.sampled_from(["", " ", "\n  ", "\t", "<!-- > ' -->", "\n  <?go now?>\n", "\n  <!-- -->"])


def escaped(text: str) -> str:
    return (
        text.replace("&", "&#38;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("'", "&#x27;")
        .replace('"', "&quot;")
    )


@st.composite
def foreign(draw: st.DrawFn, depth: int = 2) -> str:
    """An element virtnetplug does not know, written in any way XML allows."""
    name, quote, gap = draw(NAMES), draw(QUOTES), draw(st.sampled_from(["", " ", "\n"]))
    start = f"<{name} a{gap}={gap}{quote}{escaped(draw(WORDS))}{quote}{gap}"
    if draw(st.booleans()):
        return start + "/>"
    inner = "".join(draw(st.lists(foreign(depth - 1), max_size=2))) if depth else ""
    cdata = f"<![CDATA[{draw(st.sampled_from(['<a>', '&', '']))}]]>" if draw(st.booleans()) else ""
    return f"{start}>{escaped(draw(WORDS))}{cdata}{inner}{draw(GAPS)}</{name}{gap}>"


def comments_in(text: str) -> list[str | None]:
    return [node.text for node in etree.fromstring(text).iter(etree.Comment)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(foreign(), GAPS), max_size=4), GAPS, st.sampled_from(OTHERS), QUOTES)
def test_an_edit_leaves_every_other_byte_alone(
    children: list[tuple[str, str]], first: str, name: str, quote: str
) -> None:
    body = "".join(child + gap for child, gap in children)
    text = f"<interface  type={quote}user{quote} x='1'>{first}{body}</interface>"
    assert xml.edit(text, {}) == text
    assert xml.edit(text, {name: None}) == text
    there = xml.edit(text, {name: EXAMPLES[name][0]})
    assert f"<interface  type={quote}user{quote} x='1'" in there
    position = 0
    for child, _ in children:
        position = there.index(child, position) + len(child)
    assert comments_in(there) == comments_in(text)


def test_an_element_that_loses_one_attribute_and_gains_another_keeps_its_place() -> None:
    text = "<interface type='network'><ip/><source network='a'/><ip/></interface>"
    assert xml.edit(text, {"type": "bridge", "source_network": None, "source_bridge": "b"}) == (
        "<interface type='bridge'><ip/><source bridge='b'/><ip/></interface>"
    )


def test_what_already_says_the_same_is_not_written_again() -> None:
    text = "<interface type='user'><address bus='1' slot='2'/><vlan><tag id='0x2a'/></vlan></interface>"
    net = xml.interface(text)
    assert net.vlan == Vlan((VlanTag(42),))
    assert xml.edit(text, {"address": net.address, "vlan": net.vlan, "type": "user"}) == text


def test_a_field_there_is_not_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="colour"):
        xml.edit("<interface type='user'/>", {"colour": "red"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("mtu", -1), ("mtu", 70000), ("link_state", "sideways"), ("alias", "a\x00b"), ("vlan", Vlan((VlanTag(5000),)))],
)
def test_a_value_that_cannot_be_is_refused(name: str, value: Any) -> None:
    with pytest.raises(XmlInvalid):
        xml.edit("<interface type='user'/>", {name: value})


def test_an_address_that_is_not_pci_says_nothing_and_gives_way() -> None:
    text = "<interface type='user'><address type='ccw' cssid='0xfe' ssid='0x0' devno='0x0001'/></interface>"
    assert xml.interface(text).address is None
    now = xml.edit(text, {"address": PciAddress(0, 1, 0, 0)})
    assert "ccw" not in now
    assert "devno" not in now
    assert xml.interface(now).address == PciAddress(0, 1, 0, 0)


def test_an_address_left_to_libvirt_says_nothing() -> None:
    assert xml.interface("<interface type='user'><address type='pci'/></interface>").address is None


def test_attributes_of_a_changed_element_that_are_not_mapped_stay() -> None:
    text = "<interface type='user'><address bus='0x01' slot='0x02' function='0x0' multifunction='on'/></interface>"
    assert "multifunction='on'" in xml.edit(text, {"address": PciAddress(0, 3, 0, 0)})


def test_an_element_with_text_of_its_own_is_passed_on_as_it_is() -> None:
    net = xml.interface('<interface type="user"><foo/></interface>')
    assert xml.element(net) == '<interface type="user"><foo/></interface>'
    assert (
        xml.interface("<?xml version='1.0'?>\n<!-- x -->\n<interface type='user'  />\n").element
        == "<interface type='user'  />"
    )


@pytest.mark.parametrize(
    ("text", "gone", "kept"),
    [
        ("<interface type='user'><target dev='vnet3'/></interface>", "vnet3", "user"),
        ("<interface type='user'><target dev='mine'/></interface>", "nothing", "mine"),
        ("<interface type='ethernet'><target dev='vnet3' managed='no'/></interface>", "nothing", "vnet3"),
        ("<interface type='user'><alias name='ua-1'/></interface>", "nothing", "ua-1"),
        ("<interface type='user'><alias name='net1'/></interface>", "net1", "user"),
        ("<interface type='bridge'><source bridge='br0'/></interface>", "nothing", "br0"),
        (
            "<interface type='direct'><source network='n' portid='p' dev='eth0' mode='vepa'/></interface>",
            "eth0",
            "network='n'",
        ),
        (
            "<interface type='network'><source network='n' portgroup='g' portid='p'/></interface>",
            "portid",
            "portgroup='g'",
        ),
    ],
)
def test_what_libvirt_adds_to_a_running_nic_is_stripped_and_nothing_else(text: str, gone: str, kept: str) -> None:
    stripped = xml.strip_live(text)
    assert gone not in stripped
    assert kept in stripped
    if gone == "nothing":
        assert stripped == text
