"""virtnetplug's own element in a domain's ``<metadata>``: read in every version there was, written in the newest.

libvirt gives it without its namespace, takes it only so (``virXMLInjectNamespace``), and puts whatever is in it into our
namespace: an ``<interface>`` is kept as text. The form is that of ``xml_schemas/domain-metadata.rng``.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from lxml import etree

from virtnetplug.errors import InvariantBroken, MetadataInvalid, MetadataTooNew, Refused, XmlInvalid, XmlUnsafe
from virtnetplug.model.identity import DomainMetadata, Identity, UnplugPolicy
from virtnetplug.xml.nets import interface
from virtnetplug.xml.parser import MAX_DEFINITION_BYTES, root_from
from virtnetplug.xml.written import Written

NAMESPACE = "urn:virtnetplug:domain"
"""Of all that virtnetplug keeps with a domain."""

PREFIX = "virtnetplug"
"""What libvirt writes before our elements (the key of ``virDomainSetMetadata``)."""

VERSION = 2
"""The version that is written."""

_ROOT = "domain"
_MOST_DIGITS = 9  # of a version: Python turns no number of thousands of digits into an int
_SCHEMA = Path(__file__).parent.parent / "xml_schemas" / "domain-metadata.rng"
_VALIDATING = threading.Lock()
_REMEDY = (
    f"'virsh metadata DOMAIN {NAMESPACE}' shows it ('virsh metadata --config' that of the next boot); "
    "'virsh metadata --edit' mends it, and 'virsh metadata --remove' deletes it, with what it remembers of the domain's NICs"
)


def metadata(text: str | None) -> DomainMetadata:
    """What a document as libvirt gives it says; nothing, for None or an empty text.

    Raises `MetadataTooNew` for a version that is not known yet, `XmlUnsafe` for a document type or an entity, also in the
    elements it keeps, `XmlTooLarge`, and `MetadataInvalid` for anything that virtnetplug would not have written.
    """
    if not text:
        return DomainMetadata()
    try:
        root = root_from(text, None, limit=MAX_DEFINITION_BYTES)
        _rename(root)
        read = _READERS[_version(root)]
        _validate(root)
        return read(root)
    except (XmlInvalid, InvariantBroken) as fault:
        raise _broken(fault.message) from None


def metadata_text(remembered: DomainMetadata) -> str:
    """The document of the newest version, without a namespace; the empty text where there is nothing to remember."""
    if remembered.is_empty:
        return ""
    root = etree.Element(_ROOT, version=str(VERSION))
    for identity in remembered.identities:
        _put_identity(root, identity)
    if remembered.unplug is not None:
        etree.SubElement(root, "unplug", policy=remembered.unplug.value)
    for group in remembered.activation:
        node = etree.SubElement(root, "activation")
        for alias in group:
            etree.SubElement(node, "nic", alias=alias)
    return Written(root).write()


def _put_identity(root: etree._Element, identity: Identity) -> None:
    node = etree.SubElement(root, "identity", alias=identity.alias)
    if identity.vif:
        node.set("vif", identity.vif)
    if identity.is_out:
        node.set("out", "yes")
    for name, element in (("live", identity.live), ("config", identity.config)):
        if element is not None:
            etree.SubElement(node, name).text = element


def _rename(root: etree._Element) -> None:
    """Put what has no namespace into ours, as it is inside the domain's definition and in the schema."""
    for node in root.iter(etree.Element):
        if etree.QName(node).namespace is None:
            node.tag = f"{{{NAMESPACE}}}{node.tag}"


def _version(root: etree._Element) -> int:
    if root.tag != f"{{{NAMESPACE}}}{_ROOT}":
        raise _broken(f"its root is <{etree.QName(root).localname}>, and <{_ROOT}> is wanted")
    written = root.get("version", "")
    if not (written.isascii() and written.isdecimal()) or not written.strip("0"):
        raise _broken(f"its version is '{written}', and versions are numbers from 1")
    if len(written) > _MOST_DIGITS or int(written) > VERSION:
        raise MetadataTooNew(
            f"what the domain's metadata remembers of its NICs has version {written}, and this virtnetplug reads up to "
            f"version {VERSION}: a newer virtnetplug wrote it. Upgrade virtnetplug; nothing of the domain was changed."
        )
    return int(written)


def _validate(root: etree._Element) -> None:
    with _VALIDATING:
        schema = _schema()
        if schema.validate(root):
            return
        fault = schema.error_log.last_error
    line = "" if fault is None else f"line {fault.line}: "
    raise _broken(f"{line}it is not as {_SCHEMA.name} has it" + ("" if fault is None else f" ({fault.message})"))


@functools.cache
def _schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.fromstring(_SCHEMA.read_bytes()))


def _read_version_1(root: etree._Element) -> DomainMetadata:
    return DomainMetadata(identities=tuple(_identities(root)))


def _read_version_2(root: etree._Element) -> DomainMetadata:
    unplug = root.find(_tag("unplug"))
    return DomainMetadata(
        identities=tuple(_identities(root)),
        unplug=None if unplug is None else UnplugPolicy(unplug.get("policy", "")),
        activation=tuple(
            tuple(nic.get("alias", "") for nic in group.iterfind(_tag("nic")))
            for group in root.iterfind(_tag("activation"))
        ),
    )


_READERS: Mapping[int, Callable[[etree._Element], DomainMetadata]] = {1: _read_version_1, VERSION: _read_version_2}
"""From each version there was, what it says. One more is one more row here, and one more choice in the schema."""


def _identities(root: etree._Element) -> Iterator[Identity]:
    for node in root.iterfind(_tag("identity")):
        yield Identity(
            alias=node.get("alias", ""),
            vif=node.get("vif", ""),
            live=_element(node, "live"),
            config=_element(node, "config"),
            is_out=node.get("out") == "yes",
        )


def _element(node: etree._Element, name: str) -> str | None:
    text = node.findtext(_tag(name))
    if text is None:
        return None
    try:
        interface(text)
    except XmlUnsafe:
        raise
    except Refused as fault:
        raise _broken(f"the {name} element of NIC {node.get('alias')}: {fault.message}") from None
    return text


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _broken(what: str) -> MetadataInvalid:
    return MetadataInvalid(f"what the domain's metadata remembers of its NICs cannot be read: {what}. {_REMEDY}.")
