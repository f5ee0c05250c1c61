"""RELAX NG schemas: virtnetplug's own, and libvirt's as the host has them, asked about one ``<interface>``."""

from __future__ import annotations

import functools
import os
import threading
from pathlib import Path

from lxml import etree

from virtnetplug.errors import XmlInvalid
from virtnetplug.xml.parser import root_from

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
