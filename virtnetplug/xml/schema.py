"""The host's own libvirt schema, asked about one ``<interface>``."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from lxml import etree

from virtnetplug.errors import XmlInvalid
from virtnetplug.xml.parser import root_from

SCHEMAS = Path("/usr/share/libvirt/schemas")
"""Where libvirt installs its RELAX NG schemas."""

_WRAPPER = Path(__file__).parent.parent / "xml_schemas" / "interface.rng"
_COMPILING = threading.Lock()
_compiled: dict[Path, Compiled | str] = {}


class Compiled:
    """The compiled schema of one directory; safe from many threads."""

    def __init__(self, schemas: Path) -> None:
        # The wrapper's include is relative: with this base it is the host's own domaincommon.rng.
        wrapper = etree.fromstring(_WRAPPER.read_bytes(), base_url=str(schemas / "virtnetplug-interface.rng"))
        self.schemas = schemas
        self._schema = etree.RelaxNG(wrapper)
        self._lock = threading.Lock()

    def accepts(self, root: etree._Element) -> bool:
        """Whether the element is valid."""
        with self._lock:
            return bool(self._schema.validate(root))


def validate(element: str, schemas: str | os.PathLike[str] = SCHEMAS) -> str | None:
    """Check an ``<interface>`` against the schema of the libvirt installed here, compiled once per process.

    Raises `XmlInvalid` with the line, what is not understood and what would be. Returns None if all is well, or a
    sentence of warning where the host has no usable schema and nothing was checked.
    """
    root = root_from(element, "interface")
    schema = _schema_in(Path(schemas))
    if isinstance(schema, str):
        return schema
    if schema.accepts(root):
        return None
    from virtnetplug.xml.grammar import Grammar

    raise XmlInvalid(Grammar(schema.schemas).explain(root))


def _schema_in(schemas: Path) -> Compiled | str:
    with _COMPILING:
        if schemas not in _compiled:
            _compiled[schemas] = _compile(schemas)
        return _compiled[schemas]


def _compile(schemas: Path) -> Compiled | str:
    if not (schemas / "domaincommon.rng").is_file():
        return f"libvirt's schemas are not in {schemas}, so the element was not checked against them"
    try:
        return Compiled(schemas)
    except (etree.RelaxNGError, etree.XMLSyntaxError, OSError) as error:
        return f"libvirt's schemas in {schemas} cannot be used ({error}), so the element was not checked against them"
