"""virtnetplug's own elements in a domain's ``<metadata>``: what it remembers of the domain, and what a running guest carries with it.

libvirt gives and takes such an element without its namespace, and puts all that is inside into the same namespace
(``virXMLInjectNamespace``). So an ``<interface>`` is kept as text. The forms are those of ``xml_schemas/domain-metadata.rng`` and
``guest-metadata.rng``. Each element has its own namespace: early versions of virtnetplug know the first alone, and leave the second as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lxml import etree

from virtnetplug.errors import (
    InvariantBroken,
    MetadataInvalid,
    MetadataTooNew,
    Refused,
    XmlInvalid,
    XmlTooLarge,
    XmlUnsafe,
)
from virtnetplug.model.identity import DomainMetadata, Identity, UnplugPolicy
from virtnetplug.model.travelling import Asked, KnownNic, Travelling
from virtnetplug.xml.documents import interface
from virtnetplug.xml.kinds import TEXT, YES_NO, Kind
from virtnetplug.xml.mapping import Attribute, Element, Only, Parts, Text, namesakes
from virtnetplug.xml.parser import MAX_BYTES, MAX_DEFINITION_BYTES, own_schema, root_from
from virtnetplug.xml.written import Written

NAMESPACE = "urn:virtnetplug:domain"
"""The namespace of what virtnetplug remembers of a domain."""

PREFIX = "virtnetplug"
"""What libvirt writes before the elements of `NAMESPACE` (the key of ``virDomainSetMetadata``)."""

TRAVELLING = "urn:virtnetplug:guest"
"""The namespace of what a running guest carries with it, in its live definition."""

TRAVELLING_PREFIX = "virtnetplug-guest"
"""What libvirt writes before the elements of `TRAVELLING`."""

_MOST_DIGITS = 9  # of a version: Python turns no number of thousands of digits into an int


_NIC = Element(
    KnownNic,
    **namesakes("", TEXT, "alias", "mac", "source"),
    address=Attribute("@address", TEXT, default=""),
)
_ASKED = Element(Asked, **namesakes("", TEXT, "operation", "id", "scope", "process"), nics=Parts("nic", _NIC))
_GUEST = Element(
    Travelling,
    domain_uuid=Attribute("@uuid", TEXT),
    nics=Parts("nic", _NIC),
    asked=Parts("asked", _ASKED),
    ending=Parts("ending", Only(id=Attribute("@id", TEXT))),
)
_IDENTITY = Element(
    Identity,
    alias=Attribute("@alias", TEXT),
    vif=Attribute("@vif", TEXT, default=""),
    is_out=Attribute("@out", YES_NO, default=False),
    live=Text("live", missing=None),
    config=Text("config", missing=None),
)
_DOMAIN = Element(
    DomainMetadata,
    identities=Parts("identity", _IDENTITY),
    unplug=Attribute("unplug/@policy", Kind("a policy", UnplugPolicy)),
    activation=Parts("activation", Only(nics=Parts("nic", Only(alias=Attribute("@alias", TEXT))))),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """An element of virtnetplug's own. `version` is the newest, which is written; `subject`, `remedy` and `upgrade` are for messages."""

    namespace: str
    tag: str
    version: int
    limit: int
    schema: str
    element: Element
    subject: str
    remedy: str
    upgrade: str

    def read(self, text: str) -> Any:
        """The value of a document as libvirt gives it.

        Raises `MetadataTooNew`, `XmlUnsafe`, `XmlTooLarge`, and `MetadataInvalid` for anything that virtnetplug would not have written.
        """
        try:
            root = root_from(text, None, limit=self.limit)
            self._check(root)
            return self.element.load(root)
        except (XmlInvalid, InvariantBroken) as fault:
            raise self.broken(fault.message) from None

    def _check(self, root: etree._Element) -> None:
        """Refuse what virtnetplug did not write, and take the namespace from the nodes."""
        for node in root.iter(etree.Element):
            if etree.QName(node).namespace is None:
                node.tag = f"{{{self.namespace}}}{node.tag}"
        if root.tag != f"{{{self.namespace}}}{self.tag}":
            raise self.broken(f"its root is <{etree.QName(root).localname}>, and <{self.tag}> is wanted")
        written = root.get("version", "")
        if not (written.isascii() and written.isdecimal()) or not written.strip("0"):
            raise self.broken(f"its version is '{written}', and versions are numbers from 1")
        if len(written) > _MOST_DIGITS or int(written) > self.version:
            raise MetadataTooNew(
                f"{self.subject} has version {written}, and this virtnetplug reads up to version {self.version}: "
                f"a newer virtnetplug wrote it. Upgrade virtnetplug; {self.upgrade}."
            )
        fault = own_schema(self.schema).fault(root)
        if fault is not None:
            raise self.broken(f"{fault} ({self.schema})")
        for node in root.iter(etree.Element):
            node.tag = etree.QName(node).localname

    def write(self, value: Any) -> str:
        """The document of the newest version, without a namespace; the empty text where there is nothing to keep."""
        if value.is_empty:
            return ""
        root = etree.Element(self.tag, version=str(self.version))
        self.element.store(root, value)
        return Written(root).write()

    def broken(self, what: str) -> MetadataInvalid:
        """The error of a document that cannot be read."""
        return MetadataInvalid(f"{self.subject} cannot be read: {what}. {self.remedy}.")


