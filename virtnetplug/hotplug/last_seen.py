"""What the journal keeps of a NIC while its operation is open: the element as it was seen last, and the host end of a NIC that came.

An administrator may change a NIC, or take it out and put it in again, until the operation ends. What comes back, or comes in the place of a NIC, has
what was seen last of that NIC. A change that nobody saw before the NIC left is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from virtnetplug import xml
from virtnetplug.errors import NicChanged, OperationTaken, VirtnetplugError
from virtnetplug.hotplug import guest
from virtnetplug.hotplug.request import without_address
from virtnetplug.hotplug.strangers import end_of
from virtnetplug.hotplug.transaction import Transaction
from virtnetplug.hotplug.view import describe, has_source_of
from virtnetplug.model.interface import Interface
from virtnetplug.model.run import Run
from virtnetplug.ports.domain import Domain

SEEN = "seen"
"""Key of a request: the live elements, as they were seen last, of the NICs that the guest was asked for; by the names that the steps call them."""

DEFINED = "defined"
"""Key of a request: the elements, as they were when they left, of the NICs that it takes out of the definition; by the names that the steps call them."""

ENDS = "ends"
"""Key of a request: the host ends (`end_of`) of the NICs that came, by alias."""

RETURNED = "returned"
"""Key of a request: the names of the NICs that an undo puts back. Such a NIC has a new host end."""


def see(domain: Domain, tx: Transaction, name: str, element: str, now: Interface, *, run: Run) -> None:
    """Keep in the journal how the NIC `name`, of which the request has `element`, is `now`.

    A NIC that is connected to something else is kept only where the process of the run is seen: else it may be another NIC.
    """
    if not tx.record.domain_uuid or now.element == as_seen(tx.record.request, name, element):
        return
    before = xml.interface(element)
    is_process = bool(run.process) and domain.process() == run.process
    if now.alias == before.alias and (has_source_of(now, before) or (is_process and not now.is_hostdev)):
        tx.amend(**{SEEN: {**tx.record.request.get(SEEN, {}), name: now.element}})


def as_seen(request: Mapping[str, Any], name: str, element: str) -> str:
    """The live element of the NIC `name` as it was seen last; `element` is what the request has.

    A NIC that may come back at any address has none in `element`.
    """
    seen = request.get(SEEN, {}).get(name)
    if seen is None:
        return element
    return seen if xml.interface(element).address is not None else without_address(seen)


def see_defined(tx: Transaction, name: str, element: str, now: Interface) -> None:
    """Keep in the journal how the definition has the NIC `name` just before it leaves; the request has `element`."""
    if now.element != element:
        tx.amend(**{DEFINED: {**tx.record.request.get(DEFINED, {}), name: now.element}})


def as_defined(request: Mapping[str, Any], name: str, element: str) -> str:
    """The element of the NIC `name` as the definition had it when it left; `element` is what the request has."""
    kept: str = request.get(DEFINED, {}).get(name, element)
    return kept


def expect_same_source(tx: Transaction, name: str, element: str) -> None:
    """Raise `NicChanged`, which puts the NIC back, where somebody connected the NIC to something else before its guest let go of it."""
    before, now = xml.interface(element), xml.interface(as_seen(tx.record.request, name, element))
    if not has_source_of(now, before):
        raise NicChanged(
            f"{describe(now)} was connected to {now.source} while its guest was waited for, and the {tx.record.operation} began with it on {before.source}"
        )


def keep_end(tx: Transaction, net: Interface) -> None:
    """Keep the host end of a NIC that has come."""
    if end := end_of(net):
        tx.keep(**{ENDS: {**tx.record.request.get(ENDS, {}), net.alias or "": end}})


def end_that_came(tx: Transaction, net: Interface) -> str:
    """The host end that a NIC which comes has come with. Its element may name that of the NIC that it replaces."""
    end: str = tx.record.request.get(ENDS, {}).get(net.alias, "")
    return end


def keep_returned(tx: Transaction, name: str) -> None:
    """Keep that an undo puts the NIC back, before it does. A journal that cannot be written does not keep the NIC out."""
    try:
        tx.amend(**{RETURNED: [*tx.record.request.get(RETURNED, ()), name]})
    except OperationTaken:
        raise
    except VirtnetplugError:
        return


def is_put_in(domain: Domain, tx: Transaction, name: str, now: Interface, end: str) -> bool:
    """Whether somebody has taken the NIC with that host end, which the steps call `name`, out of the guest, and has put `now` in with its alias and MAC."""
    if name in tx.record.request.get(RETURNED, ()):
        return False
    return guest.is_another(domain, now, end, run=tx.record.run_asked)
