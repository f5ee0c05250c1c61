"""From what a caller asked for to what will be attached: parsed, named, with a MAC."""

from __future__ import annotations

import os
from collections.abc import Sequence

from virtnetplug import xml
from virtnetplug.errors import DomainNotRunning, Refused, UsageError
from virtnetplug.model.interface import Interface
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import Refusal, Scope
from virtnetplug.ports.domain import DomainState

MOST_NICS = 64
"""In one call; more is a mistake, and each is a PCI slot."""


def parse(requests: Sequence[Interface | str]) -> tuple[Interface, ...]:
    """Each request as an `Interface`, with its whole element. Raises what `xml.interface` raises."""
    if not requests:
        raise UsageError("no NIC was asked for: name at least one, by flags, --nic or --xml")
    if len(requests) > MOST_NICS:
        raise UsageError(f"{len(requests)} NICs in one call: at most {MOST_NICS}; split it")
    return tuple(xml.interface(request if isinstance(request, str) else xml.element(request)) for request in requests)


def name(net: Interface) -> Interface:
    """The net with a MAC and a ``ua-`` alias of its own, minted where the request has none.

    Both are known, and journaled, before the attach: libvirt would choose them itself, and a crash would leave a NIC that nobody
    can name (an alias without ``ua-`` becomes ``netN``).
    """
    changes: dict[str, object] = {}
    if net.mac is None:
        changes["mac"] = Mac.mint()
    if net.alias is None:
        changes["alias"] = "ua-vnp" + os.urandom(4).hex()
    return xml.interface(xml.edit(net.element, changes)) if changes else net


def scope_for(scope: Scope | None, state: DomainState, domain_name: str) -> Scope:
    """The scope asked for, or live for a running domain. A domain that is off must be told what is meant."""
    if scope is not None:
        return scope
    if not state.is_active:
        raise DomainNotRunning(
            f"domain {domain_name} is not running, so there is nothing to hot-plug; start it, or use --config to change its definition"
        )
    return Scope.LIVE


def refuse(refusals: Sequence[Refusal]) -> None:
    """Raise what speaks against the operation, all of it in one error of the first one's class and reason; nothing if nothing does."""
    if not refusals:
        return
    reason = refusals[0].reason
    kind = next((kind for kind in Refused.__subclasses__() if kind.reason == reason), Refused)
    raise kind(" Also: ".join(refusal.message for refusal in refusals), reason=reason)
