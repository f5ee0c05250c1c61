"""Backends of other packages: found by their entry points, loaded once, and held to the contract at each call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import Any

from virtnetplug import xml
from virtnetplug.backends import Backend, Order
from virtnetplug.errors import BackendFailed, VirtnetplugError
from virtnetplug.lifecycle import State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.audit import Finding
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Phase, Refusal

GROUP = "virtnetplug.backends"

NO_SUCH_TYPE = ActualDevice(type="virtnetplug-no-such-type")
"""A backend that serves this type would take every NIC."""


def installed() -> tuple[tuple[ThirdParty, ...], tuple[str, ...]]:
    """The backends of other packages, by the names of their entry points, and what is wrong with those that cannot be used."""
    if not _is_group_named():
        return (), ()
    from importlib.metadata import entry_points

    found: list[ThirdParty] = []
    unusable: list[str] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        package = f" of package {point.dist.name} {point.dist.version}" if point.dist is not None else ""
        name = f"the backend '{point.name}'{package}"
        try:
            with redirect_stdout(sys.stderr):  # what a package prints is no part of an answer
                backend = ThirdParty(name, point.load())
            if backend.serves(NO_SUCH_TYPE):
                raise BackendFailed("it serves every type of NIC, also a type that does not exist")
            found.append(backend)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever another package raises, the others serve
            why = error.message if isinstance(error, BackendFailed) else _text(error)
            unusable.append(f"{name} cannot be used: {why}. Other backends serve its NICs. Mend or remove the package.")
    return tuple(found), tuple(unusable)


def _is_group_named() -> bool:
    """Whether an installed package may name the group. `importlib.metadata` takes 20 ms to say so; it alone looks into eggs."""
    for entry in map(Path, sys.path):
        if entry.is_file():  # a zip or an egg
            return True
        for file in (*entry.glob("*-info/entry_points.txt"), entry / "EGG-INFO" / "entry_points.txt"):
            with suppress(OSError):  # a file that this user may not read is none to `importlib.metadata` either
                if GROUP.encode() in file.read_bytes():
                    return True
    return False


class ThirdParty(Backend):
    """A backend of another package. What it does against the contract becomes an error that names package and entry point.

    A question that is asked of each NIC of a list must not fail: then `faults` keeps what was wrong.
    """

    def __init__(self, name: str, backend: object) -> None:
        self.name, self._backend = name, backend
        self.faults: dict[str, str] = {}
        """What was wrong with its last answer to each method."""
        for trait, is_right in _TRAITS.items():
            value = getattr(backend, trait, getattr(Backend, trait))
            if not is_right(value):
                raise BackendFailed(f"its '{trait}' is {_shown(value)}, which the contract does not allow")
            setattr(self, trait, value)
        for method in _ANSWERS:
            setattr(self, method, partial(self._ask, method))

    def _ask(self, method: str, *args: Any) -> Any:
        try:
            answer = getattr(self._backend, method, partial(getattr(Backend, method), self))(*args)
            if _ANSWERS[method](answer) and (method != "plug" or _is_of(args[1], answer)):
                self.faults.pop(method, None)
                return answer
            fault = f"answered '{method}' with {_shown(answer)}, which the contract does not allow"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also SystemExit and asyncio.CancelledError
            if isinstance(error, VirtnetplugError) and method not in _OTHERWISE:
                raise
            fault = f"failed in '{method}' with {_text(error)}"
        failed = BackendFailed(f"{self.name} {fault}. Mend or remove the package.")
        if method not in _OTHERWISE:
            raise failed
        self.faults[method] = failed.message
        return _OTHERWISE[method]


def _shown(value: object) -> str:
    try:
        return f"{type(value).__name__} {repr(value)[:60]}"
    except Exception:  # noqa: BLE001 - it is another package's
        return type(value).__name__


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - its text may fail as well
        return type(error).__name__


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def _are(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple | set | frozenset) and all(map(_is(kind), value))


def _are_steps(value: Any) -> bool:
    return _are(tuple)(value) and all([*map(type, step)] == [str, Phase] for step in value)


def _are_refusals(value: Any) -> bool:
    return _are(Refusal)(value) and all(
        _is(str)(part) for each in value for part in (each.reason, each.message, each.nic)
    )


def _is_of(order: Order, plugged: Interface) -> bool:
    """Whether the element goes to the guest with the alias and MAC of the order, by which the NIC is looked for and undone."""
    try:
        sent = xml.interface(plugged.element)
    except VirtnetplugError:
        return False
    names = (plugged.alias, sent.alias) if is_lasting(order.net.alias) else ()
    return {order.net.mac} == {plugged.mac, sent.mac} and {*names} <= {order.net.alias}


def _are_settings(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(setting, str | int | bool | None) for name, setting in value.items()
    )


def _is_own_step(value: Any) -> bool:
    return isinstance(value, str) and value not in OURS


OURS = frozenset(("ask", "confirm", "define", "guest_release", "remember", "reserve", "undefine"))
"""Steps of an operation, which no backend may call its own by."""

_TRAITS: Mapping[str, Callable[[Any], bool]] = {
    "plug_steps": _are_steps,
    **dict.fromkeys(("attach_step", "release_step"), _is_own_step),
    **dict.fromkeys(("updatable", "linked_types", "shown_types", "audited_types"), _are(str)),
    **dict.fromkeys(("is_lent", "migrates", "locks_memory", "is_express"), _is(bool)),
}
_ANSWERS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("serves", "is_driven"), _is(bool)),
    "settings_of": _are_settings,
    "refusals": _are_refusals,
    "plug": _is(Interface),
    "configure": _is(type(None)),
    "unplug": _are(str),
    "probe": _is(State, type(None)),
    "end_of": _is(str),
    "device_seen": _is(str, type(None)),
    "link_of": _is(tuple),
    "findings": _are(Finding),
}
_OTHERWISE: Mapping[str, Any] = {"serves": False, "probe": None, "end_of": "", "findings": ()}
"""What counts as the answer of a backend that fails where no failure is allowed."""