_REMEMBERED = _Document(
    namespace=NAMESPACE,
    tag="domain",
    version=2,
    limit=MAX_DEFINITION_BYTES,
    schema="domain-metadata.rng",
    element=_DOMAIN,
    subject="what the domain's metadata remembers of its NICs",
    remedy=f"'virsh metadata DOMAIN {NAMESPACE}' shows it ('virsh metadata --config' that of the next boot); "
    "'virsh metadata --edit' mends it, and 'virsh metadata --remove' deletes it, with what it remembers of the domain's NICs",
    upgrade="nothing of the domain was changed",
)
_CARRIED = _Document(
    namespace=TRAVELLING,
    tag="guest",
    version=1,
    limit=MAX_BYTES // 4,  # some thousand NICs
    schema="guest-metadata.rng",
    element=_GUEST,
    subject="what the guest carries with it in its metadata",
    remedy=f"'virsh metadata DOMAIN {TRAVELLING} --live' shows it, and 'virsh metadata --remove' deletes it",
    upgrade="what a guest was asked for on another host is not known here",
)


metadata_text: Callable[[DomainMetadata], str] = _REMEMBERED.write
travelling_text: Callable[[Travelling], str] = _CARRIED.write


def metadata(text: str | None) -> DomainMetadata:
    """What virtnetplug remembers of a domain, by the document as libvirt gives it; nothing for None or an empty text.

    Raises `MetadataTooNew` for a version that is not known yet, `XmlTooLarge`, and `XmlUnsafe` for a document type or an entity, also in
    the kept elements. Raises `MetadataInvalid` for anything that virtnetplug would not have written.
    """
    remembered: DomainMetadata = _REMEMBERED.read(text) if text else DomainMetadata()
    for identity in remembered.identities:
        for name, element in (("live", identity.live), ("config", identity.config)):
            try:
                if element is not None:
                    interface(element)
            except XmlUnsafe:
                raise
            except Refused as fault:
                raise _REMEMBERED.broken(f"the {name} element of NIC {identity.alias}: {fault.message}") from None
    return remembered


def travelling(text: str | None) -> Travelling:
    """What a running guest carries with it, by the document as libvirt gives it; nothing for None or an empty text.

    Raises `MetadataTooNew` for a later version, and `MetadataInvalid` for what virtnetplug would not have written.
    """
    try:
        carried: Travelling = _CARRIED.read(text) if text else Travelling()
    except XmlTooLarge as fault:
        raise _CARRIED.broken(fault.message) from None
    return carried


def carried_in(domain_xml: str) -> Travelling:
    """What the guest of a whole live definition carries with it; nothing if it was written for another domain."""
    if TRAVELLING not in domain_xml:
        return Travelling()
    root = root_from(domain_xml, "domain", limit=MAX_DEFINITION_BYTES)
    node = root.find(f"metadata/{{{TRAVELLING}}}guest")
    found = Travelling() if node is None else travelling(etree.tostring(node, encoding="unicode", with_tail=False))
    return found if found.domain_uuid == root.findtext("uuid") else Travelling()


def is_marked(domain_xml: str, operation_id: str) -> bool:
    """Whether a definition says that the operation asked its guest, also if the operation is ending."""
    return TRAVELLING in domain_xml and f" id='{operation_id}'" in domain_xml.replace('"', "'")
