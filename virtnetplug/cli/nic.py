"""What a person hands in: keys and their texts become an `Interface` to attach, or the changes of an update; XML is read from files."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from virtnetplug.cli.keys import BY_NAME, YES_NO, Key, parsed
from virtnetplug.errors import UsageError, XmlInvalid, XmlTooLarge
from virtnetplug.model.interface import Interface, VirtualPort

MAX_XML = 1 << 20
"""Bytes; a NIC's element is a few hundred."""
_SOURCE_TYPES = {"network": "network", "bridge": "bridge", "dev": "direct"}
_NOT_OF_DIRECT = ("source_network", "source_portgroup", "source_portid", "source_bridge")


def values_from_text(text: str) -> dict[str, str]:
    """``key=value,key=value,…`` as a mapping by canonical key name.

    A part without ``=`` continues the list before it (``vlan=10,20``) or is a boolean key alone (``isolated``).
    Raises `UsageError` for an unknown or repeated key.
    """
    found: dict[str, str] = {}
    last: Key | None = None
    for part in text.split(","):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals and last is not None and last.kind.is_list and name not in BY_NAME:
            found[last.name] += f",{name}"
            continue
        key = _known(name)
        if not equals and key.kind is not YES_NO:
            raise UsageError(f"--nic {text}: '{key.name}' needs a value; write {key.name}={key.kind.metavar}.")
        if key.name in found:
            raise UsageError(f"--nic {text}: '{key.name}' is there twice; a NIC has one.")
        found[key.name] = value.strip() if equals else "yes"
        last = key
    return found


def interface_from_values(values: Mapping[str, str]) -> Interface:
    """The NIC that `values` (texts by key name) describe; its type follows from its source if `values` lack the type.

    Raises `UsageError` where they contradict each other or say too little.
    """
    fields = _fields(_with_source(values), clearing=False)
    if fields["type"] == "hostdev":  # by itself: the element says which, and libvirt does the binding
        fields |= {"source_pci": fields.pop("vf"), "managed": True}
    return Interface(**fields)


def changes_from_values(values: Mapping[str, str]) -> dict[str, Any]:
    """Changes of an update by `Interface` field, None to remove one; a source brings its type.

    Raises `UsageError` where they contradict each other, or there are none.
    """
    if not values:
        raise UsageError(
            "There is nothing to update; say what to change, for example --link down, or the new XML with --xml."
        )
    has_source = any(name in values for name in (*_SOURCE_TYPES, "source"))
    fields = _fields(_with_source(values) if has_source else dict(values), clearing=True)
    if fields.get("type") == "direct":
        fields.update(dict.fromkeys(_NOT_OF_DIRECT))
    return fields


def _known(name: str) -> Key:
    key = BY_NAME.get(name)
    if key is None:
        import difflib

        near = difflib.get_close_matches(name, BY_NAME, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else f" Known are: {', '.join(sorted(BY_NAME))}."
        raise UsageError(f"A NIC has no key '{name}'.{hint}")
    return key


def _with_source(values: Mapping[str, str]) -> dict[str, str]:
    """`values` with ``source`` spelt as what the type makes it, and the type that follows from the source."""
    values = dict(values)
    if "source" in values:
        named = {kind: name for name, kind in _SOURCE_TYPES.items()}.get(values.get("type", ""))
        if named is None:
            raise UsageError("--source needs --type network, bridge or direct to say what it names.")
        if named in values:
            raise UsageError(f"--source and --{named} say the same thing; leave one out.")
        values[named] = values.pop("source")
    given = [name for name in _SOURCE_TYPES if name in values]
    if len(given) > 1:
        raise UsageError(f"A NIC has one source: say only one of {' and '.join('--' + name for name in given)}.")
    if given and values.setdefault("type", _SOURCE_TYPES[given[0]]) != _SOURCE_TYPES[given[0]]:
        raise UsageError(
            f"--{given[0]} makes a NIC of type {_SOURCE_TYPES[given[0]]}, not {values['type']}; leave --type out."
        )
    if "vf" in values and not given:
        values.setdefault("type", "hostdev")
    if "type" not in values:
        raise UsageError(
            "Say what the NIC connects to: --network NAME, --bridge NAME, --dev DEV, --vf PCI, or a --type that needs none."
        )
    if values["type"] == "hostdev" and "vf" not in values:
        raise UsageError(
            "A NIC of type hostdev needs a device: add --vf PCI, or --network NAME for the best one of a pool."
        )
    if "pf" in values and "network" not in values:
        raise UsageError("--pf chooses among the VFs of a network: add --network NAME, or name one with --vf.")
    if values["type"] in _SOURCE_TYPES.values() and not given:
        needed = next(name for name, kind in _SOURCE_TYPES.items() if kind == values["type"])
        raise UsageError(f"A NIC of type {values['type']} needs a source: add --{needed} NAME.")
    return values


def _fields(values: Mapping[str, str], *, clearing: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    port: dict[str, str] = {}
    for name, value in values.items():
        key = BY_NAME[name]
        if clearing and key.can_clear and value in ("", "none"):
            fields[key.field.partition(".")[0]] = None
        elif not value:
            raise UsageError(f"{name} needs a value: {key.kind.metavar}.")
        elif key.field.startswith("virtualport."):
            port[key.field.partition(".")[2]] = parsed(name, key.kind.parse, value)
        else:
            fields[key.field] = parsed(name, key.kind.parse, value)
    if port:
        if "virtualport" in fields:
            raise UsageError(
                "--virtualport-type none removes it all; --interfaceid and --profileid have no place beside it."
            )
        if clearing and "type" not in port:
            raise UsageError("A virtual port is replaced as a whole: say its --virtualport-type too.")
        fields["virtualport"] = VirtualPort(**port)
    return fields


def read_elements(names: Sequence[str]) -> list[str]:
    """The text of each file, ``-`` (once) being standard input; raises `XmlTooLarge` after `MAX_XML` + 1 bytes."""
    if names.count("-") > 1:
        raise UsageError("Standard input can be read once; give --xml - only once, and files for the rest.")
    return [_read(name) for name in names]


def _read(name: str) -> str:
    called = "standard input" if name == "-" else f"'{name}'"
    try:
        if name == "-":
            data = _limited(sys.stdin.buffer)
        else:
            with open(name, "rb", buffering=0) as file:
                data = _limited(file)
    except OSError as error:
        raise UsageError(
            f"{called} cannot be read ({error.strerror}); give --xml a readable file, or - for standard input."
        ) from error
    if len(data) > MAX_XML:
        raise XmlTooLarge(
            f"The XML in {called} is larger than {MAX_XML // 1024} KiB, and a NIC's is a few hundred bytes; "
            "give the <interface> element alone."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise XmlInvalid(f"The XML in {called} is not UTF-8 (byte {error.start}); save it as UTF-8.") from error


def _limited(file: BinaryIO) -> bytes:
    """All of `file`, but never more than one byte above the limit; an unbuffered read may return less than asked."""
    data = bytearray()
    while len(data) <= MAX_XML and (piece := file.read(MAX_XML + 1 - len(data))):
        data += piece
    return bytes(data)
