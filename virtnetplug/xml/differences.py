"""Two pieces of XML, side by side for a person."""

from __future__ import annotations

from lxml import etree

from virtnetplug.xml.parser import MAX_DEFINITION_BYTES, root_from
from virtnetplug.xml.written import Written


def diff(before: str, after: str, name: str) -> str:
    """A unified diff of two pieces of XML, empty if they say the same; each of its lines ends with a newline. Either may be empty text.

    Both are brought to one form first (indentation, quotes), so only what differs in meaning or order shows.
    """
    import difflib

    lines = difflib.unified_diff(
        _lines(before), _lines(after), fromfile=f"{name} (before)", tofile=f"{name} (after)", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


def _lines(text: str) -> list[str]:
    if not text.strip():
        return []
    root = root_from(text, None, limit=MAX_DEFINITION_BYTES)
    etree.indent(root)
    return Written(root).write().splitlines()
