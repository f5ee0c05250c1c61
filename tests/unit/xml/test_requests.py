"""What an untrusted `<interface>` may say, and how it is refused."""

from __future__ import annotations

import pytest

from virtnetplug import xml
from virtnetplug.errors import (
    InterfaceTypeUnknown,
    MacInvalid,
    PciAddressInvalid,
    VirtnetplugError,
    XmlInvalid,
    XmlTooLarge,
    XmlUnsafe,
)
from virtnetplug.model.interface import TYPES
from virtnetplug.model.pci import PciAddress

BOMB = """<!DOCTYPE interface [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<interface type='user'><alias name='&b;'/></interface>"""


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (BOMB, XmlUnsafe, "<!DOCTYPE"),
        ('<!DOCTYPE interface SYSTEM "file:///etc/passwd"><interface type="user"/>', XmlUnsafe, "document type"),
        ("<interface type='user'>\n<alias name='&x;'/></interface>", XmlUnsafe, "line 2: .* entity"),
        ("<interface type='user'>&x;</interface>", XmlUnsafe, "entity"),
        ("", XmlInvalid, "no XML in it"),
        ("nonsense", XmlInvalid, "line 1: .* not well-formed"),
        ("<interface type='user'>\n<alias name='x'>\n</interface>", XmlInvalid, "line 3: .* closing tag"),
        ("<interface type='user'>", XmlInvalid, "not closed"),
        ("<interface type='user'/><interface/>", XmlInvalid, "line 1: .* follows the end"),
        ("<interface type='user' type='user'/>", XmlInvalid, "given twice"),
        ("<interface type=user/>", XmlInvalid, "not in quotes"),
        ("<interface type='user'><a b='<'/></interface>", XmlInvalid, "'<' in it"),
        ("<interface type='user'>\x01</interface>", XmlInvalid, "does not allow"),
        ("<interface type='user'>\ud800</interface>", XmlInvalid, "UTF-8"),
        ("\n<domain type='kvm'/>", XmlInvalid, "line 2: the document's root is <domain>, and <interface> is wanted"),
        ("<x:interface xmlns:x='urn:y' type='user'/>", XmlInvalid, "<interface> is wanted"),
        ("<interface/>", InterfaceTypeUnknown, "has no type.*bridge, direct"),
        ("<interface type='netwrok'/>", InterfaceTypeUnknown, "'netwrok'.*network"),
        ("<interface type='user'><mac address='01:00:5e:00:00:01'/></interface>", MacInvalid, "multicast"),
        ("<interface type='user'><mac address='52:54'/></interface>", MacInvalid, "six hex bytes"),
        ("<interface type='user'><address type='pci' slot='0x20'/></interface>", PciAddressInvalid, "slot '0x20'"),
        ("<interface type='user'><address type='pci' bus='256'/></interface>", PciAddressInvalid, "bus '256'"),
        ("<interface type='user'><address type='pci' bus='x'/></interface>", XmlInvalid, "'x' is not a PCI bus"),
        (
            "<interface type='user'>\n\n<mtu size='big'/></interface>",
            XmlInvalid,
            "line 3: <mtu size='big'>: 'big' is not",
        ),
        ("<interface type='user'><mtu size='70000'/></interface>", XmlInvalid, "0 to 65535"),
        ("<interface type='user'><link state='sideways'/></interface>", XmlInvalid, "'up' or 'down'"),
        ("<interface type='user'><vlan><tag id='4096'/></vlan></interface>", XmlInvalid, "4095"),
        ("<interface type='user'><vlan><tag/></vlan></interface>", XmlInvalid, "<tag> has no id"),
        (
            "<interface type='user'><bandwidth><inbound average='-1'/></bandwidth></interface>",
            XmlInvalid,
            "whole number",
        ),
        ("<interface type='user'><boot order='²'/></interface>", XmlInvalid, "whole number"),
        ("<interface type='user'><driver queues='" + "9" * 9000 + "'/></interface>", XmlInvalid, "whole number"),
        ("<interface type='user'><port isolated='true'/></interface>", XmlInvalid, "'yes' or 'no'"),
        ("<interface type='user'><teaming/></interface>", XmlInvalid, "<teaming> has no type"),
        ("<interface type='user'>" + "<a>" * 300 + "</a>" * 300 + "</interface>", XmlInvalid, "line 1"),
    ],
)
def test_bad_input_is_refused_in_one_paragraph(text: str, error: type[VirtnetplugError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        xml.interface(text)
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("filler", ["x", "é"])
def test_a_document_too_large_is_refused_before_it_is_parsed(filler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lxml.etree.fromstring", lambda *_: pytest.fail("it was parsed"))
    with pytest.raises(XmlTooLarge, match="1,048,576"):
        xml.interface("<interface type='user'>" + filler * (100 * xml.MAX_BYTES))
    with pytest.raises(XmlTooLarge):
        xml.interface("<interface type='user'>" + "é" * (xml.MAX_BYTES // 2) + "</interface>")


def test_the_largest_document_is_read() -> None:
    shell = "<interface type='user'><!----></interface>"
    text = shell.replace("<!----", "<!--" + "x" * (xml.MAX_BYTES - len(shell)) + "--")
    assert len(text) == xml.MAX_BYTES
    assert xml.interface(text).type == "user"


SOURCES = {
    "network": ("<source network='n' portgroup='g'/>", {"source_network": "n", "source_portgroup": "g"}),
    "bridge": ("<source bridge='b'/>", {"source_bridge": "b"}),
    "direct": ("<source dev='e' mode='vepa'/>", {"source_dev": "e", "source_mode": "vepa"}),
    "ethernet": ("<source><ip address='10.0.0.1' prefix='24'/></source>", {}),
    "user": ("<source dev='e'/><backend type='passt' logFile='/l'/>", {"source_dev": "e"}),
    "internal": ("<source name='s'/>", {"source_name": "s"}),
    "hostdev": (
        "<source><address type='pci' domain='0x0000' bus='0x07' slot='0x10' function='0x3'/></source>",
        {"source_pci": PciAddress(0, 7, 16, 3)},
    ),
    "vhostuser": (
        "<source type='unix' path='/s' mode='server'><reconnect enabled='yes' timeout='1'/></source>",
        {"source_type": "unix", "source_path": "/s", "source_mode": "server"},
    ),
    "vdpa": ("<source dev='/dev/vhost-vdpa-0'/>", {"source_dev": "/dev/vhost-vdpa-0"}),
    "mcast": ("<source address='230.0.0.1' port='5558'/>", {"source_address": "230.0.0.1", "source_port": 5558}),
    "client": ("<source address='10.0.0.1' port='1'/>", {"source_address": "10.0.0.1", "source_port": 1}),
    "server": ("<source port='65535'/>", {"source_port": 65535}),
    "udp": (
        "<source address='10.0.0.1' port='1'><local address='10.0.0.2' port='2'/></source>",
        {"source_address": "10.0.0.1", "source_port": 1},
    ),
    "null": ("", {}),
    "vds": (
        "<source switchid='12345678-1234-1234-1234-123456789abc' portid='6' portgroupid='g' connectionid='1'/>",
        {"source_switchid": "12345678-1234-1234-1234-123456789abc", "source_portid": "6"},
    ),
}


def test_there_is_a_source_for_every_type() -> None:
    assert set(SOURCES) == set(TYPES)


@pytest.mark.parametrize("kind", SOURCES)
def test_every_form_of_source_is_read(kind: str) -> None:
    source, said = SOURCES[kind]
    net = xml.interface(f"<interface type='{kind}'>{source}</interface>")
    names = [name for name in dir(net) if name.startswith("source_")]
    assert {name: getattr(net, name) for name in names if getattr(net, name) is not None} == said
    assert net.element == f"<interface type='{kind}'>{source}</interface>"


def test_a_usb_hostdev_has_no_pci_address() -> None:
    text = "<interface type='hostdev'><source><address type='usb' bus='0' device='4'/></source></interface>"
    assert xml.interface(text).source_pci is None


def test_decimal_parts_of_a_pci_address_are_decimal() -> None:
    text = "<interface type='user'><address type='pci' domain='0' bus='10' slot='31' function='7'/></interface>"
    assert xml.interface(text).address == PciAddress(0, 10, 31, 7)


def test_a_declared_encoding_is_ignored_for_text() -> None:
    net = xml.interface(
        "<?xml version='1.0' encoding='ISO-8859-1'?><interface type='user'><alias name='ua-é'/></interface>"
    )
    assert net.alias == "ua-é"
