"""How every text becomes XML: its size, document type and entities are checked first, and then a RELAX NG schema where there is one."""

from __future__ import annotations

import functools
import os
import threading
from pathlib import Path

from lxml import etree

from virtnetplug.errors import XmlInvalid, XmlTooLarge, XmlUnsafe

MAX_BYTES = 1024 * 1024
"""The most bytes an ``<interface>`` document may have; libvirt's own are under 3 KiB."""

MAX_DEFINITION_BYTES = 16 * MAX_BYTES
"""The most bytes of a whole definition; libvirt's own limit is 4 MiB (``VIR_NET_MESSAGE_STRING_MAX``)."""

_PARSER = etree.XMLParser(
    encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_blank_text=False
)

_FAULTS = {
    etree.ErrorTypes.ERR_DOCUMENT_EMPTY: "there is no XML in it",
    etree.ErrorTypes.ERR_DOCUMENT_END: "something follows the end of the document, or it ends too early",
    etree.ErrorTypes.ERR_TAG_NAME_MISMATCH: "a closing tag does not match the element it should close",
    etree.ErrorTypes.ERR_TAG_NOT_FINISHED: "an element is not closed before the text ends",
    etree.ErrorTypes.ERR_GT_REQUIRED: "a tag is not closed with '>'",
    etree.ErrorTypes.ERR_NAME_REQUIRED: "a '<' is not followed by a name (write &lt; for the character itself)",
    etree.ErrorTypes.ERR_ATTRIBUTE_NOT_STARTED: "an attribute's value is not in quotes",
    etree.ErrorTypes.ERR_ATTRIBUTE_NOT_FINISHED: "an attribute's value has no closing quote",
    etree.ErrorTypes.ERR_ATTRIBUTE_WITHOUT_VALUE: "an attribute has no value",
    etree.ErrorTypes.ERR_ATTRIBUTE_REDEFINED: "an attribute is given twice",
    etree.ErrorTypes.ERR_LT_IN_ATTRIBUTE: "an attribute's value has a '<' in it, or has no closing quote",
    etree.ErrorTypes.ERR_SPACE_REQUIRED: "two attributes have no space between them",
    etree.ErrorTypes.ERR_INVALID_CHAR: "it has a character that XML does not allow",
    etree.ErrorTypes.NS_ERR_UNDEFINED_NAMESPACE: "it uses a namespace prefix that is not declared",
}


def root_from(text: str, tag: str | None, *, limit: int = MAX_BYTES) -> etree._Element:
    """The root element of an untrusted document, which must be a `tag` (any, where that is None).

    Raises `XmlTooLarge` above `limit` bytes (before parsing), and `XmlUnsafe` for a document type or an entity.
    Raises `XmlInvalid` with the line for anything that is not well formed or has another root.
    """
    what = f"<{tag}> document" if tag else "XML"
    data = _bytes(text, what, limit)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise XmlUnsafe(
            f"the {what} has a document type declaration or an entity, which can be used to attack a parser. "
            f"None is ever needed: remove the line that begins with <!DOCTYPE or <!ENTITY"
        )
    try:
        root = etree.fromstring(data, _PARSER)
    except etree.XMLSyntaxError as error:
        raise _syntax_fault(error, what) from None
    if tag is not None and root.tag != tag:
        raise XmlInvalid(
            f"line {root.sourceline}: the document's root is <{root.tag}>, and <{tag}> is wanted"
            + ("; give just the element of the NIC, not the whole domain" if tag == "interface" else "")
        )
    return root


def _bytes(text: str, what: str, limit: int) -> bytes:
    too_large = len(text) > limit
    try:
        data = b"" if too_large else text.encode()
    except UnicodeEncodeError:
        raise XmlInvalid(f"the {what} has a character that is not valid text; save it as UTF-8") from None
    size = len(text) if too_large else len(data)
    if size > limit:
        raise XmlTooLarge(
            f"the {what} has {size:,} bytes, and at most {limit:,} are read; "
            f"give only what is needed, without anything around it"
        )
    return data


def _syntax_fault(error: etree.XMLSyntaxError, what: str) -> XmlInvalid | XmlUnsafe:
    line = error.lineno or 1
    code = getattr(error, "code", None)
    if code in (etree.ErrorTypes.ERR_UNDECLARED_ENTITY, etree.ErrorTypes.WAR_UNDECLARED_ENTITY):
        return XmlUnsafe(
            f"line {line}: the {what} uses an entity of its own; "
            f"write the characters themselves (only &amp; &lt; &gt; &quot; &apos; are known)"
        )
    fault = _FAULTS.get(code, "it breaks a rule of XML there")
    return XmlInvalid(f"line {line}: the {what} is not well-formed XML: {fault}")


SCHEMAS = Path("/usr/share/libvirt/schemas")
"""Where libvirt installs its RELAX NG schemas."""

_OWN = Path(__file__).parent.parent / "xml_schemas"
_COMPILING = threading.Lock()


class Schema:
    """A compiled schema; safe from many threads."""

    def __init__(self, text: bytes, base_url: str = "") -> None:
        self._schema = etree.RelaxNG(etree.fromstring(text, base_url=base_url))
        self._lock = threading.Lock()

    def fault(self, root: etree._Element) -> str | None:
        """The first thing that the schema refuses, in libxml2's words; None for a valid element."""
        with self._lock:
            if self._schema.validate(root):
                return None
            last = self._schema.error_log.last_error
        return f"line {last.line}: {last.message}" if last is not None else "it is not valid"


@functools.cache
def own_schema(name: str) -> Schema:
    """The schema of virtnetplug's own that has this file name."""
    return Schema((_OWN / name).read_bytes())


def validate(element: str, schemas: str | os.PathLike[str] = SCHEMAS) -> str | None:
    """Check an ``<interface>`` against the schema of the libvirt installed here, compiled once per process.

    Raises `XmlInvalid` with the line, what is not understood and what would be. Returns None if all is well, or a
    sentence of warning where the host has no usable schema and nothing was checked.
    """
    root = root_from(element, "interface")
    with _COMPILING:
        schema = _schema_in(Path(schemas))
    if isinstance(schema, str):
        return schema
    if schema.fault(root) is None:
        return None
    from virtnetplug.xml.grammar import Grammar

    raise XmlInvalid(Grammar(Path(schemas)).explain(root))


@functools.cache
def _schema_in(schemas: Path) -> Schema | str:
    if not (schemas / "domaincommon.rng").is_file():
        return f"libvirt's schemas are not in {schemas}, so the element was not checked against them"
    try:
        # The wrapper's include is relative: with this base it is the host's own domaincommon.rng.
        return Schema((_OWN / "interface.rng").read_bytes(), str(schemas / "virtnetplug-interface.rng"))
    except (etree.RelaxNGError, etree.XMLSyntaxError, OSError) as error:
        return f"libvirt's schemas in {schemas} cannot be used ({error}), so the element was not checked against them"
