"""The document of a network port that is made again: what the live NIC has of it, and nothing of the rest."""

from __future__ import annotations

from lxml import etree

from virtnetplug import xml

OWNER = {"owner_uuid": "00000000-0000-4000-8000-000000000001", "owner_name": "a<b"}
PORT = "aaaaaaaa-0000-4000-8000-000000000001"
HEAD = f"<uuid>{PORT}</uuid><owner><name>a&lt;b</name><uuid>{OWNER['owner_uuid']}</uuid></owner>"


def text(element: str) -> str:
    """Which libvirt's own schema also takes."""
    found = xml.restored_port_text(xml.interface(element), **OWNER)
    schema = etree.RelaxNG(file="/usr/share/libvirt/schemas/networkport.rng")
    assert schema.validate(etree.fromstring(found)), schema.error_log
    return found


def test_all_that_a_port_can_have_is_taken_over() -> None:
    said = (
        "<virtualport type='openvswitch'><parameters interfaceid='09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f'/></virtualport>"
        "<bandwidth><inbound average='1000' floor='100'/></bandwidth><vlan><tag id='42'/></vlan><port isolated='yes'/>"
    )
    element = (
        f"<interface type='bridge' trustGuestRxFilters='yes'><mac address='52:54:00:00:00:01'/>"
        f"<source network='n' portgroup='gold' portid='{PORT}' bridge='br0'/><target dev='vnet0'/><model type='virtio'/>"
        f"{said}<alias name='ua-1'/></interface>"
    )
    assert text(element) == (
        f"<networkport>{HEAD}<group>gold</group><rxfilters trustGuest='yes'/><mac address='52:54:00:00:00:01'/>{said}</networkport>"
    )


def test_a_macvtap_says_where_it_is() -> None:
    element = (
        f"<interface type='direct'><mac address='52:54:00:00:00:01'/><source network='n' portid='{PORT}' dev='eth0' mode='bridge'/>"
        "<target dev='macvtap0'/><model type='virtio'/></interface>"
    )
    assert text(element) == (
        f"<networkport>{HEAD}<mac address='52:54:00:00:00:01'/><plug type='direct' dev='eth0' mode='bridge'/></networkport>"
    )
