"""What a running guest carries with it, as an element of its own in the ``<metadata>`` of its live definition.

Earlier versions of virtnetplug leave it as it is: its namespace is not that of what they remember of the domain (`metadata`).
"""

from __future__ import annotations

import functools
import threading
from pathlib import Path

from lxml import etree

from virtnetplug.errors import MetadataInvalid, MetadataTooNew, XmlInvalid, XmlTooLarge
from virtnetplug.model.travelling import Asked, KnownNic, Travelling
from virtnetplug.xml.parser import MAX_DEFINITION_BYTES, root_from

TRAVELLING = "urn:virtnetplug:guest"
"""The namespace of what travels."""

TRAVELLING_PREFIX = "virtnetplug-guest"
"""What libvirt writes before it."""

VERSION = 1
MOST_BYTES = 256 * 1024
"""The most that is read: some thousand NICs."""

_SCHEMA = Path(__file__).parent.parent / "xml_schemas" / "guest-metadata.rng"
_VALIDATING = threading.Lock()
_REMEDY = f"'virsh metadata DOMAIN {TRAVELLING} --live' shows it, and 'virsh metadata --remove' deletes it"


def is_marked(domain_xml: str, operation_id: str) -> bool:
    """Whether that definition says that the operation asked this guest, also if it is ending."""
    return TRAVELLING in domain_xml and f" id='{operation_id}'" in domain_xml.replace('"', "'")


def travelling(text: str | None) -> Travelling:
    """What the element as libvirt gives it says; nothing for None or an empty text.

    Raises `MetadataTooNew` for a later version, and `MetadataInvalid` for what virtnetplug would not have written.
    """
    if not text:
        return Travelling()
    try:
        root = root_from(text, None, limit=MOST_BYTES)
    except (XmlInvalid, XmlTooLarge) as fault:
        raise _broken(fault.message) from None
    for node in root.iter(etree.Element):
        if etree.QName(node).namespace is None:
            node.tag = f"{{{TRAVELLING}}}{node.tag}"
    version = root.get("version", "")
    if version.isascii() and version.isdecimal() and len(version) < 10 and int(version) > VERSION:
        raise MetadataTooNew(
            f"what the guest carries with it in its metadata has version {version}, and this virtnetplug reads up to version {VERSION}: a newer "
            "virtnetplug wrote it. Upgrade virtnetplug; what a guest was asked for on another host is not known here."
        )
    with _VALIDATING:
        schema = _schema()
        if not schema.validate(root):
            fault_there = schema.error_log.last_error
            raise _broken(f"it is not as {_SCHEMA.name} has it ({fault_there.message if fault_there else ''})")
    asked = root.iterfind(f"{{{TRAVELLING}}}asked")
    return Travelling(
        domain_uuid=root.get("uuid", ""),
        nics=_nics(root),
        asked=tuple(
            Asked(
                node.get("operation", ""),
                node.get("id", ""),
                node.get("scope", ""),
                node.get("process", ""),
                _nics(node),
            )
            for node in asked
        ),
        ending=tuple(node.get("id", "") for node in root.iterfind(f"{{{TRAVELLING}}}ending")),
    )


def carried_in(domain_xml: str) -> Travelling:
    """The same of a whole live definition; nothing if it was written for another domain."""
    if TRAVELLING not in domain_xml:
        return Travelling()
    root = root_from(domain_xml, "domain", limit=MAX_DEFINITION_BYTES)
    node = root.find(f"metadata/{{{TRAVELLING}}}guest")
    found = Travelling() if node is None else travelling(etree.tostring(node, encoding="unicode", with_tail=False))
    return found if found.domain_uuid == root.findtext("uuid") else Travelling()


def travelling_text(carried: Travelling) -> str:
    """The element without its namespace, as libvirt takes it; empty where there is nothing to carry."""
    if carried.is_empty:
        return ""
    root = etree.Element("guest", version=str(VERSION), uuid=carried.domain_uuid)
    _put(root, carried.nics)
    for each in carried.asked:
        names = {"operation": each.operation, "id": each.id, "scope": each.scope, "process": each.process}
        _put(etree.SubElement(root, "asked", names), each.nics)
    for operation_id in carried.ending:
        etree.SubElement(root, "ending", id=operation_id)
    return etree.tostring(root, encoding="unicode")


def _put(node: etree._Element, nics: tuple[KnownNic, ...]) -> None:
    for nic in nics:
        child = etree.SubElement(node, "nic", alias=nic.alias, mac=nic.mac, source=nic.source)
        if nic.address:
            child.set("address", nic.address)


def _nics(node: etree._Element) -> tuple[KnownNic, ...]:
    found = node.iterfind(f"{{{TRAVELLING}}}nic")
    return tuple(KnownNic(*(nic.get(part, "") for part in ("alias", "mac", "source", "address"))) for nic in found)


def _broken(what: str) -> MetadataInvalid:
    return MetadataInvalid(f"what the guest carries with it in its metadata cannot be read: {what}. {_REMEDY}.")


@functools.cache
def _schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.fromstring(_SCHEMA.read_bytes()))
